/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * z3fold.c: the driver that keeps up to three objects in a page: at its ends, and between.
 *
 * Compaction closes gaps beside the middle object and moves objects that are alone in their page to
 * another. The kernel's z3fold had four locks, two work queues and "headless" pages for larger
 * objects; here it is one lock, the maintenance thread, and raw pages (raw.h). See chunked.h.
 */
#include "zpool/chunked/chunked.h"

static int z3fold_create(const struct zpool_config *config, struct zpool **pool)
{
    return chunked_create(&z3fold_driver, MEM_DESC_Z3FOLD, true, config, pool);
}

const struct zpool_driver z3fold_driver = {
    .name = "z3fold",
    .create = z3fold_create,
    .destroy = chunked_destroy,
    .alloc = chunked_alloc,
    .free = chunked_free,
    .same_room = chunked_same_room,
    .compact = chunked_compact,
    .settle = chunked_settle,
    .isolate = chunked_isolate,
    .migrate = chunked_migrate,
    .putback = chunked_putback,
    .class_statistics = chunked_class_statistics,
    .statistics = chunked_statistics,
    .validate = chunked_validate,
};
