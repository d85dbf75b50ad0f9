/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsmalloc.h: the zsmalloc driver, for the files of this folder.
 *
 *   struct zs_pool
 *     class[0 … count-1] ── each with its lock
 *        group[0]  empty      ─▶ at most one zspage, kept for the next allocation
 *        group[1]  below 10 % ─▶ zspage ⇄ zspage       compaction empties these …
 *          …
 *        group[10] below 100 % ─▶ zspage ⇄ zspage      … into these, as allocation does
 *        group[11] full       ─▶ zspage ⇄ zspage
 *
 *   struct zspage (64 bytes, type-stable) describes 1 to 32 neighbouring pages:
 *
 *        page                page                page
 *        ├───────────────────┼───────────────────┼───────────────────┤
 *        │object│object│object│object│object│object│object│object│   │   places of
 * class->size_bytes └──────┴──────┴──────┴──────┴──────┴──────┴──────┴──────┴───┘ bytes of the
 * block …        owner (4 bytes) at each place's end
 *
 *   Every page's mem_desc word points at the zspage. The owner's number stands at the end of an
 *   object, so that an object's address is its block's, whatever its class.
 *
 * Because pages are neighbours, no object is ever split, and a codec reads it where it is. Because
 * a page is resident only once touched, and places are taken from the lowest up, the end of a
 * zspage that no object has reached costs nothing: so zspages can be long, which wastes little at
 * their ends, without making each class's last, partly filled one expensive. See docs/design.md for
 * the figures.
 *
 * Invariants, under the class's lock (validate.c proves them):
 *   I1  used_count = bits set in used; no bit at or behind class->objects
 *   I2  a LISTED zspage is in the list of its fullness group; an ISOLATED one in none of the
 * class's I3  every page that a used place touches is resident I4  class->zspages[g] = zspages of
 * group g, isolated ones counted; objects_used is their sum I5  a place that a slot names is used,
 * and its owner field names the slot's block
 *
 * Locks: one per class (LOCK_RANK_CLASS), over lists, counts, used, resident. The bytes of an
 * object belong to its owner (zpool.h), the owner field to whoever holds a used place: it is read
 * by movers under the class's lock while its writer may not have written it yet, hence atomic; a
 * mover believes it only after its slot has confirmed it.
 *
 * The lists of this driver allocate the new zspage under the class's lock, so any number of threads
 * that find a class full make one new zspage, one after the other finding places in it.
 */
#ifndef UZRAM_ZPOOL_ZSMALLOC_ZSMALLOC_H
#define UZRAM_ZPOOL_ZSMALLOC_ZSMALLOC_H

#include "common/bitmap.h"
#include "common/lock.h"
#include "pages/descriptors.h"
#include "zpool/drivers.h"
#include "zpool/zpdesc.h"
#include "zpool/zsmalloc/classes.h"

/* An owner's block number, at the end of each object's place. */
#define ZS_OWNER_BYTES 4u

#define ZSPAGE_USED_WORDS BITMAP_WORDS(ZS_OBJECTS_MAX)

struct zspage {
    struct zpdesc desc;
    uint64_t used[ZSPAGE_USED_WORDS];
};

static_assert(sizeof(struct zspage) == 64, "one cache line describes a zspage");
static_assert(ZS_CHAIN_MAX == ZSPAGE_PAGES_MAX, "a zspage's resident pages are a mask");

struct zs_class {
    struct lock lock;
    uint16_t size_bytes;
    uint16_t objects; /* places in a zspage */
    uint8_t pages;    /* of a zspage */
    uint8_t index;
    uint16_t filled;     /* bit g: group g's list is not empty */
    uint32_t reciprocal; /* offset * reciprocal >> 32 = offset / size_bytes */
    struct list group[ZS_GROUP_COUNT];

    /* Statistics, always on: plain counters under the lock. */
    uint64_t zspages[ZS_GROUP_COUNT];
    uint64_t objects_used;
    uint64_t moved;
    uint64_t skipped;
    uint64_t pages_compacted;
} cache_aligned;

/*
 * The per-class counters that only statistics and compaction's decisions need go through this, so
 * that bench/statistics-cost can measure what they cost: a build without them can't compact.
 */
#ifdef UZRAM_WITHOUT_CLASS_STATISTICS
#define zs_count(statement) ((void)0)
#else
#define zs_count(statement) ((void)(statement))
#endif

struct zs_pool {
    struct zpool pool;
    struct descriptors zspages;
    struct zs_class_table table;
    struct zs_class class[]; /* one for each of the table's shapes but the whole page */
};

