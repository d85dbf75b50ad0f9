/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slots.pml: the lock in a slot's word, the sleep of those that wait for it, and giving a page of
 * slots back: device/slot_table.c, and device/block.c as far as it uses that.
 *
 * One page of SLOTS slots. What a block holds is in its word alone, as with same-filled blocks, but
 * some of it, OBJECT, may only be looked at under the slot's lock. The threads, each of which does
 * what it does again and again, and stops at any time:
 *
 *      here                     in the code
 *      ----------------------   ----------------------------------------------------------------
 *      client    block_read     the same: read_from_word, else under the slot's lock
 *                block_write    store: slot_table_use, slot_lock, slot_unlock with the new word
 *                block_free     the same: publishes an empty slot
 *      sweeper                  slot_table_discard, of free_blocks or the maintenance thread
 *      mover                    slot_lock_try, of owner_try_lock; and it unlocks without a change
 *
 * The inlines have the names of the functions whose steps they are. A step is one atomic operation
 * or system call of the code, but where nothing is lost by it two are one:
 *   - a load and the compare-exchange behind it, since an exchange that fails is tried again; and
 *     the spins before a sleep, which are such tries, are left out
 *   - setting the page's used bit and charging for it: charges only add up
 *   - looking at the used bit and then at the word: if the bit is set, it is as if all began later
 *   - looking for sleepers and waking them: who sleeps has added itself to `sleepers` before
 * Memory order isn't modelled: a step is seen by all at once.
 *
 * Proved, for every order of steps:
 *   - a read returns what the block held at some moment between its begin and its end
 *   - who locks a slot finds what was last published
 *   - nobody sleeps for good: whoever is left when all others have stopped gets the lock and stops
 *   - as long as threads wait, one of them gets on (no cycle without progress)
 *   - no charge is taken back twice, and when all have stopped the page is charged once if it is
 *     resident, else not at all
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef LOTS
#define LOTS 1 /* parking lots: slot s has lot s % LOTS */
#endif
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef SWEEPERS
#define SWEEPERS 1
#endif
#ifndef MOVERS
#define MOVERS 0
#endif
#define THREADS (CLIENTS + SWEEPERS + MOVERS)

/* A word: its two low bits, and above them what the block holds. */
#define LOCK       1
#define PARK       2
#define EMPTY      0
#define SAME       4 /* content in the word itself */
#define OBJECT     8 /* content that only the holder of the lock may look at */
#define PLAIN(w)   ((w) & ~(LOCK | PARK))
#define SEEN(w)    (1 << (PLAIN(w) >> 2))
#define LOT_OF(s)  ((s) % LOTS)
#define NO_SLOT    SLOTS
#define NO_LOT     LOTS

byte words[SLOTS];
bool used;       /* the page's bit in slot_table.used */
byte used_pages; /* slot_table.used_pages */
byte charged;    /* what the page costs in the budget */
bool resident;   /* what the system has given to it */

/*
 * A lot's sequence never comes back to a value that a thread still has in mind, so all that counts
 * is whether it has changed since the thread looked.
 */
bool sequence_changed[THREADS];
bool asleep[THREADS];
byte waits_in[THREADS] = NO_LOT; /* the lot whose sleepers count it */

/* What the proof remembers: what was last published, and what each reader may return. */
byte published[SLOTS];
byte reads[THREADS] = NO_SLOT;
byte may_return[THREADS];
byte running = THREADS;

hidden byte other; /* counts within one step */

/* mark_used, and the charge for it: who was not the first takes his charge back. */
inline mark_used_and_charge()
{
    d_step {
        if
        :: !used ->
            used = true;
            used_pages++;
            charged++
        :: else
        fi
    }
}

inline slot_table_use()
{
    mark_used_and_charge()
}

/* After a slot was locked: its page may have been given back just before, and is resident again. */
inline recharge_if_discarded()
{
    mark_used_and_charge()
}

/* The lock bit of a free slot; to write to the page makes it resident. */
inline set_lock_bit(s)
{
    assert(words[s] == published[s]);
    words[s] = words[s] | LOCK;
    resident = true
}

inline take_if_free(s)
{
    d_step {
        if
        :: !(words[s] & LOCK) ->
            set_lock_bit(s);
            taken = true
        :: else
        fi
    }
}

