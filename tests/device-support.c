/* SPDX-License-Identifier: BSD-3-Clause */
/* device-support.c: see device-support.h. */
#include "tests/device-support.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"

/* ThreadSanitizer slows everything down: its runs do less. */
#define TSAN_DIVISOR 4

#define PAGES_PER_MINCORE 65536

static const char *watched_program;

void must_failed(const char *file, int line, const char *condition)
{
    printf("# %s:%d: false: %s (UZRAM_SEED=%" PRIu64 ")\n", file, line, condition, test_seed());
    fflush(stdout);
    abort();
}

static void on_alarm(int signal_number)
{
    static const char text[] = "# hangs: ";
    (void)signal_number;
    (void)!write(STDOUT_FILENO, text, sizeof text - 1);
    (void)!write(STDOUT_FILENO, watched_program, strlen(watched_program));
    (void)!write(STDOUT_FILENO, "\n", 1);
    abort();
}

void watchdog_start(const char *program, unsigned seconds)
{
    watched_program = program;
    signal(SIGALRM, on_alarm);
    alarm(seconds);
}

static uint64_t seed;

static void find_seed(void)
{
    const char *text = getenv("UZRAM_SEED");
    seed = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
    print_message("# UZRAM_SEED=%" PRIu64 "\n", seed);
}

uint64_t test_seed(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_seed);
    return seed;
}

uint64_t test_scaled(uint64_t iterations)
{
    const char *text = getenv("UZRAM_TEST_SCALE");
    double factor = text != NULL ? strtod(text, NULL) : 1.0;
    if (TEST_UNDER_TSAN)
        factor /= TSAN_DIVISOR;
    double scaled = (double)iterations * factor;
    return scaled < 1 ? 1 : (uint64_t)scaled;
}

struct rng rng_of(uint64_t stream)
{
    struct rng rng = {test_seed() * UINT64_C(0x9e3779b97f4a7c15) ^ stream};
    rng_next(&rng);
    return rng;
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)rng_next(rng) * bound >> 64);
}

bool rng_percent(struct rng *rng, unsigned percent)
{
    return rng_below(rng, 100) < percent;
}

static void fill_random(unsigned char *bytes, size_t count, struct rng *rng)
{
    for (; count >= 8; count -= 8, bytes += 8) {
        uint64_t word = rng_next(rng);
        memcpy(bytes, &word, 8);
    }
    uint64_t word = rng_next(rng);
    memcpy(bytes, &word, count);
}

static void fill_with_word(unsigned char *bytes, size_t count, uint64_t word)
{
    for (; count >= 8; count -= 8, bytes += 8)
        memcpy(bytes, &word, 8);
    memcpy(bytes, &word, count);
}

void content_fill(void *buffer, size_t bytes, enum content_kind kind, uint64_t content_seed)
{
    struct rng rng = {content_seed};
    uint64_t word = rng_next(&rng);
    unsigned char *out = buffer;

    switch (kind) {
    case CONTENT_ZERO:
        memset(out, 0, bytes);
        return;
    case CONTENT_SAME_SHORT:
        fill_with_word(out, bytes, (uint64_t)((int64_t)word >> 12) | 1);
        return;
    case CONTENT_SAME_HALF:
        word = word << 32 >> 32 | 0x40000001;
        fill_with_word(out, bytes, word << 32 | word);
        return;
    case CONTENT_SAME_LONG:
        fill_with_word(out, bytes, (word | UINT64_C(1) << 62) & ~(UINT64_C(1) << 63));
        return;
    case CONTENT_SMALL:
        fill_with_word(out, bytes, word);
        if (bytes >= 64)
            fill_random(out + bytes / 2, 8 + word % 24 / 2, &rng);
        return;
    case CONTENT_MIXED: {
        size_t random_bytes = (size_t)(rng_next(&rng) % (bytes + 1));
        fill_random(out, random_bytes, &rng);
        fill_with_word(out + random_bytes, bytes - random_bytes, word);
        return;
    }
    default:
        fill_random(out, bytes, &rng);
    }
}

void content_of_length(void *block, size_t length, uint64_t content_seed)
{
    struct rng rng = {content_seed ^ UINT64_C(0x5eed) << 48};
    memset(block, 0, BLOCK_SIZE_BYTES);
    fill_random(block, length, &rng);
    *(unsigned char *)block |= 1; /* never all zeros */
}

void content_of_letters(void *block, size_t length, uint64_t content_seed)
{
    unsigned char *letters = block;
    content_of_length(block, length, content_seed);
    for (size_t i = 0; i < length; i++)
        letters[i] = 'A' + letters[i] % 32;
}

