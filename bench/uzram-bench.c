/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uzram-bench.c: the engine in process, beside the bare codec, the kernel's zram and plain memory.
 *
 *      for each operation, many rounds; in each round every contestant does the same blocks
 *
 *          round 1   codec ■■■■  uzram ■■■■  zram ■■■■  memcpy ■■■■
 *          round 2   uzram ■■■■  zram ■■■■  memcpy ■■■■  codec ■■■■      who begins goes round
 *          …
 *
 * so that a slow moment of the machine hits all alike. Reported are medians over rounds of the time
 * per block (wall and CPU) and of the ratios to the codec and to zram within a round, with
 * quartiles.
 *
 *      new        writes to blocks that were never written
 *      overwrite  writes of other pages' content to random blocks
 *      read       reads of whole blocks, random or sequential
 *      mixed      seven reads to three overwrites
 *
 * Memory is compared when all hold the same data: what each says that it takes (zram's mm_stat,
 * which leaves out its table; uzram's mem_used_total and streams, where its table is in), and what
 * the process grew by.
 *
 * With --threads N the work of a round is divided among N threads, each with blocks of its own;
 * "speed-up" compares that with one thread, in turns.
 *
 * A zram device is used only if it is free, and reset afterwards, also when interrupted. Without
 * --zram it is the first that is free.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/contestant.h"
#include "bench/support.h"

#define ROUND_BLOCKS    2048u
#define ROUNDS_MAX      512u
#define THREADS_MAX     64u
#define CONTESTANTS_MAX 4u

struct options {
    const char *file, *zram;
    struct algorithm algorithm;
    uint64_t megabytes;
    unsigned threads;
};

enum operation { OP_NEW, OP_OVERWRITE, OP_READ_RANDOM, OP_READ_SEQUENTIAL, OP_MIXED, OP_COUNT };

static const char *const operation_names[OP_COUNT] = {"new", "overwrite", "read, random",
                                                      "read, sequential", "mixed"};

struct pages {
    const unsigned char *bytes;
    uint64_t count;
    unsigned *order; /* a random permutation of the blocks */
};

struct entry {
    const struct contestant_kind *kind;
    struct contestant *store;
    double wall[ROUNDS_MAX], cpu[ROUNDS_MAX];
};

/* The signal that came, or 0. */
static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
    is_interrupted = number;
}

const char program_name[] = "uzram-bench";

/* One thread's part of a round: blocks [first, end) of the round's list. */
struct part {
    const struct entry *entry;
    const struct pages *pages;
    enum operation operation;
    uint64_t first, end, seed;
    double cpu_seconds;
    pthread_t thread;
};

static void do_block(const struct part *part, uint64_t at, uint64_t *seed, unsigned char *buffer)
{
    const struct contestant_kind *kind = part->entry->kind;
    const struct pages *pages = part->pages;
    uint64_t block = part->operation == OP_READ_SEQUENTIAL ? at : pages->order[at];
    uint64_t page = block;
    bool is_write = part->operation == OP_NEW || part->operation == OP_OVERWRITE;
    if (part->operation == OP_MIXED)
        is_write = next_random(seed) % 10 < 3;
    if (part->operation == OP_OVERWRITE || part->operation == OP_MIXED)
        page = next_random(seed) % pages->count;
    int error = is_write
                    ? kind->write(part->entry->store, block, pages->bytes + page * BLOCK_SIZE_BYTES)
                    : kind->read(part->entry->store, block, buffer);
    if (error != 0)
        fail(kind->name, error);
}

static void *do_part(void *context)
{
    struct part *part = context;
    static _Thread_local _Alignas(4096) unsigned char buffer[BLOCK_SIZE_BYTES];
    uint64_t seed = part->seed;
    double start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t at = part->first; at < part->end; at++)
        do_block(part, at, &seed, buffer);
    part->cpu_seconds = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    return NULL;
}

/* Does the round's blocks with so many threads; wall and CPU seconds per block. */
static void do_round(const struct entry *entry, const struct pages *pages, enum operation operation,
                     uint64_t first, unsigned threads, unsigned round, double *wall, double *cpu)
{
    struct part parts[THREADS_MAX];
    double start = clock_seconds(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < threads; i++) {
        parts[i] = (struct part){.entry = entry,
                                 .pages = pages,
                                 .operation = operation,
                                 .first = first + ROUND_BLOCKS * i / threads,
                                 .end = first + ROUND_BLOCKS * (i + 1) / threads,
                                 .seed = UINT64_C(88172645463325252) + round * THREADS_MAX + i};
        if (threads == 1)
            do_part(&parts[i]);
        else if (pthread_create(&parts[i].thread, NULL, do_part, &parts[i]) != 0)
            fail("pthread_create", EAGAIN);
    }
    *cpu = 0;
    for (unsigned i = 0; i < threads; i++) {
        if (threads > 1)
            pthread_join(parts[i].thread, NULL);
        *cpu += parts[i].cpu_seconds / ROUND_BLOCKS;
    }
    *wall = (clock_seconds(CLOCK_MONOTONIC) - start) / ROUND_BLOCKS;
}

