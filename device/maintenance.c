/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/maintenance.h"

#include <errno.h>
#include <time.h>

#include "common/clock.h"
#include "common/steps.h"
#include "device/device_internal.h"

/* How long to sleep: as long as the reserve holds, twice as long each time. */
#define SLEEP_MIN_MS 1
#define SLEEP_MAX_MS 100

/* What one step does at most, of work that is counted in pages: about a millisecond. */
#define STEP_PAGES      1024
#define STEP_SLOT_PAGES 512

/* Free resident pages are left alone up to this multiple of the reserve, and some. */
#define RESERVE_SLACK 2

/* Steps of a pass: more means that objects stay busy, or that writers undo the work at once. */
#define PASS_STEPS_MAX 65536

/* Steps while the device is busy, each time it is looked for waste. */
#define BUSY_STEPS_MAX 16

/* How often waste and pressure are looked at, and a pass is made for pressure that lasts. */
#define WASTE_LOOK_US    100000
#define PRESSURE_PASS_US 5000000

void maintenance_init(struct maintenance *maintenance)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&maintenance->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&maintenance->mutex, NULL);
    settings_init(&maintenance->settings);
}

void maintenance_fini(struct maintenance *maintenance)
{
    pthread_cond_destroy(&maintenance->wake);
    pthread_mutex_destroy(&maintenance->mutex);
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void note_step(struct maintenance *maintenance, uint64_t started_us)
{
    uint64_t took = clock_now_us() - started_us;
    count(&maintenance->steps);
    if (took > atomic_load_explicit(&maintenance->longest_step_us, memory_order_relaxed))
        atomic_store_explicit(&maintenance->longest_step_us, took, memory_order_relaxed);
}

static uint64_t read_setting(const _Atomic uint64_t *setting)
{
    return atomic_load_explicit(setting, memory_order_relaxed);
}

static uint64_t reserve_pages(struct device *device)
{
    return read_setting(&device->maintenance.settings.reserve) / PAGE_SIZE_BYTES;
}

static struct zpool_quota step_quota(struct device *device)
{
    const struct settings *settings = &device->maintenance.settings;
    return (struct zpool_quota){
        .objects = read_setting(&settings->step_objects),
        .until_us = clock_now_us() + read_setting(&settings->step_us),
    };
}

static uint64_t count_requests(struct device *device)
{
    return counters_sum(&device->counters, COUNT_WRITES) +
           counters_sum(&device->counters, COUNT_NOTIFY_FREE) +
           counters_sum(&device->counters, COUNT_READS);
}

/* What may have left gaps in the pool. */
static uint64_t count_changes(struct device *device)
{
    return counters_sum(&device->counters, COUNT_WRITES) +
           counters_sum(&device->counters, COUNT_NOTIFY_FREE) +
           atomic_load_explicit(&device->recompress.gained, memory_order_relaxed);
}

static bool is_stopping(struct maintenance *maintenance)
{
    pthread_mutex_lock(&maintenance->mutex);
    bool stopping = maintenance->is_stopping;
    pthread_mutex_unlock(&maintenance->mutex);
    return stopping;
}

/* Keeps the reserve between its target and a little more. True if writers had taken from it. */
static bool keep_reserve(struct device *device)
{
    uint64_t target = reserve_pages(device);
    uint64_t started = clock_now_us();
    lock_acquire(&device->reclaim);
    uint64_t refilled = pages_refill(device->pages, target, STEP_PAGES);
    if (pages_free_resident(device->pages) > target * RESERVE_SLACK + STEP_PAGES)
        pages_trim(device->pages, target, STEP_PAGES);
    lock_release(&device->reclaim);
    note_step(&device->maintenance, started);
    return refilled > 0;
}

/*
 * Between two steps of what takes long: makes up for what writers have taken from the reserve
 * meanwhile, if that is much. False: the thread is to end.
 */
static bool may_go_on(struct device *device)
{
    struct maintenance *maintenance = &device->maintenance;
    step("maintenance: between two steps");
    if (atomic_exchange_explicit(&maintenance->is_nudged, false, memory_order_relaxed))
        (void)keep_reserve(device);
    return !is_stopping(maintenance);
}

static bool compact_step(struct device *device)
{
    struct zpool_quota quota = step_quota(device);
    zpool_compact(device->zpool, &quota);
    return quota.objects == 0;
}

static uint64_t occupied_arenas(const struct pages_account *account)
{
    return account->arenas_active - account->arenas_empty;
}

/* Whether the arena has all pages that can move: to empty it would only fill another. */
static bool has_all_movable_pages(struct device *device, uint64_t arena,
                                  const struct pages_account *account)
{
    struct zpool_statistics zpool;
    zpool_statistics(device->zpool, &zpool);
    uint64_t owned = 0;
    for (uint64_t page = arena * ARENA_PAGES; page < (arena + 1) * ARENA_PAGES; page++) {
        enum mem_desc_type type = mem_desc_type(pages_desc(pages_map(device->pages), (pfn)page));
        owned += type >= MEM_DESC_RESERVED && type != MEM_DESC_GUARD;
    }
    return owned >= account->owned_total - zpool.descriptor_bytes / PAGE_SIZE_BYTES;
}

/*
 * Moves everything out of the sparsest arena, if the pool fills less than sparse_percent of the
 * arenas it is in. More than one step may be needed for one arena. Ends when that saves no arena:
 * what is moved may need runs that the other arenas haven't, and so a new one.
 */
static bool empty_arena_step(struct device *device)
{
    struct maintenance *maintenance = &device->maintenance;
    struct pages_account account;
    pages_account(device->pages, &account);
    uint64_t percent = read_setting(&maintenance->settings.sparse_percent);
    uint64_t room = occupied_arenas(&account) * ARENA_PAGES;
    if (account.owned_total * 100 >= room * percent)
        return false;

    uint64_t arena = pages_sparse_arena(device->pages, ARENA_PAGES / 2);
    if (arena == UINT64_MAX || has_all_movable_pages(device, arena, &account))
        return false;
    struct zpool_quota quota = step_quota(device);
    int error = zpool_migrate(device->zpool, (pfn)(arena << ARENA_SHIFT), ARENA_PAGES, &quota);
    if (error != 0)
        return quota.objects == 0;

    count(&maintenance->arenas_emptied);
    pages_account(device->pages, &account);
    uint64_t occupied_before = maintenance->occupied_arenas;
    maintenance->occupied_arenas = occupied_arenas(&account);
    return maintenance->occupied_arenas < occupied_before;
}

static bool settle_step(struct device *device)
{
    if (device->prefault)
        return false; /* the pages behind the last object are what the next writer is to find */
    struct zpool_quota quota = step_quota(device);
    zpool_settle(device->zpool, &quota);
    return quota.objects == 0;
}

/* With `prefault`, what pages_refill has made for the sake of runs is no surplus. */
static bool trim_step(struct device *device)
{
    uint64_t keep = reserve_pages(device);
    if (device->prefault)
        keep += keep / 2;
    return pages_trim(device->pages, keep, STEP_PAGES) == STEP_PAGES;
}

/* Looks at some pages of the slot table; gives back those whose blocks are all empty. */
static bool sweep_slots_step(struct device *device)
{
    struct maintenance *maintenance = &device->maintenance;
    for (unsigned i = 0; i < STEP_SLOT_PAGES; i++) {
        uint64_t page = slot_table_next_used(&device->slots, maintenance->next_slot_page);
        if (page == device->slots.page_count) {
            maintenance->next_slot_page = 0;
            return false;
        }
        if (slot_table_discard(&device->slots, (block_no)(page * SLOTS_PER_PAGE)))
            count(&maintenance->slot_pages_given_back);
        maintenance->next_slot_page = page + 1;
    }
    return true;
}

/* Frees what no block is compressed with any more. */
static bool sweep_algorithms_step(struct device *device)
{
    algorithms_sweep(device);
    return false;
}

/* The work of a pass in order; each returns true while there is more of it. */
static bool (*const pass_steps[])(struct device *) = {
    compact_step, empty_arena_step, settle_step, trim_step, sweep_slots_step, sweep_algorithms_step,
};

/*
 * Does all there is to do. Breaks off when it is to stop or, unless it is urgent, when requests
 * come. True if it got to the end.
 */
static bool do_pass(struct device *device, bool urgent)
{
    struct maintenance *maintenance = &device->maintenance;
    uint64_t requests = count_requests(device);
    unsigned steps = 0;
    struct pages_account account;
    pages_account(device->pages, &account);
    maintenance->occupied_arenas = occupied_arenas(&account);
    for (size_t i = 0; i < array_count(pass_steps); i++) {
        bool more = true;
        while (more && steps++ < PASS_STEPS_MAX) {
            if (!may_go_on(device) || (!urgent && count_requests(device) != requests))
                return false;
            uint64_t started = clock_now_us();
            lock_acquire(&device->reclaim);
            more = pass_steps[i](device);
            lock_release(&device->reclaim);
            note_step(maintenance, started);
        }
    }
    count(&maintenance->passes);
    return true;
}

/*
 * Whether more than waste_percent of the pool's resident pages holds nothing: places that objects
 * have left, pages behind them. Raw pages and descriptors are never waste.
 */
static bool is_wasteful(struct device *device)
{
    struct zpool_class_statistics class;
    struct zpool_statistics zpool;
    struct pages_account account;
    uint64_t used_bytes = 0;
    for (unsigned i = 0; zpool_class_statistics(device->zpool, i, &class); i++)
        used_bytes += class.bytes_used;
    zpool_statistics(device->zpool, &zpool);
    pages_account(device->pages, &account);
    used_bytes += zpool.raw_pages * PAGE_SIZE_BYTES + zpool.descriptor_bytes;

    uint64_t resident_bytes = account.owned_resident * PAGE_SIZE_BYTES;
    uint64_t percent = read_setting(&device->maintenance.settings.waste_percent);
    return resident_bytes > used_bytes &&
           (resident_bytes - used_bytes) * 100 > resident_bytes * percent;
}

/* Compacts and settles in bounded steps while there is waste, although requests come. */
static void tidy_busy_device(struct device *device)
{
    struct maintenance *maintenance = &device->maintenance;
    bool more = true;
    for (unsigned i = 0; i < BUSY_STEPS_MAX && more && is_wasteful(device); i++) {
        if (!may_go_on(device))
            return;
        uint64_t started = clock_now_us();
        lock_acquire(&device->reclaim);
        more = compact_step(device) || settle_step(device);
        lock_release(&device->reclaim);
        note_step(maintenance, started);
    }
}

/* Whether the system is short of memory, and no pass was made for that lately. */
static bool is_pressed(struct device *device, uint64_t now_us)
{
    struct maintenance *maintenance = &device->maintenance;
    if (now_us < maintenance->pressure_due_us)
        return false;
    if (pressure_read(&maintenance->pressure) <
        read_setting(&maintenance->settings.pressure_percent) * 100)
        return false;
    maintenance->pressure_due_us = now_us + PRESSURE_PASS_US;
    count(&maintenance->pressure_passes);
    return true;
}

/* Whether mem_limit is near, and no pass was made for that lately. */
static bool is_near_limit(struct device *device, uint64_t now_us)
{
    struct maintenance *maintenance = &device->maintenance;
    uint64_t limit = atomic_load_explicit(&device->budget.limit_pages, memory_order_relaxed);
    uint64_t used = atomic_load_explicit(&device->budget.used_pages, memory_order_relaxed);
    if (now_us < maintenance->soft_due_us || limit == UINT64_MAX ||
        used * 100 < limit * read_setting(&maintenance->settings.soft_percent))
        return false;
    maintenance->soft_due_us = now_us + PRESSURE_PASS_US;
    count(&maintenance->soft_limit_passes);
    return true;
}

/* Sleeps until it is woken or the time is over. False: the thread is to end. */
static bool sleep_ms(struct maintenance *maintenance, unsigned ms, bool *kicked)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;

    pthread_mutex_lock(&maintenance->mutex);
    int error = 0;
    while (!maintenance->is_stopping && !maintenance->is_kicked &&
           !atomic_load_explicit(&maintenance->is_nudged, memory_order_relaxed) &&
           error != ETIMEDOUT)
        error = pthread_cond_timedwait(&maintenance->wake, &maintenance->mutex, &until);
    *kicked = maintenance->is_kicked;
    maintenance->is_kicked = false;
    atomic_store_explicit(&maintenance->is_nudged, false, memory_order_relaxed);
    bool go_on = !maintenance->is_stopping;
    pthread_mutex_unlock(&maintenance->mutex);
    return go_on;
}

