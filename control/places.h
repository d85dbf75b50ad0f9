/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * places.h: where the sockets of servers are that were given no path.
 *
 *      $XDG_RUNTIME_DIR/uzram/PID.sock      if that variable is set
 *      /run/uzram/PID.sock                  else, for root
 */
#ifndef UZRAM_CONTROL_PLACES_H
#define UZRAM_CONTROL_PLACES_H

#include <limits.h>

#include "common/compiler.h"

#define PLACE_SUFFIX ".sock"

/* The index-th folder in which a client looks, in `path` of PATH_MAX bytes; false past the last. */
bool place_folder(unsigned index, char *path);

/*
 * The path for a server of this process, in `path` of PATH_MAX bytes; makes the folder, for its
 * owner alone, or removes from it what servers have left that were killed. Returns 0, -ENOENT (no
 * such folder can be named) or what mkdir had against it.
 */
int place_own(char *path) must_use;

#endif
