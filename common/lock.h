/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.h: the one mutex of the core, and the order in which locks are taken.
 *
 *      rank   lock                protects                          may be waited for while holding
 *      ----   -----------------   -------------------------------   -------------------------------
 *        1    device admin        attributes, start and stop        nothing
 *        2    stream              a codec context                   admin
 *        3    slot (a bit)        one block's slot and object       admin, stream
 *        4    class               zspages of one size class         all above
 *        5    descriptors         free descriptors                  all above
 *        6    pages               arenas, free pages, mem_desc      all above
 *
 * A lock is waited for only by a thread whose locks all have lower ranks. Movers (compaction,
 * migration) hold a class and want a slot: they may only *try* it. A checked build verifies each
 * wait against the thread's own record and aborts on a violation.
 *
 * struct lock is a futex mutex: it spins shortly, because what it protects takes well under a
 * microsecond, then sleeps, because its holder may have lost its CPU. Unlike pthread_mutex_t it
 * can say that somebody waits, so that background work gives way after each object.
 *
 * Source of the three-state protocol: Ulrich Drepper, "Futexes Are Tricky", mutex 2.
 */
#ifndef UZRAM_COMMON_LOCK_H
#define UZRAM_COMMON_LOCK_H

#include <stdatomic.h>

#include "common/compiler.h"

enum lock_rank {
    LOCK_RANK_ADMIN = 1,
    LOCK_RANK_STREAM,
    LOCK_RANK_SLOT,
    LOCK_RANK_CLASS,
    LOCK_RANK_DESCRIPTORS,
    LOCK_RANK_PAGES,
    LOCK_RANK_COUNT
};

struct lock {
    _Atomic uint32_t state;   /* 0 free, 1 held, 2 held and perhaps slept for */
    _Atomic uint32_t waiting; /* threads that spin or sleep for it; a hint for lock_give_way */
#ifdef UZRAM_CHECKED
    enum lock_rank rank;
#endif
};

void lock_init(struct lock *lock, enum lock_rank rank);

/* Waits for the lock and takes it: acquires what the last lock_release released. */
void lock_acquire(struct lock *lock);

void lock_release(struct lock *lock);

/*
 * For background work that holds the lock: if another thread waits for it, lets that thread have
 * it first, and takes it again. Returns true if the lock was free in between, so that whatever was
 * read under it must be read anew.
 */
bool lock_give_way(struct lock *lock);

/* Aborts a checked build unless the calling thread holds a lock of this rank. */
#ifdef UZRAM_CHECKED
void lock_rank_waited(enum lock_rank rank); /* about to wait: all ranks held must be lower */
void lock_rank_taken(enum lock_rank rank);  /* taken, by waiting or by trying */
void lock_rank_released(enum lock_rank rank);
bool lock_rank_is_held(enum lock_rank rank);
#else
static inline void lock_rank_waited(enum lock_rank rank)
{
    (void)rank;
}
static inline void lock_rank_taken(enum lock_rank rank)
{
    (void)rank;
}
static inline void lock_rank_released(enum lock_rank rank)
{
    (void)rank;
}
#endif

/* The futex system call, for the parking lots of lock.c and slot locks. */
void futex_wait(_Atomic uint32_t *word, uint32_t expected);
void futex_wake(_Atomic uint32_t *word, int threads);

#endif
