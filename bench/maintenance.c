/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * maintenance.c: what background work costs and what it gains, in one run.
 *
 *   shrink    a device full of the file's pages; a random 75 % of its blocks trimmed; then quiet:
 *             memory each 100 ms, beside that of a device that never held more than the rest
 *   latency   reads in random order, percentiles while nothing runs, while objects move (compaction
 *             and migration) and while empty pages are given back to the system (purging), in
 *             another thread, in turns
 *   speed     objects that compaction moves in a second, from pools of small objects 25 % full
 *   overhead  bytes of memory per compressed byte: new, after overwriting ten times, after a pass
 *
 * Medians over rounds. Prints text and a verdict against the aims of docs/design.md; exits with
 * status 0 whatever they are: a benchmark is no test.
 *
 * Usage: maintenance FILE [MEGABYTES]     FILE: 4 KiB pages, as bench/make-pages makes them
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/latency.h"
#include "bench/support.h"
#include "device/device_internal.h"

#define ROUNDS           15
#define READS_PER_ROUND  40000
#define PURGE_PAGES      4096 /* are there to be given back each time, at least */
#define PURGE_STEP_PAGES 1024 /* as the maintenance thread's */
#define SMALL_BLOCKS     400000u
#define SMALL_ROUNDS     7

const char program_name[] = "maintenance";

static struct device *make_device(uint64_t blocks)
{
    struct device_config config;
    struct device *device;
    device_config_init(&config);
    config.size_bytes = blocks * BLOCK_SIZE_BYTES;
    expect("device_create", device_create(&config, &device));
    return device;
}

static void write_page(struct device *device, const struct pages_file *pages, uint64_t block,
                       uint64_t page)
{
    expect("write", device_write(device, pages->pages + page * BLOCK_SIZE_BYTES, BLOCK_SIZE_BYTES,
                                 block * BLOCK_SIZE_BYTES));
}

static struct device_statistics look(struct device *device)
{
    struct device_statistics statistics;
    device_statistics(device, &statistics);
    return statistics;
}

static double overhead(struct device *device)
{
    struct device_statistics statistics = look(device);
    return (double)statistics.mem_used_total / (double)statistics.compr_data_size;
}

/* Waits for the maintenance thread to have made a pass after now, ten seconds at most. */
static void wait_for_pass(struct device *device)
{
    uint64_t passes = look(device).maintenance_passes;
    maintenance_kick(device);
    for (int i = 0; i < 1000 && look(device).maintenance_passes == passes; i++)
        usleep(10000);
}

static void bench_shrink(const struct pages_file *pages)
{
    struct device *device = make_device(pages->count), *rest = make_device(pages->count);
    uint64_t seed = 1;
    expect("device_start", device_start(device));
    expect("device_start", device_start(rest));
    for (uint64_t i = 0; i < pages->count; i++)
        write_page(device, pages, i, i);
    double full = (double)look(device).mem_used_total;
    for (uint64_t i = 0; i < pages->count; i++)
        if (next_random(&seed) % 4 != 0)
            expect("trim", device_trim(device, BLOCK_SIZE_BYTES, i * BLOCK_SIZE_BYTES));
        else
            write_page(rest, pages, i, i);

    wait_for_pass(rest);
    double need = (double)look(rest).mem_used_total;
    printf("shrink: 75 %% of the blocks trimmed at random, then quiet\n");
    printf("  full %.1f MiB, what the rest needs %.1f MiB\n  ", full / MIB, need / MIB);
    double settled_ms = -1;
    for (int tick = 0; tick <= 20; tick++) {
        double now = (double)look(device).mem_used_total;
        if (tick % 4 == 0)
            printf("%d ms: %.3f  ", tick * 100, now / need);
        if (settled_ms < 0 && now <= 1.05 * need)
            settled_ms = tick * 100;
        usleep(100000);
    }
    printf("\n  at most 1.05 of it after %.0f ms (aim: 2000 ms)\n\n", settled_ms);
    device_destroy(device);
    device_destroy(rest);
}

