/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recompress-test.c: what rests gets older and is compressed again, the longest first, where that
 * saves room; what a request asks for, what the policy may use, and what happens near mem_limit.
 *
 * The policy's turns are made here, one by one, by the test's own thread: its clock is moved, and
 * nothing waits. What every block must hold is kept beside the device and compared at the end.
 */
#include "tests/device-support.h"

#include <errno.h>

#include "common/memory.h"
#include "device/train.h"
#include "tests/device-steps.h"

#define BLOCK       BLOCK_SIZE_BYTES
#define BLOCK_COUNT 1024u

static unsigned char content[BLOCK_COUNT][BLOCK];

/* ---- a device and what it holds ---- */

static void set(struct device *device, const char *setting, uint64_t value)
{
    must(device_set(device, setting, value) == 0);
}

static void set_role(struct device *device, unsigned role, const char *codec)
{
    const struct codec *found = codec_find(codec);
    must(device_set_algorithm(device, role, found, found->level_default, NULL, 0) == 0);
}

/* Written with lz4, recompressed with zstd. */
static struct device *device_with_limit(uint64_t mem_limit_bytes)
{
    struct device_config config = config_of_size(BLOCK_COUNT * BLOCK);
    config.mem_limit_bytes = mem_limit_bytes;
    memset(content, 0, sizeof content);
    struct device *device = device_of(&config);
    set_role(device, 1, "zstd");
    return device;
}

static struct device *new_device(void)
{
    return device_with_limit(0);
}

static int write_block(struct device *device, block_no block, const void *data)
{
    int error = device_write(device, data, BLOCK, (uint64_t)block * BLOCK);
    if (error == 0)
        memcpy(content[block], data, BLOCK);
    return error;
}

/* Content from which zstd gains. */
static void write_letters(struct device *device, block_no block, size_t length)
{
    unsigned char data[BLOCK];
    content_of_letters(data, length, block);
    must(write_block(device, block, data) == 0);
}

static void write_kind(struct device *device, block_no block, enum content_kind kind)
{
    unsigned char data[BLOCK];
    content_fill(data, BLOCK, kind, block + 1);
    must(write_block(device, block, data) == 0);
}

static void trim(struct device *device, block_no block)
{
    must(device_trim(device, BLOCK, (uint64_t)block * BLOCK) == 0);
    memset(content[block], 0, BLOCK);
}

static void touch(struct device *device, block_no block)
{
    unsigned char byte;
    must(device_read(device, &byte, 1, (uint64_t)block * BLOCK) == 0);
    must(byte == content[block][0]);
}

static bool is_recompressed(struct device *device, block_no block)
{
    return algorithms_recompressed(&device->algorithms, device_slot(device, block));
}

static unsigned age_of(struct device *device, block_no block)
{
    return slot_age(device_slot(device, block));
}

/* All blocks are right, all tries are accounted for, and all agrees. */
static void finish(struct device *device)
{
    unsigned char data[BLOCK];
    struct device_statistics now = device_statistics_now(device);
    must(now.recompress_tried ==
         now.recompressed + now.recompress_poor + now.recompress_dropped + now.recompress_refused);
    for (block_no block = 0; block < BLOCK_COUNT; block++) {
        must(device_read(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
        must(memcmp(data, content[block], BLOCK) == 0);
    }
    device_finish(device);
}

/* A request that must be accepted; what it says of itself must be what the statistics say. */
static struct recompress_result recompress(struct device *device,
                                           const struct recompress_request *request)
{
    struct recompress_result result;
    struct device_statistics before = device_statistics_now(device);
    must(device_recompress(device, request, &result) == 0);
    struct device_statistics now = device_statistics_now(device);
    must(now.recompress_tried - before.recompress_tried == result.tried);
    must(now.recompressed - before.recompressed == result.gained);
    must(now.recompress_saved - before.recompress_saved == result.saved_bytes);
    must(before.compr_data_size - now.compr_data_size == result.saved_bytes);
    must(before.orig_data_size == now.orig_data_size && before.reads == now.reads &&
         before.writes == now.writes);
    return result;
}

static struct recompress_result recompress_all(struct device *device)
{
    return recompress(device, &(struct recompress_request){0});
}

/* ---- the policy's clock ---- */

/* One turn, as if the last had been `elapsed_us` ago. */
static void turn_after(struct device *device, uint64_t elapsed_us)
{
    uint64_t now = clock_now_us();
    device->recompress.looked_us = now > elapsed_us ? now - elapsed_us : 0;
    recompress_turn(device);
}

/* The hand passes over all slots once, in as many turns as it needs. */
static unsigned hand_pass(struct device *device)
{
    unsigned turns = 0;
    device->recompress.hand_due_us = 0;
    do {
        turn_after(device, 1);
        turns++;
    } while (device->recompress.hand_is_moving);
    return turns;
}

/* Turns until the walk is at its end; the hand stays where it is. */
static void walk_to_the_end(struct device *device)
{
    while (device->recompress.is_walking)
        turn_after(device, 1000);
}

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

enum access { READ, READ_PART, WRITE, WRITE_PART, ZERO_PART, ACCESS_COUNT };

static void access_block(struct device *device, block_no block, enum access access)
{
    unsigned char data[BLOCK];
    uint64_t start = (uint64_t)block * BLOCK;
    switch (access) {
    case READ:
        must(device_read(device, data, BLOCK, start) == 0);
        break;
    case READ_PART:
        touch(device, block);
        break;
    case WRITE: /* the same bytes, so that everything else stays as it was */
        must(device_write(device, content[block], BLOCK, start) == 0);
        break;
    case WRITE_PART:
        must(device_write(device, content[block] + 7, 100, start + 7) == 0);
        break;
    default:
        must(device_zero(device, 50, start + 30) == 0);
        memset(content[block] + 30, 0, 50);
    }
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
    must(device_set_algorithm(device, 1, NULL, 0, NULL, 0) == 0);
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

/* ---- the order ---- */

/* Letters whose compressed lengths are in the middle of a bucket of their own. */
#define LENGTH_OF_GROUP(group) (512 + 6 * RECOMPRESS_BUCKET_BYTES * (group))

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

/* Everything of it but age and idle. */
static uint64_t lasting(struct slot slot)
{
    return slot_accessed(slot).word;
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
    must(device_set_algorithm(device, 1, NULL, 0, NULL, 0) == 0);
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
        must(device_set_algorithm(device, 1, NULL, 0, NULL, 0) == 0);
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
    must(device_set_algorithm(device, 1, NULL, 0, NULL, 0) == 0);
    fill(device, next, 0);
    assert_true(device_statistic(device, mem_used_total) == 2 * MIB);
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
    watchdog_start("recompress-test", 300);
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
        cmocka_unit_test(longest_objects_come_first),
        cmocka_unit_test(longest_objects_come_first_within_one_walk_too),
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
        cmocka_unit_test(from_soft_percent_of_the_limit_on_the_thread_frees_memory),
        cmocka_unit_test(without_a_limit_there_is_no_soft_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
