/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/swap/nbd_device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICE_PREFIX "/dev/"
#define NAME_PREFIX   "nbd"

static bool is_name(const char *name)
{
    size_t prefix = strlen(NAME_PREFIX),
           digits = strspn(name + strnlen(name, prefix), "0123456789");
    return strncmp(name, NAME_PREFIX, prefix) == 0 && digits > 0 && name[prefix + digits] == '\0' &&
           prefix + digits < NBD_NAME_BYTES;
}

bool nbd_name(const char *device, char *name)
{
    size_t prefix = strlen(DEVICE_PREFIX);
    if (strncmp(device, DEVICE_PREFIX, prefix) != 0 || !is_name(device + prefix))
        return false;
    strcpy(name, device + prefix);
    return true;
}

static int select_name(const struct dirent *entry)
{
    return is_name(entry->d_name);
}

static int list(const char *blocks, struct dirent ***entries)
{
    int count = scandir(blocks, entries, select_name, versionsort);
    return count < 0 ? 0 : count;
}

static void free_list(struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

bool nbd_is_there(const char *blocks)
{
    struct dirent **entries = NULL;
    int count = list(blocks, &entries);
    free_list(entries, count);
    return count > 0;
}

static int open_attribute(const char *blocks, const char *name, const char *attribute, int mode)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s/%s", blocks, name, attribute);
    return open(path, mode | O_CLOEXEC);
}

/* The number in an attribute's file, 0 if there is none. */
static uint64_t number_of(const char *blocks, const char *name, const char *attribute)
{
    char text[32] = "";
    int file = open_attribute(blocks, name, attribute, O_RDONLY);
    if (file < 0)
        return 0;
    if (read(file, text, sizeof text - 1) < 0)
        text[0] = '\0';
    close(file);
    return strtoull(text, NULL, 10);
}

static int write_attribute(const char *blocks, const char *name, const char *attribute,
                           const char *value)
{
    int file = open_attribute(blocks, name, attribute, O_WRONLY | O_TRUNC);
    if (file < 0)
        return -errno;
    int error = write(file, value, strlen(value)) < 0 ? -errno : 0;
    close(file);
    return error;
}

pid_t nbd_pid(const char *blocks, const char *name)
{
    return (pid_t)number_of(blocks, name, "pid");
}

uint64_t nbd_size_bytes(const char *blocks, const char *name)
{
    return number_of(blocks, name, "size") * 512;
}

unsigned nbd_request_kib(const char *blocks, const char *name)
{
    return (unsigned)number_of(blocks, name, "queue/max_sectors_kb");
}

bool nbd_is_free(const char *blocks, const char *name)
{
    int file = open_attribute(blocks, name, "size", O_RDONLY);
    if (file < 0)
        return false;
    close(file);
    return nbd_pid(blocks, name) == 0 && nbd_size_bytes(blocks, name) == 0;
}

bool nbd_find_free(const char *blocks, bool (*may_take)(void *context, const char *name),
                   void *context, char *name)
{
    struct dirent **entries = NULL;
    int count = list(blocks, &entries);
    bool found = false;
    for (int i = 0; i < count && !found; i++) {
        found = nbd_is_free(blocks, entries[i]->d_name) && may_take(context, entries[i]->d_name);
        if (found)
            strcpy(name, entries[i]->d_name);
    }
    free_list(entries, count);
    return found;
}

int nbd_tune(const char *blocks, const char *name)
{
    char limit[16];
    (void)write_attribute(blocks, name, "queue/scheduler", "none");
    unsigned now_kib = nbd_request_kib(blocks, name);
    if (now_kib != 0 && now_kib <= NBD_REQUEST_KIB_MAX)
        return 0;
    snprintf(limit, sizeof limit, "%u", NBD_REQUEST_KIB_MAX);
    return write_attribute(blocks, name, "queue/max_sectors_kb", limit);
}
