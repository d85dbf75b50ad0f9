/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/attributes_algorithms.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/algorithm_params.h"
#include "common/memory.h"
#include "common/parse.h"
#include "device/device.h"
#include "device/train.h"

/* How much of a value is repeated in a message about it. */
#define VALUE_SHOWN 128

#define TRAIN_BYTES_DEFAULT (32 * KIB)
#define TRAIN_BYTES_MAX     (256 * KIB) /* an answer has room for it in hexadecimal */

static_assert(ALGORITHM_PRIORITY_MAX + 1 == DEVICE_PRIORITY_COUNT, "what is parsed, a device has");

int attribute_refuse(struct text *answer, int error, const struct attribute *attribute,
                     const char *value, const char *reason, ...)
{
    char sentence[512];
    va_list arguments;
    va_start(arguments, reason);
    vsnprintf(sentence, sizeof sentence, reason, arguments);
    va_end(arguments);
    text_add(answer, "%s=%.*s: %s", attribute->name, VALUE_SHOWN, value, sentence);
    return error;
}

/* The codecs' names, the one of the priority in brackets. */
static void add_codecs(struct device *device, unsigned priority, struct text *answer)
{
    const struct codec *codec, *current = NULL;
    int level;
    size_t dictionary_bytes;
    (void)device_get_algorithm(device, priority, &current, &level, &dictionary_bytes);
    for (size_t i = 0; (codec = codec_at(i)) != NULL; i++)
        text_add(answer, codec == current ? "%s[%s]" : "%s%s", i > 0 ? " " : "", codec->name);
    text_add(answer, "\n");
}

static int refuse_codec(struct text *answer, const struct attribute *attribute, const char *value)
{
    struct text names = text_of_limit(256);
    const struct codec *codec;
    for (size_t i = 0; (codec = codec_at(i)) != NULL; i++)
        text_add(&names, "%s%s", i > 0 ? ", " : "", codec->name);
    attribute_refuse(answer, -EINVAL, attribute, value,
                     "not an algorithm that is known; give one of %s", text_string(&names));
    text_free(&names);
    return -EINVAL;
}

/* Sets, and says what is wrong if that fails. */
static int set_algorithm(struct device *device, unsigned priority, const struct codec *codec,
                         int level, const void *dictionary, size_t dictionary_bytes,
                         const struct attribute *attribute, const char *value, struct text *answer)
{
    int error = device_set_algorithm(device, priority, codec, level, dictionary, dictionary_bytes);
    switch (error) {
    case 0:
        return 0;
    case -EBUSY:
        return attribute_refuse(answer, error, attribute, value,
                                "blocks that are stored still need too many of those that were "
                                "set before; recompress or rewrite them first");
    case -EINVAL:
        return attribute_refuse(answer, error, attribute, value,
                                "%s takes level=%d to level=%d and a dictionary of 1 to %zu bytes",
                                codec->name, codec->level_min, codec->level_max,
                                codec->dictionary_bytes_max);
    default:
        return attribute_refuse(answer, error, attribute, value, "no memory for its streams");
    }
}

int get_comp_algorithm(void *context, const struct attribute *attribute, const char *argument,
                       struct text *answer)
{
    (void)attribute;
    (void)argument;
    add_codecs(context, 0, answer);
    return 0;
}

int set_comp_algorithm(void *context, const struct attribute *attribute, const char *value,
                       struct text *answer)
{
    const struct codec *codec = codec_find(value);
    if (codec == NULL)
        return refuse_codec(answer, attribute, value);
    return set_algorithm(context, 0, codec, codec->level_default, NULL, 0, attribute, value,
                         answer);
}

int get_recomp_algorithm(void *context, const struct attribute *attribute, const char *argument,
                         struct text *answer)
{
    (void)attribute;
    (void)argument;
    for (unsigned priority = 1; priority < DEVICE_PRIORITY_COUNT; priority++) {
        const struct codec *codec;
        int level;
        size_t dictionary_bytes;
        if (!device_get_algorithm(context, priority, &codec, &level, &dictionary_bytes))
            continue;
        text_add(answer, "#%u: ", priority);
        add_codecs(context, priority, answer);
    }
    return 0;
}

