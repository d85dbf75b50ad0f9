/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * storm.c: fills memory that can be checked, changes it at random, and checks it.
 *
 *     storm MIB PERCENT SEED ROUNDS
 *
 * Takes MIB of memory, fills each page, then ROUNDS times as many pages as there are are picked at
 * random: each is checked, and every other one is written anew. At last all pages are checked.
 *
 * A page is made from the seed, its number and how often it was written, so that a page that is
 * another's, or was one's own before, is found too. SIGTERM ends the picking, not the checking.
 * PERCENT of its bytes are random, the others repeat one word: LZ4 makes about PERCENT per cent of
 * it.
 *
 * Prints "storm: PAGES pages, PICKS picks, BAD bad" and ends with 0 if none was bad.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE_BYTES ((size_t)4096)
#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))

static volatile sig_atomic_t is_told_to_end;

static void end(int signal)
{
    (void)signal;
    is_told_to_end = 1;
}

static uint64_t seed;
static unsigned random_words; /* of a page */

static uint64_t next_random(uint64_t *state)
{
    /* Marsaglia's xorshift64. */
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t state_of(uint64_t page, unsigned generation)
{
    uint64_t state =
        (seed * UINT64_C(0x9e3779b97f4a7c15) + page + 1) ^ ((uint64_t)generation << 40);
    (void)next_random(&state);
    (void)next_random(&state);
    return state;
}

static void fill(uint64_t *words, uint64_t page, unsigned generation)
{
    uint64_t state = state_of(page, generation);
    for (unsigned i = 0; i < random_words; i++)
        words[i] = next_random(&state);
    uint64_t repeated = next_random(&state);
    for (unsigned i = random_words; i < PAGE_WORDS; i++)
        words[i] = repeated;
}

/* True if the page holds what was written last. */
static int check(const uint64_t *words, uint64_t page, unsigned generation)
{
    uint64_t state = state_of(page, generation), wrong = 0;
    for (unsigned i = 0; i < random_words; i++)
        wrong |= words[i] ^ next_random(&state);
    uint64_t repeated = next_random(&state);
    for (unsigned i = random_words; i < PAGE_WORDS; i++)
        wrong |= words[i] ^ repeated;
    if (wrong != 0)
        printf("storm: page %" PRIu64 " is not what was written the %u. time\n", page, generation);
    return wrong == 0;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: storm MIB PERCENT SEED ROUNDS\n");
        return 2;
    }
    uint64_t pages = strtoull(argv[1], NULL, 10) * 256, bad = 0;
    random_words = (unsigned)(strtoul(argv[2], NULL, 10) * PAGE_WORDS / 100);
    seed = strtoull(argv[3], NULL, 10);
    uint64_t picks = (uint64_t)(strtod(argv[4], NULL) * (double)pages);

    uint64_t *memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    unsigned char *generations = calloc(pages, 1);
    if (memory == MAP_FAILED || generations == NULL || random_words > PAGE_WORDS) {
        fprintf(stderr, "storm: no memory\n");
        return 2;
    }
    signal(SIGTERM, end);
    for (uint64_t page = 0; page < pages; page++)
        fill(&memory[page * PAGE_WORDS], page, 0);
    uint64_t state = state_of(pages, 0), picked = 0;
    for (; picked < picks && !is_told_to_end; picked++) {
        uint64_t page = next_random(&state) % pages;
        bad += !check(&memory[page * PAGE_WORDS], page, generations[page]);
        if (picked % 2 == 0)
            fill(&memory[page * PAGE_WORDS], page, ++generations[page]);
    }
    for (uint64_t page = 0; page < pages; page++)
        bad += !check(&memory[page * PAGE_WORDS], page, generations[page]);
    printf("storm: %" PRIu64 " pages, %" PRIu64 " picks, %" PRIu64 " bad\n", pages, picked, bad);
    return bad != 0;
}
