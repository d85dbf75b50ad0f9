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
 * so that a slow moment of the machine hits all alike. A round has two halves, of other blocks: one
 * is done by one thread, and one by N (--threads), each with a part of it.
 *
 *      new        writes to blocks that were never written: all stores are opened anew for it
 *      overwrite  writes of other pages' content
 *      read       reads of whole blocks
 *      mixed      seven reads to three overwrites
 *
 * in the order of the blocks or a random one, a request having one block or several. Reported are
 * medians over rounds of one thread's time per block (wall and CPU), of the ratios to the codec and
 * to zram within a round, and of N threads' throughput and CPU time per block beside one thread's;
 * with quartiles. With --threads 1 these two say how far halves of a round differ by themselves.
 *
 * Memory is compared when all hold the same data: what each says that it takes (zram's mm_stat,
 * which leaves out its table; uzram's mem_used_total and streams, where its table is in), and what
 * the process grew by.
 *
 * A zram device is used only if it is free, and reset afterwards, also when interrupted. Without
 * --zram it is the first that is free.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/contestant.h"
#include "bench/crew.h"
#include "bench/support.h"

#define HALF_BLOCKS        2048u
#define ROUND_BLOCKS       (2 * HALF_BLOCKS)
#define ROUNDS_MAX         512u
#define REQUEST_BLOCKS_MAX 32u
#define CONTESTANTS_MAX    4u

struct operation {
    const char *name;
    unsigned request_blocks;
    unsigned writes_of_ten;
    bool is_random; /* the order of the requests */
    bool is_new;
};

static const struct operation operations[] = {
    {"new, sequential", 1, 10, false, true},
    {"new, random", 1, 10, true, true},
    {"new, sequential, 128 KiB", 32, 10, false, true},
    {"overwrite, sequential", 1, 10, false, false},
    {"overwrite, random", 1, 10, true, false},
    {"overwrite, random, 128 KiB", 32, 10, true, false},
    {"read, sequential", 1, 0, false, false},
    {"read, random", 1, 0, true, false},
    {"read, sequential, 128 KiB", 32, 0, false, false},
    {"read, random, 128 KiB", 32, 0, true, false},
    {"mixed, random", 1, 3, true, false},
};

struct options {
    const char *file, *zram;
    struct algorithm algorithm;
    uint64_t megabytes;
    unsigned threads;
};

/* Seconds per block, of each round. */
struct timing {
    double wall[ROUNDS_MAX], cpu[ROUNDS_MAX];
};

struct entry {
    const struct contestant_kind *kind;
    struct contestant *store;
    struct timing one, many; /* threads */
};

struct bench {
    struct options options;
    struct pages_file pages;
    unsigned rounds;
    struct entry entries[CONTESTANTS_MAX];
    unsigned count;
    struct crew *one, *many;
};

const char program_name[] = "uzram-bench";

/* The signal that came, or 0. */
static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
    is_interrupted = number;
}

/* ---- one half of a round ---- */

struct half {
    const struct bench *bench;
    const struct entry *entry;
    const struct operation *operation;
    const unsigned *requests; /* their numbers, in the order in which they are made */
    unsigned number;          /* of the half, for the operation */
};

static void do_request(const struct half *half, unsigned request, uint64_t *seed,
                       unsigned char *buffer)
{
    const struct operation *operation = half->operation;
    const struct contestant_kind *kind = half->entry->kind;
    const struct pages_file *pages = &half->bench->pages;
    unsigned count = operation->request_blocks;
    uint64_t block = (uint64_t)request * count, page = block;
    bool is_write = next_random(seed) % 10 < operation->writes_of_ten;
    if (!operation->is_new)
        page = next_random(seed) % (pages->count - count + 1);
    int error = is_write ? kind->write(half->entry->store, block, count,
                                       pages->pages + page * BLOCK_SIZE_BYTES)
                         : kind->read(half->entry->store, block, count, buffer);
    if (error != 0)
        fail(kind->name, error);
}

/* One thread's part of it: a crew_function. */
static void do_part(void *context, unsigned thread, unsigned threads)
{
    static _Thread_local _Alignas(4096) unsigned char buffer[REQUEST_BLOCKS_MAX * BLOCK_SIZE_BYTES];
    const struct half *half = context;
    unsigned requests = HALF_BLOCKS / half->operation->request_blocks;
    uint64_t seed = UINT64_C(88172645463325252) + half->number * CREW_THREADS_MAX + thread;
    for (unsigned i = requests * thread / threads; i < requests * (thread + 1) / threads; i++)
        do_request(half, half->requests[i], &seed, buffer);
}

static void do_half(struct half *half, struct crew *crew, struct timing *timing, unsigned round)
{
    struct crew_time time = crew_work(crew, do_part, half);
    timing->wall[round] = time.wall_seconds / HALF_BLOCKS;
    timing->cpu[round] = time.cpu_seconds / HALF_BLOCKS;
}

