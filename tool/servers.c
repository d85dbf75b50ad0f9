/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/servers.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/places.h"
#include "control/session.h"
#include "tool/command.h"

/* A compaction or a reset of a large disk takes its time. */
#define ANSWER_MS 600000

#define BUSY_TRIES    50
#define BUSY_PAUSE_US 100000

static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = command_copy(slash != NULL ? slash + 1 : path);
    size_t length = strlen(name), suffix = strlen(PLACE_SUFFIX);
    if (length > suffix && strcmp(name + length - suffix, PLACE_SUFFIX) == 0)
        name[length - suffix] = '\0';
    return name;
}

/* Connects and adds it. Returns 0 or a negative errno. */
static int add(struct servers *servers, const char *path)
{
    struct control_client client;
    int error = control_client_open(&client, path);
    if (error != 0)
        return error;
    struct server *all = realloc(servers->server, (servers->count + 1) * sizeof *all);
    if (all == NULL)
        command_fail("no memory");
    servers->server = all;
    servers->server[servers->count++] =
        (struct server){.path = command_copy(path), .name = name_of(path), .client = client};
    return 0;
}

static int is_socket_name(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(PLACE_SUFFIX);
    return length > suffix && strcmp(entry->d_name + length - suffix, PLACE_SUFFIX) == 0;
}

/* Adds those of a folder; adds to `looked` what was seen there. */
static void look_in(struct servers *servers, const char *folder, struct text *looked)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_socket_name, versionsort);
    if (looked->length > 0)
        text_add(looked, ", ");
    if (count < 0) {
        text_add(looked, "%s (%s)", folder, strerror(errno));
        return;
    }
    for (int i = 0; i < count; i++) {
        char *path;
        if (asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0)
            command_fail("no memory");
        (void)add(servers, path); /* one that has ended is no server */
        free(path);
        free(entries[i]);
    }
    free(entries);
    if (count == 0)
        text_add(looked, "%s (no sockets)", folder);
    else
        text_add(looked, "%s (%d socket%s, none answers)", folder, count, count > 1 ? "s" : "");
}

struct servers servers_find(void)
{
    struct servers servers = {0};
    if (tool_control != NULL) {
        int error = add(&servers, tool_control);
        if (error != 0)
            command_fail("%s: no server answers there: %s", tool_control, strerror(-error));
        return servers;
    }
    char folder[PATH_MAX];
    struct text looked = text_of_limit(8 * PATH_MAX);
    for (unsigned i = 0; place_folder(i, folder); i++)
        look_in(&servers, folder, &looked);
    if (servers.count == 0)
        command_fail("no server found; looked in %s; name its socket with --control PATH",
                     text_string(&looked));
    text_free(&looked);
    return servers;
}

void servers_free(struct servers *servers)
{
    for (size_t i = 0; i < servers->count; i++) {
        control_client_close(&servers->server[i].client);
        free(servers->server[i].path);
        free(servers->server[i].name);
    }
    free(servers->server);
    *servers = (struct servers){0};
}

struct servers servers_find_one(void)
{
    struct servers servers = servers_find();
    if (servers.count == 1)
        return servers;
    struct text paths = text_of_limit(64 * PATH_MAX);
    for (size_t i = 0; i < servers.count; i++)
        text_add(&paths, "%s%s", i > 0 ? ", " : "", servers.server[i].path);
    command_fail("there are %zu servers; name one with --control: %s", servers.count,
                 text_string(&paths));
}

int server_ask(struct server *server, const char *request, struct text *answer)
{
    int error = 0;
    if (strchr(request, '\n') != NULL)
        command_fail("a request is one line: give a value without line breaks");
    for (unsigned i = 0; i < BUSY_TRIES; i++) {
        error = control_client_ask(&server->client, request, ANSWER_MS, answer);
        if (error != -EBUSY || strncmp(text_string(answer), "too many clients", 16) != 0)
            return error;
        usleep(BUSY_PAUSE_US);
        control_client_close(&server->client);
        int reopened = control_client_open(&server->client, server->path);
        if (reopened != 0)
            return reopened;
    }
    return error;
}

void server_refused(const struct server *server, int error, const struct text *answer)
{
    if (answer->length > 0)
        command_fail("%s", text_string(answer));
    command_fail("%s: the server does not answer: %s", server->path, strerror(-error));
}

void server_must_answer(struct server *server, const char *request, struct text *answer)
{
    int error = server_ask(server, request, answer);
    if (error != 0)
        server_refused(server, error, answer);
}

/* The number behind "NAME": in a flat JSON object, or 0. */
static uint64_t number_in_json(const char *json, const char *name)
{
    char key[100];
    if ((size_t)snprintf(key, sizeof key, "\"%s\":", name) >= sizeof key)
        return 0;
    const char *found = strstr(json, key);
    return found != NULL ? strtoull(found + strlen(key), NULL, 10) : 0;
}

int server_statistics(struct server *server, struct device_statistics *statistics)
{
    struct text json = text_of_limit(ANSWER_BYTES_MAX);
    size_t count;
    const struct statistic_row *rows = statistic_rows(&count);
    int error = server_ask(server, "stats", &json);
    for (size_t i = 0; i < count; i++)
        *(uint64_t *)(void *)((char *)statistics + rows[i].offset) =
            error == 0 ? number_in_json(text_string(&json), rows[i].name) : 0;
    text_free(&json);
    return error;
}

uint64_t server_number(struct server *server, const char *attribute)
{
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    char request[64];
    uint64_t number = 0;
    snprintf(request, sizeof request, "get %s", attribute);
    if (server_ask(server, request, &answer) == 0)
        number = strtoull(text_string(&answer), NULL, 10);
    text_free(&answer);
    return number;
}

void server_algorithm(struct server *server, char *name, size_t capacity)
{
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    const char *start = NULL;
    if (server_ask(server, "get comp_algorithm", &answer) == 0)
        start = strchr(text_string(&answer), '[');
    size_t length = start != NULL ? strcspn(++start, "]") : 0;
    snprintf(name, capacity, "%.*s", (int)length, start != NULL ? start : "");
    text_free(&answer);
}
