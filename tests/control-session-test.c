/* SPDX-License-Identifier: BSD-3-Clause */
/* control-session-test.c: lines of the control protocol and what is answered to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/control-table.h"

static struct things things;
static struct text body, out;

/* What a session that gets these bytes, in pieces of `piece`, says. */
static const char *said_in_pieces(const char *bytes, size_t count, size_t piece)
{
    struct session *session = calloc(1, sizeof *session);
    struct attribute_table table = table_of_things(&things);
    assert_non_null(session);
    text_free(&body);
    text_free(&out);
    body = text_of_limit(ANSWER_BYTES_MAX);
    out = text_of_limit(4 * ANSWER_BYTES_MAX);
    for (size_t at = 0; at < count && !session->is_over; at += piece) {
        size_t now = count - at < piece ? count - at : piece, capacity;
        char *room = session_room(session, &capacity);
        assert_true(capacity >= now);
        memcpy(room, bytes + at, now);
        session_read(session, now);
        while (session_answer(session, &table, &body, &out)) {
        }
    }
    free(session);
    assert_false(out.is_broken);
    return text_string(&out);
}

static const char *said(const char *line)
{
    return said_in_pieces(line, strlen(line), REQUEST_BYTES_MAX);
}

static void attributes_are_set_and_got(void **state)
{
    (void)state;
    assert_string_equal(said("set word one two  three \nget word\n"),
                        "ok 0\nok 16\none two  three \n");
    assert_string_equal(said("set word\nget word\n"), "ok 0\nok 1\n\n");
    assert_string_equal(said("  get \t echo \t a b\n"), "ok 3\na b");
    assert_string_equal(said("get echo\n"), "ok 0\n");
    things.sunk = 0;
    assert_string_equal(said("set sink 1\nset sink\n"), "ok 0\nok 0\n");
    assert_int_equal(things.sunk, 2);
}

static void bytes_above_ascii_are_kept(void **state)
{
    (void)state;
    assert_string_equal(said("get echo /tmp/Größe\n"), "ok 12\n/tmp/Größe");
}

static void what_cannot_be_done_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"get colour\n", "error ENOENT colour: no such attribute; `list` names all\n"},
        {"set colour red\n", "error ENOENT colour: no such attribute; `list` names all\n"},
        {"get sink\n", "error EACCES sink is write-only; `set sink` it\n"},
        {"set echo 1\n", "error EACCES echo is read-only; `get echo` shows it\n"},
        {"set word no\n", "error EINVAL word=no: give\n"}, /* a sentence has one line */
        {"get huge\n", "error EOVERFLOW the answer is too long, or there is no memory for it\n"},
        {"\n", "error EINVAL not a request; give get NAME, set NAME VALUE, list or stats\n"},
        {"GET word\n",
         "error EINVAL not a request; give get NAME, set NAME VALUE, list or stats\n"},
        {"get\n",
         "error EINVAL the attribute's name is missing; give get NAME, or set NAME VALUE\n"},
        {"set \n",
         "error EINVAL the attribute's name is missing; give get NAME, or set NAME VALUE\n"},
        {"list all\n", "error EINVAL list and stats stand alone on their line\n"},
        {"stats\n", "error ENOENT stats: no such attribute; `list` names all\n"},
        {"get word\r\n", "error EINVAL the line holds bytes that are no text\n"},
        {"get \033[31mword\n", "error EINVAL the line holds bytes that are no text\n"},
    };
    strcpy(things.word, "kept");
    for (size_t i = 0; i < array_count(cases); i++)
        assert_string_equal(said(cases[i][0]), cases[i][1]);
    assert_string_equal(things.word, "kept");
}

static void a_zero_byte_is_no_text(void **state)
{
    (void)state;
    assert_string_equal(said_in_pieces("get echo\0x\n", 11, 100),
                        "error EINVAL the line holds bytes that are no text\n");
}

static void a_refused_line_does_not_spoil_the_next(void **state)
{
    (void)state;
    assert_string_equal(said("\001\002\003\nget echo x\n"),
                        "error EINVAL the line holds bytes that are no text\nok 1\nx");
}

static void a_line_without_its_end_gets_no_answer(void **state)
{
    (void)state;
    assert_string_equal(said("get echo x"), "");
}

static void a_list_has_each_name_once_with_its_mode(void **state)
{
    (void)state;
    assert_non_null(strstr(said("list\n"), "\nword rw what was last set\nbig r "));
    assert_non_null(strstr(text_string(&out), "hidden r the first of two\nsink w counts"));
    assert_null(strstr(text_string(&out), "the second of two"));
    assert_string_equal(said("get hidden\n"), "ok 5\nfirst");
}

