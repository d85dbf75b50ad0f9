/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/recompress.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/steps.h"
#include "device/device_internal.h"

/* Slots that are looked at before the lock may change hands: well under a millisecond. */
#define LOOK_BLOCKS (64 * SLOTS_PER_PAGE)

/* What a writer in need tries at most, and what it looks for. */
#define ROOM_BLOCKS_TRIED 64
#define ROOM_LENGTH_MIN   512

/* A policy that had to pause doesn't make up for it later. */
#define CREDIT_MAX_US 50000

#define HAND_STEP_PAGES 512

/* What is kept of mem_limit: a few times what one result may need, and little of a low limit. */
#define KEPT_PAGES_MAX 16
#define KEPT_SHARE     16

static void count(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static uint64_t setting(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static bool is_interrupted(const struct device *device)
{
    return atomic_load_explicit(&device->recompress.is_interrupted, memory_order_relaxed);
}

void device_interrupt(struct device *device)
{
    atomic_store_explicit(&device->recompress.is_interrupted, true, memory_order_relaxed);
}

static bool is_configured(const struct device *device)
{
    for (unsigned role = 1; role < ROLE_COUNT; role++)
        if (algorithms_of_role(&device->algorithms, role) != NULL)
            return true;
    return false;
}

void recompress_keep_room(struct device *device)
{
    uint64_t limit = setting(&device->budget.limit_pages);
    uint64_t pages = limit / KEPT_SHARE < KEPT_PAGES_MAX ? limit / KEPT_SHARE : KEPT_PAGES_MAX;
    budget_keep(&device->budget, is_configured(device) ? pages : 0);
}

/*
 * One try.
 */

/* The first role to try for a block of this slot, or ROLE_COUNT. */
static unsigned first_role(const struct algorithms *algorithms, struct slot slot,
                           const struct recompress_request *request)
{
    unsigned role = 1;
    if (slot_kind(slot) == SLOT_OBJECT) {
        for (unsigned of_block = 1; of_block < ROLE_COUNT; of_block++)
            if (algorithms_entry_of_role(algorithms, of_block) == slot_algorithm(slot))
                role = of_block + 1;
    }
    if (request->priority != 0)
        return role <= request->priority && algorithms_of_role(algorithms, request->priority)
                   ? request->priority
                   : ROLE_COUNT;
    while (role < ROLE_COUNT && algorithms_of_role(algorithms, role) == NULL)
        role++;
    return role;
}

/* The role behind it to try next, or ROLE_COUNT. */
static unsigned next_role(const struct algorithms *algorithms, unsigned role,
                          const struct recompress_request *request)
{
    do
        role++;
    while (role < ROLE_COUNT && algorithms_of_role(algorithms, role) == NULL);
    return request->priority != 0 ? ROLE_COUNT : role;
}

static bool is_candidate(struct device *device, struct slot slot,
                         const struct recompress_walk *walk)
{
    const struct recompress_request *request = &walk->request;
    return slot_can_age(slot) && !slot_is_incompressible(slot) &&
           (!request->only_idle || slot_is_idle(slot)) &&
           (!request->only_huge || slot_kind(slot) == SLOT_RAW) &&
           slot_age(slot) >= walk->age_min && slot_length(slot) >= request->length_min &&
           first_role(&device->algorithms, slot, request) < ROLE_COUNT;
}

/* Puts the stream's `length` bytes in place of what the slot has, if nobody has touched it. */
static int replace(struct device *device, block_no block, struct slot marked,
                   const struct stream *stream, unsigned role, size_t length)
{
    struct slot new;
    struct zpool_handle object;
    struct slot now = slot_lock(&device->slots, block);
    if (now.word != marked.word) {
        slot_unlock(&device->slots, block, now);
        return -EAGAIN;
    }
    budget_keep(&device->budget, 0);
    int error = zpool_alloc(device->zpool, length, block, &object);
    recompress_keep_room(device);
    if (error != 0) {
        slot_unlock(&device->slots, block, now);
        return error;
    }
    memcpy(zpool_address(device->zpool, object), stream->scratch, length);
    bool packed = slot_pack_object(SLOT_OBJECT, algorithms_entry_of_role(&device->algorithms, role),
                                   length, object, &new);
    checked(packed);
    (void)packed;
    step("recompress: stored, not published");
    slot_unlock(&device->slots, block, new);
    step("recompress: published, old object not freed");
    zpool_free(device->zpool, slot_object(now));
    block_count_change(counters_shard(&device->counters), now, new);
    return 0;
}

static void mark_incompressible(struct device *device, block_no block, struct slot marked)
{
    struct slot now = slot_lock(&device->slots, block);
    if (now.word == marked.word)
        now.word |= SLOT_INCOMPRESSIBLE_BIT;
    slot_unlock(&device->slots, block, now);
}

/* Restores the block into the stream, and marks its slot so that any access can be seen later. */
static bool load_and_mark(struct device *device, block_no block, struct stream *stream,
                          const struct recompress_walk *walk, struct slot *marked)
{
    struct slot slot = slot_lock(&device->slots, block);
    if (!is_candidate(device, slot, walk) || block_load(device, slot, stream, stream->block) != 0) {
        slot_unlock(&device->slots, block, slot);
        return false;
    }
    *marked = slot_with_age(slot_accessed(slot), SLOT_AGE_MAX);
    slot_unlock(&device->slots, block, *marked);
    return true;
}

/* What a try came to, if not to a gain: an error of replace, or none that gains. */
static void count_failure(struct recompress *recompress, int error)
{
    if (error == -EAGAIN)
        count(&recompress->dropped, 1);
    else if (error == -ENODATA)
        count(&recompress->poor, 1);
    else
        count(&recompress->refused, 1);
}

/*
 * Tries one block. Adds to `result`. The caller holds the reclaim lock. Returns false if there was
 * no memory for what it gains.
 */
static bool try_block(struct device *device, block_no block, const struct recompress_walk *walk,
                      struct recompress_result *result)
{
    struct recompress *recompress = &device->recompress;
    struct slot marked;
    struct stream *stream = stream_borrow(device->background);
    if (!load_and_mark(device, block, stream, walk, &marked)) {
        stream_return(device->background, stream);
        return true;
    }
    step("recompress: loaded, slot not locked");
    const struct algorithms *algorithms = &device->algorithms;
    unsigned role = first_role(algorithms, marked, &walk->request);
    int error = -ENODATA;
    int length = 0;
    bool was_last = false;
    while (role < ROLE_COUNT) {
        uint32_t entry = algorithms_entry_of_role(algorithms, role);
        length = algorithms->entry[entry].codec->compress(stream->context[entry], stream->block,
                                                          stream->scratch,
                                                          device->zpool->object_max_bytes);
        if (length > 0 && (size_t)length < slot_length(marked) &&
            !zpool_same_room(device->zpool, slot_length(marked), (size_t)length)) {
            error = replace(device, block, marked, stream, role, (size_t)length);
            break;
        }
        was_last = next_role(algorithms, role, &(struct recompress_request){0}) == ROLE_COUNT;
        role = next_role(algorithms, role, &walk->request);
    }
    if (role == ROLE_COUNT && was_last)
        mark_incompressible(device, block, marked);
    stream_return(device->background, stream);

    result->tried++;
    count(&recompress->tried, 1);
    if (error == 0) {
        uint64_t saved = slot_length(marked) - (size_t)length;
        result->gained++;
        result->saved_bytes += saved;
        count(&recompress->gained, 1);
        count(&recompress->saved_bytes, saved);
    } else {
        count_failure(recompress, error);
    }
    return error == 0 || error == -EAGAIN || error == -ENODATA;
}

/*
 * The walk.
 */

static unsigned bucket_of(struct slot slot)
{
    return (unsigned)(slot_length(slot) / RECOMPRESS_BUCKET_BYTES);
}

static void walk_begin(struct recompress_walk *walk, const struct recompress_request *request,
                       unsigned age_min)
{
    *walk = (struct recompress_walk){.request = *request, .age_min = age_min};
}

/* Chooses the next band, with an eighth of all candidates or more. False: there is none. */
static bool walk_next_band(struct recompress_walk *walk)
{
    uint64_t in_band = 0;
    walk->band_high = walk->is_counted ? walk->band_low : RECOMPRESS_BUCKETS;
    walk->is_counted = true;
    walk->next_block = 0;
    walk->band_low = walk->band_high;
    while (walk->band_low > 0 && (in_band == 0 || in_band < walk->total / 8))
        in_band += walk->candidates[--walk->band_low];
    return in_band > 0;
}

/* The next block in a used page of slots at or behind the walk's place, or block_count. */
static uint64_t walk_place(struct device *device, struct recompress_walk *walk)
{
    uint64_t block = walk->next_block;
    uint64_t page = slot_table_next_used(&device->slots, block / SLOTS_PER_PAGE);
    if (page * SLOTS_PER_PAGE > block)
        block = page * SLOTS_PER_PAGE;
    return block < device->block_count ? block : device->block_count;
}

/*
 * Goes on with the walk until the time is over, `result->tried` is blocks_max, or the walk is at an
 * end (false). Takes the reclaim lock.
 */
static bool walk_on(struct device *device, struct recompress_walk *walk, uint64_t until_us,
                    struct recompress_result *result)
{
    bool more = true;
    unsigned looked = 0;
    lock_acquire(&device->reclaim);
    while (more && result->tried < walk->request.blocks_max) {
        uint64_t block = walk_place(device, walk);
        if (block == device->block_count) {
            more = walk_next_band(walk);
            continue;
        }
        walk->next_block = block + 1;
        struct slot slot = slot_peek(&device->slots, (block_no)block);
        bool fits = is_candidate(device, slot, walk);
        if (fits && !walk->is_counted) {
            walk->candidates[bucket_of(slot)]++;
            walk->total++;
        } else if (fits && bucket_of(slot) >= walk->band_low && bucket_of(slot) < walk->band_high) {
            (void)try_block(device, (block_no)block, walk, result);
            looked = LOOK_BLOCKS;
        }
        if (++looked >= LOOK_BLOCKS) {
            looked = 0;
            (void)lock_give_way(&device->reclaim);
            if (clock_now_us() >= until_us || is_interrupted(device))
                break;
        }
    }
    lock_release(&device->reclaim);
    return more;
}

int device_recompress(struct device *device, const struct recompress_request *request,
                      struct recompress_result *result)
{
    struct recompress_walk *walk = memory_zalloc(sizeof *walk);
    *result = (struct recompress_result){0};
    if (walk == NULL)
        return -ENOMEM;
    int error = 0;
    lock_acquire(&device->reclaim);
    if (request->priority >= ROLE_COUNT || request->length_min > BLOCK_SIZE_BYTES ||
        !is_configured(device) ||
        (request->priority != 0 &&
         algorithms_of_role(&device->algorithms, request->priority) == NULL))
        error = -EINVAL;
    lock_release(&device->reclaim);
    if (error == 0) {
        walk_begin(walk, request, 0);
        if (walk->request.blocks_max == 0)
            walk->request.blocks_max = UINT64_MAX;
        bool more = walk_on(device, walk, UINT64_MAX, result);
        if (more && result->tried < walk->request.blocks_max)
            error = -EINTR;
    }
    memory_free(walk);
    return error;
}

uint64_t recompress_for_room(struct device *device)
{
    struct recompress *recompress = &device->recompress;
    struct recompress_result result = {0};
    struct recompress_walk walk;
    const struct recompress_request request = {.length_min = ROOM_LENGTH_MIN};
    if (!is_configured(device))
        return 0;
    walk_begin(&walk, &request, 0);
    walk.next_block = recompress->room_block;
    uint64_t looked = 0;
    bool has_room = true;
    while (has_room && looked++ < LOOK_BLOCKS && result.tried < ROOM_BLOCKS_TRIED) {
        uint64_t block = walk_place(device, &walk);
        walk.next_block = block == device->block_count ? 0 : block + 1;
        if (block != device->block_count &&
            is_candidate(device, slot_peek(&device->slots, (block_no)block), &walk))
            has_room = try_block(device, (block_no)block, &walk, &result);
    }
    recompress->room_block = walk.next_block;
    return result.saved_bytes;
}

/*
 * The policy.
 */

/* One more pass survived, for every compressed block whose slot nobody has locked. */
static void hand_age_page(struct device *device, uint64_t page)
{
    for (unsigned i = 0; i < SLOTS_PER_PAGE; i++) {
        block_no block = (block_no)(page * SLOTS_PER_PAGE + i);
        struct slot slot = slot_peek(&device->slots, block);
        if (slot_can_age(slot) && slot_age(slot) < SLOT_AGE_MAX)
            (void)slot_mark_try(&device->slots, block, slot,
                                slot_with_age(slot, slot_age(slot) + 1));
    }
}

/* Moves the hand on, if it is time; a walk begins when it has passed over all slots. */
static void hand_turn(struct device *device, uint64_t now_us)
{
    struct recompress *recompress = &device->recompress;
    uint64_t age_us = setting(&device->maintenance.settings.recompress_age) * 1000000;
    if (!recompress->hand_is_moving) {
        if (now_us < recompress->hand_due_us && recompress->hand_due_us - now_us <= age_us / 2)
            return;
        recompress->hand_is_moving = true;
        recompress->hand_page = 0;
        recompress->hand_due_us = now_us + age_us / 2;
    }
    lock_acquire(&device->reclaim);
    for (unsigned i = 0; i < HAND_STEP_PAGES && recompress->hand_is_moving; i++) {
        uint64_t page = slot_table_next_used(&device->slots, recompress->hand_page);
        recompress->hand_page = page + 1;
        if (page == device->slots.page_count)
            recompress->hand_is_moving = false;
        else
            hand_age_page(device, page);
    }
    lock_release(&device->reclaim);
    if (!recompress->hand_is_moving && !recompress->is_walking) {
        const struct recompress_request all = {.blocks_max = UINT64_MAX};
        walk_begin(&recompress->walk, &all, SLOT_AGE_MAX);
        recompress->is_walking = true;
    }
}

/* Whether clients read and write more blocks a second than the policy works beside. */
static bool is_too_busy(struct device *device, uint64_t elapsed_us)
{
    struct recompress *recompress = &device->recompress;
    uint64_t blocks = counters_sum(&device->counters, COUNT_READS) +
                      counters_sum(&device->counters, COUNT_WRITES);
    uint64_t since = blocks - recompress->seen_blocks;
    recompress->seen_blocks = blocks;
    return since * 1000000 > setting(&device->maintenance.settings.recompress_busy) * elapsed_us;
}

void recompress_hurry(struct device *device)
{
    struct recompress *recompress = &device->recompress;
    const struct recompress_request all = {.blocks_max = UINT64_MAX};
    if (recompress->is_walking && recompress->walk.age_min == 0)
        return;
    walk_begin(&recompress->walk, &all, 0);
    recompress->is_walking = true;
}

void recompress_turn(struct device *device)
{
    struct recompress *recompress = &device->recompress;
    uint64_t now = clock_now_us();
    uint64_t elapsed = now - recompress->looked_us;
    if (elapsed == 0)
        return;
    bool busy = is_too_busy(device, elapsed);
    recompress->looked_us = now;
    if (setting(&device->maintenance.settings.recompress_age) != 0) {
        hand_turn(device, now);
    } else {
        recompress->hand_is_moving = false;
        recompress->is_walking &= recompress->walk.age_min == 0;
    }
    lock_acquire(&device->reclaim);
    recompress->is_walking &= is_configured(device);
    lock_release(&device->reclaim);
    bool hurry = recompress->is_walking && recompress->walk.age_min == 0;
    if (!recompress->is_walking || (busy && !hurry))
        return;

    uint64_t percent = hurry ? 100 : setting(&device->maintenance.settings.recompress_cpu);
    recompress->credit_us += (int64_t)(elapsed * percent / 100);
    if (recompress->credit_us > CREDIT_MAX_US)
        recompress->credit_us = CREDIT_MAX_US;
    if (recompress->credit_us <= 0)
        return;
    struct recompress_result result = {0};
    uint64_t began = clock_thread_us();
    recompress->is_walking =
        walk_on(device, &recompress->walk, now + (uint64_t)recompress->credit_us, &result);
    uint64_t took = clock_thread_us() - began;
    recompress->credit_us -= (int64_t)took;
    count(&recompress->time_us, took);
}
