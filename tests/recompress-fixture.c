/* SPDX-License-Identifier: BSD-3-Clause */
/* recompress-fixture.c: see recompress-fixture.h. */
#include "tests/recompress-fixture.h"

unsigned char content[BLOCK_COUNT][BLOCK];

void set(struct device *device, const char *setting, uint64_t value)
{
    must(device_set(device, setting, value) == 0);
}

void set_role(struct device *device, unsigned role, const char *codec)
{
    const struct codec *found = codec != NULL ? codec_find(codec) : NULL;
    int level = found != NULL ? found->level_default : 0;
    must(device_set_algorithm(device, role, found, level, NULL, 0) == 0);
}

struct device *device_with_limit(uint64_t mem_limit_bytes)
{
    struct device_config config = config_of_size(BLOCK_COUNT * BLOCK);
    config.mem_limit_bytes = mem_limit_bytes;
    memset(content, 0, sizeof content);
    struct device *device = device_of(&config);
    set_role(device, 1, "zstd");
    return device;
}

struct device *new_device(void)
{
    return device_with_limit(0);
}

int write_block(struct device *device, block_no block, const void *data)
{
    int error = device_write(device, data, BLOCK, (uint64_t)block * BLOCK);
    if (error == 0)
        memcpy(content[block], data, BLOCK);
    return error;
}

void write_letters(struct device *device, block_no block, size_t length)
{
    unsigned char data[BLOCK];
    content_of_letters(data, length, block);
    must(write_block(device, block, data) == 0);
}

void write_kind(struct device *device, block_no block, enum content_kind kind)
{
    unsigned char data[BLOCK];
    content_fill(data, BLOCK, kind, block + 1);
    must(write_block(device, block, data) == 0);
}

void trim(struct device *device, block_no block)
{
    must(device_trim(device, BLOCK, (uint64_t)block * BLOCK) == 0);
    memset(content[block], 0, BLOCK);
}

void touch(struct device *device, block_no block)
{
    unsigned char byte;
    must(device_read(device, &byte, 1, (uint64_t)block * BLOCK) == 0);
    must(byte == content[block][0]);
}

bool is_recompressed(struct device *device, block_no block)
{
    return algorithms_recompressed(&device->algorithms, device_slot(device, block));
}

unsigned age_of(struct device *device, block_no block)
{
    return slot_age(device_slot(device, block));
}

void finish(struct device *device)
{
    unsigned char data[BLOCK];
    struct device_statistics now = device_statistics_now(device);
    must(now.recompress_tried ==
         now.recompressed + now.recompress_poor + now.recompress_dropped + now.recompress_refused);
    for (block_no block = 0; block < BLOCK_COUNT; block++) {
        must(device_read(device, data, BLOCK, (uint64_t)block * BLOCK) == 0);
        must(memcmp(data, content[block], BLOCK) == 0);
    }
    device_finish(device);
}

struct recompress_result recompress(struct device *device, const struct recompress_request *request)
{
    struct recompress_result result;
    struct device_statistics before = device_statistics_now(device);
    must(device_recompress(device, request, &result) == 0);
    struct device_statistics now = device_statistics_now(device);
    must(now.recompress_tried - before.recompress_tried == result.tried);
    must(now.recompressed - before.recompressed == result.gained);
    must(now.recompress_saved - before.recompress_saved == result.saved_bytes);
    must(before.compr_data_size - now.compr_data_size == result.saved_bytes);
    must(before.orig_data_size == now.orig_data_size && before.reads == now.reads &&
         before.writes == now.writes);
    return result;
}

struct recompress_result recompress_all(struct device *device)
{
    return recompress(device, &(struct recompress_request){0});
}

void turn_after(struct device *device, uint64_t elapsed_us)
{
    uint64_t now = clock_now_us();
    device->recompress.looked_us = now > elapsed_us ? now - elapsed_us : 0;
    recompress_turn(device);
}

unsigned hand_pass(struct device *device)
{
    unsigned turns = 0;
    device->recompress.hand_due_us = 0;
    do {
        turn_after(device, 1);
        turns++;
    } while (device->recompress.hand_is_moving);
    return turns;
}

void walk_to_the_end(struct device *device)
{
    while (device->recompress.is_walking)
        turn_after(device, 1000);
}

void access_block(struct device *device, block_no block, enum access access)
{
    unsigned char data[BLOCK];
    uint64_t start = (uint64_t)block * BLOCK;
    switch (access) {
    case READ:
        must(device_read(device, data, BLOCK, start) == 0);
        break;
    case READ_PART:
        touch(device, block);
        break;
    case WRITE: /* the same bytes, so that everything else stays as it was */
        must(device_write(device, content[block], BLOCK, start) == 0);
        break;
    case WRITE_PART:
        must(device_write(device, content[block] + 7, 100, start + 7) == 0);
        break;
    default:
        must(device_zero(device, 50, start + 30) == 0);
        memset(content[block] + 30, 0, 50);
    }
}

uint64_t lasting(struct slot slot)
{
    return slot_accessed(slot).word;
}
