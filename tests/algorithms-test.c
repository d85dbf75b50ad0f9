/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * algorithms-test.c: dictionaries of every codec, and the table of what a device's blocks are
 * compressed with: roles that change on a live device, entries and dictionaries that stay as long
 * as a block needs them and go when none does, and what happens when the table is full or memory
 * fails.
 *
 * Blocks are made of phrases that a dictionary has, so that what is compressed with one can't be
 * restored without it, nor with another.
 */
#include "tests/device-support.h"

#include <errno.h>

#include "common/memory.h"
#include "compress/train.h"
#include "device/train.h"
#include "tests/device-steps.h"

#define BLOCK       BLOCK_SIZE_BYTES
#define BLOCK_COUNT 1024u

#define PHRASE_BYTES     64u
#define DICTIONARY_BYTES (32u * 1024)

static const char *const codec_names[] = {"lz4", "lz4hc", "zstd"};

#define DICTIONARY_COUNT 9u

/* Each has phrases that no other has. Filled before the tests. */
static unsigned char dictionaries[DICTIONARY_COUNT][DICTIONARY_BYTES];

static const unsigned char *dictionary_of(unsigned number)
{
    must(number < DICTIONARY_COUNT);
    return dictionaries[number];
}

/*
 * A block of the dictionary's phrases, different for each seed. The last quarter is zeros, so that
 * it is no raw page without the dictionary either.
 */
static void content_of_phrases(unsigned char *block, unsigned number, uint64_t seed)
{
    const unsigned char *dictionary = dictionary_of(number);
    struct rng rng = {seed};
    memset(block, 0, BLOCK);
    for (size_t at = 0; at < BLOCK * 3 / 4; at += PHRASE_BYTES) {
        size_t phrase = rng_below(&rng, DICTIONARY_BYTES / PHRASE_BYTES);
        memcpy(block + at, dictionary + phrase * PHRASE_BYTES, PHRASE_BYTES);
    }
}

/* ---- dictionaries of codecs ---- */

struct bytes {
    const void *start;
    size_t count;
};

/* In zstd's own format, with entropy tables, as `uzram train` makes it. */
static struct bytes trained_dictionary(void)
{
    static unsigned char samples[400][BLOCK], trained[8192];
    static size_t count;
    if (count == 0) {
        for (unsigned i = 0; i < array_count(samples); i++)
            content_of_phrases(samples[i], 0, i);
        must(dictionary_train(codec_find("zstd"), samples, array_count(samples), trained,
                              sizeof trained, &count) == 0);
    }
    return (struct bytes){trained, count};
}

static struct codec_dictionary *dictionary_made(const struct codec *codec, int level,
                                                struct bytes bytes)
{
    struct codec_dictionary *dictionary;
    must(codec->dictionary_create(level, bytes.start, bytes.count, &dictionary) == 0);
    return dictionary;
}

static struct codec_context *context_made(const struct codec *codec, int level,
                                          const struct codec_dictionary *dictionary,
                                          bool only_decompresses)
{
    struct codec_parameters parameters = {level, dictionary, only_decompresses};
    struct codec_context *context;
    must(codec->context_create(&parameters, &context) == 0);
    return context;
}

/* Compresses with one context, restores with two others, one of which can't do else. */
static size_t round_trip(const struct codec *codec, int level, struct bytes bytes,
                         const unsigned char *block)
{
    unsigned char target[2 * BLOCK], back[BLOCK];
    struct codec_dictionary *dictionary =
        bytes.count > 0 ? dictionary_made(codec, level, bytes) : NULL;
    struct codec_context *writer = context_made(codec, level, dictionary, false);
    struct codec_context *readers[] = {context_made(codec, level, dictionary, false),
                                       context_made(codec, level, dictionary, true), writer};
    int length = codec->compress(writer, block, target, sizeof target);
    must(length > 0);
    for (size_t i = 0; i < array_count(readers); i++) {
        memset(back, 0, BLOCK);
        must(codec->decompress(readers[i], target, (size_t)length, back) == 0);
        must(memcmp(back, block, BLOCK) == 0);
        codec->context_destroy(readers[i]);
    }
    codec->dictionary_destroy(dictionary);
    return (size_t)length;
}

static void blocks_come_back_with_any_dictionary_at_any_level(void **state)
{
    (void)state;
    static unsigned char longest[1 << 20];
    content_fill(longest, sizeof longest, CONTENT_MIXED, 3);
    for (size_t c = 0; c < array_count(codec_names); c++) {
        const struct codec *codec = codec_find(codec_names[c]);
        const struct bytes kinds[] = {
            {dictionary_of(0), DICTIONARY_BYTES},   {dictionary_of(0), 1}, {dictionary_of(0), 7},
            {longest, codec->dictionary_bytes_max}, trained_dictionary(),
        };
        const int levels[] = {codec->level_min, codec->level_default,
                              codec->level_max < 100 ? codec->level_max : 100};
        must(codec->dictionary_bytes_max <= sizeof longest);
        for (size_t d = 0; d < array_count(kinds); d++)
            for (size_t l = 0; l < array_count(levels); l++) {
                unsigned char block[BLOCK];
                content_of_phrases(block, 0, 50 + d);
                (void)round_trip(codec, levels[l], kinds[d], block);
                for (unsigned kind = 0; kind < CONTENT_RANDOM; kind++) {
                    content_fill(block, BLOCK, (enum content_kind)kind, d);
                    (void)round_trip(codec, levels[l], kinds[d], block);
                }
            }
    }
}

