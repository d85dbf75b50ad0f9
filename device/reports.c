/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/reports.h"

#include <errno.h>
#include <inttypes.h>

#include "common/parse.h"
#include "device/device_internal.h"

int report_mm_stat(void *context, const struct attribute *attribute, const char *argument,
                   struct text *answer)
{
    struct device_statistics now;
    (void)attribute;
    (void)argument;
    device_statistics(context, &now);
    text_add(answer,
             "%8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64
             " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 "\n",
             now.orig_data_size, now.compr_data_size, now.mem_used_total, now.mem_limit,
             now.mem_used_max, now.same_pages, now.pages_compacted, now.huge_pages,
             now.huge_pages_since);
    return 0;
}

int report_io_stat(void *context, const struct attribute *attribute, const char *argument,
                   struct text *answer)
{
    struct device_statistics now;
    (void)attribute;
    (void)argument;
    device_statistics(context, &now);
    text_add(answer, "%8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 "\n", now.failed_reads,
             now.failed_writes, now.invalid_io, now.notify_free);
    return 0;
}

/* zram's version 1: writes that had to wait for memory, and frees that could not be done. */
int report_debug_stat(void *context, const struct attribute *attribute, const char *argument,
                      struct text *answer)
{
    struct device_statistics now;
    (void)attribute;
    (void)argument;
    device_statistics(context, &now);
    text_add(answer, "version: 1\n%8" PRIu64 " %8u\n", now.limit_hits, 0u);
    return 0;
}

int report_stats(void *context, const struct attribute *attribute, const char *argument,
                 struct text *answer)
{
    struct device_statistics now;
    size_t count;
    const struct statistic_row *rows = statistic_rows(&count);
    (void)attribute;
    (void)argument;
    device_statistics(context, &now);
    text_add(answer, "{");
    for (size_t i = 0; i < count; i++)
        text_add(answer, "%s\n  \"%s\": %" PRIu64, i > 0 ? "," : "", rows[i].name,
                 statistic_value(&now, &rows[i]));
    text_add(answer, "\n}\n");
    return 0;
}

int report_memory(void *context, const struct attribute *attribute, const char *argument,
                  struct text *answer)
{
    struct device_statistics now;
    (void)attribute;
    (void)argument;
    device_statistics(context, &now);
    const struct {
        const char *name;
        uint64_t bytes;
    } parts[] = {
        {"pool_used", now.pool_used},           {"pool_free", now.pool_free},
        {"slot_table", now.slot_table},         {"mem_desc_words", now.mem_desc_words},
        {"descriptors", now.descriptors},       {"arena_bookkeeping", now.arena_bookkeeping},
        {"mem_used_total", now.mem_used_total}, {"streams_memory", now.streams_memory},
    };
    for (size_t i = 0; i < array_count(parts); i++)
        text_add(answer, "%-17s %12" PRIu64 "\n", parts[i].name, parts[i].bytes);
    return 0;
}

/* The kernel's columns: groups from the first that holds objects on. */
static void add_class(struct text *answer, const struct zpool_class_statistics *class)
{
    for (unsigned group = 1; group < ZPOOL_GROUP_COUNT; group++)
        text_add(answer, " %9" PRIu64, class->zspages[group]);
    text_add(answer, " %13" PRIu64 " %10" PRIu64 " %10" PRIu64, class->objects_allocated,
             class->objects_used, class->pages_used);
}

int report_classes(void *context, const struct attribute *attribute, const char *argument,
                   struct text *answer)
{
    static const char *const groups[ZPOOL_GROUP_COUNT - 1] = {
        "10%", "20%", "30%", "40%", "50%", "60%", "70%", "80%", "90%", "99%", "100%"};
    struct device *device = context;
    struct zpool_class_statistics class, total = {0};
    (void)attribute;
    (void)argument;
    text_add(answer, " %5s %5s", "class", "size");
    for (unsigned i = 0; i < array_count(groups); i++)
        text_add(answer, " %9s", groups[i]);
    text_add(answer, " %13s %10s %10s %16s %8s\n", "obj_allocated", "obj_used", "pages_used",
             "pages_per_zspage", "freeable");
    for (unsigned i = 0; zpool_class_statistics(device->zpool, i, &class); i++) {
        text_add(answer, " %5u %5u", class.index, class.size_bytes);
        add_class(answer, &class);
        text_add(answer, " %16u %8" PRIu64 "\n", class.pages_per_zspage, class.pages_freeable);
        for (unsigned group = 0; group < ZPOOL_GROUP_COUNT; group++)
            total.zspages[group] += class.zspages[group];
        total.objects_allocated += class.objects_allocated;
        total.objects_used += class.objects_used;
        total.pages_used += class.pages_used;
        total.pages_freeable += class.pages_freeable;
    }
    text_add(answer, "\n %5s %5s", "Total", "");
    add_class(answer, &total);
    text_add(answer, " %16s %8" PRIu64 "\n", "", total.pages_freeable);
    return 0;
}

