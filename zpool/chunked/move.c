/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * move.c: moving objects between chunked pages and within one: compaction and migration.
 *
 *      shift    │ FIRST │········│ MIDDLE │        ─▶   │ FIRST │ MIDDLE │·········
 *               when the gap is 3 chunks or more; without a first one, the middle one becomes it
 *      lone     a page with one object: it goes to the fullest other page that has room for it
 *
 * Both only try the owner's slot (zpool.h) and leave an object whose owner is busy where it is.
 */
#include <errno.h>
#include <string.h>

#include "common/steps.h"
#include "zpool/chunked/chunked.h"

static unsigned char *address(const struct chunked_pool *pool, const struct chunked_page *page,
                              enum place place)
{
    return zpool_address(&pool->pool, chunked_page_handle(page, place));
}

static bool try_owner(struct chunked_pool *pool, const struct chunked_page *page, enum place place)
{
    if (pool->pool.owner->try_lock(pool->pool.owner_context, page->owner[place],
                                   chunked_page_handle(page, place)))
        return true;
    pool->skipped++;
    return false;
}

/* Moves an object to another page that has room for it. False: its owner is busy. */
static bool move_locked(struct chunked_pool *pool, struct chunked_page *from, enum place place,
                        struct chunked_page *to)
{
    if (!try_owner(pool, from, place))
        return false;
    step("chunked: owner locked for a move");
    enum place target = chunked_page_take_locked(pool, to, from->chunks[place], from->owner[place]);
    memcpy(address(pool, to, target), address(pool, from, place),
           (size_t)from->chunks[place] << CHUNK_SHIFT);
    step("chunked: object copied");
    pool->pool.owner->moved(pool->pool.owner_context, from->owner[place],
                            chunked_page_handle(to, target));
    step("chunked: object moved");
    chunked_page_give_locked(pool, from, place);
    pool->moved++;
    return true;
}

/* Moves the middle object next to the first one, or to the left end if there is none. */
static void shift_locked(struct chunked_pool *pool, struct chunked_page *page)
{
    unsigned start = page->chunks[PLACE_FIRST];
    if (!try_owner(pool, page, PLACE_MIDDLE))
        return;
    unsigned char *target = pages_address(&pool->pool.map, zpdesc_first(&page->desc));
    memmove(target + ((size_t)start << CHUNK_SHIFT), address(pool, page, PLACE_MIDDLE),
            (size_t)page->chunks[PLACE_MIDDLE] << CHUNK_SHIFT);
    block_no owner = page->owner[PLACE_MIDDLE];
    chunked_page_shift_locked(pool, page, start);
    pool->pool.owner->moved(pool->pool.owner_context, owner,
                            chunked_page_handle(page, start == 0 ? PLACE_FIRST : PLACE_MIDDLE));
    pool->moved++;
}

static enum place only_place(const struct chunked_page *page)
{
    enum place place = PLACE_FIRST;
    while (page->chunks[place] == 0)
        place++;
    return place;
}

/*
 * Moves the smallest lone object to another page with objects, and frees its own page. A page whose
 * object is busy goes to `stuck`. False: no lone object fits anywhere, since the smallest doesn't.
 */
static bool move_lone_locked(struct chunked_pool *pool, struct list *stuck, uint64_t *freed)
{
    struct chunked_page *page = chunked_page_roomiest_locked(pool, PAGE_LONE);
    if (page == NULL)
        return false;
    enum place place = only_place(page);
    struct chunked_page *to = chunked_page_for_locked(pool, page->chunks[place], page);
    if (to == NULL || to->desc.used_count == 0)
        return false;
    chunked_page_isolate_locked(pool, page);
    if (move_locked(pool, page, place, to)) {
        chunked_page_putback_locked(pool, page); /* which destroys it */
        pool->pages_compacted++;
        ++*freed;
    } else {
        list_add(stuck, &page->desc.list);
    }
    return true;
}

static bool close_gap_locked(struct chunked_pool *pool, struct list *stuck)
{
    struct chunked_page *page = chunked_page_roomiest_locked(pool, PAGE_GAPPY);
    if (page == NULL)
        return false;
    shift_locked(pool, page);
    if (page->desc.group / ROOM_COUNT == PAGE_GAPPY) {
        chunked_page_isolate_locked(pool, page);
        list_add(stuck, &page->desc.list);
    }
    return true;
}

uint64_t chunked_compact(struct zpool *base, struct zpool_quota *quota)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    uint64_t freed = 0;
    struct list stuck;
    list_init(&stuck);

    /* Gaps first: what they free is room for lone objects. */
    lock_acquire(&pool->lock);
    while (quota->objects > 0 &&
           (close_gap_locked(pool, &stuck) || move_lone_locked(pool, &stuck, &freed))) {
        zpool_quota_spend(quota);
        step("chunked: compaction between objects");
        lock_give_way(&pool->lock);
    }
    while (!list_is_empty(&stuck))
        chunked_page_putback_locked(pool, container_of(stuck.next, struct chunked_page, desc.list));
    lock_release(&pool->lock);
    return freed;
}

uint64_t chunked_settle(struct zpool *base, struct zpool_quota *quota)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    (void)quota;
    lock_acquire(&pool->lock);
    while (!list_is_empty(&pool->group[GROUP_EMPTY])) {
        struct list *link = pool->group[GROUP_EMPTY].next;
        chunked_page_destroy_locked(pool, container_of(link, struct chunked_page, desc.list));
    }
    lock_release(&pool->lock);
    return 0; /* the page is the page source's to give back */
}

int chunked_isolate(struct zpool *base, pfn number, struct list *isolated)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    int result = 0;
    lock_acquire(&pool->lock);
    /* Under the lock no page of this pool comes or goes, so the word is right. */
    struct chunked_page *page = chunked_page_of(pool, number);
    if (page != NULL && zpdesc_state(&page->desc) == ZPDESC_LISTED) {
        chunked_page_isolate_locked(pool, page);
        list_add(isolated, &page->desc.list);
        result = 1;
    } else if (page != NULL) {
        result = -EAGAIN;
    }
    lock_release(&pool->lock);
    return result;
}

int chunked_migrate(struct zpool *base, struct zpdesc *isolated, struct zpool_quota *quota)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    struct chunked_page *page = container_of(isolated, struct chunked_page, desc);
    int error = 0;

    lock_acquire(&pool->lock);
    for (enum place place = PLACE_FIRST; place < PLACE_COUNT && quota->objects > 0; place++) {
        if (page->chunks[place] == 0)
            continue;
        struct chunked_page *to = chunked_page_for_alloc_locked(pool, page->chunks[place], &error);
        if (to == NULL)
            break;
        zpool_quota_spend(quota);
        (void)move_locked(pool, page, place, to);
        step("chunked: migration between objects");
        lock_give_way(&pool->lock);
    }
    if (page->desc.used_count == 0)
        pool->pages_compacted++;
    else if (error == 0)
        error = -EAGAIN;
    lock_release(&pool->lock);
    return error;
}

void chunked_putback(struct zpool *base, struct zpdesc *isolated)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    lock_acquire(&pool->lock);
    chunked_page_putback_locked(pool, container_of(isolated, struct chunked_page, desc));
    lock_release(&pool->lock);
}
