/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settings.h: what can be set of background work, declared once.
 *
 * A row is X(name, default, least, most, unit, help). The struct, the table that servers and tools
 * take keys from, and the checks are made from this list. Any thread may read and write a setting
 * at any time (relaxed atomics): the next step goes by the new value.
 */
#ifndef UZRAM_DEVICE_SETTINGS_H
#define UZRAM_DEVICE_SETTINGS_H

#include <stdatomic.h>

#include "common/compiler.h"

#define DEVICE_BACKGROUND_SETTINGS(X)                                                            \
    X(step_objects, 1024, 1, 1000000, "objects", "moves that one step of background work tries") \
    X(step_us, 1000, 10, 1000000, "microseconds", "time that one step of moves takes at most")   \
    X(waste_percent, 3, 1, 100, "per cent", "tidy a busy disk when more of its pool is empty")   \
    X(sparse_percent, 50, 0, 100, "per cent", "empty arenas while the pool fills less of them")  \
    X(pressure_percent, 10, 1, 100, "per cent", "make a pass when tasks stall so for memory")    \
    X(soft_percent, 90, 1, 100, "per cent", "free memory from this share of mem_limit on")       \
    X(recompress_age, 60, 0, 31536000, "seconds", "recompress what rests so long; 0: nothing")   \
    X(recompress_cpu, 20, 1, 100, "per cent", "share of one CPU that recompression takes")       \
    X(recompress_busy, 20000, 0, 1000000000, "blocks a second", "pause when clients do more")

#define DEVICE_SETTINGS(X)                                                                      \
    X(reserve, 0, 0, 1099511627776, "bytes", "free pool memory kept resident ahead of writers") \
    DEVICE_BACKGROUND_SETTINGS(X)

struct settings {
#define SETTING_FIELD(name, initial, least, most, unit, help) _Atomic uint64_t name;
    DEVICE_SETTINGS(SETTING_FIELD)
#undef SETTING_FIELD
};

#define SETTING_INDEX(name, initial, least, most, unit, help) DEVICE_SETTING_##name,
enum { DEVICE_SETTINGS(SETTING_INDEX) DEVICE_SETTING_COUNT };
#undef SETTING_INDEX

struct setting_row {
    const char *name;
    uint64_t initial, least, most;
    const char *unit;
    const char *help;
    size_t offset; /* of the value in struct settings */
};

/* The row of that name, or NULL; the index-th, or NULL past the last. Static memory. */
const struct setting_row *setting_find(const char *name);
const struct setting_row *setting_at(size_t index);

void settings_init(struct settings *settings);

/* Sets one. Returns 0 or -ERANGE with nothing changed. */
int setting_set(struct settings *settings, const struct setting_row *row, uint64_t value) must_use;

uint64_t setting_get(const struct settings *settings, const struct setting_row *row);

#endif