static const struct entry *find(const struct entry *entries, unsigned count,
                                const struct contestant_kind *kind)
{
    for (unsigned i = 0; i < count; i++)
        if (entries[i].kind == kind)
            return &entries[i];
    return NULL;
}

/*
 * " 1.04 (1.02-1.07)": the median of the ratios within rounds, and the quartiles. Of CPU time,
 * which other work on the machine disturbs least; the kernel's part for zram is in it.
 */
static void print_ratio(const struct entry *entry, const struct entry *base, unsigned rounds)
{
    double ratios[ROUNDS_MAX];
    if (base == NULL || base == entry) {
        printf(" | -");
        return;
    }
    for (unsigned i = 0; i < rounds; i++)
        ratios[i] = entry->cpu[i] / base->cpu[i];
    printf(" | %.2f (%.2f-%.2f)", quantile(ratios, rounds, 0.5), quantile(ratios, rounds, 0.25),
           quantile(ratios, rounds, 0.75));
}

static void run_operation(struct entry *entries, unsigned count, const struct pages *pages,
                          enum operation operation)
{
    unsigned rounds = (unsigned)(pages->count / ROUND_BLOCKS);
    if (rounds > ROUNDS_MAX)
        rounds = ROUNDS_MAX;
    for (unsigned round = 0; round < rounds && !is_interrupted; round++)
        for (unsigned i = 0; i < count; i++) {
            struct entry *entry = &entries[(round + i) % count];
            do_round(entry, pages, operation, (uint64_t)round * ROUND_BLOCKS, 1, round,
                     &entry->wall[round], &entry->cpu[round]);
        }
    if (is_interrupted)
        return;
    for (unsigned i = 0; i < count; i++) {
        printf("| %s | %s | %.2f | %.2f", operation_names[operation], entries[i].kind->name,
               quantile(entries[i].wall, rounds, 0.5) * 1e6,
               quantile(entries[i].cpu, rounds, 0.5) * 1e6);
        print_ratio(&entries[i], find(entries, count, &contestant_codec), rounds);
        print_ratio(&entries[i], find(entries, count, &contestant_zram), rounds);
        printf(" |\n");
    }
    fflush(stdout);
}

static void run_threads(struct entry *entries, unsigned count, const struct pages *pages,
                        unsigned threads)
{
    static const enum operation operations[] = {OP_OVERWRITE, OP_READ_RANDOM};
    unsigned rounds = (unsigned)(pages->count / ROUND_BLOCKS);
    if (rounds > ROUNDS_MAX)
        rounds = ROUNDS_MAX;
    printf("\n| operation | store | %u threads / one, throughput |\n|---|---|---:|\n", threads);
    for (size_t o = 0; o < 2; o++)
        for (unsigned i = 0; i < count; i++) {
            double speedup[ROUNDS_MAX], one, many, cpu;
            for (unsigned round = 0; round < rounds && !is_interrupted; round++) {
                uint64_t first = (uint64_t)round * ROUND_BLOCKS;
                do_round(&entries[i], pages, operations[o], first, 1, round, &one, &cpu);
                do_round(&entries[i], pages, operations[o], first, threads, round, &many, &cpu);
                speedup[round] = one / many;
            }
            if (is_interrupted)
                return;
            printf("| %s | %s | %.2f (%.2f-%.2f) |\n", operation_names[operations[o]],
                   entries[i].kind->name, quantile(speedup, rounds, 0.5),
                   quantile(speedup, rounds, 0.25), quantile(speedup, rounds, 0.75));
        }
}

/*
 * What the process grows by when one more such store is opened and filled with the same pages: the
 * kernel's word for it, whatever the store counts. 0: it has none.
 */
static double resident_bytes(const struct contestant_kind *kind, const struct options *options,
                             const struct pages *pages)
{
    const char *reason;
    uint64_t before = anonymous_resident_bytes();
    struct contestant *store = kind->open(pages->count, &options->algorithm, NULL, &reason);
    if (store == NULL)
        return 0;
    for (uint64_t i = 0; i < pages->count && !is_interrupted; i++) {
        unsigned block = pages->order[i];
        int error = kind->write(store, block, pages->bytes + block * BLOCK_SIZE_BYTES);
        if (error != 0)
            fail(kind->name, error);
    }
    uint64_t after = anonymous_resident_bytes();
    kind->close(store);
    return after > before ? (double)(after - before) : 0;
}

