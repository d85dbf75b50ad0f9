/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/train.h"

#include <errno.h>

#include "common/memory.h"
#include "compress/train.h"
#include "device/device_internal.h"

struct samples {
    unsigned char *train, *judge; /* blocks */
    size_t train_count, judge_count;
    uint64_t judge_stored; /* bytes that those to judge by take now */
};

/* Copies the block if it is still one to look at. Its age and marks stay as they are. */
static bool take_sample(struct device *device, block_no block, unsigned char *target,
                        uint64_t *stored)
{
    bool taken = false;
    lock_acquire(&device->reclaim); /* for the background's stream */
    struct stream *stream = stream_borrow(device->background);
    struct slot slot = slot_lock(&device->slots, block);
    if (slot_can_age(slot)) {
        taken = block_load(device, slot, stream, target) == 0;
        *stored = slot_length(slot);
    }
    slot_unlock(&device->slots, block, slot);
    stream_return(device->background, stream);
    lock_release(&device->reclaim);
    return taken;
}

static uint64_t count_candidates(struct device *device)
{
    return counters_sum(&device->counters, COUNT_BLOCKS_STORED) -
           counters_sum(&device->counters, COUNT_SAME);
}

/* Takes every n-th of the blocks that have an object, in turns for one half and the other. */
static void collect(struct device *device, size_t wanted, struct samples *samples)
{
    struct slot_table *slots = &device->slots;
    uint64_t candidates = count_candidates(device), seen = 0;
    uint64_t stride = candidates > wanted ? candidates / wanted : 1;
    for (uint64_t page = slot_table_next_used(slots, 0); page < slots->page_count;
         page = slot_table_next_used(slots, page + 1))
        for (unsigned i = 0; i < SLOTS_PER_PAGE; i++) {
            block_no block = (block_no)(page * SLOTS_PER_PAGE + i);
            if (!slot_can_age(slot_peek(slots, block)) || seen++ % stride != 0)
                continue;
            bool to_train = samples->train_count <= samples->judge_count;
            unsigned char *half = to_train ? samples->train : samples->judge;
            size_t *count = to_train ? &samples->train_count : &samples->judge_count;
            uint64_t stored = 0;
            if (*count == wanted / 2)
                return;
            if (!take_sample(device, block, half + *count * BLOCK_SIZE_BYTES, &stored))
                continue;
            ++*count;
            samples->judge_stored += to_train ? 0 : stored;
        }
}

/* What all blocks to judge by would take, those that don't fit an object as a page. */
static int judge(struct device *device, const struct samples *samples,
                 const struct train_request *request, const struct codec_dictionary *dictionary,
                 uint64_t *bytes)
{
    const struct codec *codec = request->codec;
    struct codec_parameters parameters = {.level = request->level, .dictionary = dictionary};
    struct codec_context *context = NULL;
    unsigned char *target = memory_zalloc(2 * BLOCK_SIZE_BYTES);
    int error = target != NULL ? codec->context_create(&parameters, &context) : -ENOMEM;
    *bytes = 0;
    for (size_t i = 0; error == 0 && i < samples->judge_count; i++) {
        int length = codec->compress(context, samples->judge + i * BLOCK_SIZE_BYTES, target,
                                     device->zpool->object_max_bytes);
        *bytes += length > 0 ? (uint64_t)length : BLOCK_SIZE_BYTES;
    }
    if (error == 0)
        codec->context_destroy(context);
    memory_free(target);
    return error;
}

static int train_and_judge(struct device *device, const struct samples *samples,
                           const struct train_request *request, struct train_result *result)
{
    struct codec_dictionary *dictionary = NULL;
    result->dictionary = memory_zalloc(request->dictionary_bytes);
    if (result->dictionary == NULL)
        return -ENOMEM;
    int error =
        dictionary_train(request->codec, samples->train, samples->train_count, result->dictionary,
                         request->dictionary_bytes, &result->dictionary_bytes);
    if (error == -EINVAL)
        error = -ENODATA; /* The request was checked: there are too few blocks. */
    if (error == 0)
        error = request->codec->dictionary_create(request->level, result->dictionary,
                                                  result->dictionary_bytes, &dictionary);
    if (error == 0)
        error = judge(device, samples, request, NULL, &result->without_bytes);
    if (error == 0)
        error = judge(device, samples, request, dictionary, &result->with_bytes);
    request->codec->dictionary_destroy(dictionary);
    result->samples = samples->judge_count;
    result->stored_bytes = samples->judge_stored;
    return error;
}

int device_train(struct device *device, const struct train_request *request,
                 struct train_result *result)
{
    *result = (struct train_result){0};
    size_t wanted = request->samples_max != 0 ? request->samples_max : DEVICE_TRAIN_SAMPLES;
    if (!codec_has_level(request->codec, request->level) || request->dictionary_bytes < 1024 ||
        request->dictionary_bytes > request->codec->dictionary_bytes_max ||
        wanted > UINT32_MAX / BLOCK_SIZE_BYTES)
        return -EINVAL;
    struct samples samples = {
        .train = memory_zalloc(wanted / 2 * BLOCK_SIZE_BYTES + 1),
        .judge = memory_zalloc(wanted / 2 * BLOCK_SIZE_BYTES + 1),
    };
    int error = -ENOMEM;
    if (samples.train != NULL && samples.judge != NULL) {
        collect(device, wanted, &samples);
        error = train_and_judge(device, &samples, request, result);
    }
    memory_free(samples.train);
    memory_free(samples.judge);
    if (error != 0) {
        memory_free(result->dictionary);
        *result = (struct train_result){0};
    }
    return error;
}
