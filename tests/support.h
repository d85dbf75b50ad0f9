/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * support.h: what the tests of pages/ and zpool/ share.
 *
 *      chance      seeded random numbers; how often to repeat
 *      faults      failures that other threads find, told to the test's own thread
 *      gates       threads stopped at named steps (common/steps.h), to replay a race on purpose
 *      pools       a page source and a pool on it, with blocks that own the pool's objects
 *      contracts   tests that run for every driver
 *
 * A block is what a slot of the device is to a pool, without the device: a lock, a handle, and what
 * its bytes should be. Everything that a pool's mover asks of an owner is answered and *checked*
 * here: that it holds what it unlocks, and that the bytes are at the new place before it says so.
 *
 * cmocka's assertions jump out of the thread that calls them, so only a test's own thread may use
 * them. All others call fault().
 *
 * The environment:
 *      UZRAM_SEED           the seed of all random numbers; else the time. It is printed.
 *      UZRAM_TEST_SCALE     how often random tests repeat, as a factor; 1 without it
 *      UZRAM_SOAK_SECONDS   the time budget of a program's soak tests; 3 without it
 */
#ifndef UZRAM_TESTS_SUPPORT_H
#define UZRAM_TESTS_SUPPORT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/compiler.h"
#include "common/report.h"
#include "common/units.h"
#include "zpool/zpool.h"

/* ---- chance ---- */

struct rng {
    uint64_t state;
};

/* First thing in main: reads the environment, prints the seed, and ends a program that hangs. */
void test_program_begin(const char *name);

/* Random numbers of their own for each thread of a program: equal for equal seed and stream. */
struct rng rng_of_stream(uint64_t stream);
uint64_t rng_next(struct rng *rng);
/* 0 … bound-1. */
unsigned rng_below(struct rng *rng, unsigned bound);
/* A size from 1 to PAGE_SIZE_BYTES as compressed blocks have them: rarely whole, often below 2 K.
 */
size_t rng_size(struct rng *rng);

/* `times`, scaled by UZRAM_TEST_SCALE, and less under a sanitizer; at least 1. */
unsigned scaled(unsigned times);
unsigned soak_seconds(void);
/* Seconds since some time in the past. */
double now_seconds(void);

/* ---- faults ---- */

/* Prints what went wrong and counts it. Any thread. */
printf_like(1, 2) void fault(const char *format, ...);

/* The faults since the last call. A test ends with assert_no_faults(). */
unsigned faults_taken(void);
#define assert_no_faults() assert_int_equal(faults_taken(), 0)

/* A report whose lines are kept, for what a validator says; the first 32 of them. */
struct kept_report {
    struct report report;
    char line[32][256];
};
void kept_report_init(struct kept_report *kept);
/* True if one of the lines contains `text`; if not, prints them. */
bool kept_report_says(const struct kept_report *kept, const char *text);

/* ---- threads and gates ---- */

pthread_t thread_start(void *(*run)(void *), void *context);
void thread_join(pthread_t thread);

