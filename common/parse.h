/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * parse.h: texts that people write turned into numbers. Says nothing to the user: whoever calls
 * knows what was being set, and what would be accepted.
 */
#ifndef UZRAM_COMMON_PARSE_H
#define UZRAM_COMMON_PARSE_H

#include "common/compiler.h"

/*
 * A size in bytes: decimal digits and at most one of the suffixes b (bytes), s (512-byte sectors),
 * k, m, g, t, p, e (powers of 1024) in either case: what nbdkit_parse_size takes.
 * Returns 0, -EINVAL (not a size) or -ERANGE (more than INT64_MAX); *bytes is set only on success.
 */
int parse_size(const char *text, uint64_t *bytes) must_use;

/*
 * A whole decimal number from min to max, nothing before or behind it but a sign.
 * Returns 0, -EINVAL (not a number) or -ERANGE; *number is set only on success.
 */
int parse_integer(const char *text, int min, int max, int *number) must_use;

/* Takes NAME=VALUE. Returns NULL, or what is wrong as a phrase. */
typedef const char *parse_part(void *context, const char *name, const char *value);

/*
 * Parts of the form NAME=VALUE with white space between, as zram's attributes take them, each given
 * to `take` in turn; a part without "=" is a value of `bare`, or wrong if that is NULL. Returns
 * NULL with their number in *count, or the phrase that says what is wrong (not that there are
 * none).
 */
const char *parse_parts(const char *text, const char *bare, parse_part *take, void *context,
                        int *count) must_use;

#endif
