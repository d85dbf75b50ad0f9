/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zpool.h: room for compressed blocks in pool pages, whatever the driver.
 *
 *      device ──alloc, free, address──▶ zpool ─┬─▶ a driver (zsmalloc, z3fold, zbud)   up to
 * object_max_bytes └─▶ raw.c                    larger: a whole page
 *
 * An *object* is contiguous room for one block's bytes. It belongs to an *owner*, a block number,
 * and is found by its *handle*: the place of its first byte in the pool's address range, so that a
 * reader gets from handle to bytes by arithmetic alone.
 *
 * Objects move, in background work only. Who moves an object locks its owner first, by trying:
 *
 *      mover (holds the driver's lock)          owner (device/slot_table.c)
 *      try_lock(owner, handle) ───────────────▶ takes the slot's lock if it is free, and only if
 *                                               the slot still names this very handle
 *      copies the bytes
 *      moved(owner, from, to)  ───────────────▶ writes the new handle into the slot and unlocks it
 *      frees the old place
 *
 * So whoever holds an owner's lock can rely on its object: not moved, not freed by others. An
 * object that was allocated but not yet published in its slot, or was unpublished but not yet
 * freed, is never moved, because its slot doesn't name it.
 *
 * Who may call what at once, on one pool:
 *
 *                     alloc   free   address   compact  settle  migrate  statistics  validate
 *      any thread      yes    yes†    yes‡       yes      yes     yes       yes      alone
 *
 *      † of an object that no slot names any more: by the thread that took it out
 *      ‡ under the owner's lock, or before the object was published
 *
 * alloc and free may be called with the owner's lock held (ranks: common/lock.h); compact, settle
 * and migrate with no lock at all.
 */
#ifndef UZRAM_ZPOOL_ZPOOL_H
#define UZRAM_ZPOOL_ZPOOL_H

#include "common/clock.h"
#include "common/compiler.h"
#include "common/units.h"
#include "pages/pages.h"

/* An object's first byte, in units of ZPOOL_UNIT_BYTES from the pool's base. 0: no object. */
struct zpool_handle {
    uint64_t position;
};

#define ZPOOL_UNIT_SHIFT    4
#define ZPOOL_UNIT_BYTES    (1u << ZPOOL_UNIT_SHIFT)
#define ZPOOL_POSITION_BITS 40 /* 16 TiB of pool */

/* Longest zspage: its resident pages are a mask (struct page_run). */
#define ZSPAGE_PAGES_MAX     PAGE_RUN_MAX
#define ZSPAGE_PAGES_DEFAULT 32

/*
 * What movers call. All three are called with a driver's lock held: they may neither wait for a
 * lock nor call back into the pool.
 */
struct zpool_owner {
    /* Locks the owner if that can be done at once and the owner names this object. */
    bool (*try_lock)(void *context, block_no owner, struct zpool_handle object);
    /* Gives the locked owner its object's new place, and unlocks it. */
    void (*moved)(void *context, block_no owner, struct zpool_handle to);
    /* Unlocks without a change: the move was called off. */
    void (*unlock)(void *context, block_no owner);
};

/* What one object size costs, for per-class statistics: the kernel's columns. */
#define ZPOOL_GROUP_COUNT 12 /* empty, <10 %, <20 % … <100 %, full */

struct zpool_class_statistics {
    unsigned index;
    unsigned size_bytes;
    uint64_t zspages[ZPOOL_GROUP_COUNT];
    uint64_t objects_allocated; /* places in all zspages of the class */
    uint64_t objects_used;
    uint64_t bytes_used; /* of pool memory that objects have, rounding included */
    uint64_t pages_used; /* owned, whether or not resident */
    unsigned pages_per_zspage;
    unsigned objects_per_zspage;
    uint64_t pages_freeable; /* what compaction could give back */
};

/* Counters since the pool was made. */
struct zpool_statistics {
    uint64_t objects_moved;
    uint64_t moves_skipped;   /* the owner was busy */
    uint64_t pages_compacted; /* freed because compaction or migration emptied their zspage */
    uint64_t raw_pages;       /* gauge: whole pages given to one block */
    uint64_t descriptor_bytes;
    uint64_t descriptors_used;
};

/* How much background work one call may do: whichever ends first. */
struct zpool_quota {
    uint64_t objects;  /* moves that may still be tried; counts down, 0 when the quota is used up */
    uint64_t until_us; /* clock_now_us at which it is used up; 0: never */
};

/* Uses up one move of a quota that has one. The clock is looked at every few moves. */
static inline void zpool_quota_spend(struct zpool_quota *quota)
{
    quota->objects--;
    if (quota->until_us != 0 && quota->objects % 8 == 0 && clock_now_us() >= quota->until_us)
        quota->objects = 0;
}

struct zpool_config {
    struct pages *pages;             /* outlives the pool; serves no other */
    const struct zpool_owner *owner; /* outlives the pool */
    void *owner_context;
    unsigned zspage_pages_max; /* 1 to ZSPAGE_PAGES_MAX; drivers without zspages ignore it */
};

/*
 * One driver. Sizes given to it are 1 to object_max_bytes of the pool it made; raw pages are not
 * its business. compact, settle and class_statistics may be NULL: there is nothing to do then.
 *
 * isolate, migrate and putback are the kernel's three steps of page migration (its struct
 * movable_operations), for one descriptor, which may stand for several pages:
 *
 *      isolate   finds the descriptor of that page and takes it out of use for new objects, into
 * the caller's list. 1: done; 0: the page holds nothing of this driver; -EAGAIN: another worker has
 * it. migrate   moves its objects elsewhere. 0: it is empty; -EAGAIN: busy owners are left, or the
 *                quota is used up; -ENOSPC, -ENOMEM: no room elsewhere.
 *      putback   takes it back into use, or frees it if it is empty.
 */
struct zpool;
struct zpdesc;
struct zpool_driver {
    const char *name;
    int (*create)(const struct zpool_config *config, struct zpool **pool);
    void (*destroy)(struct zpool *pool);
    int (*alloc)(struct zpool *pool, size_t size_bytes, block_no owner,
                 struct zpool_handle *object);
    void (*free)(struct zpool *pool, struct zpool_handle object);
    bool (*same_room)(const struct zpool *pool, size_t old_bytes, size_t new_bytes);
    uint64_t (*compact)(struct zpool *pool, struct zpool_quota *quota);
    uint64_t (*settle)(struct zpool *pool, struct zpool_quota *quota);
    int (*isolate)(struct zpool *pool, pfn page, struct list *isolated);
    int (*migrate)(struct zpool *pool, struct zpdesc *isolated, struct zpool_quota *quota);
    void (*putback)(struct zpool *pool, struct zpdesc *isolated);
    bool (*class_statistics)(struct zpool *pool, unsigned index,
                             struct zpool_class_statistics *statistics);
    void (*statistics)(struct zpool *pool, struct zpool_statistics *statistics);
    void (*validate)(struct zpool *pool, struct report *report);
};

/* The part of a pool that is the same in all drivers, which stands first in each one's own. */
struct zpool {
    const struct zpool_driver *driver;
    struct page_map map;
    struct pages *pages;
    const struct zpool_owner *owner;
    void *owner_context;
    size_t object_max_bytes; /* larger ones are raw: a whole page */
    _Atomic uint64_t raw_pages;
    _Atomic uint64_t raw_moved, raw_skipped;
};

/* The driver of that name, or NULL; the index-th, or NULL past the last. Static memory. */
const struct zpool_driver *zpool_driver_find(const char *name);
const struct zpool_driver *zpool_driver_at(size_t index);

/* Makes a pool of that driver. Returns 0, -EINVAL (zspage_pages_max) or -ENOMEM; *pool NULL then.
 */
int zpool_create(const struct zpool_driver *driver, const struct zpool_config *config,
                 struct zpool **pool) must_use;

/* Frees the pool and all objects that are left. No other call may be under way. NULL is allowed. */
void zpool_destroy(struct zpool *pool);

/*
 * Takes room for size_bytes (1 to PAGE_SIZE_BYTES) in the owner's name. The caller writes the bytes
 * to its address and publishes the handle. Makes no system call.
 * Returns 0, -EINVAL (the size), -ENOSPC (the budget is used up) or -ENOMEM; *object is 0 then.
 */
int zpool_alloc(struct zpool *pool, size_t size_bytes, block_no owner,
                struct zpool_handle *object) must_use;

/*
 * Gives an object back that no slot names any more. A checked build aborts when the handle names no
 * object of this pool: freed already, or of another pool.
 */
void zpool_free(struct zpool *pool, struct zpool_handle object);

/*
 * True if an object that was allocated for old_bytes has room for new_bytes, and is where one of
 * new_bytes would be put: then a block can be rewritten in its place under its slot's lock.
 */
bool zpool_same_room(const struct zpool *pool, size_t old_bytes, size_t new_bytes);

/* Where the object's bytes are: contiguous, 16-byte aligned. See ‡ above for when it may be used.
 */
static inline unsigned char *zpool_address(const struct zpool *pool, struct zpool_handle object)
{
    return pool->map.base + (object.position << ZPOOL_UNIT_SHIFT);
}

static inline pfn zpool_handle_page(struct zpool_handle object)
{
    return (pfn)(object.position >> (PAGE_SHIFT - ZPOOL_UNIT_SHIFT));
}

static inline struct zpool_handle zpool_handle_at(pfn page, size_t offset_bytes)
{
    return (struct zpool_handle){((uint64_t)page << (PAGE_SHIFT - ZPOOL_UNIT_SHIFT)) +
                                 (offset_bytes >> ZPOOL_UNIT_SHIFT)};
}

/*
 * Moves objects together until no zspage can be saved, or the quota is used up. Gives way to
 * foreground work after each object. Returns pages freed (to the page source, not the system).
 */
uint64_t zpool_compact(struct zpool *pool, struct zpool_quota *quota);

/*
 * Gives back memory inside pages that objects own: kept empty zspages, and pages of partly filled
 * zspages that hold no object, once objects are moved to the front. Makes system calls.
 * Returns pages given back.
 */
uint64_t zpool_settle(struct zpool *pool, struct zpool_quota *quota);

/*
 * Moves every object out of the `count` pages from `first` on. Nothing is taken from the arenas
 * that the range touches meanwhile; afterwards they are as any other.
 * Returns 0: nothing is left in the range; -EAGAIN: busy owners are left, or the quota is used up
 * (call again); -EINVAL: the range is empty, or leaves the pool; -EBUSY: a part of it is being
 * migrated by another thread; -EPERM: it holds pages that can't move (descriptors); -ENOSPC,
 * -ENOMEM: no room elsewhere. Whatever it returns, every object is intact and in one place.
 */
int zpool_migrate(struct zpool *pool, pfn first, uint64_t count,
                  struct zpool_quota *quota) must_use;

/* Fills in the index-th class; false past the last. Takes that class's lock. */
bool zpool_class_statistics(struct zpool *pool, unsigned index,
                            struct zpool_class_statistics *statistics);

void zpool_statistics(struct zpool *pool, struct zpool_statistics *statistics);

/*
 * Walks all the driver has and checks it against itself, mem_desc words and owners (by try_lock);
 * nothing else may run.
 */
void zpool_validate(struct zpool *pool, struct report *report);

#endif
