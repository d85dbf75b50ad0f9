/* SPDX-License-Identifier: BSD-3-Clause */
/* config.c: a plan from a file. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/swap/plan.h"

/* Without the white space around it; the text is changed. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

static bool take_line(struct swap_plan *plan, char *line, struct text *wrong)
{
    line = trim(line);
    if (*line == '\0' || *line == '#' || *line == ';')
        return true;
    char *equals = strchr(line, '=');
    if (equals == NULL || equals == line) {
        text_add(wrong, "%.100s: not a setting; a line is KEY = VALUE, or begins with #", line);
        return false;
    }
    *equals = '\0';
    return swap_plan_set(plan, trim(line), trim(equals + 1), wrong);
}

bool swap_plan_read(struct swap_plan *plan, const char *path, struct text *wrong)
{
    struct text sentence = text_of_limit(wrong->limit);
    char *line = NULL;
    size_t capacity = 0;
    unsigned number = 0;
    bool is_good = true;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        text_add(wrong, "%s: %s", path, strerror(errno));
        return false;
    }
    while (is_good && getline(&line, &capacity, file) > 0) {
        number++;
        is_good = take_line(plan, line, &sentence);
    }
    if (!is_good) {
        text_add(wrong, "%s:%u: %s", path, number, text_string(&sentence));
    } else if (ferror(file)) {
        text_add(wrong, "%s: it cannot be read", path);
        is_good = false;
    }
    fclose(file);
    free(line);
    text_free(&sentence);
    return is_good;
}
