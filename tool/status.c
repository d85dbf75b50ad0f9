/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * status.c: uzram status: a line a server, like zramctl. Of memory that is nearly used up it warns
 * on standard error.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tool/command.h"
#include "tool/format.h"
#include "tool/servers.h"
#include "tool/table.h"

#define OUTPUT_BYTES_MAX ((size_t)1 << 24)

/* What a line is made from. */
struct subject {
    const char *name, *control;
    const char *algorithm;
    struct device_statistics now;
    uint64_t streams, failed;
    uint64_t soft_percent; /* of mem_limit: from there on there is a warning */
};

enum column_kind {
    COLUMN_STRING, /* a const char * */
    COLUMN_BYTES,  /* a uint64_t, as the following */
    COLUMN_NUMBER,
    COLUMN_RATIO, /* of the data to this */
};

static const struct column {
    const char *name;
    enum column_kind kind;
    bool is_default;
    size_t offset; /* in struct subject */
} columns[] = {
    {"NAME", COLUMN_STRING, true, offsetof(struct subject, name)},
    {"ALGORITHM", COLUMN_STRING, true, offsetof(struct subject, algorithm)},
    {"DISKSIZE", COLUMN_BYTES, true, offsetof(struct subject, now.disksize)},
    {"DATA", COLUMN_BYTES, true, offsetof(struct subject, now.orig_data_size)},
    {"COMPR", COLUMN_BYTES, true, offsetof(struct subject, now.compr_data_size)},
    {"TOTAL", COLUMN_BYTES, true, offsetof(struct subject, now.mem_used_total)},
    {"RATIO", COLUMN_RATIO, true, offsetof(struct subject, now.mem_used_total)},
    {"STREAMS", COLUMN_NUMBER, true, offsetof(struct subject, streams)},
    {"CLIENTS", COLUMN_NUMBER, true, offsetof(struct subject, now.connections)},
    {"ZERO-PAGES", COLUMN_NUMBER, false, offsetof(struct subject, now.same_pages)},
    {"HUGE-PAGES", COLUMN_NUMBER, false, offsetof(struct subject, now.huge_pages)},
    {"MEM-LIMIT", COLUMN_BYTES, false, offsetof(struct subject, now.mem_limit)},
    {"MEM-USED", COLUMN_BYTES, false, offsetof(struct subject, now.mem_used_max)},
    {"MIGRATED", COLUMN_NUMBER, false, offsetof(struct subject, now.pages_compacted)},
    {"FAILED", COLUMN_NUMBER, false, offsetof(struct subject, failed)},
    {"CONTROL", COLUMN_STRING, false, offsetof(struct subject, control)},
};

static_assert(array_count(columns) <= TABLE_COLUMNS_MAX, "all of them fit one table");

/* How the table is to be shown. */
struct form {
    const struct column *columns[TABLE_COLUMNS_MAX];
    size_t count;
    bool as_json, in_bytes, without_head;
};

static const char *string_at(const struct subject *subject, const struct column *column)
{
    return *(const char *const *)(const void *)((const char *)subject + column->offset);
}

static uint64_t number_at(const struct subject *subject, const struct column *column)
{
    return *(const uint64_t *)(const void *)((const char *)subject + column->offset);
}

static void add_cell(struct table *table, const struct form *form, const struct subject *subject,
                     const struct column *column)
{
    char cell[FORMAT_BYTES_MAX];
    if (column->kind == COLUMN_STRING) {
        table_add(table, string_at(subject, column));
        return;
    }
    uint64_t number = number_at(subject, column);
    if (column->kind == COLUMN_RATIO)
        format_ratio(cell, subject->now.orig_data_size, number);
    else if (column->kind == COLUMN_BYTES && !form->in_bytes)
        format_bytes(cell, number);
    else
        snprintf(cell, sizeof cell, "%" PRIu64, number);
    table_add(table, cell);
}

static void show_table(const struct form *form, const struct subject *subjects, size_t count,
                       struct text *out)
{
    struct table table = {.column_count = form->count};
    for (size_t i = 0; i < form->count; i++) {
        table.is_right[i] = form->columns[i]->kind != COLUMN_STRING;
        if (!form->without_head)
            table_add(&table, form->columns[i]->name);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < form->count; j++)
            add_cell(&table, form, &subjects[i], form->columns[j]);
    table_finish(&table, out);
}

static void add_json(struct text *out, const struct subject *subject, const struct column *column)
{
    char number[FORMAT_BYTES_MAX];
    for (const char *name = column->name; *name != '\0'; name++)
        text_add(out, "%c", *name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);
    text_add(out, "\": ");
    if (column->kind == COLUMN_STRING)
        format_quoted(out, string_at(subject, column));
    else if (column->kind != COLUMN_RATIO)
        text_add(out, "%" PRIu64, number_at(subject, column));
    else if (number_at(subject, column) == 0)
        text_add(out, "null");
    else
        text_add(out, "%s",
                 format_ratio(number, subject->now.orig_data_size, number_at(subject, column)));
}

