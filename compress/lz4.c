/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lz4.c: LZ4's fast compressor, and the decompressor of LZ4's block format.
 *
 * A context is LZ4's hash table (16 KiB), so that no compression needs a thread with that much
 * stack. LZ4_compress_fast_extState clears the table for each block. Measured over pages of
 * programs' memory (liblz4 1.9.4, microseconds per block, blocks to their length):
 *
 *      LZ4_compress_default, table on the stack                     7.06   2.568
 *      LZ4_compress_fast_extState                                   7.05   2.568
 *      LZ4_compress_fast_extState_fastReset (not in shared libs)    7.11   2.568
 *      LZ4_resetStream_fast, LZ4_compress_fast_continue             8.24   2.574
 *
 * so clearing costs nothing measurable, and a stream's 32-bit positions cost more than it. A
 * capacity below LZ4's worst case, with which LZ4 checks its output as it goes, is as fast as one
 * above it (7.03), and ends early on blocks that don't fit.
 *
 * With a dictionary the table starts as the dictionary has filled it: its 16 KiB are copied instead
 * of cleared, and the block goes through the stream functions, which know what is before it.
 */
#include "compress/codecs.h"

#include <errno.h>
#include <lz4.h>
#include <string.h>

#include "common/memory.h"

/* LZ4 takes greater accelerations for this one. */
#define ACCELERATION_MAX 65537

/* No block's compressed length is greater, so more capacity than this is of no use. */
#define LENGTH_MAX LZ4_COMPRESSBOUND(BLOCK_SIZE_BYTES)

struct codec_dictionary {
    LZ4_stream_t loaded; /* what LZ4_loadDict makes of the bytes; points to them */
    size_t count;
    char bytes[];
};

struct codec_context {
    int acceleration;
    size_t bytes; /* of the whole allocation */
    const struct codec_dictionary *dictionary;
    cache_aligned unsigned char state[]; /* LZ4_sizeofState() bytes; LZ4 wants 8-byte alignment */
};

static int lz4_dictionary_create(int level, const void *bytes, size_t count,
                                 struct codec_dictionary **dictionary)
{
    *dictionary = NULL;
    if (!codec_has_level(&codec_lz4, level) || count == 0 ||
        count > LZ4_DICTIONARY_BYTES_MAX)
        return -EINVAL;
    struct codec_dictionary *created = memory_zalloc(sizeof *created + count);
    if (created == NULL)
        return -ENOMEM;
    created->count = count;
    memcpy(created->bytes, bytes, count);
    (void)LZ4_initStream(&created->loaded, sizeof created->loaded);
    (void)LZ4_loadDict(&created->loaded, created->bytes, (int)count);
    *dictionary = created;
    return 0;
}

static void lz4_dictionary_destroy(struct codec_dictionary *dictionary)
{
    memory_free(dictionary);
}

static size_t lz4_dictionary_bytes(const struct codec_dictionary *dictionary)
{
    return sizeof *dictionary + dictionary->count;
}

static size_t lz4_context_bytes(const struct codec_context *context)
{
    return context->bytes;
}

static int lz4_context_create(const struct codec_parameters *parameters,
                              struct codec_context **context)
{
    *context = NULL;
    if (!codec_has_level(&codec_lz4, parameters->level))
        return -EINVAL;
    size_t bytes = sizeof(struct codec_context);
    if (!parameters->only_decompresses)
        bytes += (size_t)LZ4_sizeofState();
    struct codec_context *created = memory_zalloc(bytes);
    if (created == NULL)
        return -ENOMEM;
    created->acceleration = parameters->level;
    created->bytes = bytes;
    created->dictionary = parameters->dictionary;
    *context = created;
    return 0;
}

static void lz4_context_destroy(struct codec_context *context)
{
    memory_free(context);
}

static int lz4_compress(struct codec_context *context, const void *source, void *target,
                        size_t target_capacity_bytes)
{
    int capacity =
        target_capacity_bytes < LENGTH_MAX ? (int)target_capacity_bytes : (int)LENGTH_MAX;
    /* Given a state and a block, LZ4 fails (returns 0) for want of capacity only. */
    int length;
    if (context->dictionary == NULL) {
        length = LZ4_compress_fast_extState(context->state, source, target, BLOCK_SIZE_BYTES,
                                            capacity, context->acceleration);
    } else {
        memcpy(context->state, &context->dictionary->loaded, sizeof context->dictionary->loaded);
        length = LZ4_compress_fast_continue((LZ4_stream_t *)(void *)context->state, source, target,
                                            BLOCK_SIZE_BYTES, capacity, context->acceleration);
    }
    return length > 0 ? length : -ENOSPC;
}

int lz4_decompress_after(const char *before, size_t before_bytes, const void *source,
                         size_t source_bytes, void *target)
{
    if (source_bytes > LENGTH_MAX)
        return -EIO;
    /* Fails unless the source ends where the block's last sequence does. */
    int length = LZ4_decompress_safe_usingDict(source, target, (int)source_bytes, BLOCK_SIZE_BYTES,
                                               before, (int)before_bytes);
    return length == BLOCK_SIZE_BYTES ? 0 : -EIO;
}

static int lz4_decompress(struct codec_context *context, const void *source, size_t source_bytes,
                          void *target)
{
    if (context != NULL && context->dictionary != NULL)
        return lz4_decompress_after(context->dictionary->bytes, context->dictionary->count, source,
                                    source_bytes, target);
    return lz4_decompress_after(NULL, 0, source, source_bytes, target);
}

const struct codec codec_lz4 = {
    .name = "lz4",
    .level_help = "acceleration: 1 is densest, greater is faster",
    .level_min = 1,
    .level_max = ACCELERATION_MAX,
    .level_default = 1,
    .decompress_needs_context = false,
    .dictionary_bytes_max = LZ4_DICTIONARY_BYTES_MAX,
    .dictionary_create = lz4_dictionary_create,
    .dictionary_destroy = lz4_dictionary_destroy,
    .dictionary_bytes = lz4_dictionary_bytes,
    .context_create = lz4_context_create,
    .context_destroy = lz4_context_destroy,
    .compress = lz4_compress,
    .decompress = lz4_decompress,
    .context_bytes = lz4_context_bytes,
};
