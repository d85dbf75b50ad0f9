/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-race-test.c: requests that meet a mover, or each other, at a named step. Whoever is in the
 * way is stopped there, the other comes, and then both go on.
 *
 *      a mover stands   ─▶ at each step of a move: read, overwrite, edit, trim of that block
 *      a request stands ─▶ at each step of it: compaction of its zspage, a second request
 */
#include "tests/device-support.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/device-steps.h"

#define BLOCK       BLOCK_SIZE_BYTES
#define BLOCK_COUNT 256u
#define LENGTH      900 /* of what all blocks compress to: one size class */

struct fixture {
    struct device *device;
    unsigned char (*content)[BLOCK]; /* what each block must hold */
};

/* Every fourth block of a full device is left: all zspages are fragments of one class. */
static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct device_config config = config_of_size(BLOCK_COUNT * BLOCK);
    config.algorithm =
        (struct algorithm){.codec = codec_find("zstd"), .level = 1}; /* reads need a stream, too */
    fixture->device = device_of(&config);
    fixture->content = calloc(BLOCK_COUNT, BLOCK);
    for (block_no block = 0; block < BLOCK_COUNT; block++)
        content_of_length(fixture->content[block], LENGTH, block);
    must(device_write(fixture->device, fixture->content, BLOCK_COUNT * BLOCK, 0) == 0);
    for (block_no block = 0; block < BLOCK_COUNT; block++)
        if (block % 4 != 0) {
            must(device_trim(fixture->device, BLOCK, (uint64_t)block * BLOCK) == 0);
            memset(fixture->content[block], 0, BLOCK);
        }
    *state = fixture;
    return 0;
}

/* Each block holds what it should, and all agrees. */
static int tear_down(void **state)
{
    struct fixture *fixture = *state;
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
    return 0;
}

/* ---- the threads that meet ---- */

static void *compact(void *context)
{
    struct fixture *fixture = context;
    device_compact(fixture->device);
    return NULL;
}

static void *settle(void *context)
{
    struct fixture *fixture = context;
    struct zpool_quota quota = {.objects = UINT64_MAX};
    zpool_settle(fixture->device->zpool, &quota);
    return NULL;
}

static void *migrate_all(void *context)
{
    struct fixture *fixture = context;
    struct zpool_quota quota = {.objects = UINT64_MAX};
    /* Arena 0 to 3: there are no more. Busy blocks stay, which is as good. */
    for (pfn first = 0; first < 4 * ARENA_PAGES; first += ARENA_PAGES)
        (void)!zpool_migrate(fixture->device->zpool, first, ARENA_PAGES, &quota);
    return NULL;
}

enum request_kind {
    READ,
    READ_PART,
    OVERWRITE,
    OVERWRITE_RAW,
    OVERWRITE_IN_PLACE,
    EDIT,
    TRIM,
    ZERO
};

struct request {
    struct fixture *fixture;
    enum request_kind kind;
    block_no block;
};

#define PART_OFFSET 1000u
#define PART_BYTES  1500u

