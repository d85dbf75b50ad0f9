/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock.h: the time that background work is bounded and measured by.
 */
#ifndef UZRAM_COMMON_CLOCK_H
#define UZRAM_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Microseconds of a clock that only goes forward. No system call where the vDSO has it. */
static inline uint64_t clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Microseconds of CPU time that the calling thread has used. A system call. */
static inline uint64_t clock_thread_us(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

#endif
