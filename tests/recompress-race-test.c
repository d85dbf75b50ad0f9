/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recompress-race-test.c: a block that is being recompressed meets requests, movers and changes of
 * the algorithm, at each step of its recompression. What comes of it is dropped or right, and no
 * object is lost.
 *
 *      recompression stands at   the slot is     a request for the block
 *      loaded                    unlocked        is served; the result is dropped
 *      stored, not published     locked          waits, and then finds the new object
 *      published, not freed      unlocked        is served; the old object is freed once
 */
#include "tests/device-support.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "tests/device-steps.h"

#define BLOCK       BLOCK_SIZE_BYTES
#define BLOCK_COUNT 256u
#define TARGET      8u   /* the block that is recompressed: the only idle one */
#define SPARE       255u /* an empty one, to try contents on */
#define LENGTH      2000

#define LOADED    "recompress: loaded, slot not locked"
#define STORED    "recompress: stored, not published"
#define PUBLISHED "recompress: published, old object not freed"

struct fixture {
    struct device *device;
    unsigned char (*content)[BLOCK];  /* what each block must hold */
    unsigned char same_length[BLOCK]; /* another content that fits the target's place exactly */
};

static void write_block(struct fixture *fixture, block_no block, const void *data)
{
    must(device_write(fixture->device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
    memcpy(fixture->content[block], data, BLOCK);
}

static void find_same_length(struct fixture *fixture, size_t target_length)
{
    size_t wanted = slot_length(device_slot(fixture->device, TARGET));
    uint64_t seed = 1000;
    do {
        content_of_letters(fixture->same_length, target_length, seed++);
        write_block(fixture, SPARE, fixture->same_length);
    } while (slot_length(device_slot(fixture->device, SPARE)) != wanted);
    must(device_trim(fixture->device, BLOCK, SPARE * BLOCK) == 0);
    memset(fixture->content[SPARE], 0, BLOCK);
}

static void make_target_idle(struct fixture *fixture)
{
    unsigned char data[BLOCK];
    must(device_mark_idle(fixture->device, 0) == 0);
    for (block_no block = 0; block < BLOCK_COUNT; block++)
        if (block != TARGET)
            must(device_read(fixture->device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
}

/* Every fourth block of a full device is left, so that all objects can be moved. */
static struct fixture *new_fixture(size_t target_length)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const struct codec *zstd = codec_find("zstd");
    fixture->device = device_of_size(BLOCK_COUNT * BLOCK);
    must(device_set_algorithm(fixture->device, 1, zstd, zstd->level_default, NULL, 0) == 0);
    fixture->content = calloc(BLOCK_COUNT, BLOCK);
    unsigned char data[BLOCK];
    for (block_no block = 0; block < BLOCK_COUNT; block++) {
        content_of_letters(data, block == TARGET ? target_length : LENGTH, block);
        write_block(fixture, block, data);
    }
    for (block_no block = 0; block < BLOCK_COUNT; block++)
        if (block % 4 != 0) {
            must(device_trim(fixture->device, BLOCK, (uint64_t)block * BLOCK) == 0);
            memset(fixture->content[block], 0, BLOCK);
        }
    find_same_length(fixture, target_length);
    make_target_idle(fixture);
    return fixture;
}

/* Each block holds what it should, and all agrees. */
static void finish(struct fixture *fixture)
{
    unsigned char data[BLOCK];
    gates_remove();
    device_must_be_valid(fixture->device);
    for (block_no block = 0; block < BLOCK_COUNT; block++) {
        must(device_read(fixture->device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
        must(memcmp(data, fixture->content[block], BLOCK) == 0);
    }
    device_finish(fixture->device);
    free(fixture->content);
    free(fixture);
}

static uint64_t objects_of(struct device *device)
{
    struct zpool_class_statistics class;
    struct zpool_statistics zpool;
    zpool_statistics(device->zpool, &zpool);
    uint64_t objects = zpool.raw_pages;
    for (unsigned i = 0; zpool_class_statistics(device->zpool, i, &class); i++)
        objects += class.objects_used;
    return objects;
}

static bool is_recompressed(struct fixture *fixture)
{
    return algorithms_recompressed(&fixture->device->algorithms,
                                   device_slot(fixture->device, TARGET));
}

/* ---- the threads that meet ---- */

static uint64_t tried_of_idle(struct fixture *fixture, uint64_t blocks_max)
{
    const struct recompress_request request = {.only_idle = true, .blocks_max = blocks_max};
    struct recompress_result result;
    must(device_recompress(fixture->device, &request, &result) == 0);
    return result.tried;
}

static void *recompress_idle(void *context)
{
    must(tried_of_idle(context, 1) == 1);
    return NULL;
}

/* What was idle when the walk looked is not any more once it has the slot. */
static void *recompress_nothing(void *context)
{
    must(tried_of_idle(context, 0) == 0);
    return NULL;
}

/* There are more, but it comes to an end before. */
static void *recompress_one_of_all(void *context)
{
    must(tried_of_idle(context, 0) == 1);
    return NULL;
}

enum request_kind {
    READ,
    READ_PART,
    OVERWRITE,
    OVERWRITE_RAW,
    OVERWRITE_SAME_FILLED,
    OVERWRITE_IN_PLACE,
    TRIM_AND_WRITE, /* which may get the very place that was freed */
    EDIT,
    TRIM,
    ZERO,
    REQUEST_COUNT
};

struct request {
    struct fixture *fixture;
    enum request_kind kind;
};

#define PART_OFFSET 1000u
#define PART_BYTES  500u

/* Does to the block's content what the request does to the block. */
static void make_content(const struct request *wanted, unsigned char *content)
{
    switch (wanted->kind) {
    case OVERWRITE:
        content_of_letters(content, 3000, 77);
        break;
    case OVERWRITE_RAW:
        content_fill(content, BLOCK, CONTENT_RANDOM, 77);
        break;
    case OVERWRITE_SAME_FILLED:
        content_fill(content, BLOCK, CONTENT_SAME_SHORT, 77);
        break;
    case OVERWRITE_IN_PLACE:
    case TRIM_AND_WRITE:
        memcpy(content, wanted->fixture->same_length, BLOCK);
        break;
    case EDIT:
        content_fill(content + PART_OFFSET, PART_BYTES, CONTENT_RANDOM, 77);
        break;
    case TRIM:
        memset(content, 0, BLOCK);
        break;
    case ZERO:
        memset(content + PART_OFFSET, 0, PART_BYTES);
        break;
    default:
        break;
    }
}

/* The request on the device alone; a read compares with the fixture's content. */
static void *request(void *context)
{
    struct request *wanted = context;
    struct device *device = wanted->fixture->device;
    const unsigned char *content = wanted->fixture->content[TARGET];
    unsigned char data[BLOCK];
    uint64_t start = TARGET * BLOCK;

    memcpy(data, content, BLOCK);
    make_content(wanted, data);
    switch (wanted->kind) {
    case READ:
        must(device_read(device, data, BLOCK, start) == 0);
        must(memcmp(data, content, BLOCK) == 0);
        break;
    case READ_PART:
        must(device_read(device, data, PART_BYTES, start + PART_OFFSET) == 0);
        must(memcmp(data, content + PART_OFFSET, PART_BYTES) == 0);
        break;
    case EDIT:
        must(device_write(device, data + PART_OFFSET, PART_BYTES, start + PART_OFFSET) == 0);
        break;
    case TRIM_AND_WRITE:
        must(device_trim(device, BLOCK, start) == 0);
        must(device_write(device, data, BLOCK, start) == 0);
        break;
    case TRIM:
        must(device_trim(device, BLOCK, start) == 0);
        break;
    case ZERO:
        must(device_zero(device, PART_BYTES, start + PART_OFFSET) == 0);
        break;
    default:
        must(device_write(device, data, BLOCK, start) == 0);
    }
    return NULL;
}

/* To be called once the request has had its effect. */
static void expect(const struct request *done)
{
    make_content(done, done->fixture->content[TARGET]);
}

static void wait_for_reclaim_lock(struct device *device)
{
    while (atomic_load(&device->reclaim.waiting) == 0)
        sched_yield();
}

/* ---- requests ---- */

static const size_t target_lengths[] = {LENGTH, BLOCK}; /* an object, a raw page */

static void nobody_in_the_way_it_is_recompressed(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_count(target_lengths); i++) {
        struct fixture *fixture = new_fixture(target_lengths[i]);
        uint64_t objects = objects_of(fixture->device);
        recompress_idle(fixture);
        assert_true(is_recompressed(fixture));
        assert_true(device_statistic(fixture->device, recompressed) == 1);
        assert_true(objects_of(fixture->device) == objects);
        finish(fixture);
    }
}

static void what_is_compressed_is_dropped_if_the_block_was_accessed_meanwhile(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_count(target_lengths) * REQUEST_COUNT; i++) {
        struct fixture *fixture = new_fixture(target_lengths[i % 2]);
        struct slot before = device_slot(fixture->device, TARGET);
        struct gate *gate = gate_set(LOADED, GATE_STOPS_FIRST);
        pthread_t thread = thread_start(recompress_idle, fixture);
        gate_await(gate, 1);
        struct request wanted = {fixture, (enum request_kind)(i / 2)};
        request(&wanted);
        expect(&wanted);
        struct slot now = device_slot(fixture->device, TARGET);
        /* Otherwise this would show nothing: all but the age is as it was. */
        if (wanted.kind == OVERWRITE_IN_PLACE)
            assert_true(now.word == slot_accessed(before).word);
        gate_open(gate);
        thread_join(thread);
        assert_true(device_slot(fixture->device, TARGET).word == now.word);
        struct device_statistics statistics = device_statistics_now(fixture->device);
        assert_true(statistics.recompress_dropped == 1 && statistics.recompressed == 0);
        finish(fixture);
    }
}

/* The same for a block that gains nothing: the mark isn't for the content that is there now. */
static void new_content_is_not_marked_for_what_the_old_one_was(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(LENGTH);
    content_fill(fixture->content[TARGET], BLOCK, CONTENT_RANDOM, 1);
    write_block(fixture, TARGET, fixture->content[TARGET]);
    make_target_idle(fixture);
    struct gate *gate = gate_set(LOADED, GATE_STOPS_FIRST);
    pthread_t thread = thread_start(recompress_idle, fixture);
    gate_await(gate, 1);
    content_of_letters(fixture->content[TARGET], BLOCK, 2); /* a raw page, too, in its place */
    write_block(fixture, TARGET, fixture->content[TARGET]);
    gate_open(gate);
    thread_join(thread);
    gates_remove();
    assert_false(slot_is_incompressible(device_slot(fixture->device, TARGET)));
    make_target_idle(fixture);
    recompress_idle(fixture);
    assert_true(is_recompressed(fixture));
    finish(fixture);
}

static void request_waits_for_the_new_object_and_finds_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_count(target_lengths) * REQUEST_COUNT; i++) {
        struct fixture *fixture = new_fixture(target_lengths[i % 2]);
        struct gate *gate = gate_set(STORED, GATE_STOPS_FIRST);
        struct gate *asleep = gate_set("slot: about to sleep", GATE_COUNTS);
        pthread_t thread = thread_start(recompress_idle, fixture);
        gate_await(gate, 1);
        struct request wanted = {fixture, (enum request_kind)(i / 2)};
        pthread_t other = thread_start(request, &wanted);
        gate_await(asleep, 1);
        gate_open(gate);
        thread_join(thread);
        thread_join(other);
        expect(&wanted);
        assert_true(device_statistic(fixture->device, recompressed) == 1);
        finish(fixture);
    }
}

static void old_object_is_freed_once_and_last_whatever_becomes_of_the_new_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_count(target_lengths) * REQUEST_COUNT; i++) {
        struct fixture *fixture = new_fixture(target_lengths[i % 2]);
        uint64_t objects = objects_of(fixture->device);
        struct gate *gate = gate_set(PUBLISHED, GATE_STOPS_FIRST);
        pthread_t thread = thread_start(recompress_idle, fixture);
        gate_await(gate, 1);
        assert_true(objects_of(fixture->device) == objects + 1);
        assert_true(is_recompressed(fixture));
        struct request wanted = {fixture, (enum request_kind)(i / 2)};
        request(&wanted);
        expect(&wanted);
        gate_open(gate);
        thread_join(thread);
        bool has_none = wanted.kind == TRIM || wanted.kind == OVERWRITE_SAME_FILLED;
        assert_true(objects_of(fixture->device) == objects - has_none);
        assert_true(device_statistic(fixture->device, recompressed) == 1);
        finish(fixture);
    }
}

