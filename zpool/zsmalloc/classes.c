/* SPDX-License-Identifier: BSD-3-Clause */
#include "zpool/zsmalloc/classes.h"

static struct zs_class_shape best_shape(unsigned size, unsigned chain_pages)
{
    unsigned best_pages = 1;
    for (unsigned pages = 2; pages <= chain_pages; pages++)
        if (pages * 4096 % size < best_pages * 4096 % size)
            best_pages = pages;
    return (struct zs_class_shape){.size_bytes = (uint16_t)size,
                                   .objects = (uint16_t)(best_pages * 4096 / size),
                                   .pages = (uint8_t)best_pages};
}

void zs_class_table_init(struct zs_class_table *table, unsigned chain_pages)
{
    /* From the largest size down: a size joins the class above it or starts a new one. */
    struct zs_class_shape shapes[ZS_SIZE_COUNT];
    unsigned merged_into[ZS_SIZE_COUNT];
    unsigned count = 0;
    for (unsigned i = ZS_SIZE_COUNT; i-- > 0;) {
        struct zs_class_shape shape = best_shape(ZS_SIZE_MIN + i * ZS_SIZE_STEP, chain_pages);
        bool same = count > 0 && shapes[count - 1].pages == shape.pages &&
                    shapes[count - 1].objects == shape.objects;
        if (!same)
            shapes[count++] = shape;
        merged_into[i] = count - 1;
    }
    /* They were found in descending order; the table is ascending. */
    table->count = count;
    for (unsigned i = 0; i < count; i++)
        table->shape[i] = shapes[count - 1 - i];
    for (unsigned i = 0; i < ZS_SIZE_COUNT; i++)
        table->class_of[i] = (uint8_t)(count - 1 - merged_into[i]);
}
