/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chunked.h: pages that two or three objects share: what the drivers zbud and z3fold have in
 * common.
 *
 *      page   0                                                             64 chunks of 64 bytes
 *             ├───────────┬─────────┬──────────────┬──────────┬─────────────┤
 *             │   FIRST   │  free   │    MIDDLE    │   free   │    LAST     │
 *             └───────────┴─────────┴──────────────┴──────────┴─────────────┘
 *             from the left         where it was put          up to the right end
 *
 *      zbud has FIRST and LAST, z3fold MIDDLE as well. The middle one goes between the two others
 *      when these are there, and stays where it is when they go.
 *
 *      pool ─ group[kind][room] ─▶ page ⇄ page
 *               kind  PLAIN, LONE (one object), GAPPY (room is lost beside its middle object)
 *               room  the most chunks that one more object can have: 0 … 63;
 *                     64: empty, at most one page, kept for the next allocation
 *
 * An allocation takes the page with the least room that suffices (a bit search over groups), so
 * that pages with much room drain; compaction looks at lone and gappy pages alone. The owners'
 * numbers and the objects' lengths stand in the descriptor, not in the page as in the kernel: a
 * page has 64 chunks for objects rather than 63, the largest object is 4032 bytes rather than 3968,
 * and free touches no page memory. 48 bytes a page.
 *
 * Invariants, under the pool's lock (validate.c proves them):
 *   I1  used_count = places with chunks; they do not overlap, and end within the page
 *   I2  a LISTED page is in the group of its kind and room; an ISOLATED one in none
 *   I3  the pool's counts are the sums over its pages, isolated ones counted
 *   I4  a place that a slot names is used, and its owner is the slot's block
 *
 * One lock (LOCK_RANK_CLASS) for all of it: no operation under it takes longer than the copying of
 * one object. An object's bytes belong to its owner (zpool.h); its owner number is written before
 * the lock is given back, and so is always right.
 *
 * Sources: the kernel's mm/zbud.c and mm/z3fold.c, as they were last.
 */
#ifndef UZRAM_ZPOOL_CHUNKED_CHUNKED_H
#define UZRAM_ZPOOL_CHUNKED_CHUNKED_H

#include "common/lock.h"
#include "pages/descriptors.h"
#include "zpool/drivers.h"
#include "zpool/zpdesc.h"

#define CHUNK_SHIFT      6
#define CHUNK_SIZE_BYTES (1u << CHUNK_SHIFT)
#define PAGE_CHUNKS      (PAGE_SIZE_BYTES / CHUNK_SIZE_BYTES)

/* An object of all chunks would be alone for ever: a raw page does that better. */
#define CHUNKED_OBJECT_MAX ((PAGE_CHUNKS - 1) * CHUNK_SIZE_BYTES)

enum place { PLACE_FIRST, PLACE_MIDDLE, PLACE_LAST, PLACE_COUNT };

enum page_kind { PAGE_PLAIN, PAGE_LONE, PAGE_GAPPY, PAGE_KIND_COUNT };

#define ROOM_COUNT (PAGE_CHUNKS + 1)

/* What desc.group holds: kind and room in one number. */
static inline unsigned chunked_group(enum page_kind kind, unsigned room)
{
    return (unsigned)kind * ROOM_COUNT + room;
}

#define GROUP_COUNT (PAGE_KIND_COUNT * ROOM_COUNT)
#define GROUP_EMPTY PAGE_CHUNKS
static_assert(GROUP_COUNT <= UINT8_MAX, "a group fits its field");

/* Middle objects that stand closer to what is left of them stay. Source: the kernel's
 * BIG_CHUNK_GAP. */
#define GAP_MIN_CHUNKS 3u

struct chunked_page {
    struct zpdesc desc; /* group: chunked_group */
    block_no owner[PLACE_COUNT];
    uint8_t chunks[PLACE_COUNT]; /* 0: nothing is there */
    uint8_t middle_start;        /* chunk at which the middle one begins, if there is one */
};

static_assert(sizeof(struct chunked_page) == 48, "a page's description, the word apart");
static_assert(sizeof(struct chunked_page) % MEM_DESC_ALIGNMENT == 0, "mem_desc words point at it");

struct chunked_pool {
    struct zpool pool;
    enum mem_desc_type type; /* of its pages' words */
    bool has_middle;         /* three objects a page rather than two */
    struct descriptors descriptors;

    struct lock lock;
    uint64_t filled[PAGE_KIND_COUNT]; /* bit room - 1: that list is not empty, for room 1 to 64 */
    struct list group[GROUP_COUNT];
    uint64_t pages[GROUP_COUNT]; /* isolated ones too */
    uint64_t objects;
    uint64_t chunks; /* that objects have */
    uint64_t moved;
    uint64_t skipped;
    uint64_t pages_compacted;
};

