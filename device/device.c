/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c: making and ending a device, its statistics and its validation. Drawing: device.h.
 */
#include "device/device.h"

#include <errno.h>

#include "common/memory.h"
#include "device/device_internal.h"

/*
 * Addresses of the pool per byte of the device. An object's zspage can be mostly empty, and empty
 * pages of it cost addresses but no memory; when they run short, compaction finds some.
 */
#define POOL_ADDRESSES_FACTOR 2
#define POOL_ADDRESSES_EXTRA  (64 * MIB)

/*
 * What one stored block needs at least: the words of two arenas (objects, descriptors), the arenas'
 * bookkeeping, a page of slots, a page of descriptors and a page for the block.
 */
#define FLOOR_PAGES 6

/* And with `prefault`: half of the reserve is whole runs, and each arena that it is in has words.
 */
#define FLOOR_RUN_PAGES 8

/* How often a writer at the limit looks for memory before it is refused. */
#define RECLAIM_ATTEMPTS 4

static_assert(DEVICE_PRIORITY_COUNT == ROLE_COUNT, "a priority is a role");
static_assert(DEVICE_ZSPAGE_PAGES_MAX == ZSPAGE_PAGES_MAX, "what the pool takes, callers may give");

void device_config_init(struct device_config *config)
{
    *config = (struct device_config){
        .algorithm = {.codec = codec_find("lz4")},
        .zpool_driver = "zsmalloc",
        .zspage_pages_max = ZSPAGE_PAGES_DEFAULT,
    };
    config->algorithm.level = config->algorithm.codec->level_default;
}

static uint64_t blocks_of(uint64_t size_bytes)
{
    return (size_bytes + BLOCK_SIZE_BYTES - 1) / BLOCK_SIZE_BYTES;
}

uint64_t device_mem_floor_bytes(const struct device_config *config)
{
    uint64_t prefaulted = 0;
    if (config->prefault)
        prefaulted = (blocks_of(config->size_bytes) + SLOTS_PER_PAGE - 1) / SLOTS_PER_PAGE +
                     FLOOR_RUN_PAGES + config->reserve_bytes / ARENA_SIZE_BYTES;
    return (FLOOR_PAGES + prefaulted) * PAGE_SIZE_BYTES + config->reserve_bytes;
}

const char *device_zpool_driver_name(size_t index)
{
    const struct zpool_driver *driver = zpool_driver_at(index);
    return driver != NULL ? driver->name : NULL;
}

static uint64_t pool_pages(uint64_t block_count)
{
    uint64_t pages = block_count * POOL_ADDRESSES_FACTOR + POOL_ADDRESSES_EXTRA / PAGE_SIZE_BYTES;
    return pages < PAGE_COUNT_MAX ? pages : PAGE_COUNT_MAX;
}

static int create_parts(struct device *device, const struct device_config *config,
                        const struct zpool_driver *driver)
{
    uint64_t blocks_max = blocks_of(device->size_max_bytes);
    int error = slot_table_init(&device->slots, blocks_max, &device->budget);
    if (error != 0)
        return error;
    error = pages_create(pool_pages(blocks_max), &device->budget, &device->pages);
    if (error != 0)
        return error;
    struct zpool_config zpool_config = {
        .pages = device->pages,
        .owner = &device_owner,
        .owner_context = device,
        .zspage_pages_max =
            config->zspage_pages_max != 0 ? config->zspage_pages_max : ZSPAGE_PAGES_DEFAULT,
    };
    error = zpool_create(driver, &zpool_config, &device->zpool);
    if (error != 0)
        return error;
    error = streams_create(device->algorithms.entry, 0, &device->streams);
    if (error != 0)
        return error;
    error = streams_create(device->algorithms.entry, 1, &device->background);
    if (error == 0)
        algorithms_account(device);
    return error;
}

