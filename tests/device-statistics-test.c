/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-statistics-test.c: every figure is what a recount of the requests, of the slots and of
 * the system's own books gives.
 */
#include "tests/device-support.h"

#include <errno.h>

#include "compress/streams.h"

#define BLOCK  BLOCK_SIZE_BYTES
#define BLOCKS 700u
#define SIZE   ((uint64_t)BLOCKS * BLOCK - 100)

/* What a client counts of its own requests. */
struct tally {
    uint64_t reads, writes, partial, freed, invalid;
    bool stored[BLOCKS];
};

static void do_write(struct device *device, struct tally *tally, struct rng *rng)
{
    static unsigned char data[3 * BLOCK];
    uint64_t offset = rng_below(rng, SIZE), count = 1 + rng_below(rng, sizeof data);
    if (rng_percent(rng, 60)) {
        offset = offset / BLOCK * BLOCK;
        count = (count + BLOCK - 1) / BLOCK * BLOCK;
    }
    if (count > SIZE - offset)
        count = SIZE - offset;
    content_fill(data, count, (enum content_kind)rng_below(rng, CONTENT_KIND_COUNT), rng_next(rng));
    assert_int_equal(device_write(device, data, count, offset), 0);
    for (uint64_t block = offset / BLOCK; block <= (offset + count - 1) / BLOCK; block++) {
        bool whole = offset <= block * BLOCK && offset + count >= (block + 1) * BLOCK;
        tally->writes++;
        tally->partial += !whole;
        tally->stored[block] = true;
    }
}

static void do_trim(struct device *device, struct tally *tally, struct rng *rng)
{
    uint64_t first = rng_below(rng, BLOCKS), count = 1 + rng_below(rng, 4);
    uint64_t end = first + count < BLOCKS ? (first + count) * BLOCK : SIZE;
    assert_int_equal(device_trim(device, end - first * BLOCK, first * BLOCK), 0);
    for (uint64_t block = first; block < first + count && block < BLOCKS; block++) {
        tally->freed += tally->stored[block];
        tally->stored[block] = false;
    }
}

static void do_read(struct device *device, struct tally *tally, struct rng *rng)
{
    static unsigned char data[3 * BLOCK];
    uint64_t offset = rng_below(rng, SIZE), count = 1 + rng_below(rng, sizeof data);
    if (count > SIZE - offset) {
        assert_int_equal(device_read(device, data, count, offset), -EINVAL);
        tally->invalid++;
        return;
    }
    assert_int_equal(device_read(device, data, count, offset), 0);
    tally->reads += (offset + count - 1) / BLOCK - offset / BLOCK + 1;
}

static void figures_must_agree(struct device *device, const struct tally *tally)
{
    struct device_statistics now = device_statistics_now(device);
    uint64_t stored = 0, bytes = 0, same = 0, huge = 0;
    for (block_no block = 0; block < BLOCKS; block++) {
        struct slot slot = device_slot(device, block);
        assert_int_equal(slot_kind(slot) != SLOT_EMPTY, tally->stored[block]);
        stored += tally->stored[block];
        bytes += slot_length(slot);
        same += slot_is_same_filled(slot);
        huge += slot_kind(slot) == SLOT_RAW;
    }
    assert_true(now.disksize == SIZE);
    assert_true(now.orig_data_size == stored * BLOCK);
    assert_true(now.compr_data_size == bytes);
    assert_true(now.same_pages == same);
    assert_true(now.huge_pages == huge);
    assert_true(now.reads == tally->reads);
    assert_true(now.writes == tally->writes);
    assert_true(now.writes_partial == tally->partial);
    assert_true(now.notify_free == tally->freed);
    assert_true(now.invalid_io == tally->invalid);
    assert_true(now.failed_reads == 0 && now.failed_writes == 0 && now.limit_hits == 0);
    assert_true(now.huge_pages_since >= huge);
}

/* Each page that the system has given is in the account, and none that it has not. */
static void residency_must_agree(struct device *device)
{
    const struct page_map *map = pages_map(device->pages);
    struct device_statistics now = device_statistics_now(device);
    uint64_t pool = device_resident_pool_pages(device) * PAGE_SIZE_BYTES;
    assert_true(pool == now.pool_used + now.pool_free + now.descriptors);
    uint64_t slots = resident_pages((const void *)(uintptr_t)device->slots.words,
                                    device->slots.page_count * PAGE_SIZE_BYTES);
    assert_true(slots * PAGE_SIZE_BYTES == now.slot_table);
    uint64_t words = resident_pages((const void *)(uintptr_t)map->words,
                                    map->page_count * sizeof(struct mem_desc));
    assert_true(words * PAGE_SIZE_BYTES == now.mem_desc_words);
}

