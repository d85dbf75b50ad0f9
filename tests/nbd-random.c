/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbd-random.c: random requests over several connections, compared with a plain copy in memory.
 *
 *     nbd-random URI CONNECTIONS REQUESTS [SEED]
 *
 * Each connection has a thread and a stretch of the disk of its own. The stretches meet inside
 * blocks, at odd bytes, so that two connections keep rewriting parts of one block at once; what
 * each reads must be what it wrote. The seed is printed; with one connection, it replays the run.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/units.h"
#include "tests/nbd-client.h"

#define CONNECTIONS_MAX   16
#define REQUEST_BYTES_MAX (256 * KIB)

/* One connection and its stretch of the disk. */
struct client {
    const char *uri;
    uint64_t requests;
    uint64_t seed;         /* state of its random sequence */
    uint64_t start, end;   /* its stretch */
    unsigned char *shadow; /* what the disk holds, indexed by its offset; all clients' */
    unsigned char *buffer; /* REQUEST_BYTES_MAX */
    struct nbd_handle *nbd;
};

/* A stretch of requests' lengths that real clients have: tiny, odd, sectors, blocks, large. */
static uint64_t random_count(struct client *client, uint64_t most)
{
    static const uint64_t bounds[] = {16, 512, 5000, 4 * BLOCK_SIZE_BYTES, REQUEST_BYTES_MAX};
    uint64_t kind = random_below(&client->seed, 12);
    uint64_t bound = bounds[kind < 11 ? kind % 4 : 4];
    uint64_t count = 1 + random_below(&client->seed, bound);
    return count < most ? count : most;
}

/* A range in the client's stretch, every other time aligned to blocks as far as that goes. */
static void random_range(struct client *client, uint64_t *offset, uint64_t *count)
{
    *offset = client->start + random_below(&client->seed, client->end - client->start);
    if (random_below(&client->seed, 2) == 0 && *offset - *offset % BLOCK_SIZE_BYTES > client->start)
        *offset -= *offset % BLOCK_SIZE_BYTES;
    *count = random_count(client, client->end - *offset);
    if (*count > BLOCK_SIZE_BYTES && random_below(&client->seed, 2) == 0)
        *count -= *count % BLOCK_SIZE_BYTES;
}

/* Content of each sort that the disk stores differently. */
static void random_content(struct client *client, unsigned char *content, uint64_t count)
{
    static const char words[] = "the compressed block device keeps every block it was given ";
    uint64_t kind = random_below(&client->seed, 4);
    uint64_t word = random_next(&client->seed);
    if (random_below(&client->seed, 3) == 0)
        word = 0;
    for (uint64_t i = 0; i < count; i++) {
        switch (kind) {
        case 0: /* incompressible */
            content[i] = (unsigned char)random_next(&client->seed);
            break;
        case 1: /* one word over and over */
            content[i] = (unsigned char)(word >> (i % 8 * 8));
            break;
        case 2: /* text with noise */
            content[i] = (unsigned char)words[(i + word) % (sizeof words - 1)];
            if (random_below(&client->seed, 50) == 0)
                content[i] ^= 1;
            break;
        default: /* half of it random: compresses to a half */
            content[i] = i % 128 < 64 ? (unsigned char)random_next(&client->seed) : 0;
            break;
        }
    }
}

static void expect(struct client *client, int result, const char *what, uint64_t offset,
                   uint64_t count)
{
    if (result < 0)
        fail("%s of %" PRIu64 " bytes at %" PRIu64 ": %s", what, count, offset, nbd_get_error());
    (void)client;
}

static void compare(const unsigned char *expected, const unsigned char *found, uint64_t count,
                    uint64_t offset)
{
    if (memcmp(expected, found, count) == 0)
        return;
    uint64_t i = 0;
    while (expected[i] == found[i])
        i++;
    fail("a read of %" PRIu64 " bytes at %" PRIu64 ": byte %" PRIu64 " is %#x, should be %#x",
         count, offset, offset + i, found[i], expected[i]);
}

