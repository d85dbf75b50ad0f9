/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/lock.h"
#include "common/steps.h"

/* A program that takes longer hangs: the longest takes a minute or two under a sanitizer. */
#define PROGRAM_SECONDS_MAX 900
#define WAIT_SECONDS_MAX    60

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* What sanitized programs do less. */
#define SANITIZED_DIVISOR 4

/* ---- chance ---- */

static uint64_t seed;
static double scale = 1;
static unsigned seconds = 3;

static double number_from(const char *variable, double otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && *text != '\0' ? strtod(text, NULL) : otherwise;
}

void test_program_begin(const char *name)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    const char *text = getenv("UZRAM_SEED");
    if (text != NULL && *text != '\0')
        seed = strtoull(text, NULL, 0);
    scale = number_from("UZRAM_TEST_SCALE", 1);
    seconds = (unsigned)number_from("UZRAM_SOAK_SECONDS", 3);
    printf("# %s: UZRAM_SEED=%llu UZRAM_TEST_SCALE=%g UZRAM_SOAK_SECONDS=%u\n", name,
           (unsigned long long)seed, scale, seconds);
    fflush(stdout);
    alarm(PROGRAM_SECONDS_MAX + seconds);
}

/* Sebastiano Vigna's splitmix64: any state is good, so streams need no warming up. */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

struct rng rng_of_stream(uint64_t stream)
{
    return (struct rng){mixed(seed + mixed(stream + 1))};
}

uint64_t rng_next(struct rng *rng)
{
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    return mixed(rng->state);
}

unsigned rng_below(struct rng *rng, unsigned bound)
{
    return (unsigned)((rng_next(rng) >> 32) * bound >> 32);
}

size_t rng_size(struct rng *rng)
{
    switch (rng_below(rng, 8)) {
    case 0:
        return PAGE_SIZE_BYTES;
    case 1:
        return 1 + rng_below(rng, PAGE_SIZE_BYTES);
    case 2:
        return 1 + rng_below(rng, 64);
    default:
        return 1 + rng_below(rng, PAGE_SIZE_BYTES / 2);
    }
}

unsigned scaled(unsigned times)
{
    double result = times * scale / (SANITIZED ? SANITIZED_DIVISOR : 1);
    return result < 1 ? 1 : (unsigned)result;
}

unsigned soak_seconds(void)
{
    return seconds;
}

double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- faults ---- */

#define FAULTS_PRINTED_MAX 20

static _Atomic unsigned faults;

void fault(const char *format, ...)
{
    if (atomic_fetch_add(&faults, 1) >= FAULTS_PRINTED_MAX)
        return;
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    printf("# fault: %s\n", line);
    fflush(stdout);
}

unsigned faults_taken(void)
{
    return atomic_exchange(&faults, 0);
}

static void keep_line(void *context, const char *line)
{
    struct kept_report *kept = context;
    if (kept->report.faults <= array_count(kept->line))
        snprintf(kept->line[kept->report.faults - 1], sizeof kept->line[0], "%s", line);
}

void kept_report_init(struct kept_report *kept)
{
    *kept = (struct kept_report){.report = {.line = keep_line, .context = kept}};
}

bool kept_report_says(const struct kept_report *kept, const char *text)
{
    for (size_t i = 0; i < array_count(kept->line); i++)
        if (strstr(kept->line[i], text) != NULL)
            return true;
    printf("# expected: \"%s\", but %u faults were reported:\n", text, kept->report.faults);
    for (size_t i = 0; i < array_count(kept->line) && kept->line[i][0] != '\0'; i++)
        printf("#     %s\n", kept->line[i]);
    fflush(stdout);
    return false;
}

/* ---- threads and gates ---- */

pthread_t thread_start(void *(*run)(void *), void *context)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, context), 0);
    return thread;
}

