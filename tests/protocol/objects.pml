/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * objects.pml: blocks that are read, written and freed while movers move their objects:
 * device/block.c and device/owner.c with zpool/zsmalloc/{zsmalloc,move,compact,settle,migrate}.c.
 *
 * One size class of ZSPAGES zspages with PLACES places each, and BLOCKS blocks. A place has a page
 * of its own, so that settling can discard it. The threads, which stop at any time:
 *
 *      here                     in the code
 *      ----------------------   ----------------------------------------------------------------
 *      client block_read        the same: lock the slot, read from the object, unlock
 *             write_in_place    store, when the new content has the same room
 *             write_elsewhere   store, into a new object; the old one is freed then
 *             block_free        the same: publish an empty slot, free the object
 *             zs_alloc, _free   the same
 *      mover  empty_source      the same, of compact_class; and zs_migrate, which differs in giving
 *                               the class's lock up between isolating, moving and putting back
 *             settle_source     move_to_front and pages_discard, of settle_class
 *             zs_move           zs_move_locked, with owner_try_lock and owner_moved
 *
 * What is done under the class's lock, and seen by nobody without it, is one step. A mover holds
 * that lock over many steps, and gives way between objects. Which zspage is taken, by an allocation
 * or a mover, is left open: any that the code could take, and more. Waiting for a slot's lock is
 * one step here; slots.pml has how it is done. How migration gets from a page to its zspage is in
 * migration.pml.
 *
 * Proved, for every order of steps:
 *   - who holds a slot finds in its object what was last written to the block, whole
 *   - no place is freed twice, or while a slot names it; no zspage is destroyed twice, or while it
 *     has an object
 *   - no page is discarded while its place is used
 *   - nobody waits for good: whoever is left when all others have stopped comes to its end
 *   - as long as threads want something, one of them gets on (no cycle without progress)
 */
#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifndef ZSPAGES
#define ZSPAGES 2
#endif
#ifndef PLACES
#define PLACES 2
#endif
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef MOVERS
#define MOVERS 1
#endif

/* A place's number is its position; place 0 is nobody's, and so is zspage 0. */
#define ALL_PLACES    ((ZSPAGES + 1) * PLACES)
#define NONE          0
#define ZSPAGE_OF(at) ((at) / PLACES)

/* Slots: where the block's object is, and the lock bit. */
byte position[BLOCKS];
bool locked[BLOCKS];

/* An owner field that the place's present owner has not written: any number may be in it. */
#define UNKNOWN BLOCKS

/* Bytes: what was last written to a block, an older content of any block, neither. */
#define CONTENT(b) ((b) + 1)
#define OLD        254
#define TORN       255

/* The pool. A place has its bit in `used`, its owner field and its bytes. */
bool class_locked;
mtype = { FREE, LISTED, ISOLATED };
mtype state[ZSPAGES + 1] = FREE;
byte used_count[ZSPAGES + 1];
bool used[ALL_PLACES];
byte owner[ALL_PLACES] = UNKNOWN;
byte bytes[ALL_PLACES];

bool written[BLOCKS]; /* What the proof remembers: whether a block has any content. */

hidden byte i; /* counts within one step */

/*
 * Zspages and places, under the class's lock.
 */

/* Takes the lowest free place of a zspage; what is in it is anybody's. */
inline zspage_take(zspage, place)
{
    place = zspage * PLACES;
    do
    :: used[place] -> place++
    :: else -> break
    od;
    assert(ZSPAGE_OF(place) == zspage && state[zspage] != FREE);
    used[place] = true;
    used_count[zspage]++
}

inline zspage_give(place)
{
    assert(used[place]);
    for (i : 0 .. BLOCKS - 1) {
        assert(position[i] != place)
    }
    i = 0;
    used[place] = false;
    owner[place] = UNKNOWN;
    bytes[place] = 0; /* Whoever looks at them now fails because the place isn't used. */
    used_count[ZSPAGE_OF(place)]--
}

inline zspage_destroy(zspage)
{
    assert(state[zspage] != FREE && used_count[zspage] == 0);
    state[zspage] = FREE
}

inline zspage_putback(zspage)
{
    assert(state[zspage] == ISOLATED);
#ifdef MISTAKE_DESTROYED_ZSPAGE_STAYS_IN_LIST
    if
    :: used_count[zspage] == 0 -> zspage_destroy(zspage)
    :: else ->
        isolated[zspage] = false;
        state[zspage] = LISTED
    fi
#else
    isolated[zspage] = false; /* list_remove */
    if
    :: used_count[zspage] == 0 -> zspage_destroy(zspage)
    :: else -> state[zspage] = LISTED
    fi
#endif
}

