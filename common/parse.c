/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The factor that a size's suffix stands for; 0 if it is none. */
static uint64_t suffix_factor(char suffix)
{
    switch (tolower((unsigned char)suffix)) {
    case '\0':
    case 'b':
        return 1;
    case 's':
        return 512;
    case 'k':
        return UINT64_C(1) << 10;
    case 'm':
        return UINT64_C(1) << 20;
    case 'g':
        return UINT64_C(1) << 30;
    case 't':
        return UINT64_C(1) << 40;
    case 'p':
        return UINT64_C(1) << 50;
    case 'e':
        return UINT64_C(1) << 60;
    default:
        return 0;
    }
}

int parse_size(const char *text, uint64_t *bytes)
{
    while (isspace((unsigned char)*text))
        text++;
    if (*text == '+')
        text++;
    if (!isdigit((unsigned char)*text))
        return -EINVAL;

    char *end;
    errno = 0;
    unsigned long long count = strtoull(text, &end, 10);
    bool too_long = errno == ERANGE;
    uint64_t factor = suffix_factor(*end);
    if (factor == 0 || (*end != '\0' && end[1] != '\0'))
        return -EINVAL;
    if (too_long || count > INT64_MAX / factor)
        return -ERANGE;
    *bytes = count * factor;
    return 0;
}

int parse_integer(const char *text, int min, int max, int *number)
{
    const char *digits = *text == '-' || *text == '+' ? text + 1 : text;
    if (!isdigit((unsigned char)*digits))
        return -EINVAL;

    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (*end != '\0')
        return -EINVAL;
    if (errno == ERANGE || value < min || value > max)
        return -ERANGE;
    *number = (int)value;
    return 0;
}

const char *parse_parts(const char *text, const char *bare, parse_part *take, void *context,
                        int *count)
{
    static const char spaces[] = " \t\n";
    char *copy = strdup(text);
    if (copy == NULL)
        return "no memory to read it";

    const char *wrong = NULL;
    char *rest = NULL;
    *count = 0;
    for (char *part = strtok_r(copy, spaces, &rest); part != NULL && wrong == NULL;
         part = strtok_r(NULL, spaces, &rest)) {
        char *equals = strchr(part, '=');
        ++*count;
        if (equals != NULL) {
            *equals = '\0';
            wrong = take(context, part, equals + 1);
        } else {
            wrong = bare != NULL ? take(context, bare, part) : "parts have the form NAME=VALUE";
        }
    }
    free(copy);
    return wrong;
}
