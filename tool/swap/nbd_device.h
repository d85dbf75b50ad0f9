/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbd_device.h: the kernel's nbd devices, as /sys/block shows them.
 *
 *      nbdN/pid                    the process that connected it; absent: not connected
 *      nbdN/size                   in sectors of 512 bytes, 0 while it is not connected
 *      nbdN/queue/max_sectors_kb   the longest request
 *
 * `blocks` is the folder of them: "/sys/block", or a test's. A name is "nbdN".
 */
#ifndef UZRAM_TOOL_SWAP_NBD_DEVICE_H
#define UZRAM_TOOL_SWAP_NBD_DEVICE_H

#include <sys/types.h>

#include "common/compiler.h"

#define NBD_BLOCKS     "/sys/block"
#define NBD_NAME_BYTES 16

/* A swap server's buffers are resident for requests up to this. */
#define NBD_REQUEST_KIB_MAX 128

/* The name in a path "/dev/nbdN" in `name` of NBD_NAME_BYTES, or false: it is no such path. */
bool nbd_name(const char *device, char *name) must_use;

/* True if there is any, false if the module is not there. */
bool nbd_is_there(const char *blocks);

/* Whether this one is there and not connected. */
bool nbd_is_free(const char *blocks, const char *name);

/*
 * The first that is free and that `may_take` (with `context`) agrees to, in `name`. False if there
 * is none.
 */
bool nbd_find_free(const char *blocks, bool (*may_take)(void *context, const char *name),
                   void *context, char *name) must_use;

/* Who connected it, 0 if it is not connected. */
pid_t nbd_pid(const char *blocks, const char *name);

uint64_t nbd_size_bytes(const char *blocks, const char *name);

/* 0 if it can't be read. */
unsigned nbd_request_kib(const char *blocks, const char *name);

/*
 * Limits requests to NBD_REQUEST_KIB_MAX, and lets them pass unsorted, since there is nothing to
 * seek. Returns 0, or the negative errno of the first, which is needed; the second is not.
 */
int nbd_tune(const char *blocks, const char *name) must_use;

#endif
