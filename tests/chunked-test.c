/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chunked-test.c: what zbud and z3fold alone promise (chunked.h): where in a page an object goes,
 * what compaction moves, what happens when it has to let go, and what their validator finds.
 *
 * What every driver promises: zpool-test.c, zpool-races-test.c, zpool-random-test.c.
 */
#include "tests/support.h"

#include <stdio.h>

#include "zpool/chunked/chunked.h"

static struct test_pool pool;
static struct chunked_pool *chunked;

static void make_pool(const struct zpool_driver *driver)
{
    test_pool_make(&pool, &(struct test_pool_options){.driver = driver});
    chunked = chunked_pool_of(pool.zpool);
    gates_begin();
}

static int make_zbud(void **state)
{
    (void)state;
    make_pool(&zbud_driver);
    return 0;
}

static int make_z3fold(void **state)
{
    (void)state;
    make_pool(&z3fold_driver);
    return 0;
}

static int end_pool(void **state)
{
    (void)state;
    gates_end();
    test_pool_check(&pool);
    for (block_no block = 0; block < pool.block_count; block++)
        block_drop(&pool, block);
    zpool_settle(pool.zpool, NO_LIMIT);
    assert_int_equal(chunked->descriptors.used_count, 0);
    test_pool_check(&pool);
    test_pool_end(&pool);
    return 0;
}

/* Gives the block an object of so many chunks. */
static void write_chunks(block_no block, unsigned chunks)
{
    assert_int_equal(block_write(&pool, block, chunks * CHUNK_SIZE_BYTES, block + 1), 0);
}

static struct chunked_page *page_of(block_no block)
{
    return chunked_page_of(chunked, zpool_handle_page(block_object(&pool, block)));
}

/* The chunk of its page at which the block begins. */
static unsigned chunk_of(block_no block)
{
    uint64_t position = block_object(&pool, block).position;
    return (unsigned)(position << ZPOOL_UNIT_SHIFT >> CHUNK_SHIFT) % PAGE_CHUNKS;
}

static uint64_t pages_of_pool(void)
{
    struct zpool_class_statistics statistics;
    assert_true(zpool_class_statistics(pool.zpool, 0, &statistics));
    return statistics.pages_used;
}

/* ---- where objects go ---- */

static void zbud_puts_two_objects_at_the_ends_of_a_page_and_no_third(void **state)
{
    (void)state;
    write_chunks(0, 20);
    write_chunks(1, 30);
    write_chunks(2, 5);
    assert_int_equal(chunk_of(0), 0);
    assert_int_equal(chunk_of(1), PAGE_CHUNKS - 30);
    assert_ptr_equal(page_of(0), page_of(1));
    assert_ptr_not_equal(page_of(2), page_of(0));
    block_drop(&pool, 0);
    write_chunks(3, 34);
    assert_ptr_equal(page_of(3), page_of(1));
    assert_int_equal(chunk_of(3), 0);
}

static void z3fold_puts_a_third_object_between_two(void **state)
{
    (void)state;
    write_chunks(0, 20);
    write_chunks(1, 30);
    write_chunks(2, 14);
    assert_ptr_equal(page_of(0), page_of(1));
    assert_ptr_equal(page_of(0), page_of(2));
    assert_int_equal(chunk_of(2), 20);
    write_chunks(3, 1);
    assert_ptr_not_equal(page_of(3), page_of(0));
}

static void object_goes_into_the_page_with_the_least_room_that_suffices(void **state)
{
    (void)state;
    static const unsigned first[] = {10, 30, 50, 20, 40};
    for (block_no block = 0; block < array_count(first); block++) {
        write_chunks(2 * block, first[block]);
        write_chunks(2 * block + 1, PAGE_CHUNKS - first[block]);
    }
    for (block_no block = 0; block < array_count(first); block++)
        block_drop(&pool, 2 * block + 1);
    struct chunked_page *page[array_count(first)];
    for (block_no block = 0; block < array_count(first); block++)
        page[block] = page_of(2 * block);
    write_chunks(20, 22); /* 24 are free beside 40 */
    assert_ptr_equal(page_of(20), page[4]);
    write_chunks(21, 25); /* 34 beside 30 */
    assert_ptr_equal(page_of(21), page[1]);
    write_chunks(22, 14); /* 14 beside 50 */
    assert_ptr_equal(page_of(22), page[2]);
    write_chunks(23, 55);
    for (size_t i = 0; i < array_count(page); i++)
        assert_ptr_not_equal(page_of(23), page[i]);
}

