/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/statistics.h"

static const struct statistic_row rows[] = {
#define STATISTIC_ROW(name, kind, unit, help) \
    {#name, STATISTIC_##kind, unit, help, offsetof(struct device_statistics, name)},
    DEVICE_STATISTICS(STATISTIC_ROW)
#undef STATISTIC_ROW
};

const struct statistic_row *statistic_rows(size_t *count)
{
    *count = sizeof rows / sizeof rows[0];
    return rows;
}

uint64_t statistic_value(const struct device_statistics *statistics,
                         const struct statistic_row *row)
{
    return *(const uint64_t *)((const char *)statistics + row->offset);
}

void statistics_forget(struct device_statistics *statistics, const struct device_statistics *before)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t *value = (uint64_t *)((char *)statistics + rows[i].offset);
        if (rows[i].kind == STATISTIC_COUNTER)
            *value -= statistic_value(before, &rows[i]);
    }
}
