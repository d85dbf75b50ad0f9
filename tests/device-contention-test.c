/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-contention-test.c: many who want the same: parts of one block, more streams than there
 * are, the last page below the limit; and a device that is stopped while it works.
 */
#include "tests/device-support.h"

#include <errno.h>

#include "compress/streams.h"
#include "tests/device-steps.h"

#define BLOCK BLOCK_SIZE_BYTES

/* ---- parts of one block ---- */

#define PART_COUNT 16u
#define PART_BYTES (BLOCK / PART_COUNT)

struct part {
    struct device *device;
    unsigned number;
    uint64_t turns;
    unsigned char content[PART_BYTES];
};

/* Writes its part again and again, as any kind of content, and finds it so each time. */
static void *own_part(void *context)
{
    struct part *part = context;
    uint64_t offset = 5 * BLOCK + part->number * PART_BYTES;
    struct rng rng = rng_of(part->number);
    unsigned char back[PART_BYTES];
    for (uint64_t i = 0; i < part->turns; i++) {
        if (rng_percent(&rng, 20)) {
            memset(part->content, 0, PART_BYTES);
            must(device_zero(part->device, PART_BYTES, offset) == 0);
        } else {
            content_fill(part->content, PART_BYTES,
                         (enum content_kind)rng_below(&rng, CONTENT_KIND_COUNT), rng_next(&rng));
            must(device_write(part->device, part->content, PART_BYTES, offset) == 0);
        }
        must(device_read(part->device, back, PART_BYTES, offset) == 0);
        must(memcmp(back, part->content, PART_BYTES) == 0);
    }
    return NULL;
}

static void parts_of_one_block_by_many_threads_are_all_kept(void **state)
{
    (void)state;
    for (size_t i = 0; codec_at(i) != NULL; i++) {
        struct device_config config = config_of_size(MIB);
        config.algorithm =
            (struct algorithm){.codec = codec_at(i), .level = codec_at(i)->level_default};
        struct device *device = device_of(&config);
        static struct part parts[PART_COUNT];
        pthread_t threads[PART_COUNT];
        unsigned char data[BLOCK];
        for (unsigned j = 0; j < PART_COUNT; j++) {
            parts[j] = (struct part){.device = device, .number = j, .turns = test_scaled(300)};
            threads[j] = thread_start(own_part, &parts[j]);
        }
        for (unsigned j = 0; j < PART_COUNT; j++)
            thread_join(threads[j]);
        assert_int_equal(device_read(device, data, BLOCK, 5 * BLOCK), 0);
        for (unsigned j = 0; j < PART_COUNT; j++)
            assert_memory_equal(data + j * PART_BYTES, parts[j].content, PART_BYTES);
        device_finish(device);
    }
}

/* ---- streams ---- */

struct writer {
    struct device *device;
    block_no block;
    enum content_kind kind;
    int error;
};

static void *write_block(void *context)
{
    struct writer *writer = context;
    unsigned char data[BLOCK];
    content_fill(data, BLOCK, writer->kind, writer->block);
    writer->error = device_write(writer->device, data, BLOCK, (uint64_t)writer->block * BLOCK);
    return NULL;
}

