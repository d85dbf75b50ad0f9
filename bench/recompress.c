/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recompress.c: what recompression gains, and what it costs those who read meanwhile.
 *
 *   gain      a device full of the file's pages, lz4; then all blocks are recompressed, with and
 *             without a dictionary trained on the device: memory before and after, blocks a second
 *   latency   reads of a hot tenth of the blocks by one thread, with pauses; percentiles while the
 *             policy recompresses the rest in the background, and without it, in turns. The policy
 *             never pauses here, and has the share of a CPU that is the default.
 *
 * Medians over rounds. Exits with status 0 whatever they are: a benchmark is no test.
 *
 * Usage: recompress FILE [MEGABYTES]     FILE: 4 KiB pages, as bench/make-pages makes them
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/latency.h"
#include "bench/support.h"
#include "common/memory.h"
#include "device/device_internal.h"
#include "device/train.h"

#define ROUNDS          11
#define READS_PER_ROUND 60000
#define READS_IN_A_ROW  64
#define DICTIONARY      (32 * KIB)

const char program_name[] = "recompress";

static struct device *full_device(const struct pages_file *pages)
{
    struct device_config config;
    struct device *device;
    device_config_init(&config);
    config.size_bytes = pages->count * BLOCK_SIZE_BYTES;
    expect("device_create", device_create(&config, &device));
    for (uint64_t i = 0; i < pages->count; i++)
        expect("write", device_write(device, pages->pages + i * BLOCK_SIZE_BYTES, BLOCK_SIZE_BYTES,
                                     i * BLOCK_SIZE_BYTES));
    return device;
}

static struct device_statistics look(struct device *device)
{
    struct device_statistics statistics;
    device_statistics(device, &statistics);
    return statistics;
}

/* Microseconds of CPU per block to read all. */
static double read_all(struct device *device)
{
    unsigned char block[BLOCK_SIZE_BYTES];
    double start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t i = 0; i < device->block_count; i++)
        expect("read", device_read(device, block, sizeof block, i * BLOCK_SIZE_BYTES));
    return (clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start) * 1e6 / (double)device->block_count;
}

static void bench_gain(const struct pages_file *pages, const char *name, int level, bool trained)
{
    struct device *device = full_device(pages);
    const struct codec *codec = codec_find(name);
    struct train_result training = {0};
    double start = clock_seconds(CLOCK_MONOTONIC);
    if (trained) {
        struct train_request request = {
            .codec = codec, .level = level, .dictionary_bytes = DICTIONARY};
        expect("train", device_train(device, &request, &training));
    }
    double train_seconds = clock_seconds(CLOCK_MONOTONIC) - start;
    expect("algorithm", device_set_algorithm(device, 1, codec, level, training.dictionary,
                                             training.dictionary_bytes));
    struct device_statistics before = look(device);
    double read_before = read_all(device);
    struct recompress_result result;
    start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    expect("recompress", device_recompress(device, &(struct recompress_request){0}, &result));
    double seconds = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    (void)device_compact(device);
    lock_acquire(&device->reclaim);
    (void)device_reclaim(device, 1);
    lock_release(&device->reclaim);
    struct device_statistics after = look(device);
    double read_after = read_all(device);
    printf("  %-5s %3d %-10s | %6.1f -> %6.1f MiB, saved %4.1f %% | %7.0f tried/s | read %.2f -> "
           "%.2f us",
           name, level, trained ? "dictionary" : "", (double)before.mem_used_total / MIB,
           (double)after.mem_used_total / MIB,
           100 - 100 * (double)after.mem_used_total / (double)before.mem_used_total,
           (double)result.tried / seconds, read_before, read_after);
    if (trained)
        printf(" | trained in %.1f s, foretold %4.1f %%", train_seconds,
               100 - 100 * (double)training.with_bytes / (double)training.stored_bytes);
    printf("\n");
    memory_free(training.dictionary);
    device_destroy(device);
}

/* Times reads of the hot blocks, which are the first tenth. */
static void read_hot(struct device *device, uint64_t *seed, double *took)
{
    unsigned char block[BLOCK_SIZE_BYTES];
    for (unsigned i = 0; i < READS_PER_ROUND; i++) {
        uint64_t at = next_random(seed) % (device->block_count / 10);
        double start = clock_seconds(CLOCK_MONOTONIC);
        expect("read", device_read(device, block, sizeof block, at * BLOCK_SIZE_BYTES));
        took[i] = (clock_seconds(CLOCK_MONOTONIC) - start) * 1e6;
        if (i % READS_IN_A_ROW == 0)
            usleep(1000);
    }
}

static void bench_latency(const struct pages_file *pages)
{
    static struct latency alone, with;
    static double took[READS_PER_ROUND];
    uint64_t seed = 1, recompressed = 0, time_us = 0;
    double seconds = 0;
    struct device *device = full_device(pages);
    expect("set", device_set(device, "recompress_busy", 1000000000));
    expect("device_start", device_start(device));
    for (int round = 0; round < ROUNDS; round++) {
        expect("algorithm", device_set_algorithm(device, 1, NULL, 0, NULL, 0));
        /* All blocks as they were, so that each round has the same to do. */
        for (uint64_t i = 0; i < pages->count; i++)
            expect("write", device_write(device, pages->pages + i * BLOCK_SIZE_BYTES,
                                         BLOCK_SIZE_BYTES, i * BLOCK_SIZE_BYTES));
        usleep(300000);
        read_hot(device, &seed, took);
        latency_add(&alone, took, READS_PER_ROUND);
        struct device_statistics before = look(device);
        expect("set", device_set(device, "recompress_age", 1));
        expect("algorithm", device_set_algorithm(device, 1, codec_find("zstd"), 3, NULL, 0));
        double start = clock_seconds(CLOCK_MONOTONIC);
        do /* The first time until the cold blocks are old enough; the hot ones stay hot. */
            read_hot(device, &seed, took);
        while (clock_seconds(CLOCK_MONOTONIC) - start < 2);
        read_hot(device, &seed, took);
        latency_add(&with, took, READS_PER_ROUND);
        seconds += clock_seconds(CLOCK_MONOTONIC) - start;
        struct device_statistics after = look(device);
        recompressed += after.recompressed - before.recompressed;
        time_us += after.recompress_time - before.recompress_time;
    }
    printf("latency: reads of the hot tenth, with the policy at work beside it and without\n");
    printf("  %d rounds, %" PRIu64
           " blocks recompressed in %.0f %% of one CPU (aim: 99th at most 1.2 of alone)\n\n",
           ROUNDS, recompressed, (double)time_us / 1e4 / seconds);
    latency_print_header("reads");
    latency_print_row("alone", &alone, &alone);
    latency_print_row("while blocks are recompressed", &with, &alone);
    device_destroy(device);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: recompress FILE [MEGABYTES]\n");
        return EXIT_FAILURE;
    }
    uint64_t megabytes = argc > 2 ? parse_count("MEGABYTES", argv[2], 1, MEGABYTES_MAX) : 128;
    struct pages_file pages = pages_file_map(argv[1], megabytes);
    printf("gain: memory of a device full of lz4, and after its blocks were recompressed\n");
    bench_gain(&pages, "lz4", 1, true);
    bench_gain(&pages, "lz4hc", 9, false);
    bench_gain(&pages, "zstd", 1, false);
    bench_gain(&pages, "zstd", 3, false);
    bench_gain(&pages, "zstd", 3, true);
    bench_gain(&pages, "zstd", 9, false);
    bench_gain(&pages, "zstd", 9, true);
    printf("\n");
    bench_latency(&pages);
    return EXIT_SUCCESS;
}