/* Does to the block's content what the request does to the block. */
static void make_content(const struct request *wanted, unsigned char *content)
{
    switch (wanted->kind) {
    case OVERWRITE:
        content_of_length(content, 2500, 1 + wanted->block);
        break;
    case OVERWRITE_RAW:
        content_fill(content, BLOCK, CONTENT_RANDOM, wanted->block);
        break;
    case OVERWRITE_IN_PLACE:
        content_of_length(content, LENGTH, 1 + wanted->block);
        break;
    case EDIT:
        content_fill(content + PART_OFFSET, PART_BYTES, CONTENT_RANDOM, wanted->block);
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
    const unsigned char *content = wanted->fixture->content[wanted->block];
    unsigned char data[BLOCK];
    uint64_t start = (uint64_t)wanted->block * BLOCK;

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

/* To be called once the request has had its effect, in the order of effects. */
static void expect(const struct request *done)
{
    make_content(done, done->fixture->content[done->block]);
}

/* The one block whose slot is locked. */
static block_no locked_block(const struct device *device)
{
    block_no found = BLOCK_COUNT;
    for (block_no block = 0; block < BLOCK_COUNT; block++)
        if (atomic_load(&device->slots.words[block]) & SLOT_LOCK_BIT) {
            must(found == BLOCK_COUNT);
            found = block;
        }
    must(found < BLOCK_COUNT);
    return found;
}

/* ---- a mover stands at a step of a move ---- */

static void request_meets_mover(struct fixture *fixture, void *(*mover)(void *), const char *step,
                                enum request_kind kind)
{
    struct gate *move = gate_set(step, GATE_STOPS_FIRST);
    struct gate *asleep = gate_set("slot: about to sleep", GATE_COUNTS);
    pthread_t mover_thread = thread_start(mover, fixture);
    gate_await(move, 1);
    block_no moved = locked_block(fixture->device);
    struct request wanted = {fixture, kind, moved};
    pthread_t request_thread = thread_start(request, &wanted);
    gate_await(asleep, 1);

    /* Other blocks are not held up, of whatever class. */
    struct request other = {fixture, READ, (moved + 4) % BLOCK_COUNT};
    request(&other);
    gate_open(move);
    thread_join(mover_thread);
    thread_join(request_thread);
    gates_remove();
    expect(&wanted);
}

static void requests_meet_mover(void **state, void *(*mover)(void *), const char *const *steps,
                                size_t step_count)
{
    static const enum request_kind kinds[] = {
        READ, READ_PART, OVERWRITE, OVERWRITE_RAW, OVERWRITE_IN_PLACE, EDIT, TRIM, ZERO};
    for (size_t i = 0; i < step_count; i++)
        for (size_t j = 0; j < array_count(kinds); j++) {
            void *own;
            set_up(&own);
            request_meets_mover(own, mover, steps[i], kinds[j]);
            tear_down(&own);
        }
    (void)state;
}

static const char *const steps_of_a_move[] = {
    "zsmalloc: owner locked for a move",
    "zsmalloc: object copied",
};

static void requests_wait_for_a_block_that_compaction_moves_and_find_it(void **state)
{
    requests_meet_mover(state, compact, steps_of_a_move, array_count(steps_of_a_move));
}

static void requests_wait_for_a_block_that_settling_moves_and_find_it(void **state)
{
    requests_meet_mover(state, settle, steps_of_a_move, array_count(steps_of_a_move));
}

static void requests_wait_for_a_block_that_migration_moves_and_find_it(void **state)
{
    requests_meet_mover(state, migrate_all, steps_of_a_move, array_count(steps_of_a_move));
}

/* One raw page among the objects, and the mover stopped while it copies that. */
static void requests_wait_for_a_raw_page_that_is_moved_and_find_it(void **state)
{
    static const enum request_kind kinds[] = {READ,          READ_PART, OVERWRITE,
                                              OVERWRITE_RAW, EDIT,      TRIM};
    static const char *const steps[] = {"raw: owner locked for a move", "raw: object copied"};
    (void)state;
    for (size_t i = 0; i < array_count(kinds) * array_count(steps); i++) {
        void *own;
        set_up(&own);
        struct fixture *fixture = own;
        struct request make_raw = {fixture, OVERWRITE_RAW, 8};
        request(&make_raw);
        expect(&make_raw);
        request_meets_mover(fixture, migrate_all, steps[i % 2], kinds[i / 2]);
        tear_down(&own);
    }
}

/* The new place is published, the old one not yet given up, the class still locked. */
static void request_meets_a_move_that_is_published(struct fixture *fixture, enum request_kind kind)
{
    struct slot before[BLOCK_COUNT];
    for (block_no block = 0; block < BLOCK_COUNT; block++)
        before[block] = device_slot(fixture->device, block);
    struct gate *move = gate_set("zsmalloc: object moved", GATE_STOPS_FIRST);
    pthread_t mover = thread_start(compact, fixture);
    gate_await(move, 1);
    block_no moved = 0;
    while (device_slot(fixture->device, moved).word == before[moved].word)
        moved++;
    must(moved < BLOCK_COUNT);
    struct request wanted = {fixture, kind, moved};
    if (kind == READ || kind == OVERWRITE_IN_PLACE) {
        request(&wanted); /* needs no lock that the mover has */
        gate_open(move);
    } else {
        struct gate *published =
            gate_set(kind == TRIM ? "block: freed in its slot, object not freed"
                                  : "block: published, old object not freed",
                     GATE_COUNTS);
        pthread_t thread = thread_start(request, &wanted);
        gate_await(published, 1); /* and now it waits for the class */
        gate_open(move);
        thread_join(thread);
    }
    thread_join(mover);
    gates_remove();
    expect(&wanted);
}

static void requests_find_a_block_whose_move_is_published(void **state)
{
    static const enum request_kind kinds[] = {READ, OVERWRITE_IN_PLACE, OVERWRITE_RAW, TRIM};
    (void)state;
    for (size_t i = 0; i < array_count(kinds); i++) {
        void *own;
        set_up(&own);
        request_meets_a_move_that_is_published(own, kinds[i]);
        tear_down(&own);
    }
}

/* ---- a request stands at a step, and all that can move is moved ---- */

static void movers_meet_request(struct fixture *fixture, const char *step, enum request_kind kind)
{
    struct gate *gate = gate_set(step, GATE_STOPS_FIRST);
    struct request wanted = {fixture, kind, 4};
    pthread_t thread = thread_start(request, &wanted);
    gate_await(gate, 1);
    uint64_t moved = device_statistic(fixture->device, objects_moved);
    compact(fixture);
    settle(fixture);
    migrate_all(fixture);
    settle(fixture);
    pages_trim(fixture->device->pages, 0, UINT64_MAX);
    assert_true(device_statistic(fixture->device, objects_moved) > moved);
    gate_open(gate);
    thread_join(thread);
    gates_remove();
    expect(&wanted);
}

static void objects_move_around_a_request_wherever_it_stands(void **state)
{
    static const struct {
        const char *step;
        enum request_kind kind;
    } meetings[] = {
        {"block: to be read, slot not locked", READ},
        {"block: read, slot still locked", READ},
        {"block: stored, not published", OVERWRITE},
        {"block: stored, not published", OVERWRITE_RAW},
        {"block: stored, not published", OVERWRITE_IN_PLACE},
        {"block: published, old object not freed", OVERWRITE},
        {"block: published, old object not freed", OVERWRITE_RAW},
        {"zsmalloc: place taken, owner not written", OVERWRITE},
        {"zsmalloc: place taken, owner not written", EDIT},
        {"block: to be freed, slot not locked", TRIM},
        {"block: freed in its slot, object not freed", TRIM},
    };
    (void)state;
    for (size_t i = 0; i < array_count(meetings); i++) {
        void *own;
        set_up(&own);
        movers_meet_request(own, meetings[i].step, meetings[i].kind);
        tear_down(&own);
    }
}

static int migrate_arena(struct fixture *fixture, pfn arena)
{
    struct zpool_quota quota = {.objects = UINT64_MAX};
    return zpool_migrate(fixture->device->zpool, arena * ARENA_PAGES, ARENA_PAGES, &quota);
}

static pfn arena_of(const struct fixture *fixture, block_no block)
{
    return zpool_handle_page(slot_object(device_slot(fixture->device, block))) / ARENA_PAGES;
}

static void block_that_is_busy_is_skipped_and_moved_the_next_time(void **state)
{
    struct fixture *fixture = *state;
    struct gate *gate = gate_set("block: read, slot still locked", GATE_STOPS_FIRST);
    struct request wanted = {fixture, READ, 4};
    pthread_t reader = thread_start(request, &wanted);
    gate_await(gate, 1);
    struct slot kept = device_slot(fixture->device, 4);
    pfn arena = arena_of(fixture, 4);
    assert_int_equal(migrate_arena(fixture, arena), -EAGAIN);
    assert_true(device_statistic(fixture->device, moves_skipped) == 1);
    assert_true(device_statistic(fixture->device, objects_moved) == BLOCK_COUNT / 4 - 1);
    assert_true(device_slot(fixture->device, 4).word == kept.word);
    gate_open(gate);
    thread_join(reader);
    gates_remove();
    assert_int_equal(migrate_arena(fixture, arena), 0);
    assert_true(device_statistic(fixture->device, moves_skipped) == 1);
    assert_true(arena_of(fixture, 4) != arena);
}

/* ---- two requests for one block ---- */

static void requests_meet(struct fixture *fixture, enum request_kind first, const char *step,
                          enum request_kind second, bool must_wait)
{
    struct gate *gate = gate_set(step, GATE_STOPS_FIRST);
    struct gate *asleep = gate_set("slot: about to sleep", GATE_COUNTS);
    struct request wanted[] = {{fixture, first, 8}, {fixture, second, 8}};
    pthread_t threads[2];
    threads[0] = thread_start(request, &wanted[0]);
    gate_await(gate, 1);
    if (must_wait) {
        threads[1] = thread_start(request, &wanted[1]);
        gate_await(asleep, 1);
    } else {
        request(&wanted[1]);
    }
    gate_open(gate);
    thread_join(threads[0]);
    if (must_wait)
        thread_join(threads[1]);
    gates_remove();
    expect(&wanted[0]);
    expect(&wanted[1]);
}

static void of_two_requests_for_one_block_the_later_has_the_last_word(void **state)
{
    static const enum request_kind firsts[] = {OVERWRITE, OVERWRITE_RAW, OVERWRITE_IN_PLACE};
    static const enum request_kind seconds[] = {OVERWRITE, OVERWRITE_RAW, OVERWRITE_IN_PLACE,
                                                EDIT,      TRIM,          ZERO};
    (void)state;
    for (size_t i = 0; i < array_count(firsts); i++)
        for (size_t j = 0; j < array_count(seconds); j++) {
            void *own;
            set_up(&own);
            requests_meet(own, firsts[i], "block: stored, not published", seconds[j], true);
            tear_down(&own);
        }
}

static void old_object_is_freed_once_though_the_block_is_written_again_first(void **state)
{
    static const enum request_kind firsts[] = {OVERWRITE, OVERWRITE_RAW};
    static const enum request_kind seconds[] = {OVERWRITE, OVERWRITE_IN_PLACE, EDIT, TRIM};
    (void)state;
    for (size_t i = 0; i < array_count(firsts); i++)
        for (size_t j = 0; j < array_count(seconds); j++) {
            void *own;
            set_up(&own);
            requests_meet(own, firsts[i], "block: published, old object not freed", seconds[j],
                          false);
            tear_down(&own);
        }
}

static void block_that_two_trim_is_freed_once(void **state)
{
    struct fixture *fixture = *state;
    uint64_t freed = device_statistic(fixture->device, notify_free);
    requests_meet(fixture, TRIM, "block: to be freed, slot not locked", TRIM, false);
    assert_true(device_statistic(fixture->device, notify_free) == freed + 1);
}

/* ---- a page of slots that goes while a request is on its way ---- */

static void *trim_all(void *context)
{
    struct fixture *fixture = context;
    must(device_trim(fixture->device, BLOCK_COUNT * BLOCK, 0) == 0);
    return NULL;
}

static void reader_of_a_page_of_slots_that_goes_finds_zeros(void **state)
{
    struct fixture *fixture = *state;
    struct gate *gate = gate_set("block: to be read, slot not locked", GATE_STOPS_FIRST);
    struct request wanted = {fixture, READ, 4};
    pthread_t thread = thread_start(request, &wanted);
    gate_await(gate, 1);
    trim_all(fixture);
    memset(fixture->content, 0, BLOCK_COUNT * BLOCK);
    assert_true(device_statistic(fixture->device, slot_table) == 0);
    gate_open(gate);
    thread_join(thread);
    gates_remove();
    /* Its lock made the page resident again, and that is in the account. */
    assert_true(device_statistic(fixture->device, slot_table) == PAGE_SIZE_BYTES);
    assert_true(slot_table_discard(&fixture->device->slots, 4));
}

static void trimmer_of_a_page_of_slots_that_goes_frees_nothing_twice(void **state)
{
    struct fixture *fixture = *state;
    struct gate *gate = gate_set("block: to be freed, slot not locked", GATE_STOPS_FIRST);
    struct request wanted = {fixture, TRIM, 4};
    pthread_t thread = thread_start(request, &wanted);
    gate_await(gate, 1);
    trim_all(fixture);
    memset(fixture->content, 0, BLOCK_COUNT * BLOCK);
    gate_open(gate);
    thread_join(thread);
    gates_remove();
    assert_true(device_statistic(fixture->device, notify_free) == BLOCK_COUNT);
    assert_true(slot_table_discard(&fixture->device->slots, 4)); /* as above */
    assert_true(device_statistic(fixture->device, slot_table) == 0);
}

static void writers_of_a_page_of_slots_that_goes_charge_it_again(void **state)
{
    struct fixture *fixture = *state;
    struct gate *marked =
        gate_set("slots: page marked unused, not discarded yet", GATE_STOPS_FIRST);
    struct gate *asleep = gate_set("slot: about to sleep", GATE_COUNTS);
    pthread_t trimmer = thread_start(trim_all, fixture);
    gate_await(marked, 1);
    struct request wanted[] = {{fixture, OVERWRITE, 4}, {fixture, OVERWRITE_RAW, 5}};
    pthread_t threads[array_count(wanted)];
    for (size_t i = 0; i < array_count(wanted); i++)
        threads[i] = thread_start(request, &wanted[i]);
    gate_await(asleep, array_count(wanted));
    gate_open(marked);
    thread_join(trimmer);
    for (size_t i = 0; i < array_count(wanted); i++)
        thread_join(threads[i]);
    gates_remove();
    memset(fixture->content, 0, BLOCK_COUNT * BLOCK);
    for (size_t i = 0; i < array_count(wanted); i++)
        expect(&wanted[i]);
    assert_true(device_statistic(fixture->device, slot_table) == PAGE_SIZE_BYTES);
}

#define RACE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    watchdog_start("device-race-test", 300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_wait_for_a_block_that_compaction_moves_and_find_it),
        cmocka_unit_test(requests_wait_for_a_block_that_settling_moves_and_find_it),
        cmocka_unit_test(requests_wait_for_a_block_that_migration_moves_and_find_it),
        cmocka_unit_test(requests_wait_for_a_raw_page_that_is_moved_and_find_it),
        cmocka_unit_test(requests_find_a_block_whose_move_is_published),
        cmocka_unit_test(objects_move_around_a_request_wherever_it_stands),
        RACE_TEST(block_that_is_busy_is_skipped_and_moved_the_next_time),
        cmocka_unit_test(of_two_requests_for_one_block_the_later_has_the_last_word),
        cmocka_unit_test(old_object_is_freed_once_though_the_block_is_written_again_first),
        RACE_TEST(block_that_two_trim_is_freed_once),
        RACE_TEST(reader_of_a_page_of_slots_that_goes_finds_zeros),
        RACE_TEST(trimmer_of_a_page_of_slots_that_goes_frees_nothing_twice),
        RACE_TEST(writers_of_a_page_of_slots_that_goes_charge_it_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
