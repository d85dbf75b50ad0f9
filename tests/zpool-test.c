/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zpool-test.c: the contract of zpool.h, sentence by sentence, for every driver that
 * zpool_driver_at knows. A new driver changes nothing here.
 *
 * Chance and threads: zpool-random-test.c. What only one driver promises: its own test.
 */
#include "tests/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* ---- helpers ---- */

/* Blocks [0, count) with random lengths. */
static void fill(struct test_pool *pool, block_no count, uint64_t stream)
{
    struct rng rng = rng_of_stream(stream);
    for (block_no block = 0; block < count; block++)
        assert_int_equal(block_write(pool, block, rng_size(&rng), block_content(block, stream)), 0);
}

/* Drops all but about one in `keep` of the blocks. */
static void thin(struct test_pool *pool, unsigned keep, uint64_t stream)
{
    struct rng rng = rng_of_stream(stream);
    for (block_no block = 0; block < pool->block_count; block++)
        if (rng_below(&rng, keep) != 0)
            block_drop(pool, block);
}

static struct pages_account account_of(struct test_pool *pool)
{
    struct pages_account account;
    pages_account(pool->pages, &account);
    return account;
}

static struct zpool_statistics statistics_of(struct test_pool *pool)
{
    struct zpool_statistics statistics;
    zpool_statistics(pool->zpool, &statistics);
    return statistics;
}

/* What may not change when nothing may. */
struct snapshot {
    struct zpool_handle *object;
    struct pages_account account;
    uint64_t moved;
};

static struct snapshot snapshot_of(struct test_pool *pool)
{
    struct snapshot snapshot = {
        .object = malloc(pool->block_count * sizeof *snapshot.object),
        .account = account_of(pool),
        .moved = statistics_of(pool).objects_moved,
    };
    assert_non_null(snapshot.object);
    for (block_no block = 0; block < pool->block_count; block++)
        snapshot.object[block] = block_object(pool, block);
    return snapshot;
}

/* How many blocks' objects are elsewhere now. */
static block_no blocks_moved_since(struct test_pool *pool, const struct snapshot *snapshot)
{
    block_no moved = 0;
    for (block_no block = 0; block < pool->block_count; block++)
        moved += block_object(pool, block).position != snapshot->object[block].position;
    return moved;
}

static void assert_unchanged_since(struct test_pool *pool, struct snapshot *snapshot)
{
    struct pages_account account = account_of(pool);
    assert_int_equal(blocks_moved_since(pool, snapshot), 0);
    assert_memory_equal(&account, &snapshot->account, sizeof account);
    assert_int_equal(statistics_of(pool).objects_moved, snapshot->moved);
    free(snapshot->object);
}

static uint64_t arena_of_block(struct test_pool *pool, block_no block)
{
    return zpool_handle_page(block_object(pool, block)) >> ARENA_SHIFT;
}

/* Whether the arena could be isolated, so nobody has it isolated: or why not. */
static int isolates(struct test_pool *pool, uint64_t arena)
{
    struct list isolated;
    list_init(&isolated);
    int error = pages_isolate(pool->pages, arena, &isolated);
    pages_putback(pool->pages, &isolated);
    return error;
}

static bool arena_is_free(struct test_pool *pool, uint64_t arena)
{
    for (unsigned i = 0; i < ARENA_PAGES; i++)
        if (!page_is_free(&pool->zpool->map, (pfn)(arena * ARENA_PAGES + i)))
            return false;
    return true;
}

static int migrate_arena(struct test_pool *pool, uint64_t arena, struct zpool_quota *quota)
{
    return zpool_migrate(pool->zpool, (pfn)(arena * ARENA_PAGES), ARENA_PAGES, quota);
}

/* A pool with `count` random blocks. */
static void make_filled(struct test_pool *pool, void **state, block_no count)
{
    test_pool_make(pool, &(struct test_pool_options){.driver = driver_of(state)});
    fill(pool, count, 1);
}

static void check_and_end(struct test_pool *pool)
{
    test_pool_check(pool);
    test_pool_end(pool);
}

/* ---- making, taking, giving ---- */

static void driver_is_found_by_its_name_and_no_other_is(void **state)
{
    const struct zpool_driver *driver = driver_of(state);
    assert_ptr_equal(zpool_driver_find(driver->name), driver);
    assert_null(zpool_driver_find(""));
    assert_null(zpool_driver_find("zsmallocs"));
    assert_null(zpool_driver_at(SIZE_MAX));
}

static void zspage_length_out_of_range_returns_einval_and_no_pool(void **state)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state)});
    struct zpool_config config = {.pages = pool.pages, .owner = &block_owner};
    struct zpool *zpool = pool.zpool;
    assert_int_equal(zpool_create(driver_of(state), &config, &zpool), -EINVAL);
    assert_null(zpool);
    config.zspage_pages_max = ZSPAGE_PAGES_MAX + 1;
    assert_int_equal(zpool_create(driver_of(state), &config, &zpool), -EINVAL);
    assert_null(zpool);
    zpool_destroy(NULL);
    test_pool_end(&pool);
}

