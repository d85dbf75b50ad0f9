/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/session.h"

/* No system has greater numbers of errors. */
#define ERRNO_MAX 4095

int control_client_open(struct control_client *client, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    client->socket = -1;
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    client->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->socket < 0)
        return -errno;
    if (connect(client->socket, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    int error = -errno;
    control_client_close(client);
    return error;
}

void control_client_close(struct control_client *client)
{
    if (client->socket >= 0)
        close(client->socket);
    client->socket = -1;
}

static int send_all(int socket, const char *bytes, size_t count, int flags)
{
    while (count > 0) {
        ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL | flags);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -errno;
        bytes += sent;
        count -= (size_t)sent;
    }
    return 0;
}

/* Adds what comes next to `bytes`. */
static int receive_some(int socket, unsigned timeout_ms, struct text *bytes)
{
    static const size_t piece_bytes = 65536;
    struct pollfd ready = {.fd = socket, .events = POLLIN};
    int count = poll(&ready, 1, (int)timeout_ms);
    if (count == 0)
        return -ETIMEDOUT;
    char *piece = malloc(piece_bytes);
    if (piece == NULL)
        return -ENOMEM;
    ssize_t got = recv(socket, piece, piece_bytes, 0);
    int error = got > 0 ? 0 : got == 0 ? -ECONNRESET : -errno;
    if (got > 0)
        text_add_bytes(bytes, piece, (size_t)got);
    free(piece);
    return error == -EINTR ? 0 : error;
}

static int errno_of_name(const char *name, size_t length)
{
    for (int error = 1; error <= ERRNO_MAX; error++) {
        const char *known = strerrorname_np(error);
        if (known != NULL && strlen(known) == length && memcmp(known, name, length) == 0)
            return -error;
    }
    return -EPROTO;
}

/* Takes "error ERRNO SENTENCE" apart. */
static int read_error(const char *line, struct text *answer)
{
    const char *name = line + strlen("error ");
    size_t length = strcspn(name, " \n");
    const char *sentence = name[length] == ' ' ? name + length + 1 : name + length;
    text_add(answer, "%.*s", (int)strcspn(sentence, "\n"), sentence);
    return errno_of_name(name, length);
}

/*
 * Looks at what has come so far: 1: more is needed; 0 or a negative errno: it was whole, and is in
 * `answer`.
 */
static int read_answer(const struct text *bytes, struct text *answer)
{
    const char *start = text_string(bytes), *end = memchr(start, '\n', bytes->length);
    if (bytes->is_broken)
        return -EOVERFLOW;
    if (end == NULL)
        return bytes->length > FRAME_BYTES_MAX ? -EPROTO : 1;
    if (strncmp(start, "error ", strlen("error ")) == 0)
        return read_error(start, answer);
    if (strncmp(start, "ok ", strlen("ok ")) != 0)
        return -EPROTO;
    char *after;
    unsigned long length = strtoul(start + strlen("ok "), &after, 10);
    if (after != end || length > ANSWER_BYTES_MAX)
        return -EPROTO;
    size_t body = (size_t)(end + 1 - start);
    if (bytes->length < body + length)
        return 1;
    text_add_bytes(answer, start + body, length);
    return answer->is_broken ? -EOVERFLOW : 0;
}

int control_client_ask(struct control_client *client, const char *request, unsigned timeout_ms,
                       struct text *answer)
{
    struct text bytes = text_of_limit(ANSWER_BYTES_MAX + FRAME_BYTES_MAX);
    text_clear(answer);
    int error = send_all(client->socket, request, strlen(request), MSG_MORE);
    if (error == 0)
        error = send_all(client->socket, "\n", 1, 0);
    /* A server that turns a client away says why before it closes: read that at any rate. */
    int result = 1;
    while (result == 1) {
        int received = receive_some(client->socket, timeout_ms, &bytes);
        result = received != 0 ? (error != 0 ? error : received) : read_answer(&bytes, answer);
    }
    text_free(&bytes);
    return result;
}
