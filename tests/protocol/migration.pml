/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * migration.pml: emptying pages whose words, descriptors and arenas change hands meanwhile:
 * zpool/migrate.c, zpool/raw.c, zpool/zsmalloc/{migrate,zspage}.c, pages/{isolate,pages,purge}.c.
 *
 * A page is an arena, a run and a place at once: an arena has one page, a zspage one page with one
 * place. There are CLASSES size classes, and raw pages. The threads, which stop at any time:
 *
 *      here                     in the code
 *      ----------------------   ----------------------------------------------------------------
 *      client b                 store and block_free of block b, under its slot's lock
 *             zs_alloc, zs_free the same; whether an empty zspage is kept is left open
 *             zspage_create     zspage_create_locked: a descriptor that another class may have had
 *                               takes a page, and says so before the page's word points at it
 *             zspage_destroy    zspage_destroy_locked: the page goes before the descriptor
 *      migrator                 zpool_migrate of one page, with
 *             zs_isolate        the same: believes a word only if it is the same under the lock of
 *                               the class that the descriptor named, and that is still its class
 *             zs_migrate        the same, of one object; objects.pml has more
 *             zs_putback        the same
 *             raw_migrate       the same: believes a word only if it is still raw under the lock of
 *                               the slot that it named, and that names the page
 *      worker                   another zpool_migrate or compaction, which isolates an arena or a
 *                               zspage and puts it back
 *      trimmer                  retire_if_empty, of pages_trim
 *
 * The locks of the page source and the descriptors are held for one step each. Waiting for a slot's
 * lock is one step; slots.pml has how it is done. An arena that is not active can't be isolated,
 * but may become active at any time, so a migrator can rely on its arena only if it has isolated
 * it.
 *
 * Proved, for every order of steps:
 *   - who holds a slot finds its block's object, in a page that is described as what it is
 *   - no page, place or descriptor is given back twice, or by another than its owner
 *   - a zspage is isolated under the lock of its own class, by who came for its page
 *   - no page is taken of an isolated arena; if zpool_migrate returns 0, its arena is empty
 *   - nobody waits for good: whoever is left when all others have stopped comes to its end
 *   - as long as threads want something, one of them gets on (no cycle without progress)
 */
#ifndef CLIENTS
#define CLIENTS 1
#endif
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef PAGES
#define PAGES 2
#endif
#ifndef DESCRIPTORS
#define DESCRIPTORS 2
#endif
#ifndef CLASSES
#define CLASSES 2
#endif
#define NONE 0 /* no page, no descriptor: both are counted from 1 */

hidden byte i; /* counts within one step */

/* The page source: each page's word, and its arena. */
#define WORD_FREE     0 /* NONE, FREE, OFFLINE: nobody has the page */
#define WORD_RESERVED 1
#define WORD_RAW(b)   (10 + (b))
#define WORD_ZS(d)    (20 + (d))
#define IS_RAW(w)     ((w) >= 10 && (w) < 20)
#define IS_ZS(w)      ((w) >= 20)
#define BLOCK_OF(w)   ((w) - 10)
#define DESC_OF(w)    ((w) - 20)
byte words[PAGES + 1];
mtype = { INACTIVE, ACTIVE, ARENA_ISOLATED };
mtype arena[PAGES + 1] = INACTIVE;
byte isolator[PAGES + 1]; /* who has isolated the arena */

/* The owner field at the page's end. */
#define NOBODY  CLIENTS
#define UNKNOWN CLIENTS /* not written yet: any number may be in it */
byte owner[PAGES + 1] = UNKNOWN;

/* Descriptors: type-stable; what is in a free one is what its last user left. */
mtype = { FREE, LISTED, ISOLATED };
bool in_chain[DESCRIPTORS + 1] = true;
mtype state[DESCRIPTORS + 1] = FREE;
byte class_index[DESCRIPTORS + 1];
byte first[DESCRIPTORS + 1];
bool used[DESCRIPTORS + 1]; /* the one place */
bool class_locked[CLASSES];

/* Slots: where the block's object is, and the lock bit. */
byte position[CLIENTS];
bool locked[CLIENTS];

/*
 * The page source. These are parts of steps: its lock is held for no longer.
 */

#ifdef MISTAKE_ALLOC_FROM_ISOLATED_ARENA
#define CAN_TAKE(page) (words[page] == WORD_FREE)
#else
#define CAN_TAKE(page) (words[page] == WORD_FREE && arena[page] != ARENA_ISOLATED)
#endif

