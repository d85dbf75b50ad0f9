/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * maintenance.c: what background work costs and what it gains, in one run.
 *
 *   shrink    a device full of the file's pages; a random 75 % of its blocks trimmed; then quiet:
 *             memory each 100 ms, beside that of a device that never held more than the rest
 *   latency   reads in random order, percentiles while nothing runs and while compaction and
 *             migration run in another thread, in turns
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

#include "bench/support.h"
#include "device/device_internal.h"

#define ROUNDS          15
#define READS_PER_ROUND 40000
#define SMALL_BLOCKS    400000u
#define SMALL_ROUNDS    7

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

struct mover {
    struct device *device;
    _Atomic bool is_done;
    uint64_t moved;
};

/* Compacts all, then empties each arena once. */
static void *move_all(void *context)
{
    struct mover *mover = context;
    struct zpool_quota quota = {.objects = UINT64_MAX};
    struct pages_account account;
    uint64_t before = look(mover->device).objects_moved;
    zpool_compact(mover->device->zpool, &quota);
    pages_account(mover->device->pages, &account);
    for (uint64_t i = 0; i < account.arenas_active; i++) {
        pfn first = (pfn)(i * ARENA_PAGES);
        /* Arenas of descriptors refuse, which is as good here. */
        if (zpool_migrate(mover->device->zpool, first, ARENA_PAGES, &quota) == -EPERM)
            continue;
    }
    mover->moved = look(mover->device).objects_moved - before;
    atomic_store(&mover->is_done, true);
    return NULL;
}

struct percentiles {
    double p50, p99, p999;
};

/* Times single reads; with a mover, until it is done. */
static struct percentiles time_reads(struct device *device, uint64_t *seed, struct mover *mover)
{
    static double took[READS_PER_ROUND];
    unsigned char block[BLOCK_SIZE_BYTES];
    size_t count = 0;
    while (count < READS_PER_ROUND && (mover == NULL || !atomic_load(&mover->is_done))) {
        uint64_t at = next_random(seed) % device->block_count;
        double start = clock_seconds(CLOCK_MONOTONIC);
        expect("read", device_read(device, block, sizeof block, at * BLOCK_SIZE_BYTES));
        took[count++] = (clock_seconds(CLOCK_MONOTONIC) - start) * 1e6;
    }
    if (count == 0)
        return (struct percentiles){0};
    return (struct percentiles){quantile(took, count, 0.5), quantile(took, count, 0.99),
                                quantile(took, count, 0.999)};
}

static void bench_latency(const struct pages_file *pages)
{
    struct device *device = make_device(pages->count);
    double ratio50[ROUNDS], ratio99[ROUNDS], alone99[ROUNDS], with99[ROUNDS], ratio999[ROUNDS];
    uint64_t seed = 3, moved = 0;
    for (uint64_t i = 0; i < pages->count; i++)
        write_page(device, pages, i, i);
    for (int round = 0; round < ROUNDS; round++) {
        /* Holes everywhere: half of the blocks go, others come. */
        for (uint64_t i = 0; i < pages->count; i++)
            if (next_random(&seed) % 2 == 0)
                expect("trim", device_trim(device, BLOCK_SIZE_BYTES, i * BLOCK_SIZE_BYTES));
        for (uint64_t i = 0; i < pages->count / 4; i++)
            write_page(device, pages, next_random(&seed) % pages->count,
                       next_random(&seed) % pages->count);
        struct percentiles alone = time_reads(device, &seed, NULL);
        struct mover mover = {.device = device};
        pthread_t thread;
        expect("pthread_create", pthread_create(&thread, NULL, move_all, &mover));
        struct percentiles with = time_reads(device, &seed, &mover);
        pthread_join(thread, NULL);
        moved += mover.moved;
        ratio50[round] = with.p50 / alone.p50;
        ratio99[round] = with.p99 / alone.p99;
        ratio999[round] = with.p999 / alone.p999;
        alone99[round] = alone.p99;
        with99[round] = with.p99;
    }
    printf("latency: reads of 4 KiB in random order, alone and while objects are moved\n");
    printf("  %d rounds, %" PRIu64 " objects moved; 99th percentile alone %.2f us, with %.2f us\n",
           ROUNDS, moved, quantile(alone99, ROUNDS, 0.5), quantile(with99, ROUNDS, 0.5));
    printf("  ratios: median %.3f, 99th %.3f (aim: 1.5), 99.9th %.3f\n\n",
           quantile(ratio50, ROUNDS, 0.5), quantile(ratio99, ROUNDS, 0.5),
           quantile(ratio999, ROUNDS, 0.5));
    device_destroy(device);
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
