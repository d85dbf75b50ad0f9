/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot-table-test.c: one lock a block that loses no wake-up, and pages of slots that are charged
 * while a block on them is stored, and only then.
 */
#include "tests/device-support.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/memory.h"
#include "tests/device-madvise.h"
#include "tests/device-steps.h"

#define PAGE_COUNT  5u
#define BLOCK_COUNT (PAGE_COUNT * SLOTS_PER_PAGE - 7) /* the last page is not whole */

/* More than parking lots, so that some waiters of different slots share one. */
#define WAITER_COUNT 96

struct fixture {
    struct slot_table table;
    struct budget budget;
};

static struct fixture *fixture_of(uint64_t block_count, uint64_t limit_pages)
{
    struct fixture *fixture = aligned_alloc(64, (sizeof *fixture + 63) / 64 * 64);
    memset(fixture, 0, sizeof *fixture);
    budget_init(&fixture->budget, limit_pages);
    assert_int_equal(slot_table_init(&fixture->table, block_count, &fixture->budget), 0);
    return fixture;
}

static int set_up(void **state)
{
    *state = fixture_of(BLOCK_COUNT, UINT64_MAX);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    slot_table_fini(&fixture->table);
    assert_int_equal(atomic_load(&fixture->budget.used_pages), 0);
    free(fixture);
    return 0;
}

static void used_pages_must_be(struct fixture *fixture, uint64_t expected)
{
    uint64_t used = 0;
    const struct slot_table *table = &fixture->table;
    for (uint64_t page = slot_table_next_used(table, 0); page < table->page_count;
         page = slot_table_next_used(table, page + 1))
        used++;
    assert_int_equal(used, expected);
    assert_int_equal(atomic_load(&table->used_pages), expected);
    assert_int_equal(atomic_load(&fixture->budget.used_pages), expected);
}

static struct slot slot_with(uint64_t pattern)
{
    struct slot slot;
    must(slot_pack_same(pattern, &slot));
    return slot;
}

static struct slot slot_with_object(uint64_t position)
{
    struct slot slot;
    must(slot_pack_object(SLOT_OBJECT, 1, 100, (struct zpool_handle){position}, &slot));
    return slot;
}

static void put(struct slot_table *table, block_no block, struct slot slot)
{
    assert_int_equal(slot_table_use(table, block), 0);
    slot_lock(table, block);
    slot_unlock(table, block, slot);
}

static void largest_table_reads_empty_and_has_nothing_resident(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        skip_because("a table of 32 GiB of addresses needs more shadow than there is");
    struct fixture *fixture = fixture_of(BLOCK_COUNT_MAX, UINT64_MAX);
    uint64_t before = process_resident_bytes();
    assert_false(slot_table_is_used(&fixture->table, UINT32_MAX));
    assert_int_equal(slot_table_next_used(&fixture->table, 0), fixture->table.page_count);
    put(&fixture->table, UINT32_MAX, slot_with(1));
    put(&fixture->table, 0, slot_with(2));
    assert_true(slot_pattern(slot_peek(&fixture->table, UINT32_MAX)) == 1);
    assert_true(slot_pattern(slot_peek(&fixture->table, 0)) == 2);
    used_pages_must_be(fixture, 2);
    assert_true(process_resident_bytes() - before < 2 * MIB);
    void *to_tear_down = fixture;
    tear_down(&to_tear_down);
}

static void using_a_block_charges_its_page_of_slots_once(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(slot_table_use(&fixture->table, 0), 0);
    used_pages_must_be(fixture, 1);
    assert_int_equal(slot_table_use(&fixture->table, SLOTS_PER_PAGE - 1), 0);
    used_pages_must_be(fixture, 1);
    assert_false(slot_table_is_used(&fixture->table, SLOTS_PER_PAGE));
    assert_int_equal(slot_table_use(&fixture->table, SLOTS_PER_PAGE), 0);
    assert_int_equal(slot_table_use(&fixture->table, BLOCK_COUNT - 1), 0);
    used_pages_must_be(fixture, 3);
}

