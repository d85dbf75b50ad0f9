/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-support.h: what the tests of the device share: random numbers that can be replayed,
 * content of every kind, devices that are validated whenever a test stands still, and residency.
 *
 * The environment steers all of it:
 *
 *      UZRAM_SEED=n          replays a run; without it the clock is the seed. It is printed.
 *      UZRAM_TEST_SCALE=x    factor on the iterations of random tests, 1 if unset
 */
#ifndef UZRAM_TESTS_DEVICE_SUPPORT_H
#define UZRAM_TESTS_DEVICE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "device/device_internal.h"

/* Set for builds in which memory is not what the system says, or threads are slow. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_UNDER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define TEST_UNDER_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define TEST_UNDER_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define TEST_UNDER_TSAN 1
#endif
#ifndef TEST_UNDER_ASAN
#define TEST_UNDER_ASAN 0
#endif
#ifndef TEST_UNDER_TSAN
#define TEST_UNDER_TSAN 0
#endif

/*
 * What cmocka's assertions can't do outside of the main thread: ends the program if the condition
 * is false, with its place and the seed.
 */
#define must(condition) ((condition) ? (void)0 : must_failed(__FILE__, __LINE__, #condition))
void must_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

/* Ends the program, with the name of the hanging program, if it still runs after so long. */
void watchdog_start(const char *program, unsigned seconds);

/* cmocka's skip, with the reason where a reader of the log sees it. */
#define skip_because(reason)                                   \
    do {                                                       \
        print_message("# skipped %s: %s\n", __func__, reason); \
        skip();                                                \
    } while (0)

/* Random numbers (splitmix64). Two generators of different streams are independent. */
struct rng {
    uint64_t state;
};

uint64_t test_seed(void);
uint64_t test_scaled(uint64_t iterations);
struct rng rng_of(uint64_t stream);
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound);
bool rng_percent(struct rng *rng, unsigned percent);

/* Content of a block, by how a device stores it. */
enum content_kind {
    CONTENT_ZERO,
    CONTENT_SAME_SHORT, /* a repeated word that fits the slot */
    CONTENT_SAME_HALF,  /* a repeated 32-bit half */
    CONTENT_SAME_LONG,  /* a repeated word that needs an object */
    CONTENT_SMALL,      /* compresses to less than 100 bytes */
    CONTENT_MIXED,      /* compresses to any length */
    CONTENT_RANDOM,     /* does not compress */
    CONTENT_KIND_COUNT
};

/* Fills `bytes` bytes, the same for the same kind and seed; kinds hold for whole blocks. */
void content_fill(void *buffer, size_t bytes, enum content_kind kind, uint64_t seed);

/*
 * A block that the default codec compresses to about `length` bytes (20 to 3600), different for
 * each seed, so that a test can choose the size class.
 */
void content_of_length(void *block, size_t length, uint64_t seed);

/*
 * A block of `length` random letters of 32, and zeros: lz4 needs about `length` bytes, for 4096 a
 * raw page, and zstd two thirds, so that recompression gains. Different for each seed.
 */
void content_of_letters(void *block, size_t length, uint64_t content_seed);

/* A device with defaults, or with the configuration given; fails the test if it can't be made. */
struct device_config config_of_size(uint64_t size_bytes);
struct device *device_of_size(uint64_t size_bytes);
struct device *device_of(const struct device_config *config);

/*
 * Fails the program unless everything in the device agrees: device_validate, no slot locked, slot
 * pages counted, and mem_used_total the sum of its parts. Nothing else may run on the device.
 */
void device_must_be_valid(struct device *device);

/* Validates and destroys. */
void device_finish(struct device *device);

/* One figure of the device. */
#define device_statistic(device, name) (device_statistics_now(device).name)
struct device_statistics device_statistics_now(struct device *device);

/* The slot of a block as it is, locked or not. */
struct slot device_slot(const struct device *device, block_no block);

/* Pages that are resident: of a range, of all that the device's pool has reserved. */
uint64_t resident_pages(const void *start, size_t bytes);
uint64_t device_resident_pool_pages(const struct device *device);

/* A file that holds this and has no name, to stand for one of the system's. */
int file_of_line(const char *line);

/* Resident bytes and address space of the process, as the system counts them. */
uint64_t process_resident_bytes(void);
uint64_t process_address_bytes(void);

#endif