/* Takes any page that can be taken, or leaves `page` NONE. */
inline pages_alloc(page)
{
    select(page : 1 .. PAGES);
    if
    :: CAN_TAKE(page) ->
        assert(isolator[page] == 0);
        arena[page] = ACTIVE;
        words[page] = WORD_RESERVED
    :: else -> page = NONE
    fi
}

/* By its owner: the word must be the one that he has described the page with. */
inline pages_free(page, word)
{
    assert(words[page] == word);
    for (i : 0 .. CLIENTS - 1) {
        assert(position[i] != page)
    }
    i = 0;
    words[page] = WORD_FREE;
    owner[page] = UNKNOWN
}

/* Gives arenas back that are empty, as the maintenance thread and writers short of memory do. */
active proctype trimmer()
{
    byte page;

progress:
    do
    :: atomic {
            select(page : 1 .. PAGES);
            if
            :: arena[page] == ACTIVE && words[page] == WORD_FREE -> arena[page] = INACTIVE
            :: else
            fi;
            page = NONE
        }
    :: break
    od
}

/*
 * Zspages, under their class's lock. What is done under it within one step, and needs nothing else,
 * only waits for it.
 */

inline lock_class(class)
{
    atomic {
        !class_locked[class];
        class_locked[class] = true
    }
}

/* An empty listed zspage of the class, or a new one, or NONE. */
inline zs_zspage_for_alloc(class, zspage, page)
{
    d_step {
        zspage = DESCRIPTORS;
        do
        :: zspage == NONE -> break
        :: zspage != NONE && state[zspage] == LISTED && class_index[zspage] == class &&
            !used[zspage] -> break
        :: else -> zspage--
        od
    }
    if
    :: zspage == NONE -> zspage_create(class, zspage, page)
    :: else
    fi
}

inline zspage_create(class, zspage, page)
{
    atomic {
        select(zspage : 1 .. DESCRIPTORS);
        if
        :: in_chain[zspage] -> pages_alloc(page)
        :: else
        fi;
        if
        :: page != NONE -> in_chain[zspage] = false
        :: else -> zspage = NONE
        fi
    }
    if
    :: zspage != NONE ->
#ifdef MISTAKE_DESCRIBED_BEFORE_CLASS
        words[page] = WORD_ZS(zspage);
        state[zspage] = LISTED;
#endif
        d_step {
            assert(!used[zspage]);
            class_index[zspage] = class;
            first[zspage] = page;
            state[zspage] = LISTED
        }
        words[page] = WORD_ZS(zspage); /* The words are written last. */
        page = NONE
    :: else
    fi
}

inline zspage_destroy(zspage)
{
#ifdef MISTAKE_DESCRIPTOR_FREED_BEFORE_PAGES
    d_step {
        state[zspage] = FREE;
        in_chain[zspage] = true
    }
    d_step {
        pages_free(first[zspage], WORD_ZS(zspage))
    }
#else
    d_step {
        assert(state[zspage] != FREE && !used[zspage]);
        state[zspage] = FREE;
        pages_free(first[zspage], WORD_ZS(zspage));
        first[zspage] = NONE
    }
    in_chain[zspage] = true
#endif
}

/*
 * Clients: client b has block b. Each request begins with a lock on the slot; which it is shows
 * afterwards.
 */

inline slot_lock()
{
    atomic {
        !locked[block];
        locked[block] = true;
        old = position[block];
        if
        :: old != NONE ->
            assert(owner[old] == block);
            assert(words[old] == WORD_RAW(block) || IS_ZS(words[old]) && used[DESC_OF(words[old])])
        :: else
        fi
    }
}

/* Publishes the slot, with its object in `page`, and unlocks it. */
inline slot_unlock(page)
{
    d_step {
        position[block] = page;
        locked[block] = false
    }
}

inline raw_alloc(block, page)
{
    atomic {
        pages_alloc(page)
    }
    if
    :: page != NONE -> words[page] = WORD_RAW(block)
    :: else
    fi
}

inline zs_alloc(class)
{
    lock_class(class);
    zs_zspage_for_alloc(class, zspage, new);
    d_step {
        if
        :: zspage != NONE ->
            assert(!used[zspage]);
            used[zspage] = true;
            new = first[zspage];
            zspage = NONE
        :: else
        fi;
        class_locked[class] = false
    }
}

