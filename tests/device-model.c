/* SPDX-License-Identifier: BSD-3-Clause */
/* device-model.c: see device-model.h. */
#include "tests/device-model.h"

#include <errno.h>
#include <stdlib.h>

#include "common/memory.h"

#define CANARY       0xa5
#define CANARY_BYTES 64

/* A request drawn at random is mostly this short, and at most that long. */
#define SHORT_BYTES (3 * BLOCK_SIZE_BYTES)
#define LONG_BYTES  (48 * BLOCK_SIZE_BYTES)

static uint64_t block_count(const struct model *model)
{
    return (model->size_bytes + BLOCK_SIZE_BYTES - 1) / BLOCK_SIZE_BYTES;
}

static void *must_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    must(memory != NULL);
    return memory;
}

void model_create(struct model *model, const struct device_config *config)
{
    *model = (struct model){.device = device_of(config), .size_bytes = config->size_bytes};
    size_t bytes = (size_t)block_count(model) * BLOCK_SIZE_BYTES;
    model->shadow = must_allocate(bytes);
    model->old = must_allocate(bytes);
    model->buffer = must_allocate(bytes + CANARY_BYTES);
    model->is_stored = must_allocate((size_t)block_count(model) * sizeof *model->is_stored);
}

void model_destroy(struct model *model)
{
    model_check(model);
    device_destroy(model->device);
    free(model->shadow);
    free(model->old);
    free(model->buffer);
    free(model->is_stored);
}

void model_maintain(struct model *model)
{
    must(device_start(model->device) == 0);
    model->is_maintained = true;
}

/* By the C library's fast loop: if the first byte is zero and each is equal to the next. */
static bool is_zero(const unsigned char *bytes, size_t count)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

static void read_must_agree(struct model *model, uint64_t offset, uint64_t count)
{
    memset(model->buffer, CANARY, (size_t)count + CANARY_BYTES);
    must(device_read(model->device, model->buffer, (size_t)count, offset) == 0);
    must(memcmp(model->buffer, model->shadow + offset, (size_t)count) == 0);
    for (size_t i = 0; i < CANARY_BYTES; i++)
        must(model->buffer[count + i] == CANARY);
}

static enum device_extent expected_extent(const struct model *model, uint64_t block)
{
    if (!model->is_stored[block])
        return DEVICE_EXTENT_HOLE;
    return is_zero(model->shadow + block * BLOCK_SIZE_BYTES, BLOCK_SIZE_BYTES) ? DEVICE_EXTENT_ZERO
                                                                               : DEVICE_EXTENT_DATA;
}

struct extents_walk {
    const struct model *model;
    uint64_t next; /* where the next extent must begin */
    uint64_t end;
    bool just_one;
    int previous; /* kind of the extent before, or -1 */
};

static int check_extent(void *context, uint64_t offset, uint64_t count, enum device_extent extent)
{
    struct extents_walk *walk = context;
    must(offset == walk->next && count > 0 && count <= walk->end - offset);
    must((int)extent != walk->previous);
    uint64_t last = (offset + count - 1) / BLOCK_SIZE_BYTES;
    for (uint64_t block = offset / BLOCK_SIZE_BYTES; block <= last; block++)
        must(extent == expected_extent(walk->model, block));
    /* It ends because the range does, or because something else begins. */
    must(offset + count == walk->end || (offset + count) % BLOCK_SIZE_BYTES == 0);
    must(offset + count == walk->end || expected_extent(walk->model, last + 1) != extent);
    must(!walk->just_one || walk->previous == -1);
    walk->next = offset + count;
    walk->previous = (int)extent;
    return 0;
}

static void extents_must_agree(struct model *model, uint64_t offset, uint64_t count, bool just_one)
{
    struct extents_walk walk = {model, offset, offset + count, just_one, -1};
    must(device_extents(model->device, count, offset, just_one, check_extent, &walk) == 0);
    must(just_one ? walk.next > offset || count == 0 : walk.next == offset + count);
}