int device_create(const struct device_config *config, struct device **result)
{
    *result = NULL;
    const struct zpool_driver *driver =
        zpool_driver_find(config->zpool_driver != NULL ? config->zpool_driver : "zsmalloc");
    uint64_t limit = config->mem_limit_bytes;
    uint64_t size_max = config->size_max_bytes != 0 ? config->size_max_bytes : config->size_bytes;
    if (driver == NULL || config->algorithm.codec == NULL || config->size_bytes == 0 ||
        config->size_bytes > size_max || size_max > DEVICE_SIZE_MAX_BYTES ||
        (limit != 0 && limit < device_mem_floor_bytes(config)))
        return -EINVAL;

    struct device *device = memory_zalloc(sizeof *device);
    if (device == NULL)
        return -ENOMEM;
    atomic_init(&device->size_bytes, config->size_bytes);
    atomic_init(&device->block_count, blocks_of(config->size_bytes));
    device->size_max_bytes = size_max;
    device->prefault = config->prefault;
    algorithms_init(&device->algorithms, &config->algorithm);
    budget_init(&device->budget, limit != 0 ? limit / PAGE_SIZE_BYTES : UINT64_MAX);
    lock_init(&device->reclaim, LOCK_RANK_ADMIN);
    maintenance_init(&device->maintenance);
    atomic_init(&device->maintenance.settings.reserve, config->reserve_bytes);

    int error = create_parts(device, config, driver);
    if (error != 0) {
        device_destroy(device);
        return error;
    }
    *result = device;
    return 0;
}

/* What requests will touch is made resident, and stays so. */
static int prefault(struct device *device)
{
    uint64_t reserve = device_get(device, "reserve") / PAGE_SIZE_BYTES;
    int error = slot_table_populate(
        &device->slots, atomic_load_explicit(&device->block_count, memory_order_relaxed));
    if (error != 0)
        return error;
    pages_keep_ready(device->pages, maintenance_nudge, device);
    pages_refill(device->pages, reserve, UINT64_MAX);
    if (pages_free_resident(device->pages) >= reserve)
        return 0;
    return atomic_load(&device->budget.refused) != 0 ? -ENOSPC : -ENOMEM;
}

int device_start(struct device *device)
{
    if (device->prefault) {
        int error = prefault(device);
        if (error != 0)
            return error;
    }
    return maintenance_start(device);
}

void device_stop(struct device *device)
{
    maintenance_stop(device);
}

void device_destroy(struct device *device)
{
    if (device == NULL)
        return;
    maintenance_stop(device);
    streams_destroy(device->streams);
    streams_destroy(device->background);
    algorithms_fini(&device->algorithms);
    zpool_destroy(device->zpool);
    pages_destroy(device->pages);
    slot_table_fini(&device->slots);
    checked(atomic_load(&device->budget.used_pages) == 0);
    maintenance_fini(&device->maintenance);
    memory_free(device);
}

uint64_t device_size_bytes(const struct device *device)
{
    return atomic_load_explicit(&device->size_bytes, memory_order_relaxed);
}

int device_set(struct device *device, const char *setting, uint64_t value)
{
    const struct setting_row *row = setting_find(setting);
    return row != NULL ? setting_set(&device->maintenance.settings, row, value) : -ENOENT;
}

uint64_t device_get(const struct device *device, const char *setting)
{
    const struct setting_row *row = setting_find(setting);
    checked(row != NULL);
    return setting_get(&device->maintenance.settings, row);
}

bool device_reclaim(struct device *device, unsigned attempt)
{
    struct zpool_quota quota = {.objects = UINT64_MAX};
    struct counter_shard *shard = counters_shard(&device->counters);
    if (attempt > RECLAIM_ATTEMPTS)
        return false;
    if (attempt > 1) {
        if (recompress_for_room(device) == 0)
            return false;
        counter_add(shard, COUNT_LIMIT_RECOMPRESSIONS, 1);
    } else {
        counter_add(shard, COUNT_LIMIT_RECLAIMS, 1);
    }
    zpool_compact(device->zpool, &quota);
    zpool_settle(device->zpool, &quota);
    pages_trim(device->pages, 0, UINT64_MAX);
    return true;
}

int device_set_algorithm(struct device *device, unsigned priority, const struct codec *codec,
                         int level, const void *dictionary, size_t dictionary_bytes)
{
    lock_acquire(&device->reclaim);
    int error = algorithms_set(device, priority, codec, level, dictionary, dictionary_bytes);
    recompress_keep_room(device);
    lock_release(&device->reclaim);
    return error;
}

bool device_get_algorithm(struct device *device, unsigned priority, const struct codec **codec,
                          int *level, size_t *dictionary_bytes)
{
    const struct algorithm *algorithm = NULL;
    lock_acquire(&device->reclaim);
    if (priority < ROLE_COUNT)
        algorithm = algorithms_of_role(&device->algorithms, priority);
    if (algorithm != NULL) {
        *codec = algorithm->codec;
        *level = algorithm->level;
        *dictionary_bytes = algorithm->dictionary != NULL
                                ? algorithm->codec->dictionary_bytes(algorithm->dictionary)
                                : 0;
    }
    lock_release(&device->reclaim);
    return algorithm != NULL;
}

