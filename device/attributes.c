/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/attributes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/parse.h"
#include "device/attributes_algorithms.h"
#include "device/device_internal.h"
#include "device/reports.h"

static int get_disksize(void *context, const struct attribute *attribute, const char *argument,
                        struct text *answer)
{
    (void)attribute;
    (void)argument;
    text_add(answer, "%" PRIu64 "\n", device_size_bytes(context));
    return 0;
}

static int set_disksize(void *context, const struct attribute *attribute, const char *value,
                        struct text *answer)
{
    uint64_t bytes, most = device_size_max_bytes(context), now = device_size_bytes(context);
    if (parse_size(value, &bytes) < 0 || bytes == 0 || bytes > DEVICE_SIZE_MAX_BYTES)
        return attribute_refuse(
            answer, -EINVAL, attribute, value,
            "not a size a disk can have; give 1 byte to 16T, such as 512M or 4G");
    bytes = (bytes + BLOCK_SIZE_BYTES - 1) / BLOCK_SIZE_BYTES * BLOCK_SIZE_BYTES;
    switch (device_grow(context, bytes)) {
    case 0:
        return 0;
    case -EFBIG:
        return attribute_refuse(answer, -EBUSY, attribute, value,
                                "the disk is in use with %" PRIu64
                                " bytes, and can grow up to %" PRIu64
                                "; start the server with size_max= to leave more room",
                                now, most);
    default:
        return attribute_refuse(answer, -EBUSY, attribute, value,
                                "the disk is in use with %" PRIu64 " bytes and can't shrink", now);
    }
}

/* A device that is served is always initialised. */
static int get_initstate(void *context, const struct attribute *attribute, const char *argument,
                         struct text *answer)
{
    (void)context;
    (void)attribute;
    (void)argument;
    text_add(answer, "1\n");
    return 0;
}

static int set_reset(void *context, const struct attribute *attribute, const char *value,
                     struct text *answer)
{
    uint64_t number;
    if (parse_size(value, &number) < 0 || number == 0)
        return attribute_refuse(answer, -EINVAL, attribute, value, "give 1");
    if (device_reset(context) == 0)
        return 0;
    return attribute_refuse(answer, -EBUSY, attribute, value,
                            "a client is connected; disconnect all of them first");
}

static int get_max_comp_streams(void *context, const struct attribute *attribute,
                                const char *argument, struct text *answer)
{
    const struct device *device = context;
    (void)attribute;
    (void)argument;
    text_add(answer, "%zu\n", streams_count(device->streams));
    return 0;
}

static int get_mem_limit(void *context, const struct attribute *attribute, const char *argument,
                         struct text *answer)
{
    struct device_statistics now;
    (void)attribute;
    (void)argument;
    device_statistics(context, &now);
    text_add(answer, "%" PRIu64 "\n", now.mem_limit);
    return 0;
}

static int set_mem_limit(void *context, const struct attribute *attribute, const char *value,
                         struct text *answer)
{
    uint64_t bytes;
    if (parse_size(value, &bytes) < 0)
        return attribute_refuse(
            answer, -EINVAL, attribute, value,
            "not an amount of memory; give one such as 512M, or 0 for no limit");
    device_set_mem_limit(context, bytes);
    return 0;
}

static int set_mem_used_max(void *context, const struct attribute *attribute, const char *value,
                            struct text *answer)
{
    uint64_t number;
    if (parse_size(value, &number) < 0 || number != 0)
        return attribute_refuse(answer, -EINVAL, attribute, value,
                                "give 0: it begins anew with what is used now");
    device_forget_mem_used_max(context);
    return 0;
}

/* Any value will do, as in zram. */
static int set_compact(void *context, const struct attribute *attribute, const char *value,
                       struct text *answer)
{
    (void)attribute;
    (void)value;
    (void)answer;
    device_compact(context);
    device_give_back(context);
    return 0;
}

static int get_setting(void *context, const struct attribute *attribute, const char *argument,
                       struct text *answer)
{
    const struct device *device = context;
    (void)argument;
    text_add(answer, "%" PRIu64 "\n",
             setting_get(&device->maintenance.settings, setting_at(attribute->detail)));
    return 0;
}

static int set_setting(void *context, const struct attribute *attribute, const char *value,
                       struct text *answer)
{
    const struct setting_row *row = setting_at(attribute->detail);
    uint64_t number;
    if (parse_size(value, &number) == 0 && device_set(context, row->name, number) == 0)
        return 0;
    return attribute_refuse(answer, -EINVAL, attribute, value,
                            "not a value it can have; give %" PRIu64 " to %" PRIu64 " %s",
                            row->least, row->most, row->unit);
}