static int request_on_device(struct model *model, const struct operation *operation)
{
    uint64_t offset = operation->offset, count = operation->count;
    if (operation->kind == OPERATION_TRIM)
        return device_trim(model->device, count, offset);
    if (operation->kind == OPERATION_ZERO)
        return device_zero(model->device, count, offset);
    return device_write(model->device, model->buffer, (size_t)count, offset);
}

/* What the request makes of one block, of which it covers [from, to). */
static void request_on_block(struct model *model, const struct operation *operation, uint64_t block,
                             uint64_t from, uint64_t to)
{
    bool whole = from == block * BLOCK_SIZE_BYTES &&
                 (to == from + BLOCK_SIZE_BYTES || to == model->size_bytes);
    switch (operation->kind) {
    case OPERATION_WRITE:
        memcpy(model->shadow + from, model->buffer + (from - operation->offset),
               (size_t)(to - from));
        model->is_stored[block] = true;
        return;
    case OPERATION_ZERO:
        memset(model->shadow + from, 0, (size_t)(to - from));
        break;
    default:
        if (whole)
            memset(model->shadow + from, 0, (size_t)(to - from));
    }
    if (whole)
        model->is_stored[block] = false;
}

static void request_on_shadow(struct model *model, const struct operation *operation)
{
    uint64_t end = operation->offset + operation->count;
    for (uint64_t from = operation->offset, to; from < end; from = to) {
        uint64_t block = from / BLOCK_SIZE_BYTES;
        to = (block + 1) * BLOCK_SIZE_BYTES < end ? (block + 1) * BLOCK_SIZE_BYTES : end;
        request_on_block(model, operation, block, from, to);
    }
}

/* After a refusal: each block is old or new; the shadow follows what the device says. */
static void refused_blocks_must_be_old_or_new(struct model *model,
                                              const struct operation *operation)
{
    bool in_order = operation->kind == OPERATION_WRITE, old_seen = false, any_old = false;
    uint64_t last = (operation->offset + operation->count - 1) / BLOCK_SIZE_BYTES;
    for (uint64_t block = operation->offset / BLOCK_SIZE_BYTES; block <= last; block++) {
        uint64_t start = block * BLOCK_SIZE_BYTES;
        size_t count = start + BLOCK_SIZE_BYTES <= model->size_bytes
                           ? BLOCK_SIZE_BYTES
                           : (size_t)(model->size_bytes - start);
        must(device_read(model->device, model->buffer, count, start) == 0);
        bool is_new = memcmp(model->buffer, model->shadow + start, count) == 0;
        bool is_old = memcmp(model->buffer, model->old + start, count) == 0;
        must(is_new || is_old);
        must(!in_order || !old_seen || is_old);
        old_seen |= !is_new;
        any_old |= is_old;
        if (!is_new)
            memcpy(model->shadow + start, model->old + start, count);
        model->is_stored[block] =
            slot_kind(device_slot(model->device, (block_no)block)) != SLOT_EMPTY;
    }
    must(any_old); /* else it was refused although it was done */
}

static void apply_request(struct model *model, const struct operation *operation)
{
    if (operation->kind == OPERATION_WRITE)
        content_fill(model->buffer, (size_t)operation->count, operation->content, operation->seed);
    bool has_limit = atomic_load(&model->device->budget.limit_pages) != UINT64_MAX;
    bool may_fail = (has_limit || operation->fails_after >= 0) && operation->count > 0;
    uint64_t first = operation->offset / BLOCK_SIZE_BYTES * BLOCK_SIZE_BYTES;
    uint64_t end = operation->offset + operation->count;
    end = (end + BLOCK_SIZE_BYTES - 1) / BLOCK_SIZE_BYTES * BLOCK_SIZE_BYTES;
    if (may_fail)
        memcpy(model->old + first, model->shadow + first, (size_t)(end - first));

    memory_fail_after(operation->fails_after, operation->fails_on);
    int error = request_on_device(model, operation);
    model->asked = memory_fail_after(-1, false);
    request_on_shadow(model, operation);
    if (error == 0)
        return;
    must(may_fail && (error == -ENOSPC || error == -ENOMEM));
    model->refused++;
    refused_blocks_must_be_old_or_new(model, operation);
}

