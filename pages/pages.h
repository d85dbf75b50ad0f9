/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages.h: the page source: where a pool's pages come from and go back to.
 *
 *      base ─▶ ┌─────────┬─────────┬─────────┬── … one reserved range of addresses, ≤ 16 TiB
 *              │ arena 0 │ arena 1 │ arena 2 │     2 MiB each, resident only where touched
 *              └────┬────┴────┬────┴────┬────┴──
 *      words ─▶ [8 bytes a page: 4 KiB of words an arena]      mem_desc.h
 *      arenas ─▶ [free and resident bits of each]              arena.h
 *
 * Pages are taken in runs of 1 to PAGE_RUN_MAX neighbours, from the fullest arena that has such a
 * run, so that sparse arenas drain. Movable pages and those that stay (descriptors) live in
 * different arenas, so that one descriptor never pins 2 MiB.
 *
 * A page is *resident* once it was touched, until it is discarded. Taking a page does not make it
 * resident: its owner calls pages_touch before the first write, which charges the budget. So the
 * part of a run that nobody wrote to costs nothing. Which pages of a taken run are resident is the
 * owner's knowledge (struct page_run), and comes back with pages_free.
 *
 * Free resident pages are the *reserve*: taking them needs no system call. pages_refill makes more
 * of them, pages_trim gives some back; both are for background threads, make system calls, and hold
 * no lock meanwhile.
 *
 * Who may call what at once:
 *
 *                     alloc free  touch discard refill trim isolate putback
 *      any thread      yes   yes   own   own     yes    yes   yes     yes      (own: on its own
 * run)
 *
 * Locks: the pages lock, held for bitmap work only, never over a system call. Nothing ranks below
 * it, so every function here may be called with any other lock held, but refill, trim and discard
 * make system calls and are best called with none.
 */
#ifndef UZRAM_PAGES_PAGES_H
#define UZRAM_PAGES_PAGES_H

#include <stdatomic.h>

#include "common/compiler.h"
#include "common/report.h"
#include "common/units.h"
#include "pages/arena.h"
#include "pages/budget.h"
#include "pages/mem_desc.h"

#define PAGE_RUN_MAX ARENA_RUN_MAX

enum page_mobility {
    PAGE_MOVABLE,   /* its owner can be asked to leave: objects */
    PAGE_UNMOVABLE, /* stays while the pool lives: descriptors */
    PAGE_MOBILITY_COUNT
};

/* A run of neighbouring pages that somebody owns. */
struct page_run {
    pfn first;
    uint8_t count;
    page_mask resident; /* bit i: page first + i is resident */
};

/* The mask of the first `count` (1 to PAGE_RUN_MAX) pages. */
static inline page_mask page_run_mask(unsigned count)
{
    return (page_mask)((UINT64_C(1) << count) - 1);
}

/* What a reader needs to get from a number to a page or its word: fixed while the pool lives. */
struct page_map {
    unsigned char *base;
    _Atomic uint64_t *words;
    uint64_t page_count;
};

struct pages;

/*
 * Reserves addresses for page_count_max pages (rounded up to arenas; at most PAGE_COUNT_MAX) and
 * their words. Nothing becomes resident. The budget must outlive the page source; the pages'
 * bookkeeping is charged to it too. Returns 0, -EINVAL or -ENOMEM.
 */
int pages_create(uint64_t page_count_max, struct budget *budget, struct pages **pages) must_use;

/* Ends the reservation: all pages are gone, whoever had them. NULL is allowed. */
void pages_destroy(struct pages *pages);

const struct page_map *pages_map(const struct pages *pages);

/*
 * Takes a run of `count` pages. Its words say RESERVED until the owner describes them.
 * Returns 0; -ENOSPC (the budget can't have the arena's bookkeeping, or all addresses are taken);
 * -ENOMEM (injected only).
 */
int pages_alloc(struct pages *pages, unsigned count, enum page_mobility mobility,
                struct page_run *run) must_use;

/* Gives a run back. Its pages stay resident as they are, until trimmed. */
void pages_free(struct pages *pages, const struct page_run *run);

/* Writes the same word for each page of an owned run. release: pairs with pages_desc. */
void pages_describe(struct pages *pages, const struct page_run *run, struct mem_desc desc);

/*
 * Before pages of an owned run are first written: charges those in `mask` that are not resident,
 * and marks them so. Returns 0 or -ENOSPC with nothing changed. Makes no system call: the write
 * itself faults them in.
 */
