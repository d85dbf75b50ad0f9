/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * maintenance-test.c: the background thread gives back what a device doesn't need once it is quiet,
 * keeps the reserve, tidies a busy device only where there is waste, and stops when it is told to.
 *
 * The thread is stopped at its own steps, never waited for by time: a "look" is one turn of its
 * loop.
 */
#include "tests/device-support.h"

#include <stdlib.h>

#include "tests/device-steps.h"

#define BLOCK BLOCK_SIZE_BYTES

#define AWAKE      "maintenance: awake"
#define BEFORE     "maintenance: between two steps"
#define AFTER_PASS "maintenance: after a pass"

static void write_length(struct device *device, block_no block, size_t length)
{
    unsigned char data[BLOCK];
    content_of_length(data, length, block);
    must(device_write(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
}

static void must_hold(struct device *device, block_no block, size_t length)
{
    unsigned char data[BLOCK], expected[BLOCK];
    content_of_length(expected, length, block);
    must(device_read(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
    must(memcmp(data, expected, BLOCK) == 0);
}

static void trim(struct device *device, block_no block)
{
    must(device_trim(device, BLOCK, (uint64_t)block * BLOCK) == 0);
}

/* Lengths as compressed memory has them: from 20 to 3600 bytes. */
static size_t some_length(block_no block)
{
    return 20 + (block * UINT32_C(2654435761) >> 20) % 3580;
}

static void set(struct device *device, const char *name, uint64_t value)
{
    must(setting_set(&device->maintenance.settings, setting_find(name), value) == 0);
}

/* Three of four objects are gone, from all over the pool. */
static struct device *fragmented_device(uint64_t reserve_bytes)
{
    struct device_config config = config_of_size(16 * MIB);
    config.reserve_bytes = reserve_bytes;
    struct device *device = device_of(&config);
    for (block_no block = 0; block < 4000; block++)
        write_length(device, block, 700);
    for (block_no block = 0; block < 4000; block++)
        if (block % 4 != 0)
            trim(device, block);
    return device;
}

static void quiet_device_is_compacted_settled_and_trimmed_to_its_reserve(void **state)
{
    (void)state;
    for (uint64_t reserve = 0; reserve <= 512 * KIB; reserve += 256 * KIB) {
        struct device *device = fragmented_device(reserve);
        uint64_t used_before = device_statistic(device, mem_used_total);
        maintain_until_quiet(device);
        struct device_statistics now = device_statistics_now(device);
        assert_true(now.objects_moved > 0 && now.pages_compacted > 0);
        assert_true(now.pool_free == reserve);
        assert_true(now.mem_used_total - reserve < used_before / 3);
        struct zpool_class_statistics class;
        for (unsigned i = 0; zpool_class_statistics(device->zpool, i, &class); i++)
            assert_true(class.pages_freeable == 0);
        for (block_no block = 0; block < 4000; block += 4)
            must_hold(device, block, 700);
        device_finish(device);
    }
}

/* What the blocks that are left would take on a device that never had others. */
static uint64_t bytes_needed_by(const bool *is_kept, block_no block_count)
{
    struct device *device = device_of_size((uint64_t)block_count * BLOCK);
    for (block_no block = 0; block < block_count; block++)
        if (is_kept[block])
            write_length(device, block, some_length(block));
    maintain_until_quiet(device);
    uint64_t bytes = device_statistic(device, mem_used_total);
    device_finish(device);
    return bytes;
}

static void after_trimming_three_quarters_what_is_resident_is_what_the_rest_needs(void **state)
{
    (void)state;
    const block_no block_count = (block_no)(TEST_UNDER_TSAN ? 8 * MIB : 64 * MIB) / BLOCK;
    struct rng rng = rng_of(1);
    bool *is_kept = calloc(block_count, sizeof *is_kept);
    uint64_t resident_before = process_resident_bytes();
    struct device *device = device_of_size((uint64_t)block_count * BLOCK);
    for (block_no block = 0; block < block_count; block++)
        write_length(device, block, some_length(block));
    uint64_t full = device_statistic(device, mem_used_total);
    for (block_no block = 0; block < block_count; block++) {
        is_kept[block] = rng_percent(&rng, 25);
        if (!is_kept[block])
            trim(device, block);
    }
    maintain_until_quiet(device);

    struct device_statistics now = device_statistics_now(device);
    uint64_t resident = process_resident_bytes() - resident_before;
    uint64_t pool = device_resident_pool_pages(device) * PAGE_SIZE_BYTES;
    assert_true(pool == now.pool_used + now.pool_free + now.descriptors);
    uint64_t needed = bytes_needed_by(is_kept, block_count);
    print_message("# %lu KiB of %lu, needed are %lu; the process has %lu more\n",
                  (unsigned long)(now.mem_used_total / KIB), (unsigned long)(full / KIB),
                  (unsigned long)(needed / KIB), (unsigned long)(resident / KIB));
    /* 5 per cent, and for a small device the tables of two arenas. */
    assert_true(now.mem_used_total <= needed + needed / 20 + 8 * PAGE_SIZE_BYTES);
    if (!TEST_UNDER_ASAN && !TEST_UNDER_TSAN)
        assert_true(resident <= now.mem_used_total + now.streams_memory + MIB);
    for (block_no block = 0; block < block_count; block++)
        if (is_kept[block])
            must_hold(device, block, some_length(block));
    device_finish(device);
    free(is_kept);
}

static void pages_of_slots_whose_blocks_are_all_empty_are_given_back(void **state)
{
    (void)state;
    struct device *device = device_of_size(64 * MIB);
    for (block_no page = 0; page < 32; page++)
        must(slot_table_use(&device->slots, page * SLOTS_PER_PAGE) == 0);
    write_length(device, 5 * SLOTS_PER_PAGE, 100);
    assert_true(device_statistic(device, slot_table) == 32 * PAGE_SIZE_BYTES);
    maintain_until_quiet(device);
    assert_true(device_statistic(device, slot_table) == PAGE_SIZE_BYTES);
    assert_true(atomic_load(&device->maintenance.slot_pages_given_back) == 31);
    must_hold(device, 5 * SLOTS_PER_PAGE, 100);
    device_finish(device);
}

/* Objects of a few sizes, so that full zspages are left scattered over all arenas. */
static void sparse_arenas_are_emptied_and_given_back(void **state)
{
    (void)state;
    struct device *device = device_of_size(32 * MIB);
    unsigned char data[BLOCK];
    for (block_no block = 0; block < 6000; block++) {
        content_fill(data, BLOCK, CONTENT_RANDOM, block); /* raw pages: compaction moves none */
        must(device_write(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
    }
    uint64_t words_before = device_statistic(device, mem_desc_words);
    for (block_no block = 0; block < 6000; block++)
        if (block % 10 != 0)
            trim(device, block);
    maintain_until_quiet(device);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.arenas_emptied > 0);
    /* 600 pages fit two arenas, and one that has the first page, which stays. */
    assert_true(words_before >= 11 * PAGE_SIZE_BYTES);
    assert_true(now.mem_desc_words <= 4 * PAGE_SIZE_BYTES);
    for (block_no block = 0; block < 6000; block += 10) {
        unsigned char expected[BLOCK];
        content_fill(expected, BLOCK, CONTENT_RANDOM, block);
        must(device_read(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
        assert_memory_equal(data, expected, BLOCK);
    }
    device_finish(device);
}

/*
 * Two arenas, both sparse: one has single free pages only, the other zspages that need neighbours.
 * To empty the second would fill a third, to empty that the second, and so on.
 */
static void arena_that_would_only_fill_another_is_not_emptied_again_and_again(void **state)
{
    (void)state;
    struct device *device = device_of_size(32 * MIB);
    unsigned char data[BLOCK];
    for (block_no block = 0; block < 4 * ARENA_PAGES; block++) {
        content_fill(data, BLOCK, CONTENT_RANDOM, block);
        must(device_write(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
    }
    for (block_no block = 0; block < 4 * ARENA_PAGES; block++)
        if (block % 2 == 0 || block >= ARENA_PAGES)
            trim(device, block);
    (void)device_reclaim(device, 1);
    for (block_no block = 4000; block < 4010; block++)
        write_length(device, block, some_length(block * 7));
    for (unsigned pass = 0; pass < 3; pass++) {
        struct device_statistics before = device_statistics_now(device);
        maintain_until_quiet(device);
        struct device_statistics now = device_statistics_now(device);
        /* At most one arena in vain, and then one that helps. */
        assert_true(now.arenas_emptied - before.arenas_emptied <= 4);
        assert_true(now.objects_moved - before.objects_moved <= 4 * ARENA_PAGES);
        write_length(device, 4000, 100 + pass);
    }
    device_finish(device);
}

static void only_sparse_arena_is_left_as_it_is(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    for (block_no block = 0; block < 100; block++)
        write_length(device, block, 2500);
    maintain_until_quiet(device);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.arenas_emptied == 0);
    assert_true(now.objects_moved == 0);
    device_finish(device);
}

/* The thread stands at the gate `awake`: a request, and one turn of its loop. */
static void turn_while_busy(struct device *device, struct gate *awake)
{
    unsigned char byte;
    unsigned arrivals = gate_arrivals(awake);
    must(device_read(device, &byte, 1, 0) == 0);
    gate_let_pass(awake);
    gate_await(awake, arrivals + 1);
}

static void busy_device_is_left_alone(void **state)
{
    (void)state;
    struct device *device = fragmented_device(0);
    set(device, "waste_percent", 100);
    struct gate *awake = gate_set(AWAKE, GATE_STOPS_EACH);
    assert_int_equal(device_start(device), 0);
    gate_await(awake, 1);
    for (unsigned turn = 0; turn < 8; turn++) {
        turn_while_busy(device, awake);
        struct device_statistics now = device_statistics_now(device);
        assert_true(now.maintenance_passes == 0 && now.objects_moved == 0);
    }
    gate_open(awake);
    device_stop(device);
    gates_remove();
    device_finish(device);
}

static void busy_device_with_waste_is_tidied_without_a_pass(void **state)
{
    (void)state;
    struct device *device = fragmented_device(0);
    struct gate *awake = gate_set(AWAKE, GATE_STOPS_EACH);
    assert_int_equal(device_start(device), 0);
    gate_await(awake, 1);
    /* It takes some turns, of which each does a bounded number of steps. */
    while (device_statistic(device, objects_moved) == 0)
        turn_while_busy(device, awake);
    assert_true(device_statistic(device, maintenance_passes) == 0);
    gate_open(awake);
    device_stop(device);
    gates_remove();
    device_finish(device);
}

static void kick_makes_a_pass_though_the_device_is_busy(void **state)
{
    (void)state;
    struct device *device = fragmented_device(0);
    set(device, "waste_percent", 100);
    struct gate *before = gate_set(BEFORE, GATE_STOPS_EACH);
    struct gate *after = gate_set(AFTER_PASS, GATE_STOPS_FIRST);
    maintenance_kick(device); /* before it runs: it is kicked when it starts */
    assert_int_equal(device_start(device), 0);
    unsigned steps = 0;
    while (gate_arrivals(after) == 0) {
        unsigned char byte;
        must(device_read(device, &byte, 1, 0) == 0);
        gate_let_pass(before);
        steps++;
    }
    assert_true(steps > 0);
    assert_true(device_statistic(device, maintenance_passes) == 1);
    assert_true(device_statistic(device, objects_moved) > 0);
    gate_open(before);
    gate_open(after);
    device_stop(device);
    gates_remove();
    device_finish(device);
}

static void request_ends_the_pass_and_quiet_begins_it_anew(void **state)
{
    (void)state;
    struct device *device = fragmented_device(0);
    set(device, "waste_percent", 100);
    struct gate *before = gate_set(BEFORE, GATE_STOPS_FIRST);
    struct gate *after = gate_set(AFTER_PASS, GATE_STOPS_FIRST);
    assert_int_equal(device_start(device), 0);
    gate_await(before, 1);
    unsigned char byte;
    must(device_read(device, &byte, 1, 0) == 0);
    gate_open(before);
    gate_await(after, 1);
    assert_true(device_statistic(device, maintenance_passes) == 0);
    assert_true(device_statistic(device, objects_moved) == 0);
    gate_open(after);
    gate_await(after, 2);
    assert_true(device_statistic(device, maintenance_passes) == 1);
    device_stop(device);
    gates_remove();
    device_finish(device);
}

static void device_that_has_not_changed_is_not_passed_over_again(void **state)
{
    (void)state;
    struct device *device = fragmented_device(0);
    maintain_until_quiet(device);
    struct gate *awake = gate_set(AWAKE, GATE_COUNTS);
    assert_int_equal(device_start(device), 0);
    gate_await(awake, 6);
    device_stop(device);
    assert_true(device_statistic(device, maintenance_passes) == 1);
    /* One change, and there is another pass. */
    trim(device, 0);
    gates_remove();
    maintain_until_quiet(device);
    assert_true(device_statistic(device, maintenance_passes) == 2);
    device_finish(device);
}

static void *stop(void *context)
{
    device_stop(context);
    return NULL;
}

static void thread_stops_after_the_step_it_is_in(void **state)
{
    (void)state;
    struct device *device = fragmented_device(0);
    set(device, "step_objects", 1);
    set(device, "waste_percent", 100);
    struct gate *before = gate_set(BEFORE, GATE_STOPS_EACH);
    assert_int_equal(device_start(device), 0);
    for (unsigned i = 0; i < 3; i++) {
        gate_await(before, i + 1);
        gate_let_pass(before);
    }
    gate_await(before, 4);
    struct gate *told = gate_set("maintenance: told", GATE_COUNTS);
    pthread_t stopper = thread_start(stop, device);
    gate_await(told, 1);
    /* Now it does nothing more: each of its steps would move an object. */
    uint64_t moved = device_statistic(device, objects_moved);
    gate_open(before);
    thread_join(stopper);
    gates_remove();
    assert_true(device_statistic(device, objects_moved) == moved);
    assert_true(device_statistic(device, maintenance_passes) == 0);
    device_finish(device);
}

static void step_moves_no_more_objects_than_it_is_set_to(void **state)
{
    (void)state;
    struct device *device = fragmented_device(0);
    set(device, "step_objects", 7);
    set(device, "waste_percent", 100); /* all that is moved is moved in steps of passes */
    struct gate *before = gate_set(BEFORE, GATE_STOPS_EACH);
    assert_int_equal(device_start(device), 0);
    uint64_t moved = 0;
    for (unsigned i = 1; i < 50; i++) {
        gate_await(before, i);
        uint64_t now = device_statistic(device, objects_moved);
        assert_true(now - moved <= 7);
        moved = now;
        gate_let_pass(before);
    }
    assert_true(moved > 7);
    gate_open(before);
    device_stop(device);
    gates_remove();
    device_finish(device);
}

static void reserve_is_filled_again_when_writers_have_taken_from_it(void **state)
{
    (void)state;
    struct device_config config = config_of_size(16 * MIB);
    config.reserve_bytes = 100 * PAGE_SIZE_BYTES;
    struct device *device = device_of(&config);
    struct gate *awake = gate_set(AWAKE, GATE_STOPS_EACH);
    assert_int_equal(device_start(device), 0);
    gate_await(awake, 1);
    assert_true(device_statistic(device, pool_free) == 0);
    unsigned char data[BLOCK];
    for (unsigned turn = 1; turn < 5; turn++) {
        gate_let_pass(awake);
        gate_await(awake, turn + 1);
        assert_true(device_statistic(device, pool_free) == config.reserve_bytes);
        /* As many as there are: none of these writers takes a page fault. */
        for (block_no block = turn * 100; block < turn * 100 + 100; block++) {
            content_fill(data, BLOCK, CONTENT_RANDOM, block);
            must(device_write(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
        }
        assert_true(device_statistic(device, pool_free) == 0);
        assert_true(device_statistic(device, reserve_misses) == 0);
    }
    gate_open(awake);
    device_stop(device);
    gates_remove();
    device_finish(device);
}

static void reserve_that_is_set_anew_is_filled_and_given_back(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    set(device, "reserve", 3 * MIB);
    struct gate *awake = gate_set(AWAKE, GATE_STOPS_EACH);
    assert_int_equal(device_start(device), 0);
    unsigned turn = 1;
    gate_await(awake, turn);
    while (device_statistic(device, pool_free) < 3 * MIB) {
        gate_let_pass(awake);
        gate_await(awake, ++turn);
    }
    assert_true(device_statistic(device, pool_free) == 3 * MIB);
    set(device, "reserve", 64 * KIB);
    gate_open(awake);
    device_stop(device);
    gates_remove();
    write_length(device, 0, 100); /* a change, for which there will be a pass */
    maintain_until_quiet(device);
    assert_true(device_statistic(device, pool_free) == 64 * KIB);
    assert_true(device_statistic(device, reserve_target) == 64 * KIB);
    device_finish(device);
}

static void free_pages_of_a_busy_device_beyond_the_reserve_are_given_back(void **state)
{
    (void)state;
    struct device *device = device_of_size(32 * MIB);
    unsigned char data[BLOCK];
    for (block_no block = 0; block < 6000; block++) {
        content_fill(data, BLOCK, CONTENT_RANDOM, block);
        must(device_write(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
    }
    set(device, "waste_percent", 100);
    must(device_trim(device, 6000 * BLOCK, 0) == 0);
    uint64_t before = device_statistic(device, pool_free);
    assert_true(before == 6000 * BLOCK);
    struct gate *awake = gate_set(AWAKE, GATE_STOPS_EACH);
    assert_int_equal(device_start(device), 0);
    gate_await(awake, 1);
    while (device_statistic(device, pool_free) > before / 2)
        turn_while_busy(device, awake);
    assert_true(device_statistic(device, maintenance_passes) == 0);
    gate_open(awake);
    device_stop(device);
    gates_remove();
    device_finish(device);
}

static void system_short_of_memory_makes_a_pass_though_the_device_is_busy(void **state)
{
    (void)state;
    struct device *device = fragmented_device(0);
    set(device, "waste_percent", 100);
    set(device, "pressure_percent", 20);
    struct gate *awake = gate_set(AWAKE, GATE_STOPS_EACH);
    assert_int_equal(device_start(device), 0);
    /* The thread stands at its gate, and so has nothing of this in its hands. */
    static const char *const lines[] = {
        "some avg10=19.99 avg60=90.00 avg300=90.00 total=1\nfull avg10=99.00 avg60=0.00\n",
        "some avg10=20.00 avg60=0.00 avg300=0.00 total=1\n",
    };
    gate_await(awake, 1);
    for (unsigned i = 0; i < 2; i++) {
        pressure_close(&device->maintenance.pressure);
        device->maintenance.pressure.file = file_of_line(lines[i]);
        for (unsigned turn = 0; turn < 3; turn++)
            turn_while_busy(device, awake);
        /* Pressure that lasts makes a pass now and then, not at every look. */
        assert_true(device_statistic(device, pressure_passes) == i);
        assert_true(device_statistic(device, maintenance_passes) == i);
    }
    gate_open(awake);
    device_stop(device);
    gates_remove();
    device_finish(device);
}

int main(void)
{
    watchdog_start("maintenance-test", 300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_device_is_compacted_settled_and_trimmed_to_its_reserve),
        cmocka_unit_test(after_trimming_three_quarters_what_is_resident_is_what_the_rest_needs),
        cmocka_unit_test(pages_of_slots_whose_blocks_are_all_empty_are_given_back),
        cmocka_unit_test(sparse_arenas_are_emptied_and_given_back),
        cmocka_unit_test(arena_that_would_only_fill_another_is_not_emptied_again_and_again),
        cmocka_unit_test(only_sparse_arena_is_left_as_it_is),
        cmocka_unit_test(busy_device_is_left_alone),
        cmocka_unit_test(busy_device_with_waste_is_tidied_without_a_pass),
        cmocka_unit_test(kick_makes_a_pass_though_the_device_is_busy),
        cmocka_unit_test(request_ends_the_pass_and_quiet_begins_it_anew),
        cmocka_unit_test(device_that_has_not_changed_is_not_passed_over_again),
        cmocka_unit_test(thread_stops_after_the_step_it_is_in),
        cmocka_unit_test(step_moves_no_more_objects_than_it_is_set_to),
        cmocka_unit_test(reserve_is_filled_again_when_writers_have_taken_from_it),
        cmocka_unit_test(reserve_that_is_set_anew_is_filled_and_given_back),
        cmocka_unit_test(free_pages_of_a_busy_device_beyond_the_reserve_are_given_back),
        cmocka_unit_test(system_short_of_memory_makes_a_pass_though_the_device_is_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
