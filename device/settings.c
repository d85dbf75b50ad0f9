/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/settings.h"

#include <errno.h>
#include <string.h>

static const struct setting_row rows[] = {
#define SETTING_ROW(name, initial, least, most, unit, help) \
    {#name, initial, least, most, unit, help, offsetof(struct settings, name)},
    DEVICE_SETTINGS(SETTING_ROW)
#undef SETTING_ROW
};

const struct setting_row *setting_at(size_t index)
{
    return index < array_count(rows) ? &rows[index] : NULL;
}

const struct setting_row *setting_find(const char *name)
{
    for (size_t i = 0; i < array_count(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

void settings_init(struct settings *settings)
{
#define SETTING_INIT(name, initial, least, most, unit, help) atomic_init(&settings->name, initial);
    DEVICE_SETTINGS(SETTING_INIT)
#undef SETTING_INIT
}

int setting_set(struct settings *settings, const struct setting_row *row, uint64_t value)
{
    if (value < row->least || value > row->most)
        return -ERANGE;
    atomic_store_explicit((_Atomic uint64_t *)(void *)((char *)settings + row->offset), value,
                          memory_order_relaxed);
    return 0;
}

uint64_t setting_get(const struct settings *settings, const struct setting_row *row)
{
    return atomic_load_explicit(
        (const _Atomic uint64_t *)(const void *)((const char *)settings + row->offset),
        memory_order_relaxed);
}
