/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * growth.c: what grows with data, with threads, and with the device.
 *
 *   data      devices filled with 1 MiB, 4 MiB … of the file's pages, over and over with a number
 *             in each so that no two blocks are alike: time per write, overwrite and read in random
 *             order, and bytes of memory per compressed byte
 *   threads   1, 2, 4 … 64 threads read and write a device in random order: operations a second of
 *             all together, against one thread in the same round
 *   device    empty devices of 1 GiB to 16 TiB, and with one block in each of 1000 places: resident
 *             memory, time to make and to walk the extents
 *
 * Usage: growth FILE [MEGABYTES]     FILE: 4 KiB pages; MEGABYTES: the largest amount of data
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/support.h"
#include "device/device_internal.h"

#define THREADS_MAX        64u
#define THREAD_ROUNDS      7
#define OPERATIONS         40000u /* of all threads together, a round */
#define PLACES             1000u
#define OPERATIONS_A_POINT 50000u

const char program_name[] = "growth";

static struct device *make_device(uint64_t bytes)
{
    struct device_config config;
    struct device *device;
    device_config_init(&config);
    config.size_bytes = bytes;
    expect("device_create", device_create(&config, &device));
    return device;
}

static struct device_statistics look(struct device *device)
{
    struct device_statistics statistics;
    device_statistics(device, &statistics);
    return statistics;
}

/* A page of the file, made different from all others by the block's number. */
static void write_block(struct device *device, const struct pages_file *pages, uint64_t block,
                        uint64_t page)
{
    unsigned char data[BLOCK_SIZE_BYTES];
    memcpy(data, pages->pages + page % pages->count * BLOCK_SIZE_BYTES, sizeof data);
    memcpy(data, &block, sizeof block);
    expect("write", device_write(device, data, sizeof data, block * BLOCK_SIZE_BYTES));
}

static void read_block(struct device *device, uint64_t block)
{
    unsigned char data[BLOCK_SIZE_BYTES];
    expect("read", device_read(device, data, sizeof data, block * BLOCK_SIZE_BYTES));
}

/* Microseconds of CPU per block since `start`. */
static double since(double start, uint64_t blocks)
{
    return (clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start) * 1e6 / (double)blocks;
}

static void bench_data(const struct pages_file *pages, uint64_t megabytes_max)
{
    printf("data: microseconds of CPU per 4 KiB, memory per compressed byte\n\n");
    printf("| MiB | new | overwrite | read | memory |\n|---:|---:|---:|---:|---:|\n");
    for (uint64_t megabytes = 1; megabytes <= megabytes_max; megabytes *= 4) {
        uint64_t blocks = megabytes * MIB / BLOCK_SIZE_BYTES, seed = megabytes;
        struct device *device = make_device(blocks * BLOCK_SIZE_BYTES);
        double start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
        for (uint64_t i = 0; i < blocks; i++)
            write_block(device, pages, i, i);
        double fresh = since(start, blocks);
        start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
        for (uint64_t i = 0; i < OPERATIONS_A_POINT; i++)
            write_block(device, pages, next_random(&seed) % blocks, next_random(&seed));
        double overwrite = since(start, OPERATIONS_A_POINT);
        start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
        for (uint64_t i = 0; i < OPERATIONS_A_POINT; i++)
            read_block(device, next_random(&seed) % blocks);
        double read = since(start, OPERATIONS_A_POINT);
        lock_acquire(&device->reclaim);
        (void)device_reclaim(device, 1); /* all that a quiet device would do, too */
        lock_release(&device->reclaim);
        struct device_statistics statistics = look(device);
        printf("| %" PRIu64 " | %.2f | %.2f | %.2f | %.4f |\n", megabytes, fresh, overwrite, read,
               (double)statistics.mem_used_total / (double)statistics.compr_data_size);
        device_destroy(device);
    }
    printf("\n");
}

struct worker {
    struct device *device;
    const struct pages_file *pages;
    uint64_t seed;
    unsigned operations;
};

