/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recompress-policy-test.c: what rests gets older, and is recompressed by itself: within a share of
 * a CPU, beside clients that do little, the longest first, and in a hurry when mem_limit is near.
 */
#include "tests/recompress-fixture.h"

#include <errno.h>

#include "common/memory.h"
#include "device/train.h"
#include "tests/device-steps.h"

/* ---- age ---- */

static void blocks_get_older_with_each_pass_of_the_hand_up_to_three(void **state)
{
    (void)state;
    struct device *device = new_device();
    set(device, "recompress_busy", 0); /* and so nothing is recompressed */
    write_letters(device, 0, 2000);
    write_kind(device, 1, CONTENT_RANDOM);
    for (unsigned pass = 0; pass <= 5; pass++) {
        touch(device, 600); /* an empty one */
        assert_int_equal(age_of(device, 0), pass < 3 ? pass : 3);
        assert_int_equal(age_of(device, 1), pass < 3 ? pass : 3);
        hand_pass(device);
    }
    finish(device);
}

static void what_is_no_compressed_content_never_ages_and_is_never_idle(void **state)
{
    static const enum content_kind kinds[] = {CONTENT_SAME_SHORT, CONTENT_SAME_HALF,
                                              CONTENT_SAME_LONG, CONTENT_ZERO};
    struct slot before[array_count(kinds) + 1];
    (void)state;
    struct device *device = new_device();
    for (unsigned i = 0; i < array_count(kinds); i++)
        write_kind(device, i, kinds[i]);
    for (unsigned i = 0; i < array_count(before); i++)
        before[i] = device_slot(device, i);
    for (unsigned pass = 0; pass < 3; pass++)
        hand_pass(device);
    walk_to_the_end(device);
    assert_int_equal(device_mark_idle(device, 0), 0);
    assert_true(recompress_all(device).tried == 0);
    for (unsigned i = 0; i < array_count(before); i++)
        assert_true(device_slot(device, i).word == before[i].word);
    finish(device);
}

static void every_access_makes_a_block_young_and_no_longer_idle(void **state)
{
    (void)state;
    struct device *device = new_device();
    set(device, "recompress_busy", 0);
    for (block_no block = 0; block < 2 * ACCESS_COUNT; block++)
        if (block % 2 == 0)
            write_letters(device, block, 2000);
        else
            write_kind(device, block, CONTENT_RANDOM);
    for (block_no first = 0; first < 2; first++)
        for (unsigned access = 0; access < ACCESS_COUNT; access++) {
            block_no block = first + 2 * access;
            for (unsigned pass = 0; pass < 3; pass++) {
                touch(device, 600);
                hand_pass(device);
            }
            assert_int_equal(device_mark_idle(device, 0), 0);
            struct slot neighbour = device_slot(device, block ^ 1);
            assert_int_equal(age_of(device, block), 3);
            assert_true(slot_is_idle(device_slot(device, block)));
            access_block(device, block, (enum access)access);
            assert_int_equal(age_of(device, block), 0);
            assert_false(slot_is_idle(device_slot(device, block)));
            assert_true(device_slot(device, block ^ 1).word == neighbour.word);
        }
    trim(device, 0);
    assert_true(device_slot(device, 0).word == 0);
    finish(device);
}

static int ignore_extent(void *context, uint64_t offset, uint64_t count, enum device_extent extent)
{
    (void)context;
    (void)offset;
    (void)count;
    (void)extent;
    return 0;
}

static void what_is_no_access_leaves_age_and_idle_as_they_are(void **state)
{
    (void)state;
    struct device *device = new_device();
    set(device, "recompress_busy", 0);
    for (block_no block = 0; block < 400; block++)
        write_letters(device, block, 1500);
    for (block_no block = 0; block < 400; block++)
        if (block % 4 != 0)
            trim(device, block);
    hand_pass(device);
    hand_pass(device);
    assert_int_equal(device_mark_idle(device, 0), 0);

    assert_int_equal(device_extents(device, 400 * BLOCK, 0, false, ignore_extent, NULL), 0);
    assert_true(device_compact(device) > 0);
    (void)device_give_back(device);
    struct train_request request = {
        .codec = codec_find("lz4"), .level = 1, .dictionary_bytes = 1024, .samples_max = 80};
    struct train_result result;
    int error = device_train(device, &request, &result);
    assert_true(error == 0 || error == -ENODATA);
    memory_free(result.dictionary);
    for (block_no block = 0; block < 400; block += 4) {
        assert_int_equal(age_of(device, block), 2);
        assert_true(slot_is_idle(device_slot(device, block)));
    }
    finish(device);
}

