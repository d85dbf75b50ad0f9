/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * train.h: a dictionary for the blocks that a device has now, and what it would save.
 *
 *      blocks with an object, spread over the whole device
 *        ├─ every other one ─▶ the trainer ─▶ dictionary
 *        └─ the rest        ─▶ compressed without it and with it: the estimate
 *
 * The blocks of the estimate are not those of the training, so it isn't flattered.
 */
#ifndef UZRAM_DEVICE_TRAIN_H
#define UZRAM_DEVICE_TRAIN_H

#include "device/device.h"

struct train_request {
    const struct codec *codec;
    int level;
    size_t dictionary_bytes; /* at most; 1024 to the codec's dictionary_bytes_max */
    size_t samples_max;      /* blocks to look at, both halves; 0: DEVICE_TRAIN_SAMPLES */
};

#define DEVICE_TRAIN_SAMPLES 8192

struct train_result {
    void *dictionary; /* the caller's, to be freed with memory_free; NULL on an error */
    size_t dictionary_bytes;
    size_t samples;         /* blocks of the estimate */
    uint64_t stored_bytes;  /* what these take now, */
    uint64_t without_bytes; /* would with the codec and level alone, */
    uint64_t with_bytes;    /* and with the dictionary */
};

/*
 * Trains a dictionary. Nothing of the device changes; reads and writes go on. Takes seconds, and
 * memory for the samples several times. Returns 0; -EINVAL (level, length); -ENODATA (too few
 * blocks, or they have nothing in common); -ENOMEM; -EIO.
 */
int device_train(struct device *device, const struct train_request *request,
                 struct train_result *result) must_use;

#endif
