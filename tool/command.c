/* SPDX-License-Identifier: BSD-3-Clause */
/* command.c: how sub-commands speak, end, and get memory. */
#include "tool/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void command_say(const char *format, va_list arguments)
{
    fflush(stdout);
    fputs("uzram: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void command_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    command_say(format, arguments);
    va_end(arguments);
}

void command_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    command_say(format, arguments);
    va_end(arguments);
    exit(STATUS_REFUSED);
}

int command_done(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        command_fail("standard output: %s", strerror(errno));
    return STATUS_OK;
}

void *command_allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL)
        command_fail("no memory");
    return memory;
}

char *command_copy(const char *string)
{
    char *copy = strdup(string);
    if (copy == NULL)
        command_fail("no memory");
    return copy;
}
