/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mutex.pml: the lock of classes, descriptors and pages: common/lock.c.
 *
 * THREADS threads take it and release it, again and again, and stop at any time. lock_give_way is
 * no more than that: `waiting` is a hint when to do it.
 *
 *      here                     in the code
 *      ----------------------   ----------------------------------------------------------------
 *      lock_acquire             take_if_free, and wait_and_take without its spins, which are tries
 *      lock_release             the same
 *      futex_wait, futex_wake   the system calls: compare and sleep in one step; wake any one
 *
 * Proved, for every order of steps:
 *   - never two threads hold it
 *   - nobody sleeps for good: whoever is left when all others have stopped gets the lock and stops
 *   - as long as threads wait, one of them gets it (no cycle without progress)
 */
#ifndef THREADS
#define THREADS 4
#endif

mtype = { FREE, HELD, HELD_AND_SLEPT_FOR };
mtype state = FREE;
bool asleep[THREADS];
byte holders; /* what the proof remembers */

inline take_if_free()
{
    d_step {
        old = state;
        if
        :: old == FREE -> state = HELD
        :: else
        fi
    }
}

inline futex_wait()
{
#ifdef MISTAKE_SLEEP_WITHOUT_COMPARE
    asleep[_pid] = true;
#else
    asleep[_pid] = state == HELD_AND_SLEPT_FOR;
#endif
    !asleep[_pid]
}

/* Wakes one of those that sleep, whichever. */
inline futex_wake()
{
    atomic {
        select(sleeper : 0 .. THREADS - 1);
        if
        :: asleep[sleeper] -> asleep[sleeper] = false
        :: else ->
            sleeper = 0;
            do
            :: sleeper == THREADS -> break
            :: sleeper < THREADS && asleep[sleeper] ->
                asleep[sleeper] = false;
                break
            :: else -> sleeper++
            od
        fi;
        sleeper = 0
    }
}

inline lock_acquire()
{
    take_if_free();
    do
    :: old == FREE -> break
    :: else ->
        d_step {
            old = state;
#ifdef MISTAKE_WAITER_TAKES_AS_HELD
            state = (old == FREE -> HELD : HELD_AND_SLEPT_FOR)
#else
            state = HELD_AND_SLEPT_FOR
#endif
        }
        if
        :: old != FREE -> futex_wait()
        :: else
        fi
    od;
    holders++;
    assert(holders == 1)
}

inline lock_release()
{
    holders--;
#ifdef MISTAKE_RELEASE_WITHOUT_EXCHANGE
    old = state;
    state = FREE;
#else
    d_step {
        old = state;
        state = FREE
    }
#endif
    if
    :: old == HELD_AND_SLEPT_FOR -> futex_wake()
    :: else
    fi
}

active [THREADS] proctype thread()
{
    mtype old = FREE;
    byte sleeper;

progress:
    do
    :: lock_acquire();
        lock_release();
        old = FREE
    :: break
    od
}
