/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device_internal.h: the body of a device, for the files of this folder.
 *
 *      device.c      make and end it, statistics, validation
 *      admin.c       change it while it lives: size, limit, algorithm, reset
 *      attributes.c  its attributes, for the control socket
 *      reports.c     those that are long: statistics, classes, arenas, blocks
 *      range.c       byte ranges, cut into blocks
 *      block.c       one block: read, write, free
 *      owner.c       what the pool's movers ask of slots
 *      algorithms.c  what blocks are compressed with, and its change
 *      recompress.c  compressing again what rests
 *      maintenance.c the background thread
 */
#ifndef UZRAM_DEVICE_DEVICE_INTERNAL_H
#define UZRAM_DEVICE_DEVICE_INTERNAL_H

#include "common/lock.h"
#include "device/algorithms.h"
#include "device/counters.h"
#include "device/device.h"
#include "device/maintenance.h"
#include "device/recompress.h"
#include "device/slot_table.h"

struct device {
    /* Only ever grow, under reclaim; any request may read them (relaxed). */
    _Atomic uint64_t size_bytes;
    _Atomic uint64_t block_count;

    /* Fixed after device_create. */
    uint64_t size_max_bytes; /* what there are addresses for */
    struct pages *pages;
    struct zpool *zpool;
    struct streams *streams;    /* for requests */
    struct streams *background; /* one, for recompression, under the reclaim lock */
    device_server_statistics *server_statistics;
    bool prefault;

    struct budget budget;
    struct lock reclaim;          /* LOCK_RANK_ADMIN: who looks for memory, or gives some back */
    _Atomic uint64_t connections; /* written under reclaim */
    struct device_statistics forgotten; /* of counters: what they were at the last reset */
    struct slot_table slots;
    struct counters counters;
    struct algorithms algorithms; /* under the reclaim lock, see there */
    struct recompress recompress;
    struct maintenance maintenance;
};

/* owner.c: the callbacks that the device gives to its pool; the context is the device. */
extern const struct zpool_owner device_owner;

/*
 * Frees what can be freed at once, for a writer that met the limit, before its attempt number 1, 2,
 * …: compacts, gives unused pages back, the reserve too; then, and again, it recompresses some
 * blocks before that. False: there is nothing left to try. The caller holds device->reclaim, and
 * nothing else, and keeps it while it tries again: pages that another thread has in its hands (to
 * discard them, to populate them) look used, so one thread at a time has any, and it is not the
 * refilled reserve that gets what was found.
 */
bool device_reclaim(struct device *device, unsigned attempt);

/*
 * block.c. `buffer` is a whole block, any alignment; offset and count name a part of it.
 * Errors as in device.h. Each may sleep for a stream or a slot.
 */
int block_read(struct device *device, block_no block, void *buffer) must_use;
int block_read_part(struct device *device, block_no block, void *buffer, size_t offset,
                    size_t count) must_use;
int block_write(struct device *device, block_no block, const void *buffer) must_use;
/* buffer NULL: zeros. */
int block_write_part(struct device *device, block_no block, const void *buffer, size_t offset,
                     size_t count) must_use;
/* Makes the block empty. True if it held anything. */
bool block_free(struct device *device, block_no block);
/*
 * Restores the whole block whose slot is locked. stream may be NULL if the slot's codec needs none.
 * Returns 0 or -EIO.
 */
int block_load(struct device *device, struct slot slot, struct stream *stream,
               void *buffer) must_use;
/* Counts what a slot's change from old to new does to the gauges. */
void block_count_change(struct counter_shard *shard, struct slot old, struct slot new);
/* Starts loading what a read of the block will need. */
void block_prefetch(const struct device *device, block_no block);

#endif
