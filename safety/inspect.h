/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inspect.h: whether a process can serve swap without waiting for memory, as the kernel shows it.
 *
 *      /proc/PID/status            VmSize VmLck VmSwap       is all of it locked, is any swapped
 * out /proc/PID/oom_score_adj     -1000                     is it spared /proc/PID/task/TID/stat
 * flags, policy, faults     may its allocations wait for swap, may they go below the system's
 * minimum
 *
 * The same is asked by a server of itself, after it has done what safety.h does, and by `uzram swap
 * check` of a server.
 */
#ifndef UZRAM_SAFETY_INSPECT_H
#define UZRAM_SAFETY_INSPECT_H

#include <stdint.h>
#include <sys/types.h>

#include "common/compiler.h"

/* The kernel never locks its own pages that it maps into each process. */
#define SAFETY_UNLOCKABLE_BYTES (64 * 1024u)

#define SAFETY_OOM_SCORE_ADJ (-1000)

struct safety_report {
    uint64_t mapped_bytes;  /* addresses in use */
    uint64_t locked_bytes;  /* of these, those whose memory stays once it is there */
    uint64_t swapped_bytes; /* memory that is on swap */
    uint64_t resident_bytes;
    int oom_score_adj;
    unsigned threads;
    unsigned threads_that_wait;     /* whose allocations may wait for I/O, and so for themselves */
    unsigned threads_without_right; /* not scheduled in real time: no memory below the minimum */
    uint64_t minor_faults, major_faults; /* of all threads, since the process began */
};

/*
 * Looks at a process; pid 0: the caller's own. Opens files of /proc: never called on the way of a
 * request. Returns 0, -ESRCH (no such process), or what the kernel has against it.
 */
int safety_inspect(pid_t pid, struct safety_report *report) must_use;

/* True if all but what can't be locked is locked. */
bool safety_is_locked(const struct safety_report *report);

/* True if nothing is missing. */
bool safety_is_safe(const struct safety_report *report);

#endif