static void must_hold(struct device *device, block_no block, enum content_kind kind)
{
    unsigned char data[BLOCK], expected[BLOCK];
    content_fill(expected, BLOCK, kind, block);
    must(device_read(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
    must(memcmp(data, expected, BLOCK) == 0);
}

static void writers_beyond_the_number_of_streams_wait_and_are_served(void **state)
{
    (void)state;
    static struct writer writers[4096];
    static pthread_t threads[4096];
    struct device *device = device_of_size(64 * MIB);
    const unsigned streams = (unsigned)streams_count(device->streams), waiting = 8;
    assert_true(streams + waiting <= array_count(writers));
    unsigned char data[BLOCK];
    content_fill(data, BLOCK, CONTENT_MIXED, 10000);
    assert_int_equal(device_write(device, data, BLOCK, 10000 * (uint64_t)BLOCK), 0);

    struct gate *stored = gate_set("block: stored, not published", GATE_STOPS_EACH);
    struct gate *asleep = gate_set("streams: about to sleep", GATE_COUNTS);
    for (unsigned i = 0; i < streams + waiting; i++) {
        writers[i] = (struct writer){.device = device, .block = i, .kind = CONTENT_MIXED};
        threads[i] = thread_start(write_block, &writers[i]);
        if (i == streams - 1)
            gate_await(stored, streams); /* each has a stream, and keeps it */
    }
    gate_await(asleep, waiting);
    assert_int_equal(gate_arrivals(stored), streams);
    must_hold(device, 10000, CONTENT_MIXED); /* lz4 reads whole blocks without a stream */
    gate_open(stored);
    for (unsigned i = 0; i < streams + waiting; i++) {
        thread_join(threads[i]);
        assert_int_equal(writers[i].error, 0);
    }
    gates_remove();
    for (unsigned i = 0; i < streams + waiting; i++)
        must_hold(device, i, CONTENT_MIXED);
    device_finish(device);
}

/* ---- the limit ---- */

static struct device *device_at_its_limit(block_no *end)
{
    struct device_config config = config_of_size(16 * MIB);
    config.mem_limit_bytes = MIB;
    struct writer writer = {.device = device_of(&config), .kind = CONTENT_RANDOM};
    while (write_block(&writer), writer.error == 0)
        writer.block++;
    assert_int_equal(writer.error, -ENOSPC);
    *end = writer.block;
    return writer.device;
}

/* The one who looks for memory has it all in his hands: the other is not refused for that. */
static void writer_waits_for_memory_that_another_is_giving_back(void **state)
{
    (void)state;
    block_no end;
    struct device *device = device_at_its_limit(&end);
    assert_int_equal(device_trim(device, 50 * BLOCK, 0), 0);
    struct gate *taken = gate_set("pages: free pages taken to be discarded", GATE_STOPS_FIRST);
    struct gate *refused = gate_set("block: memory refused", GATE_COUNTS);
    /* A block of one word in a new page of slots: needs a page that is not the pool's. */
    struct writer first = {.device = device, .block = 4000, .kind = CONTENT_SAME_SHORT};
    struct writer second = {.device = device, .block = 300, .kind = CONTENT_RANDOM};
    pthread_t threads[2];
    threads[0] = thread_start(write_block, &first);
    gate_await(taken, 1);
    threads[1] = thread_start(write_block, &second);
    gate_await(refused, 2);
    gate_open(taken);
    thread_join(threads[0]);
    thread_join(threads[1]);
    gates_remove();
    assert_int_equal(first.error, 0);
    assert_int_equal(second.error, 0);
    must_hold(device, 4000, CONTENT_SAME_SHORT);
    must_hold(device, 300, CONTENT_RANDOM);
    device_finish(device);
}

static void *compact(void *context)
{
    device_compact(context);
    return NULL;
}

/* Half the objects of a device at its limit are gone, in every zspage. */
static struct device *fragmented_device(block_no *end)
{
    struct device_config config = config_of_size(16 * MIB);
    config.mem_limit_bytes = MIB;
    struct device *device = device_of(&config);
    unsigned char data[BLOCK];
    block_no block = 0;
    while (content_of_length(data, 700, block),
           device_write(device, data, BLOCK, (uint64_t)block * BLOCK) == 0)
        block++;
    *end = block;
    for (block = 0; block < *end; block += 2)
        assert_int_equal(device_trim(device, BLOCK, (uint64_t)block * BLOCK), 0);
    return device;
}

static void write_meets_the_limit(const char *step)
{
    block_no end;
    struct device *device = fragmented_device(&end);
    struct gate *between = gate_set(step, GATE_STOPS_FIRST);
    struct gate *refused = gate_set("block: memory refused", GATE_COUNTS);
    pthread_t mover = thread_start(compact, device);
    gate_await(between, 1);
    struct writer writers[3];
    pthread_t threads[array_count(writers)];
    for (unsigned i = 0; i < array_count(writers); i++) {
        writers[i] = (struct writer){.device = device, .block = 3000 + i, .kind = CONTENT_RANDOM};
        threads[i] = thread_start(write_block, &writers[i]);
    }
    gate_await(refused, 1); /* it will wait for the class that the mover has */
    gate_open(between);
    thread_join(mover);
    for (unsigned i = 0; i < array_count(writers); i++) {
        thread_join(threads[i]);
        assert_int_equal(writers[i].error, 0);
        must_hold(device, 3000 + i, CONTENT_RANDOM);
    }
    gates_remove();
    for (block_no block = 1; block < end; block += 2) {
        unsigned char data[BLOCK], expected[BLOCK];
        content_of_length(expected, 700, block);
        assert_int_equal(device_read(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
        assert_memory_equal(data, expected, BLOCK);
    }
    device_finish(device);
}

static void writers_that_meet_the_limit_while_objects_move_find_memory(void **state)
{
    (void)state;
    write_meets_the_limit("zsmalloc: owner locked for a move");
    write_meets_the_limit("zsmalloc: object copied");
    write_meets_the_limit("zsmalloc: object moved");
    write_meets_the_limit("zsmalloc: compaction between objects");
}

/* ---- the end ---- */

static void *destroy(void *context)
{
    device_destroy(context);
    return NULL;
}

static void *stop(void *context)
{
    device_stop(context);
    return NULL;
}

/* Its maintenance thread stands in the middle of a move. */
static struct device *device_that_moves_objects(struct gate **move)
{
    struct device *device = device_of_size(16 * MIB);
    unsigned char data[BLOCK];
    for (block_no block = 0; block < 1000; block++) {
        content_of_length(data, 700, block);
        assert_int_equal(device_write(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
    }
    for (block_no block = 0; block < 1000; block++)
        if (block % 4 != 0)
            assert_int_equal(device_trim(device, BLOCK, (uint64_t)block * BLOCK), 0);
    /* One move a step, so that most are still to be made when it is stopped. */
    const struct setting_row *row = setting_find("step_objects");
    assert_int_equal(setting_set(&device->maintenance.settings, row, 1), 0);
    *move = gate_set("zsmalloc: object copied", GATE_STOPS_FIRST);
    assert_int_equal(device_start(device), 0);
    maintenance_kick(device);
    gate_await(*move, 1);
    return device;
}

static void device_that_is_stopped_while_objects_move_keeps_them(void **state)
{
    (void)state;
    struct gate *move;
    struct device *device = device_that_moves_objects(&move);
    struct gate *told = gate_set("maintenance: told", GATE_COUNTS);
    pthread_t stopper = thread_start(stop, device);
    gate_await(told, 1);
    gate_open(move);
    thread_join(stopper);
    gates_remove();
    device_must_be_valid(device);
    for (block_no block = 0; block < 1000; block += 4) {
        unsigned char data[BLOCK], expected[BLOCK];
        content_of_length(expected, 700, block);
        assert_int_equal(device_read(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
        assert_memory_equal(data, expected, BLOCK);
    }
    /* And goes on where it was. */
    struct gate *moved = gate_set("zsmalloc: object moved", GATE_COUNTS);
    assert_int_equal(device_start(device), 0);
    maintenance_kick(device);
    gate_await(moved, 1);
    device_stop(device);
    gates_remove();
    device_finish(device);
}

static void device_that_is_destroyed_while_objects_move_waits_for_the_mover(void **state)
{
    (void)state;
    struct gate *move;
    struct device *device = device_that_moves_objects(&move);
    struct gate *told = gate_set("maintenance: told", GATE_COUNTS);
    pthread_t destroyer = thread_start(destroy, device);
    gate_await(told, 1);
    gate_open(move);
    thread_join(destroyer);
    gates_remove();
}

int main(void)
{
    watchdog_start("device-contention-test", 300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_one_block_by_many_threads_are_all_kept),
        cmocka_unit_test(writers_beyond_the_number_of_streams_wait_and_are_served),
        cmocka_unit_test(writer_waits_for_memory_that_another_is_giving_back),
        cmocka_unit_test(writers_that_meet_the_limit_while_objects_move_find_memory),
        cmocka_unit_test(device_that_is_stopped_while_objects_move_keeps_them),
        cmocka_unit_test(device_that_is_destroyed_while_objects_move_waits_for_the_mover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
