/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-limit-test.c: mem_limit is never passed; a write that it refuses leaves the old block; and
 * nothing is refused while the device has memory that it doesn't need.
 */
#include "tests/device-support.h"

#include <errno.h>

#define BLOCK BLOCK_SIZE_BYTES

static struct device *device_with_limit(uint64_t limit_bytes, uint64_t reserve_bytes)
{
    struct device_config config = config_of_size(16 * MIB);
    config.mem_limit_bytes = limit_bytes;
    config.reserve_bytes = reserve_bytes;
    return device_of(&config);
}

static int write_length(struct device *device, block_no block, size_t length, uint64_t seed)
{
    unsigned char data[BLOCK];
    content_of_length(data, length, seed);
    return device_write(device, data, BLOCK, (uint64_t)block * BLOCK);
}

static int write_content(struct device *device, block_no block, enum content_kind kind,
                         uint64_t seed)
{
    unsigned char data[BLOCK];
    content_fill(data, BLOCK, kind, seed);
    return device_write(device, data, BLOCK, (uint64_t)block * BLOCK);
}

static void content_must_be(struct device *device, block_no block, enum content_kind kind,
                            uint64_t seed)
{
    unsigned char data[BLOCK], expected[BLOCK];
    content_fill(expected, BLOCK, kind, seed);
    assert_int_equal(device_read(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
    assert_memory_equal(data, expected, BLOCK);
}

static void length_must_be(struct device *device, block_no block, size_t length, uint64_t seed)
{
    unsigned char data[BLOCK], expected[BLOCK];
    content_of_length(expected, length, seed);
    assert_int_equal(device_read(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
    assert_memory_equal(data, expected, BLOCK);
}

/* Writes random blocks from `block` on until one is refused; returns its number. */
static block_no fill_to_the_limit(struct device *device, block_no block)
{
    int error;
    while ((error = write_content(device, block, CONTENT_RANDOM, block)) == 0)
        block++;
    assert_int_equal(error, -ENOSPC);
    return block;
}

static void limit_below_the_floor_is_refused(void **state)
{
    (void)state;
    struct device *device;
    for (uint64_t reserve = 0; reserve <= 64 * KIB; reserve += 64 * KIB) {
        struct device_config config = config_of_size(MIB);
        config.reserve_bytes = reserve;
        uint64_t floor = device_mem_floor_bytes(&config);
        assert_true(floor >= reserve + PAGE_SIZE_BYTES);
        config.mem_limit_bytes = floor - 1;
        assert_int_equal(device_create(&config, &device), -EINVAL);
        config.mem_limit_bytes = 1;
        assert_int_equal(device_create(&config, &device), -EINVAL);
        config.mem_limit_bytes = floor;
        device_finish(device_of(&config));
    }
}

static void floor_stores_one_block_of_any_kind_with_any_driver(void **state)
{
    (void)state;
    const char *driver;
    for (size_t i = 0; (driver = device_zpool_driver_name(i)) != NULL; i++)
        for (unsigned kind = 0; kind < CONTENT_KIND_COUNT; kind++)
            for (uint64_t seed = 0; seed < 20; seed++) {
                struct device_config config = config_of_size(16 * MIB);
                config.zpool_driver = driver;
                config.mem_limit_bytes = device_mem_floor_bytes(&config);
                struct device *device = device_of(&config);
                assert_int_equal(write_content(device, 4095, (enum content_kind)kind, seed), 0);
                content_must_be(device, 4095, (enum content_kind)kind, seed);
                assert_true(device_statistic(device, mem_used_max) <= config.mem_limit_bytes);
                device_finish(device);
            }
}

/* The floor is exact: what a small object needs is all of it, so that one page less is too little.
 */
static void floor_is_what_the_first_object_takes(void **state)
{
    (void)state;
    struct device_config config = config_of_size(16 * MIB);
    struct device *device = device_of(&config);
    assert_int_equal(write_length(device, 0, 100, 1), 0);
    assert_true(device_statistic(device, mem_used_total) == device_mem_floor_bytes(&config));
    device_finish(device);
}

static void limit_is_rounded_down_to_whole_pages(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB + 4095, 0);
    assert_true(device_statistic(device, mem_limit) == MIB);
    fill_to_the_limit(device, 0);
    assert_true(device_statistic(device, mem_used_max) <= MIB);
    device_finish(device);
}

static void limit_is_used_to_its_last_page(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB, 0);
    block_no refused = fill_to_the_limit(device, 0);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.mem_used_total == MIB && now.mem_used_max == MIB);
    assert_true(now.pool_used == (uint64_t)refused * BLOCK);
    assert_true(now.limit_hits >= 2); /* at once, and after looking for memory */
    assert_true(now.failed_writes == 1);
    device_finish(device);
}

static void refused_write_keeps_the_old_block(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB, 0);
    assert_int_equal(write_length(device, 4000, 100, 1), 0);
    assert_int_equal(write_content(device, 4001, CONTENT_SAME_LONG, 1), 0);
    assert_int_equal(write_content(device, 4002, CONTENT_SAME_SHORT, 1), 0);
    block_no refused = fill_to_the_limit(device, 0);
    for (block_no block = 4000; block < 4004; block++)
        assert_int_equal(write_content(device, block, CONTENT_RANDOM, 1), -ENOSPC);
    length_must_be(device, 4000, 100, 1);
    content_must_be(device, 4001, CONTENT_SAME_LONG, 1);
    content_must_be(device, 4002, CONTENT_SAME_SHORT, 1);
    content_must_be(device, 4003, CONTENT_ZERO, 1);
    for (block_no block = 0; block < refused; block++)
        content_must_be(device, block, CONTENT_RANDOM, block);
    assert_true(device_statistic(device, failed_writes) == 5);
    device_finish(device);
}

