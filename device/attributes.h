/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attributes.h: all that can be read and set of a living device, by the names that zram has for it.
 *
 * One row an attribute, in attributes.c. Settings of background work (settings.h) and single
 * statistics (statistics.h) are rows made from their lists. Values are written as zram writes them;
 * where zram has conditions (busy, unknown algorithm), they are the same errors, with a sentence
 * that says what would be accepted.
 */
#ifndef UZRAM_DEVICE_ATTRIBUTES_H
#define UZRAM_DEVICE_ATTRIBUTES_H

#include "control/attribute.h"

struct device;

/* The table of a device's attributes. Its rows are static; the device must outlive its use. */
struct attribute_table device_attributes(struct device *device);

#endif
