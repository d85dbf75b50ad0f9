/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recompress-fixture.h: a device that is written with lz4 and recompressed with zstd, what it must
 * hold, and the policy's clock in the test's own hands.
 *
 * What every block must hold is kept beside the device and compared at the end. The policy's turns
 * are made by the test, one by one, as if time had passed; nothing waits.
 */
#ifndef UZRAM_TESTS_RECOMPRESS_FIXTURE_H
#define UZRAM_TESTS_RECOMPRESS_FIXTURE_H

#include "tests/device-support.h"

#define BLOCK       BLOCK_SIZE_BYTES
#define BLOCK_COUNT 1024u

/* What each block must hold. */
extern unsigned char content[BLOCK_COUNT][BLOCK];

/* One device at a time: content is its. With a mem_limit, or 0. */
struct device *device_with_limit(uint64_t mem_limit_bytes);
struct device *new_device(void);

/* All blocks are right, all tries are accounted for, and all agrees; then it is destroyed. */
void finish(struct device *device);

/* A setting; the codec of a role at its default level, or NULL for none. */
void set(struct device *device, const char *setting, uint64_t value);
void set_role(struct device *device, unsigned role, const char *codec);

/* The device's write, and the content is noted if it is done. */
int write_block(struct device *device, block_no block, const void *data);

/* Content from which zstd gains; content of any kind; none. */
void write_letters(struct device *device, block_no block, size_t length);
void write_kind(struct device *device, block_no block, enum content_kind kind);
void trim(struct device *device, block_no block);

/* Reads one byte: of an empty block it counts as a request, and that is all. */
void touch(struct device *device, block_no block);

enum access { READ, READ_PART, WRITE, WRITE_PART, ZERO_PART, ACCESS_COUNT };
void access_block(struct device *device, block_no block, enum access access);

bool is_recompressed(struct device *device, block_no block);
unsigned age_of(struct device *device, block_no block);

/* Everything of a slot but age and idle. */
uint64_t lasting(struct slot slot);

/* Letters whose compressed lengths are in the middle of a bucket of their own. */
#define LENGTH_OF_GROUP(group) (512 + 6 * RECOMPRESS_BUCKET_BYTES * (group))

/*
 * A request that must be accepted; what it says of itself must be what the statistics say. The
 * second asks for all that may gain.
 */
struct recompress_result recompress(struct device *device,
                                    const struct recompress_request *request);
struct recompress_result recompress_all(struct device *device);

/* One turn of the policy, as if the last had been `elapsed_us` ago. */
void turn_after(struct device *device, uint64_t elapsed_us);

/* The hand passes over all slots once, in as many turns as it needs, which it returns. */
unsigned hand_pass(struct device *device);

/* Turns until the walk is at its end; the hand stays where it is. */
void walk_to_the_end(struct device *device);

#endif
