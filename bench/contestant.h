/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * contestant.h: what the engine benchmark compares: stores of blocks, all used the same way.
 *
 *      codec    the codec alone, compressing into a buffer as large as it needs: the limit that a
 *               compressed store can reach
 *      uzram    the device, in process
 *      zram     the kernel's, by pread and pwrite (O_DIRECT) on its block device
 *      memcpy   a plain array of blocks: what no compression would cost
 *      nbd      a disk behind an NBD server's socket, whose path is the device to use
 *
 * Each is opened for a number of blocks, all empty. Different threads use different blocks.
 */
#ifndef UZRAM_BENCH_CONTESTANT_H
#define UZRAM_BENCH_CONTESTANT_H

#include <stdbool.h>
#include <stdint.h>

#include "compress/streams.h"

struct contestant;

struct contestant_kind {
    const char *name;
    bool is_in_kernel; /* its memory is not this process's */
    /*
     * NULL, with *reason set, if it can't be had here: no device, not root, no such algorithm.
     * `device`: the block device to use, NULL: any that is free.
     */
    struct contestant *(*open)(uint64_t blocks, const struct algorithm *algorithm,
                               const char *device, const char **reason);
    /*
     * One request for `count` blocks from `block` on. Returns 0 or a negative errno. Buffers are as
     * large, and aligned to 4096.
     */
    int (*write)(struct contestant *contestant, uint64_t block, unsigned count, const void *buffer);
    int (*read)(struct contestant *contestant, uint64_t block, unsigned count, void *buffer);
    /* Bytes of memory it takes now, with all overhead; 0: it has no answer. */
    uint64_t (*memory_bytes)(struct contestant *contestant);
    /* Bytes of compressed data it says it holds; 0: it has no answer. */
    uint64_t (*compressed_bytes)(struct contestant *contestant);
    void (*close)(struct contestant *contestant);
};

extern const struct contestant_kind contestant_codec, contestant_uzram, contestant_zram,
    contestant_memcpy, contestant_nbd;

#endif
