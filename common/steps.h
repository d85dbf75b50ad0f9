/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steps.h: named places where a test can stop a thread, to replay a race on purpose.
 *
 * `step("zsmalloc: object copied")` does nothing in a release build. In a checked build it calls
 * the function that a test has set, which may block the calling thread until the test has done
 * something else meanwhile. A step may be reached with locks held; its name says where it is.
 */
#ifndef UZRAM_COMMON_STEPS_H
#define UZRAM_COMMON_STEPS_H

#ifdef UZRAM_CHECKED
typedef void step_function(const char *name);

/* Sets the function that every step calls; NULL: none. Call while no other thread runs steps. */
void steps_set(step_function *function);

void step(const char *name);
#else
#define step(name) ((void)0)
#endif

#endif
