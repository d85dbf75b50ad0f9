/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * purge.c: making free pages resident ahead of need, and giving them back to the system.
 *
 * Both work on one arena at a time: under the lock the pages are taken (so nobody else gets them),
 * without it the system call is made, under it again they are given back, changed:
 *
 *      refill   FREE/OFFLINE ──take──▶ RESERVED ──populate──▶ FREE
 *      trim     FREE ──take──▶ RESERVED ──discard──▶ OFFLINE
 *               all of an arena ──────────────────▶ NONE, retired
 *
 * An arena whose last page is given back is retired: it leaves the lists, and the page that its
 * words are on is given back as well. Arena 0 is not, because its first word says GUARD.
 */
#include <errno.h>

#include "common/memory.h"
#include "common/steps.h"
#include "pages/pages_internal.h"

/* Runs taken at once from one arena: bounds the stack and the time that pages are out of reach. */
#define RUNS_MAX 32

/* Pages that are kept ready for descriptors, each of which describes 64 zspages. */
#define UNMOVABLE_READY 8

/* With pages_keep_ready, how many are populated at once: until all are, writers have none of them,
 * and where memory is short that takes its time. */
#define READY_BATCH 64

struct batch {
    struct arena *arena;
    unsigned count;
    uint64_t pages;
    struct page_run run[RUNS_MAX];
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Takes up to max_pages of the arena's free pages in `set`, as runs of neighbours. */
static void take_batch_locked(struct pages *pages, struct arena *arena,
                              const uint64_t set[ARENA_WORDS], uint64_t max_pages,
                              struct batch *batch)
{
    *batch = (struct batch){.arena = arena};
    unsigned page = 0;
    while (batch->count < RUNS_MAX && batch->pages < max_pages) {
        page = bitmap_next_set(set, ARENA_WORDS, page);
        if (page >= ARENA_PAGES)
            return;
        unsigned length = 1;
        while (length < PAGE_RUN_MAX && page + length < ARENA_PAGES &&
               batch->pages + length < max_pages && bitmap_test(set, page + length))
            length++;
        struct page_run *run = &batch->run[batch->count++];
        run->first = arena_first_page(pages, arena) + page;
        run->count = (uint8_t)length;
        run->resident = pages_take_locked(pages, arena, page, length);
        batch->pages += length;
        page += length;
    }
}

static void give_batch_locked(struct pages *pages, const struct batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++) {
        const struct page_run *run = &batch->run[i];
        pages_give_locked(pages, batch->arena, run->first % ARENA_PAGES, run->count, run->resident);
    }
}

/* Neighbouring runs of a batch are one system call: [*first, end) with *bytes in all. */
static unsigned neighbours(const struct batch *batch, unsigned first, size_t *bytes)
{
    unsigned end = first + 1;
    while (end < batch->count &&
           batch->run[end].first == batch->run[end - 1].first + batch->run[end - 1].count)
        end++;
    const struct page_run *last = &batch->run[end - 1];
    *bytes = (size_t)(last->first + last->count - batch->run[first].first) * PAGE_SIZE_BYTES;
    return end;
}

/* The emptiest of the first few arenas of a kind that have free resident pages outside of runs, or
 * any. */
static struct arena *emptiest_warm_locked(struct pages *pages, enum warm_kind kind, bool any)
{
    struct arena *best = NULL;
    unsigned looks = 0;
    list_for_each (link, &pages->warm[kind]) {
        struct arena *arena = container_of(link, struct arena, warm);
        bool is_for_descriptors = pages->keeps_ready && arena->mobility == PAGE_UNMOVABLE;
        if (!is_for_descriptors && (any || arena->resident_count > arena->ready_count) &&
            (best == NULL || arena->free_count > best->free_count))
            best = arena;
        if (++looks == LOOKS_MAX)
            break;
    }
    return best;
}

/*
 * Takes free resident pages to be discarded until keep_pages are left: first of arenas without
 * ready runs, then what stands alone beside runs, at last runs, but for half of keep_pages.
 */