static void figures_agree_with_a_recount_after_any_history(void **state)
{
    (void)state;
    static struct tally tally;
    struct rng rng = rng_of(1);
    struct device *device = device_of_size(SIZE);
    for (uint64_t i = test_scaled(6000); i > 0; i--) {
        switch (rng_below(&rng, 5)) {
        case 0:
        case 1:
            do_write(device, &tally, &rng);
            break;
        case 2:
            do_trim(device, &tally, &rng);
            break;
        default:
            do_read(device, &tally, &rng);
        }
        if (i % 100 == 0) {
            figures_must_agree(device, &tally);
            residency_must_agree(device);
        }
        if (i % 700 == 0)
            device_compact(device);
        if (i % 900 == 0)
            (void)device_reclaim(device, 1);
    }
    figures_must_agree(device, &tally);
    residency_must_agree(device);
    device_finish(device);
}

static void write_block(struct device *device, block_no block, size_t length, uint64_t seed)
{
    unsigned char data[BLOCK];
    content_of_length(data, length, seed);
    assert_int_equal(device_write(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
}

static void compaction_counts_what_it_moves_and_frees(void **state)
{
    (void)state;
    struct device *device = device_of_size(16 * MIB);
    for (block_no block = 0; block < 4000; block++)
        write_block(device, block, 500, block);
    for (block_no block = 0; block < 4000; block++)
        if (block % 4 != 0)
            assert_int_equal(device_trim(device, BLOCK, (uint64_t)block * BLOCK), 0);
    struct device_statistics before = device_statistics_now(device);
    assert_true(before.objects_moved == 0 && before.pages_compacted == 0);
    uint64_t freed = device_compact(device);
    struct device_statistics now = device_statistics_now(device);
    assert_true(freed > 0 && now.pages_compacted == freed);
    assert_true(now.objects_moved >= 500 && now.objects_moved <= 1000);
    assert_true(now.moves_skipped == 0);
    /* To the reserve, not yet to the system. */
    assert_true(before.pool_used - now.pool_used == now.pool_free - before.pool_free);
    assert_true(now.mem_used_total == before.mem_used_total && now.pages_purged == 0);
    (void)device_reclaim(device, 1);
    now = device_statistics_now(device);
    assert_true(now.pool_free == 0);
    assert_true(now.pages_purged * PAGE_SIZE_BYTES == before.mem_used_total - now.mem_used_total);
    assert_true(now.mem_used_max == before.mem_used_max);
    device_finish(device);
}

static void reserve_counts_what_writers_had_to_fault_in(void **state)
{
    (void)state;
    struct device_config config = config_of_size(4 * MIB);
    config.reserve_bytes = 64 * PAGE_SIZE_BYTES;
    struct device *device = device_of(&config);
    unsigned char data[BLOCK];
    assert_true(device_statistic(device, reserve_target) == config.reserve_bytes);
    assert_int_equal(pages_refill(device->pages, 64, UINT64_MAX), 64);
    for (block_no block = 0; block < 64; block++) {
        content_fill(data, BLOCK, CONTENT_RANDOM, block);
        assert_int_equal(device_write(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
    }
    assert_true(device_statistic(device, reserve_misses) == 0);
    assert_true(device_statistic(device, pool_free) == 0);
    for (block_no block = 64; block < 70; block++) {
        content_fill(data, BLOCK, CONTENT_RANDOM, block);
        assert_int_equal(device_write(device, data, BLOCK, (uint64_t)block * BLOCK), 0);
    }
    assert_true(device_statistic(device, reserve_misses) == 6);
    device_finish(device);
}

static void memory_of_streams_is_told_but_not_counted_in_the_total(void **state)
{
    (void)state;
    struct device *device = device_of_size(MIB);
    assert_true(device_statistic(device, streams_memory) ==
                streams_bytes(device->streams) + streams_bytes(device->background));
    assert_true(device_statistic(device, streams_memory) > 0);
    assert_true(device_statistic(device, mem_used_total) == 0);
    device_finish(device);
}

static void rows_name_each_field_of_the_snapshot_once(void **state)
{
    (void)state;
    struct device_statistics snapshot;
    uint64_t *fields = (uint64_t *)&snapshot;
    size_t count;
    const struct statistic_row *rows = statistic_rows(&count);
    assert_int_equal(count * sizeof(uint64_t), sizeof snapshot);
    for (size_t i = 0; i < count; i++)
        fields[i] = 1000 + i;
    for (size_t i = 0; i < count; i++) {
        assert_true(statistic_value(&snapshot, &rows[i]) == 1000 + i);
        assert_true(rows[i].name[0] != '\0' && rows[i].unit[0] != '\0' && rows[i].help[0] != '\0');
        assert_true(rows[i].kind == STATISTIC_GAUGE || rows[i].kind == STATISTIC_COUNTER);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(rows[i].name, rows[j].name);
    }
    assert_string_equal(rows[0].name, "disksize");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_agree_with_a_recount_after_any_history),
        cmocka_unit_test(compaction_counts_what_it_moves_and_frees),
        cmocka_unit_test(reserve_counts_what_writers_had_to_fault_in),
        cmocka_unit_test(memory_of_streams_is_told_but_not_counted_in_the_total),
        cmocka_unit_test(rows_name_each_field_of_the_snapshot_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