static void bench_overhead(const struct pages_file *pages)
{
    struct device *device = make_device(pages->count);
    uint64_t seed = 2;
    expect("device_start", device_start(device));
    for (uint64_t i = 0; i < pages->count; i++)
        write_page(device, pages, i, i);
    double fresh = overhead(device);
    for (uint64_t i = 0; i < 10 * pages->count; i++)
        write_page(device, pages, next_random(&seed) % pages->count,
                   next_random(&seed) % pages->count);
    double busy = overhead(device);
    wait_for_pass(device);
    printf("overhead: mem_used_total per compressed byte, %" PRIu64 " MiB of data\n",
           pages->count * BLOCK_SIZE_BYTES / MIB);
    printf("  new %.4f, after overwriting ten times %.4f, after a pass %.4f (aim: 1.05)\n\n", fresh,
           busy, overhead(device));
    device_destroy(device);
}

/* What another thread does again and again while reads are timed. */
struct work {
    struct device *device;
    void (*turn)(struct work *);
    _Atomic bool is_stopping;
    _Atomic bool is_at_it; /* only reads meanwhile count */
    uint64_t count;        /* objects moved, or pages given back */
};

/* Compacts all, then empties each arena once. */
static void move_all(struct work *work)
{
    struct zpool_quota quota = {.objects = UINT64_MAX};
    struct pages_account account;
    uint64_t before = look(work->device).objects_moved;
    atomic_store(&work->is_at_it, true);
    zpool_compact(work->device->zpool, &quota);
    pages_account(work->device->pages, &account);
    for (uint64_t i = 0; i < account.arenas_active; i++) {
        pfn first = (pfn)(i * ARENA_PAGES);
        /* Arenas of descriptors refuse, which is as good here. */
        if (zpool_migrate(work->device->zpool, first, ARENA_PAGES, &quota) == -EPERM)
            continue;
    }
    atomic_store(&work->is_at_it, false);
    work->count += look(work->device).objects_moved - before;
}

/* Gives all pages back that nothing needs, in steps as the maintenance thread's, having made sure
 * that there are some. */
static void purge_all(struct work *work)
{
    struct device *device = work->device;
    struct zpool_quota quota = {.objects = UINT64_MAX};
    uint64_t before = work->count, purged;
    lock_acquire(&device->reclaim);
    (void)pages_refill(device->pages, PURGE_PAGES, PURGE_PAGES);
    atomic_store(&work->is_at_it, true);
    work->count += zpool_settle(device->zpool, &quota);
    lock_release(&device->reclaim);
    do {
        lock_acquire(&device->reclaim);
        purged = pages_trim(device->pages, 0, PURGE_STEP_PAGES);
        lock_release(&device->reclaim);
        work->count += purged;
    } while (purged > 0);
    atomic_store(&work->is_at_it, false);
    if (work->count == before)
        fail("no page could be given back", 0);
}

static void *work_on(void *context)
{
    struct work *work = context;
    while (!atomic_load(&work->is_stopping))
        work->turn(work);
    return NULL;
}

/* The device that is read, and which of its blocks hold data: holes would be read in no time. */
struct reader {
    struct device *device;
    uint64_t seed;
    bool *is_held; /* of each block */
};

/* Holes everywhere: half of the blocks go, others come. */
static void make_holes(struct reader *reader, const struct pages_file *pages)
{
    for (uint64_t i = 0; i < pages->count; i++)
        if (next_random(&reader->seed) % 2 == 0) {
            expect("trim", device_trim(reader->device, BLOCK_SIZE_BYTES, i * BLOCK_SIZE_BYTES));
            reader->is_held[i] = false;
        }
    for (uint64_t i = 0; i < pages->count / 4; i++) {
        uint64_t block = next_random(&reader->seed) % pages->count;
        write_page(reader->device, pages, block, next_random(&reader->seed) % pages->count);
        reader->is_held[block] = true;
    }
}

/* Times single reads, beside work only those that begin while it is done. */
static void time_reads(struct reader *reader, struct work *work, struct latency *latency)
{
    static double took[READS_PER_ROUND];
    unsigned char buffer[BLOCK_SIZE_BYTES];
    size_t count = 0;
    while (count < READS_PER_ROUND) {
        uint64_t block = next_random(&reader->seed) % reader->device->block_count;
        if (!reader->is_held[block])
            continue;
        bool counts = work == NULL || atomic_load(&work->is_at_it);
        double start = clock_seconds(CLOCK_MONOTONIC);
        expect("read",
               device_read(reader->device, buffer, sizeof buffer, block * BLOCK_SIZE_BYTES));
        took[count] = (clock_seconds(CLOCK_MONOTONIC) - start) * 1e6;
        count += counts;
    }
    latency_add(latency, took, count);
}

