/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * validate.c: proves the invariants I1 to I5 of zsmalloc.h, and that each mem_desc word and its
 * zspage agree, over everything the pool has. Nothing else may run.
 *
 *      class lists ──▶ zspages ──▶ used places ──▶ owner fields ──▶ slots (by try_lock)
 *      all words   ──▶ zspages                      (finds zspages that are in no list)
 */
#include "zpool/zsmalloc/zsmalloc.h"

struct walk {
    struct zs_pool *pool;
    struct report *report;
};

static void check_owner(struct walk *walk, const struct zs_class *class,
                        const struct zspage *zspage, unsigned place)
{
    const struct zpool *pool = &walk->pool->pool;
    struct zpool_handle object = zspage_handle(class, zspage, place);
    block_no owner =
        atomic_load_explicit(zs_owner_field(walk->pool, class, object), memory_order_relaxed);
    if (pool->owner->try_lock(pool->owner_context, owner, object))
        pool->owner->unlock(pool->owner_context, owner);
    else
        report_fault(
            walk->report,
            "object at position %llu (class %u, pfn %u, place %u) says it belongs to block %u, "
            "whose slot names another place",
            (unsigned long long)object.position, class->size_bytes, zpdesc_first(&zspage->desc),
            place, owner);
}

static void check_zspage(struct walk *walk, const struct zs_class *class,
                         const struct zspage *zspage)
{
    pfn first = zpdesc_first(&zspage->desc);
    unsigned used = bitmap_count(zspage->used, ZSPAGE_USED_WORDS);
    if (used != zspage->desc.used_count)
        report_fault(walk->report, "zspage at pfn %u: used_count is %u, expected %u bits", first,
                     zspage->desc.used_count, used);
    if (zspage->desc.group != zs_fullness_group(used, class->objects))
        report_fault(walk->report, "zspage at pfn %u: is in group %u, expected %u", first,
                     zspage->desc.group, zs_fullness_group(used, class->objects));
    if (zspage->desc.count != class->pages)
        report_fault(walk->report, "zspage at pfn %u: has %u pages, expected %u", first,
                     zspage->desc.count, class->pages);
    unsigned beyond = bitmap_next_set(zspage->used, ZSPAGE_USED_WORDS, class->objects);
    uint64_t pool_pages = walk->pool->pool.map.page_count;
    if (beyond < ZS_OBJECTS_MAX)
        report_fault(walk->report, "zspage at pfn %u: place %u is used, expected below %u", first,
                     beyond, class->objects);
    if ((uint64_t)first + class->pages > pool_pages)
        report_fault(walk->report, "zspage at pfn %u: expected below %llu", first,
                     (unsigned long long)pool_pages);
    if (beyond < ZS_OBJECTS_MAX || (uint64_t)first + class->pages > pool_pages)
        return; /* What follows looks at its pages. */
    page_mask needed = zspage_used_pages(class, zspage);
    if (needed & ~zspage->desc.resident)
        report_fault(walk->report,
                     "zspage at pfn %u: objects on pages %#x, but resident are only %#x", first,
                     needed, zspage->desc.resident);
    for (unsigned place = 0; place < class->objects; place++)
        if (bitmap_test(zspage->used, place))
            check_owner(walk, class, zspage, place);
    for (unsigned page = 0; page < class->pages; page++) {
        struct mem_desc desc = pages_desc(&walk->pool->pool.map, first + page);
        if (mem_desc_type(desc) != MEM_DESC_ZSMALLOC || mem_desc_pointer(desc) != zspage)
            report_fault(walk->report, "pfn %u: its mem_desc says %s %p, expected zsmalloc %p",
                         first + page, mem_desc_type_name(mem_desc_type(desc)),
                         mem_desc_pointer(desc), (const void *)zspage);
    }
}

