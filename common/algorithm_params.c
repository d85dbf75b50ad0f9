/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/algorithm_params.h"

#include <string.h>

#include "common/parse.h"

#define PARAMS_ACCEPTED "give algo=NAME, priority=NUMBER, level=NUMBER or dict=PATH"

/* Takes one part, NAME=VALUE, into *params. Returns NULL or what is wrong. */
static const char *take_param(void *context, const char *name, const char *value)
{
    struct algorithm_params *params = context;
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

const char *parse_algorithm_params(const char *text, struct algorithm_params *params)
{
    struct algorithm_params result = {0};
    int parts;
    const char *wrong = parse_parts(text, NULL, take_param, &result, &parts);
    if (wrong == NULL && parts == 0)
        wrong = "is empty; " PARAMS_ACCEPTED;
    if (wrong == NULL)
        *params = result;
    return wrong;
}

const char *parse_recomp_algorithm(const char *text, struct algorithm_params *params)
{
    struct algorithm_params result = {0};
    int parts;
    const char *wrong = parse_parts(text, "algo", take_param, &result, &parts);
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
