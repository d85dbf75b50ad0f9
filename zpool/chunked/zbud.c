/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zbud.c: the driver that keeps two objects in a page, from its left and from its right end.
 *
 * The simplest and most predictable: an object never moves unless its page is to be emptied, so
 * there is no compaction, and no page ever holds more than two. See chunked.h.
 */
#include "zpool/chunked/chunked.h"

static int zbud_create(const struct zpool_config *config, struct zpool **pool)
{
    return chunked_create(&zbud_driver, MEM_DESC_ZBUD, false, config, pool);
}

const struct zpool_driver zbud_driver = {
    .name = "zbud",
    .create = zbud_create,
    .destroy = chunked_destroy,
    .alloc = chunked_alloc,
    .free = chunked_free,
    .same_room = chunked_same_room,
    .settle = chunked_settle,
    .isolate = chunked_isolate,
    .migrate = chunked_migrate,
    .putback = chunked_putback,
    .class_statistics = chunked_class_statistics,
    .statistics = chunked_statistics,
    .validate = chunked_validate,
};