static void largest_object_takes_a_page_and_a_larger_one_is_raw(void **state)
{
    (void)state;
    struct zpool_statistics statistics;
    assert_int_equal(pool.zpool->object_max_bytes, CHUNKED_OBJECT_MAX);
    write_chunks(0, PAGE_CHUNKS - 1);
    zpool_statistics(pool.zpool, &statistics);
    assert_int_equal(statistics.raw_pages, 0);
    write_chunks(1, PAGE_CHUNKS);
    zpool_statistics(pool.zpool, &statistics);
    assert_int_equal(statistics.raw_pages, 1);
}

/* ---- compaction ---- */

static void middle_object_is_shifted_when_the_gap_is_wide_and_only_then(void **state)
{
    (void)state;
    /* first 20, middle 10, nothing, last 14; the first goes: the middle becomes the first. */
    write_chunks(0, 20);
    write_chunks(1, 14);
    write_chunks(2, 10);
    block_drop(&pool, 0);
    assert_int_equal(chunk_of(2), 20);
    zpool_compact(pool.zpool, NO_LIMIT);
    assert_int_equal(chunk_of(2), 0);
    test_pool_check(&pool);
    write_chunks(3, 40); /* All the room is in one place now. */
    assert_ptr_equal(page_of(3), page_of(2));

    /* A shorter first one comes: the gap of 2 is left, one of 3 is closed. */
    for (unsigned gap = GAP_MIN_CHUNKS - 1; gap <= GAP_MIN_CHUNKS; gap++) {
        write_chunks(10, 20);
        write_chunks(11, 30);
        write_chunks(12, 10);
        block_drop(&pool, 11);
        block_drop(&pool, 10);
        write_chunks(10, 20 - gap);
        assert_ptr_equal(page_of(10), page_of(12));
        assert_int_equal(chunk_of(10), 0);
        zpool_compact(pool.zpool, NO_LIMIT);
        assert_int_equal(chunk_of(12), gap < GAP_MIN_CHUNKS ? 20 : 20 - gap);
        for (block_no block = 10; block < 13; block++)
            block_drop(&pool, block);
    }
}

/* Each of `count` pages keeps one object of so many chunks. */
static void make_lone(block_no count, const unsigned chunks[])
{
    for (block_no block = 0; block < count; block++) {
        write_chunks(block, chunks[block]);
        write_chunks(100 + block, PAGE_CHUNKS - chunks[block]);
    }
    for (block_no block = 0; block < count; block++)
        block_drop(&pool, 100 + block);
    assert_int_equal(pages_of_pool(), count);
}

static void lone_objects_are_brought_together_and_their_pages_freed(void **state)
{
    (void)state;
    make_lone(6, (const unsigned[]){10, 20, 30, 34, 44, 54});
    assert_int_equal(zpool_compact(pool.zpool, NO_LIMIT), 3);
    assert_int_equal(pages_of_pool(), 3);
    test_pool_check(&pool);
    assert_int_equal(zpool_compact(pool.zpool, NO_LIMIT), 0);
}

static void busy_lone_object_is_skipped_once_and_stops_no_other(void **state)
{
    (void)state;
    make_lone(6, (const unsigned[]){8, 20, 20, 20, 20, 60});
    block_lock(&pool, 0); /* the first that compaction wants to move */
    struct zpool_handle before = pool.block[0].object;
    zpool_compact(pool.zpool, NO_LIMIT);
    assert_int_equal(pool.block[0].object.position, before.position);
    assert_int_equal(chunked->skipped, 1);
    assert_true(pages_of_pool() <= 4);
    block_unlock(&pool, 0);
    test_pool_check(&pool);
    zpool_compact(pool.zpool, NO_LIMIT);
    assert_int_not_equal(block_object(&pool, 0).position, before.position);
}

