/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * format.h: numbers, bars and JSON strings as people and programs read them.
 */
#ifndef UZRAM_TOOL_FORMAT_H
#define UZRAM_TOOL_FORMAT_H

#include "control/text.h"

/* Room for any number that is made here. */
#define FORMAT_BYTES_MAX 32

/* Bytes as zramctl shows them: 512B, 1.5K, 4G. Returns `target`, of FORMAT_BYTES_MAX. */
const char *format_bytes(char *target, uint64_t bytes);

/* A count with a factor of 1000: 950, 1.2k, 34M. */
const char *format_count(char *target, double count);

/* a / b with two digits behind the point, "-" if b is 0. */
const char *format_ratio(char *target, uint64_t a, uint64_t b);

/*
 * Adds a bar of `width` columns: `part` (0 to 1) of it solid, from there to `whole` light, then
 * spaces. Eighths of a column where the terminal's characters have them, else # and dots.
 */
void format_bar(struct text *text, double part, double whole, unsigned width);

/* One character that stands for a share (0 to 1) of a line's height. */
const char *format_spark(double share);

/* The string in quotes, as JSON, and as the value of a metric's label: both escape alike. */
void format_quoted(struct text *text, const char *string);

#endif
