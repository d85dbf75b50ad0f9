/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/slot_table.h"

#include <errno.h>
#include <limits.h>

#include "common/lock.h"
#include "common/memory.h"
#include "common/steps.h"

/* A holder that keeps its CPU decompresses a block in less: about 2 microseconds. */
#define SPINS_BEFORE_SLEEP 60

static size_t words_bytes(const struct slot_table *table)
{
    return table->page_count * SLOTS_PER_PAGE * sizeof(uint64_t);
}

static size_t used_bytes(const struct slot_table *table)
{
    size_t bytes = (table->page_count + 63) / 64 * sizeof(uint64_t);
    return (bytes + 4095) / 4096 * 4096;
}

int slot_table_init(struct slot_table *table, uint64_t block_count, struct budget *budget)
{
    table->block_count = block_count;
    table->page_count = (block_count + SLOTS_PER_PAGE - 1) / SLOTS_PER_PAGE;
    table->budget = budget;
    table->words = memory_reserve(words_bytes(table), 4096);
    table->used = memory_reserve(used_bytes(table), 4096);
    if (table->words != NULL && table->used != NULL)
        return 0;
    slot_table_fini(table);
    return -ENOMEM;
}

void slot_table_fini(struct slot_table *table)
{
    if (table->budget != NULL)
        budget_uncharge(table->budget, atomic_load(&table->used_pages));
    memory_release(table->words, words_bytes(table));
    memory_release(table->used, used_bytes(table));
    table->words = NULL;
    table->used = NULL;
    table->budget = NULL;
}

/* Marks the block's page used. True if it wasn't: the caller has charged it, or must. */
static bool mark_used(struct slot_table *table, block_no block)
{
    uint64_t page = block / SLOTS_PER_PAGE, bit = UINT64_C(1) << (page % 64);
    /* release: pairs with slot_table_is_used. */
    if (atomic_fetch_or_explicit(&table->used[page / 64], bit, memory_order_acq_rel) & bit)
        return false;
    atomic_fetch_add_explicit(&table->used_pages, 1, memory_order_relaxed);
    return true;
}

int slot_table_use(struct slot_table *table, block_no block)
{
    if (likely(slot_table_is_used(table, block)))
        return 0;
    if (memory_request_fails())
        return -ENOSPC;
    int error = budget_charge(table->budget, 1);
    step("slots: page found unused, not marked yet");
    if (error == 0 && !mark_used(table, block))
        budget_uncharge(table->budget, 1); /* Another thread was first. */
    return error;
}

int slot_table_populate(struct slot_table *table, uint64_t block_count)
{
    checked(block_count <= table->block_count);
    uint64_t pages = (block_count + SLOTS_PER_PAGE - 1) / SLOTS_PER_PAGE;
    int error = 0;
    table->is_populated = true;
    for (uint64_t page = 0; page < pages && error == 0; page++)
        error = slot_table_use(table, (block_no)(page * SLOTS_PER_PAGE));
    if (error == 0)
        error = memory_populate((void *)table->words, pages * SLOTS_PER_PAGE * sizeof(uint64_t));
    if (error == 0)
        error = memory_populate((void *)table->used, used_bytes(table));
    return error;
}

static struct parking_lot *lot_of(struct slot_table *table, block_no block)
{
    return &table->lot[(block * UINT32_C(2654435761)) >> 26];
}
static_assert(PARKING_LOT_COUNT == 1 << (32 - 26), "the hash picks one of the lots");

/* Takes the lock bit if it is clear; *word is what was there. acquire: see slot_unlock. */
static bool take_if_free(_Atomic uint64_t *address, uint64_t *word)
{
    *word = atomic_load_explicit(address, memory_order_relaxed);
    return !(*word & SLOT_LOCK_BIT) &&
           atomic_compare_exchange_strong_explicit(address, word, *word | SLOT_LOCK_BIT,
                                                   memory_order_acquire, memory_order_relaxed);
}

static uint64_t wait_and_take(struct slot_table *table, block_no block)
{
    _Atomic uint64_t *address = &table->words[block];
    uint64_t word;
    for (int spin = 0; spin < SPINS_BEFORE_SLEEP; spin++) {
        cpu_relax();
        if (take_if_free(address, &word))
            return word;
    }
    struct parking_lot *lot = lot_of(table, block);
    /*
     * seq_cst, with the sequence's increment in wake_all_lots: either that sees a sleeper and wakes
     * it, or the sleeper's futex call sees the new sequence and doesn't sleep.
     */
    atomic_fetch_add_explicit(&lot->sleepers, 1, memory_order_seq_cst);
    for (;;) {
        uint32_t sequence = atomic_load_explicit(&lot->sequence, memory_order_acquire);
        if (take_if_free(address, &word))
            break;
        if (!(word & SLOT_LOCK_BIT))
            continue;
        if (!(word & SLOT_PARK_BIT) &&
            !atomic_compare_exchange_strong_explicit(address, &word, word | SLOT_PARK_BIT,
                                                     memory_order_relaxed, memory_order_relaxed))
            continue;
        step("slot: about to sleep");
        futex_wait(&lot->sequence, sequence);
    }
    atomic_fetch_sub_explicit(&lot->sleepers, 1, memory_order_relaxed);
    return word;
}

/* After a slot was locked: its page may have been given back just before, and is resident again. */
static void recharge_if_discarded(struct slot_table *table, block_no block)
{
    if (likely(slot_table_is_used(table, block)))
        return;
    if (mark_used(table, block))
        budget_charge_always(table->budget, 1);
}

static struct slot without_lock(uint64_t word)
{
    return (struct slot){word & ~(SLOT_LOCK_BIT | SLOT_PARK_BIT)};
}

