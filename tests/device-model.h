/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-model.h: a device beside a plain array that has to say the same.
 *
 *      operation ──▶ device_write, device_trim …  ──▶ device
 *            └─────▶ memcpy, memset               ──▶ shadow, and which blocks are stored
 *
 * The random tests draw operations from a seed, the fuzzer from bytes; both apply them here. A
 * request that fails for want of memory must leave each of its blocks as it was or as it was to be,
 * a write in ascending order: blocks before the failing one new, the others old.
 *
 * One thread at a time; the device's own maintenance thread may run beside it.
 */
#ifndef UZRAM_TESTS_DEVICE_MODEL_H
#define UZRAM_TESTS_DEVICE_MODEL_H

#include "tests/device-support.h"

struct model {
    struct device *device;
    uint64_t size_bytes;
    unsigned char *shadow; /* whole blocks; zeros behind the device's end */
    unsigned char *old;    /* the shadow before a request that may fail */
    unsigned char *buffer;
    bool *is_stored;    /* per block: it is no hole */
    bool is_maintained; /* its maintenance thread runs */
    uint64_t applied;   /* operations so far */
    uint64_t refused;   /* of them refused for want of memory */
    long asked;         /* requests for memory that the last operation made */
};

enum operation_kind {
    OPERATION_WRITE,
    OPERATION_READ,
    OPERATION_TRIM,
    OPERATION_ZERO,
    OPERATION_EXTENTS,
    OPERATION_FIRST_EXTENT,
    OPERATION_OUT_OF_RANGE,
    OPERATION_COMPACT,
    OPERATION_SETTLE,
    OPERATION_MIGRATE,
    OPERATION_PURGE,
    OPERATION_REFILL,
    OPERATION_SWEEP_SLOTS,
    OPERATION_SET_ALGORITHM,
    OPERATION_MARK_IDLE,
    OPERATION_RECOMPRESS,
    OPERATION_RECOMPRESS_FOR_ROOM,
    OPERATION_KICK,
    OPERATION_CHECK,
    OPERATION_KIND_COUNT
};

struct operation {
    enum operation_kind kind;
    uint64_t offset; /* any; cut to the device */
    uint64_t count;
    enum content_kind content;
    uint64_t seed;
    int fails_after; /* memory requests that are granted before one is refused; negative: all */
    bool fails_on;   /* and all later ones of this operation too */
};

void model_create(struct model *model, const struct device_config *config);
void model_destroy(struct model *model);

/* Starts the maintenance thread, and has it run between the operations from now on. */
void model_maintain(struct model *model);

/* Does one operation on both; ends the program if they differ in anything. */
void model_apply(struct model *model, const struct operation *operation);

/* An operation drawn at random for this model. */
struct operation model_random_operation(const struct model *model, struct rng *rng);

/* Compares everything and runs the validator, the maintenance thread being stopped meanwhile. */
void model_check(struct model *model);

#endif
