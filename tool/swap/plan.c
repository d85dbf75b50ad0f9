/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/swap/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/parse.h"
#include "common/units.h"
#include "device/settings.h"
#include "tool/command.h"
#include "tool/format.h"
#include "tool/swap/nbd_device.h"

/* The kernel needs ten pages; less than this was meant as something else. */
#define SIZE_BYTES_MIN MIB

/* No memory compresses so well that more could be used; more than the second is rarely meant. */
#define SIZE_PER_RAM_MAX  16
#define SIZE_PER_RAM_WARN 4

#define PRIORITY_MAX 32767

#define AMOUNT_ACCEPTED "give an amount such as 4G, 200%%, ram / 2, or min(ram, 8G)"

/* Keys of the plugin, besides background work's, that make sense for swap. */
static const char *const plugin_keys[] = {
    "algorithm_params", "comp_algorithm", "mem_limit", "recomp_algorithm", "reserve",
    "size_max",         "stats_file",     "zpool",     "zspage_pages_max",
};

static const char *const own_keys[] = {
    "size", "priority", "device", "threads", "connections", "plugin",
};

void swap_plan_init(struct swap_plan *plan, uint64_t ram_bytes)
{
    *plan = (struct swap_plan){
        .ram_bytes = ram_bytes,
        .priority = SWAP_PRIORITY_DEFAULT,
        .threads = SWAP_THREADS_DEFAULT,
        .connections = 1,
        .plugin = command_copy("zram"),
    };
}

void swap_plan_free(struct swap_plan *plan)
{
    for (size_t i = 0; i < plan->key_count; i++)
        free(plan->keys[i]);
    free(plan->device);
    free(plan->plugin);
    *plan = (struct swap_plan){0};
}

printf_like(4, 5) static bool refuse(struct text *wrong, const char *key, const char *value,
                                     const char *format, ...)
{
    char sentence[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    text_add(wrong, "%s=%.100s: %s", key, value, sentence);
    return false;
}

static void replace(char **text, const char *value)
{
    free(*text);
    *text = command_copy(value);
}

static bool set_integer(int *number, int most, const char *key, const char *value, int least,
                        struct text *wrong)
{
    if (parse_integer(value, least, most, number) != 0)
        return refuse(wrong, key, value, "not a number it can be; give %d to %d", least, most);
    return true;
}

static bool set_amount(const struct swap_plan *plan, uint64_t *bytes, const char *key,
                       const char *value, struct text *wrong)
{
    if (swap_amount(value, plan->ram_bytes, bytes) != 0)
        return refuse(wrong, key, value, "not an amount of memory; " AMOUNT_ACCEPTED);
    return true;
}

static bool add_plugin_key(struct swap_plan *plan, const char *key, const char *value,
                           struct text *wrong)
{
    if (plan->key_count == SWAP_PLUGIN_KEYS_MAX)
        return refuse(wrong, key, value, "too many keys; give at most %d", SWAP_PLUGIN_KEYS_MAX);
    if (asprintf(&plan->keys[plan->key_count], "%s=%s", key, value) < 0)
        command_fail("no memory");
    plan->key_count++;
    return true;
}

/* An amount that the plugin takes as bytes. */
static bool add_plugin_amount(struct swap_plan *plan, uint64_t *bytes, const char *key,
                              const char *value, struct text *wrong)
{
    char number[32];
    if (!set_amount(plan, bytes, key, value, wrong))
        return false;
    snprintf(number, sizeof number, "%" PRIu64, *bytes);
    return add_plugin_key(plan, key, number, wrong);
}

static bool is_among(const char *const *names, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], key) == 0)
            return true;
    return false;
}

static bool refuse_unknown(const char *key, const char *value, struct text *wrong)
{
    const char *between = "";
    text_add(wrong, "%s=%.100s: not a key that is known; give one of ", key, value);
    for (size_t i = 0; i < array_count(own_keys); i++, between = ", ")
        text_add(wrong, "%s%s", between, own_keys[i]);
    for (size_t i = 0; i < array_count(plugin_keys); i++)
        text_add(wrong, "%s%s", between, plugin_keys[i]);
    for (size_t i = 0; setting_at(i) != NULL; i++)
        if (!is_among(plugin_keys, array_count(plugin_keys), setting_at(i)->name))
            text_add(wrong, "%s%s", between, setting_at(i)->name);
    return false;
}

