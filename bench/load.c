/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c: so many requests of 4 KiB, when it is told to: what bench/counts counts around.
 *
 *   load STORE FILE       STORE: uzram, codec, or a path with a /: an NBD server's Unix socket
 *                         FILE: 4 KiB pages, of which the first 16 MiB are used
 *
 * Each line on standard input is a job; its end is a line on standard output.
 *
 *   new               writes all blocks in turn
 *   overwrite         writes as many, to random blocks, of random pages
 *   read              reads as many random blocks
 *   threads COUNT     so many threads, all together OPERATIONS; three reads to one write, random
 *
 *   done REQUESTS SLEEPS      SLEEPS: how often its threads gave up their CPU to wait
 *
 * Everything random is the same in each run, and goes on from job to job. Jobs are functions of
 * their own, by whose names valgrind tells them apart.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/contestant.h"
#include "bench/support.h"
#include "common/compiler.h"

#define MEBIBYTES   16u
#define THREADS_MAX 64u
#define OPERATIONS  1000000u
#define SEED        UINT64_C(88172645463325252)

const char program_name[] = "load";

struct load {
    const struct contestant_kind *kind;
    struct contestant *store;
    struct algorithm algorithm;
    struct pages_file pages; /* as many as the store has blocks */
    uint64_t seed;
};

static void write_block(const struct load *load, uint64_t block, uint64_t page)
{
    expect("write",
           load->kind->write(load->store, block, 1, load->pages.pages + page * BLOCK_SIZE_BYTES));
}

static void read_block(const struct load *load, uint64_t block)
{
    static _Thread_local _Alignas(4096) unsigned char buffer[BLOCK_SIZE_BYTES];
    expect("read", load->kind->read(load->store, block, 1, buffer));
}

__attribute__((noinline)) static void job_new(struct load *load)
{
    for (uint64_t block = 0; block < load->pages.count; block++)
        write_block(load, block, block);
}

__attribute__((noinline)) static void job_overwrite(struct load *load)
{
    for (uint64_t i = 0; i < load->pages.count; i++) {
        uint64_t block = next_random(&load->seed) % load->pages.count;
        write_block(load, block, next_random(&load->seed) % load->pages.count);
    }
}

__attribute__((noinline)) static void job_read(struct load *load)
{
    for (uint64_t i = 0; i < load->pages.count; i++)
        read_block(load, next_random(&load->seed) % load->pages.count);
}

struct worker {
    const struct load *load;
    uint64_t seed;
    unsigned operations;
    long sleeps;
    pthread_t thread;
};

static long sleeps_of_this_thread(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

static void *work(void *context)
{
    struct worker *worker = context;
    uint64_t blocks = worker->load->pages.count;
    long before = sleeps_of_this_thread();
    for (unsigned i = 0; i < worker->operations; i++) {
        uint64_t block = next_random(&worker->seed) % blocks;
        if (next_random(&worker->seed) % 4 == 0)
            write_block(worker->load, block, next_random(&worker->seed) % blocks);
        else
            read_block(worker->load, block);
    }
    worker->sleeps = sleeps_of_this_thread() - before;
    return NULL;
}

/* How often they slept. */
static long job_threads(struct load *load, unsigned count)
{
    struct worker workers[THREADS_MAX];
    long sleeps = 0;
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){
            .load = load, .seed = next_random(&load->seed), .operations = OPERATIONS / count};
        expect("pthread_create", pthread_create(&workers[i].thread, NULL, work, &workers[i]));
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        sleeps += workers[i].sleeps;
    }
    return sleeps;
}

static void do_job(struct load *load, char *line)
{
    static const struct {
        const char *name;
        void (*function)(struct load *load);
    } jobs[] = {{"new", job_new}, {"overwrite", job_overwrite}, {"read", job_read}};

    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "threads ", 8) == 0 && load->kind != &contestant_nbd) {
        unsigned count = parse_count("threads", line + 8, 1, THREADS_MAX);
        long sleeps = job_threads(load, count);
        printf("done %u %ld\n", OPERATIONS / count * count, sleeps);
        return;
    }
    for (size_t i = 0; i < array_count(jobs); i++)
        if (strcmp(line, jobs[i].name) == 0) {
            long before = sleeps_of_this_thread();
            jobs[i].function(load);
            printf("done %" PRIu64 " %ld\n", load->pages.count, sleeps_of_this_thread() - before);
            return;
        }
    fprintf(stderr, "load: %s: not a job; new, overwrite, read%s are\n", line,
            load->kind == &contestant_nbd ? "" : " and threads COUNT");
    exit(EXIT_FAILURE);
}

static void open_store(struct load *load, const char *name)
{
    const char *reason;
    load->algorithm.codec = codec_find("lz4");
    load->algorithm.level = load->algorithm.codec->level_default;
    if (strcmp(name, contestant_uzram.name) == 0)
        load->kind = &contestant_uzram;
    else if (strcmp(name, contestant_codec.name) == 0)
        load->kind = &contestant_codec;
    else if (strchr(name, '/') != NULL)
        load->kind = &contestant_nbd;
    else {
        fprintf(stderr, "load: %s: uzram, codec or the path of a socket is accepted\n", name);
        exit(EXIT_FAILURE);
    }
    load->store = load->kind->open(load->pages.count, &load->algorithm, name, &reason);
    if (load->store == NULL) {
        fprintf(stderr, "load: %s: %s\n", name, reason);
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    char line[64];
    if (argc != 3) {
        fprintf(stderr, "usage: load STORE FILE\n");
        return EXIT_FAILURE;
    }
    struct load load = {.pages = pages_file_map(argv[2], MEBIBYTES), .seed = SEED};
    open_store(&load, argv[1]);
    setlinebuf(stdout);
    while (fgets(line, sizeof line, stdin) != NULL)
        do_job(&load, line);
    load.kind->close(load.store);
    return EXIT_SUCCESS;
}