static void print_memory(const struct entry *entries, unsigned count, const struct options *options,
                         const struct pages *pages)
{
    printf("\n| store | compressed, MiB | says it takes, MiB | per compressed byte | resident, MiB "
           "| per compressed byte |\n|---|---:|---:|---:|---:|---:|\n");
    for (unsigned i = 0; i < count; i++) {
        double memory = (double)entries[i].kind->memory_bytes(entries[i].store);
        double compressed = (double)entries[i].kind->compressed_bytes(entries[i].store);
        if (memory == 0 || compressed == 0)
            continue;
        printf("| %s | %.1f | %.1f | %.4f", entries[i].kind->name, compressed / MIB, memory / MIB,
               memory / compressed);
        double resident =
            entries[i].kind->is_in_kernel ? 0 : resident_bytes(entries[i].kind, options, pages);
        if (resident > 0)
            printf(" | %.1f | %.4f |\n", resident / MIB, resident / compressed);
        else
            printf(" | - | - |\n");
    }
}

static struct pages map_pages(const struct options *options)
{
    struct pages_file file = pages_file_map(options->file, options->megabytes);
    struct pages pages = {file.pages, file.count - file.count % ROUND_BLOCKS, NULL};
    if (pages.count == 0)
        fail("the file needs at least 8 MiB of pages", 0);
    pages.order = random_order(pages.count, 1);
    return pages;
}

static const struct codec *find_codec(const char *name)
{
    const struct codec *codec = codec_find(name);
    if (codec == NULL) {
        fprintf(stderr, "uzram-bench: --algorithm=%s: lz4, lz4hc or zstd is accepted\n", name);
        exit(EXIT_FAILURE);
    }
    return codec;
}

static void parse_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {{"mib", required_argument, NULL, 'm'},
                                          {"algorithm", required_argument, NULL, 'a'},
                                          {"zram", required_argument, NULL, 'z'},
                                          {"threads", required_argument, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'm')
            options->megabytes = parse_count("--mib", optarg, 8, MEGABYTES_MAX);
        else if (option == 'a')
            options->algorithm.codec = find_codec(optarg);
        else if (option == 'z')
            options->zram = optarg;
        else if (option == 't')
            options->threads = parse_count("--threads", optarg, 1, THREADS_MAX);
        else
            optind = argc;
    }
    if (optind != argc - 1) {
        fprintf(stderr, "usage: uzram-bench [--mib N] [--algorithm lz4|lz4hc|zstd] "
                        "[--zram /dev/zramN] [--threads N (1 to 64)] FILE\n");
        exit(EXIT_FAILURE);
    }
    options->file = argv[optind];
    options->algorithm.level = options->algorithm.codec->level_default;
}

int main(int argc, char **argv)
{
    static const struct contestant_kind *const kinds[CONTESTANTS_MAX] = {
        &contestant_codec, &contestant_uzram, &contestant_zram, &contestant_memcpy};
    static struct entry entries[CONTESTANTS_MAX];
    struct options options = {
        .algorithm = {.codec = codec_find("lz4")}, .megabytes = 512, .threads = 2};
    parse_options(argc, argv, &options);
    struct pages pages = map_pages(&options);
    /* SIGPIPE: whoever read the tables has seen enough. */
    static const int ends[] = {SIGHUP, SIGINT, SIGPIPE, SIGTERM};
    for (size_t i = 0; i < array_count(ends); i++)
        signal(ends[i], interrupt);

    unsigned count = 0;
    for (unsigned i = 0; i < CONTESTANTS_MAX; i++) {
        const char *reason;
        entries[count].kind = kinds[i];
        entries[count].store =
            kinds[i]->open(pages.count, &options.algorithm, options.zram, &reason);
        if (entries[count].store != NULL)
            count++;
        else
            printf("left out: %s: %s\n\n", kinds[i]->name, reason);
    }
    printf("%s: %.0f MiB, %s\n\n| operation | store | wall, us | CPU, us | CPU to the codec | CPU "
           "to zram |\n"
           "|---|---|---:|---:|---:|---:|\n",
           options.file, (double)pages.count * BLOCK_SIZE_BYTES / MIB,
           options.algorithm.codec->name);
    for (enum operation operation = OP_NEW; operation < OP_COUNT && !is_interrupted; operation++) {
        run_operation(entries, count, &pages, operation);
        if (operation == OP_NEW && !is_interrupted) {
            /* Memory is compared while all hold the same data. */
            print_memory(entries, count, &options, &pages);
            printf("\n| operation | store | wall, us | CPU, us | CPU to the codec | CPU to zram |\n"
                   "|---|---|---:|---:|---:|---:|\n");
        }
    }
    if (options.threads > 1 && !is_interrupted)
        run_threads(entries, count, &pages, options.threads);
    for (unsigned i = 0; i < count; i++)
        entries[i].kind->close(entries[i].store);
    free(pages.order);
    return is_interrupted ? 128 + is_interrupted : EXIT_SUCCESS;
}
