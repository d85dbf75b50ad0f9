/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbd-disconnect.c: clients that vanish in the middle of a request.
 *
 *     nbd-disconnect URI ROUNDS [SEED]
 *
 * The first half of the disk is written once and must stay as it is. In each round a new client
 * begins a large write, a read or a zero in the second half and hangs up at a random moment, with
 * no goodbye; the bytes it leaves there are of a round's write or older ones. The disk is empty
 * before and at least 4 MiB large.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/units.h"
#include "tests/nbd-client.h"

#define STRETCH_BYTES (2 * MIB)

/* Lets the client talk for a while, as far as the server has time for it. */
static void talk(struct nbd_handle *nbd, uint64_t steps)
{
    for (uint64_t i = 0; i < steps; i++) {
        if (nbd_poll(nbd, 0) < 0)
            return;
    }
}

static void hang_up_in_request(const char *uri, unsigned char *buffer, uint64_t *seed,
                               unsigned char round)
{
    struct nbd_handle *nbd = client_connect(uri);
    uint64_t count = 1 + random_below(seed, STRETCH_BYTES);
    nbd_completion_callback none = NBD_NULL_COMPLETION;
    int64_t cookie;

    switch (random_below(seed, 4)) {
    case 0:
        cookie = nbd_aio_pread(nbd, buffer, count, STRETCH_BYTES, none, 0);
        break;
    case 1:
        cookie = nbd_aio_zero(nbd, count, STRETCH_BYTES, none, 0);
        break;
    default:
        memset(buffer, round, count);
        cookie = nbd_aio_pwrite(nbd, buffer, count, STRETCH_BYTES, none, 0);
        break;
    }
    if (cookie < 0)
        fail("a request could not be begun: %s", nbd_get_error());
    talk(nbd, random_below(seed, 30));
    nbd_close(nbd); /* closes the socket, says nothing to the server */
}

int main(int argc, char **argv)
{
    if (argc < 3)
        fail("usage: nbd-disconnect URI ROUNDS [SEED]");
    uint64_t rounds = number_argument(argv[2]);
    uint64_t seed = argc > 3 ? number_argument(argv[3]) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", seed);

    unsigned char *kept = allocate(STRETCH_BYTES);
    unsigned char *buffer = allocate(STRETCH_BYTES);
    for (uint64_t i = 0; i < STRETCH_BYTES; i++)
        kept[i] = i % 64 < 40 ? (unsigned char)random_next(&seed) : 7;

    struct nbd_handle *nbd = client_connect(argv[1]);
    if (nbd_pwrite(nbd, kept, STRETCH_BYTES, 0, 0) < 0)
        fail("the first write: %s", nbd_get_error());
    for (uint64_t i = 0; i < rounds; i++)
        hang_up_in_request(argv[1], buffer, &seed, (unsigned char)(1 + i % 200));

    if (nbd_pread(nbd, buffer, STRETCH_BYTES, 0, 0) < 0)
        fail("the server is of no more use: %s", nbd_get_error());
    if (memcmp(kept, buffer, STRETCH_BYTES) != 0)
        fail("data that no vanished client wrote has changed");
    if (nbd_pread(nbd, buffer, STRETCH_BYTES, STRETCH_BYTES, 0) < 0)
        fail("what the vanished clients wrote cannot be read: %s", nbd_get_error());
    for (uint64_t i = 0; i < STRETCH_BYTES; i++) {
        if (buffer[i] > 200)
            fail("byte %" PRIu64 " is %d, which nobody wrote", STRETCH_BYTES + i, buffer[i]);
    }
    nbd_shutdown(nbd, 0);
    nbd_close(nbd);
    free(buffer);
    free(kept);
    return 0;
}