static void dictionary_makes_blocks_of_its_phrases_much_shorter(void **state)
{
    (void)state;
    const struct bytes none = {NULL, 0}, phrases = {dictionary_of(0), DICTIONARY_BYTES};
    unsigned char block[BLOCK];
    content_of_phrases(block, 0, 1);
    for (size_t c = 0; c < array_count(codec_names); c++) {
        const struct codec *codec = codec_find(codec_names[c]);
        size_t without = round_trip(codec, codec->level_default, none, block);
        size_t with = round_trip(codec, codec->level_default, phrases, block);
        print_message("# %s: %lu bytes, with a dictionary %lu\n", codec->name,
                      (unsigned long)without, (unsigned long)with);
        assert_true(with < without / 4);
    }
}

static void same_block_gives_the_same_bytes_with_a_dictionary_too(void **state)
{
    (void)state;
    for (size_t c = 0; c < array_count(codec_names); c++) {
        const struct codec *codec = codec_find(codec_names[c]);
        struct codec_dictionary *dictionary = dictionary_made(
            codec, codec->level_default, (struct bytes){dictionary_of(0), DICTIONARY_BYTES});
        struct codec_context *context =
            context_made(codec, codec->level_default, dictionary, false);
        unsigned char block[BLOCK], other[BLOCK], first[2 * BLOCK], again[2 * BLOCK];
        content_of_phrases(block, 0, 1);
        int length = codec->compress(context, block, first, sizeof first);
        for (unsigned kind = 0; kind < CONTENT_KIND_COUNT; kind++) {
            content_fill(other, BLOCK, (enum content_kind)kind, kind);
            int any = codec->compress(context, other, again, 3000); /* may not fit */
            assert_true(any > 0 || any == -ENOSPC);
            assert_int_equal(codec->compress(context, block, again, sizeof again), length);
            assert_memory_equal(first, again, (size_t)length);
        }
        codec->context_destroy(context);
        codec->dictionary_destroy(dictionary);
    }
}

static void result_with_a_dictionary_never_exceeds_its_capacity(void **state)
{
    (void)state;
    for (size_t c = 0; c < array_count(codec_names); c++) {
        const struct codec *codec = codec_find(codec_names[c]);
        struct codec_dictionary *dictionary = dictionary_made(
            codec, codec->level_default, (struct bytes){dictionary_of(0), DICTIONARY_BYTES});
        struct codec_context *context =
            context_made(codec, codec->level_default, dictionary, false);
        unsigned char block[BLOCK], target[2 * BLOCK];
        content_of_phrases(block, 0, 1);
        int length = codec->compress(context, block, target, sizeof target);
        for (size_t capacity = 1; capacity < (size_t)length + 2 * CODEC_SPARE_BYTES; capacity++) {
            memset(target, 0x5a, sizeof target);
            int fitted = codec->compress(context, block, target, capacity);
            assert_true(fitted == -ENOSPC || (fitted > 0 && (size_t)fitted <= capacity));
            assert_true(fitted > 0 || capacity < (size_t)length + CODEC_SPARE_BYTES);
            for (size_t i = capacity; i < sizeof target; i++)
                assert_int_equal(target[i], 0x5a);
        }
        codec->context_destroy(context);
        codec->dictionary_destroy(dictionary);
    }
}

/* lz4 has no way to tell; nothing may be read or written out of bounds. */
static void another_dictionary_gives_eio_or_another_block(void **state)
{
    (void)state;
    for (size_t c = 0; c < array_count(codec_names); c++) {
        const struct codec *codec = codec_find(codec_names[c]);
        int level = codec->level_default;
        struct codec_dictionary *right =
            dictionary_made(codec, level, (struct bytes){dictionary_of(0), DICTIONARY_BYTES});
        struct codec_dictionary *wrong[] = {
            dictionary_made(codec, level, (struct bytes){dictionary_of(1), DICTIONARY_BYTES}),
            dictionary_made(codec, level, (struct bytes){dictionary_of(0), 100}), NULL};
        struct codec_context *writer = context_made(codec, level, right, false);
        unsigned char block[BLOCK], target[2 * BLOCK], back[BLOCK];
        content_of_phrases(block, 0, 1);
        int length = codec->compress(writer, block, target, sizeof target);
        for (size_t i = 0; i < array_count(wrong); i++) {
            struct codec_context *reader = context_made(codec, level, wrong[i], true);
            int error = codec->decompress(reader, target, (size_t)length, back);
            assert_true(error == -EIO || (error == 0 && memcmp(back, block, BLOCK) != 0));
            codec->context_destroy(reader);
            codec->dictionary_destroy(wrong[i]);
        }
        codec->context_destroy(writer);
        codec->dictionary_destroy(right);
    }
}

