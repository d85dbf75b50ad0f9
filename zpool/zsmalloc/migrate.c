/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * migrate.c: page migration of one zspage, in the three steps that zpool.h describes.
 *
 *      isolate ──▶ the zspage is in no list of its class: no new object goes into it
 *      migrate ──▶ its objects are moved into whatever zspage an allocation would choose
 *      putback ──▶ into its fullness group again, or destroyed if it is empty
 *
 * Between the steps no lock is held: objects may be read, replaced and freed by their owners.
 */
#include <errno.h>

#include "common/steps.h"
#include "zpool/zsmalloc/zsmalloc.h"

static struct zs_class *class_of(struct zs_pool *pool, const struct zspage *zspage)
{
    unsigned index = zpdesc_class(&zspage->desc);
    return &pool->class[index];
}

int zs_isolate(struct zpool *base, pfn page, struct list *isolated)
{
    struct zs_pool *pool = zs_pool_of(base);
    for (;;) {
        struct zspage *zspage = zspage_of_page(pool, page);
        if (zspage == NULL)
            return 0;
        /*
         * The word may be stale already, and the descriptor another zspage's: type-stable memory
         * lets us look which class to lock, and under that lock we see whether it is still so.
         */
        struct zs_class *class = class_of(pool, zspage);
        step("zsmalloc: word read, class not locked");
        lock_acquire(&class->lock);
        bool same = zspage_of_page(pool, page) == zspage && class_of(pool, zspage) == class;
        enum zpdesc_state state = zpdesc_state(&zspage->desc);
        if (same && state == ZPDESC_LISTED) {
            zspage_isolate_locked(class, zspage);
            list_add(isolated, &zspage->desc.list);
        }
        lock_release(&class->lock);
        if (same && state != ZPDESC_FREE)
            return state == ZPDESC_LISTED ? 1 : -EAGAIN;
    }
}

int zs_migrate(struct zpool *base, struct zpdesc *isolated, struct zpool_quota *quota)
{
    struct zs_pool *pool = zs_pool_of(base);
    struct zspage *source = container_of(isolated, struct zspage, desc);
    struct zs_class *class = class_of(pool, source);
    int error = 0;

    lock_acquire(&class->lock);
    unsigned place = bitmap_next_set(source->used, ZSPAGE_USED_WORDS, 0);
    while (place < ZS_OBJECTS_MAX && quota->objects > 0) {
        struct zspage *target = zs_zspage_for_alloc_locked(pool, class, &error);
        if (target == NULL)
            break;
        zpool_quota_spend(quota);
        if (zs_move_locked(pool, class, source, place, target) == ZS_MOVE_NO_ROOM) {
            error = -ENOSPC;
            break;
        }
        step("zsmalloc: migration between objects");
        lock_give_way(&class->lock);
        place = bitmap_next_set(source->used, ZSPAGE_USED_WORDS, place + 1);
    }
    if (source->desc.used_count == 0)
        class->pages_compacted += class->pages;
    else if (error == 0)
        error = -EAGAIN;
    lock_release(&class->lock);
    return error;
}

void zs_putback(struct zpool *base, struct zpdesc *isolated)
{
    struct zs_pool *pool = zs_pool_of(base);
    struct zspage *zspage = container_of(isolated, struct zspage, desc);
    struct zs_class *class = class_of(pool, zspage);

    lock_acquire(&class->lock);
    zspage_putback_locked(pool, class, zspage);
    lock_release(&class->lock);
}