static void refused_part_of_a_block_keeps_all_of_it(void **state)
{
    (void)state;
    static unsigned char part[3000];
    struct device *device = device_with_limit(MIB, 0);
    assert_int_equal(write_length(device, 4000, 100, 1), 0);
    assert_int_equal(write_content(device, 4001, CONTENT_SAME_SHORT, 1), 0);
    fill_to_the_limit(device, 0);
    content_fill(part, sizeof part, CONTENT_RANDOM, 1);
    assert_int_equal(device_write(device, part, sizeof part, 4000 * BLOCK + 500), -ENOSPC);
    assert_int_equal(device_write(device, part, sizeof part, 4001 * BLOCK + 500), -ENOSPC);
    length_must_be(device, 4000, 100, 1);
    content_must_be(device, 4001, CONTENT_SAME_SHORT, 1);
    assert_true(device_statistic(device, failed_writes) == 3);
    assert_true(device_statistic(device, writes_partial) == 0);
    device_finish(device);
}

static void request_that_is_refused_half_way_has_written_what_is_before(void **state)
{
    (void)state;
    static unsigned char data[5 * BLOCK], back[5 * BLOCK];
    struct device *device = device_with_limit(MIB, 0);
    block_no refused = fill_to_the_limit(device, 0);
    assert_int_equal(device_trim(device, 2 * BLOCK, 0), 0); /* room for two */
    content_fill(data, sizeof data, CONTENT_RANDOM, 77);
    assert_int_equal(device_write(device, data, sizeof data, 400 * BLOCK), -ENOSPC);
    assert_int_equal(device_read(device, back, sizeof back, 400 * BLOCK), 0);
    assert_memory_equal(back, data, 2 * BLOCK);
    for (size_t at = 2 * BLOCK; at < sizeof back; at++)
        assert_int_equal(back[at], 0);
    for (block_no block = 2; block < refused; block++)
        content_must_be(device, block, CONTENT_RANDOM, block);
    device_finish(device);
}