static void busy_middle_object_is_skipped_once(void **state)
{
    (void)state;
    write_chunks(0, 20);
    write_chunks(1, 14);
    write_chunks(2, 10);
    block_drop(&pool, 0);
    block_lock(&pool, 2);
    zpool_compact(pool.zpool, NO_LIMIT);
    assert_int_equal(chunked->skipped, 1);
    block_unlock(&pool, 2);
    assert_int_equal(chunk_of(2), 20);
}

#define STEP_COMPACTING "chunked: compaction between objects"
#define STEP_GIVEN_WAY  "lock: given way"

static void *compact(void *context)
{
    (void)context;
    zpool_compact(pool.zpool, NO_LIMIT);
    return NULL;
}

static void *drop_block_0(void *context)
{
    (void)context;
    block_drop(&pool, 0);
    return NULL;
}

/* Block 0 is busy, so its page is set aside; then it is freed, where compaction gives way. */
static void last_object_freed_while_its_page_is_stuck_in_compaction(void **state)
{
    (void)state;
    make_lone(6, (const unsigned[]){8, 20, 20, 20, 20, 60});
    struct chunked_page *stuck = page_of(0);
    block_lock(&pool, 0);
    gate_close_after(STEP_COMPACTING, 1);
    gate_close(STEP_GIVEN_WAY);
    pthread_t worker = thread_start(compact, NULL);
    gate_await(STEP_COMPACTING);
    assert_int_equal(zpdesc_state(&stuck->desc), ZPDESC_ISOLATED);
    block_unlock(&pool, 0);
    pthread_t freer = thread_start(drop_block_0, NULL);
    wait_until(atomic_load(&chunked->lock.waiting) > 0);
    gate_open(STEP_COMPACTING);
    gate_await(STEP_GIVEN_WAY);
    thread_join(freer); /* Compaction has given way to it. */
    assert_int_equal(stuck->desc.used_count, 0);
    gate_open(STEP_GIVEN_WAY);
    thread_join(worker);
    assert_int_equal(zpdesc_state(&stuck->desc), ZPDESC_FREE);
}

/* ---- the storm ---- */

#define STORM_THREADS 64

static void *write_half_a_page(void *context)
{
    const block_no *block = context;
    if (block_write(&pool, *block, PAGE_SIZE_BYTES / 2, *block) != 0)
        fault("block %u could not be written", *block);
    return NULL;
}

static void threads_that_find_all_pages_full_make_no_more_than_they_need(void **state)
{
    (void)state;
    block_no block[STORM_THREADS];
    pthread_t thread[STORM_THREADS];
    lock_acquire(&chunked->lock);
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        block[i] = i;
        thread[i] = thread_start(write_half_a_page, &block[i]);
    }
    wait_until(atomic_load(&chunked->lock.waiting) == STORM_THREADS);
    lock_release(&chunked->lock);
    for (unsigned i = 0; i < STORM_THREADS; i++)
        thread_join(thread[i]);
    assert_int_equal(pages_of_pool(), STORM_THREADS / 2);
}

/* ---- the validator ---- */

static void expect_fault(const char *text)
{
    struct kept_report kept;
    kept_report_init(&kept);
    zpool_validate(pool.zpool, &kept.report);
    assert_true(kept_report_says(&kept, text));
}

