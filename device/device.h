/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.h: the compressed block device, whole. What a server (nbdkit plugin, ublk) talks to.
 *
 *     device_read/write/trim/zero ──▶ block.c, one block at a time, under its slot's lock
 *                                        ├──▶ streams (compress/)   a codec context to work with
 *                                        ├──▶ slots (slot_table.h)  where a block is
 *                                        └──▶ zpool                 where its bytes are
 *     maintenance thread ──▶ zpool compaction, pages' reserve and purging
 *
 * All functions between device_start and device_stop may be called from any number of threads at
 * once, with ranges that overlap as they like: each block is read and written atomically, a longer
 * request is not (as on any disk).
 *
 * Ranges are in bytes and need no alignment. A range that leaves the device is refused whole with
 * -EINVAL before anything changes; a range of zero bytes does nothing.
 */
#ifndef UZRAM_DEVICE_DEVICE_H
#define UZRAM_DEVICE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/report.h"
#include "common/units.h"
#include "compress/streams.h"
#include "device/settings.h"
#include "device/statistics.h"

#define DEVICE_SIZE_MAX_BYTES   (BLOCK_COUNT_MAX * BLOCK_SIZE_BYTES) /* 16 TiB */
#define DEVICE_ZSPAGE_PAGES_MAX 32u

struct device;

struct device_config {
    uint64_t size_bytes;        /* 1 to DEVICE_SIZE_MAX_BYTES; the last block may be partial */
    uint64_t size_max_bytes;    /* what device_grow may make it; 0: size_bytes */
    struct algorithm algorithm; /* what blocks are written with */
    const char *zpool_driver;   /* NULL: "zsmalloc" */
    uint64_t mem_limit_bytes;   /* pool pages and all tables together; 0: no limit */
    uint64_t reserve_bytes;     /* free pool memory kept faulted-in ahead of writers */
    unsigned zspage_pages_max;  /* longest zspage, 1 to DEVICE_ZSPAGE_PAGES_MAX; 0: the default */
    bool prefault;              /* no page fault on the way of a request while the reserve lasts */
};

/*
 * Sets every field to its default: no size yet, lz4, zsmalloc, no limit.
 */
void device_config_init(struct device_config *config);

/*
 * Bytes that a device of this configuration uses before anything is written and to store one
 * block: a mem_limit below it is refused.
 */
uint64_t device_mem_floor_bytes(const struct device_config *config);

/*
 * Makes the device: reserves address space and allocates what is fixed, starts no thread.
 * Returns 0; -EINVAL for a configuration that is out of range (nothing says which field: callers
 * check fields with the functions above to tell their user); -ENOMEM. *device is NULL on error.
 */
int device_create(const struct device_config *config, struct device **device) must_use;

/*
 * Starts the maintenance thread (after the server forked), and with `prefault` makes the reserve
 * and the tables resident first. Returns 0 or -EAGAIN/-ENOMEM; -ENOSPC: mem_limit has no room for
 * them.
 */
int device_start(struct device *device) must_use;

/* Ends the maintenance thread, if one runs; I/O is still possible. */
void device_stop(struct device *device);

/* Stops and frees all. No other call may be under way. NULL is allowed. */
void device_destroy(struct device *device);

uint64_t device_size_bytes(const struct device *device);

/*
 * A client comes or goes. Requests are made only in between, so that what needs a device without
 * requests (reset) can tell. device_connect waits while such a thing is done.
 */
void device_connect(struct device *device);
void device_disconnect(struct device *device);

/*
 * Makes the device larger while it is used: blocks behind the old end are empty. Costs addresses
 * only, which size_max_bytes reserved. Returns 0; -EBUSY: smaller than it is; -EFBIG: more than
 * size_max_bytes; with `prefault`, -ENOSPC or -ENOMEM: no room for its slots.
 */
int device_grow(struct device *device, uint64_t size_bytes) must_use;
uint64_t device_size_max_bytes(const struct device *device);

/*
 * Empties every block, gives the memory back and begins all statistics anew; size, algorithm and
 * settings stay. What descriptors took stays theirs. Returns 0, or -EBUSY while a client is
 * connected.
 */
int device_reset(struct device *device) must_use;

/*
 * Changes the memory limit, rounded up to pages; 0: none. One below what is used refuses writes
 * that need memory until enough was given back. Where recompression is configured, a little of it
 * is not for writers (recompress_keep_room).
 */
void device_set_mem_limit(struct device *device, uint64_t bytes);

/* Begins mem_used_max anew with what is used now. */
void device_forget_mem_used_max(struct device *device);

/*
 * Reads count bytes at offset. Returns 0, -EINVAL (range) or -EIO (a stored block that does not
 * decompress: a bug or broken memory; buffer then holds rubbish).
 */
int device_read(struct device *device, void *buffer, size_t count, uint64_t offset) must_use;

/*
 * Writes count bytes at offset. Returns 0; -EINVAL (range); -ENOSPC (mem_limit); -ENOMEM (the
 * system has none); -EIO. On an error, blocks before the failing one are written, the failing one
 * and those behind it hold their old data.
 */
int device_write(struct device *device, const void *buffer, size_t count, uint64_t offset) must_use;

/*
 * Frees every block that lies whole within the range; it then reads as zeros. Parts of blocks at
 * the edges keep their data (trim is advice). Returns 0 or -EINVAL (range).
 */
