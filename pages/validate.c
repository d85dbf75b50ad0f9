/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * validate.c: the page source against itself: bits, counts, lists, words.
 */
#include "pages/pages_internal.h"

static bool is_listed(struct pages *pages, const struct arena *arena)
{
    unsigned full = pages_fullness(arena);
    list_for_each (link, &pages->by_fullness[arena->mobility][arena->longest_run][full])
        if (container_of(link, struct arena, by_fullness) == arena)
            return pages->filled[arena->mobility][arena->longest_run] >> full & 1;
    return false;
}

/* A word that the page source wrote says that type, and nothing besides. */
static void check_plain(pfn page, struct mem_desc desc, enum mem_desc_type expected,
                        const char *what, struct report *report)
{
    if (desc.word != mem_desc_plain(expected).word)
        report_fault(report, "pfn %u is %s but its mem_desc says %s (%#llx), expected %s", page,
                     what, mem_desc_type_name(mem_desc_type(desc)), (unsigned long long)desc.word,
                     mem_desc_type_name(expected));
}

static void check_words(struct pages *pages, const struct arena *arena, struct report *report)
{
    pfn first = arena_first_page(pages, arena);
    for (unsigned page = 0; page < ARENA_PAGES; page++) {
        struct mem_desc desc = pages_desc(&pages->map, first + page);
        enum mem_desc_type type = mem_desc_type(desc);
        if (page < arena->guarded)
            check_plain(first + page, desc, MEM_DESC_GUARD, "a guard", report);
        else if (bitmap_test(arena->resident, page))
            check_plain(first + page, desc, MEM_DESC_FREE, "free", report);
        else if (bitmap_test(arena->free, page))
            check_plain(first + page, desc, MEM_DESC_OFFLINE, "free", report);
        else if (type <= MEM_DESC_OFFLINE || type == MEM_DESC_GUARD || type >= MEM_DESC_TYPE_COUNT)
            report_fault(report, "pfn %u is taken but its mem_desc says %s", first + page,
                         mem_desc_type_name(type));
    }
}

/* The bits by which lists are found: each says whether its list has anything in it. */
static void check_filled(const struct pages *pages, struct report *report)
{
    for (unsigned mobility = 0; mobility < PAGE_MOBILITY_COUNT; mobility++)
        for (unsigned run = 0; run < RUN_LENGTH_COUNT; run++)
            for (unsigned full = 0; full < FULLNESS_COUNT; full++) {
                bool listed = !list_is_empty(&pages->by_fullness[mobility][run][full]);
                unsigned bit = pages->filled[mobility][run] >> full & 1;
                if (listed != bit)
                    report_fault(report,
                                 "%s arenas of longest run %u, fullness %u: their bit is %u, "
                                 "expected %u",
                                 mobility == PAGE_MOVABLE ? "movable" : "unmovable", run, full, bit,
                                 listed);
            }
}

static void check_total(struct report *report, const char *name, uint64_t counted, uint64_t sum)
{
    if (counted != sum)
        report_fault(report, "%s is %llu, expected %llu, the sum over arenas", name,
                     (unsigned long long)counted, (unsigned long long)sum);
}

/* What takers find ready: counted anew, and the list by which it is found. */
static void check_ready(const struct pages *pages, const struct arena *arena, struct report *report)
{
    bool is_kept =
        pages->keeps_ready && arena->state == ARENA_ACTIVE && arena->mobility == PAGE_MOVABLE;
    unsigned ready = is_kept ? arena_resident_in_runs(arena, READY_RUN) : 0;
    bool is_listed = false;
    list_for_each (link, &pages->warm[ready > 0 ? WARM_RUNS : WARM_SINGLES])
        is_listed |= container_of(link, struct arena, warm) == arena;
    if (arena->ready_count != ready)
        report_fault(report, "arena %llu: ready_count is %u, expected %u",
                     (unsigned long long)arena_index(pages, arena), arena->ready_count, ready);
    if (is_listed != (arena->resident_count > 0))
        report_fault(report, "arena %llu: %s its list of warm arenas, with %u resident pages",
                     (unsigned long long)arena_index(pages, arena), is_listed ? "in" : "not in",
                     arena->resident_count);
}

void pages_validate(struct pages *pages, struct report *report)
{
    uint64_t active = 0, retired = 0, free_resident = 0, owned = 0, ready = 0;

    for (uint64_t i = 0; i < pages->arenas_known; i++) {
        const struct arena *arena = &pages->arenas[i];
        if (arena->state == ARENA_INACTIVE) {
            retired++;
            continue;
        }
        active++;
        free_resident += arena->resident_count;
        ready += arena->ready_count;
        check_ready(pages, arena, report);
        owned += ARENA_PAGES - arena->guarded - arena->free_count;
        const char *wrong = arena_validate(arena);
        if (wrong != NULL)
            report_fault(report, "arena %llu: %s", (unsigned long long)i, wrong);
        if (arena->state == ARENA_ACTIVE && !is_listed(pages, arena))
            report_fault(report, "arena %llu: not in the list of longest run %u, fullness %u",
                         (unsigned long long)i, arena->longest_run, pages_fullness(arena));
        check_words(pages, arena, report);
    }
    check_filled(pages, report);
    check_total(report, "arenas_active", pages->arenas_active, active);
    check_total(report, "arenas_retired", pages->arenas_retired, retired);
    check_total(report, "owned_total", pages->owned_total, owned);
    check_total(report, "ready_in_runs", pages->ready_in_runs, ready);
    check_total(report, "free_resident", pages_free_resident(pages), free_resident);
}
