/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * parse.h: texts from the command line turned into values. Knows neither nbdkit nor the device;
 * says nothing to the user: whoever calls knows the key to name.
 */
#ifndef UZRAM_PLUGIN_PARSE_H
#define UZRAM_PLUGIN_PARSE_H

#include <limits.h>
#include <stdint.h>

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

#define ALGORITHM_NAME_BYTES_MAX 16
#define ALGORITHM_PRIORITY_MAX   3

/* zram's algorithm_params or recomp_algorithm taken apart. */
struct algorithm_params {
    char algo[ALGORITHM_NAME_BYTES_MAX]; /* "" if not given */
    bool has_priority;
    int priority; /* 0 to ALGORITHM_PRIORITY_MAX */
    bool has_level;
    int level;
    char dict[PATH_MAX]; /* "" if not given */
};

/*
 * algorithm_params: parts of the form NAME=VALUE with white space between: algo=, priority=,
 * level=, dict=. A name given twice counts as given last. Returns NULL, or what is wrong as a
 * phrase that fits behind "algorithm_params=…: "; *params is set only on success.
 */
const char *parse_algorithm_params(const char *text, struct algorithm_params *params) must_use;

/*
 * recomp_algorithm: the same with algo= and priority= (1 to ALGORITHM_PRIORITY_MAX; 1 if not given)
 * only; "algo=" may be left out.
 */
const char *parse_recomp_algorithm(const char *text, struct algorithm_params *params) must_use;

#endif
