/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * get.c: uzram get: shows an attribute. block_state, whose answers have a limit, is asked for part
 * after part.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/session.h"
#include "tool/command.h"
#include "tool/servers.h"

/* The number in front of the last line. */
static uint64_t last_block(const char *lines)
{
    size_t length = strlen(lines);
    while (length > 1 && lines[length - 2] != '\n')
        length--;
    return length > 1 ? strtoull(lines + length - 1, NULL, 10) : 0;
}

static void get_all_blocks(struct server *server, struct text *answer)
{
    char request[64];
    uint64_t next = 0;
    do {
        snprintf(request, sizeof request, "get block_state %" PRIu64, next);
        server_must_answer(server, request, answer);
        fputs(text_string(answer), stdout);
        next = last_block(text_string(answer)) + 1;
    } while (answer->length > 0);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    struct text request = text_of_limit(2 * REQUEST_BYTES_MAX);
    if (command_option(command, argc, argv, NULL) != -1 || argc - optind < 1 || argc - optind > 2)
        command_misused(command, "give the attribute's name; uzram list shows all");
    struct servers servers = servers_find_one();
    text_add(&request, "get %s", argv[optind]);
    if (argc - optind == 2)
        text_add(&request, " %s", argv[optind + 1]);
    if (strcmp(text_string(&request), "get block_state") == 0) {
        get_all_blocks(&servers.server[0], &answer);
    } else {
        server_must_answer(&servers.server[0], text_string(&request), &answer);
        fwrite(text_string(&answer), 1, answer.length, stdout);
    }
    text_free(&answer);
    text_free(&request);
    servers_free(&servers);
    return command_done();
}

const struct command command_get = {
    .name = "get",
    .arguments = "ATTRIBUTE [ARGUMENT]",
    .help = "the value of an attribute",
    .run = run,
};
