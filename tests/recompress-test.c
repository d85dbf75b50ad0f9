/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recompress-test.c: blocks are compressed again on request, the longest first, where that saves
 * room; and for writers at mem_limit, before they are refused.
 */
#include "tests/recompress-fixture.h"

#include <errno.h>

#include "common/memory.h"

/* ---- the order ---- */

static void longest_objects_come_first(void **state)
{
    (void)state;
    struct device *device = new_device();
    for (block_no block = 0; block < 800; block++) {
        unsigned group = block * 7 % 8; /* 100 blocks of each length, all over the device */
        if (group == 7)
            write_kind(device, block, CONTENT_RANDOM);
        else
            write_letters(device, block, LENGTH_OF_GROUP(group));
    }
    /* Raw ones from which zstd gains, besides: they are the longest. */
    for (block_no block = 800; block < 900; block++)
        write_letters(device, block, BLOCK);
    struct recompress_result result =
        recompress(device, &(struct recompress_request){.blocks_max = 200});
    assert_true(result.tried == 200 && result.gained == 100);
    for (block_no block = 800; block < 900; block++)
        assert_true(is_recompressed(device, block));
    for (unsigned group = 7; group-- > 0;) {
        result = recompress(device, &(struct recompress_request){.blocks_max = 100});
        assert_true(result.tried == 100 && result.gained == 100);
        for (block_no block = 0; block < 800; block++)
            assert_true(is_recompressed(device, block) ==
                        (block * 7 % 8 >= group && block * 7 % 8 != 7));
    }
    assert_true(recompress_all(device).tried == 0);
    finish(device);
}

/* ---- what is taken ---- */

static size_t length_with(const char *codec_name, const void *block)
{
    static unsigned char target[2 * BLOCK];
    const struct codec *codec = codec_find(codec_name);
    struct codec_parameters parameters = {.level = codec->level_default};
    struct codec_context *context;
    must(codec->context_create(&parameters, &context) == 0);
    int length = codec->compress(context, block, target, sizeof target);
    codec->context_destroy(context);
    must(length > 0);
    return (size_t)length;
}

/* Noise of a length from which others than lz4 gain a few bytes, but no room. */
static void write_poor(struct device *device, block_no block)
{
    unsigned char data[BLOCK];
    size_t length = 2500, lz4, lz4hc, zstd;
    do {
        must(length < 3800);
        content_of_length(data, length++, block);
        lz4 = length_with("lz4", data);
        lz4hc = length_with("lz4hc", data);
        zstd = length_with("zstd", data);
    } while (lz4hc >= lz4 || zstd >= lz4 || !zpool_same_room(device->zpool, lz4, zstd) ||
             !zpool_same_room(device->zpool, lz4, lz4hc));
    must(write_block(device, block, data) == 0);
    must(slot_length(device_slot(device, block)) == lz4);
}

static void result_that_needs_as_much_room_is_not_taken_and_not_tried_again(void **state)
{
    (void)state;
    struct device *device = new_device();
    write_poor(device, 0);
    write_poor(device, 1);
    write_kind(device, 2, CONTENT_RANDOM);
    struct slot before[3];
    for (unsigned i = 0; i < 3; i++)
        before[i] = device_slot(device, i);
    struct recompress_result result = recompress_all(device);
    assert_true(result.tried == 3 && result.gained == 0 && result.saved_bytes == 0);
    assert_true(device_statistic(device, recompress_poor) == 3);
    for (unsigned i = 0; i < 3; i++) {
        struct slot now = device_slot(device, i);
        assert_true(lasting(now) == (lasting(before[i]) | SLOT_INCOMPRESSIBLE_BIT));
        touch(device, i); /* is no reason to try it again */
    }
    assert_true(recompress_all(device).tried == 0);

    /* New content is, even the same. */
    for (block_no block = 0; block < 3; block++)
        access_block(device, block, WRITE);
    assert_true(recompress_all(device).tried == 3);
    access_block(device, 1, WRITE_PART);
    access_block(device, 2, ZERO_PART);
    assert_true(recompress_all(device).tried == 2);
    write_letters(device, 0, 2000);
    assert_true(recompress_all(device).gained == 1);
    finish(device);
}