static void creating_without_memory_returns_enomem_and_no_pool(void **state)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state)});
    struct zpool_config config = {
        .pages = pool.pages, .owner = &block_owner, .zspage_pages_max = 4};
    memory_fail_after(-1, false);
    for (long failing = 0;; failing++) {
        struct zpool *zpool = pool.zpool;
        memory_fail_after(failing, false);
        int error = zpool_create(driver_of(state), &config, &zpool);
        if (memory_fail_after(-1, false) <= failing) {
            assert_int_equal(error, 0);
            zpool_destroy(zpool);
            break;
        }
        assert_int_equal(error, -ENOMEM);
        assert_null(zpool);
    }
    test_pool_end(&pool);
}

static void objects_of_every_size_are_aligned_and_keep_their_bytes(void **state)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state),
                                                      .block_count = PAGE_SIZE_BYTES + 1});
    for (unsigned size = 1; size <= PAGE_SIZE_BYTES; size++) {
        assert_int_equal(block_write(&pool, size, size, block_content(size, 0)), 0);
        struct zpool_handle object = block_object(&pool, size);
        unsigned char *address = zpool_address(pool.zpool, object);
        assert_int_equal((uintptr_t)address % ZPOOL_UNIT_BYTES, 0);
        assert_true(zpool_handle_page(object) > 0);
        assert_true(address + size <=
                    pool.zpool->map.base + pool.zpool->map.page_count * PAGE_SIZE_BYTES);
    }
    test_pool_check(&pool); /* No object has another's bytes. */
    for (unsigned size = 1; size <= PAGE_SIZE_BYTES; size++)
        block_drop(&pool, size);
    check_and_end(&pool);
}

static void every_zspage_length_that_is_allowed_works(void **state)
{
    for (unsigned length = 1; length <= ZSPAGE_PAGES_MAX; length++) {
        struct test_pool pool;
        test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state),
                                                          .zspage_pages = length,
                                                          .block_count = 300});
        fill(&pool, 300, length);
        thin(&pool, 4, 2);
        zpool_compact(pool.zpool, NO_LIMIT);
        check_and_end(&pool);
    }
}

static void objects_too_large_for_the_driver_are_whole_pages(void **state)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state)});
    size_t max = pool.zpool->object_max_bytes;
    assert_in_range(max, 1, PAGE_SIZE_BYTES - 1);
    assert_int_equal(block_write(&pool, 0, max, 10), 0);
    assert_int_equal(statistics_of(&pool).raw_pages, 0);
    assert_int_equal(block_write(&pool, 1, max + 1, 11), 0);
    assert_int_equal(block_write(&pool, 2, PAGE_SIZE_BYTES, 12), 0);
    assert_int_equal(statistics_of(&pool).raw_pages, 2);
    struct mem_desc desc = pages_desc(&pool.zpool->map, zpool_handle_page(block_object(&pool, 2)));
    assert_int_equal(mem_desc_type(desc), MEM_DESC_RAW);
    assert_int_equal(mem_desc_value(desc), 2);
    test_pool_check(&pool);
    block_drop(&pool, 1);
    block_drop(&pool, 2);
    assert_int_equal(statistics_of(&pool).raw_pages, 0);
    check_and_end(&pool);
}

static void alloc_and_free_may_be_called_with_the_owners_lock_held(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 200);
    struct rng rng = rng_of_stream(3);
    for (block_no block = 0; block < 400; block++)
        assert_int_equal(
            block_write_locked(&pool, block % 250, rng_size(&rng), block_content(block, 9)), 0);
    check_and_end(&pool);
}

static void same_room_is_symmetric_and_rewriting_in_it_leaves_neighbours_alone(void **state)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state)});
    const struct zpool *zpool = pool.zpool;
    struct rng rng = rng_of_stream(4);
    for (unsigned i = 0; i < 20000; i++) {
        size_t a = rng_size(&rng), b = rng_size(&rng);
        assert_int_equal(zpool_same_room(zpool, a, b), zpool_same_room(zpool, b, a));
        assert_true(zpool_same_room(zpool, a, a));
    }
    /* The shortest and the longest length with the same room, three neighbours each. */
    for (size_t shortest = 1, longest; shortest <= PAGE_SIZE_BYTES; shortest = longest + 1) {
        for (longest = shortest;
             longest < PAGE_SIZE_BYTES && zpool_same_room(zpool, shortest, longest + 1);
             longest++) {
        }
        for (block_no block = 0; block < 3; block++)
            assert_int_equal(block_write(&pool, block, shortest, block_content(block, 0)), 0);
        struct zpool_handle before = block_object(&pool, 1);
        assert_true(block_rewrite(&pool, 1, longest, block_content(1, 1)));
        assert_int_equal(block_object(&pool, 1).position, before.position);
        for (block_no block = 0; block < 3; block++)
            block_read(&pool, block);
        assert_true(block_rewrite(&pool, 1, shortest, block_content(1, 2)));
    }
    check_and_end(&pool);
}

