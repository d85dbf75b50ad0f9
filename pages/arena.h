/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.h: 512 pages, and which of them are free and resident.
 *
 *      free      1 1 0 0 0 0 1 1 1 …     bit set: nobody has the page
 *      resident  1 0 . . . . 1 1 0 …     of free pages: bit set: taking it costs no page fault
 *
 * Invariants (arena_validate proves them):
 *      free_count      = bits set in free
 *      resident_count  = bits set in resident; resident is a subset of free
 *      longest_run     = the longest run of neighbours in free, at most ARENA_RUN_MAX
 *
 * For pages that are taken, whoever took them knows which are resident (struct page_run).
 * No locking here: all is done under the page source's lock.
 */
#ifndef UZRAM_PAGES_ARENA_H
#define UZRAM_PAGES_ARENA_H

#include "common/bitmap.h"
#include "common/list.h"

#define ARENA_PAGES      512u
#define ARENA_SHIFT      9
#define ARENA_SIZE_BYTES (ARENA_PAGES * 4096u)
#define ARENA_WORDS      (ARENA_PAGES / 64)
#define ARENA_RUN_MAX    32u

/* Which pages of a run: bit i is its i-th page. */
typedef uint32_t page_mask;
static_assert(ARENA_RUN_MAX <= 8 * sizeof(page_mask), "a run's pages fit a mask");

enum arena_state {
    ARENA_INACTIVE, /* its mem_desc words are not resident, nor is any of its pages */
    ARENA_ACTIVE,   /* in the lists that pages are taken from */
    ARENA_ISOLATED, /* active, but nothing is taken from it: being emptied */
};

struct arena {
    uint64_t free[ARENA_WORDS];
    uint64_t resident[ARENA_WORDS];
    struct list by_fullness; /* in the list of its longest run and fullness, or its isolator's */
    struct list warm;        /* in one of the lists of arenas with resident_count > 0 */
    uint16_t free_count;
    uint16_t resident_count;
    uint16_t ready_count; /* of these, in runs that are kept ready; the page source's affair */
    uint8_t longest_run;
    uint8_t state;    /* enum arena_state */
    uint8_t mobility; /* enum page_mobility */
    uint8_t guarded;  /* pages that are never given out */
};

/* Makes all pages free and not resident, but for the first `guarded` ones, which are taken. */
void arena_init(struct arena *arena, unsigned guarded);

/*
 * Finds `count` (1 to ARENA_RUN_MAX) neighbouring free pages, resident ones if there are enough,
 * else the lowest. Returns the first's index or ARENA_PAGES if there is no such run.
 */
unsigned arena_find_run(const struct arena *arena, unsigned count);

/* True if there are `count` neighbouring free pages that are resident. */
bool arena_has_resident_run(const struct arena *arena, unsigned count);

/* How many free resident pages have so many neighbours of their kind that they make a run of
 * `count` (1 to 64). */
unsigned arena_resident_in_runs(const struct arena *arena, unsigned count);

/* Sets the bits of free pages that aren't resident, in runs of `count` free pages or more. */
void arena_cold(const struct arena *arena, unsigned count, uint64_t set[ARENA_WORDS]);

/* Sets the bits of free resident pages that are in no run of `count` of them, or more. */
void arena_scattered(const struct arena *arena, unsigned count, uint64_t set[ARENA_WORDS]);

/* Takes free pages; returns which of them are resident, bit 0 for the first. */
page_mask arena_take(struct arena *arena, unsigned first, unsigned count);

/* Frees taken pages; `resident` says which of them are resident, bit 0 for the first. */
void arena_give(struct arena *arena, unsigned first, unsigned count, page_mask resident);

/* True when nobody has a page of it. */
static inline bool arena_is_empty(const struct arena *arena)
{
    return arena->free_count + arena->guarded == ARENA_PAGES;
}

/* NULL, or what is wrong with it. */
const char *arena_validate(const struct arena *arena);

#endif
