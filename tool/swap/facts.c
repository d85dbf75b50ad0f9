/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/swap/facts.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tool/swap/nbd_device.h"
#include "tool/swap/state.h"

#define LINE_BYTES 512

/* Where the kernel shows the memory limits of groups: alone, or beside the older ones. */
static const char *const group_folders[] = {"fs/cgroup", "fs/cgroup/unified"};

/* The first line of a file, without its end. False if there is none. */
printf_like(3, 4) static bool read_line(char *line, size_t capacity, const char *format, ...)
{
    char path[PATH_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool is_read = fgets(line, (int)capacity, file) != NULL;
    fclose(file);
    if (is_read)
        line[strcspn(line, "\n")] = '\0';
    return is_read;
}

/* ---- the system ---- */

static uint64_t setting(const char *proc, const char *name)
{
    char line[LINE_BYTES];
    return read_line(line, sizeof line, "%s/sys/vm/%s", proc, name) ? strtoull(line, NULL, 10) : 0;
}

void swap_look_at_system(struct swap_facts *facts, const char *proc)
{
    facts->min_free_kib = setting(proc, "min_free_kbytes");
    facts->watermark_scale = setting(proc, "watermark_scale_factor");
    facts->page_cluster = setting(proc, "page-cluster");
}

/* ---- the server ---- */

/* Whether a table of /proc/PID/net has this socket: the tenth word of its line. */
static bool table_has(const char *path, uint64_t inode)
{
    char line[LINE_BYTES];
    uint64_t found;
    bool has = false;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (!has && fgets(line, sizeof line, file) != NULL)
        has = sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64, &found) == 1 &&
              found == inode;
    fclose(file);
    return has;
}

static void count_socket(struct swap_facts *facts, const char *proc, uint64_t inode)
{
    static const char *const tables[] = {"tcp", "tcp6"};
    char path[PATH_MAX];
    facts->sockets++;
    for (size_t i = 0; i < array_count(tables); i++) {
        snprintf(path, sizeof path, "%s/%d/net/%s", proc, (int)facts->server, tables[i]);
        facts->network_sockets += table_has(path, inode);
    }
}

static void look_at_sockets(struct swap_facts *facts, const char *proc)
{
    char path[PATH_MAX], target[LINE_BYTES];
    uint64_t inode;
    snprintf(path, sizeof path, "%s/%d/fd", proc, (int)facts->server);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    if (folder == NULL)
        return;
    while ((entry = readdir(folder)) != NULL) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        if (sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1)
            count_socket(facts, proc, inode);
    }
    closedir(folder);
}

/* Notes the limit in a group's file, if it is one. */
static bool look_at_limit(struct swap_facts *facts, const char *folder, const char *group,
                          const char *name)
{
    char value[64];
    if (!read_line(value, sizeof value, "%s%s/%s", folder, group, name) ||
        strcmp(value, "max") == 0)
        return false;
    snprintf(facts->memory_limit, sizeof facts->memory_limit, "%s of %.200s is %s", name, group,
             value);
    return true;
}

/* From its own group up to the root: each one's limit counts for all below it. */
static void look_at_groups(struct swap_facts *facts, const char *sys, char *group)
{
    char folder[PATH_MAX];
    for (char *slash; (slash = strrchr(group, '/')) != NULL && slash[1] != '\0'; *slash = '\0')
        for (size_t i = 0; i < array_count(group_folders); i++) {
            snprintf(folder, sizeof folder, "%s/%s", sys, group_folders[i]);
            if (look_at_limit(facts, folder, group, "memory.max") ||
                look_at_limit(facts, folder, group, "memory.high"))
                return;
        }
}

void swap_look_at_server(struct swap_facts *facts, const char *proc, const char *sys)
{
    char path[PATH_MAX], line[LINE_BYTES];
    struct statfs status;
    look_at_sockets(facts, proc);
    snprintf(path, sizeof path, "%s/%d/exe", proc, (int)facts->server);
    facts->is_on_tmpfs = statfs(path, &status) == 0 && status.f_type == TMPFS_MAGIC;

    snprintf(path, sizeof path, "%s/%d/cgroup", proc, (int)facts->server);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0)
            look_at_groups(facts, sys, line + 3);
    }
    fclose(file);
}

/* ---- the device ---- */

void swap_look_at_device(struct swap_facts *facts, const char *proc, const char *sys)
{
    char path[PATH_MAX], name[NBD_NAME_BYTES];
    if (!nbd_name(facts->device, name))
        return;
    snprintf(path, sizeof path, "%s/swaps", proc);
    facts->is_swap = swap_is_used(path, facts->device, NULL);
    snprintf(path, sizeof path, "%s/block", sys);
    facts->client = nbd_pid(path, name);
    facts->request_kib = nbd_request_kib(path, name);
}

/*
 * "Adding 1048572k swap on /dev/nbd0.  Priority:100 extents:1 across:1048572k SSDsc": S S for a
 * disk without heads, D: it can discard, s: all at the start, c: what becomes free. The last such
 * line counts.
 */
enum swap_knowledge swap_log_discards(const char *log, const char *device)
{
    char beginning[64];
    enum swap_knowledge known = SWAP_UNKNOWN;
    snprintf(beginning, sizeof beginning, "k swap on %s. ", device);
    for (const char *at = log; (at = strstr(at, beginning)) != NULL; at++) {
        size_t length = strcspn(at, "\n");
        const char *flags = memrchr(at, ' ', length);
        known = memchr(flags, 'c', length - (size_t)(flags - at)) != NULL ? SWAP_YES : SWAP_NO;
    }
    return known;
}
