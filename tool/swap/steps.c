/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/swap/steps.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/client.h"
#include "control/listener.h"
#include "tool/command.h"
#include "tool/swap/nbd_device.h"

/* How long what should take a moment is waited for, and how often it is looked for. */
#define SERVER_BEGINS_MS   30000
#define SERVER_KNOWN_MS    2000
#define SERVER_ENDS_MS     30000
#define SERVER_KILLED_MS   5000
#define CLIENT_CONNECTS_MS 10000
#define CLIENT_LEAVES_MS   10000
#define LOOK_MS            20

#define ANSWER_MS 1000

#define SERVER_ARGUMENTS_MAX (SWAP_PLUGIN_KEYS_MAX + 16)

/* What a condition says of a set-up that is waited for. */
enum progress { NOT_YET, DONE, NEVER };

/* Waits until it is no longer NOT_YET. False with `late` as the reason if that takes too long. */
static bool wait_until(struct swap_setup *setup, enum progress (*look)(struct swap_setup *setup),
                       unsigned limit_ms, const char *late)
{
    for (unsigned waited_ms = 0; waited_ms <= limit_ms; waited_ms += LOOK_MS) {
        enum progress progress = look(setup);
        if (progress != NOT_YET)
            return progress == DONE;
        if (program_was_interrupted()) {
            snprintf(setup->said, sizeof setup->said, "interrupted");
            return false;
        }
        program_pause(LOOK_MS);
    }
    snprintf(setup->said, sizeof setup->said, "%s", late);
    return false;
}

/* ---- server ---- */

/* What nbdkit wrote into its file, or 0. */
static pid_t read_pid(const char *path)
{
    int pid = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    return pid;
}

static bool server_lives(const struct swap_setup *setup)
{
    return process_has_argument(setup->state.server, setup->state.socket);
}

/* Its control thread is the last that it starts: when that answers, all is there. */
static enum progress server_serves(struct swap_setup *setup)
{
    struct control_client client;
    if (setup->state.server == 0)
        setup->state.server = read_pid(setup->state.pid_file);
    if (setup->state.server == 0)
        return NOT_YET;
    if (!server_lives(setup)) {
        snprintf(setup->said, sizeof setup->said,
                 "nbdkit ended as it began to serve; the system's log has what it said");
        return NEVER;
    }
    if (control_client_open(&client, setup->state.control) != 0)
        return NOT_YET;
    struct text answer = text_of_limit(ANSWER_MS);
    int error = control_client_ask(&client, "get disksize", ANSWER_MS, &answer);
    control_client_close(&client);
    text_free(&answer);
    return error == 0 ? DONE : NOT_YET;
}

static bool make_server(struct swap_setup *setup)
{
    const struct swap_plan *plan = setup->plan;
    struct swap_state *state = &setup->state;
    char threads[16], size[32], control[SWAP_PATH_BYTES + 16];
    snprintf(threads, sizeof threads, "%d", plan->threads);
    snprintf(size, sizeof size, "size=%" PRIu64, plan->size_bytes);
    snprintf(control, sizeof control, "control=%s", state->control);
    const char *arguments[SERVER_ARGUMENTS_MAX] = {
        "nbdkit", "-U",         state->socket, "-P",           state->pid_file, "-t",
        threads,  plan->plugin, size,          "swap=require", control,
    };
    size_t count = 0;
    while (arguments[count] != NULL)
        count++;
    for (size_t i = 0; i < plan->key_count; i++)
        arguments[count++] = plan->keys[i];

    unlink(state->pid_file);
    unlink(state->socket);
    state->server = 0;
    /* What begins with @ is spared when systemd kills what is left at shutdown, before swapoff. */
    return program_run(arguments, "@nbdkit", setup->said) &&
           wait_until(setup, server_serves, SERVER_BEGINS_MS, "nbdkit does not begin to serve");
}

static enum progress server_is_gone(struct swap_setup *setup)
{
    return server_lives(setup) ? NOT_YET : DONE;
}

static enum progress server_is_known(struct swap_setup *setup)
{
    setup->state.server = read_pid(setup->state.pid_file);
    return setup->state.server != 0 ? DONE : NOT_YET;
}

static bool undo_server(struct swap_setup *setup)
{
    struct swap_state *state = &setup->state;
    /* One that has made its socket may be about to write its number. */
    if (state->server == 0 && access(state->socket, F_OK) == 0)
        (void)wait_until(setup, server_is_known, SERVER_KNOWN_MS, "");
    if (server_lives(setup)) {
        kill(state->server, SIGTERM);
        if (!wait_until(setup, server_is_gone, SERVER_ENDS_MS, "")) {
            kill(state->server, SIGKILL);
            if (!wait_until(setup, server_is_gone, SERVER_KILLED_MS, "the server does not end"))
                return false;
        }
    }
    unlink(state->socket);
    unlink(state->pid_file);
    listener_remove_stale(state->control);
    return true;
}

/* ---- state ---- */