static void *maintain(void *context)
{
    struct device *device = context;
    struct maintenance *maintenance = &device->maintenance;
    unsigned ms = SLEEP_MAX_MS;
    bool urgent;

    while (sleep_ms(maintenance, ms, &urgent)) {
        step("maintenance: awake");
        bool was_taken = keep_reserve(device);
        ms = was_taken ? SLEEP_MIN_MS : ms * 2 < SLEEP_MAX_MS ? ms * 2 : SLEEP_MAX_MS;
        uint64_t now = clock_now_us();
        recompress_turn(device);
        if (!urgent && now < maintenance->waste_due_us)
            continue;
        maintenance->waste_due_us = now + WASTE_LOOK_US;
        urgent |= is_pressed(device, now);
        bool near_limit = is_near_limit(device, now);
        urgent |= near_limit;

        uint64_t requests = count_requests(device), changes = count_changes(device);
        bool quiet = requests == maintenance->seen_requests;
        maintenance->seen_requests = requests;
        if (urgent || (quiet && changes != maintenance->done_changes)) {
            if (do_pass(device, urgent))
                maintenance->done_changes = changes;
            if (near_limit)
                recompress_hurry(device);
            step("maintenance: after a pass");
        } else if (!quiet) {
            tidy_busy_device(device);
        }
    }
    return NULL;
}

