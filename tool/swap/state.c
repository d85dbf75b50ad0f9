/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/swap/state.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "tool/command.h"

#define PREFIX "swap-"
#define SUFFIX ".state"

#define LINE_BYTES 256

void swap_state_name(struct swap_state *state, const char *folder, const char *name)
{
    *state = (struct swap_state){0};
    snprintf(state->name, sizeof state->name, "%s", name);
    snprintf(state->device, sizeof state->device, "/dev/%s", name);
    snprintf(state->socket, sizeof state->socket, "%s/" PREFIX "%s.nbd", folder, name);
    snprintf(state->control, sizeof state->control, "%s/" PREFIX "%s.sock", folder, name);
    snprintf(state->pid_file, sizeof state->pid_file, "%s/" PREFIX "%s.pid", folder, name);
    snprintf(state->file, sizeof state->file, "%s/" PREFIX "%s" SUFFIX, folder, name);
}

int swap_state_write(const struct swap_state *state)
{
    char link[SWAP_PATH_BYTES + 4], text[32];
    snprintf(link, sizeof link, "%s.new", state->file);
    snprintf(text, sizeof text, "server=%d", (int)state->server);
    unlink(link);
    if (symlink(text, link) == 0 && rename(link, state->file) == 0)
        return 0;
    int error = -errno;
    unlink(link);
    return error;
}

int swap_state_read(struct swap_state *state, const char *folder, const char *name)
{
    char text[32];
    int server = 0;
    swap_state_name(state, folder, name);
    ssize_t length = readlink(state->file, text, sizeof text - 1);
    if (length < 0)
        return errno == EINVAL ? -EPROTO : -errno;
    text[length] = '\0';
    if (sscanf(text, "server=%d", &server) != 1 || server <= 1)
        return -EPROTO;
    state->server = server;
    return 0;
}

static int is_state(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > strlen(PREFIX SUFFIX) && strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 &&
           strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) == 0;
}

/* Reads the one that a file name tells of. */
static bool read_entry(struct swap_state *state, const char *folder, const char *file)
{
    char device[LINE_BYTES + 8], name[NBD_NAME_BYTES];
    int length = (int)(strlen(file) - strlen(PREFIX SUFFIX));
    snprintf(device, sizeof device, "/dev/%.*s", length, file + strlen(PREFIX));
    return nbd_name(device, name) && swap_state_read(state, folder, name) == 0;
}

size_t swap_state_list(const char *folder, struct swap_state **states)
{
    struct dirent **entries = NULL;
    int found = scandir(folder, &entries, is_state, versionsort);
    size_t count = 0;
    *states = command_allocate((size_t)(found > 0 ? found : 1) * sizeof **states);
    for (int i = 0; i < found; i++) {
        if (read_entry(&(*states)[count], folder, entries[i]->d_name))
            count++;
        free(entries[i]);
    }
    free(entries);
    return count;
}

bool process_has_argument(pid_t pid, const char *argument)
{
    char path[64];
    char *word = NULL;
    size_t capacity = 0;
    bool found = false;
    if (pid <= 0)
        return false;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (!found && getdelim(&word, &capacity, '\0', file) > 0)
        found = strcmp(word, argument) == 0;
    free(word);
    fclose(file);
    return found;
}

bool swap_is_used(const char *swaps, const char *device, struct swap_use *use)
{
    char line[LINE_BYTES], name[LINE_BYTES];
    bool found = false;
    FILE *file = fopen(swaps, "re");
    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        uint64_t size_kib = 0, used_kib = 0;
        found = sscanf(line, "%255s %*s %" SCNu64 " %" SCNu64, name, &size_kib, &used_kib) >= 1 &&
                strcmp(name, device) == 0;
        if (found && use != NULL)
            *use = (struct swap_use){size_kib * KIB, used_kib * KIB};
    }
    fclose(file);
    return found;
}
