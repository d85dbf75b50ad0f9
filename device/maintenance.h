/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * maintenance.h: the background thread of a device.
 *
 *      every 1 to 100 ms ─▶ reserve: refill what writers took, give back what is too much
 *           │
 *           ├─ more than waste_percent of the pool holds nothing?
 *           │     ─▶ compact and settle, some steps, although the device is busy
 *           │
 *           ├─ changed since the last pass, and quiet since the last look
 *           │  or the system short of memory (pressure_percent), or kicked,
 *           │  or more than soft_percent of mem_limit used?
 *           │     ─▶ a pass: compact ─▶ empty sparse arenas ─▶ settle ─▶ trim ─▶ sweep slots
 *           │
 *           └─▶ recompress: some blocks that rest (recompress.h)
 *
 *      compact      objects move together, zspages become free            zpool_compact
 *      empty        objects leave arenas that are mostly free             zpool_migrate
 *      settle       pages inside zspages that no object needs are purged  zpool_settle
 *      trim         free pages beyond the reserve are purged, and then
 *                   the words of arenas that are empty                    pages_trim
 *      sweep slots  pages of the slot table whose blocks are all empty    slot_table_discard
 *
 * Each step is bounded (step_objects, step_us, or a named number of pages), and between steps the
 * thread looks whether requests have come or it is to stop, and refills the reserve if writers have
 * half emptied it. It never waits for a slot, and gives a
 * class's lock away after each object if somebody waits for it.
 *
 * Nothing here decides anything about a block because its client is silent: moving objects is right
 * at any time, only more welcome when the device is quiet.
 *
 * Locks: its own mutex for stop and kick, held by nobody who holds anything else. Settings are
 * atomic words that any thread may write; counters are written by the maintenance thread alone.
 */
#ifndef UZRAM_DEVICE_MAINTENANCE_H
#define UZRAM_DEVICE_MAINTENANCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/compiler.h"
#include "device/pressure.h"
#include "device/settings.h"

struct device;

struct maintenance {
    pthread_t thread;
    bool is_running;

    pthread_mutex_t mutex; /* the two below */
    pthread_cond_t wake;
    bool is_stopping;
    bool is_kicked;
    _Atomic bool is_nudged; /* set without the mutex; cleared by the thread */

    struct settings settings;

    /* The thread's own. */
    struct pressure pressure;
    uint64_t seen_requests;   /* requests when it looked last */
    uint64_t done_changes;    /* changes (writes, frees) that the last whole pass has seen */
    uint64_t waste_due_us;    /* when to look for waste and pressure again */
    uint64_t soft_due_us;     /* when a pass because mem_limit is near may be made again */
    uint64_t pressure_due_us; /* when a pass because of pressure may be made again */
    uint64_t next_slot_page;
    uint64_t occupied_arenas; /* when the pass began, or after the last arena was emptied */

    /* Counters. */
    _Atomic uint64_t steps;
    _Atomic uint64_t passes;
    _Atomic uint64_t pressure_passes;
    _Atomic uint64_t soft_limit_passes;
    _Atomic uint64_t arenas_emptied;
    _Atomic uint64_t slot_pages_given_back;
    _Atomic uint64_t longest_step_us;
};

void maintenance_init(struct maintenance *maintenance);

/* Ends what maintenance_init began; the thread has been stopped. */
void maintenance_fini(struct maintenance *maintenance);

/* Starts the thread. Returns 0 or a negative errno of pthread_create. */
int maintenance_start(struct device *device) must_use;

/* Ends the thread, if it runs, after the step it is in. */
void maintenance_stop(struct device *device);

/* Wakes the thread, to do a whole pass even if the device is busy. */
void maintenance_kick(struct device *device);

/* Wakes the thread of a device (the context) to refill the reserve. With any locks held. */
void maintenance_nudge(void *device);

#endif
