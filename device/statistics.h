/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * statistics.h: every figure that a device shows, declared once.
 *
 * A row is X(name, kind, unit, help). The struct, the text, JSON, metrics and the manual's table
 * are all made from this list. Names that zram has mean what they mean in zram.
 */
#ifndef UZRAM_DEVICE_STATISTICS_H
#define UZRAM_DEVICE_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

enum statistic_kind { STATISTIC_GAUGE, STATISTIC_COUNTER };

#define DEVICE_STATISTICS(X)                                                                     \
    X(disksize, GAUGE, "bytes", "size of the device")                                            \
    X(orig_data_size, GAUGE, "bytes", "data stored, uncompressed (same-filled blocks included)") \
    X(compr_data_size, GAUGE, "bytes", "compressed length of all stored blocks")                 \
    X(mem_used_total, GAUGE, "bytes", "resident memory: pool pages and all tables below")        \
    X(connections, GAUGE, "connections", "clients that are connected")                           \
    X(mem_limit, GAUGE, "bytes", "most that mem_used_total may become, 0: no limit")             \
    X(mem_used_max, GAUGE, "bytes", "the highest mem_used_total was")                            \
    X(same_pages, GAUGE, "blocks", "same-filled blocks, which take no pool memory")              \
    X(huge_pages, GAUGE, "blocks", "blocks kept raw because they compress too poorly")           \
    X(huge_pages_since, COUNTER, "blocks", "blocks that were kept raw since the start")          \
    X(pages_compacted, COUNTER, "pages", "pool pages freed by compaction")                       \
    X(reads, COUNTER, "blocks", "blocks read")                                                   \
    X(writes, COUNTER, "blocks", "blocks written")                                               \
    X(writes_in_place, COUNTER, "blocks", "blocks rewritten where the old content was")          \
    X(writes_partial, COUNTER, "blocks", "writes that covered a part of a block")                \
    X(failed_reads, COUNTER, "blocks", "reads that failed")                                      \
    X(failed_writes, COUNTER, "blocks", "writes that failed")                                    \
    X(invalid_io, COUNTER, "requests", "requests outside the device")                            \
    X(notify_free, COUNTER, "blocks", "blocks freed by trim or zero")                            \
    X(limit_hits, COUNTER, "times", "memory requests refused by mem_limit")                      \
    X(objects_moved, COUNTER, "objects", "objects moved by compaction or migration")             \
    X(moves_skipped, COUNTER, "objects", "moves put off because the block was busy")             \
    X(pool_used, GAUGE, "bytes", "resident pool pages that hold objects")                        \
    X(pool_free, GAUGE, "bytes", "resident pool pages that are free (the reserve)")              \
    X(slot_table, GAUGE, "bytes", "resident part of the slot table")                             \
    X(mem_desc_words, GAUGE, "bytes", "mem_desc words, 8 bytes a page, of all active arenas")    \
    X(descriptors, GAUGE, "bytes", "descriptors of zspages")                                     \
    X(arena_bookkeeping, GAUGE, "bytes", "bitmaps and lists of arenas")                          \
    X(streams_memory, GAUGE, "bytes", "codec contexts and scratch (not in mem_used_total)")      \
    X(dictionaries, GAUGE, "bytes", "dictionaries and their tables (not in mem_used_total)")     \
    X(reserve_target, GAUGE, "bytes", "free pool memory that is kept faulted-in")                \
    X(reserve_misses, COUNTER, "pages", "pages a writer took that were not faulted-in")          \
    X(pages_purged, COUNTER, "pages", "free pages given back to the system")                     \
    X(maintenance_steps, COUNTER, "steps", "steps of background work")                           \
    X(maintenance_passes, COUNTER, "passes", "whole passes of background work")                  \
    X(pressure_passes, COUNTER, "passes", "passes begun because the system was short of memory") \
    X(arenas_emptied, COUNTER, "arenas", "sparse arenas that all objects were moved out of")     \
    X(longest_step, GAUGE, "microseconds", "the longest step of background work")                \
    X(recompress_tried, COUNTER, "blocks", "blocks that recompression has tried")                \
    X(recompressed, COUNTER, "blocks", "blocks that were stored in less room")                   \
    X(recompress_poor, COUNTER, "blocks", "blocks that would have needed as much room")          \
    X(recompress_dropped, COUNTER, "blocks", "blocks that were accessed meanwhile, and left")    \
    X(recompress_refused, COUNTER, "blocks", "blocks that no memory was left to store better")   \
    X(recompress_saved, COUNTER, "bytes", "compressed bytes that recompression has saved")       \
    X(recompress_time, COUNTER, "microseconds", "CPU time that the policy has used")             \
    X(soft_limit_passes, COUNTER, "passes", "passes begun because mem_limit was near")           \
    X(limit_reclaims, COUNTER, "times", "writers at mem_limit that compacted the pool")          \
    X(limit_recompressions, COUNTER, "times", "writers at mem_limit that recompressed blocks")   \
    X(limit_refusals, COUNTER, "blocks", "writes refused with ENOSPC after all that")            \
    X(swap_safe, GAUGE, "boolean", "1: swap=on, and nothing that it needs is missing")           \
    X(io_faults, COUNTER, "faults", "page faults while requests were served (swap=on)")          \
    X(process_locked, GAUGE, "bytes", "addresses whose memory stays (swap=on)")                  \
    X(process_unlocked, GAUGE, "bytes", "addresses whose memory may go (swap=on)")               \
    X(process_swapped, GAUGE, "bytes", "memory of the server that is on swap (swap=on)")         \
    X(threads, GAUGE, "threads", "threads of the server (swap=on)")                              \
    X(threads_that_wait, GAUGE, "threads", "of these, allocations may wait for I/O (swap=on)")   \
    X(threads_without_right, GAUGE, "threads", "of these, not scheduled in real time (swap=on)")

struct device_statistics {
#define STATISTIC_FIELD(name, kind, unit, help) uint64_t name;
    DEVICE_STATISTICS(STATISTIC_FIELD)
#undef STATISTIC_FIELD
};

/* A row's description; its value in a struct device_statistics is the uint64_t at `offset`. */
struct statistic_row {
    const char *name;
    enum statistic_kind kind;
    const char *unit;
    const char *help;
    size_t offset;
};

/* The rows in order; *count is set to their number. Static memory. */
const struct statistic_row *statistic_rows(size_t *count);

/* Takes what counters were before from a snapshot; gauges stay. */
void statistics_forget(struct device_statistics *statistics,
                       const struct device_statistics *before);

/* The value of a row in a snapshot. */
uint64_t statistic_value(const struct device_statistics *statistics,
                         const struct statistic_row *row);

#endif