static bool set_named(struct swap_plan *plan, const char *key, const char *value,
                      struct text *wrong)
{
    char name[NBD_NAME_BYTES];
    uint64_t bytes;
    if (strcmp(key, "size") == 0)
        return set_amount(plan, &plan->size_bytes, key, value, wrong);
    if (strcmp(key, "priority") == 0)
        return set_integer(&plan->priority, PRIORITY_MAX, key, value, 0, wrong);
    if (strcmp(key, "threads") == 0)
        return set_integer(&plan->threads, SWAP_THREADS_MAX, key, value, 1, wrong);
    if (strcmp(key, "connections") == 0)
        return set_integer(&plan->connections, SWAP_THREADS_MAX, key, value, 1, wrong);
    if (strcmp(key, "device") == 0) {
        if (!nbd_name(value, name))
            return refuse(wrong, key, value, "not an nbd device; give one such as /dev/nbd0");
        replace(&plan->device, value);
        return true;
    }
    if (strcmp(key, "plugin") == 0) {
        if (*value == '\0' || *value == '-')
            return refuse(wrong, key, value, "not a plugin; give a name or a path for nbdkit");
        replace(&plan->plugin, value);
        return true;
    }
    if (strcmp(key, "swap") == 0 || strcmp(key, "control") == 0)
        return refuse(wrong, key, value, "uzram swap sets this itself; leave it out");
    if (strcmp(key, "mem_limit") == 0)
        return add_plugin_amount(plan, &plan->mem_limit_bytes, key, value, wrong);
    if (strcmp(key, "reserve") == 0)
        return add_plugin_amount(plan, &bytes, key, value, wrong);
    if (is_among(plugin_keys, array_count(plugin_keys), key) || setting_find(key) != NULL)
        return add_plugin_key(plan, key, value, wrong);
    return refuse_unknown(key, value, wrong);
}

bool swap_plan_set(struct swap_plan *plan, const char *key, const char *value, struct text *wrong)
{
    char *name = command_copy(key);
    for (char *at = name; *at != '\0'; at++)
        if (*at == '-')
            *at = '_';
    bool is_done = set_named(
        plan, strcmp(name, "compression_algorithm") == 0 ? "comp_algorithm" : name, value, wrong);
    free(name);
    return is_done;
}

bool swap_plan_check(const struct swap_plan *plan, struct text *wrong, struct text *warnings)
{
    char size[FORMAT_BYTES_MAX], ram[FORMAT_BYTES_MAX], limit[FORMAT_BYTES_MAX];
    format_bytes(size, plan->size_bytes);
    format_bytes(ram, plan->ram_bytes);
    format_bytes(limit, plan->mem_limit_bytes);
    if (plan->size_bytes < SIZE_BYTES_MIN) {
        text_add(wrong, "a swap of %" PRIu64 " bytes is too small to be meant; " AMOUNT_ACCEPTED,
                 plan->size_bytes);
        return false;
    }
    if (plan->size_bytes / SIZE_PER_RAM_MAX > plan->ram_bytes) {
        text_add(wrong,
                 "a swap of %s is more than %d times this machine's memory (%s), and could never "
                 "be filled; give at most %d%%",
                 size, SIZE_PER_RAM_MAX, ram, SIZE_PER_RAM_MAX * 100);
        return false;
    }
    if (plan->threads * plan->connections > SWAP_THREADS_MAX) {
        text_add(wrong,
                 "%d connections of %d threads are more than the %d requests whose buffers a "
                 "server keeps ready; give fewer of either",
                 plan->connections, plan->threads, SWAP_THREADS_MAX);
        return false;
    }
    if (plan->size_bytes / SIZE_PER_RAM_WARN > plan->ram_bytes)
        text_add(warnings,
                 "a swap of %s is more than %d times this machine's memory (%s): only pages that "
                 "compress better than that would fill it\n",
                 size, SIZE_PER_RAM_WARN, ram);
    if (plan->mem_limit_bytes != 0 && plan->mem_limit_bytes < plan->size_bytes)
        text_add(warnings,
                 "mem_limit (%s) is less than the swap's size (%s): if its pages compress less "
                 "than %.1f times, writes fail with ENOSPC, and the kernel keeps those pages in "
                 "memory\n",
                 limit, size, (double)plan->size_bytes / (double)plan->mem_limit_bytes);
    return true;
}
