/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot-table-race-test.c: a slot's lock loses no wake-up, and a page of slots is charged exactly
 * once, whoever uses, locks and discards it at the same time.
 */
#include "tests/slot-table-fixture.h"

#include <errno.h>
#include <sys/mman.h>

#include "tests/device-madvise.h"
#include "tests/device-steps.h"

/* More than parking lots, so that some waiters of different slots share one. */
#define WAITER_COUNT 96

/* Stops between looking at the slot and locking it, while the slot gets another object. */
static void *try_for_77(void *context)
{
    struct slot slot;
    bool locked = slot_lock_try(context, 3, (struct zpool_handle){77}, &slot);
    if (locked)
        slot_unlock(context, 3, slot);
    return locked ? context : NULL;
}

static void trying_looks_again_once_it_has_the_lock(void **state)
{
    struct slot_table *table = &((struct fixture *)*state)->table;
    slot_put(table, 3, slot_with_object(77));
    struct gate *gate = gate_set("slot: names the object, not locked yet", GATE_STOPS_FIRST);
    pthread_t mover = thread_start(try_for_77, table);
    gate_await(gate, 1);
    slot_put(table, 3, slot_with_object(78));
    gate_open(gate);
    assert_null(thread_join(mover));
    gates_remove();
    assert_true(atomic_load(&table->words[3]) == slot_with_object(78).word);
}

/* The page goes while the mover is about to lock: it must not stay resident and uncharged. */
static void page_that_a_mover_touches_late_is_charged(void **state)
{
    struct fixture *fixture = *state;
    struct slot_table *table = &fixture->table;
    slot_put(table, 3, slot_with_object(77));
    struct gate *gate = gate_set("slot: names the object, not locked yet", GATE_STOPS_FIRST);
    pthread_t mover = thread_start(try_for_77, table);
    gate_await(gate, 1);
    slot_put(table, 3, slot_empty());
    assert_true(slot_table_discard(table, 3));
    used_pages_must_be(fixture, 0);
    gate_open(gate);
    assert_null(thread_join(mover));
    gates_remove();
    used_pages_must_be(fixture, slot_page_is_resident(table, 0));
}

static void *mark_77_idle(void *context)
{
    struct slot idle = {slot_with_object(77).word | SLOT_IDLE_BIT};
    return slot_mark_try(context, 3, slot_with_object(77), idle) ? context : NULL;
}

static void page_that_a_mark_touches_late_is_charged(void **state)
{
    struct fixture *fixture = *state;
    struct slot_table *table = &fixture->table;
    slot_put(table, 3, slot_with_object(77));
    struct gate *gate = gate_set("slot: to be marked", GATE_STOPS_FIRST);
    pthread_t marker = thread_start(mark_77_idle, table);
    gate_await(gate, 1);
    slot_put(table, 3, slot_empty());
    assert_true(slot_table_discard(table, 3));
    gate_open(gate);
    assert_null(thread_join(marker));
    gates_remove();
    used_pages_must_be(fixture, slot_page_is_resident(table, 0));
    assert_true(atomic_load(&table->words[3]) == 0);
}

static void marks_change_only_what_is_unlocked_and_as_expected(void **state)
{
    struct slot_table *table = &((struct fixture *)*state)->table;
    slot_put(table, 3, slot_with_object(77));
    assert_non_null(mark_77_idle(table));
    assert_true(slot_is_idle(slot_peek(table, 3)));
    assert_null(mark_77_idle(table)); /* it is no longer what was expected */
    slot_put(table, 3, slot_with_object(77));
    struct slot slot = slot_lock(table, 3);
    assert_null(mark_77_idle(table));
    slot_unlock(table, 3, slot);
    assert_non_null(mark_77_idle(table));
}

struct waiter {
    struct slot_table *table;
    block_no block;
    uint64_t turns;
    uint64_t *counter; /* plain: the slot's lock guards it */
};

/* Counts in the slot's own pattern and beside it: both lose something if two are in at once. */
static void *take_turns(void *context)
{
    struct waiter *waiter = context;
    for (uint64_t i = 0; i < waiter->turns; i++) {
        struct slot slot = slot_lock(waiter->table, waiter->block);
        must(slot_pattern(slot) == *waiter->counter);
        ++*waiter->counter;
        slot_unlock(waiter->table, waiter->block, slot_with(slot_pattern(slot) + 1));
    }
    return NULL;
}

