/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.h: the keys of the command line, checked and turned into a device's configuration.
 *
 *     nbdkit zram 4G comp_algorithm=zstd …
 *         │  config_set, once per key: is the value well formed? (given twice, the last counts)
 *         ▼
 *     config_finish: do the values fit each other and the device?
 *         ▼
 *     config_device, config_stats_file, config_control: what was asked for
 *
 * A refusal is one line that names the key, the value and what would be accepted. All run on
 * nbdkit's main thread before it serves.
 */
#ifndef UZRAM_PLUGIN_CONFIG_H
#define UZRAM_PLUGIN_CONFIG_H

#include "device/device.h"

/*
 * Every key, declared once: X(name, value's form, help). The help text that `nbdkit zram --help`
 * prints and the table of setters are made from it.
 */
#define CONFIG_KEYS(X)                                                                        \
    X(size, "SIZE", "size of the disk, 1 byte to 16T, required (size= may be left out)")      \
    X(size_max, "SIZE", "what the disk may be made while it serves (default: its size)")      \
    X(comp_algorithm, "lz4|lz4hc|zstd", "how blocks are compressed (default lz4)")            \
    X(recomp_algorithm, "algo=NAME priority=1", "what resting blocks become (default none)")  \
    X(algorithm_params, "level=NUMBER dict=PATH", "level, dictionary, written as for zram")   \
    X(mem_limit, "SIZE", "most memory the disk may use, 0 for no limit (default 0)")          \
    X(zpool, "zsmalloc|z3fold|zbud", "what keeps the compressed blocks (default zsmalloc)")   \
    X(zspage_pages_max, "PAGES", "longest zspage, 1 to 32 (default 32)")                      \
    X(reserve, "SIZE", "free memory kept ready ahead of writers (default 0)")                 \
    X(swap, "off|on|require", "make it safe to swap on, or refuse to start (default off)")    \
    X(stats_file, "PATH", "file that shows the statistics, rewritten as clients come and go") \
    X(control, "PATH|off", "socket for uzram(1) (default in the user's runtime directory)")

#define CONFIG_HELP_LINE(name, form, help) #name "=" form "\n        " help "\n"
#define CONFIG_HELP_SETTING(name, initial, least, most, unit, help) \
#name "=NUMBER\n        " help ", " #least " to " #most " " unit " (default " #initial ")\n"
#define CONFIG_HELP CONFIG_KEYS(CONFIG_HELP_LINE) DEVICE_BACKGROUND_SETTINGS(CONFIG_HELP_SETTING)

/* nbdkit's .config: 0, or -1 after nbdkit_error. `value` must stay: nbdkit keeps it. */
int config_set(const char *key, const char *value);

/* nbdkit's .config_complete: 0, or -1 after nbdkit_error. */
int config_finish(void);

/* Valid once config_finish returned 0. */
const struct device_config *config_device(void);

/*
 * Gives a new device what can be set of one that is there: recompression, dictionaries, background
 * work. 0, or -1 after nbdkit_error.
 */
int config_apply(struct device *device) must_use;

/* Whether the disk is to be safe to swap on, and whether it is not to start if it can't be. */
enum config_swap { CONFIG_SWAP_OFF, CONFIG_SWAP_ON, CONFIG_SWAP_REQUIRE };
enum config_swap config_swap(void);

/* An absolute path, or NULL if no statistics file is wanted. */
const char *config_stats_file(void);

/* An absolute path for the control socket, "" for none at all, or NULL if nothing was said of it.
 */
const char *config_control(void);

/* Frees what config_set kept. */
void config_free(void);

#endif