static void hand_waits_for_half_the_age_between_two_passes(void **state)
{
    (void)state;
    struct device *device = new_device();
    set(device, "recompress_age", 100000);
    write_letters(device, 0, 2000);
    turn_after(device, 1);
    assert_int_equal(age_of(device, 0), 1); /* the first is due at once */
    turn_after(device, 1);
    assert_int_equal(age_of(device, 0), 1);
    uint64_t due = device->recompress.hand_due_us - clock_now_us();
    assert_true(due <= UINT64_C(50000) * 1000000 && due > UINT64_C(40000) * 1000000);
    set(device, "recompress_age", 50000); /* an age that becomes less is not waited out */
    turn_after(device, 1);
    assert_int_equal(age_of(device, 0), 2);
    finish(device);
}

static void idle_of_some_age_is_what_the_hand_has_found_untouched(void **state)
{
    (void)state;
    struct device *device = new_device();
    set(device, "recompress_busy", 0);
    set(device, "recompress_age", 100);
    for (block_no block = 0; block < 4; block++)
        write_letters(device, block, 2000);
    for (block_no pass = 1; pass <= 3; pass++) {
        hand_pass(device);
        access_block(device, pass, WRITE);
    }
    for (block_no block = 0; block < 4; block++)
        assert_int_equal(age_of(device, block), 3 - block);
    assert_int_equal(device_mark_idle(device, 101), -ERANGE);
    assert_int_equal(device_mark_idle(device, 100), 0);
    for (block_no block = 0; block < 4; block++)
        assert_true(slot_is_idle(device_slot(device, block)) == (block == 0));
    assert_int_equal(device_mark_idle(device, 50), 0);
    for (block_no block = 0; block < 4; block++)
        assert_true(slot_is_idle(device_slot(device, block)) == (block <= 1));
    assert_int_equal(device_mark_idle(device, 0), 0);
    for (block_no block = 0; block < 4; block++)
        assert_true(slot_is_idle(device_slot(device, block)));
    finish(device);
}

/* ---- the policy ---- */

static void policy_recompresses_what_has_rested_and_nothing_else(void **state)
{
    (void)state;
    struct device *device = new_device();
    for (block_no block = 0; block < 200; block++)
        write_letters(device, block, 2000);
    hand_pass(device);
    hand_pass(device);
    walk_to_the_end(device);
    assert_true(device_statistic(device, recompress_tried) == 0); /* too young, all of them */
    for (block_no block = 0; block < 200; block += 2)
        touch(device, block);
    hand_pass(device);
    walk_to_the_end(device);
    for (block_no block = 0; block < 200; block++)
        assert_true(is_recompressed(device, block) == (block % 2 == 1));
    assert_true(device_statistic(device, recompressed) == 100);
    assert_true(device_statistic(device, recompress_saved) > 100 * 500);
    finish(device);
}

static void age_of_zero_ends_the_policy_and_its_walk(void **state)
{
    (void)state;
    struct device *device = new_device();
    for (block_no block = 0; block < 20; block++)
        write_letters(device, block, 2000);
    for (unsigned pass = 0; pass < 2; pass++)
        hand_pass(device);
    walk_to_the_end(device);
    set(device, "recompress_busy", 0); /* the walk that begins now stands still */
    touch(device, 19);
    hand_pass(device);
    assert_true(device->recompress.is_walking);
    set(device, "recompress_busy", 1000000);
    set(device, "recompress_age", 0);
    device->recompress.hand_due_us = 0;
    turn_after(device, 1000000);
    assert_false(device->recompress.is_walking);
    assert_false(device->recompress.hand_is_moving);
    assert_true(device_statistic(device, recompress_tried) == 0);
    assert_int_equal(age_of(device, 19), 1);
    finish(device);
}

