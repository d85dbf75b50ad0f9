/* SPDX-License-Identifier: BSD-3-Clause */
#include "zpool/raw.h"

#include <errno.h>
#include <string.h>

#include "common/steps.h"

int raw_alloc(struct zpool *pool, block_no owner, struct zpool_handle *object)
{
    struct page_run run;
    struct mem_desc desc;

    int error = pages_alloc(pool->pages, 1, PAGE_MOVABLE, &run);
    if (error != 0)
        return error;
    error = pages_touch(pool->pages, &run, 1);
    if (error != 0 || !mem_desc_pack_value(MEM_DESC_RAW, owner, &desc)) {
        pages_free(pool->pages, &run);
        return error;
    }
    step("raw: page taken, not described");
    pages_describe(pool->pages, &run, desc);
    atomic_fetch_add_explicit(&pool->raw_pages, 1, memory_order_relaxed);
    *object = zpool_handle_at(run.first, 0);
    return 0;
}

void raw_free(struct zpool *pool, struct zpool_handle object)
{
    struct page_run run = {.first = zpool_handle_page(object), .count = 1, .resident = 1};
    atomic_fetch_sub_explicit(&pool->raw_pages, 1, memory_order_relaxed);
    pages_free(pool->pages, &run);
}

int raw_migrate(struct zpool *pool, pfn page, block_no owner)
{
    struct zpool_handle from = zpool_handle_at(page, 0), to;

    if (!pool->owner->try_lock(pool->owner_context, owner, from)) {
        atomic_fetch_add_explicit(&pool->raw_skipped, 1, memory_order_relaxed);
        return -EAGAIN;
    }
    int error = raw_alloc(pool, owner, &to);
    if (error != 0) {
        pool->owner->unlock(pool->owner_context, owner);
        return error;
    }
    step("raw: owner locked for a move");
    memcpy(zpool_address(pool, to), zpool_address(pool, from), PAGE_SIZE_BYTES);
    step("raw: object copied");
    pool->owner->moved(pool->owner_context, owner, to);
    step("raw: object moved");
    raw_free(pool, from);
    atomic_fetch_add_explicit(&pool->raw_moved, 1, memory_order_relaxed);
    return 0;
}

static void check_page(struct zpool *pool, pfn page, uint64_t owner, struct report *report)
{
    struct zpool_handle object = zpool_handle_at(page, 0);
    if (owner < BLOCK_COUNT_MAX &&
        pool->owner->try_lock(pool->owner_context, (block_no)owner, object))
        pool->owner->unlock(pool->owner_context, (block_no)owner);
    else
        report_fault(report,
                     "raw pfn %u says it belongs to block %llu, whose slot names another place",
                     page, (unsigned long long)owner);
}

void raw_validate(struct zpool *pool, struct report *report)
{
    struct pages_account account;
    pages_account(pool->pages, &account);
    uint64_t end = (account.arenas_active + account.arenas_retired) * ARENA_PAGES, found = 0;
    for (uint64_t page = 0; page < end; page++) {
        struct mem_desc desc = pages_desc(&pool->map, (pfn)page);
        if (mem_desc_type(desc) != MEM_DESC_RAW)
            continue;
        found++;
        check_page(pool, (pfn)page, mem_desc_value(desc), report);
    }
    uint64_t counted = atomic_load_explicit(&pool->raw_pages, memory_order_relaxed);
    if (counted != found)
        report_fault(report, "raw_pages is %llu, expected %llu, the raw words",
                     (unsigned long long)counted, (unsigned long long)found);
}
