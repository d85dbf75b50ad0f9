/* SPDX-License-Identifier: BSD-3-Clause */
/* set.c: uzram set: changes an attribute. Words of the value that the shell has split are joined.
 */
#include <stdio.h>

#include "control/session.h"
#include "tool/command.h"
#include "tool/servers.h"

static int run(const struct command *command, int argc, char **argv)
{
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    struct text request = text_of_limit(2 * REQUEST_BYTES_MAX);
    if (command_option(command, argc, argv, NULL) != -1 || argc - optind < 2)
        command_misused(command, "give the attribute's name and its value; uzram list shows all");
    struct servers servers = servers_find_one();
    text_add(&request, "set");
    for (int i = optind; i < argc; i++)
        text_add(&request, " %s", argv[i]);
    server_must_answer(&servers.server[0], text_string(&request), &answer);
    fwrite(text_string(&answer), 1, answer.length, stdout);
    text_free(&answer);
    text_free(&request);
    servers_free(&servers);
    return command_done();
}

const struct command command_set = {
    .name = "set",
    .arguments = "ATTRIBUTE VALUE…",
    .help = "changes an attribute",
    .run = run,
};
