/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drivers.c: the zpool drivers side by side, on the compressed blocks of real pages.
 *
 *   time     per object, in rounds that take turns between drivers: taking room and copying a block
 *            in, decompressing it where it is, freeing it; all in random order. Median over rounds,
 *            of CPU time.
 *   memory   bytes of pool, descriptors and words per compressed byte: new, after random frees and
 *            allocations of other lengths (churn), and after compaction and settling
 *
 * The drivers are used through zpool.h alone, with a table of handles as their owner: what is
 * measured is the driver, not the device.
 *
 * Usage: drivers FILE [MEGABYTES]      FILE: 4 KiB pages. Prints a table in Markdown.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/support.h"
#include "compress/codec.h"
#include "zpool/zpool.h"

#define ROUNDS       9
#define DRIVERS_MAX  8
#define CHURN_FACTOR 4 /* replacements per object */

/* The blocks, compressed once; all drivers store the same bytes. */
struct blocks {
    uint64_t count;
    unsigned char **bytes;
    unsigned *length;
    uint64_t compressed_bytes;
};

/* The owner of a pool's objects: one thread, so nothing is ever locked. */
struct table {
    struct zpool_handle *handle;
    uint64_t count;
};

static bool table_try_lock(void *context, block_no owner, struct zpool_handle object)
{
    const struct table *table = context;
    return owner < table->count && table->handle[owner].position == object.position;
}

static void table_moved(void *context, block_no owner, struct zpool_handle to)
{
    struct table *table = context;
    table->handle[owner] = to;
}

static void table_unlock(void *context, block_no owner)
{
    (void)context;
    (void)owner;
}

static const struct zpool_owner table_owner = {table_try_lock, table_moved, table_unlock};

struct store {
    struct budget budget;
    struct pages *pages;
    struct zpool *pool;
    struct table table;
    unsigned *stored; /* which block's bytes each owner has */
};

struct result {
    double take_ns[ROUNDS], read_ns[ROUNDS], free_ns[ROUNDS];
    double fresh, churned, compacted;
};

const char program_name[] = "drivers";

static struct blocks compress_file(const char *name, uint64_t megabytes, struct codec_context *lz4,
                                   const struct codec *codec)
{
    struct pages_file pages = pages_file_map(name, megabytes);
    uint64_t count = pages.count;
    struct blocks blocks = {.count = count,
                            .bytes = allocate(count * sizeof *blocks.bytes),
                            .length = allocate(count * sizeof *blocks.length)};
    unsigned char target[BLOCK_SIZE_BYTES];
    for (uint64_t i = 0; i < count; i++) {
        const unsigned char *page = pages.pages + i * BLOCK_SIZE_BYTES;
        int length = codec->compress(lz4, page, target, BLOCK_SIZE_BYTES - 1);
        blocks.length[i] = length > 0 ? (unsigned)length : BLOCK_SIZE_BYTES;
        blocks.bytes[i] = allocate(blocks.length[i]);
        memcpy(blocks.bytes[i], length > 0 ? target : page, blocks.length[i]);
        blocks.compressed_bytes += blocks.length[i];
    }
    return blocks;
}

static void store_open(struct store *store, const struct zpool_driver *driver, uint64_t count)
{
    *store = (struct store){
        .table = {.handle = allocate(count * sizeof(struct zpool_handle)), .count = count},
        .stored = allocate(count * sizeof *store->stored)};
    budget_init(&store->budget, UINT64_MAX);
    int error = pages_create(4 * count + 65536, &store->budget, &store->pages);
    if (error != 0)
        fail("pages_create", error);
    struct zpool_config config = {.pages = store->pages,
                                  .owner = &table_owner,
                                  .owner_context = &store->table,
                                  .zspage_pages_max = ZSPAGE_PAGES_DEFAULT};
    error = zpool_create(driver, &config, &store->pool);
    if (error != 0)
        fail("zpool_create", error);
}

static void store_close(struct store *store)
{
    zpool_destroy(store->pool);
    pages_destroy(store->pages);
    free(store->table.handle);
    free(store->stored);
}

static void put(struct store *store, const struct blocks *blocks, uint64_t owner, uint64_t block)
{
    struct zpool_handle *handle = &store->table.handle[owner];
    int error = zpool_alloc(store->pool, blocks->length[block], (block_no)owner, handle);
    if (error != 0)
        fail("zpool_alloc", error);
    memcpy(zpool_address(store->pool, *handle), blocks->bytes[block], blocks->length[block]);
    store->stored[owner] = (unsigned)block;
}

static void drop(struct store *store, uint64_t owner)
{
    struct zpool_handle handle = store->table.handle[owner];
    store->table.handle[owner] = (struct zpool_handle){0};
    zpool_free(store->pool, handle);
}

