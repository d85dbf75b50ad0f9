/* SPDX-License-Identifier: BSD-3-Clause */
#include "safety/inspect.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What PR_SET_IO_FLUSHER sets of a task's flags (PF_MEMALLOC_NOIO of include/linux/sched.h). */
#define TASK_ALLOCATES_WITHOUT_IO 0x00080000u

/* Reads a small file of /proc into text, which ends with a 0. Returns 0 or a negative errno. */
static int read_file(const char *path, char *text, size_t capacity)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? -ESRCH : -errno;
    size_t length = fread(text, 1, capacity - 1, file);
    int error = ferror(file) ? -ESRCH : 0; /* it has ended meanwhile */
    fclose(file);
    text[length] = '\0';
    return error;
}

/* The value of a line "Name:   123 kB" in bytes, 0 if there is none: kernel threads have no memory.
 */
static uint64_t kib_of(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10) * 1024;
}

static int inspect_memory(pid_t pid, struct safety_report *report)
{
    char path[64], text[8192];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int error = read_file(path, text, sizeof text);
    if (error != 0)
        return error;
    report->mapped_bytes = kib_of(text, "\nVmSize:");
    report->locked_bytes = kib_of(text, "\nVmLck:");
    report->swapped_bytes = kib_of(text, "\nVmSwap:");
    report->resident_bytes = kib_of(text, "\nVmRSS:");

    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
    error = read_file(path, text, sizeof text);
    if (error == 0)
        report->oom_score_adj = atoi(text);
    return error;
}

/*
 * Adds one thread. Fields of stat are counted from the one behind the name, which stands in
 * parentheses and may hold any (proc(5)): state is the third field of the line.
 */
static int inspect_thread(const char *stat, struct safety_report *report)
{
    uint64_t flags, minor_faults, major_faults;
    unsigned policy;
    const char *fields = strrchr(stat, ')');
    if (fields == NULL ||
        sscanf(fields + 1,
               " %*c %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %*u %" SCNu64
               " %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u "
               "%*u %*u %*u %*u %*u %*d %*d %*u %u",
               &flags, &minor_faults, &major_faults, &policy) != 4)
        return -EPROTO;
    report->threads++;
    report->threads_that_wait += (flags & TASK_ALLOCATES_WITHOUT_IO) == 0;
    report->threads_without_right += policy != SCHED_RR && policy != SCHED_FIFO;
    report->minor_faults += minor_faults;
    report->major_faults += major_faults;
    return 0;
}

static int inspect_threads(pid_t pid, struct safety_report *report)
{
    char path[320], text[1024];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOENT ? -ESRCH : -errno;
    int error = 0;
    const struct dirent *entry;
    while (error == 0 && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid, entry->d_name);
        error = read_file(path, text, sizeof text);
        if (error == 0)
            error = inspect_thread(text, report);
        else if (error == -ESRCH)
            error = 0; /* the thread has ended */
    }
    closedir(folder);
    return error;
}

int safety_inspect(pid_t pid, struct safety_report *report)
{
    *report = (struct safety_report){0};
    if (pid == 0)
        pid = getpid();
    int error = inspect_memory(pid, report);
    return error != 0 ? error : inspect_threads(pid, report);
}

bool safety_is_locked(const struct safety_report *report)
{
    return report->locked_bytes + SAFETY_UNLOCKABLE_BYTES >= report->mapped_bytes;
}

bool safety_is_safe(const struct safety_report *report)
{
    return safety_is_locked(report) && report->swapped_bytes == 0 &&
           report->oom_score_adj == SAFETY_OOM_SCORE_ADJ && report->threads_that_wait == 0 &&
           report->threads_without_right == 0;
}
