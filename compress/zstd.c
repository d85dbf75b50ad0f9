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
 *
 * A dictionary's tables are made once, for both directions, "static" too: libzstd 1.5.4 crashes if
 * memory is refused while it makes others. A block is so short that the library always uses the
 * compressor's tables where they are, rather than copying them ("attaches" them).
 */
#define ZSTD_STATIC_LINKING_ONLY /* for the names of experimental parameters; all are exported */

#include "compress/codecs.h"

#include <errno.h>
#include <string.h>
#include <zdict.h>
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

/* A context's size depends on it; more is no gain for blocks of 4 KiB. */
#define DICTIONARY_BYTES_MAX ((size_t)1 << 20)

/* zstd wants 8; a cache line keeps the two workspaces apart. */
#define WORKSPACE_ALIGNMENT 64u

struct codec_dictionary {
    const ZSTD_CDict *to_compress;
    const ZSTD_DDict *to_decompress;
    size_t bytes; /* of the whole allocation */
    cache_aligned unsigned char tables[];
};

struct codec_context {
    ZSTD_CCtx *compressor; /* NULL: only decompresses */
    ZSTD_DCtx *decompressor;
    size_t bytes; /* of the whole allocation */
    cache_aligned unsigned char workspaces[];
};

static size_t aligned(size_t bytes)
{
    return (bytes + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
}

static void zstd_dictionary_destroy(struct codec_dictionary *dictionary)
{
    memory_free(dictionary);
}

/* Whether the bytes claim to be a dictionary in zstd's own format, but the library can't read it.
 */
static bool is_broken_dictionary(const void *bytes, size_t count)
{
    uint32_t magic = 0;
    if (count >= sizeof magic)
        memcpy(&magic, bytes, sizeof magic);
    return magic == ZSTD_MAGIC_DICTIONARY && ZSTD_isError(ZDICT_getDictHeaderSize(bytes, count));
}

static int zstd_dictionary_create(int level, const void *bytes, size_t count,
                                  struct codec_dictionary **dictionary)
{
    *dictionary = NULL;
    if (!codec_has_level(&codec_zstd, level) || count == 0 || count > DICTIONARY_BYTES_MAX ||
        is_broken_dictionary(bytes, count))
        return -EINVAL;

    ZSTD_compressionParameters parameters = ZSTD_getCParams(level, BLOCK_SIZE_BYTES, count);
    size_t to_compress =
        aligned(ZSTD_estimateCDictSize_advanced(count, parameters, ZSTD_dlm_byCopy));
    size_t to_decompress = aligned(ZSTD_estimateDDictSize(count, ZSTD_dlm_byCopy));
    struct codec_dictionary *created = memory_zalloc(sizeof *created + to_compress + to_decompress);
    if (created == NULL)
        return -ENOMEM;
    created->bytes = sizeof *created + to_compress + to_decompress;
    created->to_compress = ZSTD_initStaticCDict(created->tables, to_compress, bytes, count,
                                                ZSTD_dlm_byCopy, ZSTD_dct_auto, parameters);
    created->to_decompress = ZSTD_initStaticDDict(created->tables + to_compress, to_decompress,
                                                  bytes, count, ZSTD_dlm_byCopy, ZSTD_dct_auto);
    if (created->to_compress == NULL || created->to_decompress == NULL) {
        memory_free(created);
        return -EINVAL;
    }
    *dictionary = created;
    return 0;
}

static size_t zstd_dictionary_bytes(const struct codec_dictionary *dictionary)
{
    return dictionary->bytes;
}

/*
 * Refused only by a library that does not know the parameter: a different, older zstd. The level is
 * for blocks without a dictionary; with one, its tables have it.
 */
static int set_compressor(struct codec_context *context, const struct codec_parameters *parameters)
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
    if (ZSTD_isError(ZSTD_CCtx_setParameter(context->compressor, ZSTD_c_compressionLevel,
                                            parameters->level)))
        return -EINVAL;
    const struct codec_dictionary *dictionary = parameters->dictionary;
    if (dictionary != NULL &&
        ZSTD_isError(ZSTD_CCtx_refCDict(context->compressor, dictionary->to_compress)))
        return -EINVAL;
    return 0;
}

static int set_decompressor(struct codec_context *context,
                            const struct codec_dictionary *dictionary)
{
    if (ZSTD_isError(
            ZSTD_DCtx_setParameter(context->decompressor, ZSTD_d_format, ZSTD_f_zstd1_magicless)))
        return -EINVAL;
    if (dictionary != NULL &&
        ZSTD_isError(ZSTD_DCtx_refDDict(context->decompressor, dictionary->to_decompress)))
        return -EINVAL;
    return 0;
}

static size_t compressor_bytes_of(const struct codec_parameters *parameters)
{
    if (parameters->only_decompresses)
        return 0;
    /* What ZSTD_compress2 derives from the level, too, when it is handed one block. */
    ZSTD_compressionParameters derived = ZSTD_getCParams(parameters->level, BLOCK_SIZE_BYTES, 0);
    size_t bytes = ZSTD_estimateCCtxSize_usingCParams(derived);
    if (parameters->dictionary != NULL) {
        /* Those that the dictionary's tables were made with: the greater of the two will do. */
        derived = ZSTD_getCParams(parameters->level, BLOCK_SIZE_BYTES, DICTIONARY_BYTES_MAX);
        size_t with_dictionary = ZSTD_estimateCCtxSize_usingCParams(derived);
        bytes = with_dictionary > bytes ? with_dictionary : bytes;
    }
    return aligned(bytes);
}

static int zstd_context_create(const struct codec_parameters *parameters,
                               struct codec_context **context)
{
    *context = NULL;
    if (!codec_has_level(&codec_zstd, parameters->level))
        return -EINVAL;

    size_t compressor_bytes = compressor_bytes_of(parameters);
    size_t decompressor_bytes = aligned(ZSTD_estimateDCtxSize());
    size_t bytes = sizeof(struct codec_context) + compressor_bytes + decompressor_bytes;

    struct codec_context *created = memory_zalloc(bytes);
    if (created == NULL)
        return -ENOMEM;
    created->bytes = bytes;
    if (!parameters->only_decompresses)
        created->compressor = ZSTD_initStaticCCtx(created->workspaces, compressor_bytes);
    created->decompressor =
        ZSTD_initStaticDCtx(created->workspaces + compressor_bytes, decompressor_bytes);
    int error = set_decompressor(created, parameters->dictionary);
    if (error == 0 && !parameters->only_decompresses)
        error = set_compressor(created, parameters);
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
    .dictionary_bytes_max = DICTIONARY_BYTES_MAX,
    .dictionary_create = zstd_dictionary_create,
    .dictionary_destroy = zstd_dictionary_destroy,
    .dictionary_bytes = zstd_dictionary_bytes,
    .context_create = zstd_context_create,
    .context_destroy = zstd_context_destroy,
    .compress = zstd_compress,
    .decompress = zstd_decompress,
    .context_bytes = zstd_context_bytes,
};
