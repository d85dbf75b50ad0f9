/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * train.h: a dictionary made of sample blocks.
 *
 * By libzstd's trainer (ZDICT, the "fast cover" algorithm), which looks for what many samples have
 * in common. For zstd the result is in its dictionary format, with entropy tables; the other codecs
 * take the content alone.
 */
#ifndef UZRAM_COMPRESS_TRAIN_H
#define UZRAM_COMPRESS_TRAIN_H

#include <stddef.h>

#include "common/compiler.h"
#include "compress/codec.h"

/*
 * Makes a dictionary for a codec from block_count samples of BLOCK_SIZE_BYTES each, in at most
 * capacity_bytes at target. Allocates while it works, a few times the samples' size; takes seconds
 * for tens of megabytes. Returns 0; -EINVAL (fewer than 16 samples, or a capacity below 1024);
 * -ENODATA if the samples have nothing in common, or are too few for so long a dictionary; -ENOMEM.
 */
int dictionary_train(const struct codec *codec, const void *samples, size_t block_count,
                     void *target, size_t capacity_bytes, size_t *bytes) must_use;

#endif