/* ---- an operation ---- */

/* The requests of the whole store in the operation's order, to be freed. */
static unsigned *order_of(const struct operation *operation, uint64_t blocks)
{
    uint64_t count = blocks / operation->request_blocks;
    if (operation->is_random)
        return random_order(count, 1);
    unsigned *order = allocate(count * sizeof *order);
    for (uint64_t i = 0; i < count; i++)
        order[i] = (unsigned)i;
    return order;
}

static const char *store_open(const struct bench *bench, struct entry *entry)
{
    const char *reason = NULL;
    entry->store = entry->kind->open(bench->pages.count, &bench->options.algorithm,
                                     bench->options.zram, &reason);
    return entry->store == NULL ? reason : NULL;
}

static void store_close(struct entry *entry)
{
    if (entry->store != NULL)
        entry->kind->close(entry->store);
    entry->store = NULL;
}

/* Again an empty one, of a contestant that could be had before. */
static void store_reopen(const struct bench *bench, struct entry *entry)
{
    store_close(entry);
    const char *reason = store_open(bench, entry);
    if (reason != NULL) {
        fprintf(stderr, "uzram-bench: %s: %s\n", entry->kind->name, reason);
        exit(EXIT_FAILURE);
    }
}

static const struct timing *timing_of(const struct bench *bench, const struct contestant_kind *kind)
{
    for (unsigned i = 0; i < bench->count; i++)
        if (bench->entries[i].kind == kind)
            return &bench->entries[i].one;
    return NULL;
}

/* " | 1.04 (1.02-1.07)": the median of the ratios within rounds, and the quartiles. */
static void print_ratio(const double *values, const double *base, unsigned rounds)
{
    double ratios[ROUNDS_MAX];
    if (base == NULL || base == values) {
        printf(" | -");
        return;
    }
    for (unsigned i = 0; i < rounds; i++)
        ratios[i] = values[i] / base[i];
    printf(" | %.2f (%.2f-%.2f)", quantile(ratios, rounds, 0.5), quantile(ratios, rounds, 0.25),
           quantile(ratios, rounds, 0.75));
}

/*
 * The ratios to the codec and zram are of CPU time, which other work on the machine disturbs least;
 * the kernel's part for zram is in it.
 */
static void print_operation(const struct bench *bench, const struct operation *operation)
{
    const struct timing *codec = timing_of(bench, &contestant_codec);
    const struct timing *zram = timing_of(bench, &contestant_zram);
    for (unsigned i = 0; i < bench->count; i++) {
        const struct timing *one = &bench->entries[i].one, *many = &bench->entries[i].many;
        printf("| %s | %s | %.2f | %.2f", operation->name, bench->entries[i].kind->name,
               quantile(one->wall, bench->rounds, 0.5) * 1e6,
               quantile(one->cpu, bench->rounds, 0.5) * 1e6);
        print_ratio(one->cpu, codec != NULL ? codec->cpu : NULL, bench->rounds);
        print_ratio(one->cpu, zram != NULL ? zram->cpu : NULL, bench->rounds);
        print_ratio(one->wall, many->wall, bench->rounds); /* throughput is the inverse of time */
        print_ratio(many->cpu, one->cpu, bench->rounds);
        printf(" |\n");
    }
    fflush(stdout);
}

static void run_operation(struct bench *bench, const struct operation *operation)
{
    unsigned *order = order_of(operation, bench->pages.count);
    unsigned half_requests = HALF_BLOCKS / operation->request_blocks;
    for (unsigned i = 0; operation->is_new && i < bench->count; i++)
        store_reopen(bench, &bench->entries[i]);
    for (unsigned round = 0; round < bench->rounds && !is_interrupted; round++)
        for (unsigned i = 0; i < bench->count; i++) {
            struct entry *entry = &bench->entries[(round + i) % bench->count];
            struct half halves[2];
            for (unsigned h = 0; h < 2; h++)
                halves[h] =
                    (struct half){bench, entry, operation,
                                  order + (size_t)(2 * round + h) * half_requests, 2 * round + h};
            /* In turns, as neither the blocks nor the moment should be always the same for one. */
            do_half(&halves[round % 2], bench->one, &entry->one, round);
            do_half(&halves[(round + 1) % 2], bench->many, &entry->many, round);
        }
    free(order);
    if (!is_interrupted)
        print_operation(bench, operation);
}

/* ---- memory ---- */

static void fill(const struct bench *bench, const struct entry *entry)
{
    unsigned *order = random_order(bench->pages.count, 1);
    for (uint64_t i = 0; i < bench->pages.count && !is_interrupted; i++) {
        int error = entry->kind->write(entry->store, order[i], 1,
                                       bench->pages.pages + (size_t)order[i] * BLOCK_SIZE_BYTES);
        if (error != 0)
            fail(entry->kind->name, error);
    }
    free(order);
}

