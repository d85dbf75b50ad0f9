/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compress-codec-test.c: what codec.h promises, checked for every codec.
 *
 * Sources and targets lie against pages that fault when touched, so that a library's access outside
 * what it was given ends the test, with and without a sanitizer:
 *
 *      │ fault │        room        │ fault │
 *                      ▲ an area of n bytes ends where the fault begins
 */
#include "compress/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <zstd.h>

#include "common/memory.h"

#define CODEC_COUNT    3
#define ROOM_BYTES     (2 * BLOCK_SIZE_BYTES) /* of a guarded area; every codec's worst case fits */
#define REAL_BLOCKS    24
#define BLOCKS_MAX     64
#define RANDOM_SOURCES 20000

typedef unsigned char byte;

/* The areas, each between two faults. */
static byte *source_room, *target_room, *compressed_room;

static byte blocks[BLOCKS_MAX][BLOCK_SIZE_BYTES];
static size_t block_count;

static uint64_t random_state;

/* xorshift64*: the same numbers on every machine. */
static uint64_t random_next(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

static byte *room_create(void)
{
    byte *start =
        mmap(NULL, ROOM_BYTES + 2 * PAGE_SIZE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(start, MAP_FAILED);
    assert_int_equal(mprotect(start + PAGE_SIZE_BYTES, ROOM_BYTES, PROT_READ | PROT_WRITE), 0);
    return start + PAGE_SIZE_BYTES;
}

/* The area of that many bytes at the end of a room. */
static byte *area(byte *room, size_t bytes)
{
    return room + ROOM_BYTES - bytes;
}

/* Parts of this program itself: code, tables, strings. */
static void add_real_blocks(void)
{
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    off_t size = lseek(file, 0, SEEK_END);
    for (int i = 0; i < REAL_BLOCKS; i++) {
        off_t offset = size / REAL_BLOCKS * i;
        ssize_t count = pread(file, blocks[block_count++], BLOCK_SIZE_BYTES, offset);
        assert_true(count > 0); /* the rest of a short one stays zero */
    }
    close(file);
}

/* Starts with random bytes, ends with the same short pattern over and over. */
static void add_partly_random_block(size_t random_bytes)
{
    byte *block = blocks[block_count++];
    for (size_t i = 0; i < BLOCK_SIZE_BYTES; i++)
        block[i] = i < random_bytes ? (byte)random_next() : (byte)(i % 7);
}

static void add_periodic_block(size_t period)
{
    byte *block = blocks[block_count++];
    for (size_t i = 0; i < BLOCK_SIZE_BYTES; i++)
        block[i] = i < period ? (byte)random_next() : block[i - period];
}

/* Small numbers and pointers near each other, as a heap has them. */
static void add_heap_block(void)
{
    byte *block = blocks[block_count++];
    for (size_t i = 0; i < BLOCK_SIZE_BYTES; i += 8) {
        uint64_t word = i % 32 == 0 ? random_next() % 4096
                                    : UINT64_C(0x7f3a5c000000) + random_next() % 65536 * 16;
        memcpy(block + i, &word, sizeof word);
    }
}

static int setup(void **state)
{
    (void)state;
    const char *seed = getenv("UZRAM_TEST_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2 + 1;
    print_message("# UZRAM_TEST_SEED=%llu\n", (unsigned long long)random_state);

    source_room = room_create();
    target_room = room_create();
    compressed_room = room_create();
    block_count = 1; /* the first is all zeros */
    add_real_blocks();
    for (size_t random_bytes = 0; random_bytes <= BLOCK_SIZE_BYTES; random_bytes += 512)
        add_partly_random_block(random_bytes);
    static const size_t periods[] = {1, 2, 3, 4, 8, 15, 64, 255, 1000, 2048, 4095};
    for (size_t i = 0; i < array_count(periods); i++)
        add_periodic_block(periods[i]);
    add_heap_block();
    assert_true(block_count <= BLOCKS_MAX);
    return 0;
}

static struct codec_context *context_of(const struct codec *codec, int level)
{
    struct codec_context *context;
    assert_int_equal(codec->context_create(&(struct codec_parameters){.level = level}, &context),
                     0);
    assert_non_null(context);
    return context;
}

/* Compresses a block into an area of just that capacity. */
static int compress_guarded(const struct codec *codec, struct codec_context *context,
                            const byte *block, size_t capacity)
{
    byte *source = area(source_room, BLOCK_SIZE_BYTES);
    memcpy(source, block, BLOCK_SIZE_BYTES);
    return codec->compress(context, source, area(target_room, capacity), capacity);
}

/*
 * Decompresses that many bytes into the one page between two faults. Returns what the codec did;
 * the block is at target_room then.
 */
static int decompress_guarded(const struct codec *codec, struct codec_context *context,
                              const byte *source, size_t bytes)
{
    byte *guarded = area(source_room, bytes);
    memcpy(guarded, source, bytes);
    return codec->decompress(context, guarded, bytes, area(target_room, BLOCK_SIZE_BYTES));
}

static void assert_restored(const byte *block)
{
    assert_memory_equal(area(target_room, BLOCK_SIZE_BYTES), block, BLOCK_SIZE_BYTES);
}

/* A block's compressed form, kept at the start of compressed_room. */
static size_t compressed(const struct codec *codec, struct codec_context *context,
                         const byte *block)
{
    int length = codec->compress(context, block, compressed_room, ROOM_BYTES);
    assert_in_range(length, 1, ROOM_BYTES);
    return (size_t)length;
}

static void codecs_are_found_by_name_and_in_order(void **state)
{
    (void)state;
    static const char *const names[CODEC_COUNT] = {"lz4", "lz4hc", "zstd"};
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_find(names[i]);
        assert_non_null(codec);
        assert_string_equal(codec->name, names[i]);
        assert_ptr_equal(codec_at(i), codec);
    }
    assert_null(codec_at(CODEC_COUNT));
    assert_null(codec_at(SIZE_MAX));
    assert_null(codec_find(""));
    assert_null(codec_find("lz"));
    assert_null(codec_find("lz44"));
    assert_null(codec_find("LZ4"));
}

static void levels_outside_the_range_return_einval_and_no_context(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        const int bad[] = {codec->level_min - 1, codec->level_max + 1, INT_MIN, INT_MAX};
        for (size_t j = 0; j < array_count(bad); j++) {
            struct codec_context *context = (struct codec_context *)blocks;
            assert_false(codec_has_level(codec, bad[j]));
            assert_int_equal(
                codec->context_create(&(struct codec_parameters){.level = bad[j]}, &context),
                -EINVAL);
            assert_null(context);
        }
        assert_true(codec_has_level(codec, codec->level_min));
        assert_true(codec_has_level(codec, codec->level_max));
        assert_true(codec_has_level(codec, codec->level_default));
    }
    assert_true(codec_find("zstd")->level_max <= ZSTD_maxCLevel());
}

static void context_without_memory_returns_enomem_and_leaves_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        struct codec_context *context = (struct codec_context *)blocks;
        memory_fail_after(0, false);
        assert_int_equal(codec->context_create(
                             &(struct codec_parameters){.level = codec->level_default}, &context),
                         -ENOMEM);
        /* One request was all: a context is one piece. */
        assert_int_equal(memory_fail_after(-1, false), 1);
        assert_null(context);
        codec->context_destroy(NULL);
    }
}

