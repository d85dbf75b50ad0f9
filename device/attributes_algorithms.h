/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attributes_algorithms.h: the attributes that say what blocks are compressed and recompressed
 * with. The context of each is the device; see control/attribute.h for what a get and a set are.
 */
#ifndef UZRAM_DEVICE_ATTRIBUTES_ALGORITHMS_H
#define UZRAM_DEVICE_ATTRIBUTES_ALGORITHMS_H

#include "common/compiler.h"
#include "control/attribute.h"

/* Says "NAME=VALUE: " and the reason. Returns the error. For all files of attributes. */
printf_like(5, 6) int attribute_refuse(struct text *answer, int error,
                                       const struct attribute *attribute, const char *value,
                                       const char *reason, ...);

attribute_get get_comp_algorithm, get_recomp_algorithm, get_algorithm_params, get_recompress_policy,
    get_train;
attribute_set set_comp_algorithm, set_recomp_algorithm, set_algorithm_params, set_recompress_policy,
    set_recompress, set_idle;

#endif
