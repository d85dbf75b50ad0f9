/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settings-test.c: settings of background work keep to their ranges, and the system's word on its
 * memory pressure is read as it is written.
 */
#include "tests/device-support.h"

#include <errno.h>

static void pressure_is_read_from_the_line_of_ten_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        unsigned hundredths;
    } lines[] = {
        {"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", 0},
        {"some avg10=1.23 avg60=0.40 avg300=0.09 total=123456\n", 123},
        {"some avg10=0.07 avg60=9.00 avg300=9.00 total=9\n", 7},
        {"some avg10=100.00 avg60=0.00 avg300=0.00 total=9\n", 10000},
        {"full avg10=50.00 avg60=0.00 avg300=0.00 total=9\n", 0},
        {"some avg10=101.00 avg60=0.00", 0},
        {"some avg10=", 0},
        {"", 0},
        {"rubbish", 0},
    };
    for (size_t i = 0; i < array_count(lines); i++)
        assert_int_equal(pressure_parse(lines[i].line), lines[i].hundredths);
    struct pressure none = {-1};
    assert_int_equal(pressure_read(&none), 0);
    struct pressure some = {file_of_line(lines[1].line)};
    assert_int_equal(pressure_read(&some), 123);
    assert_int_equal(pressure_read(&some), 123);
    pressure_close(&some);
    assert_int_equal(some.file, -1);
    pressure_close(&some);
}

static void settings_out_of_range_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct settings settings;
    const struct setting_row *row;
    settings_init(&settings);
    for (size_t i = 0; (row = setting_at(i)) != NULL; i++) {
        assert_ptr_equal(setting_find(row->name), row);
        assert_true(setting_get(&settings, row) == row->initial);
        assert_int_equal(setting_set(&settings, row, row->most), 0);
        assert_true(setting_get(&settings, row) == row->most);
        assert_int_equal(setting_set(&settings, row, row->least), 0);
        assert_true(setting_get(&settings, row) == row->least);
        assert_int_equal(setting_set(&settings, row, row->most + 1), -ERANGE);
        assert_int_equal(setting_set(&settings, row, UINT64_MAX), -ERANGE);
        if (row->least > 0)
            assert_int_equal(setting_set(&settings, row, row->least - 1), -ERANGE);
        assert_true(setting_get(&settings, row) == row->least);
    }
    assert_null(setting_find(""));
    assert_null(setting_find("reserves"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pressure_is_read_from_the_line_of_ten_seconds),
        cmocka_unit_test(settings_out_of_range_are_refused_and_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
