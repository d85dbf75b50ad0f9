/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attributes-test.c: each attribute of a device against its description: formats, conditions,
 * refusals that change nothing, and all of them while requests come.
 */
#include "tests/device-support.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/units.h"
#include "device/attributes.h"
#include "device/reports.h"

/* A large device, as far as there are addresses for it. */
#define SIZE_MAX_BYTES (TEST_UNDER_TSAN ? 4096 * MIB : TIB)
#define BLOCK          BLOCK_SIZE_BYTES

static struct text answer;

static int get_part(struct device *device, const char *name, const char *argument)
{
    struct attribute_table table = device_attributes(device);
    text_free(&answer);
    answer = text_of_limit((size_t)1 << 20);
    int error = attribute_read(&table, name, argument, &answer);
    assert_false(answer.is_broken);
    return error;
}

/* The value of an attribute, which has to be one. */
static const char *value_of(struct device *device, const char *name)
{
    assert_int_equal(get_part(device, name, ""), 0);
    return text_string(&answer);
}

static uint64_t number_of(struct device *device, const char *name)
{
    char *end;
    uint64_t number = strtoull(value_of(device, name), &end, 10);
    assert_string_equal(end, "\n");
    return number;
}

static int set(struct device *device, const char *name, const char *value)
{
    struct attribute_table table = device_attributes(device);
    text_free(&answer);
    answer = text_of_limit((size_t)1 << 20);
    return attribute_write(&table, name, value, &answer);
}

/* Refused with this error, in one line that names the attribute, its value and what `says`. */
static void must_refuse(struct device *device, const char *name, const char *value, int error,
                        const char *says)
{
    char begins[300];
    snprintf(begins, sizeof begins, "%s=%s: ", name, value);
    assert_int_equal(set(device, name, value), error);
    const char *sentence = text_string(&answer);
    if (strncmp(sentence, begins, strlen(begins)) != 0 || strstr(sentence, says) == NULL ||
        strchr(sentence, '\n') != NULL)
        fail_msg("\"%s\" does not begin \"%s\" or not say \"%s\"", sentence, begins, says);
}