#ifdef MISTAKE_ALLOC_INTO_ISOLATED
#define CAN_TAKE(z) (state[z] != FREE && used_count[z] < PLACES)
#else
#define CAN_TAKE(z) (state[z] == LISTED && used_count[z] < PLACES)
#endif

/* A zspage with a free place, or a new one; NONE if there is no room for that. */
inline zspage_for_alloc(zspage)
{
    select(zspage : 1 .. ZSPAGES);
    if
    :: state[zspage] == FREE && (zspage == 1 || state[zspage - 1] != FREE) ->
        state[zspage] = LISTED
    :: CAN_TAKE(zspage)
    :: else -> zspage = NONE
    fi
}

/*
 * Clients. Each request begins with a lock on its block's slot; which it is shows afterwards.
 */

inline slot_lock()
{
    atomic {
        select(block : 0 .. BLOCKS - 1);
        !locked[block];
        locked[block] = true;
        old = position[block]
    }
}

/* Publishes the slot, with its object at `at`, and unlocks it. */
inline slot_unlock(at)
{
    d_step {
        position[block] = at;
        locked[block] = false
    }
}

inline block_read()
{
    d_step {
        if
        :: old != NONE -> assert(used[old] && bytes[old] == CONTENT(block) && written[block])
        :: else -> assert(!written[block])
        fi;
        locked[block] = false
    }
}

/* Writes a new content: what was written to the block before is old, wherever it is. */
inline write_bytes(at)
{
    assert(used[at]);
    for (i : 0 .. ALL_PLACES - 1) {
        if
        :: bytes[i] == CONTENT(block) -> bytes[i] = OLD
        :: else
        fi
    }
    i = 0;
    bytes[at] = CONTENT(block);
    written[block] = true
}

inline write_in_place()
{
    d_step {
        assert(used[old]);
#ifdef MISTAKE_WRITE_IN_PLACE_UNLOCKED
        locked[block] = false;
#endif
        bytes[old] = TORN
    }
    d_step {
        write_bytes(old);
        locked[block] = false
    }
}

/* Takes a place, or leaves `new` NONE. */
inline zs_alloc()
{
    atomic {
        !class_locked;
        zspage_for_alloc(zspage);
        if
        :: zspage != NONE -> zspage_take(zspage, new)
        :: else
        fi;
        zspage = NONE
    }
}

#ifdef MISTAKE_FREE_DESTROYS_ISOLATED
#define MAY_DESTROY(z) true
#else
#define MAY_DESTROY(z) (state[z] == LISTED)
#endif

inline zs_free(place)
{
    atomic {
        !class_locked;
        zspage_give(place);
        if
        :: used_count[ZSPAGE_OF(place)] == 0 && MAY_DESTROY(ZSPAGE_OF(place)) ->
            zspage_destroy(ZSPAGE_OF(place))
        :: true /* One empty zspage is kept. */
        fi;
        place = NONE
    }
}

inline free_old()
{
    if
    :: old != NONE -> zs_free(old)
    :: else
    fi
}

/* The owner field and the bytes, both without the class's lock. */
inline store(at)
{
    d_step {
        owner[at] = block;
        write_bytes(at)
    }
}

inline write_elsewhere()
{
    zs_alloc();
    if
    :: new == NONE -> locked[block] = false /* ENOSPC: the old block is still there. */
    :: else ->
#ifdef MISTAKE_PUBLISH_BEFORE_STORE
        slot_unlock(new);
        store(new);
#else
        store(new);
#ifdef MISTAKE_FREE_BEFORE_PUBLISH
        free_old();
#endif
        slot_unlock(new);
#endif
        new = NONE;
        free_old()
    fi
}

inline block_free()
{
#ifdef MISTAKE_TRIM_WITHOUT_SLOT_LOCK
    locked[block] = false;
#endif
    d_step {
        written[block] = false;
        position[block] = NONE;
        locked[block] = false
    }
    free_old()
}

active [CLIENTS] proctype client()
{
    byte block, old, new, zspage;

progress:
    do
    :: slot_lock();
        if
        :: block_read()
        :: old != NONE -> write_in_place() /* The new content has the same room. */
        :: true -> write_elsewhere()
        :: true -> block_free()
        fi;
        d_step {
            block = 0;
            old = NONE
        }
    :: break
    od
}