static void alloc_beyond_the_limit_returns_enospc_and_keeps_every_old_block(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 500);
    budget_set_limit(&pool.budget, atomic_load(&pool.budget.used_pages));
    struct rng rng = rng_of_stream(5);
    unsigned refused = 0;
    /* Twice, the second time with pages of their own, which all have no room together. */
    for (block_no i = 0; i < 1000; i++) {
        block_no block = i % 500;
        struct zpool_handle before = block_object(&pool, block);
        size_t size = i < 500 ? rng_size(&rng) : PAGE_SIZE_BYTES;
        int error = block_write(&pool, block, size, block_content(block, 7));
        if (error == 0)
            continue;
        refused++;
        assert_int_equal(error, -ENOSPC);
        assert_int_equal(block_object(&pool, block).position, before.position);
    }
    assert_true(refused > 0);
    assert_true(atomic_load(&pool.budget.refused) > 0);
    assert_true(atomic_load(&pool.budget.used_pages) <= atomic_load(&pool.budget.limit_pages));
    test_pool_check(&pool);
    budget_set_limit(&pool.budget, UINT64_MAX);
    assert_int_equal(block_write(&pool, 0, PAGE_SIZE_BYTES, 1), 0);
    check_and_end(&pool);
}

static void alloc_without_addresses_returns_enospc_until_something_is_freed(void **state)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state), .arenas = 2});
    for (unsigned raw = 0; raw < 2; raw++) {
        size_t size = raw ? PAGE_SIZE_BYTES : pool.zpool->object_max_bytes;
        block_no written = 0;
        int error;
        while ((error = block_write(&pool, written, size, block_content(written, 0))) == 0)
            written++;
        assert_int_equal(error, -ENOSPC);
        assert_in_range(written, ARENA_PAGES / 2, 4 * ARENA_PAGES);
        test_pool_check(&pool);
        /* The newest ones' pages are free again. */
        for (block_no block = written - 64; block < written; block++)
            block_drop(&pool, block);
        assert_int_equal(block_write(&pool, 0, size, 3), 0);
        for (block_no block = 0; block < written; block++)
            block_drop(&pool, block);
    }
    check_and_end(&pool);
}

static void room_that_was_freed_is_used_again(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 1000);
    uint64_t owned = account_of(&pool).owned_total;
    for (unsigned round = 0; round < 20; round++) {
        fill(&pool, 1000, 1); /* The same lengths again. */
        thin(&pool, 3, round);
        fill(&pool, 1000, 1);
    }
    /* Each class may have one zspage more, of its longest length. */
    assert_true(account_of(&pool).owned_total < owned + owned / 2 + 1000);
    for (block_no block = 0; block < 1000; block++)
        block_drop(&pool, block);
    zpool_compact(pool.zpool, NO_LIMIT);
    zpool_settle(pool.zpool, NO_LIMIT);
    pages_trim(pool.pages, 0, UINT64_MAX);
    struct pages_account account = account_of(&pool);
    struct zpool_statistics statistics = statistics_of(&pool);
    /* Nothing but descriptors is left. */
    assert_int_equal(account.owned_resident * PAGE_SIZE_BYTES, statistics.descriptor_bytes);
    assert_int_equal(statistics.descriptors_used, 0);
    assert_in_range(account.arenas_active, 1, 2);
    check_and_end(&pool);
}

/* One write of that size with its (failing+1)-th request failing. False: it has no more. */
static bool write_fails(void **state, size_t size, bool is_first, long failing, bool sticky)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state)});
    if (!is_first)
        assert_int_equal(block_write(&pool, 1, 2000, 5), 0);
    struct zpool_handle before = block_object(&pool, 1);
    memory_fail_after(failing, sticky);
    int error = block_write(&pool, 1, size, 6);
    bool failed = memory_fail_after(-1, false) > failing;
    assert_true(failed == (error != 0));
    if (failed) {
        assert_true(error == -ENOMEM || error == -ENOSPC);
        assert_int_equal(block_object(&pool, 1).position, before.position);
    }
    test_pool_check(&pool);
    assert_int_equal(block_write(&pool, 1, size, 7), 0);
    check_and_end(&pool);
    return failed;
}

static void each_request_of_a_write_failing_in_turn_keeps_the_old_block(void **state)
{
    for (unsigned size = 100; size <= PAGE_SIZE_BYTES; size += 999)
        for (unsigned how = 0; how < 4; how++)
            for (long failing = 0; write_fails(state, size, how & 1, failing, how & 2); failing++) {
            }
}

/* ---- compacting, settling ---- */

static void compacting_and_settling_an_empty_pool_does_nothing(void **state)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state)});
    struct snapshot before = snapshot_of(&pool);
    struct zpool_quota quota = {.objects = 1000};
    assert_int_equal(zpool_compact(pool.zpool, &quota), 0);
    assert_int_equal(zpool_settle(pool.zpool, &quota), 0);
    assert_int_equal(quota.objects, 1000);
    assert_unchanged_since(&pool, &before);
    check_and_end(&pool);
}

