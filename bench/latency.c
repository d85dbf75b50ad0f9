/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/latency.h"

#include <stdio.h>

#include "bench/support.h"

static const double shares[LATENCY_PERCENTILES] = {0.5, 0.99, 0.999};

void latency_add(struct latency *latency, const double *took_us, size_t count)
{
    for (unsigned i = 0; i < LATENCY_PERCENTILES; i++)
        latency->us[i][latency->rounds] = quantile(took_us, count, shares[i]);
    latency->rounds++;
}

void latency_print_header(const char *what)
{
    printf("| %s | 50th, us | 99th, us | 99.9th, us | 50th to alone | 99th to alone "
           "| 99.9th to alone |\n|---|---:|---:|---:|---:|---:|---:|\n",
           what);
}

void latency_print_row(const char *name, const struct latency *latency, const struct latency *alone)
{
    unsigned rounds = latency->rounds;
    printf("| %s", name);
    for (unsigned i = 0; i < LATENCY_PERCENTILES; i++)
        printf(" | %.2f", quantile(latency->us[i], rounds, 0.5));
    for (unsigned i = 0; i < LATENCY_PERCENTILES; i++) {
        double ratio[LATENCY_ROUNDS_MAX];
        for (unsigned round = 0; round < rounds; round++)
            ratio[round] = latency->us[i][round] / alone->us[i][round];
        printf(" | %.3f", quantile(ratio, rounds, 0.5));
    }
    printf(" |\n");
}
