/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-test.c: a device of any size gives back what was written to it, whatever the content, the
 * codec and the edges of the request; and a block that is broken is the only one that is.
 *
 * Trim, zero and extents: device-range-test.c. The limit: device-limit-test.c.
 */
#include "tests/device-support.h"

#include <errno.h>
#include <stdlib.h>

#define BLOCK BLOCK_SIZE_BYTES

static void write_block(struct device *device, block_no block, enum content_kind kind,
                        uint64_t seed)
{
    unsigned char data[BLOCK];
    content_fill(data, BLOCK, kind, seed);
    assert_int_equal(device_write(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
}

static void block_must_be(struct device *device, block_no block, enum content_kind kind,
                          uint64_t seed)
{
    unsigned char data[BLOCK], expected[BLOCK];
    content_fill(expected, BLOCK, kind, seed);
    assert_int_equal(device_read(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
    assert_memory_equal(data, expected, BLOCK);
}

static void configurations_out_of_range_are_refused(void **state)
{
    (void)state;
    struct device_config good = config_of_size(MIB), bad[10];
    for (size_t i = 0; i < array_count(bad); i++)
        bad[i] = good;
    bad[0].size_bytes = 0;
    bad[1].size_bytes = DEVICE_SIZE_MAX_BYTES + 1;
    bad[2].size_bytes = UINT64_MAX;
    bad[3].algorithm.codec = NULL;
    bad[4].algorithm.level = bad[4].algorithm.codec->level_min - 1;
    bad[5].algorithm.level = bad[5].algorithm.codec->level_max + 1;
    bad[6].zpool_driver = "";
    bad[7].zpool_driver = "zsmallocs";
    bad[8].zspage_pages_max = ZSPAGE_PAGES_MAX + 1;
    bad[9].mem_limit_bytes = device_mem_floor_bytes(&good) - 1;
    for (size_t i = 0; i < array_count(bad); i++) {
        struct device *device = (struct device *)&good;
        assert_int_equal(device_create(&bad[i], &device), -EINVAL);
        assert_null(device);
    }
    device_finish(device_of(&good));
}

static void default_configuration_is_lz4_on_zsmalloc_without_a_limit(void **state)
{
    (void)state;
    struct device_config config = config_of_size(MIB);
    assert_string_equal(config.algorithm.codec->name, "lz4");
    assert_string_equal(config.zpool_driver, "zsmalloc");
    assert_string_equal(device_zpool_driver_name(0), "zsmalloc");
    size_t drivers = 0;
    while (device_zpool_driver_name(drivers) != NULL)
        drivers++;
    assert_true(drivers >= 1);
    config.zpool_driver = NULL;
    config.zspage_pages_max = 0;
    struct device *device = device_of(&config);
    assert_true(device_statistic(device, mem_limit) == 0);
    write_block(device, 0, CONTENT_MIXED, 1);
    block_must_be(device, 0, CONTENT_MIXED, 1);
    device_finish(device);
    device_destroy(NULL);
}

static void device_of_any_size_keeps_each_of_its_bytes(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,     2,     63,      511,     512,     513,     4095,
                                   4096,  4097,  4608,    8191,    8192,    8193,    12289,
                                   99999, 65536, 2097151, 2097152, 2097153, 3000001, 4194303};
    for (size_t i = 0; i < array_count(sizes); i++) {
        size_t size = sizes[i];
        struct device *device = device_of_size(size);
        unsigned char *data = calloc(2, size + 1), *expected = data + size + 1;
        assert_true(device_size_bytes(device) == size);
        memset(data, 0xa5, size);
        assert_int_equal(device_read(device, data, size, 0), 0);
        assert_memory_equal(data, expected, size);

        content_fill(expected, size, CONTENT_RANDOM, i);
        assert_int_equal(device_write(device, expected, size, 0), 0);
        assert_int_equal(device_read(device, data, size, 0), 0);
        assert_memory_equal(data, expected, size);

        expected[size - 1] ^= 0xff;
        assert_int_equal(device_write(device, &expected[size - 1], 1, size - 1), 0);
        assert_int_equal(device_read(device, data, size, 0), 0);
        assert_memory_equal(data, expected, size);
        assert_int_equal(device_read(device, data, 2, size - 1), -EINVAL);
        free(data);
        device_finish(device);
    }
}

static void largest_device_costs_what_is_written_and_no_more(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        skip_because("16 TiB of addresses need more shadow than there is");
    uint64_t before = process_resident_bytes();
    struct device *device = device_of_size(DEVICE_SIZE_MAX_BYTES);
    assert_true(device_statistic(device, mem_used_total) == 0);
    if (!TEST_UNDER_ASAN)
        assert_true(process_resident_bytes() - before < 16 * MIB);

    static const block_no blocks[] = {0, 511, 512, UINT32_MAX / 2, UINT32_MAX - 512, UINT32_MAX};
    for (size_t i = 0; i < array_count(blocks); i++)
        write_block(device, blocks[i], CONTENT_MIXED, i + 2);
    for (size_t i = 0; i < array_count(blocks); i++)
        block_must_be(device, blocks[i], CONTENT_MIXED, i + 2);
    block_must_be(device, UINT32_MAX - 1, CONTENT_ZERO, 0);
    unsigned char byte;
    assert_int_equal(device_read(device, &byte, 1, DEVICE_SIZE_MAX_BYTES - 1), 0);
    assert_int_equal(device_read(device, &byte, 1, DEVICE_SIZE_MAX_BYTES), -EINVAL);
    assert_true(device_statistic(device, slot_table) == 5 * PAGE_SIZE_BYTES);
    device_must_be_valid(device);
    assert_true(device_statistic(device, mem_used_total) < MIB);
    if (!TEST_UNDER_ASAN)
        assert_true(process_resident_bytes() - before < 17 * MIB);

    assert_int_equal(device_trim(device, DEVICE_SIZE_MAX_BYTES, 0), 0);
    assert_true(device_statistic(device, orig_data_size) == 0);
    assert_true(device_statistic(device, slot_table) == 0);
    device_finish(device);
}

static void parts_of_blocks_are_written_and_read_at_any_offset(void **state)
{
    (void)state;
    enum { SIZE = 3 * BLOCK };
    static unsigned char expected[SIZE], data[SIZE];
    static const size_t offsets[] = {0,    1,    7,    8,    511,  512,  4088,
                                     4095, 4096, 4097, 8191, 8192, 12287};
    struct device *device = device_of_size(SIZE);
    uint64_t seed = 0;
    for (size_t i = 0; i < array_count(offsets); i++)
        for (size_t j = 0; j < array_count(offsets); j++) {
            size_t offset = offsets[i], count = 1 + offsets[j];
            if (offset + count > SIZE)
                continue;
            content_fill(expected + offset, count, (enum content_kind)(seed % CONTENT_KIND_COUNT),
                         seed);
            seed++;
            assert_int_equal(device_write(device, expected + offset, count, offset), 0);
            assert_int_equal(device_read(device, data, SIZE, 0), 0);
            assert_memory_equal(data, expected, SIZE);
            memset(data, 0xa5, SIZE);
            assert_int_equal(device_read(device, data + offset, count, offset), 0);
            assert_memory_equal(data + offset, expected + offset, count);
            assert_true(offset == 0 || data[offset - 1] == 0xa5);
            assert_true(offset + count == SIZE || data[offset + count] == 0xa5);
        }
    device_finish(device);
}

static void requests_of_no_bytes_do_nothing(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB + 1);
    unsigned char nothing[1] = {0xa5};
    static const uint64_t offsets[] = {0, 1, 4096, MIB, MIB + 1};
    for (size_t i = 0; i < array_count(offsets); i++) {
        assert_int_equal(device_read(device, nothing, 0, offsets[i]), 0);
        assert_int_equal(device_write(device, nothing, 0, offsets[i]), 0);
        assert_int_equal(device_trim(device, 0, offsets[i]), 0);
        assert_int_equal(device_zero(device, 0, offsets[i]), 0);
    }
    struct device_statistics now = device_statistics_now(device);
    assert_true(nothing[0] == 0xa5);
    assert_true(now.reads == 0 && now.writes == 0 && now.notify_free == 0 && now.invalid_io == 0);
    assert_true(now.mem_used_total == 0);
    device_finish(device);
}

static void requests_that_leave_the_device_are_refused_and_counted(void **state)
{
    (void)state;
    const uint64_t size = MIB + 1;
    static unsigned char data[MIB + 2];
    struct device *device = device_of_size(size);
    write_block(device, 255, CONTENT_RANDOM, 1);
    static const struct {
        uint64_t count, offset;
    } bad[] = {
        {1, MIB + 1},
        {MIB + 2, 0},
        {2, MIB},
        {0, MIB + 2},
        {1, UINT64_MAX},
        {MIB, UINT64_MAX - MIB + 1},
        {UINT64_MAX, 1},
        {UINT64_MAX, 0},
        {UINT64_MAX, UINT64_MAX},
        {UINT64_MAX - MIB, MIB},
    };
    uint64_t expected = 0;
    for (size_t i = 0; i < array_count(bad); i++) {
        assert_int_equal(device_read(device, data, bad[i].count, bad[i].offset), -EINVAL);
        assert_int_equal(device_write(device, data, bad[i].count, bad[i].offset), -EINVAL);
        assert_int_equal(device_trim(device, bad[i].count, bad[i].offset), -EINVAL);
        assert_int_equal(device_zero(device, bad[i].count, bad[i].offset), -EINVAL);
        expected += 4;
    }
    assert_true(device_statistic(device, invalid_io) == expected);
    assert_true(device_statistic(device, failed_writes) == 0);
    block_must_be(device, 255, CONTENT_RANDOM, 1);
    device_finish(device);
}

static void blocks_of_one_word_cost_no_pool_memory_if_it_fits_the_slot(void **state)
{
    (void)state;
    static const struct {
        enum content_kind content;
        enum slot_kind slot;
    } kinds[] = {
        {CONTENT_ZERO, SLOT_SAME},
        {CONTENT_SAME_SHORT, SLOT_SAME},
        {CONTENT_SAME_HALF, SLOT_SAME_HALF},
    };
    struct device *device = device_of_size(MIB);
    for (block_no block = 0; block < 256; block++)
        write_block(device, block, kinds[block % 3].content, block);
    for (block_no block = 0; block < 256; block++) {
        block_must_be(device, block, kinds[block % 3].content, block);
        assert_int_equal(slot_kind(device_slot(device, block)), kinds[block % 3].slot);
    }
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.same_pages == 256);
    assert_true(now.orig_data_size == MIB);
    assert_true(now.compr_data_size == 0 && now.pool_used == 0);
    assert_true(now.mem_used_total == PAGE_SIZE_BYTES); /* slots */
    device_finish(device);
}

static void block_of_one_word_that_fits_no_slot_is_an_object_of_that_word(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    write_block(device, 3, CONTENT_SAME_LONG, 1);
    block_must_be(device, 3, CONTENT_SAME_LONG, 1);
    assert_int_equal(slot_kind(device_slot(device, 3)), SLOT_SAME_OBJECT);
    assert_true(device_statistic(device, same_pages) == 1);
    assert_true(device_statistic(device, compr_data_size) == 8);

    unsigned char expected[BLOCK], part[100];
    content_fill(expected, BLOCK, CONTENT_SAME_LONG, 1);
    assert_int_equal(device_read(device, part, sizeof part, 3 * BLOCK + 1234), 0);
    assert_memory_equal(part, expected + 1234, sizeof part);
    device_finish(device);
}

static void block_changes_between_all_kinds_and_leaves_nothing_behind(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    uint64_t seed = 0;
    for (unsigned from = 0; from < CONTENT_KIND_COUNT; from++)
        for (unsigned to = 0; to < CONTENT_KIND_COUNT; to++) {
            write_block(device, 7, (enum content_kind)from, ++seed);
            write_block(device, 7, (enum content_kind)to, ++seed);
            block_must_be(device, 7, (enum content_kind)to, seed);
            device_must_be_valid(device);
            /* And by a part: one byte, which no kind but mixed and random survives. */
            unsigned char expected[BLOCK], data[BLOCK];
            content_fill(expected, BLOCK, (enum content_kind)to, seed);
            expected[99] ^= 1;
            assert_int_equal(device_write(device, &expected[99], 1, 7 * BLOCK + 99), 0);
            assert_int_equal(device_read(device, data, BLOCK, 7 * BLOCK), 0);
            assert_memory_equal(data, expected, BLOCK);
            expected[99] ^= 1;
            assert_int_equal(device_write(device, &expected[99], 1, 7 * BLOCK + 99), 0);
            block_must_be(device, 7, (enum content_kind)to, seed);
        }
    assert_int_equal(device_trim(device, MIB, 0), 0);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.orig_data_size == 0 && now.compr_data_size == 0);
    assert_true(now.same_pages == 0 && now.huge_pages == 0);
    device_finish(device);
}

