/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * allocations.c: counts the calls of malloc and its relatives in a process that preloads it.
 *
 *      plugin ──┐
 *      nbdkit ──┼─▶ malloc here: counts by caller ─▶ libc's malloc
 *      codec  ──┘
 *
 * UZRAM_ALLOCATIONS names a file of two 8-byte counts in the machine's order, which anybody may
 * look at meanwhile: calls from the plugin (any object with "plugin" in its file's name), and from
 * all others. Without such a file it ends the process: a count of nothing would look like a good
 * one.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/compiler.h"

enum { FROM_PLUGIN, FROM_OTHERS, CALLER_COUNT };

static _Atomic uint64_t *counts;

__attribute__((constructor)) static void open_counts(void)
{
    const char *path = getenv("UZRAM_ALLOCATIONS");
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *shared = MAP_FAILED;
    if (file >= 0 && ftruncate(file, CALLER_COUNT * sizeof *counts) == 0)
        shared =
            mmap(NULL, CALLER_COUNT * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) {
        fprintf(stderr, "allocations: UZRAM_ALLOCATIONS=%s: %s\n", path != NULL ? path : "",
                path != NULL ? strerror(errno) : "not set");
        _exit(EXIT_FAILURE);
    }
    close(file);
    counts = shared;
}

static void count_call(const void *caller)
{
    Dl_info object;
    if (counts == NULL)
        return; /* before the constructor */
    bool is_plugin = dladdr(caller, &object) != 0 && object.dli_fname != NULL &&
                     strstr(object.dli_fname, "plugin") != NULL;
    atomic_fetch_add_explicit(&counts[is_plugin ? FROM_PLUGIN : FROM_OTHERS], 1,
                              memory_order_relaxed);
}

/* libc's function, looked up at the first call: dlsym of what is there allocates nothing. */
#define NEXT(name)                                     \
    ({                                                 \
        static __typeof__(&(name)) next;               \
        if (unlikely(next == NULL))                    \
            *(void **)&next = dlsym(RTLD_NEXT, #name); \
        count_call(__builtin_return_address(0));       \
        next;                                          \
    })

#pragma GCC visibility push(default)

void *malloc(size_t size)
{
    return NEXT(malloc)(size);
}

void *calloc(size_t count, size_t size)
{
    return NEXT(calloc)(count, size);
}

void *realloc(void *memory, size_t size)
{
    return NEXT(realloc)(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return NEXT(aligned_alloc)(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    return NEXT(posix_memalign)(memory, alignment, size);
}

void free(void *memory)
{
    NEXT(free)(memory);
}
