/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * swap-plan-test.c: what swap is to be set up, from files and command lines (tool/swap/plan.h).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/units.h"
#include "tool/swap/plan.h"

#define RAM_BYTES (8 * GIB)

static struct swap_plan plan;
static struct text wrong, warnings;

static int begin(void **state)
{
    (void)state;
    swap_plan_init(&plan, RAM_BYTES);
    wrong = text_of_limit(4096);
    warnings = text_of_limit(4096);
    return 0;
}

static int end(void **state)
{
    (void)state;
    swap_plan_free(&plan);
    text_free(&wrong);
    text_free(&warnings);
    return 0;
}

#define assert_says(text, part) assert_non_null(strstr(text_string(&(text)), part))

/* Takes a file of this content. */
static bool read_file(const char *content, size_t length)
{
    char path[] = "/tmp/uzram-test-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, content, length), length);
    close(file);
    bool is_read = swap_plan_read(&plan, path, &wrong);
    unlink(path);
    return is_read;
}

static void amounts_may_depend_on_how_much_memory_there_is(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"4096", 4096},
        {"4G", 4 * GIB},
        {"0", 0},
        {" 512M ", 512 * MIB},
        {"200%", 16 * GIB},
        {"50%", 4 * GIB},
        {"ram", 8 * GIB},
        {"ram/2", 4 * GIB},
        {"ram / 3", 8 * GIB / 3},
        {"ram * 2", 16 * GIB},
        {"min(ram / 2, 2G)", 2 * GIB},
        {"min(ram / 2, 20G)", 4 * GIB},
        {"max(1G,ram)", 8 * GIB},
        {"max( min(ram, 1G) , 50% )", 4 * GIB},
    };
    (void)state;
    for (size_t i = 0; i < array_count(cases); i++) {
        uint64_t bytes = 99;
        assert_int_equal(swap_amount(cases[i].text, RAM_BYTES, &bytes), 0);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void texts_that_are_no_amount_change_nothing(void **state)
{
    static const char *const texts[] = {
        "",           "much",
        "-1",         "4 G",
        "50 %",       "%",
        "ram /",      "ram / 0",
        "ram / x",    "ramp",
        "min(1G)",    "min(1G, 2G",
        "1G)",        "min(,)",
        "4G 5G",      "min(1G;2)",
        "1.5G",       "ram + 1G",
        "min 1G, 2G", "(1G)",
        "50%%",       "min(min(min(min(min(min(1,2),3),4),5),6),7)",
    };
    (void)state;
    for (size_t i = 0; i < array_count(texts); i++) {
        uint64_t bytes = 99;
        assert_int_equal(swap_amount(texts[i], RAM_BYTES, &bytes), -EINVAL);
        assert_int_equal(bytes, 99);
    }
}

static void amounts_beyond_all_numbers_are_refused(void **state)
{
    static const char *const texts[] = {"9E", "99999999999999999999", "9000000000000000000%",
                                        "ram * 9000000000000000000"};
    (void)state;
    for (size_t i = 0; i < array_count(texts); i++) {
        uint64_t bytes = 99;
        assert_int_equal(swap_amount(texts[i], RAM_BYTES, &bytes), -ERANGE);
        assert_int_equal(bytes, 99);
    }
}

static void keys_are_taken_in_all_their_spellings(void **state)
{
    (void)state;
    assert_true(swap_plan_set(&plan, "size", "ram / 2", &wrong));
    assert_true(swap_plan_set(&plan, "priority", "0", &wrong));
    assert_true(swap_plan_set(&plan, "threads", "2", &wrong));
    assert_true(swap_plan_set(&plan, "connections", "8", &wrong));
    assert_true(swap_plan_set(&plan, "device", "/dev/nbd12", &wrong));
    assert_true(swap_plan_set(&plan, "plugin", "/a/plugin.so", &wrong));
    assert_true(swap_plan_set(&plan, "compression-algorithm", "zstd", &wrong));
    assert_true(swap_plan_set(&plan, "mem-limit", "25%", &wrong));
    assert_true(swap_plan_set(&plan, "reserve", "4M", &wrong));
    assert_true(swap_plan_set(&plan, "recompress_age", "any value: the plugin looks", &wrong));
    assert_int_equal(plan.size_bytes, 4 * GIB);
    assert_int_equal(plan.priority, 0);
    assert_int_equal(plan.threads, 2);
    assert_int_equal(plan.connections, 8);
    assert_string_equal(plan.device, "/dev/nbd12");
    assert_string_equal(plan.plugin, "/a/plugin.so");
    assert_int_equal(plan.mem_limit_bytes, 2 * GIB);
    assert_int_equal(plan.key_count, 4);
    assert_string_equal(plan.keys[0], "comp_algorithm=zstd");
    assert_string_equal(plan.keys[1], "mem_limit=2147483648");
    assert_string_equal(plan.keys[2], "reserve=4194304");
    assert_string_equal(plan.keys[3], "recompress_age=any value: the plugin looks");
    assert_int_equal(wrong.length, 0);
}

static void what_cannot_be_is_refused_with_key_value_and_what_can(void **state)
{
    static const struct {
        const char *key, *value, *sentence;
    } cases[] = {
        {"size", "", "size=: not an amount of memory; give an amount such as 4G, 200%,"},
        {"priority", "32768", "priority=32768: not a number it can be; give 0 to 32767"},
        {"threads", "0", "threads=0: not a number it can be; give 1 to 16"},
        {"connections", "17", "connections=17: not a number it can be; give 1 to 16"},
        {"device", "nbd0", "device=nbd0: not an nbd device; give one such as /dev/nbd0"},
        {"device", "/dev/nbd0p1", "not an nbd device"},
        {"device", "/dev/nbd", "not an nbd device"},
        {"device", "/dev/nbd99999999999999", "not an nbd device"},
        {"plugin", "--help", "plugin=--help: not a plugin"},
        {"swap", "on", "uzram swap sets this itself"},
        {"control", "/x", "uzram swap sets this itself"},
        {"mem_limit", "half", "mem_limit=half: not an amount of memory"},
        {"", "1", "=1: not a key that is known; give one of size, priority,"},
        {"colour", "red", "zspage_pages_max, step_objects,"},
    };
    (void)state;
    for (size_t i = 0; i < array_count(cases); i++) {
        text_clear(&wrong);
        assert_false(swap_plan_set(&plan, cases[i].key, cases[i].value, &wrong));
        assert_says(wrong, cases[i].sentence);
        assert_null(strchr(text_string(&wrong), '\n'));
    }
    assert_int_equal(plan.key_count, 0);
    assert_null(plan.device);
    assert_string_equal(plan.plugin, "zram");
}

static void more_keys_than_there_is_room_for_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SWAP_PLUGIN_KEYS_MAX; i++)
        assert_true(swap_plan_set(&plan, "zpool", "zbud", &wrong));
    assert_false(swap_plan_set(&plan, "zpool", "zbud", &wrong));
    assert_says(wrong, "too many keys");
}

