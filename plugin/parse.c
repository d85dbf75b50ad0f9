/* SPDX-License-Identifier: BSD-3-Clause */
/* parse.c: texts from the command line turned into values. */
#include "plugin/parse.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/parse.h"

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
