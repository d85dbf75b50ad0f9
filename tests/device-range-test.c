/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-range-test.c: trim frees whole blocks and leaves their neighbours, zero reads as zeros to
 * the byte, and extents say of each block what it is, without touching it.
 */
#include "tests/device-support.h"

#include <errno.h>

#define BLOCK  BLOCK_SIZE_BYTES
#define BLOCKS 1200u /* three pages of slots */
#define TAIL   1000u /* the last block is partial */
#define SIZE   ((uint64_t)BLOCKS * BLOCK + TAIL)

static unsigned char full[SIZE];     /* what the device is filled with: no byte of it is zero */
static unsigned char expected[SIZE]; /* what it must hold */
static unsigned char data[SIZE];

static void fill_all(struct device *device, enum content_kind kind)
{
    content_fill(data, SIZE, kind, 1);
    assert_int_equal(device_write(device, data, SIZE, 0), 0);
}

static struct device *full_device(void)
{
    struct device *device = device_of_size(SIZE);
    for (uint64_t at = 0; at < SIZE; at++) {
        /* Objects where the requests below have their edges, one word (which is fast) elsewhere. */
        uint64_t block = at / BLOCK;
        uint64_t step = (block + 3) % 256 < 6 || block + 3 > BLOCKS ? 5 : BLOCK;
        full[at] = (unsigned char)(1 + (at / step + block * 31) % 255);
    }
    assert_int_equal(device_write(device, full, SIZE, 0), 0);
    return device;
}

/* Bytes [from, to) are zeros, all others as in full_device. */
static void zeros_must_be_exactly(struct device *device, uint64_t from, uint64_t to)
{
    memcpy(expected, full, SIZE);
    memset(expected + from, 0, to - from);
    assert_int_equal(device_read(device, data, SIZE, 0), 0);
    assert_int_equal(memcmp(data, expected, SIZE), 0);
}

/* Writes what a request from `from` to `to` may have changed. */
static void refill(struct device *device, uint64_t from, uint64_t to)
{
    uint64_t start = from / BLOCK * BLOCK, end = (to + BLOCK - 1) / BLOCK * BLOCK;
    if (end > SIZE)
        end = SIZE;
    assert_int_equal(device_write(device, full + start, end - start, start), 0);
}

/* Ranges around the edges of blocks, of pages of slots and of the device. */
static const uint64_t edges[] = {0,
                                 1,
                                 BLOCK - 1,
                                 BLOCK,
                                 BLOCK + 1,
                                 2 * BLOCK,
                                 511 * BLOCK,
                                 512 * BLOCK,
                                 512 * BLOCK + 1,
                                 1024 * BLOCK,
                                 SIZE - TAIL - 1,
                                 SIZE - TAIL,
                                 SIZE - 500,
                                 SIZE - 1,
                                 SIZE};
#define EDGE_STEP (TEST_UNDER_TSAN ? 2 : 1)

static void trim_frees_whole_blocks_and_keeps_the_parts_at_the_edges(void **state)
{
    (void)state;
    struct device *device = full_device();
    for (size_t i = 0; i < array_count(edges); i += EDGE_STEP)
        for (size_t j = i; j < array_count(edges); j += EDGE_STEP) {
            uint64_t before = device_statistic(device, notify_free);
            assert_int_equal(device_trim(device, edges[j] - edges[i], edges[i]), 0);
            uint64_t from = (edges[i] + BLOCK - 1) / BLOCK * BLOCK, to = edges[j] / BLOCK * BLOCK;
            if (edges[j] == SIZE)
                to = SIZE; /* the last block is whole when all it has is in the range */
            if (from >= to)
                from = to = 0;
            zeros_must_be_exactly(device, from, to);
            uint64_t freed = (to - from + BLOCK - 1) / BLOCK;
            assert_true(device_statistic(device, notify_free) - before == freed);
            assert_true(device_statistic(device, orig_data_size) == (BLOCKS + 1 - freed) * BLOCK);
            refill(device, edges[i], edges[j]);
        }
    device_finish(device);
}

