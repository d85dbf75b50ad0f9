/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"

#define CAPACITY_LEAST 256

void text_free(struct text *text)
{
    memory_free(text->bytes);
    *text = text_of_limit(text->limit);
}

void text_clear(struct text *text)
{
    text->length = 0;
    text->is_broken = false;
    if (text->bytes != NULL)
        text->bytes[0] = '\0';
}

/* Makes room for `count` more bytes and a zero. */
static bool make_room(struct text *text, size_t count)
{
    if (text->is_broken || count > text->limit - text->length) {
        text->is_broken = true;
        return false;
    }
    if (text->length + count < text->capacity)
        return true;
    size_t capacity = text->capacity != 0 ? text->capacity : CAPACITY_LEAST;
    while (capacity <= text->length + count)
        capacity *= 2;
    char *bytes = memory_zalloc(capacity);
    if (bytes == NULL) {
        text->is_broken = true;
        return false;
    }
    if (text->bytes != NULL)
        memcpy(bytes, text->bytes, text->length);
    memory_free(text->bytes);
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length >= 0 && make_room(text, (size_t)length)) {
        vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

void text_add_bytes(struct text *text, const void *bytes, size_t count)
{
    if (!make_room(text, count))
        return;
    memcpy(text->bytes + text->length, bytes, count);
    text->length += count;
    text->bytes[text->length] = '\0';
}

const char *text_string(const struct text *text)
{
    return text->bytes != NULL ? text->bytes : "";
}