static void *work(void *context)
{
    struct worker *worker = context;
    uint64_t blocks = worker->device->block_count;
    for (unsigned i = 0; i < worker->operations; i++) {
        uint64_t block = next_random(&worker->seed) % blocks;
        if (next_random(&worker->seed) % 4 == 0)
            write_block(worker->device, worker->pages, block, next_random(&worker->seed));
        else
            read_block(worker->device, block);
    }
    return NULL;
}

/* Operations a second of so many threads together. */
static double rate_of(struct device *device, const struct pages_file *pages, unsigned threads)
{
    struct worker worker[THREADS_MAX];
    pthread_t thread[THREADS_MAX];
    double start = clock_seconds(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < threads; i++) {
        worker[i] = (struct worker){device, pages, i + 1, OPERATIONS / threads};
        expect("pthread_create", pthread_create(&thread[i], NULL, work, &worker[i]));
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    return OPERATIONS / (clock_seconds(CLOCK_MONOTONIC) - start);
}

static void bench_threads(const struct pages_file *pages)
{
    struct device *device = make_device(pages->count * BLOCK_SIZE_BYTES);
    for (uint64_t i = 0; i < pages->count; i++)
        write_block(device, pages, i, i);
    printf("threads: three reads to one write, random order; rate against one thread\n\n");
    printf("| threads | operations/s | times one thread |\n|---:|---:|---:|\n");
    for (unsigned threads = 1; threads <= THREADS_MAX; threads *= 2) {
        double ratio[THREAD_ROUNDS], rate[THREAD_ROUNDS];
        for (int round = 0; round < THREAD_ROUNDS; round++) {
            double one = rate_of(device, pages, 1);
            rate[round] = rate_of(device, pages, threads);
            ratio[round] = rate[round] / one;
        }
        printf("| %u | %.0f | %.2f |\n", threads, quantile(rate, THREAD_ROUNDS, 0.5),
               quantile(ratio, THREAD_ROUNDS, 0.5));
    }
    device_destroy(device);
    printf("\n");
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%*u %llu", &pages) != 1)
        fail("/proc/self/statm", 0);
    fclose(file);
    return pages * 4096;
}

static int count_extent(void *context, uint64_t offset, uint64_t count, enum device_extent extent)
{
    (void)offset;
    (void)count;
    (void)extent;
    ++*(uint64_t *)context;
    return 0;
}

static void bench_device(const struct pages_file *pages)
{
    printf("device: empty, and with %u blocks spread over it\n\n", PLACES);
    printf("| GiB | made in, ms | resident, KiB | with blocks, KiB | walked in, ms |\n"
           "|---:|---:|---:|---:|---:|\n");
    for (uint64_t gigabytes = 1; gigabytes <= 16384; gigabytes *= 4) {
        uint64_t before = resident_bytes(), extents = 0, bytes = gigabytes << 30;
        double start = clock_seconds(CLOCK_MONOTONIC);
        struct device *device = make_device(bytes);
        double made = clock_seconds(CLOCK_MONOTONIC) - start;
        uint64_t empty = resident_bytes() - before;
        for (uint64_t i = 0; i < PLACES; i++)
            write_block(device, pages, i * (device->block_count / PLACES), i);
        uint64_t used = resident_bytes() - before;
        start = clock_seconds(CLOCK_MONOTONIC);
        expect("extents", device_extents(device, bytes, 0, false, count_extent, &extents));
        double walked = clock_seconds(CLOCK_MONOTONIC) - start;
        printf("| %" PRIu64 " | %.2f | %" PRIu64 " | %" PRIu64 " | %.2f |\n", gigabytes, made * 1e3,
               empty / KIB, used / KIB, walked * 1e3);
        device_destroy(device);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: growth FILE [MEGABYTES]\n");
        return EXIT_FAILURE;
    }
    uint64_t megabytes = argc > 2 ? parse_count("MEGABYTES", argv[2], 1, MEGABYTES_MAX) : 16384;
    struct pages_file pages = pages_file_map(argv[1], 128);
    bench_data(&pages, megabytes);
    bench_threads(&pages);
    bench_device(&pages);
    return EXIT_SUCCESS;
}