static void compacting_and_settling_keep_every_block_and_give_memory_back(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 4000);
    thin(&pool, 4, 2);
    test_pool_check(&pool);
    uint64_t owned = account_of(&pool).owned_total;
    uint64_t resident = account_of(&pool).owned_resident;

    uint64_t freed = zpool_compact(pool.zpool, NO_LIMIT);
    assert_true(account_of(&pool).owned_total <= owned);
    assert_true(owned - account_of(&pool).owned_total >= freed);
    assert_int_equal(statistics_of(&pool).pages_compacted, freed);
    test_pool_check(&pool);
    assert_int_equal(zpool_compact(pool.zpool, NO_LIMIT), 0); /* Nothing more can be saved. */

    uint64_t before = account_of(&pool).owned_resident;
    uint64_t discarded = zpool_settle(pool.zpool, NO_LIMIT);
    assert_true(before - account_of(&pool).owned_resident >= discarded);
    assert_int_equal(account_of(&pool).purged, discarded);
    test_pool_check(&pool);
    assert_int_equal(zpool_settle(pool.zpool, NO_LIMIT), 0);
    if (pool.zpool->driver->compact != NULL)
        assert_true(account_of(&pool).owned_resident < resident);
    check_and_end(&pool);
}

static void no_more_objects_are_moved_than_the_quota_says(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 4000);
    thin(&pool, 4, 2);
    struct snapshot before = snapshot_of(&pool);
    struct zpool_quota quota = {.objects = 0};
    zpool_compact(pool.zpool, &quota);
    zpool_settle(pool.zpool, &quota);
    assert_int_equal(quota.objects, 0);
    assert_int_equal(blocks_moved_since(&pool, &before), 0);
    assert_int_equal(statistics_of(&pool).objects_moved, before.moved);

    for (unsigned round = 0; round < 3; round++) {
        quota.objects = 7;
        zpool_compact(pool.zpool, &quota);
        quota.objects = 7;
        zpool_settle(pool.zpool, &quota);
        test_pool_check(&pool);
    }
    assert_in_range(blocks_moved_since(&pool, &before), 0, 6 * 7);
    assert_in_range(statistics_of(&pool).objects_moved - before.moved, 0, 6 * 7);
    free(before.object);

    /* A quota of time that is over: at most a few moves, and it says that it is used up. */
    before = snapshot_of(&pool);
    quota = (struct zpool_quota){.objects = 100000, .until_us = 1};
    zpool_compact(pool.zpool, &quota);
    assert_in_range(blocks_moved_since(&pool, &before), 0, 8);
    if (statistics_of(&pool).objects_moved - before.moved >= 8)
        assert_int_equal(quota.objects, 0);
    free(before.object);
    check_and_end(&pool);
}

static void objects_of_busy_owners_stay_where_they_are_and_all_others_may_move(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 3000);
    thin(&pool, 4, 2);
    struct snapshot before = snapshot_of(&pool);
    for (block_no block = 0; block < 3000; block += 10)
        block_lock(&pool, block);
    zpool_compact(pool.zpool, NO_LIMIT);
    zpool_settle(pool.zpool, NO_LIMIT);
    for (block_no block = 0; block < 3000; block += 10) {
        assert_int_equal(pool.block[block].object.position, before.object[block].position);
        block_unlock(&pool, block);
    }
    free(before.object);
    test_pool_check(&pool);
    zpool_compact(pool.zpool, NO_LIMIT);
    check_and_end(&pool);
}

static void object_that_no_slot_names_yet_or_any_more_is_left_alone(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 1000);
    /* 100 objects that blocks 0 … 99 have not published yet, among those of the others. */
    struct zpool_handle object[100];
    for (block_no block = 0; block < 100; block++) {
        assert_int_equal(zpool_alloc(pool.zpool, 700, block, &object[block]), 0);
        content_fill(zpool_address(pool.zpool, object[block]), 700, block_content(block, 99));
    }
    thin(&pool, 8, 3);
    zpool_compact(pool.zpool, NO_LIMIT);
    zpool_settle(pool.zpool, NO_LIMIT);
    assert_int_not_equal(account_of(&pool).arenas_active, 0);
    migrate_arena(&pool, zpool_handle_page(object[0]) >> ARENA_SHIFT, NO_LIMIT);
    for (block_no block = 0; block < 100; block++)
        assert_true(content_matches(zpool_address(pool.zpool, object[block]), 700,
                                    block_content(block, 99)));
    for (block_no block = 0; block < 100; block++)
        zpool_free(pool.zpool, object[block]);
    check_and_end(&pool);
}

/* Prepares a pool, lets each request of `work` fail in turn, and checks that nothing is lost. */
static void fail_each_request_of(void **state, void (*work)(struct test_pool *pool))
{
    for (unsigned sticky = 0; sticky < 2; sticky++)
        for (long failing = 0;; failing += 1 + failing / 8) {
            struct test_pool pool;
            test_pool_make(
                &pool, &(struct test_pool_options){.driver = driver_of(state), .block_count = 600});
            fill(&pool, 600, 6);
            thin(&pool, 4, 7);
            /* Nothing is resident that needn't be, so that moving has to ask for memory. */
            zpool_settle(pool.zpool, NO_LIMIT);
            pages_trim(pool.pages, 0, UINT64_MAX);
            memory_fail_after(failing, sticky);
            work(&pool);
            bool failed = memory_fail_after(-1, false) > failing;
            test_pool_check(&pool);
            assert_int_equal(block_write(&pool, 0, 100, 1), 0);
            check_and_end(&pool);
            if (!failed)
                break;
        }
}

