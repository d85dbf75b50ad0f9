/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * safety.h: makes this process one that swap can be served from.
 *
 * A machine that is short of memory writes pages to its swap device, and frees them when the server
 * has answered. If the server then needs memory itself, it may wait for a page that only its own
 * answer would free. Five things keep it from that, and all are needed (docs/swap.md has what hangs
 * without which):
 *
 *      measure     the kernel then                                    needs (or root)
 *      LOCK        never takes the process's memory away              CAP_IPC_LOCK or
 * RLIMIT_MEMLOCK FLUSHER     never has its allocations wait for I/O             CAP_SYS_RESOURCE
 *      OOM         ends anything else first                           CAP_SYS_RESOURCE
 *      REALTIME    lets its allocations go below the minimum that     CAP_SYS_NICE or RLIMIT_RTPRIO
 *                  others must leave, and runs it before others
 *      PREFAULT    has given it what it will touch, before it does    nothing
 *
 * What each does, and what it inherits:
 *
 *      LOCK        Not inherited by a fork, so it comes after the last one. What is mapped now is
 *                  locked once it is touched (MCL_ONFAULT): the pool's addresses, of which most are
 *                  never used, cost nothing. What is mapped later is resident at once: stacks of
 * new threads (which are made small first), growth of the heap. memory_reserve takes its ranges out
 * of that. To give locked memory back, memory_discard has a call. FLUSHER     a flag of each
 * thread, inherited by threads and forks REALTIME    round robin, inherited likewise PREFAULT text,
 * data, what is there of the heap; see safety_prefault
 */
#ifndef UZRAM_SAFETY_SAFETY_H
#define UZRAM_SAFETY_SAFETY_H

#include <stddef.h>

#include "common/compiler.h"
#include "safety/inspect.h"

enum safety_measure {
    SAFETY_LOCK,
    SAFETY_FLUSHER,
    SAFETY_OOM,
    SAFETY_REALTIME,
    SAFETY_PREFAULT,
    SAFETY_MEASURE_COUNT
};

/* What came of each measure: 0 or a negative errno. */
struct safety {
    int error[SAFETY_MEASURE_COUNT];
};

/* A sentence for people about a measure that could not be had: what, and what would allow it. */
const char *safety_meaning(enum safety_measure measure);

/*
 * Takes all measures for the calling thread, and for what it starts from now on; called while it is
 * the only one. heap_bytes: memory that malloc will need for requests, which is made resident now
 * and kept. All are tried, whatever fails. Returns 0, or -EPERM if any could not be had, which
 * `safety` then tells.
 */
int safety_take(size_t heap_bytes, struct safety *safety) must_use;

/*
 * Whether all measures could be had, without keeping LOCK and PREFAULT: for a process that is yet
 * to fork. The others stay, and are inherited.
 */
int safety_try(struct safety *safety) must_use;

/* Page faults of the calling thread since it began. One system call. */
uint64_t safety_thread_faults(void);

#endif