static void broken_source_with_a_dictionary_stays_within_bounds(void **state)
{
    (void)state;
    for (size_t c = 0; c < array_count(codec_names); c++) {
        const struct codec *codec = codec_find(codec_names[c]);
        struct codec_dictionary *dictionary = dictionary_made(
            codec, codec->level_default, (struct bytes){dictionary_of(0), DICTIONARY_BYTES});
        struct codec_context *context =
            context_made(codec, codec->level_default, dictionary, false);
        unsigned char block[BLOCK], target[2 * BLOCK];
        content_of_phrases(block, 0, 1);
        int length = codec->compress(context, block, target, sizeof target);
        must(length > 0);
        /* Exactly as long as they are, so that the address sanitizer sees one read too far. */
        unsigned char *source = memory_zalloc((size_t)length), *back = memory_zalloc(BLOCK);
        memcpy(source, target, (size_t)length);
        for (int at = 0; at < length; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                source[at] ^= (unsigned char)(1 << bit);
                int error = codec->decompress(context, source, (size_t)length, back);
                assert_true(error == 0 || error == -EIO);
                source[at] ^= (unsigned char)(1 << bit);
            }
        for (int at = 0; at < length; at++)
            assert_int_equal(codec->decompress(context, source, (size_t)at, back), -EIO);
        assert_int_equal(codec->decompress(context, source, (size_t)length, back), 0);
        assert_memory_equal(back, block, BLOCK);
        memory_free(source);
        memory_free(back);
        codec->context_destroy(context);
        codec->dictionary_destroy(dictionary);
    }
}

static void dictionary_that_is_none_is_refused(void **state)
{
    (void)state;
    static unsigned char bytes[(1 << 20) + 1];
    for (size_t c = 0; c < array_count(codec_names); c++) {
        const struct codec *codec = codec_find(codec_names[c]);
        const struct {
            int level;
            size_t count;
        } wrong[] = {{codec->level_default, 0},
                     {codec->level_default, codec->dictionary_bytes_max + 1},
                     {codec->level_min - 1, 100},
                     {codec->level_max + 1, 100}};
        must(codec->dictionary_bytes_max < sizeof bytes);
        for (size_t i = 0; i < array_count(wrong); i++) {
            struct codec_dictionary *dictionary = (struct codec_dictionary *)bytes;
            assert_int_equal(
                codec->dictionary_create(wrong[i].level, bytes, wrong[i].count, &dictionary),
                -EINVAL);
            assert_null(dictionary);
        }
    }
    /* What begins as a dictionary of zstd's format, and isn't one. */
    const struct codec *zstd = codec_find("zstd");
    struct codec_dictionary *dictionary;
    struct bytes trained = trained_dictionary();
    for (size_t count = 4; count < 200; count++) {
        content_fill(bytes, 200, CONTENT_RANDOM, count);
        memcpy(bytes, trained.start, 4);
        assert_int_equal(zstd->dictionary_create(3, bytes, count, &dictionary), -EINVAL);
    }
    size_t refused = 0;
    for (size_t count = 4; count < 400; count++) {
        int error = zstd->dictionary_create(3, trained.start, count, &dictionary);
        assert_true(error == 0 || error == -EINVAL);
        refused += error != 0;
        zstd->dictionary_destroy(dictionary);
    }
    assert_true(refused > 100);
}

/* Whatever it then is, what is compressed with it comes back. */
static void damaged_dictionary_is_refused_or_works(void **state)
{
    (void)state;
    const struct codec *zstd = codec_find("zstd");
    struct bytes trained = trained_dictionary();
    unsigned char *bytes = memory_zalloc(trained.count);
    unsigned char block[BLOCK];
    unsigned worked = 0, refused = 0;
    content_of_phrases(block, 0, 1);
    for (size_t at = 0; at < 400; at++) {
        struct codec_dictionary *dictionary;
        memcpy(bytes, trained.start, trained.count);
        bytes[at] ^= (unsigned char)(1u << at % 8);
        if (zstd->dictionary_create(3, bytes, trained.count, &dictionary) == 0) {
            zstd->dictionary_destroy(dictionary);
            (void)round_trip(zstd, 3, (struct bytes){bytes, trained.count}, block);
            worked++;
        } else {
            refused++;
        }
    }
    assert_true(worked > 0 && refused > 0);
    memory_free(bytes);
}

static void dictionary_and_context_without_memory_return_enomem(void **state)
{
    (void)state;
    for (size_t c = 0; c < array_count(codec_names); c++) {
        const struct codec *codec = codec_find(codec_names[c]);
        struct codec_dictionary *dictionary = (struct codec_dictionary *)&codec;
        memory_fail_after(0, false);
        int error = codec->dictionary_create(codec->level_default, dictionary_of(0),
                                             DICTIONARY_BYTES, &dictionary);
        assert_int_equal(memory_fail_after(-1, false), 1);
        assert_int_equal(error, -ENOMEM);
        assert_null(dictionary);

        dictionary = dictionary_made(codec, codec->level_default,
                                     (struct bytes){dictionary_of(0), DICTIONARY_BYTES});
        assert_true(codec->dictionary_bytes(dictionary) >= DICTIONARY_BYTES);
        struct codec_parameters parameters = {codec->level_default, dictionary, false};
        struct codec_context *context = (struct codec_context *)&codec;
        memory_fail_after(0, false);
        error = codec->context_create(&parameters, &context);
        assert_int_equal(memory_fail_after(-1, false), 1);
        assert_int_equal(error, -ENOMEM);
        assert_null(context);
        codec->dictionary_destroy(dictionary);
    }
}

