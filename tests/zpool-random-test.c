/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zpool-random-test.c: every driver under random operations: one thread against a plain array,
 * several threads with compaction, settling and migration running, and for as long as one likes.
 *
 * The plain array is what the blocks of a test pool say of themselves (support.h): whoever reads
 * one checks every byte. The validators run whenever nothing else does.
 */
#include "tests/support.h"

#include <errno.h>
#include <unistd.h>

#include "common/memory.h"

#define BLOCKS      1500
#define ARENAS      24
#define LIMIT_PAGES 3000
#define CHECK_EVERY 500
#define WRITERS     3
#define SLICE_QUOTA 300

/* ---- what one thread does at random ---- */

static void write_at_random(struct test_pool *pool, struct rng *rng, block_no block)
{
    size_t length = rng_size(rng);
    uint64_t content = rng_next(rng);
    int error = 0;
    switch (rng_below(rng, 4)) {
    case 0:
        error = block_write_locked(pool, block, length, content);
        break;
    case 1:
        if (!block_rewrite(pool, block, length, content))
            error = block_write(pool, block, length, content);
        break;
    default:
        error = block_write(pool, block, length, content);
        break;
    }
    if (error != 0 && error != -ENOSPC && error != -ENOMEM)
        fault("writing block %u returned %d", block, error);
}

static void use_block(struct test_pool *pool, struct rng *rng, block_no block)
{
    switch (rng_below(rng, 8)) {
    case 0:
    case 1:
    case 2:
        block_drop(pool, block);
        break;
    case 3:
        block_read(pool, block);
        break;
    default:
        write_at_random(pool, rng, block);
        break;
    }
}

static void migrate_at_random(struct test_pool *pool, struct rng *rng, struct zpool_quota *quota)
{
    uint64_t pages = pool->zpool->map.page_count;
    pfn first = (pfn)rng_below(rng, (unsigned)pages);
    uint64_t count = 1 + rng_below(rng, 700);
    if (rng_below(rng, 2) == 0) {
        first = first / ARENA_PAGES * ARENA_PAGES;
        count = ARENA_PAGES;
    }
    int error = zpool_migrate(pool->zpool, first, count, quota);
    bool outside = first + count > pages;
    if (outside != (error == -EINVAL))
        fault("migrating %llu pages from %u returned %d", (unsigned long long)count, first, error);
}

static void work_in_the_background(struct test_pool *pool, struct rng *rng)
{
    struct zpool_quota quota = {.objects = rng_below(rng, SLICE_QUOTA)};
    switch (rng_below(rng, 6)) {
    case 0:
    case 1:
        zpool_compact(pool->zpool, &quota);
        break;
    case 2:
        zpool_settle(pool->zpool, &quota);
        break;
    case 3:
        migrate_at_random(pool, rng, &quota);
        break;
    case 4:
        pages_refill(pool->pages, rng_below(rng, 200), rng_below(rng, 100));
        break;
    default:
        pages_trim(pool->pages, rng_below(rng, 200), rng_below(rng, 200));
        break;
    }
}

static void check_residency(struct test_pool *pool)
{
    struct pages_account account;
    pages_account(pool->pages, &account);
    uint64_t resident = resident_pages(&pool->zpool->map, ARENAS).pool;
    if (resident > account.owned_resident + account.free_resident)
        fault("the system says %llu pages are resident, the account only %llu",
              (unsigned long long)resident,
              (unsigned long long)(account.owned_resident + account.free_resident));
}

static void check_all(struct test_pool *pool)
{
    test_pool_check(pool);
    check_residency(pool);
}

/* Drops everything; then nothing but descriptors may be left. */
static void drop_all(struct test_pool *pool)
{
    for (block_no block = 0; block < pool->block_count; block++)
        block_drop(pool, block);
    check_all(pool);
    zpool_settle(pool->zpool, NO_LIMIT);
    pages_trim(pool->pages, 0, UINT64_MAX);
    struct pages_account account;
    struct zpool_statistics statistics;
    pages_account(pool->pages, &account);
    zpool_statistics(pool->zpool, &statistics);
    if (account.owned_total * PAGE_SIZE_BYTES != statistics.descriptor_bytes)
        fault("%llu pages are owned by nobody's objects, %llu bytes of them descriptors",
              (unsigned long long)account.owned_total,
              (unsigned long long)statistics.descriptor_bytes);
    if (statistics.descriptors_used != 0)
        fault("%llu descriptors are used by nobody's objects",
              (unsigned long long)statistics.descriptors_used);
}

/* ---- one thread ---- */

static void change_conditions(struct test_pool *pool, struct rng *rng)
{
    switch (rng_below(rng, 3)) {
    case 0:
        budget_set_limit(&pool->budget,
                         rng_below(rng, 2) ? UINT64_MAX : 500 + rng_below(rng, 1500));
        break;
    case 1:
        memory_fail_after(rng_below(rng, 30), rng_below(rng, 2));
        break;
    default:
        memory_fail_after(-1, false);
        break;
    }
}

/* Now and then some blocks are locked for a while, so that movers find them busy. */
static void toggle_busy(struct test_pool *pool, struct rng *rng, bool is_busy[BLOCKS])
{
    block_no block = rng_below(rng, BLOCKS);
    if (is_busy[block])
        block_unlock(pool, block);
    else
        block_lock(pool, block);
    is_busy[block] = !is_busy[block];
}

static void release_busy(struct test_pool *pool, bool is_busy[BLOCKS])
{
    for (block_no block = 0; block < BLOCKS; block++)
        if (is_busy[block]) {
            block_unlock(pool, block);
            is_busy[block] = false;
        }
}

