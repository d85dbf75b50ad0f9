/* SPDX-License-Identifier: BSD-3-Clause */
/* device-steps.c: see device-steps.h. */
#include "tests/device-steps.h"

#include <limits.h>

#include "common/steps.h"
#include "tests/device-support.h"

#define GATES_MAX 8

struct gate {
    const char *step_name;
    enum gate_kind kind;
    unsigned arrivals;
    unsigned may_pass; /* arrivals below this number go on */
};

/* All gates, under one mutex: they are few, and looked at in tests of single steps only. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct gate gates[GATES_MAX];
static unsigned gate_count;
static unsigned standing;

static bool may_pass(const struct gate *gate, unsigned arrival)
{
    if (gate->kind == GATE_COUNTS || (gate->kind == GATE_STOPS_FIRST && arrival > 0))
        return true;
    return arrival < gate->may_pass;
}

static void on_step(const char *name)
{
    pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < gate_count; i++) {
        struct gate *gate = &gates[i];
        if (strcmp(gate->step_name, name) != 0)
            continue;
        unsigned arrival = gate->arrivals++;
        pthread_cond_broadcast(&changed);
        standing++;
        while (!may_pass(gate, arrival))
            pthread_cond_wait(&changed, &mutex);
        standing--;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&mutex);
}

struct gate *gate_set(const char *step_name, enum gate_kind kind)
{
    pthread_mutex_lock(&mutex);
    must(gate_count < GATES_MAX);
    struct gate *gate = &gates[gate_count++];
    *gate = (struct gate){.step_name = step_name, .kind = kind};
    pthread_mutex_unlock(&mutex);
    steps_set(on_step);
    return gate;
}

void gates_remove(void)
{
    pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < gate_count; i++)
        gates[i].may_pass = UINT_MAX;
    pthread_cond_broadcast(&changed);
    while (standing > 0)
        pthread_cond_wait(&changed, &mutex);
    gate_count = 0;
    pthread_mutex_unlock(&mutex);
    steps_set(NULL);
}

void gate_await(struct gate *gate, unsigned arrivals)
{
    pthread_mutex_lock(&mutex);
    while (gate->arrivals < arrivals)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

unsigned gate_arrivals(struct gate *gate)
{
    pthread_mutex_lock(&mutex);
    unsigned arrivals = gate->arrivals;
    pthread_mutex_unlock(&mutex);
    return arrivals;
}

void gate_let_pass(struct gate *gate)
{
    pthread_mutex_lock(&mutex);
    gate->may_pass++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&mutex);
    gate->may_pass = UINT_MAX;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

pthread_t thread_start(void *(*function)(void *), void *context)
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, function, context) == 0);
    return thread;
}

void *thread_join(pthread_t thread)
{
    void *result;
    must(pthread_join(thread, &result) == 0);
    return result;
}

void maintain_until_quiet(struct device *device)
{
    struct gate *after = gate_set("maintenance: after a pass", GATE_COUNTS);
    uint64_t passes = device_statistic(device, maintenance_passes);
    must(device_start(device) == 0);
    unsigned seen = 0;
    while (device_statistic(device, maintenance_passes) == passes)
        gate_await(after, ++seen);
    device_stop(device);
    gates_remove();
}