static void context_that_only_decompresses_takes_less(void **state)
{
    (void)state;
    for (size_t c = 0; c < array_count(codec_names); c++) {
        const struct codec *codec = codec_find(codec_names[c]);
        struct codec_context *both = context_made(codec, codec->level_default, NULL, false);
        struct codec_context *one = context_made(codec, codec->level_default, NULL, true);
        assert_true(codec->context_bytes(one) + 8192 < codec->context_bytes(both));
        codec->context_destroy(both);
        codec->context_destroy(one);
    }
}

/* ---- a device ---- */

static unsigned char content[BLOCK_COUNT][BLOCK];

static struct device *new_device(void)
{
    memset(content, 0, sizeof content);
    return device_of_size(BLOCK_COUNT * BLOCK);
}

static int set_role(struct device *device, unsigned role, const char *name, int level,
                    unsigned dictionary)
{
    const struct codec *codec = name != NULL ? codec_find(name) : NULL;
    return device_set_algorithm(device, role, codec, level,
                                dictionary > 0 ? dictionary_of(dictionary) : NULL,
                                DICTIONARY_BYTES);
}

static void write_phrases(struct device *device, block_no block, unsigned dictionary)
{
    content_of_phrases(content[block], dictionary, block);
    must(device_write(device, content[block], BLOCK, (uint64_t)block * BLOCK) == 0);
}

static void trim(struct device *device, block_no block)
{
    must(device_trim(device, BLOCK, (uint64_t)block * BLOCK) == 0);
    memset(content[block], 0, BLOCK);
}

static void all_must_be_right(struct device *device)
{
    unsigned char data[BLOCK];
    for (block_no block = 0; block < BLOCK_COUNT; block++) {
        must(device_read(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
        must(memcmp(data, content[block], BLOCK) == 0);
    }
}

static void finish(struct device *device)
{
    all_must_be_right(device);
    device_finish(device);
}

static void sweep(struct device *device)
{
    lock_acquire(&device->reclaim);
    algorithms_sweep(device);
    lock_release(&device->reclaim);
}

static unsigned entries_in_use(const struct device *device)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ALGORITHM_COUNT_MAX; i++)
        count += device->algorithms.entry[i].codec != NULL;
    return count;
}

static struct recompress_result recompress(struct device *device, unsigned priority)
{
    struct recompress_result result;
    must(device_recompress(device, &(struct recompress_request){.priority = priority}, &result) ==
         0);
    return result;
}

/* What readers and the account need to know of an entry must be what it is. */
static void table_must_agree(struct device *device)
{
    struct algorithms *algorithms = &device->algorithms;
    struct stream *stream = stream_borrow(device->streams);
    uint64_t dictionary_bytes = 0;
    for (unsigned i = 0; i < ALGORITHM_COUNT_MAX; i++) {
        const struct algorithm *entry = &algorithms->entry[i];
        bool is_used = entry->codec != NULL;
        must((stream->context[i] != NULL) == is_used);
        must(is_used || algorithms->dictionary[i] == NULL);
        must(entry->dictionary == algorithms->dictionary[i]);
        must((atomic_load(&algorithms->needs_stream) >> i & 1) ==
             (is_used && !algorithm_decompresses_alone(entry)));
        must((atomic_load(&algorithms->recompresses) >> i & 1) ==
             (is_used && entry->only_decompresses));
        if (entry->dictionary != NULL)
            dictionary_bytes += entry->codec->dictionary_bytes(entry->dictionary);
    }
    stream_return(device->streams, stream);
    struct device_statistics now = device_statistics_now(device);
    must(now.dictionaries == dictionary_bytes);
    must(now.streams_memory == streams_bytes(device->streams) + streams_bytes(device->background));
}

static void every_block_keeps_what_it_was_stored_with(void **state)
{
    (void)state;
    struct device *device = new_device();
    block_no block = 0;
    write_phrases(device, block++, 0);
    for (size_t c = 0; c < array_count(codec_names); c++)
        for (unsigned dictionary = 0; dictionary <= 1; dictionary++) {
            const struct codec *codec = codec_find(codec_names[c]);
            assert_int_equal(set_role(device, 0, codec->name, codec->level_default, dictionary), 0);
            for (unsigned i = 0; i < 10; i++)
                write_phrases(device, block++, dictionary);
            table_must_agree(device);
            sweep(device);
            all_must_be_right(device);
        }
    /* lz4 was there, and is not made again. */
    assert_int_equal(entries_in_use(device), 6);
    finish(device);
}

static void roles_are_told_as_they_were_set(void **state)
{
    (void)state;
    struct device *device = new_device();
    const struct codec *codec = NULL;
    int level = 0;
    size_t bytes = 1;
    assert_true(device_get_algorithm(device, 0, &codec, &level, &bytes));
    assert_true(codec == codec_find("lz4") && level == 1 && bytes == 0);
    for (unsigned role = 1; role <= ROLE_COUNT; role++)
        assert_false(device_get_algorithm(device, role, &codec, &level, &bytes));
    assert_int_equal(set_role(device, 2, "zstd", 7, 1), 0);
    assert_true(device_get_algorithm(device, 2, &codec, &level, &bytes));
    assert_true(codec == codec_find("zstd") && level == 7 && bytes > DICTIONARY_BYTES);
    assert_false(device_get_algorithm(device, 1, &codec, &level, &bytes));
    assert_int_equal(set_role(device, 2, NULL, 0, 0), 0);
    assert_false(device_get_algorithm(device, 2, &codec, &level, &bytes));
    assert_int_equal(entries_in_use(device), 1);
    finish(device);
}

