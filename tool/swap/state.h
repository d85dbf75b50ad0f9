/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.h: the swap that `uzram swap start` has set up, by its names, and what is left of it.
 *
 *      /run/uzram/                    mode 0700
 *          swap.lock                  held while one is being set up or ended
 *          swap-nbdN.state            a symbolic link to "server=PID"
 *          swap-nbdN.nbd              the server's socket for nbd-client
 *          swap-nbdN.sock             its control socket, where all commands look
 *          swap-nbdN.pid              as nbdkit writes it
 *
 * All names follow from the device's, so that stop and check need only the state. It is a link
 * because /run is a tmpfs, whose files can be swapped out, even to this device, and what has gone
 * wrong with that has to be found when it can't be read any more. A link's text stays in memory.
 */
#ifndef UZRAM_TOOL_SWAP_STATE_H
#define UZRAM_TOOL_SWAP_STATE_H

#include <limits.h>
#include <sys/types.h>

#include "common/compiler.h"
#include "tool/swap/nbd_device.h"

#define SWAP_FOLDER "/run/uzram"

/* A path here: a socket's may not be longer than 107 bytes. */
#define SWAP_PATH_BYTES 128

struct swap_state {
    char name[NBD_NAME_BYTES];
    char device[SWAP_PATH_BYTES];
    char socket[SWAP_PATH_BYTES];
    char control[SWAP_PATH_BYTES];
    char pid_file[SWAP_PATH_BYTES];
    char file[SWAP_PATH_BYTES];
    pid_t server; /* 0: not known */
};

/* All names for "nbdN" in a folder. */
void swap_state_name(struct swap_state *state, const char *folder, const char *name);

/* Replaces it as a whole. Returns 0 or a negative errno. */
int swap_state_write(const struct swap_state *state) must_use;

/* Reads the state of "nbdN". Returns 0; -ENOENT; -EPROTO: it is no such link; or another errno. */
int swap_state_read(struct swap_state *state, const char *folder, const char *name) must_use;

/* All there are in a folder, in `*states`, to be freed. What can't be read is none. */
size_t swap_state_list(const char *folder, struct swap_state **states);

/* True if the process lives and one of its arguments is this. */
bool process_has_argument(pid_t pid, const char *argument);

/* A line of /proc/swaps. */
struct swap_use {
    uint64_t size_bytes, used_bytes;
};

/* Whether `swaps`, the path of /proc/swaps or of a test's, has this device; `use` may be NULL. */
bool swap_is_used(const char *swaps, const char *device, struct swap_use *use);

#endif