static void take_warm_locked(struct pages *pages, uint64_t keep_pages, uint64_t max_pages,
                             struct batch *batch)
{
    uint64_t set[ARENA_WORDS], warm = pages_free_resident(pages);
    if (warm <= keep_pages)
        return;
    uint64_t want = least(warm - keep_pages, max_pages);
    struct arena *arena = emptiest_warm_locked(pages, WARM_SINGLES, true);
    if (arena != NULL) {
        take_batch_locked(pages, arena, arena->resident, want, batch);
        return;
    }
    arena = emptiest_warm_locked(pages, WARM_RUNS, false);
    if (arena != NULL) {
        arena_scattered(arena, READY_RUN, set);
        take_batch_locked(pages, arena, set, want, batch);
        return;
    }
    arena = emptiest_warm_locked(pages, WARM_RUNS, true);
    uint64_t spare =
        pages->ready_in_runs > keep_pages / 2 ? pages->ready_in_runs - keep_pages / 2 : 0;
    if (arena != NULL && spare > 0)
        take_batch_locked(pages, arena, arena->resident, least(want, spare), batch);
}

/* Takes the arena out of service if it is empty and cold. True if its words went back, too. */
static bool retire_if_empty(struct pages *pages, struct arena *arena)
{
    if (pages->keeps_ready)
        return false;
    lock_acquire(&pages->lock);
    bool retire = arena->state == ARENA_ACTIVE && arena->guarded == 0 && arena_is_empty(arena) &&
                  arena->resident_count == 0;
    if (retire) {
        pages_unlist_locked(pages, arena);
        arena->state = ARENA_INACTIVE;
        pages->arenas_active--;
    }
    lock_release(&pages->lock);
    if (!retire)
        return false;

    /* It is in no list now, so it is ours: the words become NONE as their page goes. */
    step("pages: arena unlisted");
    pfn first = arena_first_page(pages, arena);
    bool gone = memory_discard((void *)&pages->map.words[first], 4096) == 0;
    if (gone)
        budget_uncharge(pages->budget, 1);

    lock_acquire(&pages->lock);
    if (gone) {
        list_add(&pages->retired, &arena->by_fullness);
        pages->arenas_retired++;
    } else {
        /* The system keeps the words, which are as they were: so the arena stays, too. */
        arena->state = ARENA_ACTIVE;
        pages->arenas_active++;
        pages_relist_locked(pages, arena);
    }
    lock_release(&pages->lock);
    return gone;
}

/*
 * An arena that is empty and cold and still there: nothing of it was ever resident, or it was
 * isolated when its last page went.
 */
static struct arena *find_empty(struct pages *pages)
{
    struct arena *empty = NULL;
    lock_acquire(&pages->lock);
    for (unsigned mobility = 0; mobility < PAGE_MOBILITY_COUNT; mobility++)
        list_for_each (link, &pages->by_fullness[mobility][ARENA_RUN_MAX][0]) {
            struct arena *arena = container_of(link, struct arena, by_fullness);
            if (arena->guarded == 0 && arena->resident_count == 0)
                empty = arena;
        }
    lock_release(&pages->lock);
    return empty;
}

