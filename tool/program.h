/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * program.h: other programs, run one after the other, and what they said when they fail.
 *
 *      program_begin ─▶ program_run … program_pause … program_run
 *                            │ SIGINT, SIGTERM, SIGHUP: the program is ended, and this one told
 *                            ▼
 *                       program_undo ─▶ program_run …     to the end, whatever comes
 *
 * A program runs in a session of its own, so that a key of the terminal reaches only this one,
 * which then undoes what is done. One thread.
 */
#ifndef UZRAM_TOOL_PROGRAM_H
#define UZRAM_TOOL_PROGRAM_H

#include "common/compiler.h"

#define PROGRAM_SAID_BYTES 512

/* From here on signals that would end this program are only noted. */
void program_begin(void);

/* From here on they are not even noted: what is being undone is undone to the end. */
void program_undo(void);

/* True if such a signal came between the two. */
bool program_was_interrupted(void);

/* Sleeps so long; less if it is interrupted. */
void program_pause(unsigned ms);

/* Whether there is an executable file of that name on PATH. */
bool program_exists(const char *name) must_use;

/*
 * Runs argv[0] from PATH with these arguments (NULL behind the last) under the name `shown` (NULL:
 * argv[0]) and waits for its end; its standard output is dropped. True if its status is 0. Else
 * `said`, of PROGRAM_SAID_BYTES, has what was wrong: the first line that it wrote on standard error
 * with "error:" or "invalid option" in it, or else the last line, or how it ended.
 */
bool program_run(const char *const argv[], const char *shown, char *said) must_use;

#endif