static void every_block_comes_back_at_every_level(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        for (int level = codec->level_min; level <= codec->level_max; level++) {
            /* Of lz4's 65537 accelerations, the first, the powers of two, and the last. */
            if (level > 64 && level < codec->level_max && (level & (level - 1)) != 0)
                continue;
            struct codec_context *context = context_of(codec, level);
            assert_true(codec->context_bytes(context) > sizeof(void *));
            for (size_t j = 0; j < block_count; j++) {
                size_t length = compressed(codec, context, blocks[j]);
                assert_int_equal(decompress_guarded(codec, context, compressed_room, length), 0);
                assert_restored(blocks[j]);
            }
            codec->context_destroy(context);
        }
    }
}

static void what_one_context_wrote_another_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        struct codec_context *writer = context_of(codec, codec->level_max);
        struct codec_context *reader =
            codec->decompress_needs_context ? context_of(codec, codec->level_min) : NULL;
        for (size_t j = 0; j < block_count; j++) {
            size_t length = compressed(codec, writer, blocks[j]);
            assert_int_equal(decompress_guarded(codec, reader, compressed_room, length), 0);
            assert_restored(blocks[j]);
        }
        codec->context_destroy(writer);
        codec->context_destroy(reader);
    }
}

static void result_never_exceeds_its_capacity_and_fits_when_there_is_some_to_spare(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        struct codec_context *context = context_of(codec, codec->level_default);
        for (size_t j = 0; j < block_count; j += 5) {
            size_t length = compressed(codec, context, blocks[j]);
            for (size_t capacity = 0; capacity <= length + 2 * CODEC_SPARE_BYTES; capacity++) {
                /* Every edge: the smallest, around the length; between them each seventh. */
                if (capacity > 40 && capacity + 40 < length && capacity % 7 != 0)
                    continue;
                int result = compress_guarded(codec, context, blocks[j], capacity);
                if (result == -ENOSPC) {
                    assert_true(capacity < length + CODEC_SPARE_BYTES);
                    continue;
                }
                assert_true(result > 0 && (size_t)result <= capacity);
                byte copy[ROOM_BYTES];
                memcpy(copy, area(target_room, capacity), (size_t)result);
                assert_int_equal(decompress_guarded(codec, context, copy, (size_t)result), 0);
                assert_restored(blocks[j]);
            }
        }
        codec->context_destroy(context);
    }
}

