/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * errand.h: a second thread, for requests that take long: one at a time, while the first goes on
 * serving everybody else.
 *
 *      control thread ── errand_begin(session) ──▶ [one place] ──▶ errand thread: session_answer
 *             ▲                                                           │
 *             └──────── an event on the descriptor, errand_end ◀──────────┘
 *
 * Between errand_begin and errand_end the session and its answer are the errand thread's alone.
 */
#ifndef UZRAM_CONTROL_ERRAND_H
#define UZRAM_CONTROL_ERRAND_H

#include "control/session.h"

struct errand;

/*
 * Makes the thread. `table` must outlive it; `event` is an eventfd that is added to when an errand
 * is done. Returns 0, -ENOMEM, or a negative errno of pthread_create.
 */
int errand_start(const struct attribute_table *table, int event, struct errand **errand) must_use;

/* Waits for the errand under way, and ends the thread. NULL is allowed. */
void errand_stop(struct errand *errand);

/* Has the session's next line answered into `out`. False: another errand is under way. */
bool errand_begin(struct errand *errand, struct session *session, struct text *out);

/* The session whose line is answered, which is the caller's again; NULL if none is. */
struct session *errand_end(struct errand *errand);

#endif