inline zs_free()
{
    d_step {
        zspage = DESC_OF(words[old]);
        size = class_index[zspage]
    }
    atomic {
        !class_locked[size];
        assert(words[old] == WORD_ZS(zspage) && class_index[zspage] == size && used[zspage]);
        used[zspage] = false;
        owner[old] = UNKNOWN;
        old = NONE;
        if
        :: state[zspage] == LISTED -> class_locked[size] = true
        :: true -> zspage = NONE /* It is isolated, or kept. */
        fi
    }
    if
    :: zspage != NONE ->
        zspage_destroy(zspage);
        class_locked[size] = false;
        zspage = NONE
    :: else
    fi
}

inline zpool_free()
{
    if
    :: old != NONE && IS_RAW(words[old]) ->
        d_step {
            pages_free(old, WORD_RAW(block));
            old = NONE
        }
    :: old != NONE && IS_ZS(words[old]) -> zs_free()
    :: old == NONE
    fi
}

active [CLIENTS] proctype client()
{
    byte block = _pid - 1, size, old, new, zspage;

progress:
    do
    :: slot_lock();
        if
        :: slot_unlock(old); /* block_read: it has seen what it wants. */
            old = NONE
        :: slot_unlock(NONE); /* block_free */
            zpool_free()
        :: true -> /* store */
            select(size : 0 .. CLASSES);
            if
            :: size == CLASSES -> raw_alloc(block, new)
            :: else -> zs_alloc(size)
            fi;
            if
            :: new != NONE ->
                owner[new] = block; /* Without the class's lock. */
                slot_unlock(new);
                new = NONE;
                zpool_free()
            :: else -> slot_unlock(old) /* ENOSPC */
                old = NONE
            fi
        fi;
        size = 0
    :: break
    od
}

/*
 * The migrator, of one page at a time.
 */

#ifdef MISTAKE_NO_WORD_RECHECK
#define STILL_ITS_WORD true
#else
#define STILL_ITS_WORD (words[page] == WORD_ZS(zspage))
#endif
#ifdef MISTAKE_NO_CLASS_RECHECK
#define STILL_ITS_CLASS true
#else
#define STILL_ITS_CLASS (class_index[zspage] == class)
#endif

/* Isolates the zspage that the page belongs to: `isolated`. is_left: another has isolated it. */
inline zs_isolate()
{
    do
    :: zspage = (IS_ZS(words[page]) -> DESC_OF(words[page]) : NONE);
        if
        :: zspage == NONE -> break
        :: else
        fi;
        class = class_index[zspage];
        atomic {
            !class_locked[class];
            if
            :: !STILL_ITS_WORD || !STILL_ITS_CLASS || state[zspage] == FREE
            :: else ->
                if
                :: state[zspage] == LISTED ->
                    assert(class_index[zspage] == class && first[zspage] == page);
                    state[zspage] = ISOLATED;
                    isolated = zspage
                :: else -> is_left = true
                fi;
#ifdef MISTAKE_WAITS_FOR_ANOTHERS_ZSPAGE
                if
                :: isolated != NONE -> zspage = NONE
                :: else
                fi
#else
                zspage = NONE
#endif
            fi;
            class = 0
        }
        if
        :: zspage == NONE -> break
        :: else
        fi
    od
}

inline copy()
{
    d_step {
        assert(words[page] != WORD_FREE && words[to] != WORD_FREE);
        owner[to] = owner[page]
    }
}

inline owner_moved()
{
    d_step {
        position[block] = to;
        locked[block] = false
    }
}

inline zs_migrate()
{
    atomic {
        class = class_index[isolated];
        lock_class(class)
    }
    if
    :: used[isolated] -> zs_zspage_for_alloc(class, zspage, to)
    :: else
    fi;
    if
    :: zspage != NONE ->
        atomic { /* An owner field that isn't written yet can be anything. */
            if
            :: owner[page] != UNKNOWN -> block = owner[page]
            :: else -> select(block : 0 .. CLIENTS - 1)
            fi
        }
        d_step { /* owner_try_lock, and zspage_take if that has done it */
            if
            :: !locked[block] && position[block] == page ->
                assert(!used[zspage]);
                locked[block] = true;
                used[zspage] = true;
                to = first[zspage]
            :: else
            fi;
            zspage = NONE
        }
        if
        :: to != NONE ->
            copy();
            owner_moved();
            d_step {
                assert(used[isolated]);
                used[isolated] = false;
                owner[page] = UNKNOWN;
                to = NONE
            }
        :: else
        fi;
        block = 0
    :: else
    fi;
    d_step {
        is_left = is_left || used[isolated];
        class_locked[class] = false
    }
}

