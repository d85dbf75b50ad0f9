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

/* decompress of codec_lz4, and of codec_lz4hc, which writes the same format. */
int lz4_block_decompress(struct codec_context *context, const void *source, size_t source_bytes,
                         void *target) must_use;

#endif