static void do_read(struct client *client, uint64_t offset, uint64_t count)
{
    expect(client, nbd_pread(client->nbd, client->buffer, count, offset, 0), "read", offset, count);
    compare(client->shadow + offset, client->buffer, count, offset);
}

static void do_write(struct client *client, uint64_t offset, uint64_t count)
{
    uint32_t flags = random_below(&client->seed, 8) == 0 ? LIBNBD_CMD_FLAG_FUA : 0;
    random_content(client, client->shadow + offset, count);
    expect(client, nbd_pwrite(client->nbd, client->shadow + offset, count, offset, flags), "write",
           offset, count);
}

static void do_zero(struct client *client, uint64_t offset, uint64_t count)
{
    static const uint32_t flags[] = {0, LIBNBD_CMD_FLAG_FAST_ZERO, LIBNBD_CMD_FLAG_NO_HOLE};
    memset(client->shadow + offset, 0, count);
    uint32_t flag = flags[random_below(&client->seed, array_count(flags))];
    expect(client, nbd_zero(client->nbd, count, offset, flag), "zero", offset, count);
}

/* Trim is advice: blocks within the range read as zeros, parts of blocks keep their bytes. */
static void do_trim(struct client *client, uint64_t offset, uint64_t count)
{
    unsigned char *shadow = client->shadow;
    expect(client, nbd_trim(client->nbd, count, offset, 0), "trim", offset, count);
    expect(client, nbd_pread(client->nbd, client->buffer, count, offset, 0), "read after trim",
           offset, count);
    uint64_t whole_start = (offset + BLOCK_SIZE_BYTES - 1) & ~(uint64_t)(BLOCK_SIZE_BYTES - 1);
    uint64_t whole_end = (offset + count) & ~(uint64_t)(BLOCK_SIZE_BYTES - 1);
    for (uint64_t i = 0; i < count; i++) {
        bool whole = offset + i >= whole_start && offset + i < whole_end;
        unsigned char found = client->buffer[i];
        if (found != 0 && (whole || found != shadow[offset + i]))
            fail("trim of %" PRIu64 " bytes at %" PRIu64 ": byte %" PRIu64 " is %#x, was %#x",
                 count, offset, offset + i, found, shadow[offset + i]);
        shadow[offset + i] = found;
    }
}

/* What block status says is zero has to be zero. */
struct status_walk {
    struct client *client;
    uint64_t offset, end;
};

static int status_check(void *context, const char *name, uint64_t offset, uint32_t *entries,
                        size_t entry_count, int *error)
{
    struct status_walk *walk = context;
    (void)name, (void)error;
    if (offset != walk->offset)
        fail("block status begins at %" PRIu64 ", asked at %" PRIu64, offset, walk->offset);
    for (size_t i = 0; i + 1 < entry_count; i += 2) {
        uint64_t end = walk->offset + entries[i];
        if (entries[i] == 0)
            fail("block status has an empty extent at %" PRIu64, walk->offset);
        for (; walk->offset < end; walk->offset++) {
            bool inside = walk->offset < walk->end;
            if (inside && (entries[i + 1] & LIBNBD_STATE_ZERO) != 0 &&
                walk->client->shadow[walk->offset] != 0)
                fail("block status calls byte %" PRIu64 " zero, it is not", walk->offset);
        }
    }
    return 0;
}

static void do_status(struct client *client, uint64_t offset, uint64_t count)
{
    struct status_walk walk = {client, offset, offset + count};
    uint32_t flags = random_below(&client->seed, 2) == 0 ? LIBNBD_CMD_FLAG_REQ_ONE : 0;
    nbd_extent_callback callback = {.callback = status_check, .user_data = &walk};
    expect(client, nbd_block_status(client->nbd, count, offset, callback, flags), "block status",
           offset, count);
    if (walk.offset == offset)
        fail("block status of %" PRIu64 " bytes at %" PRIu64 " says nothing", count, offset);
}

