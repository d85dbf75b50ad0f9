/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * same-filled-test.c: blocks of one repeated word are found wherever they lie, others never, and
 * are filled again from any byte on.
 */
#include "tests/device-support.h"

#include <sys/mman.h>

#include "device/same_filled.h"

static const uint64_t patterns[] = {0,
                                    1,
                                    UINT64_MAX,
                                    UINT64_C(0x0102030405060708),
                                    UINT64_C(0x8000000000000000),
                                    UINT64_C(0xdeadbeefdeadbeef),
                                    UINT64_C(0x00ff00ff00ff00ff)};

/* What byte `offset` of a block of the pattern is, one by one. */
static unsigned char byte_of(uint64_t pattern, size_t offset)
{
    unsigned char bytes[sizeof pattern];
    memcpy(bytes, &pattern, sizeof pattern);
    return bytes[offset % sizeof pattern];
}

static void fill_by_bytes(unsigned char *target, uint64_t pattern, size_t offset, size_t count)
{
    for (size_t i = 0; i < count; i++)
        target[i] = byte_of(pattern, offset + i);
}

static void repeated_words_are_found_at_any_alignment(void **state)
{
    (void)state;
    static unsigned char memory[BLOCK_SIZE_BYTES + 64];
    for (size_t i = 0; i < array_count(patterns); i++)
        for (size_t start = 0; start < 64; start++) {
            uint64_t pattern = 12345;
            fill_by_bytes(memory + start, patterns[i], 0, BLOCK_SIZE_BYTES);
            assert_true(same_filled_detect(memory + start, &pattern));
            assert_true(pattern == patterns[i]);
        }
}

static void one_different_bit_anywhere_is_seen(void **state)
{
    (void)state;
    static unsigned char block[BLOCK_SIZE_BYTES];
    uint64_t pattern;
    for (size_t i = 0; i < array_count(patterns); i++) {
        fill_by_bytes(block, patterns[i], 0, BLOCK_SIZE_BYTES);
        for (size_t at = 0; at < BLOCK_SIZE_BYTES; at++) {
            unsigned char bit = (unsigned char)(1u << at % 8);
            block[at] ^= bit;
            assert_false(same_filled_detect(block, &pattern));
            block[at] ^= bit;
        }
        assert_true(same_filled_detect(block, &pattern));
    }
}

/* Repeats of any other length than a word's are no repeats, but for those of its divisors. */
static void repeats_of_other_lengths_are_not_taken_for_a_word(void **state)
{
    (void)state;
    static unsigned char block[BLOCK_SIZE_BYTES];
    for (size_t period = 1; period <= 64; period++) {
        uint64_t pattern;
        for (size_t at = 0; at < BLOCK_SIZE_BYTES; at++)
            block[at] = (unsigned char)(at % period + 1);
        assert_int_equal(same_filled_detect(block, &pattern), 8 % period == 0);
    }
}

static void looking_reads_nothing_outside_of_the_block(void **state)
{
    (void)state;
    unsigned char *pages =
        mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE), 0);
    uint64_t pattern;
    assert_true(same_filled_detect(pages + 4096, &pattern));
    same_filled_fill(pages + 4096, 7, 0, BLOCK_SIZE_BYTES);
    same_filled_fill(pages + 4096 + 1, 7, 1, BLOCK_SIZE_BYTES - 1);
    assert_true(same_filled_detect(pages + 4096, &pattern));
    assert_true(pattern == 7);
    munmap(pages, 3 * 4096);
}

static void must_fill_as_byte_by_byte(uint64_t pattern, size_t offset, size_t count, size_t start)
{
    static unsigned char filled[BLOCK_SIZE_BYTES + 128], expected[BLOCK_SIZE_BYTES + 128];
    memset(filled, 0xa5, sizeof filled);
    memset(expected, 0xa5, sizeof expected);
    fill_by_bytes(expected + 32 + start, pattern, offset, count);
    same_filled_fill(filled + 32 + start, pattern, offset, count);
    assert_memory_equal(filled, expected, sizeof filled);
}

static void filling_starts_at_any_byte_and_writes_nothing_outside(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_count(patterns); i++)
        for (size_t offset = 0; offset < 16; offset++)
            for (size_t count = 0; count < 40; count++)
                must_fill_as_byte_by_byte(patterns[i], offset, count, offset % 3);
    struct rng rng = rng_of(1);
    for (uint64_t i = test_scaled(2000); i > 0; i--) {
        size_t offset = (size_t)rng_below(&rng, BLOCK_SIZE_BYTES);
        must_fill_as_byte_by_byte(rng_next(&rng), offset,
                                  (size_t)rng_below(&rng, BLOCK_SIZE_BYTES - offset + 1),
                                  (size_t)rng_below(&rng, 32));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeated_words_are_found_at_any_alignment),
        cmocka_unit_test(one_different_bit_anywhere_is_seen),
        cmocka_unit_test(repeats_of_other_lengths_are_not_taken_for_a_word),
        cmocka_unit_test(looking_reads_nothing_outside_of_the_block),
        cmocka_unit_test(filling_starts_at_any_byte_and_writes_nothing_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