static void device_at_its_limit_still_takes_what_needs_no_more_memory(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB, 0);
    block_no refused = fill_to_the_limit(device, 0);
    assert_int_equal(write_content(device, 1, CONTENT_RANDOM, 1000), 0); /* in place */
    assert_int_equal(write_content(device, 2, CONTENT_ZERO, 0), 0);
    assert_int_equal(write_content(device, 3, CONTENT_SAME_HALF, 3), 0);
    assert_int_equal(device_trim(device, BLOCK, 4 * BLOCK), 0);
    content_must_be(device, 1, CONTENT_RANDOM, 1000);
    content_must_be(device, 2, CONTENT_ZERO, 0);
    content_must_be(device, 3, CONTENT_SAME_HALF, 3);
    /* Three pages were given up, so three blocks fit again, and not one more. */
    assert_int_equal(fill_to_the_limit(device, refused), refused + 3);
    device_finish(device);
}

static void limit_that_the_table_of_slots_meets_refuses_the_write(void **state)
{
    (void)state;
    struct device_config config = config_of_size(1024 * MIB);
    config.mem_limit_bytes = 10 * PAGE_SIZE_BYTES;
    struct device *device = device_of(&config);
    /* Blocks of one word cost slots only: each of these a page of them. */
    for (block_no page = 0; page < 10; page++)
        assert_int_equal(write_content(device, page * SLOTS_PER_PAGE, CONTENT_SAME_SHORT, page), 0);
    assert_int_equal(write_content(device, 10 * SLOTS_PER_PAGE, CONTENT_SAME_SHORT, 10), -ENOSPC);
    assert_int_equal(write_content(device, 9 * SLOTS_PER_PAGE + 1, CONTENT_SAME_SHORT, 10), 0);
    content_must_be(device, 10 * SLOTS_PER_PAGE, CONTENT_ZERO, 0);
    assert_int_equal(device_trim(device, BLOCK, 0), 0);
    assert_int_equal(write_content(device, 10 * SLOTS_PER_PAGE, CONTENT_SAME_SHORT, 10), 0);
    for (block_no page = 1; page < 9; page++)
        content_must_be(device, page * SLOTS_PER_PAGE, CONTENT_SAME_SHORT, page);
    device_finish(device);
}

/*
 * Three of four objects are freed, in a pattern that leaves no zspage empty. A device that didn't
 * look for memory would have none for the first page.
 */
static void memory_in_half_empty_zspages_is_found_before_a_write_is_refused(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB, 0);
    block_no count = 0;
    while (write_length(device, count, 700, count) == 0)
        count++;
    assert_true(count > 1000);
    for (block_no block = 0; block < count; block++)
        if (block % 4 != 0)
            assert_int_equal(device_trim(device, BLOCK, (uint64_t)block * BLOCK), 0);
    uint64_t moved = device_statistic(device, objects_moved);
    uint64_t pages = fill_to_the_limit(device, 4000 - MIB / BLOCK) - (4000 - MIB / BLOCK);
    assert_true(device_statistic(device, objects_moved) > moved);
    /* Of 256 pages some ten are tables; objects need a quarter of the rest. */
    assert_true(pages > 160);
    for (block_no block = 0; block < count; block += 4)
        length_must_be(device, block, 700, block);
    device_finish(device);
}

/* One object is left on each page, so that only moving them together frees any. */
static void memory_on_pages_with_one_object_each_is_found_before_a_write_is_refused(void **state)
{
    (void)state;
    struct device_config config = config_of_size(16 * MIB);
    config.mem_limit_bytes = MIB;
    config.zspage_pages_max = 1;
    struct device *device = device_of(&config);
    block_no count = 0;
    while (write_length(device, count, 700, count) == 0)
        count++;
    struct slot previous = device_slot(device, 0);
    for (block_no block = 1; block < count; block++) {
        struct slot slot = device_slot(device, block);
        if (zpool_handle_page(slot_object(slot)) == zpool_handle_page(slot_object(previous)))
            assert_int_equal(device_trim(device, BLOCK, (uint64_t)block * BLOCK), 0);
        else
            previous = slot;
    }
    block_no first = 4000 - MIB / BLOCK;
    block_no pages = fill_to_the_limit(device, first) - first;
    assert_true(pages > 160); /* four of five places on each of some 240 pages are free */
    device_finish(device);
}

