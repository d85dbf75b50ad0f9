/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/report.h"

#include <stdarg.h>
#include <stdio.h>

void report_fault(struct report *report, const char *format, ...)
{
    char line[241];
    va_list arguments;

    report->faults++;
    if (report->line == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    report->line(report->context, line);
}
