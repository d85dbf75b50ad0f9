/* SPDX-License-Identifier: BSD-3-Clause */
#include "safety/safety.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Known to kernels from 5.14 and 5.6 on. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define PAGE_BYTES ((uintptr_t)4096)

/* What a server's threads need is less than a tenth of it; the default of 8 MiB would be resident.
 */
#define THREAD_STACK_BYTES ((size_t)256 * 1024)

/* The lowest real-time priority is enough to go below the minimum. All threads have the same: one
 * above the others that waits for memory in the kernel, where it spins, would keep them from it. */
#define PRIORITY 1

/* Larger mappings are the pool and its tables, which are made resident by who knows what is used.
 */
#define PREFAULT_BYTES_MAX ((uintptr_t)1 << 30)

/* Entries of pagemap that are read at once, and the bit that says a page is there. */
#define PAGEMAP_ENTRIES 512
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

const char *safety_meaning(enum safety_measure measure)
{
    switch (measure) {
    case SAFETY_LOCK:
        return "memory cannot be locked, so that it may be swapped out itself; give CAP_IPC_LOCK "
               "or a higher RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=infinity)";
    case SAFETY_FLUSHER:
        return "its allocations may wait for its own disk (PR_SET_IO_FLUSHER); give "
               "CAP_SYS_RESOURCE, or run it as root";
    case SAFETY_OOM:
        return "it may be chosen to be killed when memory runs out (oom_score_adj -1000); give "
               "CAP_SYS_RESOURCE, or run it as root";
    case SAFETY_REALTIME:
        return "no real-time scheduling (SCHED_RR), without which it may wait for memory for ever; "
               "give CAP_SYS_NICE or a higher RLIMIT_RTPRIO (LimitRTPRIO=2)";
    case SAFETY_PREFAULT:
        return "what it will use could not be made resident: too little memory";
    default:
        return "";
    }
}

static int lock_memory(void)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    int error = pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
    if (error != 0)
        return -error;
    /* The first is for what is there, the second, which changes nothing of that, for what comes. */
    if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0 || mlockall(MCL_FUTURE) != 0)
        return -errno;
    return 0;
}

static int be_flusher(void)
{
    return prctl(PR_SET_IO_FLUSHER, 1UL, 0UL, 0UL, 0UL) == 0 ? 0 : -errno;
}

static int be_spared(void)
{
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    char text[16];
    int length = snprintf(text, sizeof text, "%d", SAFETY_OOM_SCORE_ADJ);
    int error = write(file, text, (size_t)length) == length ? 0 : -errno;
    close(file);
    return error;
}

static int be_realtime(void)
{
    struct sched_param parameters = {.sched_priority = PRIORITY};
    return sched_setscheduler(0, SCHED_RR, &parameters) == 0 ? 0 : -errno;
}

/*
 * Makes those pages of a range writable now that are there: after a fork the first write to each is
 * a fault. Whatever was never touched stays so: nbdkit has 192 MiB of that.
 */
static int populate_present(int pagemap, uintptr_t start, uintptr_t end)
{
    uint64_t entries[PAGEMAP_ENTRIES];
    while (start < end) {
        size_t count = (end - start) / PAGE_BYTES;
        if (count > PAGEMAP_ENTRIES)
            count = PAGEMAP_ENTRIES;
        ssize_t length = pread(pagemap, entries, count * sizeof entries[0],
                               (off_t)(start / PAGE_BYTES * sizeof entries[0]));
        if (length <= 0)
            return length < 0 ? -errno : 0;
        count = (size_t)length / sizeof entries[0];
        for (size_t i = 0; i < count; i++)
            if ((entries[i] & PAGEMAP_PRESENT) != 0 &&
                madvise((void *)(start + i * PAGE_BYTES), PAGE_BYTES, MADV_POPULATE_WRITE) != 0 &&
                errno == ENOMEM)
                return -ENOMEM;
        start += count * PAGE_BYTES;
    }
    return 0;
}

/* One mapping, as a line of /proc/self/maps says: "start-end rwxp offset device inode path". */
static int populate_mapping(int pagemap, const char *line)
{
    uintptr_t start, end;
    uint64_t inode;
    char rights[5];
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*x:%*x %" SCNu64, &start, &end, rights,
               &inode) != 4 ||
        rights[0] != 'r' || end - start > PREFAULT_BYTES_MAX || strstr(line, "[v") != NULL)
        return 0;
    bool is_private_data = rights[1] == 'w' && rights[3] == 'p';
    if (is_private_data && inode == 0)
        return populate_present(pagemap, start, end);
    /* Text and constants are read, the data of programs and libraries is written. What can't be
     * populated (a device, a file that was cut) is no loss. */
    int advice = is_private_data ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
    if (madvise((void *)start, end - start, advice) != 0 && errno == ENOMEM)
        return -ENOMEM;
    return 0;
}

static int prefault_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    int error = maps == NULL || pagemap < 0 ? -errno : 0;
    char *line = NULL;
    size_t capacity = 0;
    while (error == 0 && getline(&line, &capacity, maps) > 0)
        error = populate_mapping(pagemap, line);
    free(line);
    if (pagemap >= 0)
        close(pagemap);
    if (maps != NULL)
        fclose(maps);
    return error;
}

/*
 * From now on malloc has one heap for all threads, which only grows, and `bytes` of it are there:
 * the buffers that threads get for their requests come out of it without a fault.
 */
static int prefault_heap(size_t bytes)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, INT32_MAX);
    if (bytes == 0)
        return 0;
    volatile char *memory = malloc(bytes);
    if (memory == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < bytes; i += PAGE_BYTES)
        memory[i] = 0;
    free((void *)memory);
    return 0;
}

static int prefault(size_t heap_bytes)
{
    int error = prefault_heap(heap_bytes);
    return error != 0 ? error : prefault_mappings();
}

static int result_of(const struct safety *safety)
{
    for (unsigned i = 0; i < SAFETY_MEASURE_COUNT; i++)
        if (safety->error[i] != 0)
            return -EPERM;
    return 0;
}

static void take_inherited(struct safety *safety)
{
    safety->error[SAFETY_FLUSHER] = be_flusher();
    safety->error[SAFETY_OOM] = be_spared();
    safety->error[SAFETY_REALTIME] = be_realtime();
}

int safety_take(size_t heap_bytes, struct safety *safety)
{
    *safety = (struct safety){0};
    take_inherited(safety);
    safety->error[SAFETY_LOCK] = lock_memory();
    safety->error[SAFETY_PREFAULT] = prefault(heap_bytes);
    return result_of(safety);
}

int safety_try(struct safety *safety)
{
    *safety = (struct safety){0};
    take_inherited(safety);
    if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0)
        safety->error[SAFETY_LOCK] = -errno;
    else
        munlockall();
    return result_of(safety);
}

uint64_t safety_thread_faults(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0)
        return 0;
    return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}
