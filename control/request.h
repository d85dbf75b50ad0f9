/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * request.h: one line of the control protocol, taken apart.
 *
 *      get NAME [ARGUMENT]        the value of an attribute
 *      set NAME VALUE             VALUE is the rest of the line, spaces included; it may be empty
 *      list                       all attributes, one a line: name, mode, help
 *      stats                      the attribute of that name: all statistics as JSON
 *
 * A line ends with a line feed and has at most REQUEST_BYTES_MAX bytes before it: printable ASCII,
 * tabs, and bytes above 127 (paths). The answer to it is one of
 *
 *      ok LENGTH                  and LENGTH bytes after this line
 *      error ERRNO SENTENCE       ERRNO by name, such as EBUSY
 */
#ifndef UZRAM_CONTROL_REQUEST_H
#define UZRAM_CONTROL_REQUEST_H

#include "common/compiler.h"

#define REQUEST_BYTES_MAX 4096u

enum request_verb { REQUEST_GET, REQUEST_SET, REQUEST_LIST };

struct request {
    enum request_verb verb;
    const char *name;  /* in the line; "" for a list */
    const char *value; /* in the line: the value, the argument, or "" */
};

/*
 * Takes a line of `length` bytes apart, without its line feed, in place: zeros are put into it, and
 * line[length] must be writable. Returns NULL, or what is wrong as a sentence (static memory);
 * *request is set only on success and lives as long as the line.
 */
const char *request_parse(char *line, size_t length, struct request *request) must_use;

#endif
