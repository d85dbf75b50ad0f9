/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbd-client.h: what the libnbd programs of the tests share: connecting, reproducible randomness,
 * and content that can be recognised. They end with a message and status 1 at the first surprise.
 */
#ifndef UZRAM_TESTS_NBD_CLIENT_H
#define UZRAM_TESTS_NBD_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <libnbd.h>

#include "common/compiler.h"

/* Prints a line to standard error and ends the process with status 1. */
void fail(const char *format, ...) __attribute__((noreturn)) printf_like(1, 2);

/*
 * Connects to the URI. libnbd's own checks of requests are off, so that the server sees what it
 * should refuse, and buffers are not cleared for it. Close with nbd_close.
 */
struct nbd_handle *client_connect(const char *uri);

/* The next number of a sequence that depends on the seed alone (splitmix64). */
uint64_t random_next(uint64_t *state);

/* A number from 0 to bound - 1. */
uint64_t random_below(uint64_t *state, uint64_t bound);

/* malloc that does not fail. */
void *allocate(size_t bytes);

/* A number from the command line: decimal, or hexadecimal after 0x. */
uint64_t number_argument(const char *text);

#endif
