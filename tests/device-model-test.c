/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-model-test.c: random operations on a whole device and on a plain array give the same, with
 * every codec, with and without a limit, while objects move, pages go and memory is refused.
 */
#include "tests/device-model.h"

/* An odd end, several pages of slots and several arenas. */
#define SIZE_BYTES (5 * MIB + 1234)

struct run {
    struct device_config config;
    uint64_t operations;
    unsigned fail_percent; /* of the operations meet a refused memory request */
    bool is_maintained;
};

static struct run run_of(uint64_t size_bytes, uint64_t operations)
{
    return (struct run){.config = config_of_size(size_bytes), .operations = operations};
}

static uint64_t run_model(const struct run *run, uint64_t stream)
{
    struct model model;
    struct rng rng = rng_of(stream);
    model_create(&model, &run->config);
    if (run->is_maintained)
        model_maintain(&model);
    for (uint64_t i = test_scaled(run->operations); i > 0; i--) {
        struct operation operation = model_random_operation(&model, &rng);
        if (rng_percent(&rng, run->fail_percent)) {
            operation.fails_after = (int)rng_below(&rng, 6);
            operation.fails_on = rng_percent(&rng, 50);
        }
        model_apply(&model, &operation);
    }
    uint64_t refused = model.refused;
    model_check(&model);
    if (run->is_maintained)
        print_message("# %lu passes of maintenance, %lu objects moved, %lu requests refused\n",
                      (unsigned long)atomic_load(&model.device->maintenance.passes),
                      (unsigned long)device_statistic(model.device, objects_moved),
                      (unsigned long)refused);
    if (run->config.mem_limit_bytes != 0 && !run->is_maintained)
        must(device_statistic(model.device, mem_used_max) <= run->config.mem_limit_bytes);
    model_destroy(&model);
    return refused;
}

static void device_agrees_with_an_array_whatever_the_codec(void **state)
{
    (void)state;
    const struct codec *codec;
    for (size_t i = 0; (codec = codec_at(i)) != NULL; i++) {
        struct run run = run_of(SIZE_BYTES, 12000);
        run.config.algorithm = (struct algorithm){.codec = codec, .level = codec->level_default};
        run_model(&run, 10 + i);
    }
}

static void device_agrees_with_an_array_whatever_the_zspage_length(void **state)
{
    (void)state;
    static const unsigned lengths[] = {1, 2, 4, 8, ZSPAGE_PAGES_MAX};
    for (size_t i = 0; i < array_count(lengths); i++) {
        struct run run = run_of(SIZE_BYTES, 6000);
        run.config.zspage_pages_max = lengths[i];
        run_model(&run, 20 + i);
    }
}

static void device_agrees_with_an_array_whatever_its_size(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1,     2,     511,    512,         513,     4095,
                                     4096,  4097,  8191,   8192,        8193,    12345,
                                     65536, 65537, 512000, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1};
    for (size_t i = 0; i < array_count(sizes); i++) {
        struct run run = run_of(sizes[i], 700);
        run_model(&run, 30 + i);
    }
}

static void device_with_a_limit_keeps_each_block_it_refuses(void **state)
{
    (void)state;
    static const uint64_t limit_pages[] = {6, 10, 40, 150};
    for (size_t i = 0; i < array_count(limit_pages); i++) {
        struct run run = run_of(SIZE_BYTES, 4000);
        run.config.mem_limit_bytes = limit_pages[i] * PAGE_SIZE_BYTES;
        uint64_t refused = run_model(&run, 60 + i);
        print_message("# limit of %lu pages: %lu requests refused\n", (unsigned long)limit_pages[i],
                      (unsigned long)refused);
        must(refused > 0 || limit_pages[i] > 10);
    }
}

static void device_keeps_each_block_when_memory_is_refused_now_and_then(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        struct run run = run_of(SIZE_BYTES, 6000);
        run.config.algorithm =
            (struct algorithm){.codec = codec_at(i), .level = codec_at(i)->level_default};
        run.fail_percent = 30;
        must(run_model(&run, 70 + i) > 0);
    }
}

static void device_agrees_with_an_array_while_it_is_maintained(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        struct run run = run_of(SIZE_BYTES, 12000);
        run.config.algorithm =
            (struct algorithm){.codec = codec_at(i), .level = codec_at(i)->level_default};
        run.config.reserve_bytes = i * 256 * KIB;
        run.is_maintained = true;
        run_model(&run, 80 + i);
    }
}

static void prefaulted_device_agrees_with_an_array_while_it_is_maintained(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        struct run run = run_of(SIZE_BYTES, 12000);
        run.config.prefault = true;
        run.config.reserve_bytes = MIB >> i;
        run.config.mem_limit_bytes = i == 2 ? 4 * MIB : 0;
        run.config.zspage_pages_max = 8;
        run.is_maintained = true;
        run_model(&run, 100 + i);
    }
}

static void device_with_a_limit_agrees_with_an_array_while_it_is_maintained(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        struct run run = run_of(SIZE_BYTES, 5000);
        run.config.mem_limit_bytes = MIB << i;
        run.config.reserve_bytes = 64 * KIB;
        run.is_maintained = true;
        run_model(&run, 90 + i);
    }
}

int main(void)
{
    watchdog_start("device-model-test", 600);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_agrees_with_an_array_whatever_the_codec),
        cmocka_unit_test(device_agrees_with_an_array_whatever_the_zspage_length),
        cmocka_unit_test(device_agrees_with_an_array_whatever_its_size),
        cmocka_unit_test(device_with_a_limit_keeps_each_block_it_refuses),
        cmocka_unit_test(device_keeps_each_block_when_memory_is_refused_now_and_then),
        cmocka_unit_test(device_agrees_with_an_array_while_it_is_maintained),
        cmocka_unit_test(device_with_a_limit_agrees_with_an_array_while_it_is_maintained),
        cmocka_unit_test(prefaulted_device_agrees_with_an_array_while_it_is_maintained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
