/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * latency.h: how long single requests take, in rounds: percentiles of each round, and their
 * medians, in a table.
 *
 *      round 1   alone ····  with A ····  with B ····      the times of many requests, each
 *      round 2   alone ····  with A ····  with B ····
 *                  │           └─ divided by alone's of the same round
 *                  ▼
 *      row         median over rounds of the 50th, 99th and 99.9th percentile, and of these ratios
 */
#ifndef UZRAM_BENCH_LATENCY_H
#define UZRAM_BENCH_LATENCY_H

#include <stddef.h>

#define LATENCY_ROUNDS_MAX 32

enum { LATENCY_50, LATENCY_99, LATENCY_999, LATENCY_PERCENTILES };

/* All zeros: no round. */
struct latency {
    double us[LATENCY_PERCENTILES][LATENCY_ROUNDS_MAX];
    unsigned rounds;
};

/* Adds a round in which `count` (1 or more) requests took so many microseconds. */
void latency_add(struct latency *latency, const double *took_us, size_t count);

void latency_print_header(const char *what);

/* `alone` has as many rounds. */
void latency_print_row(const char *name, const struct latency *latency,
                       const struct latency *alone);

#endif
