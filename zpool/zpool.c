/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zpool.c: the list of drivers, and what is the same for all of them.
 */
#include "zpool/zpool.h"

#include <errno.h>
#include <string.h>

#include "zpool/drivers.h"
#include "zpool/raw.h"

static const struct zpool_driver *const drivers[] = {
    &zsmalloc_driver,
    &z3fold_driver,
    &zbud_driver,
};

const struct zpool_driver *zpool_driver_at(size_t index)
{
    return index < array_count(drivers) ? drivers[index] : NULL;
}

const struct zpool_driver *zpool_driver_find(const char *name)
{
    for (size_t i = 0; i < array_count(drivers); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}

int zpool_create(const struct zpool_driver *driver, const struct zpool_config *config,
                 struct zpool **pool)
{
    *pool = NULL;
    if (config->zspage_pages_max < 1 || config->zspage_pages_max > ZSPAGE_PAGES_MAX)
        return -EINVAL;
    return driver->create(config, pool);
}

void zpool_destroy(struct zpool *pool)
{
    if (pool != NULL)
        pool->driver->destroy(pool);
}

void zpool_init(struct zpool *pool, const struct zpool_driver *driver,
                const struct zpool_config *config, size_t object_max_bytes)
{
    pool->driver = driver;
    pool->map = *pages_map(config->pages);
    pool->pages = config->pages;
    pool->owner = config->owner;
    pool->owner_context = config->owner_context;
    pool->object_max_bytes = object_max_bytes;
}

int zpool_alloc(struct zpool *pool, size_t size_bytes, block_no owner, struct zpool_handle *object)
{
    *object = (struct zpool_handle){0};
    if (unlikely(size_bytes == 0 || size_bytes > PAGE_SIZE_BYTES))
        return -EINVAL;
    if (size_bytes > pool->object_max_bytes)
        return raw_alloc(pool, owner, object);
    return pool->driver->alloc(pool, size_bytes, owner, object);
}

void zpool_free(struct zpool *pool, struct zpool_handle object)
{
    checked(object.position != 0 && zpool_handle_page(object) < pool->map.page_count);
    struct mem_desc desc = pages_desc(&pool->map, zpool_handle_page(object));
    if (mem_desc_type(desc) == MEM_DESC_RAW)
        raw_free(pool, object);
    else
        pool->driver->free(pool, object);
}

bool zpool_same_room(const struct zpool *pool, size_t old_bytes, size_t new_bytes)
{
    bool old_raw = old_bytes > pool->object_max_bytes;
    bool new_raw = new_bytes > pool->object_max_bytes;
    if (old_raw || new_raw)
        return old_raw && new_raw;
    return pool->driver->same_room(pool, old_bytes, new_bytes);
}

uint64_t zpool_compact(struct zpool *pool, struct zpool_quota *quota)
{
    return pool->driver->compact != NULL ? pool->driver->compact(pool, quota) : 0;
}

uint64_t zpool_settle(struct zpool *pool, struct zpool_quota *quota)
{
    return pool->driver->settle != NULL ? pool->driver->settle(pool, quota) : 0;
}

bool zpool_class_statistics(struct zpool *pool, unsigned index,
                            struct zpool_class_statistics *statistics)
{
    return pool->driver->class_statistics != NULL &&
           pool->driver->class_statistics(pool, index, statistics);
}

void zpool_statistics(struct zpool *pool, struct zpool_statistics *statistics)
{
    *statistics = (struct zpool_statistics){0};
    pool->driver->statistics(pool, statistics);
    statistics->raw_pages = atomic_load_explicit(&pool->raw_pages, memory_order_relaxed);
    statistics->objects_moved += atomic_load_explicit(&pool->raw_moved, memory_order_relaxed);
    statistics->moves_skipped += atomic_load_explicit(&pool->raw_skipped, memory_order_relaxed);
}

void zpool_validate(struct zpool *pool, struct report *report)
{
    pool->driver->validate(pool, report);
    raw_validate(pool, report);
}
