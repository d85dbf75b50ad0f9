/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * contestant-zram.c: the kernel's zram, by pread and pwrite on its block device.
 *
 * A device that is in use (initstate 1) is left alone. What is used is reset at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/contestant.h"

struct zram {
    int file;
    char name[32];
};

static bool attribute_path(const struct zram *zram, const char *attribute, char *path, size_t size)
{
    return snprintf(path, size, "/sys/block/%s/%s", zram->name, attribute) < (int)size;
}

static bool attribute_set(const struct zram *zram, const char *attribute, const char *value)
{
    char path[128];
    if (!attribute_path(zram, attribute, path, sizeof path))
        return false;
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool done = write(file, value, strlen(value)) == (ssize_t)strlen(value);
    close(file);
    return done;
}

static bool attribute_get(const struct zram *zram, const char *attribute, char *value, size_t size)
{
    char path[128];
    if (!attribute_path(zram, attribute, path, sizeof path))
        return false;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t length = read(file, value, size - 1);
    close(file);
    value[length > 0 ? length : 0] = '\0';
    return length > 0;
}

static struct contestant *zram_open(uint64_t blocks, const struct algorithm *algorithm,
                                    const char *device, const char **reason)
{
    struct zram *zram = calloc(1, sizeof *zram);
    char value[32];
    *reason = "no memory";
    if (zram == NULL)
        return NULL;
    const char *base = strrchr(device, '/');
    snprintf(zram->name, sizeof zram->name, "%s", base != NULL ? base + 1 : device);

    *reason = NULL;
    if (geteuid() != 0)
        *reason = "needs root";
    else if (!attribute_get(zram, "initstate", value, sizeof value))
        *reason = "there is no such zram device";
    else if (value[0] != '0')
        *reason = "the device is in use";
    else if (!attribute_set(zram, "comp_algorithm", algorithm->codec->name))
        *reason = "this kernel's zram does not have the algorithm";
    snprintf(value, sizeof value, "%" PRIu64, blocks * BLOCK_SIZE_BYTES);
    if (*reason == NULL && !attribute_set(zram, "disksize", value))
        *reason = "its disksize can't be set";
    if (*reason == NULL) {
        zram->file = open(device, O_RDWR | O_DIRECT | O_CLOEXEC);
        if (zram->file >= 0)
            return (struct contestant *)zram;
        *reason = "its block device can't be opened";
        (void)attribute_set(zram, "reset", "1");
    }
    free(zram);
    return NULL;
}

static int zram_write(struct contestant *contestant, uint64_t block, const void *buffer)
{
    struct zram *zram = (struct zram *)contestant;
    ssize_t done = pwrite(zram->file, buffer, BLOCK_SIZE_BYTES, (off_t)(block * BLOCK_SIZE_BYTES));
    return done == (ssize_t)BLOCK_SIZE_BYTES ? 0 : -EIO;
}

static int zram_read(struct contestant *contestant, uint64_t block, void *buffer)
{
    struct zram *zram = (struct zram *)contestant;
    ssize_t done = pread(zram->file, buffer, BLOCK_SIZE_BYTES, (off_t)(block * BLOCK_SIZE_BYTES));
    return done == (ssize_t)BLOCK_SIZE_BYTES ? 0 : -EIO;
}

/* mm_stat: orig_data_size compr_data_size mem_used_total …; its tables are not in it. */
static void read_mm_stat(const struct zram *zram, uint64_t *compressed, uint64_t *used)
{
    char line[256];
    *compressed = *used = 0;
    if (!attribute_get(zram, "mm_stat", line, sizeof line) ||
        sscanf(line, "%*u %" SCNu64 " %" SCNu64, compressed, used) != 2)
        *compressed = *used = 0;
}

static uint64_t zram_memory(struct contestant *contestant)
{
    uint64_t compressed, used;
    read_mm_stat((struct zram *)contestant, &compressed, &used);
    return used;
}

static uint64_t zram_compressed(struct contestant *contestant)
{
    uint64_t compressed, used;
    read_mm_stat((struct zram *)contestant, &compressed, &used);
    return compressed;
}

static void zram_close(struct contestant *contestant)
{
    struct zram *zram = (struct zram *)contestant;
    close(zram->file);
    (void)attribute_set(zram, "reset", "1");
    free(zram);
}

const struct contestant_kind contestant_zram = {
    "zram", true, zram_open, zram_write, zram_read, zram_memory, zram_compressed, zram_close};
