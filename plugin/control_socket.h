/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control_socket.h: the control socket of the one disk, from the command line's word to its end.
 *
 *      control=PATH    made in get_ready: what is wrong with it ends the server before it serves
 *      nothing         made after the fork, when the number of the process that serves is known, at
 *                      the place where uzram(1) looks; a disk serves without if that can't be
 *      control=off     none
 *
 * All run on nbdkit's main thread. `path` is what config_control returns.
 */
#ifndef UZRAM_PLUGIN_CONTROL_SOCKET_H
#define UZRAM_PLUGIN_CONTROL_SOCKET_H

#include "device/device.h"

/* In get_ready: 0, or -1 after nbdkit_error. */
int control_socket_prepare(struct device *device, const char *path);

/* After the fork: 0, or -1 after nbdkit_error. */
int control_socket_start(struct device *device, const char *path);

/* Ends it and removes the socket, if there is one; may be called twice. */
void control_socket_close(void);

#endif