static void write_block(struct device *device, block_no block, enum content_kind kind,
                        uint64_t seed)
{
    unsigned char data[BLOCK];
    content_fill(data, BLOCK, kind, seed);
    assert_int_equal(device_write(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
}

static void read_must_be(struct device *device, block_no block, enum content_kind kind,
                         uint64_t seed)
{
    unsigned char data[BLOCK], expected[BLOCK];
    content_fill(expected, BLOCK, kind, seed);
    assert_int_equal(device_read(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
    assert_memory_equal(data, expected, BLOCK);
}

/* Blocks of every kind, and a hole after each eight. */
static void fill(struct device *device, block_no count)
{
    for (block_no block = 0; block < count; block++)
        if (block % 8 != 7)
            write_block(device, block, (enum content_kind)(block % CONTENT_KIND_COUNT), block);
}

static void every_attribute_reads_or_says_that_it_is_write_only(void **state)
{
    (void)state;
    struct device *device = device_of_size(4 * MIB);
    struct attribute_table table = device_attributes(device);
    fill(device, 1024);
    for (size_t i = 0; i < table.count; i++) {
        const struct attribute *row = attribute_find(&table, table.rows[i].name);
        assert_true(row->get != NULL || row->set != NULL);
        assert_true(strlen(row->help) > 0 && strchr(row->help, '\n') == NULL);
        int error = get_part(device, row->name, "");
        assert_int_equal(error, row->get != NULL ? 0 : -EACCES);
        assert_true(answer.length > 0 || strcmp(row->name, "recomp_algorithm") == 0);
        if (row->set == NULL)
            assert_int_equal(set(device, row->name, "1"), -EACCES);
    }
    device_finish(device);
}

static void statistics_lines_are_as_zram_writes_them(void **state)
{
    (void)state;
    struct device *device = device_of_size(4 * MIB);
    fill(device, 1024);
    struct device_statistics now = device_statistics_now(device);
    char expected[400];
    snprintf(expected, sizeof expected, "%8llu %8llu %8llu %8llu %8llu %8llu %8llu %8llu %8llu\n",
             (unsigned long long)now.orig_data_size, (unsigned long long)now.compr_data_size,
             (unsigned long long)now.mem_used_total, (unsigned long long)now.mem_limit,
             (unsigned long long)now.mem_used_max, (unsigned long long)now.same_pages,
             (unsigned long long)now.pages_compacted, (unsigned long long)now.huge_pages,
             (unsigned long long)now.huge_pages_since);
    assert_string_equal(value_of(device, "mm_stat"), expected);
    unsigned char byte;
    assert_int_equal(device_read(device, &byte, 1, 4 * MIB), -EINVAL);
    assert_int_equal(device_trim(device, 3 * BLOCK, 0), 0);
    assert_string_equal(value_of(device, "io_stat"), "       0        0        1        3\n");
    assert_string_equal(value_of(device, "debug_stat"), "version: 1\n       0        0\n");
    assert_string_equal(value_of(device, "initstate"), "1\n");
    assert_true(number_of(device, "writes") == now.writes);
    assert_true(number_of(device, "max_comp_streams") == streams_count(device->streams));
    device_finish(device);
}

static void the_json_has_every_statistic_once(void **state)
{
    (void)state;
    struct device *device = device_of_size(4 * MIB);
    fill(device, 1024);
    struct device_statistics now = device_statistics_now(device);
    char *json = strdup(value_of(device, "stats")), *at = json;
    size_t count;
    const struct statistic_row *rows = statistic_rows(&count);
    assert_non_null(json);
    assert_int_equal(*at++, '{');
    for (size_t i = 0; i < count; i++) {
        char line[200];
        int length = snprintf(line, sizeof line, "%s\n  \"%s\": %llu", i > 0 ? "," : "",
                              rows[i].name, (unsigned long long)statistic_value(&now, &rows[i]));
        assert_int_equal(strncmp(at, line, (size_t)length), 0);
        at += length;
    }
    assert_string_equal(at, "\n}\n");
    free(json);
    device_finish(device);
}

static void the_memory_account_adds_up(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    fill(device, 4000);
    uint64_t sum = 0, total = 0, bytes;
    char name[40];
    const char *at = value_of(device, "memory");
    for (int used; sscanf(at, "%39s %" SCNu64 "\n%n", name, &bytes, &used) == 2; at += used) {
        if (strcmp(name, "mem_used_total") == 0)
            total = bytes;
        else if (strcmp(name, "streams_memory") != 0)
            sum += bytes;
    }
    assert_true(total > 0);
    assert_true(sum == total);
    assert_true(number_of(device, "mem_used_total") == total);
    device_finish(device);
}

static void classes_add_up_to_their_total(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    fill(device, 4000);
    char *table = strdup(value_of(device, "classes"));
    assert_non_null(table);
    unsigned long sums[3] = {0}, totals[3] = {0};
    unsigned lines = 0;
    char *rest = NULL;
    for (char *line = strtok_r(table, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        unsigned long allocated, used, pages;
        unsigned class, size;
        if (sscanf(line, " %u %u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu %lu %lu", &class,
                   &size, &allocated, &used, &pages) == 5) {
            assert_int_equal(class, lines++);
            sums[0] += allocated;
            sums[1] += used;
            sums[2] += pages;
        } else if (strncmp(line, " Total", 6) == 0) {
            assert_int_equal(sscanf(line,
                                    " Total %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu %lu "
                                    "%lu",
                                    &totals[0], &totals[1], &totals[2]),
                             3);
        }
    }
    assert_true(lines > 100);
    for (size_t i = 0; i < array_count(sums); i++)
        assert_int_equal(sums[i], totals[i]);
    struct device_statistics now = device_statistics_now(device);
    uint64_t in_slots = 0;
    for (block_no block = 0; block < 4096; block++) {
        enum slot_kind kind = slot_kind(device_slot(device, block));
        in_slots += kind == SLOT_SAME || kind == SLOT_SAME_HALF;
    }
    assert_true(totals[1] == now.orig_data_size / BLOCK - in_slots - now.huge_pages);
    free(table);
    device_finish(device);
}

static void arenas_add_up_to_the_pool(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    struct pages_account account;
    fill(device, 4000);
    uint64_t index, owned, ready, owned_sum = 0, ready_sum = 0;
    char kind[20];
    const char *at = value_of(device, "arenas");
    for (int used; sscanf(at, "%" SCNu64 " %19s %" SCNu64 " %" SCNu64 "\n%n", &index, kind, &owned,
                          &ready, &used) == 4;
         at += used) {
        assert_true(strcmp(kind, "objects") == 0 || strcmp(kind, "descriptors") == 0);
        owned_sum += owned;
        ready_sum += ready;
    }
    assert_string_equal(at, "");
    pages_account(device->pages, &account);
    assert_true(owned_sum > 0 && owned_sum == account.owned_total);
    assert_true(ready_sum == account.free_resident);
    device_finish(device);
}

static void block_state_shows_each_stored_block_with_its_flags(void **state)
{
    (void)state;
    struct device *device = device_of_size(64 * MIB);
    write_block(device, 0, CONTENT_ZERO, 1);
    write_block(device, 2, CONTENT_SMALL, 1);
    write_block(device, 9000, CONTENT_RANDOM, 1);
    write_block(device, 9001, CONTENT_SAME_LONG, 1);
    assert_string_equal(value_of(device, "block_state"),
                        "           0            0.000000 s.....\n"
                        "           2            0.000000 ......\n"
                        "        9000            0.000000 ..h...\n"
                        "        9001            0.000000 s.....\n");
    assert_int_equal(get_part(device, "block_state", "9001"), 0);
    assert_string_equal(text_string(&answer), "        9001            0.000000 s.....\n");
    assert_int_equal(get_part(device, "block_state", "9002"), 0);
    assert_string_equal(text_string(&answer), "");
    assert_int_equal(get_part(device, "block_state", "99999999"), 0);
    assert_string_equal(text_string(&answer), "");
    assert_int_equal(get_part(device, "block_state", "x"), -EINVAL);
    assert_int_equal(get_part(device, "block_state", "-1"), -EINVAL);
    device_finish(device);
}

static void block_state_comes_in_parts_that_leave_nothing_out(void **state)
{
    (void)state;
    const block_no blocks = 2 * BLOCK_STATE_LINES_MAX + 77;
    struct device *device = device_of_size((uint64_t)blocks * BLOCK);
    for (block_no block = 0; block < blocks; block++)
        write_block(device, block, CONTENT_SAME_SHORT, block);
    uint64_t next = 0, index;
    for (unsigned parts = 0; next < blocks; parts++) {
        char argument[20];
        snprintf(argument, sizeof argument, "%" PRIu64, next);
        assert_true(parts < 3);
        assert_int_equal(get_part(device, "block_state", argument), 0);
        const char *at = text_string(&answer);
        for (int used; sscanf(at, "%" SCNu64 " 0.000000 s.....\n%n", &index, &used) == 1;
             at += used)
            assert_true(index == next++);
        assert_string_equal(at, "");
    }
    device_finish(device);
}

static void the_block_map_adds_up_however_it_is_cut(void **state)
{
    (void)state;
    static const char *const stretches[] = {"", "0", "1", "7", "512", "3000", "16384"};
    struct device *device = device_of_size(16 * MIB);
    fill(device, 3001);
    struct device_statistics now = device_statistics_now(device);
    for (size_t i = 0; i < array_count(stretches); i++) {
        uint64_t first, count, stored, same, huge, idle, recompressed, bytes;
        uint64_t sums[4] = {0}, behind = 0;
        assert_int_equal(get_part(device, "block_map", stretches[i]), 0);
        const char *at = text_string(&answer);
        for (int used; sscanf(at,
                              "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                              " %" SCNu64 " %" SCNu64 "\n%n",
                              &first, &count, &stored, &same, &huge, &idle, &recompressed, &bytes,
                              &used) == 8;
             at += used) {
            assert_true(first >= behind && stored <= count && idle == 0 && recompressed == 0);
            behind = first + count;
            sums[0] += stored;
            sums[1] += same;
            sums[2] += huge;
            sums[3] += bytes;
        }
        assert_string_equal(at, "");
        assert_true(sums[0] * BLOCK == now.orig_data_size && sums[1] == now.same_pages);
        assert_true(sums[2] == now.huge_pages && sums[3] == now.compr_data_size);
    }
    assert_int_equal(get_part(device, "block_map", "16385"), -EINVAL);
    device_finish(device);
}

static void the_largest_disk_is_shown_at_once_when_it_is_empty(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        skip_because("no room for 16 TiB of addresses under the thread sanitizer");
    struct device *device = device_of_size(DEVICE_SIZE_MAX_BYTES);
    write_block(device, UINT32_MAX, CONTENT_ZERO, 0);
    assert_string_equal(value_of(device, "block_state"),
                        "  4294967295            0.000000 s.....\n");
    assert_int_equal(get_part(device, "block_map", "1024"), 0);
    assert_string_equal(text_string(&answer), "4290772992 4194304 1 1 0 0 0 0\n");
    assert_true(device_statistic(device, slot_table) == PAGE_SIZE_BYTES);
    device_finish(device);
}

static void the_memory_limit_changes_at_once(void **state)
{
    (void)state;
    struct device *device = device_of_size(64 * MIB);
    unsigned char data[BLOCK];
    block_no block = 0;
    for (; block < 1000; block++)
        write_block(device, block, CONTENT_RANDOM, block);
    assert_int_equal(set(device, "mem_limit", "5M"), 0);
    assert_true(number_of(device, "mem_limit") == 5 * MIB);
    int error = 0;
    while (error == 0) {
        content_fill(data, BLOCK, CONTENT_RANDOM, block);
        error = device_write(device, data, BLOCK, (uint64_t)block++ * BLOCK);
    }
    assert_int_equal(error, -ENOSPC);
    assert_true(number_of(device, "mem_used_total") <= 5 * MIB);
    assert_true(number_of(device, "limit_hits") > 0);
    /* One below what is used refuses, and keeps what there is. */
    assert_int_equal(set(device, "mem_limit", "1m"), 0);
    assert_int_equal(device_write(device, data, BLOCK, 60 * MIB), -ENOSPC);
    read_must_be(device, 999, CONTENT_RANDOM, 999);
    assert_int_equal(set(device, "mem_limit", "4097"), 0);
    assert_true(number_of(device, "mem_limit") == 2 * PAGE_SIZE_BYTES);
    assert_int_equal(set(device, "mem_limit", "0"), 0);
    assert_true(number_of(device, "mem_limit") == 0);
    assert_int_equal(device_write(device, data, BLOCK, 60 * MIB), 0);

    static const char *const bad[] = {"", "x", "-1", "1.5M", "9E", "1 M"};
    assert_int_equal(set(device, "mem_limit", "7M"), 0);
    for (size_t i = 0; i < array_count(bad); i++)
        must_refuse(device, "mem_limit", bad[i], -EINVAL, "0 for no limit");
    assert_true(number_of(device, "mem_limit") == 7 * MIB);
    device_finish(device);
}

static void the_highest_memory_use_begins_anew(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    fill(device, 4000);
    assert_int_equal(device_trim(device, 16 * MIB, 0), 0);
    device_give_back(device);
    struct device_statistics before = device_statistics_now(device);
    assert_true(before.mem_used_max > before.mem_used_total);
    must_refuse(device, "mem_used_max", "1", -EINVAL, "give 0");
    must_refuse(device, "mem_used_max", "", -EINVAL, "give 0");
    assert_true(device_statistic(device, mem_used_max) == before.mem_used_max);
    assert_int_equal(set(device, "mem_used_max", "0"), 0);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.mem_used_max == now.mem_used_total);
    device_finish(device);
}

static void compaction_gives_memory_back_at_once(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    for (block_no block = 0; block < 4000; block++)
        write_block(device, block, CONTENT_SMALL, block);
    for (block_no block = 0; block < 4000; block++)
        if (block % 8 != 0)
            assert_int_equal(device_trim(device, BLOCK, (uint64_t)block * BLOCK), 0);
    struct device_statistics before = device_statistics_now(device);
    assert_int_equal(set(device, "compact", "1"), 0);
    struct device_statistics now = device_statistics_now(device);
    assert_true(now.pages_compacted > 0 && now.pool_free == 0);
    assert_true(now.mem_used_total < before.mem_used_total);
    for (block_no block = 0; block < 4000; block += 8)
        read_must_be(device, block, CONTENT_SMALL, block);
    device_finish(device);
}

static void a_reset_leaves_nothing_and_is_refused_while_a_client_is_there(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    unsigned char byte;
    fill(device, 4000);
    assert_int_equal(set(device, "mem_limit", "64M"), 0);
    assert_int_equal(set(device, "step_objects", "77"), 0);
    assert_int_equal(device_read(device, &byte, 1, 16 * MIB), -EINVAL);
    must_refuse(device, "reset", "0", -EINVAL, "give 1");
    must_refuse(device, "reset", "", -EINVAL, "give 1");
    device_connect(device);
    device_connect(device);
    must_refuse(device, "reset", "1", -EBUSY, "a client is connected");
    device_disconnect(device);
    must_refuse(device, "reset", "1", -EBUSY, "a client is connected");
    read_must_be(device, 4, CONTENT_SMALL, 4);
    device_disconnect(device);
    assert_int_equal(set(device, "reset", "1"), 0);

    struct device_statistics now = device_statistics_now(device);
    size_t count;
    const struct statistic_row *rows = statistic_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (rows[i].kind == STATISTIC_COUNTER)
            assert_true(statistic_value(&now, &rows[i]) == 0);
    assert_true(now.orig_data_size == 0 && now.compr_data_size == 0);
    assert_true(now.pool_used == 0 && now.pool_free == 0 && now.slot_table == 0);
    assert_true(now.mem_used_max == now.mem_used_total);
    assert_true(now.mem_used_total <= 32 * PAGE_SIZE_BYTES); /* descriptors */
    assert_true(now.disksize == 16 * MIB && now.mem_limit == 64 * MIB);
    assert_true(number_of(device, "step_objects") == 77);
    assert_string_equal(value_of(device, "block_state"), "");
    for (block_no block = 0; block < 4096; block++)
        read_must_be(device, block, CONTENT_ZERO, 0);
    write_block(device, 5, CONTENT_MIXED, 9);
    read_must_be(device, 5, CONTENT_MIXED, 9);
    assert_true(device_statistic(device, writes) == 1 && device_statistic(device, reads) == 4097);
    device_finish(device);
}

static void the_algorithm_changes_at_any_time_and_old_blocks_stay(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    assert_string_equal(value_of(device, "comp_algorithm"), "[lz4] lz4hc zstd\n");
    must_refuse(device, "comp_algorithm", "lz5", -EINVAL, "give one of lz4, lz4hc, zstd");
    must_refuse(device, "comp_algorithm", "", -EINVAL, "give one of");
    must_refuse(device, "comp_algorithm", "[zstd]", -EINVAL, "give one of");
    assert_int_equal(set(device, "comp_algorithm", "zstd"), 0);
    assert_string_equal(value_of(device, "comp_algorithm"), "lz4 lz4hc [zstd]\n");
    write_block(device, 600, CONTENT_MIXED, 1);
    device_connect(device);
    assert_int_equal(set(device, "comp_algorithm", "lz4"), 0);
    read_must_be(device, 600, CONTENT_MIXED, 1);
    write_block(device, 601, CONTENT_MIXED, 2);
    device_disconnect(device);
    assert_int_equal(set(device, "comp_algorithm", "lz4hc"), 0);
    read_must_be(device, 600, CONTENT_MIXED, 1);
    read_must_be(device, 601, CONTENT_MIXED, 2);
    fill(device, 500);
    for (block_no block = 0; block < 500; block++)
        if (block % 8 != 7)
            read_must_be(device, block, (enum content_kind)(block % CONTENT_KIND_COUNT), block);
    device_finish(device);
}

static void recompression_is_set_and_made_by_attributes(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    fill(device, 1000);
    assert_string_equal(value_of(device, "recomp_algorithm"), "");
    must_refuse(device, "recompress", "type=idle", -EINVAL, "set recomp_algorithm first");
    must_refuse(device, "recomp_algorithm", "lz5", -EINVAL, "lz4, lz4hc, zstd");
    must_refuse(device, "recomp_algorithm", "zstd priority=4", -EINVAL, "1 to 3");
    assert_int_equal(set(device, "recomp_algorithm", "zstd"), 0);
    assert_int_equal(set(device, "recomp_algorithm", "algo=lz4hc priority=3"), 0);
    assert_string_equal(value_of(device, "recomp_algorithm"),
                        "#1: lz4 lz4hc [zstd]\n#3: lz4 [lz4hc] zstd\n");
    must_refuse(device, "recompress", "type=old", -EINVAL, "huge_idle");
    must_refuse(device, "recompress", "threshold=4097", -EINVAL, "0 to 4096");
    must_refuse(device, "recompress", "max_pages=0", -EINVAL, "above 0");
    must_refuse(device, "recompress", "priority=2", -EINVAL, "recomp_algorithm");
    must_refuse(device, "recompress", "algo=lz4", -EINVAL, "recomp_algorithm");
    must_refuse(device, "recompress", "speed=9", -EINVAL, "give type=");
    assert_true(number_of(device, "recompress_tried") == 0);

    assert_int_equal(set(device, "recompress", "type=idle"), 0);
    assert_true(number_of(device, "recompress_tried") == 0);
    assert_int_equal(set(device, "idle", "all"), 0);
    assert_int_equal(set(device, "recompress", "type=idle algo=zstd max_pages=10"), 0);
    assert_true(number_of(device, "recompress_tried") == 10);
    uint64_t before = number_of(device, "compr_data_size");
    assert_int_equal(set(device, "recompress", ""), 0);
    assert_true(number_of(device, "recompressed") > 0);
    assert_true(number_of(device, "compr_data_size") < before);
    for (block_no block = 0; block < 1000; block++)
        if (block % 8 != 7)
            read_must_be(device, block, (enum content_kind)(block % CONTENT_KIND_COUNT), block);
    assert_int_equal(set(device, "recomp_algorithm", "none"), 0);
    assert_string_equal(value_of(device, "recomp_algorithm"), "#3: lz4 [lz4hc] zstd\n");

    must_refuse(device, "recompress_policy", "", -EINVAL, "age=");
    must_refuse(device, "recompress_policy", "cpu=0", -EINVAL, "1 to 100");
    must_refuse(device, "recompress_policy", "age=5 cpu=101", -EINVAL, "1 to 100");
    assert_string_equal(value_of(device, "recompress_policy"), "age=60 cpu=20 busy=20000\n");
    assert_int_equal(set(device, "recompress_policy", "age=5 busy=7"), 0);
    assert_string_equal(value_of(device, "recompress_policy"), "age=5 cpu=20 busy=7\n");
    device_finish(device);
}

/* A file of a dictionary's content, at `path` until it is removed. */
static void make_dictionary(char *path)
{
    unsigned char content[16 * KIB];
    content_fill(content, sizeof content, CONTENT_MIXED, 1);
    int file = mkstemp(path);
    must(file >= 0 && write(file, content, sizeof content) == sizeof content && close(file) == 0);
}

static void params_name_a_priority_a_level_and_a_dictionary(void **state)
{
    (void)state;
    char dictionary[] = "/tmp/uzram-dictionary.XXXXXX", with_dictionary[64];
    make_dictionary(dictionary);
    snprintf(with_dictionary, sizeof with_dictionary, "level=2 dict=%s", dictionary);
    struct device *device = device_of_size(16 * MIB);
    assert_int_equal(set(device, "recomp_algorithm", "zstd priority=2"), 0);
    must_refuse(device, "algorithm_params", "priority=1 level=3", -EINVAL, "get algorithm_params");
    must_refuse(device, "algorithm_params", "algo=lz4hc", -EINVAL, "get algorithm_params");
    must_refuse(device, "algorithm_params", "algo=zstd level=23", -EINVAL, "level=22");
    must_refuse(device, "algorithm_params", "dict=/no/such", -EINVAL, "No such file");
    must_refuse(device, "algorithm_params", "dict=/", -EINVAL, "dict: ");
    fill(device, 100);
    assert_int_equal(set(device, "algorithm_params", "algo=zstd level=9"), 0);
    assert_int_equal(set(device, "algorithm_params", with_dictionary), 0);
    unlink(dictionary);
    const char *params = value_of(device, "algorithm_params");
    assert_non_null(strstr(params, "priority=0 algo=lz4 level=2 dictionary_bytes="));
    assert_null(strstr(params, "level=2 dictionary_bytes=0"));
    assert_non_null(strstr(params, "priority=2 algo=zstd level=9 dictionary_bytes=0"));
    assert_true(number_of(device, "dictionaries") > 0);
    fill(device, 200);
    assert_int_equal(set(device, "algorithm_params", "priority=0 level=1"), 0);
    assert_true(number_of(device, "dictionaries") > 0); /* blocks need it */
    for (block_no block = 0; block < 200; block++)
        if (block % 8 != 7)
            read_must_be(device, block, (enum content_kind)(block % CONTENT_KIND_COUNT), block);
    assert_int_equal(set(device, "reset", "1"), 0);
    assert_true(number_of(device, "dictionaries") == 0);
    device_finish(device);
}

static void idle_marks_all_or_what_is_known_to_have_rested(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    write_block(device, 0, CONTENT_MIXED, 1);
    write_block(device, 1, CONTENT_ZERO, 1);
    must_refuse(device, "idle", "", -EINVAL, "give all");
    must_refuse(device, "idle", "0", -EINVAL, "give all");
    must_refuse(device, "idle", "61", -EINVAL, "60 seconds");
    assert_int_equal(set(device, "idle", "60"), 0);
    assert_non_null(strstr(value_of(device, "block_state"), "......"));
    assert_null(strchr(value_of(device, "block_state"), 'i'));
    assert_int_equal(set(device, "idle", "all"), 0);
    assert_non_null(strstr(value_of(device, "block_state"), "...i.."));
    assert_null(strstr(value_of(device, "block_state"), "s..i"));
    read_must_be(device, 0, CONTENT_MIXED, 1);
    assert_null(strchr(value_of(device, "block_state"), 'i'));
    device_finish(device);
}

static void a_dictionary_is_trained_and_told_what_it_would_save(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    must_refuse(device, "idle", "x", -EINVAL, "give all");
    assert_int_equal(get_part(device, "train", "algo=zstd"), -ENODATA);
    assert_int_equal(get_part(device, "train", "algo=lz5"), -EINVAL);
    assert_int_equal(get_part(device, "train", "size=100"), -EINVAL);
    assert_int_equal(get_part(device, "train", "level=99"), -EINVAL);
    assert_int_equal(get_part(device, "train", "size=257K"), -EINVAL);
    /* Lines of words from a small vocabulary, so that blocks have much in common. */
    for (block_no block = 0; block < 1000; block++) {
        char data[BLOCK + 32];
        struct rng rng = rng_of(block);
        for (size_t at = 0; at < BLOCK;) {
            uint64_t word = rng_below(&rng, 500) * UINT64_C(0x9e3779b97f4a7c15);
            at += (size_t)snprintf(data + at, 32, "%016" PRIx64 " ", word);
        }
        assert_int_equal(device_write(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
    }
    assert_int_equal(get_part(device, "train", "algo=zstd level=3 size=16K"), 0);
    unsigned long long samples, stored, without, with;
    assert_int_equal(sscanf(text_string(&answer),
                            "samples %llu stored_bytes %llu without_bytes %llu with_bytes %llu",
                            &samples, &stored, &without, &with),
                     4);
    assert_true(samples == 500 && stored > 0 && with < without);
    assert_true(number_of(device, "dictionaries") == 0);
    device_finish(device);
}

static void a_change_of_algorithm_without_memory_changes_nothing(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    const struct codec *zstd = codec_find("zstd");
    bool failed = true;
    long after = 0;
    for (; failed; after++) {
        (void)memory_fail_after(after, false);
        int error = device_set_algorithm(device, 0, zstd, 3, NULL, 0);
        (void)memory_fail_after(-1, false);
        failed = error != 0;
        if (failed) {
            assert_int_equal(error, -ENOMEM);
            assert_string_equal(value_of(device, "comp_algorithm"), "[lz4] lz4hc zstd\n");
            write_block(device, 3, CONTENT_MIXED, 3);
            read_must_be(device, 3, CONTENT_MIXED, 3);
            assert_int_equal(device_trim(device, BLOCK, 3 * BLOCK), 0);
        }
    }
    assert_true(after > 3);
    assert_int_equal(device_set_algorithm(device, 0, zstd, 1000, NULL, 0), -EINVAL);
    assert_string_equal(value_of(device, "comp_algorithm"), "lz4 lz4hc [zstd]\n");
    device_finish(device);
}

static void a_disk_grows_up_to_what_was_reserved(void **state)
{
    (void)state;
    struct device_config config = config_of_size(5 * BLOCK + 100);
    unsigned char data[BLOCK];
    config.size_max_bytes = 64 * MIB;
    struct device *device = device_of(&config);
    assert_true(number_of(device, "disksize") == 5 * BLOCK + 100);
    memset(data, 'x', sizeof data);
    assert_int_equal(device_write(device, data, 100, 5 * BLOCK), 0);
    assert_int_equal(device_write(device, data, 1, 5 * BLOCK + 100), -EINVAL);
    must_refuse(device, "disksize", "2K", -EBUSY, "can't shrink");
    must_refuse(device, "disksize", "65M", -EBUSY, "up to 67108864");
    must_refuse(device, "disksize", "17T", -EINVAL, "16T");
    must_refuse(device, "disksize", "0", -EINVAL, "16T");
    must_refuse(device, "disksize", "big", -EINVAL, "16T");
    assert_true(number_of(device, "disksize") == 5 * BLOCK + 100);

    assert_int_equal(set(device, "disksize", "64M"), 0);
    assert_true(number_of(device, "disksize") == 64 * MIB);
    unsigned char back[BLOCK];
    assert_int_equal(device_read(device, back, BLOCK, 5 * BLOCK), 0);
    assert_memory_equal(back, data, 100);
    for (size_t i = 100; i < BLOCK; i++)
        assert_int_equal(back[i], 0);
    write_block(device, 16383, CONTENT_MIXED, 1);
    read_must_be(device, 16383, CONTENT_MIXED, 1);
    assert_int_equal(device_write(device, data, 1, 64 * MIB), -EINVAL);
    assert_int_equal(set(device, "disksize", "64M"), 0);
    must_refuse(device, "disksize", "32M", -EBUSY, "can't shrink");
    device_finish(device);

    config = config_of_size(MIB);
    device = device_of(&config);
    must_refuse(device, "disksize", "2M", -EBUSY, "size_max=");
    device_finish(device);
    config.size_max_bytes = MIB - 1;
    assert_int_equal(device_create(&config, &device), -EINVAL);
    config.size_max_bytes = DEVICE_SIZE_MAX_BYTES + 1;
    assert_int_equal(device_create(&config, &device), -EINVAL);
}

static void settings_are_read_and_written_within_their_bounds(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    const struct setting_row *row;
    for (size_t i = 0; (row = setting_at(i)) != NULL; i++) {
        char value[30];
        assert_true(number_of(device, row->name) == row->initial);
        snprintf(value, sizeof value, "%" PRIu64, row->most);
        assert_int_equal(set(device, row->name, value), 0);
        assert_true(number_of(device, row->name) == row->most);
        snprintf(value, sizeof value, "%" PRIu64, row->most + 1);
        must_refuse(device, row->name, value, -EINVAL, row->unit);
        must_refuse(device, row->name, "", -EINVAL, "give");
        must_refuse(device, row->name, "1x", -EINVAL, "give");
        assert_true(number_of(device, row->name) == row->most);
    }
    device_finish(device);
}

/* A client of its own stretch of the device, which knows what it wrote. */
struct client {
    struct device *device;
    block_no first, count;
    uint64_t requests;
    pthread_t thread;
    _Atomic bool *stop;
};

static void *work(void *context)
{
    struct client *client = context;
    struct rng rng = rng_of(client->first + 1);
    uint64_t *seeds = calloc(client->count, sizeof *seeds);
    unsigned char data[BLOCK], expected[BLOCK];
    must(seeds != NULL);
    while (!atomic_load(client->stop)) {
        block_no block = (block_no)rng_below(&rng, client->count);
        uint64_t offset = (uint64_t)(client->first + block) * BLOCK;
        client->requests++;
        if (rng_percent(&rng, 40)) {
            seeds[block] = rng_next(&rng) | 1;
            content_fill(data, BLOCK, (enum content_kind)(seeds[block] / 2 % CONTENT_KIND_COUNT),
                         seeds[block]);
            must(device_write(client->device, data, BLOCK, offset) == 0);
        } else if (rng_percent(&rng, 10)) {
            seeds[block] = 0;
            must(device_trim(client->device, BLOCK, offset) == 0);
        } else {
            enum content_kind kind =
                seeds[block] != 0 ? (enum content_kind)(seeds[block] / 2 % CONTENT_KIND_COUNT)
                                  : CONTENT_ZERO;
            content_fill(expected, BLOCK, kind, seeds[block]);
            must(device_read(client->device, data, BLOCK, offset) == 0);
            must(memcmp(data, expected, BLOCK) == 0);
        }
    }
    free(seeds);
    return NULL;
}

static void attributes_are_used_while_requests_come(void **state)
{
    (void)state;
    enum { CLIENTS = 3, BLOCKS = 2000 };
    static const struct {
        const char *name, *value;
        int error;
    } changes[] = {
        {"compact", "1", 0},
        {"mem_used_max", "0", 0},
        {"mem_limit", "512M", 0},
        {"mem_limit", "0", 0},
        {"step_objects", "10", 0},
        {"step_objects", "1024", 0},
        {"waste_percent", "1", 0},
        {"reserve", "1M", 0},
        {"reserve", "0", 0},
        {"reset", "1", -EBUSY},
        {"comp_algorithm", "zstd", 0},
        {"comp_algorithm", "lz4", 0},
        {"recomp_algorithm", "lz4hc", 0},
        {"recomp_algorithm", "zstd priority=2", 0},
        {"recompress", "max_pages=20 priority=1", -ENOENT}, /* or 0, once it is configured */
        {"idle", "all", 0},
        {"recompress_policy", "age=1 cpu=50 busy=1000000000", 0},
        {"disksize", "1K", -EBUSY},
    };
    struct device_config config = config_of_size((uint64_t)CLIENTS * BLOCKS * BLOCK);
    config.size_max_bytes = SIZE_MAX_BYTES;
    struct device *device = device_of(&config);
    struct attribute_table table = device_attributes(device);
    struct client clients[CLIENTS];
    _Atomic bool stop = false;
    struct rng rng = rng_of(99);
    assert_int_equal(device_start(device), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] =
            (struct client){.device = device, .first = i * BLOCKS, .count = BLOCKS, .stop = &stop};
        device_connect(device);
        assert_int_equal(pthread_create(&clients[i].thread, NULL, work, &clients[i]), 0);
    }
    uint64_t size = config.size_bytes;
    for (uint64_t i = test_scaled(3000); i > 0; i--) {
        const char *name = table.rows[rng_below(&rng, table.count)].name;
        const struct attribute *row = attribute_find(&table, name);
        if (row->get != NULL && strcmp(row->name, "train") != 0)
            assert_int_equal(get_part(device, row->name, ""), 0);
        size_t change = rng_below(&rng, array_count(changes));
        int error = set(device, changes[change].name, changes[change].value);
        if (changes[change].error == -ENOENT)
            assert_true(error == 0 || error == -EINVAL);
        else
            assert_int_equal(error, changes[change].error);
        if (i % 16 == 0) {
            char value[30];
            size += BLOCK;
            snprintf(value, sizeof value, "%" PRIu64, size);
            assert_int_equal(set(device, "disksize", value), 0);
        }
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_true(clients[i].requests > 0);
        device_disconnect(device);
    }
    assert_true(number_of(device, "disksize") == size);
    device_stop(device);
    device_must_be_valid(device);
    assert_int_equal(device_start(device), 0);
    assert_int_equal(set(device, "reset", "1"), 0);
    assert_true(number_of(device, "orig_data_size") == 0);
    device_stop(device);
    device_finish(device);
}

int main(void)
{
    watchdog_start("attributes-test", 600);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_attribute_reads_or_says_that_it_is_write_only),
        cmocka_unit_test(statistics_lines_are_as_zram_writes_them),
        cmocka_unit_test(the_json_has_every_statistic_once),
        cmocka_unit_test(the_memory_account_adds_up),
        cmocka_unit_test(classes_add_up_to_their_total),
        cmocka_unit_test(arenas_add_up_to_the_pool),
        cmocka_unit_test(block_state_shows_each_stored_block_with_its_flags),
        cmocka_unit_test(block_state_comes_in_parts_that_leave_nothing_out),
        cmocka_unit_test(the_block_map_adds_up_however_it_is_cut),
        cmocka_unit_test(the_largest_disk_is_shown_at_once_when_it_is_empty),
        cmocka_unit_test(the_memory_limit_changes_at_once),
        cmocka_unit_test(the_highest_memory_use_begins_anew),
        cmocka_unit_test(compaction_gives_memory_back_at_once),
        cmocka_unit_test(a_reset_leaves_nothing_and_is_refused_while_a_client_is_there),
        cmocka_unit_test(the_algorithm_changes_at_any_time_and_old_blocks_stay),
        cmocka_unit_test(recompression_is_set_and_made_by_attributes),
        cmocka_unit_test(params_name_a_priority_a_level_and_a_dictionary),
        cmocka_unit_test(idle_marks_all_or_what_is_known_to_have_rested),
        cmocka_unit_test(a_dictionary_is_trained_and_told_what_it_would_save),
        cmocka_unit_test(a_change_of_algorithm_without_memory_changes_nothing),
        cmocka_unit_test(a_disk_grows_up_to_what_was_reserved),
        cmocka_unit_test(settings_are_read_and_written_within_their_bounds),
        cmocka_unit_test(attributes_are_used_while_requests_come),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    text_free(&answer);
    return failures;
}