static void blocks_that_do_not_compress_are_kept_raw_on_a_page_each(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    for (block_no block = 0; block < 100; block++)
        write_block(device, block, CONTENT_RANDOM, block);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.huge_pages == 100 && now.huge_pages_since == 100);
    assert_true(now.compr_data_size == 100 * BLOCK);
    assert_true(now.pool_used == 100 * PAGE_SIZE_BYTES);
    assert_true(now.descriptors == 0); /* a raw page needs none */

    write_block(device, 0, CONTENT_RANDOM, 1000);
    now = device_statistics_now(device);
    assert_true(now.writes_in_place == 1 && now.huge_pages == 100 && now.huge_pages_since == 101);
    write_block(device, 1, CONTENT_SMALL, 1);
    assert_true(device_statistic(device, huge_pages) == 99);
    for (block_no block = 2; block < 100; block++)
        block_must_be(device, block, CONTENT_RANDOM, block);
    block_must_be(device, 0, CONTENT_RANDOM, 1000);
    block_must_be(device, 1, CONTENT_SMALL, 1);
    device_finish(device);
}

static void block_of_the_same_length_is_rewritten_in_place(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    unsigned char data[BLOCK], back[BLOCK];
    for (uint64_t seed = 0; seed < 20; seed++) {
        content_of_length(data, 1000, seed);
        assert_int_equal(device_write(device, data, BLOCK, 0), 0);
        assert_int_equal(device_read(device, back, BLOCK, 0), 0);
        assert_memory_equal(data, back, BLOCK);
    }
    assert_true(device_statistic(device, writes_in_place) == 19);
    device_finish(device);
}

