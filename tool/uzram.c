/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uzram.c: the command-line tool: finds the sub-command and runs it.
 *
 *      uzram [--control PATH] COMMAND [OPTION…] [ARGUMENT…]
 *        │
 *        ├─ a struct command in a file of its own
 *        ├─ command.c    what all of them say and take alike
 *        ├─ servers.h    which servers there are, what they answer
 *        └─ table.h, format.h, canvas.h    how it is shown
 */
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/command.h"

static const struct command *const commands[] = {
    &command_status, &command_get, &command_set,     &command_list,  &command_classes,
    &command_top,    &command_map, &command_metrics, &command_train, &command_swap,
};

#define OPTIONS_MAX 32

/* Values of the options that all have. */
enum { OPTION_CONTROL = 1000, OPTION_HELP, OPTION_VERSION };

static const struct option common_options[] = {
    {"control", required_argument, NULL, OPTION_CONTROL},
    {"help", no_argument, NULL, OPTION_HELP},
};

const char *tool_control;

void command_misused(const struct command *command, const char *wrong, ...)
{
    va_list arguments;
    va_start(arguments, wrong);
    command_say(wrong, arguments);
    va_end(arguments);
    fprintf(stderr, "usage: uzram %s [--control PATH]%s%s\n", command->name,
            *command->arguments != '\0' ? " " : "", command->arguments);
    exit(STATUS_USAGE);
}

static void show_command(const struct command *command)
{
    printf("uzram %s [--control PATH]%s%s\n    %s\n", command->name,
           *command->arguments != '\0' ? " " : "", command->arguments, command->help);
}

static void show_help(void)
{
    puts("uzram: looks at compressed disks that nbdkit-zram-plugin serves, and controls them.\n");
    for (size_t i = 0; i < array_count(commands); i++)
        show_command(commands[i]);
    puts("\n--control PATH names a server's socket; without it, all of this user's are found.\n"
         "The manual: man uzram.");
}

int command_option(const struct command *command, int argc, char **argv, const struct option *own)
{
    struct option all[OPTIONS_MAX] = {0};
    char letters[2 * OPTIONS_MAX + 2] = "";
    size_t count = 0, length = 0;
    for (; own != NULL && own->name != NULL; own++) {
        all[count++] = *own;
        if (own->val < 256) {
            letters[length++] = (char)own->val;
            if (own->has_arg == required_argument)
                letters[length++] = ':';
        }
    }
    for (size_t i = 0; i < array_count(common_options); i++)
        all[count++] = common_options[i];
    for (;;) {
        int option = getopt_long(argc, argv, letters, all, NULL);
        switch (option) {
        case OPTION_CONTROL:
            tool_control = optarg;
            break;
        case OPTION_HELP:
            show_command(command);
            exit(command_done());
        case '?':
            fprintf(stderr, "usage: uzram %s [--control PATH] %s\n", command->name,
                    command->arguments);
            exit(STATUS_USAGE);
        default:
            return option;
        }
    }
}

/* The options in front of the sub-command. Returns the index of the sub-command's name. */
static int read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"control", required_argument, NULL, OPTION_CONTROL},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {0},
    };
    for (;;) {
        switch (getopt_long(argc, argv, "+", options, NULL)) {
        case -1:
            return optind;
        case OPTION_CONTROL:
            tool_control = optarg;
            break;
        case OPTION_HELP:
            show_help();
            exit(command_done());
        case OPTION_VERSION:
            puts("uzram " PACKAGE_VERSION);
            exit(command_done());
        default:
            fputs("usage: uzram [--control PATH] COMMAND …; uzram --help names all\n", stderr);
            exit(STATUS_USAGE);
        }
    }
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    int first = read_options(argc, argv);
    if (first == argc) {
        show_help();
        return STATUS_USAGE;
    }
    for (size_t i = 0; i < array_count(commands); i++) {
        if (strcmp(argv[first], commands[i]->name) == 0) {
            optind = 0; /* getopt begins anew */
            return commands[i]->run(commands[i], argc - first, argv + first);
        }
    }
    command_warn("%s: no such command; uzram --help names all", argv[first]);
    return STATUS_USAGE;
}
