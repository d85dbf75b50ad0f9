/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot-test.c: the slot word gives back what was packed into it, and takes nothing out of range.
 */
#include "tests/device-support.h"

#include <limits.h>

#define POSITION_MAX ((UINT64_C(1) << SLOT_POSITION_BITS) - 1)
#define LENGTH_MAX   (BLOCK_SIZE_BYTES - 1)

static const uint64_t positions[] = {1,
                                     2,
                                     255,
                                     256,
                                     UINT64_C(1) << 31,
                                     UINT64_C(1) << 32,
                                     UINT64_C(1) << 39,
                                     POSITION_MAX - 1,
                                     POSITION_MAX};

static struct zpool_handle at(uint64_t position)
{
    return (struct zpool_handle){position};
}

static void word_of_zeros_is_an_empty_slot(void **state)
{
    (void)state;
    struct slot slot = {0};
    assert_int_equal(slot_kind(slot), SLOT_EMPTY);
    assert_int_equal(slot_length(slot), 0);
    assert_false(slot_has_object(slot));
    assert_false(slot_is_same_filled(slot));
    assert_true(slot_empty().word == 0);
}

static void object_slot_must_unpack(enum slot_kind kind, unsigned algorithm, size_t length,
                                    uint64_t position)
{
    struct slot slot = slot_empty();
    assert_true(slot_pack_object(kind, algorithm, length, at(position), &slot));
    assert_int_equal(slot_kind(slot), kind);
    assert_int_equal(slot_algorithm(slot), algorithm);
    assert_int_equal(slot_length(slot), length);
    assert_true(slot_object(slot).position == position);
    assert_true(slot_has_object(slot));
    assert_int_equal(slot_is_same_filled(slot), kind == SLOT_SAME_OBJECT);
    assert_true((slot.word & (SLOT_LOCK_BIT | SLOT_PARK_BIT | SLOT_IDLE_BIT)) == 0);
}

static void object_slots_unpack_to_what_was_packed(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_count(positions); i++) {
        for (unsigned algorithm = 0; algorithm < ALGORITHM_COUNT_MAX; algorithm++)
            for (size_t length = 1; length <= LENGTH_MAX; length++)
                object_slot_must_unpack(SLOT_OBJECT, algorithm, length, positions[i]);
        object_slot_must_unpack(SLOT_SAME_OBJECT, 0, sizeof(uint64_t), positions[i]);
        object_slot_must_unpack(SLOT_RAW, 0, BLOCK_SIZE_BYTES, positions[i]);
    }
}

static void random_object_slots_unpack_to_what_was_packed(void **state)
{
    (void)state;
    struct rng rng = rng_of(1);
    for (uint64_t i = test_scaled(100000); i > 0; i--)
        object_slot_must_unpack(SLOT_OBJECT, (unsigned)rng_below(&rng, ALGORITHM_COUNT_MAX),
                                1 + (size_t)rng_below(&rng, LENGTH_MAX),
                                1 + rng_below(&rng, POSITION_MAX));
}

static void packing_refuses_what_is_out_of_range_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        unsigned kind, algorithm;
        size_t length;
        uint64_t position;
    } refused[] = {
        {SLOT_EMPTY, 0, 1, 1},
        {SLOT_SAME, 0, 1, 1},
        {SLOT_SAME_HALF, 0, 1, 1},
        {SLOT_KIND_COUNT, 0, 1, 1},
        {7, 0, 1, 1},
        {8 + SLOT_OBJECT, 0, 1, 1},
        {SLOT_OBJECT, ALGORITHM_COUNT_MAX, 1, 1},
        {SLOT_OBJECT, UINT_MAX, 1, 1},
        {SLOT_OBJECT, 0, 0, 1},
        {SLOT_OBJECT, 0, BLOCK_SIZE_BYTES, 1},
        {SLOT_OBJECT, 0, BLOCK_SIZE_BYTES + 1, 1},
        {SLOT_OBJECT, 0, SIZE_MAX, 1},
        {SLOT_OBJECT, 0, 1, 0},
        {SLOT_OBJECT, 0, 1, POSITION_MAX + 1},
        {SLOT_OBJECT, 0, 1, UINT64_MAX},
        {SLOT_RAW, 0, 0, 1},
        {SLOT_RAW, 0, LENGTH_MAX, 1},
        {SLOT_RAW, 0, BLOCK_SIZE_BYTES + 1, 1},
        {SLOT_RAW, 1, BLOCK_SIZE_BYTES, 1},
        {SLOT_RAW, 0, BLOCK_SIZE_BYTES, 0},
        {SLOT_SAME_OBJECT, 0, 0, 1},
        {SLOT_SAME_OBJECT, 0, 7, 1},
        {SLOT_SAME_OBJECT, 0, 9, 1},
        {SLOT_SAME_OBJECT, 1, 8, 1},
        {SLOT_SAME_OBJECT, 0, BLOCK_SIZE_BYTES, 1},
        {SLOT_SAME_OBJECT, 0, 8, POSITION_MAX + 1},
    };
    for (size_t i = 0; i < array_count(refused); i++) {
        struct slot slot = {12345};
        assert_false(slot_pack_object((enum slot_kind)refused[i].kind, refused[i].algorithm,
                                      refused[i].length, at(refused[i].position), &slot));
        assert_true(slot.word == 12345);
    }
}

