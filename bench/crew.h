/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crew.h: threads that do one piece of work together, again and again.
 *
 *      crew_work ──▶ all begin at once ──▶ work(context, 0) … work(context, threads - 1)
 *                                                          │
 *      returns   ◀── the last has ended ◀──────────────────┘
 *
 * They live from crew_start to crew_end, so that what a thread makes once (a codec's context) is no
 * part of what is measured. One thread at a time gives work to a crew.
 */
#ifndef UZRAM_BENCH_CREW_H
#define UZRAM_BENCH_CREW_H

#define CREW_THREADS_MAX 64u

struct crew;

/* Starts 1 to CREW_THREADS_MAX threads, which wait. Fails, saying so, if there can't be so many. */
struct crew *crew_start(unsigned threads);

/* What one of `threads` does. */
typedef void crew_function(void *context, unsigned thread, unsigned threads);

struct crew_time {
    double wall_seconds; /* from the first that began to the last that ended */
    double cpu_seconds;  /* of all together */
};

struct crew_time crew_work(struct crew *crew, crew_function *work, void *context);

/* Ends the threads and frees the crew. */
void crew_end(struct crew *crew);

#endif