static void codec_must_restore_all_contents(const struct codec *codec, int level)
{
    struct device_config config = config_of_size(256 * KIB);
    config.algorithm = (struct algorithm){.codec = codec, .level = level};
    struct device *device = device_of(&config);
    for (uint64_t seed = 0; seed < 64; seed++)
        write_block(device, (block_no)seed, (enum content_kind)(seed % CONTENT_KIND_COUNT), seed);
    for (uint64_t seed = 0; seed < 64; seed++)
        block_must_be(device, (block_no)seed, (enum content_kind)(seed % CONTENT_KIND_COUNT), seed);
    device_finish(device);
}

static void every_codec_restores_all_contents_at_the_edges_of_its_levels(void **state)
{
    (void)state;
    const struct codec *codec;
    for (size_t i = 0; (codec = codec_at(i)) != NULL; i++) {
        const int levels[] = {
            codec->level_min,     codec->level_min + 1, -1, 0, 1, 2, codec->level_default,
            codec->level_max - 1, codec->level_max};
        for (size_t j = 0; j < array_count(levels); j++)
            if (codec_has_level(codec, levels[j]))
                codec_must_restore_all_contents(codec, levels[j]);
    }
}

static void every_driver_keeps_all_contents(void **state)
{
    (void)state;
    const char *driver;
    for (size_t i = 0; (driver = device_zpool_driver_name(i)) != NULL; i++) {
        struct device_config config = config_of_size(4 * MIB);
        config.zpool_driver = driver;
        struct device *device = device_of(&config);
        for (uint64_t seed = 0; seed < 1024; seed++)
            write_block(device, (block_no)seed, (enum content_kind)(seed % CONTENT_KIND_COUNT),
                        seed);
        for (uint64_t seed = 0; seed < 1024; seed++)
            block_must_be(device, (block_no)seed, (enum content_kind)(seed % CONTENT_KIND_COUNT),
                          seed);
        device_finish(device);
    }
}

