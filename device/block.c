/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.c: one block: read, write, free. The only file that knows both codecs and the pool.
 *
 *   write   same-filled? ─yes─▶ the slot alone
 *              │no
 *           borrow a stream, compress into its scratch            (no slot locked)
 *              │
 *           lock the slot ─▶ the old object has the same room? ─yes─▶ copy over it
 *              │                                                        │
 *              │no: room in the pool, copy in                           │
 *           publish the slot and unlock ◀───────────────────────────────┘
 *              │
 *           free the old object, return the stream
 *
 *   read    borrow a stream if the block's codec needs one, lock the slot, decompress from the
 * object straight into the caller's buffer, unlock. Empty and same-filled blocks are read from the
 * word.
 *
 * Whatever fails, fails before the slot is published: the old block is still there. A writer that
 * meets the memory limit gives up its stream and slot, lets device_reclaim look for memory once,
 * and tries again.
 *
 * Lock order: reclaim, stream, slot, then what the pool takes (common/lock.h).
 */
#include <errno.h>
#include <string.h>

#include "common/steps.h"
#include "device/device_internal.h"
#include "device/same_filled.h"

/* A block's new content, ready to be stored: either in the slot alone, or `length` bytes. */
struct content {
    enum slot_kind kind;
    uint64_t pattern;  /* of same-filled kinds */
    const void *bytes; /* of kinds with an object */
    size_t length;
    unsigned algorithm; /* of OBJECT: the entry that compressed it */
};

/* Fills `count` bytes from `offset` on of a block that has no bytes in the pool. */
static void fill_from_slot(struct slot slot, void *buffer, size_t offset, size_t count)
{
    uint64_t pattern = slot_kind(slot) == SLOT_EMPTY ? 0 : slot_pattern(slot);
    same_filled_fill(buffer, pattern, offset, count);
}

/* Whether a read needs the slot's word only. */
static bool is_in_slot(struct slot slot)
{
    return !slot_has_object(slot);
}

int block_load(struct device *device, struct slot slot, struct stream *stream, void *buffer)
{
    if (is_in_slot(slot)) {
        fill_from_slot(slot, buffer, 0, BLOCK_SIZE_BYTES);
        return 0;
    }
    const unsigned char *object = zpool_address(device->zpool, slot_object(slot));
    if (slot_kind(slot) == SLOT_RAW) {
        memcpy(buffer, object, BLOCK_SIZE_BYTES);
        return 0;
    }
    if (slot_kind(slot) == SLOT_SAME_OBJECT) {
        uint64_t pattern;
        memcpy(&pattern, object, sizeof pattern);
        same_filled_fill(buffer, pattern, 0, BLOCK_SIZE_BYTES);
        return 0;
    }
    unsigned algorithm = slot_algorithm(slot);
    return device->algorithms.entry[algorithm].codec->decompress(
        stream != NULL ? stream->context[algorithm] : NULL, object, slot_length(slot), buffer);
}

static bool needs_stream(struct device *device, struct slot slot)
{
    /* relaxed: see entry_put in algorithms.c. */
    uint32_t entries = atomic_load_explicit(&device->algorithms.needs_stream, memory_order_relaxed);
    return unlikely(entries != 0) && slot_kind(slot) == SLOT_OBJECT &&
           (entries >> slot_algorithm(slot) & 1) != 0;
}

/*
 * Locks a block's slot and borrows a stream, if the block can't be restored without; NULL if it
 * can. What the slot says before it is locked is only a guess, and a stream is borrowed first.
 */
static struct stream *lock_to_read(struct device *device, block_no block, struct slot *slot)
{
    struct stream *stream = NULL;
    if (needs_stream(device, slot_peek(&device->slots, block)))
        stream = stream_borrow(device->streams);
    step("block: to be read, slot not locked");
    *slot = slot_lock(&device->slots, block);
    if (likely(stream != NULL || !needs_stream(device, *slot)))
        return stream;
    slot_unlock(&device->slots, block, *slot);
    stream = stream_borrow(device->streams);
    *slot = slot_lock(&device->slots, block);
    return stream;
}

static int count_read(struct device *device, int error)
{
    struct counter_shard *shard = counters_shard(&device->counters);
    counter_add(shard, error == 0 ? COUNT_READS : COUNT_FAILED_READS, 1);
    return error;
}

/* Reads a block from the slot's word alone, if that can be done. */
static bool read_from_word(struct device *device, block_no block, void *buffer, size_t offset,
                           size_t count)
{
    struct slot slot = slot_empty();
    if (slot_table_is_used(&device->slots, block))
        slot = slot_peek(&device->slots, block);
    if (!is_in_slot(slot))
        return false;
    fill_from_slot(slot, buffer, offset, count);
    return true;
}

int block_read(struct device *device, block_no block, void *buffer)
{
    if (read_from_word(device, block, buffer, 0, BLOCK_SIZE_BYTES))
        return count_read(device, 0);

    struct slot slot;
    struct stream *stream = lock_to_read(device, block, &slot);
    int error = block_load(device, slot, stream, buffer);
    step("block: read, slot still locked");
    slot_unlock(&device->slots, block, slot_accessed(slot));
    if (stream != NULL)
        stream_return(device->streams, stream);
    return count_read(device, error);
}