int set_recomp_algorithm(void *context, const struct attribute *attribute, const char *value,
                         struct text *answer)
{
    struct algorithm_params params;
    const char *wrong = parse_recomp_algorithm(value, &params);
    if (wrong != NULL)
        return attribute_refuse(answer, -EINVAL, attribute, value, "%s", wrong);
    unsigned priority = (unsigned)params.priority;
    if (strcmp(params.algo, "none") == 0)
        return set_algorithm(context, priority, NULL, 0, NULL, 0, attribute, value, answer);
    const struct codec *codec = codec_find(params.algo);
    if (codec == NULL)
        return refuse_codec(answer, attribute, value);
    return set_algorithm(context, priority, codec, codec->level_default, NULL, 0, attribute, value,
                         answer);
}

int get_algorithm_params(void *context, const struct attribute *attribute, const char *argument,
                         struct text *answer)
{
    (void)attribute;
    (void)argument;
    for (unsigned priority = 0; priority < DEVICE_PRIORITY_COUNT; priority++) {
        const struct codec *codec;
        int level;
        size_t dictionary_bytes;
        if (device_get_algorithm(context, priority, &codec, &level, &dictionary_bytes))
            text_add(answer, "priority=%u algo=%s level=%d dictionary_bytes=%zu\n", priority,
                     codec->name, level, dictionary_bytes);
    }
    return 0;
}

/* The priority that the params are for: the one they name, or the first with that algorithm. */
static bool find_priority(struct device *device, const struct algorithm_params *params,
                          unsigned *priority, const struct codec **codec)
{
    int level;
    size_t dictionary_bytes;
    unsigned first = params->has_priority ? (unsigned)params->priority : 0;
    unsigned last =
        params->has_priority || params->algo[0] == '\0' ? first : DEVICE_PRIORITY_COUNT - 1;
    for (*priority = first; *priority <= last; ++*priority) {
        if (device_get_algorithm(device, *priority, codec, &level, &dictionary_bytes) &&
            (params->algo[0] == '\0' || strcmp(params->algo, (*codec)->name) == 0))
            return true;
    }
    return false;
}

/* Reads at most one byte more than `most`. Returns NULL, or what is wrong. */
static const char *read_file(const char *path, size_t most, void **bytes, size_t *count)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return strerror(errno);
    *bytes = malloc(most + 1);
    *count = *bytes != NULL ? fread(*bytes, 1, most + 1, file) : 0;
    const char *wrong = *bytes == NULL ? "no memory" : ferror(file) ? "it can't be read" : NULL;
    fclose(file);
    return wrong;
}

int set_algorithm_params(void *context, const struct attribute *attribute, const char *value,
                         struct text *answer)
{
    struct algorithm_params params;
    unsigned priority;
    const struct codec *codec;
    const char *wrong = parse_algorithm_params(value, &params);
    if (wrong != NULL)
        return attribute_refuse(answer, -EINVAL, attribute, value, "%s", wrong);
    if (!find_priority(context, &params, &priority, &codec))
        return attribute_refuse(answer, -EINVAL, attribute, value,
                                "nothing has that algorithm or priority; get algorithm_params "
                                "shows what there is");
    void *dictionary = NULL;
    size_t count = 0;
    if (params.dict[0] != '\0')
        wrong = read_file(params.dict, codec->dictionary_bytes_max, &dictionary, &count);
    int error = wrong != NULL
                    ? attribute_refuse(answer, -EINVAL, attribute, value, "dict: %s", wrong)
                    : set_algorithm(context, priority, codec,
                                    params.has_level ? params.level : codec->level_default,
                                    dictionary, count, attribute, value, answer);
    free(dictionary);
    return error;
}

/* What a write to recompress says. */
struct recompress_parts {
    struct recompress_request request;
    char algo[ALGORITHM_NAME_BYTES_MAX];
};

