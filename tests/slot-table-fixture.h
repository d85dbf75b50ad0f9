/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot-table-fixture.h: a table of slots with a budget of its own, for the tests of slot_table.c.
 */
#ifndef UZRAM_TESTS_SLOT_TABLE_FIXTURE_H
#define UZRAM_TESTS_SLOT_TABLE_FIXTURE_H

#include "tests/device-support.h"

#define FIXTURE_PAGES  5u
#define FIXTURE_BLOCKS (FIXTURE_PAGES * SLOTS_PER_PAGE - 7) /* the last page is not whole */

struct fixture {
    struct slot_table table;
    struct budget budget;
};

struct fixture *fixture_of(uint64_t block_count);
void fixture_free(struct fixture *fixture);

/* cmocka's: a fixture of FIXTURE_BLOCKS as *state, and its end, at which all must be uncharged. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
#define TABLE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

/* So many pages of slots are used, by each of the three that count them. */
void used_pages_must_be(struct fixture *fixture, uint64_t expected);

struct slot slot_with(uint64_t pattern);
struct slot slot_with_object(uint64_t position);

/* Uses the block's page, locks the slot and publishes this one. */
void slot_put(struct slot_table *table, block_no block, struct slot slot);

/* Whether the system has memory for that page of slots. */
bool slot_page_is_resident(const struct slot_table *table, uint64_t page);

#endif
