/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * units.h: the sizes and the number types that every folder shares.
 *
 *   block   4096 bytes of the device, numbered from 0 (block_no)
 *   page    4096 bytes of pool memory, numbered from 0 within its pool (pfn)
 *
 * The two sizes are equal, the two numbers are never interchangeable: hence a name for each.
 */
#ifndef UZRAM_COMMON_UNITS_H
#define UZRAM_COMMON_UNITS_H

#include <stdint.h>

#define BLOCK_SHIFT      12
#define BLOCK_SIZE_BYTES 4096u
#define PAGE_SHIFT       12
#define PAGE_SIZE_BYTES  4096u

/* A block's number. The largest device, 16 TiB, has 2^32 blocks, so 32 bits name each of them. */
typedef uint32_t block_no;
#define BLOCK_COUNT_MAX (UINT64_C(1) << 32)

/* A pool page's number. The largest pool, 16 TiB, has 2^32 pages. */
typedef uint32_t pfn;
#define PAGE_COUNT_MAX (UINT64_C(1) << 32)

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

#endif
