/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * migrate.c: emptying a range of pages, for any driver.
 *
 *      1. isolate the arenas of the range       nothing new is taken there
 *      2. isolate each descriptor of the range  nothing new goes into its pages
 *      3. migrate each, and each raw page       what can't move now stays where it is
 *      4. put back descriptors, then arenas
 *
 * The arenas come first, because what is moved out of one must not go into the next; and nothing is
 * put back before all is migrated, for the same reason. An arena that another thread has isolated
 * ends the call before anything is moved.
 *
 * An inactive arena can't be isolated, and a page that was being taken when its word was looked at
 * is not seen: so at the end the words have to agree that nothing is left.
 */
#include <errno.h>

#include "common/list.h"
#include "common/steps.h"
#include "zpool/raw.h"
#include "zpool/zpdesc.h"

static int isolate_arenas(struct zpool *pool, uint64_t first, uint64_t end, struct list *isolated)
{
    for (uint64_t arena = first; arena < end; arena++) {
        int error = pages_isolate(pool->pages, arena, isolated);
        if (error != 0 && error != -EINVAL) /* -EINVAL: inactive, so nothing is there */
            return error;
    }
    return 0;
}

/* Of several outcomes the one that tells the caller most: no room, then busy. */
static int worse(int a, int b)
{
    if (a == 0 || (a == -EAGAIN && b != 0))
        return b;
    return a;
}

static int migrate_descriptors(struct zpool *pool, pfn first, uint64_t count,
                               struct zpool_quota *quota)
{
    struct list isolated;
    list_init(&isolated);
    int result = 0;
    for (uint64_t i = 0; i < count; i++) {
        int error = pool->driver->isolate(pool, (pfn)(first + i), &isolated);
        /* The pages of a descriptor follow each other: its second page finds it isolated by us. */
        bool ours = error == -EAGAIN && !list_is_empty(&isolated) &&
                    mem_desc_pointer(pages_desc(&pool->map, (pfn)(first + i))) ==
                        container_of(isolated.next, struct zpdesc, list);
        if (error < 0 && !ours)
            result = worse(result, error);
    }
    list_for_each (link, &isolated) {
        struct zpdesc *desc = container_of(link, struct zpdesc, list);
        result = worse(result, pool->driver->migrate(pool, desc, quota));
    }
    while (!list_is_empty(&isolated)) {
        struct zpdesc *desc = container_of(isolated.next, struct zpdesc, list);
        list_remove(&desc->list);
        pool->driver->putback(pool, desc);
    }
    return result;
}

static int migrate_raw_pages(struct zpool *pool, pfn first, uint64_t count,
                             struct zpool_quota *quota)
{
    int result = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct mem_desc desc = pages_desc(&pool->map, (pfn)(first + i));
        if (mem_desc_type(desc) != MEM_DESC_RAW)
            continue;
        if (quota->objects == 0)
            return worse(result, -EAGAIN);
        zpool_quota_spend(quota);
        step("raw: word read, owner not locked");
        int error = raw_migrate(pool, (pfn)(first + i), (block_no)mem_desc_value(desc));
        /* Busy may also mean that it was freed meanwhile, which is as good as moved. */
        if (error == -EAGAIN &&
            mem_desc_type(pages_desc(&pool->map, (pfn)(first + i))) != MEM_DESC_RAW)
            error = 0;
        result = worse(result, error);
    }
    return result;
}

/* Whether a page of the range is somebody's. */
static bool is_taken(const struct zpool *pool, pfn first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        enum mem_desc_type type = mem_desc_type(pages_desc(&pool->map, (pfn)(first + i)));
        if (type > MEM_DESC_OFFLINE && type != MEM_DESC_GUARD)
            return true;
    }
    return false;
}

int zpool_migrate(struct zpool *pool, pfn first, uint64_t count, struct zpool_quota *quota)
{
    if (count == 0 || count > pool->map.page_count || first > pool->map.page_count - count)
        return -EINVAL;
    uint64_t first_arena = first >> ARENA_SHIFT;
    uint64_t end_arena = ((uint64_t)first + count + ARENA_PAGES - 1) >> ARENA_SHIFT;

    struct list arenas;
    list_init(&arenas);
    int result = isolate_arenas(pool, first_arena, end_arena, &arenas);
    if (result == 0) {
        result = migrate_descriptors(pool, first, count, quota);
        result = worse(result, migrate_raw_pages(pool, first, count, quota));
        if (result == 0 && is_taken(pool, first, count))
            result = -EAGAIN;
    }
    pages_putback(pool->pages, &arenas);
    return result;
}