static void a_file_has_settings_comments_and_empty_lines(void **state)
{
    static const char content[] = "# size = 1G\n\n   ; another\n\tsize\t=\t2G \r\n"
                                  "recomp_algorithm = algo=zstd priority=1\nthreads=1";
    (void)state;
    assert_true(read_file(content, sizeof content - 1));
    assert_int_equal(plan.size_bytes, 2 * GIB);
    assert_int_equal(plan.threads, 1);
    assert_int_equal(plan.key_count, 1);
    assert_string_equal(plan.keys[0], "recomp_algorithm=algo=zstd priority=1");
}

static void errors_of_a_file_have_their_line(void **state)
{
    static const struct {
        const char *content, *sentence;
    } cases[] = {
        {"size = 1G\nsize\n", ":2: size: not a setting; a line is KEY = VALUE"},
        {"= 1G", ":1: = 1G: not a setting"},
        {"[uzram0]\nsize = 1G\n", ":1: [uzram0]: not a setting"},
        {"\n\n# x\nsize = lots\n", ":4: size=lots: not an amount of memory"},
        {"size = 1G\nsize = 2G # no comment\n", ":2: size=2G # no comment: not an amount"},
        {"colour = red\n", ":1: colour=red: not a key that is known; give one of"},
    };
    (void)state;
    for (size_t i = 0; i < array_count(cases); i++) {
        text_clear(&wrong);
        assert_false(read_file(cases[i].content, strlen(cases[i].content)));
        assert_says(wrong, cases[i].sentence);
    }
    text_clear(&wrong);
    assert_false(swap_plan_read(&plan, "/no/such/file", &wrong));
    assert_says(wrong, "/no/such/file: No such file");
    text_clear(&wrong);
    assert_false(swap_plan_read(&plan, "/", &wrong));
    assert_says(wrong, "/: it cannot be read");
}

static bool is_good(uint64_t size_bytes)
{
    plan.size_bytes = size_bytes;
    text_clear(&wrong);
    text_clear(&warnings);
    return swap_plan_check(&plan, &wrong, &warnings);
}

static void sizes_beyond_sense_are_refused_and_doubtful_ones_warned_of(void **state)
{
    (void)state;
    assert_true(is_good(MIB));
    assert_true(is_good(4 * RAM_BYTES));
    assert_int_equal(warnings.length, 0);
    assert_true(is_good(5 * RAM_BYTES));
    assert_says(warnings, "a swap of 40G is more than 4 times this machine's memory (8G)");
    assert_true(is_good(16 * RAM_BYTES));
    assert_false(is_good(17 * RAM_BYTES));
    assert_says(wrong, "a swap of 136G is more than 16 times this machine's memory (8G)");
    assert_false(is_good(MIB - 4096));
    assert_says(wrong, "1044480 bytes is too small");
}

static void a_limit_below_the_size_is_warned_of(void **state)
{
    (void)state;
    assert_true(swap_plan_set(&plan, "mem_limit", "2G", &wrong));
    assert_true(is_good(2 * GIB));
    assert_int_equal(warnings.length, 0);
    assert_true(is_good(5 * GIB));
    assert_says(warnings, "mem_limit (2G) is less than the swap's size (5G): if its pages compress "
                          "less than 2.5 times, writes fail with ENOSPC");
}

static void more_requests_than_buffers_are_refused(void **state)
{
    (void)state;
    plan.threads = 4;
    plan.connections = 4;
    assert_true(is_good(GIB));
    plan.connections = 5;
    assert_false(is_good(GIB));
    assert_says(wrong, "5 connections of 4 threads are more than the 16 requests");
}

#define plan_test(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        plan_test(amounts_may_depend_on_how_much_memory_there_is),
        plan_test(texts_that_are_no_amount_change_nothing),
        plan_test(amounts_beyond_all_numbers_are_refused),
        plan_test(keys_are_taken_in_all_their_spellings),
        plan_test(what_cannot_be_is_refused_with_key_value_and_what_can),
        plan_test(more_keys_than_there_is_room_for_are_refused),
        plan_test(a_file_has_settings_comments_and_empty_lines),
        plan_test(errors_of_a_file_have_their_line),
        plan_test(sizes_beyond_sense_are_refused_and_doubtful_ones_warned_of),
        plan_test(a_limit_below_the_size_is_warned_of),
        plan_test(more_requests_than_buffers_are_refused),
    };
    return cmocka_run_group_tests_name("swap plan", tests, NULL, NULL);
}
