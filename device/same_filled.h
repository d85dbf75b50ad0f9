/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * same_filled.h: blocks that are one 64-bit word over and over, which need no pool memory.
 */
#ifndef UZRAM_DEVICE_SAME_FILLED_H
#define UZRAM_DEVICE_SAME_FILLED_H

#include "common/compiler.h"

/* Whether the BLOCK_SIZE_BYTES at block (any alignment) repeat one word; *pattern is the word. */
bool same_filled_detect(const void *block, uint64_t *pattern);

/* Fills `count` bytes with what a block of this pattern has from byte `offset` on. */
void same_filled_fill(void *target, uint64_t pattern, size_t offset, size_t count);

#endif
