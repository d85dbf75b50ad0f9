/* SPDX-License-Identifier: BSD-3-Clause */
#include "pages/arena.h"

#include <string.h>

static_assert(sizeof(struct arena) == 176, "a drawing of what an arena costs is in the design");

/* map &= map >> shift over the whole set, 0 < shift < 64. */
static void and_with_shifted(uint64_t map[ARENA_WORDS], unsigned shift)
{
    for (unsigned i = 0; i < ARENA_WORDS - 1; i++)
        map[i] &= map[i] >> shift | map[i + 1] << (64 - shift);
    map[ARENA_WORDS - 1] &= map[ARENA_WORDS - 1] >> shift;
}

static bool is_empty_set(const uint64_t map[ARENA_WORDS])
{
    uint64_t any = 0;
    for (unsigned i = 0; i < ARENA_WORDS; i++)
        any |= map[i];
    return any == 0;
}

/* Leaves in map the bits at which a run of `count` set bits starts, `have` being done already. */
static void keep_run_starts(uint64_t map[ARENA_WORDS], unsigned have, unsigned count)
{
    while (have < count) {
        unsigned shift = have < count - have ? have : count - have;
        and_with_shifted(map, shift);
        have += shift;
    }
}

static uint8_t longest_run(const uint64_t set[ARENA_WORDS])
{
    uint64_t starts[ARENA_WORDS];
    memcpy(starts, set, sizeof starts);
    if (is_empty_set(starts))
        return 0;

    /* A binary search: `length` is known to be there, `starts` are the places. */
    unsigned length = 1;
    for (unsigned step = ARENA_RUN_MAX / 2; step > 0; step /= 2) {
        uint64_t longer[ARENA_WORDS];
        memcpy(longer, starts, sizeof longer);
        keep_run_starts(longer, length, length + step);
        if (!is_empty_set(longer)) {
            memcpy(starts, longer, sizeof starts);
            length += step;
        }
    }
    return (uint8_t)length;
}

void arena_init(struct arena *arena, unsigned guarded)
{
    memset(arena->free, 0xff, sizeof arena->free);
    memset(arena->resident, 0, sizeof arena->resident);
    for (unsigned page = 0; page < guarded; page++)
        bitmap_clear(arena->free, page);
    list_init(&arena->by_fullness);
    list_init(&arena->warm);
    arena->free_count = (uint16_t)(ARENA_PAGES - guarded);
    arena->resident_count = 0;
    arena->ready_count = 0;
    arena->longest_run = ARENA_RUN_MAX;
    arena->guarded = (uint8_t)guarded;
}

static unsigned first_run(const uint64_t set[ARENA_WORDS], unsigned count)
{
    uint64_t starts[ARENA_WORDS];
    memcpy(starts, set, sizeof starts);
    keep_run_starts(starts, 1, count);
    return bitmap_next_set(starts, ARENA_WORDS, 0);
}

unsigned arena_find_run(const struct arena *arena, unsigned count)
{
    if (count > arena->longest_run)
        return ARENA_PAGES;
    if (arena->resident_count >= count) {
        unsigned first = first_run(arena->resident, count);
        if (first < ARENA_PAGES)
            return first;
    }
    return first_run(arena->free, count);
}

bool arena_has_resident_run(const struct arena *arena, unsigned count)
{
    return arena->resident_count >= count && first_run(arena->resident, count) < ARENA_PAGES;
}

/* Leaves in `set` the bits that stand in runs of `count` set bits or more. */
static void keep_runs(uint64_t set[ARENA_WORDS], unsigned count)
{
    uint64_t starts[ARENA_WORDS];
    keep_run_starts(set, 1, count);
    memcpy(starts, set, sizeof starts);
    for (unsigned shift = 1; shift < count; shift++)
        for (unsigned i = 0; i < ARENA_WORDS; i++)
            set[i] |= starts[i] << shift | (i > 0 ? starts[i - 1] >> (64 - shift) : 0);
}

unsigned arena_resident_in_runs(const struct arena *arena, unsigned count)
{
    uint64_t runs[ARENA_WORDS];
    if (arena->resident_count < count)
        return 0;
    memcpy(runs, arena->resident, sizeof runs);
    keep_runs(runs, count);
    return bitmap_count(runs, ARENA_WORDS);
}

void arena_cold(const struct arena *arena, unsigned count, uint64_t set[ARENA_WORDS])
{
    memcpy(set, arena->free, sizeof arena->free);
    keep_runs(set, count);
    for (unsigned i = 0; i < ARENA_WORDS; i++)
        set[i] &= ~arena->resident[i];
}

void arena_scattered(const struct arena *arena, unsigned count, uint64_t set[ARENA_WORDS])
{
    memcpy(set, arena->resident, sizeof arena->resident);
    keep_runs(set, count);
    for (unsigned i = 0; i < ARENA_WORDS; i++)
        set[i] = arena->resident[i] & ~set[i];
}

page_mask arena_take(struct arena *arena, unsigned first, unsigned count)
{
    page_mask resident = 0;
    for (unsigned i = 0; i < count; i++) {
        checked(bitmap_test(arena->free, first + i));
        bitmap_clear(arena->free, first + i);
        if (bitmap_test(arena->resident, first + i)) {
            bitmap_clear(arena->resident, first + i);
            resident |= (page_mask)1 << i;
        }
    }
    arena->free_count = (uint16_t)(arena->free_count - count);
    arena->resident_count =
        (uint16_t)(arena->resident_count - (unsigned)__builtin_popcount(resident));
    arena->longest_run = longest_run(arena->free);
    return resident;
}

void arena_give(struct arena *arena, unsigned first, unsigned count, page_mask resident)
{
    for (unsigned i = 0; i < count; i++) {
        checked(!bitmap_test(arena->free, first + i));
        bitmap_set(arena->free, first + i);
        if (resident >> i & 1)
            bitmap_set(arena->resident, first + i);
    }
    arena->free_count = (uint16_t)(arena->free_count + count);
    arena->resident_count =
        (uint16_t)(arena->resident_count + (unsigned)__builtin_popcount(resident));
    arena->longest_run = longest_run(arena->free);
}

const char *arena_validate(const struct arena *arena)
{
    if (bitmap_count(arena->free, ARENA_WORDS) != arena->free_count)
        return "free_count differs from the free bits";
    if (bitmap_count(arena->resident, ARENA_WORDS) != arena->resident_count)
        return "resident_count differs from the resident bits";
    for (unsigned i = 0; i < ARENA_WORDS; i++)
        if (arena->resident[i] & ~arena->free[i])
            return "a resident bit is set for a page that is not free";
    if (longest_run(arena->free) != arena->longest_run)
        return "longest_run differs from the free bits";
    if ((arena->resident_count > 0) == list_is_empty(&arena->warm))
        return "it is in the warm list without resident pages, or with some and is not";
    return NULL;
}
