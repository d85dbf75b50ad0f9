/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * swap.h: the server as one that swap can be served from: swap=on, swap=require (safety/safety.h).
 *
 *     get_ready     swap_prepare   what can't be had is an error that the user sees (require)
 *     after_fork    swap_begin     what could not be had is one warning (on)
 *     requests      swap_served    counts page faults; nothing is logged
 */
#ifndef UZRAM_PLUGIN_SWAP_H
#define UZRAM_PLUGIN_SWAP_H

#include "device/device.h"

/* Before the server forks. 0, or -1 after nbdkit_error if swap=require can't be had. */
int swap_prepare(struct device *device);

/*
 * After the server has forked, before any other thread is started. 0, or -1 after nbdkit_error,
 * with require.
 */
int swap_begin(void);

/* True if the disk may be swapped on: then a request writes no message, for that may need memory.
 */
bool swap_is_on(void);

/* Before and after the work for a request, on its thread; with swap=off they do nothing. */
void swap_serve(void);
void swap_served(void);

#endif
