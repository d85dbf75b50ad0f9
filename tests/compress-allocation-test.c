/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compress-allocation-test.c: once its context exists, no codec allocates, not even inside its
 * library: a device that the system swaps to must not ask that system for memory.
 *
 * This program's own malloc and kin count their calls and pass them on to the C library.
 */
#include "compress/codec.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LEVELS_MAX 200 /* of one codec, checked one by one from its lowest */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ALLOCATOR_IS_TAKEN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALLOCATOR_IS_TAKEN 1
#endif

/* volatile: compilers know malloc, and would not expect it to count. */
static volatile unsigned long requests;

#ifndef ALLOCATOR_IS_TAKEN
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

/* noinline: so that all of this program sees whose function is used. */
#define exported __attribute__((visibility("default"), noinline))

exported void *malloc(size_t bytes)
{
    requests++;
    return __libc_malloc(bytes);
}

exported void *calloc(size_t count, size_t bytes)
{
    requests++;
    return __libc_calloc(count, bytes);
}

exported void *realloc(void *memory, size_t bytes)
{
    requests++;
    return __libc_realloc(memory, bytes);
}

exported void *memalign(size_t alignment, size_t bytes)
{
    requests++;
    return __libc_memalign(alignment, bytes);
}

exported void *aligned_alloc(size_t alignment, size_t bytes)
{
    requests++;
    return __libc_memalign(alignment, bytes);
}

exported int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    requests++;
    *memory = __libc_memalign(alignment, bytes);
    return *memory != NULL ? 0 : ENOMEM;
}

exported void free(void *memory)
{
    __libc_free(memory);
}
#endif

/* From all zeros (0) to incompressible. */
static void fill(unsigned char block[BLOCK_SIZE_BYTES], int random_share)
{
    uint32_t number = 1;
    for (size_t i = 0; i < BLOCK_SIZE_BYTES; i++) {
        number = number * 1664525 + 1013904223;
        block[i] = (int)(number >> 16 & 7) < random_share ? (unsigned char)(number >> 24) : 0;
    }
}

static void assert_level_does_not_allocate(const struct codec *codec, int level)
{
    unsigned char block[BLOCK_SIZE_BYTES], restored[BLOCK_SIZE_BYTES];
    unsigned char compressed[2 * BLOCK_SIZE_BYTES];
    struct codec_context *context;
    unsigned long before = requests;
    assert_int_equal(codec->context_create(&(struct codec_parameters){.level = level}, &context),
                     0);
    assert_int_equal(requests - before, 1); /* so the count does count */
    before = requests;
    for (int random_share = 0; random_share <= 8; random_share++) {
        fill(block, random_share);
        int length = codec->compress(context, block, compressed, sizeof compressed);
        int given_up = codec->compress(context, block, compressed, (size_t)length / 2);
        int again = codec->compress(context, block, compressed, sizeof compressed);
        int error = codec->decompress(context, compressed, (size_t)length, restored);
        int truncated = codec->decompress(context, compressed, (size_t)length / 2, restored);
        assert_int_equal(requests - before, 0);
        assert_true(length > 0 && again == length);
        assert_int_equal(given_up, -ENOSPC);
        assert_int_equal(error, 0);
        assert_int_equal(truncated, -EIO);
    }
    codec->context_destroy(context);
}

static void codecs_do_not_allocate_after_their_context_is_made(void **state)
{
    (void)state;
    unsigned long before = requests;
    void *volatile probe = aligned_alloc(64, 64);
    free(probe);
    if (requests == before) {
        print_message("# skipped: a sanitizer or valgrind has an allocator of its own\n");
        skip();
    }
    const struct codec *codec;
    for (size_t i = 0; (codec = codec_at(i)) != NULL; i++) {
        for (int level = codec->level_min;
             level <= codec->level_max && level < codec->level_min + LEVELS_MAX; level++)
            assert_level_does_not_allocate(codec, level);
        assert_level_does_not_allocate(codec, codec->level_max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codecs_do_not_allocate_after_their_context_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
