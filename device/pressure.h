/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pressure.h: how short of memory the system is, by the kernel's pressure stall information.
 *
 *      some avg10=1.23 avg60=0.40 avg300=0.09 total=123456        (/proc/pressure/memory)
 *
 * avg10 is the share of the last ten seconds, in per cent, in which at least one task waited for
 * memory. In a cgroup (v2) with the memory controller its own memory.pressure is read, since its
 * limit is what matters to us. Source: the kernel's Documentation/accounting/psi.rst.
 */
#ifndef UZRAM_DEVICE_PRESSURE_H
#define UZRAM_DEVICE_PRESSURE_H

#include "common/compiler.h"

struct pressure {
    int file; /* -1: the system doesn't say */
};

/* Opens the file for this process, or the system's; there may be none. */
void pressure_open(struct pressure *pressure);
void pressure_close(struct pressure *pressure);

/* The share in hundredths of a per cent, 0 to 10000; 0 if the system doesn't say. */
unsigned pressure_read(const struct pressure *pressure);

/* The avg10 of a line as above, in hundredths of a per cent; 0 if it is no such line. */
unsigned pressure_parse(const char *line);

#endif
