/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot_table.h: one slot per block, each with its own lock.
 *
 *      words ─▶ [slot 0 | slot 1 | … 512 to a page …]     reserved for all blocks, resident where
 * used used  ─▶ [1 bit a page of words]                   set: the page is charged to the budget
 *      lots  ─▶ [sequence, sleepers] × 64                 where threads sleep for a slot's lock
 *
 * A page of words is charged when the first of its slots is locked, and given back when all of its
 * blocks are empty (slot_table_discard). To read a slot of a page that is not used is to read 0:
 * nothing is made resident.
 *
 * The lock is bit 0 of the word (LOCK_RANK_SLOT). A waiter spins shortly and then sleeps in the
 * slot's parking lot, because a holder can lose its CPU:
 *
 *      waiter                                        holder
 *      s = lot.sequence            (acquire)
 *      sets the park bit, if still locked
 *      sleeps while lot.sequence = s                 exchanges the word for the new one (release)
 *                                                    park bit was set: lot.sequence + 1 (release),
 *                                                    wakes all of the lot
 *
 * Either the holder's exchange sees the park bit, or the waiter sees the unlocked word.
 */
#ifndef UZRAM_DEVICE_SLOT_TABLE_H
#define UZRAM_DEVICE_SLOT_TABLE_H

#include <stdatomic.h>

#include "common/report.h"
#include "device/slot.h"
#include "pages/budget.h"

#define SLOTS_PER_PAGE    512u
#define PARKING_LOT_COUNT 64u

struct parking_lot {
    _Atomic uint32_t sequence;
    _Atomic uint32_t sleepers;
} cache_aligned;

struct slot_table {
    _Atomic uint64_t *words;
    _Atomic uint64_t *used;
    uint64_t block_count;
    uint64_t page_count;
    struct budget *budget;
    bool is_populated; /* its pages are never given back; set before it is used */
    _Atomic uint64_t used_pages;
    struct parking_lot lot[PARKING_LOT_COUNT];
};

/* Reserves the table for block_count (1 to BLOCK_COUNT_MAX) blocks. Returns 0 or -ENOMEM. */
int slot_table_init(struct slot_table *table, uint64_t block_count, struct budget *budget) must_use;

/* Releases it; a table of zeros is allowed. No slot may be locked. */
void slot_table_fini(struct slot_table *table);

/* Whether the block's page of slots is used; if not, the block is empty. */
static inline bool slot_table_is_used(const struct slot_table *table, block_no block)
{
    uint64_t page = block / SLOTS_PER_PAGE;
    /* acquire: pairs with the release in slot_table_use. */
    return atomic_load_explicit(&table->used[page / 64], memory_order_acquire) >> (page % 64) & 1;
}

/* Charges the block's page of slots, if it isn't used yet: before a slot of it is first locked. */
int slot_table_use(struct slot_table *table, block_no block) must_use;

/*
 * Makes the slots of the first block_count blocks resident and used, now and from now on: no access
 * to one of them is a page fault. Returns 0, -ENOSPC (the budget), or -ENOMEM. May be called again
 * for more blocks.
 */
int slot_table_populate(struct slot_table *table, uint64_t block_count) must_use;

/*
 * The slot as it is now, without its lock: for blocks whose content is in the slot itself, hints
 * and walks. Nothing keeps it so.
 */
static inline struct slot slot_peek(const struct slot_table *table, block_no block)
{
    uint64_t word = atomic_load_explicit(&table->words[block], memory_order_acquire);
    return (struct slot){word & ~(SLOT_LOCK_BIT | SLOT_PARK_BIT)};
}

/* Locks a slot of a used page and returns it. acquire: sees all that its last holder did. */
struct slot slot_lock(struct slot_table *table, block_no block);

/* Locks it if that can be done at once and it holds this object; *slot is the slot then. */
bool slot_lock_try(struct slot_table *table, block_no block, struct zpool_handle object,
                   struct slot *slot);

/* Publishes the slot (changed or not) and unlocks it. release: pairs with the next holder. */
void slot_unlock(struct slot_table *table, block_no block, struct slot slot);

/*
 * Puts `to` in place of `from`, if the slot is unlocked and just that. For marks (age, idle) alone:
 * whoever holds the slot's lock later sees what its last holder published, by way of this.
 */
bool slot_mark_try(struct slot_table *table, block_no block, struct slot from, struct slot to);

/*
 * Gives the page of slots that `block` is on back, if all of its blocks are empty and none is
 * locked. Makes a system call. Returns true if it did.
 */
bool slot_table_discard(struct slot_table *table, block_no block);

/* The first used page of slots at or behind `page`, or page_count. */
uint64_t slot_table_next_used(const struct slot_table *table, uint64_t page);

#endif