/* Takes the lock if it is free; else sets the park bit, if it isn't set. */
inline take_or_park(s)
{
    d_step {
        if
        :: !(words[s] & LOCK) ->
            set_lock_bit(s);
            taken = true
        :: else -> words[s] = words[s] | PARK
        fi
    }
}

inline futex_wait()
{
#ifdef MISTAKE_PARK_WITHOUT_SEQUENCE
    asleep[me] = true;
#else
    d_step {
        asleep[me] = !sequence_changed[me];
        sequence_changed[me] = false
    }
#endif
    !asleep[me]
}

inline wait_and_take(s)
{
    do
    :: taken ->
        waits_in[me] = NO_LOT;
        break
    :: else ->
        d_step { /* Becomes a sleeper, if it isn't yet, and looks at the sequence. */
            waits_in[me] = LOT_OF(s);
            sequence_changed[me] = false
        }
        take_or_park(s);
        if
        :: !taken -> futex_wait()
        :: else
        fi
    od
}

inline slot_lock(s)
{
    take_if_free(s);
    if
    :: !taken -> wait_and_take(s)
    :: else
    fi;
#ifndef MISTAKE_LOCK_WITHOUT_RECHARGE
    recharge_if_discarded();
#endif
    taken = false
}

inline wake_lot(lot)
{
    d_step {
        for (other : 0 .. THREADS - 1) {
            if
            :: waits_in[other] == lot && !asleep[other] -> sequence_changed[other] = true
            :: else
            fi
        }
        other = 0
    }
    d_step { /* futex_wake, if there are sleepers */
        for (other : 0 .. THREADS - 1) {
            if
            :: waits_in[other] == lot && asleep[other] ->
                asleep[other] = false;
#ifdef MISTAKE_WAKE_ONE
                break
#endif
            :: else
            fi
        }
        other = 0
    }
}

/* For the proof: content is what the block holds from this step on. */
inline note_published(s, content)
{
    published[s] = content;
    for (other : 0 .. THREADS - 1) {
        if
        :: reads[other] == s -> may_return[other] = may_return[other] | SEEN(content)
        :: else
        fi
    }
    other = 0
}

inline slot_unlock(s, content)
{
#ifdef MISTAKE_UNLOCK_WITHOUT_EXCHANGE
    word = words[s];
    d_step {
        words[s] = content;
        note_published(s, content)
    }
#else
#ifdef MISTAKE_WAKE_BEFORE_UNLOCK
    if
    :: words[s] & PARK -> wake_lot(LOT_OF(s))
    :: else
    fi;
#endif
    d_step {
        word = words[s];
        assert(word & LOCK);
        words[s] = content;
        note_published(s, content)
    }
#endif
#ifndef MISTAKE_WAKE_BEFORE_UNLOCK
    if
    :: word & PARK -> wake_lot(LOT_OF(s))
    :: else
    fi;
#endif
    word = 0
}

/* Locks all slots of the page if all are empty and free. taken: it did. */
inline lock_empty_page()
{
    if /* The look at all words before is but a hint. */
    :: words[0] == EMPTY && words[SLOTS - 1] == EMPTY ->
        do
        :: d_step {
                locked < SLOTS && words[locked] == EMPTY ->
                    set_lock_bit(locked);
                    locked++
            }
        :: locked == SLOTS ->
            taken = true;
            break
        :: locked < SLOTS && words[locked] != EMPTY ->
            do
            :: locked > 0 ->
                locked--;
                slot_unlock(locked, EMPTY)
            :: else -> break
            od;
            break
        od
    :: else
    fi
}

/* madvise: the page's words are zeros from here on. */
inline memory_discard()
{
    d_step {
        for (other : 0 .. SLOTS - 1) {
            words[other] = EMPTY
        }
        other = 0;
        resident = false
    }
}

