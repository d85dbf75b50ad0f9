/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listener.h: the socket in the file system, of which a path has one or none.
 *
 *      PATH        the socket, mode 0600 from the moment it is there
 *      PATH.lock   a file whose lock (flock) the server holds as long as it lives
 *
 * Who holds the lock may remove a socket that nobody answers at, so that what a killed server left
 * is replaced, and two servers that start at once don't remove each other's. The lock survives a
 * fork (it belongs to the open file) and ends with the last process that has it.
 */
#ifndef UZRAM_CONTROL_LISTENER_H
#define UZRAM_CONTROL_LISTENER_H

#include "control/text.h"

struct listener {
    int socket; /* listening, non-blocking; -1: none */
    int lock;
    char *path;
    char *lock_path;
};

/*
 * Makes the socket and listens. Returns 0; -EADDRINUSE: a server answers there; -EEXIST: what is
 * there is no socket; -ENAMETOOLONG; -ENOMEM; or what the system had against it. `sentence` says
 * then what was wrong and what would be accepted, without the path.
 */
int listener_open(struct listener *listener, const char *path, struct text *sentence) must_use;

/*
 * Removes the socket at a path, and its lock file, if its server has ended without doing so. Does
 * nothing if anybody serves there, or may be about to.
 */
void listener_remove_stale(const char *path);

/* Closes it and removes both files. One that was never opened, all zeros but socket -1, too. */
void listener_close(struct listener *listener);

#endif