/* Overwrites what is stored of a block with bytes that no codec can have written. */
static void corrupt(struct device *device, block_no block, unsigned char *kept)
{
    struct slot slot = device_slot(device, block);
    unsigned char *object = zpool_address(device->zpool, slot_object(slot));
    assert_int_equal(slot_kind(slot), SLOT_OBJECT);
    memset(object, 0xff, slot_length(slot));
    memcpy(kept, object, slot_length(slot));
}

static void object_must_be(struct device *device, block_no block, const unsigned char *kept)
{
    struct slot slot = device_slot(device, block);
    assert_memory_equal(zpool_address(device->zpool, slot_object(slot)), kept, slot_length(slot));
}

static void broken_object_fails_its_own_block_only(const struct codec *codec)
{
    static unsigned char data[3 * BLOCK], kept[BLOCK];
    struct device_config config = config_of_size(MIB);
    config.algorithm = (struct algorithm){.codec = codec, .level = codec->level_default};
    struct device *device = device_of(&config);
    for (block_no block = 0; block < 10; block++) {
        content_of_length(data, 1000, block);
        assert_int_equal(device_write(device, data, BLOCK, block * (uint64_t)BLOCK), 0);
    }
    corrupt(device, 5, kept);
    assert_int_equal(device_read(device, data, BLOCK, 5 * BLOCK), -EIO);
    assert_int_equal(device_read(device, data, 1, 5 * BLOCK + 77), -EIO);
    assert_int_equal(device_read(device, data, 3 * BLOCK, 4 * BLOCK), -EIO);
    assert_int_equal(device_write(device, data, 1, 5 * BLOCK + 77), -EIO);
    assert_int_equal(device_zero(device, 100, 5 * BLOCK + 1), -EIO);
    object_must_be(device, 5, kept);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.failed_reads == 3 && now.failed_writes == 2);
    device_must_be_valid(device);

    for (block_no block = 0; block < 10; block++) {
        unsigned char expected[BLOCK];
        content_of_length(expected, 1000, block);
        if (block == 5)
            continue;
        assert_int_equal(device_read(device, data, BLOCK, block * (uint64_t)BLOCK), 0);
        assert_memory_equal(data, expected, BLOCK);
    }
    /* Its slot is not stuck: writing it whole heals it, and so does trimming. */
    write_block(device, 5, CONTENT_MIXED, 5);
    block_must_be(device, 5, CONTENT_MIXED, 5);
    corrupt(device, 6, kept);
    assert_int_equal(device_trim(device, BLOCK, 6 * BLOCK), 0);
    block_must_be(device, 6, CONTENT_ZERO, 0);
    device_finish(device);
}