static void same_block_gives_the_same_bytes_whatever_came_before(void **state)
{
    (void)state;
    byte first[ROOM_BYTES];
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        struct codec_context *used = context_of(codec, codec->level_default);
        for (size_t j = 0; j < block_count; j++) {
            struct codec_context *fresh = context_of(codec, codec->level_default);
            size_t length = compressed(codec, fresh, blocks[j]);
            memcpy(first, compressed_room, length);
            codec->context_destroy(fresh);

            assert_int_equal(compressed(codec, used, blocks[j]), length);
            assert_memory_equal(compressed_room, first, length);
            /* A compression and a decompression that are given up half-way leave nothing behind. */
            assert_int_equal(compress_guarded(codec, used, blocks[j], length / 2), -ENOSPC);
            assert_int_equal(decompress_guarded(codec, used, first, length / 2), -EIO);
            assert_int_equal(compressed(codec, used, blocks[j]), length);
            assert_memory_equal(compressed_room, first, length);
            assert_int_equal(decompress_guarded(codec, used, first, length), 0);
            assert_restored(blocks[j]);
        }
        codec->context_destroy(used);
    }
}

static void every_truncation_returns_eio(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        struct codec_context *context = context_of(codec, codec->level_default);
        for (size_t j = 0; j < block_count; j++) {
            size_t length = compressed(codec, context, blocks[j]);
            for (size_t cut = 0; cut < length; cut++)
                assert_int_equal(decompress_guarded(codec, context, compressed_room, cut), -EIO);
        }
        codec->context_destroy(context);
    }
}

static void bytes_behind_the_end_return_eio(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        struct codec_context *context = context_of(codec, codec->level_default);
        for (size_t j = 0; j < block_count; j++) {
            size_t length = compressed(codec, context, blocks[j]);
            for (size_t more = 1; more <= 16; more++) {
                memset(compressed_room + length, 0, more);
                assert_int_equal(decompress_guarded(codec, context, compressed_room, length + more),
                                 -EIO);
                memset(compressed_room + length, 0xff, more);
                assert_int_equal(decompress_guarded(codec, context, compressed_room, length + more),
                                 -EIO);
            }
        }
        codec->context_destroy(context);
    }
}

/* Without a checksum a wrong block is possible; an access outside source and target is not. */
static void every_flipped_bit_gives_eio_or_a_block_within_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        struct codec_context *context = context_of(codec, codec->level_default);
        for (size_t j = 0; j < block_count; j += 3) {
            size_t length = compressed(codec, context, blocks[j]);
            for (size_t bit = 0; bit < length * CHAR_BIT; bit++) {
                byte flip = (byte)(1 << bit % CHAR_BIT);
                compressed_room[bit / CHAR_BIT] ^= flip;
                int result = decompress_guarded(codec, context, compressed_room, length);
                assert_true(result == 0 || result == -EIO);
                compressed_room[bit / CHAR_BIT] ^= flip;
            }
            assert_int_equal(decompress_guarded(codec, context, compressed_room, length), 0);
            assert_restored(blocks[j]);
        }
        codec->context_destroy(context);
    }
}