static void random_operations_agree_with_a_plain_array(void **state)
{
    for (unsigned zspage_pages = 1; zspage_pages <= ZSPAGE_PAGES_MAX; zspage_pages *= 2) {
        struct test_pool pool;
        static bool is_busy[BLOCKS];
        struct rng rng = rng_of_stream(400 + zspage_pages);
        test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state),
                                                          .arenas = ARENAS,
                                                          .zspage_pages = zspage_pages,
                                                          .block_count = BLOCKS});
        for (unsigned i = scaled(25000); i > 0; i--) {
            unsigned what = rng_below(&rng, 100);
            block_no block = rng_below(&rng, BLOCKS);
            if (what < 3)
                work_in_the_background(&pool, &rng);
            else if (what < 4)
                change_conditions(&pool, &rng);
            else if (what < 6)
                toggle_busy(&pool, &rng, is_busy);
            else if (!is_busy[block])
                use_block(&pool, &rng, block);
            if (i % CHECK_EVERY == 0) {
                memory_fail_after(-1, false);
                release_busy(&pool, is_busy);
                check_all(&pool);
            }
        }
        memory_fail_after(-1, false);
        release_busy(&pool, is_busy);
        drop_all(&pool);
        test_pool_end(&pool);
    }
}

/* ---- several threads ---- */

struct crowd {
    struct test_pool pool;
    _Atomic bool is_over;
    unsigned operations; /* of each writer; 0: until it is over */
    uint64_t stream;
};

struct member {
    struct crowd *crowd;
    unsigned number;
};

static void *use_blocks(void *context)
{
    struct member *member = context;
    struct crowd *crowd = member->crowd;
    struct rng rng = rng_of_stream(crowd->stream + member->number);
    for (unsigned done = 0;
         crowd->operations == 0 ? !atomic_load(&crowd->is_over) : done < crowd->operations; done++)
        use_block(&crowd->pool, &rng, rng_below(&rng, BLOCKS));
    return NULL;
}

static void *work_until_it_is_over(void *context)
{
    struct member *member = context;
    struct crowd *crowd = member->crowd;
    struct rng rng = rng_of_stream(crowd->stream + member->number);
    while (!atomic_load(&crowd->is_over)) {
        work_in_the_background(&crowd->pool, &rng);
        struct zpool_statistics statistics;
        struct zpool_class_statistics class;
        zpool_statistics(crowd->pool.zpool, &statistics);
        for (unsigned i = 0; zpool_class_statistics(crowd->pool.zpool, i, &class); i++)
            if (class.objects_used > class.objects_allocated)
                fault("class %u has %llu objects in %llu places", class.size_bytes,
                      (unsigned long long)class.objects_used,
                      (unsigned long long)class.objects_allocated);
    }
    return NULL;
}

/* Writers against two background threads, until they are done or the time is over; a check. */
static void run_crowd(struct crowd *crowd, double seconds)
{
    struct member member[WRITERS + 2];
    pthread_t thread[WRITERS + 2];
    atomic_store(&crowd->is_over, false);
    for (unsigned i = 0; i < WRITERS + 2; i++) {
        member[i] = (struct member){crowd, i};
        thread[i] = thread_start(i < WRITERS ? use_blocks : work_until_it_is_over, &member[i]);
    }
    if (crowd->operations == 0) {
        usleep((useconds_t)(seconds * 1e6));
        atomic_store(&crowd->is_over, true);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        thread_join(thread[i]);
    atomic_store(&crowd->is_over, true);
    for (unsigned i = WRITERS; i < WRITERS + 2; i++)
        thread_join(thread[i]);
    check_all(&crowd->pool);
}

static void make_crowd(struct crowd *crowd, void **state, uint64_t limit_pages)
{
    test_pool_make(&crowd->pool, &(struct test_pool_options){.driver = driver_of(state),
                                                             .arenas = ARENAS,
                                                             .block_count = BLOCKS,
                                                             .limit_pages = limit_pages});
}

static void writers_and_background_work_of_several_threads_lose_nothing(void **state)
{
    static struct crowd crowd;
    for (unsigned round = 0; round < 2; round++) {
        crowd = (struct crowd){.operations = scaled(20000), .stream = 500 + 10 * round};
        make_crowd(&crowd, state, round == 0 ? 0 : LIMIT_PAGES / 4);
        run_crowd(&crowd, 0);
        drop_all(&crowd.pool);
        test_pool_end(&crowd.pool);
    }
}

/* A second at a time, so that the validators run as well. */
static void soak_with_a_time_budget_loses_nothing(void **state)
{
    static struct crowd crowd;
    crowd = (struct crowd){.stream = 600};
    make_crowd(&crowd, state, LIMIT_PAGES);
    unsigned drivers = 0;
    while (zpool_driver_at(drivers) != NULL)
        drivers++;
    double end = now_seconds() + (double)soak_seconds() / drivers;
    for (double left; (left = end - now_seconds()) > 0; crowd.stream += 10)
        run_crowd(&crowd, left < 1 ? left : 1);
    drop_all(&crowd.pool);
    test_pool_end(&crowd.pool);
}

int main(void)
{
    static const struct sentence sentences[] = {
        sentence(random_operations_agree_with_a_plain_array),
        sentence(writers_and_background_work_of_several_threads_lose_nothing),
        sentence(soak_with_a_time_budget_loses_nothing),
    };
    test_program_begin("zpool-random-test");
    return run_for_every_driver("zpool-random", sentences, array_count(sentences));
}
