/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * contestant-nbd.c: a disk behind an NBD server's Unix socket, one request at a time.
 *
 *      greeting ◀─ server       flags, option EXPORT_NAME ─▶       size ◀─
 *      then, for each request:  request [+ data] ─▶                reply [+ data] ◀─
 *
 * A request is sent whole by one call and the reply awaited, so that what the server does for it is
 * always the same. One thread at a time. It says nothing of memory: that is the server's.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/contestant.h"
#include "common/compiler.h"
#include "common/units.h"

/* From the specification of the protocol (proto.md of NetworkBlockDevice/nbd). */
#define SERVER_MAGIC      UINT64_C(0x4e42444d41474943)
#define OPTION_MAGIC      UINT64_C(0x49484156454f5054)
#define REQUEST_MAGIC     UINT32_C(0x25609513)
#define REPLY_MAGIC       UINT32_C(0x67446698)
#define CLIENT_FLAGS      UINT32_C(3) /* fixed newstyle, no zeroes */
#define OPTION_EXPORT     UINT32_C(1)
#define COMMAND_READ      UINT16_C(0)
#define COMMAND_WRITE     UINT16_C(1)
#define COMMAND_DISC      UINT16_C(2)
#define GREETING_BYTES    18u
#define EXPORT_INFO_BYTES 10u

struct option {
    uint32_t client_flags; /* goes before the option itself */
    uint64_t magic;
    uint32_t option, length;
} __attribute__((packed));

struct request {
    uint32_t magic;
    uint16_t flags, command;
    uint64_t cookie, offset;
    uint32_t length;
} __attribute__((packed));

struct reply {
    uint32_t magic, error;
    uint64_t cookie;
} __attribute__((packed));

struct nbd_store {
    int socket;
};

static int send_all(int socket, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0)
        return -errno;
    return (size_t)sent == length ? 0 : -EIO; /* a Unix socket that blocks takes all of it */
}

static int receive(int socket, void *buffer, size_t length)
{
    ssize_t received = recv(socket, buffer, length, MSG_WAITALL);
    if (received < 0)
        return -errno;
    return (size_t)received == length ? 0 : -ECONNRESET;
}

static int shake_hands(int socket, uint64_t size_bytes)
{
    unsigned char greeting[GREETING_BYTES], info[EXPORT_INFO_BYTES];
    uint64_t magic, size;
    int error = receive(socket, greeting, sizeof greeting);
    if (error != 0)
        return error;
    memcpy(&magic, greeting, sizeof magic);
    if (be64toh(magic) != SERVER_MAGIC)
        return -EPROTO;
    struct option option = {htobe32(CLIENT_FLAGS), htobe64(OPTION_MAGIC), htobe32(OPTION_EXPORT),
                            0};
    error = send_all(socket, &(struct iovec){&option, sizeof option}, 1);
    if (error == 0)
        error = receive(socket, info, sizeof info);
    if (error != 0)
        return error;
    memcpy(&size, info, sizeof size);
    return be64toh(size) >= size_bytes ? 0 : -EFBIG;
}

static struct contestant *nbd_open(uint64_t blocks, const struct algorithm *algorithm,
                                   const char *path, const char **reason)
{
    (void)algorithm;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct nbd_store *store = calloc(1, sizeof *store);
    *reason = strerror(store == NULL ? ENOMEM : ENAMETOOLONG);
    if (store == NULL || strlen(path) >= sizeof address.sun_path)
        goto fail;
    strcpy(address.sun_path, path);
    store->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = store->socket < 0 ? -errno : 0;
    if (error == 0 && connect(store->socket, (struct sockaddr *)&address, sizeof address) != 0)
        error = -errno;
    if (error == 0)
        error = shake_hands(store->socket, blocks * BLOCK_SIZE_BYTES);
    if (error == 0)
        return (struct contestant *)store;
    *reason = strerror(-error);
    if (store->socket >= 0)
        close(store->socket);
fail:
    free(store);
    return NULL;
}

static struct request request_of(uint16_t command, uint64_t block, unsigned count)
{
    return (struct request){.magic = htobe32(REQUEST_MAGIC),
                            .command = htobe16(command),
                            .cookie = block,
                            .offset = htobe64(block * BLOCK_SIZE_BYTES),
                            .length = htobe32(count * (uint32_t)BLOCK_SIZE_BYTES)};
}

static int receive_reply(int socket, uint64_t block)
{
    struct reply reply;
    int error = receive(socket, &reply, sizeof reply);
    if (error != 0)
        return error;
    if (be32toh(reply.magic) != REPLY_MAGIC || reply.cookie != block)
        return -EPROTO;
    return -(int)be32toh(reply.error); /* the protocol's errors have Linux's numbers */
}

static int nbd_write(struct contestant *contestant, uint64_t block, unsigned count,
                     const void *buffer)
{
    int socket = ((struct nbd_store *)contestant)->socket;
    struct request request = request_of(COMMAND_WRITE, block, count);
    struct iovec parts[] = {{&request, sizeof request},
                            {(void *)(uintptr_t)buffer, count * BLOCK_SIZE_BYTES}};
    int error = send_all(socket, parts, array_count(parts));
    return error != 0 ? error : receive_reply(socket, block);
}

static int nbd_read(struct contestant *contestant, uint64_t block, unsigned count, void *buffer)
{
    int socket = ((struct nbd_store *)contestant)->socket;
    struct request request = request_of(COMMAND_READ, block, count);
    int error = send_all(socket, &(struct iovec){&request, sizeof request}, 1);
    if (error == 0)
        error = receive_reply(socket, block);
    return error != 0 ? error : receive(socket, buffer, count * BLOCK_SIZE_BYTES);
}

static uint64_t no_answer(struct contestant *contestant)
{
    (void)contestant;
    return 0;
}

static void nbd_close(struct contestant *contestant)
{
    struct nbd_store *store = (struct nbd_store *)contestant;
    struct request request = request_of(COMMAND_DISC, 0, 0);
    (void)send_all(store->socket, &(struct iovec){&request, sizeof request}, 1);
    close(store->socket);
    free(store);
}

const struct contestant_kind contestant_nbd = {"nbd",    false,     nbd_open,  nbd_write,
                                               nbd_read, no_answer, no_answer, nbd_close};