static bool make_state(struct swap_setup *setup)
{
    int error = swap_state_write(&setup->state);
    if (error != 0)
        snprintf(setup->said, sizeof setup->said, "%s: %s", setup->state.file, strerror(-error));
    return error == 0;
}

static bool undo_state(struct swap_setup *setup)
{
    unlink(setup->state.file);
    return true;
}

/* ---- connect ---- */

static enum progress client_is_connected(struct swap_setup *setup)
{
    const char *name = setup->state.name;
    if (program_has_ended(&setup->client, setup->said)) {
        if (setup->said[0] == '\0')
            snprintf(setup->said, sizeof setup->said, "nbd-client did not stay");
        setup->client.pid = 0;
        return NEVER;
    }
    return nbd_pid(NBD_BLOCKS, name) != 0 && nbd_size_bytes(NBD_BLOCKS, name) != 0 ? DONE : NOT_YET;
}

/*
 * -nonetlink: a client stays, and has the kernel fail all requests at once if the server ends; with
 * netlink they would hang for ever. -swap: that client locks its memory, and is spared when memory
 * runs out. -nofork: it keeps that lock. A client that was swapped out to its own device could not
 * do the one thing that it is there for.
 */
static bool make_connection(struct swap_setup *setup)
{
    char connections[16];
    snprintf(connections, sizeof connections, "%d", setup->plan->connections);
    const char *const arguments[] = {
        "nbd-client", "-unix",      setup->state.socket, setup->state.device, "-swap", "-b",
        "4096",       "-nonetlink", "-nofork",           "-systemd-mark",     "-C",    connections,
        NULL,
    };
    if (!program_start(&setup->client, arguments, NULL, setup->said) ||
        !wait_until(setup, client_is_connected, CLIENT_CONNECTS_MS,
                    "the kernel does not show the device that nbd-client should have connected"))
        return false;
    program_leave(&setup->client);
    return true;
}

static enum progress client_is_gone(struct swap_setup *setup)
{
    return nbd_pid(NBD_BLOCKS, setup->state.name) == 0 ? DONE : NOT_YET;
}

static bool undo_connection(struct swap_setup *setup)
{
    pid_t client = nbd_pid(NBD_BLOCKS, setup->state.name);
    const char *const arguments[] = {"nbd-client", "-d", setup->state.device, NULL};
    if (client == 0 && setup->client.pid > 0)
        kill(setup->client.pid, SIGTERM);
    /* After an end of our client the device may be another's. */
    if (client == 0 || !process_has_argument(client, setup->state.socket))
        return true;
    bool is_done = program_run(arguments, NULL, setup->said);
    char late[PROGRAM_SAID_BYTES];
    snprintf(late, sizeof late, "%s", is_done ? "the device stays connected" : setup->said);
    return wait_until(setup, client_is_gone, CLIENT_LEAVES_MS, late);
}

/* ---- tune, format ---- */

static bool make_tuned(struct swap_setup *setup)
{
    int error = nbd_tune(NBD_BLOCKS, setup->state.name);
    if (error != 0)
        snprintf(setup->said, sizeof setup->said, NBD_BLOCKS "/%s/queue/max_sectors_kb: %s",
                 setup->state.name, strerror(-error));
    return error == 0;
}

static bool make_format(struct swap_setup *setup)
{
    const char *const arguments[] = {"mkswap", "-L", "uzram", setup->state.device, NULL};
    return program_run(arguments, NULL, setup->said);
}

/* ---- on ---- */

/* -d: the device is told what is free again; else it would keep all that was ever swapped out. */
static bool make_on(struct swap_setup *setup)
{
    char priority[16];
    snprintf(priority, sizeof priority, "%d", setup->plan->priority);
    const char *const arguments[] = {"swapon", "-d", "-p", priority, setup->state.device, NULL};
    const char *const plain[] = {"swapon", "-d", setup->state.device, NULL};
    if (program_run(arguments, NULL, setup->said))
        return true;
    if (strstr(setup->said, "invalid option") == NULL || !program_run(plain, NULL, setup->said))
        return false;
    command_warn("swapon knows no priorities here: the kernel gives %s one", setup->state.device);
    return true;
}

static bool undo_on(struct swap_setup *setup)
{
    const char *const arguments[] = {"swapoff", setup->state.device, NULL};
    if (!swap_is_used(PROC_SWAPS, setup->state.device, NULL))
        return true;
    /* The init system may take it off at the same time. */
    return program_run(arguments, NULL, setup->said) ||
           !swap_is_used(PROC_SWAPS, setup->state.device, NULL);
}

const struct swap_step swap_steps[SWAP_STEP_COUNT] = {
    {"nbdkit", make_server, undo_server},
    {"its state", make_state, undo_state},
    {"nbd-client", make_connection, undo_connection},
    {"max_sectors_kb", make_tuned, NULL},
    {"mkswap", make_format, NULL},
    {"swapon", make_on, undo_on},
};

int swap_undo(struct swap_setup *setup, int end)
{
    for (int i = end - 1; i >= 0; i--)
        if (swap_steps[i].undo != NULL && !swap_steps[i].undo(setup))
            return i;
    return -1;
}
