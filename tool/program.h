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

#include <sys/types.h>

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

/* One that runs. */
struct program {
    const char *name;
    pid_t pid;
    int errors; /* its standard error: a file in memory */
};

/*
 * Starts argv[0] from PATH with these arguments (NULL behind the last) under the name `shown`
 * (NULL: argv[0]); its standard output is dropped. False with a sentence in `said`, of
 * PROGRAM_SAID_BYTES.
 */
bool program_start(struct program *program, const char *const argv[], const char *shown,
                   char *said) must_use;

/*
 * True if it has ended. `said` is then "" if its status is 0, or what was wrong: the first line
 * that it wrote on standard error with "error:" or "invalid option" in it, or else the last line,
 * or how it ended. Nothing is left to be freed then.
 */
bool program_has_ended(struct program *program, char *said) must_use;

/* Lets it go on on its own. What it writes on standard error from now on fails, and takes no
 * memory: it may be what memory waits for. */
void program_leave(struct program *program);

/* Starts it and waits for its end. True if its status is 0, else `said` has what was wrong. */
bool program_run(const char *const argv[], const char *shown, char *said) must_use;

#endif
