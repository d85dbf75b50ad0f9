/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io.h: nbdkit's callbacks that serve one connection. Each is a thin door to the device, whose
 * handle is the device itself: connections share it and have nothing of their own.
 *
 * Callable from any number of threads at once. On error they return -1, with errno set and
 * nbdkit_error called. Flags that ask for durability (FUA) ask for nothing here: what a volatile
 * disk has written, every connection sees before the reply is sent.
 */
#ifndef UZRAM_PLUGIN_IO_H
#define UZRAM_PLUGIN_IO_H

#include <stdint.h>

struct nbdkit_extents;

int64_t io_get_size(void *handle);
int io_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum);
int io_can_multi_conn(void *handle);
int io_can_fua(void *handle);
int io_can_fast_zero(void *handle);
int io_can_cache(void *handle);
int io_is_rotational(void *handle);
const char *io_export_description(void *handle);

int io_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags);
int io_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset, uint32_t flags);
int io_flush(void *handle, uint32_t flags);
int io_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
int io_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
int io_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
               struct nbdkit_extents *extents);

#endif
