/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefault-test.c: a device with `prefault` has its requests touch only what is resident already,
 * as long as its reserve lasts, and goes on when it doesn't.
 */
#include "tests/device-support.h"

#include <errno.h>
#include <stdlib.h>

#include "common/memory.h"
#include "pages/pages_internal.h"
#include "tests/device-steps.h"

#define BLOCK   BLOCK_SIZE_BYTES
#define SIZE    (64 * MIB)
#define RESERVE (8 * MIB)

static struct device_config prefault_config(void)
{
    struct device_config config = config_of_size(SIZE);
    config.prefault = true;
    config.reserve_bytes = RESERVE;
    config.zspage_pages_max = 8;
    return config;
}

/* Started, so that all is resident, and the thread ended, so that nothing is refilled. */
static struct device *prefaulted_device(const struct device_config *config)
{
    struct device *device = device_of(config);
    must(device_start(device) == 0);
    device_stop(device);
    return device;
}

/* Of lengths as memory has them. Every eighth block does not compress. */
static void content_of(block_no block, unsigned char data[BLOCK])
{
    if (block % 8 == 0)
        content_fill(data, BLOCK, CONTENT_RANDOM, block);
    else
        content_of_length(data, 20 + (block * UINT32_C(2654435761) >> 20) % 3580, block);
}