int block_read_part(struct device *device, block_no block, void *buffer, size_t offset,
                    size_t count)
{
    if (read_from_word(device, block, buffer, offset, count))
        return count_read(device, 0);

    struct stream *stream = stream_borrow(device->streams);
    struct slot slot = slot_lock(&device->slots, block);
    int error = block_load(device, slot, stream, stream->block);
    slot_unlock(&device->slots, block, slot_accessed(slot));
    if (error == 0)
        memcpy(buffer, stream->block + offset, count);
    stream_return(device->streams, stream);
    return count_read(device, error);
}

void block_count_change(struct counter_shard *shard, struct slot old, struct slot new)
{
    int64_t stored = (slot_kind(new) != SLOT_EMPTY) - (slot_kind(old) != SLOT_EMPTY);
    int64_t same = slot_is_same_filled(new) - slot_is_same_filled(old);
    int64_t huge = (slot_kind(new) == SLOT_RAW) - (slot_kind(old) == SLOT_RAW);
    int64_t bytes = (int64_t)slot_length(new) - (int64_t)slot_length(old);
    if (stored != 0)
        counter_add(shard, COUNT_BLOCKS_STORED, stored);
    if (same != 0)
        counter_add(shard, COUNT_SAME, same);
    if (huge != 0)
        counter_add(shard, COUNT_HUGE, huge);
    if (bytes != 0)
        counter_add(shard, COUNT_COMPRESSED_BYTES, bytes);
}

/* Compresses a block into the stream's scratch, or finds that it needs no room at all. */
static int prepare(struct device *device, struct stream *stream, const void *buffer,
                   struct content *content)
{
    unsigned algorithm = algorithms_entry_of_role(&device->algorithms, ROLE_WRITE);
    const struct codec *codec = device->algorithms.entry[algorithm].codec;
    int length = codec->compress(stream->context[algorithm], buffer, stream->scratch,
                                 device->zpool->object_max_bytes);
    if (length > 0) {
        *content = (struct content){.kind = SLOT_OBJECT,
                                    .bytes = stream->scratch,
                                    .length = (size_t)length,
                                    .algorithm = algorithm};
        return 0;
    }
    if (length != -ENOSPC)
        return length == 0 ? -EIO : length;
    *content = (struct content){.kind = SLOT_RAW, .bytes = buffer, .length = BLOCK_SIZE_BYTES};
    return 0;
}

/* The content of a block that repeats `pattern`. It lives as long as *pattern does. */
static void prepare_same(const uint64_t *pattern, struct content *content)
{
    struct slot slot;
    *content = (struct content){.kind = SLOT_SAME, .pattern = *pattern};
    if (!slot_pack_same(*pattern, &slot))
        *content =
            (struct content){.kind = SLOT_SAME_OBJECT, .bytes = pattern, .length = sizeof *pattern};
}

/*
 * Stores content for a block whose slot is locked, and makes its new slot. The old object, if it is
 * not used again, is still there: *to_free. Nothing has changed on an error.
 */
static int store_locked(struct device *device, block_no block, struct slot old,
                        const struct content *content, struct slot *new,
                        struct zpool_handle *to_free)
{
    *to_free = slot_object(old);
    if (!slot_has_object(old))
        *to_free = (struct zpool_handle){0};
    if (content->kind == SLOT_SAME) {
        bool packed = slot_pack_same(content->pattern, new);
        checked(packed);
        (void)packed;
        return 0;
    }

    struct zpool_handle object = *to_free;
    if (object.position != 0 && zpool_same_room(device->zpool, slot_length(old), content->length)) {
        *to_free = (struct zpool_handle){0};
    } else {
        int error = zpool_alloc(device->zpool, content->length, block, &object);
        if (error != 0)
            return error;
    }
    memcpy(zpool_address(device->zpool, object), content->bytes, content->length);
    bool packed = slot_pack_object(content->kind, content->algorithm, content->length, object, new);
    checked(packed);
    (void)packed;
    return 0;
}

static void count_write(struct device *device, struct slot old, struct slot new)
{
    struct counter_shard *shard = counters_shard(&device->counters);
    counter_add(shard, COUNT_WRITES, 1);
    if (slot_kind(new) == SLOT_RAW)
        counter_add(shard, COUNT_HUGE_SINCE, 1);
    if (slot_has_object(old) && slot_has_object(new) &&
        slot_object(old).position == slot_object(new).position)
        counter_add(shard, COUNT_WRITES_IN_PLACE, 1);
    block_count_change(shard, old, new);
}

