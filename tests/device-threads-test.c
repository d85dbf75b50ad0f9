/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-threads-test.c: many threads on one device, while objects move, pages go and come, and
 * memory runs out.
 *
 *      block   0  1  2  3  4  5  6  7  8  9 …
 *      of      t0 t1 t2 t3 t4 t5 all   t0 t1 …
 *
 * A thread knows every byte of its own blocks. The blocks of all are written whole by whoever
 * likes, each time with content that describes itself, so that a mixture of two writes, another
 * block's data or a freed object's rest is seen by any reader.
 */
#include "tests/device-support.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/device-steps.h"

#define THREAD_COUNT 6u
#define STRIDE       8u /* blocks 6 and 7 of each 8 belong to all */
#define BLOCKS       (3 * 512u + 40)

struct shared_header {
    uint64_t magic;
    uint64_t block;
    uint64_t seed;
    uint64_t kind;
};
#define MAGIC UINT64_C(0x5e1fde5c21b1b10c)

struct storm {
    struct device *device;
    unsigned char *shadow; /* blocks of one thread; each touches its own */
    uint64_t iterations;
    bool may_refuse;
    uint64_t round;
    _Atomic unsigned running;
};

struct worker {
    struct storm *storm;
    unsigned number;
    struct rng rng;
    uint64_t blocks_read, blocks_written, parts_written, refused;
};

static void shared_fill(unsigned char *data, block_no block, struct rng *rng)
{
    struct shared_header header = {MAGIC, block, rng_next(rng), rng_below(rng, CONTENT_KIND_COUNT)};
    if (header.kind <= CONTENT_SAME_LONG) {
        /* Every word names the block; the number of times it was written is of no matter. */
        uint64_t word = header.kind == CONTENT_SAME_HALF   ? block * UINT64_C(0x4000000140000001)
                        : header.kind == CONTENT_SAME_LONG ? header.seed << 40 | block
                                                           : block;
        for (size_t at = 0; at < BLOCK_SIZE_BYTES; at += sizeof word)
            memcpy(data + at, &word, sizeof word);
        return;
    }
    memcpy(data, &header, sizeof header);
    content_fill(data + sizeof header, BLOCK_SIZE_BYTES - sizeof header,
                 (enum content_kind)header.kind, header.seed);
}

static bool is_of_one_word(const unsigned char *data, uint64_t word)
{
    for (size_t at = 0; at < BLOCK_SIZE_BYTES; at += sizeof word)
        if (memcmp(data + at, &word, sizeof word) != 0)
            return false;
    return true;
}

static void shared_must_be_whole(const unsigned char *data, block_no block)
{
    struct shared_header header;
    unsigned char expected[BLOCK_SIZE_BYTES];
    memcpy(&header, data, sizeof header);
    if (header.magic != MAGIC) {
        must(is_of_one_word(data, header.magic));
        must(header.magic == 0 || header.magic == block * UINT64_C(0x4000000140000001) ||
             (header.magic & ((UINT64_C(1) << 40) - 1)) == block);
        return;
    }
    must(header.block == block && header.kind < CONTENT_KIND_COUNT);
    memcpy(expected, &header, sizeof header);
    content_fill(expected + sizeof header, BLOCK_SIZE_BYTES - sizeof header,
                 (enum content_kind)header.kind, header.seed);
    must(memcmp(data, expected, BLOCK_SIZE_BYTES) == 0);
}

/* True if the write was done; false if it was refused, as it may be. */
static bool was_done(struct worker *worker, int error)
{
    if (error == 0)
        return true;
    must(worker->storm->may_refuse && error == -ENOSPC);
    worker->refused++;
    return false;
}

static void use_own_block(struct worker *worker)
{
    struct storm *storm = worker->storm;
    struct rng *rng = &worker->rng;
    block_no block = (block_no)rng_below(rng, BLOCKS / STRIDE) * STRIDE + worker->number;
    uint64_t start = (uint64_t)block * BLOCK_SIZE_BYTES;
    unsigned char *shadow = storm->shadow + start;
    unsigned char data[BLOCK_SIZE_BYTES];
    size_t offset = (size_t)rng_below(rng, BLOCK_SIZE_BYTES);
    size_t count = 1 + (size_t)rng_below(rng, BLOCK_SIZE_BYTES - offset);
    enum content_kind kind = (enum content_kind)rng_below(rng, CONTENT_KIND_COUNT);

    switch (rng_below(rng, 7)) {
    case 0:
    case 1:
        content_fill(data, sizeof data, kind, rng_next(rng));
        if (was_done(worker, device_write(storm->device, data, sizeof data, start))) {
            memcpy(shadow, data, sizeof data);
            worker->blocks_written++;
        }
        return;
    case 2:
        content_fill(data, count, kind, rng_next(rng));
        if (was_done(worker, device_write(storm->device, data, count, start + offset))) {
            memcpy(shadow + offset, data, count);
            worker->blocks_written++;
            worker->parts_written += count < BLOCK_SIZE_BYTES;
        }
        return;
    case 3:
        must(device_read(storm->device, data, count, start + offset) == 0);
        must(memcmp(data, shadow + offset, count) == 0);
        worker->blocks_read++;
        return;
    case 4:
        must(device_trim(storm->device, BLOCK_SIZE_BYTES, start) == 0);
        memset(shadow, 0, BLOCK_SIZE_BYTES);
        return;
    default:
        must(device_read(storm->device, data, sizeof data, start) == 0);
        must(memcmp(data, shadow, sizeof data) == 0);
        worker->blocks_read++;
    }
}