static void use_beyond_the_budget_returns_enospc_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(slot_table_use(&fixture->table, 0), 0);
    budget_set_limit(&fixture->budget, 1);
    assert_int_equal(slot_table_use(&fixture->table, SLOTS_PER_PAGE), -ENOSPC);
    assert_false(slot_table_is_used(&fixture->table, SLOTS_PER_PAGE));
    assert_int_equal(slot_table_use(&fixture->table, 1), 0);
    used_pages_must_be(fixture, 1);

    budget_set_limit(&fixture->budget, UINT64_MAX);
    memory_fail_after(0, false);
    assert_int_equal(slot_table_use(&fixture->table, SLOTS_PER_PAGE), -ENOSPC);
    memory_fail_after(-1, false);
    used_pages_must_be(fixture, 1);
}

static void each_reservation_failing_in_turn_returns_enomem_and_leaves_nothing(void **state)
{
    (void)state;
    struct slot_table *table = aligned_alloc(64, (sizeof *table + 63) / 64 * 64);
    struct budget budget;
    budget_init(&budget, UINT64_MAX);
    uint64_t before = process_address_bytes();
    for (long failing = 0; failing < 2; failing++) {
        memset(table, 0, sizeof *table);
        memory_fail_after(failing, false);
        assert_int_equal(slot_table_init(table, UINT64_C(1) << 30, &budget), -ENOMEM);
        memory_fail_after(-1, false);
        slot_table_fini(table); /* allowed */
    }
    assert_true(process_address_bytes() - before < 64 * MIB);
    free(table);
}

static void lock_returns_what_unlock_has_published(void **state)
{
    struct slot_table *table = &((struct fixture *)*state)->table;
    for (block_no block = 0; block < BLOCK_COUNT; block++)
        put(table, block, slot_with(block));
    for (block_no block = 0; block < BLOCK_COUNT; block++) {
        struct slot slot = slot_lock(table, block);
        assert_true(slot.word == slot_with(block).word);
        assert_true(slot_peek(table, block).word == slot.word); /* its lock is not seen */
        slot_unlock(table, block, slot);
        assert_true(atomic_load(&table->words[block]) == slot.word);
    }
}

static void trying_locks_only_the_slot_that_names_the_object(void **state)
{
    struct slot_table *table = &((struct fixture *)*state)->table;
    const struct zpool_handle object = {77}, other = {78};
    struct slot slot;

    assert_false(slot_lock_try(table, 3, object, &slot)); /* its page is not used */
    assert_false(slot_table_is_used(table, 3));
    put(table, 3, slot_with_object(77));
    put(table, 4, slot_with_object(78));
    assert_false(slot_lock_try(table, 3, other, &slot));
    assert_false(slot_lock_try(table, 4, object, &slot));
    assert_false(slot_lock_try(table, 5, object, &slot)); /* empty */
    assert_false(slot_lock_try(table, BLOCK_COUNT, object, &slot));
    assert_false(slot_lock_try(table, UINT32_MAX, object, &slot)); /* rubbish, as a mover reads */

    /* A pattern whose bits look like the object's position. */
    put(table, 5, slot_with(UINT64_C(77) << SLOT_LENGTH_BITS));
    assert_true(slot_object(slot_peek(table, 5)).position == 77);
    assert_false(slot_lock_try(table, 5, object, &slot));

    assert_true(slot_lock_try(table, 3, object, &slot));
    assert_true(slot.word == slot_with_object(77).word);
    assert_false(slot_lock_try(table, 3, object, &slot)); /* locked already */
    slot_unlock(table, 3, slot_moved_to(slot, other));
    assert_true(slot_lock_try(table, 3, other, &slot));
    slot_unlock(table, 3, slot);
}

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
    put(table, 3, slot_with_object(77));
    struct gate *gate = gate_set("slot: names the object, not locked yet", GATE_STOPS_FIRST);
    pthread_t mover = thread_start(try_for_77, table);
    gate_await(gate, 1);
    put(table, 3, slot_with_object(78));
    gate_open(gate);
    assert_null(thread_join(mover));
    gates_remove();
    assert_true(atomic_load(&table->words[3]) == slot_with_object(78).word);
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