static void out_of_range_must_be_refused(struct model *model, const struct operation *operation)
{
    struct device *device = model->device;
    uint64_t size = model->size_bytes, beyond = size + 1 + operation->offset;
    uint64_t before = device_statistic(device, invalid_io);
    struct extents_walk walk = {.model = model};
    must(device_read(device, model->buffer, 1, size) == -EINVAL);
    must(device_read(device, model->buffer, 0, beyond) == -EINVAL);
    must(device_write(device, model->buffer, (size_t)size + 1, 0) == -EINVAL);
    must(device_trim(device, UINT64_MAX, operation->offset + 1) == -EINVAL);
    must(device_trim(device, beyond, 0) == -EINVAL);
    must(device_zero(device, UINT64_MAX - operation->offset, operation->offset + 1) == -EINVAL);
    must(device_zero(device, 1, UINT64_MAX) == -EINVAL);
    must(device_extents(device, 2, size - 1, false, check_extent, &walk) == -EINVAL);
    must(device_statistic(device, invalid_io) - before == 8);
}

/* Moves objects out of a range of pool pages that has been in use. */
static void migrate(struct model *model, const struct operation *operation)
{
    struct pages_account account;
    pages_account(model->device->pages, &account);
    uint64_t known = (account.arenas_active + account.arenas_retired) * ARENA_PAGES;
    struct zpool_quota quota = {.objects = 1 + operation->seed % 4096};
    if (known == 0)
        return;
    pfn first = (pfn)(operation->offset % known);
    int error =
        zpool_migrate(model->device->zpool, first, 1 + operation->count % ARENA_PAGES, &quota);
    must(error == 0 || error == -EAGAIN || error == -EPERM || error == -ENOSPC ||
         error == -ENOMEM || (error == -EBUSY && model->is_maintained));
}

/* Any codec, for writing or for recompression, with a dictionary or not; or none, for the latter.
 */
static void set_algorithm(struct model *model, const struct operation *operation)
{
    struct rng rng = {operation->seed};
    unsigned priority = (unsigned)rng_below(&rng, DEVICE_PRIORITY_COUNT);
    const struct codec *codec = codec_at(rng_below(&rng, 3));
    unsigned char dictionary[2 * BLOCK_SIZE_BYTES];
    bool has_dictionary = rng_percent(&rng, 50);
    content_fill(dictionary, sizeof dictionary, CONTENT_MIXED, rng_next(&rng));
    if (priority != 0 && rng_percent(&rng, 20))
        codec = NULL;
    int error = device_set_algorithm(model->device, priority, codec,
                                     codec != NULL ? codec->level_default : 0,
                                     has_dictionary ? dictionary : NULL, sizeof dictionary);
    must(error == 0 || error == -EBUSY || (error == -ENOMEM && operation->fails_after >= 0));
}

static void recompress(struct model *model, const struct operation *operation)
{
    struct rng rng = {operation->seed};
    struct recompress_request request = {
        .only_idle = rng_percent(&rng, 30),
        .only_huge = rng_percent(&rng, 30),
        .length_min = (uint32_t)rng_below(&rng, rng_percent(&rng, 50) ? 1 : BLOCK_SIZE_BYTES),
        .priority = (unsigned)rng_below(&rng, DEVICE_PRIORITY_COUNT),
        .blocks_max = rng_below(&rng, 100),
    };
    struct recompress_result result;
    int error = device_recompress(model->device, &request, &result);
    must(error == 0 || error == -EINVAL || (error == -ENOMEM && operation->fails_after >= 0));
    must(result.gained <= result.tried && (error == 0 || result.tried == 0));
    must(request.blocks_max == 0 || result.tried <= request.blocks_max);
    must(result.saved_bytes >= result.gained);
}

