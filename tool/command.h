/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * command.h: the sub-commands of uzram, and what all of them share.
 *
 * A sub-command is one file with one struct command, and one line in the table of uzram.c. What it
 * can't go on with it says in one line on standard error and ends with a status: 1: the server
 * refused, or there is none; 2: it was called wrongly.
 */
#ifndef UZRAM_TOOL_COMMAND_H
#define UZRAM_TOOL_COMMAND_H

#include <getopt.h>
#include <stdarg.h>

#include "common/compiler.h"

enum status { STATUS_OK, STATUS_REFUSED, STATUS_USAGE };

struct command {
    const char *name;
    const char *arguments; /* as in a synopsis */
    const char *help;      /* one line */
    int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_classes, command_get, command_list, command_map,
    command_metrics, command_set, command_status, command_swap, command_top, command_train;

/* The path that --control gave, or NULL. */
extern const char *tool_control;

/*
 * getopt_long over the options of a sub-command (an array that ends with zeros; values from 256 on
 * or letters, which may be given short, too) and those that all have: --control, --help. Returns
 * the option's value, or -1 behind the last; optind is then the first argument. Ends the program on
 * a wrong one.
 */
int command_option(const struct command *command, int argc, char **argv, const struct option *own);

/* Says how the sub-command is called, and what was wrong; ends the program. */
printf_like(2, 3) void command_misused(const struct command *command, const char *wrong, ...)
    __attribute__((noreturn));

/* "uzram: …" on standard error; ends the program with STATUS_REFUSED. */
printf_like(1, 2) void command_fail(const char *format, ...) __attribute__((noreturn));

/* The same without an end. */
printf_like(1, 2) void command_warn(const char *format, ...);
printf_like(1, 0) void command_say(const char *format, va_list arguments);

/* Ends the program if standard output could not be written; else returns STATUS_OK. */
int command_done(void);

/* malloc and strdup that end the program instead of failing. */
void *command_allocate(size_t bytes);
char *command_copy(const char *string);

#endif
