/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * servers.h: the servers that this user can control, and what they answer.
 */
#ifndef UZRAM_TOOL_SERVERS_H
#define UZRAM_TOOL_SERVERS_H

#include "control/client.h"
#include "device/statistics.h"

struct server {
    char *path;
    char *name; /* the socket's file name without ".sock" */
    struct control_client client;
};

struct servers {
    struct server *server;
    size_t count;
};

/*
 * Connects to the one that --control names, or to all whose sockets lie where servers make them
 * (control/places.h), in the order of their names. If there is none, says where it was looked and
 * ends the program.
 */
struct servers servers_find(void);

void servers_free(struct servers *servers);

/* The same where exactly one is needed: of several, ends the program and names them. */
struct servers servers_find_one(void);

/*
 * Asks; the answer is in `answer`, which is emptied first. Returns 0 or a negative errno, as
 * control_client_ask. Connects again when the server had too many clients.
 */
int server_ask(struct server *server, const char *request, struct text *answer) must_use;

/* Asks, and ends the program with what the server said if it refuses. */
void server_must_answer(struct server *server, const char *request, struct text *answer);

/* Tells why server_ask failed, and ends the program. */
void server_refused(const struct server *server, int error, const struct text *answer)
    __attribute__((noreturn));

/* All statistics. One that this server doesn't have is 0. */
int server_statistics(struct server *server, struct device_statistics *statistics) must_use;

/* The value of an attribute that is a number; 0 if the server doesn't have it. */
uint64_t server_number(struct server *server, const char *attribute);

/* The algorithm in brackets of what comp_algorithm says, in name of `capacity` bytes. */
void server_algorithm(struct server *server, char *name, size_t capacity);

#endif