static void waiter_that_sleeps_late_still_sees_the_unlock(void **state)
{
    struct slot_table *table = &((struct fixture *)*state)->table;
    uint64_t counter = 0;
    struct waiter waiter = {table, 9, 1, &counter};
    assert_int_equal(slot_table_use(table, 9), 0);
    struct slot slot = slot_lock(table, 9);

    struct gate *gate = gate_set("slot: about to sleep", GATE_STOPS_FIRST);
    pthread_t thread = thread_start(take_turns, &waiter);
    gate_await(gate, 1);
    assert_true(atomic_load(&table->words[9]) & SLOT_PARK_BIT);
    slot_unlock(table, 9, slot);
    gate_open(gate); /* Only now it would sleep: for the unlock that has been. */
    thread_join(thread);
    gates_remove();
    assert_int_equal(counter, 1);
    assert_true(atomic_load(&table->words[9]) == slot_with(1).word);
}

static void all_who_sleep_for_one_slot_get_it(void **state)
{
    struct slot_table *table = &((struct fixture *)*state)->table;
    uint64_t counter = 0;
    struct waiter waiter = {table, 9, 1, &counter};
    pthread_t threads[8];
    assert_int_equal(slot_table_use(table, 9), 0);
    struct slot slot = slot_lock(table, 9);
    struct gate *asleep = gate_set("slot: about to sleep", GATE_COUNTS);
    for (unsigned i = 0; i < array_count(threads); i++)
        threads[i] = thread_start(take_turns, &waiter);
    gate_await(asleep, array_count(threads));
    slot_unlock(table, 9, slot);
    for (unsigned i = 0; i < array_count(threads); i++)
        thread_join(threads[i]);
    gates_remove();
    assert_int_equal(counter, array_count(threads));
}

static void all_who_sleep_for_different_slots_get_theirs(void **state)
{
    struct slot_table *table = &((struct fixture *)*state)->table;
    static struct waiter waiters[WAITER_COUNT];
    static uint64_t counters[WAITER_COUNT];
    pthread_t threads[WAITER_COUNT];
    memset(counters, 0, sizeof counters);
    struct gate *asleep = gate_set("slot: about to sleep", GATE_COUNTS);
    for (block_no i = 0; i < WAITER_COUNT; i++) {
        waiters[i] = (struct waiter){table, i * 7, 1, &counters[i]};
        assert_int_equal(slot_table_use(table, i * 7), 0);
        slot_lock(table, i * 7);
        threads[i] = thread_start(take_turns, &waiters[i]);
    }
    gate_await(asleep, WAITER_COUNT);
    /* One after the other: each unlock may wake others of the same lot, who must sleep again. */
    for (block_no i = WAITER_COUNT; i-- > 0;) {
        slot_unlock(table, i * 7, slot_empty());
        thread_join(threads[i]);
        assert_int_equal(counters[i], 1);
    }
    gates_remove();
}

static void many_threads_on_one_slot_lose_no_turn(void **state)
{
    struct slot_table *table = &((struct fixture *)*state)->table;
    uint64_t counter = 0;
    struct waiter waiter = {table, 9, test_scaled(40000), &counter};
    pthread_t threads[8];
    assert_int_equal(slot_table_use(table, 9), 0);
    for (unsigned i = 0; i < array_count(threads); i++)
        threads[i] = thread_start(take_turns, &waiter);
    for (unsigned i = 0; i < array_count(threads); i++)
        thread_join(threads[i]);
    assert_int_equal(counter, array_count(threads) * waiter.turns);
    assert_true(slot_pattern(slot_peek(table, 9)) == counter);
}

static void *discard_first_page(void *context)
{
    return slot_table_discard(context, 0) ? context : NULL;
}

