/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mem_desc.h: the 8-byte tagged word that describes one pool page.
 *
 *      63                                                       4 3      0
 *     ┌──────────────────────────────────────────────────────────┬────────┐
 *     │ descriptor's address (its low 4 bits are 0), or a value   │  type  │
 *     └──────────────────────────────────────────────────────────┴────────┘
 *
 *     type         the rest is       the page is
 *     NONE         0                 in an arena that is not active: never used, or given back
 * whole FREE         0                 free and resident: taking it costs no page fault OFFLINE 0
 * free, its memory given back to the system RESERVED     0                 taken by the page source
 * itself, or by an owner who has not described it yet GUARD        0                 never given to
 * anybody (page 0, so that position 0 is nobody's) DESCRIPTOR   its cache         cut into
 * descriptors; stays so while the pool lives RAW          an owner          one incompressible
 * block, whole: needs no descriptor ZSMALLOC     its zspage        part of a zspage ZBUD, Z3FOLD
 * its descriptor    a page of that driver
 *
 * Transitions are made by the page's owner: the page source (under its lock) between NONE, FREE,
 * OFFLINE, RESERVED and GUARD; a driver from RESERVED to its own type; and pages_free back.
 * Anybody may read a word at any time. A descriptor found in one is type-stable memory, so it may
 * be looked at without a lock; what it says counts only if the word is the same afterwards.
 *
 * This is the only file that shifts or masks a word.
 */
#ifndef UZRAM_PAGES_MEM_DESC_H
#define UZRAM_PAGES_MEM_DESC_H

#include "common/compiler.h"

enum mem_desc_type {
    MEM_DESC_NONE,
    MEM_DESC_FREE,
    MEM_DESC_OFFLINE,
    MEM_DESC_RESERVED,
    MEM_DESC_GUARD,
    MEM_DESC_DESCRIPTOR,
    MEM_DESC_RAW,
    MEM_DESC_ZSMALLOC,
    MEM_DESC_ZBUD,
    MEM_DESC_Z3FOLD,
    MEM_DESC_TYPE_COUNT
};

/* A struct of one word, so that the compiler refuses to mix it with numbers. */
struct mem_desc {
    uint64_t word;
};

#define MEM_DESC_TYPE_BITS 4
#define MEM_DESC_TYPE_MASK ((UINT64_C(1) << MEM_DESC_TYPE_BITS) - 1)
#define MEM_DESC_ALIGNMENT (1u << MEM_DESC_TYPE_BITS)
#define MEM_DESC_VALUE_MAX (UINT64_MAX >> MEM_DESC_TYPE_BITS)

static_assert(sizeof(struct mem_desc) == 8, "a page costs 8 bytes of description");
static_assert(MEM_DESC_TYPE_COUNT <= 1 << MEM_DESC_TYPE_BITS, "types fit their bits");
static_assert(sizeof(void *) <= sizeof(uint64_t), "an address fits a word");

/* A word with a value instead of an address. False, and *desc unchanged, if either is too large. */
static inline bool mem_desc_pack_value(enum mem_desc_type type, uint64_t value,
                                       struct mem_desc *desc)
{
    if ((unsigned)type >= MEM_DESC_TYPE_COUNT || value > MEM_DESC_VALUE_MAX)
        return false;
    desc->word = value << MEM_DESC_TYPE_BITS | (uint64_t)type;
    return true;
}

/* A word with the address of a descriptor. False, and *desc unchanged, if it is not aligned. */
static inline bool mem_desc_pack_pointer(enum mem_desc_type type, const void *descriptor,
                                         struct mem_desc *desc)
{
    uint64_t address = (uint64_t)(uintptr_t)descriptor;
    if ((unsigned)type >= MEM_DESC_TYPE_COUNT || (address & MEM_DESC_TYPE_MASK) != 0)
        return false;
    desc->word = address | (uint64_t)type;
    return true;
}

/* A word of a type that has nothing to add. */
static inline struct mem_desc mem_desc_plain(enum mem_desc_type type)
{
    return (struct mem_desc){(uint64_t)type};
}

static inline enum mem_desc_type mem_desc_type(struct mem_desc desc)
{
    return (enum mem_desc_type)(desc.word & MEM_DESC_TYPE_MASK);
}

static inline uint64_t mem_desc_value(struct mem_desc desc)
{
    return desc.word >> MEM_DESC_TYPE_BITS;
}

static inline void *mem_desc_pointer(struct mem_desc desc)
{
    return (void *)(uintptr_t)(desc.word & ~MEM_DESC_TYPE_MASK);
}

/* The type in words, for reports: "zsmalloc". Static memory; "?" for a type that is none. */
const char *mem_desc_type_name(enum mem_desc_type type);

#endif
