/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tool/command.h"

/* What is read of a program's standard error, from its end. */
#define TAIL_BYTES 8192

static sigset_t ending, waited, before;
static bool is_interrupted, is_undoing;

void program_begin(void)
{
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    waited = ending;
    sigaddset(&waited, SIGCHLD);
    sigprocmask(SIG_BLOCK, &waited, &before);
}

void program_undo(void)
{
    (void)program_was_interrupted();
    is_undoing = true;
    is_interrupted = false;
}

/* Takes what sigtimedwait returned. */
static void note(int number)
{
    if (number > 0 && number != SIGCHLD && !is_undoing)
        is_interrupted = true;
}

bool program_was_interrupted(void)
{
    static const struct timespec now = {0};
    int number;
    while ((number = sigtimedwait(&ending, NULL, &now)) > 0)
        note(number);
    return is_interrupted;
}

void program_pause(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    note(sigtimedwait(&ending, NULL, &time));
}

bool program_exists(const char *name)
{
    const char *path = getenv("PATH");
    char *folders = command_copy(path != NULL ? path : "");
    char *rest = NULL;
    bool found = false;
    for (char *folder = strtok_r(folders, ":", &rest); folder != NULL && !found;
         folder = strtok_r(NULL, ":", &rest)) {
        char *file;
        if (asprintf(&file, "%s/%s", folder, name) < 0)
            command_fail("no memory");
        found = access(file, X_OK) == 0;
        free(file);
    }
    free(folders);
    return found;
}

/* In the child. */
static void become(const char *const argv[], const char *shown, int said)
{
    int nothing = open("/dev/null", O_RDWR);
    setsid();
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    dup2(said, STDERR_FILENO);
    sigprocmask(SIG_SETMASK, &before, NULL);

    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    char **copy = command_allocate((count + 1) * sizeof *copy);
    for (size_t i = 0; i <= count; i++)
        copy[i] = argv[i] != NULL ? command_copy(argv[i]) : NULL;
    if (shown != NULL)
        copy[0] = command_copy(shown);
    execvp(argv[0], copy);
    dprintf(STDERR_FILENO, "%s\n", strerror(errno));
    _exit(127);
}

/* The line of `text` that says most about what went wrong; "" if there is none. */
static const char *telling_line(char *text)
{
    const char *last = "", *first_error = NULL;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        last = line;
        if (first_error == NULL &&
            (strstr(line, "error:") != NULL || strstr(line, "invalid option") != NULL))
            first_error = line;
    }
    last = first_error != NULL ? first_error : last;
    return *last == '@' ? last + 1 : last; /* how it was shown is nothing that matters here */
}

static void tell(const char *name, int file, int status, char *said)
{
    char text[TAIL_BYTES + 1];
    off_t end = lseek(file, 0, SEEK_END);
    ssize_t length = pread(file, text, TAIL_BYTES, end > TAIL_BYTES ? end - TAIL_BYTES : 0);
    text[length > 0 ? length : 0] = '\0';
    const char *line = telling_line(text);
    if (is_interrupted)
        snprintf(said, PROGRAM_SAID_BYTES, "interrupted");
    else if (*line != '\0' && strncmp(line, name, strlen(name)) == 0)
        snprintf(said, PROGRAM_SAID_BYTES, "%s", line);
    else if (*line != '\0')
        snprintf(said, PROGRAM_SAID_BYTES, "%s: %s", name, line);
    else if (WIFSIGNALED(status))
        snprintf(said, PROGRAM_SAID_BYTES, "%s was ended by signal %d", name, WTERMSIG(status));
    else
        snprintf(said, PROGRAM_SAID_BYTES, "%s ended with status %d, and said nothing", name,
                 WEXITSTATUS(status));
}

bool program_start(struct program *program, const char *const argv[], const char *shown, char *said)
{
    *said = '\0';
    *program = (struct program){.name = argv[0], .pid = -1};
    program->errors = memfd_create(argv[0], MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (program->errors >= 0)
        program->pid = fork();
    if (program->pid == 0)
        become(argv, shown, program->errors);
    if (program->pid > 0)
        return true;
    snprintf(said, PROGRAM_SAID_BYTES, "%s: %s", argv[0], strerror(errno));
    if (program->errors >= 0)
        close(program->errors);
    return false;
}

bool program_has_ended(struct program *program, char *said)
{
    int status;
    if (waitpid(program->pid, &status, WNOHANG) == 0)
        return false;
    *said = '\0';
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        tell(program->name, program->errors, status, said);
    close(program->errors);
    return true;
}

void program_leave(struct program *program)
{
    (void)fcntl(program->errors, F_ADD_SEALS, F_SEAL_WRITE);
    close(program->errors);
}

bool program_run(const char *const argv[], const char *shown, char *said)
{
    struct program program;
    if (!program_start(&program, argv, shown, said))
        return false;
    while (!program_has_ended(&program, said)) {
        note(sigwaitinfo(&waited, NULL));
        if (is_interrupted)
            kill(program.pid, SIGTERM);
    }
    return *said == '\0';
}