static void random_sources_give_eio_or_a_block_within_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        const struct codec *codec = codec_at(i);
        struct codec_context *context = context_of(codec, codec->level_default);
        for (int round = 0; round < RANDOM_SOURCES; round++) {
            size_t bytes = random_next() % 3 == 0 ? random_next() % ROOM_BYTES : random_next() % 64;
            for (size_t j = 0; j < bytes; j++)
                compressed_room[j] = (byte)(random_next() >> 56);
            int result = decompress_guarded(codec, context, compressed_room, bytes);
            assert_true(result == 0 || result == -EIO);
        }
        /* Longer than anything a codec writes, and than an int can say. */
        assert_int_equal(decompress_guarded(codec, context, compressed_room, ROOM_BYTES), -EIO);
        codec->context_destroy(context);
    }
    byte *target = area(target_room, BLOCK_SIZE_BYTES);
    assert_int_equal(codec_find("lz4")->decompress(NULL, blocks, SIZE_MAX, target), -EIO);
}

static void zstd_frames_hold_no_magic_size_checksum_or_dictionary_id(void **state)
{
    (void)state;
    const struct codec *codec = codec_find("zstd");
    for (int level = codec->level_min; level <= codec->level_max; level++) {
        struct codec_context *context = context_of(codec, level);
        for (size_t j = 0; j < block_count; j += 4) {
            size_t length = compressed(codec, context, blocks[j]);
            /* RFC 8878, 3.1.1.1: the descriptor's bits name these fields; the window follows. */
            assert_int_equal(compressed_room[0], 0);
            assert_int_equal(compressed_room[1], (BLOCK_SHIFT - 10) << 3);
            assert_in_range(length, 6, 2 + 3 + BLOCK_SIZE_BYTES);
        }
        codec->context_destroy(context);
    }
}

/* What a library that reads "one or more frames" would take for a good block. */
static void zstd_second_frame_returns_eio(void **state)
{
    (void)state;
    static const byte empty_frame[] = {0, 0, 1, 0, 0};
    static const byte skippable_frame[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    const struct codec *codec = codec_find("zstd");
    struct codec_context *context = context_of(codec, codec->level_default);
    size_t length = compressed(codec, context, blocks[1]);
    byte *end = compressed_room + length;

    memcpy(end, empty_frame, sizeof empty_frame);
    assert_int_equal(
        decompress_guarded(codec, context, compressed_room, length + sizeof empty_frame), -EIO);
    memcpy(end, skippable_frame, sizeof skippable_frame);
    assert_int_equal(
        decompress_guarded(codec, context, compressed_room, length + sizeof skippable_frame), -EIO);
    codec->context_destroy(context);
}

static void zstd_random_content_of_a_whole_frame_gives_eio_or_a_block_within_bounds(void **state)
{
    (void)state;
    const struct codec *codec = codec_find("zstd");
    struct codec_context *context = context_of(codec, codec->level_default);
    for (int round = 0; round < RANDOM_SOURCES; round++) {
        size_t content = 1 + random_next() % (round % 2 == 0 ? 32 : BLOCK_SIZE_BYTES);
        uint32_t header = (uint32_t)content << 3 | 2 << 1 | 1; /* length, compressed, last */
        const byte head[] = {0, (byte)random_next(), (byte)header, (byte)(header >> 8), 0};
        memcpy(compressed_room, head, sizeof head);
        for (size_t i = 0; i < content; i++)
            compressed_room[sizeof head + i] = (byte)(random_next() >> 56);
        int result = decompress_guarded(codec, context, compressed_room, sizeof head + content);
        assert_true(result == 0 || result == -EIO);
    }
    codec->context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codecs_are_found_by_name_and_in_order),
        cmocka_unit_test(levels_outside_the_range_return_einval_and_no_context),
        cmocka_unit_test(context_without_memory_returns_enomem_and_leaves_nothing),
        cmocka_unit_test(every_block_comes_back_at_every_level),
        cmocka_unit_test(what_one_context_wrote_another_reads),
        cmocka_unit_test(result_never_exceeds_its_capacity_and_fits_when_there_is_some_to_spare),
        cmocka_unit_test(same_block_gives_the_same_bytes_whatever_came_before),
        cmocka_unit_test(every_truncation_returns_eio),
        cmocka_unit_test(bytes_behind_the_end_return_eio),
        cmocka_unit_test(every_flipped_bit_gives_eio_or_a_block_within_bounds),
        cmocka_unit_test(random_sources_give_eio_or_a_block_within_bounds),
        cmocka_unit_test(zstd_frames_hold_no_magic_size_checksum_or_dictionary_id),
        cmocka_unit_test(zstd_second_frame_returns_eio),
        cmocka_unit_test(zstd_random_content_of_a_whole_frame_gives_eio_or_a_block_within_bounds),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
