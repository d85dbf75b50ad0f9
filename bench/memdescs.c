/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memdescs.c: how much memory do mem_desc words and descriptors use? One row per workload, beside
 * what struct page and a descriptor per page would take for the same pool pages.
 *
 * Usage: memdescs FILE...      4 KiB pages each. Prints a table in Markdown, bytes per pool page.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/device.h"

#define STRUCT_PAGE_BYTES         64
#define DESCRIPTOR_PER_PAGE_BYTES 64 /* 56 in the kernel's zpdesc, on cache lines */

static void fail(const char *what, int error)
{
    fprintf(stderr, "memdescs: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(EXIT_FAILURE);
}

static void fill(struct device *device, int file, uint64_t blocks)
{
    unsigned char block[BLOCK_SIZE_BYTES];
    for (uint64_t i = 0; i < blocks; i++) {
        if (pread(file, block, sizeof block, (off_t)(i * sizeof block)) != (ssize_t)sizeof block)
            fail("read", errno);
        int error = device_write(device, block, sizeof block, i * sizeof block);
        if (error != 0)
            fail("device_write", error);
    }
}

static void print_row(const char *name, const struct device_statistics *statistics)
{
    double pages = (double)statistics->pool_used / PAGE_SIZE_BYTES;
    double words = (double)statistics->mem_desc_words / pages;
    double descriptors = (double)statistics->descriptors / pages;
    double arenas = (double)statistics->arena_bookkeeping / pages;
    double slots = (double)statistics->slot_table / pages;
    double sum = words + descriptors;
    const char *base = strrchr(name, '/');
    printf("| %s | %.0f | %.2f | %.2f | %.2f | %.2f | %.2f %% | %.2f %% | %.2f %% |\n",
           base != NULL ? base + 1 : name, pages, words, descriptors, arenas, slots,
           sum * 100 / PAGE_SIZE_BYTES, STRUCT_PAGE_BYTES * 100.0 / PAGE_SIZE_BYTES,
           (8.0 + DESCRIPTOR_PER_PAGE_BYTES) * 100 / PAGE_SIZE_BYTES);
}

static void measure(const char *name)
{
    struct stat status;
    struct device_config config;
    struct device *device;
    struct device_statistics statistics;
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0)
        fail(name, errno);
    uint64_t blocks = (uint64_t)status.st_size / BLOCK_SIZE_BYTES;
    if (blocks == 0)
        fail(name, ENODATA);
    device_config_init(&config);
    config.size_bytes = blocks * BLOCK_SIZE_BYTES;
    int error = device_create(&config, &device);
    if (error != 0)
        fail("device_create", error);
    fill(device, file, blocks);
    device_statistics(device, &statistics);
    print_row(name, &statistics);
    device_destroy(device);
    close(file);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: memdescs FILE...\n");
        return EXIT_FAILURE;
    }
    printf("| workload | pool pages | words | descriptors | arenas | slots "
           "| words + descriptors | struct page | word + descriptor per page |\n"
           "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (int i = 1; i < argc; i++)
        measure(argv[i]);
    return EXIT_SUCCESS;
}
