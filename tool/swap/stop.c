/* SPDX-License-Identifier: BSD-3-Clause */
/* stop.c: uzram swap stop: ends what uzram swap start has set up. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "tool/format.h"
#include "tool/swap/swap.h"
#include "tool/swap/steps.h"

/* The last step, which undoing begins with: swapping off, the only one that may be refused. */
#define STEP_ON (SWAP_STEP_COUNT - 1)

static const char *device_of_options(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"device", required_argument, NULL, 'd'}, {0}};
    const char *device = NULL;
    char name[NBD_NAME_BYTES];
    while (command_option(command, argc, argv, options) == 'd')
        device = optarg;
    if (optind < argc)
        command_misused(command, "%s: swap stop takes no argument", argv[optind]);
    if (device != NULL && !nbd_name(device, name))
        command_misused(command, "--device %s: not an nbd device; give one such as /dev/nbd0",
                        device);
    return device;
}

/* A line "NAME:  123 kB" of /proc/meminfo, in bytes. */
static uint64_t memory_of(const char *name)
{
    char line[256], found[64];
    uint64_t kib, bytes = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "%63[^:]: %" SCNu64, found, &kib) == 2 && strcmp(found, name) == 0)
            bytes = kib * KIB;
    fclose(file);
    return bytes;
}

/*
 * False, with a reason, if what is swapped out fits neither into memory nor on other swap. The
 * kernel would begin all the same, and end processes when it finds out. What the server gives back
 * doesn't count: the kernel tells it what is free in whole clusters, most of them at the very end.
 */
static bool has_room(struct swap_setup *setup)
{
    struct swap_use use;
    char used[FORMAT_BYTES_MAX], room[FORMAT_BYTES_MAX];
    /* Without its server there is nothing that could come back. */
    if (!swap_is_used(PROC_SWAPS, setup->state.device, &use) ||
        !process_has_argument(setup->state.server, setup->state.socket))
        return true;
    uint64_t room_bytes = memory_of("MemAvailable");
    uint64_t free_bytes = memory_of("SwapFree"), own_free_bytes = use.size_bytes - use.used_bytes;
    if (free_bytes > own_free_bytes)
        room_bytes += free_bytes - own_free_bytes;
    if (use.used_bytes <= room_bytes)
        return true;
    snprintf(setup->said, sizeof setup->said, "%s are swapped out, and there is room for %s",
             format_bytes(used, use.used_bytes), format_bytes(room, room_bytes));
    return false;
}

static bool stop(const struct swap_state *state)
{
    struct swap_setup setup = {.state = *state};
    if (!has_room(&setup)) {
        command_warn("%s stays swap, and all of it goes on: %s; end what uses memory first",
                     state->device, setup.said);
        return false;
    }
    if (!swap_steps[STEP_ON].undo(&setup)) {
        command_warn("%s stays swap, and all of it goes on: %s; is there memory for what is on it?",
                     state->device, setup.said);
        return false;
    }
    program_undo();
    int failed = swap_undo(&setup, STEP_ON);
    if (failed >= 0)
        command_warn("%s is swap no more, but something is left: undoing %s failed: %s",
                     state->device, swap_steps[failed].name, setup.said);
    return failed < 0;
}

int swap_stop(const struct command *command, int argc, char **argv)
{
    const char *device = device_of_options(command, argc, argv);
    struct swap_state *states = NULL;
    size_t count = 0, stopped = 0;
    bool is_good = true;
    swap_need_root();
    if (swap_lock(false))
        count = swap_state_list(SWAP_FOLDER, &states);
    program_begin();
    for (size_t i = 0; i < count; i++) {
        if (device != NULL && strcmp(states[i].device, device) != 0)
            continue;
        stopped++;
        is_good = stop(&states[i]) && is_good;
    }
    free(states);
    if (stopped == 0)
        command_fail("%s: nothing to stop: uzram swap start has set up nothing that is still there",
                     device != NULL ? device : "swap");
    return is_good ? STATUS_OK : STATUS_REFUSED;
}