static void check_class(struct walk *walk, const struct zs_class *class, uint64_t *zspages)
{
    uint64_t used = 0;
    for (unsigned group = 0; group < ZS_GROUP_COUNT; group++) {
        uint64_t listed = 0;
        const struct list *before = &class->group[group];
        list_for_each (link, &class->group[group]) {
            const struct zspage *zspage = container_of(link, struct zspage, desc.list);
            if (!descriptors_has(&walk->pool->zspages, zspage) || link->previous != before) {
                report_fault(walk->report,
                             "class %u: the list of group %u leads to %p, expected a zspage that "
                             "links back",
                             class->size_bytes, group, (const void *)zspage);
                break;
            }
            before = link;
            listed++;
            used += zspage->desc.used_count;
            if (zpdesc_state(&zspage->desc) != ZPDESC_LISTED)
                report_fault(walk->report, "zspage at pfn %u: is in a list, but its state is %d",
                             zpdesc_first(&zspage->desc), (int)zpdesc_state(&zspage->desc));
            if (zspage->desc.group != group || zpdesc_class(&zspage->desc) != class->index)
                report_fault(walk->report,
                             "zspage at pfn %u: says class %u group %u, is in class %u group %u",
                             zpdesc_first(&zspage->desc), zpdesc_class(&zspage->desc),
                             zspage->desc.group, class->index, group);
            check_zspage(walk, class, zspage);
        }
        if (listed != class->zspages[group])
            report_fault(walk->report, "class %u: %llu zspages in group %u, counted %llu",
                         class->size_bytes, (unsigned long long)listed, group,
                         (unsigned long long)class->zspages[group]);
        if ((listed > 0) != (class->filled >> group & 1))
            report_fault(walk->report, "class %u: the bit of group %u says %u, it has %llu zspages",
                         class->size_bytes, group, class->filled >> group & 1u,
                         (unsigned long long)listed);
        *zspages += listed;
    }
    if (used != class->objects_used)
        report_fault(walk->report, "class %u: objects_used is %llu, its zspages have %llu",
                     class->size_bytes, (unsigned long long)class->objects_used,
                     (unsigned long long)used);
}

/* Every word that says zsmalloc names a zspage that says this page is its own. */
static uint64_t check_words(struct walk *walk)
{
    struct pages_account account;
    pages_account(walk->pool->pool.pages, &account);
    uint64_t end = (account.arenas_active + account.arenas_retired) * ARENA_PAGES;
    uint64_t heads = 0;
    for (uint64_t page = 0; page < end; page++) {
        const struct zspage *zspage = zspage_of_page(walk->pool, (pfn)page);
        if (zspage == NULL)
            continue;
        if (!descriptors_has(&walk->pool->zspages, zspage)) {
            report_fault(walk->report,
                         "pfn %llu: its mem_desc says zsmalloc %p, which is no zspage",
                         (unsigned long long)page, (const void *)zspage);
            continue;
        }
        uint64_t first = zpdesc_first(&zspage->desc);
        if (page < first || page >= first + zspage->desc.count)
            report_fault(walk->report, "pfn %llu: its zspage says pfn %llu to %llu",
                         (unsigned long long)page, (unsigned long long)first,
                         (unsigned long long)(first + zspage->desc.count - 1));
        heads += page == first;
    }
    return heads;
}

void zs_validate(struct zpool *base, struct report *report)
{
    struct walk walk = {.pool = zs_pool_of(base), .report = report};
    uint64_t zspages = 0;
    for (unsigned i = 0; i < zs_class_count(walk.pool); i++)
        check_class(&walk, &walk.pool->class[i], &zspages);
    descriptors_validate(&walk.pool->zspages, report);
    uint64_t described = check_words(&walk);
    if (described != zspages || described != walk.pool->zspages.used_count)
        report_fault(
            walk.report,
            "%llu zspages are in lists, %llu are described by words, %llu descriptors are used",
            (unsigned long long)zspages, (unsigned long long)described,
            (unsigned long long)walk.pool->zspages.used_count);
}