/* It has seen a block of lz4, which needs no stream, and locks one of zstd, which does. */
static void reader_that_comes_before_the_change_borrows_what_it_needs_after_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_count(target_lengths); i++) {
        struct fixture *fixture = new_fixture(target_lengths[i]);
        struct gate *gate = gate_set("block: to be read, slot not locked", GATE_STOPS_FIRST);
        struct request wanted = {fixture, READ};
        pthread_t reader = thread_start(request, &wanted);
        gate_await(gate, 1);
        recompress_idle(fixture);
        assert_true(is_recompressed(fixture));
        gate_open(gate);
        thread_join(reader);
        finish(fixture);
    }
}

/* The writer holds the slot; what is recompressed then is what it has written, or nothing. */
static void recompression_waits_for_a_writer_and_looks_again(void **state)
{
    static const enum request_kind kinds[] = {OVERWRITE, OVERWRITE_RAW, OVERWRITE_SAME_FILLED,
                                              OVERWRITE_IN_PLACE};
    (void)state;
    for (size_t i = 0; i < array_count(kinds); i++) {
        struct fixture *fixture = new_fixture(LENGTH);
        struct gate *gate = gate_set("block: stored, not published", GATE_STOPS_FIRST);
        struct gate *asleep = gate_set("slot: about to sleep", GATE_COUNTS);
        struct request wanted = {fixture, kinds[i]};
        pthread_t writer = thread_start(request, &wanted);
        gate_await(gate, 1);
        pthread_t thread = thread_start(recompress_nothing, fixture);
        gate_await(asleep, 1);
        gate_open(gate);
        thread_join(writer);
        thread_join(thread);
        expect(&wanted);
        assert_false(is_recompressed(fixture));
        finish(fixture);
    }
}

