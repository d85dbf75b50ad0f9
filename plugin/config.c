/* SPDX-License-Identifier: BSD-3-Clause */
/* config.c: the keys of the command line, checked and turned into a device's configuration. */
#include "plugin/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "common/algorithm_params.h"
#include "common/parse.h"
#include "compress/codec.h"

/* Each priority's, and as often again. */
#define PARAMS_BY_ALGO_MAX (2 * DEVICE_PRIORITY_COUNT)

/* docs/swap.md has the runs that these are from. */
#define SWAP_RESERVE_BYTES    (8 * MIB)
#define SWAP_ZSPAGE_PAGES_MAX 8

#define SIZE_ACCEPTED "give 1 byte to 16T, such as 512M or 4G"

/* What was asked for, with the texts that config_finish still has to check. */
static struct {
    bool initialised;
    struct device_config device;
    const char *size_max_text;
    const char *mem_limit_text;
    const char *reserve_text;
    struct priority {
        const struct codec *codec; /* NULL: not configured, for 1 to 3 */
        const char *params_text;   /* NULL: not given */
        struct algorithm_params params;
        int level;
        void *dictionary; /* the file's content, owned */
        size_t dictionary_bytes;
    } priority[DEVICE_PRIORITY_COUNT];
    struct {
        const char *text;
        struct algorithm_params params;
    } params_by_algo[PARAMS_BY_ALGO_MAX]; /* given without priority=, to be sorted in at the end */
    size_t params_by_algo_count;
    bool setting_given[DEVICE_SETTING_COUNT];
    uint64_t setting[DEVICE_SETTING_COUNT];
    bool zspage_pages_max_given;
    enum config_swap swap;
    char *stats_file;
    char *control;
} config;

/* Copies a text so that it fits into one line of a message: printable, and not too long. */
static const char *line_of(const char *text, char *line, size_t line_capacity_bytes)
{
    static const char more[] = "...";
    size_t length = 0;
    for (; text[length] != '\0'; length++) {
        if (length == line_capacity_bytes - sizeof more) {
            memcpy(line + length, more, sizeof more);
            return line;
        }
        line[length] = text[length];
        if (iscntrl((unsigned char)text[length]))
            line[length] = '?';
    }
    line[length] = '\0';
    return line;
}

/* Says "KEY=VALUE: " and the reason in one line. Returns -1. */
printf_like(3, 4) static int refuse(const char *key, const char *value, const char *reason, ...)
{
    char key_line[64], value_line[128], reason_line[256];
    va_list arguments;
    va_start(arguments, reason);
    vsnprintf(reason_line, sizeof reason_line, reason, arguments);
    va_end(arguments);
    nbdkit_error("%s=%s: %s", line_of(key, key_line, sizeof key_line),
                 line_of(value, value_line, sizeof value_line), reason_line);
    return -1;
}

/* Lists for messages: the names that a function gives, with commas between. */
static const char *names_list(const char *(*name_at)(size_t index), char *list,
                              size_t list_capacity_bytes)
{
    size_t used = 0;
    list[0] = '\0';
    for (size_t i = 0; name_at(i) != NULL && used < list_capacity_bytes; i++)
        used += (size_t)snprintf(list + used, list_capacity_bytes - used, "%s%s",
                                 i == 0 ? "" : ", ", name_at(i));
    return list;
}

static const char *codec_name_at(size_t index)
{
    const struct codec *codec = codec_at(index);
    return codec == NULL ? NULL : codec->name;
}

static int set_size(const char *key, const char *value)
{
    uint64_t bytes;
    if (parse_size(value, &bytes) < 0 || bytes == 0 || bytes > DEVICE_SIZE_MAX_BYTES)
        return refuse(key, value, "not a size a disk can have; " SIZE_ACCEPTED);
    config.device.size_bytes = bytes;
    return 0;
}

static int set_size_max(const char *key, const char *value)
{
    uint64_t bytes;
    if (parse_size(value, &bytes) < 0 || bytes == 0 || bytes > DEVICE_SIZE_MAX_BYTES)
        return refuse(key, value, "not a size a disk can have; " SIZE_ACCEPTED);
    config.device.size_max_bytes = bytes;
    config.size_max_text = value;
    return 0;
}