/* The same for a write of a part, and for a page that is needed for slots. */
static void memory_is_found_for_parts_of_blocks_and_for_slots_too(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB, 0);
    block_no count = 0;
    while (write_length(device, count, 700, count) == 0)
        count++;
    for (block_no block = 0; block < count; block++)
        if (block % 2 != 0)
            assert_int_equal(device_trim(device, BLOCK, (uint64_t)block * BLOCK), 0);
    static unsigned char part[4000];
    content_fill(part, sizeof part, CONTENT_RANDOM, 1);
    assert_int_equal(device_write(device, part, sizeof part, 2000 * BLOCK + 9), 0);
    fill_to_the_limit(device, 2048); /* all that was found is used up */
    for (block_no block = 0; block < count; block++)
        if (block % 8 != 0)
            assert_int_equal(device_trim(device, BLOCK, (uint64_t)block * BLOCK), 0);
    assert_int_equal(write_content(device, 4095, CONTENT_SAME_SHORT, 1), 0);
    for (block_no block = 0; block < count; block += 8)
        length_must_be(device, block, 700, block);
    device_finish(device);
}

static void reserve_is_given_up_before_a_write_is_refused(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB, 256 * KIB);
    assert_int_equal(pages_refill(device->pages, 64, UINT64_MAX), 64);
    assert_true(device_statistic(device, pool_free) == 256 * KIB);
    fill_to_the_limit(device, 0);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.pool_free == 0 && now.mem_used_total == MIB);
    device_finish(device);
}

/* The free pages of the reserve are no help for a page of slots until they are given back. */
static void reserve_is_given_up_for_a_page_of_slots(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB, 256 * KIB);
    fill_to_the_limit(device, 0);
    assert_int_equal(device_trim(device, 20 * BLOCK, 0), 0);
    assert_true(device_statistic(device, pool_free) == 20 * BLOCK);
    assert_int_equal(write_content(device, 4000, CONTENT_SAME_SHORT, 1), 0);
    device_finish(device);
}

/* Zeroing frees whole blocks; what its edges need is found in them. */
static void zero_at_the_limit_has_the_memory_that_it_frees(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB, 0);
    assert_int_equal(write_content(device, 0, CONTENT_SAME_SHORT, 1), 0);
    block_no refused = fill_to_the_limit(device, 1);
    assert_true(refused > 20);
    assert_int_equal(device_zero(device, 10 * BLOCK, 10), 0);
    unsigned char data[BLOCK], expected[BLOCK];
    content_fill(expected, BLOCK, CONTENT_SAME_SHORT, 1);
    memset(expected + 10, 0, BLOCK - 10);
    assert_int_equal(device_read(device, data, BLOCK, 0), 0);
    assert_memory_equal(data, expected, BLOCK);
    content_must_be(device, 5, CONTENT_ZERO, 0);
    device_finish(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_below_the_floor_is_refused),
        cmocka_unit_test(floor_stores_one_block_of_any_kind_with_any_driver),
        cmocka_unit_test(floor_is_what_the_first_object_takes),
        cmocka_unit_test(limit_is_rounded_down_to_whole_pages),
        cmocka_unit_test(limit_is_used_to_its_last_page),
        cmocka_unit_test(refused_write_keeps_the_old_block),
        cmocka_unit_test(refused_part_of_a_block_keeps_all_of_it),
        cmocka_unit_test(request_that_is_refused_half_way_has_written_what_is_before),
        cmocka_unit_test(device_at_its_limit_still_takes_what_needs_no_more_memory),
        cmocka_unit_test(limit_that_the_table_of_slots_meets_refuses_the_write),
        cmocka_unit_test(memory_in_half_empty_zspages_is_found_before_a_write_is_refused),
        cmocka_unit_test(memory_on_pages_with_one_object_each_is_found_before_a_write_is_refused),
        cmocka_unit_test(memory_is_found_for_parts_of_blocks_and_for_slots_too),
        cmocka_unit_test(reserve_is_given_up_before_a_write_is_refused),
        cmocka_unit_test(reserve_is_given_up_for_a_page_of_slots),
        cmocka_unit_test(zero_at_the_limit_has_the_memory_that_it_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
