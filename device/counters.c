/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/counters.h"

#include <sched.h>

struct counter_shard *counters_shard(struct counters *counters)
{
    int cpu = sched_getcpu();
    return &counters->shard[cpu < 0 ? 0 : (unsigned)cpu % COUNTER_SHARDS];
}

uint64_t counters_sum(const struct counters *counters, enum counter counter)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < COUNTER_SHARDS; i++)
        sum += atomic_load_explicit(&counters->shard[i].value[counter], memory_order_relaxed);
    return sum > 0 ? (uint64_t)sum : 0;
}