static void blocks_of_one_kind_become_the_better_kind(void **state)
{
    (void)state;
    struct device *device = new_device();
    write_letters(device, 0, 3000);
    write_letters(device, 1, BLOCK);
    assert_int_equal(slot_kind(device_slot(device, 1)), SLOT_RAW);
    assert_true(device_statistic(device, huge_pages) == 1);
    struct recompress_result result = recompress_all(device);
    assert_true(result.tried == 2 && result.gained == 2);
    for (block_no block = 0; block < 2; block++) {
        struct slot slot = device_slot(device, block);
        assert_int_equal(slot_kind(slot), SLOT_OBJECT);
        assert_int_equal(slot_length(slot), length_with("zstd", content[block]));
    }
    assert_true(device_statistic(device, huge_pages) == 0);
    assert_true(recompress_all(device).tried == 0); /* there is nothing better for them */
    finish(device);
}

/* Words of a small vocabulary, from which lz4hc gains some and zstd more. */
static void write_words(struct device *device, block_no block)
{
    unsigned char data[BLOCK], words[32][11];
    struct rng rng = {block + 1};
    for (unsigned i = 0; i < sizeof words; i++)
        words[i / 11][i % 11] = (unsigned char)rng_next(&rng);
    for (size_t at = 0; at < BLOCK;) {
        size_t count = 4 + rng_below(&rng, 8);
        if (count > BLOCK - at)
            count = BLOCK - at;
        memcpy(data + at, words[rng_below(&rng, 32)], count);
        at += count;
    }
    must(write_block(device, block, data) == 0);
}

static unsigned role_of(struct device *device, block_no block)
{
    struct slot slot = device_slot(device, block);
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        if (slot_kind(slot) == SLOT_OBJECT &&
            slot_algorithm(slot) == algorithms_entry_of_role(&device->algorithms, role))
            return role;
    return ROLE_COUNT;
}

static void priorities_are_tried_in_turn_until_one_gains(void **state)
{
    (void)state;
    struct device *device = new_device();
    set_role(device, 1, "lz4hc");
    set_role(device, 3, "zstd"); /* and none at 2 */
    write_words(device, 0);
    write_letters(device, 1, 3000);
    write_poor(device, 2);
    struct recompress_result result = recompress_all(device);
    assert_true(result.tried == 3 && result.gained == 2);
    assert_int_equal(role_of(device, 0), 1);
    assert_int_equal(role_of(device, 1), 3);
    assert_int_equal(role_of(device, 2), 0);
    assert_true(slot_is_incompressible(device_slot(device, 2)));
    result = recompress_all(device); /* the one that there is more for */
    assert_true(result.tried == 1 && result.gained == 1);
    assert_int_equal(role_of(device, 0), 3);
    assert_true(recompress_all(device).tried == 0);
    finish(device);
}

/* ---- requests ---- */

static void request_for_a_priority_tries_that_one_alone(void **state)
{
    (void)state;
    struct device *device = new_device();
    set_role(device, 1, "lz4hc");
    set_role(device, 2, "zstd");
    write_words(device, 0);
    write_letters(device, 1, 3000);
    const struct recompress_request first = {.priority = 1}, second = {.priority = 2};
    struct recompress_result result = recompress(device, &first);
    assert_true(result.tried == 2 && result.gained == 1);
    assert_int_equal(role_of(device, 0), 1);
    assert_int_equal(role_of(device, 1), 0);
    /* What a better one hasn't been tried on is not incompressible. */
    assert_false(slot_is_incompressible(device_slot(device, 1)));
    assert_true(recompress(device, &first).tried == 1);
    result = recompress(device, &second);
    assert_true(result.tried == 2 && result.gained == 2);
    assert_true(recompress(device, &first).tried == 0); /* never back to a lower one */
    finish(device);
}

