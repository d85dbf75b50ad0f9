/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.h: where the core gets memory from: the heap for small fixed things, the system for
 * address ranges. In a checked build every one of these can be made to fail, one after the other.
 */
#ifndef UZRAM_COMMON_MEMORY_H
#define UZRAM_COMMON_MEMORY_H

#include <stddef.h>

#include "common/compiler.h"

/* Zeroed heap memory, aligned to a cache line; free with memory_free. NULL: none. */
void *memory_zalloc(size_t bytes) must_use;
void memory_free(void *memory);

/*
 * Reserves `bytes` of zeroed, lazily populated, readable and writable private memory: nothing is
 * resident before it is touched. `alignment` is a power of two, at least the system's page size.
 * Huge pages are declined, so that residency is by single pages. NULL: no address space.
 * Calls mmap.
 */
void *memory_reserve(size_t bytes, size_t alignment) must_use;

/* Ends a reservation. NULL is allowed. */
void memory_release(void *memory, size_t bytes);

/*
 * Gives the memory of whole pages back to the system; they read as zeros afterwards. Works on
 * locked memory too. Returns 0 or a negative errno (the pages then keep their content).
 */
int memory_discard(void *memory, size_t bytes) must_use;

/* Makes whole pages resident and writable now. Returns 0, -ENOMEM, or -EFAULT. */
int memory_populate(void *memory, size_t bytes) must_use;

#ifdef UZRAM_CHECKED
/*
 * The countdown: the (n+1)-th failable request from now on fails, and all after it if `sticky`;
 * negative: none does. Requests of all threads count. Returns the requests counted since the last
 * call, so that a test knows when it has failed each in turn.
 */
long memory_fail_after(long requests, bool sticky);
/* True when this request is to fail: for sources of failure other than the functions above. */
bool memory_request_fails(void);
#else
static inline bool memory_request_fails(void)
{
    return false;
}
#endif

#endif