static void compact_and_settle(struct test_pool *pool)
{
    zpool_compact(pool->zpool, NO_LIMIT);
    zpool_settle(pool->zpool, NO_LIMIT);
}

static void migrate_every_arena(struct test_pool *pool)
{
    for (uint64_t arena = 0; arena < 4; arena++) {
        int error = migrate_arena(pool, arena, NO_LIMIT);
        if (error != 0 && error != -ENOMEM && error != -ENOSPC && error != -EAGAIN &&
            error != -EPERM)
            fault("migrating arena %u returned %d", (unsigned)arena, error);
    }
}

static void each_request_of_compacting_and_settling_failing_in_turn_loses_nothing(void **state)
{
    fail_each_request_of(state, compact_and_settle);
}

static void each_request_of_migrating_failing_in_turn_loses_nothing(void **state)
{
    fail_each_request_of(state, migrate_every_arena);
}

/* ---- migrating ---- */

static void ranges_that_are_empty_or_leave_the_pool_return_einval_and_change_nothing(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 500);
    struct snapshot before = snapshot_of(&pool);
    uint64_t pages = pool.zpool->map.page_count;
    struct zpool_quota quota = {.objects = 1000};
    assert_int_equal(zpool_migrate(pool.zpool, 0, 0, &quota), -EINVAL);
    assert_int_equal(zpool_migrate(pool.zpool, 600, 0, &quota), -EINVAL);
    assert_int_equal(zpool_migrate(pool.zpool, 0, pages + 1, &quota), -EINVAL);
    assert_int_equal(zpool_migrate(pool.zpool, (pfn)pages, 1, &quota), -EINVAL);
    assert_int_equal(zpool_migrate(pool.zpool, (pfn)pages - 1, 2, &quota), -EINVAL);
    assert_int_equal(zpool_migrate(pool.zpool, UINT32_MAX, 1, &quota), -EINVAL);
    assert_int_equal(zpool_migrate(pool.zpool, 1, UINT64_MAX, &quota), -EINVAL);
    assert_int_equal(quota.objects, 1000);
    assert_unchanged_since(&pool, &before);
    check_and_end(&pool);
}

static void range_that_nobody_ever_used_is_empty_at_once(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 100);
    struct snapshot before = snapshot_of(&pool);
    struct zpool_quota quota = {.objects = 1000};
    assert_int_equal(zpool_migrate(pool.zpool, 50 * ARENA_PAGES + 3, 1000, &quota), 0);
    assert_int_equal(quota.objects, 1000);
    assert_unchanged_since(&pool, &before);
    check_and_end(&pool);
}

static void migrated_arena_is_empty_and_every_block_is_intact_elsewhere(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 4000);
    uint64_t arena = arena_of_block(&pool, 0);
    assert_int_equal(migrate_arena(&pool, arena, NO_LIMIT), 0);
    assert_true(arena_is_free(&pool, arena));
    for (block_no block = 0; block < 4000; block++)
        assert_int_not_equal(arena_of_block(&pool, block), arena);
    assert_true(statistics_of(&pool).objects_moved > 0);
    test_pool_check(&pool);

    /* It can be given back to the system whole, and used again. */
    uint64_t active = account_of(&pool).arenas_active;
    pages_trim(pool.pages, 0, UINT64_MAX);
    assert_true(arena == 0 || account_of(&pool).arenas_active < active);
    fill(&pool, 4000, 8);
    check_and_end(&pool);
}

static void range_migrated_twice_has_nothing_to_move_the_second_time(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 2000);
    uint64_t arena = arena_of_block(&pool, 0);
    assert_int_equal(migrate_arena(&pool, arena, NO_LIMIT), 0);
    struct snapshot before = snapshot_of(&pool);
    struct zpool_quota quota = {.objects = 1000};
    assert_int_equal(migrate_arena(&pool, arena, &quota), 0);
    assert_int_equal(quota.objects, 1000);
    assert_unchanged_since(&pool, &before);
    check_and_end(&pool);
}

static void range_of_a_few_pages_is_emptied_whatever_lies_across_its_ends(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 3000);
    struct rng rng = rng_of_stream(9);
    for (unsigned round = 0; round < scaled(50); round++) {
        block_no block = rng_below(&rng, 3000);
        pfn first = zpool_handle_page(block_object(&pool, block));
        uint64_t count = 1 + rng_below(&rng, 40);
        int error = zpool_migrate(pool.zpool, first, count, NO_LIMIT);
        if (error == -EPERM) /* It went on into an arena of descriptors. */
            continue;
        assert_int_equal(error, 0);
        for (uint64_t i = 0; i < count; i++)
            assert_true(page_is_free(&pool.zpool->map, (pfn)(first + i)));
        test_pool_check(&pool);
    }
    test_pool_end(&pool);
}