int maintenance_start(struct device *device)
{
    struct maintenance *maintenance = &device->maintenance;
    if (maintenance->is_running)
        return 0;
    maintenance->is_stopping = false;
    pressure_open(&maintenance->pressure);
    int error = pthread_create(&maintenance->thread, NULL, maintain, device);
    if (error != 0) {
        pressure_close(&maintenance->pressure);
        return -error;
    }
    (void)pthread_setname_np(maintenance->thread, "uzram-maintain");
    maintenance->is_running = true;
    return 0;
}

static void wake(struct maintenance *maintenance, bool *flag)
{
    pthread_mutex_lock(&maintenance->mutex);
    *flag = true;
    pthread_cond_signal(&maintenance->wake);
    pthread_mutex_unlock(&maintenance->mutex);
    step("maintenance: told");
}

void maintenance_stop(struct device *device)
{
    struct maintenance *maintenance = &device->maintenance;
    if (!maintenance->is_running)
        return;
    wake(maintenance, &maintenance->is_stopping);
    pthread_join(maintenance->thread, NULL);
    pressure_close(&maintenance->pressure);
    maintenance->is_running = false;
}

void maintenance_kick(struct device *device)
{
    wake(&device->maintenance, &device->maintenance.is_kicked);
}

void maintenance_nudge(void *context)
{
    struct device *device = context;
    struct maintenance *maintenance = &device->maintenance;
    /* relaxed: who finds it set leaves the waking to who has set it. */
    if (atomic_exchange_explicit(&maintenance->is_nudged, true, memory_order_relaxed))
        return;
    pthread_mutex_lock(&maintenance->mutex);
    pthread_cond_signal(&maintenance->wake);
    pthread_mutex_unlock(&maintenance->mutex);
}
