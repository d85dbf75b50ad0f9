/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * density.c: what a class table would cost for real pages, worked out without storing them.
 *
 *      pages of a file ─▶ compressed lengths ─▶ objects per class ─▶ zspages ─▶ bytes
 *
 * For each longest zspage (chain) and each way to count a class's last, partly filled zspage it
 * prints bytes of memory per compressed byte, part by part:
 *
 *      rounding   object sizes rounded up to their class, and the owner's number
 *      tails      what no object fits into at the end of full zspages
 *      partial    the unused part of each class's last zspage: all of its pages ("whole", as in the
 *                 kernel), or only those that objects have reached ("touched", as here)
 *      raw        pages of blocks that compress too poorly, beyond their 4096 bytes: nothing
 *      words, descriptors, slots      8 bytes a page, 64 a zspage, 8 a block
 *
 * The simulation leaves out what only a run shows: arenas that are not full, zspages that were left
 * partly filled by frees. Where it says 1.0x, a run after compaction should too.
 *
 * Usage: density FILE [BLOCKS [CODEC [HEADER_BYTES]]]
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/support.h"
#include "compress/codec.h"
#include "device/same_filled.h"
#include "zpool/zsmalloc/classes.h"

#define DESCRIPTOR_BYTES 64
#define WORD_BYTES       8
#define SLOT_BYTES       8

/* How many objects there are of each length; those that are same-filled are of none. */
struct lengths {
    uint64_t count[BLOCK_SIZE_BYTES + 1];
    uint64_t blocks;
    uint64_t same_filled;
};

struct cost {
    double compressed, rounding, tails, partial, words, descriptors, slots;
};

static void measure(const unsigned char *pages, uint64_t count, const struct codec *codec,
                    struct lengths *lengths)
{
    struct codec_context *context;
    unsigned char target[2 * BLOCK_SIZE_BYTES];
    expect(codec->name, codec->context_create(
                            &(struct codec_parameters){.level = codec->level_default}, &context));
    lengths->blocks = count;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t pattern;
        const unsigned char *page = pages + i * BLOCK_SIZE_BYTES;
        if (same_filled_detect(page, &pattern)) {
            lengths->same_filled++;
            continue;
        }
        int length = codec->compress(context, page, target, BLOCK_SIZE_BYTES - 1);
        lengths->count[length > 0 ? length : (int)BLOCK_SIZE_BYTES]++;
    }
    codec->context_destroy(context);
}

static struct cost simulate(const struct lengths *lengths, unsigned chain, unsigned header_bytes,
                            bool whole)
{
    struct zs_class_table table;
    uint64_t objects[ZS_SIZE_COUNT] = {0}, bytes[ZS_SIZE_COUNT] = {0};
    struct cost cost = {.slots = (double)lengths->blocks * SLOT_BYTES};

    zs_class_table_init(&table, chain);
    for (unsigned length = 1; length <= BLOCK_SIZE_BYTES; length++) {
        unsigned class = table.count - 1; /* raw */
        if (length + header_bytes <= table.shape[table.count - 2].size_bytes)
            class = zs_class_index(&table, length + header_bytes);
        objects[class] += lengths->count[length];
        /* A raw block's 4096 bytes are what is stored, as zram counts it. */
        bytes[class] +=
            lengths->count[length] * (class == table.count - 1 ? BLOCK_SIZE_BYTES : length);
    }
    for (unsigned i = 0; i < table.count; i++) {
        const struct zs_class_shape *shape = &table.shape[i];
        bool raw = i == table.count - 1;
        uint64_t full = objects[i] / shape->objects, rest = objects[i] % shape->objects;
        unsigned tail = shape->pages * 4096u - shape->objects * shape->size_bytes;
        unsigned last_pages =
            whole ? shape->pages : (unsigned)(rest * shape->size_bytes + 4095) / 4096;
        uint64_t zspages = full + (rest > 0);
        uint64_t pages = full * shape->pages + (rest > 0 ? last_pages : 0);
        cost.compressed += (double)bytes[i];
        cost.rounding += (double)(objects[i] * shape->size_bytes - bytes[i]);
        cost.tails += (double)(full * tail);
        if (rest > 0)
            cost.partial += (double)(last_pages * 4096 - rest * shape->size_bytes);
        cost.words += (double)pages * WORD_BYTES;
        cost.descriptors += raw ? 0 : (double)zspages * DESCRIPTOR_BYTES;
    }
    return cost;
}

static void print_row(unsigned chain, const char *residency, const struct cost *cost)
{
    double c = cost->compressed;
    double sum = cost->rounding + cost->tails + cost->partial + cost->words + cost->descriptors +
                 cost->slots;
    printf("| %5u | %-7s | %8.4f | %6.4f | %7.4f | %6.4f | %11.4f | %6.4f | %6.4f |\n", chain,
           residency, cost->rounding / c, cost->tails / c, cost->partial / c, cost->words / c,
           cost->descriptors / c, cost->slots / c, 1 + sum / c);
}

const char program_name[] = "density";

int main(int argc, char **argv)
{
    static struct lengths lengths;
    if (argc < 2 || argc > 5) {
        fprintf(stderr, "usage: density FILE [BLOCKS [CODEC [HEADER_BYTES]]]\n");
        return EXIT_FAILURE;
    }
    const struct codec *codec = codec_find(argc > 3 ? argv[3] : "lz4");
    if (codec == NULL) {
        fprintf(stderr, "density: CODEC=%s: lz4, lz4hc or zstd is accepted\n", argv[3]);
        return EXIT_FAILURE;
    }
    unsigned header_bytes = argc > 4 ? parse_count("HEADER_BYTES", argv[4], 0, 64) : 4;
    unsigned blocks_max = argc > 2 ? parse_count("BLOCKS", argv[2], 1, INT_MAX) : INT_MAX;
    struct pages_file pages = pages_file_map(argv[1], UINT64_MAX);
    uint64_t blocks = pages.count < blocks_max ? pages.count : blocks_max;
    measure(pages.pages, blocks, codec, &lengths);

    struct cost cost = simulate(&lengths, 1, header_bytes, true);
    printf("%s: %llu blocks, %llu same-filled, %s, %.1f MiB compressed, header %u bytes\n\n",
           argv[1], (unsigned long long)blocks, (unsigned long long)lengths.same_filled,
           codec->name, cost.compressed / 1048576, header_bytes);
    printf(
        "| chain | partial | rounding | tails  | partial | words  | descriptors | slots  | sum    "
        "|\n|------:|---------|---------:|-------:|--------:|-------:|------------:|-------:"
        "|-------:|\n");
    static const unsigned chains[] = {1, 4, 8, 16, 24, 32};
    for (size_t i = 0; i < array_count(chains); i++) {
        cost = simulate(&lengths, chains[i], header_bytes, true);
        print_row(chains[i], "whole", &cost);
        cost = simulate(&lengths, chains[i], header_bytes, false);
        print_row(chains[i], "touched", &cost);
    }
    return EXIT_SUCCESS;
}