static int set_comp_algorithm(const char *key, const char *value)
{
    const struct codec *codec = codec_find(value);
    char names[128];
    if (codec == NULL)
        return refuse(key, value, "not an algorithm that is known; give one of %s",
                      names_list(codec_name_at, names, sizeof names));
    config.device.algorithm.codec = codec;
    return 0;
}

static int set_recomp_algorithm(const char *key, const char *value)
{
    struct algorithm_params params;
    char names[128];
    const char *wrong = parse_recomp_algorithm(value, &params);
    if (wrong != NULL)
        return refuse(key, value, "%s", wrong);
    const struct codec *codec = codec_find(params.algo);
    if (codec == NULL)
        return refuse(key, value, "not an algorithm that is known; give one of %s",
                      names_list(codec_name_at, names, sizeof names));
    config.priority[params.priority].codec = codec;
    return 0;
}

static int set_algorithm_params(const char *key, const char *value)
{
    struct algorithm_params params;
    const char *wrong = parse_algorithm_params(value, &params);
    if (wrong != NULL)
        return refuse(key, value, "%s", wrong);
    if (params.has_priority || params.algo[0] == '\0') {
        config.priority[params.priority].params = params;
        config.priority[params.priority].params_text = value;
        return 0;
    }
    if (config.params_by_algo_count == PARAMS_BY_ALGO_MAX)
        return refuse(key, value, "given more often than there are algorithms; give priority=");
    config.params_by_algo[config.params_by_algo_count].text = value;
    config.params_by_algo[config.params_by_algo_count++].params = params;
    return 0;
}

static int set_mem_limit(const char *key, const char *value)
{
    if (parse_size(value, &config.device.mem_limit_bytes) < 0)
        return refuse(key, value,
                      "not an amount of memory; give one such as 512M, "
                      "or 0 for no limit");
    config.mem_limit_text = value;
    return 0;
}

static int set_zpool(const char *key, const char *value)
{
    char names[128];
    for (size_t i = 0; device_zpool_driver_name(i) != NULL; i++) {
        if (strcmp(value, device_zpool_driver_name(i)) == 0) {
            config.device.zpool_driver = device_zpool_driver_name(i);
            return 0;
        }
    }
    return refuse(key, value, "not a driver that is known; give one of %s",
                  names_list(device_zpool_driver_name, names, sizeof names));
}

static int set_zspage_pages_max(const char *key, const char *value)
{
    int pages;
    if (parse_integer(value, 1, DEVICE_ZSPAGE_PAGES_MAX, &pages) < 0)
        return refuse(key, value, "not a length a zspage can have; give 1 to %u pages",
                      DEVICE_ZSPAGE_PAGES_MAX);
    config.device.zspage_pages_max = (unsigned)pages;
    config.zspage_pages_max_given = true;
    return 0;
}

static int set_reserve(const char *key, const char *value)
{
    if (parse_size(value, &config.device.reserve_bytes) < 0)
        return refuse(key, value,
                      "not an amount of memory; give one such as 4M, "
                      "or 0 for no reserve");
    config.reserve_text = value;
    return 0;
}

static int set_swap(const char *key, const char *value)
{
    static const char *const names[] = {
        [CONFIG_SWAP_OFF] = "off", [CONFIG_SWAP_ON] = "on", [CONFIG_SWAP_REQUIRE] = "require"};
    for (unsigned i = 0; i < array_count(names); i++)
        if (strcmp(value, names[i]) == 0) {
            config.swap = (enum config_swap)i;
            return 0;
        }
    return refuse(key, value, "not a way to serve swap; give off, on, or require");
}

static int set_stats_file(const char *key, const char *value)
{
    if (*value == '\0')
        return refuse(key, value, "not a path; give that of a file to write statistics to");
    free(config.stats_file);
    config.stats_file = nbdkit_absolute_path(value); /* the server leaves this directory */
    return config.stats_file == NULL ? -1 : 0;
}

static int set_control(const char *key, const char *value)
{
    if (*value == '\0')
        return refuse(key, value, "not a path; give that of the socket to make, or off for none");
    free(config.control);
    config.control = strcmp(value, "off") == 0 ? strdup("") : nbdkit_absolute_path(value);
    return config.control == NULL ? -1 : 0;
}

static const struct {
    const char *name;
    int (*set)(const char *key, const char *value);
} setters[] = {
#define CONFIG_SETTER(name, form, help) {#name, set_##name},
    CONFIG_KEYS(CONFIG_SETTER)
#undef CONFIG_SETTER
};