uint64_t pages_trim(struct pages *pages, uint64_t keep_pages, uint64_t max_pages)
{
    uint64_t trimmed = 0;
    while (trimmed < max_pages) {
        struct batch batch = {0};
        lock_acquire(&pages->lock);
        take_warm_locked(pages, keep_pages, max_pages - trimmed, &batch);
        lock_release(&pages->lock);
        if (batch.count == 0)
            break;

        step("pages: free pages taken to be discarded");
        uint64_t discarded = 0;
        unsigned end;
        for (unsigned i = 0; i < batch.count; i = end) {
            size_t bytes;
            end = neighbours(&batch, i, &bytes);
            if (memory_discard(pages_address(&pages->map, batch.run[i].first), bytes) != 0)
                continue;
            for (unsigned j = i; j < end; j++)
                batch.run[j].resident = 0;
            discarded += bytes / PAGE_SIZE_BYTES;
        }
        /* What take counted as owned and resident is neither any more. */
        atomic_fetch_sub_explicit(&pages->owned_resident, discarded, memory_order_relaxed);
        atomic_fetch_add_explicit(&pages->purged, discarded, memory_order_relaxed);
        budget_uncharge(pages->budget, discarded);
        trimmed += discarded;

        lock_acquire(&pages->lock);
        give_batch_locked(pages, &batch);
        lock_release(&pages->lock);
        retire_if_empty(pages, batch.arena);
        if (discarded == 0)
            break; /* The system refuses; asking again would not end. */
    }
    struct arena *empty;
    while ((empty = find_empty(pages)) != NULL && retire_if_empty(pages, empty)) {
    }
    return trimmed;
}

static bool has_cold(const struct arena *arena, unsigned count, uint64_t set[ARENA_WORDS])
{
    arena_cold(arena, count, set);
    return bitmap_next_set(set, ARENA_WORDS, 0) < ARENA_PAGES;
}

/*
 * An arena that has cold free pages, in runs of `count` free pages or more: the fullest, among
 * those with the longest runs, if one of the first few will do; else one that is all but empty, or
 * a new one. `set` says which pages they are.
 */
static struct arena *next_cold_locked(struct pages *pages, unsigned count,
                                      uint64_t set[ARENA_WORDS])
{
    unsigned looks = 0;
    for (unsigned run = RUN_LENGTH_COUNT - 1; run >= count; run--)
        for (unsigned full = FULLNESS_COUNT; full-- > 0;)
            list_for_each (link, &pages->by_fullness[PAGE_MOVABLE][run][full]) {
                struct arena *arena = container_of(link, struct arena, by_fullness);
                if (has_cold(arena, count, set))
                    return arena;
                if (++looks == LOOKS_MAX)
                    goto none;
            }
none:
    for (unsigned full = 0; full < 2; full++) {
        struct list *list = &pages->by_fullness[PAGE_MOVABLE][RUN_LENGTH_COUNT - 1][full];
        struct arena *arena = container_of(list->next, struct arena, by_fullness);
        if (!list_is_empty(list) && has_cold(arena, count, set))
            return arena;
    }
    int error;
    struct arena *arena = pages_activate_locked(pages, PAGE_MOVABLE, &error);
    return arena != NULL && has_cold(arena, count, set) ? arena : NULL;
}

/* For descriptors: the arena that the next page comes from, if too few of its pages are ready. */
static struct arena *next_unmovable_locked(struct pages *pages)
{
    int error;
    struct arena *arena = pages_fullest_with_run_locked(pages, 1, PAGE_UNMOVABLE);
    if (arena == NULL)
        arena = pages_activate_locked(pages, PAGE_UNMOVABLE, &error);
    return arena != NULL && arena->resident_count < UNMOVABLE_READY / 2 ? arena : NULL;
}

/* Makes the words and the bookkeeping of the next new arena resident, before they are needed. */
static void prepare_next_arena(struct pages *pages)
{
    lock_acquire(&pages->lock);
    uint64_t next = pages->arenas_known;
    lock_release(&pages->lock);
    if (next < pages->arenas_with_words || next >= pages->arena_count)
        return;
    uintptr_t first = (uintptr_t)&pages->arenas[next] & ~(uintptr_t)(PAGE_SIZE_BYTES - 1);
    uintptr_t end = (uintptr_t)&pages->arenas[next + 1];
    if (memory_populate((void *)&pages->map.words[next << ARENA_SHIFT], PAGE_SIZE_BYTES) == 0 &&
        memory_populate((void *)first,
                        (end - first + PAGE_SIZE_BYTES - 1) & ~(PAGE_SIZE_BYTES - 1)) == 0)
        pages->arenas_with_words = next + 1;
}

