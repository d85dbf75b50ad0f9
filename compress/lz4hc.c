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
 * each block, for 5 microseconds more.
 */
#include "compress/codecs.h"

#include <errno.h>
#include <lz4hc.h>

#include "common/memory.h"

#define LEVEL_MAX 9

/* No block's compressed length is greater, so more capacity than this is of no use. */
#define LENGTH_MAX LZ4_COMPRESSBOUND(BLOCK_SIZE_BYTES)

struct codec_context {
    int level;
    LZ4_streamHC_t *stream;               /* in memory[] */
    cache_aligned unsigned char memory[]; /* LZ4_sizeofStateHC() bytes */
};

static size_t lz4hc_context_bytes(const struct codec_context *context)
{
    (void)context;
    return sizeof(struct codec_context) + (size_t)LZ4_sizeofStateHC();
}

static int lz4hc_context_create(int level, struct codec_context **context)
{
    *context = NULL;
    if (!codec_has_level(&codec_lz4hc, level))
        return -EINVAL;
    struct codec_context *created = memory_zalloc(lz4hc_context_bytes(NULL));
    if (created == NULL)
        return -ENOMEM;
    created->level = level;
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
    LZ4_resetStreamHC_fast(context->stream, context->level);
    int length =
        LZ4_compress_HC_continue(context->stream, source, target, BLOCK_SIZE_BYTES, capacity);
    return length > 0 ? length : -ENOSPC;
}

const struct codec codec_lz4hc = {
    .name = "lz4hc",
    .level_help = "effort: 9 is densest, 3 is fastest",
    .level_min = LZ4HC_CLEVEL_MIN,
    .level_max = LEVEL_MAX,
    .level_default = LZ4HC_CLEVEL_DEFAULT,
    .decompress_needs_context = false,
    .context_create = lz4hc_context_create,
    .context_destroy = lz4hc_context_destroy,
    .compress = lz4hc_compress,
    .decompress = lz4_block_decompress,
    .context_bytes = lz4hc_context_bytes,
};
