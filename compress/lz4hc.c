/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lz4hc.c: LZ4's thorough compressor: slower to compress than lz4, as fast to decompress.
 *
 * LZ4's levels end at 12, ours at 9: from 10 on liblz4 allocates memory in each compression, which
 * a device that serves as swap can't afford, and on pages of programs' memory they gain nothing
 * (microseconds per block and ratio at 3: 25.0, 2.860; 6: 33.5, 2.905; 9: 54.0, 2.918;
 * 10: 149, 2.919; 12: 193, 2.922).
 *
 * Of the two ways to use a context again, resetting it and compressing an independent block is
 * taken, which leaves the 256 KiB of tables as they are; LZ4_compress_HC_extStateHC clears them for
 * each block, for 5 microseconds more. With a dictionary the tables have to be what it made of them
 * before each block: they are copied.
 */
#include "compress/codecs.h"

#include <errno.h>
#include <lz4hc.h>
#include <string.h>

#include "common/memory.h"

#define LEVEL_MAX 9

/* No block's compressed length is greater, so more capacity than this is of no use. */
#define LENGTH_MAX LZ4_COMPRESSBOUND(BLOCK_SIZE_BYTES)

struct codec_dictionary {
    LZ4_streamHC_t loaded; /* what LZ4_loadDictHC makes of the bytes; points to them */
    size_t count;
    char bytes[];
};

struct codec_context {
    int level;
    size_t bytes; /* of the whole allocation */
    const struct codec_dictionary *dictionary;
    LZ4_streamHC_t *stream;               /* in memory[] */
    cache_aligned unsigned char memory[]; /* LZ4_sizeofStateHC() bytes, to compress */
};

static int lz4hc_dictionary_create(int level, const void *bytes, size_t count,
                                   struct codec_dictionary **dictionary)
{
    *dictionary = NULL;
    if (!codec_has_level(&codec_lz4hc, level) || count == 0 ||
        count > LZ4_DICTIONARY_BYTES_MAX)
        return -EINVAL;
    struct codec_dictionary *created = memory_zalloc(sizeof *created + count);
    if (created == NULL)
        return -ENOMEM;
    created->count = count;
    memcpy(created->bytes, bytes, count);
    LZ4_streamHC_t *stream = LZ4_initStreamHC(&created->loaded, sizeof created->loaded);
    LZ4_resetStreamHC_fast(stream, level);
    (void)LZ4_loadDictHC(stream, created->bytes, (int)count);
    *dictionary = created;
    return 0;
}

static void lz4hc_dictionary_destroy(struct codec_dictionary *dictionary)
{
    memory_free(dictionary);
}

static size_t lz4hc_dictionary_bytes(const struct codec_dictionary *dictionary)
{
    return sizeof *dictionary + dictionary->count;
}

static size_t lz4hc_context_bytes(const struct codec_context *context)
{
    return context->bytes;
}

static int lz4hc_context_create(const struct codec_parameters *parameters,
                                struct codec_context **context)
{
    *context = NULL;
    if (!codec_has_level(&codec_lz4hc, parameters->level))
        return -EINVAL;
    size_t bytes = sizeof(struct codec_context);
    if (!parameters->only_decompresses)
        bytes += (size_t)LZ4_sizeofStateHC();
    struct codec_context *created = memory_zalloc(bytes);
    if (created == NULL)
        return -ENOMEM;
    created->level = parameters->level;
    created->bytes = bytes;
    created->dictionary = parameters->dictionary;
    if (!parameters->only_decompresses)
        created->stream = LZ4_initStreamHC(created->memory, (size_t)LZ4_sizeofStateHC());
    *context = created;
    return 0;
}

static void lz4hc_context_destroy(struct codec_context *context)
{
    memory_free(context);
}

static int lz4hc_compress(struct codec_context *context, const void *source, void *target,
                          size_t target_capacity_bytes)
{
    int capacity =
        target_capacity_bytes < LENGTH_MAX ? (int)target_capacity_bytes : (int)LENGTH_MAX;
    /* Forgets the last block, and clears the tables if its compression was given up half-way. */
    if (context->dictionary == NULL)
        LZ4_resetStreamHC_fast(context->stream, context->level);
    else
        memcpy(context->stream, &context->dictionary->loaded, sizeof context->dictionary->loaded);
    int length =
        LZ4_compress_HC_continue(context->stream, source, target, BLOCK_SIZE_BYTES, capacity);
    return length > 0 ? length : -ENOSPC;
}

static int lz4hc_decompress(struct codec_context *context, const void *source, size_t source_bytes,
                            void *target)
{
    if (context != NULL && context->dictionary != NULL)
        return lz4_decompress_after(context->dictionary->bytes, context->dictionary->count, source,
                                    source_bytes, target);
    return lz4_decompress_after(NULL, 0, source, source_bytes, target);
}

const struct codec codec_lz4hc = {
    .name = "lz4hc",
    .level_help = "effort: 9 is densest, 3 is fastest",
    .level_min = LZ4HC_CLEVEL_MIN,
    .level_max = LEVEL_MAX,
    .level_default = LZ4HC_CLEVEL_DEFAULT,
    .decompress_needs_context = false,
    .dictionary_bytes_max = LZ4_DICTIONARY_BYTES_MAX,
    .dictionary_create = lz4hc_dictionary_create,
    .dictionary_destroy = lz4hc_dictionary_destroy,
    .dictionary_bytes = lz4hc_dictionary_bytes,
    .context_create = lz4hc_context_create,
    .context_destroy = lz4hc_context_destroy,
    .compress = lz4hc_compress,
    .decompress = lz4hc_decompress,
    .context_bytes = lz4hc_context_bytes,
};