static void broken_object_returns_eio_for_its_block_and_no_other(void **state)
{
    (void)state;
    const struct codec *codec;
    for (size_t i = 0; (codec = codec_at(i)) != NULL; i++)
        broken_object_fails_its_own_block_only(codec);
}

static void write_that_fails_half_way_keeps_what_is_behind(void **state)
{
    (void)state;
    static unsigned char data[3 * BLOCK], kept[BLOCK];
    struct device *device = device_of_size(MIB);
    for (block_no block = 0; block < 3; block++) {
        content_of_length(data, 1000, block);
        assert_int_equal(device_write(device, data, BLOCK, block * (uint64_t)BLOCK), 0);
    }
    corrupt(device, 1, kept);
    /* From the middle of block 0 to the middle of the broken block 1. */
    memset(data, 7, sizeof data);
    assert_int_equal(device_write(device, data, BLOCK, BLOCK / 2), -EIO);
    unsigned char back[BLOCK], expected[BLOCK];
    content_of_length(expected, 1000, 0);
    memset(expected + BLOCK / 2, 7, BLOCK / 2);
    assert_int_equal(device_read(device, back, BLOCK, 0), 0);
    assert_memory_equal(back, expected, BLOCK);
    object_must_be(device, 1, kept);
    content_of_length(expected, 1000, 2);
    assert_int_equal(device_read(device, back, BLOCK, 2 * BLOCK), 0);
    assert_memory_equal(back, expected, BLOCK);
    device_finish(device);
}

static void device_starts_and_stops_more_than_once(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    device_stop(device);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(device_start(device), 0);
        assert_int_equal(device_start(device), 0);
        write_block(device, i, CONTENT_MIXED, i);
        device_stop(device);
        device_stop(device);
        block_must_be(device, i, CONTENT_MIXED, i);
    }
    assert_int_equal(device_start(device), 0);
    device_destroy(device); /* which stops it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configurations_out_of_range_are_refused),
        cmocka_unit_test(default_configuration_is_lz4_on_zsmalloc_without_a_limit),
        cmocka_unit_test(device_of_any_size_keeps_each_of_its_bytes),
        cmocka_unit_test(largest_device_costs_what_is_written_and_no_more),
        cmocka_unit_test(parts_of_blocks_are_written_and_read_at_any_offset),
        cmocka_unit_test(requests_of_no_bytes_do_nothing),
        cmocka_unit_test(requests_that_leave_the_device_are_refused_and_counted),
        cmocka_unit_test(blocks_of_one_word_cost_no_pool_memory_if_it_fits_the_slot),
        cmocka_unit_test(block_of_one_word_that_fits_no_slot_is_an_object_of_that_word),
        cmocka_unit_test(block_changes_between_all_kinds_and_leaves_nothing_behind),
        cmocka_unit_test(blocks_that_do_not_compress_are_kept_raw_on_a_page_each),
        cmocka_unit_test(block_of_the_same_length_is_rewritten_in_place),
        cmocka_unit_test(every_codec_restores_all_contents_at_the_edges_of_its_levels),
        cmocka_unit_test(every_driver_keeps_all_contents),
        cmocka_unit_test(broken_object_returns_eio_for_its_block_and_no_other),
        cmocka_unit_test(write_that_fails_half_way_keeps_what_is_behind),
        cmocka_unit_test(device_starts_and_stops_more_than_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
