/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reports.h: attributes that show more than one value, in the formats of the kernel's zram where
 * it has them. Each is an attribute_get whose context is the device.
 *
 *      mm_stat, io_stat, debug_stat     zram's lines of figures
 *      stats                            every row of statistics.h, as one JSON object
 *      memory                           where mem_used_total is: "NAME BYTES" a line
 *      classes                          zsmalloc's table of classes in debugfs
 *      arenas                           "INDEX KIND OWNED READY" for each active arena, in pages
 *      block_state [BLOCK]              zram's lines of stored blocks, from BLOCK on, at most
 *                                       BLOCK_STATE_LINES_MAX: ask again behind the last one shown
 *      block_map [STRETCHES]            the device in at most so many stretches; a line for each in
 *                                       which blocks are stored:
 *                                       "FIRST BLOCKS STORED SAME HUGE IDLE RECOMPRESSED BYTES"
 */
#ifndef UZRAM_DEVICE_REPORTS_H
#define UZRAM_DEVICE_REPORTS_H

#include "control/attribute.h"

#define BLOCK_STATE_LINES_MAX 8192
#define BLOCK_MAP_MAX         16384u
#define BLOCK_MAP_DEFAULT     1024u

attribute_get report_mm_stat;
attribute_get report_io_stat;
attribute_get report_debug_stat;
attribute_get report_stats;
attribute_get report_memory;
attribute_get report_classes;
attribute_get report_arenas;
attribute_get report_block_state;
attribute_get report_block_map;

#endif
