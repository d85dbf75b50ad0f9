/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client.h: the other end of the control protocol: asks a server, and waits for its answer.
 */
#ifndef UZRAM_CONTROL_CLIENT_H
#define UZRAM_CONTROL_CLIENT_H

#include "control/text.h"

struct control_client {
    int socket;
};

/* Connects to the server at a path. Returns 0 or a negative errno: -ECONNREFUSED: it has ended. */
int control_client_open(struct control_client *client, const char *path) must_use;

void control_client_close(struct control_client *client);

/*
 * Sends one request (without its line feed) and waits for the answer, at most `timeout_ms` for each
 * piece of it. Returns 0 with the answer in `answer`; the negative errno that the server said, with
 * its sentence in `answer`; or, with an empty `answer`, a negative errno of the connection:
 * -ETIMEDOUT, -ECONNRESET (ended), -EPROTO (what answers is no server of this protocol).
 */
int control_client_ask(struct control_client *client, const char *request, unsigned timeout_ms,
                       struct text *answer) must_use;

#endif