static void slow_requests_are_told_from_others_before_they_are_answered(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool is_slow;
    } cases[] = {
        {"set slow 1\n", true},
        {"  get slow\nget word\n", true},
        {"set slow 1", false},
        {"set word a\n", false},
        {"get word\nset slow 1\n", false},
        {"list\n", false},
        {"set slower 1\n", false},
        {"slow\n", false},
        {"\n", false},
        {"set\001slow\n", false},
    };
    struct attribute_table table = table_of_things(&things);
    for (size_t i = 0; i < array_count(cases); i++) {
        struct session session = {0};
        size_t capacity, length = strlen(cases[i].bytes);
        memcpy(session_room(&session, &capacity), cases[i].bytes, length);
        session_read(&session, length);
        assert_int_equal(session_is_slow(&session, &table), cases[i].is_slow);
        assert_memory_equal(session.input, cases[i].bytes, length); /* it is still to be answered */
    }
}

static void the_longest_line_is_taken_and_a_longer_one_ends_the_session(void **state)
{
    (void)state;
    char *line = malloc(REQUEST_BYTES_MAX + 64);
    assert_non_null(line);
    memset(line, 'x', REQUEST_BYTES_MAX + 64);
    memcpy(line, "set word ", 9);
    line[REQUEST_BYTES_MAX] = '\n';
    assert_string_equal(said_in_pieces(line, REQUEST_BYTES_MAX + 1, 64), "ok 0\n");
    assert_int_equal(strlen(things.word), REQUEST_BYTES_MAX - 9);

    line[REQUEST_BYTES_MAX] = 'x';
    line[REQUEST_BYTES_MAX + 1] = '\n';
    memcpy(line + REQUEST_BYTES_MAX + 2, "get echo x\n", 11);
    strcpy(things.word, "kept");
    assert_string_equal(said_in_pieces(line, REQUEST_BYTES_MAX + 13, 1),
                        "error E2BIG the line is too long; 4096 bytes are the most\n");
    assert_string_equal(things.word, "kept");
    free(line);
}

static void lines_come_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const char lines[] = "set word x\nget word\nget echo y\nnonsense\nget echo z\n";
    char *whole = strdup(said(lines));
    assert_non_null(whole);
    for (size_t piece = 1; piece < sizeof lines; piece++)
        assert_string_equal(said_in_pieces(lines, strlen(lines), piece), whole);
    free(whole);
}

static void the_longest_answer_is_given_whole(void **state)
{
    (void)state;
    const char *answer = said("get big\nget echo x\n");
    assert_int_equal(strncmp(answer, "ok 1048576\nsixty-four", 21), 0);
    assert_string_equal(answer + 11 + ANSWER_BYTES_MAX, "ok 1\nx");
}

static void texts_keep_to_their_limit(void **state)
{
    (void)state;
    struct text text = text_of_limit(10);
    assert_string_equal(text_string(&text), "");
    text_add(&text, "%d%s", 12345, "67890");
    assert_string_equal(text_string(&text), "1234567890");
    assert_false(text.is_broken);
    text_add(&text, "%s", "");
    assert_false(text.is_broken);
    text_add(&text, "1");
    assert_true(text.is_broken);
    assert_string_equal(text_string(&text), "1234567890");
    text_clear(&text);
    text_add_bytes(&text, "a\0b", 3);
    assert_int_equal(text.length, 3);
    text_free(&text);
    assert_string_equal(text_string(&text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_are_set_and_got),
        cmocka_unit_test(bytes_above_ascii_are_kept),
        cmocka_unit_test(what_cannot_be_done_is_refused_with_its_reason),
        cmocka_unit_test(a_zero_byte_is_no_text),
        cmocka_unit_test(a_refused_line_does_not_spoil_the_next),
        cmocka_unit_test(a_line_without_its_end_gets_no_answer),
        cmocka_unit_test(a_list_has_each_name_once_with_its_mode),
        cmocka_unit_test(slow_requests_are_told_from_others_before_they_are_answered),
        cmocka_unit_test(the_longest_line_is_taken_and_a_longer_one_ends_the_session),
        cmocka_unit_test(lines_come_in_pieces_of_any_size),
        cmocka_unit_test(the_longest_answer_is_given_whole),
        cmocka_unit_test(texts_keep_to_their_limit),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    text_free(&body);
    text_free(&out);
    return failures;
}
