/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/table.h"

#include <stdlib.h>
#include <string.h>

#include "tool/command.h"

size_t table_width(const char *string)
{
    size_t width = 0;
    for (; *string != '\0'; string++)
        width += ((unsigned char)*string & 0xc0) != 0x80; /* all but the bytes that continue */
    return width;
}

void table_add(struct table *table, const char *cell)
{
    char **cells = realloc(table->cells, (table->cell_count + 1) * sizeof *cells);
    if (cells == NULL)
        command_fail("no memory");
    table->cells = cells;
    cells[table->cell_count++] = command_copy(cell);
}

static void add_spaces(struct text *text, size_t count)
{
    while (count-- > 0)
        text_add(text, " ");
}

void table_finish(struct table *table, struct text *text)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t width = table_width(table->cells[i]);
        if (width > widths[i % table->column_count])
            widths[i % table->column_count] = width;
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t column = i % table->column_count;
        size_t room = widths[column] - table_width(table->cells[i]);
        bool is_last = column + 1 == table->column_count;
        if (table->is_right[column])
            add_spaces(text, room);
        text_add(text, "%s", table->cells[i]);
        while (is_last && text->length > 0 && text->bytes[text->length - 1] == ' ')
            text->length--;
        if (!table->is_right[column] && !is_last)
            add_spaces(text, room);
        text_add(text, is_last ? "\n" : " ");
        free(table->cells[i]);
    }
    free(table->cells);
    table->cells = NULL;
    table->cell_count = 0;
}
