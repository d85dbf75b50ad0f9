/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-failure-test.c: each request for memory fails in turn, once and from then on, in every
 * kind of operation: the request is refused or done, old data is intact, nothing has leaked, and
 * the same request works once there is memory.
 *
 * What the system can refuse besides (to take memory back, to give it ahead of need) is refused
 * through device-madvise.h.
 */
#include "tests/device-model.h"

#include <errno.h>
#include <malloc.h>
#include <sys/mman.h>

#include "common/memory.h"
#include "tests/device-madvise.h"

#define BLOCK BLOCK_SIZE_BYTES
#define SIZE  (520 * BLOCK) /* two pages of slots */

static void apply(struct model *model, enum operation_kind kind, uint64_t offset, uint64_t count,
                  enum content_kind content, uint64_t seed)
{
    struct operation operation = {kind, offset, count, content, seed, -1, false};
    model_apply(model, &operation);
}

/* What a device holds before the operation in which memory fails. */
typedef void preparation(struct model *model);

static void nothing(struct model *model)
{
    (void)model;
}

static void one_object(struct model *model)
{
    apply(model, OPERATION_WRITE, 0, BLOCK, CONTENT_SMALL, 1);
}

static void one_raw_page(struct model *model)
{
    apply(model, OPERATION_WRITE, 0, BLOCK, CONTENT_RANDOM, 1);
}

static void one_word(struct model *model)
{
    apply(model, OPERATION_WRITE, 0, BLOCK, CONTENT_SAME_SHORT, 1);
}

static void blocks_of_all_kinds(struct model *model)
{
    for (uint64_t block = 0; block < 200; block++)
        apply(model, OPERATION_WRITE, block * BLOCK, BLOCK,
              (enum content_kind)(block % CONTENT_KIND_COUNT), block);
}

/* All places of all zspages of the class of small objects are taken. */
static void full_zspages(struct model *model)
{
    struct zpool_class_statistics class;
    bool is_full = false;
    for (uint64_t block = 0; !is_full; block++) {
        apply(model, OPERATION_WRITE, block * BLOCK, BLOCK, CONTENT_SAME_LONG, block);
        must(zpool_class_statistics(model->device->zpool, 0, &class));
        is_full = class.objects_used == class.objects_allocated && class.objects_used > 0;
    }
}

/* Zspages of which a quarter is used, and raw pages in between. */
static void fragments(struct model *model)
{
    for (uint64_t block = 0; block < 200; block++)
        apply(model, OPERATION_WRITE, block * BLOCK, BLOCK,
              block % 10 == 0 ? CONTENT_RANDOM : CONTENT_SMALL, block);
    for (uint64_t block = 0; block < 200; block++)
        if (block % 4 != 0)
            apply(model, OPERATION_TRIM, block * BLOCK, BLOCK, CONTENT_ZERO, 0);
}

/* The same, with the free places of zspages given back: to move objects takes pages again. */
static void settled_fragments(struct model *model)
{
    fragments(model);
    apply(model, OPERATION_SETTLE, 0, 0, CONTENT_ZERO, 4095);
    apply(model, OPERATION_PURGE, 0, 511, CONTENT_ZERO, 0);
}

struct scenario {
    const char *name;
    preparation *prepare;
    struct operation operation;
    bool is_needed; /* the operation can't be done without each of its requests */
};

