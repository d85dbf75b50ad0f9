/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zspage.c: one zspage: its places, its pages, its group. Drawing and invariants: zsmalloc.h.
 */
#include <errno.h>
#include <string.h>

#include "common/steps.h"
#include "zpool/zsmalloc/zsmalloc.h"

static void unlist(struct zs_class *class, struct zspage *zspage)
{
    list_remove(&zspage->desc.list);
    if (list_is_empty(&class->group[zspage->desc.group]))
        class->filled &= (uint16_t) ~(1u << zspage->desc.group);
}

static void enlist(struct zs_class *class, struct zspage *zspage)
{
    list_add(&class->group[zspage->desc.group], &zspage->desc.list);
    class->filled |= (uint16_t)(1u << zspage->desc.group);
}

/* After used_count has changed: the group, its count, and the list if it is listed. */
static void regroup(struct zs_class *class, struct zspage *zspage)
{
    unsigned group = zs_fullness_group(zspage->desc.used_count, class->objects);
    if (likely(group == zspage->desc.group))
        return;
    bool listed = zpdesc_state(&zspage->desc) == ZPDESC_LISTED;
    if (listed)
        unlist(class, zspage);
    zs_count(class->zspages[zspage->desc.group]--);
    zs_count(class->zspages[group]++);
    zspage->desc.group = (uint8_t)group;
    if (listed)
        enlist(class, zspage);
}

struct zspage *zspage_create_locked(struct zs_pool *pool, struct zs_class *class, int *error)
{
    struct zspage *zspage = descriptors_alloc(&pool->zspages);
    if (zspage == NULL) {
        *error = -ENOSPC;
        return NULL;
    }
    struct page_run run;
    struct mem_desc desc;
    *error = pages_alloc(pool->pool.pages, class->pages, PAGE_MOVABLE, &run);
    if (*error != 0) {
        descriptors_free(&pool->zspages, zspage);
        return NULL;
    }

    list_init(&zspage->desc.list);
    zpdesc_set_run(&zspage->desc, &run);
    atomic_store_explicit(&zspage->desc.class_index, class->index, memory_order_relaxed);
    zspage->desc.group = ZS_GROUP_EMPTY;
    zspage->desc.used_count = 0;
    memset(zspage->used, 0, sizeof zspage->used);
    zpdesc_set_state(&zspage->desc, ZPDESC_LISTED);
    zs_count(class->zspages[ZS_GROUP_EMPTY]++);
    enlist(class, zspage);

    /* The words are written last, and release what the descriptor says. */
    step("zsmalloc: zspage made, not described");
    bool packed = mem_desc_pack_pointer(MEM_DESC_ZSMALLOC, zspage, &desc);
    checked(packed);
    (void)packed;
    pages_describe(pool->pool.pages, &run, desc);
    return zspage;
}

void zspage_destroy_locked(struct zs_pool *pool, struct zs_class *class, struct zspage *zspage)
{
    checked(zspage->desc.used_count == 0);
    struct page_run run = zpdesc_run(&zspage->desc);
    if (zpdesc_state(&zspage->desc) == ZPDESC_LISTED)
        unlist(class, zspage);
    zs_count(class->zspages[ZS_GROUP_EMPTY]--);
    zpdesc_set_state(&zspage->desc, ZPDESC_FREE);
    pages_free(pool->pool.pages, &run);
    descriptors_free(&pool->zspages, zspage);
}

page_mask zspage_place_pages(const struct zs_class *class, unsigned place)
{
    unsigned start = place * class->size_bytes;
    unsigned first = start >> PAGE_SHIFT, last = (start + class->size_bytes - 1) >> PAGE_SHIFT;
    return page_run_mask(last - first + 1) << first;
}

page_mask zspage_used_pages(const struct zs_class *class, const struct zspage *zspage)
{
    page_mask pages = 0;
    unsigned place = bitmap_next_set(zspage->used, ZSPAGE_USED_WORDS, 0);
    for (; place < ZS_OBJECTS_MAX;
         place = bitmap_next_set(zspage->used, ZSPAGE_USED_WORDS, place + 1))
        pages |= zspage_place_pages(class, place);
    return pages;
}

int zspage_take_locked(struct zs_pool *pool, struct zs_class *class, struct zspage *zspage)
{
    unsigned place = bitmap_first_clear(zspage->used, ZSPAGE_USED_WORDS);
    checked(place < class->objects);

    page_mask needed = zspage_place_pages(class, place);
    if (unlikely((needed & ~zspage->desc.resident) != 0)) {
        struct page_run run = zpdesc_run(&zspage->desc);
        int error = pages_touch(pool->pool.pages, &run, needed);
        if (error != 0)
            return error;
        zspage->desc.resident = run.resident;
    }
    bitmap_set(zspage->used, place);
    zspage->desc.used_count++;
    zs_count(class->objects_used++);
    regroup(class, zspage);
    return (int)place;
}

void zspage_give_locked(struct zs_class *class, struct zspage *zspage, unsigned place)
{
    checked(bitmap_test(zspage->used, place));
    bitmap_clear(zspage->used, place);
    zspage->desc.used_count--;
    zs_count(class->objects_used--);
    regroup(class, zspage);
}

void zspage_isolate_locked(struct zs_class *class, struct zspage *zspage)
{
    checked(zpdesc_state(&zspage->desc) == ZPDESC_LISTED);
    unlist(class, zspage);
    zpdesc_set_state(&zspage->desc, ZPDESC_ISOLATED);
}

void zspage_putback_locked(struct zs_pool *pool, struct zs_class *class, struct zspage *zspage)
{
    checked(zpdesc_state(&zspage->desc) == ZPDESC_ISOLATED);
    list_remove(&zspage->desc.list); /* The isolator may have it in a list of its own. */
    if (zspage->desc.used_count == 0) {
        zspage_destroy_locked(pool, class, zspage);
        return;
    }
    zpdesc_set_state(&zspage->desc, ZPDESC_LISTED);
    enlist(class, zspage);
}

static struct zspage *first_of_group(struct zs_class *class, unsigned group)
{
    return container_of(class->group[group].next, struct zspage, desc.list);
}

/* Bits of the groups that are neither empty nor full. */
#define PARTIAL_GROUPS ((1u << ZS_GROUP_FULL) - (1u << ZS_GROUP_FIRST_PARTIAL))

struct zspage *zspage_fullest_locked(struct zs_class *class, const struct zspage *other)
{
    unsigned groups = class->filled & PARTIAL_GROUPS;
    while (groups != 0) {
        unsigned group = 31 - (unsigned)__builtin_clz(groups);
        struct zspage *zspage = first_of_group(class, group);
        if (zspage != other)
            return zspage;
        if (zspage->desc.list.next != &class->group[group])
            return container_of(zspage->desc.list.next, struct zspage, desc.list);
        groups &= ~(1u << group);
    }
    return NULL;
}

struct zspage *zspage_emptiest_locked(struct zs_class *class)
{
    unsigned groups = class->filled & PARTIAL_GROUPS;
    if (groups == 0)
        return NULL;
    return first_of_group(class, (unsigned)__builtin_ctz(groups));
}

struct zspage *zspage_of_page(const struct zs_pool *pool, pfn page)
{
    struct mem_desc desc = pages_desc(&pool->pool.map, page);
    return mem_desc_type(desc) == MEM_DESC_ZSMALLOC ? mem_desc_pointer(desc) : NULL;
}
