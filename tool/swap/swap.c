/* SPDX-License-Identifier: BSD-3-Clause */
/* swap.c: uzram swap: which of its commands is meant, and who may. */
#include "tool/swap/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/swap/state.h"

static int run(const struct command *command, int argc, char **argv);

const struct command command_swap = {
    .name = "swap",
    .arguments = "start SIZE [OPTION...] [KEY=VALUE...] | stop [--device DEVICE] | "
                 "check [--device DEVICE | --pid PID]",
    .help = "this machine's swap on a compressed disk: sets it up, ends it, proves it safe",
    .run = run,
};

static const struct {
    const char *name;
    int (*run)(const struct command *command, int argc, char **argv);
} parts[] = {{"start", swap_start}, {"stop", swap_stop}, {"check", swap_check}};

static int run(const struct command *command, int argc, char **argv)
{
    if (argc > 1)
        for (size_t i = 0; i < array_count(parts); i++)
            if (strcmp(argv[1], parts[i].name) == 0)
                return parts[i].run(command, argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        (void)command_option(command, argc, argv, NULL);
    command_misused(command, "swap: say what to do: start, stop or check");
}

/* What this process may do, as bits of linux/capability.h. */
static uint64_t capabilities(void)
{
    char line[256];
    uint64_t bits = 0;
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "CapEff: %" SCNx64, &bits);
    fclose(file);
    return bits;
}

void swap_need_root(void)
{
    if ((capabilities() >> CAP_SYS_ADMIN & 1) == 0)
        command_fail("swap is the whole machine's: run this as root (CAP_SYS_ADMIN is missing)");
}

bool swap_lock(bool makes)
{
    struct stat status;
    if (makes && mkdir(SWAP_FOLDER, 0700) < 0 && errno != EEXIST)
        command_fail(SWAP_FOLDER ": it cannot be made: %s", strerror(errno));
    if (lstat(SWAP_FOLDER, &status) < 0) {
        if (!makes && errno == ENOENT)
            return false;
        command_fail(SWAP_FOLDER ": %s", strerror(errno));
    }
    /* What lies in a folder of somebody else's could be anything. */
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022) != 0)
        command_fail(SWAP_FOLDER ": it has to be a folder that only this user can write to");
    int file = open(SWAP_FOLDER "/swap.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || flock(file, LOCK_EX) < 0)
        command_fail(SWAP_FOLDER "/swap.lock: %s", strerror(errno));
    return true; /* the file stays open, and with it the lock */
}