static void do_request(struct client *client)
{
    uint64_t offset, count;
    random_range(client, &offset, &count);
    uint64_t kind = random_below(&client->seed, 100);
    if (kind < 40)
        do_read(client, offset, count);
    else if (kind < 75)
        do_write(client, offset, count);
    else if (kind < 84)
        do_zero(client, offset, count);
    else if (kind < 92)
        do_trim(client, offset, count);
    else if (kind < 97)
        do_status(client, offset, count);
    else if (kind < 99)
        expect(client, nbd_cache(client->nbd, count, offset, 0), "cache", offset, count);
    else
        expect(client, nbd_flush(client->nbd, 0), "flush", offset, count);
}

static void *client_run(void *context)
{
    struct client *client = context;
    client->nbd = client_connect(client->uri);
    client->buffer = allocate(REQUEST_BYTES_MAX);
    for (uint64_t i = 0; i < client->requests; i++)
        do_request(client);
    nbd_shutdown(client->nbd, 0);
    nbd_close(client->nbd);
    free(client->buffer);
    return NULL;
}

/* Reads all of the disk over a new connection and compares it. */
static void verify(const char *uri, const unsigned char *shadow, uint64_t size)
{
    struct nbd_handle *nbd = client_connect(uri);
    unsigned char *buffer = allocate(REQUEST_BYTES_MAX);
    for (uint64_t offset = 0; offset < size; offset += REQUEST_BYTES_MAX) {
        uint64_t count = size - offset < REQUEST_BYTES_MAX ? size - offset : REQUEST_BYTES_MAX;
        if (nbd_pread(nbd, buffer, count, offset, 0) < 0)
            fail("read at %" PRIu64 ": %s", offset, nbd_get_error());
        compare(shadow + offset, buffer, count, offset);
    }
    free(buffer);
    nbd_shutdown(nbd, 0);
    nbd_close(nbd);
}

static uint64_t disk_size(struct nbd_handle *nbd)
{
    int64_t size = nbd_get_size(nbd);
    if (size < 0)
        fail("size: %s", nbd_get_error());
    return (uint64_t)size;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        fail("usage: nbd-random URI CONNECTIONS REQUESTS [SEED]");
    const char *uri = argv[1];
    uint64_t connections = number_argument(argv[2]);
    uint64_t seed = argc > 4 ? number_argument(argv[4]) : (uint64_t)time(NULL);
    /* Stays to the end, so that the disk is in use all the while. */
    struct nbd_handle *first = client_connect(uri);
    uint64_t size = disk_size(first);
    if (connections == 0 || connections > CONNECTIONS_MAX || size < 2 * connections)
        fail("%s connections: give 1 to %d, and no more than half the bytes of the disk", argv[2],
             CONNECTIONS_MAX);
    printf("seed %" PRIu64 ", %" PRIu64 " bytes, %" PRIu64 " connections\n", seed, size,
           connections);
    fflush(stdout);

    struct client clients[CONNECTIONS_MAX];
    pthread_t threads[CONNECTIONS_MAX];
    unsigned char *shadow = calloc(size, 1);
    if (shadow == NULL)
        fail("no memory for a copy of the disk");
    for (uint64_t i = 0; i < connections; i++) {
        clients[i] = (struct client){
            .uri = uri,
            .requests = number_argument(argv[3]) / connections,
            .seed = seed + i * 1000003,
            .start = i * size / connections | (i != 0),
            .end = i + 1 == connections ? size : (i + 1) * size / connections | 1,
            .shadow = shadow,
        };
        if (pthread_create(&threads[i], NULL, client_run, &clients[i]) != 0)
            fail("no thread for connection %" PRIu64, i);
    }
    for (uint64_t i = 0; i < connections; i++)
        pthread_join(threads[i], NULL);
    verify(uri, shadow, size);
    nbd_shutdown(first, 0);
    nbd_close(first);
    free(shadow);
    return 0;
}
