/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * algorithms.h: what a device's blocks are compressed with.
 *
 *      role     0 written with   1, 2, 3 recompressed with (zram's priorities)
 *                 │                │
 *                 ▼                ▼
 *      entry   [ lz4 ] [ lz4, d1 ] [ zstd:3, d2 ] [ ] [ ] [ ] [ ] [ ]
 *                          ▲
 *      slot ───────────────┘   a block's slot has the index of its entry
 *
 * An entry never changes while a block may need it. To change what a role means is to make a new
 * entry and let the role point to it; an entry that no role points to goes, with its dictionary,
 * when no slot names it any more (algorithms_sweep). Eight entries are more than four roles need,
 * so a dictionary can be changed while blocks that were stored with the last one are still there.
 *
 * Which entry a role points to is read by holders of a stream only, and changed while the device
 * holds all streams, so no thread can still be about to store what it has compressed with an entry
 * that has lost its role.
 *
 * Lock: the device's reclaim lock, for all that changes anything. Reading an entry that a slot
 * names needs the slot's lock and no other.
 */
#ifndef UZRAM_DEVICE_ALGORITHMS_H
#define UZRAM_DEVICE_ALGORITHMS_H

#include <stdatomic.h>

#include "common/compiler.h"
#include "compress/streams.h"
#include "device/slot.h"

/* The role that blocks are written with, and how many there are with it. */
#define ROLE_WRITE 0u
#define ROLE_COUNT 4u
#define ROLE_UNSET UINT32_MAX

struct device;

struct algorithms {
    struct algorithm entry[ALGORITHM_COUNT_MAX];
    struct codec_dictionary *dictionary[ALGORITHM_COUNT_MAX]; /* of the entries; owned */
    _Atomic uint32_t role[ROLE_COUNT];                        /* an entry's index or ROLE_UNSET */
    _Atomic uint64_t dictionaries_bytes, streams_bytes;       /* for statistics, without the lock */
    _Atomic uint32_t needs_stream; /* a bit an entry: its blocks are restored with a context */
    _Atomic uint32_t recompresses; /* a bit an entry: it was made for recompression */
};

/* Starts with one entry, for writing. */
void algorithms_init(struct algorithms *algorithms, const struct algorithm *written_with);

/* Frees the dictionaries; the streams that use them have been destroyed. */
void algorithms_fini(struct algorithms *algorithms);

/* The index of the entry that a role points to, or ROLE_UNSET. Conditions as below. */
static inline uint32_t algorithms_entry_of_role(const struct algorithms *algorithms, unsigned role)
{
    /* relaxed: ordered by the stream or the lock that the caller holds. */
    return atomic_load_explicit(&algorithms->role[role], memory_order_relaxed);
}

/* Whether recompression has stored the block of this slot. */
static inline bool algorithms_recompressed(const struct algorithms *algorithms, struct slot slot)
{
    uint32_t entries = atomic_load_explicit(&algorithms->recompresses, memory_order_relaxed);
    return slot_kind(slot) == SLOT_OBJECT && (entries >> slot_algorithm(slot) & 1) != 0;
}

/* The entry that a role points to, or NULL. The caller holds a stream or the reclaim lock. */
const struct algorithm *algorithms_of_role(const struct algorithms *algorithms, unsigned role);

/*
 * Lets a role point to this codec, level and dictionary (bytes NULL: none; they are copied). codec
 * NULL unsets the role; ROLE_WRITE can't be. Blocks that are stored keep what they were stored
 * with. The caller holds the reclaim lock, no stream and no slot.
 * Returns 0; -EINVAL (role, level, dictionary); -ENOMEM; -EBUSY if all entries are needed by
 * blocks.
 */
int algorithms_set(struct device *device, unsigned role, const struct codec *codec, int level,
                   const void *dictionary, size_t dictionary_bytes) must_use;

/*
 * Frees entries that neither a role nor a slot names. Walks all slots if there may be such. The
 * caller holds the reclaim lock.
 */
void algorithms_sweep(struct device *device);

/* Counts what streams and dictionaries take, after a change. The caller holds the reclaim lock. */
void algorithms_account(struct device *device);

#endif
