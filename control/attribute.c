/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/attribute.h"

#include <errno.h>
#include <string.h>

/* How much of a name that was asked for is repeated in a message. */
#define NAME_SHOWN 64

const struct attribute *attribute_find(const struct attribute_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].name, name) == 0)
            return &table->rows[i];
    return NULL;
}

const char *attribute_mode(const struct attribute *attribute)
{
    return attribute->set == NULL ? "r" : attribute->get == NULL ? "w" : "rw";
}

static int refuse_unknown(const char *name, struct text *answer)
{
    text_add(answer, "%.*s: no such attribute; `list` names all", NAME_SHOWN, name);
    return -ENOENT;
}

int attribute_read(const struct attribute_table *table, const char *name, const char *argument,
                   struct text *answer)
{
    const struct attribute *attribute = attribute_find(table, name);
    if (attribute == NULL)
        return refuse_unknown(name, answer);
    if (attribute->get == NULL) {
        text_add(answer, "%s is write-only; `set %s` it", name, name);
        return -EACCES;
    }
    return attribute->get(table->context, attribute, argument, answer);
}

int attribute_write(const struct attribute_table *table, const char *name, const char *value,
                    struct text *answer)
{
    const struct attribute *attribute = attribute_find(table, name);
    if (attribute == NULL)
        return refuse_unknown(name, answer);
    if (attribute->set == NULL) {
        text_add(answer, "%s is read-only; `get %s` shows it", name, name);
        return -EACCES;
    }
    return attribute->set(table->context, attribute, value, answer);
}

void attribute_list(const struct attribute_table *table, struct text *answer)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct attribute *row = &table->rows[i];
        if (attribute_find(table, row->name) == row)
            text_add(answer, "%s %s %s\n", row->name, attribute_mode(row), row->help);
    }
}