static const struct scenario scenarios[] = {
    {"first object", nothing, {OPERATION_WRITE, 0, BLOCK, CONTENT_SMALL, 2, 0, false}, true},
    {"first raw page", nothing, {OPERATION_WRITE, 0, BLOCK, CONTENT_RANDOM, 2, 0, false}, true},
    {"first long word", nothing, {OPERATION_WRITE, 0, BLOCK, CONTENT_SAME_LONG, 2, 0, false}, true},
    {"first short word",
     nothing,
     {OPERATION_WRITE, 0, BLOCK, CONTENT_SAME_SHORT, 2, 0, false},
     true},
    {"part of a hole", nothing, {OPERATION_WRITE, 100, 50, CONTENT_RANDOM, 2, 0, false}, true},
    {"many blocks", nothing, {OPERATION_WRITE, 77, 20 * BLOCK, CONTENT_MIXED, 2, 0, false}, true},
    {"many raw pages",
     nothing,
     {OPERATION_WRITE, 0, 20 * BLOCK, CONTENT_RANDOM, 2, 0, false},
     true},
    {"another page of slots",
     one_object,
     {OPERATION_WRITE, 515 * BLOCK, BLOCK, CONTENT_SAME_SHORT, 2, 0, false},
     true},
    {"two pages of slots",
     one_object,
     {OPERATION_WRITE, 510 * BLOCK, 4 * BLOCK, CONTENT_RANDOM, 2, 0, false},
     true},
    {"object becomes raw",
     one_object,
     {OPERATION_WRITE, 0, BLOCK, CONTENT_RANDOM, 2, 0, false},
     true},
    {"raw becomes object",
     one_raw_page,
     {OPERATION_WRITE, 0, BLOCK, CONTENT_SMALL, 2, 0, false},
     true},
    {"word becomes object",
     one_word,
     {OPERATION_WRITE, 0, BLOCK, CONTENT_SMALL, 2, 0, false},
     true},
    {"part of an object",
     one_object,
     {OPERATION_WRITE, 5, 3000, CONTENT_RANDOM, 2, 0, false},
     true},
    {"part of a word", one_word, {OPERATION_WRITE, 5, 3000, CONTENT_RANDOM, 2, 0, false}, true},
    {"full zspages",
     full_zspages,
     {OPERATION_WRITE, 519 * BLOCK, BLOCK, CONTENT_SAME_LONG, 9999, 0, false},
     true},
    {"all kinds overwritten",
     blocks_of_all_kinds,
     {OPERATION_WRITE, 10, 50 * BLOCK, CONTENT_MIXED, 2, 0, false},
     true},
    {"edges of a zero", one_raw_page, {OPERATION_ZERO, 10, BLOCK, CONTENT_ZERO, 2, 0, false}, true},
    {"a zero over all kinds",
     blocks_of_all_kinds,
     {OPERATION_ZERO, 6 * BLOCK + 2000, 28 * BLOCK, CONTENT_ZERO, 2, 0, false},
     false},
    {"a trim",
     blocks_of_all_kinds,
     {OPERATION_TRIM, 10, 50 * BLOCK, CONTENT_ZERO, 2, 0, false},
     false},
    {"compaction", fragments, {OPERATION_COMPACT, 0, 0, CONTENT_ZERO, 4095, 0, false}, false},
    {"compaction after settling",
     settled_fragments,
     {OPERATION_COMPACT, 0, 0, CONTENT_ZERO, 4095, 0, false},
     false},
    {"settling", fragments, {OPERATION_SETTLE, 0, 0, CONTENT_ZERO, 4095, 0, false}, false},
    {"migration", fragments, {OPERATION_MIGRATE, 0, 500, CONTENT_ZERO, 4095, 0, false}, false},
    {"refilling", fragments, {OPERATION_REFILL, 0, 511, CONTENT_ZERO, 255, 0, false}, false},
    {"purging", fragments, {OPERATION_PURGE, 0, 511, CONTENT_ZERO, 0, 0, false}, false},
};

/* Fails the requests from `failing` on; returns whether the operation came so far. */
static bool fail_one(const struct scenario *scenario, const struct device_config *config,
                     int failing, bool from_then_on)
{
    struct model model;
    struct operation operation = scenario->operation;
    model_create(&model, config);
    scenario->prepare(&model);
    must(model.refused == 0);
    operation.fails_after = failing;
    operation.fails_on = from_then_on;
    model_apply(&model, &operation);
    bool has_failed = model.asked > failing;
    must(!has_failed || !from_then_on || !scenario->is_needed || model.refused == 1);
    must(has_failed || model.refused == 0);
    if (from_then_on)
        model_check(&model);

    operation.fails_after = -1;
    uint64_t refused = model.refused;
    model_apply(&model, &operation);
    must(model.refused == refused);
    model_destroy(&model);
    return has_failed;
}

static unsigned each_request_must_fail_well(const struct scenario *scenario,
                                            const struct device_config *config)
{
    int failing = 0;
    while (fail_one(scenario, config, failing, true)) {
        fail_one(scenario, config, failing, false);
        failing++;
    }
    must(failing > 0 || !scenario->is_needed || strcmp(config->zpool_driver, "zsmalloc") != 0);
    return (unsigned)failing;
}

static void each_request_for_memory_can_fail_in_every_operation(void **state)
{
    (void)state;
    const char *driver;
    if (TEST_UNDER_TSAN)
        skip_because("too slow, and one thread only: nothing for ThreadSanitizer to see");
    for (size_t i = 0; (driver = device_zpool_driver_name(i)) != NULL; i++) {
        unsigned failed = 0;
        for (size_t j = 0; j < array_count(scenarios); j++) {
            struct device_config config = config_of_size(SIZE);
            config.zpool_driver = driver;
            failed += each_request_must_fail_well(&scenarios[j], &config);
        }
        print_message("# %s: %u requests failed, each once and from then on\n", driver, failed);
    }
}

static void each_request_for_memory_can_fail_at_the_limit_too(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        skip_because("too slow, and one thread only: nothing for ThreadSanitizer to see");
    for (size_t j = 0; j < array_count(scenarios); j++) {
        struct device_config config = config_of_size(SIZE);
        config.mem_limit_bytes = 2 * MIB;
        each_request_must_fail_well(&scenarios[j], &config);
    }
}

