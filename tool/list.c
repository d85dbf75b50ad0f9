/* SPDX-License-Identifier: BSD-3-Clause */
/* list.c: uzram list: all attributes of a server, with mode and help. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/session.h"
#include "tool/command.h"
#include "tool/servers.h"
#include "tool/table.h"

/* Adds "NAME MODE HELP", or only the name. */
static void add_line(struct table *table, char *line, bool names_only)
{
    char *rest = NULL;
    const char *name = strtok_r(line, " ", &rest), *mode = strtok_r(NULL, " ", &rest);
    if (name == NULL || mode == NULL)
        return;
    table_add(table, name);
    if (names_only)
        return;
    table_add(table, mode);
    table_add(table, rest);
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"names", no_argument, NULL, 'n'}, {0}};
    struct text answer = text_of_limit(ANSWER_BYTES_MAX), out = text_of_limit(ANSWER_BYTES_MAX);
    bool names_only = false;
    while (command_option(command, argc, argv, options) != -1)
        names_only = true;
    if (optind != argc)
        command_misused(command, "%s: list takes no argument", argv[optind]);
    struct servers servers = servers_find_one();
    server_must_answer(&servers.server[0], "list", &answer);
    struct table table = {.column_count = names_only ? 1 : 3};
    char *lines = command_copy(text_string(&answer)), *rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        add_line(&table, line, names_only);
    table_finish(&table, &out);
    fputs(text_string(&out), stdout);
    free(lines);
    text_free(&out);
    text_free(&answer);
    servers_free(&servers);
    return command_done();
}

const struct command command_list = {
    .name = "list",
    .arguments = "[--names]",
    .help = "all attributes, with mode and help",
    .run = run,
};
