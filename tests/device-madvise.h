/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-madvise.h: a madvise that refuses when a test says so, in place of the C library's: what
 * the core does when the system takes no memory back, or gives none.
 */
#ifndef UZRAM_TESTS_DEVICE_MADVISE_H
#define UZRAM_TESTS_DEVICE_MADVISE_H

/* Known to kernels from 5.14 on, to older headers not. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* From now on this advice is refused with this errno; 0: all advice is passed on again. */
void madvise_refuse(int advice, int error);

/* How often something was refused since madvise_refuse was called. */
unsigned madvise_refused(void);

#endif
