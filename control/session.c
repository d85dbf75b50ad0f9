/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/session.h"

#include <errno.h>
#include <string.h>

/* Of a sentence, so that a frame keeps within FRAME_BYTES_MAX. */
#define SENTENCE_BYTES_MAX 960

char *session_room(struct session *session, size_t *capacity_bytes)
{
    *capacity_bytes = sizeof session->input - session->used;
    return session->input + session->used;
}

void session_read(struct session *session, size_t count)
{
    checked(count <= sizeof session->input - session->used);
    session->used += count;
}

void session_add_error(struct text *out, int error, const char *sentence)
{
    const char *name = strerrorname_np(-error);
    size_t length = strcspn(sentence, "\n");
    if (length > SENTENCE_BYTES_MAX)
        length = SENTENCE_BYTES_MAX;
    text_add(out, "error %s %.*s\n", name != NULL ? name : "EIO", (int)length, sentence);
}

/* Reads, writes or lists. Returns 0 or a negative errno; what there is to say is in `body`. */
static int perform(const struct request *request, const struct attribute_table *table,
                   struct text *body)
{
    switch (request->verb) {
    case REQUEST_GET:
        return attribute_read(table, request->name, request->value, body);
    case REQUEST_SET:
        return attribute_write(table, request->name, request->value, body);
    case REQUEST_LIST:
        break;
    }
    attribute_list(table, body);
    return 0;
}

static void answer_line(struct session *session, size_t length, const struct attribute_table *table,
                        struct text *body, struct text *out)
{
    struct request request;
    const char *wrong = request_parse(session->input, length, &request);
    if (wrong != NULL) {
        session_add_error(out, -EINVAL, wrong);
        return;
    }
    text_clear(body);
    int error = perform(&request, table, body);
    if (body->is_broken) {
        session_add_error(out, -EOVERFLOW, "the answer is too long, or there is no memory for it");
    } else if (error != 0) {
        session_add_error(out, error, text_string(body));
    } else {
        text_add(out, "ok %zu\n", body->length);
        text_add_bytes(out, text_string(body), body->length);
    }
}

bool session_is_slow(const struct session *session, const struct attribute_table *table)
{
    char line[REQUEST_BYTES_MAX + 1];
    struct request request;
    const char *end = memchr(session->input, '\n', session->used);
    if (end == NULL)
        return false;
    size_t length = (size_t)(end - session->input);
    memcpy(line, session->input, length);
    if (request_parse(line, length, &request) != NULL || request.verb == REQUEST_LIST)
        return false;
    const struct attribute *attribute = attribute_find(table, request.name);
    return attribute != NULL && attribute->is_slow;
}

bool session_answer(struct session *session, const struct attribute_table *table, struct text *body,
                    struct text *out)
{
    if (session->is_over)
        return false;
    const char *end = memchr(session->input, '\n', session->used);
    if (end == NULL) {
        if (session->used < sizeof session->input)
            return false;
        session_add_error(out, -E2BIG, "the line is too long; 4096 bytes are the most");
        static_assert(REQUEST_BYTES_MAX == 4096, "what the sentence says");
        session->is_over = true;
        return true;
    }
    size_t length = (size_t)(end - session->input);
    answer_line(session, length, table, body, out);
    session->used -= length + 1;
    memmove(session->input, end + 1, session->used);
    return true;
}