static double density(struct store *store, const struct blocks *blocks)
{
    uint64_t stored = 0;
    for (uint64_t i = 0; i < blocks->count; i++)
        stored += blocks->length[store->stored[i]];
    return (double)atomic_load(&store->budget.used_pages) * PAGE_SIZE_BYTES / (double)stored;
}

static void time_round(const struct zpool_driver *driver, const struct blocks *blocks,
                       const unsigned *order, struct codec_context *lz4, const struct codec *codec,
                       struct result *result, int round)
{
    struct store store;
    unsigned char block[BLOCK_SIZE_BYTES];
    double count = (double)blocks->count / 1e9; /* seconds to nanoseconds per object */
    store_open(&store, driver, blocks->count);

    double start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t i = 0; i < blocks->count; i++)
        put(&store, blocks, order[i], order[i]);
    result->take_ns[round] = (clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start) / count;

    start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t i = 0; i < blocks->count; i++) {
        unsigned at = order[blocks->count - 1 - i];
        const unsigned char *object = zpool_address(store.pool, store.table.handle[at]);
        if (blocks->length[at] == BLOCK_SIZE_BYTES)
            memcpy(block, object, sizeof block);
        else if (codec->decompress(lz4, object, blocks->length[at], block) != 0)
            fail("decompress", EIO);
    }
    result->read_ns[round] = (clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start) / count;

    start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t i = 0; i < blocks->count; i++)
        drop(&store, order[i]);
    result->free_ns[round] = (clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start) / count;
    store_close(&store);
}

static void measure_density(const struct zpool_driver *driver, const struct blocks *blocks,
                            struct result *result)
{
    struct store store;
    uint64_t seed = 7;
    store_open(&store, driver, blocks->count);
    for (uint64_t i = 0; i < blocks->count; i++)
        put(&store, blocks, i, i);
    result->fresh = density(&store, blocks);
    for (uint64_t i = 0; i < CHURN_FACTOR * blocks->count; i++) {
        uint64_t owner = next_random(&seed) % blocks->count;
        drop(&store, owner);
        put(&store, blocks, owner, next_random(&seed) % blocks->count);
    }
    result->churned = density(&store, blocks);
    struct zpool_quota quota = {.objects = UINT64_MAX};
    zpool_compact(store.pool, &quota);
    zpool_settle(store.pool, &quota);
    pages_trim(store.pages, 0, UINT64_MAX);
    result->compacted = density(&store, blocks);
    store_close(&store);
}

int main(int argc, char **argv)
{
    static struct result results[DRIVERS_MAX];
    const struct codec *codec = codec_find("lz4");
    struct codec_context *lz4;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: drivers FILE [MEGABYTES]\n");
        return EXIT_FAILURE;
    }
    uint64_t megabytes = argc > 2 ? parse_count("MEGABYTES", argv[2], 1, MEGABYTES_MAX) : 256;
    if (codec->context_create(&(struct codec_parameters){.level = codec->level_default}, &lz4) != 0)
        fail("lz4", ENOMEM);
    struct blocks blocks = compress_file(argv[1], megabytes, lz4, codec);

    unsigned *order = random_order(blocks.count, 5);
    for (size_t d = 0; zpool_driver_at(d) != NULL && d < DRIVERS_MAX; d++)
        measure_density(zpool_driver_at(d), &blocks, &results[d]);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t d = 0; zpool_driver_at(d) != NULL && d < DRIVERS_MAX; d++)
            time_round(zpool_driver_at(d), &blocks, order, lz4, codec, &results[d], round);

    printf("%llu blocks, %.1f MiB compressed (lz4)\n\n", (unsigned long long)blocks.count,
           (double)blocks.compressed_bytes / MIB);
    printf("| driver | largest object | take and copy in, ns | read, ns | free, ns | "
           "memory: new | after churn | compacted |\n|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (size_t d = 0; zpool_driver_at(d) != NULL && d < DRIVERS_MAX; d++) {
        struct store store;
        store_open(&store, zpool_driver_at(d), 1);
        printf("| %s | %zu | %.0f | %.0f | %.0f | %.4f | %.4f | %.4f |\n", zpool_driver_at(d)->name,
               store.pool->object_max_bytes, quantile(results[d].take_ns, ROUNDS, 0.5),
               quantile(results[d].read_ns, ROUNDS, 0.5), quantile(results[d].free_ns, ROUNDS, 0.5),
               results[d].fresh, results[d].churned, results[d].compacted);
        store_close(&store);
    }
    return EXIT_SUCCESS;
}
