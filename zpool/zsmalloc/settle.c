/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settle.c: giving back the memory of pages inside zspages that no object needs.
 *
 *      before   │■■··■·│····■·│······│      resident: all three pages
 *      after    │■■■■··│······│······│      resident: the first; the others are discarded
 *
 * Only partly filled zspages have such pages; after compaction a class has one or two. Objects are
 * moved from the highest place to the lowest free one of the same zspage, which is isolated
 * meanwhile, and then, without the class's lock, the pages that no object touches are discarded.
 */
#include "common/steps.h"
#include "zpool/zsmalloc/zsmalloc.h"

static unsigned highest_used(const struct zspage *zspage)
{
    for (unsigned word = ZSPAGE_USED_WORDS; word-- > 0;)
        if (zspage->used[word] != 0)
            return word * 64 + 63 - (unsigned)__builtin_clzll(zspage->used[word]);
    return 0;
}

static void move_to_front(struct zs_pool *pool, struct zs_class *class, struct zspage *zspage,
                          struct zpool_quota *quota)
{
    while (zspage->desc.used_count > 0 && quota->objects > 0) {
        unsigned last = highest_used(zspage);
        if (bitmap_first_clear(zspage->used, ZSPAGE_USED_WORDS) > last)
            return;
        zpool_quota_spend(quota);
        if (zs_move_locked(pool, class, zspage, last, zspage) != ZS_MOVED)
            return;
        lock_give_way(&class->lock);
    }
}

/* Could pages be discarded, now or once objects have moved to the front? */
static bool is_loose(const struct zs_class *class, const struct zspage *zspage)
{
    unsigned bytes = (unsigned)zspage->desc.used_count * class->size_bytes;
    unsigned needed = (bytes + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES;
    return (unsigned)__builtin_popcount(zspage->desc.resident) > needed;
}

/* Zspages looked at under the class's lock; after compaction a class has one or two. */
#define LOOKS_MAX 32

static struct zspage *next_loose_locked(struct zs_class *class)
{
    unsigned looks = 0;
    for (unsigned group = ZS_GROUP_FIRST_PARTIAL; group < ZS_GROUP_FULL; group++)
        list_for_each (link, &class->group[group]) {
            struct zspage *zspage = container_of(link, struct zspage, desc.list);
            if (is_loose(class, zspage))
                return zspage;
            if (++looks == LOOKS_MAX)
                return NULL;
        }
    return NULL;
}

static uint64_t settle_class(struct zs_pool *pool, struct zs_class *class,
                             struct zpool_quota *quota)
{
    uint64_t discarded = 0;
    struct list done;
    list_init(&done);

    lock_acquire(&class->lock);
    while (!list_is_empty(&class->group[ZS_GROUP_EMPTY])) {
        struct list *link = class->group[ZS_GROUP_EMPTY].next;
        zspage_destroy_locked(pool, class, container_of(link, struct zspage, desc.list));
    }
    struct zspage *zspage;
    while (quota->objects > 0 && (zspage = next_loose_locked(class)) != NULL) {
        zspage_isolate_locked(class, zspage);
        move_to_front(pool, class, zspage, quota);
        struct page_run run = zpdesc_run(&zspage->desc);
        page_mask idle = run.resident & ~zspage_used_pages(class, zspage);
        if (idle != 0) {
            /* Isolated: places may be freed meanwhile, but none is taken. */
            lock_release(&class->lock);
            step("zsmalloc: discarding pages of an isolated zspage");
            discarded += pages_discard(pool->pool.pages, &run, idle);
            lock_acquire(&class->lock);
            zspage->desc.resident = run.resident;
        }
        list_add(&done, &zspage->desc.list);
    }
    while (!list_is_empty(&done))
        zspage_putback_locked(pool, class, container_of(done.next, struct zspage, desc.list));
    lock_release(&class->lock);
    return discarded;
}

uint64_t zs_settle(struct zpool *base, struct zpool_quota *quota)
{
    struct zs_pool *pool = zs_pool_of(base);
    uint64_t discarded = 0;
    for (unsigned i = 0; i < zs_class_count(pool) && quota->objects > 0; i++)
        discarded += settle_class(pool, &pool->class[i], quota);
    return discarded;
}