void thread_join(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

void wait_a_little(double began, const char *file, int line, const char *condition)
{
    if (now_seconds() - began > WAIT_SECONDS_MAX) {
        printf("# %s:%d: waited %d s in vain for: %s\n", file, line, WAIT_SECONDS_MAX, condition);
        fflush(stdout);
        abort();
    }
    sched_yield();
}

enum gate_state { GATE_OFF, GATE_CLOSED, GATE_STANDING, GATE_OPEN };

struct gate {
    const char *step_name;
    enum gate_state state;
    unsigned passes; /* threads that may still pass the closed gate */
    unsigned hits;
};

#define GATES_MAX 8
static struct gate gates[GATES_MAX];
static pthread_mutex_t gates_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gates_changed = PTHREAD_COND_INITIALIZER;

static struct gate *gate_find_locked(const char *step_name)
{
    for (size_t i = 0; i < GATES_MAX; i++)
        if (gates[i].step_name != NULL && strcmp(gates[i].step_name, step_name) == 0)
            return &gates[i];
    return NULL;
}

static struct gate *gate_get_locked(const char *step_name)
{
    struct gate *gate = gate_find_locked(step_name);
    for (size_t i = 0; i < GATES_MAX && gate == NULL; i++)
        if (gates[i].step_name == NULL) {
            gate = &gates[i];
            *gate = (struct gate){.step_name = step_name};
        }
    assert_non_null(gate);
    return gate;
}

static void come_to_step(const char *name)
{
    pthread_mutex_lock(&gates_mutex);
    struct gate *gate = gate_find_locked(name);
    if (gate != NULL) {
        gate->hits++;
        if (gate->state == GATE_CLOSED && gate->passes-- == 0) {
            gate->state = GATE_STANDING;
            pthread_cond_broadcast(&gates_changed);
            while (gate->state == GATE_STANDING)
                pthread_cond_wait(&gates_changed, &gates_mutex);
        }
    }
    pthread_mutex_unlock(&gates_mutex);
}

void gates_begin(void)
{
    pthread_mutex_lock(&gates_mutex);
    memset(gates, 0, sizeof gates);
    pthread_mutex_unlock(&gates_mutex);
    steps_set(come_to_step);
}

void gates_end(void)
{
    steps_set(NULL);
}

void gate_close_after(const char *step_name, unsigned passes)
{
    pthread_mutex_lock(&gates_mutex);
    struct gate *gate = gate_get_locked(step_name);
    gate->state = GATE_CLOSED;
    gate->passes = passes;
    pthread_mutex_unlock(&gates_mutex);
}

void gate_close(const char *step_name)
{
    gate_close_after(step_name, 0);
}

void gate_count(const char *step_name)
{
    pthread_mutex_lock(&gates_mutex);
    gate_get_locked(step_name);
    pthread_mutex_unlock(&gates_mutex);
}

static bool gate_is_standing(const char *step_name)
{
    pthread_mutex_lock(&gates_mutex);
    bool standing = gate_get_locked(step_name)->state == GATE_STANDING;
    pthread_mutex_unlock(&gates_mutex);
    return standing;
}

void gate_await(const char *step_name)
{
    wait_until(gate_is_standing(step_name));
}

void gate_open(const char *step_name)
{
    pthread_mutex_lock(&gates_mutex);
    gate_get_locked(step_name)->state = GATE_OPEN;
    pthread_cond_broadcast(&gates_changed);
    pthread_mutex_unlock(&gates_mutex);
}

unsigned gate_hits(const char *step_name)
{
    pthread_mutex_lock(&gates_mutex);
    struct gate *gate = gate_find_locked(step_name);
    unsigned hits = gate != NULL ? gate->hits : 0;
    pthread_mutex_unlock(&gates_mutex);
    return hits;
}

/* ---- content ---- */

void content_fill(unsigned char *bytes, size_t length, uint64_t content)
{
    struct rng rng = {content};
    for (size_t done = 0; done < length; done += 8) {
        uint64_t word = rng_next(&rng);
        memcpy(bytes + done, &word, length - done < 8 ? length - done : 8);
    }
}

bool content_matches(const unsigned char *bytes, size_t length, uint64_t content)
{
    struct rng rng = {content};
    for (size_t done = 0; done < length; done += 8) {
        uint64_t word = rng_next(&rng);
        if (memcmp(bytes + done, &word, length - done < 8 ? length - done : 8) != 0)
            return false;
    }
    return true;
}

/* ---- pools ---- */

static bool lock_take_if_free(struct block *block)
{
    uint32_t expected = 0;
    return atomic_compare_exchange_strong_explicit(&block->lock, &expected, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

void block_lock(struct test_pool *pool, block_no number)
{
    struct block *block = &pool->block[number];
    lock_rank_waited(LOCK_RANK_SLOT);
    if (!lock_take_if_free(block)) {
        atomic_fetch_add_explicit(&block->waiting, 1, memory_order_relaxed);
        wait_until(lock_take_if_free(block));
        atomic_fetch_sub_explicit(&block->waiting, 1, memory_order_relaxed);
    }
    lock_rank_taken(LOCK_RANK_SLOT);
}

void block_unlock(struct test_pool *pool, block_no number)
{
    lock_rank_released(LOCK_RANK_SLOT);
    atomic_store_explicit(&pool->block[number].lock, 0, memory_order_release);
}

static bool owner_try_lock(void *context, block_no number, struct zpool_handle object)
{
    struct test_pool *pool = context;
    if (number >= pool->block_count || object.position == 0)
        return false;
    struct block *block = &pool->block[number];
    if (!lock_take_if_free(block))
        return false;
    if (block->object.position != object.position) {
        atomic_store_explicit(&block->lock, 0, memory_order_release);
        return false;
    }
    lock_rank_taken(LOCK_RANK_SLOT);
    return true;
}

static void owner_moved(void *context, block_no number, struct zpool_handle to)
{
    struct test_pool *pool = context;
    struct block *block = &pool->block[number];
    if (atomic_load_explicit(&block->lock, memory_order_relaxed) != 1)
        fault("block %u was moved without its lock", number);
    if (to.position == block->object.position)
        fault("block %u was moved to where it is", number);
    if (!content_matches(zpool_address(pool->zpool, to), block->length, block->content))
        fault("block %u was published at position %llu before its bytes were there", number,
              (unsigned long long)to.position);
    block->object = to;
    block_unlock(pool, number);
}

static void owner_unlock(void *context, block_no number)
{
    struct test_pool *pool = context;
    if (atomic_load_explicit(&pool->block[number].lock, memory_order_relaxed) != 1)
        fault("block %u was unlocked without its lock", number);
    block_unlock(pool, number);
}

const struct zpool_owner block_owner = {
    .try_lock = owner_try_lock,
    .moved = owner_moved,
    .unlock = owner_unlock,
};

void test_pool_make(struct test_pool *pool, const struct test_pool_options *options)
{
    unsigned arenas = options->arenas > 0 ? options->arenas : 64;
    *pool = (struct test_pool){
        .block_count = options->block_count > 0 ? options->block_count : 4096,
    };
    pool->block = calloc(pool->block_count, sizeof *pool->block);
    assert_non_null(pool->block);
    budget_init(&pool->budget, options->limit_pages > 0 ? options->limit_pages : UINT64_MAX);
    assert_int_equal(pages_create(arenas * ARENA_PAGES, &pool->budget, &pool->pages), 0);

    struct zpool_config config = {
        .pages = pool->pages,
        .owner = &block_owner,
        .owner_context = pool,
        .zspage_pages_max =
            options->zspage_pages > 0 ? options->zspage_pages : ZSPAGE_PAGES_DEFAULT,
    };
    assert_int_equal(zpool_create(options->driver, &config, &pool->zpool), 0);
}

void test_pool_end(struct test_pool *pool)
{
    zpool_destroy(pool->zpool);
    pages_destroy(pool->pages);
    assert_int_equal(atomic_load(&pool->budget.used_pages), 0);
    free(pool->block);
    assert_no_faults();
}

static void line_is_a_fault(void *context, const char *line)
{
    (void)context;
    fault("%s", line);
}

static void check_account(struct test_pool *pool)
{
    struct pages_account account;
    pages_account(pool->pages, &account);
    uint64_t resident = account.owned_resident + account.free_resident + account.word_pages +
                        account.bookkeeping_pages;
    uint64_t used = atomic_load(&pool->budget.used_pages);
    if (used != resident)
        fault("the budget says %llu pages, the account %llu", (unsigned long long)used,
              (unsigned long long)resident);
    if (account.owned_resident > account.owned_total)
        fault("%llu pages are owned, %llu of them resident",
              (unsigned long long)account.owned_total, (unsigned long long)account.owned_resident);
}

static void check_blocks(struct test_pool *pool)
{
    uint64_t raw = 0, driven = 0;
    for (block_no block = 0; block < pool->block_count; block++) {
        struct zpool_handle object = block_object(pool, block);
        if (object.position == 0)
            continue;
        block_read(pool, block);
        if (pool->block[block].length > pool->zpool->object_max_bytes)
            raw++;
        else
            driven++;
    }
    struct zpool_statistics statistics;
    zpool_statistics(pool->zpool, &statistics);
    if (statistics.raw_pages != raw)
        fault("raw_pages is %llu, but %llu blocks are raw",
              (unsigned long long)statistics.raw_pages, (unsigned long long)raw);
    if (pool->zpool->driver->class_statistics == NULL)
        return;
    struct zpool_class_statistics class;
    uint64_t used = 0;
    for (unsigned i = 0; zpool_class_statistics(pool->zpool, i, &class); i++)
        used += class.objects_used;
    if (used != driven)
        fault("the classes have %llu objects, the blocks %llu", (unsigned long long)used,
              (unsigned long long)driven);
}

void test_pool_check(struct test_pool *pool)
{
    struct report report = {.line = line_is_a_fault};
    pages_validate(pool->pages, &report);
    zpool_validate(pool->zpool, &report);
    check_account(pool);
    check_blocks(pool);
}

/* Puts an object into the locked block; what was in it before. */
static struct zpool_handle publish(struct test_pool *pool, block_no number,
                                   struct zpool_handle object, size_t length, uint64_t content)
{
    struct block *block = &pool->block[number];
    struct zpool_handle old = block->object;
    block->object = object;
    block->length = (uint32_t)length;
    block->content = content;
    return old;
}

static int make_object(struct test_pool *pool, block_no number, size_t length, uint64_t content,
                       struct zpool_handle *object)
{
    int error = zpool_alloc(pool->zpool, length, number, object);
    if (error != 0) {
        if (object->position != 0)
            fault("a failed zpool_alloc gave a handle");
        return error;
    }
    if (object->position == 0)
        fault("zpool_alloc gave no handle for block %u", number);
    content_fill(zpool_address(pool->zpool, *object), length, content);
    return 0;
}

int block_write(struct test_pool *pool, block_no number, size_t length, uint64_t content)
{
    struct zpool_handle object;
    int error = make_object(pool, number, length, content, &object);
    if (error != 0)
        return error;
    step("test: room taken, not published");
    block_lock(pool, number);
    struct zpool_handle old = publish(pool, number, object, length, content);
    block_unlock(pool, number);
    step("test: unpublished, not freed");
    if (old.position != 0)
        zpool_free(pool->zpool, old);
    return 0;
}

int block_write_locked(struct test_pool *pool, block_no number, size_t length, uint64_t content)
{
    struct zpool_handle object;
    block_lock(pool, number);
    int error = make_object(pool, number, length, content, &object);
    if (error == 0) {
        struct zpool_handle old = publish(pool, number, object, length, content);
        if (old.position != 0)
            zpool_free(pool->zpool, old);
    }
    block_unlock(pool, number);
    return error;
}

bool block_rewrite(struct test_pool *pool, block_no number, size_t length, uint64_t content)
{
    struct block *block = &pool->block[number];
    block_lock(pool, number);
    bool fits = block->object.position != 0 && zpool_same_room(pool->zpool, block->length, length);
    if (fits) {
        content_fill(zpool_address(pool->zpool, block->object), length, content);
        publish(pool, number, block->object, length, content);
    }
    block_unlock(pool, number);
    return fits;
}

void block_read(struct test_pool *pool, block_no number)
{
    struct block *block = &pool->block[number];
    block_lock(pool, number);
    if (block->object.position != 0 &&
        !content_matches(zpool_address(pool->zpool, block->object), block->length, block->content))
        fault("block %u has other bytes at position %llu than were written", number,
              (unsigned long long)block->object.position);
    block_unlock(pool, number);
}

void block_drop(struct test_pool *pool, block_no number)
{
    block_lock(pool, number);
    struct zpool_handle old = publish(pool, number, (struct zpool_handle){0}, 0, 0);
    block_unlock(pool, number);
    step("test: unpublished, not freed");
    if (old.position != 0)
        zpool_free(pool->zpool, old);
}

struct zpool_handle block_object(struct test_pool *pool, block_no number)
{
    block_lock(pool, number);
    struct zpool_handle object = pool->block[number].object;
    block_unlock(pool, number);
    return object;
}

static uint64_t count_resident(void *start, uint64_t pages)
{
    unsigned char *vector = malloc(pages);
    assert_non_null(vector);
    assert_int_equal(mincore(start, pages * PAGE_SIZE_BYTES, vector), 0);
    uint64_t count = 0;
    for (uint64_t i = 0; i < pages; i++)
        count += vector[i] & 1;
    free(vector);
    return count;
}

struct resident_pages resident_pages(const struct page_map *map, uint64_t arenas)
{
    return (struct resident_pages){
        .pool = count_resident(map->base, arenas * ARENA_PAGES),
        .words = count_resident((void *)(uintptr_t)map->words, arenas),
    };
}

/* ---- contracts ---- */

int run_for_every_driver(const char *group, const struct sentence *sentences, size_t count)
{
    size_t drivers = 0;
    while (zpool_driver_at(drivers) != NULL)
        drivers++;
    struct CMUnitTest *tests = calloc(drivers * count, sizeof *tests);
    char **names = calloc(drivers * count, sizeof *names);
    if (tests == NULL || names == NULL)
        abort();
    for (size_t i = 0; i < drivers * count; i++) {
        const struct zpool_driver *driver = zpool_driver_at(i / count);
        const struct sentence *sentence = &sentences[i % count];
        if (asprintf(&names[i], "%s: %s", driver->name, sentence->text) < 0)
            abort();
        tests[i] = (struct CMUnitTest){
            .name = names[i],
            .test_func = sentence->test,
            .initial_state = (void *)(uintptr_t)driver,
        };
    }
    int failed = _cmocka_run_group_tests(group, tests, drivers * count, NULL, NULL);
    for (size_t i = 0; i < drivers * count; i++)
        free(names[i]);
    free(names);
    free(tests);
    return failed;
}