static void policy_without_an_algorithm_does_nothing(void **state)
{
    (void)state;
    struct device *device = new_device();
    set_role(device, 1, NULL);
    write_letters(device, 0, 2000);
    for (unsigned pass = 0; pass < 4; pass++) {
        hand_pass(device);
        turn_after(device, 1000000);
    }
    recompress_hurry(device);
    turn_after(device, 1000000);
    assert_false(device->recompress.is_walking);
    assert_int_equal(age_of(device, 0), 3); /* for `idle` */
    assert_true(device_statistic(device, recompress_tried) == 0);
    finish(device);
}

/* Blocks that are all due, a walk that begins, and no CPU time to spend on it yet. */
static struct device *device_with_work(void)
{
    struct device *device = new_device();
    for (block_no block = 0; block < 100; block++)
        write_letters(device, block, 2000);
    device->recompress.credit_us = INT64_MIN / 2;
    for (unsigned pass = 0; pass < 3; pass++)
        hand_pass(device);
    must(device->recompress.is_walking);
    must(device_statistic(device, recompress_tried) == 0);
    return device;
}

#define SECOND_US INT64_C(1000000)

static void policy_takes_its_share_of_a_cpu_and_no_more(void **state)
{
    (void)state;
    struct device *device = device_with_work();
    struct recompress *recompress = &device->recompress;
    set(device, "recompress_cpu", 20);
    recompress->credit_us = -100 * SECOND_US; /* it owes as much */
    turn_after(device, 400 * SECOND_US);
    assert_true(device_statistic(device, recompress_tried) == 0);
    assert_true(recompress->credit_us >= -20 * SECOND_US &&
                recompress->credit_us < -10 * SECOND_US);
    turn_after(device, 200 * SECOND_US);
    assert_true(device_statistic(device, recompress_tried) > 0);
    finish(device);
}

static void policy_pays_for_what_it_has_used_and_saves_little_up(void **state)
{
    (void)state;
    struct device *device = device_with_work();
    struct recompress *recompress = &device->recompress;
    recompress->credit_us = 0;
    turn_after(device, 10000 * SECOND_US); /* as after a long pause */
    uint64_t took = device_statistic(device, recompress_time);
    assert_true(took > 0 && device_statistic(device, recompress_tried) > 0);
    assert_true(recompress->credit_us + (int64_t)took <= 50000);
    assert_true(recompress->credit_us + (int64_t)took > 0);
    finish(device);
}

/* What a turn takes too long is no more than some blocks: here it has time for one. */
static void turn_ends_when_its_time_is_over(void **state)
{
    (void)state;
    struct device *device = device_with_work();
    struct recompress *recompress = &device->recompress;
    set(device, "recompress_cpu", 1);
    while (recompress->is_walking) {
        struct device_statistics before = device_statistics_now(device);
        recompress->credit_us = 1;
        turn_after(device, 1);
        struct device_statistics now = device_statistics_now(device);
        int64_t tried = (int64_t)(now.recompress_tried - before.recompress_tried);
        int64_t took = (int64_t)(now.recompress_time - before.recompress_time);
        int64_t had = recompress->credit_us + took; /* more than 1, if this thread was held up */
        assert_true(tried == 0 || took <= had + 5 * took / tried + 1000);
    }
    assert_true(device_statistic(device, recompressed) == 100);
    finish(device);
}

