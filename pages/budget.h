/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * budget.h: how many resident pages a device may have, and has.
 *
 * Everything that makes a page resident (pool pages, mem_desc words, arenas' bookkeeping, the slot
 * table) charges it first, so that `used` is what the system sees and `limit` is never passed.
 * Any thread, no lock: each function is one atomic step.
 */
#ifndef UZRAM_PAGES_BUDGET_H
#define UZRAM_PAGES_BUDGET_H

#include <stdatomic.h>

#include "common/compiler.h"

struct budget {
    _Atomic uint64_t used_pages;
    _Atomic uint64_t limit_pages; /* UINT64_MAX: none */
    _Atomic uint64_t kept_pages;  /* of the limit: not for everybody, see budget_keep */
    _Atomic uint64_t max_pages;   /* the highest used_pages was */
    _Atomic uint64_t refused;     /* charges refused by the limit */
};

void budget_init(struct budget *budget, uint64_t limit_pages);

/* Takes `pages` from the budget. Returns 0 or -ENOSPC with nothing taken. */
int budget_charge(struct budget *budget, uint64_t pages) must_use;

/* Takes them whatever the limit says: for memory that is resident already, and can't be refused. */
void budget_charge_always(struct budget *budget, uint64_t pages);

void budget_uncharge(struct budget *budget, uint64_t pages);

/* Changes the limit; one below what is used stops further charges until enough is given back. */
void budget_set_limit(struct budget *budget, uint64_t limit_pages);

/*
 * From now on charges leave so many pages of the limit alone, so that work which frees more than it
 * takes finds some: it keeps 0 while it charges. Without a limit, and for a limit that is less,
 * there is nothing to keep.
 */
void budget_keep(struct budget *budget, uint64_t pages);

/* Sets the watermark to what is used now. */
void budget_reset_max(struct budget *budget);

#endif
