/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * metrics.c: uzram metrics: every statistic of every server for a monitoring system.
 *
 * OpenMetrics and the older text format of Prometheus differ in that a counter's family has the
 * name without "_total" in the one and with it in the other, and in what ends them. Units are base
 * units: bytes, seconds; other numbers are counted things, and named for them already.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/command.h"
#include "tool/format.h"
#include "tool/servers.h"

#define OUTPUT_BYTES_MAX ((size_t)1 << 26)

/* The part of a family's name that says the unit, "" if it has none. */
static const char *unit_of(const struct statistic_row *row)
{
    if (strcmp(row->unit, "bytes") == 0)
        return "bytes";
    return strcmp(row->unit, "microseconds") == 0 ? "seconds" : "";
}

static void add_value(struct text *out, const struct statistic_row *row, uint64_t value)
{
    if (strcmp(row->unit, "microseconds") == 0)
        text_add(out, "%" PRIu64 ".%06" PRIu64, value / 1000000, value % 1000000);
    else
        text_add(out, "%" PRIu64, value);
}

static void add_family(struct text *out, const struct statistic_row *row,
                       const struct servers *servers, const struct device_statistics *now,
                       bool is_prometheus)
{
    const char *unit = unit_of(row);
    const char *total = row->kind == STATISTIC_COUNTER ? "_total" : "";
    char family[200];
    snprintf(family, sizeof family, "uzram_%s%s%s%s", row->name, *unit != '\0' ? "_" : "", unit,
             is_prometheus ? total : "");
    text_add(out, "# HELP %s %s.\n", family, row->help);
    text_add(out, "# TYPE %s %s\n", family, row->kind == STATISTIC_COUNTER ? "counter" : "gauge");
    if (!is_prometheus && *unit != '\0')
        text_add(out, "# UNIT %s %s\n", family, unit);
    for (size_t i = 0; i < servers->count; i++) {
        text_add(out, "%s%s{device=", family, is_prometheus ? "" : total);
        format_quoted(out, servers->server[i].name);
        text_add(out, "} ");
        add_value(out, row, statistic_value(&now[i], row));
        text_add(out, "\n");
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"format", required_argument, NULL, 'f'}, {0}};
    bool is_prometheus = false;
    while (command_option(command, argc, argv, options) != -1) {
        is_prometheus = strcmp(optarg, "prometheus") == 0;
        if (!is_prometheus && strcmp(optarg, "openmetrics") != 0)
            command_misused(command, "--format=%s: give openmetrics or prometheus", optarg);
    }
    if (optind != argc)
        command_misused(command, "%s: metrics takes no argument", argv[optind]);

    struct servers servers = servers_find();
    struct device_statistics *now = command_allocate(servers.count * sizeof *now);
    struct text out = text_of_limit(OUTPUT_BYTES_MAX), nothing = text_of_limit(1);
    for (size_t i = 0; i < servers.count; i++) {
        int error = server_statistics(&servers.server[i], &now[i]);
        if (error != 0)
            server_refused(&servers.server[i], error, &nothing);
    }
    size_t count;
    const struct statistic_row *rows = statistic_rows(&count);
    for (size_t i = 0; i < count; i++)
        add_family(&out, &rows[i], &servers, now, is_prometheus);
    if (!is_prometheus)
        text_add(&out, "# EOF\n");
    fputs(text_string(&out), stdout);
    text_free(&out);
    free(now);
    servers_free(&servers);
    return command_done();
}

const struct command command_metrics = {
    .name = "metrics",
    .arguments = "[-f|--format openmetrics|prometheus]",
    .help = "all statistics of all disks, for a monitoring system",
    .run = run,
};
