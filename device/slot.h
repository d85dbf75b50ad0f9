/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot.h: the 8-byte word that says where a block is and how it is stored.
 *
 *      63                                   24 23          12 11  10  9   8 7    5 4   2  1    0
 *     ┌───────────────────────────────────────┬──────────────┬───┬───┬─────┬─────┬─────┬────┬────┐
 *     │ position (40), in 16-byte units       │ length (12)  │inc│idl│ age │algor│kind │park│lock│
 *     ├───────────────────────────────────────┴──────────────┤   │   │     │     │     │    │    │
 *     │ pattern (52), of a same-filled block                 │   │   │     │     │     │    │    │
 *     └──────────────────────────────────────────────────────┴───┴───┴─────┴─────┴─────┴────┴────┘
 *
 *     kind          the block is                           position, length
 *     EMPTY         not stored; reads as zeros             0
 *     SAME          one 64-bit word over and over, whose   the word's low 52 bits
 *                   upper 12 bits repeat bit 51
 *     SAME_HALF     one 32-bit half over and over          the half
 *     SAME_OBJECT   one 64-bit word over and over          an object that holds the word; 8
 *     OBJECT        compressed with `algor`                an object; the compressed length
 *     RAW           kept as it is, too poor to compress    a raw page; 0 stands for 4096
 *
 * A word of zeros is an empty, unlocked slot, so a new table needs no preparation.
 *
 * lock and park belong to slot_table.c, which alone writes words; a struct slot outside of it never
 * has them set. Every other transition is made by the thread that holds the slot's lock:
 *
 *      any ──write──▶ SAME*, OBJECT, RAW      any ──trim, zero──▶ EMPTY
 *      OBJECT, RAW, SAME_OBJECT ──mover──▶ the same kind at another position
 *      OBJECT, RAW ──recompression──▶ OBJECT, smaller
 *
 *     algor           the entry of algorithms.h that restores it
 *     age             how often the hand of recompress.h has passed since the last access, up to 3
 *     idle            marked by the user (zram's idle), cleared by any access
 *     incompressible  what it could be recompressed with was tried and gains nothing
 *
 * A new content has age 0 and none of the marks. Empty and same-filled blocks never have any.
 *
 * This is the only file that shifts or masks a slot's fields.
 */
#ifndef UZRAM_DEVICE_SLOT_H
#define UZRAM_DEVICE_SLOT_H

#include "common/compiler.h"
#include "common/units.h"
#include "zpool/zpool.h"

enum slot_kind {
    SLOT_EMPTY,
    SLOT_SAME,
    SLOT_SAME_HALF,
    SLOT_SAME_OBJECT,
    SLOT_OBJECT,
    SLOT_RAW,
    SLOT_KIND_COUNT
};

struct slot {
    uint64_t word;
};

#define SLOT_LOCK_BIT           (UINT64_C(1) << 0)
#define SLOT_PARK_BIT           (UINT64_C(1) << 1)
#define SLOT_KIND_SHIFT         2
#define SLOT_KIND_BITS          3
#define SLOT_ALGORITHM_SHIFT    5
#define SLOT_ALGORITHM_BITS     3
#define SLOT_AGE_SHIFT          8
#define SLOT_AGE_BITS           2
#define SLOT_AGE_MAX            3u
#define SLOT_IDLE_BIT           (UINT64_C(1) << 10)
#define SLOT_INCOMPRESSIBLE_BIT (UINT64_C(1) << 11)
#define SLOT_LENGTH_SHIFT       12
#define SLOT_LENGTH_BITS        12
#define SLOT_POSITION_SHIFT     24
#define SLOT_POSITION_BITS      40
#define SLOT_PATTERN_SHIFT      SLOT_LENGTH_SHIFT
#define SLOT_PATTERN_BITS       (SLOT_LENGTH_BITS + SLOT_POSITION_BITS)

static_assert(sizeof(struct slot) == 8, "a block costs one word");
static_assert(SLOT_POSITION_SHIFT + SLOT_POSITION_BITS == 64, "the fields fill the word");
static_assert(SLOT_LENGTH_SHIFT + SLOT_LENGTH_BITS == SLOT_POSITION_SHIFT, "without a gap");
static_assert(SLOT_POSITION_BITS == ZPOOL_POSITION_BITS, "any place of a pool can be named");
static_assert(SLOT_KIND_COUNT <= 1 << SLOT_KIND_BITS, "kinds fit their bits");

#define SLOT_FIELD(word, shift, bits) ((word) >> (shift) & ((UINT64_C(1) << (bits)) - 1))

static inline enum slot_kind slot_kind(struct slot slot)
{
    return (enum slot_kind)SLOT_FIELD(slot.word, SLOT_KIND_SHIFT, SLOT_KIND_BITS);
}

static inline unsigned slot_algorithm(struct slot slot)
{
    return (unsigned)SLOT_FIELD(slot.word, SLOT_ALGORITHM_SHIFT, SLOT_ALGORITHM_BITS);
}

/* True for the kinds that have an object in the pool. */
static inline bool slot_has_object(struct slot slot)
{
    return slot_kind(slot) >= SLOT_SAME_OBJECT;
}

/* True for the kinds that have an age and marks, and may be recompressed. */
static inline bool slot_can_age(struct slot slot)
{
    return slot_kind(slot) == SLOT_OBJECT || slot_kind(slot) == SLOT_RAW;
}

static inline bool slot_is_same_filled(struct slot slot)
{
    enum slot_kind kind = slot_kind(slot);
    return kind >= SLOT_SAME && kind <= SLOT_SAME_OBJECT;
}

/* Bytes that the block takes in its object: its compressed length, or 4096 for a raw one. */
static inline size_t slot_length(struct slot slot)
{
    if (slot_kind(slot) == SLOT_RAW)
        return BLOCK_SIZE_BYTES;
    return slot_has_object(slot) ? SLOT_FIELD(slot.word, SLOT_LENGTH_SHIFT, SLOT_LENGTH_BITS) : 0;
}

static inline struct zpool_handle slot_object(struct slot slot)
{
    return (struct zpool_handle){slot.word >> SLOT_POSITION_SHIFT};
}

/* The repeated word of SAME and SAME_HALF. */
static inline uint64_t slot_pattern(struct slot slot)
{
    if (slot_kind(slot) == SLOT_SAME_HALF) {
        uint64_t half = SLOT_FIELD(slot.word, SLOT_PATTERN_SHIFT, 32);
        return half << 32 | half;
    }
    /* The arithmetic shift repeats bit 51 upwards (gcc and clang define it so). */
    return (uint64_t)((int64_t)slot.word >> SLOT_PATTERN_SHIFT);
}

static inline struct slot slot_empty(void)
{
    return (struct slot){0};
}

/* A same-filled block's slot, if its pattern fits into the word. */
static inline bool slot_pack_same(uint64_t pattern, struct slot *slot)
{
    uint64_t kind = SLOT_SAME;
    uint64_t shifted = pattern << SLOT_PATTERN_SHIFT;
    if ((uint64_t)((int64_t)shifted >> SLOT_PATTERN_SHIFT) != pattern) {
        if (pattern >> 32 != (pattern & UINT32_MAX))
            return false;
        kind = SLOT_SAME_HALF;
        shifted = (pattern & UINT32_MAX) << SLOT_PATTERN_SHIFT;
    }
    slot->word = shifted | kind << SLOT_KIND_SHIFT;
    return true;
}

/*
 * The slot of a block that has an object: OBJECT with its algorithm and length (1 to 4095),
 * SAME_OBJECT (algorithm 0, length 8) or RAW (algorithm 0, length 4096). False, and *slot
 * unchanged, if a field is out of range.
 */
static inline bool slot_pack_object(enum slot_kind kind, unsigned algorithm, size_t length,
                                    struct zpool_handle object, struct slot *slot)
{
    bool fits;
    if (kind == SLOT_OBJECT)
        fits = length >= 1 && length < BLOCK_SIZE_BYTES && algorithm >> SLOT_ALGORITHM_BITS == 0;
    else if (kind == SLOT_SAME_OBJECT)
        fits = length == sizeof(uint64_t) && algorithm == 0;
    else
        fits = kind == SLOT_RAW && length == BLOCK_SIZE_BYTES && algorithm == 0;
    if (!fits || object.position == 0 || object.position >> SLOT_POSITION_BITS != 0)
        return false;
    uint64_t field = kind == SLOT_RAW ? 0 : length;
    slot->word = object.position << SLOT_POSITION_SHIFT | field << SLOT_LENGTH_SHIFT |
                 (uint64_t)algorithm << SLOT_ALGORITHM_SHIFT | (uint64_t)kind << SLOT_KIND_SHIFT;
    return true;
}

/* The same slot with its object at another place. */
static inline struct slot slot_moved_to(struct slot slot, struct zpool_handle object)
{
    uint64_t rest = slot.word & ((UINT64_C(1) << SLOT_POSITION_SHIFT) - 1);
    return (struct slot){object.position << SLOT_POSITION_SHIFT | rest};
}

static inline unsigned slot_age(struct slot slot)
{
    return (unsigned)SLOT_FIELD(slot.word, SLOT_AGE_SHIFT, SLOT_AGE_BITS);
}

static inline struct slot slot_with_age(struct slot slot, unsigned age)
{
    uint64_t mask = (uint64_t)SLOT_AGE_MAX << SLOT_AGE_SHIFT;
    return (struct slot){(slot.word & ~mask) | (uint64_t)age << SLOT_AGE_SHIFT};
}

static inline bool slot_is_idle(struct slot slot)
{
    return (slot.word & SLOT_IDLE_BIT) != 0;
}

static inline bool slot_is_incompressible(struct slot slot)
{
    return (slot.word & SLOT_INCOMPRESSIBLE_BIT) != 0;
}

/* The same slot after an access. */
static inline struct slot slot_accessed(struct slot slot)
{
    return slot_with_age((struct slot){slot.word & ~SLOT_IDLE_BIT}, 0);
}

#endif
