/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steps.h: what swap is set up by, step by step, and how each is undone.
 *
 *      nbdkit ─▶ its state ─▶ nbd-client ─▶ max_sectors_kb ─▶ mkswap ─▶ swapon
 *
 * start makes them in this order; what fails is undone with all before it. stop undoes them all.
 * To undo what was never made, or only half, does nothing, or the half.
 *
 * The server comes first and goes last: nothing may wait for it that it has not promised to answer.
 * Swap is always taken off before the device is disconnected: what is on it would be lost.
 */
#ifndef UZRAM_TOOL_SWAP_STEPS_H
#define UZRAM_TOOL_SWAP_STEPS_H

#include "tool/program.h"
#include "tool/swap/plan.h"
#include "tool/swap/state.h"

#define PROC_SWAPS "/proc/swaps"

struct swap_setup {
    const struct swap_plan *plan; /* only for what is made */
    struct swap_state state;
    struct program client;         /* nbd-client, if it was started here */
    char said[PROGRAM_SAID_BYTES]; /* why the last failed */
};

struct swap_step {
    const char *name; /* as in "failed at NAME" */
    bool (*make)(struct swap_setup *setup);
    bool (*undo)(struct swap_setup *setup); /* NULL: nothing to be undone */
};

enum { SWAP_STEP_COUNT = 6 };
extern const struct swap_step swap_steps[SWAP_STEP_COUNT];

/*
 * Undoes the steps before `end`, the last first. Returns the index of one that could not be: then
 * it and those before it are left as they are, with the reason in `said`. Else -1.
 */
int swap_undo(struct swap_setup *setup, int end) must_use;

#endif