static void show_json(const struct form *form, const struct subject *subjects, size_t count,
                      struct text *out)
{
    text_add(out, "{\n   \"zram\": [");
    for (size_t i = 0; i < count; i++) {
        text_add(out, "%s\n      {", i > 0 ? "," : "");
        for (size_t j = 0; j < form->count; j++) {
            text_add(out, "%s\n         \"", j > 0 ? "," : "");
            add_json(out, &subjects[i], form->columns[j]);
        }
        text_add(out, "\n      }");
    }
    text_add(out, "\n   ]\n}\n");
}

/* False: the server has gone meanwhile. */
static bool ask(struct server *server, struct subject *subject)
{
    char algorithm[64];
    *subject = (struct subject){.name = server->name, .control = server->path};
    int error = server_statistics(server, &subject->now);
    if (error != 0) {
        command_warn("%s: the server does not answer: %s", server->path, strerror(-error));
        return false;
    }
    server_algorithm(server, algorithm, sizeof algorithm);
    subject->algorithm = command_copy(algorithm);
    subject->streams = server_number(server, "max_comp_streams");
    subject->soft_percent = server_number(server, "soft_percent");
    subject->failed = subject->now.failed_reads + subject->now.failed_writes;
    return true;
}

static void warn(const struct subject *subject)
{
    const struct device_statistics *now = &subject->now;
    char limit[FORMAT_BYTES_MAX];
    if (now->mem_limit != 0 && now->mem_used_total >= now->mem_limit / 100 * subject->soft_percent)
        command_warn("%s: %" PRIu64 " %% of its mem_limit of %s are used; beyond it writes fail "
                     "with ENOSPC",
                     subject->name, now->mem_used_total / (now->mem_limit / 100 + 1),
                     format_bytes(limit, now->mem_limit));
    if (now->threads != 0 && now->swap_safe == 0)
        command_warn("%s: serves swap, and is not safe; `uzram swap check` says why",
                     subject->name);
    if (now->failed_reads != 0)
        command_warn("%s: %" PRIu64 " blocks could not be read; the server's log says which",
                     subject->name, now->failed_reads);
}

static const struct column *find_column(const char *name, size_t length)
{
    for (size_t i = 0; i < array_count(columns); i++)
        if (strlen(columns[i].name) == length && strncasecmp(columns[i].name, name, length) == 0)
            return &columns[i];
    return NULL;
}

/* NAME,NAME… */
static void choose_columns(const struct command *command, struct form *form, const char *list)
{
    form->count = 0;
    for (;;) {
        size_t length = strcspn(list, ",");
        const struct column *column = find_column(list, length);
        if (column == NULL) {
            struct text names = text_of_limit(1000);
            for (size_t i = 0; i < array_count(columns); i++)
                text_add(&names, "%s%s", i > 0 ? "," : "", columns[i].name);
            command_misused(command, "--output: no column is named %.*s; give some of %s",
                            (int)length, list, text_string(&names));
        }
        if (form->count == TABLE_COLUMNS_MAX)
            command_misused(command, "--output: more than %d columns", TABLE_COLUMNS_MAX);
        form->columns[form->count++] = column;
        if (list[length] == '\0')
            return;
        list += length + 1;
    }
}

static void choose_default_columns(struct form *form, bool all)
{
    form->count = 0;
    for (size_t i = 0; i < array_count(columns); i++)
        if (all || columns[i].is_default)
            form->columns[form->count++] = &columns[i];
}

static void read_options(const struct command *command, int argc, char **argv, struct form *form)
{
    enum { ALL = 256 };
    static const struct option options[] = {
        {"json", no_argument, NULL, 'J'},       {"output", required_argument, NULL, 'o'},
        {"output-all", no_argument, NULL, ALL}, {"bytes", no_argument, NULL, 'b'},
        {"noheadings", no_argument, NULL, 'n'}, {0},
    };
    int option;
    choose_default_columns(form, false);
    while ((option = command_option(command, argc, argv, options)) != -1) {
        switch (option) {
        case 'J':
            form->as_json = true;
            break;
        case 'b':
            form->in_bytes = true;
            break;
        case 'n':
            form->without_head = true;
            break;
        case ALL:
            choose_default_columns(form, true);
            break;
        default:
            choose_columns(command, form, optarg);
        }
    }
    if (optind != argc)
        command_misused(command, "%s: status takes no argument", argv[optind]);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct form form = {0};
    read_options(command, argc, argv, &form);
    struct servers servers = servers_find();
    struct subject *subjects = command_allocate(servers.count * sizeof *subjects);
    struct text out = text_of_limit(OUTPUT_BYTES_MAX);
    size_t count = 0;
    for (size_t i = 0; i < servers.count; i++)
        count += ask(&servers.server[i], &subjects[count]);
    (form.as_json ? show_json : show_table)(&form, subjects, count, &out);
    fputs(text_string(&out), stdout);
    for (size_t i = 0; i < count; i++) {
        warn(&subjects[i]);
        free((char *)(uintptr_t)subjects[i].algorithm);
    }
    text_free(&out);
    free(subjects);
    bool all_answered = count == servers.count;
    servers_free(&servers);
    return command_done() == STATUS_OK && all_answered ? STATUS_OK : STATUS_REFUSED;
}

const struct command command_status = {
    .name = "status",
    .arguments = "[-J|--json] [-o|--output COLUMNS] [--output-all] [-b|--bytes] [-n|--noheadings]",
    .help = "a table of all disks that are served, a line each",
    .run = run,
};
