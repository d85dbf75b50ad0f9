/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * parse-test.c: texts that people write turned into values (common/parse.h,
 * common/algorithm_params.h).
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/algorithm_params.h"
#include "common/parse.h"

static void sizes_in_every_unit_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"1", 1},
        {"512b", 512},
        {"3s", 1536},
        {"7k", 7168},
        {"7K", 7168},
        {"5m", UINT64_C(5) << 20},
        {"4G", UINT64_C(4) << 30},
        {"16T", UINT64_C(1) << 44},
        {"2p", UINT64_C(1) << 51},
        {"7E", UINT64_C(7) << 60},
        {" +1", 1},
        {"9223372036854775807", INT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < array_count(cases); i++) {
        uint64_t bytes = 99;
        assert_int_equal(parse_size(cases[i].text, &bytes), 0);
        assert_true(bytes == cases[i].bytes);
    }
}

static void texts_that_are_no_size_are_refused_and_change_nothing(void **state)
{
    static const char *const texts[] = {"",   " ",   "x",   "-1", "4X", "4GG", "1.5G",
                                        "0x", "4 G", "+ 1", "k",  "1,", "1 ",  "--1"};
    (void)state;
    for (size_t i = 0; i < array_count(texts); i++) {
        uint64_t bytes = 99;
        assert_int_equal(parse_size(texts[i], &bytes), -EINVAL);
        assert_true(bytes == 99);
    }
}

static void sizes_beyond_63_bits_are_refused(void **state)
{
    static const char *const texts[] = {"9223372036854775808", "18446744073709551616", "8E",
                                        "8192p", "99999999999999999999999k"};
    (void)state;
    for (size_t i = 0; i < array_count(texts); i++) {
        uint64_t bytes = 99;
        assert_int_equal(parse_size(texts[i], &bytes), -ERANGE);
        assert_true(bytes == 99);
    }
}

static void integers_are_read_whole_and_within_their_bounds(void **state)
{
    int number = 99;
    (void)state;
    assert_int_equal(parse_integer("-5", -10, 10, &number), 0);
    assert_int_equal(number, -5);
    assert_int_equal(parse_integer("+10", -10, 10, &number), 0);
    assert_int_equal(number, 10);
    assert_int_equal(parse_integer("11", -10, 10, &number), -ERANGE);
    assert_int_equal(parse_integer("99999999999999999999", INT_MIN, INT_MAX, &number), -ERANGE);
    assert_int_equal(parse_integer("4294967297", INT_MIN, INT_MAX, &number), -ERANGE);
    assert_int_equal(parse_integer("", 0, 10, &number), -EINVAL);
    assert_int_equal(parse_integer("-", 0, 10, &number), -EINVAL);
    assert_int_equal(parse_integer("3x", 0, 10, &number), -EINVAL);
    assert_int_equal(parse_integer(" 3", 0, 10, &number), -EINVAL);
    assert_int_equal(number, 10);
}

static void algorithm_params_are_taken_apart(void **state)
{
    struct algorithm_params params;
    (void)state;
    assert_null(parse_algorithm_params("algo=zstd   level=-3\tpriority=0", &params));
    assert_string_equal(params.algo, "zstd");
    assert_true(params.has_level);
    assert_int_equal(params.level, -3);

    assert_null(parse_algorithm_params("level=1 level=2", &params));
    assert_string_equal(params.algo, "");
    assert_int_equal(params.level, 2);

    assert_null(parse_algorithm_params("algo=lz4", &params));
    assert_false(params.has_level || params.has_priority);
    assert_string_equal(params.dict, "");

    assert_null(parse_algorithm_params("priority=3 dict=/a/b level=1", &params));
    assert_int_equal(params.priority, 3);
    assert_true(params.has_priority);
    assert_string_equal(params.dict, "/a/b");
}

static void recomp_algorithm_is_taken_apart_with_or_without_algo(void **state)
{
    struct algorithm_params params;
    (void)state;
    assert_null(parse_recomp_algorithm("zstd", &params));
    assert_string_equal(params.algo, "zstd");
    assert_int_equal(params.priority, 1);
    assert_null(parse_recomp_algorithm("algo=lz4hc priority=3", &params));
    assert_string_equal(params.algo, "lz4hc");
    assert_int_equal(params.priority, 3);
    static const char *const refused[] = {"", "priority=1", "zstd priority=0", "zstd priority=4",
                                          "zstd level=3", "zstd dict=/x", "a=b"};
    for (size_t i = 0; i < array_count(refused); i++) {
        assert_non_null(parse_recomp_algorithm(refused[i], &params));
        assert_string_equal(params.algo, "lz4hc");
    }
}

static void wrong_algorithm_params_are_explained_and_change_nothing(void **state)
{
    static const char *const texts[] = {"",
                                        "  ",
                                        "level",
                                        "level=",
                                        "level=x",
                                        "algo=",
                                        "=3",
                                        "speed=1",
                                        "dict=",
                                        "priority=",
                                        "priority=4",
                                        "level=1 level=x",
                                        "algo=a_name_longer_than_any"};
    (void)state;
    for (size_t i = 0; i < array_count(texts); i++) {
        struct algorithm_params params = {.algo = "kept", .level = 7};
        assert_non_null(parse_algorithm_params(texts[i], &params));
        assert_string_equal(params.algo, "kept");
        assert_int_equal(params.level, 7);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_in_every_unit_are_read),
        cmocka_unit_test(texts_that_are_no_size_are_refused_and_change_nothing),
        cmocka_unit_test(sizes_beyond_63_bits_are_refused),
        cmocka_unit_test(integers_are_read_whole_and_within_their_bounds),
        cmocka_unit_test(algorithm_params_are_taken_apart),
        cmocka_unit_test(recomp_algorithm_is_taken_apart_with_or_without_algo),
        cmocka_unit_test(wrong_algorithm_params_are_explained_and_change_nothing),
    };
    return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
