/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/lock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/steps.h"

/* About two microseconds: longer than any holder needs that keeps its CPU. */
#define SPINS_BEFORE_SLEEP 60

/* A waiter that was given way takes the lock within this many looks, or lost its CPU. */
#define SPINS_FOR_GIVING_WAY 200

enum { FREE, HELD, HELD_AND_SLEPT_FOR };

void futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
    errno = saved;
}

void futex_wake(_Atomic uint32_t *word, int threads)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
    errno = saved;
}

#ifdef UZRAM_CHECKED
/* How many locks of each rank this thread holds. */
static _Thread_local unsigned ranks_held[LOCK_RANK_COUNT];

void lock_rank_waited(enum lock_rank rank)
{
    for (unsigned higher = rank; higher < LOCK_RANK_COUNT; higher++) {
        /* Slots are taken in ascending order by whoever holds several (slot_table.c). */
        if (higher == rank && rank == LOCK_RANK_SLOT)
            continue;
        checked(ranks_held[higher] == 0);
    }
}

void lock_rank_taken(enum lock_rank rank)
{
    ranks_held[rank]++;
}

void lock_rank_released(enum lock_rank rank)
{
    checked(ranks_held[rank] > 0);
    ranks_held[rank]--;
}

bool lock_rank_is_held(enum lock_rank rank)
{
    return ranks_held[rank] > 0;
}
#endif

void lock_init(struct lock *lock, enum lock_rank rank)
{
    atomic_init(&lock->state, FREE);
    atomic_init(&lock->waiting, 0);
#ifdef UZRAM_CHECKED
    lock->rank = rank;
#else
    (void)rank;
#endif
}

static bool take_if_free(struct lock *lock)
{
    uint32_t expected = FREE;
    /* acquire: pairs with the release exchange in lock_release. */
    return atomic_compare_exchange_strong_explicit(&lock->state, &expected, HELD,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void wait_and_take(struct lock *lock)
{
    /* relaxed: only a hint, read by lock_give_way. */
    atomic_fetch_add_explicit(&lock->waiting, 1, memory_order_relaxed);
    for (int spin = 0; spin < SPINS_BEFORE_SLEEP; spin++) {
        cpu_relax();
        if (atomic_load_explicit(&lock->state, memory_order_relaxed) == FREE && take_if_free(lock))
            goto taken;
    }
    /*
     * Mark the lock as slept for and sleep until it is free. Whoever takes it here leaves the mark,
     * since others may sleep too: the worst is one wake-up for nobody. acquire as above.
     */
    while (atomic_exchange_explicit(&lock->state, HELD_AND_SLEPT_FOR, memory_order_acquire) != FREE)
        futex_wait(&lock->state, HELD_AND_SLEPT_FOR);
taken:
    atomic_fetch_sub_explicit(&lock->waiting, 1, memory_order_relaxed);
}

void lock_acquire(struct lock *lock)
{
#ifdef UZRAM_CHECKED
    lock_rank_waited(lock->rank);
#endif
    if (unlikely(!take_if_free(lock)))
        wait_and_take(lock);
#ifdef UZRAM_CHECKED
    lock_rank_taken(lock->rank);
#endif
}

void lock_release(struct lock *lock)
{
#ifdef UZRAM_CHECKED
    lock_rank_released(lock->rank);
#endif
    /* release: pairs with the acquire of the next taker. */
    if (atomic_exchange_explicit(&lock->state, FREE, memory_order_release) == HELD_AND_SLEPT_FOR)
        futex_wake(&lock->state, 1);
}

bool lock_give_way(struct lock *lock)
{
    if (likely(atomic_load_explicit(&lock->waiting, memory_order_relaxed) == 0))
        return false;
    lock_release(lock);
    step("lock: given way");
    for (int spin = 0; spin < SPINS_FOR_GIVING_WAY; spin++) {
        if (atomic_load_explicit(&lock->waiting, memory_order_relaxed) == 0)
            break;
        cpu_relax();
    }
    lock_acquire(lock);
    return true;
}
