/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * page.c: one page of two or three objects: its places, its room, its group. Drawing: chunked.h.
 */
#include <errno.h>
#include <string.h>

#include "zpool/chunked/chunked.h"

/* The bit of a group in `filled` of its kind; none for groups without room. */
static uint64_t room_bit(unsigned group)
{
    unsigned room = group % ROOM_COUNT;
    return room > 0 ? UINT64_C(1) << (room - 1) : 0;
}

static void unlist(struct chunked_pool *pool, struct chunked_page *page)
{
    unsigned group = page->desc.group;
    list_remove(&page->desc.list);
    if (list_is_empty(&pool->group[group]))
        pool->filled[group / ROOM_COUNT] &= ~room_bit(group);
}

static void enlist(struct chunked_pool *pool, struct chunked_page *page)
{
    unsigned group = page->desc.group;
    list_add(&pool->group[group], &page->desc.list);
    pool->filled[group / ROOM_COUNT] |= room_bit(group);
}

/* The free chunks between the first and the middle or last one; between middle and last one. */
static unsigned left_gap(const struct chunked_page *page)
{
    unsigned end = page->chunks[PLACE_MIDDLE] != 0 ? page->middle_start
                                                   : PAGE_CHUNKS - page->chunks[PLACE_LAST];
    return end - page->chunks[PLACE_FIRST];
}

static unsigned right_gap(const struct chunked_page *page)
{
    unsigned start = page->middle_start + page->chunks[PLACE_MIDDLE];
    return PAGE_CHUNKS - page->chunks[PLACE_LAST] - start;
}

static unsigned room_of(const struct chunked_pool *pool, const struct chunked_page *page)
{
    bool first = page->chunks[PLACE_FIRST] != 0, last = page->chunks[PLACE_LAST] != 0;
    if (page->chunks[PLACE_MIDDLE] == 0)
        return first && last && !pool->has_middle ? 0 : left_gap(page);
    unsigned left = first ? 0 : left_gap(page), right = last ? 0 : right_gap(page);
    return left > right ? left : right;
}

unsigned chunked_page_group(const struct chunked_pool *pool, const struct chunked_page *page)
{
    enum page_kind kind = PAGE_PLAIN;
    if (page->desc.used_count == 1)
        kind = PAGE_LONE;
    else if (page->chunks[PLACE_MIDDLE] != 0 &&
             page->chunks[PLACE_LAST] * page->chunks[PLACE_FIRST] == 0 &&
             left_gap(page) >= GAP_MIN_CHUNKS)
        kind = PAGE_GAPPY;
    return chunked_group(kind, room_of(pool, page));
}

enum place chunked_page_fit(const struct chunked_pool *pool, const struct chunked_page *page,
                            unsigned chunks)
{
    bool middle = page->chunks[PLACE_MIDDLE] != 0;
    if (page->chunks[PLACE_FIRST] == 0 && left_gap(page) >= chunks)
        return PLACE_FIRST;
    if (page->chunks[PLACE_LAST] == 0 && (middle ? right_gap(page) : left_gap(page)) >= chunks)
        return PLACE_LAST;
    if (pool->has_middle && !middle && left_gap(page) >= chunks)
        return PLACE_MIDDLE;
    return PLACE_COUNT;
}

/* After chunks have changed: the group, the counts, and the list if the page is listed. */
static void regroup(struct chunked_pool *pool, struct chunked_page *page)
{
    unsigned group = chunked_page_group(pool, page);
    if (group == page->desc.group)
        return;
    bool listed = zpdesc_state(&page->desc) == ZPDESC_LISTED;
    if (listed)
        unlist(pool, page);
    pool->pages[page->desc.group]--;
    pool->pages[group]++;
    page->desc.group = (uint8_t)group;
    if (listed)
        enlist(pool, page);
}

struct chunked_page *chunked_page_create_locked(struct chunked_pool *pool, int *error)
{
    struct chunked_page *page = descriptors_alloc(&pool->descriptors);
    if (page == NULL) {
        *error = -ENOSPC;
        return NULL;
    }
    struct page_run run;
    struct mem_desc desc;
    *error = pages_alloc(pool->pool.pages, 1, PAGE_MOVABLE, &run);
    if (*error == 0) {
        *error = pages_touch(pool->pool.pages, &run, 1);
        if (*error != 0)
            pages_free(pool->pool.pages, &run);
    }
    if (*error != 0) {
        descriptors_free(&pool->descriptors, page);
        return NULL;
    }

    list_init(&page->desc.list);
    zpdesc_set_run(&page->desc, &run);
    atomic_store_explicit(&page->desc.class_index, 0, memory_order_relaxed);
    page->desc.used_count = 0;
    page->desc.group = GROUP_EMPTY;
    memset(page->chunks, 0, sizeof page->chunks);
    zpdesc_set_state(&page->desc, ZPDESC_LISTED);
    pool->pages[GROUP_EMPTY]++;
    enlist(pool, page);

