/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * support.h: what the benchmark programs share: pages of a file, random numbers, quantiles, an end.
 *
 * A program that can't go on says why in one line and exits: nothing here returns an error.
 */
#ifndef UZRAM_BENCH_SUPPORT_H
#define UZRAM_BENCH_SUPPORT_H

#include <time.h>

#include "common/units.h"

/* The name that messages begin with; each program defines it. */
extern const char program_name[];

/* "NAME: what: reason" on standard error, then exits with status 1. `error` is an errno, any sign,
 * or 0: no reason. */
__attribute__((noreturn)) void fail(const char *what, int error);

/* Fails unless error is 0. */
void expect(const char *what, int error);

/* The number that a user gave for `key`, from min to max; fails, saying so, if it is another or
 * none.
 */
unsigned parse_count(const char *key, const char *text, unsigned min, unsigned max);

/* The largest amount of pages that a user may ask for, in MiB: 4 TiB. */
#define MEGABYTES_MAX (4u << 20)

/* Zeroed memory. */
void *allocate(size_t bytes);

/* The 4 KiB pages of a file, mapped and resident. */
struct pages_file {
    const unsigned char *pages;
    uint64_t count;
};

/* Why the file can't be used, or NULL. */
const char *pages_file_fault(const char *name);

/* At most so many megabytes of them; fails if there is not even one page. */
struct pages_file pages_file_map(const char *name, uint64_t megabytes);

/* The next of a sequence of numbers that looks random; *state is never 0. xorshift64, G. Marsaglia.
 */
uint64_t next_random(uint64_t *state);

/* 0 … count-1 in an order that looks random and is always the same for a seed. Never freed. */
unsigned *random_order(uint64_t count, uint64_t seed);

/* The value below which that share of the values lies. Leaves the values as they are. */
double quantile(const double *values, size_t count, double share);

/* Bytes of anonymous memory of this process that are resident, by /proc/self/smaps_rollup; 0 where
 * the kernel has no such file (before 4.14). */
uint64_t anonymous_resident_bytes(void);

/* A clock's time in seconds. */
double clock_seconds(clockid_t clock);

#endif
