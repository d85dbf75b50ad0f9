/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * range.c: byte ranges of the device, cut into blocks.
 *
 *      offset                                      offset + count
 *      ├──part──┼──────────┼──────────┼──────────┼──part──┤
 *      first block  whole     whole      whole     last block
 */
#include <errno.h>

#include "device/device_internal.h"

/* The piece of a range that lies in one block. */
struct piece {
    block_no block;
    size_t offset; /* within the block */
    size_t count;
};

static struct piece next_piece(uint64_t offset, uint64_t count)
{
    struct piece piece = {
        .block = (block_no)(offset >> BLOCK_SHIFT),
        .offset = offset % BLOCK_SIZE_BYTES,
    };
    piece.count = BLOCK_SIZE_BYTES - piece.offset;
    if (piece.count > count)
        piece.count = count;
    return piece;
}

static bool is_whole(struct piece piece)
{
    return piece.count == BLOCK_SIZE_BYTES;
}

static int check_range(struct device *device, uint64_t count, uint64_t offset)
{
    uint64_t size = device_size_bytes(device);
    if (offset <= size && count <= size - offset)
        return 0;
    counter_add(counters_shard(&device->counters), COUNT_INVALID_IO, 1);
    return -EINVAL;
}

int device_read(struct device *device, void *buffer, size_t count, uint64_t offset)
{
    unsigned char *target = buffer;
    int error = check_range(device, count, offset);
    while (error == 0 && count > 0) {
        struct piece piece = next_piece(offset, count);
        if (count > piece.count)
            block_prefetch(device, piece.block + 1);
        error = is_whole(piece)
                    ? block_read(device, piece.block, target)
                    : block_read_part(device, piece.block, target, piece.offset, piece.count);
        target += piece.count;
        offset += piece.count;
        count -= piece.count;
    }
    return error;
}

int device_write(struct device *device, const void *buffer, size_t count, uint64_t offset)
{
    const unsigned char *source = buffer;
    int error = check_range(device, count, offset);
    while (error == 0 && count > 0) {
        struct piece piece = next_piece(offset, count);
        error = is_whole(piece)
                    ? block_write(device, piece.block, source)
                    : block_write_part(device, piece.block, source, piece.offset, piece.count);
        source += piece.count;
        offset += piece.count;
        count -= piece.count;
    }
    return error;
}

/*
 * Frees blocks [first, end); skips what was never written 512 blocks at a time, and gives the
 * slots' memory back where nothing is left.
 */
static void free_blocks(struct device *device, uint64_t first, uint64_t end)
{
    uint64_t block = first;
    while (block < end) {
        uint64_t page = slot_table_next_used(&device->slots, block / SLOTS_PER_PAGE);
        if (page > block / SLOTS_PER_PAGE)
            block = page * SLOTS_PER_PAGE;
        uint64_t page_end = (page + 1) * SLOTS_PER_PAGE;
        if (page_end > end)
            page_end = end;
        bool freed = false;
        for (; block < page_end; block++)
            freed |= block_free(device, (block_no)block);
        if (freed)
            slot_table_discard(&device->slots, (block_no)(page * SLOTS_PER_PAGE));
    }
}

/* The whole blocks of a range; the last block of the device is whole when its bytes all are. */
static void whole_blocks(const struct device *device, uint64_t count, uint64_t offset,
                         uint64_t *first, uint64_t *end)
{
    *first = (offset + BLOCK_SIZE_BYTES - 1) >> BLOCK_SHIFT;
    *end = (offset + count) >> BLOCK_SHIFT;
    if (offset + count == device_size_bytes(device))
        *end = (offset + count + BLOCK_SIZE_BYTES - 1) >> BLOCK_SHIFT;
    if (*end < *first)
        *end = *first;
}

int device_trim(struct device *device, uint64_t count, uint64_t offset)
{
    uint64_t first, end;
    int error = check_range(device, count, offset);
    if (error != 0 || count == 0)
        return error;
    whole_blocks(device, count, offset, &first, &end);
    free_blocks(device, first, end);
    return 0;
}

/* Zeroes a piece of one block; what reads as zeros already stays as it is. */
static int zero_piece(struct device *device, struct piece piece)
{
    if (!slot_table_is_used(&device->slots, piece.block) ||
        slot_kind(slot_peek(&device->slots, piece.block)) == SLOT_EMPTY)
        return 0;
    return block_write_part(device, piece.block, NULL, piece.offset, piece.count);
}

int device_zero(struct device *device, uint64_t count, uint64_t offset)
{
    uint64_t first, end;
    int error = check_range(device, count, offset);
    if (error != 0 || count == 0)
        return error;
    whole_blocks(device, count, offset, &first, &end);
    uint64_t range_end = offset + count, whole_start = first << BLOCK_SHIFT,
             whole_end = end << BLOCK_SHIFT;

    /* First what gives memory, then what may need some. */
    free_blocks(device, first, end);
    if (offset < whole_start) {
        uint64_t head = whole_start < range_end ? whole_start - offset : count;
        error = zero_piece(device, next_piece(offset, head));
    }
    if (error == 0 && whole_end < range_end)
        error = zero_piece(device, next_piece(whole_end, range_end - whole_end));
    return error;
}

static enum device_extent extent_of(struct slot slot)
{
    if (slot_kind(slot) == SLOT_EMPTY)
        return DEVICE_EXTENT_HOLE;
    if (slot_kind(slot) == SLOT_SAME && slot_pattern(slot) == 0)
        return DEVICE_EXTENT_ZERO;
    return DEVICE_EXTENT_DATA;
}

/* The kind of the block at `block`, and in *next where something else may begin. */
static enum device_extent extent_at(const struct device *device, uint64_t block, uint64_t *next)
{
    uint64_t page = block / SLOTS_PER_PAGE;
    uint64_t used = slot_table_next_used(&device->slots, page);
    if (used > page) {
        *next = used * SLOTS_PER_PAGE;
        return DEVICE_EXTENT_HOLE;
    }
    *next = block + 1;
    return extent_of(slot_peek(&device->slots, (block_no)block));
}

int device_extents(struct device *device, uint64_t count, uint64_t offset, bool just_one,
                   device_extent_callback *callback, void *context)
{
    int error = check_range(device, count, offset);
    if (error != 0 || count == 0)
        return error;

    uint64_t range_end = offset + count;
    uint64_t end_block = (range_end + BLOCK_SIZE_BYTES - 1) >> BLOCK_SHIFT;
    uint64_t start = offset, block = offset >> BLOCK_SHIFT;
    enum device_extent kind = extent_at(device, block, &block);
    while (block < end_block) {
        uint64_t here = block;
        enum device_extent next_kind = extent_at(device, block, &block);
        if (next_kind == kind)
            continue;
        uint64_t end = here << BLOCK_SHIFT;
        error = callback(context, start, end - start, kind);
        if (error != 0 || just_one)
            return error;
        start = end;
        kind = next_kind;
    }
    return callback(context, start, range_end - start, kind);
}
