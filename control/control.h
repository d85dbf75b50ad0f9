/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control.h: a server of the control protocol (request.h) on a Unix socket.
 *
 *      clients ─▶ socket ─▶ one thread: poll ─▶ session.h ─▶ the table of attributes
 *                                         └───▶ errand.h ───▶ those of them that are slow
 *
 * The thread waits for nothing but poll: no client can hold it up, and it holds nobody up. What
 * takes long (to recompress, say) is done by a second thread, one such request after the other.
 *
 * Each client is allowed one line in and one answer out at a time: while an answer has not been
 * read to its end, nothing more is read from that client. Who reads nothing of it for
 * `stuck_ms`, or says nothing for `idle_ms`, is left. Of more than CONTROL_CLIENTS_MAX, one that
 * has been silent the longest makes room; if none has been for a while, the new one is told so.
 *
 * A client has to be of the server's own user or root, by the system's word (SO_PEERCRED).
 */
#ifndef UZRAM_CONTROL_CONTROL_H
#define UZRAM_CONTROL_CONTROL_H

#include "control/attribute.h"

#define CONTROL_CLIENTS_MAX 32

struct control_config {
    const char *path;             /* of the socket */
    struct attribute_table table; /* its rows must stay; called from the two threads only */
    unsigned idle_ms;             /* 0: a minute */
    unsigned stuck_ms;            /* 0: ten seconds */
};

struct control;

/*
 * Makes the socket; starts no thread, so it may be called before a fork. Returns 0 or a negative
 * errno with a sentence (listener.h says which); *control is NULL then.
 */
int control_open(const struct control_config *config, struct control **control,
                 struct text *sentence) must_use;

/* Starts the threads. Returns 0, -ENOMEM, or a negative errno of pthread_create. */
int control_start(struct control *control) must_use;

/* Ends the threads, after the requests that they are in; leaves clients and removes the socket.
 * NULL is allowed. */
void control_close(struct control *control);

const char *control_path(const struct control *control);

#endif
