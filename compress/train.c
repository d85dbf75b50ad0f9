/* SPDX-License-Identifier: BSD-3-Clause */
#include "compress/train.h"

#include <errno.h>
#include <string.h>
#include <zdict.h>
#include <zstd_errors.h>

#include "common/memory.h"
#include "compress/codecs.h"

#define SAMPLES_MIN  16
#define CAPACITY_MIN 1024

static int error_of(size_t result)
{
    return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? -ENOMEM : -ENODATA;
}

int dictionary_train(const struct codec *codec, const void *samples, size_t block_count,
                     void *target, size_t capacity_bytes, size_t *bytes)
{
    if (block_count < SAMPLES_MIN || block_count > UINT32_MAX || capacity_bytes < CAPACITY_MIN)
        return -EINVAL;
    if (capacity_bytes > codec->dictionary_bytes_max)
        capacity_bytes = codec->dictionary_bytes_max;
    size_t *lengths = memory_zalloc(block_count * sizeof *lengths);
    if (lengths == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < block_count; i++)
        lengths[i] = BLOCK_SIZE_BYTES;
    size_t length =
        ZDICT_trainFromBuffer(target, capacity_bytes, samples, lengths, (unsigned)block_count);
    memory_free(lengths);
    if (ZDICT_isError(length))
        return error_of(length);
    if (codec != &codec_zstd) {
        size_t header = ZDICT_getDictHeaderSize(target, length);
        if (ZDICT_isError(header) || header >= length)
            return -ENODATA;
        length -= header;
        memmove(target, (unsigned char *)target + header, length);
    }
    *bytes = length;
    return 0;
}
