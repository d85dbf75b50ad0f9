/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zram.c: the plugin itself: its life from load to unload, and the table that nbdkit reads.
 *
 *     config, config_complete    the command line is checked            config.c
 *     get_ready                  the device and its control socket are made: errors reach the user
 *     after_fork                 their threads start: fork would have killed them; swap=on: swap.c
 *     open … close               connections are served                  io.c, stats_file.c
 *     cleanup                    the threads end, statistics are shown
 *     unload                     the device goes
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "compress/codec.h"
#include "device/device.h"
#include "plugin/config.h"
#include "plugin/control_socket.h"
#include "plugin/io.h"
#include "plugin/stats_file.h"
#include "plugin/swap.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* The one disk, which every connection gets as its handle. Set before the server serves. */
static struct device *the_device;

/* nbdkit zram --dump-plugin: what a script may want to know before it gives keys. */
static void zram_dump_plugin(void)
{
    const struct codec *codec;

    printf("zram_comp_algorithm=");
    for (size_t i = 0; (codec = codec_at(i)) != NULL; i++)
        printf("%s%s", i == 0 ? "" : " ", codec->name);
    printf("\n");
    for (size_t i = 0; (codec = codec_at(i)) != NULL; i++) {
        printf("zram_%s_level_min=%d\n", codec->name, codec->level_min);
        printf("zram_%s_level_max=%d\n", codec->name, codec->level_max);
        printf("zram_%s_level_default=%d\n", codec->name, codec->level_default);
    }
    printf("zram_zpool=");
    for (size_t i = 0; device_zpool_driver_name(i) != NULL; i++)
        printf("%s%s", i == 0 ? "" : " ", device_zpool_driver_name(i));
    printf("\n");
    printf("zram_size_max=%" PRIu64 "\n", (uint64_t)DEVICE_SIZE_MAX_BYTES);
    printf("zram_zspage_pages_max=%u\n", DEVICE_ZSPAGE_PAGES_MAX);
}

static int zram_get_ready(void)
{
    const struct device_config *config = config_device();
    int result = device_create(config, &the_device);
    if (result < 0) {
        nbdkit_error("size=%" PRIu64 ": the disk cannot be made: %s", config->size_bytes,
                     result == -ENOMEM ? "no memory for its tables; give a smaller size"
                                       : strerror(-result));
        return -1;
    }
    if (config_apply(the_device) < 0 || swap_prepare(the_device) < 0)
        return -1;
    if (stats_file_write(the_device, config_stats_file()) < 0)
        return -1;
    return control_socket_prepare(the_device, config_control());
}

static int zram_after_fork(void)
{
    if (swap_begin() < 0)
        return -1;
    int result = device_start(the_device);
    if (result < 0) {
        nbdkit_error("the disk cannot be started: %s", strerror(-result));
        return -1;
    }
    return control_socket_start(the_device, config_control());
}

/*
 * The statistics file is for whoever looks on from outside, so a connection is not refused because
 * it could not be written: the message is enough.
 */
static void *zram_open(int readonly)
{
    (void)readonly;
    device_connect(the_device);
    stats_file_write(the_device, config_stats_file());
    return the_device;
}

static void zram_close(void *handle)
{
    stats_file_write(handle, config_stats_file());
    device_disconnect(handle);
}

/* Every statistic with its unit, for nbdkit -v. */
static void statistics_debug(void)
{
    struct device_statistics statistics;
    device_statistics(the_device, &statistics);

    size_t count;
    const struct statistic_row *rows = statistic_rows(&count);
    for (size_t i = 0; i < count; i++)
        nbdkit_debug("zram: %s %" PRIu64 " %s", rows[i].name,
                     statistic_value(&statistics, &rows[i]), rows[i].unit);
}

static void zram_cleanup(void)
{
    device_interrupt(the_device);
    control_socket_close();
    device_stop(the_device);
    stats_file_write(the_device, config_stats_file());
    statistics_debug();
}

static void zram_unload(void)
{
    control_socket_close();
    device_destroy(the_device);
    the_device = NULL;
    config_free();
}

static struct nbdkit_plugin plugin = {
    .name = "zram",
    .longname = "uzram compressed memory disk",
    .version = PACKAGE_VERSION,
    .description = "A disk in memory, its blocks compressed like the kernel's zram",
    .magic_config_key = "size",
    .config = config_set,
    .config_complete = config_finish,
    .config_help = CONFIG_HELP,
    .dump_plugin = zram_dump_plugin,

    .get_ready = zram_get_ready,
    .after_fork = zram_after_fork,
    .cleanup = zram_cleanup,
    .unload = zram_unload,

    .open = zram_open,
    .close = zram_close,
    .get_size = io_get_size,
    .block_size = io_block_size,
    .can_multi_conn = io_can_multi_conn,
    .can_fua = io_can_fua,
    .can_fast_zero = io_can_fast_zero,
    .can_cache = io_can_cache,
    .is_rotational = io_is_rotational,
    .export_description = io_export_description,

    .pread = io_pread,
    .pwrite = io_pwrite,
    .flush = io_flush,
    .trim = io_trim,
    .zero = io_zero,
    .extents = io_extents,
    .errno_is_preserved = 1,
};

struct nbdkit_plugin *plugin_init(void); /* the macro defines it without having declared it */
NBDKIT_REGISTER_PLUGIN(plugin)
