/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * admin.c: what is changed of a device while it lives. Whatever needs that no request is under way
 * holds `reclaim` and has seen no connection: connections come and go under the same lock.
 */
#include <errno.h>
#include <string.h>

#include "device/device_internal.h"

/* Steps of one compaction: more means that objects stay busy. */
#define COMPACT_STEPS_MAX 65536

/* Pages given back between which a writer that looks for memory has its turn. */
#define GIVE_BACK_PAGES 1024

/* Relaxed: the lock orders them; statistics read the number without it. */
static void add_connections(struct device *device, uint64_t count)
{
    lock_acquire(&device->reclaim);
    atomic_fetch_add_explicit(&device->connections, count, memory_order_relaxed);
    lock_release(&device->reclaim);
}

void device_connect(struct device *device)
{
    add_connections(device, 1);
}

void device_disconnect(struct device *device)
{
    checked(atomic_load_explicit(&device->connections, memory_order_relaxed) > 0);
    add_connections(device, UINT64_MAX);
}

static bool is_connected(const struct device *device)
{
    return atomic_load_explicit(&device->connections, memory_order_relaxed) > 0;
}

uint64_t device_size_max_bytes(const struct device *device)
{
    return device->size_max_bytes;
}

int device_grow(struct device *device, uint64_t size_bytes)
{
    int error = 0;
    lock_acquire(&device->reclaim);
    if (size_bytes < device_size_bytes(device))
        error = -EBUSY;
    else if (size_bytes > device->size_max_bytes)
        error = -EFBIG;
    uint64_t blocks = (size_bytes + BLOCK_SIZE_BYTES - 1) / BLOCK_SIZE_BYTES;
    if (error == 0 && device->prefault)
        error = slot_table_populate(&device->slots, blocks);
    if (error == 0) {
        atomic_store_explicit(&device->block_count, blocks, memory_order_relaxed);
        atomic_store_explicit(&device->size_bytes, size_bytes, memory_order_relaxed);
    }
    lock_release(&device->reclaim);
    return error;
}

/* Counters from now on count from 0, and so do the two gauges that remember a highest value. */
static void forget_statistics(struct device *device)
{
    struct device_statistics now;
    budget_reset_max(&device->budget);
    atomic_store_explicit(&device->maintenance.longest_step_us, 0, memory_order_relaxed);
    device_statistics(device, &now);
#define STATISTIC_FORGET(name, kind, unit, help) device->forgotten.name += now.name;
    DEVICE_STATISTICS(STATISTIC_FORGET)
#undef STATISTIC_FORGET
}

int device_reset(struct device *device)
{
    int error = -EBUSY;
    lock_acquire(&device->reclaim);
    if (!is_connected(device)) {
        error = device_trim(device, device_size_bytes(device), 0);
        (void)device_reclaim(device, 1);
        algorithms_sweep(device);
        forget_statistics(device);
    }
    lock_release(&device->reclaim);
    return error;
}

void device_set_mem_limit(struct device *device, uint64_t bytes)
{
    uint64_t pages = bytes / PAGE_SIZE_BYTES + (bytes % PAGE_SIZE_BYTES != 0);
    lock_acquire(&device->reclaim);
    budget_set_limit(&device->budget, bytes != 0 ? pages : UINT64_MAX);
    recompress_keep_room(device);
    lock_release(&device->reclaim);
}

void device_forget_mem_used_max(struct device *device)
{
    budget_reset_max(&device->budget);
}

uint64_t device_compact(struct device *device)
{
    const struct settings *settings = &device->maintenance.settings;
    uint64_t pages = 0;
    bool more = true;
    for (unsigned steps = 0; more && steps < COMPACT_STEPS_MAX; steps++) {
        struct zpool_quota quota = {
            .objects = atomic_load_explicit(&settings->step_objects, memory_order_relaxed)};
        lock_acquire(&device->reclaim);
        pages += zpool_compact(device->zpool, &quota);
        lock_release(&device->reclaim);
        more = quota.objects == 0;
    }
    return pages;
}

uint64_t device_give_back(struct device *device)
{
    uint64_t keep =
        atomic_load_explicit(&device->maintenance.settings.reserve, memory_order_relaxed) /
        PAGE_SIZE_BYTES;
    uint64_t all = 0, pages;
    do {
        lock_acquire(&device->reclaim);
        pages = pages_trim(device->pages, keep, GIVE_BACK_PAGES);
        lock_release(&device->reclaim);
        all += pages;
    } while (pages == GIVE_BACK_PAGES);
    return all;
}
