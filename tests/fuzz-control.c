/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz-control.c: a stream of bytes is what a client sends, in pieces that its first byte chooses.
 *
 * Whatever comes in, each line gets one answer, well framed, and nothing else is said; a line too
 * long for the session ends it. The same bytes in pieces of one give the same answers.
 */
#include <stdlib.h>

#include "tests/control-table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const char fuzz_corpus[];
const char fuzz_corpus[] = "tests/corpus/control";

/* Answers together: `get big` in each of a stream's lines would take too long. */
#define ANSWERS_BYTES_MAX ((size_t)16 << 20)

#define must(condition) ((condition) ? (void)0 : abort())

struct outcome {
    struct text out;
    unsigned answers;
    bool is_over;
    struct things things;
};

/* Feeds a session. Stops early when the answers are long enough. Returns bytes it took. */
static size_t converse(const uint8_t *data, size_t size, size_t piece, struct outcome *outcome)
{
    struct session session = {0};
    struct text body = text_of_limit(ANSWER_BYTES_MAX);
    struct attribute_table table = table_of_things(&outcome->things);
    size_t taken = 0;
    while (taken < size && !session.is_over && outcome->out.length < ANSWERS_BYTES_MAX / 2) {
        size_t capacity;
        char *room = session_room(&session, &capacity);
        must(capacity > 0);
        size_t count = size - taken < piece ? size - taken : piece;
        if (count > capacity)
            count = capacity;
        memcpy(room, data + taken, count);
        session_read(&session, count);
        taken += count;
        while (session_answer(&session, &table, &body, &outcome->out))
            outcome->answers++;
    }
    outcome->is_over = session.is_over;
    text_free(&body);
    return taken;
}

/* Reads the frames again; there have to be `answers` of them, and nothing behind. */
static void must_be_framed(const struct text *out, unsigned answers)
{
    const char *at = text_string(out), *end = at + out->length;
    must(!out->is_broken);
    for (; answers > 0; answers--) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        must(line_end != NULL && (size_t)(line_end - at) < FRAME_BYTES_MAX);
        if (strncmp(at, "error E", 7) == 0) {
            must(memchr(at + 7, ' ', (size_t)(line_end - at) - 7) != NULL);
            at = line_end + 1;
            continue;
        }
        must(strncmp(at, "ok ", 3) == 0);
        char *after;
        unsigned long length = strtoul(at + 3, &after, 10);
        must(after == line_end && length <= ANSWER_BYTES_MAX);
        must(length <= (size_t)(end - line_end - 1));
        at = line_end + 1 + length;
    }
    must(at == end);
}

static unsigned count_lines(const uint8_t *data, size_t size)
{
    unsigned lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome outcome, by_ones;
    if (size < 1)
        return 0;
    size_t piece = (size_t)data[0] * 17 + 1;
    outcome = (struct outcome){.out = text_of_limit(ANSWERS_BYTES_MAX)};
    size_t taken = converse(data + 1, size - 1, piece, &outcome);
    must_be_framed(&outcome.out, outcome.answers);
    if (!outcome.is_over)
        must(outcome.answers == count_lines(data + 1, taken));

    by_ones = (struct outcome){.out = text_of_limit(ANSWERS_BYTES_MAX)};
    (void)converse(data + 1, taken, 1, &by_ones);
    if (by_ones.out.length == outcome.out.length) {
        must(memcmp(text_string(&by_ones.out), text_string(&outcome.out), outcome.out.length) == 0);
        must(strcmp(by_ones.things.word, outcome.things.word) == 0);
        must(by_ones.things.sunk == outcome.things.sunk);
    } else {
        must(by_ones.out.length >= ANSWERS_BYTES_MAX / 2); /* stopped early */
    }
    text_free(&outcome.out);
    text_free(&by_ones.out);
    return 0;
}