/* Waits until the condition, which another thread brings about, is true; a minute at most. */
#define wait_until(condition)                              \
    for (double wait_began = now_seconds(); !(condition);) \
    wait_a_little(wait_began, __FILE__, __LINE__, #condition)
void wait_a_little(double began, const char *file, int line, const char *condition);

/*
 * A gate stands at a step. The first thread that comes to a closed gate stops there; later ones
 * pass. gate_await returns once a thread stands at it; gate_open lets it go on. A gate is used
 * once; gates_begin removes all.
 */
void gates_begin(void);
void gate_close(const char *step_name);
/* Closes it for the (passes+1)-th thread that comes by. */
void gate_close_after(const char *step_name, unsigned passes);
void gate_await(const char *step_name);
void gate_open(const char *step_name);
/* How often the step was passed or reached since gates_begin; 0 for one that no call has named. */
unsigned gate_hits(const char *step_name);
/* Counts a step without stopping anybody. */
void gate_count(const char *step_name);
/* No step does anything any more. All threads that stood at gates must be gone. */
void gates_end(void);

/* ---- content ---- */

/* `length` bytes that only this content has. */
void content_fill(unsigned char *bytes, size_t length, uint64_t content);
bool content_matches(const unsigned char *bytes, size_t length, uint64_t content);

/* ---- pools ---- */

struct block {
    _Atomic uint32_t lock; /* 1: held */
    _Atomic uint32_t waiting;
    struct zpool_handle object; /* 0: none. From here on under the lock. */
    uint32_t length;            /* as allocated for */
    uint64_t content;
};

struct test_pool {
    struct budget budget;
    struct pages *pages;
    struct zpool *zpool;
    struct block *block;
    block_no block_count;
};

struct test_pool_options {
    const struct zpool_driver *driver;
    unsigned arenas;       /* of addresses; 0: 64 */
    unsigned zspage_pages; /* 0: ZSPAGE_PAGES_DEFAULT */
    block_no block_count;  /* 0: 4096 */
    uint64_t limit_pages;  /* 0: none */
};

/* Makes one, and asserts that it can. */
void test_pool_make(struct test_pool *pool, const struct test_pool_options *options);
/* Ends it; asserts that the budget is as it was and that there were no faults. */
void test_pool_end(struct test_pool *pool);

/*
 * Checks everything while nothing else runs: both validators, the account against the budget, the
 * statistics against the blocks, every block's bytes. Faults are counted and printed.
 */
void test_pool_check(struct test_pool *pool);

/* A quota that ends no work. */
#define NO_LIMIT (&(struct zpool_quota){.objects = UINT64_MAX})

extern const struct zpool_owner block_owner;

/* The lock, as LOCK_RANK_SLOT. */
void block_lock(struct test_pool *pool, block_no block);
void block_unlock(struct test_pool *pool, block_no block);

/*
 * Gives the block new bytes in a new object, then frees the old one: as device/block.c does it.
 * Returns what zpool_alloc returns; if it fails the block is unchanged.
 * Steps: "test: room taken, not published", "test: unpublished, not freed".
 */
int block_write(struct test_pool *pool, block_no block, size_t length, uint64_t content);
/* The same with the block's lock held throughout. */
int block_write_locked(struct test_pool *pool, block_no block, size_t length, uint64_t content);
/* Rewrites it where it is, under its lock, if its object has that room; false and unchanged if not.
 */
bool block_rewrite(struct test_pool *pool, block_no block, size_t length, uint64_t content);
/* Reads it and checks the bytes. */
void block_read(struct test_pool *pool, block_no block);
/* Takes its object out and frees it. Step: "test: unpublished, not freed". */
void block_drop(struct test_pool *pool, block_no block);
/* The handle now. */
struct zpool_handle block_object(struct test_pool *pool, block_no block);

/* A content that no other block has, and no other version of this one. */
static inline uint64_t block_content(block_no block, uint64_t version)
{
    return (uint64_t)block << 32 ^ version;
}

/* Pages of the pool's range, of its words and of its arenas that the system says are resident. */
struct resident_pages {
    uint64_t pool, words;
};
struct resident_pages resident_pages(const struct page_map *map, uint64_t arenas);

/* True for a page that nobody has. */
static inline bool page_is_free(const struct page_map *map, pfn page)
{
    enum mem_desc_type type = mem_desc_type(pages_desc(map, page));
    return type <= MEM_DESC_OFFLINE || type == MEM_DESC_GUARD;
}

/* ---- contracts ---- */

/* A sentence that is true of every driver: a test whose state is the driver. */
struct sentence {
    const char *text;
    CMUnitTestFunction test;
};
#define sentence(test) \
    {                  \
#test, test    \
    }

static inline const struct zpool_driver *driver_of(void **state)
{
    return *state;
}

/* Runs every sentence for every driver there is, as one group. Returns as cmocka's runner does. */
int run_for_every_driver(const char *group, const struct sentence *sentences, size_t count);

#endif
