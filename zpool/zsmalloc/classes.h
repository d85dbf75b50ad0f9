/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * classes.h: which object sizes there are, and how many pages a zspage of each has.
 *
 *      size   32  48  64 …                     3968 (chain 32)          4096
 *             ├───┴───┴── every 16 bytes ──────┤
 *      pages  1…chain: the fewest that leave the least unused at the zspage's end
 *
 * Sizes with the same pages and objects per zspage are one class, of the largest of them. Larger
 * objects than the last such size gain nothing over a whole page and are kept raw (raw.h).
 *
 * Source of the rules: the kernel's mm/zsmalloc.c (init_size_class, get_pages_per_zspage,
 * can_merge). Its figures, which a test checks: chain 4 → 69 classes, the largest below a page
 * 3264; chain 8 → 119, 3632; chain 16 → 192, 3840, each with the class of whole pages counted. The
 * kernel ends at chain 16; 32, our default, has 241 classes up to 3968.
 */
#ifndef UZRAM_ZPOOL_ZSMALLOC_CLASSES_H
#define UZRAM_ZPOOL_ZSMALLOC_CLASSES_H

#include "common/compiler.h"

#define ZS_SIZE_MIN    32u
#define ZS_SIZE_STEP   16u
#define ZS_SIZE_COUNT  ((4096u - ZS_SIZE_MIN) / ZS_SIZE_STEP + 1) /* 255 */
#define ZS_CHAIN_MAX   32u
#define ZS_OBJECTS_MAX 256u /* in a zspage of any class, for any chain up to ZS_CHAIN_MAX */

struct zs_class_shape {
    uint16_t size_bytes;
    uint16_t objects;
    uint8_t pages;
};

struct zs_class_table {
    unsigned count; /* classes, the last of which is the whole page */
    struct zs_class_shape shape[ZS_SIZE_COUNT];
    uint8_t class_of[ZS_SIZE_COUNT]; /* for size ZS_SIZE_MIN + i * ZS_SIZE_STEP */
};

/* Computes the table for zspages of at most chain_pages (1 to ZS_CHAIN_MAX) pages. */
void zs_class_table_init(struct zs_class_table *table, unsigned chain_pages);

/* The class for objects of size_bytes (1 to 4096), header included. */
static inline unsigned zs_class_index(const struct zs_class_table *table, size_t size_bytes)
{
    if (size_bytes <= ZS_SIZE_MIN)
        return table->class_of[0];
    return table->class_of[(size_bytes - ZS_SIZE_MIN + ZS_SIZE_STEP - 1) / ZS_SIZE_STEP];
}

/* Fullness groups: 0 empty, 1 below 10 % … 10 below 100 %, 11 full. */
enum { ZS_GROUP_EMPTY, ZS_GROUP_FIRST_PARTIAL, ZS_GROUP_FULL = 11, ZS_GROUP_COUNT };

/* The group of a zspage with `used` of `objects` places taken. */
static inline unsigned zs_fullness_group(unsigned used, unsigned objects)
{
    if (used == 0)
        return ZS_GROUP_EMPTY;
    if (used == objects)
        return ZS_GROUP_FULL;
    return used * 10 / objects + 1;
}

#endif