/* Locks the slot, stores the content, publishes. */
static int store(struct device *device, block_no block, const struct content *content)
{
    struct slot new;
    struct zpool_handle to_free;

    int error = slot_table_use(&device->slots, block);
    if (error != 0)
        return error;
    struct slot old = slot_lock(&device->slots, block);
    error = store_locked(device, block, old, content, &new, &to_free);
    if (error != 0) {
        slot_unlock(&device->slots, block, old);
        return error;
    }
    step("block: stored, not published");
    slot_unlock(&device->slots, block, new);
    step("block: published, old object not freed");
    if (to_free.position != 0)
        zpool_free(device->zpool, to_free);
    count_write(device, old, new);
    return 0;
}

static int write_once(struct device *device, block_no block, const void *buffer)
{
    struct content content;
    uint64_t pattern;

    if (same_filled_detect(buffer, &pattern)) {
        prepare_same(&pattern, &content);
        return store(device, block, &content);
    }
    struct stream *stream = stream_borrow(device->streams);
    int error = prepare(device, stream, buffer, &content);
    if (error == 0)
        error = store(device, block, &content);
    stream_return(device->streams, stream);
    return error;
}

static void count_failed_write(struct device *device, int error)
{
    struct counter_shard *shard = counters_shard(&device->counters);
    counter_add(shard, COUNT_FAILED_WRITES, 1);
    if (error == -ENOSPC)
        counter_add(shard, COUNT_LIMIT_REFUSALS, 1);
}

int block_write(struct device *device, block_no block, const void *buffer)
{
    int error = write_once(device, block, buffer);
    if (unlikely(error == -ENOSPC)) {
        step("block: memory refused");
        lock_acquire(&device->reclaim);
        for (unsigned i = 1; error == -ENOSPC && device_reclaim(device, i); i++)
            error = write_once(device, block, buffer);
        lock_release(&device->reclaim);
    }
    if (unlikely(error != 0))
        count_failed_write(device, error);
    return error;
}

/* Merges the part into the locked block and stores the result. */
static int edit_locked(struct device *device, block_no block, struct slot old,
                       struct stream *stream, const void *buffer, size_t offset, size_t count,
                       struct slot *new, struct zpool_handle *to_free)
{
    struct content content;
    uint64_t pattern;

    int error = block_load(device, old, stream, stream->block);
    if (error != 0)
        return error;
    if (buffer != NULL)
        memcpy(stream->block + offset, buffer, count);
    else
        memset(stream->block + offset, 0, count);
    if (same_filled_detect(stream->block, &pattern)) {
        prepare_same(&pattern, &content);
    } else {
        error = prepare(device, stream, stream->block, &content);
        if (error != 0)
            return error;
    }
    return store_locked(device, block, old, &content, new, to_free);
}

static int edit_once(struct device *device, block_no block, const void *buffer, size_t offset,
                     size_t count)
{
    struct slot new;
    struct zpool_handle to_free;

    int error = slot_table_use(&device->slots, block);
    if (error != 0)
        return error;
    struct stream *stream = stream_borrow(device->streams);
    struct slot old = slot_lock(&device->slots, block);
    error = edit_locked(device, block, old, stream, buffer, offset, count, &new, &to_free);
    slot_unlock(&device->slots, block, error == 0 ? new : old);
    stream_return(device->streams, stream);
    if (error != 0)
        return error;
    if (to_free.position != 0)
        zpool_free(device->zpool, to_free);
    counter_add(counters_shard(&device->counters), COUNT_WRITES_PARTIAL, 1);
    count_write(device, old, new);
    return 0;
}

int block_write_part(struct device *device, block_no block, const void *buffer, size_t offset,
                     size_t count)
{
    int error = edit_once(device, block, buffer, offset, count);
    if (unlikely(error == -ENOSPC)) {
        step("block: memory refused");
        lock_acquire(&device->reclaim);
        for (unsigned i = 1; error == -ENOSPC && device_reclaim(device, i); i++)
            error = edit_once(device, block, buffer, offset, count);
        lock_release(&device->reclaim);
    }
    if (unlikely(error != 0))
        count_failed_write(device, error);
    return error;
}

bool block_free(struct device *device, block_no block)
{
    if (!slot_table_is_used(&device->slots, block) ||
        slot_kind(slot_peek(&device->slots, block)) == SLOT_EMPTY)
        return false;
    step("block: to be freed, slot not locked");
    struct slot old = slot_lock(&device->slots, block);
    slot_unlock(&device->slots, block, slot_empty());
    step("block: freed in its slot, object not freed");
    if (slot_has_object(old))
        zpool_free(device->zpool, slot_object(old));
    if (slot_kind(old) == SLOT_EMPTY)
        return false;
    struct counter_shard *shard = counters_shard(&device->counters);
    counter_add(shard, COUNT_NOTIFY_FREE, 1);
    block_count_change(shard, old, slot_empty());
    return true;
}

void block_prefetch(const struct device *device, block_no block)
{
    if (!slot_table_is_used(&device->slots, block))
        return;
    struct slot slot = slot_peek(&device->slots, block);
    if (!slot_has_object(slot))
        return;
    /* The first lines; the core's own prefetcher follows from there. */
    const unsigned char *object = zpool_address(device->zpool, slot_object(slot));
    __builtin_prefetch(object);
    __builtin_prefetch(object + 64);
    __builtin_prefetch(object + 128);
}
