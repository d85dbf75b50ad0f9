/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zpdesc.h: the head that the descriptors of all zpool drivers share.
 *
 *      byte 0      16      20         24    25    26    27    28     30   32
 *          │ list │ first │ resident │state│count│class│group│ used │    │ the driver's own part …
 *
 * It says what background work needs to know of any driver's pages: which they are, which of them
 * are resident, and whether the descriptor is in use, listed or isolated.
 *
 * Descriptors are type-stable (descriptors.h), so a thread without a lock may read `state`, `first`
 * and `class_index` of any descriptor that it found in a mem_desc word; these are atomic. All else
 * belongs to the driver's lock. State FREE is 0, as in a page that was never used.
 *
 * The kernel's mm/zpdesc.h lays such a head over struct page; here it is a descriptor of its own.
 */
#ifndef UZRAM_ZPOOL_ZPDESC_H
#define UZRAM_ZPOOL_ZPDESC_H

#include "common/list.h"
#include "pages/pages.h"

enum zpdesc_state {
    ZPDESC_FREE,     /* describes nothing */
    ZPDESC_LISTED,   /* in one of its driver's lists */
    ZPDESC_ISOLATED, /* out of the lists, in the hands of one background worker */
};

struct zpdesc {
    struct list list;
    _Atomic pfn first;           /* its first page */
    page_mask resident;          /* which of its pages are resident */
    _Atomic uint8_t state;       /* enum zpdesc_state */
    uint8_t count;               /* its pages */
    _Atomic uint8_t class_index; /* which of the driver's locks and lists it belongs to */
    uint8_t group;               /* which of those lists it is in, when listed */
    uint16_t used_count;         /* objects in it */
};

static_assert(sizeof(struct zpdesc) == 32, "the drawing above");
static_assert(offsetof(struct zpdesc, list) == 0, "the chain of free descriptors goes here");

static inline pfn zpdesc_first(const struct zpdesc *desc)
{
    return atomic_load_explicit(&desc->first, memory_order_relaxed);
}

static inline unsigned zpdesc_class(const struct zpdesc *desc)
{
    return atomic_load_explicit(&desc->class_index, memory_order_relaxed);
}

static inline enum zpdesc_state zpdesc_state(const struct zpdesc *desc)
{
    return (enum zpdesc_state)atomic_load_explicit(&desc->state, memory_order_relaxed);
}

static inline void zpdesc_set_state(struct zpdesc *desc, enum zpdesc_state state)
{
    atomic_store_explicit(&desc->state, (uint8_t)state, memory_order_relaxed);
}

/* The pages as the page source knows them, and back. */
static inline struct page_run zpdesc_run(const struct zpdesc *desc)
{
    return (struct page_run){zpdesc_first(desc), desc->count, desc->resident};
}

static inline void zpdesc_set_run(struct zpdesc *desc, const struct page_run *run)
{
    atomic_store_explicit(&desc->first, run->first, memory_order_relaxed);
    desc->count = run->count;
    desc->resident = run->resident;
}

#endif
