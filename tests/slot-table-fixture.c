/* SPDX-License-Identifier: BSD-3-Clause */
/* slot-table-fixture.c: see slot-table-fixture.h. */
#include "tests/slot-table-fixture.h"

#include <stdlib.h>

struct fixture *fixture_of(uint64_t block_count)
{
    struct fixture *fixture = aligned_alloc(64, (sizeof *fixture + 63) / 64 * 64);
    must(fixture != NULL);
    memset(fixture, 0, sizeof *fixture);
    budget_init(&fixture->budget, UINT64_MAX);
    must(slot_table_init(&fixture->table, block_count, &fixture->budget) == 0);
    return fixture;
}

void fixture_free(struct fixture *fixture)
{
    slot_table_fini(&fixture->table);
    must(atomic_load(&fixture->budget.used_pages) == 0);
    free(fixture);
}

int fixture_set_up(void **state)
{
    *state = fixture_of(FIXTURE_BLOCKS);
    return 0;
}

int fixture_tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

void used_pages_must_be(struct fixture *fixture, uint64_t expected)
{
    uint64_t used = 0;
    const struct slot_table *table = &fixture->table;
    for (uint64_t page = slot_table_next_used(table, 0); page < table->page_count;
         page = slot_table_next_used(table, page + 1))
        used++;
    must(used == expected);
    must(atomic_load(&table->used_pages) == expected);
    must(atomic_load(&fixture->budget.used_pages) == expected);
}

struct slot slot_with(uint64_t pattern)
{
    struct slot slot = slot_empty();
    must(slot_pack_same(pattern, &slot));
    return slot;
}

struct slot slot_with_object(uint64_t position)
{
    struct slot slot = slot_empty();
    must(slot_pack_object(SLOT_OBJECT, 1, 100, (struct zpool_handle){position}, &slot));
    return slot;
}

void slot_put(struct slot_table *table, block_no block, struct slot slot)
{
    must(slot_table_use(table, block) == 0);
    slot_lock(table, block);
    slot_unlock(table, block, slot);
}

bool slot_page_is_resident(const struct slot_table *table, uint64_t page)
{
    return resident_pages((const void *)(uintptr_t)&table->words[page * SLOTS_PER_PAGE], 4096) > 0;
}