static void request_names_type_threshold_and_number(void **state)
{
    (void)state;
    struct device *device = new_device();
    for (block_no block = 0; block < 40; block++)
        write_letters(device, block, block % 2 == 0 ? BLOCK : 1000 + block / 4 * 100);
    assert_int_equal(device_mark_idle(device, 0), 0);
    for (block_no block = 0; block < 40; block++)
        if (block % 4 >= 2)
            touch(device, block);

    const struct recompress_request huge_idle = {.only_huge = true, .only_idle = true};
    struct recompress_result result = recompress(device, &huge_idle);
    assert_true(result.tried == 10 && result.gained == 10);
    for (block_no block = 0; block < 40; block++)
        assert_true(is_recompressed(device, block) == (block % 4 == 0));

    const struct recompress_request idle = {.only_idle = true, .length_min = 1500};
    size_t expected = 0;
    for (block_no block = 1; block < 40; block += 4)
        expected += slot_length(device_slot(device, block)) >= 1500;
    assert_true(expected > 0 && expected < 10);
    assert_true(recompress(device, &idle).gained == expected);
    for (block_no block = 1; block < 40; block += 4)
        assert_true(is_recompressed(device, block) == !slot_is_idle(device_slot(device, block)));

    const struct recompress_request few = {.only_huge = true, .blocks_max = 3};
    assert_true(recompress(device, &few).tried == 3);
    const struct recompress_request huge = {.only_huge = true};
    assert_true(recompress(device, &huge).tried == 7);
    assert_true(device_statistic(device, huge_pages) == 0);
    const struct recompress_request whole = {.length_min = BLOCK};
    assert_true(recompress(device, &whole).tried == 0);
    assert_true(recompress_all(device).tried == 20 - expected);
    finish(device);
}

static void threshold_is_the_least_length_that_is_tried(void **state)
{
    (void)state;
    struct device *device = new_device();
    write_letters(device, 0, 2000);
    uint32_t length = (uint32_t)slot_length(device_slot(device, 0));
    assert_true(recompress(device, &(struct recompress_request){.length_min = length + 1}).tried ==
                0);
    assert_true(recompress(device, &(struct recompress_request){.length_min = length}).tried == 1);
    finish(device);
}

static void request_that_names_what_is_not_there_is_refused(void **state)
{
    static const struct recompress_request wrong[] = {
        {.priority = 2}, {.priority = 4}, {.length_min = BLOCK + 1}, {.priority = UINT32_MAX}};
    struct recompress_result result = {1, 1, 1};
    (void)state;
    struct device *device = new_device();
    write_letters(device, 0, 2000);
    for (size_t i = 0; i < array_count(wrong); i++) {
        assert_int_equal(device_recompress(device, &wrong[i], &result), -EINVAL);
        assert_true(result.tried == 0 && result.gained == 0 && result.saved_bytes == 0);
    }
    set_role(device, 1, NULL);
    assert_int_equal(device_recompress(device, &(struct recompress_request){0}, &result), -EINVAL);
    assert_true(device_statistic(device, recompress_tried) == 0);
    finish(device);
}

/* ---- want of memory ---- */

static void each_request_for_memory_can_fail_and_leaves_the_block_as_it_was(void **state)
{
    (void)state;
    for (unsigned sticky = 0; sticky < 2; sticky++) {
        bool done = false;
        for (long failing = 0; !done; failing++) {
            struct recompress_result result;
            struct device *device = new_device();
            write_letters(device, 0, 3000);
            write_letters(device, 1, BLOCK);
            struct slot before[2] = {device_slot(device, 0), device_slot(device, 1)};
            memory_fail_after(failing, sticky);
            int error = device_recompress(device, &(struct recompress_request){0}, &result);
            done = memory_fail_after(-1, false) <= failing;
            assert_true(error == 0 || (error == -ENOMEM && failing == 0));
            assert_true(result.gained == 2 || !done);
            for (block_no block = 0; block < 2; block++)
                assert_true(is_recompressed(device, block) ||
                            lasting(device_slot(device, block)) == lasting(before[block]));
            assert_true(device_statistic(device, recompress_refused) ==
                        result.tried - result.gained);
            /* And nothing of it stays: with memory they are all tried. */
            assert_true(recompress_all(device).gained == 2 - result.gained);
            finish(device);
        }
    }
}

/* ---- near the limit ---- */

/* Writes until it is refused, from which zstd gains if it is letters. Returns the next block. */
static block_no fill(struct device *device, block_no first, size_t letters)
{
    unsigned char data[BLOCK];
    block_no block = first;
    int error = 0;
    while (block < BLOCK_COUNT && error == 0) {
        if (letters > 0)
            content_of_letters(data, letters, block);
        else
            content_fill(data, BLOCK, CONTENT_RANDOM, block);
        error = write_block(device, block, data);
        block += error == 0;
    }
    must(error == -ENOSPC);
    return block;
}