/* " | MIB | per compressed byte", or that there is no answer. */
static void print_bytes(double bytes, double compressed)
{
    if (bytes > 0)
        printf(" | %.1f | %.4f", bytes / MIB, bytes / compressed);
    else
        printf(" | - | -");
}

/* Each filled in random order, alone. What a process grows by is the kernel's word for it. */
static void print_memory(struct bench *bench)
{
    printf("\n| store | compressed, MiB | says it takes, MiB | per compressed byte | resident, MiB "
           "| per compressed byte |\n|---|---:|---:|---:|---:|---:|\n");
    for (unsigned i = 0; i < bench->count; i++)
        store_close(&bench->entries[i]);
    for (unsigned i = 0; i < bench->count && !is_interrupted; i++) {
        struct entry *entry = &bench->entries[i];
        double before = (double)anonymous_resident_bytes();
        store_reopen(bench, entry);
        fill(bench, entry);
        double resident = (double)anonymous_resident_bytes() - before;
        double memory = (double)entry->kind->memory_bytes(entry->store);
        double compressed = (double)entry->kind->compressed_bytes(entry->store);
        if (memory > 0 && compressed > 0 && !is_interrupted) {
            printf("| %s | %.1f", entry->kind->name, compressed / MIB);
            print_bytes(memory, compressed);
            print_bytes(entry->kind->is_in_kernel ? 0 : resident, compressed);
            printf(" |\n");
        }
        store_close(entry);
    }
}

/* ---- the program ---- */

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
            options->megabytes = parse_count("--mib", optarg, 16, MEGABYTES_MAX);
        else if (option == 'a')
            options->algorithm.codec = find_codec(optarg);
        else if (option == 'z')
            options->zram = optarg;
        else if (option == 't')
            options->threads = parse_count("--threads", optarg, 1, CREW_THREADS_MAX);
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

static struct pages_file map_pages(const struct options *options)
{
    struct pages_file pages = pages_file_map(options->file, options->megabytes);
    pages.count -= pages.count % ROUND_BLOCKS;
    if (pages.count == 0)
        fail("the file needs at least 16 MiB of pages", 0);
    return pages;
}

/* Those that can be had here; names the others. */
static void open_stores(struct bench *bench)
{
    static const struct contestant_kind *const kinds[CONTESTANTS_MAX] = {
        &contestant_codec, &contestant_uzram, &contestant_zram, &contestant_memcpy};
    for (unsigned i = 0; i < CONTESTANTS_MAX; i++) {
        struct entry *entry = &bench->entries[bench->count];
        entry->kind = kinds[i];
        const char *reason = store_open(bench, entry);
        if (reason == NULL)
            bench->count++;
        else
            printf("left out: %s: %s\n\n", kinds[i]->name, reason);
    }
}

int main(int argc, char **argv)
{
    static struct bench bench = {.options = {.megabytes = 512, .threads = 2}};
    struct options *options = &bench.options;
    options->algorithm.codec = codec_find("lz4");
    parse_options(argc, argv, options);
    bench.pages = map_pages(options);
    bench.rounds = (unsigned)(bench.pages.count / ROUND_BLOCKS);
    if (bench.rounds > ROUNDS_MAX)
        bench.rounds = ROUNDS_MAX;
    /* SIGPIPE: whoever read the tables has seen enough. */
    static const int ends[] = {SIGHUP, SIGINT, SIGPIPE, SIGTERM};
    for (size_t i = 0; i < array_count(ends); i++)
        signal(ends[i], interrupt);

    open_stores(&bench);
    bench.one = crew_start(1);
    bench.many = crew_start(options->threads);
    printf(
        "%s: %.0f MiB, %s, %u rounds; us per 4 KiB, of one thread\n\n"
        "| operation | store | wall, us | CPU, us | CPU to the codec | CPU to zram | throughput, "
        "%u threads / 1 | CPU, %u threads / 1 |\n|---|---|---:|---:|---:|---:|---:|---:|\n",
        options->file, (double)bench.pages.count * BLOCK_SIZE_BYTES / MIB,
        options->algorithm.codec->name, bench.rounds, options->threads, options->threads);
    for (size_t i = 0; i < array_count(operations) && !is_interrupted; i++)
        run_operation(&bench, &operations[i]);
    if (!is_interrupted)
        print_memory(&bench);
    for (unsigned i = 0; i < bench.count; i++)
        store_close(&bench.entries[i]);
    crew_end(bench.one);
    crew_end(bench.many);
    return is_interrupted ? 128 + is_interrupted : EXIT_SUCCESS;
}
