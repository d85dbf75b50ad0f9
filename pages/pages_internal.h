/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages_internal.h: the body of the page source, for the files of this folder.
 *
 * Active arenas stand in lists, so that the fullest arena with a run of n is found by bit tricks:
 *
 *      by_fullness[mobility][longest run 0..32][fullness 0..8]     non-empty lists have a bit in
 *      filled[mobility][longest run]                               bit f: list f is not empty
 *
 * Fullness is ⌈taken pages / 64⌉: 0 is an empty arena, 8 an almost full one. For a run of n the
 * bits of all lists with longest run ≥ n are or-ed, and the highest fullness taken.
 */
#ifndef UZRAM_PAGES_PAGES_INTERNAL_H
#define UZRAM_PAGES_PAGES_INTERNAL_H

#include "common/lock.h"
#include "pages/pages.h"

#define FULLNESS_COUNT   9
#define RUN_LENGTH_COUNT (ARENA_RUN_MAX + 1)

/* Arenas looked at for the best one before the best so far is taken: bounds the lock's hold. */
#define LOOKS_MAX 64

/* Runs that are kept ready: of single pages left between others, no zspage is made. Longer ones
 * count, but are not seen to. */
#define READY_RUN 8

/* Arenas with free resident pages, by whether these are in runs that takers are to find ready. */
enum warm_kind { WARM_SINGLES, WARM_RUNS, WARM_KINDS };

/* The first page is never given out, so that position 0 is nobody's. */
#define GUARD_PAGES 1

struct pages {
    struct page_map map;
    struct arena *arenas;
    uint64_t arena_count;
    struct budget *budget;
    bool keeps_ready; /* and what to tell when little is ready, see pages_keep_ready */
    void (*low)(void *context);
    void *low_context;

    struct lock lock; /* all below; LOCK_RANK_PAGES */
    struct list by_fullness[PAGE_MOBILITY_COUNT][RUN_LENGTH_COUNT][FULLNESS_COUNT];
    uint16_t filled[PAGE_MOBILITY_COUNT][RUN_LENGTH_COUNT];
    struct list warm[WARM_KINDS]; /* arenas with free resident pages, isolated ones too */
    uint64_t ready_in_runs;       /* the sum of their ready_count */
    bool lacks_runs;              /* when it was refilled last, no more could be made ready */
    struct list retired;          /* arenas that were active and are not */
    uint64_t arenas_known;        /* arenas 0 … arenas_known-1 were active once */
    uint64_t arenas_active;
    uint64_t arenas_retired;
    uint64_t bookkeeping_pages;
    uint64_t owned_total;

    /* Written under the lock or by owners, read by anybody; all relaxed. */
    _Atomic uint64_t free_resident;
    _Atomic uint64_t owned_resident;
    _Atomic uint64_t touch_misses;
    _Atomic uint64_t purged;
    _Atomic uint64_t refilled;
    _Atomic uint64_t
        low_pages; /* `low` is called when fewer are free and resident, or half in runs */
    uint64_t arenas_with_words; /* words and bookkeeping of these are resident; refill's own */
};

static inline uint64_t arena_index(const struct pages *pages, const struct arena *arena)
{
    return (uint64_t)(arena - pages->arenas);
}

static inline pfn arena_first_page(const struct pages *pages, const struct arena *arena)
{
    return (pfn)(arena_index(pages, arena) << ARENA_SHIFT);
}

static inline unsigned pages_fullness(const struct arena *arena)
{
    unsigned taken = ARENA_PAGES - arena->guarded - arena->free_count;
    return (taken + 63) / 64;
}

/* Writes the words of `count` pages from `first` on. release: pairs with pages_desc. */
void pages_set_words_locked(struct pages *pages, pfn first, unsigned count, struct mem_desc desc);

/* Takes an active arena out of its fullness list, to change it; and puts it where it belongs. */
void pages_unlist_locked(struct pages *pages, struct arena *arena);
void pages_relist_locked(struct pages *pages, struct arena *arena);

/* Takes pages from an active arena, or gives them to it, with lists, words and counts. */
page_mask pages_take_locked(struct pages *pages, struct arena *arena, unsigned first,
                            unsigned count);
void pages_give_locked(struct pages *pages, struct arena *arena, unsigned first, unsigned count,
                       page_mask resident);

/* The fullest arena that has a run of `count`; of those, one with the shortest such run. */
struct arena *pages_fullest_with_run_locked(struct pages *pages, unsigned count,
                                            enum page_mobility mobility);

/* An arena that was not active, made so; NULL with *error set if the budget or range is used up. */
struct arena *pages_activate_locked(struct pages *pages, enum page_mobility mobility, int *error);

#endif