static const char *setter_name_at(size_t index)
{
    return index < array_count(setters) ? setters[index].name : NULL;
}

/* One of the settings of background work, whose names and bounds the device declares. */
static int set_setting(size_t index, const char *key, const char *value)
{
    const struct setting_row *row = setting_at(index);
    uint64_t number;
    if (parse_size(value, &number) < 0 || number < row->least || number > row->most)
        return refuse(key, value, "not a value it can have; give %" PRIu64 " to %" PRIu64 " %s",
                      row->least, row->most, row->unit);
    config.setting[index] = number;
    config.setting_given[index] = true;
    return 0;
}

/* The defaults, before the first key. */
static void config_initialise(void)
{
    if (config.initialised)
        return;
    device_config_init(&config.device);
    config.initialised = true;
}

int config_set(const char *key, const char *value)
{
    config_initialise();
    for (size_t i = 0; i < array_count(setters); i++) {
        if (strcmp(key, setters[i].name) == 0)
            return setters[i].set(key, value);
    }
    for (size_t i = 0; setting_at(i) != NULL; i++) {
        if (strcmp(key, setting_at(i)->name) == 0)
            return set_setting(i, key, value);
    }
    char names[256];
    return refuse(key, value, "not a key that is known; give one of %s",
                  names_list(setter_name_at, names, sizeof names));
}

/* Params that name an algorithm but no priority are those of the first priority that has it. */
static int finish_params_by_algo(void)
{
    for (size_t i = 0; i < config.params_by_algo_count; i++) {
        const struct algorithm_params *params = &config.params_by_algo[i].params;
        struct priority *found = NULL;
        for (unsigned j = 0; j < DEVICE_PRIORITY_COUNT && found == NULL; j++) {
            struct priority *priority = &config.priority[j];
            if (priority->codec != NULL && strcmp(priority->codec->name, params->algo) == 0)
                found = priority;
        }
        if (found == NULL)
            return refuse("algorithm_params", config.params_by_algo[i].text,
                          "nothing uses it; give comp_algorithm=%s or recomp_algorithm=%s",
                          params->algo, params->algo);
        found->params = *params;
        found->params_text = config.params_by_algo[i].text;
    }
    return 0;
}

/* Reads a dictionary as a whole. */
static int read_dictionary(struct priority *priority)
{
    const char *path = priority->params.dict;
    size_t most = priority->codec->dictionary_bytes_max;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return refuse("algorithm_params", priority->params_text,
                      "the dictionary cannot be opened: %s", strerror(errno));
    free(priority->dictionary);
    priority->dictionary = malloc(most + 1);
    if (priority->dictionary != NULL)
        priority->dictionary_bytes = fread(priority->dictionary, 1, most + 1, file);
    bool failed = priority->dictionary == NULL || ferror(file) != 0;
    fclose(file);
    if (failed)
        return refuse("algorithm_params", priority->params_text, "the dictionary cannot be read");
    if (priority->dictionary_bytes == 0 || priority->dictionary_bytes > most)
        return refuse("algorithm_params", priority->params_text,
                      "not a dictionary for %s; give one of 1 to %zu bytes", priority->codec->name,
                      most);
    return 0;
}

/* Gives a priority its level and dictionary, now that it is known which algorithm it has. */
static int finish_priority(unsigned number)
{
    static const char key[] = "algorithm_params";
    struct priority *priority = &config.priority[number];
    const struct codec *codec = priority->codec;
    const struct algorithm_params *params = &priority->params;

    if (codec == NULL) {
        if (priority->params_text != NULL)
            return refuse(key, priority->params_text,
                          "there is no such priority; give recomp_algorithm=NAME priority=%u",
                          number);
        return 0;
    }
    priority->level = codec->level_default;
    if (priority->params_text == NULL)
        return 0;
    if (params->algo[0] != '\0' && strcmp(params->algo, codec->name) != 0)
        return refuse(key, priority->params_text, "priority %u is %s; give algo=%s", number,
                      codec->name, codec->name);
    if (params->has_level) {
        if (!codec_has_level(codec, params->level))
            return refuse(key, priority->params_text,
                          "not a level of %s; give level=%d to level=%d (%s)", codec->name,
                          codec->level_min, codec->level_max, codec->level_help);
        priority->level = params->level;
    }
    return params->dict[0] != '\0' ? read_dictionary(priority) : 0;
}