static inline struct zs_pool *zs_pool_of(struct zpool *pool)
{
    return container_of(pool, struct zs_pool, pool);
}

static inline unsigned zs_class_count(const struct zs_pool *pool)
{
    return pool->table.count - 1;
}

/* The zspage that a new object of the class goes into; makes one if it must. */
struct zspage *zs_zspage_for_alloc_locked(struct zs_pool *pool, struct zs_class *class, int *error);

/* zspage.c: one zspage; the class's lock is held. */

/* A new, empty, listed zspage, or NULL with *error -ENOSPC or -ENOMEM. */
struct zspage *zspage_create_locked(struct zs_pool *pool, struct zs_class *class, int *error);
/* Gives an empty zspage's pages and descriptor back. It is listed or isolated. */
void zspage_destroy_locked(struct zs_pool *pool, struct zs_class *class, struct zspage *zspage);
/* Takes the lowest free place. Returns its index, or -ENOSPC (its page can't be made resident). */
int zspage_take_locked(struct zs_pool *pool, struct zs_class *class, struct zspage *zspage);
/* Frees a place. The zspage may be empty then; it is the caller's to destroy or keep. */
void zspage_give_locked(struct zs_class *class, struct zspage *zspage, unsigned place);
/* Out of the class's lists, into the hands of the caller; and back. */
void zspage_isolate_locked(struct zs_class *class, struct zspage *zspage);
void zspage_putback_locked(struct zs_pool *pool, struct zs_class *class, struct zspage *zspage);
/* The fullest partly filled listed zspage but `other`, or NULL; the emptiest likewise. */
struct zspage *zspage_fullest_locked(struct zs_class *class, const struct zspage *other);
struct zspage *zspage_emptiest_locked(struct zs_class *class);
/* The zspage that a page's word points at, or NULL if it is not one. */
struct zspage *zspage_of_page(const struct zs_pool *pool, pfn page);
/* The pages, as a mask, that the place touches; that any used place touches. */
page_mask zspage_place_pages(const struct zs_class *class, unsigned place);
page_mask zspage_used_pages(const struct zs_class *class, const struct zspage *zspage);

static inline struct zpool_handle zspage_handle(const struct zs_class *class,
                                                const struct zspage *zspage, unsigned place)
{
    return zpool_handle_at(zpdesc_first(&zspage->desc), (size_t)place * class->size_bytes);
}

static inline unsigned zspage_place(const struct zs_class *class, const struct zspage *zspage,
                                    struct zpool_handle object)
{
    uint64_t start = zpool_handle_at(zpdesc_first(&zspage->desc), 0).position;
    uint64_t offset = (object.position - start) << ZPOOL_UNIT_SHIFT;
    return (unsigned)(offset * class->reciprocal >> 32);
}

/* Where an object's owner is written. */
static inline _Atomic block_no *
zs_owner_field(const struct zs_pool *pool, const struct zs_class *class, struct zpool_handle object)
{
    unsigned char *end = zpool_address(&pool->pool, object) + class->size_bytes;
    return (_Atomic block_no *)(void *)(end - ZS_OWNER_BYTES);
}

/* move.c: the one primitive that moves an object. */

enum zs_move {
    ZS_MOVED,
    ZS_MOVE_BUSY,    /* the owner is locked, or the object is not published */
    ZS_MOVE_NO_ROOM, /* the target is full, or its page can't be made resident */
};

/* Moves the object at `place` of `from` to the lowest free place of `to`, perhaps itself. */
enum zs_move zs_move_locked(struct zs_pool *pool, struct zs_class *class, struct zspage *from,
                            unsigned place, struct zspage *to);

/* compact.c, settle.c, migrate.c, validate.c: the operations of the driver. */
uint64_t zs_compact(struct zpool *pool, struct zpool_quota *quota);
uint64_t zs_settle(struct zpool *pool, struct zpool_quota *quota);
int zs_isolate(struct zpool *pool, pfn page, struct list *isolated);
int zs_migrate(struct zpool *pool, struct zpdesc *isolated, struct zpool_quota *quota);
void zs_putback(struct zpool *pool, struct zpdesc *isolated);
void zs_validate(struct zpool *pool, struct report *report);
bool zs_class_statistics(struct zpool *pool, unsigned index,
                         struct zpool_class_statistics *statistics);
void zs_statistics(struct zpool *pool, struct zpool_statistics *statistics);

/* Places that no object has, of the class's zspages; and zspages that compaction could save. */
uint64_t zs_class_zspages_locked(const struct zs_class *class);
uint64_t zs_class_freeable_locked(const struct zs_class *class);

#endif
