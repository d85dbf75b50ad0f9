/* SPDX-License-Identifier: BSD-3-Clause */
/* nbd-client.c: what the libnbd programs of the tests share. */
#include "tests/nbd-client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

struct nbd_handle *client_connect(const char *uri)
{
    struct nbd_handle *nbd = nbd_create();
    if (nbd == NULL || nbd_set_strict_mode(nbd, 0) < 0 ||
        nbd_set_pread_initialize(nbd, false) < 0 ||
        nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
        nbd_connect_uri(nbd, uri) < 0)
        fail("cannot connect to %s: %s", uri, nbd_get_error());
    return nbd;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t bound)
{
    return random_next(state) % bound;
}

void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL)
        fail("no memory for %zu bytes", bytes);
    return memory;
}

uint64_t number_argument(const char *text)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0')
        fail("%s: not a number", text);
    return number;
}
