/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memdescs.c: how much memory do mem_desc words and descriptors use? One row per workload, beside
 * what struct page and a descriptor per page would take for the same pool pages.
 *
 * Usage: memdescs FILE...      4 KiB pages each. Prints a table in Markdown, bytes per pool page.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/support.h"
#include "device/device.h"

#define STRUCT_PAGE_BYTES         64
#define DESCRIPTOR_PER_PAGE_BYTES 64 /* 56 in the kernel's zpdesc, on cache lines */

const char program_name[] = "memdescs";

static void fill(struct device *device, const struct pages_file *pages)
{
    for (uint64_t i = 0; i < pages->count; i++)
        expect("device_write", device_write(device, pages->pages + i * BLOCK_SIZE_BYTES,
                                            BLOCK_SIZE_BYTES, i * BLOCK_SIZE_BYTES));
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
    struct device_config config;
    struct device *device;
    struct device_statistics statistics;
    struct pages_file pages = pages_file_map(name, UINT64_MAX);
    device_config_init(&config);
    config.size_bytes = pages.count * BLOCK_SIZE_BYTES;
    expect("device_create", device_create(&config, &device));
    fill(device, &pages);
    device_statistics(device, &statistics);
    print_row(name, &statistics);
    device_destroy(device);
    munmap((void *)(uintptr_t)pages.pages, pages.count * BLOCK_SIZE_BYTES);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: memdescs FILE...\n");
        return EXIT_FAILURE;
    }
    for (int i = 1; i < argc; i++)
        if (pages_file_fault(argv[i]) != NULL)
            printf("left out: %s: %s\n\n", argv[i], pages_file_fault(argv[i]));
    printf("| workload | pool pages | words | descriptors | arenas | slots "
           "| words + descriptors | struct page | word + descriptor per page |\n"
           "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (int i = 1; i < argc; i++)
        if (pages_file_fault(argv[i]) == NULL)
            measure(argv[i]);
    return EXIT_SUCCESS;
}
