/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * contestant-zram.c: the kernel's zram, by pread and pwrite on its block device.
 *
 * A device that is in use (initstate 1) is left alone. What is used is reset at the end, also when
 * the program fails. There is one at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
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

/* The device that is ours, which has to be reset however the program ends; none: no name. */
static struct zram own = {.file = -1};

/* A device that was written is looked at by udev for a moment, and can't be reset meanwhile. */
#define RESET_TRIES   100
#define RESET_WAIT_US 50000

static void reset(void)
{
    if (own.name[0] == '\0')
        return;
    if (own.file >= 0)
        close(own.file);
    int tries = 0;
    while (!attribute_set(&own, "reset", "1") && ++tries < RESET_TRIES)
        usleep(RESET_WAIT_US);
    if (tries == RESET_TRIES)
        fprintf(stderr, "%s is open elsewhere and was not reset: echo 1 >/sys/block/%s/reset\n",
                own.name, own.name);
    own = (struct zram){.file = -1};
}

/* Makes the device ours, with that codec and size; NULL or why not. */
static const char *take(const char *name, const char *codec, uint64_t bytes)
{
    struct zram zram = {.file = -1};
    char value[32], path[64];
    snprintf(zram.name, sizeof zram.name, "%s", name);
    if (!attribute_get(&zram, "initstate", value, sizeof value))
        return "there is no such zram device";
    if (value[0] != '0')
        return "the device is in use";
    if (!attribute_set(&zram, "comp_algorithm", codec))
        return "this kernel's zram does not have the algorithm";
    snprintf(value, sizeof value, "%" PRIu64, bytes);
    if (!attribute_set(&zram, "disksize", value))
        return "its disksize can't be set";
    own = zram;
    snprintf(path, sizeof path, "/dev/%s", own.name);
    own.file = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (own.file >= 0)
        return NULL;
    reset();
    return "its block device can't be opened";
}

/* The same with the first that can be had. */
static const char *take_any(const char *codec, uint64_t bytes)
{
    const char *reason = "there is no zram device";
    glob_t found;
    if (glob("/sys/block/zram*", 0, NULL, &found) != 0)
        return reason;
    for (size_t i = 0; i < found.gl_pathc && reason != NULL; i++)
        reason = take(strrchr(found.gl_pathv[i], '/') + 1, codec, bytes);
    if (reason != NULL && found.gl_pathc > 1)
        reason = "no zram device is free and has the algorithm";
    globfree(&found);
    return reason;
}

static struct contestant *zram_open(uint64_t blocks, const struct algorithm *algorithm,
                                    const char *device, const char **reason)
{
    static bool is_registered;
    const char *codec = algorithm->codec->name;
    *reason = "needs root";
    if (geteuid() != 0)
        return NULL;
    if (!is_registered && atexit(reset) != 0)
        return NULL;
    is_registered = true;
    if (device == NULL) {
        *reason = take_any(codec, blocks * BLOCK_SIZE_BYTES);
    } else {
        const char *base = strrchr(device, '/');
        *reason = take(base != NULL ? base + 1 : device, codec, blocks * BLOCK_SIZE_BYTES);
    }
    return *reason == NULL ? (struct contestant *)&own : NULL;
}

static int zram_write(struct contestant *contestant, uint64_t block, unsigned count,
                      const void *buffer)
{
    struct zram *zram = (struct zram *)contestant;
    ssize_t bytes = (ssize_t)(count * BLOCK_SIZE_BYTES);
    ssize_t done = pwrite(zram->file, buffer, (size_t)bytes, (off_t)(block * BLOCK_SIZE_BYTES));
    return done == bytes ? 0 : -EIO;
}

static int zram_read(struct contestant *contestant, uint64_t block, unsigned count, void *buffer)
{
    struct zram *zram = (struct zram *)contestant;
    ssize_t bytes = (ssize_t)(count * BLOCK_SIZE_BYTES);
    ssize_t done = pread(zram->file, buffer, (size_t)bytes, (off_t)(block * BLOCK_SIZE_BYTES));
    return done == bytes ? 0 : -EIO;
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
    (void)contestant;
    reset();
}

const struct contestant_kind contestant_zram = {
    "zram", true, zram_open, zram_write, zram_read, zram_memory, zram_compressed, zram_close};
