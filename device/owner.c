/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * owner.c: a pool's movers ask for a block's slot here. Contract: zpool.h.
 *
 * Between try_lock and moved the slot's word is locked, so it can be read again rather than kept.
 */
#include "device/device_internal.h"

static bool owner_try_lock(void *context, block_no owner, struct zpool_handle object)
{
    struct device *device = context;
    struct slot slot;
    return slot_lock_try(&device->slots, owner, object, &slot);
}

static void owner_moved(void *context, block_no owner, struct zpool_handle to)
{
    struct device *device = context;
    struct slot slot = slot_peek(&device->slots, owner);
    slot_unlock(&device->slots, owner, slot_moved_to(slot, to));
}

static void owner_unlock(void *context, block_no owner)
{
    struct device *device = context;
    slot_unlock(&device->slots, owner, slot_peek(&device->slots, owner));
}

const struct zpool_owner device_owner = {
    .try_lock = owner_try_lock,
    .moved = owner_moved,
    .unlock = owner_unlock,
};
