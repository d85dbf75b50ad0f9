/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * classes.c: uzram classes: the size classes of the pool as a picture: how much memory each has,
 * and how much of that holds objects.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "control/session.h"
#include "tool/command.h"
#include "tool/format.h"
#include "tool/servers.h"
#include "tool/table.h"

#define CLASSES_MAX 256
#define BAR_COLUMNS 40
#define GROUPS      11 /* the kernel's columns: 10% … 90%, 99%, 100% */

/* One line of the attribute `classes`. */
struct size_class {
    unsigned size;
    uint64_t allocated, used, pages, freeable;
    unsigned pages_per_zspage;
};

/* Reads a line; false for the heading and the total. */
static bool read_class(const char *line, struct size_class *class)
{
    uint64_t numbers[2 + GROUPS + 5];
    for (size_t i = 0; i < array_count(numbers); i++) {
        char *end;
        numbers[i] = strtoull(line, &end, 10);
        if (end == line)
            return false;
        line = end;
    }
    const uint64_t *behind = numbers + 2 + GROUPS;
    *class = (struct size_class){
        .size = (unsigned)numbers[1],
        .allocated = behind[0],
        .used = behind[1],
        .pages = behind[2],
        .pages_per_zspage = (unsigned)behind[3],
        .freeable = behind[4],
    };
    return true;
}

static size_t read_classes(const char *table, struct size_class *classes)
{
    size_t count = 0;
    char *lines = command_copy(table), *rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line != NULL && count < CLASSES_MAX;
         line = strtok_r(NULL, "\n", &rest))
        count += read_class(line, &classes[count]);
    free(lines);
    return count;
}

static void add_number(struct table *table, uint64_t number)
{
    char cell[FORMAT_BYTES_MAX];
    snprintf(cell, sizeof cell, "%" PRIu64, number);
    table_add(table, cell);
}

static void add_share(struct table *table, uint64_t part, uint64_t whole)
{
    char cell[FORMAT_BYTES_MAX];
    snprintf(cell, sizeof cell, whole > 0 ? "%" PRIu64 "%%" : "-",
             whole > 0 ? part * 100 / whole : 0);
    table_add(table, cell);
}

/* The pages of a class, as long as they are many beside the greatest; solid where objects are. */
static void add_bar(struct table *table, const struct size_class *class, uint64_t most_pages)
{
    struct text bar = text_of_limit(8 * BAR_COLUMNS);
    double whole = most_pages > 0 ? (double)class->pages / (double)most_pages : 0;
    double room = (double)class->pages * PAGE_SIZE_BYTES;
    double part = room > 0 ? whole * (double)class->used * class->size / room : 0;
    format_bar(&bar, part, whole, BAR_COLUMNS);
    table_add(table, text_string(&bar));
    text_free(&bar);
}

static void show(const struct size_class *classes, size_t count, bool all, struct text *out)
{
    static const char *const heads[] = {"SIZE",  "OBJECTS", "PLACES",   "FULL",
                                        "PAGES", "ZSPAGE",  "FREEABLE", "USE"};
    struct table table = {.column_count = array_count(heads)};
    uint64_t most_pages = 0, used = 0, allocated = 0, pages = 0, freeable = 0;
    for (size_t i = 0; i < array_count(heads); i++) {
        table.is_right[i] = i + 1 < array_count(heads);
        table_add(&table, heads[i]);
    }
    for (size_t i = 0; i < count; i++)
        if (classes[i].pages > most_pages)
            most_pages = classes[i].pages;
    for (size_t i = 0; i < count; i++) {
        const struct size_class *class = &classes[i];
        if (class->pages == 0 && !all)
            continue;
        add_number(&table, class->size);
        add_number(&table, class->used);
        add_number(&table, class->allocated);
        add_share(&table, class->used, class->allocated);
        add_number(&table, class->pages);
        add_number(&table, class->pages_per_zspage);
        add_number(&table, class->freeable);
        add_bar(&table, class, most_pages);
        used += class->used;
        allocated += class->allocated;
        pages += class->pages;
        freeable += class->freeable;
    }
    table_add(&table, "total");
    add_number(&table, used);
    add_number(&table, allocated);
    add_share(&table, used, allocated);
    add_number(&table, pages);
    table_add(&table, "");
    add_number(&table, freeable);
    table_add(&table, "");
    table_finish(&table, out);
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'}, {"raw", no_argument, NULL, 'r'}, {0}};
    static struct size_class classes[CLASSES_MAX];
    struct text answer = text_of_limit(ANSWER_BYTES_MAX), out = text_of_limit(ANSWER_BYTES_MAX);
    bool all = false, raw = false;
    int option;
    while ((option = command_option(command, argc, argv, options)) != -1) {
        all |= option == 'a';
        raw |= option == 'r';
    }
    if (optind != argc)
        command_misused(command, "%s: classes takes no argument", argv[optind]);
    struct servers servers = servers_find_one();
    server_must_answer(&servers.server[0], "get classes", &answer);
    if (raw)
        text_add_bytes(&out, text_string(&answer), answer.length);
    else
        show(classes, read_classes(text_string(&answer), classes), all, &out);
    fputs(text_string(&out), stdout);
    text_free(&answer);
    text_free(&out);
    servers_free(&servers);
    return command_done();
}

const struct command command_classes = {
    .name = "classes",
    .arguments = "[-a|--all] [-r|--raw]",
    .help = "how full the size classes of the pool are, as a picture",
    .run = run,
};
