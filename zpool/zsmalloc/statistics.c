/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * statistics.c: the driver's figures, read class by class under each one's lock.
 */
#include "zpool/zsmalloc/zsmalloc.h"

bool zs_class_statistics(struct zpool *base, unsigned index,
                         struct zpool_class_statistics *statistics)
{
    struct zs_pool *pool = zs_pool_of(base);
    if (index >= zs_class_count(pool))
        return false;

    struct zs_class *class = &pool->class[index];
    lock_acquire(&class->lock);
    uint64_t zspages = zs_class_zspages_locked(class);
    *statistics = (struct zpool_class_statistics){
        .index = index,
        .size_bytes = class->size_bytes,
        .objects_allocated = zspages * class->objects,
        .objects_used = class->objects_used,
        .bytes_used = class->objects_used * class->size_bytes,
        .pages_used = zspages * class->pages,
        .pages_per_zspage = class->pages,
        .objects_per_zspage = class->objects,
        .pages_freeable = zs_class_freeable_locked(class) * class->pages,
    };
    for (unsigned group = 0; group < ZS_GROUP_COUNT; group++)
        statistics->zspages[group] = class->zspages[group];
    lock_release(&class->lock);
    return true;
}

void zs_statistics(struct zpool *base, struct zpool_statistics *statistics)
{
    struct zs_pool *pool = zs_pool_of(base);
    for (unsigned i = 0; i < zs_class_count(pool); i++) {
        struct zs_class *class = &pool->class[i];
        lock_acquire(&class->lock);
        statistics->objects_moved += class->moved;
        statistics->moves_skipped += class->skipped;
        statistics->pages_compacted += class->pages_compacted;
        lock_release(&class->lock);
    }
    descriptors_statistics(&pool->zspages, &statistics->descriptor_bytes,
                           &statistics->descriptors_used);
}
