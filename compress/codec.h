/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * codec.h: one compression algorithm behind four functions.
 *
 *      codec_find("lz4") ──▶ struct codec (const, static) ──create──▶ struct codec_context
 *                                 │                             ▲           │
 *                                 │         level, dictionary ──┘           │
 *                                 └── compress / decompress ────────────────┘
 *
 * A codec turns exactly one block (BLOCK_SIZE_BYTES) into a shorter run of bytes and back. What it
 * writes carries no magic number, length or checksum: the slot knows the length, and the length is
 * handed back for decompression. Both directions check their lengths and never write outside the
 * target they were given, whatever the source holds.
 *
 * A context belongs to one thread at a time (streams.h lends them out). Contexts of one codec are
 * independent of each other. What a dictionary needs of tables is made once (struct
 * codec_dictionary), never changes, and is shared by all contexts that use it.
 */
#ifndef UZRAM_COMPRESS_CODEC_H
#define UZRAM_COMPRESS_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/units.h"

/* A result that fits, but leaves less of the capacity than this, may be refused: zstd needs it. */
#define CODEC_SPARE_BYTES 16

/* Each codec defines these for itself; nobody else looks inside. */
struct codec_context;
struct codec_dictionary;

/* What a context is made for. */
struct codec_parameters {
    int level;
    const struct codec_dictionary *dictionary; /* of the same codec and level; NULL: none */
    bool only_decompresses;                    /* compress is never called: takes less memory */
};

struct codec {
    const char *name;       /* as in zram's comp_algorithm: "lz4", "lz4hc", "zstd" */
    const char *level_help; /* what the level means, for a user who gave a wrong one */
    int level_min, level_max, level_default;

    /* False: decompress without a dictionary works with a NULL context, so needs no stream. */
    bool decompress_needs_context;

    /* The longest dictionary that is taken. */
    size_t dictionary_bytes_max;

    /*
     * Makes the tables for a dictionary, any bytes that blocks are likely to contain. The bytes are
     * copied. Returns 0, -EINVAL (level; no bytes or more than dictionary_bytes_max; bytes that
     * look like a dictionary of the codec's own format and are none) or -ENOMEM.
     */
    int (*dictionary_create)(int level, const void *bytes, size_t count,
                             struct codec_dictionary **dictionary) must_use;

    /* Frees it; no context may use it any more. NULL is allowed. */
    void (*dictionary_destroy)(struct codec_dictionary *dictionary);

    /* Bytes that a dictionary holds, for the memory account. */
    size_t (*dictionary_bytes)(const struct codec_dictionary *dictionary);

    /*
     * Makes a context with all memory that compress and decompress will ever use: neither
     * allocates afterwards. Returns 0, -EINVAL (level out of range) or -ENOMEM. The dictionary must
     * outlive the context.
     */
    int (*context_create)(const struct codec_parameters *parameters,
                          struct codec_context **context) must_use;

    /* Frees a context; NULL is allowed. */
    void (*context_destroy)(struct codec_context *context);

    /*
     * Compresses the BLOCK_SIZE_BYTES at source into at most target_capacity_bytes at target.
     * Returns the length (>= 1); -ENOSPC when the result does not fit (target then holds
     * rubbish), or would leave less than CODEC_SPARE_BYTES unused; -EIO when the library failed.
     * The same block gives the same bytes, whatever the context compressed before.
     */
    int (*compress)(struct codec_context *context, const void *source, void *target,
                    size_t target_capacity_bytes) must_use;

    /*
     * Restores a block from exactly source_bytes at source into the BLOCK_SIZE_BYTES at target.
     * Returns 0, or -EIO unless the source is consumed whole and gives exactly one block; target
     * then holds rubbish.
     */
    int (*decompress)(struct codec_context *context, const void *source, size_t source_bytes,
                      void *target) must_use;

    /* Bytes that one context holds, for the memory account. */
    size_t (*context_bytes)(const struct codec_context *context);
};

/* The codec of that name, or NULL. Static memory; never freed. */
const struct codec *codec_find(const char *name);

/* The index-th codec in the order that help texts name them, or NULL past the last. */
const struct codec *codec_at(size_t index);

/* True if context_create takes this level. */
bool codec_has_level(const struct codec *codec, int level);

#endif
