/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * parse.h: texts from the command line turned into values. Knows neither nbdkit nor the device;
 * says nothing to the user: whoever calls knows the key to name.
 */
#ifndef UZRAM_PLUGIN_PARSE_H
#define UZRAM_PLUGIN_PARSE_H

#include "common/compiler.h"

#define ALGORITHM_NAME_BYTES_MAX 16

/* zram's algorithm_params taken apart. */
struct algorithm_params {
    char algo[ALGORITHM_NAME_BYTES_MAX]; /* "" if not given */
    bool has_level;
    int level;
};

/*
 * Parts of the form NAME=VALUE with white space between: algo=, level=, priority=0. A name given
 * twice counts as given last. Returns NULL, or what is wrong as a phrase that fits behind
 * "algorithm_params=…: "; *params is set only on success.
 */
const char *parse_algorithm_params(const char *text, struct algorithm_params *params) must_use;

#endif