inline slot_table_discard()
{
    if
    :: !used
    :: else ->
#ifdef MISTAKE_DISCARD_WITHOUT_LOCKS
        taken = words[0] == EMPTY && words[SLOTS - 1] == EMPTY;
        locked = SLOTS;
#else
        lock_empty_page();
#endif
        if
        :: taken ->
            taken = false;
#ifndef MISTAKE_DISCARD_WITHOUT_RECHARGE
            recharge_if_discarded(); /* Another thread may have discarded it since we looked. */
#endif
#ifndef MISTAKE_UNUSED_AFTER_DISCARD
            used = false;
#endif
            if
            :: memory_discard();
#ifdef MISTAKE_UNUSED_AFTER_DISCARD
                used = false;
#endif
                d_step {
                    assert(used_pages > 0 && charged > 0);
                    used_pages--;
                    charged--;
                    locked = 0
                }
#ifndef MISTAKE_DISCARD_WITHOUT_WAKING
#ifdef MISTAKE_DISCARD_WAKES_ONE_LOT
                wake_lot(0)
#else
                do /* Park bits went with the words: their threads can be in any lot. */
                :: locked < LOTS ->
                    wake_lot(locked);
                    locked++
                :: else -> break
                od;
                locked = 0
#endif
#endif
            :: d_step { /* The system has refused: mark_used again. */
                    if
                    :: used ->
                        charged--; /* Another thread has charged it again. */
#ifndef MISTAKE_REFUSED_DISCARD_COUNTS_TWICE
                        used_pages--
#endif
                    :: else -> used = true
                    fi
                }
                do
                :: locked > 0 ->
                    locked--;
                    slot_unlock(locked, EMPTY)
                :: else -> break
                od
            fi
        :: else
        fi;
        locked = 0
    fi
}

/* Of each request the choice of its block, and of what it writes, is one step with its first. */
#define ANY_SLOT select(s : 0 .. SLOTS - 1)

/* A mover takes a slot that holds its object, at once or not at all; it changes nothing here. */
inline slot_lock_try()
{
    atomic {
        ANY_SLOT;
        taken = used && PLAIN(words[s]) == OBJECT
    }
    if
    :: taken ->
        taken = false;
        take_if_free(s);
        if
        :: taken ->
            taken = false;
#ifndef MISTAKE_TRY_WITHOUT_RECHARGE
            recharge_if_discarded();
#endif
            slot_unlock(s, PLAIN(words[s]))
        :: else
        fi
    :: else
    fi
}

inline block_read()
{
    atomic {
        ANY_SLOT;
        reads[me] = s;
        may_return[me] = SEEN(published[s]);
        content = (used -> PLAIN(words[s]) : EMPTY)
    }
    if
    :: content == OBJECT ->
        slot_lock(s);
        content = PLAIN(words[s]);
        slot_unlock(s, content)
    :: else
    fi;
    d_step {
        assert(may_return[me] & SEEN(content));
        reads[me] = NO_SLOT;
        may_return[me] = 0
    }
}

inline block_write()
{
    atomic {
        ANY_SLOT;
        if
        :: content = SAME
        :: content = OBJECT
        fi;
        slot_table_use()
    }
    slot_lock(s);
    slot_unlock(s, content)
}

inline block_free()
{
    atomic {
        ANY_SLOT;
        content = (used -> PLAIN(words[s]) : EMPTY)
    }
    if
    :: content != EMPTY ->
        content = EMPTY;
        slot_lock(s);
        slot_unlock(s, EMPTY)
    :: else
    fi
}

/* What each thread has of its own. */
#define LOCALS \
    byte me = _pid, s, word, content, locked; \
    bool taken /* what an inline answers; false outside of one */

/* The last one to stop looks whether the accounts are right. */
inline stop()
{
    atomic {
        running--;
        if
        :: running == 0 ->
            assert(used == resident && used_pages == used && charged == used)
        :: else
        fi
    }
}

active [CLIENTS] proctype client()
{
    LOCALS;

progress:
    do
    :: if
#ifndef ONLY_WRITES /* more threads, then */
        :: block_read()
#endif
        :: block_write()
        :: block_free()
        fi;
        d_step {
            s = 0;
            content = 0
        }
    :: break
    od;
    stop()
}

active [SWEEPERS] proctype sweeper()
{
    LOCALS;

progress:
    do
    :: slot_table_discard()
    :: break
    od;
    stop()
}

active [MOVERS] proctype mover()
{
    LOCALS;

progress:
    do
    :: slot_lock_try();
        s = 0
    :: break
    od;
    stop()
}
