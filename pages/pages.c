/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages.c: making the page source, taking and giving runs. Drawing: pages.h, pages_internal.h.
 */
#include "pages/pages.h"

#include <errno.h>

#include "common/memory.h"
#include "pages/pages_internal.h"

static_assert(ARENA_PAGES * sizeof(struct mem_desc) == 4096,
              "an arena's words are one page, so that they come and go with it");

void pages_set_words_locked(struct pages *pages, pfn first, unsigned count, struct mem_desc desc)
{
    for (unsigned i = 0; i < count; i++)
        atomic_store_explicit(&pages->map.words[first + i], desc.word, memory_order_release);
}

void pages_unlist_locked(struct pages *pages, struct arena *arena)
{
    if (arena->state != ARENA_ACTIVE)
        return;
    unsigned run = arena->longest_run, full = pages_fullness(arena);
    list_remove(&arena->by_fullness);
    if (list_is_empty(&pages->by_fullness[arena->mobility][run][full]))
        pages->filled[arena->mobility][run] &= (uint16_t) ~(1u << full);
}

static bool is_for_takers(const struct arena *arena)
{
    return arena->state == ARENA_ACTIVE && arena->mobility == PAGE_MOVABLE;
}

/* Puts the arena into the warm list where it belongs, if into any. */
static void rewarm_locked(struct pages *pages, struct arena *arena)
{
    unsigned ready =
        pages->keeps_ready && is_for_takers(arena) ? arena_resident_in_runs(arena, READY_RUN) : 0;
    if (arena->resident_count == 0 || (ready > 0) != (arena->ready_count > 0))
        list_remove(&arena->warm);
    if (arena->resident_count > 0 && list_is_empty(&arena->warm))
        list_add(&pages->warm[ready > 0 ? WARM_RUNS : WARM_SINGLES], &arena->warm);
    pages->ready_in_runs += ready;
    pages->ready_in_runs -= arena->ready_count;
    arena->ready_count = (uint16_t)ready;
}

void pages_relist_locked(struct pages *pages, struct arena *arena)
{
    rewarm_locked(pages, arena);
    if (arena->state != ARENA_ACTIVE)
        return;
    unsigned run = arena->longest_run, full = pages_fullness(arena);
    list_add(&pages->by_fullness[arena->mobility][run][full], &arena->by_fullness);
    pages->filled[arena->mobility][run] |= (uint16_t)(1u << full);
}

page_mask pages_take_locked(struct pages *pages, struct arena *arena, unsigned first,
                            unsigned count)
{
    pages_unlist_locked(pages, arena);
    page_mask resident = arena_take(arena, first, count);
    pages_relist_locked(pages, arena);

    pages_set_words_locked(pages, arena_first_page(pages, arena) + first, count,
                           mem_desc_plain(MEM_DESC_RESERVED));
    unsigned warm = (unsigned)__builtin_popcount(resident);
    atomic_fetch_sub_explicit(&pages->free_resident, warm, memory_order_relaxed);
    atomic_fetch_add_explicit(&pages->owned_resident, warm, memory_order_relaxed);
    pages->owned_total += count;
    return resident;
}

void pages_give_locked(struct pages *pages, struct arena *arena, unsigned first, unsigned count,
                       page_mask resident)
{
    pfn page = arena_first_page(pages, arena) + first;
    for (unsigned i = 0; i < count; i++)
        pages_set_words_locked(
            pages, page + i, 1,
            mem_desc_plain(resident >> i & 1 ? MEM_DESC_FREE : MEM_DESC_OFFLINE));

    pages_unlist_locked(pages, arena);
    arena_give(arena, first, count, resident);
    pages_relist_locked(pages, arena);

    unsigned warm = (unsigned)__builtin_popcount(resident);
    atomic_fetch_sub_explicit(&pages->owned_resident, warm, memory_order_relaxed);
    atomic_fetch_add_explicit(&pages->free_resident, warm, memory_order_relaxed);
    pages->owned_total -= count;
}

struct arena *pages_activate_locked(struct pages *pages, enum page_mobility mobility, int *error)
{
    struct arena *arena = NULL;
    uint64_t new_bookkeeping = 0;

    if (!list_is_empty(&pages->retired)) {
        arena = container_of(pages->retired.next, struct arena, by_fullness);
    } else if (pages->arenas_known < pages->arena_count) {
        arena = &pages->arenas[pages->arenas_known];
        uint64_t bytes = (pages->arenas_known + 1) * sizeof *arena;
        new_bookkeeping = (bytes + 4095) / 4096 - pages->bookkeeping_pages;
    } else {
        *error = -ENOSPC;
        return NULL;
    }

    /* One page of words, and what struct arena itself adds. */
    *error = budget_charge(pages->budget, 1 + new_bookkeeping);
    if (*error != 0)
        return NULL;