static void range_that_is_being_migrated_by_another_returns_ebusy_and_changes_nothing(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 4000);
    uint64_t arena = arena_of_block(&pool, 0);
    struct zpool_quota quota = {.objects = 1000};
    struct list isolated;
    list_init(&isolated);
    assert_int_equal(pages_isolate(pool.pages, arena, &isolated), 0);
    struct snapshot before = snapshot_of(&pool);
    assert_int_equal(migrate_arena(&pool, arena, &quota), -EBUSY);
    assert_int_equal(isolates(&pool, arena), -EBUSY);
    /* A range that ends in it: what was isolated before it is put back. */
    uint64_t first = arena;
    while (first > 0 && isolates(&pool, first - 1) == 0)
        first--;
    assert_int_equal(zpool_migrate(pool.zpool, (pfn)(first * ARENA_PAGES),
                                   (arena - first + 1) * ARENA_PAGES, &quota),
                     -EBUSY);
    /* One that begins before it and goes on behind it. */
    assert_int_equal(zpool_migrate(pool.zpool, (pfn)(arena * ARENA_PAGES), 3 * ARENA_PAGES, &quota),
                     -EBUSY);
    for (uint64_t other = first; other < arena + 3; other++)
        assert_int_equal(isolates(&pool, other) == -EBUSY, other == arena);
    assert_int_equal(quota.objects, 1000);
    assert_unchanged_since(&pool, &before);
    pages_putback(pool.pages, &isolated);
    assert_int_equal(migrate_arena(&pool, arena, NO_LIMIT), 0);
    check_and_end(&pool);
}

static void range_with_pages_that_stay_returns_eperm_and_changes_nothing(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 2000);
    struct page_run stays;
    assert_int_equal(pages_alloc(pool.pages, 1, PAGE_UNMOVABLE, &stays), 0);
    uint64_t unmovable = stays.first >> ARENA_SHIFT;
    struct snapshot before = snapshot_of(&pool);
    struct zpool_quota quota = {.objects = 1000};
    assert_int_equal(migrate_arena(&pool, unmovable, &quota), -EPERM);
    /* The whole pool, too: its other arenas are put back. */
    assert_int_equal(zpool_migrate(pool.zpool, 0, pool.zpool->map.page_count, &quota), -EPERM);
    for (uint64_t arena = 0; arena < 64; arena++)
        assert_int_not_equal(isolates(&pool, arena), -EBUSY);
    assert_int_equal(quota.objects, 1000);
    assert_unchanged_since(&pool, &before);
    pages_free(pool.pages, &stays);
    check_and_end(&pool);
}

static void busy_owners_make_it_eagain_and_are_all_that_is_left_in_the_range(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 3000);
    uint64_t arena = arena_of_block(&pool, 0);
    struct zpool_handle busy[3000 / 20];
    for (block_no i = 0; i < array_count(busy); i++) {
        busy[i] = block_object(&pool, i * 20);
        block_lock(&pool, i * 20);
    }
    assert_int_equal(migrate_arena(&pool, arena, NO_LIMIT), -EAGAIN);
    assert_true(statistics_of(&pool).moves_skipped > 0);
    for (block_no i = 0; i < array_count(busy); i++)
        assert_int_equal(pool.block[i * 20].object.position, busy[i].position);
    for (block_no i = 0; i < array_count(busy); i++)
        block_unlock(&pool, i * 20);
    for (block_no block = 0; block < 3000; block++)
        if (block % 20 != 0)
            assert_int_not_equal(arena_of_block(&pool, block), arena);
    test_pool_check(&pool);
    assert_int_equal(migrate_arena(&pool, arena, NO_LIMIT), 0);
    assert_true(arena_is_free(&pool, arena));
    check_and_end(&pool);
}

static void quota_that_is_used_up_makes_it_eagain_and_calling_again_goes_on(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 1500);
    uint64_t arena = arena_of_block(&pool, 0);
    struct snapshot before = snapshot_of(&pool);
    assert_int_equal(migrate_arena(&pool, arena, &(struct zpool_quota){.objects = 0}), -EAGAIN);
    assert_unchanged_since(&pool, &before);
    unsigned objects = 0;
    for (block_no block = 0; block < 1500; block++)
        objects += arena_of_block(&pool, block) == arena;
    unsigned calls = 0;
    for (int error = -EAGAIN; error != 0; calls++) {
        before = snapshot_of(&pool);
        struct zpool_quota quota = {.objects = 50};
        error = migrate_arena(&pool, arena, &quota);
        assert_true(error == 0 || error == -EAGAIN);
        assert_in_range(blocks_moved_since(&pool, &before), error == 0 ? 0 : 1, 50);
        free(before.object);
        assert_true(calls < 1000);
    }
    assert_true(objects > 0 && calls >= (objects + 49) / 50);
    assert_true(arena_is_free(&pool, arena));
    check_and_end(&pool);
}

static void no_room_elsewhere_returns_enospc_and_loses_nothing(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 400); /* less than an arena */
    uint64_t arena = arena_of_block(&pool, 0);
    zpool_settle(pool.zpool, NO_LIMIT);
    pages_trim(pool.pages, 0, UINT64_MAX);
    budget_set_limit(&pool.budget, atomic_load(&pool.budget.used_pages));
    assert_int_equal(migrate_arena(&pool, arena, NO_LIMIT), -ENOSPC);
    assert_int_equal(isolates(&pool, arena), 0);
    test_pool_check(&pool);
    budget_set_limit(&pool.budget, UINT64_MAX);
    assert_int_equal(migrate_arena(&pool, arena, NO_LIMIT), 0);
    check_and_end(&pool);
}

