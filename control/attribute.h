/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attribute.h: what can be read and written of a running server: a table of rows.
 *
 *      {name, help, get, set, detail, is_slow}     get NULL: write-only, set NULL: read-only
 *
 * The table is made by who owns the things (device/attributes.c). Where two rows have one name, the
 * first counts, so that a special row may stand before those that are made from a list.
 */
#ifndef UZRAM_CONTROL_ATTRIBUTE_H
#define UZRAM_CONTROL_ATTRIBUTE_H

#include "control/text.h"

struct attribute;

/*
 * Writes the attribute's value to `answer`. `argument` is what followed the name, "" if nothing.
 * Returns 0, or a negative errno with a sentence in `answer` that says what would be accepted.
 */
typedef int attribute_get(void *context, const struct attribute *attribute, const char *argument,
                          struct text *answer);

/* Takes the value. Returns 0, or a negative errno as above with nothing changed. */
typedef int attribute_set(void *context, const struct attribute *attribute, const char *value,
                          struct text *answer);

struct attribute {
    const char *name;
    const char *help; /* one line, no full stop */
    attribute_get *get;
    attribute_set *set;
    size_t detail; /* for functions that serve several rows: which one */
    bool is_slow;  /* may take seconds: others are served meanwhile, by another thread */
};

struct attribute_table {
    const struct attribute *rows;
    size_t count;
    void *context; /* what get and set are called with */
};

/* The row of that name, or NULL. */
const struct attribute *attribute_find(const struct attribute_table *table, const char *name);

/* "r", "w" or "rw". */
const char *attribute_mode(const struct attribute *attribute);

/* Finds the attribute and reads or writes it: 0 or a negative errno, as above. */
int attribute_read(const struct attribute_table *table, const char *name, const char *argument,
                   struct text *answer) must_use;
int attribute_write(const struct attribute_table *table, const char *name, const char *value,
                    struct text *answer) must_use;

/* One line an attribute: "NAME MODE HELP". */
void attribute_list(const struct attribute_table *table, struct text *answer);

#endif
