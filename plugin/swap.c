/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugin/swap.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "plugin/config.h"
#include "safety/safety.h"

/*
 * What nbdkit's threads need for the data of the requests they are at: 16 threads (its default)
 * with requests of 128 KiB, to which `uzram swap` limits the kernel. With longer ones, the buffers
 * become resident as the first such requests come.
 */
#define REQUEST_BUFFERS_BYTES (2 * MIB)

static _Atomic uint64_t faults_served;
static _Thread_local uint64_t faults_before;

/* Says what could not be had: errors with require, else one warning each. */
static void tell(const struct safety *safety, bool is_error)
{
    for (unsigned i = 0; i < SAFETY_MEASURE_COUNT; i++) {
        if (safety->error[i] == 0)
            continue;
        const char *meaning = safety_meaning((enum safety_measure)i);
        if (is_error)
            nbdkit_error("swap=require: %s (%s)", meaning, strerror(-safety->error[i]));
        else
            fprintf(stderr, "nbdkit: zram: swap=on: not safe to swap on: %s (%s)\n", meaning,
                    strerror(-safety->error[i]));
    }
}

static void add_statistics(struct device_statistics *statistics)
{
    struct safety_report report;
    if (safety_inspect(0, &report) != 0)
        return;
    statistics->swap_safe = safety_is_safe(&report);
    statistics->process_locked = report.locked_bytes;
    statistics->process_unlocked = report.mapped_bytes - report.locked_bytes;
    statistics->process_swapped = report.swapped_bytes;
    statistics->threads = report.threads;
    statistics->threads_that_wait = report.threads_that_wait;
    statistics->threads_without_right = report.threads_without_right;
    statistics->io_faults = atomic_load_explicit(&faults_served, memory_order_relaxed);
}

bool swap_is_on(void)
{
    return config_swap() != CONFIG_SWAP_OFF;
}

int swap_prepare(struct device *device)
{
    struct safety safety;
    if (!swap_is_on())
        return 0;
    device_set_server_statistics(device, add_statistics);
    /* Where that is no error, the warning is for who starts the server, before it is on its own. */
    bool is_required = config_swap() == CONFIG_SWAP_REQUIRE;
    if (safety_try(&safety) == 0)
        return 0;
    tell(&safety, is_required);
    return is_required ? -1 : 0;
}

int swap_begin(void)
{
    struct safety safety;
    if (!swap_is_on() || safety_take(REQUEST_BUFFERS_BYTES, &safety) == 0)
        return 0;
    bool is_required = config_swap() == CONFIG_SWAP_REQUIRE;
    tell(&safety, is_required);
    return is_required ? -1 : 0;
}

void swap_serve(void)
{
    if (swap_is_on())
        faults_before = safety_thread_faults();
}

void swap_served(void)
{
    if (!swap_is_on())
        return;
    uint64_t faults = safety_thread_faults() - faults_before;
    if (unlikely(faults != 0))
        atomic_fetch_add_explicit(&faults_served, faults, memory_order_relaxed);
}