static void discard_that_finds_a_slot_locked_late_unlocks_the_others(void **state)
{
    struct fixture *fixture = *state;
    struct slot_table *table = &fixture->table;
    slot_put(table, 0, slot_empty());
    struct gate *seen_empty = gate_set("slots: page seen empty, not locked yet", GATE_STOPS_FIRST);
    pthread_t discarder = thread_start(discard_first_page, table);
    gate_await(seen_empty, 1);
    slot_lock(table, SLOTS_PER_PAGE - 1);
    gate_open(seen_empty);
    assert_null(thread_join(discarder));
    gates_remove();
    for (block_no block = 0; block < SLOTS_PER_PAGE - 1; block++)
        assert_true(atomic_load(&table->words[block]) == 0);
    slot_unlock(table, SLOTS_PER_PAGE - 1, slot_with(8));
    used_pages_must_be(fixture, 1);
    assert_true(slot_pattern(slot_peek(table, SLOTS_PER_PAGE - 1)) == 8);
}

static void page_that_two_discard_at_once_is_given_back_once(void **state)
{
    struct fixture *fixture = *state;
    slot_put(&fixture->table, 0, slot_empty());
    slot_put(&fixture->table, SLOTS_PER_PAGE, slot_with(1));
    struct gate *seen_empty = gate_set("slots: page seen empty, not locked yet", GATE_STOPS_FIRST);
    pthread_t discarder = thread_start(discard_first_page, &fixture->table);
    gate_await(seen_empty, 1);
    assert_true(slot_table_discard(&fixture->table, 0));
    gate_open(seen_empty);
    thread_join(discarder);
    gates_remove();
    used_pages_must_be(fixture, 1);
    assert_false(slot_page_is_resident(&fixture->table, 0));
}

struct locker {
    struct slot_table *table;
    block_no block;
    bool uses_first;
};

static void *lock_and_fill(void *context)
{
    struct locker *locker = context;
    if (locker->uses_first)
        must(slot_table_use(locker->table, locker->block) == 0);
    struct slot slot = slot_lock(locker->table, locker->block);
    must(slot_kind(slot) == SLOT_EMPTY);
    slot_unlock(locker->table, locker->block, slot_with(locker->block + 1));
    return NULL;
}

/*
 * The page is discarded while threads wait for slots of it: with the page charged again by some of
 * them or not, each gets its slot, and the page is charged exactly once.
 */
static void lockers_meet_a_discard(struct fixture *fixture, bool use_first, int refusal)
{
    struct slot_table *table = &fixture->table;
    static struct locker lockers[SLOTS_PER_PAGE];
    pthread_t threads[8];
    slot_put(table, 0, slot_empty());
    struct gate *marked =
        gate_set("slots: page marked unused, not discarded yet", GATE_STOPS_FIRST);
    struct gate *asleep = gate_set("slot: about to sleep", GATE_COUNTS);
    pthread_t discarder = thread_start(discard_first_page, table);
    gate_await(marked, 1);
    for (unsigned i = 0; i < array_count(threads); i++) {
        lockers[i] = (struct locker){table, i * 63, use_first};
        threads[i] = thread_start(lock_and_fill, &lockers[i]);
    }
    gate_await(asleep, array_count(threads));
    madvise_refuse(MADV_DONTNEED, refusal);
    gate_open(marked);
    assert_int_equal(thread_join(discarder) != NULL, refusal == 0);
    for (unsigned i = 0; i < array_count(threads); i++)
        thread_join(threads[i]);
    madvise_refuse(0, 0);
    gates_remove();
    used_pages_must_be(fixture, 1);
    for (unsigned i = 0; i < array_count(threads); i++) {
        assert_true(atomic_load(&table->words[i * 63]) == slot_with(i * 63 + 1).word);
        slot_put(table, i * 63, slot_empty());
    }
    assert_true(slot_table_discard(table, 0));
    used_pages_must_be(fixture, 0);
}

static void lockers_of_a_page_that_is_being_discarded_get_their_slots(void **state)
{
    lockers_meet_a_discard(*state, false, 0);
}

static void users_of_a_page_that_is_being_discarded_charge_it_once(void **state)
{
    lockers_meet_a_discard(*state, true, 0);
}

static void lockers_of_a_page_whose_discard_fails_get_their_slots(void **state)
{
    lockers_meet_a_discard(*state, false, ENOMEM);
}

static void users_of_a_page_whose_discard_fails_charge_it_once(void **state)
{
    lockers_meet_a_discard(*state, true, ENOMEM);
}

static void *use_block_0(void *context)
{
    must(slot_table_use(context, 0) == 0);
    return NULL;
}

