/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats_file.h: the statistics file, for whoever looks on from outside the server.
 *
 * It has one line a statistic, "name value", in the order of DEVICE_STATISTICS. It is replaced
 * whole by rename(2), so a reader never sees half of it.
 */
#ifndef UZRAM_PLUGIN_STATS_FILE_H
#define UZRAM_PLUGIN_STATS_FILE_H

#include "device/device.h"

/*
 * Replaces the file by the statistics of now; a NULL path: does nothing. Callable from any thread:
 * calls wait for each other, so the last to return has left the newest figures.
 * Returns 0, or -1 after nbdkit_error if the file cannot be written or is not a regular file.
 */
int stats_file_write(struct device *device, const char *path);

#endif