int pages_touch(struct pages *pages, struct page_run *run, page_mask mask) must_use;

/*
 * Gives the memory of the pages in `mask` of an owned run back; they stay owned. Calls madvise.
 * Returns the number of pages given back.
 */
unsigned pages_discard(struct pages *pages, struct page_run *run, page_mask mask);

/* A page's word as it is now. acquire: what the word's writer did before is seen. */
static inline struct mem_desc pages_desc(const struct page_map *map, pfn page)
{
    return (struct mem_desc){atomic_load_explicit(&map->words[page], memory_order_acquire)};
}

static inline void *pages_address(const struct page_map *map, pfn page)
{
    return map->base + ((size_t)page << PAGE_SHIFT);
}

/*
 * Makes free pages resident until `target_pages` of them are (and half of that in runs, see
 * pages_keep_ready), at most `max_pages` in this call, in the arenas with the longest free runs.
 * Returns the number made resident.
 */
uint64_t pages_refill(struct pages *pages, uint64_t target_pages, uint64_t max_pages);

/*
 * Gives free resident pages back to the system until no more than `keep_pages` are left, at most
 * `max_pages` in this call, from the emptiest arenas first; where runs are kept ready, single pages
 * before runs, and no runs that are half of `keep_pages`. Arenas that are empty then give back
 * their words too. Returns the number of pages given back.
 */
uint64_t pages_trim(struct pages *pages, uint64_t keep_pages, uint64_t max_pages);

/*
 * Isolates an arena, into the caller's list: nothing is taken from it any more; what is freed there
 * stays there. Returns 0; -EINVAL (no such arena, or not active), -EBUSY (isolated already), -EPERM
 * (holds pages that cannot move).
 */
int pages_isolate(struct pages *pages, uint64_t arena_index, struct list *isolated) must_use;

/* Ends the isolation of all arenas of the list, which is empty then. They are as any other again.
 */
void pages_putback(struct pages *pages, struct list *isolated);

/*
 * The sparsest active movable arena with at least `free_pages_min` free pages that is not empty,
 * or UINT64_MAX if there is none.
 */
uint64_t pages_sparse_arena(struct pages *pages, unsigned free_pages_min);

/*
 * From now on takers get resident pages while there are any, rather than the next of the fullest
 * arena, and take no page fault for them. pages_refill makes half of its target ready in runs,
 * beside all single pages that there are, pages for descriptors, and the words of the next arena;
 * words are never given back. `low` (or NULL) is called when less than half of what pages_refill
 * was last asked for is left, in runs or at all, by whoever has taken the rest, with any locks
 * held: it must do no more than wake somebody. Called before the pages are used.
 */
void pages_keep_ready(struct pages *pages, void (*low)(void *context), void *context);

/* The memory account, in pages unless said otherwise. */
struct pages_account {
    uint64_t owned_resident; /* pages that have an owner and are resident */
    uint64_t free_resident;  /* the reserve */
    uint64_t free_offline;   /* free pages of active arenas that are not resident */
    uint64_t owned_total;    /* pages that have an owner, resident or not */
    uint64_t arenas_active;
    uint64_t arenas_empty;      /* active, with all of their pages free */
    uint64_t arenas_retired;    /* were active, gave everything back */
    uint64_t word_pages;        /* resident pages of mem_desc words */
    uint64_t bookkeeping_pages; /* resident pages of struct arena */
    uint64_t touch_misses;      /* counter: pages that owners made resident themselves */
    uint64_t purged;            /* counter: pages given back to the system */
    uint64_t refilled;          /* counter: pages made resident ahead of need */
};

void pages_account(struct pages *pages, struct pages_account *account);

/* One arena, for pictures: how many of its pages have an owner, or are kept ready. */
struct pages_arena {
    bool is_active;
    enum page_mobility mobility;
    unsigned owned, free_resident;
};

/* Describes the index-th arena; false past the last that was ever active. */
bool pages_arena(struct pages *pages, uint64_t index, struct pages_arena *arena);

/* Free resident pages now, without a lock: what background work looks at to decide. */
uint64_t pages_free_resident(const struct pages *pages);

/* Checks every arena, list and word of free pages against each other; nothing else may run. */
void pages_validate(struct pages *pages, struct report *report);

#endif
