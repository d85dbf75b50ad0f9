/* SPDX-License-Identifier: BSD-3-Clause */
/* device-madvise.c: see device-madvise.h. */
#include "tests/device-madvise.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int refused_advice;
static _Atomic int refusal;
static _Atomic unsigned refusals;

void madvise_refuse(int advice, int error)
{
    atomic_store(&refused_advice, advice);
    atomic_store(&refusal, error);
    atomic_store(&refusals, 0);
}

unsigned madvise_refused(void)
{
    return atomic_load(&refusals);
}

/* The program's own definition comes before the C library's. */
int madvise(void *address, size_t bytes, int advice)
{
    int error = atomic_load(&refusal);
    if (error != 0 && advice == atomic_load(&refused_advice)) {
        atomic_fetch_add(&refusals, 1);
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_madvise, address, bytes, advice);
}