static void page_that_two_threads_use_at_once_is_charged_once(void **state)
{
    struct fixture *fixture = *state;
    struct gate *gate = gate_set("slots: page found unused, not marked yet", GATE_STOPS_FIRST);
    pthread_t thread = thread_start(use_block_0, &fixture->table);
    gate_await(gate, 1);
    assert_int_equal(slot_table_use(&fixture->table, 1), 0);
    gate_open(gate);
    thread_join(thread);
    gates_remove();
    used_pages_must_be(fixture, 1);
}

/* Each slot's content is known to whoever locks it: pattern 0 is an empty slot. */
#define SOAK_BLOCKS (2 * SLOTS_PER_PAGE)
static uint64_t soak_content[SOAK_BLOCKS];
static _Atomic unsigned soak_discards;

static void *soak(void *context)
{
    struct slot_table *table = context;
    static _Atomic uint64_t streams;
    struct rng rng = rng_of(100 + atomic_fetch_add(&streams, 1));
    for (uint64_t i = test_scaled(150000); i > 0; i--) {
        /* A few blocks, so that threads meet, on two pages that are often empty. */
        block_no block = (block_no)(rng_below(&rng, 2) * SLOTS_PER_PAGE + rng_below(&rng, 2) * 170);
        must(slot_table_use(table, block) == 0);
        struct slot slot = slot_lock(table, block);
        must(soak_content[block] == 0 ? slot_kind(slot) == SLOT_EMPTY
                                      : slot_pattern(slot) == soak_content[block]);
        /* It is guarded by the slot's lock, and goes on when the page of slots does not. */
        soak_content[block] = rng_percent(&rng, 90) ? 0 : i;
        slot_unlock(table, block,
                    soak_content[block] == 0 ? slot_empty() : slot_with(soak_content[block]));
        if (rng_percent(&rng, 2) && slot_table_discard(table, block))
            atomic_fetch_add(&soak_discards, 1);
    }
    return NULL;
}

static void slots_keep_their_content_while_their_pages_are_discarded(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[4];
    memset(soak_content, 0, sizeof soak_content);
    for (unsigned i = 0; i < array_count(threads); i++)
        threads[i] = thread_start(soak, &fixture->table);
    for (unsigned i = 0; i < array_count(threads); i++)
        thread_join(threads[i]);
    print_message("# %u pages of slots were discarded meanwhile\n", atomic_load(&soak_discards));
    for (block_no block = 0; block < SOAK_BLOCKS; block++) {
        struct slot slot = {atomic_load(&fixture->table.words[block])};
        assert_true(slot.word ==
                    (soak_content[block] == 0 ? 0 : slot_with(soak_content[block]).word));
        if (slot.word != 0)
            slot_put(&fixture->table, block, slot_empty());
    }
    uint64_t used = slot_table_is_used(&fixture->table, 0) +
                    slot_table_is_used(&fixture->table, SLOTS_PER_PAGE);
    used_pages_must_be(fixture, used);
}

int main(void)
{
    watchdog_start("slot-table-race-test", 300);
    const struct CMUnitTest tests[] = {
        TABLE_TEST(trying_looks_again_once_it_has_the_lock),
        TABLE_TEST(page_that_a_mover_touches_late_is_charged),
        TABLE_TEST(page_that_a_mark_touches_late_is_charged),
        TABLE_TEST(marks_change_only_what_is_unlocked_and_as_expected),
        TABLE_TEST(waiter_that_sleeps_late_still_sees_the_unlock),
        TABLE_TEST(all_who_sleep_for_one_slot_get_it),
        TABLE_TEST(all_who_sleep_for_different_slots_get_theirs),
        TABLE_TEST(many_threads_on_one_slot_lose_no_turn),
        TABLE_TEST(discard_that_finds_a_slot_locked_late_unlocks_the_others),
        TABLE_TEST(page_that_two_discard_at_once_is_given_back_once),
        TABLE_TEST(lockers_of_a_page_that_is_being_discarded_get_their_slots),
        TABLE_TEST(users_of_a_page_that_is_being_discarded_charge_it_once),
        TABLE_TEST(lockers_of_a_page_whose_discard_fails_get_their_slots),
        TABLE_TEST(users_of_a_page_whose_discard_fails_charge_it_once),
        TABLE_TEST(page_that_two_threads_use_at_once_is_charged_once),
        TABLE_TEST(slots_keep_their_content_while_their_pages_are_discarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
