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

#define PARAMS_ACCEPTED "give algo=NAME, priority=NUMBER, level=NUMBER or dict=PATH"

/* Takes one part, NAME=VALUE, into *params. Returns NULL or what is wrong. */
static const char *algorithm_param_set(struct algorithm_params *params, const char *name,
                                       const char *value)
{
    if (strcmp(name, "algo") == 0) {
        if (*value == '\0' || strlen(value) >= sizeof params->algo)
            return "algo= wants an algorithm's name";
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
        if (parse_integer(value, 0, ALGORITHM_PRIORITY_MAX, &params->priority) < 0)
            return "priority= wants 0, for writing, or 1 to 3, for recompression";
        params->has_priority = true;
        return NULL;
    }
    if (strcmp(name, "dict") == 0) {
        if (*value == '\0' || strlen(value) >= sizeof params->dict)
            return "dict= wants the path of a file";
        memcpy(params->dict, value, strlen(value) + 1);
        return NULL;
    }
    return "has a part that is unknown; " PARAMS_ACCEPTED;
}

/* Takes all parts. A part without "=" is the value of `bare`; NULL: there must be none. */
static const char *parse_parts(const char *text, const char *bare, struct algorithm_params *params)
{
    static const char spaces[] = " \t\n";
    char *copy = strdup(text);
    if (copy == NULL)
        return "no memory to read it";

    const char *wrong = "is empty; " PARAMS_ACCEPTED;
    char *rest = NULL;
    for (char *part = strtok_r(copy, spaces, &rest); part != NULL;
         part = strtok_r(NULL, spaces, &rest)) {
        char *equals = strchr(part, '=');
        if (equals != NULL) {
            *equals = '\0';
            wrong = algorithm_param_set(params, part, equals + 1);
        } else {
            wrong = bare != NULL ? algorithm_param_set(params, bare, part)
                                 : "parts have the form NAME=VALUE; " PARAMS_ACCEPTED;
        }
        if (wrong != NULL)
            break;
    }
    free(copy);
    return wrong;
}

const char *parse_algorithm_params(const char *text, struct algorithm_params *params)
{
    struct algorithm_params result = {0};
    const char *wrong = parse_parts(text, NULL, &result);
    if (wrong == NULL)
        *params = result;
    return wrong;
}

const char *parse_recomp_algorithm(const char *text, struct algorithm_params *params)
{
    struct algorithm_params result = {0};
    const char *wrong = parse_parts(text, "algo", &result);
    if (wrong != NULL)
        return wrong;
    if (result.algo[0] == '\0' || result.has_level || result.dict[0] != '\0')
        return "give algo=NAME, and priority=1 to 3; the rest goes to algorithm_params";
    if (!result.has_priority)
        result.priority = 1;
    if (result.priority == 0)
        return "priority= wants 1 to 3; 0 is what comp_algorithm sets";
    result.has_priority = true;
    *params = result;
    return NULL;
}
