/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * raw.h: whole pages for blocks that compress too poorly, the same for all drivers.
 *
 * A raw page has no descriptor: its mem_desc word holds the owner's block number, so such a block
 * costs its 4096 bytes, 8 bytes of word and 8 bytes of slot.
 *
 * There is no lock: a raw page belongs to the thread that has its owner's lock, or that has taken
 * it out of its slot.
 */
#ifndef UZRAM_ZPOOL_RAW_H
#define UZRAM_ZPOOL_RAW_H

#include "zpool/zpool.h"

int raw_alloc(struct zpool *pool, block_no owner, struct zpool_handle *object) must_use;
void raw_free(struct zpool *pool, struct zpool_handle object);

/* Moves the block on this raw page to another page. Returns 0, -EAGAIN (busy) or -ENOSPC. */
int raw_migrate(struct zpool *pool, pfn page, block_no owner) must_use;

/* Checks all raw pages against their owners, and their count. Nothing else may run. */
void raw_validate(struct zpool *pool, struct report *report);

#endif