/* ---- movers ---- */

static void compact(struct device *device)
{
    struct zpool_quota quota = {.objects = UINT64_MAX};
    zpool_compact(device->zpool, &quota);
    zpool_settle(device->zpool, &quota);
}

static void migrate_all(struct device *device)
{
    struct zpool_quota quota = {.objects = UINT64_MAX};
    /* Arena 0 to 3: there are no more. */
    for (pfn first = 0; first < 4 * ARENA_PAGES; first += ARENA_PAGES)
        (void)!zpool_migrate(device->zpool, first, ARENA_PAGES, &quota);
}

static void block_that_was_moved_meanwhile_is_left_where_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_count(target_lengths); i++) {
        struct fixture *fixture = new_fixture(target_lengths[i]);
        struct device *device = fixture->device;
        struct gate *gate = gate_set(LOADED, GATE_STOPS_FIRST);
        pthread_t thread = thread_start(recompress_idle, fixture);
        gate_await(gate, 1);
        struct slot before = device_slot(device, TARGET);
        migrate_all(device);
        struct slot now = device_slot(device, TARGET);
        assert_true(slot_object(now).position != slot_object(before).position);
        compact(device);
        now = device_slot(device, TARGET);
        gate_open(gate);
        thread_join(thread);
        assert_true(device_slot(device, TARGET).word == now.word);
        assert_true(device_statistic(device, recompress_dropped) == 1);
        finish(fixture);
    }
}

