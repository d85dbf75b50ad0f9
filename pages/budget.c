/* SPDX-License-Identifier: BSD-3-Clause */
#include "pages/budget.h"

#include <errno.h>

/* All accesses are relaxed: the counters order nothing but themselves. */

void budget_init(struct budget *budget, uint64_t limit_pages)
{
    atomic_init(&budget->used_pages, 0);
    atomic_init(&budget->limit_pages, limit_pages);
    atomic_init(&budget->kept_pages, 0);
    atomic_init(&budget->max_pages, 0);
    atomic_init(&budget->refused, 0);
}

static void raise_max(struct budget *budget, uint64_t used)
{
    uint64_t max = atomic_load_explicit(&budget->max_pages, memory_order_relaxed);
    while (used > max &&
           !atomic_compare_exchange_weak_explicit(&budget->max_pages, &max, used,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static uint64_t most_for_everybody(const struct budget *budget)
{
    uint64_t limit = atomic_load_explicit(&budget->limit_pages, memory_order_relaxed);
    uint64_t kept = atomic_load_explicit(&budget->kept_pages, memory_order_relaxed);
    return limit == UINT64_MAX || kept >= limit ? limit : limit - kept;
}

int budget_charge(struct budget *budget, uint64_t pages)
{
    uint64_t used = atomic_load_explicit(&budget->used_pages, memory_order_relaxed);
    uint64_t most = most_for_everybody(budget);
    do {
        if (pages > most || used > most - pages) {
            atomic_fetch_add_explicit(&budget->refused, 1, memory_order_relaxed);
            return -ENOSPC;
        }
    } while (!atomic_compare_exchange_weak_explicit(&budget->used_pages, &used, used + pages,
                                                    memory_order_relaxed, memory_order_relaxed));

    raise_max(budget, used + pages);
    return 0;
}

void budget_charge_always(struct budget *budget, uint64_t pages)
{
    uint64_t before = atomic_fetch_add_explicit(&budget->used_pages, pages, memory_order_relaxed);
    raise_max(budget, before + pages);
}

void budget_uncharge(struct budget *budget, uint64_t pages)
{
    uint64_t before = atomic_fetch_sub_explicit(&budget->used_pages, pages, memory_order_relaxed);
    checked(before >= pages);
    (void)before;
}

void budget_set_limit(struct budget *budget, uint64_t limit_pages)
{
    atomic_store_explicit(&budget->limit_pages, limit_pages, memory_order_relaxed);
}

void budget_keep(struct budget *budget, uint64_t pages)
{
    atomic_store_explicit(&budget->kept_pages, pages, memory_order_relaxed);
}

void budget_reset_max(struct budget *budget)
{
    atomic_store_explicit(&budget->max_pages,
                          atomic_load_explicit(&budget->used_pages, memory_order_relaxed),
                          memory_order_relaxed);
}