static void apply_work(struct model *model, const struct operation *operation)
{
    struct device *device = model->device;
    struct zpool_quota quota = {.objects = 1 + operation->seed % 4096};
    memory_fail_after(operation->fails_after, operation->fails_on);
    switch (operation->kind) {
    case OPERATION_COMPACT:
        zpool_compact(device->zpool, &quota);
        break;
    case OPERATION_SETTLE:
        zpool_settle(device->zpool, &quota);
        break;
    case OPERATION_MIGRATE:
        migrate(model, operation);
        break;
    case OPERATION_PURGE:
        pages_trim(device->pages, operation->seed % 64, operation->count % 512);
        break;
    case OPERATION_REFILL:
        pages_refill(device->pages, operation->seed % 256, operation->count % 512);
        break;
    case OPERATION_SWEEP_SLOTS:
        slot_table_discard(&device->slots, (block_no)(operation->offset / BLOCK_SIZE_BYTES));
        break;
    case OPERATION_SET_ALGORITHM:
        set_algorithm(model, operation);
        break;
    case OPERATION_MARK_IDLE:
        must(device_mark_idle(device, operation->seed % 2 == 0 ? 0 : operation->seed % 60) == 0);
        break;
    case OPERATION_RECOMPRESS:
        recompress(model, operation);
        break;
    case OPERATION_RECOMPRESS_FOR_ROOM:
        lock_acquire(&device->reclaim);
        (void)recompress_for_room(device);
        lock_release(&device->reclaim);
        break;
    default:
        maintenance_kick(device);
    }
    model->asked = memory_fail_after(-1, false);
}

void model_apply(struct model *model, const struct operation *operation)
{
    struct operation cut = *operation;
    cut.offset %= model->size_bytes + 1;
    if (cut.count > model->size_bytes - cut.offset)
        cut.count = model->size_bytes - cut.offset;
    model->applied++;
    switch (operation->kind) {
    case OPERATION_WRITE:
    case OPERATION_TRIM:
    case OPERATION_ZERO:
        apply_request(model, &cut);
        break;
    case OPERATION_READ:
        read_must_agree(model, cut.offset, cut.count);
        break;
    case OPERATION_EXTENTS:
    case OPERATION_FIRST_EXTENT:
        extents_must_agree(model, cut.offset, cut.count, operation->kind == OPERATION_FIRST_EXTENT);
        break;
    case OPERATION_OUT_OF_RANGE:
        out_of_range_must_be_refused(model, &cut);
        break;
    case OPERATION_CHECK:
        model_check(model);
        break;
    default:
        apply_work(model, operation);
    }
}

/* Requests are what it is about; work in the background and whole checks come in between. */
static enum operation_kind random_kind(struct rng *rng)
{
    static const enum operation_kind requests[] = {
        OPERATION_WRITE,   OPERATION_WRITE,        OPERATION_WRITE, OPERATION_WRITE,
        OPERATION_READ,    OPERATION_READ,         OPERATION_TRIM,  OPERATION_ZERO,
        OPERATION_EXTENTS, OPERATION_FIRST_EXTENT,
    };
    if (rng_below(rng, 400) == 0)
        return OPERATION_CHECK;
    if (rng_percent(rng, 90))
        return requests[rng_below(rng, array_count(requests))];
    return OPERATION_OUT_OF_RANGE +
           (enum operation_kind)rng_below(rng, OPERATION_CHECK - OPERATION_OUT_OF_RANGE);
}

struct operation model_random_operation(const struct model *model, struct rng *rng)
{
    struct operation operation = {
        .kind = random_kind(rng),
        .offset = rng_below(rng, model->size_bytes + 1),
        .count = 1 + rng_below(rng, rng_percent(rng, 5) ? LONG_BYTES : SHORT_BYTES),
        .content = (enum content_kind)rng_below(rng, CONTENT_KIND_COUNT),
        .seed = rng_next(rng),
        .fails_after = -1,
    };
    /* Half of all requests are of whole blocks, as most clients send them. */
    if (rng_percent(rng, 50)) {
        operation.offset = operation.offset / BLOCK_SIZE_BYTES * BLOCK_SIZE_BYTES;
        operation.count =
            (operation.count + BLOCK_SIZE_BYTES - 1) / BLOCK_SIZE_BYTES * BLOCK_SIZE_BYTES;
    }
    return operation;
}

void model_check(struct model *model)
{
    if (model->is_maintained)
        device_stop(model->device);
    device_must_be_valid(model->device);
    read_must_agree(model, 0, model->size_bytes);
    extents_must_agree(model, 0, model->size_bytes, false);
    if (model->is_maintained)
        must(device_start(model->device) == 0);
}
