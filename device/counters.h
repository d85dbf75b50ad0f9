/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counters.h: what I/O counts, spread over cache lines so that CPUs don't fight for one.
 *
 *      shard[CPU % COUNTER_SHARDS] ─▶ one value per counter; the sum over shards is the value
 *
 * Gauges are counted as differences (+1 when a block becomes same-filled, -1 when it stops being
 * so), so a single shard may be negative; the sum is right whenever no request is under way.
 * Any thread, no lock, relaxed: values order nothing.
 */
#ifndef UZRAM_DEVICE_COUNTERS_H
#define UZRAM_DEVICE_COUNTERS_H

#include <stdatomic.h>

#include "common/compiler.h"

#define COUNTER_SHARDS 32

enum counter {
    COUNT_BLOCKS_STORED,
    COUNT_COMPRESSED_BYTES,
    COUNT_SAME,
    COUNT_HUGE,
    COUNT_HUGE_SINCE,
    COUNT_READS,
    COUNT_WRITES,
    COUNT_WRITES_IN_PLACE,
    COUNT_WRITES_PARTIAL,
    COUNT_FAILED_READS,
    COUNT_FAILED_WRITES,
    COUNT_INVALID_IO,
    COUNT_NOTIFY_FREE,
    COUNT_LIMIT_RECLAIMS,
    COUNT_LIMIT_RECOMPRESSIONS,
    COUNT_LIMIT_REFUSALS,
    COUNTER_COUNT
};

struct counter_shard {
    _Atomic int64_t value[COUNTER_COUNT];
} cache_aligned;

struct counters {
    struct counter_shard shard[COUNTER_SHARDS];
};

/* The shard of the CPU that the caller runs on. It may move away; the shard stays usable. */
struct counter_shard *counters_shard(struct counters *counters);

static inline void counter_add(struct counter_shard *shard, enum counter counter, int64_t value)
{
    atomic_fetch_add_explicit(&shard->value[counter], value, memory_order_relaxed);
}

/* The sum over shards, as if it were unsigned: 0 where requests under way make it negative. */
uint64_t counters_sum(const struct counters *counters, enum counter counter);

#endif