struct slot slot_lock(struct slot_table *table, block_no block)
{
    uint64_t word;
    checked(block < table->block_count);
    lock_rank_waited(LOCK_RANK_SLOT);
    if (unlikely(!take_if_free(&table->words[block], &word)))
        word = wait_and_take(table, block);
    lock_rank_taken(LOCK_RANK_SLOT);
    recharge_if_discarded(table, block);
    return without_lock(word);
}

bool slot_lock_try(struct slot_table *table, block_no block, struct zpool_handle object,
                   struct slot *slot)
{
    uint64_t word;
    if (block >= table->block_count || !slot_table_is_used(table, block))
        return false;
    *slot = slot_peek(table, block);
    if (!slot_has_object(*slot) || slot_object(*slot).position != object.position)
        return false;
    step("slot: names the object, not locked yet");
    if (!take_if_free(&table->words[block], &word))
        return false;
    lock_rank_taken(LOCK_RANK_SLOT);
    recharge_if_discarded(table, block);
    *slot = without_lock(word);
    if (slot_has_object(*slot) && slot_object(*slot).position == object.position)
        return true;
    slot_unlock(table, block, *slot);
    return false;
}

static void wake_lot(struct parking_lot *lot)
{
    atomic_fetch_add_explicit(&lot->sequence, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&lot->sleepers, memory_order_seq_cst) > 0)
        futex_wake(&lot->sequence, INT_MAX);
}

void slot_unlock(struct slot_table *table, block_no block, struct slot slot)
{
    checked(!(slot.word & (SLOT_LOCK_BIT | SLOT_PARK_BIT)));
    lock_rank_released(LOCK_RANK_SLOT);
    uint64_t old = atomic_exchange_explicit(&table->words[block], slot.word, memory_order_release);
    checked(old & SLOT_LOCK_BIT);
    if (unlikely(old & SLOT_PARK_BIT))
        wake_lot(lot_of(table, block));
}

bool slot_mark_try(struct slot_table *table, block_no block, struct slot from, struct slot to)
{
    checked(from.word != 0); /* An empty slot's page can be given back at any time. */
    uint64_t expected = from.word;
    step("slot: to be marked");
    /* relaxed: an exchange goes on with the release of the holder that published the slot. */
    if (atomic_compare_exchange_strong_explicit(&table->words[block], &expected, to.word,
                                                memory_order_relaxed, memory_order_relaxed))
        return true;
    if (unlikely(!slot_table_is_used(table, block))) {
        /* Given back meanwhile, and resident again since even a failed exchange writes. */
        struct slot slot = slot_lock(table, block);
        slot_unlock(table, block, slot);
    }
    return false;
}

/* Locks all slots of the page if all are empty and free. False: none is locked. */
static bool lock_empty_page(struct slot_table *table, block_no first)
{
    for (unsigned i = 0; i < SLOTS_PER_PAGE; i++)
        if (atomic_load_explicit(&table->words[first + i], memory_order_relaxed) != 0)
            return false;
    step("slots: page seen empty, not locked yet");
    for (unsigned i = 0; i < SLOTS_PER_PAGE; i++) {
        uint64_t expected = 0;
        if (atomic_compare_exchange_strong_explicit(&table->words[first + i], &expected,
                                                    SLOT_LOCK_BIT, memory_order_acquire,
                                                    memory_order_relaxed)) {
            lock_rank_taken(LOCK_RANK_SLOT);
            continue;
        }
        while (i-- > 0)
            slot_unlock(table, first + i, slot_empty());
        return false;
    }
    return true;
}

bool slot_table_discard(struct slot_table *table, block_no block)
{
    block_no first = block / SLOTS_PER_PAGE * SLOTS_PER_PAGE;
    uint64_t page = block / SLOTS_PER_PAGE, bit = UINT64_C(1) << (page % 64);
    if (table->is_populated || !slot_table_is_used(table, block) || !lock_empty_page(table, first))
        return false;

    /* Another thread may have discarded it since it was seen used. */
    recharge_if_discarded(table, first);

    /*
     * All slots are locked by us. Their memory becomes zeros, which are unlocked empty slots;
     * whoever locks one of them then finds its page not used, and charges it again.
     */
    atomic_fetch_and_explicit(&table->used[page / 64], ~bit, memory_order_release);
    step("slots: page marked unused, not discarded yet");
    if (memory_discard((void *)&table->words[first], SLOTS_PER_PAGE * sizeof(uint64_t)) != 0) {
        /* It is still charged, once by us and once by any thread that has used it meanwhile. */
        if (!mark_used(table, first))
            budget_uncharge(table->budget, 1);
        atomic_fetch_sub_explicit(&table->used_pages, 1, memory_order_relaxed);
        for (unsigned i = 0; i < SLOTS_PER_PAGE; i++)
            slot_unlock(table, first + i, slot_empty());
        return false;
    }
    for (unsigned i = 0; i < SLOTS_PER_PAGE; i++)
        lock_rank_released(LOCK_RANK_SLOT);
    atomic_fetch_sub_explicit(&table->used_pages, 1, memory_order_relaxed);
    budget_uncharge(table->budget, 1);
    /* Park bits went with the words: their threads can be in any lot. */
    for (unsigned i = 0; i < PARKING_LOT_COUNT; i++)
        wake_lot(&table->lot[i]);
    return true;
}

uint64_t slot_table_next_used(const struct slot_table *table, uint64_t page)
{
    while (page < table->page_count) {
        uint64_t word =
            atomic_load_explicit(&table->used[page / 64], memory_order_acquire) >> (page % 64);
        if (word != 0) {
            page += (uint64_t)__builtin_ctzll(word);
            break;
        }
        page = (page / 64 + 1) * 64;
    }
    return page < table->page_count ? page : table->page_count;
}