static void range_of_all_movable_pages_is_never_said_to_be_empty_while_it_is_not(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 1000);
    /* From the first object's arena to the pool's end: there is no elsewhere. */
    pfn first = (pfn)(arena_of_block(&pool, 0) * ARENA_PAGES);
    for (block_no block = 0; block < 1000; block++)
        if (arena_of_block(&pool, block) * ARENA_PAGES < first)
            first = (pfn)(arena_of_block(&pool, block) * ARENA_PAGES);
    uint64_t count = pool.zpool->map.page_count - first;
    int error = zpool_migrate(pool.zpool, first, count, NO_LIMIT);
    if (error != -EPERM)
        assert_true(error == -EAGAIN || error == -ENOSPC);
    check_and_end(&pool);
}

static void *migrate_two_arenas(void *context)
{
    struct test_pool *pool = context;
    pfn first = (pfn)(arena_of_block(pool, 0) * ARENA_PAGES);
    if (zpool_migrate(pool->zpool, first, 2 * ARENA_PAGES, NO_LIMIT) < -EAGAIN)
        fault("migrating two arenas failed");
    return NULL;
}

/* A migrates arenas 0 and 1, of which 1 is inactive; then 1 is used, and B isolates it. */
static void arena_that_another_has_isolated_meanwhile_is_not_put_back(void **state)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state)});
    assert_int_equal(block_write(&pool, 0, PAGE_SIZE_BYTES, 1), 0);
    uint64_t arena = arena_of_block(&pool, 0);
    struct list isolated;
    list_init(&isolated);
    gates_begin();
    gate_close("raw: object copied");
    pthread_t a = thread_start(migrate_two_arenas, &pool);
    gate_await("raw: object copied");
    for (block_no block = 1; pages_isolate(pool.pages, arena + 1, &isolated) == -EINVAL; block++)
        assert_int_equal(block_write(&pool, block, PAGE_SIZE_BYTES, block), 0);
    gate_open("raw: object copied");
    thread_join(a);
    gates_end();
    assert_int_equal(isolates(&pool, arena), 0);
    assert_int_equal(isolates(&pool, arena + 1), -EBUSY);
    pages_putback(pool.pages, &isolated);
    check_and_end(&pool);
}

static void pages_that_are_just_being_taken_are_not_overlooked(void **state)
{
    struct test_pool pool;
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver_of(state)});
    assert_int_equal(block_write(&pool, 0, PAGE_SIZE_BYTES, 1), 0);
    uint64_t arena = arena_of_block(&pool, 0);
    /* As a driver does it between pages_alloc and pages_describe. */
    struct page_run run;
    assert_int_equal(pages_alloc(pool.pages, 1, PAGE_MOVABLE, &run), 0);
    assert_int_equal(run.first >> ARENA_SHIFT, arena);
    assert_int_equal(migrate_arena(&pool, arena, NO_LIMIT), -EAGAIN);
    pages_free(pool.pages, &run);
    assert_int_equal(migrate_arena(&pool, arena, NO_LIMIT), 0);
    check_and_end(&pool);
}

/* ---- statistics, validator ---- */

static void class_statistics_add_up(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 3000);
    thin(&pool, 2, 4);
    struct zpool_class_statistics class;
    uint64_t owned = 0, freeable = 0;
    for (unsigned i = 0; zpool_class_statistics(pool.zpool, i, &class); i++) {
        uint64_t zspages = 0;
        for (unsigned group = 0; group < ZPOOL_GROUP_COUNT; group++)
            zspages += class.zspages[group];
        assert_int_equal(class.index, i);
        assert_int_equal(class.pages_used, zspages * class.pages_per_zspage);
        assert_int_equal(class.objects_allocated, zspages * class.objects_per_zspage);
        assert_true(class.objects_used <= class.objects_allocated);
        assert_true(class.pages_freeable <= class.pages_used);
        owned += class.pages_used;
        freeable += class.pages_freeable;
    }
    assert_false(zpool_class_statistics(pool.zpool, UINT32_MAX, &class));
    struct zpool_statistics statistics = statistics_of(&pool);
    if (owned > 0)
        assert_int_equal(account_of(&pool).owned_total,
                         owned + statistics.raw_pages +
                             statistics.descriptor_bytes / PAGE_SIZE_BYTES);
    uint64_t before = account_of(&pool).owned_total;
    zpool_compact(pool.zpool, NO_LIMIT);
    zpool_settle(pool.zpool, NO_LIMIT);
    assert_true(before - account_of(&pool).owned_total >= freeable);
    check_and_end(&pool);
}

static void validator_finds_objects_whose_owners_disagree(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 100);
    assert_int_equal(block_write(&pool, 10, 500, 1), 0);
    assert_int_equal(block_write(&pool, 11, 500, 1), 0);
    struct zpool_handle a = pool.block[10].object, b = pool.block[11].object;
    pool.block[10].object = b;
    pool.block[11].object = a;
    struct kept_report kept;
    kept_report_init(&kept);
    zpool_validate(pool.zpool, &kept.report);
    assert_int_equal(kept.report.faults, 2);
    assert_true(kept_report_says(&kept, "block 10"));
    assert_true(kept_report_says(&kept, "block 11"));
    pool.block[10].object = a;
    pool.block[11].object = b;
    check_and_end(&pool);
}