/*
 * Movers, which hold the class's lock.
 */

inline lock_class()
{
    atomic {
        !class_locked;
        class_locked = true
    }
}

/* Lets others have the lock, perhaps. What was looked up under it counts no more. */
inline give_way()
{
    if
    :: true ->
        class_locked = false;
        lock_class();
#ifndef MISTAKE_TARGET_KEPT_AFTER_GIVING_WAY
        target = NONE
#endif
    :: true
    fi
}

inline copy()
{
    d_step {
        assert(used[from] && used[to]);
        bytes[to] = bytes[from];
        owner[to] = block
    }
}

inline owner_moved()
{
    d_step {
        position[block] = to;
        locked[block] = false
    }
}

#ifdef MISTAKE_NO_POSITION_CHECK
#define NAMES(b, at) (position[b] != NONE)
#else
#define NAMES(b, at) (position[b] == at)
#endif

/* Moves the object at `from` to the lowest free place of the target, if its owner isn't busy. */
inline zs_move()
{
    atomic { /* The owner field is believed only once the slot confirms it. */
        if
        :: owner[from] != UNKNOWN -> block = owner[from]
        :: else -> select(block : 0 .. BLOCKS - 1)
        fi
    }
#ifdef MISTAKE_MOVER_WAITS_FOR_SLOT
    !locked[block];
#endif
    d_step { /* owner_try_lock, and zspage_take if that has done it */
        if
        :: !locked[block] && NAMES(block, from) && used_count[target] < PLACES ->
            locked[block] = true;
            zspage_take(target, to)
        :: else
        fi
    }
    if
    :: to != NONE ->
#ifdef MISTAKE_MOVE_PUBLISHES_BEFORE_COPY
        owner_moved();
        copy();
#else
        copy();
        owner_moved();
#endif
        d_step {
            zspage_give(from);
            to = NONE
        }
    :: else
    fi;
    block = 0
}

#define HAS_NO_ROOM(z) (z == NONE || used_count[z] == PLACES)

/* empty_source of compaction, and zs_migrate: each object into a zspage that takes objects. */
inline empty_source()
{
    from = source * PLACES;
    do
    :: atomic {
            do
            :: from < (source + 1) * PLACES && !used[from] -> from++
            :: else -> break
            od;
            if
            :: from == (source + 1) * PLACES -> break
            :: from < (source + 1) * PLACES && HAS_NO_ROOM(target) -> zspage_for_alloc(target)
            :: else
            fi;
            if
            :: target == NONE -> break
            :: else
            fi
        }
        zs_move();
        give_way();
        from++
    :: true -> break /* The quota is used up. */
    od;
    atomic {
        target = NONE;
        from = NONE
    }
}

/* move_to_front, and pages_discard of the pages that no object touches. */
inline settle_source()
{
    target = source;
    from = (source + 1) * PLACES - 1;
    if
    :: used[from] && used_count[source] < PLACES ->
        zs_move();
        give_way()
    :: else
    fi;
    target = NONE;
    d_step {
        from = source * PLACES;
        for (i : 0 .. PLACES - 1) {
            idle[i] = !used[from + i]
        }
        i = 0;
        class_locked = false
    }
    d_step {
        for (i : 0 .. PLACES - 1) {
            if
            :: idle[i] ->
                assert(!used[from + i]);
                idle[i] = false
            :: else
            fi
        }
        i = 0;
        from = NONE
    }
    lock_class()
}

active [MOVERS] proctype mover()
{
    byte source, from, to, target, block;
    bool idle[PLACES];
    bool isolated[ZSPAGES + 1]; /* its list of zspages to put back: `stuck`, or `done` */

progress:
    do
    :: lock_class();
progress_quota: /* Zspage after zspage: the quota ends it. */
        do
        :: atomic {
                select(source : 1 .. ZSPAGES);
                if
                :: state[source] == LISTED ->
#ifndef MISTAKE_SOURCE_STAYS_LISTED
                    state[source] = ISOLATED;
                    isolated[source] = true
#endif
                :: else -> source = NONE
                fi
            }
            if
            :: source == NONE
            :: source != NONE -> empty_source()
            :: source != NONE -> settle_source()
            fi;
            source = NONE
        :: true -> break
        od;
        give_way();
        d_step {
            source = 1;
            do
            :: source > ZSPAGES -> break
            :: source <= ZSPAGES && isolated[source] -> zspage_putback(source)
            :: else -> source++
            od;
            source = NONE;
            class_locked = false
        }
    :: break
    od
}