static bool is_resident(const struct slot_table *table, uint64_t page)
{
    return resident_pages((const void *)(uintptr_t)&table->words[page * SLOTS_PER_PAGE], 4096) > 0;
}

static void discard_gives_an_empty_page_back_and_only_that(void **state)
{
    struct fixture *fixture = *state;
    struct slot_table *table = &fixture->table;
    assert_false(slot_table_discard(table, 0)); /* not used */
    put(table, SLOTS_PER_PAGE, slot_with(5));
    put(table, 2 * SLOTS_PER_PAGE - 1, slot_with(6));
    put(table, 0, slot_with(4));
    assert_true(is_resident(table, 1));

    assert_false(slot_table_discard(table, SLOTS_PER_PAGE));
    put(table, SLOTS_PER_PAGE, slot_empty());
    assert_false(slot_table_discard(table, SLOTS_PER_PAGE)); /* its last slot is in use */
    assert_true(slot_pattern(slot_peek(table, 2 * SLOTS_PER_PAGE - 1)) == 6);
    put(table, 2 * SLOTS_PER_PAGE - 1, slot_empty());
    slot_lock(table, SLOTS_PER_PAGE + 10);
    assert_false(slot_table_discard(table, SLOTS_PER_PAGE)); /* a slot is locked */
    slot_unlock(table, SLOTS_PER_PAGE + 10, slot_empty());
    used_pages_must_be(fixture, 2);

    assert_true(slot_table_discard(table, SLOTS_PER_PAGE + 20)); /* any block of it will do */
    used_pages_must_be(fixture, 1);
    assert_false(slot_table_is_used(table, SLOTS_PER_PAGE));
    assert_false(is_resident(table, 1));
    assert_true(slot_pattern(slot_peek(table, 0)) == 4);
    put(table, SLOTS_PER_PAGE, slot_with(7));
    used_pages_must_be(fixture, 2);
}

static void *discard_first_page(void *context)
{
    return slot_table_discard(context, 0) ? context : NULL;
}

static void discard_that_finds_a_slot_locked_late_unlocks_the_others(void **state)
{
    struct fixture *fixture = *state;
    struct slot_table *table = &fixture->table;
    put(table, 0, slot_empty());
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
    put(&fixture->table, 0, slot_empty());
    put(&fixture->table, SLOTS_PER_PAGE, slot_with(1));
    struct gate *seen_empty = gate_set("slots: page seen empty, not locked yet", GATE_STOPS_FIRST);
    pthread_t discarder = thread_start(discard_first_page, &fixture->table);
    gate_await(seen_empty, 1);
    assert_true(slot_table_discard(&fixture->table, 0));
    gate_open(seen_empty);
    thread_join(discarder);
    gates_remove();
    used_pages_must_be(fixture, 1);
    assert_false(is_resident(&fixture->table, 0));
}

static void discard_that_the_system_refuses_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct slot_table *table = &fixture->table;
    put(table, 0, slot_with(5));
    put(table, 0, slot_empty());
    madvise_refuse(MADV_DONTNEED, ENOMEM);
    assert_false(slot_table_discard(table, 0));
    assert_int_equal(madvise_refused(), 1);
    madvise_refuse(0, 0);
    used_pages_must_be(fixture, 1);
    for (block_no block = 0; block < SLOTS_PER_PAGE; block++)
        assert_true(atomic_load(&table->words[block]) == 0);
    assert_true(slot_table_discard(table, 0));
    used_pages_must_be(fixture, 0);
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
    put(table, 0, slot_empty());
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
        put(table, i * 63, slot_empty());
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

