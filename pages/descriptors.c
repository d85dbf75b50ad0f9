/* SPDX-License-Identifier: BSD-3-Clause */
#include "pages/descriptors.h"

/* The chain goes through the first 8 bytes. Readers without a lock may look: atomic, relaxed. */
static void *chain_next(void *descriptor)
{
    return atomic_load_explicit((void *_Atomic *)descriptor, memory_order_relaxed);
}

static void chain_push(struct descriptors *cache, void *descriptor)
{
    atomic_store_explicit((void *_Atomic *)descriptor, cache->free_chain, memory_order_relaxed);
    cache->free_chain = descriptor;
}

void descriptors_init(struct descriptors *cache, struct pages *pages, size_t size_bytes)
{
    checked(size_bytes % MEM_DESC_ALIGNMENT == 0 && size_bytes <= PAGE_SIZE_BYTES);
    *cache = (struct descriptors){.pages = pages, .size_bytes = size_bytes};
    lock_init(&cache->lock, LOCK_RANK_DESCRIPTORS);
}

static void *pop(struct descriptors *cache)
{
    lock_acquire(&cache->lock);
    void *descriptor = cache->free_chain;
    if (descriptor != NULL) {
        cache->free_chain = chain_next(descriptor);
        cache->used_count++;
    }
    lock_release(&cache->lock);
    return descriptor;
}

/* Cuts a new page into descriptors. False: there is none. */
static bool grow(struct descriptors *cache)
{
    struct page_run run;
    struct mem_desc desc;
    if (pages_alloc(cache->pages, 1, PAGE_UNMOVABLE, &run) != 0)
        return false;
    if (pages_touch(cache->pages, &run, 1) != 0) {
        pages_free(cache->pages, &run);
        return false;
    }
    bool packed = mem_desc_pack_pointer(MEM_DESC_DESCRIPTOR, cache, &desc);
    checked(packed);
    (void)packed;
    pages_describe(cache->pages, &run, desc);
    char *page = pages_address(pages_map(cache->pages), run.first);

    lock_acquire(&cache->lock);
    for (size_t at = PAGE_SIZE_BYTES / cache->size_bytes; at-- > 0;)
        chain_push(cache, page + at * cache->size_bytes);
    cache->page_count++;
    lock_release(&cache->lock);
    return true;
}

void *descriptors_alloc(struct descriptors *cache)
{
    void *descriptor = pop(cache);
    while (descriptor == NULL) {
        if (!grow(cache))
            return NULL;
        descriptor = pop(cache);
    }
    return descriptor;
}

void descriptors_free(struct descriptors *cache, void *descriptor)
{
    lock_acquire(&cache->lock);
    chain_push(cache, descriptor);
    cache->used_count--;
    lock_release(&cache->lock);
}

bool descriptors_has(const struct descriptors *cache, const void *address)
{
    const struct page_map *map = pages_map(cache->pages);
    uintptr_t offset = (uintptr_t)address - (uintptr_t)map->base;
    if (offset >= map->page_count * PAGE_SIZE_BYTES)
        return false;
    size_t in_page = offset % PAGE_SIZE_BYTES;
    struct mem_desc desc = pages_desc(map, (pfn)(offset >> PAGE_SHIFT));
    return mem_desc_type(desc) == MEM_DESC_DESCRIPTOR && mem_desc_pointer(desc) == cache &&
           in_page % cache->size_bytes == 0 && in_page + cache->size_bytes <= PAGE_SIZE_BYTES;
}

void descriptors_validate(struct descriptors *cache, struct report *report)
{
    const struct page_map *map = pages_map(cache->pages);
    struct pages_account account;
    pages_account(cache->pages, &account);
    uint64_t end = (account.arenas_active + account.arenas_retired) * ARENA_PAGES, words = 0;
    for (uint64_t page = 0; page < end; page++) {
        struct mem_desc desc = pages_desc(map, (pfn)page);
        words += mem_desc_type(desc) == MEM_DESC_DESCRIPTOR && mem_desc_pointer(desc) == cache;
    }
    if (words != cache->page_count)
        report_fault(
            report, "%llu pages say that they hold descriptors of %zu bytes, expected %llu",
            (unsigned long long)words, cache->size_bytes, (unsigned long long)cache->page_count);

    uint64_t total = cache->page_count * (PAGE_SIZE_BYTES / cache->size_bytes), chained = 0;
    void *free = cache->free_chain;
    for (; free != NULL && descriptors_has(cache, free) && chained < total; chained++)
        free = chain_next(free);
    if (free != NULL)
        report_fault(report, "the chain of free descriptors leads to %p, expected one, or its end",
                     free);
    if (chained + cache->used_count != total)
        report_fault(report, "%llu descriptors are used, %llu free, expected %llu in all",
                     (unsigned long long)cache->used_count, (unsigned long long)chained,
                     (unsigned long long)total);
}

void descriptors_statistics(struct descriptors *cache, uint64_t *bytes, uint64_t *used_count)
{
    lock_acquire(&cache->lock);
    *bytes = cache->page_count * PAGE_SIZE_BYTES;
    *used_count = cache->used_count;
    lock_release(&cache->lock);
}