static void writer_at_the_limit_compacts_then_recompresses_then_is_refused(void **state)
{
    (void)state;
    static const size_t lengths[] = {BLOCK, 3600, 2500};
    for (size_t i = 0; i < array_count(lengths); i++) {
        struct device *device = device_with_limit(MIB);
        set_role(device, 1, NULL);
        block_no without = fill(device, 0, lengths[i]);
        struct device_statistics now = device_statistics_now(device);
        assert_true(now.limit_reclaims > 0 && now.limit_refusals == 1);
        assert_true(now.limit_recompressions == 0 && now.recompress_tried == 0);
        finish(device);

        device = device_with_limit(MIB);
        block_no with = fill(device, 0, lengths[i]);
        now = device_statistics_now(device);
        print_message("# %lu: %u blocks, recompressed %u\n", (unsigned long)lengths[i], without,
                      with);
        assert_true(now.limit_reclaims >= now.limit_refusals && now.limit_refusals == 1);
        assert_true(now.limit_recompressions > 0 && now.recompressed > 0);
        assert_true(with > without + without / 4);
        assert_true(now.failed_writes == 1);
        finish(device);
    }
}

static void writer_at_the_limit_that_finds_memory_by_compacting_recompresses_nothing(void **state)
{
    (void)state;
    struct device *device = device_with_limit(512 * KIB);
    block_no count = 0;
    while (device_statistic(device, pool_used) < 300 * KIB)
        write_letters(device, count++, 700);
    for (block_no block = 0; block < count; block++)
        if (block % 4 != 0)
            trim(device, block);
    while (device_statistic(device, limit_reclaims) == 0)
        write_kind(device, count++, CONTENT_RANDOM);
    assert_true(device_statistic(device, recompress_tried) == 0);
    assert_true(device_statistic(device, limit_recompressions) == 0);
    assert_true(device_statistic(device, limit_refusals) == 0);
    finish(device);
}

static void writer_at_the_limit_with_nothing_to_gain_is_refused_in_bounded_time(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB);
    block_no count = fill(device, 0, 0);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.limit_refusals == 1 && now.limit_recompressions == 0);
    assert_true(now.recompress_tried > 0 && now.recompress_tried <= 64);
    /* Once all are known to gain nothing, none is tried. */
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(write_block(device, count, content[0]), -ENOSPC);
    uint64_t tried = device_statistic(device, recompress_tried);
    assert_true(tried == count);
    assert_int_equal(write_block(device, count, content[0]), -ENOSPC);
    assert_true(device_statistic(device, recompress_tried) == tried);
    assert_true(device_statistic(device, limit_refusals) == 12);
    finish(device);
}

static void limit_keeps_a_little_for_recompression_while_that_is_configured(void **state)
{
    (void)state;
    struct device *device = device_with_limit(MIB);
    fill(device, 0, 0);
    assert_true(device_statistic(device, mem_used_total) == MIB - 16 * PAGE_SIZE_BYTES);
    device_set_mem_limit(device, 2 * MIB);
    block_no next = fill(device, 300, 0);
    assert_true(device_statistic(device, mem_used_total) == 2 * MIB - 16 * PAGE_SIZE_BYTES);
    set_role(device, 1, NULL);
    fill(device, next, 0);
    assert_true(device_statistic(device, mem_used_total) == 2 * MIB);
    finish(device);
}

int main(void)
{
    watchdog_start("recompress-test", 300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_objects_come_first),
        cmocka_unit_test(result_that_needs_as_much_room_is_not_taken_and_not_tried_again),
        cmocka_unit_test(blocks_of_one_kind_become_the_better_kind),
        cmocka_unit_test(priorities_are_tried_in_turn_until_one_gains),
        cmocka_unit_test(request_for_a_priority_tries_that_one_alone),
        cmocka_unit_test(request_names_type_threshold_and_number),
        cmocka_unit_test(threshold_is_the_least_length_that_is_tried),
        cmocka_unit_test(request_that_names_what_is_not_there_is_refused),
        cmocka_unit_test(each_request_for_memory_can_fail_and_leaves_the_block_as_it_was),
        cmocka_unit_test(writer_at_the_limit_compacts_then_recompresses_then_is_refused),
        cmocka_unit_test(writer_at_the_limit_that_finds_memory_by_compacting_recompresses_nothing),
        cmocka_unit_test(writer_at_the_limit_with_nothing_to_gain_is_refused_in_bounded_time),
        cmocka_unit_test(limit_keeps_a_little_for_recompression_while_that_is_configured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