static void equal_algorithms_share_an_entry_if_they_have_no_dictionary(void **state)
{
    (void)state;
    struct device *device = new_device();
    assert_int_equal(set_role(device, 0, "lz4", 1, 0), 0);
    assert_int_equal(entries_in_use(device), 1);
    for (unsigned role = 1; role < ROLE_COUNT; role++)
        assert_int_equal(set_role(device, role, "zstd", 3, 0), 0);
    assert_int_equal(entries_in_use(device), 2);
    /* What requests compress with needs more in their streams than what they only restore. */
    assert_int_equal(set_role(device, 0, "zstd", 3, 0), 0);
    assert_int_equal(entries_in_use(device), 2); /* and lz4 is gone */
    table_must_agree(device);
    assert_int_equal(set_role(device, 1, "zstd", 4, 0), 0);
    assert_int_equal(set_role(device, 2, "zstd", 3, 1), 0);
    assert_int_equal(set_role(device, 3, "zstd", 3, 1), 0);
    assert_int_equal(entries_in_use(device), 4);
    table_must_agree(device);
    finish(device);
}

static void what_cannot_be_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct device *device = new_device();
    const struct codec *lz4 = codec_find("lz4"), *zstd = codec_find("zstd");
    assert_int_equal(set_role(device, 1, "zstd", 3, 1), 0);
    struct algorithms before;
    memcpy(&before, &device->algorithms, sizeof before);
    assert_int_equal(device_set_algorithm(device, ROLE_COUNT, lz4, 1, NULL, 0), -EINVAL);
    assert_int_equal(device_set_algorithm(device, 0, NULL, 0, NULL, 0), -EINVAL);
    assert_int_equal(device_set_algorithm(device, 0, lz4, 0, NULL, 0), -EINVAL);
    assert_int_equal(device_set_algorithm(device, 1, zstd, 23, NULL, 0), -EINVAL);
    assert_int_equal(device_set_algorithm(device, 1, zstd, 23, "word", 4), -EINVAL);
    assert_int_equal(device_set_algorithm(device, 1, zstd, 3, "", 0), -EINVAL);
    assert_int_equal(device_set_algorithm(device, 0, lz4, 1, content, 65537), -EINVAL);
    unsigned char broken[64] = {0x37, 0xa4, 0x30, 0xec}; /* zstd's magic number, and no more */
    assert_int_equal(device_set_algorithm(device, 1, zstd, 3, broken, sizeof broken), -EINVAL);
    assert_memory_equal(&before, &device->algorithms, sizeof before);
    table_must_agree(device);
    finish(device);
}

static void table_that_is_full_of_what_blocks_need_refuses_the_ninth(void **state)
{
    (void)state;
    for (unsigned priorities = 0; priorities <= 1; priorities++) {
        struct device *device = new_device();
        write_phrases(device, 0, 0);
        for (unsigned i = 1; i < ALGORITHM_COUNT_MAX; i++) {
            unsigned role = priorities ? 1 : 0;
            assert_int_equal(set_role(device, role, "zstd", 3, i), 0);
            write_phrases(device, i, i);
            if (priorities)
                assert_true(recompress(device, 1).gained > 0);
        }
        assert_int_equal(entries_in_use(device), ALGORITHM_COUNT_MAX);
        struct algorithms before;
        memcpy(&before, &device->algorithms, sizeof before);
        assert_int_equal(set_role(device, 0, "zstd", 3, 8), -EBUSY);
        assert_int_equal(set_role(device, 1, "lz4hc", 3, 0), -EBUSY);
        assert_int_equal(set_role(device, 2, "lz4", 1, 8), -EBUSY);
        assert_memory_equal(&before, &device->algorithms, sizeof before);
        write_phrases(device, 100, 7);
        all_must_be_right(device);

        /* One block less, and there is room for one. */
        if (priorities)
            for (block_no block = 0; block < 3; block++)
                trim(device, block);
        trim(device, 3);
        assert_int_equal(set_role(device, 2, "zstd", 3, 8), 0);
        table_must_agree(device);
        write_phrases(device, 3, 8);
        (void)recompress(device, 2);
        finish(device);
    }
}

static void dictionary_stays_as_long_as_a_block_needs_it_and_goes_then(void **state)
{
    (void)state;
    struct device *device = new_device();
    uint64_t streams_memory = device_statistic(device, streams_memory);
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(set_role(device, 1, "zstd", 3, 1), 0);
        for (block_no block = 0; block < 10; block++)
            write_phrases(device, block, 1);
        assert_true(recompress(device, 0).gained == 10);
        assert_int_equal(set_role(device, 1, NULL, 0, 0), 0);
        for (block_no block = 0; block < 10; block++) {
            sweep(device);
            all_must_be_right(device);
            assert_true(device_statistic(device, dictionaries) > DICTIONARY_BYTES);
            assert_int_equal(entries_in_use(device), 2);
            if (round == 0)
                trim(device, block);
            else if (round == 1)
                write_phrases(device, block, 1); /* with lz4 */
        }
        if (round == 2)
            assert_int_equal(device_reset(device), 0);
        else
            sweep(device);
        assert_true(device_statistic(device, dictionaries) == 0);
        assert_true(device_statistic(device, streams_memory) == streams_memory);
        assert_int_equal(entries_in_use(device), 1);
        assert_true(atomic_load(&device->algorithms.needs_stream) == 0);
        table_must_agree(device);
    }
    memset(content, 0, sizeof content);
    finish(device);
}

