/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/parse.h"

void fail(const char *what, int error)
{
    if (error != 0)
        fprintf(stderr, "%s: %s: %s\n", program_name, what, strerror(abs(error)));
    else
        fprintf(stderr, "%s: %s\n", program_name, what);
    exit(EXIT_FAILURE);
}

void expect(const char *what, int error)
{
    if (error != 0)
        fail(what, error);
}

unsigned parse_count(const char *key, const char *text, unsigned min, unsigned max)
{
    int number;
    if (parse_integer(text, (int)min, (int)max, &number) != 0) {
        fprintf(stderr, "%s: %s=%s: a whole number from %u to %u is accepted\n", program_name, key,
                text, min, max);
        exit(EXIT_FAILURE);
    }
    return (unsigned)number;
}

void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL)
        fail("memory", ENOMEM);
    return memory;
}

const char *pages_file_fault(const char *name)
{
    struct stat status;
    if (stat(name, &status) != 0 || access(name, R_OK) != 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "not a regular file";
    return status.st_size < (off_t)BLOCK_SIZE_BYTES ? "not even one page of 4 KiB" : NULL;
}

struct pages_file pages_file_map(const char *name, uint64_t megabytes)
{
    struct stat status;
    const char *fault = pages_file_fault(name);
    if (fault != NULL) {
        fprintf(stderr, "%s: %s: %s\n", program_name, name, fault);
        exit(EXIT_FAILURE);
    }
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0)
        fail(name, errno);
    struct pages_file pages = {.count = (uint64_t)status.st_size / BLOCK_SIZE_BYTES};
    if (pages.count / (MIB / BLOCK_SIZE_BYTES) >= megabytes)
        pages.count = megabytes * (MIB / BLOCK_SIZE_BYTES);
    if (pages.count == 0)
        fail(name, ENODATA);
    void *bytes =
        mmap(NULL, pages.count * BLOCK_SIZE_BYTES, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (bytes == MAP_FAILED)
        fail(name, errno);
    close(file);
    pages.pages = bytes;
    return pages;
}

uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

unsigned *random_order(uint64_t count, uint64_t seed)
{
    unsigned *order = allocate(count * sizeof *order);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t j = next_random(&seed) % (i + 1);
        order[i] = order[j];
        order[j] = (unsigned)i;
    }
    return order;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double quantile(const double *values, size_t count, double share)
{
    double *sorted = allocate(count * sizeof *sorted);
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_size);
    double value = sorted[(size_t)((double)(count - 1) * share)];
    free(sorted);
    return value;
}

uint64_t anonymous_resident_bytes(void)
{
    FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
    char line[128];
    unsigned long long kilobytes = 0;
    if (rollup == NULL)
        return 0;
    while (fgets(line, sizeof line, rollup) != NULL)
        if (sscanf(line, "Anonymous: %llu kB", &kilobytes) == 1)
            break;
    fclose(rollup);
    return kilobytes * 1024;
}

double clock_seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