/* One or both of a pair of blocks that all threads write, read and trim. */
static void use_shared_blocks(struct worker *worker)
{
    struct storm *storm = worker->storm;
    struct rng *rng = &worker->rng;
    unsigned count = 1 + (unsigned)rng_below(rng, 2);
    /* A few of them, so that threads meet. */
    block_no block = (block_no)rng_below(rng, 5) * STRIDE * 37 + THREAD_COUNT;
    uint64_t start = (uint64_t)block * BLOCK_SIZE_BYTES;
    unsigned char data[2 * BLOCK_SIZE_BYTES];

    switch (rng_below(rng, 5)) {
    case 0:
    case 1:
        for (unsigned i = 0; i < count; i++)
            shared_fill(data + i * BLOCK_SIZE_BYTES, block + i, rng);
        /* Refused, the first of two may be written: uncounted, so not done here. */
        if (worker->storm->may_refuse)
            count = 1;
        if (was_done(worker,
                     device_write(storm->device, data, (size_t)count * BLOCK_SIZE_BYTES, start)))
            worker->blocks_written += count;
        return;
    case 2:
        must(device_trim(storm->device, count * BLOCK_SIZE_BYTES, start) == 0);
        return;
    default:
        must(device_read(storm->device, data, (size_t)count * BLOCK_SIZE_BYTES, start) == 0);
        for (unsigned i = 0; i < count; i++)
            shared_must_be_whole(data + i * BLOCK_SIZE_BYTES, block + i);
        worker->blocks_read += count;
    }
}

struct walk {
    uint64_t next, end;
};

static int check_order(void *context, uint64_t offset, uint64_t count, enum device_extent extent)
{
    struct walk *walk = context;
    (void)extent;
    must(offset == walk->next && count > 0 && count <= walk->end - offset);
    walk->next = offset + count;
    return 0;
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct storm *storm = worker->storm;
    for (uint64_t i = 0; i < storm->iterations; i++) {
        uint64_t choice = rng_below(&worker->rng, 100);
        if (choice < 65) {
            use_own_block(worker);
        } else if (choice < 99) {
            use_shared_blocks(worker);
        } else {
            struct walk walk = {0, device_size_bytes(storm->device)};
            must(device_extents(storm->device, walk.end, 0, false, check_order, &walk) == 0);
            must(walk.next == walk.end);
        }
    }
    atomic_fetch_sub(&storm->running, 1);
    return NULL;
}

/* All that happens in the background, more often than any maintenance would do it. */
static void *disturb(void *context)
{
    struct storm *storm = context;
    struct device *device = storm->device;
    struct rng rng = rng_of(1000 + storm->round);
    while (atomic_load(&storm->running) > 0) {
        struct zpool_quota quota = {.objects = 1 + rng_below(&rng, 500)};
        struct pages_account account;
        switch (rng_below(&rng, 6)) {
        case 0:
            zpool_compact(device->zpool, &quota);
            break;
        case 1:
            zpool_settle(device->zpool, &quota);
            break;
        case 2: {
            pages_account(device->pages, &account);
            uint64_t known = (account.arenas_active + account.arenas_retired) * ARENA_PAGES;
            pfn first = (pfn)rng_below(&rng, known + 1);
            int error = zpool_migrate(device->zpool, first, 1 + rng_below(&rng, 200), &quota);
            must(error != -EINVAL);
            break;
        }
        case 3:
            pages_trim(device->pages, rng_below(&rng, 100), 200);
            break;
        case 4:
            pages_refill(device->pages, rng_below(&rng, 100), 200);
            break;
        default:
            maintenance_kick(device);
            (void)device_statistics_now(device);
        }
    }
    return NULL;
}

