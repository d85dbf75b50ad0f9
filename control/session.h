/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.h: a client's bytes turned into answers: lines out of what comes in, in any pieces.
 *
 *      bytes ─▶ session_room, session_read ─▶ [a line of at most REQUEST_BYTES_MAX]
 *                                                 │ session_answer, one line at a time
 *                                                 ▼
 *                              request.h ─▶ attribute.h ─▶ a framed answer
 *
 * Knows no sockets, so that a fuzzer can be the client. One thread at a time.
 */
#ifndef UZRAM_CONTROL_SESSION_H
#define UZRAM_CONTROL_SESSION_H

#include "control/attribute.h"
#include "control/request.h"

/* No answer is longer: longer values are read in parts. */
#define ANSWER_BYTES_MAX ((size_t)1 << 20)

/* The line before an answer: "error", the longest name of an errno and a sentence. */
#define FRAME_BYTES_MAX ((size_t)1024)

struct session {
    char input[REQUEST_BYTES_MAX + 1];
    size_t used;
    bool is_over; /* nothing that the client sends can be understood any more */
};

/* Where the next bytes of the client go, and how many there may be: none before session_answer. */
char *session_room(struct session *session, size_t *capacity_bytes);

/* So many bytes have been put there. */
void session_read(struct session *session, size_t count);

/* True if the next line asks for an attribute that is slow (attribute.h). */
bool session_is_slow(const struct session *session, const struct attribute_table *table);

/*
 * Answers the next line, if a whole one is there: adds the framed answer to `out`. A line that is
 * too long is answered with an error and ends the session, because where the next one begins is not
 * known. `body` is scratch for one answer, of limit ANSWER_BYTES_MAX. False: there is no line.
 */
bool session_answer(struct session *session, const struct attribute_table *table, struct text *body,
                    struct text *out);

/* Adds "error ERRNO SENTENCE\n", the sentence in one line, to `out`. */
void session_add_error(struct text *out, int error, const char *sentence);

#endif