/* All 64 bits of the words of some pages of every kind, free ones too. */
static void validators_find_any_flipped_bit_of_any_word_and_survive_it(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 300);
    assert_int_equal(block_write(&pool, 10, PAGE_SIZE_BYTES, 1), 0);
    thin(&pool, 2, 5);
    _Atomic uint64_t *words = pool.zpool->map.words;
    uint64_t pages = account_of(&pool).arenas_active * ARENA_PAGES;
    unsigned seen[MEM_DESC_TYPE_COUNT] = {0};
    for (uint64_t page = 0; page < pages; page++) {
        uint64_t word = atomic_load(&words[page]);
        if (++seen[mem_desc_type((struct mem_desc){word})] > 5)
            continue;
        for (unsigned bit = 0; bit < 64; bit++) {
            struct report report = {0};
            atomic_store(&words[page], word ^ UINT64_C(1) << bit);
            pages_validate(pool.pages, &report);
            zpool_validate(pool.zpool, &report);
            if (report.faults == 0)
                fault("bit %u of the word %#llx of pfn %llu can be flipped unseen", bit,
                      (unsigned long long)word, (unsigned long long)page);
        }
        atomic_store(&words[page], word);
    }
    assert_true(seen[MEM_DESC_GUARD] == 1 && seen[MEM_DESC_OFFLINE] > 5);
    assert_true(seen[MEM_DESC_DESCRIPTOR] > 0);
    check_and_end(&pool);
}

static void validator_finds_raw_pages_whose_owners_disagree(void **state)
{
    struct test_pool pool;
    make_filled(&pool, state, 100);
    assert_int_equal(block_write(&pool, 10, PAGE_SIZE_BYTES, 1), 0);
    struct zpool_handle object = pool.block[10].object;
    pool.block[10].object.position = 0;
    struct kept_report kept;
    kept_report_init(&kept);
    zpool_validate(pool.zpool, &kept.report);
    assert_int_equal(kept.report.faults, 1);
    assert_true(kept_report_says(&kept, "block 10"));
    pool.block[10].object = object;
    check_and_end(&pool);
}

int main(void)
{
    static const struct sentence sentences[] = {
        sentence(driver_is_found_by_its_name_and_no_other_is),
        sentence(zspage_length_out_of_range_returns_einval_and_no_pool),
        sentence(creating_without_memory_returns_enomem_and_no_pool),
        sentence(objects_of_every_size_are_aligned_and_keep_their_bytes),
        sentence(every_zspage_length_that_is_allowed_works),
        sentence(objects_too_large_for_the_driver_are_whole_pages),
        sentence(alloc_and_free_may_be_called_with_the_owners_lock_held),
        sentence(same_room_is_symmetric_and_rewriting_in_it_leaves_neighbours_alone),
        sentence(alloc_beyond_the_limit_returns_enospc_and_keeps_every_old_block),
        sentence(alloc_without_addresses_returns_enospc_until_something_is_freed),
        sentence(room_that_was_freed_is_used_again),
        sentence(each_request_of_a_write_failing_in_turn_keeps_the_old_block),
        sentence(compacting_and_settling_an_empty_pool_does_nothing),
        sentence(compacting_and_settling_keep_every_block_and_give_memory_back),
        sentence(no_more_objects_are_moved_than_the_quota_says),
        sentence(objects_of_busy_owners_stay_where_they_are_and_all_others_may_move),
        sentence(object_that_no_slot_names_yet_or_any_more_is_left_alone),
        sentence(each_request_of_compacting_and_settling_failing_in_turn_loses_nothing),
        sentence(each_request_of_migrating_failing_in_turn_loses_nothing),
        sentence(ranges_that_are_empty_or_leave_the_pool_return_einval_and_change_nothing),
        sentence(range_that_nobody_ever_used_is_empty_at_once),
        sentence(migrated_arena_is_empty_and_every_block_is_intact_elsewhere),
        sentence(range_migrated_twice_has_nothing_to_move_the_second_time),
        sentence(range_of_a_few_pages_is_emptied_whatever_lies_across_its_ends),
        sentence(range_that_is_being_migrated_by_another_returns_ebusy_and_changes_nothing),
        sentence(range_with_pages_that_stay_returns_eperm_and_changes_nothing),
        sentence(busy_owners_make_it_eagain_and_are_all_that_is_left_in_the_range),
        sentence(quota_that_is_used_up_makes_it_eagain_and_calling_again_goes_on),
        sentence(no_room_elsewhere_returns_enospc_and_loses_nothing),
        sentence(range_of_all_movable_pages_is_never_said_to_be_empty_while_it_is_not),
        sentence(arena_that_another_has_isolated_meanwhile_is_not_put_back),
        sentence(pages_that_are_just_being_taken_are_not_overlooked),
        sentence(class_statistics_add_up),
        sentence(validator_finds_objects_whose_owners_disagree),
        sentence(validators_find_any_flipped_bit_of_any_word_and_survive_it),
        sentence(validator_finds_raw_pages_whose_owners_disagree),
    };
    test_program_begin("zpool-test");
    return run_for_every_driver("zpool", sentences, array_count(sentences));
}