static void movers_leave_both_objects_alone_until_one_is_published(void **state)
{
    static const char *const steps[] = {STORED, PUBLISHED};
    (void)state;
    for (size_t i = 0; i < array_count(target_lengths) * array_count(steps); i++) {
        struct fixture *fixture = new_fixture(target_lengths[i % 2]);
        struct device *device = fixture->device;
        uint64_t objects = objects_of(device);
        struct gate *gate = gate_set(steps[i / 2], GATE_STOPS_FIRST);
        pthread_t thread = thread_start(recompress_idle, fixture);
        gate_await(gate, 1);
        assert_true(objects_of(device) == objects + 1);
        struct slot before = device_slot(device, TARGET);
        uint64_t moved = device_statistic(device, objects_moved);
        compact(device);
        migrate_all(device);
        compact(device);
        pages_trim(device->pages, 0, UINT64_MAX);
        assert_true(device_statistic(device, objects_moved) > moved);
        assert_true(device_statistic(device, moves_skipped) > 0);
        assert_true(objects_of(device) == objects + 1);
        if (i / 2 == 0)
            assert_true(device_slot(device, TARGET).word == before.word);
        gate_open(gate);
        thread_join(thread);
        assert_true(is_recompressed(fixture));
        assert_true(objects_of(device) == objects);
        finish(fixture);
    }
}

/* ---- the user ---- */

static void block_is_marked_idle_while_it_is_recompressed_and_nothing_waits(void **state)
{
    static const char *const steps[] = {LOADED, STORED, PUBLISHED};
    (void)state;
    for (size_t i = 0; i < array_count(steps); i++) {
        struct fixture *fixture = new_fixture(LENGTH);
        struct gate *gate = gate_set(steps[i], GATE_STOPS_FIRST);
        pthread_t thread = thread_start(recompress_idle, fixture);
        gate_await(gate, 1);
        assert_int_equal(device_mark_idle(fixture->device, 0), 0);
        gate_open(gate);
        thread_join(thread);
        /* The mark is no access, but a try that finds it can't tell; it comes to nothing. */
        struct device_statistics now = device_statistics_now(fixture->device);
        assert_true(now.recompress_dropped == (i == 0) && now.recompressed == (i > 0));
        assert_true(slot_is_idle(device_slot(fixture->device, TARGET)) == (i != 1));
        finish(fixture);
    }
}