    if (arena_index(pages, arena) == pages->arenas_known) {
        pages->arenas_known++;
        pages->bookkeeping_pages += new_bookkeeping;
    } else {
        list_remove(&arena->by_fullness);
        pages->arenas_retired--;
    }
    unsigned guarded = arena == pages->arenas ? GUARD_PAGES : 0;
    arena_init(arena, guarded);
    arena->state = ARENA_ACTIVE;
    arena->mobility = (uint8_t)mobility;
    pfn first = arena_first_page(pages, arena);
    pages_set_words_locked(pages, first, guarded, mem_desc_plain(MEM_DESC_GUARD));
    pages_set_words_locked(pages, first + guarded, ARENA_PAGES - guarded,
                           mem_desc_plain(MEM_DESC_OFFLINE));
    pages_relist_locked(pages, arena);
    pages->arenas_active++;
    return arena;
}

int pages_create(uint64_t page_count_max, struct budget *budget, struct pages **result)
{
    *result = NULL;
    if (page_count_max == 0 || page_count_max > PAGE_COUNT_MAX)
        return -EINVAL;

    struct pages *pages = memory_zalloc(sizeof *pages);
    if (pages == NULL)
        return -ENOMEM;
    pages->arena_count = (page_count_max + ARENA_PAGES - 1) / ARENA_PAGES;
    pages->map.page_count = pages->arena_count * ARENA_PAGES;
    pages->budget = budget;
    lock_init(&pages->lock, LOCK_RANK_PAGES);
    for (unsigned kind = 0; kind < WARM_KINDS; kind++)
        list_init(&pages->warm[kind]);
    list_init(&pages->retired);
    for (unsigned mobility = 0; mobility < PAGE_MOBILITY_COUNT; mobility++)
        for (unsigned run = 0; run < RUN_LENGTH_COUNT; run++)
            for (unsigned full = 0; full < FULLNESS_COUNT; full++)
                list_init(&pages->by_fullness[mobility][run][full]);

    pages->map.base = memory_reserve(pages->map.page_count * PAGE_SIZE_BYTES, ARENA_SIZE_BYTES);
    pages->map.words = memory_reserve(pages->map.page_count * sizeof(struct mem_desc), 4096);
    pages->arenas = memory_reserve(pages->arena_count * sizeof *pages->arenas, 4096);
    if (pages->map.base == NULL || pages->map.words == NULL || pages->arenas == NULL) {
        pages_destroy(pages);
        return -ENOMEM;
    }
    *result = pages;
    return 0;
}

void pages_destroy(struct pages *pages)
{
    if (pages == NULL)
        return;
    budget_uncharge(pages->budget, pages->arenas_active + pages->bookkeeping_pages +
                                       atomic_load(&pages->free_resident) +
                                       atomic_load(&pages->owned_resident));
    memory_release(pages->arenas, pages->arena_count * sizeof *pages->arenas);
    memory_release(pages->map.words, pages->map.page_count * sizeof(struct mem_desc));
    memory_release(pages->map.base, pages->map.page_count * PAGE_SIZE_BYTES);
    memory_free(pages);
}

const struct page_map *pages_map(const struct pages *pages)
{
    return &pages->map;
}

struct arena *pages_fullest_with_run_locked(struct pages *pages, unsigned count,
                                            enum page_mobility mobility)
{
    unsigned any = 0;
    for (unsigned run = count; run < RUN_LENGTH_COUNT; run++)
        any |= pages->filled[mobility][run];
    if (any == 0)
        return NULL;
    unsigned full = 31 - (unsigned)__builtin_clz(any);
    unsigned run = count;
    while (!(pages->filled[mobility][run] >> full & 1))
        run++;
    return container_of(pages->by_fullness[mobility][run][full].next, struct arena, by_fullness);
}

/*
 * An arena that has a run of `count` resident pages: for short ones, one that has no long ones, if
 * one of the first few of those will do.
 */
static struct arena *ready_with_run_locked(struct pages *pages, unsigned count)
{
    for (unsigned kind = count < READY_RUN ? WARM_SINGLES : WARM_RUNS; kind < WARM_KINDS; kind++) {
        unsigned looks = 0;
        list_for_each (link, &pages->warm[kind]) {
            struct arena *arena = container_of(link, struct arena, warm);
            if (is_for_takers(arena) && arena_has_resident_run(arena, count))
                return arena;
            if (++looks == LOOKS_MAX)
                break;
        }
    }
    return NULL;
}

/* The arena to take a run from; NULL with *error set if there is none. */
static struct arena *arena_for_run_locked(struct pages *pages, unsigned count,
                                          enum page_mobility mobility, int *error)
{
    struct arena *arena = NULL;
    if (pages->keeps_ready && mobility == PAGE_MOVABLE)
        arena = ready_with_run_locked(pages, count);
    if (arena == NULL)
        arena = pages_fullest_with_run_locked(pages, count, mobility);
    if (arena == NULL)
        arena = pages_activate_locked(pages, mobility, error);
    return arena;
}

/* Whether less than half of what is to be ready is left, in runs, if there are any, or at all. */
static bool is_low_locked(const struct pages *pages)
{
    uint64_t low = atomic_load_explicit(&pages->low_pages, memory_order_relaxed);
    return pages->keeps_ready && (pages_free_resident(pages) < low ||
                                  (!pages->lacks_runs && pages->ready_in_runs < low / 2));
}