static inline struct chunked_pool *chunked_pool_of(struct zpool *pool)
{
    return container_of(pool, struct chunked_pool, pool);
}

static inline unsigned chunks_for(size_t size_bytes)
{
    return (unsigned)((size_bytes + CHUNK_SIZE_BYTES - 1) >> CHUNK_SHIFT);
}

/* page.c: one page; the pool's lock is held. */

/* A new, empty, listed page, or NULL with *error -ENOSPC or -ENOMEM. */
struct chunked_page *chunked_page_create_locked(struct chunked_pool *pool, int *error);
/* Gives an empty page and its descriptor back. It is listed or isolated. */
void chunked_page_destroy_locked(struct chunked_pool *pool, struct chunked_page *page);
/* Where in the page an object of so many chunks would go; PLACE_COUNT: nowhere. */
enum place chunked_page_fit(const struct chunked_pool *pool, const struct chunked_page *page,
                            unsigned chunks);
/* Takes the place that fits, for the owner. It must fit. */
enum place chunked_page_take_locked(struct chunked_pool *pool, struct chunked_page *page,
                                    unsigned chunks, block_no owner);
/* Frees a place. The page may be empty then; it is the caller's to destroy or keep. */
void chunked_page_give_locked(struct chunked_pool *pool, struct chunked_page *page,
                              enum place place);
/* Lets the middle object begin at another chunk, or be the first one (start 0). */
void chunked_page_shift_locked(struct chunked_pool *pool, struct chunked_page *page,
                               unsigned start);
void chunked_page_isolate_locked(struct chunked_pool *pool, struct chunked_page *page);
void chunked_page_putback_locked(struct chunked_pool *pool, struct chunked_page *page);
/* The listed page but `other` with the least room that suffices, an empty one too; or NULL. */
struct chunked_page *chunked_page_for_locked(struct chunked_pool *pool, unsigned chunks,
                                             const struct chunked_page *other);
/* A page of that kind with the most room, listed; or NULL. */
struct chunked_page *chunked_page_roomiest_locked(struct chunked_pool *pool, enum page_kind kind);
/* The group that the page belongs to, by what is in it. */
unsigned chunked_page_group(const struct chunked_pool *pool, const struct chunked_page *page);
/* The page that a pfn's word describes, or NULL if it is not one of this pool's. */
struct chunked_page *chunked_page_of(const struct chunked_pool *pool, pfn page);

/* The chunk that a used place begins at. */
static inline unsigned chunked_page_start(const struct chunked_page *page, enum place place)
{
    if (place == PLACE_FIRST)
        return 0;
    return place == PLACE_MIDDLE ? page->middle_start : PAGE_CHUNKS - page->chunks[PLACE_LAST];
}

static inline struct zpool_handle chunked_page_handle(const struct chunked_page *page,
                                                      enum place place)
{
    return zpool_handle_at(zpdesc_first(&page->desc), (size_t)chunked_page_start(page, place)
                                                          << CHUNK_SHIFT);
}

/* The used place that begins where the handle says; PLACE_COUNT: there is none. */
enum place chunked_page_place(const struct chunked_page *page, struct zpool_handle object);

/* chunked.c, move.c, validate.c: the operations of both drivers. */
int chunked_create(const struct zpool_driver *driver, enum mem_desc_type type, bool has_middle,
                   const struct zpool_config *config, struct zpool **pool);
void chunked_destroy(struct zpool *pool);
int chunked_alloc(struct zpool *pool, size_t size_bytes, block_no owner,
                  struct zpool_handle *object);
void chunked_free(struct zpool *pool, struct zpool_handle object);
bool chunked_same_room(const struct zpool *pool, size_t old_bytes, size_t new_bytes);
uint64_t chunked_compact(struct zpool *pool, struct zpool_quota *quota);
uint64_t chunked_settle(struct zpool *pool, struct zpool_quota *quota);
int chunked_isolate(struct zpool *pool, pfn page, struct list *isolated);
int chunked_migrate(struct zpool *pool, struct zpdesc *isolated, struct zpool_quota *quota);
void chunked_putback(struct zpool *pool, struct zpdesc *isolated);
bool chunked_class_statistics(struct zpool *pool, unsigned index,
                              struct zpool_class_statistics *statistics);
void chunked_statistics(struct zpool *pool, struct zpool_statistics *statistics);
void chunked_validate(struct zpool *pool, struct report *report);

/* The page that an object of so many chunks goes into; makes one if it must. */
struct chunked_page *chunked_page_for_alloc_locked(struct chunked_pool *pool, unsigned chunks,
                                                   int *error);

#endif