int device_mark_idle(struct device *device, uint64_t seconds)
{
    struct slot_table *slots = &device->slots;
    uint64_t known = atomic_load(&device->maintenance.settings.recompress_age);
    if (seconds > known)
        return -ERANGE;
    /* Of age 2 is what one whole pass of the hand has found untouched since the last. */
    unsigned age_min = seconds == 0 ? 0 : seconds <= known / 2 ? 2 : SLOT_AGE_MAX;
    for (uint64_t page = slot_table_next_used(slots, 0); page < slots->page_count;
         page = slot_table_next_used(slots, page + 1))
        for (unsigned i = 0; i < SLOTS_PER_PAGE; i++) {
            block_no block = (block_no)(page * SLOTS_PER_PAGE + i);
            struct slot slot = slot_peek(slots, block);
            /* One that is locked is being accessed, or moved: then once more. */
            for (int turn = 0;
                 turn < 2 && slot_can_age(slot) && !slot_is_idle(slot) && slot_age(slot) >= age_min;
                 turn++) {
                struct slot idle = {slot.word | SLOT_IDLE_BIT};
                if (slot_mark_try(slots, block, slot, idle))
                    break;
                slot = slot_peek(slots, block);
            }
        }
    return 0;
}

void device_statistics(struct device *device, struct device_statistics *statistics)
{
    struct pages_account account;
    struct zpool_statistics zpool;
    struct budget *budget = &device->budget;
    struct counters *counters = &device->counters;
    const struct recompress *recompress = &device->recompress;

    pages_account(device->pages, &account);
    zpool_statistics(device->zpool, &zpool);
    uint64_t limit = atomic_load_explicit(&budget->limit_pages, memory_order_relaxed);
    uint64_t descriptor_pages = zpool.descriptor_bytes / PAGE_SIZE_BYTES;
    *statistics = (struct device_statistics){
        .disksize = device_size_bytes(device),
        .orig_data_size = counters_sum(counters, COUNT_BLOCKS_STORED) * BLOCK_SIZE_BYTES,
        .compr_data_size = counters_sum(counters, COUNT_COMPRESSED_BYTES),
        .mem_used_total = atomic_load(&budget->used_pages) * PAGE_SIZE_BYTES,
        .connections = atomic_load_explicit(&device->connections, memory_order_relaxed),
        .mem_limit = limit != UINT64_MAX ? limit * PAGE_SIZE_BYTES : 0,
        .mem_used_max = atomic_load(&budget->max_pages) * PAGE_SIZE_BYTES,
        .same_pages = counters_sum(counters, COUNT_SAME),
        .huge_pages = counters_sum(counters, COUNT_HUGE),
        .huge_pages_since = counters_sum(counters, COUNT_HUGE_SINCE),
        .pages_compacted = zpool.pages_compacted,
        .reads = counters_sum(counters, COUNT_READS),
        .writes = counters_sum(counters, COUNT_WRITES),
        .writes_in_place = counters_sum(counters, COUNT_WRITES_IN_PLACE),
        .writes_partial = counters_sum(counters, COUNT_WRITES_PARTIAL),
        .failed_reads = counters_sum(counters, COUNT_FAILED_READS),
        .failed_writes = counters_sum(counters, COUNT_FAILED_WRITES),
        .invalid_io = counters_sum(counters, COUNT_INVALID_IO),
        .notify_free = counters_sum(counters, COUNT_NOTIFY_FREE),
        .limit_hits = atomic_load(&budget->refused),
        .objects_moved = zpool.objects_moved,
        .moves_skipped = zpool.moves_skipped,
        .pool_used = (account.owned_resident - descriptor_pages) * PAGE_SIZE_BYTES,
        .pool_free = account.free_resident * PAGE_SIZE_BYTES,
        .slot_table = atomic_load(&device->slots.used_pages) * PAGE_SIZE_BYTES,
        .mem_desc_words = account.word_pages * PAGE_SIZE_BYTES,
        .descriptors = zpool.descriptor_bytes,
        .arena_bookkeeping = account.bookkeeping_pages * PAGE_SIZE_BYTES,
        .streams_memory = atomic_load(&device->algorithms.streams_bytes),
        .dictionaries = atomic_load(&device->algorithms.dictionaries_bytes),
        .reserve_target = atomic_load(&device->maintenance.settings.reserve),
        .reserve_misses = account.touch_misses,
        .pages_purged = account.purged,
        .maintenance_steps = atomic_load(&device->maintenance.steps),
        .maintenance_passes = atomic_load(&device->maintenance.passes),
        .pressure_passes = atomic_load(&device->maintenance.pressure_passes),
        .arenas_emptied = atomic_load(&device->maintenance.arenas_emptied),
        .longest_step = atomic_load(&device->maintenance.longest_step_us),
        .recompress_tried = atomic_load(&recompress->tried),
        .recompressed = atomic_load(&recompress->gained),
        .recompress_poor = atomic_load(&recompress->poor),
        .recompress_dropped = atomic_load(&recompress->dropped),
        .recompress_refused = atomic_load(&recompress->refused),
        .recompress_saved = atomic_load(&recompress->saved_bytes),
        .recompress_time = atomic_load(&recompress->time_us),
        .soft_limit_passes = atomic_load(&device->maintenance.soft_limit_passes),
        .limit_reclaims = counters_sum(counters, COUNT_LIMIT_RECLAIMS),
        .limit_recompressions = counters_sum(counters, COUNT_LIMIT_RECOMPRESSIONS),
        .limit_refusals = counters_sum(counters, COUNT_LIMIT_REFUSALS),
    };
    if (device->server_statistics != NULL)
        device->server_statistics(statistics);
    statistics_forget(statistics, &device->forgotten);
}