/* The same while another thread works. Returns how much it did. */
static uint64_t time_reads_beside(struct reader *reader, void (*turn)(struct work *),
                                  struct latency *latency)
{
    struct work work = {.device = reader->device, .turn = turn};
    pthread_t thread;
    expect("pthread_create", pthread_create(&thread, NULL, work_on, &work));
    time_reads(reader, &work, latency);
    atomic_store(&work.is_stopping, true);
    pthread_join(thread, NULL);
    return work.count;
}

static void bench_latency(const struct pages_file *pages)
{
    static struct latency alone, moving, purging;
    struct reader reader = {make_device(pages->count), 3, allocate(pages->count)};
    uint64_t moved = 0, purged = 0;
    for (uint64_t i = 0; i < pages->count; i++) {
        write_page(reader.device, pages, i, i);
        reader.is_held[i] = true;
    }
    for (int round = 0; round < ROUNDS; round++) {
        make_holes(&reader, pages);
        time_reads(&reader, NULL, &alone);
        moved += time_reads_beside(&reader, move_all, &moving);
        purged += time_reads_beside(&reader, purge_all, &purging);
    }
    printf("latency: reads of blocks that hold data, in random order, alone and beside work\n");
    printf("  %d rounds, %" PRIu64 " objects moved (aim: 99th at most 1.5 of alone), %" PRIu64
           " pages given back\n\n",
           ROUNDS, moved, purged);
    latency_print_header("reads");
    latency_print_row("alone", &alone, &alone);
    latency_print_row("while objects move", &moving, &alone);
    latency_print_row("while empty pages are given back", &purging, &alone);
    printf("\n");
    device_destroy(reader.device);
    free(reader.is_held);
}

/* A block that compresses to some dozen bytes, different for each number. */
static void small_block(unsigned char *block, uint64_t number)
{
    memset(block, 0, BLOCK_SIZE_BYTES);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t word = (number + 1) * UINT64_C(0x9e3779b97f4a7c15) + i;
        memcpy(block + i * 700, &word, sizeof word);
    }
}

static void bench_speed(void)
{
    double rate[SMALL_ROUNDS];
    uint64_t seed = 4;
    unsigned char block[BLOCK_SIZE_BYTES];
    double bytes = 0;
    for (int round = 0; round < SMALL_ROUNDS; round++) {
        struct device *device = make_device(SMALL_BLOCKS);
        for (uint64_t i = 0; i < SMALL_BLOCKS; i++) {
            small_block(block, i);
            expect("write", device_write(device, block, sizeof block, i * BLOCK_SIZE_BYTES));
        }
        for (uint64_t i = 0; i < SMALL_BLOCKS; i++)
            if (next_random(&seed) % 4 != 0)
                expect("trim", device_trim(device, BLOCK_SIZE_BYTES, i * BLOCK_SIZE_BYTES));
        struct device_statistics statistics = look(device);
        bytes = (double)statistics.compr_data_size * BLOCK_SIZE_BYTES /
                (double)statistics.orig_data_size;
        double start = clock_seconds(CLOCK_MONOTONIC);
        device_compact(device);
        double seconds = clock_seconds(CLOCK_MONOTONIC) - start;
        rate[round] = (double)look(device).objects_moved / seconds;
        device_destroy(device);
    }
    printf("speed: compaction of objects of %.0f bytes, pool 25 %% full, one thread\n", bytes);
    printf("  %.2f million objects a second (aim: 1)\n", quantile(rate, SMALL_ROUNDS, 0.5) / 1e6);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: maintenance FILE [MEGABYTES]\n");
        return EXIT_FAILURE;
    }
    uint64_t megabytes = argc > 2 ? parse_count("MEGABYTES", argv[2], 1, MEGABYTES_MAX) : 256;
    struct pages_file pages = pages_file_map(argv[1], megabytes);
    bench_shrink(&pages);
    bench_overhead(&pages);
    bench_latency(&pages);
    bench_speed();
    return EXIT_SUCCESS;
}