static int get_statistic(void *context, const struct attribute *attribute, const char *argument,
                         struct text *answer)
{
    struct device_statistics now;
    size_t count;
    const struct statistic_row *rows = statistic_rows(&count);
    (void)argument;
    device_statistics(context, &now);
    text_add(answer, "%" PRIu64 "\n", statistic_value(&now, &rows[attribute->detail]));
    return 0;
}

#define STATISTIC_INDEX(name, kind, unit, help) STATISTIC_##name,
enum { DEVICE_STATISTICS(STATISTIC_INDEX) STATISTIC_COUNT };
#undef STATISTIC_INDEX

static const struct attribute rows[] = {
    {"disksize", "size in bytes; can be made greater, up to size_max", get_disksize, set_disksize,
     0, false},
    {"initstate", "1: there is a disk", get_initstate, NULL, 0, false},
    {"reset", "1 empties the disk and begins statistics anew", NULL, set_reset, 0, true},
    {"comp_algorithm", "how blocks are written, the current one in brackets", get_comp_algorithm,
     set_comp_algorithm, 0, true},
    {"recomp_algorithm", "algo=NAME priority=1 to 3: what resting blocks become; none ends it",
     get_recomp_algorithm, set_recomp_algorithm, 0, true},
    {"algorithm_params", "priority=NUMBER or algo=NAME, level=NUMBER, dict=PATH",
     get_algorithm_params, set_algorithm_params, 0, true},
    {"recompress", "type=idle|huge|huge_idle threshold=BYTES algo=NAME priority= max_pages=", NULL,
     set_recompress, 0, true},
    {"recompress_policy", "recompression in the background: age= cpu= busy=", get_recompress_policy,
     set_recompress_policy, 0, false},
    {"idle", "marks blocks idle: all, or those that have rested for so many seconds", NULL,
     set_idle, 0, true},
    {"train",
     "a dictionary of what is stored, in hexadecimal, and what it would save; ARGUMENT: "
     "algo=NAME level=NUMBER size=BYTES",
     get_train, NULL, 0, true},
    {"max_comp_streams", "blocks that can be compressed at once", get_max_comp_streams, NULL, 0,
     false},
    {"mem_limit", "most memory in bytes, 0: no limit", get_mem_limit, set_mem_limit, 0, false},
    {"mem_used_max", "0 begins the highest memory use anew; mm_stat shows it", NULL,
     set_mem_used_max, 0, false},
    {"compact", "moves blocks together and gives memory back, now", NULL, set_compact, 0, true},
    {"mm_stat", "zram's figures of memory: data, compressed, used, limit, most, same, ...",
     report_mm_stat, NULL, 0, false},
    {"io_stat", "failed_reads failed_writes invalid_io notify_free", report_io_stat, NULL, 0,
     false},
    {"debug_stat", "times that writes had to look for memory; missed frees (none)",
     report_debug_stat, NULL, 0, false},
    {"block_state", "stored blocks with their states, from block ARGUMENT on", report_block_state,
     NULL, 0, false},
    {"block_map", "the disk in ARGUMENT stretches: what each holds", report_block_map, NULL, 0,
     false},
    {"classes", "the size classes of the pool, as in the kernel's debugfs", report_classes, NULL, 0,
     false},
    {"arenas", "the 2 MiB arenas of the pool: pages owned and kept ready", report_arenas, NULL, 0,
     false},
    {"memory", "where mem_used_total is", report_memory, NULL, 0, false},
    {"stats", "all statistics as JSON", report_stats, NULL, 0, false},
#define SETTING_ATTRIBUTE(name, initial, least, most, unit, help) \
    {#name, help " (" unit ")", get_setting, set_setting, DEVICE_SETTING_##name, false},
    DEVICE_SETTINGS(SETTING_ATTRIBUTE)
#undef SETTING_ATTRIBUTE
#define STATISTIC_ATTRIBUTE(name, kind, unit, help) \
    {#name, help " (" unit ")", get_statistic, NULL, STATISTIC_##name, false},
        DEVICE_STATISTICS(STATISTIC_ATTRIBUTE)
#undef STATISTIC_ATTRIBUTE
};

static_assert(array_count(rows) > STATISTIC_COUNT + DEVICE_SETTING_COUNT, "all lists are in it");

struct attribute_table device_attributes(struct device *device)
{
    return (struct attribute_table){rows, array_count(rows), device};
}