struct change {
    struct device *device;
    unsigned priority;
    const struct codec *codec;
};

static void *change_algorithm(void *context)
{
    const struct change *change = context;
    must(device_set_algorithm(change->device, change->priority, change->codec,
                              change->codec != NULL ? change->codec->level_default : 0, NULL,
                              0) == 0);
    return NULL;
}

static void change_of_the_algorithm_waits_for_the_block_and_ends_the_walk(void **state)
{
    static const char *const steps[] = {LOADED, STORED, PUBLISHED};
    (void)state;
    for (size_t i = 0; i < array_count(steps); i++) {
        struct fixture *fixture = new_fixture(LENGTH);
        struct device *device = fixture->device;
        assert_int_equal(device_mark_idle(device, 0), 0);
        struct gate *gate = gate_set(steps[i], GATE_STOPS_FIRST);
        pthread_t thread = thread_start(recompress_one_of_all, fixture);
        gate_await(gate, 1);
        struct change change = {device, 1, NULL};
        pthread_t changer = thread_start(change_algorithm, &change);
        wait_for_reclaim_lock(device);
        struct gate *given_way = gate_set("lock: given way", GATE_STOPS_FIRST);
        gate_open(gate);
        thread_join(changer);
        gate_await(given_way, 1);
        gate_open(given_way);
        thread_join(thread);
        assert_true(device_statistic(device, recompressed) == 1);
        finish(fixture);
    }
}

static void write_algorithm_changes_while_a_block_is_recompressed(void **state)
{
    static const char *const names[] = {"lz4hc", "zstd"};
    (void)state;
    for (size_t i = 0; i < array_count(names); i++) {
        struct fixture *fixture = new_fixture(LENGTH);
        struct gate *gate = gate_set(LOADED, GATE_STOPS_FIRST);
        pthread_t thread = thread_start(recompress_idle, fixture);
        gate_await(gate, 1);
        struct change change = {fixture->device, 0, codec_find(names[i])};
        pthread_t changer = thread_start(change_algorithm, &change);
        wait_for_reclaim_lock(fixture->device);
        gate_open(gate);
        thread_join(thread);
        thread_join(changer);
        assert_true(is_recompressed(fixture));
        struct request wanted = {fixture, OVERWRITE};
        request(&wanted);
        expect(&wanted);
        finish(fixture);
    }
}

static void *recompress_until_interrupted(void *context)
{
    struct fixture *fixture = context;
    const struct recompress_request all = {0};
    struct recompress_result result;
    must(device_recompress(fixture->device, &all, &result) == -EINTR);
    must(result.tried == 1);
    must(device_recompress(fixture->device, &all, &result) == -EINTR && result.tried <= 1);
    return NULL;
}

static void device_that_ends_waits_for_one_block_not_for_all(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(LENGTH);
    struct gate *gate = gate_set(LOADED, GATE_STOPS_FIRST);
    pthread_t thread = thread_start(recompress_until_interrupted, fixture);
    gate_await(gate, 1);
    device_interrupt(fixture->device);
    gate_open(gate);
    thread_join(thread);
    finish(fixture);
}

int main(void)
{
    watchdog_start("recompress-race-test", 300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_in_the_way_it_is_recompressed),
        cmocka_unit_test(what_is_compressed_is_dropped_if_the_block_was_accessed_meanwhile),
        cmocka_unit_test(new_content_is_not_marked_for_what_the_old_one_was),
        cmocka_unit_test(request_waits_for_the_new_object_and_finds_it),
        cmocka_unit_test(old_object_is_freed_once_and_last_whatever_becomes_of_the_new_one),
        cmocka_unit_test(reader_that_comes_before_the_change_borrows_what_it_needs_after_it),
        cmocka_unit_test(recompression_waits_for_a_writer_and_looks_again),
        cmocka_unit_test(block_that_was_moved_meanwhile_is_left_where_it_is),
        cmocka_unit_test(movers_leave_both_objects_alone_until_one_is_published),
        cmocka_unit_test(block_is_marked_idle_while_it_is_recompressed_and_nothing_waits),
        cmocka_unit_test(change_of_the_algorithm_waits_for_the_block_and_ends_the_walk),
        cmocka_unit_test(write_algorithm_changes_while_a_block_is_recompressed),
        cmocka_unit_test(device_that_ends_waits_for_one_block_not_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
