/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * terminal.h: a terminal taken over for pictures that change, and given back as it was: at the end,
 * on a signal that ends the program, and while it is stopped.
 */
#ifndef UZRAM_TOOL_TERMINAL_H
#define UZRAM_TOOL_TERMINAL_H

#include "control/text.h"

enum terminal_event {
    TERMINAL_TIME,   /* the time is over */
    TERMINAL_KEY,    /* a key was pressed */
    TERMINAL_RESIZE, /* the size is another, or the terminal is back: draw */
    TERMINAL_END,    /* a signal asks to end, or the terminal is gone */
};

/* Takes standard input and output over: another screen, no echo, no cursor. False: no terminal. */
bool terminal_open(void);

/* Gives it back; does nothing if it was not taken. */
void terminal_close(void);

/* Columns and lines now; those of the variable COLUMNS, or 80 by 24, where there is no terminal. */
void terminal_size(unsigned *columns, unsigned *lines);

/* Shows lines, cut to the size; what was there before goes. */
void terminal_draw(const struct text *frame);

/* Waits at most so long. *key is set for TERMINAL_KEY. */
enum terminal_event terminal_wait(unsigned ms, char *key);

#endif