void device_set_server_statistics(struct device *device, device_server_statistics *add)
{
    device->server_statistics = add;
}

/* What all slots say together, to be compared with what is counted. */
struct recount {
    uint64_t stored, bytes, same, huge, objects;
};

static void recount_slot(struct recount *recount, struct slot slot)
{
    recount->stored += slot_kind(slot) != SLOT_EMPTY;
    recount->bytes += slot_length(slot);
    recount->same += slot_is_same_filled(slot);
    recount->huge += slot_kind(slot) == SLOT_RAW;
    recount->objects += slot_has_object(slot) && slot_kind(slot) != SLOT_RAW;
}

static void check_raw(struct device *device, block_no block, struct slot slot,
                      struct report *report)
{
    pfn page = zpool_handle_page(slot_object(slot));
    struct mem_desc desc = pages_desc(pages_map(device->pages), page);
    if (mem_desc_type(desc) != MEM_DESC_RAW || mem_desc_value(desc) != block)
        report_fault(report, "block %u: raw on pfn %u, whose mem_desc says %s of %llu", block, page,
                     mem_desc_type_name(mem_desc_type(desc)),
                     (unsigned long long)mem_desc_value(desc));
}

static void check_count(struct report *report, const char *name, uint64_t counted,
                        uint64_t expected)
{
    if (counted != expected)
        report_fault(report, "%s is %llu, expected %llu, the sum over all slots", name,
                     (unsigned long long)counted, (unsigned long long)expected);
}

void device_validate(struct device *device, struct report *report)
{
    struct recount recount = {0};
    struct slot_table *slots = &device->slots;
    for (uint64_t page = slot_table_next_used(slots, 0); page < slots->page_count;
         page = slot_table_next_used(slots, page + 1))
        for (unsigned i = 0; i < SLOTS_PER_PAGE; i++) {
            uint64_t block = page * SLOTS_PER_PAGE + i;
            if (block >= device->block_count)
                break;
            struct slot slot = slot_peek(slots, (block_no)block);
            recount_slot(&recount, slot);
            if (slot_kind(slot) == SLOT_RAW)
                check_raw(device, (block_no)block, slot, report);
        }

    struct counters *counters = &device->counters;
    check_count(report, "blocks stored", counters_sum(counters, COUNT_BLOCKS_STORED),
                recount.stored);
    check_count(report, "compressed bytes", counters_sum(counters, COUNT_COMPRESSED_BYTES),
                recount.bytes);
    check_count(report, "same-filled blocks", counters_sum(counters, COUNT_SAME), recount.same);
    check_count(report, "huge blocks", counters_sum(counters, COUNT_HUGE), recount.huge);

    struct zpool_statistics zpool;
    zpool_statistics(device->zpool, &zpool);
    check_count(report, "raw pages", zpool.raw_pages, recount.huge);
    struct zpool_class_statistics class;
    uint64_t objects = 0;
    for (unsigned i = 0; zpool_class_statistics(device->zpool, i, &class); i++)
        objects += class.objects_used;
    check_count(report, "objects used", objects, recount.objects);

    pages_validate(device->pages, report);
    zpool_validate(device->zpool, report);
}
