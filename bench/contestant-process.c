/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * contestant-process.c: the contestants that live in this process: codec, uzram, memcpy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/contestant.h"
#include "device/device.h"

/* Untouched memory that becomes resident as it is used; without huge pages, as the pool has none.
 */
static void *reserve(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    (void)madvise(memory, bytes, MADV_NOHUGEPAGE);
    return memory;
}

/* ---- codec: a context per thread, blocks at fixed places, lengths beside them ---- */

/* Room for any result, so that compression never checks for the end. */
#define CODEC_PLACE_BYTES (BLOCK_SIZE_BYTES + 512)

struct codec_store {
    const struct algorithm *algorithm;
    uint64_t blocks;
    unsigned char *places;
    int *lengths;
};

static _Thread_local struct codec_context *codec_context;

static struct contestant *codec_open(uint64_t blocks, const struct algorithm *algorithm,
                                     const char *device, const char **reason)
{
    (void)device;
    struct codec_store *store = calloc(1, sizeof *store);
    *reason = "no memory";
    if (store == NULL)
        return NULL;
    *store = (struct codec_store){algorithm, blocks, reserve(blocks * CODEC_PLACE_BYTES),
                                  reserve(blocks * sizeof(int))};
    return store->places != NULL && store->lengths != NULL ? (struct contestant *)store : NULL;
}

static struct codec_context *own_context(const struct codec_store *store)
{
    if (codec_context == NULL &&
        store->algorithm->codec->context_create(
            &(struct codec_parameters){.level = store->algorithm->level}, &codec_context) != 0)
        abort();
    return codec_context;
}

static int codec_write(struct contestant *contestant, uint64_t block, unsigned count,
                       const void *buffer)
{
    struct codec_store *store = (struct codec_store *)contestant;
    const unsigned char *bytes = buffer;
    for (uint64_t i = block; i < block + count; i++, bytes += BLOCK_SIZE_BYTES) {
        store->lengths[i] = store->algorithm->codec->compress(
            own_context(store), bytes, store->places + i * CODEC_PLACE_BYTES, CODEC_PLACE_BYTES);
        if (store->lengths[i] <= 0)
            return -EIO;
    }
    return 0;
}

static int codec_read(struct contestant *contestant, uint64_t block, unsigned count, void *buffer)
{
    struct codec_store *store = (struct codec_store *)contestant;
    unsigned char *bytes = buffer;
    int error = 0;
    for (uint64_t i = block; i < block + count && error == 0; i++, bytes += BLOCK_SIZE_BYTES)
        error = store->algorithm->codec->decompress(own_context(store),
                                                    store->places + i * CODEC_PLACE_BYTES,
                                                    (size_t)store->lengths[i], bytes);
    return error;
}

static uint64_t codec_compressed(struct contestant *contestant)
{
    struct codec_store *store = (struct codec_store *)contestant;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < store->blocks; i++)
        sum += (uint64_t)store->lengths[i];
    return sum;
}

static uint64_t no_answer(struct contestant *contestant)
{
    (void)contestant;
    return 0;
}

static void codec_close(struct contestant *contestant)
{
    struct codec_store *store = (struct codec_store *)contestant;
    munmap(store->places, store->blocks * CODEC_PLACE_BYTES);
    munmap(store->lengths, store->blocks * sizeof(int));
    free(store);
}

const struct contestant_kind contestant_codec = {
    "codec", false, codec_open, codec_write, codec_read, no_answer, codec_compressed, codec_close};

/* ---- uzram ---- */

static struct contestant *uzram_open(uint64_t blocks, const struct algorithm *algorithm,
                                     const char *path, const char **reason)
{
    (void)path;
    struct device_config config;
    struct device *device;
    device_config_init(&config);
    config.size_bytes = blocks * BLOCK_SIZE_BYTES;
    config.algorithm = *algorithm;
    int error = device_create(&config, &device);
    if (error == 0)
        error = device_start(device);
    *reason = error != 0 ? strerror(-error) : NULL;
    return error == 0 ? (struct contestant *)device : NULL;
}

static int uzram_write(struct contestant *contestant, uint64_t block, unsigned count,
                       const void *buffer)
{
    return device_write((struct device *)contestant, buffer, count * BLOCK_SIZE_BYTES,
                        block * BLOCK_SIZE_BYTES);
}

static int uzram_read(struct contestant *contestant, uint64_t block, unsigned count, void *buffer)
{
    return device_read((struct device *)contestant, buffer, count * BLOCK_SIZE_BYTES,
                       block * BLOCK_SIZE_BYTES);
}

static uint64_t uzram_memory(struct contestant *contestant)
{
    struct device_statistics statistics;
    device_statistics((struct device *)contestant, &statistics);
    return statistics.mem_used_total + statistics.streams_memory;
}

static uint64_t uzram_compressed(struct contestant *contestant)
{
    struct device_statistics statistics;
    device_statistics((struct device *)contestant, &statistics);
    return statistics.compr_data_size;
}

static void uzram_close(struct contestant *contestant)
{
    device_destroy((struct device *)contestant);
}

const struct contestant_kind contestant_uzram = {"uzram",          false,      uzram_open,
                                                 uzram_write,      uzram_read, uzram_memory,
                                                 uzram_compressed, uzram_close};

/* ---- memcpy ---- */

struct plain_store {
    uint64_t blocks;
    unsigned char *bytes;
};

static struct contestant *plain_open(uint64_t blocks, const struct algorithm *algorithm,
                                     const char *device, const char **reason)
{
    (void)algorithm;
    (void)device;
    struct plain_store *store = calloc(1, sizeof *store);
    *reason = "no memory";
    if (store == NULL)
        return NULL;
    *store = (struct plain_store){blocks, reserve(blocks * BLOCK_SIZE_BYTES)};
    return store->bytes != NULL ? (struct contestant *)store : NULL;
}

static int plain_write(struct contestant *contestant, uint64_t block, unsigned count,
                       const void *buffer)
{
    struct plain_store *store = (struct plain_store *)contestant;
    memcpy(store->bytes + block * BLOCK_SIZE_BYTES, buffer, count * BLOCK_SIZE_BYTES);
    return 0;
}

static int plain_read(struct contestant *contestant, uint64_t block, unsigned count, void *buffer)
{
    struct plain_store *store = (struct plain_store *)contestant;
    memcpy(buffer, store->bytes + block * BLOCK_SIZE_BYTES, count * BLOCK_SIZE_BYTES);
    return 0;
}

static uint64_t plain_memory(struct contestant *contestant)
{
    return ((struct plain_store *)contestant)->blocks * BLOCK_SIZE_BYTES;
}

static void plain_close(struct contestant *contestant)
{
    struct plain_store *store = (struct plain_store *)contestant;
    munmap(store->bytes, store->blocks * BLOCK_SIZE_BYTES);
    free(store);
}

const struct contestant_kind contestant_memcpy = {
    "memcpy", false, plain_open, plain_write, plain_read, plain_memory, no_answer, plain_close};