static void corrupted_descriptor_is_reported_field_by_field(void **state)
{
    (void)state;
    write_chunks(0, 20);
    write_chunks(1, 30);
    write_chunks(2, 60);
    struct chunked_page *page = page_of(0);
    struct chunked_page good = *page;
    char text[128];
    pfn number = zpdesc_first(&page->desc);
    assert_int_equal(number, ARENA_PAGES); /* in the first arena behind the descriptors' */

    page->desc.used_count = 1;
    expect_fault("pfn 512: used_count is 1, expected 2");
    *page = good;
    page->owner[PLACE_LAST] = 7;
    expect_fault("(pfn 512, place 2) belongs to block 7, whose slot names another place");
    *page = good;
    page->chunks[PLACE_FIRST] = 40;
    expect_fault("pfn 512: place 2 has chunks 34 to 64, expected 40 to 64");
    expect_fault("counted 3 objects of 110 chunks, expected 3 of 130");
    *page = good;
    page->desc.group = 3;
    expect_fault("pfn 512: is in group 3, expected ");
    expect_fault("pfn 512: says state 1, group 3; is in the list of group ");
    *page = good;
    page->chunks[PLACE_MIDDLE] = 2;
    page->middle_start = 20;
    if (!chunked->has_middle)
        expect_fault("pfn 512: has a middle object in a pool without them");
    expect_fault("pfn 512: used_count is 2, expected 3");
    *page = good;
    zpdesc_set_state(&page->desc, ZPDESC_ISOLATED);
    expect_fault("pfn 512: says state 2, group ");
    *page = good;
    atomic_store(&page->desc.first, number + 1);
    expect_fault("pfn 512: its descriptor says pfn 513");
    atomic_store(&page->desc.first, UINT32_MAX);
    expect_fault("pfn 4294967295: expected below 32768");
    *page = good;

    struct list *link = &page->desc.list;
    link->previous = NULL;
    snprintf(text, sizeof text, "leads to %p, expected a page that links back", (void *)page);
    expect_fault(text);
    *page = good;
    list_remove(link);
    expect_fault("1 pages are in lists, 2 described by words, 2 descriptors are used");
    list_add(&chunked->group[good.desc.group], link);
    chunked->pages[good.desc.group]++;
    expect_fault(": 1 pages in the list, counted 2");
    chunked->pages[good.desc.group]--;
    uint64_t filled = chunked->filled[PAGE_PLAIN];
    chunked->filled[PAGE_PLAIN] ^= 1u << 6;
    expect_fault("group 7: its bit is wrong, it has 0 pages");
    chunked->filled[PAGE_PLAIN] = filled;
}

#define zbud_test(test)                                 \
    {                                                   \
        "zbud: " #test, test, make_zbud, end_pool, NULL \
    }
#define z3fold_test(test)                                   \
    {                                                       \
        "z3fold: " #test, test, make_z3fold, end_pool, NULL \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        zbud_test(zbud_puts_two_objects_at_the_ends_of_a_page_and_no_third),
        zbud_test(object_goes_into_the_page_with_the_least_room_that_suffices),
        zbud_test(largest_object_takes_a_page_and_a_larger_one_is_raw),
        zbud_test(threads_that_find_all_pages_full_make_no_more_than_they_need),
        zbud_test(corrupted_descriptor_is_reported_field_by_field),
        z3fold_test(z3fold_puts_a_third_object_between_two),
        z3fold_test(object_goes_into_the_page_with_the_least_room_that_suffices),
        z3fold_test(largest_object_takes_a_page_and_a_larger_one_is_raw),
        z3fold_test(middle_object_is_shifted_when_the_gap_is_wide_and_only_then),
        z3fold_test(lone_objects_are_brought_together_and_their_pages_freed),
        z3fold_test(busy_lone_object_is_skipped_once_and_stops_no_other),
        z3fold_test(busy_middle_object_is_skipped_once),
        z3fold_test(last_object_freed_while_its_page_is_stuck_in_compaction),
        z3fold_test(threads_that_find_all_pages_full_make_no_more_than_they_need),
        z3fold_test(corrupted_descriptor_is_reported_field_by_field),
    };
    test_program_begin("chunked-test");
    return cmocka_run_group_tests_name("chunked", tests, NULL, NULL);
}
