/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * descriptors.h: type-stable memory for the descriptors that mem_desc words point at.
 *
 *      page (mem_desc type DESCRIPTOR) ─▶ [ descriptor | descriptor | … ]   free ones are chained
 *
 * Once a page holds descriptors of a cache it does so while the cache lives: a thread that found a
 * descriptor in a mem_desc word without holding a lock may always read it, and finds either the
 * descriptor it looked for, a later one of the same type, or a free one. For that to be of use the
 * owner keeps a state in the descriptor, outside its first 8 bytes, which the chain of free
 * descriptors uses; a new page is zero throughout, so state 0 should mean "free".
 *
 * Each call takes the cache's own lock (LOCK_RANK_DESCRIPTORS) and, when a page is needed, the
 * page source's, not at the same time.
 */
#ifndef UZRAM_PAGES_DESCRIPTORS_H
#define UZRAM_PAGES_DESCRIPTORS_H

#include "common/lock.h"
#include "pages/pages.h"

struct descriptors {
    struct pages *pages;
    struct lock lock;
    size_t size_bytes;
    void *free_chain;
    uint64_t page_count; /* pages cut into descriptors */
    uint64_t used_count; /* descriptors handed out */
} cache_aligned;         /* mem_desc words point at it */

/* Prepares an empty cache; size_bytes is a multiple of MEM_DESC_ALIGNMENT, at most a page. */
void descriptors_init(struct descriptors *cache, struct pages *pages, size_t size_bytes);

/*
 * A descriptor, or NULL when the page source has no page for it. Its content is what its last
 * owner left, but for the first 8 bytes.
 */
void *descriptors_alloc(struct descriptors *cache) must_use;

void descriptors_free(struct descriptors *cache, void *descriptor);

/* Whether the address is that of a descriptor of this cache, handed out or not: for validators. */
bool descriptors_has(const struct descriptors *cache, const void *address);

/* Checks words, free chain and counts against each other; nothing else may run. */
void descriptors_validate(struct descriptors *cache, struct report *report);

/* Bytes of all pages that hold descriptors, and the number handed out. */
void descriptors_statistics(struct descriptors *cache, uint64_t *bytes, uint64_t *used_count);

#endif
