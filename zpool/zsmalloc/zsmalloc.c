/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsmalloc.c: the driver: making a pool, taking and giving objects. Drawing: zsmalloc.h.
 */
#include "zpool/zsmalloc/zsmalloc.h"

#include <errno.h>

#include "common/memory.h"
#include "common/steps.h"

static void class_init(struct zs_class *class, unsigned index, const struct zs_class_shape *shape)
{
    lock_init(&class->lock, LOCK_RANK_CLASS);
    class->index = (uint8_t)index;
    class->size_bytes = shape->size_bytes;
    class->objects = shape->objects;
    class->pages = shape->pages;
    class->reciprocal = UINT32_MAX / shape->size_bytes + 1;
    for (unsigned group = 0; group < ZS_GROUP_COUNT; group++)
        list_init(&class->group[group]);
}

static int zs_create(const struct zpool_config *config, struct zpool **result)
{
    struct zs_class_table table;
    zs_class_table_init(&table, config->zspage_pages_max);
    unsigned classes = table.count - 1; /* the last one, whole pages, is raw.c's business */

    struct zs_pool *pool = memory_zalloc(sizeof *pool + classes * sizeof pool->class[0]);
    if (pool == NULL)
        return -ENOMEM;
    zpool_init(&pool->pool, &zsmalloc_driver, config,
               classes > 0 ? table.shape[classes - 1].size_bytes - ZS_OWNER_BYTES : 0);
    pool->table = table;
    descriptors_init(&pool->zspages, config->pages, sizeof(struct zspage));
    for (unsigned i = 0; i < classes; i++)
        class_init(&pool->class[i], i, &table.shape[i]);
    *result = &pool->pool;
    return 0;
}

static void zs_destroy(struct zpool *base)
{
    /* All pages, and the descriptors in them, go with the page source. */
    memory_free(zs_pool_of(base));
}

static struct zs_class *class_for(struct zs_pool *pool, size_t size_bytes)
{
    return &pool->class[zs_class_index(&pool->table, size_bytes + ZS_OWNER_BYTES)];
}

struct zspage *zs_zspage_for_alloc_locked(struct zs_pool *pool, struct zs_class *class, int *error)
{
    struct zspage *zspage = zspage_fullest_locked(class, NULL);
    if (likely(zspage != NULL))
        return zspage;
    if (!list_is_empty(&class->group[ZS_GROUP_EMPTY]))
        return container_of(class->group[ZS_GROUP_EMPTY].next, struct zspage, desc.list);
    return zspage_create_locked(pool, class, error);
}

static int zs_alloc(struct zpool *base, size_t size_bytes, block_no owner,
                    struct zpool_handle *object)
{
    struct zs_pool *pool = zs_pool_of(base);
    struct zs_class *class = class_for(pool, size_bytes);
    int place = -ENOSPC;

    lock_acquire(&class->lock);
    struct zspage *zspage = zs_zspage_for_alloc_locked(pool, class, &place);
    if (likely(zspage != NULL)) {
        place = zspage_take_locked(pool, class, zspage);
        if (likely(place >= 0))
            *object = zspage_handle(class, zspage, (unsigned)place);
    }
    lock_release(&class->lock);
    if (place < 0)
        return place;

    step("zsmalloc: place taken, owner not written");
    atomic_store_explicit(zs_owner_field(pool, class, *object), owner, memory_order_relaxed);
    return 0;
}

/*
 * A class keeps one empty zspage for its next allocation: without it, a class whose last object is
 * freed and taken in turn would make and destroy a zspage each time.
 */
static bool is_the_only_empty_one(struct zs_class *class, const struct zspage *zspage)
{
    const struct list *empty = &class->group[ZS_GROUP_EMPTY];
    return empty->next == &zspage->desc.list && zspage->desc.list.next == empty;
}

static void zs_free(struct zpool *base, struct zpool_handle object)
{
    struct zs_pool *pool = zs_pool_of(base);
    struct zspage *zspage = zspage_of_page(pool, zpool_handle_page(object));
    checked(zspage != NULL);
    struct zs_class *class = &pool->class[zpdesc_class(&zspage->desc)];

    lock_acquire(&class->lock);
    zspage_give_locked(class, zspage, zspage_place(class, zspage, object));
    if (unlikely(zspage->desc.used_count == 0) && zpdesc_state(&zspage->desc) == ZPDESC_LISTED &&
        !is_the_only_empty_one(class, zspage))
        zspage_destroy_locked(pool, class, zspage);
    lock_release(&class->lock);
}

static bool zs_same_room(const struct zpool *base, size_t old_bytes, size_t new_bytes)
{
    const struct zs_pool *pool = container_of(base, const struct zs_pool, pool);
    return zs_class_index(&pool->table, old_bytes + ZS_OWNER_BYTES) ==
           zs_class_index(&pool->table, new_bytes + ZS_OWNER_BYTES);
}

const struct zpool_driver zsmalloc_driver = {
    .name = "zsmalloc",
    .create = zs_create,
    .destroy = zs_destroy,
    .alloc = zs_alloc,
    .free = zs_free,
    .same_room = zs_same_room,
    .compact = zs_compact,
    .settle = zs_settle,
    .isolate = zs_isolate,
    .migrate = zs_migrate,
    .putback = zs_putback,
    .class_statistics = zs_class_statistics,
    .statistics = zs_statistics,
    .validate = zs_validate,
};