int report_arenas(void *context, const struct attribute *attribute, const char *argument,
                  struct text *answer)
{
    struct device *device = context;
    struct pages_arena arena;
    (void)attribute;
    (void)argument;
    for (uint64_t i = 0; pages_arena(device->pages, i, &arena); i++)
        if (arena.is_active)
            text_add(answer, "%" PRIu64 " %s %u %u\n", i,
                     arena.mobility == PAGE_MOVABLE ? "objects" : "descriptors", arena.owned,
                     arena.free_resident);
    return 0;
}

/* The number that an attribute's argument is, or `otherwise` if there is none. */
static int read_argument(const struct attribute *attribute, const char *argument,
                         uint64_t otherwise, uint64_t most, uint64_t *number, struct text *answer)
{
    *number = otherwise;
    if (argument[0] == '\0')
        return 0;
    if (parse_size(argument, number) == 0 && *number <= most)
        return 0;
    text_add(answer, "%s %s: give a number up to %" PRIu64 ", or nothing", attribute->name,
             argument, most);
    return -EINVAL;
}

static void add_block(const struct device *device, struct text *answer, uint64_t block,
                      struct slot slot)
{
    bool is_recompressed = algorithms_recompressed(&device->algorithms, slot);
    /* The time of the last access is not kept: a block costs 8 bytes in all. */
    text_add(answer, "%12" PRIu64 " %12d.%06d %c%c%c%c%c%c\n", block, 0, 0,
             slot_is_same_filled(slot) ? 's' : '.', '.', slot_kind(slot) == SLOT_RAW ? 'h' : '.',
             slot_is_idle(slot) ? 'i' : '.', is_recompressed ? 'r' : '.',
             slot_is_incompressible(slot) ? 'n' : '.');
}

/*
 * The first block at or behind `block`, before `end`, whose slot's page is used; `end` if there is
 * none. So what was never written is skipped 512 blocks at a time.
 */
static uint64_t next_block(const struct device *device, uint64_t block, uint64_t end)
{
    uint64_t page = slot_table_next_used(&device->slots, block / SLOTS_PER_PAGE);
    if (page > block / SLOTS_PER_PAGE)
        block = page * SLOTS_PER_PAGE;
    return block < end ? block : end;
}

int report_block_state(void *context, const struct attribute *attribute, const char *argument,
                       struct text *answer)
{
    const struct device *device = context;
    uint64_t end = device->block_count, block;
    int error = read_argument(attribute, argument, 0, BLOCK_COUNT_MAX, &block, answer);
    if (error != 0 || block >= end)
        return error;
    unsigned lines = 0;
    for (block = next_block(device, block, end); block < end && lines < BLOCK_STATE_LINES_MAX;
         block = next_block(device, block + 1, end)) {
        struct slot slot = slot_peek(&device->slots, (block_no)block);
        if (slot_kind(slot) == SLOT_EMPTY)
            continue;
        add_block(device, answer, block, slot);
        lines++;
    }
    return 0;
}

/* What a stretch of the device holds. */
struct stretch {
    uint64_t stored, same, huge, idle, recompressed, bytes;
};

static void add_to_stretch(const struct device *device, struct stretch *stretch, struct slot slot)
{
    stretch->stored++;
    stretch->same += slot_is_same_filled(slot);
    stretch->huge += slot_kind(slot) == SLOT_RAW;
    stretch->idle += slot_is_idle(slot);
    stretch->recompressed += algorithms_recompressed(&device->algorithms, slot);
    stretch->bytes += slot_length(slot);
}

int report_block_map(void *context, const struct attribute *attribute, const char *argument,
                     struct text *answer)
{
    const struct device *device = context;
    uint64_t blocks = device->block_count, stretches;
    int error =
        read_argument(attribute, argument, BLOCK_MAP_DEFAULT, BLOCK_MAP_MAX, &stretches, answer);
    if (error != 0)
        return error;
    if (stretches == 0)
        stretches = 1;
    uint64_t length = (blocks + stretches - 1) / stretches;
    for (uint64_t first = 0; first < blocks; first += length) {
        uint64_t end = blocks - first < length ? blocks : first + length;
        struct stretch stretch = {0};
        for (uint64_t block = next_block(device, first, end); block < end;
             block = next_block(device, block + 1, end)) {
            struct slot slot = slot_peek(&device->slots, (block_no)block);
            if (slot_kind(slot) != SLOT_EMPTY)
                add_to_stretch(device, &stretch, slot);
        }
        if (stretch.stored > 0)
            text_add(answer,
                     "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                     " %" PRIu64 " %" PRIu64 "\n",
                     first, end - first, stretch.stored, stretch.same, stretch.huge, stretch.idle,
                     stretch.recompressed, stretch.bytes);
    }
    return 0;
}
