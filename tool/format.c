/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/format.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>

/* One digit behind the point below 10, unless it is 0. */
static void scale(char *target, double number, double factor, const char *const *units,
                  size_t unit_count)
{
    size_t unit = 0;
    while (number >= factor - 0.5 && unit + 1 < unit_count) {
        number /= factor;
        unit++;
    }
    snprintf(target, FORMAT_BYTES_MAX, "%.1f", number);
    char *point = strchr(target, '.');
    if (point != NULL && point[1] == '0')
        *point = '\0';
    strcat(target, units[unit]);
}

const char *format_bytes(char *target, uint64_t bytes)
{
    static const char *const units[] = {"B", "K", "M", "G", "T", "P", "E"};
    scale(target, (double)bytes, 1024, units, array_count(units));
    return target;
}

const char *format_count(char *target, double count)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
    scale(target, count, 1000, units, array_count(units));
    return target;
}

const char *format_ratio(char *target, uint64_t a, uint64_t b)
{
    if (b == 0)
        strcpy(target, "-");
    else
        snprintf(target, FORMAT_BYTES_MAX, "%.2f", (double)a / (double)b);
    return target;
}

static bool has_blocks(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void format_bar(struct text *text, double part, double whole, unsigned width)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    bool blocks = has_blocks();
    whole = whole > 1 ? 1 : whole;
    part = part > whole ? whole : part;
    unsigned part_eighths = (unsigned)(part * width * 8 + 0.5);
    unsigned whole_columns = (unsigned)(whole * width + 0.5);
    unsigned column = 0;
    for (; column < part_eighths / 8; column++)
        text_add(text, "%s", blocks ? "█" : "#");
    if (part_eighths % 8 != 0 && column < width) {
        text_add(text, "%s", blocks ? eighths[part_eighths % 8] : "+");
        column++;
    }
    for (; column < whole_columns; column++)
        text_add(text, "%s", blocks ? "░" : ".");
    for (; column < width; column++)
        text_add(text, " ");
}

const char *format_spark(double share)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {" ", ".", ".", ":", ":", "|", "|", "#", "#"};
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    size_t index = (size_t)(share * 8 + 0.5);
    if (index == 0 && share > 0)
        index = 1;
    return has_blocks() ? blocks[index] : plain[index];
}

void format_quoted(struct text *text, const char *string)
{
    text_add(text, "\"");
    for (; *string != '\0'; string++) {
        if (*string == '"' || *string == '\\')
            text_add(text, "\\%c", *string);
        else if ((unsigned char)*string < ' ')
            text_add(text, "?");
        else
            text_add_bytes(text, string, 1);
    }
    text_add(text, "\"");
}
