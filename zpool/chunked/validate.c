/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * validate.c: proves the invariants I1 to I4 of chunked.h, and that each mem_desc word and its page
 * agree, over everything the pool has. Nothing else may run.
 */
#include "zpool/chunked/chunked.h"

struct sums {
    uint64_t pages, objects, chunks;
};

static void check_place(struct chunked_pool *pool, const struct chunked_page *page,
                        enum place place, struct report *report)
{
    const struct zpool_owner *owner = pool->pool.owner;
    struct zpool_handle object = chunked_page_handle(page, place);
    if (owner->try_lock(pool->pool.owner_context, page->owner[place], object))
        owner->unlock(pool->pool.owner_context, page->owner[place]);
    else
        report_fault(report,
                     "object at position %llu (pfn %u, place %d) belongs to block %u, whose slot "
                     "names another place",
                     (unsigned long long)object.position, zpdesc_first(&page->desc), (int)place,
                     page->owner[place]);
}

static void check_page(struct chunked_pool *pool, const struct chunked_page *page,
                       struct sums *sums, struct report *report)
{
    pfn number = zpdesc_first(&page->desc);
    unsigned used = 0, end = 0;
    if (number >= pool->pool.map.page_count) {
        report_fault(report, "pfn %u: expected below %llu", number,
                     (unsigned long long)pool->pool.map.page_count);
        return;
    }
    for (enum place place = PLACE_FIRST; place < PLACE_COUNT; place++) {
        unsigned chunks = page->chunks[place];
        if (chunks == 0)
            continue;
        unsigned start = chunked_page_start(page, place);
        if (start < end || start + chunks > PAGE_CHUNKS)
            report_fault(report, "pfn %u: place %d has chunks %u to %u, expected %u to %u", number,
                         (int)place, start, start + chunks, end, PAGE_CHUNKS);
        if (place == PLACE_MIDDLE && !pool->has_middle)
            report_fault(report, "pfn %u: has a middle object in a pool without them", number);
        end = start + chunks;
        used++;
        sums->chunks += chunks;
        check_place(pool, page, place, report);
    }
    sums->objects += used;
    if (used != page->desc.used_count)
        report_fault(report, "pfn %u: used_count is %u, expected %u", number, page->desc.used_count,
                     used);
    if (page->desc.group != chunked_page_group(pool, page))
        report_fault(report, "pfn %u: is in group %u, expected %u", number, page->desc.group,
                     chunked_page_group(pool, page));
    struct mem_desc desc = pages_desc(&pool->pool.map, number);
    if (mem_desc_type(desc) != pool->type || mem_desc_pointer(desc) != page)
        report_fault(report, "pfn %u: its mem_desc says %s %p, expected %s %p", number,
                     mem_desc_type_name(mem_desc_type(desc)), mem_desc_pointer(desc),
                     mem_desc_type_name(pool->type), (const void *)page);
}

static void check_group(struct chunked_pool *pool, unsigned group, struct sums *sums,
                        struct report *report)
{
    uint64_t listed = 0;
    const struct list *before = &pool->group[group];
    list_for_each (link, &pool->group[group]) {
        const struct chunked_page *page = container_of(link, struct chunked_page, desc.list);
        if (!descriptors_has(&pool->descriptors, page) || link->previous != before) {
            report_fault(report,
                         "the list of group %u leads to %p, expected a page that links back", group,
                         (const void *)page);
            break;
        }
        before = link;
        listed++;
        if (zpdesc_state(&page->desc) != ZPDESC_LISTED || page->desc.group != group)
            report_fault(report, "pfn %u: says state %d, group %u; is in the list of group %u",
                         zpdesc_first(&page->desc), (int)zpdesc_state(&page->desc),
                         page->desc.group, group);
        check_page(pool, page, sums, report);
    }
    if (listed != pool->pages[group])
        report_fault(report, "group %u: %llu pages in the list, counted %llu", group,
                     (unsigned long long)listed, (unsigned long long)pool->pages[group]);
    unsigned room = group % ROOM_COUNT;
    if (room > 0 && (listed > 0) != (pool->filled[group / ROOM_COUNT] >> (room - 1) & 1))
        report_fault(report, "group %u: its bit is wrong, it has %llu pages", group,
                     (unsigned long long)listed);
    sums->pages += listed;
}

/* How many words say that they are this pool's; each must be its descriptor's own page. */
static uint64_t count_words(struct chunked_pool *pool, struct report *report)
{
    struct pages_account account;
    pages_account(pool->pool.pages, &account);
    uint64_t end = (account.arenas_active + account.arenas_retired) * ARENA_PAGES, words = 0;
    for (uint64_t number = 0; number < end; number++) {
        const struct chunked_page *page = chunked_page_of(pool, (pfn)number);
        if (page == NULL)
            continue;
        if (!descriptors_has(&pool->descriptors, page)) {
            report_fault(report, "pfn %llu: its mem_desc says %s %p, which is no descriptor",
                         (unsigned long long)number, mem_desc_type_name(pool->type),
                         (const void *)page);
            continue;
        }
        words++;
        if (zpdesc_first(&page->desc) != number)
            report_fault(report, "pfn %llu: its descriptor says pfn %u", (unsigned long long)number,
                         zpdesc_first(&page->desc));
    }
    return words;
}

void chunked_validate(struct zpool *base, struct report *report)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    struct sums sums = {0};
    for (unsigned group = 0; group < GROUP_COUNT; group++)
        check_group(pool, group, &sums, report);
    if (sums.objects != pool->objects || sums.chunks != pool->chunks)
        report_fault(report, "counted %llu objects of %llu chunks, expected %llu of %llu",
                     (unsigned long long)pool->objects, (unsigned long long)pool->chunks,
                     (unsigned long long)sums.objects, (unsigned long long)sums.chunks);
    descriptors_validate(&pool->descriptors, report);
    uint64_t words = count_words(pool, report);
    if (words != sums.pages || words != pool->descriptors.used_count)
        report_fault(report,
                     "%llu pages are in lists, %llu described by words, %llu descriptors are used",
                     (unsigned long long)sums.pages, (unsigned long long)words,
                     (unsigned long long)pool->descriptors.used_count);
}
