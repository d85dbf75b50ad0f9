/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot-table-test.c: one lock a block, and pages of slots that are charged while a block on them is
 * stored, and only then. With more than one thread: slot-table-race-test.c.
 */
#include "tests/slot-table-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/memory.h"
#include "tests/device-madvise.h"

static void largest_table_reads_empty_and_has_nothing_resident(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        skip_because("a table of 32 GiB of addresses needs more shadow than there is");
    struct fixture *fixture = fixture_of(BLOCK_COUNT_MAX);
    uint64_t before = process_resident_bytes();
    assert_false(slot_table_is_used(&fixture->table, UINT32_MAX));
    assert_int_equal(slot_table_next_used(&fixture->table, 0), fixture->table.page_count);
    slot_put(&fixture->table, UINT32_MAX, slot_with(1));
    slot_put(&fixture->table, 0, slot_with(2));
    assert_true(slot_pattern(slot_peek(&fixture->table, UINT32_MAX)) == 1);
    assert_true(slot_pattern(slot_peek(&fixture->table, 0)) == 2);
    used_pages_must_be(fixture, 2);
    assert_true(process_resident_bytes() - before < 2 * MIB);
    fixture_free(fixture);
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
    assert_int_equal(slot_table_use(&fixture->table, FIXTURE_BLOCKS - 1), 0);
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
    for (block_no block = 0; block < FIXTURE_BLOCKS; block++)
        slot_put(table, block, slot_with(block));
    for (block_no block = 0; block < FIXTURE_BLOCKS; block++) {
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
    slot_put(table, 3, slot_with_object(77));
    slot_put(table, 4, slot_with_object(78));
    assert_false(slot_lock_try(table, 3, other, &slot));
    assert_false(slot_lock_try(table, 4, object, &slot));
    assert_false(slot_lock_try(table, 5, object, &slot)); /* empty */
    assert_false(slot_lock_try(table, FIXTURE_BLOCKS, object, &slot));
    assert_false(slot_lock_try(table, UINT32_MAX, object, &slot)); /* rubbish, as a mover reads */

    /* A pattern whose bits look like the object's position. */
    slot_put(table, 5, slot_with(UINT64_C(77) << SLOT_LENGTH_BITS));
    assert_true(slot_object(slot_peek(table, 5)).position == 77);
    assert_false(slot_lock_try(table, 5, object, &slot));

    assert_true(slot_lock_try(table, 3, object, &slot));
    assert_true(slot.word == slot_with_object(77).word);
    assert_false(slot_lock_try(table, 3, object, &slot)); /* locked already */
    slot_unlock(table, 3, slot_moved_to(slot, other));
    assert_true(slot_lock_try(table, 3, other, &slot));
    slot_unlock(table, 3, slot);
}

static void discard_gives_an_empty_page_back_and_only_that(void **state)
{
    struct fixture *fixture = *state;
    struct slot_table *table = &fixture->table;
    assert_false(slot_table_discard(table, 0)); /* not used */
    slot_put(table, SLOTS_PER_PAGE, slot_with(5));
    slot_put(table, 2 * SLOTS_PER_PAGE - 1, slot_with(6));
    slot_put(table, 0, slot_with(4));
    assert_true(slot_page_is_resident(table, 1));

    assert_false(slot_table_discard(table, SLOTS_PER_PAGE));
    slot_put(table, SLOTS_PER_PAGE, slot_empty());
    assert_false(slot_table_discard(table, SLOTS_PER_PAGE)); /* its last slot is in use */
    assert_true(slot_pattern(slot_peek(table, 2 * SLOTS_PER_PAGE - 1)) == 6);
    slot_put(table, 2 * SLOTS_PER_PAGE - 1, slot_empty());
    slot_lock(table, SLOTS_PER_PAGE + 10);
    assert_false(slot_table_discard(table, SLOTS_PER_PAGE)); /* a slot is locked */
    slot_unlock(table, SLOTS_PER_PAGE + 10, slot_empty());
    used_pages_must_be(fixture, 2);

    assert_true(slot_table_discard(table, SLOTS_PER_PAGE + 20)); /* any block of it will do */
    used_pages_must_be(fixture, 1);
    assert_false(slot_table_is_used(table, SLOTS_PER_PAGE));
    assert_false(slot_page_is_resident(table, 1));
    assert_true(slot_pattern(slot_peek(table, 0)) == 4);
    slot_put(table, SLOTS_PER_PAGE, slot_with(7));
    used_pages_must_be(fixture, 2);
}

static void discard_that_the_system_refuses_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct slot_table *table = &fixture->table;
    slot_put(table, 0, slot_with(5));
    slot_put(table, 0, slot_empty());
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

/* Found used, then discarded, then locked: the lock charges what is resident again. */
static void locking_a_slot_of_a_page_discarded_just_before_charges_it(void **state)
{
    struct fixture *fixture = *state;
    slot_put(&fixture->table, 0, slot_empty());
    assert_true(slot_table_discard(&fixture->table, 0));
    used_pages_must_be(fixture, 0);
    budget_set_limit(&fixture->budget, 0);
    struct slot slot = slot_lock(&fixture->table, 1);
    slot_unlock(&fixture->table, 1, slot);
    used_pages_must_be(fixture, 1);
    assert_true(slot_table_discard(&fixture->table, 0));
}

static void next_used_is_the_first_used_page_at_or_behind_the_place(void **state)
{
    (void)state;
    const uint64_t page_count = 200; /* several words of bits, the last not whole */
    struct fixture *fixture = fixture_of(page_count * SLOTS_PER_PAGE);
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
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(largest_table_reads_empty_and_has_nothing_resident),
        cmocka_unit_test(each_reservation_failing_in_turn_returns_enomem_and_leaves_nothing),
        TABLE_TEST(using_a_block_charges_its_page_of_slots_once),
        TABLE_TEST(use_beyond_the_budget_returns_enospc_and_changes_nothing),
        TABLE_TEST(lock_returns_what_unlock_has_published),
        TABLE_TEST(trying_locks_only_the_slot_that_names_the_object),
        TABLE_TEST(discard_gives_an_empty_page_back_and_only_that),
        TABLE_TEST(discard_that_the_system_refuses_changes_nothing),
        TABLE_TEST(locking_a_slot_of_a_page_discarded_just_before_charges_it),
        cmocka_unit_test(next_used_is_the_first_used_page_at_or_behind_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
