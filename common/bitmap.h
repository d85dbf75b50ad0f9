/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bitmap.h: fixed-size sets of small numbers in 64-bit words, and runs of neighbours in them.
 *
 * Bit i of the set is bit i % 64 of word i / 64. No locking: the owner of the words locks.
 */
#ifndef UZRAM_COMMON_BITMAP_H
#define UZRAM_COMMON_BITMAP_H

#include "common/compiler.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline bool bitmap_test(const uint64_t *map, unsigned bit)
{
    return map[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(uint64_t *map, unsigned bit)
{
    map[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static inline void bitmap_clear(uint64_t *map, unsigned bit)
{
    map[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

static inline unsigned bitmap_count(const uint64_t *map, unsigned words)
{
    unsigned count = 0;
    for (unsigned i = 0; i < words; i++)
        count += (unsigned)__builtin_popcountll(map[i]);
    return count;
}

/* The lowest bit that is not set, or words * 64 if all are. */
static inline unsigned bitmap_first_clear(const uint64_t *map, unsigned words)
{
    for (unsigned i = 0; i < words; i++)
        if (map[i] != UINT64_MAX)
            return i * 64 + (unsigned)__builtin_ctzll(~map[i]);
    return words * 64;
}

/* The lowest bit at or behind `from` that is set, or words * 64 if none is. */
static inline unsigned bitmap_next_set(const uint64_t *map, unsigned words, unsigned from)
{
    unsigned i = from / 64;
    if (i >= words)
        return words * 64;
    uint64_t word = map[i] & UINT64_MAX << (from % 64);
    while (word == 0) {
        if (++i == words)
            return words * 64;
        word = map[i];
    }
    return i * 64 + (unsigned)__builtin_ctzll(word);
}

#endif
