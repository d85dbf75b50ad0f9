/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * streams.h: a bounded set of codec contexts that threads borrow.
 *
 *      struct streams
 *        ├─ stream 0: one context per algorithm + scratch for one block   (a cache line of its own)
 *        ├─ stream 1
 *        └─ …  as many as there are CPUs, because more could not run at once
 *
 * A borrower tries the stream of the CPU it runs on, then the others, then sleeps until one is
 * returned. The number of streams bounds the codecs' memory, whatever the number of threads.
 *
 * Lock order: a stream is borrowed before any slot is locked, never while holding one (two threads
 * that wait for each other's slot and stream would never wake).
 */
#ifndef UZRAM_COMPRESS_STREAMS_H
#define UZRAM_COMPRESS_STREAMS_H

#include <stddef.h>

#include "common/compiler.h"
#include "common/units.h"
#include "compress/codec.h"

/*
 * What blocks are written with, what they are recompressed with, and what is left of such after a
 * change until no block needs it.
 */
#define ALGORITHM_COUNT_MAX 8

/* One configured algorithm; its index in the array is what a slot stores. codec NULL: unused. */
struct algorithm {
    const struct codec *codec;
    int level;
    const struct codec_dictionary *dictionary; /* of the codec and level, or NULL */
    bool only_decompresses;                    /* these streams never compress with it */
};

/* True if a block can be restored with a NULL context, and so without a stream. */
static inline bool algorithm_decompresses_alone(const struct algorithm *algorithm)
{
    return !algorithm->codec->decompress_needs_context && algorithm->dictionary == NULL;
}

/* What a borrower holds, its own until it is returned. */
struct stream {
    unsigned char *scratch; /* 2 * BLOCK_SIZE_BYTES, 64-byte aligned: a compressed result */
    unsigned char *block;   /* BLOCK_SIZE_BYTES, 64-byte aligned: a block being edited */
    struct codec_context *context[ALGORITHM_COUNT_MAX]; /* NULL where the algorithm is unused */
};

struct streams;

/*
 * Makes `count` streams (0: as many as this process may use CPUs) with a context for each used
 * algorithm. Returns 0, -EINVAL (a level) or -ENOMEM with nothing left behind; *streams is NULL
 * then.
 */
int streams_create(const struct algorithm algorithms[ALGORITHM_COUNT_MAX], size_t count,
                   struct streams **streams) must_use;

/* Frees all; every stream must have been returned. NULL is allowed. */
void streams_destroy(struct streams *streams);

/* Borrows a stream; sleeps while all are lent. Never fails. */
struct stream *stream_borrow(struct streams *streams) must_use;

/* Gives it back and wakes one sleeper, if there is one. */
void stream_return(struct streams *streams, struct stream *stream);

/*
 * Changes algorithm `index` of all streams; codec NULL: to none. The new contexts are made first,
 * then all streams are waited for and held at once, and `changed` (or NULL) is called: no thread
 * has a stream then, and whoever borrows one from then on sees what it has done. One change at a
 * time; the caller holds no stream and no slot. Returns 0, -EINVAL (level), or -ENOMEM with nothing
 * changed.
 */
int streams_change(struct streams *streams, unsigned index, const struct algorithm *algorithm,
                   void (*changed)(void *context), void *context) must_use;

size_t streams_count(const struct streams *streams);

/* Bytes of all contexts and scratch memory. */
size_t streams_bytes(const struct streams *streams);

#endif