static void policy_pauses_while_clients_do_more_than_it_is_to_work_beside(void **state)
{
    (void)state;
    struct device *device = device_with_work();
    set(device, "recompress_busy", 50);
    device->recompress.credit_us = 0;
    for (unsigned turn = 0; turn < 5; turn++) {
        for (unsigned i = 0; i < 600; i++)
            if (i % 2 == 0)
                touch(device, 600);
            else
                write_kind(device, 601, CONTENT_SAME_SHORT);
        turn_after(device, 10 * SECOND_US); /* 60 blocks a second */
        assert_true(device_statistic(device, recompress_tried) == 0);
        assert_true(device->recompress.is_walking);
    }
    for (unsigned i = 0; i < 400; i++)
        touch(device, 600);
    turn_after(device, 10 * SECOND_US); /* 40 */
    assert_true(device_statistic(device, recompress_tried) > 0);
    finish(device);
}

static void hurry_takes_blocks_of_any_age_whatever_clients_do(void **state)
{
    (void)state;
    struct device *device = new_device();
    set(device, "recompress_busy", 0);
    set(device, "recompress_cpu", 1);
    set(device, "recompress_age", 0);
    for (block_no block = 0; block < 100; block++)
        write_letters(device, block, 2000);
    recompress_hurry(device);
    while (device->recompress.is_walking) {
        touch(device, 600);
        turn_after(device, 1000);
    }
    assert_true(device_statistic(device, recompressed) == 100);
    finish(device);
}

static void hurry_once_more_goes_on_with_its_walk(void **state)
{
    (void)state;
    struct device *device = device_with_work();
    recompress_hurry(device); /* instead of the policy's walk */
    device->recompress.credit_us = 1;
    while (device_statistic(device, recompress_tried) == 0)
        turn_after(device, 10);
    uint64_t place = device->recompress.walk.next_block;
    assert_true(place > 0 && device->recompress.is_walking);
    recompress_hurry(device);
    assert_true(device->recompress.walk.next_block == place);
    walk_to_the_end(device);
    assert_true(device_statistic(device, recompressed) == 100);
    finish(device);
}

/* More pages of slots than one turn of the hand takes, more slots than a walk looks at at once. */
static void large_device_is_gone_over_in_steps_and_wholly(void **state)
{
    (void)state;
    enum { PAGES = 700 };
    unsigned char data[BLOCK];
    struct device *device = device_of_size((uint64_t)PAGES * SLOTS_PER_PAGE * BLOCK);
    set_role(device, 1, "zstd");
    for (block_no page = 0; page < PAGES; page++) {
        content_of_letters(data, 2000, page);
        must(device_write(device, data, BLOCK, (uint64_t)page * SLOTS_PER_PAGE * BLOCK) == 0);
    }
    for (unsigned pass = 1; pass <= 3; pass++) {
        assert_int_equal(hand_pass(device), 2);
        for (block_no page = 0; page < PAGES; page++)
            assert_int_equal(age_of(device, page * SLOTS_PER_PAGE), pass);
    }
    walk_to_the_end(device);
    assert_true(device_statistic(device, recompressed) == PAGES);
    device_finish(device);
}

static void longest_objects_come_first_within_one_walk_too(void **state)
{
    (void)state;
    struct device *device = new_device();
    for (block_no block = 0; block < 800; block++)
        write_letters(device, block, LENGTH_OF_GROUP(block * 7 % 8));
    device->recompress.credit_us = INT64_MIN / 2;
    for (unsigned pass = 0; pass < 3; pass++)
        hand_pass(device);
    set(device, "recompress_cpu", 1);
    while (device->recompress.is_walking) {
        device->recompress.credit_us = 1; /* a block or two */
        turn_after(device, 1);
        block_no least_done = 8, most_left = 0;
        for (block_no block = 0; block < 800; block++) {
            block_no group = block * 7 % 8;
            if (is_recompressed(device, block))
                least_done = group < least_done ? group : least_done;
            else
                most_left = group > most_left ? group : most_left;
        }
        assert_true(least_done >= most_left);
    }
    assert_true(device_statistic(device, recompressed) == 800);
    finish(device);
}

/* ---- the soft limit, by the thread ---- */

#define AWAKE "maintenance: awake"

