/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * move.c: the one primitive that moves an object. Compaction, settling and migration are loops
 * around it.
 *
 *      mover (holds the class)             what a concurrent owner can be doing
 *      ─────────────────────────────       ─────────────────────────────────────────────
 *      read the owner field                allocated, field not written: garbage, see below
 *      try_lock(owner, place)              holds the slot: refused, skipped
 *      take a place in the target          waits for the slot
 *      copy the bytes and the owner        waits for the slot
 *      moved(owner, new place)             gets the slot, finds the new place
 *      give the old place                  frees the new place: waits for the class
 *
 * A garbage owner field names no block, or a block whose slot does not name this place: refused
 * either way, because a slot names a place only after its owner field was written and only until
 * it is freed.
 */
#include <string.h>

#include "common/steps.h"
#include "zpool/zsmalloc/zsmalloc.h"

enum zs_move zs_move_locked(struct zs_pool *pool, struct zs_class *class, struct zspage *from,
                            unsigned place, struct zspage *to)
{
    const struct zpool_owner *ops = pool->pool.owner;
    void *context = pool->pool.owner_context;
    struct zpool_handle source = zspage_handle(class, from, place);
    /* relaxed: believed only once the slot confirms it. */
    block_no owner =
        atomic_load_explicit(zs_owner_field(pool, class, source), memory_order_relaxed);

    if (!ops->try_lock(context, owner, source)) {
        class->skipped++;
        return ZS_MOVE_BUSY;
    }
    step("zsmalloc: owner locked for a move");
    int taken = to->desc.used_count < class->objects ? zspage_take_locked(pool, class, to) : -1;
    if (taken < 0) {
        ops->unlock(context, owner);
        return ZS_MOVE_NO_ROOM;
    }
    struct zpool_handle target = zspage_handle(class, to, (unsigned)taken);
    memcpy(zpool_address(&pool->pool, target), zpool_address(&pool->pool, source),
           class->size_bytes - ZS_OWNER_BYTES);
    atomic_store_explicit(zs_owner_field(pool, class, target), owner, memory_order_relaxed);
    step("zsmalloc: object copied");
    ops->moved(context, owner, target);
    step("zsmalloc: object moved");
    zspage_give_locked(class, from, place);
    class->moved++;
    return ZS_MOVED;
}