    bool packed = mem_desc_pack_pointer(pool->type, page, &desc);
    checked(packed);
    (void)packed;
    pages_describe(pool->pool.pages, &run, desc);
    return page;
}

void chunked_page_destroy_locked(struct chunked_pool *pool, struct chunked_page *page)
{
    checked(page->desc.used_count == 0);
    struct page_run run = zpdesc_run(&page->desc);
    if (zpdesc_state(&page->desc) == ZPDESC_LISTED)
        unlist(pool, page);
    pool->pages[GROUP_EMPTY]--;
    zpdesc_set_state(&page->desc, ZPDESC_FREE);
    pages_free(pool->pool.pages, &run);
    descriptors_free(&pool->descriptors, page);
}

enum place chunked_page_take_locked(struct chunked_pool *pool, struct chunked_page *page,
                                    unsigned chunks, block_no owner)
{
    enum place place = chunked_page_fit(pool, page, chunks);
    checked(place < PLACE_COUNT);
    if (place == PLACE_MIDDLE)
        page->middle_start = page->chunks[PLACE_FIRST];
    page->chunks[place] = (uint8_t)chunks;
    page->owner[place] = owner;
    page->desc.used_count++;
    pool->objects++;
    pool->chunks += chunks;
    regroup(pool, page);
    return place;
}

void chunked_page_give_locked(struct chunked_pool *pool, struct chunked_page *page,
                              enum place place)
{
    checked(place < PLACE_COUNT && page->chunks[place] != 0);
    pool->chunks -= page->chunks[place];
    pool->objects--;
    page->chunks[place] = 0;
    page->desc.used_count--;
    regroup(pool, page);
}

void chunked_page_shift_locked(struct chunked_pool *pool, struct chunked_page *page, unsigned start)
{
    if (start == 0) {
        checked(page->chunks[PLACE_FIRST] == 0);
        page->chunks[PLACE_FIRST] = page->chunks[PLACE_MIDDLE];
        page->owner[PLACE_FIRST] = page->owner[PLACE_MIDDLE];
        page->chunks[PLACE_MIDDLE] = 0;
    } else {
        page->middle_start = (uint8_t)start;
    }
    regroup(pool, page);
}

void chunked_page_isolate_locked(struct chunked_pool *pool, struct chunked_page *page)
{
    checked(zpdesc_state(&page->desc) == ZPDESC_LISTED);
    unlist(pool, page);
    zpdesc_set_state(&page->desc, ZPDESC_ISOLATED);
}

void chunked_page_putback_locked(struct chunked_pool *pool, struct chunked_page *page)
{
    checked(zpdesc_state(&page->desc) == ZPDESC_ISOLATED);
    list_remove(&page->desc.list); /* The isolator may have it in a list of its own. */
    if (page->desc.used_count == 0) {
        chunked_page_destroy_locked(pool, page);
        return;
    }
    zpdesc_set_state(&page->desc, ZPDESC_LISTED);
    enlist(pool, page);
}

static struct chunked_page *first_of(struct chunked_pool *pool, unsigned group,
                                     const struct chunked_page *other)
{
    struct list *link = pool->group[group].next;
    if (other != NULL && link == &other->desc.list)
        link = link->next;
    return link != &pool->group[group] ? container_of(link, struct chunked_page, desc.list) : NULL;
}

struct chunked_page *chunked_page_for_locked(struct chunked_pool *pool, unsigned chunks,
                                             const struct chunked_page *other)
{
    uint64_t any = 0;
    for (enum page_kind kind = PAGE_PLAIN; kind < PAGE_KIND_COUNT; kind++)
        any |= pool->filled[kind];
    for (any &= UINT64_MAX << (chunks - 1); any != 0; any &= any - 1) {
        unsigned room = (unsigned)__builtin_ctzll(any) + 1;
        for (enum page_kind kind = PAGE_PLAIN; kind < PAGE_KIND_COUNT; kind++) {
            struct chunked_page *page = first_of(pool, chunked_group(kind, room), other);
            if (page != NULL)
                return page;
        }
    }
    return NULL;
}

struct chunked_page *chunked_page_roomiest_locked(struct chunked_pool *pool, enum page_kind kind)
{
    if (pool->filled[kind] == 0)
        return NULL;
    unsigned room = 64 - (unsigned)__builtin_clzll(pool->filled[kind]);
    return first_of(pool, chunked_group(kind, room), NULL);
}

struct chunked_page *chunked_page_of(const struct chunked_pool *pool, pfn page)
{
    struct mem_desc desc = pages_desc(&pool->pool.map, page);
    return mem_desc_type(desc) == pool->type ? mem_desc_pointer(desc) : NULL;
}

enum place chunked_page_place(const struct chunked_page *page, struct zpool_handle object)
{
    for (enum place place = PLACE_FIRST; place < PLACE_COUNT; place++)
        if (page->chunks[place] != 0 &&
            chunked_page_handle(page, place).position == object.position)
            return place;
    return PLACE_COUNT;
}
