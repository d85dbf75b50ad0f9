/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * facts.h: what `uzram swap check` looks at, and what it thinks of it.
 *
 *      /proc/PID/…  /proc/sys/vm/…  ─┐
 *      /sys/block/nbdN/…             ├─▶ struct swap_facts ─▶ swap_judge ─▶ lines for people
 *      the kernel's log, statistics ─┘
 *
 * What looks gets the folders as arguments, and what judges sees nothing but the facts, so that
 * both can be tried with made-up ones.
 */
#ifndef UZRAM_TOOL_SWAP_FACTS_H
#define UZRAM_TOOL_SWAP_FACTS_H

#include <sys/types.h>

#include "control/text.h"
#include "device/statistics.h"
#include "safety/inspect.h"

#define SWAP_LIMIT_BYTES 320

enum swap_knowledge { SWAP_UNKNOWN, SWAP_NO, SWAP_YES };

struct swap_facts {
    uint64_t ram_bytes;

    /* The server. */
    pid_t server;
    int server_error; /* a negative errno: it can't be looked at, and all else of it is 0 */
    struct safety_report report;
    bool has_statistics; /* it answers on its control socket */
    struct device_statistics statistics;
    unsigned sockets, network_sockets;
    bool is_on_tmpfs;                    /* its program's file */
    char memory_limit[SWAP_LIMIT_BYTES]; /* "memory.max of /group is 1000"; "" for none */

    /* The device; "" if none is known. */
    char device[32];
    bool is_swap;
    pid_t client; /* 0: not connected */
    bool client_lives;
    struct safety_report client_report; /* if it lives */
    unsigned request_kib;               /* 0: not known */
    enum swap_knowledge discards;

    /* The system; 0 where the kernel has no such setting. */
    uint64_t min_free_kib, watermark_scale, page_cluster;
};

/* Fills what is the system's: `proc` is "/proc" or a test's. */
void swap_look_at_system(struct swap_facts *facts, const char *proc);

/* Fills the server's sockets, file and memory limit; facts->server is set. */
void swap_look_at_server(struct swap_facts *facts, const char *proc, const char *sys);

/* Fills what is the device's but `discards` and what its client does; facts->device is set. */
void swap_look_at_device(struct swap_facts *facts, const char *proc, const char *sys);

/* Whether a kernel's log says that a device was swapped on with discards of single pages. */
enum swap_knowledge swap_log_discards(const char *log, const char *device);

/*
 * Adds a line for each thing: "ok", "warn" (works, and could be better) or "bad" (may hang, or lose
 * data), with what to do. Returns the number of bad ones.
 */
unsigned swap_judge(const struct swap_facts *facts, struct text *lines);

#endif
