/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/crew.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "bench/support.h"

struct member {
    struct crew *crew;
    pthread_t thread;
    double began, ended, cpu_seconds;
};

/* `work` and `context` are written before `begin` and read behind it; what members write, the other
 * way round about `end`. */
struct crew {
    unsigned threads;
    pthread_barrier_t begin, end; /* for all members and who gives the work */
    crew_function *work;          /* NULL: the end */
    void *context;
    struct member members[];
};

static void *obey(void *argument)
{
    struct member *member = argument;
    struct crew *crew = member->crew;
    for (;;) {
        pthread_barrier_wait(&crew->begin);
        if (crew->work == NULL)
            return NULL;
        member->began = clock_seconds(CLOCK_MONOTONIC);
        double cpu = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
        crew->work(crew->context, (unsigned)(member - crew->members), crew->threads);
        member->cpu_seconds = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
        member->ended = clock_seconds(CLOCK_MONOTONIC);
        pthread_barrier_wait(&crew->end);
    }
}

/*
 * Gives each thread a CPU of its own if there are enough: for the few milliseconds of a piece of
 * work the scheduler may leave two on one while another is idle. One thread goes where there is
 * room.
 */
static void spread(struct crew *crew)
{
    cpu_set_t allowed;
    if (crew->threads == 1 || sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
        (unsigned)CPU_COUNT(&allowed) < crew->threads)
        return;
    unsigned member = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && member < crew->threads; cpu++)
        if (CPU_ISSET(cpu, &allowed)) {
            cpu_set_t own;
            CPU_ZERO(&own);
            CPU_SET(cpu, &own);
            expect("pthread_setaffinity_np",
                   pthread_setaffinity_np(crew->members[member++].thread, sizeof own, &own));
        }
}

struct crew *crew_start(unsigned threads)
{
    struct crew *crew = allocate(sizeof *crew + threads * sizeof crew->members[0]);
    crew->threads = threads;
    expect("pthread_barrier_init", pthread_barrier_init(&crew->begin, NULL, threads + 1));
    expect("pthread_barrier_init", pthread_barrier_init(&crew->end, NULL, threads + 1));
    for (unsigned i = 0; i < threads; i++) {
        crew->members[i].crew = crew;
        expect("pthread_create",
               pthread_create(&crew->members[i].thread, NULL, obey, &crew->members[i]));
    }
    spread(crew);
    return crew;
}

struct crew_time crew_work(struct crew *crew, crew_function *work, void *context)
{
    crew->work = work;
    crew->context = context;
    pthread_barrier_wait(&crew->begin);
    pthread_barrier_wait(&crew->end);

    double began = crew->members[0].began, ended = crew->members[0].ended;
    struct crew_time time = {0};
    for (unsigned i = 0; i < crew->threads; i++) {
        const struct member *member = &crew->members[i];
        began = member->began < began ? member->began : began;
        ended = member->ended > ended ? member->ended : ended;
        time.cpu_seconds += member->cpu_seconds;
    }
    time.wall_seconds = ended - began;
    return time;
}

void crew_end(struct crew *crew)
{
    crew->work = NULL;
    pthread_barrier_wait(&crew->begin);
    for (unsigned i = 0; i < crew->threads; i++)
        pthread_join(crew->members[i].thread, NULL);
    pthread_barrier_destroy(&crew->begin);
    pthread_barrier_destroy(&crew->end);
    free(crew);
}