static void zero_reads_as_zeros_to_the_byte(void **state)
{
    (void)state;
    struct device *device = full_device();
    for (size_t i = 0; i < array_count(edges); i += EDGE_STEP)
        for (size_t j = i; j < array_count(edges); j += EDGE_STEP) {
            assert_int_equal(device_zero(device, edges[j] - edges[i], edges[i]), 0);
            zeros_must_be_exactly(device, edges[i], edges[j]);
            refill(device, edges[i], edges[j]);
        }
    device_finish(device);
}

static void zero_of_a_hole_stores_nothing(void **state)
{
    (void)state;
    struct device *device = device_of_size(SIZE);
    assert_int_equal(device_zero(device, SIZE, 0), 0);
    assert_int_equal(device_zero(device, 1, 0), 0);
    assert_int_equal(device_zero(device, BLOCK, BLOCK / 2), 0);
    assert_int_equal(device_zero(device, 1, SIZE - 1), 0);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.mem_used_total == 0 && now.writes == 0 && now.notify_free == 0);
    device_finish(device);
}

static void trimming_all_gives_all_memory_back(void **state)
{
    (void)state;
    static const enum content_kind kinds[] = {CONTENT_MIXED, CONTENT_RANDOM, CONTENT_SAME_SHORT};
    for (size_t i = 0; i < array_count(kinds); i++) {
        struct device *device = device_of_size(SIZE);
        fill_all(device, kinds[i]);
        assert_true(device_statistic(device, slot_table) == 3 * PAGE_SIZE_BYTES);
        assert_int_equal(device_trim(device, SIZE, 0), 0);
        struct device_statistics now = device_statistics_now(device);
        assert_true(now.orig_data_size == 0 && now.compr_data_size == 0 && now.same_pages == 0);
        assert_true(now.slot_table == 0); /* at once; pool pages when the pool is tidied */
        (void)device_reclaim(device, 1);
        now = device_statistics_now(device);
        assert_true(now.pool_used == 0 && now.pool_free == 0);
        assert_int_equal(device_resident_pool_pages(device), now.descriptors / PAGE_SIZE_BYTES);
        device_finish(device);
    }
}

static void trimmed_blocks_can_be_written_again(void **state)
{
    (void)state;
    struct device *device = full_device();
    assert_int_equal(device_trim(device, SIZE, 0), 0);
    fill_all(device, CONTENT_MIXED);
    assert_true(device_statistic(device, slot_table) == 3 * PAGE_SIZE_BYTES);
    device_finish(device);
}

static void trim_of_what_is_not_stored_counts_nothing(void **state)
{
    (void)state;
    struct device *device = full_device();
    assert_int_equal(device_trim(device, 10 * BLOCK, 0), 0);
    assert_int_equal(device_trim(device, 20 * BLOCK, 0), 0);
    assert_true(device_statistic(device, notify_free) == 20);
    device_finish(device);
}

/* What a walk said, one character an extent: D, Z, H; and where each ended. */
struct walk {
    char kinds[64];
    uint64_t ends[64];
    unsigned count;
    unsigned fail_at;
};

static int note_extent(void *context, uint64_t offset, uint64_t count, enum device_extent extent)
{
    struct walk *walk = context;
    assert_true(walk->count == 0 || offset == walk->ends[walk->count - 1]);
    assert_true(walk->count < array_count(walk->ends) - 1);
    walk->kinds[walk->count] = "DZH"[extent];
    walk->ends[walk->count++] = offset + count;
    return walk->count == walk->fail_at ? -1234 : 0;
}

