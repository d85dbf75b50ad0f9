/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz-device.c: a stream of bytes is a device and what is done to it, beside the model.
 *
 *      byte 0   codec (2 bits) │ size (3) │ zspage length (2) │ with a limit (1)
 *      byte 1   zpool driver, and the limit
 *      then 6 bytes an operation:
 *           kind (4 bits), content (4) │ block (16) │ blocks (5), edges (3) │ seed │ failure
 *
 * Any bytes are a valid stream, what is left over at its end is ignored, and nothing of it depends
 * on time or threads. libFuzzer finds streams (docs: "make tests/fuzz-device" in a build with
 * clang's fuzzer); tests/fuzz-replay does again what it has found.
 */
#include "tests/device-model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const char fuzz_corpus[];
const char fuzz_corpus[] = "tests/corpus/device";

#define HEADER_BYTES    2
#define OPERATION_BYTES 6
#define OPERATIONS_MAX  200 /* bounds the time of one stream */

/* Failure bytes from this one on refuse memory: the rest of them lets all be granted. */
#define FAILURE_FIRST 208

static struct device_config decode_config(const uint8_t header[HEADER_BYTES])
{
    static const uint64_t sizes[] = {
        1, 4095, 4097, 8192, 40000, 65536, 300 * KIB + 513, 2 * MIB + 3 * BLOCK_SIZE_BYTES};
    static const unsigned zspage_lengths[] = {ZSPAGE_PAGES_DEFAULT, 1, 4, ZSPAGE_PAGES_MAX};
    struct device_config config = config_of_size(sizes[header[0] >> 2 & 7]);
    const struct codec *codec = codec_at((header[0] & 3) % 3);
    config.algorithm = (struct algorithm){.codec = codec, .level = codec->level_default};
    config.zspage_pages_max = zspage_lengths[header[0] >> 5 & 3];

    size_t drivers = 0;
    while (device_zpool_driver_name(drivers) != NULL)
        drivers++;
    config.zpool_driver = device_zpool_driver_name(header[1] % drivers);
    if (header[0] >> 7)
        config.mem_limit_bytes =
            device_mem_floor_bytes(&config) + (uint64_t)(header[1] / drivers) * PAGE_SIZE_BYTES;
    return config;
}

static struct operation decode_operation(const uint8_t bytes[OPERATION_BYTES], uint64_t size_bytes)
{
    uint64_t blocks = (size_bytes + BLOCK_SIZE_BYTES - 1) / BLOCK_SIZE_BYTES;
    struct operation operation = {
        .kind = (enum operation_kind)((bytes[0] & 15) % OPERATION_KIND_COUNT),
        .offset = (bytes[1] | (uint64_t)bytes[2] << 8) % blocks * BLOCK_SIZE_BYTES,
        .count = (uint64_t)(bytes[3] & 31) * BLOCK_SIZE_BYTES,
        .content = (enum content_kind)((bytes[0] >> 4) % CONTENT_KIND_COUNT),
        .seed = bytes[4],
        .fails_after = -1,
    };
    if (bytes[3] & 32)
        operation.offset += bytes[4] * UINT64_C(16) + bytes[4] % 16;
    if (bytes[3] & 64)
        operation.count += bytes[4] * UINT64_C(15) + 1;
    if (bytes[3] & 128)
        operation.count = UINT64_MAX; /* to the end */
    if (bytes[5] >= FAILURE_FIRST) {
        operation.fails_after = (bytes[5] - FAILURE_FIRST) / 2;
        operation.fails_on = bytes[5] & 1;
    }
    return operation;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEADER_BYTES)
        return 0;
    struct device_config config = decode_config(data);
    struct model model;
    model_create(&model, &config);
    const uint8_t *end = data + size;
    data += HEADER_BYTES;
    for (unsigned i = 0; i < OPERATIONS_MAX && end - data >= OPERATION_BYTES; i++) {
        struct operation operation = decode_operation(data, config.size_bytes);
        model_apply(&model, &operation);
        data += OPERATION_BYTES;
    }
    model_destroy(&model);
    return 0;
}
