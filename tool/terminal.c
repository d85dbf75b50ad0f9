/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/clock.h"

#define ENTER  "\033[?1049h\033[?25l\033[H\033[2J" /* another screen, no cursor, empty */
#define LEAVE  "\033[?25h\033[?1049l"
#define HOME   "\033[H"
#define REST   "\033[K" /* empties the rest of the line */
#define BEHIND "\033[J" /* empties all behind */

static struct termios before;
static bool is_open;
static volatile sig_atomic_t must_end, must_stop, must_draw;

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static void note_signal(int number)
{
    if (number == SIGTSTP)
        must_stop = 1;
    else if (number == SIGWINCH || number == SIGCONT)
        must_draw = 1;
    else
        must_end = 1;
}

/* All of it, or nothing: a terminal that is gone is noticed by terminal_wait. */
static void put(const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, count);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (written > 0) {
            bytes += written;
            count -= (size_t)written;
        }
    }
}

static void enter(void)
{
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    put(ENTER, strlen(ENTER));
}

static void leave(void)
{
    put(LEAVE, strlen(LEAVE));
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

bool terminal_open(void)
{
    /* Without SA_RESTART, so that a signal ends a wait. */
    struct sigaction action = {.sa_handler = note_signal};
    if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0)
        return false;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < array_count(ending_signals); i++)
        sigaction(ending_signals[i], &action, NULL);
    sigaction(SIGTSTP, &action, NULL);
    sigaction(SIGCONT, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    is_open = true;
    atexit(terminal_close);
    enter();
    return true;
}

void terminal_close(void)
{
    if (is_open)
        leave();
    is_open = false;
}

void terminal_size(unsigned *columns, unsigned *lines)
{
    struct winsize size;
    const char *given = getenv("COLUMNS");
    *columns = given != NULL && atoi(given) > 0 ? (unsigned)atoi(given) : 80;
    *lines = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *columns = size.ws_col;
        *lines = size.ws_row;
    }
}

/* Bytes of the line's first `columns` characters. */
static size_t cut(const char *line, size_t length, unsigned columns)
{
    size_t at = 0;
    for (unsigned count = 0; at < length; at++) {
        bool begins = ((unsigned char)line[at] & 0xc0) != 0x80;
        if (begins && count++ == columns)
            break;
    }
    return at;
}

void terminal_draw(const struct text *frame)
{
    unsigned columns, lines;
    struct text out = text_of_limit(frame->length + 65536);
    const char *line = text_string(frame);
    terminal_size(&columns, &lines);
    text_add(&out, HOME);
    for (unsigned i = 0; i < lines && *line != '\0'; i++) {
        size_t length = strcspn(line, "\n");
        if (i > 0)
            text_add(&out, "\r\n");
        text_add_bytes(&out, line, cut(line, length, columns));
        text_add(&out, REST);
        line += length + (line[length] == '\n');
    }
    text_add(&out, BEHIND);
    put(text_string(&out), out.length);
    text_free(&out);
}

/* Stops as Ctrl-Z would, with the terminal as it was, until the shell has it go on. */
static void stop(void)
{
    must_stop = 0;
    leave();
    raise(SIGSTOP);
    enter();
    must_draw = 1;
}

enum terminal_event terminal_wait(unsigned ms, char *key)
{
    uint64_t until_us = clock_now_us() + ms * UINT64_C(1000);
    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (must_stop)
            stop();
        if (must_end)
            return TERMINAL_END;
        if (must_draw) {
            must_draw = 0;
            return TERMINAL_RESIZE;
        }
        uint64_t now_us = clock_now_us();
        if (now_us >= until_us)
            return TERMINAL_TIME;
        if (poll(&input, 1, (int)((until_us - now_us) / 1000 + 1)) > 0)
            return read(STDIN_FILENO, key, 1) == 1 ? TERMINAL_KEY : TERMINAL_END;
    }
}