/* Makes the pages of a batch resident, and gives them back. Returns how many are. */
static uint64_t populate_batch(struct pages *pages, struct batch *batch)
{
    step("pages: free pages taken to be populated");
    uint64_t populated = 0;
    unsigned end;
    for (unsigned i = 0; i < batch->count; i = end) {
        size_t bytes;
        end = neighbours(batch, i, &bytes);
        uint64_t count = bytes / PAGE_SIZE_BYTES;
        if (budget_charge(pages->budget, count) != 0)
            continue;
        if (memory_populate(pages_address(&pages->map, batch->run[i].first), bytes) != 0) {
            /* Some of it may have become resident: make sure that none is. */
            if (memory_discard(pages_address(&pages->map, batch->run[i].first), bytes) == 0)
                budget_uncharge(pages->budget, count);
            continue;
        }
        for (unsigned j = i; j < end; j++)
            batch->run[j].resident = page_run_mask(batch->run[j].count);
        populated += count;
    }
    atomic_fetch_add_explicit(&pages->owned_resident, populated, memory_order_relaxed);
    atomic_fetch_add_explicit(&pages->refilled, populated, memory_order_relaxed);

    lock_acquire(&pages->lock);
    give_batch_locked(pages, batch);
    lock_release(&pages->lock);
    return populated;
}

static void refill_unmovable(struct pages *pages)
{
    struct batch batch = {0};
    lock_acquire(&pages->lock);
    struct arena *arena = next_unmovable_locked(pages);
    if (arena != NULL) {
        uint64_t set[ARENA_WORDS];
        arena_cold(arena, 1, set);
        take_batch_locked(pages, arena, set, UNMOVABLE_READY, &batch);
    }
    lock_release(&pages->lock);
    if (batch.count > 0)
        populate_batch(pages, &batch);
}

/*
 * Takes pages to be made resident. First half of the target in runs, if runs are kept ready: what
 * is free and resident may all be single pages between others. Then what is missing at all.
 */
static void take_cold_locked(struct pages *pages, uint64_t target_pages, uint64_t max_pages,
                             struct batch *batch)
{
    uint64_t set[ARENA_WORDS], warm = pages_free_resident(pages);
    uint64_t missing = warm < target_pages ? target_pages - warm : 0, in_runs = 0;
    if (pages->keeps_ready && pages->ready_in_runs < target_pages / 2)
        in_runs = (target_pages / 2 - pages->ready_in_runs + READY_RUN - 1) / READY_RUN * READY_RUN;
    if (pages->keeps_ready)
        max_pages = least(max_pages, READY_BATCH);

    struct arena *arena = NULL;
    if (in_runs > 0)
        arena = next_cold_locked(pages, READY_RUN, set);
    pages->lacks_runs = in_runs > 0 && arena == NULL;
    if (arena == NULL && missing > 0)
        arena = next_cold_locked(pages, 1, set);
    if (arena != NULL)
        take_batch_locked(pages, arena, set,
                          least(missing > in_runs ? missing : in_runs, max_pages), batch);
}

uint64_t pages_refill(struct pages *pages, uint64_t target_pages, uint64_t max_pages)
{
    uint64_t refilled = 0;
    atomic_store_explicit(&pages->low_pages, target_pages / 2, memory_order_relaxed);
    if (pages->keeps_ready) {
        prepare_next_arena(pages);
        refill_unmovable(pages);
    }
    while (refilled < max_pages) {
        struct batch batch = {0};
        if (pages->keeps_ready)
            prepare_next_arena(pages);
        lock_acquire(&pages->lock);
        take_cold_locked(pages, target_pages, max_pages - refilled, &batch);
        lock_release(&pages->lock);
        if (batch.count == 0)
            break;
        uint64_t populated = populate_batch(pages, &batch);
        refilled += populated;
        if (populated < batch.pages)
            break; /* No budget or no memory: the next wake-up tries again. */
    }
    return refilled;
}
