/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * text.h: a text that is added to and has a limit.
 *
 * What doesn't fit, or gets no memory, makes the whole text `is_broken`: nothing is added any more,
 * and whoever wants to send it looks first. One thread at a time.
 */
#ifndef UZRAM_CONTROL_TEXT_H
#define UZRAM_CONTROL_TEXT_H

#include "common/compiler.h"

struct text {
    char *bytes; /* NULL while empty; ends with a zero that `length` doesn't count */
    size_t length;
    size_t capacity;
    size_t limit; /* most that length may become */
    bool is_broken;
};

static inline struct text text_of_limit(size_t limit)
{
    return (struct text){.limit = limit};
}

/* Frees its memory; it is an empty text of the same limit then. */
void text_free(struct text *text);

/* Empties it, for use again; keeps its memory. */
void text_clear(struct text *text);

printf_like(2, 3) void text_add(struct text *text, const char *format, ...);

void text_add_bytes(struct text *text, const void *bytes, size_t count);

/* Its content as a string, "" if there is none. Valid until it is changed. */
const char *text_string(const struct text *text);

#endif