static void write_blocks(struct device *device, block_no first, block_no count)
{
    unsigned char data[BLOCK];
    for (block_no block = first; block < first + count; block++) {
        content_of(block, data);
        must(device_write(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
    }
}

static void must_hold(struct device *device, block_no first, block_no count)
{
    unsigned char data[BLOCK], expected[BLOCK];
    for (block_no block = first; block < first + count; block++) {
        content_of(block, expected);
        must(device_read(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
        must(memcmp(data, expected, BLOCK) == 0);
    }
}

/* All that a request may touch of the device, but for what it has on the heap. */
static uint64_t resident_pages_of(struct device *device)
{
    const struct page_map *map = pages_map(device->pages);
    return device_resident_pool_pages(device) +
           resident_pages(map->words, map->page_count * sizeof map->words[0]) +
           resident_pages(device->slots.words, device->slots.page_count * PAGE_SIZE_BYTES);
}

static void writes_make_nothing_resident_while_the_reserve_lasts(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = prefaulted_device(&config);
    uint64_t before = resident_pages_of(device);
    write_blocks(device, 0, 2000);
    assert_true(resident_pages_of(device) == before);
    assert_true(device_statistic(device, reserve_misses) == 0);
    assert_true(device_statistic(device, compr_data_size) > RESERVE / 4);
    must_hold(device, 0, 2000);
    device_finish(device);
}

static void slots_and_words_stay_when_all_is_trimmed(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = prefaulted_device(&config);
    write_blocks(device, 0, 4000);
    struct device_statistics full = device_statistics_now(device);
    must(device_trim(device, SIZE, 0) == 0);
    (void)device_compact(device);
    (void)device_give_back(device);
    struct device_statistics empty = device_statistics_now(device);
    assert_true(empty.slot_table == full.slot_table && full.slot_table == SIZE / BLOCK * 8);
    /* What is left are zspages that the next writers find: at most one a class. */
    assert_true(empty.pool_used < 4 * MIB && full.pool_used > 8 * MIB);
    assert_true(empty.pool_free <= RESERVE);
    assert_true(empty.mem_desc_words == full.mem_desc_words);

    /* And so what comes next finds all of it again. */
    uint64_t before = resident_pages_of(device);
    write_blocks(device, 8000, 1500);
    assert_true(resident_pages_of(device) == before);
    must_hold(device, 8000, 1500);
    device_finish(device);
}

static void words_stay_when_nothing_else_does(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = prefaulted_device(&config);
    uint64_t words = device_statistic(device, mem_desc_words);
    must(device_set(device, "reserve", 0) == 0);
    (void)device_give_back(device);
    assert_true(device_statistic(device, pool_free) < RESERVE / 8);
    assert_true(device_statistic(device, mem_desc_words) == words);
    device_finish(device);
}

static void the_words_of_the_next_arena_are_there_before_it_is_used(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = prefaulted_device(&config);
    struct pages *pages = device->pages;
    const _Atomic uint64_t *words = &pages->map.words[pages->arenas_known << ARENA_SHIFT];
    assert_true(resident_pages(words, PAGE_SIZE_BYTES) == 1);
    assert_true(resident_pages(words + ARENA_PAGES, PAGE_SIZE_BYTES) == 0);
    device_finish(device);
}

static void background_work_leaves_the_pages_that_writers_find_next(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = prefaulted_device(&config);
    write_blocks(device, 0, 300);
    maintain_until_quiet(device);
    uint64_t before = resident_pages_of(device), misses = device_statistic(device, reserve_misses);
    write_blocks(device, 1000, 1000);
    assert_true(resident_pages_of(device) == before);
    assert_true(device_statistic(device, reserve_misses) == misses);
    must_hold(device, 1000, 1000);
    device_finish(device);
}

static void background_work_is_woken_when_half_of_the_reserve_is_gone(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = prefaulted_device(&config);
    atomic_store(&device->maintenance.is_nudged, false);
    block_no block = 0;
    for (; !atomic_load(&device->maintenance.is_nudged); block++) {
        assert_true(device_statistic(device, pool_free) >= RESERVE / 2);
        write_blocks(device, block, 1);
    }
    assert_true(device_statistic(device, pool_free) < RESERVE / 2);

    must(device_start(device) == 0);
    assert_true(device_statistic(device, pool_free) >= RESERVE);
    device_stop(device);
    must_hold(device, 0, block);
    device_finish(device);
}

static void reserve_is_refilled_in_the_middle_of_a_pass(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = device_of(&config);
    must(device_start(device) == 0);
    struct gate *gate = gate_set("maintenance: between two steps", GATE_STOPS_EACH);
    maintenance_kick(device);
    gate_await(gate, 1);
    block_no blocks = 0;
    while (device_statistic(device, pool_free) >= RESERVE / 2)
        write_blocks(device, blocks++, 1);
    gate_let_pass(gate);
    gate_await(gate, 2);
    assert_true(device_statistic(device, pool_free) >= RESERVE * 3 / 4);
    gates_remove();
    must_hold(device, 0, blocks);
    device_finish(device);
}

/* Pages, one by one, of which seven of eight are given back, so that there is no run of eight. */
struct singles {
    struct page_run *page;
    unsigned count;
};

static struct singles singles_take(struct pages *pages, unsigned count)
{
    struct singles singles = {calloc(count, sizeof *singles.page), count};
    must(singles.page != NULL);
    for (unsigned i = 0; i < count; i++)
        must(pages_alloc(pages, 1, PAGE_MOVABLE, &singles.page[i]) == 0 &&
             pages_touch(pages, &singles.page[i], 1) == 0);
    return singles;
}

static bool is_kept(const struct page_run *page)
{
    return page->first % 8 == 7;
}

static void singles_give(struct pages *pages, struct singles *singles)
{
    for (unsigned i = 0; i < singles->count; i++)
        if (!is_kept(&singles->page[i]))
            pages_free(pages, &singles->page[i]);
}

static void singles_end(struct pages *pages, struct singles *singles)
{
    for (unsigned i = 0; i < singles->count; i++)
        if (is_kept(&singles->page[i]))
            pages_free(pages, &singles->page[i]);
    free(singles->page);
}

static bool run_is_ready(struct pages *pages, struct page_run *run)
{
    must(pages_alloc(pages, 8, PAGE_MOVABLE, run) == 0);
    return run->resident == 0xff;
}

/* Half of the reserve is to be in runs: all of that can be taken, and nothing has to be told. */
static void runs_must_be_ready(struct device *device)
{
    struct pages *pages = device->pages;
    struct page_run run[RESERVE / PAGE_SIZE_BYTES / 2 / 8];
    atomic_store(&device->maintenance.is_nudged, false);
    assert_true(run_is_ready(pages, &run[0]));
    assert_false(atomic_load(&device->maintenance.is_nudged));
    for (unsigned i = 1; i < array_count(run); i++)
        assert_true(run_is_ready(pages, &run[i]));
    assert_true(atomic_load(&device->maintenance.is_nudged));
    for (unsigned i = 0; i < array_count(run); i++)
        pages_free(pages, &run[i]);
}

static void a_reserve_of_single_pages_is_refilled_with_runs(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = prefaulted_device(&config);
    struct pages *pages = device->pages;
    const unsigned target = RESERVE / PAGE_SIZE_BYTES;
    struct page_run run;
    struct singles singles = singles_take(pages, (unsigned)pages_free_resident(pages));
    singles_give(pages, &singles);
    assert_in_range(pages_free_resident(pages), target * 3 / 4, target);
    atomic_store(&device->maintenance.is_nudged, false);
    assert_false(run_is_ready(pages, &run));                  /* there are no runs, */
    assert_true(atomic_load(&device->maintenance.is_nudged)); /* which is told, */
    pages_free(pages, &run);

    (void)pages_refill(pages, target, UINT64_MAX); /* and mended. */
    runs_must_be_ready(device);
    singles_end(pages, &singles);
    device_finish(device);
}

static void runs_are_kept_ready_however_many_single_pages_there_are(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = prefaulted_device(&config);
    struct pages *pages = device->pages;
    const unsigned target = RESERVE / PAGE_SIZE_BYTES;
    struct singles singles = singles_take(pages, target * 4);
    singles_give(pages, &singles);
    uint64_t before = pages_free_resident(pages);
    assert_in_range(before, target * 3, target * 4);
    (void)pages_refill(pages, target, UINT64_MAX);
    assert_in_range(pages_free_resident(pages), before + target / 2, before + target * 3 / 4);
    runs_must_be_ready(device);

    struct gate *after = gate_set("maintenance: after a pass", GATE_COUNTS);
    must(device_start(device) == 0);
    maintenance_kick(device);
    gate_await(after, 1); /* which gives back single pages only. */
    device_stop(device);
    gates_remove();
    assert_in_range(pages_free_resident(pages), target, target * 3 / 2);
    runs_must_be_ready(device);
    singles_end(pages, &singles);
    device_finish(device);
}

/* A page source by itself that keeps runs ready, in whose first arena every second page of SPOTS
 * is free, and all behind them, and before them as many of PAGE_RUN_MAX as the test wants. */
#define SPOTS 65u

struct spotted {
    struct budget budget;
    struct pages *pages;
    struct page_run spot[SPOTS];
};

static void spotted_begin(struct spotted *spotted, unsigned before, bool is_resident)
{
    struct page_run run[2];
    budget_init(&spotted->budget, UINT64_MAX);
    must(pages_create(4 * (uint64_t)ARENA_PAGES, &spotted->budget, &spotted->pages) == 0);
    pages_keep_ready(spotted->pages, NULL, NULL);
    for (unsigned i = 0; i < before; i++)
        must(pages_alloc(spotted->pages, PAGE_RUN_MAX, PAGE_MOVABLE, &run[i]) == 0);
    for (unsigned i = 0; i < SPOTS; i++) {
        must(pages_alloc(spotted->pages, 1, PAGE_MOVABLE, &spotted->spot[i]) == 0);
        must(!is_resident || pages_touch(spotted->pages, &spotted->spot[i], 1) == 0);
        must(i == 0 || spotted->spot[i].first == spotted->spot[i - 1].first + 1);
    }
    for (unsigned i = 1; i < SPOTS; i += 2)
        pages_free(spotted->pages, &spotted->spot[i]);
    for (unsigned i = 0; i < before; i++)
        pages_free(spotted->pages, &run[i]);
}

/* How many of the free ones among the spots are resident. */
static unsigned resident_spots(struct spotted *spotted)
{
    unsigned resident = 0;
    for (unsigned i = 1; i < SPOTS; i += 2)
        resident += mem_desc_type(pages_desc(pages_map(spotted->pages), spotted->spot[i].first)) ==
                    MEM_DESC_FREE;
    return resident;
}

static void line_is_printed(void *context, const char *line)
{
    (void)context;
    print_error("%s\n", line);
}

static void must_be_right(struct spotted *spotted)
{
    struct report report = {.line = line_is_printed};
    pages_validate(spotted->pages, &report);
    assert_int_equal(report.faults, 0);
}

static void spotted_end(struct spotted *spotted)
{
    for (unsigned i = 0; i < SPOTS; i += 2)
        pages_free(spotted->pages, &spotted->spot[i]);
    must_be_right(spotted);
    pages_destroy(spotted->pages);
}

static void runs_are_made_ready_where_runs_are(void **state)
{
    (void)state;
    struct spotted spotted;
    spotted_begin(&spotted, 0, false);
    must(pages_refill(spotted.pages, 32, UINT64_MAX) > 0);
    assert_int_equal(resident_spots(&spotted), 0);
    assert_true(spotted.pages->ready_in_runs >= 16);
    spotted_end(&spotted);
}

static void what_is_given_back_is_first_what_stands_alone(void **state)
{
    (void)state;
    struct spotted spotted;
    spotted_begin(&spotted, 2, true);
    must(pages_refill(spotted.pages, 64, UINT64_MAX) > 0);
    uint64_t ready = spotted.pages->ready_in_runs;
    assert_int_equal(resident_spots(&spotted), SPOTS / 2);
    assert_true(ready >= 32);
    uint64_t keep = pages_free_resident(spotted.pages) - SPOTS / 2;
    assert_int_equal(pages_trim(spotted.pages, keep, UINT64_MAX), SPOTS / 2);
    assert_int_equal(resident_spots(&spotted), 0);
    assert_true(spotted.pages->ready_in_runs == ready);
    assert_true(pages_trim(spotted.pages, 0, UINT64_MAX) > 0); /* and then the rest */
    assert_true(spotted.pages->ready_in_runs == 0);
    spotted_end(&spotted);
}

/* All pages of a source of `arenas` arenas, one by one, of which some are given back later. */
struct crowd {
    struct budget budget;
    struct pages *pages;
    struct page_run *page;
    unsigned count;
    unsigned calls; /* of who is told that little is ready */
};

static void count_call(void *calls)
{
    ++*(unsigned *)calls;
}

static void crowd_begin(struct crowd *crowd, unsigned arenas)
{
    *crowd = (struct crowd){.page = calloc(arenas * ARENA_PAGES, sizeof *crowd->page)};
    budget_init(&crowd->budget, UINT64_MAX);
    must(pages_create((uint64_t)arenas * ARENA_PAGES, &crowd->budget, &crowd->pages) == 0);
    pages_keep_ready(crowd->pages, count_call, &crowd->calls);
    while (pages_alloc(crowd->pages, 1, PAGE_MOVABLE, &crowd->page[crowd->count]) == 0)
        crowd->count++;
    must(crowd->count >= (arenas - 1) * ARENA_PAGES);
}

static void crowd_give(struct crowd *crowd, unsigned index, bool is_resident)
{
    struct page_run *page = &crowd->page[index];
    must(page->count == 1 && (!is_resident || pages_touch(crowd->pages, page, 1) == 0));
    pages_free(crowd->pages, page);
    page->count = 0;
}

static void crowd_end(struct crowd *crowd)
{
    struct report report = {.line = line_is_printed};
    pages_validate(crowd->pages, &report);
    assert_int_equal(report.faults, 0);
    for (unsigned i = 0; i < crowd->count; i++)
        if (crowd->page[i].count != 0)
            pages_free(crowd->pages, &crowd->page[i]);
    pages_destroy(crowd->pages);
    free(crowd->page);
}

/* Three arenas that are nearly full have single pages and a run; a fourth is free. */
static void runs_in_an_empty_arena_are_kept_before_single_pages_in_full_ones(void **state)
{
    (void)state;
    struct crowd crowd;
    crowd_begin(&crowd, 4);
    for (unsigned i = 0; i < crowd.count; i++) {
        unsigned page = crowd.page[i].first % ARENA_PAGES;
        if (crowd.page[i].first / ARENA_PAGES == 3)
            crowd_give(&crowd, i, false);
        else if (page >= ARENA_PAGES - 8 || (page >= 8 && page < 200 && page % 2 == 0))
            crowd_give(&crowd, i, true);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)pages_refill(crowd.pages, 128, UINT64_MAX);
        uint64_t ready = crowd.pages->ready_in_runs;
        assert_true(ready >= 64);
        (void)pages_trim(crowd.pages, 128 + 64 - i, UINT64_MAX);
        assert_int_equal(crowd.pages->ready_in_runs, ready);
        assert_int_equal(pages_free_resident(crowd.pages), 128 + 64 - i);
    }
    crowd_end(&crowd);
}

static void without_any_run_single_pages_are_made_ready_and_nobody_is_woken_for_runs(void **state)
{
    (void)state;
    struct crowd crowd;
    struct page_run page[16];
    crowd_begin(&crowd, 1);
    for (unsigned i = 0; i < crowd.count; i++)
        if (crowd.page[i].first % 8 != 7)
            crowd_give(&crowd, i, false);
    assert_true(pages_refill(crowd.pages, 100, UINT64_MAX) >= 100);
    crowd.calls = 0;
    for (unsigned i = 0; i < array_count(page); i++)
        must(pages_alloc(crowd.pages, 1, PAGE_MOVABLE, &page[i]) == 0 && page[i].resident == 1);
    assert_int_equal(crowd.calls, 0);
    for (unsigned i = 0; i < array_count(page); i++)
        pages_free(crowd.pages, &page[i]);
    crowd_end(&crowd);
}

/* Each of the first 70 arenas has one run, which is resident; the others were never used. */
static void a_new_arena_is_used_up_before_the_next(void **state)
{
    enum { FULL = 70, RUNS = ARENA_PAGES / PAGE_RUN_MAX };
    (void)state;
    struct budget budget;
    struct pages *pages;
    struct page_run *run = calloc((size_t)FULL * RUNS, sizeof *run);
    budget_init(&budget, UINT64_MAX);
    must(pages_create((FULL + 100) * (uint64_t)ARENA_PAGES, &budget, &pages) == 0);
    pages_keep_ready(pages, NULL, NULL);
    for (unsigned i = 0; i < FULL * RUNS; i++)
        must(pages_alloc(pages, PAGE_RUN_MAX, PAGE_MOVABLE, &run[i]) == 0);
    for (unsigned i = RUNS; i < FULL * RUNS; i += RUNS) {
        must(pages_touch(pages, &run[i], page_run_mask(PAGE_RUN_MAX)) == 0);
        pages_free(pages, &run[i]);
    }
    uint64_t before = pages->arenas_active, target = 4 * pages_free_resident(pages);
    uint64_t refilled = pages_refill(pages, target, UINT64_MAX);
    assert_true(refilled > 1024);
    assert_in_range(pages->arenas_active - before, 1, refilled / ARENA_PAGES + 2);
    for (unsigned i = 0; i < FULL * RUNS; i++)
        if (i < RUNS || i % RUNS != 0)
            pages_free(pages, &run[i]);
    free(run);
    pages_destroy(pages);
}

static void what_is_isolated_is_not_ready(void **state)
{
    (void)state;
    struct spotted spotted;
    struct list isolated;
    list_init(&isolated);
    spotted_begin(&spotted, 0, false);
    must(pages_refill(spotted.pages, 32, UINT64_MAX) > 0);
    uint64_t ready = spotted.pages->ready_in_runs;
    must(pages_isolate(spotted.pages, spotted.spot[0].first / ARENA_PAGES, &isolated) == 0);
    assert_true(spotted.pages->ready_in_runs == 0);
    must_be_right(&spotted);
    pages_putback(spotted.pages, &isolated);
    assert_true(spotted.pages->ready_in_runs == ready);
    must_be_right(&spotted);
    spotted_end(&spotted);
}

static void writes_go_on_without_a_reserve_and_say_so(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = prefaulted_device(&config);
    write_blocks(device, 0, 10000);
    assert_true(device_statistic(device, reserve_misses) > 1000);
    assert_true(device_statistic(device, failed_writes) == 0);
    must_hold(device, 0, 10000);
    device_finish(device);
}

static void the_smallest_limit_has_room_for_all_that_is_made_resident(void **state)
{
    static const unsigned reserves[] = {0,   1,    2,    3,    4,    7,    8,    9,    15,
                                        16,  17,   63,   64,   65,   68,   130,  131,  132,
                                        512, 1000, 1024, 2047, 2048, 2057, 4096, 16384};
    (void)state;
    for (size_t i = 0; i < array_count(reserves); i++) {
        struct device_config config = prefault_config();
        config.reserve_bytes = (uint64_t)reserves[i] * PAGE_SIZE_BYTES;
        config.mem_limit_bytes = device_mem_floor_bytes(&config);
        struct device *device = prefaulted_device(&config);
        write_blocks(device, 1, 1);
        must_hold(device, 1, 1);
        device_finish(device);

        config.mem_limit_bytes--;
        assert_int_equal(device_create(&config, &device), -EINVAL);
    }
}

static void a_limit_that_was_lowered_refuses_the_start(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    struct device *device = device_of(&config);
    device_set_mem_limit(device, RESERVE / 2);
    assert_int_equal(device_start(device), -ENOSPC);
    device_set_mem_limit(device, 0);
    assert_int_equal(device_start(device), 0);
    write_blocks(device, 0, 100);
    device_stop(device);
    must_hold(device, 0, 100);
    device_finish(device);
}

static void growth_makes_the_new_slots_resident(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    config.size_max_bytes = 2 * SIZE;
    struct device *device = prefaulted_device(&config);
    must(device_grow(device, 2 * SIZE) == 0);
    assert_true(device_statistic(device, slot_table) == 2 * SIZE / BLOCK * 8);
    uint64_t before = resident_pages_of(device);
    write_blocks(device, SIZE / BLOCK, 1000);
    assert_true(resident_pages_of(device) == before);
    device_finish(device);
}

static void each_request_for_memory_may_fail_at_the_start(void **state)
{
    (void)state;
    struct device_config config = prefault_config();
    int error = -1;
    for (long request = 0; error != 0; request++) {
        struct device *device = device_of(&config);
        memory_fail_after(request, false);
        error = device_start(device);
        memory_fail_after(-1, false);
        assert_true(error == 0 || error == -ENOMEM || error == -ENOSPC);
        if (error != 0)
            must(device_start(device) == 0);
        device_stop(device);
        write_blocks(device, 0, 100);
        must_hold(device, 0, 100);
        device_finish(device);
    }
}

int main(void)
{
    watchdog_start("prefault-test", 300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_make_nothing_resident_while_the_reserve_lasts),
        cmocka_unit_test(slots_and_words_stay_when_all_is_trimmed),
        cmocka_unit_test(words_stay_when_nothing_else_does),
        cmocka_unit_test(the_words_of_the_next_arena_are_there_before_it_is_used),
        cmocka_unit_test(background_work_leaves_the_pages_that_writers_find_next),
        cmocka_unit_test(background_work_is_woken_when_half_of_the_reserve_is_gone),
        cmocka_unit_test(reserve_is_refilled_in_the_middle_of_a_pass),
        cmocka_unit_test(a_reserve_of_single_pages_is_refilled_with_runs),
        cmocka_unit_test(runs_are_kept_ready_however_many_single_pages_there_are),
        cmocka_unit_test(runs_are_made_ready_where_runs_are),
        cmocka_unit_test(what_is_given_back_is_first_what_stands_alone),
        cmocka_unit_test(runs_in_an_empty_arena_are_kept_before_single_pages_in_full_ones),
        cmocka_unit_test(without_any_run_single_pages_are_made_ready_and_nobody_is_woken_for_runs),
        cmocka_unit_test(a_new_arena_is_used_up_before_the_next),
        cmocka_unit_test(what_is_isolated_is_not_ready),
        cmocka_unit_test(writes_go_on_without_a_reserve_and_say_so),
        cmocka_unit_test(the_smallest_limit_has_room_for_all_that_is_made_resident),
        cmocka_unit_test(a_limit_that_was_lowered_refuses_the_start),
        cmocka_unit_test(growth_makes_the_new_slots_resident),
        cmocka_unit_test(each_request_for_memory_may_fail_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