static const char *take_recompress_part(void *context, const char *name, const char *value)
{
    struct recompress_parts *parts = context;
    struct recompress_request *request = &parts->request;
    uint64_t number;
    int priority;
    if (strcmp(name, "type") == 0) {
        request->only_idle = strcmp(value, "idle") == 0 || strcmp(value, "huge_idle") == 0;
        request->only_huge = strcmp(value, "huge") == 0 || strcmp(value, "huge_idle") == 0;
        return request->only_idle || request->only_huge ? NULL
                                                        : "type= wants idle, huge or huge_idle";
    }
    if (strcmp(name, "threshold") == 0) {
        if (parse_size(value, &number) < 0 || number > BLOCK_SIZE_BYTES)
            return "threshold= wants 0 to 4096 bytes";
        request->length_min = (uint32_t)number;
        return NULL;
    }
    if (strcmp(name, "max_pages") == 0)
        return parse_size(value, &request->blocks_max) < 0 || request->blocks_max == 0
                   ? "max_pages= wants a number above 0"
                   : NULL;
    if (strcmp(name, "priority") == 0) {
        if (parse_integer(value, 1, ALGORITHM_PRIORITY_MAX, &priority) < 0)
            return "priority= wants 1 to 3";
        request->priority = (unsigned)priority;
        return NULL;
    }
    if (strcmp(name, "algo") == 0) {
        if (*value == '\0' || strlen(value) >= sizeof parts->algo)
            return "algo= wants an algorithm's name";
        memcpy(parts->algo, value, strlen(value) + 1);
        return NULL;
    }
    return "has a part that is unknown; give type=, threshold=, algo=, priority= or max_pages=";
}

/* The first priority of recompression that has the algorithm, or 0. */
static unsigned priority_of_algo(struct device *device, const char *algo)
{
    for (unsigned priority = 1; priority < DEVICE_PRIORITY_COUNT; priority++) {
        const struct codec *codec;
        int level;
        size_t dictionary_bytes;
        if (device_get_algorithm(device, priority, &codec, &level, &dictionary_bytes) &&
            strcmp(codec->name, algo) == 0)
            return priority;
    }
    return 0;
}

int set_recompress(void *context, const struct attribute *attribute, const char *value,
                   struct text *answer)
{
    static const char not_configured[] =
        "no such algorithm to recompress with; set recomp_algorithm first";
    struct recompress_parts parts = {0};
    struct recompress_result result;
    int count;
    const char *wrong = parse_parts(value, "type", take_recompress_part, &parts, &count);
    if (wrong != NULL)
        return attribute_refuse(answer, -EINVAL, attribute, value, "%s", wrong);
    if (parts.algo[0] != '\0') {
        parts.request.priority = priority_of_algo(context, parts.algo);
        if (parts.request.priority == 0)
            return attribute_refuse(answer, -EINVAL, attribute, value, "%s", not_configured);
    }
    int error = device_recompress(context, &parts.request, &result);
    if (error == -EINVAL)
        return attribute_refuse(answer, error, attribute, value, "%s", not_configured);
    if (error == -EINTR)
        return attribute_refuse(answer, error, attribute, value,
                                "broken off after %" PRIu64 " blocks: the server ends",
                                result.tried);
    if (error != 0)
        return attribute_refuse(answer, error, attribute, value, "no memory for it");
    return 0;
}

/* The settings that are the policy, by the names that they have within it. */
static const struct {
    const char *part, *setting;
} policy[] = {{"age", "recompress_age"}, {"cpu", "recompress_cpu"}, {"busy", "recompress_busy"}};

int get_recompress_policy(void *context, const struct attribute *attribute, const char *argument,
                          struct text *answer)
{
    (void)attribute;
    (void)argument;
    for (size_t i = 0; i < array_count(policy); i++)
        text_add(answer, "%s%s=%" PRIu64, i > 0 ? " " : "", policy[i].part,
                 device_get(context, policy[i].setting));
    text_add(answer, "\n");
    return 0;
}

/* New values of the settings, so that either all are set or none. */
struct policy_parts {
    bool given[array_count(policy)];
    uint64_t value[array_count(policy)];
};

static const char *take_policy_part(void *context, const char *name, const char *value)
{
    struct policy_parts *parts = context;
    for (size_t i = 0; i < array_count(policy); i++) {
        const struct setting_row *row = setting_find(policy[i].setting);
        if (strcmp(name, policy[i].part) != 0)
            continue;
        if (parse_size(value, &parts->value[i]) < 0 || parts->value[i] < row->least ||
            parts->value[i] > row->most)
            return i == 0   ? "age= wants 0 (off) to 31536000 seconds"
                   : i == 1 ? "cpu= wants 1 to 100 per cent of a CPU"
                            : "busy= wants 0 to 1000000000 blocks a second";
        parts->given[i] = true;
        return NULL;
    }
    return "has a part that is unknown; give age=, cpu= or busy=";
}

