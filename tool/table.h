/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.h: cells in columns as wide as they need to be, for a terminal or as plain text.
 */
#ifndef UZRAM_TOOL_TABLE_H
#define UZRAM_TOOL_TABLE_H

#include "control/text.h"

#define TABLE_COLUMNS_MAX 32

struct table {
    size_t column_count;
    bool is_right[TABLE_COLUMNS_MAX]; /* numbers stand at the right of their column */
    char **cells;
    size_t cell_count;
};

/* Adds a cell, from left to right, row by row. */
void table_add(struct table *table, const char *cell);

/* Writes all rows to `text`: no spaces at the ends of lines. Then frees the cells. */
void table_finish(struct table *table, struct text *text);

/* Columns that a UTF-8 string takes, each character being one wide. */
size_t table_width(const char *string);

#endif
