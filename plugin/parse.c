/* SPDX-License-Identifier: BSD-3-Clause */
/* parse.c: texts from the command line turned into values. */
#include "plugin/parse.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
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

/* Takes one part, NAME=VALUE, into *params. Returns NULL or what is wrong. */
static const char *algorithm_param_set(struct algorithm_params *params, const char *name,
                                       const char *value)
{
    if (strcmp(name, "algo") == 0) {
        if (*value == '\0' || strlen(value) >= sizeof params->algo)
            return "algo= wants the name that comp_algorithm has";
        memcpy(params->algo, value, strlen(value) + 1);
        return NULL;
    }
    if (strcmp(name, "level") == 0) {
        if (parse_integer(value, INT_MIN, INT_MAX, &params->level) < 0)
            return "level= wants a whole number";
        params->has_level = true;
        return NULL;
    }
    if (strcmp(name, "priority") == 0) {
        int priority;
        if (parse_integer(value, 0, 0, &priority) < 0)
            return "there is one algorithm, so priority= can only be 0";
        return NULL;
    }
    if (strcmp(name, "dict") == 0)
        return "dictionaries are not supported; give algo=NAME or level=NUMBER";
    return "has a part that is unknown; give algo=NAME or level=NUMBER";
}

const char *parse_algorithm_params(const char *text, struct algorithm_params *params)
{
    static const char *const no_memory = "no memory to read it";
    static const char spaces[] = " \t\n";

    char *copy = strdup(text);
    if (copy == NULL)
        return no_memory;

    struct algorithm_params result = {0};
    const char *wrong = "is empty; give algo=NAME or level=NUMBER";
    char *rest = NULL;
    for (char *part = strtok_r(copy, spaces, &rest); part != NULL;
         part = strtok_r(NULL, spaces, &rest)) {
        char *equals = strchr(part, '=');
        if (equals == NULL) {
            wrong = "parts have the form NAME=VALUE; give algo=NAME or level=NUMBER";
            break;
        }
        *equals = '\0';
        wrong = algorithm_param_set(&result, part, equals + 1);
        if (wrong != NULL)
            break;
    }
    free(copy);
    if (wrong == NULL)
        *params = result;
    return wrong;
}