struct device_config config_of_size(uint64_t size_bytes)
{
    struct device_config config;
    device_config_init(&config);
    config.size_bytes = size_bytes;
    return config;
}

struct device *device_of(const struct device_config *config)
{
    struct device *device;
    must(device_create(config, &device) == 0);
    return device;
}

struct device *device_of_size(uint64_t size_bytes)
{
    struct device_config config = config_of_size(size_bytes);
    return device_of(&config);
}

static void print_fault(void *context, const char *line)
{
    (void)context;
    print_message("# validator: %s\n", line);
}

static void slots_must_be_free_and_counted(const struct device *device)
{
    const struct slot_table *slots = &device->slots;
    uint64_t used = 0;
    for (uint64_t page = slot_table_next_used(slots, 0); page < slots->page_count;
         page = slot_table_next_used(slots, page + 1)) {
        used++;
        for (uint64_t i = 0; i < SLOTS_PER_PAGE; i++) {
            uint64_t word = atomic_load(&slots->words[page * SLOTS_PER_PAGE + i]);
            must(!(word & (SLOT_LOCK_BIT | SLOT_PARK_BIT)));
            must(page * SLOTS_PER_PAGE + i < device->block_count || word == 0);
        }
    }
    must(used == atomic_load(&slots->used_pages));
    for (unsigned i = 0; i < PARKING_LOT_COUNT; i++)
        must(atomic_load(&slots->lot[i].sleepers) == 0);
}

static void memory_must_add_up(struct device *device)
{
    struct device_statistics now = device_statistics_now(device);
    must(now.mem_used_total == now.pool_used + now.pool_free + now.slot_table + now.mem_desc_words +
                                   now.descriptors + now.arena_bookkeeping);
    must(now.mem_limit == 0 || now.mem_used_total <= now.mem_limit);
    must(now.mem_used_max >= now.mem_used_total);
    must(now.mem_limit == 0 || now.mem_used_max <= now.mem_limit + now.slot_table);
}

void device_must_be_valid(struct device *device)
{
    struct report report = {.line = print_fault};
    device_validate(device, &report);
    must(report.faults == 0);
    slots_must_be_free_and_counted(device);
    memory_must_add_up(device);
}

void device_finish(struct device *device)
{
    device_stop(device);
    device_must_be_valid(device);
    device_destroy(device);
}

struct device_statistics device_statistics_now(struct device *device)
{
    struct device_statistics statistics;
    device_statistics(device, &statistics);
    return statistics;
}

struct slot device_slot(const struct device *device, block_no block)
{
    if (!slot_table_is_used(&device->slots, block))
        return slot_empty();
    return slot_peek(&device->slots, block);
}

uint64_t resident_pages(const void *start, size_t bytes)
{
    static unsigned char is_resident[PAGES_PER_MINCORE];
    uint64_t resident = 0;
    size_t page_count = bytes / PAGE_SIZE_BYTES;
    for (size_t first = 0; first < page_count; first += PAGES_PER_MINCORE) {
        size_t count = page_count - first;
        if (count > PAGES_PER_MINCORE)
            count = PAGES_PER_MINCORE;
        uintptr_t address = (uintptr_t)start + first * PAGE_SIZE_BYTES;
        must(mincore((void *)address, count * PAGE_SIZE_BYTES, is_resident) == 0);
        for (size_t i = 0; i < count; i++)
            resident += is_resident[i] & 1;
    }
    return resident;
}

uint64_t device_resident_pool_pages(const struct device *device)
{
    const struct page_map *map = pages_map(device->pages);
    return resident_pages(map->base, map->page_count * PAGE_SIZE_BYTES);
}

int file_of_line(const char *line)
{
    int file = memfd_create("line", MFD_CLOEXEC);
    must(file >= 0 && write(file, line, strlen(line)) == (ssize_t)strlen(line));
    return file;
}

static uint64_t number_in_file(const char *path, const char *format)
{
    char line[256];
    uint64_t number = UINT64_MAX;
    FILE *file = fopen(path, "r");
    must(file != NULL);
    while (number == UINT64_MAX && fgets(line, sizeof line, file) != NULL) {
        unsigned long found;
        size_t prefix = strlen(format);
        if (strncmp(line, format, prefix) == 0 && sscanf(line + prefix, "%lu", &found) == 1)
            number = found;
    }
    fclose(file);
    must(number != UINT64_MAX);
    return number;
}

uint64_t process_resident_bytes(void)
{
    return number_in_file("/proc/self/smaps_rollup", "Rss:") * KIB;
}

uint64_t process_address_bytes(void)
{
    return number_in_file("/proc/self/status", "VmSize:") * KIB;
}
