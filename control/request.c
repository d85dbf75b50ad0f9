/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/request.h"

#include <string.h>

static bool is_text(unsigned char byte)
{
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

/* Ends the word at `word` with a zero; returns what follows the spaces behind it. */
static char *end_word(char *word)
{
    char *end = word + strcspn(word, " \t");
    char *next = end + strspn(end, " \t");
    *end = '\0';
    return next;
}

const char *request_parse(char *line, size_t length, struct request *request)
{
    for (size_t i = 0; i < length; i++)
        if (!is_text((unsigned char)line[i]))
            return "the line holds bytes that are no text";
    line[length] = '\0';

    char *verb = line + strspn(line, " \t");
    char *rest = end_word(verb);
    struct request parsed = {.name = "", .value = ""};
    if (strcmp(verb, "list") == 0 || strcmp(verb, "stats") == 0) {
        if (*rest != '\0')
            return "list and stats stand alone on their line";
        parsed.verb = *verb == 'l' ? REQUEST_LIST : REQUEST_GET;
        if (parsed.verb == REQUEST_GET)
            parsed.name = verb;
    } else if (strcmp(verb, "get") == 0 || strcmp(verb, "set") == 0) {
        if (*rest == '\0')
            return "the attribute's name is missing; give get NAME, or set NAME VALUE";
        parsed.verb = *verb == 'g' ? REQUEST_GET : REQUEST_SET;
        parsed.name = rest;
        parsed.value = end_word(rest);
    } else {
        return "not a request; give get NAME, set NAME VALUE, list or stats";
    }
    *request = parsed;
    return NULL;
}
