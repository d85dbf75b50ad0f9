/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recompress.h: blocks that rest are compressed again, better: by a policy, or on request.
 *
 *      the hand     every half recompress_age it passes over all slots: age + 1, up to 3. An access
 *                   makes the age 0, so a block of age 3 has rested for two passes at least:
 *                   recompress_age, and at most half as long again.
 *      the walk     counts the candidates by length, then goes over the slots once for each band of
 *                   lengths, the longest first, with an eighth of the candidates or more in each.
 *      a try        lock the slot ─▶ restore the block, age := 3, unlock ─▶ compress (no lock)
 *                       ─▶ lock the slot ─▶ still the same word? publish the shorter object
 *                                       └─▶ else drop it: somebody has touched it
 *
 * The second look of a try is exact although content can be rewritten in place, with the same
 * length: every access makes the age 0, and only the hand and tries make it 3 again, which the
 * device's reclaim lock keeps apart. A result is taken only if the pool stores it in less room; a
 * block that gains nothing from the last configured algorithm is marked incompressible until it is
 * written again.
 *
 * Whatever fails, the block is as it was. Lock: reclaim, for all of this; it is given away after
 * each block if somebody waits for it.
 */
#ifndef UZRAM_DEVICE_RECOMPRESS_H
#define UZRAM_DEVICE_RECOMPRESS_H

#include <stdatomic.h>

#include "common/compiler.h"
#include "device/device.h"

/* Lengths in steps of 64 bytes, as zram sorts them; raw blocks are the last. */
#define RECOMPRESS_BUCKET_BYTES 64u
#define RECOMPRESS_BUCKETS      (BLOCK_SIZE_BYTES / RECOMPRESS_BUCKET_BYTES + 1)

/* Where a walk is. A walk of zeros begins with the count. */
struct recompress_walk {
    struct recompress_request request;
    unsigned age_min;  /* of a candidate */
    bool is_counted;   /* candidates[] is complete, and the bands are gone through */
    unsigned band_low; /* the band now: buckets band_low to band_high - 1 */
    unsigned band_high;
    uint64_t next_block;
    uint64_t total; /* candidates when they were counted */
    uint64_t candidates[RECOMPRESS_BUCKETS];
};

struct recompress {
    /* The maintenance thread's own. */
    struct recompress_walk walk;
    bool is_walking;
    bool hand_is_moving;
    uint64_t hand_page;
    uint64_t hand_due_us;
    uint64_t looked_us;   /* when the policy had its last turn */
    int64_t credit_us;    /* CPU time it may use */
    uint64_t seen_blocks; /* blocks read and written at the last turn */

    uint64_t room_block; /* recompress_for_room goes on here; under the reclaim lock */

    _Atomic bool is_interrupted; /* what was asked for ends at its next step */

    _Atomic uint64_t tried, gained, poor, dropped, refused, saved_bytes, time_us;
};

/* The policy's turn: moves the hand, goes on with the walk as long as CPU budget and load allow. */
void recompress_turn(struct device *device);

/* From now on the policy takes blocks of any age, for want of memory, until its walk is at an end.
 */
void recompress_hurry(struct device *device);

/*
 * Keeps a little of mem_limit back for recompression, if it is configured: a result is stored
 * before what it replaces is freed, so at the limit there would be room for none. To be called when
 * one of the two changes. The caller holds the reclaim lock.
 */
void recompress_keep_room(struct device *device);

/*
 * For a writer that has found no memory by other means: tries some blocks, whatever their age. The
 * caller holds the reclaim lock. Returns bytes that their objects have become shorter by.
 */
uint64_t recompress_for_room(struct device *device);

#endif
