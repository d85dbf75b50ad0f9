/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control-table.h: a table of attributes of every sort, for tests of the control protocol.
 *
 *      word    rw   what was last set; refuses "no" with EINVAL and a sentence
 *      big     r    ANSWER_BYTES_MAX bytes
 *      huge    r    one more: can't be answered
 *      echo    r    its argument
 *      hidden  r    "first": there is a second row of the name
 *      sink    w    counts what it is given
 *      slow    w    waits until there is a byte in the pipe `slow_go`; counted in `slow_begun`
 */
#ifndef UZRAM_TESTS_CONTROL_TABLE_H
#define UZRAM_TESTS_CONTROL_TABLE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/session.h"

struct things {
    char word[REQUEST_BYTES_MAX + 1];
    unsigned sunk;
    int slow_go;
    _Atomic unsigned slow_begun;
};

static int get_word(void *context, const struct attribute *attribute, const char *argument,
                    struct text *answer)
{
    const struct things *things = context;
    (void)attribute;
    (void)argument;
    text_add(answer, "%s\n", things->word);
    return 0;
}

static int set_word(void *context, const struct attribute *attribute, const char *value,
                    struct text *answer)
{
    struct things *things = context;
    if (strcmp(value, "no") == 0) {
        text_add(answer, "%s=%s: give\nanything else", attribute->name, value);
        return -EINVAL;
    }
    strcpy(things->word, value);
    return 0;
}

static int get_filler(void *context, const struct attribute *attribute, const char *argument,
                      struct text *answer)
{
    (void)context;
    (void)argument;
    static const char filler[64] =
        "sixty-four bytes of filler, which nobody reads to their end ...";
    for (size_t i = 0; i < ANSWER_BYTES_MAX / sizeof filler; i++)
        text_add_bytes(answer, filler, sizeof filler);
    if (attribute->detail > 0)
        text_add(answer, "!");
    return 0;
}

static int get_echo(void *context, const struct attribute *attribute, const char *argument,
                    struct text *answer)
{
    (void)context;
    (void)attribute;
    text_add(answer, "%s", argument);
    return 0;
}

static int get_hidden(void *context, const struct attribute *attribute, const char *argument,
                      struct text *answer)
{
    (void)context;
    (void)argument;
    text_add(answer, "%s", attribute->detail == 1 ? "first" : "second");
    return 0;
}

static int set_sink(void *context, const struct attribute *attribute, const char *value,
                    struct text *answer)
{
    (void)attribute;
    (void)value;
    (void)answer;
    ((struct things *)context)->sunk++;
    return 0;
}

static int set_slow(void *context, const struct attribute *attribute, const char *value,
                    struct text *answer)
{
    struct things *things = context;
    char byte;
    (void)attribute;
    things->slow_begun++;
    if (things->slow_go > 0 && read(things->slow_go, &byte, 1) != 1)
        return -EIO;
    text_add(answer, "waited for %s\n", value);
    return 0;
}

static const struct attribute rows_of_things[] = {
    {"word", "what was last set", get_word, set_word, 0, false},
    {"big", "as long as an answer can be", get_filler, NULL, 0, false},
    {"huge", "longer than an answer can be", get_filler, NULL, 1, false},
    {"echo", "its argument", get_echo, NULL, 0, false},
    {"hidden", "the first of two", get_hidden, NULL, 1, false},
    {"hidden", "the second of two", get_hidden, NULL, 2, false},
    {"sink", "counts what it is given", NULL, set_sink, 0, false},
    {"slow", "waits", NULL, set_slow, 0, true},
};

static inline struct attribute_table table_of_things(struct things *things)
{
    return (struct attribute_table){rows_of_things, array_count(rows_of_things), things};
}

#endif
