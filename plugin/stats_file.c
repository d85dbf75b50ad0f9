/* SPDX-License-Identifier: BSD-3-Clause */
/* stats_file.c: the statistics file, for whoever looks on from outside the server. */
#include "plugin/stats_file.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

/* Writes the statistics of now to a file that must be new. Returns 0 or a negative errno. */
static int statistics_save(struct device *device, const char *path)
{
    FILE *file = fopen(path, "wxe");
    if (file == NULL)
        return -errno;

    struct device_statistics statistics;
    device_statistics(device, &statistics);

    size_t count;
    const struct statistic_row *rows = statistic_rows(&count);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        if (fprintf(file, "%s %" PRIu64 "\n", rows[i].name,
                    statistic_value(&statistics, &rows[i])) < 0)
            result = -errno;
    }
    if (fclose(file) != 0 && result == 0)
        result = -errno;
    return result;
}

/* Saves under another name first, then takes the file's place. Returns 0 or a negative errno. */
static int statistics_replace(struct device *device, const char *path, const char *new_path)
{
    struct stat status;
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return -EEXIST; /* a device, a link, a socket: not ours to replace */

    unlink(new_path); /* what an earlier server may have left */
    int result = statistics_save(device, new_path);
    if (result == 0 && rename(new_path, path) < 0)
        result = -errno;
    if (result < 0)
        unlink(new_path);
    return result;
}

int stats_file_write(struct device *device, const char *path)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (path == NULL)
        return 0;

    int result = -ENOMEM;
    char *new_path = NULL;
    if (asprintf(&new_path, "%s.new", path) >= 0) {
        pthread_mutex_lock(&lock);
        result = statistics_replace(device, path, new_path);
        pthread_mutex_unlock(&lock);
        free(new_path);
    }
    if (result == 0)
        return 0;
    nbdkit_error("stats_file=%s: %s; give a path where a regular file can be made", path,
                 result == -EEXIST ? "it is there and no regular file" : strerror(-result));
    return -1;
}
