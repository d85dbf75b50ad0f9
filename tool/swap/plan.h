/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan.h: what swap is to be set up, from a file and a command line, checked before anything
 * is done.
 *
 *      FILE: KEY = VALUE ─▶ swap_plan_read ─┐
 *                                           ├─▶ swap_plan_set ─▶ swap_plan_check ─▶ a struct
 *      options, KEY=VALUE ──────────────────┘                                       swap_plan
 *
 * Keys that are not swap's own are the plugin's, which checks their values itself. Nothing is
 * printed: what is wrong is added to a text.
 */
#ifndef UZRAM_TOOL_SWAP_PLAN_H
#define UZRAM_TOOL_SWAP_PLAN_H

#include "control/text.h"

#define SWAP_PRIORITY_DEFAULT 100
#define SWAP_THREADS_DEFAULT  4

/* All threads of all connections together: so many requests' buffers a server makes resident. */
#define SWAP_THREADS_MAX 16

#define SWAP_PLUGIN_KEYS_MAX 64

struct swap_plan {
    uint64_t ram_bytes;
    uint64_t size_bytes;      /* 0: not said */
    uint64_t mem_limit_bytes; /* 0: none */
    int priority;
    int threads; /* of each connection */
    int connections;
    char *device;                     /* NULL: one that is free */
    char *plugin;                     /* as nbdkit takes it */
    char *keys[SWAP_PLUGIN_KEYS_MAX]; /* KEY=VALUE */
    size_t key_count;
};

/* A plan with all defaults, for a machine of so much memory. */
void swap_plan_init(struct swap_plan *plan, uint64_t ram_bytes);

void swap_plan_free(struct swap_plan *plan);

/*
 * An amount of memory: a size as nbdkit takes it, N% of RAM, ram, ram / N, ram * N, or min(A, B) or
 * max(A, B) of those. Returns 0, -EINVAL or -ERANGE; *bytes is set only on success.
 */
int swap_amount(const char *text, uint64_t ram_bytes, uint64_t *bytes) must_use;

/*
 * Takes one key; of two the last counts. "-" and "_" in keys are the same, and
 * compression-algorithm is comp_algorithm, as zram-generator has it. False with a sentence in
 * `wrong`.
 */
bool swap_plan_set(struct swap_plan *plan, const char *key, const char *value,
                   struct text *wrong) must_use;

/*
 * Takes a file: lines KEY = VALUE, empty ones, and comments after # or ; at their beginning. False
 * with "PATH:LINE: SENTENCE" in `wrong`.
 */
bool swap_plan_read(struct swap_plan *plan, const char *path, struct text *wrong) must_use;

/*
 * Whether it can be meant so. False with a sentence in `wrong`; else `warnings` has a line for each
 * thing that may have been meant otherwise.
 */
bool swap_plan_check(const struct swap_plan *plan, struct text *wrong,
                     struct text *warnings) must_use;

#endif
