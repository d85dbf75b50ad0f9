/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chunked.c: making a pool of chunked pages, taking and giving objects. Drawing: chunked.h.
 */
#include "zpool/chunked/chunked.h"

#include <errno.h>

#include "common/memory.h"
#include "common/steps.h"

int chunked_create(const struct zpool_driver *driver, enum mem_desc_type type, bool has_middle,
                   const struct zpool_config *config, struct zpool **result)
{
    struct chunked_pool *pool = memory_zalloc(sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    zpool_init(&pool->pool, driver, config, CHUNKED_OBJECT_MAX);
    pool->type = type;
    pool->has_middle = has_middle;
    descriptors_init(&pool->descriptors, config->pages, sizeof(struct chunked_page));
    lock_init(&pool->lock, LOCK_RANK_CLASS);
    for (unsigned group = 0; group < GROUP_COUNT; group++)
        list_init(&pool->group[group]);
    *result = &pool->pool;
    return 0;
}

void chunked_destroy(struct zpool *base)
{
    /* All pages, and the descriptors in them, go with the page source. */
    memory_free(chunked_pool_of(base));
}

struct chunked_page *chunked_page_for_alloc_locked(struct chunked_pool *pool, unsigned chunks,
                                                   int *error)
{
    struct chunked_page *page = chunked_page_for_locked(pool, chunks, NULL);
    return page != NULL ? page : chunked_page_create_locked(pool, error);
}

int chunked_alloc(struct zpool *base, size_t size_bytes, block_no owner,
                  struct zpool_handle *object)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    unsigned chunks = chunks_for(size_bytes);
    int error = 0;

    lock_acquire(&pool->lock);
    struct chunked_page *page = chunked_page_for_alloc_locked(pool, chunks, &error);
    if (page != NULL) {
        enum place place = chunked_page_take_locked(pool, page, chunks, owner);
        *object = chunked_page_handle(page, place);
    }
    lock_release(&pool->lock);
    return error;
}

void chunked_free(struct zpool *base, struct zpool_handle object)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    struct chunked_page *page = chunked_page_of(pool, zpool_handle_page(object));
    checked(page != NULL);

    lock_acquire(&pool->lock);
    chunked_page_give_locked(pool, page, chunked_page_place(page, object));
    /* One empty page is kept, as zsmalloc keeps an empty zspage: its next object comes soon. */
    if (page->desc.used_count == 0 && zpdesc_state(&page->desc) == ZPDESC_LISTED &&
        pool->pages[GROUP_EMPTY] > 1)
        chunked_page_destroy_locked(pool, page);
    lock_release(&pool->lock);
}

bool chunked_same_room(const struct zpool *base, size_t old_bytes, size_t new_bytes)
{
    (void)base;
    return chunks_for(old_bytes) == chunks_for(new_bytes);
}

bool chunked_class_statistics(struct zpool *base, unsigned index,
                              struct zpool_class_statistics *statistics)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    if (index > 0)
        return false;

    lock_acquire(&pool->lock);
    *statistics = (struct zpool_class_statistics){
        .size_bytes = PAGE_SIZE_BYTES,
        .objects_used = pool->objects,
        .bytes_used = pool->chunks * CHUNK_SIZE_BYTES,
        .pages_per_zspage = 1,
        .objects_per_zspage = pool->has_middle ? 3 : 2,
    };
    /* By the share of the page that is not room for another object. */
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        unsigned taken = PAGE_CHUNKS - group % ROOM_COUNT;
        statistics->zspages[taken == 0 ? 0 : taken * 10 / PAGE_CHUNKS + 1] += pool->pages[group];
        statistics->pages_used += pool->pages[group];
    }
    statistics->objects_allocated = statistics->pages_used * statistics->objects_per_zspage;
    lock_release(&pool->lock);
    return true;
}

void chunked_statistics(struct zpool *base, struct zpool_statistics *statistics)
{
    struct chunked_pool *pool = chunked_pool_of(base);
    lock_acquire(&pool->lock);
    statistics->objects_moved = pool->moved;
    statistics->moves_skipped = pool->skipped;
    statistics->pages_compacted = pool->pages_compacted;
    lock_release(&pool->lock);
    descriptors_statistics(&pool->descriptors, &statistics->descriptor_bytes,
                           &statistics->descriptors_used);
}