void pages_keep_ready(struct pages *pages, void (*low)(void *context), void *context)
{
    pages->keeps_ready = true;
    pages->low = low;
    pages->low_context = context;
}

int pages_alloc(struct pages *pages, unsigned count, enum page_mobility mobility,
                struct page_run *run)
{
    *run = (struct page_run){0};
    checked(count >= 1 && count <= PAGE_RUN_MAX);
    if (memory_request_fails())
        return -ENOMEM;

    int error = 0;
    lock_acquire(&pages->lock);
    struct arena *arena = arena_for_run_locked(pages, count, mobility, &error);
    if (arena != NULL) {
        unsigned first = arena_find_run(arena, count);
        run->resident = pages_take_locked(pages, arena, first, count);
        run->first = arena_first_page(pages, arena) + first;
        run->count = (uint8_t)count;
    }
    bool is_low = is_low_locked(pages);
    lock_release(&pages->lock);
    if (is_low && pages->low != NULL)
        pages->low(pages->low_context);
    return error;
}

void pages_free(struct pages *pages, const struct page_run *run)
{
    struct arena *arena = &pages->arenas[run->first >> ARENA_SHIFT];
    lock_acquire(&pages->lock);
    pages_give_locked(pages, arena, run->first % ARENA_PAGES, run->count, run->resident);
    lock_release(&pages->lock);
}

void pages_describe(struct pages *pages, const struct page_run *run, struct mem_desc desc)
{
    pages_set_words_locked(pages, run->first, run->count, desc);
}

int pages_touch(struct pages *pages, struct page_run *run, page_mask mask)
{
    page_mask cold = mask & ~run->resident;
    if (likely(cold == 0))
        return 0;
    if (memory_request_fails())
        return -ENOSPC;
    unsigned count = (unsigned)__builtin_popcount(cold);
    int error = budget_charge(pages->budget, count);
    if (error != 0)
        return error;
    run->resident |= cold;
    atomic_fetch_add_explicit(&pages->owned_resident, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&pages->touch_misses, count, memory_order_relaxed);
    return 0;
}

unsigned pages_discard(struct pages *pages, struct page_run *run, page_mask mask)
{
    unsigned discarded = 0;
    page_mask warm = mask & run->resident;
    while (warm != 0) {
        unsigned first = (unsigned)__builtin_ctz(warm);
        unsigned length = (unsigned)__builtin_ctzll(~((uint64_t)warm >> first));
        page_mask part = page_run_mask(length) << first;
        warm &= ~part;
        if (memory_discard(pages_address(&pages->map, run->first + first),
                           (size_t)length * PAGE_SIZE_BYTES) != 0)
            continue;
        run->resident &= ~part;
        discarded += length;
    }
    atomic_fetch_sub_explicit(&pages->owned_resident, discarded, memory_order_relaxed);
    atomic_fetch_add_explicit(&pages->purged, discarded, memory_order_relaxed);
    budget_uncharge(pages->budget, discarded);
    return discarded;
}

uint64_t pages_free_resident(const struct pages *pages)
{
    return atomic_load_explicit(&pages->free_resident, memory_order_relaxed);
}

void pages_account(struct pages *pages, struct pages_account *account)
{
    lock_acquire(&pages->lock);
    *account = (struct pages_account){
        .owned_resident = atomic_load_explicit(&pages->owned_resident, memory_order_relaxed),
        .free_resident = atomic_load_explicit(&pages->free_resident, memory_order_relaxed),
        .owned_total = pages->owned_total,
        .arenas_active = pages->arenas_active,
        .arenas_retired = pages->arenas_retired,
        .word_pages = pages->arenas_active,
        .bookkeeping_pages = pages->bookkeeping_pages,
        .touch_misses = atomic_load_explicit(&pages->touch_misses, memory_order_relaxed),
        .purged = atomic_load_explicit(&pages->purged, memory_order_relaxed),
        .refilled = atomic_load_explicit(&pages->refilled, memory_order_relaxed),
    };
    /* An empty arena has the longest run there is, whatever its mobility. */
    for (unsigned mobility = 0; mobility < PAGE_MOBILITY_COUNT; mobility++)
        list_for_each (link, &pages->by_fullness[mobility][ARENA_RUN_MAX][0])
            account->arenas_empty++;
    uint64_t guarded = pages->arenas_known > 0 ? GUARD_PAGES : 0;
    account->free_offline =
        pages->arenas_active * ARENA_PAGES - guarded - pages->owned_total - account->free_resident;
    lock_release(&pages->lock);
}

bool pages_arena(struct pages *pages, uint64_t index, struct pages_arena *result)
{
    lock_acquire(&pages->lock);
    bool is_known = index < pages->arenas_known;
    *result = (struct pages_arena){0};
    if (is_known && pages->arenas[index].state != ARENA_INACTIVE) {
        const struct arena *arena = &pages->arenas[index];
        *result = (struct pages_arena){
            .is_active = true,
            .mobility = (enum page_mobility)arena->mobility,
            .owned = ARENA_PAGES - arena->guarded - arena->free_count,
            .free_resident = arena->resident_count,
        };
    }
    lock_release(&pages->lock);
    return is_known;
}