static void extents_must_be(struct device *device, uint64_t offset, uint64_t count,
                            const char *kinds, const uint64_t *ends)
{
    struct walk walk = {0};
    assert_int_equal(device_extents(device, count, offset, false, note_extent, &walk), 0);
    assert_string_equal(walk.kinds, kinds);
    for (unsigned i = 0; i < walk.count; i++)
        assert_true(walk.ends[i] == ends[i]);
    /* The first alone is the same first. */
    struct walk first = {0};
    assert_int_equal(device_extents(device, count, offset, true, note_extent, &first), 0);
    assert_int_equal(first.count, 1);
    assert_true(first.kinds[0] == walk.kinds[0] && first.ends[0] == walk.ends[0]);
}

/* Blocks 0, 1: data; 2: zeros that are stored; 3 … 1023: hole; 1024 … 1026: data; then a hole. */
static struct device *device_with_extents(void)
{
    struct device *device = device_of_size(SIZE);
    memset(data, 0, BLOCK);
    assert_int_equal(device_write(device, data, BLOCK, 2 * BLOCK), 0);
    content_fill(data, BLOCK, CONTENT_MIXED, 1);
    assert_int_equal(device_write(device, data, BLOCK, 0), 0);
    content_fill(data, BLOCK, CONTENT_SAME_SHORT, 1);
    assert_int_equal(device_write(device, data, BLOCK, BLOCK), 0);
    for (block_no block = 1024; block < 1027; block++)
        assert_int_equal(device_write(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
    return device;
}

static void extents_say_what_each_block_is(void **state)
{
    (void)state;
    struct device *device = device_with_extents();
    const uint64_t ends[] = {2 * BLOCK, 3 * BLOCK, 1024 * BLOCK, 1027 * BLOCK, SIZE};
    extents_must_be(device, 0, SIZE, "DZHDH", ends);
    device_finish(device);
}

static void extents_are_cut_to_the_range(void **state)
{
    (void)state;
    struct device *device = device_with_extents();
    static const struct {
        uint64_t offset, end;
        const char *kinds;
        uint64_t ends[5];
    } ranges[] = {
        {0, 1, "D", {1}},
        {BLOCK - 1, BLOCK + 1, "D", {BLOCK + 1}},
        {100, 2 * BLOCK + 1, "DZ", {2 * BLOCK, 2 * BLOCK + 1}},
        {2 * BLOCK + 5, 3 * BLOCK, "Z", {3 * BLOCK}},
        {3 * BLOCK, 3 * BLOCK + 1, "H", {3 * BLOCK + 1}},
        {3 * BLOCK - 1, 600 * BLOCK, "ZH", {3 * BLOCK, 600 * BLOCK}},
        {511 * BLOCK + 7, 1024 * BLOCK, "H", {1024 * BLOCK}},
        {512 * BLOCK, 1024 * BLOCK + 9, "HD", {1024 * BLOCK, 1024 * BLOCK + 9}},
        {1026 * BLOCK, SIZE, "DH", {1027 * BLOCK, SIZE}},
        {1027 * BLOCK, SIZE - 1, "H", {SIZE - 1}},
        {SIZE - 1, SIZE, "H", {SIZE}},
    };
    for (size_t i = 0; i < array_count(ranges); i++)
        extents_must_be(device, ranges[i].offset, ranges[i].end - ranges[i].offset, ranges[i].kinds,
                        ranges[i].ends);
    device_finish(device);
}

static void extents_of_nothing_are_none(void **state)
{
    (void)state;
    struct device *device = device_with_extents();
    struct walk walk = {0};
    assert_int_equal(device_extents(device, 0, 0, false, note_extent, &walk), 0);
    assert_int_equal(device_extents(device, 0, SIZE, true, note_extent, &walk), 0);
    assert_int_equal(device_extents(device, 1, SIZE, false, note_extent, &walk), -EINVAL);
    assert_int_equal(device_extents(device, SIZE + 1, 0, false, note_extent, &walk), -EINVAL);
    assert_int_equal(walk.count, 0);
    device_finish(device);
}

static void callback_that_fails_ends_the_walk_with_its_error(void **state)
{
    (void)state;
    struct device *device = device_with_extents();
    for (unsigned fail_at = 1; fail_at <= 5; fail_at++) {
        struct walk walk = {.fail_at = fail_at};
        assert_int_equal(device_extents(device, SIZE, 0, false, note_extent, &walk), -1234);
        assert_int_equal(walk.count, fail_at);
    }
    struct walk walk = {.fail_at = 1};
    assert_int_equal(device_extents(device, SIZE, 0, true, note_extent, &walk), -1234);
    device_finish(device);
}

static void partly_written_last_block_is_data_to_the_end(void **state)
{
    (void)state;
    struct device *device = device_of_size(SIZE);
    unsigned char byte = 1;
    assert_int_equal(device_write(device, &byte, 1, SIZE - 1), 0);
    const uint64_t ends[] = {SIZE - TAIL, SIZE};
    extents_must_be(device, 0, SIZE, "HD", ends);
    byte = 0;
    assert_int_equal(device_write(device, &byte, 1, SIZE - 1), 0);
    extents_must_be(device, 0, SIZE, "HZ", ends);
    assert_int_equal(device_trim(device, TAIL, SIZE - TAIL), 0);
    extents_must_be(device, 0, SIZE, "H", &ends[1]);
    device_finish(device);
}

static void extents_and_reads_of_holes_make_nothing_resident(void **state)
{
    (void)state;
    struct device *device = device_of_size(SIZE);
    struct walk walk = {0};
    assert_int_equal(device_extents(device, SIZE, 0, false, note_extent, &walk), 0);
    assert_int_equal(device_read(device, data, SIZE, 0), 0);
    assert_int_equal(device_read(device, data, 10, 5), 0);
    assert_int_equal(device_trim(device, SIZE, 0), 0);
    assert_true(device_statistic(device, mem_used_total) == 0);
    assert_int_equal(
        resident_pages((const void *)(uintptr_t)device->slots.words, 3 * PAGE_SIZE_BYTES), 0);
    assert_int_equal(device_resident_pool_pages(device), 0);
    device_finish(device);
}

static void largest_device_is_walked_and_trimmed_where_it_is_used(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        skip_because("16 TiB of addresses need more shadow than there is");
    struct device *device = device_of_size(DEVICE_SIZE_MAX_BYTES);
    unsigned char byte = 1;
    const uint64_t half = DEVICE_SIZE_MAX_BYTES / 2;
    assert_int_equal(device_write(device, &byte, 1, half), 0);
    const uint64_t ends[] = {half, half + BLOCK, DEVICE_SIZE_MAX_BYTES};
    extents_must_be(device, 0, DEVICE_SIZE_MAX_BYTES, "HDH", ends);
    assert_int_equal(device_zero(device, DEVICE_SIZE_MAX_BYTES - 2, 1), 0);
    extents_must_be(device, 0, DEVICE_SIZE_MAX_BYTES, "H", &ends[2]);
    assert_true(device_statistic(device, notify_free) == 1);
    device_finish(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trim_frees_whole_blocks_and_keeps_the_parts_at_the_edges),
        cmocka_unit_test(zero_reads_as_zeros_to_the_byte),
        cmocka_unit_test(zero_of_a_hole_stores_nothing),
        cmocka_unit_test(trimming_all_gives_all_memory_back),
        cmocka_unit_test(trimmed_blocks_can_be_written_again),
        cmocka_unit_test(trim_of_what_is_not_stored_counts_nothing),
        cmocka_unit_test(extents_say_what_each_block_is),
        cmocka_unit_test(extents_are_cut_to_the_range),
        cmocka_unit_test(extents_of_nothing_are_none),
        cmocka_unit_test(callback_that_fails_ends_the_walk_with_its_error),
        cmocka_unit_test(partly_written_last_block_is_data_to_the_end),
        cmocka_unit_test(extents_and_reads_of_holes_make_nothing_resident),
        cmocka_unit_test(largest_device_is_walked_and_trimmed_where_it_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
