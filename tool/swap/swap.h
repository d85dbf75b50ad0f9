/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * swap.h: uzram swap: its three commands, and what they share.
 *
 *      swap.c ─┬─▶ start.c ─┬─▶ plan.h     what is wanted
 *              │            └─▶ steps.h    how it is made, and undone
 *              ├─▶ stop.c ────▶ steps.h
 *              └─▶ check.c ───▶ facts.h ─▶ judge.c
 */
#ifndef UZRAM_TOOL_SWAP_SWAP_H
#define UZRAM_TOOL_SWAP_SWAP_H

#include "tool/command.h"

/* As the run of a struct command; argv[0] is the sub-command's name. */
int swap_start(const struct command *command, int argc, char **argv);
int swap_stop(const struct command *command, int argc, char **argv);
int swap_check(const struct command *command, int argc, char **argv);

/* Ends the program with a sentence if this user may not set up swap. */
void swap_need_root(void);

/*
 * Makes /run/uzram if `makes`, and waits until nobody else sets up or ends swap; that is over with
 * this process. Ends the program if it can't be had; false: there is no folder.
 */
bool swap_lock(bool makes);

#endif