/* Lets the thread go round until it has looked at the limit, which it does when it is kicked. */
static void look_twice(struct device *device)
{
    struct gate *awake = gate_set(AWAKE, GATE_STOPS_EACH);
    must(device_start(device) == 0);
    for (unsigned turn = 1; turn <= 3; turn++) {
        gate_await(awake, turn);
        maintenance_kick(device);
        gate_let_pass(awake);
    }
    gate_open(awake);
    device_stop(device);
    gates_remove();
}

static void from_soft_percent_of_the_limit_on_the_thread_frees_memory(void **state)
{
    (void)state;
    struct device *device = device_with_limit(4 * MIB);
    set(device, "recompress_age", 0);
    set(device, "recompress_busy", 0);
    set(device, "soft_percent", 50);
    for (block_no block = 0; block < 400; block++)
        write_letters(device, block, BLOCK);
    assert_true(device_statistic(device, mem_used_total) < 2 * MIB);
    look_twice(device);
    assert_true(device_statistic(device, soft_limit_passes) == 0);
    assert_true(device_statistic(device, recompress_tried) == 0);

    for (block_no block = 400; block < 600; block++)
        write_letters(device, block, BLOCK);
    assert_true(device_statistic(device, mem_used_total) > 2 * MIB);
    struct gate *awake = gate_set(AWAKE, GATE_COUNTS);
    uint64_t began = clock_now_us();
    assert_int_equal(device_start(device), 0);
    /* All of them, and after that one pass, which gives the pages back. */
    for (unsigned turn = 1; device_statistic(device, recompressed) < 600 ||
                            device_statistic(device, mem_used_total) >= 2 * MIB;
         turn++) {
        gate_await(awake, turn);
        maintenance_kick(device);
    }
    device_stop(device);
    gates_remove();
    uint64_t passes = device_statistic(device, soft_limit_passes);
    assert_true(passes >= 1 && passes <= 1 + (clock_now_us() - began) / 5000000);
    assert_true(device_statistic(device, maintenance_passes) > 0);
    assert_true(device_statistic(device, limit_refusals) == 0);
    finish(device);
}

static void without_a_limit_there_is_no_soft_one(void **state)
{
    (void)state;
    struct device *device = new_device();
    set(device, "soft_percent", 1);
    for (block_no block = 0; block < 400; block++)
        write_letters(device, block, BLOCK);
    look_twice(device);
    assert_true(device_statistic(device, soft_limit_passes) == 0);
    assert_true(device_statistic(device, recompress_tried) == 0);
    finish(device);
}

int main(void)
{
    watchdog_start("recompress-policy-test", 300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_get_older_with_each_pass_of_the_hand_up_to_three),
        cmocka_unit_test(what_is_no_compressed_content_never_ages_and_is_never_idle),
        cmocka_unit_test(every_access_makes_a_block_young_and_no_longer_idle),
        cmocka_unit_test(what_is_no_access_leaves_age_and_idle_as_they_are),
        cmocka_unit_test(hand_waits_for_half_the_age_between_two_passes),
        cmocka_unit_test(idle_of_some_age_is_what_the_hand_has_found_untouched),
        cmocka_unit_test(policy_recompresses_what_has_rested_and_nothing_else),
        cmocka_unit_test(age_of_zero_ends_the_policy_and_its_walk),
        cmocka_unit_test(policy_without_an_algorithm_does_nothing),
        cmocka_unit_test(policy_takes_its_share_of_a_cpu_and_no_more),
        cmocka_unit_test(policy_pays_for_what_it_has_used_and_saves_little_up),
        cmocka_unit_test(turn_ends_when_its_time_is_over),
        cmocka_unit_test(policy_pauses_while_clients_do_more_than_it_is_to_work_beside),
        cmocka_unit_test(hurry_takes_blocks_of_any_age_whatever_clients_do),
        cmocka_unit_test(hurry_once_more_goes_on_with_its_walk),
        cmocka_unit_test(large_device_is_gone_over_in_steps_and_wholly),
        cmocka_unit_test(longest_objects_come_first_within_one_walk_too),
        cmocka_unit_test(from_soft_percent_of_the_limit_on_the_thread_frees_memory),
        cmocka_unit_test(without_a_limit_there_is_no_soft_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