static void blocks_must_be_as_written(struct storm *storm)
{
    unsigned char data[BLOCK_SIZE_BYTES];
    for (block_no block = 0; block < BLOCKS; block++) {
        uint64_t start = (uint64_t)block * BLOCK_SIZE_BYTES;
        must(device_read(storm->device, data, sizeof data, start) == 0);
        if (block % STRIDE < THREAD_COUNT)
            must(memcmp(data, storm->shadow + start, sizeof data) == 0);
        else
            shared_must_be_whole(data, block);
    }
}

static void run_round(struct storm *storm)
{
    struct worker workers[THREAD_COUNT];
    pthread_t threads[THREAD_COUNT], movers[2];
    uint64_t blocks_read = 0, blocks_written = 0, parts_written = 0, refused = 0;
    struct device_statistics before = device_statistics_now(storm->device);

    must(device_start(storm->device) == 0);
    atomic_store(&storm->running, THREAD_COUNT);
    for (unsigned i = 0; i < THREAD_COUNT; i++) {
        workers[i] = (struct worker){.storm = storm, .number = i};
        workers[i].rng = rng_of(storm->round * THREAD_COUNT + i);
        threads[i] = thread_start(work, &workers[i]);
    }
    for (unsigned i = 0; i < array_count(movers); i++)
        movers[i] = thread_start(disturb, storm);
    for (unsigned i = 0; i < THREAD_COUNT; i++) {
        thread_join(threads[i]);
        blocks_read += workers[i].blocks_read;
        blocks_written += workers[i].blocks_written;
        parts_written += workers[i].parts_written;
        refused += workers[i].refused;
    }
    for (unsigned i = 0; i < array_count(movers); i++)
        thread_join(movers[i]);
    device_stop(storm->device);

    struct device_statistics after = device_statistics_now(storm->device);
    must(after.reads - before.reads == blocks_read);
    must(after.writes - before.writes == blocks_written);
    must(after.writes_partial - before.writes_partial == parts_written);
    must(after.failed_writes - before.failed_writes == refused);
    must(after.failed_reads == 0);
    device_must_be_valid(storm->device);
    blocks_must_be_as_written(storm);
    storm->round++;
}

static void run_storm(const struct device_config *config, unsigned rounds, uint64_t iterations)
{
    struct storm storm = {
        .device = device_of(config),
        .shadow = calloc(BLOCKS, BLOCK_SIZE_BYTES),
        .iterations = test_scaled(iterations),
        .may_refuse = config->mem_limit_bytes != 0,
    };
    must(storm.shadow != NULL);
    for (unsigned i = 0; i < rounds; i++)
        run_round(&storm);
    struct device_statistics now = device_statistics_now(storm.device);
    print_message("# %s: %lu objects moved, %lu skipped, %lu writes refused, %lu passes\n",
                  config->algorithm.codec->name, (unsigned long)now.objects_moved,
                  (unsigned long)now.moves_skipped, (unsigned long)now.failed_writes,
                  (unsigned long)atomic_load(&storm.device->maintenance.passes));
    device_finish(storm.device);
    free(storm.shadow);
}

static struct device_config storm_config(size_t codec, uint64_t limit_bytes)
{
    struct device_config config = config_of_size((uint64_t)BLOCKS * BLOCK_SIZE_BYTES);
    config.algorithm =
        (struct algorithm){.codec = codec_at(codec), .level = codec_at(codec)->level_default};
    config.mem_limit_bytes = limit_bytes;
    config.reserve_bytes = 128 * KIB;
    return config;
}

static void threads_with_lz4_lose_nothing(void **state)
{
    (void)state;
    struct device_config config = storm_config(0, 0);
    run_storm(&config, 4, 10000);
}

static void threads_with_lz4hc_lose_nothing(void **state)
{
    (void)state;
    struct device_config config = storm_config(1, 0);
    run_storm(&config, 2, 4000);
}

static void threads_with_zstd_lose_nothing(void **state)
{
    (void)state;
    struct device_config config = storm_config(2, 0);
    run_storm(&config, 2, 4000);
}

static void threads_that_meet_the_limit_lose_nothing(void **state)
{
    (void)state;
    static const uint64_t limits[] = {256 * KIB, MIB, 2 * MIB};
    for (size_t i = 0; i < array_count(limits); i++) {
        struct device_config config = storm_config(0, limits[i]);
        run_storm(&config, 2, 5000);
    }
}

int main(void)
{
    watchdog_start("device-threads-test", 600);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_with_lz4_lose_nothing),
        cmocka_unit_test(threads_with_lz4hc_lose_nothing),
        cmocka_unit_test(threads_with_zstd_lose_nothing),
        cmocka_unit_test(threads_that_meet_the_limit_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