inline zs_putback()
{
    atomic {
        !class_locked[class];
        assert(state[isolated] == ISOLATED && class_index[isolated] == class);
        if
        :: used[isolated] ->
            state[isolated] = LISTED;
            isolated = NONE
        :: else -> class_locked[class] = true
        fi
    }
    if
    :: isolated != NONE ->
        zspage_destroy(isolated);
        class_locked[class] = false;
        isolated = NONE
    :: else
    fi;
    class = 0
}

#ifdef MISTAKE_RAW_WITHOUT_RECHECK
#define STILL_RAW true
#else
#define STILL_RAW (words[page] == WORD_RAW(block))
#endif

/* Moves the raw page that was seen to be the block's. */
inline raw_migrate()
{
    d_step { /* owner_try_lock */
        owner_locked = !locked[block] && position[block] == page;
        locked[block] = locked[block] || owner_locked
    }
    if
    :: owner_locked && STILL_RAW -> raw_alloc(block, to)
    :: else
    fi;
    if
    :: to != NONE ->
        copy();
        owner_moved();
        d_step {
            pages_free(page, WORD_RAW(block));
            to = NONE
        }
    :: owner_locked && to == NONE ->
        is_left = true;
        locked[block] = false
    :: !owner_locked -> is_left = is_left || IS_RAW(words[page])
    fi;
    owner_locked = false
}

/* Isolates any page's arena. page: the page, also if its arena isn't active; NONE: it is busy. */
inline pages_isolate()
{
    select(page : 1 .. PAGES);
    if
    :: arena[page] == ACTIVE ->
        arena[page] = ARENA_ISOLATED;
        isolator[page] = _pid
    :: arena[page] == INACTIVE
    :: arena[page] == ARENA_ISOLATED -> page = NONE
    fi
}

/* Puts the arena back if it was isolated by the caller. */
inline pages_putback()
{
    if
    :: isolator[page] == _pid ->
        assert(arena[page] == ARENA_ISOLATED);
        isolator[page] = 0;
        arena[page] = ACTIVE
#ifdef MISTAKE_PUTBACK_OF_ANOTHERS_ARENA
    :: isolator[page] != _pid && arena[page] == ARENA_ISOLATED -> arena[page] = ACTIVE
#endif
    :: else
    fi
}

active proctype migrator()
{
    byte page, isolated, class, zspage, to, block;
    bool is_left, owner_locked;

progress:
    do
    :: atomic {
            pages_isolate()
        }
        if
        :: page != NONE ->
            zs_isolate();
            if
            :: isolated != NONE ->
                zs_migrate();
                zs_putback()
            :: else
            fi;
            block = (IS_RAW(words[page]) -> BLOCK_OF(words[page]) : NOBODY);
            if
            :: block != NOBODY -> raw_migrate()
            :: else
            fi;
            block = 0;
#ifndef MISTAKE_PAGES_BEING_TAKEN_NOT_SEEN
            is_left = is_left || words[page] != WORD_FREE; /* is_taken */
#endif
            d_step { /* It returns 0 unless is_left. */
                assert(is_left || words[page] == WORD_FREE || isolator[page] != _pid);
                pages_putback();
                is_left = false;
                page = NONE
            }
        :: else
        fi
    :: break
    od
}

/* Puts back what it has isolated without having got any further. */
active [WORKERS] proctype worker()
{
    byte page, zspage;

progress:
    do
    :: if
        :: atomic {
                pages_isolate()
            }
        :: atomic {
                select(zspage : 1 .. DESCRIPTORS);
                if
                :: state[zspage] == LISTED && !class_locked[class_index[zspage]] ->
                    state[zspage] = ISOLATED
                :: else -> zspage = NONE
                fi
            }
        fi;
        if
        :: page != NONE ->
            d_step {
                pages_putback();
                page = NONE
            }
        :: zspage != NONE ->
            atomic {
                !class_locked[class_index[zspage]];
                assert(state[zspage] == ISOLATED);
                state[zspage] = LISTED; /* An empty one may be kept. */
                zspage = NONE
            }
        :: page == NONE && zspage == NONE
        fi
    :: break
    od
}
