/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/pressure.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* This process's cgroup (v2), from a line "0::/path" of /proc/self/cgroup; NULL: none. */
static const char *own_cgroup(char *line, int size)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    const char *path = NULL;
    if (file == NULL)
        return NULL;
    while (path == NULL && fgets(line, size, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            path = line + 3;
    }
    fclose(file);
    return path;
}

void pressure_open(struct pressure *pressure)
{
    char line[PATH_MAX], name[PATH_MAX + 64];
    const char *cgroup = own_cgroup(line, sizeof line);
    pressure->file = -1;
    if (cgroup != NULL && strcmp(cgroup, "/") != 0) {
        snprintf(name, sizeof name, "/sys/fs/cgroup%s/memory.pressure", cgroup);
        pressure->file = open(name, O_RDONLY | O_CLOEXEC);
    }
    if (pressure->file < 0)
        pressure->file = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
}

void pressure_close(struct pressure *pressure)
{
    if (pressure->file >= 0)
        close(pressure->file);
    pressure->file = -1;
}

unsigned pressure_parse(const char *line)
{
    unsigned whole, hundredths;
    if (sscanf(line, "some avg10=%3u.%2u ", &whole, &hundredths) != 2 || whole > 100)
        return 0;
    return whole * 100 + hundredths;
}

unsigned pressure_read(const struct pressure *pressure)
{
    char line[128];
    if (pressure->file < 0)
        return 0;
    ssize_t length = pread(pressure->file, line, sizeof line - 1, 0);
    if (length <= 0)
        return 0;
    line[length] = '\0';
    return pressure_parse(line);
}