static void creation_that_fails_returns_enomem_and_leaves_nothing(void **state)
{
    (void)state;
    const struct codec *codec;
    device_finish(device_of_size(MIB)); /* what is allocated once is allocated now */
    uint64_t before = process_address_bytes();
    for (size_t i = 0; (codec = codec_at(i)) != NULL; i++)
        for (unsigned from_then_on = 0; from_then_on < 2; from_then_on++)
            for (long failing = 0, asked = 1; asked > failing; failing++) {
                struct device_config config = config_of_size(64 * MIB);
                config.algorithm =
                    (struct algorithm){.codec = codec, .level = codec->level_default};
                struct device *device = (struct device *)&config;
                memory_fail_after(failing, from_then_on == 1);
                int error = device_create(&config, &device);
                asked = memory_fail_after(-1, false);
                assert_int_equal(error, asked > failing ? -ENOMEM : 0);
                assert_true((device != NULL) == (error == 0));
                device_destroy(device);
            }
    /* A reservation that stayed would be 64 MiB at least, but for the slots' 128 KiB. */
    if (!TEST_UNDER_ASAN && !TEST_UNDER_TSAN)
        assert_true(process_address_bytes() - before < 128 * KIB);
}

static void creation_at_the_largest_size_that_fails_leaves_nothing(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        skip_because("16 TiB of addresses need more shadow than there is");
    uint64_t before = process_address_bytes();
    for (long failing = 0; failing < 8; failing++) {
        struct device_config config = config_of_size(DEVICE_SIZE_MAX_BYTES);
        struct device *device;
        memory_fail_after(failing, true);
        assert_int_equal(device_create(&config, &device), -ENOMEM);
        memory_fail_after(-1, false);
        assert_null(device);
    }
    assert_true(process_address_bytes() - before < GIB);
}

/* A device in which there is something to give back, of pool pages and of slots. */
static void much_to_give_back(struct model *model)
{
    apply(model, OPERATION_WRITE, 0, SIZE, CONTENT_RANDOM, 1);
    fragments(model);
    apply(model, OPERATION_TRIM, 512 * BLOCK, 8 * BLOCK, CONTENT_ZERO, 0);
}

static void system_that_takes_no_memory_back_costs_memory_only(void **state)
{
    (void)state;
    struct device_config config = config_of_size(SIZE);
    struct model model;
    model_create(&model, &config);
    madvise_refuse(MADV_DONTNEED, ENOMEM);
    much_to_give_back(&model);
    uint64_t before = device_statistic(model.device, mem_used_total);
    (void)device_reclaim(model.device, 1);
    apply(&model, OPERATION_TRIM, 0, SIZE, CONTENT_ZERO, 0);
    (void)device_reclaim(model.device, 1);
    assert_true(madvise_refused() > 0);
    assert_true(device_statistic(model.device, mem_used_total) >= before);
    assert_true(device_statistic(model.device, pages_purged) == 0);
    model_check(&model);

    madvise_refuse(0, 0);
    (void)device_reclaim(model.device, 1);
    assert_true(device_statistic(model.device, pool_free) == 0);
    blocks_of_all_kinds(&model);
    model_destroy(&model);
}

static void locked_memory_is_given_back_too(void **state)
{
    (void)state;
    struct device_config config = config_of_size(SIZE);
    struct model model;
    model_create(&model, &config);
    much_to_give_back(&model);
    madvise_refuse(MADV_DONTNEED, EINVAL); /* what the system says of locked memory */
    (void)device_reclaim(model.device, 1);
    unsigned refused = madvise_refused();
    madvise_refuse(0, 0);
    assert_true(refused > 0);
    assert_true(device_statistic(model.device, pool_free) == 0);
    model_destroy(&model);
}

static void system_that_gives_no_memory_ahead_leaves_the_reserve_empty(void **state)
{
    (void)state;
    struct device_config config = config_of_size(SIZE);
    struct model model;
    model_create(&model, &config);
    blocks_of_all_kinds(&model);
    uint64_t before = device_statistic(model.device, mem_used_total);
    madvise_refuse(MADV_POPULATE_WRITE, ENOMEM);
    assert_int_equal(pages_refill(model.device->pages, 64, 64), 0);
    assert_true(madvise_refused() > 0);
    assert_true(device_statistic(model.device, mem_used_total) == before);
    model_check(&model);

    /* A system that doesn't know the advice: pages are touched one by one. */
    madvise_refuse(MADV_POPULATE_WRITE, EINVAL);
    assert_int_equal(pages_refill(model.device->pages, 64, 64), 64);
    assert_true(madvise_refused() > 0);
    madvise_refuse(0, 0);
    assert_true(device_statistic(model.device, pool_free) == 64 * PAGE_SIZE_BYTES);
    model_destroy(&model);
}

int main(void)
{
    /* Models come and go by the hundred: the heap keeps their memory, which is fast. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_for_memory_can_fail_in_every_operation),
        cmocka_unit_test(each_request_for_memory_can_fail_at_the_limit_too),
        cmocka_unit_test(creation_that_fails_returns_enomem_and_leaves_nothing),
        cmocka_unit_test(creation_at_the_largest_size_that_fails_leaves_nothing),
        cmocka_unit_test(system_that_takes_no_memory_back_costs_memory_only),
        cmocka_unit_test(locked_memory_is_given_back_too),
        cmocka_unit_test(system_that_gives_no_memory_ahead_leaves_the_reserve_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