/* How a pattern is kept: written without the shifts that are tested. */
static enum slot_kind kind_of_pattern(uint64_t pattern)
{
    int64_t number = (int64_t)pattern;
    const int64_t bound = INT64_C(1) << 51;
    if (number >= -bound && number < bound)
        return SLOT_SAME;
    return (uint32_t)pattern == (uint32_t)(pattern >> 32) ? SLOT_SAME_HALF : SLOT_SAME_OBJECT;
}

static void pattern_must_be_kept(uint64_t pattern)
{
    struct slot slot = {12345};
    enum slot_kind kind = kind_of_pattern(pattern);
    assert_int_equal(slot_pack_same(pattern, &slot), kind != SLOT_SAME_OBJECT);
    if (kind == SLOT_SAME_OBJECT) {
        assert_true(slot.word == 12345);
        return;
    }
    assert_int_equal(slot_kind(slot), kind);
    assert_true(slot_pattern(slot) == pattern);
    assert_true(slot_is_same_filled(slot));
    assert_false(slot_has_object(slot));
    assert_int_equal(slot_length(slot), 0);
    assert_true((slot.word & (SLOT_LOCK_BIT | SLOT_PARK_BIT | SLOT_IDLE_BIT)) == 0);
}

static void patterns_are_kept_in_the_word_when_they_fit_and_refused_otherwise(void **state)
{
    (void)state;
    static const uint64_t edges[] = {0,
                                     UINT64_MAX,
                                     UINT64_C(1) << 51,
                                     UINT64_MAX << 51,
                                     UINT64_C(1) << 52,
                                     UINT64_MAX << 52,
                                     UINT64_C(1) << 63,
                                     UINT64_C(0x7fffffff7fffffff),
                                     UINT64_C(0x8000000080000000),
                                     UINT64_C(0x0008000000080000),
                                     UINT64_C(0xfff7ffff00000000)};
    for (size_t i = 0; i < array_count(edges); i++)
        for (uint64_t distance = 0; distance < 3; distance++) {
            pattern_must_be_kept(edges[i] + distance);
            pattern_must_be_kept(edges[i] - distance);
        }
    struct rng rng = rng_of(2);
    for (uint64_t i = test_scaled(100000); i > 0; i--) {
        uint64_t word = rng_next(&rng);
        pattern_must_be_kept(word);
        pattern_must_be_kept(word >> rng_below(&rng, 64));
        pattern_must_be_kept((uint64_t)((int64_t)word >> rng_below(&rng, 64)));
        pattern_must_be_kept(word << 32 | (uint32_t)word);
    }
}

static void moving_changes_the_position_only(void **state)
{
    (void)state;
    struct slot slot = slot_empty();
    assert_true(slot_pack_object(SLOT_OBJECT, 3, LENGTH_MAX, at(POSITION_MAX), &slot));
    slot.word |= SLOT_IDLE_BIT | SLOT_INCOMPRESSIBLE_BIT;
    for (size_t i = 0; i < array_count(positions); i++) {
        struct slot moved = slot_moved_to(slot, at(positions[i]));
        assert_true(slot_object(moved).position == positions[i]);
        assert_true(slot_moved_to(moved, at(POSITION_MAX)).word == slot.word);
    }
}

static void access_clears_the_idle_mark_only(void **state)
{
    (void)state;
    struct slot slot = slot_empty();
    assert_true(slot_pack_object(SLOT_OBJECT, 3, LENGTH_MAX, at(POSITION_MAX), &slot));
    slot.word |= SLOT_INCOMPRESSIBLE_BIT;
    assert_true(slot_accessed(slot).word == slot.word);
    struct slot idle = {slot.word | SLOT_IDLE_BIT};
    assert_true(slot_accessed(idle).word == slot.word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(word_of_zeros_is_an_empty_slot),
        cmocka_unit_test(object_slots_unpack_to_what_was_packed),
        cmocka_unit_test(random_object_slots_unpack_to_what_was_packed),
        cmocka_unit_test(packing_refuses_what_is_out_of_range_and_changes_nothing),
        cmocka_unit_test(patterns_are_kept_in_the_word_when_they_fit_and_refused_otherwise),
        cmocka_unit_test(moving_changes_the_position_only),
        cmocka_unit_test(access_clears_the_idle_mark_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