int set_recompress_policy(void *context, const struct attribute *attribute, const char *value,
                          struct text *answer)
{
    struct policy_parts parts = {0};
    int count;
    const char *wrong = parse_parts(value, NULL, take_policy_part, &parts, &count);
    if (wrong == NULL && count == 0)
        wrong = "is empty; give age=, cpu= or busy=";
    if (wrong != NULL)
        return attribute_refuse(answer, -EINVAL, attribute, value, "%s", wrong);
    for (size_t i = 0; i < array_count(policy); i++) {
        int error = parts.given[i] ? device_set(context, policy[i].setting, parts.value[i]) : 0;
        checked(error == 0);
        (void)error;
    }
    return 0;
}

int set_idle(void *context, const struct attribute *attribute, const char *value,
             struct text *answer)
{
    uint64_t seconds = 0;
    if (strcmp(value, "all") != 0 && (parse_size(value, &seconds) < 0 || seconds == 0))
        return attribute_refuse(answer, -EINVAL, attribute, value,
                                "give all, or a number of seconds");
    if (device_mark_idle(context, seconds) != 0)
        return attribute_refuse(answer, -EINVAL, attribute, value,
                                "ages are known up to recompress_age, %" PRIu64
                                " seconds; give that or less, or all",
                                device_get(context, "recompress_age"));
    return 0;
}

/* What a get of train asks for. */
struct train_parts {
    const struct codec *codec;
    bool has_level;
    int level;
    uint64_t bytes;
};

static const char *take_train_part(void *context, const char *name, const char *value)
{
    struct train_parts *parts = context;
    if (strcmp(name, "algo") == 0) {
        parts->codec = codec_find(value);
        return parts->codec != NULL ? NULL : "algo= wants lz4, lz4hc or zstd";
    }
    if (strcmp(name, "level") == 0) {
        parts->has_level = true;
        return parse_integer(value, INT_MIN, INT_MAX, &parts->level) == 0
                   ? NULL
                   : "level= wants a whole number";
    }
    if (strcmp(name, "size") == 0)
        return parse_size(value, &parts->bytes) == 0 ? NULL : "size= wants a number of bytes";
    return "has a part that is unknown; give algo=, level= or size=";
}

int get_train(void *context, const struct attribute *attribute, const char *argument,
              struct text *answer)
{
    struct train_parts parts = {.codec = codec_find("zstd"), .bytes = TRAIN_BYTES_DEFAULT};
    int count;
    const char *wrong = parse_parts(argument, NULL, take_train_part, &parts, &count);
    if (wrong != NULL)
        return attribute_refuse(answer, -EINVAL, attribute, argument, "%s", wrong);
    struct train_request request = {
        .codec = parts.codec,
        .level = parts.has_level ? parts.level : parts.codec->level_default,
        .dictionary_bytes = parts.bytes,
    };
    struct train_result result;
    size_t most = parts.codec->dictionary_bytes_max;
    if (most > TRAIN_BYTES_MAX)
        most = TRAIN_BYTES_MAX;
    int error = parts.bytes <= most ? device_train(context, &request, &result) : -EINVAL;
    if (error == -EINVAL)
        return attribute_refuse(answer, error, attribute, argument,
                                "%s takes level=%d to level=%d and size=1024 to size=%zu",
                                parts.codec->name, parts.codec->level_min, parts.codec->level_max,
                                most);
    if (error == -ENODATA)
        return attribute_refuse(answer, error, attribute, argument,
                                "too few blocks are stored, or they have nothing in common");
    if (error != 0)
        return attribute_refuse(answer, error, attribute, argument, "no memory for it");
    text_add(answer,
             "samples %zu\nstored_bytes %" PRIu64 "\nwithout_bytes %" PRIu64 "\nwith_bytes %" PRIu64
             "\ndictionary_bytes %zu\n",
             result.samples, result.stored_bytes, result.without_bytes, result.with_bytes,
             result.dictionary_bytes);
    const unsigned char *bytes = result.dictionary;
    for (size_t i = 0; i < result.dictionary_bytes; i++)
        text_add(answer, "%02x", bytes[i]);
    text_add(answer, "\n");
    memory_free(result.dictionary);
    return 0;
}
