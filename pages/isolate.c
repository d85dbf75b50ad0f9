/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * isolate.c: taking an arena out of allocation while its pages are being emptied.
 *
 *      ACTIVE ──pages_isolate──▶ ISOLATED ──pages_putback──▶ ACTIVE
 *
 * An isolated arena is in no fullness list but in its isolator's, and passed over where ready pages
 * are looked for, so pages_alloc doesn't take from it;
 * pages may still be freed into it, and trimmed from it.
 */
#include <errno.h>

#include "pages/pages_internal.h"

int pages_isolate(struct pages *pages, uint64_t index, struct list *isolated)
{
    int error = 0;
    lock_acquire(&pages->lock);
    if (index >= pages->arenas_known || pages->arenas[index].state == ARENA_INACTIVE)
        error = -EINVAL;
    else if (pages->arenas[index].state == ARENA_ISOLATED)
        error = -EBUSY;
    else if (pages->arenas[index].mobility != PAGE_MOVABLE)
        error = -EPERM;
    if (error == 0) {
        pages_unlist_locked(pages, &pages->arenas[index]);
        pages->arenas[index].state = ARENA_ISOLATED;
        pages_relist_locked(pages, &pages->arenas[index]); /* not among those to take from */
        list_add(isolated, &pages->arenas[index].by_fullness);
    }
    lock_release(&pages->lock);
    return error;
}

void pages_putback(struct pages *pages, struct list *isolated)
{
    lock_acquire(&pages->lock);
    while (!list_is_empty(isolated)) {
        struct arena *arena = container_of(isolated->next, struct arena, by_fullness);
        checked(arena->state == ARENA_ISOLATED);
        list_remove(&arena->by_fullness);
        arena->state = ARENA_ACTIVE;
        pages_relist_locked(pages, arena);
    }
    lock_release(&pages->lock);
}

uint64_t pages_sparse_arena(struct pages *pages, unsigned free_pages_min)
{
    struct arena *best = NULL;
    unsigned looks = 0;
    lock_acquire(&pages->lock);
    /* The lists of the emptiest that are not empty, down to the first list that has one. */
    for (unsigned full = 1; full < FULLNESS_COUNT && best == NULL; full++)
        for (unsigned run = RUN_LENGTH_COUNT; run-- > 0;)
            list_for_each (link, &pages->by_fullness[PAGE_MOVABLE][run][full]) {
                struct arena *arena = container_of(link, struct arena, by_fullness);
                if (arena->free_count >= free_pages_min &&
                    (best == NULL || arena->free_count > best->free_count))
                    best = arena;
                if (++looks == LOOKS_MAX)
                    goto found;
            }
found:;
    uint64_t index = best != NULL ? arena_index(pages, best) : UINT64_MAX;
    lock_release(&pages->lock);
    return index;
}
