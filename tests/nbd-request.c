/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbd-request.c: sends one request, as odd as it may be, and prints what came of it.
 *
 *     nbd-request URI COMMAND OFFSET COUNT [FLAG|seed=N]...
 *
 * COMMAND is read, write, zero, trim, cache, flush or status; FLAG is fua, fast-zero, no-hole or
 * req-one. With seed=N a write sends, and a read expects, content that depends on N and on where
 * it lies; seed=0 is zeros. Prints "ok" or the name of the error, and then reads a byte over the
 * same connection, to prove that the server still talks to us.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/nbd-client.h"

struct request {
    const char *command;
    uint64_t offset, count;
    uint32_t flags;
    bool seeded;
    uint64_t seed;
};

/* The byte at a place of the disk, for one seed; the content does not compress. */
static unsigned char content_at(uint64_t seed, uint64_t place)
{
    uint64_t state = seed * UINT64_C(0x2545f4914f6cdd1d) + place / 8;
    return seed == 0 ? 0 : (unsigned char)(random_next(&state) >> (place % 8 * 8));
}

static void content_fill(const struct request *request, unsigned char *buffer)
{
    for (uint64_t i = 0; i < request->count; i++)
        buffer[i] = content_at(request->seed, request->offset + i);
}

static void content_check(const struct request *request, const unsigned char *buffer)
{
    for (uint64_t i = 0; i < request->count; i++) {
        unsigned char expected = content_at(request->seed, request->offset + i);
        if (buffer[i] != expected)
            fail("the byte at %llu is %d, written was %d",
                 (unsigned long long)(request->offset + i), buffer[i], expected);
    }
}

static int ignore_extents(void *context, const char *name, uint64_t offset, uint32_t *entries,
                          size_t entry_count, int *error)
{
    (void)context, (void)name, (void)offset, (void)entries, (void)entry_count, (void)error;
    return 0;
}

/* Sends it. Returns 0, or -1 with libnbd's error set. */
static int request_send(struct nbd_handle *nbd, const struct request *request)
{
    int result;
    if (strcmp(request->command, "read") == 0 || strcmp(request->command, "write") == 0) {
        unsigned char *buffer = allocate(request->count + 1);
        if (*request->command == 'w') {
            content_fill(request, buffer);
            result = nbd_pwrite(nbd, buffer, request->count, request->offset, request->flags);
        } else {
            memset(buffer, 0x5a, request->count + 1);
            result = nbd_pread(nbd, buffer, request->count, request->offset, request->flags);
            if (result == 0 && request->seeded)
                content_check(request, buffer);
        }
        free(buffer);
        return result;
    }
    if (strcmp(request->command, "zero") == 0)
        return nbd_zero(nbd, request->count, request->offset, request->flags);
    if (strcmp(request->command, "trim") == 0)
        return nbd_trim(nbd, request->count, request->offset, request->flags);
    if (strcmp(request->command, "cache") == 0)
        return nbd_cache(nbd, request->count, request->offset, request->flags);
    if (strcmp(request->command, "flush") == 0)
        return nbd_flush(nbd, request->flags);
    if (strcmp(request->command, "status") == 0)
        return nbd_block_status(nbd, request->count, request->offset,
                                (nbd_extent_callback){.callback = ignore_extents}, request->flags);
    fail("%s: not a command", request->command);
}

static uint32_t flag_of(const char *name)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } flags[] = {
        {"fua", LIBNBD_CMD_FLAG_FUA},
        {"fast-zero", LIBNBD_CMD_FLAG_FAST_ZERO},
        {"no-hole", LIBNBD_CMD_FLAG_NO_HOLE},
        {"req-one", LIBNBD_CMD_FLAG_REQ_ONE},
    };
    for (size_t i = 0; i < array_count(flags); i++) {
        if (strcmp(name, flags[i].name) == 0)
            return flags[i].flag;
    }
    fail("%s: not a flag", name);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        fail("usage: nbd-request URI COMMAND OFFSET COUNT [FLAG|seed=N]...");

    struct request request = {
        .command = argv[2],
        .offset = number_argument(argv[3]),
        .count = number_argument(argv[4]),
    };
    for (int i = 5; i < argc; i++) {
        if (strncmp(argv[i], "seed=", 5) == 0) {
            request.seeded = true;
            request.seed = number_argument(argv[i] + 5);
        } else {
            request.flags |= flag_of(argv[i]);
        }
    }

    struct nbd_handle *nbd = client_connect(argv[1]);
    if (request_send(nbd, &request) == 0)
        printf("ok\n");
    else
        printf("%s\n", nbd_get_errno() == 0 ? "no errno" : strerrorname_np(nbd_get_errno()));

    char byte;
    if (nbd_pread(nbd, &byte, 1, 0, 0) < 0)
        fail("after it the connection was of no more use: %s", nbd_get_error());
    nbd_shutdown(nbd, 0);
    nbd_close(nbd);
    return 0;
}
