/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Known to kernels from 5.14 and 5.18 on; Debian 12's libc headers lack the second. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define CACHE_LINE_BYTES 64

#ifdef UZRAM_CHECKED
#include <stdatomic.h>
#include <stdio.h>

static _Atomic long requests_seen;
static _Atomic long requests_until_failure = -1;
static _Atomic bool failure_is_sticky;

long memory_fail_after(long requests, bool sticky)
{
    atomic_store(&failure_is_sticky, sticky);
    atomic_store(&requests_until_failure, requests);
    return atomic_exchange(&requests_seen, 0);
}

bool memory_request_fails(void)
{
    atomic_fetch_add(&requests_seen, 1);
    long left = atomic_load(&requests_until_failure);
    do {
        if (left < 0)
            return false;
        if (left == 0 && atomic_load(&failure_is_sticky))
            return true;
    } while (!atomic_compare_exchange_weak(&requests_until_failure, &left, left - 1));
    return left == 0;
}

void checked_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: checked condition is false: %s\n", file, line, condition);
    abort();
}
#endif

void *memory_zalloc(size_t bytes)
{
    if (memory_request_fails())
        return NULL;
    size_t rounded = (bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
    if (rounded < bytes)
        return NULL;
    void *memory = aligned_alloc(CACHE_LINE_BYTES, rounded);
    if (memory != NULL)
        memset(memory, 0, rounded);
    return memory;
}

void memory_free(void *memory)
{
    free(memory);
}

void *memory_reserve(size_t bytes, size_t alignment)
{
    if (memory_request_fails() || bytes > SIZE_MAX - alignment)
        return NULL;

    /* Over-reserve, then cut the ends off, so that the start is aligned. */
    size_t padded = bytes + alignment;
    char *start = mmap(NULL, padded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    char *aligned = (char *)(((uintptr_t)start + alignment - 1) / alignment * alignment);
    size_t before = (size_t)(aligned - start);
    if (before > 0)
        munmap(start, before);
    if (padded - before > bytes)
        munmap(aligned + bytes, padded - before - bytes);

    /*
     * Under mlockall(MCL_FUTURE) a writable mapping would be made resident here and now, terabytes
     * of it: so it becomes writable only after its lock is off.
     */
    munlock(aligned, bytes);
    if (mprotect(aligned, bytes, PROT_READ | PROT_WRITE) != 0) {
        munmap(aligned, bytes);
        return NULL;
    }
    /* Refused only by kernels without huge pages, where it is not needed. */
    (void)madvise(aligned, bytes, MADV_NOHUGEPAGE);
    return aligned;
}

void memory_release(void *memory, size_t bytes)
{
    if (memory != NULL)
        munmap(memory, bytes);
}

int memory_discard(void *memory, size_t bytes)
{
    if (madvise(memory, bytes, MADV_DONTNEED) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    if (madvise(memory, bytes, MADV_DONTNEED_LOCKED) == 0)
        return 0;
    /* A kernel before 5.18 gives back what isn't locked; the lock is for what is touched next. */
    if (errno == EINVAL && munlock(memory, bytes) == 0 &&
        madvise(memory, bytes, MADV_DONTNEED) == 0 && mlock2(memory, bytes, MLOCK_ONFAULT) == 0)
        return 0;
    return -errno;
}

int memory_populate(void *memory, size_t bytes)
{
    if (memory_request_fails())
        return -ENOMEM;
    if (madvise(memory, bytes, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    /* A kernel before 5.14: touch each page. What is there is kept. */
    for (size_t offset = 0; offset < bytes; offset += 4096) {
        volatile char *byte = (char *)memory + offset;
        *byte = *byte;
    }
    return 0;
}
