/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compact.c: emptying zspages into fuller ones of their class, until none can be saved.
 *
 *      source: the emptiest, isolated while it is being emptied (nothing new goes into it)
 *      target: the fullest, as an allocation would choose; looked up anew after giving way
 *
 * A class holds ⌊unused places / places per zspage⌋ zspages more than it needs; while that is at
 * least one, the emptiest is worth emptying. An object whose owner is busy is left: its zspage
 * waits in `stuck` and is put back at the end, so that one busy block doesn't stop its class and
 * isn't tried again and again.
 *
 * The class's lock is given up after each object if somebody waits for it, and all lists are in
 * order whenever that happens.
 */
#include "common/steps.h"
#include "zpool/zsmalloc/zsmalloc.h"

uint64_t zs_class_zspages_locked(const struct zs_class *class)
{
    uint64_t zspages = 0;
    for (unsigned group = 0; group < ZS_GROUP_COUNT; group++)
        zspages += class->zspages[group];
    return zspages;
}

uint64_t zs_class_freeable_locked(const struct zs_class *class)
{
    uint64_t places = zs_class_zspages_locked(class) * class->objects;
    return (places - class->objects_used) / class->objects;
}

/* Moves what can be moved out of the isolated source. True if it is empty then. */
static bool empty_source(struct zs_pool *pool, struct zs_class *class, struct zspage *source,
                         struct zpool_quota *quota)
{
    struct zspage *target = zspage_fullest_locked(class, NULL);
    unsigned place = bitmap_next_set(source->used, ZSPAGE_USED_WORDS, 0);

    while (place < ZS_OBJECTS_MAX && target != NULL && quota->objects > 0) {
        zpool_quota_spend(quota);
        enum zs_move result = zs_move_locked(pool, class, source, place, target);
        if (result == ZS_MOVE_NO_ROOM)
            break;
        step("zsmalloc: compaction between objects");
        if (lock_give_way(&class->lock) || target->desc.used_count == class->objects)
            target = zspage_fullest_locked(class, NULL);
        place = bitmap_next_set(source->used, ZSPAGE_USED_WORDS, place + 1);
    }
    return source->desc.used_count == 0;
}

/* Empties zspages of one class while that saves one. Returns pages freed. */
static uint64_t compact_class(struct zs_pool *pool, struct zs_class *class,
                              struct zpool_quota *quota)
{
    uint64_t freed = 0;
    struct list stuck;
    list_init(&stuck);

    lock_acquire(&class->lock);
    while (quota->objects > 0 && zs_class_freeable_locked(class) > class->zspages[ZS_GROUP_EMPTY]) {
        struct zspage *source = zspage_emptiest_locked(class);
        if (source == NULL || zspage_fullest_locked(class, source) == NULL)
            break;
        zspage_isolate_locked(class, source);
        if (empty_source(pool, class, source, quota)) {
            freed += class->pages;
            class->pages_compacted += class->pages;
            zspage_putback_locked(pool, class, source); /* which destroys it */
        } else {
            list_add(&stuck, &source->desc.list);
        }
    }
    while (!list_is_empty(&stuck))
        zspage_putback_locked(pool, class, container_of(stuck.next, struct zspage, desc.list));
    lock_release(&class->lock);
    return freed;
}

uint64_t zs_compact(struct zpool *base, struct zpool_quota *quota)
{
    struct zs_pool *pool = zs_pool_of(base);
    uint64_t freed = 0;
    for (unsigned i = 0; i < zs_class_count(pool) && quota->objects > 0; i++)
        freed += compact_class(pool, &pool->class[i], quota);
    return freed;
}
