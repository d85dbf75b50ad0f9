/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * algorithm_params.h: what zram's algorithm_params and recomp_algorithm are written as. Says
 * nothing to the user: whoever calls knows what was being set.
 */
#ifndef UZRAM_COMMON_ALGORITHM_PARAMS_H
#define UZRAM_COMMON_ALGORITHM_PARAMS_H

#include <limits.h>
#include <stdint.h>

#include "common/compiler.h"

#define ALGORITHM_NAME_BYTES_MAX 16
#define ALGORITHM_PRIORITY_MAX   3

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
