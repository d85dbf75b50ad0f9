/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zstd.c: Zstandard, dense and still fast to decompress.
 *
 * A block becomes one frame without magic number, content size, checksum and dictionary ID: two
 * bytes of frame header and three of block header are all that is added, instead of twelve.
 *
 * A context holds both directions in one allocation. They are "static" contexts, which the library
 * promises never to enlarge; the compressor's is sized for one block at its level (70 KiB at level
 * 1, 270 KiB at 22; sized by level alone it would be 570 KiB to 650 MiB):
 *
 *      struct codec_context │ compressor's workspace │ decompressor's workspace (94 KiB)
 */
#define ZSTD_STATIC_LINKING_ONLY /* for the names of experimental parameters; all are exported */

#include "compress/codecs.h"

#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "common/memory.h"

/*
 * zstd's own range starts at -131072, but a level -n moves on by n bytes after each miss, and a
 * block is short: pages of programs' memory shrink to 1/3.7 at level 1, 1/2.5 at -5, 1/1.09 at
 * -100.
 */
#define LEVEL_MIN (-100)
#define LEVEL_MAX 22

/* The frame format, RFC 8878, 3.1.1. */
#define FRAME_HEADER_BYTES       2 /* descriptor, window */
#define FRAME_DESCRIPTOR         0 /* no content size, checksum, dictionary ID */
#define BLOCK_HEADER_BYTES       3
#define BLOCK_TYPE_REPEATED_BYTE 1

/* zstd wants 8; a cache line keeps the two workspaces apart. */
#define WORKSPACE_ALIGNMENT 64u

struct codec_context {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    size_t bytes; /* of the whole allocation */
    cache_aligned unsigned char workspaces[];
};

static size_t aligned(size_t bytes)
{
    return (bytes + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
}

/* Refused only by a library that does not know the parameter: a different, older zstd. */
static int set_parameters(struct codec_context *context, int level)
{
    static const struct {
        ZSTD_cParameter name;
        int value;
    } frame[] = {
        {ZSTD_c_format, ZSTD_f_zstd1_magicless},
        {ZSTD_c_contentSizeFlag, 0},
        {ZSTD_c_checksumFlag, 0},
        {ZSTD_c_dictIDFlag, 0},
    };
    for (size_t i = 0; i < array_count(frame); i++) {
        if (ZSTD_isError(
                ZSTD_CCtx_setParameter(context->compressor, frame[i].name, frame[i].value)))
            return -EINVAL;
    }
    if (ZSTD_isError(ZSTD_CCtx_setParameter(context->compressor, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(
            ZSTD_DCtx_setParameter(context->decompressor, ZSTD_d_format, ZSTD_f_zstd1_magicless)))
        return -EINVAL;
    return 0;
}

static int zstd_context_create(int level, struct codec_context **context)
{
    *context = NULL;
    if (!codec_has_level(&codec_zstd, level))
        return -EINVAL;

    /* What ZSTD_compress2 derives from the level, too, when it is handed one block. */
    ZSTD_compressionParameters parameters = ZSTD_getCParams(level, BLOCK_SIZE_BYTES, 0);
    size_t compressor_bytes = aligned(ZSTD_estimateCCtxSize_usingCParams(parameters));
    size_t decompressor_bytes = aligned(ZSTD_estimateDCtxSize());
    size_t bytes = sizeof(struct codec_context) + compressor_bytes + decompressor_bytes;

    struct codec_context *created = memory_zalloc(bytes);
    if (created == NULL)
        return -ENOMEM;
    created->bytes = bytes;
    created->compressor = ZSTD_initStaticCCtx(created->workspaces, compressor_bytes);
    created->decompressor =
        ZSTD_initStaticDCtx(created->workspaces + compressor_bytes, decompressor_bytes);
    int error = set_parameters(created, level);
    if (error != 0) {
        memory_free(created);
        return error;
    }
    *context = created;
    return 0;
}

static void zstd_context_destroy(struct codec_context *context)
{
    memory_free(context);
}

static int zstd_compress(struct codec_context *context, const void *source, void *target,
                         size_t target_capacity_bytes)
{
    size_t length = ZSTD_compress2(context->compressor, target, target_capacity_bytes, source,
                                   BLOCK_SIZE_BYTES);
    if (likely(!ZSTD_isError(length)))
        return (int)length;
    return ZSTD_getErrorCode(length) == ZSTD_error_dstSize_tooSmall ? -ENOSPC : -EIO;
}

/*
 * True if the bytes are one frame as zstd_compress writes it, from its first byte to its last. The
 * library leaves it to us: it would go on to a second frame, and before each frame libzstd 1.5.4
 * looks for the four bytes of a magic number, even where the source ends earlier and though there
 * is none. A first byte of 0 rules out all that it looks for.
 */
static bool is_one_frame(const unsigned char *source, size_t source_bytes)
{
    if (source_bytes < FRAME_HEADER_BYTES || source[0] != FRAME_DESCRIPTOR)
        return false;
    size_t at = FRAME_HEADER_BYTES;
    bool is_last = false;
    while (!is_last) {
        if (source_bytes - at < BLOCK_HEADER_BYTES)
            return false;
        /* 24 bits, lowest first: last 1 | type 2 | length 21 */
        uint32_t header =
            source[at] | (uint32_t)source[at + 1] << 8 | (uint32_t)source[at + 2] << 16;
        at += BLOCK_HEADER_BYTES;
        is_last = (header & 1) != 0;
        uint32_t length = (header >> 1 & 3) == BLOCK_TYPE_REPEATED_BYTE ? 1 : header >> 3;
        if (source_bytes - at < length)
            return false;
        at += length;
    }
    return at == source_bytes;
}

static int zstd_decompress(struct codec_context *context, const void *source, size_t source_bytes,
                           void *target)
{
    if (!is_one_frame(source, source_bytes))
        return -EIO;
    size_t length =
        ZSTD_decompressDCtx(context->decompressor, target, BLOCK_SIZE_BYTES, source, source_bytes);
    return length == BLOCK_SIZE_BYTES ? 0 : -EIO;
}

static size_t zstd_context_bytes(const struct codec_context *context)
{
    return context->bytes;
}

const struct codec codec_zstd = {
    .name = "zstd",
    .level_help = "effort: 22 is densest, below 0 is fastest",
    .level_min = LEVEL_MIN,
    .level_max = LEVEL_MAX,
    .level_default = ZSTD_CLEVEL_DEFAULT,
    .decompress_needs_context = true,
    .context_create = zstd_context_create,
    .context_destroy = zstd_context_destroy,
    .compress = zstd_compress,
    .decompress = zstd_decompress,
    .context_bytes = zstd_context_bytes,
};