static void the_thread_frees_what_no_block_needs(void **state)
{
    (void)state;
    struct device *device = new_device();
    assert_int_equal(set_role(device, 0, "lz4", 1, 1), 0);
    write_phrases(device, 0, 1);
    assert_int_equal(set_role(device, 0, "lz4", 1, 0), 0);
    assert_true(device_statistic(device, dictionaries) > 0);
    trim(device, 0);
    struct gate *after = gate_set("maintenance: after a pass", GATE_COUNTS);
    assert_int_equal(device_start(device), 0);
    maintenance_kick(device);
    for (unsigned pass = 1; device_statistic(device, dictionaries) > 0; pass++)
        gate_await(after, pass);
    device_stop(device);
    gates_remove();
    finish(device);
}

/* ---- want of memory ---- */

/* What a role is, by content. */
static void role_must_be(struct device *device, unsigned role, const char *name, int level,
                         bool has_dictionary)
{
    const struct codec *codec;
    int found;
    size_t bytes;
    must(device_get_algorithm(device, role, &codec, &found, &bytes));
    must(codec == codec_find(name) && found == level && (bytes > 0) == has_dictionary);
}

static void each_request_for_memory_can_fail_in_a_change(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        unsigned role = i & 1, dictionary = i >> 1 & 1 ? 2 : 0;
        bool sticky = i >> 2 & 1, done = false;
        struct device *device = new_device();
        assert_int_equal(set_role(device, 0, "lz4", 1, 1), 0);
        assert_int_equal(set_role(device, 1, "lz4hc", 5, 1), 0);
        write_phrases(device, 0, 1);
        write_phrases(device, 1, 2);
        long failing = 0;
        for (; !done; failing++) {
            memory_fail_after(failing, sticky);
            int error = set_role(device, role, "zstd", 3, dictionary);
            done = memory_fail_after(-1, false) <= failing;
            /* At the end, what goes needs memory to go, and stays for the next time. */
            assert_true(error == -ENOMEM || error == 0);
            assert_true(!done || error == 0);
            role_must_be(device, !role, role ? "lz4" : "lz4hc", role ? 1 : 5, true);
            if (error != 0)
                role_must_be(device, role, role ? "lz4hc" : "lz4", role ? 5 : 1, true);
            else
                role_must_be(device, role, "zstd", 3, dictionary != 0);
            write_phrases(device, 2, 1);
            (void)recompress(device, 0);
            all_must_be_right(device);
            if (error == 0 && !done) {
                assert_int_equal(role ? set_role(device, 1, "lz4hc", 5, 1)
                                      : set_role(device, 0, "lz4", 1, 1),
                                 0);
                write_phrases(device, 2, 1);
            }
            for (block_no block = 0; block < 3; block++)
                write_phrases(device, block, 1);
        }
        assert_true(failing > 4);
        for (block_no block = 0; block < 3; block++)
            trim(device, block);
        sweep(device);
        assert_int_equal(entries_in_use(device), 2);
        table_must_agree(device);
        finish(device);
    }
}

static void entry_that_has_no_memory_to_go_stays_and_works_and_goes_later(void **state)
{
    (void)state;
    bool done = false;
    for (long failing = 0; !done; failing++) {
        struct device *device = new_device();
        assert_int_equal(set_role(device, 1, "zstd", 3, 1), 0);
        memory_fail_after(failing, true);
        int error = set_role(device, 1, NULL, 0, 0);
        done = memory_fail_after(-1, false) <= failing;
        assert_int_equal(error, 0); /* the role is gone in any case */
        if (failing == 0)
            assert_int_equal(entries_in_use(device), 2);
        struct recompress_result result;
        assert_int_equal(device_recompress(device, &(struct recompress_request){0}, &result),
                         -EINVAL);
        assert_int_equal(set_role(device, 1, "zstd", 3, 2), 0);
        write_phrases(device, 0, 2);
        assert_true(recompress(device, 0).gained == 1);
        assert_int_equal(entries_in_use(device), 2); /* the other is gone by now */
        table_must_agree(device);
        finish(device);
    }
}

/* ---- changes and requests ---- */

struct reader {
    struct device *device;
    block_no block;
    bool is_empty; /* it must find zeros */
};

static void *read_block(void *context)
{
    static const unsigned char zeros[BLOCK];
    const struct reader *reader = context;
    unsigned char data[BLOCK];
    must(device_read(reader->device, data, BLOCK, (uint64_t)reader->block * BLOCK) == 0);
    must(memcmp(data, reader->is_empty ? zeros : content[reader->block], BLOCK) == 0);
    return NULL;
}

static void *write_with_lz4(void *context)
{
    must(set_role(context, 0, "lz4", 1, 0) == 0);
    return NULL;
}

