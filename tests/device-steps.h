/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-steps.h: gates, where a test stops a thread at a named step (common/steps.h) and knows
 * that it stands there, to replay a race.
 *
 *      thread of the core            test
 *      ──────────────────            ──────────────────────────────────
 *                                    gate = gate_set(step, GATE_STOPS_FIRST)
 *      step(…) ─▶ stands             gate_await(gate, 1)
 *                                    … does what races with it …
 *               ◀──────────────────  gate_open(gate)
 *
 * A gate waits on a condition variable, so nothing here takes a time that somebody guessed. A step
 * that is never reached hangs the test: watchdog_start says so.
 */
#ifndef UZRAM_TESTS_DEVICE_STEPS_H
#define UZRAM_TESTS_DEVICE_STEPS_H

#include <pthread.h>

#include "common/compiler.h"

struct device;

enum gate_kind {
    GATE_COUNTS,      /* stops nobody */
    GATE_STOPS_FIRST, /* stops the first thread that comes, until gate_open */
    GATE_STOPS_EACH,  /* stops every one, until gate_let_pass or gate_open */
};

struct gate;

/* Sets a gate. All gates are gone with gates_remove, which first opens them. */
struct gate *gate_set(const char *step_name, enum gate_kind kind);
void gates_remove(void);

/* Waits until `arrivals` threads have come to the gate since it was set. */
void gate_await(struct gate *gate, unsigned arrivals);

/* How often a thread has come. */
unsigned gate_arrivals(struct gate *gate);

/* Lets one of those that stand or will stand at the gate pass; lets all pass. */
void gate_let_pass(struct gate *gate);
void gate_open(struct gate *gate);

/* A thread of a test; fails the program if there is none to be had. */
pthread_t thread_start(void *(*function)(void *), void *context);
void *thread_join(pthread_t thread);

/* Starts the thread, lets it make whole passes until nothing is left to do, and stops it. */
void maintain_until_quiet(struct device *device);

#endif
