/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * codecs.h: the codecs that exist, for codec.c; others find them by name.
 */
#ifndef UZRAM_COMPRESS_CODECS_H
#define UZRAM_COMPRESS_CODECS_H

#include "compress/codec.h"

extern const struct codec codec_lz4;
extern const struct codec codec_lz4hc;
extern const struct codec codec_zstd;

/* LZ4's format can't point further back than this, nor can its tables. */
#define LZ4_DICTIONARY_BYTES_MAX ((size_t)65536)

/*
 * decompress of codec_lz4 and codec_lz4hc, which write the same format, for a block that was
 * compressed as if these bytes were before it (NULL, 0: none).
 */
int lz4_decompress_after(const char *before, size_t before_bytes, const void *source,
                         size_t source_bytes, void *target) must_use;

#endif
