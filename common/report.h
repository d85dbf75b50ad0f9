/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.h: where a validator says what it found: one line a fault, and their number.
 */
#ifndef UZRAM_COMMON_REPORT_H
#define UZRAM_COMMON_REPORT_H

#include "common/compiler.h"

struct report {
    void (*line)(void *context, const char *line); /* NULL: only count */
    void *context;
    unsigned faults; /* set to 0 by the caller */
};

/* Counts a fault and describes it: what, where, what was expected. Longer than 240 bytes is cut. */
printf_like(2, 3) void report_fault(struct report *report, const char *format, ...);

#endif