int device_trim(struct device *device, uint64_t count, uint64_t offset) must_use;

/*
 * Makes the range read as zeros: frees whole blocks, rewrites the parts of blocks at the edges.
 * Returns 0 or device_write's errors; on one, whole blocks are free, and a part at an edge may hold
 * its old data.
 */
int device_zero(struct device *device, uint64_t count, uint64_t offset) must_use;

/* What a stretch of the device is, from the slots alone. */
enum device_extent {
    DEVICE_EXTENT_DATA,
    DEVICE_EXTENT_ZERO, /* stored (same-filled) and zero */
    DEVICE_EXTENT_HOLE, /* nothing stored; reads as zeros */
};

/* Told of one extent; a non-zero return ends the walk and is passed on. */
typedef int device_extent_callback(void *context, uint64_t offset, uint64_t count,
                                   enum device_extent extent);

/*
 * Describes the range as extents in ascending order that touch each other, neighbours of different
 * kind, the first at offset and the last ending at offset + count; or only the first, if just_one.
 * A block that is being written at the time counts as before or as after. Reads no data.
 */
int device_extents(struct device *device, uint64_t count, uint64_t offset, bool just_one,
                   device_extent_callback *callback, void *context) must_use;

/*
 * Changes a setting of background work (settings.h) by its name. Returns 0, -ENOENT (no such
 * setting) or -ERANGE (the row of settings.h says what is accepted).
 */
int device_set(struct device *device, const char *setting, uint64_t value) must_use;

/* The value of a setting, whose name must be one. */
uint64_t device_get(const struct device *device, const char *setting);

/* zram's priorities of recompression: 1 to 3. Priority 0 is what blocks are written with. */
#define DEVICE_PRIORITY_COUNT 4u

/*
 * From now on blocks are written (priority 0) or recompressed (1 to 3) with this codec, level and
 * dictionary. codec NULL ends a priority of recompression. `dictionary` is copied; NULL: none.
 * Blocks that are stored stay readable, and what they need stays loaded until none needs it. Waits
 * for requests under way.
 * Returns 0; -EINVAL (priority, level, dictionary); -ENOMEM; -EBUSY if blocks still need too many
 * algorithms of before. Nothing has changed then.
 */
int device_set_algorithm(struct device *device, unsigned priority, const struct codec *codec,
                         int level, const void *dictionary, size_t dictionary_bytes) must_use;

/* What a priority has; false if it has none. *dictionary_bytes: with all tables, 0 if none. */
bool device_get_algorithm(struct device *device, unsigned priority, const struct codec **codec,
                          int *level, size_t *dictionary_bytes);

/* Which blocks to recompress; zeros for all that may gain. */
struct recompress_request {
    bool only_idle;      /* zram's type=idle; with both, huge_idle */
    bool only_huge;      /* zram's type=huge: those that are kept raw */
    uint32_t length_min; /* zram's threshold: bytes that the block takes now */
    unsigned priority;   /* 0: in turn all that are above the block's own, until one gains */
    uint64_t blocks_max; /* zram's max_pages: tries; 0: no limit */
};

struct recompress_result {
    uint64_t tried, gained, saved_bytes;
};

/*
 * Recompresses blocks now, in the calling thread, longest first; requests go on meanwhile. A block
 * that somebody accesses during its turn is left alone.
 * Returns 0; -EINVAL (priority that is not configured, length_min beyond a block); -ENOMEM; -EINTR
 * after device_interrupt: *result is what was done before.
 */
int device_recompress(struct device *device, const struct recompress_request *request,
                      struct recompress_result *result) must_use;

/*
 * The device will soon be ended: device_recompress returns with -EINTR at its next step, and so
 * does each that is begun later and finds much to do. All else goes on. From any thread, with any
 * locks held.
 */
void device_interrupt(struct device *device);

/*
 * Marks compressed and raw blocks idle (zram's idle); an access clears the mark. seconds 0: all of
 * them (idle=all). Else those that have certainly rested so long, as far as that is known: ages are
 * kept in steps of half of recompress_age, up to it, so some that have rested for up to half of
 * recompress_age longer are not marked.
 * Returns 0, or -ERANGE if seconds is more than recompress_age (or that is 0): no age is known.
 */
int device_mark_idle(struct device *device, uint64_t seconds) must_use;

/*
 * Compacts the pool now, in the calling thread, in steps between which writers that look for memory
 * have their turn. Returns pages freed, to the reserve.
 */
uint64_t device_compact(struct device *device);

/* Gives free memory beyond the reserve back to the system now. Returns pages given back. */
uint64_t device_give_back(struct device *device);

/* A consistent-enough snapshot: each value is exact when nothing is under way. */
void device_statistics(struct device *device, struct device_statistics *statistics);

/* What the server adds to each snapshot about itself; NULL: nothing. Set before it serves. */
typedef void device_server_statistics(struct device_statistics *statistics);
void device_set_server_statistics(struct device *device, device_server_statistics *add);

/*
 * Walks everything (slots, pool, pages) and checks it against each other; no other call may be
 * under way, and the maintenance thread must not run.
 */
void device_validate(struct device *device, struct report *report);

/* The index-th zpool driver's name in the order that help texts name them; NULL past the last. */
const char *device_zpool_driver_name(size_t index);

#endif