/* It has a stream with the entry's context: whatever goes, goes after it. */
static void change_waits_for_a_reader_that_has_a_stream(void **state)
{
    (void)state;
    struct device *device = new_device();
    assert_int_equal(set_role(device, 0, "zstd", 3, 1), 0);
    write_phrases(device, 0, 1);
    struct gate *gate = gate_set("block: to be read, slot not locked", GATE_STOPS_FIRST);
    struct gate *asleep = gate_set("streams: about to sleep", GATE_COUNTS);
    struct reader reader = {device, 0, true};
    pthread_t thread = thread_start(read_block, &reader);
    gate_await(gate, 1);
    trim(device, 0);
    pthread_t changer = thread_start(write_with_lz4, device);
    gate_await(asleep, 1);
    assert_true(algorithms_of_role(&device->algorithms, 0)->codec == codec_find("zstd"));
    gate_open(gate);
    thread_join(thread);
    thread_join(changer);
    gates_remove();
    role_must_be(device, 0, "lz4", 1, false);
    assert_int_equal(entries_in_use(device), 1);
    finish(device);
}

static void *write_first_block(void *context)
{
    write_phrases(context, 0, 1);
    return NULL;
}

/*
 * It has compressed with what is not used for writing any more once it has stored it. What is used
 * then is made anew, or is there because a block needs it.
 */
static void change_waits_for_a_writer_and_leaves_what_it_has_used(void **state)
{
    (void)state;
    for (unsigned is_there = 0; is_there < 2; is_there++) {
        struct device *device = new_device();
        if (is_there)
            write_phrases(device, 1, 1);
        assert_int_equal(set_role(device, 0, "zstd", 3, 1), 0);
        assert_int_equal(entries_in_use(device), 1 + is_there);
        struct gate *gate = gate_set("block: stored, not published", GATE_STOPS_FIRST);
        struct gate *asleep = gate_set("streams: about to sleep", GATE_COUNTS);
        pthread_t thread = thread_start(write_first_block, device);
        gate_await(gate, 1);
        pthread_t changer = thread_start(write_with_lz4, device);
        gate_await(asleep, 1);
        gate_open(gate);
        thread_join(thread);
        thread_join(changer);
        gates_remove();
        role_must_be(device, 0, "lz4", 1, false);
        assert_int_equal(entries_in_use(device), 2);
        finish(device);
    }
}

struct client {
    struct device *device;
    block_no first;
    uint64_t rounds;
    _Atomic bool *stop;
};

#define CLIENT_BLOCKS 64u

/* Rewrites and reads blocks of its own until it is told to stop. */
static void *write_and_read(void *context)
{
    struct client *client = context;
    unsigned char data[BLOCK];
    struct rng rng = rng_of(client->first);
    while (!atomic_load(client->stop)) {
        block_no block = client->first + (block_no)rng_below(&rng, CLIENT_BLOCKS);
        uint64_t offset = (uint64_t)block * BLOCK;
        if (rng_percent(&rng, 30)) {
            content_of_phrases(content[block], (unsigned)rng_below(&rng, 4), rng_next(&rng));
            must(device_write(client->device, content[block], BLOCK, offset) == 0);
        } else if (rng_percent(&rng, 5)) {
            trim(client->device, block);
        } else {
            must(device_read(client->device, data, BLOCK, offset) == 0);
            must(memcmp(data, content[block], BLOCK) == 0);
        }
        client->rounds++;
    }
    return NULL;
}

static void roles_change_while_clients_write_and_read(void **state)
{
    (void)state;
    struct device *device = new_device();
    struct rng rng = rng_of(99);
    _Atomic bool stop = false;
    struct client clients[3];
    pthread_t threads[array_count(clients)];
    must(device_start(device) == 0);
    for (unsigned i = 0; i < array_count(clients); i++) {
        clients[i] = (struct client){device, i * CLIENT_BLOCKS, 0, &stop};
        threads[i] = thread_start(write_and_read, &clients[i]);
    }
    unsigned busy = 0, done = 0;
    for (uint64_t i = 0; i < test_scaled(100); i++) {
        unsigned role = (unsigned)rng_below(&rng, ROLE_COUNT);
        const struct codec *codec = codec_find(codec_names[rng_below(&rng, 3)]);
        bool ends = role > 0 && rng_percent(&rng, 15);
        int error = set_role(device, role, ends ? NULL : codec->name, codec->level_default,
                             (unsigned)rng_below(&rng, 4));
        must(error == 0 || error == -EBUSY);
        busy += error != 0;
        done += error == 0;
        struct recompress_result result;
        error = device_recompress(device, &(struct recompress_request){.blocks_max = 50}, &result);
        must(error == 0 || error == -EINVAL);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < array_count(clients); i++)
        thread_join(threads[i]);
    device_stop(device);
    print_message("# %u changes, %u refused; %lu recompressed; %lu requests\n", done, busy,
                  (unsigned long)device_statistic(device, recompressed),
                  (unsigned long)(clients[0].rounds + clients[1].rounds + clients[2].rounds));
    assert_true(done > 0 && device_statistic(device, recompressed) > 0);
    table_must_agree(device);
    finish(device);
}

/* ---- training ---- */

