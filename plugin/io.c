/* SPDX-License-Identifier: BSD-3-Clause */
/* io.c: nbdkit's callbacks that serve one connection. */
#include "plugin/io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "device/device.h"
#include "plugin/swap.h"

/* The most that nbdkit takes in one request. */
#define REQUEST_BYTES_MAX (64 * MIB)

int64_t io_get_size(void *handle)
{
    return (int64_t)device_size_bytes(handle);
}

int io_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    (void)handle;
    *minimum = 1;
    *preferred = BLOCK_SIZE_BYTES;
    *maximum = REQUEST_BYTES_MAX;
    return 0;
}

int io_can_multi_conn(void *handle)
{
    (void)handle;
    return 1; /* no connection caches anything */
}

int io_can_fua(void *handle)
{
    (void)handle;
    return NBDKIT_FUA_NATIVE;
}

int io_can_fast_zero(void *handle)
{
    (void)handle;
    return 1; /* whole blocks are only forgotten, no request is slower than writing zeros */
}

int io_can_cache(void *handle)
{
    (void)handle;
    return NBDKIT_CACHE_NATIVE; /* all is in memory: without a .cache callback it just succeeds */
}

int io_is_rotational(void *handle)
{
    (void)handle;
    return 0;
}

const char *io_export_description(void *handle)
{
    (void)handle;
    return "compressed memory disk";
}

/* What an error of the device means to the person who reads the server's log. */
static const char *error_meaning(int error)
{
    switch (error) {
    case ENOSPC:
        return "mem_limit is reached; the old data is kept";
    case ENOMEM:
        return "the system has no memory left; the old data is kept";
    case EIO:
        return "a stored block does not decompress";
    case EINVAL:
        return "outside the disk";
    default:
        return strerror(error);
    }
}

/* Turns a result of the device into one of nbdkit's: 0, or -1 with the error told and set. */
static int io_result(int result, const char *what, uint64_t count, uint64_t offset)
{
    if (result == 0)
        return 0;
    if (!swap_is_on())
        nbdkit_error("%s of %" PRIu64 " bytes at offset %" PRIu64 ": %s", what, count, offset,
                     error_meaning(-result));
    errno = -result;
    return -1;
}

int io_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)flags;
    swap_serve();
    int result = device_read(handle, buffer, count, offset);
    swap_served();
    return io_result(result, "read", count, offset);
}

int io_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)flags;
    swap_serve();
    int result = device_write(handle, buffer, count, offset);
    swap_served();
    return io_result(result, "write", count, offset);
}

int io_flush(void *handle, uint32_t flags)
{
    (void)handle;
    (void)flags;
    return 0;
}

int io_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)flags;
    swap_serve();
    int result = device_trim(handle, count, offset);
    swap_served();
    return io_result(result, "trim", count, offset);
}

int io_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)flags; /* zeros need no memory either way, so MAY_TRIM makes no difference */
    swap_serve();
    int result = device_zero(handle, count, offset);
    swap_served();
    return io_result(result, "zero", count, offset);
}

/* The walk over the device's extents: hands each on to nbdkit. */
static int extent_add(void *context, uint64_t offset, uint64_t count, enum device_extent extent)
{
    static const uint32_t types[] = {
        [DEVICE_EXTENT_DATA] = 0,
        [DEVICE_EXTENT_ZERO] = NBDKIT_EXTENT_ZERO,
        [DEVICE_EXTENT_HOLE] = NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO,
    };
    return nbdkit_add_extent(context, offset, count, types[extent]) < 0 ? -errno : 0;
}

int io_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
               struct nbdkit_extents *extents)
{
    bool just_one = (flags & NBDKIT_FLAG_REQ_ONE) != 0;
    int result = device_extents(handle, count, offset, just_one, extent_add, extents);
    return io_result(result, "extents", count, offset);
}