static int finish_algorithms(void)
{
    config.priority[0].codec = config.device.algorithm.codec;
    if (finish_params_by_algo() < 0)
        return -1;
    for (unsigned i = 0; i < DEVICE_PRIORITY_COUNT; i++)
        if (finish_priority(i) < 0)
            return -1;
    config.device.algorithm.level = config.priority[0].level;
    return 0;
}

/* A limit has to leave room for the tables, a reserve has to fit under the limit and the disk. */
static int finish_memory(void)
{
    const struct device_config *device = &config.device;

    if (config.reserve_text != NULL) {
        uint64_t most = device->mem_limit_bytes != 0 ? device->mem_limit_bytes : device->size_bytes;
        if (device->reserve_bytes > most)
            return refuse("reserve", config.reserve_text,
                          "more than the %s; give 0 to %" PRIu64 " bytes",
                          device->mem_limit_bytes != 0 ? "mem_limit" : "disk's size", most);
    }
    if (device->mem_limit_bytes != 0) {
        uint64_t floor_bytes = device_mem_floor_bytes(device);
        if (device->mem_limit_bytes < floor_bytes)
            return refuse("mem_limit", config.mem_limit_text,
                          "too little for this disk's tables and one block; give at least "
                          "%" PRIu64 " bytes, or 0 for no limit",
                          floor_bytes);
    }
    return 0;
}

/*
 * What nobody asked for is what swap needs: a reserve, and zspages that are short, because pages of
 * a zspage that no object has reached yet are resident now.
 */
static void default_for_swap(void)
{
    struct device_config *device = &config.device;
    device->prefault = true;
    if (config.reserve_text == NULL)
        device->reserve_bytes = SWAP_RESERVE_BYTES;
    if (!config.zspage_pages_max_given)
        device->zspage_pages_max = SWAP_ZSPAGE_PAGES_MAX;
}

int config_finish(void)
{
    config_initialise();
    if (config.device.size_bytes == 0) {
        nbdkit_error("size=: missing; " SIZE_ACCEPTED);
        return -1;
    }
    if (config.size_max_text != NULL && config.device.size_max_bytes < config.device.size_bytes)
        return refuse("size_max", config.size_max_text,
                      "less than the disk's size; give at least %" PRIu64 " bytes",
                      config.device.size_bytes);
    if (config.swap != CONFIG_SWAP_OFF)
        default_for_swap();
    if (finish_algorithms() < 0 || finish_memory() < 0)
        return -1;
    return 0;
}

/* What the device was not made with already. */
static int apply_priority(struct device *device, unsigned number)
{
    const struct priority *priority = &config.priority[number];
    if (priority->codec == NULL || (number == 0 && priority->dictionary == NULL))
        return 0;
    int error = device_set_algorithm(device, number, priority->codec, priority->level,
                                     priority->dictionary, priority->dictionary_bytes);
    if (error == -EINVAL && priority->dictionary != NULL)
        return refuse("algorithm_params", priority->params_text,
                      "not a dictionary that %s can read", priority->codec->name);
    if (error != 0) {
        nbdkit_error("%s: priority %u cannot be had: %s", priority->codec->name, number,
                     strerror(-error));
        return -1;
    }
    return 0;
}

int config_apply(struct device *device)
{
    for (unsigned i = 0; i < DEVICE_PRIORITY_COUNT; i++)
        if (apply_priority(device, i) < 0)
            return -1;
    for (size_t i = 0; setting_at(i) != NULL; i++) {
        if (!config.setting_given[i])
            continue;
        int error = device_set(device, setting_at(i)->name, config.setting[i]);
        if (error != 0) {
            nbdkit_error("%s: cannot be set: %s", setting_at(i)->name, strerror(-error));
            return -1;
        }
    }
    return 0;
}

const struct device_config *config_device(void)
{
    return &config.device;
}

enum config_swap config_swap(void)
{
    return config.swap;
}

const char *config_stats_file(void)
{
    return config.stats_file;
}

const char *config_control(void)
{
    return config.control;
}

void config_free(void)
{
    free(config.control);
    config.control = NULL;
    free(config.stats_file);
    config.stats_file = NULL;
    for (unsigned i = 0; i < DEVICE_PRIORITY_COUNT; i++) {
        free(config.priority[i].dictionary);
        config.priority[i].dictionary = NULL;
    }
}