static void training_tells_what_the_dictionary_will_save(void **state)
{
    (void)state;
    for (size_t c = 0; c < array_count(codec_names); c++) {
        struct device *device = new_device();
        const struct codec *codec = codec_find(codec_names[c]);
        for (block_no block = 0; block < 600; block++)
            write_phrases(device, block, 1);
        struct train_request request = {
            .codec = codec, .level = codec->level_default, .dictionary_bytes = 16384};
        struct train_result trained;
        uint64_t stored = device_statistic(device, compr_data_size);
        assert_int_equal(device_train(device, &request, &trained), 0);
        assert_true(trained.samples == 300 && trained.dictionary_bytes <= 16384);
        assert_true(trained.with_bytes < trained.without_bytes);
        assert_true(device_statistic(device, compr_data_size) == stored);
        assert_true(device_statistic(device, dictionaries) == 0);
        assert_true(device_statistic(device, reads) == 0);

        assert_int_equal(device_set_algorithm(device, 1, codec, codec->level_default,
                                              trained.dictionary, trained.dictionary_bytes),
                         0);
        memory_free(trained.dictionary);
        assert_true(recompress(device, 0).gained > 500);
        uint64_t now = device_statistic(device, compr_data_size), told = trained.with_bytes * 2;
        print_message("# %s: %lu bytes stored, %lu expected, %lu found\n", codec->name,
                      (unsigned long)stored, (unsigned long)told, (unsigned long)now);
        assert_true(now < told + told / 20 && now > told - told / 5);
        finish(device);
    }
}

static void training_without_samples_or_memory_leaves_nothing(void **state)
{
    (void)state;
    struct device *device = new_device();
    const struct codec *zstd = codec_find("zstd");
    struct train_result result = {.dictionary = device};
    const struct train_request good = {.codec = zstd, .level = 3, .dictionary_bytes = 4096};
    struct train_request request = good;
    for (block_no block = 0; block < 10; block++)
        write_phrases(device, block, 1);
    assert_int_equal(device_train(device, &good, &result), -ENODATA);
    assert_null(result.dictionary);
    for (block_no block = 10; block < 200; block++)
        write_phrases(device, block, 1);
    request.level = 23;
    assert_int_equal(device_train(device, &request, &result), -EINVAL);
    request = good;
    request.dictionary_bytes = 1023;
    assert_int_equal(device_train(device, &request, &result), -EINVAL);
    request.dictionary_bytes = zstd->dictionary_bytes_max + 1;
    assert_int_equal(device_train(device, &request, &result), -EINVAL);
    request = good;
    request.samples_max = SIZE_MAX;
    assert_int_equal(device_train(device, &request, &result), -EINVAL);
    bool done = false;
    long failing = 0;
    for (; !done; failing++) {
        memory_fail_after(failing, false);
        int error = device_train(device, &good, &result);
        done = memory_fail_after(-1, false) <= failing;
        assert_int_equal(error, done ? 0 : -ENOMEM);
        assert_true((result.dictionary != NULL) == done);
    }
    assert_true(failing > 4);
    memory_free(result.dictionary);
    finish(device);
}

int main(void)
{
    watchdog_start("algorithms-test", 300);
    for (unsigned i = 0; i < DICTIONARY_COUNT; i++)
        content_fill(dictionaries[i], DICTIONARY_BYTES, CONTENT_RANDOM, 1000 + i);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_back_with_any_dictionary_at_any_level),
        cmocka_unit_test(dictionary_makes_blocks_of_its_phrases_much_shorter),
        cmocka_unit_test(same_block_gives_the_same_bytes_with_a_dictionary_too),
        cmocka_unit_test(result_with_a_dictionary_never_exceeds_its_capacity),
        cmocka_unit_test(another_dictionary_gives_eio_or_another_block),
        cmocka_unit_test(broken_source_with_a_dictionary_stays_within_bounds),
        cmocka_unit_test(dictionary_that_is_none_is_refused),
        cmocka_unit_test(damaged_dictionary_is_refused_or_works),
        cmocka_unit_test(dictionary_and_context_without_memory_return_enomem),
        cmocka_unit_test(context_that_only_decompresses_takes_less),
        cmocka_unit_test(every_block_keeps_what_it_was_stored_with),
        cmocka_unit_test(roles_are_told_as_they_were_set),
        cmocka_unit_test(equal_algorithms_share_an_entry_if_they_have_no_dictionary),
        cmocka_unit_test(what_cannot_be_is_refused_and_changes_nothing),
        cmocka_unit_test(table_that_is_full_of_what_blocks_need_refuses_the_ninth),
        cmocka_unit_test(dictionary_stays_as_long_as_a_block_needs_it_and_goes_then),
        cmocka_unit_test(the_thread_frees_what_no_block_needs),
        cmocka_unit_test(each_request_for_memory_can_fail_in_a_change),
        cmocka_unit_test(entry_that_has_no_memory_to_go_stays_and_works_and_goes_later),
        cmocka_unit_test(change_waits_for_a_reader_that_has_a_stream),
        cmocka_unit_test(change_waits_for_a_writer_and_leaves_what_it_has_used),
        cmocka_unit_test(roles_change_while_clients_write_and_read),
        cmocka_unit_test(training_tells_what_the_dictionary_will_save),
        cmocka_unit_test(training_without_samples_or_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