/* Found used, then discarded, then locked: the lock charges what is resident again. */
static void locking_a_slot_of_a_page_discarded_just_before_charges_it(void **state)
{
    struct fixture *fixture = *state;
    put(&fixture->table, 0, slot_empty());
    assert_true(slot_table_discard(&fixture->table, 0));
    used_pages_must_be(fixture, 0);
    budget_set_limit(&fixture->budget, 0);
    struct slot slot = slot_lock(&fixture->table, 1);
    slot_unlock(&fixture->table, 1, slot);
    used_pages_must_be(fixture, 1);
    assert_true(slot_table_discard(&fixture->table, 0));
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

static void next_used_is_the_first_used_page_at_or_behind_the_place(void **state)
{
    (void)state;
    const uint64_t page_count = 200; /* several words of bits, the last not whole */
    struct fixture *fixture = fixture_of(page_count * SLOTS_PER_PAGE, UINT64_MAX);
    struct slot_table *table = &fixture->table;
    struct rng rng = rng_of(3);
    bool used[200] = {false};
    for (unsigned round = 0; round < 60; round++) {
        uint64_t next = page_count;
        for (uint64_t page = page_count; page-- > 0;) {
            next = used[page] ? page : next;
            assert_int_equal(slot_table_next_used(table, page), next);
        }
        assert_int_equal(slot_table_next_used(table, page_count), page_count);
        assert_int_equal(slot_table_next_used(table, page_count + 1000), page_count);
        static const uint64_t first[] = {199, 0, 63, 64, 127, 128};
        uint64_t page = round < array_count(first) ? first[round] : rng_below(&rng, page_count);
        if (used[page])
            assert_true(slot_table_discard(table, (block_no)(page * SLOTS_PER_PAGE)));
        else
            assert_int_equal(slot_table_use(table, (block_no)(page * SLOTS_PER_PAGE + 5)), 0);
        used[page] = !used[page];
    }
    void *to_tear_down = fixture;
    tear_down(&to_tear_down);
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
            put(&fixture->table, block, slot_empty());
    }
    uint64_t used = slot_table_is_used(&fixture->table, 0) +
                    slot_table_is_used(&fixture->table, SLOTS_PER_PAGE);
    used_pages_must_be(fixture, used);
}

#define TABLE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    watchdog_start("slot-table-test", 300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(largest_table_reads_empty_and_has_nothing_resident),
        cmocka_unit_test(each_reservation_failing_in_turn_returns_enomem_and_leaves_nothing),
        TABLE_TEST(using_a_block_charges_its_page_of_slots_once),
        TABLE_TEST(use_beyond_the_budget_returns_enospc_and_changes_nothing),
        TABLE_TEST(lock_returns_what_unlock_has_published),
        TABLE_TEST(trying_locks_only_the_slot_that_names_the_object),
        TABLE_TEST(trying_looks_again_once_it_has_the_lock),
        TABLE_TEST(waiter_that_sleeps_late_still_sees_the_unlock),
        TABLE_TEST(all_who_sleep_for_one_slot_get_it),
        TABLE_TEST(all_who_sleep_for_different_slots_get_theirs),
        TABLE_TEST(many_threads_on_one_slot_lose_no_turn),
        TABLE_TEST(discard_gives_an_empty_page_back_and_only_that),
        TABLE_TEST(discard_that_finds_a_slot_locked_late_unlocks_the_others),
        TABLE_TEST(page_that_two_discard_at_once_is_given_back_once),
        TABLE_TEST(discard_that_the_system_refuses_changes_nothing),
        TABLE_TEST(lockers_of_a_page_that_is_being_discarded_get_their_slots),
        TABLE_TEST(users_of_a_page_that_is_being_discarded_charge_it_once),
        TABLE_TEST(lockers_of_a_page_whose_discard_fails_get_their_slots),
        TABLE_TEST(users_of_a_page_whose_discard_fails_charge_it_once),
        TABLE_TEST(locking_a_slot_of_a_page_discarded_just_before_charges_it),
        TABLE_TEST(page_that_two_threads_use_at_once_is_charged_once),
        cmocka_unit_test(next_used_is_the_first_used_page_at_or_behind_the_place),
        TABLE_TEST(slots_keep_their_content_while_their_pages_are_discarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
