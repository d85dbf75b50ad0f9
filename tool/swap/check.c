/* SPDX-License-Identifier: BSD-3-Clause */
/* check.c: uzram swap check: proves that swap here can't hang, or says what is wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/sysinfo.h>

#include "common/parse.h"
#include "tool/servers.h"
#include "tool/swap/swap.h"
#include "tool/swap/facts.h"
#include "tool/swap/state.h"

#define LINES_BYTES_MAX 16384

/* Of syslog(2). */
#define LOG_READ_ALL   3
#define LOG_SIZE       10
#define SWAPS_LINE_MAX 256

struct target {
    pid_t server;
    const char *device;
};

static struct target read_arguments(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"pid", required_argument, NULL, 'p'},
        {"device", required_argument, NULL, 'd'},
        {0},
    };
    struct target target = {0};
    char name[NBD_NAME_BYTES];
    int option, number;
    while ((option = command_option(command, argc, argv, options)) != -1) {
        if (option == 'd') {
            if (!nbd_name(optarg, name))
                command_misused(command,
                                "--device %s: not an nbd device; give one such as "
                                "/dev/nbd0",
                                optarg);
            target.device = optarg;
            continue;
        }
        if (parse_integer(optarg, 2, INT_MAX, &number) != 0)
            command_misused(command, "--pid %s: not the number of a process", optarg);
        target.server = number;
    }
    if (optind < argc)
        command_misused(command, "%s: swap check takes no argument", argv[optind]);
    if (target.server != 0 && target.device != NULL)
        command_misused(command, "give --pid or --device, not both");
    return target;
}

/* Of several devices the first that is swapped on, for a server that was started by hand. */
static void find_device(struct swap_facts *facts)
{
    char line[SWAPS_LINE_MAX], device[SWAPS_LINE_MAX], name[NBD_NAME_BYTES];
    FILE *file = fopen("/proc/swaps", "re");
    if (file == NULL)
        return;
    while (facts->device[0] == '\0' && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "%255s", device) == 1 && nbd_name(device, name))
            snprintf(facts->device, sizeof facts->device, "/dev/%s", name);
    fclose(file);
}

static enum swap_knowledge kernel_says(const char *device)
{
    int size = klogctl(LOG_SIZE, NULL, 0);
    if (size <= 0)
        return SWAP_UNKNOWN;
    char *log = command_allocate((size_t)size + 1);
    int length = klogctl(LOG_READ_ALL, log, size);
    log[length > 0 ? length : 0] = '\0';
    enum swap_knowledge known = swap_log_discards(log, device);
    free(log);
    return known;
}

/* From the socket that --control names, or the one of the state, or the process's own. */
static void ask_statistics(struct swap_facts *facts, const char *control)
{
    char path[SWAP_PATH_BYTES];
    struct server server = {0};
    if (tool_control != NULL)
        control = tool_control;
    if (control == NULL) {
        snprintf(path, sizeof path, SWAP_FOLDER "/%d.sock", (int)facts->server);
        control = path;
    }
    if (control_client_open(&server.client, control) != 0)
        return;
    server.path = command_copy(control);
    facts->has_statistics = server_statistics(&server, &facts->statistics) == 0;
    control_client_close(&server.client);
    free(server.path);
}

/* Looks at all, prints what it thinks; true if nothing is bad. */
static bool check(struct swap_facts *facts, const char *control)
{
    struct text lines = text_of_limit(LINES_BYTES_MAX);
    struct sysinfo system;
    if (sysinfo(&system) == 0)
        facts->ram_bytes = (uint64_t)system.totalram * system.mem_unit;
    /* Asked first: what asking costs the server should be seen, too. */
    ask_statistics(facts, control);
    facts->server_error = safety_inspect(facts->server, &facts->report);
    if (facts->server_error == 0 && facts->report.mapped_bytes == 0)
        facts->server_error = -ESRCH; /* it has ended, and its number is yet to be freed */
    swap_look_at_server(facts, "/proc", "/sys");
    swap_look_at_device(facts, "/proc", "/sys");
    facts->client_lives = facts->client != 0 &&
                          safety_inspect(facts->client, &facts->client_report) == 0 &&
                          facts->client_report.mapped_bytes != 0;
    swap_look_at_system(facts, "/proc");
    if (facts->device[0] != '\0')
        facts->discards = kernel_says(facts->device);
    unsigned bad = swap_judge(facts, &lines);
    fputs(text_string(&lines), stdout);
    text_free(&lines);
    return bad == 0;
}

int swap_check(const struct command *command, int argc, char **argv)
{
    struct target target = read_arguments(command, argc, argv);
    struct swap_state *states;
    bool is_good = true, is_found = false;
    swap_need_root();
    size_t count = swap_state_list(SWAP_FOLDER, &states);
    for (size_t i = 0; i < count; i++) {
        struct swap_facts facts = {.server = states[i].server};
        if ((target.server != 0 && target.server != states[i].server) ||
            (target.device != NULL && strcmp(target.device, states[i].device) != 0))
            continue;
        is_found = true;
        snprintf(facts.device, sizeof facts.device, "/dev/%s", states[i].name);
        is_good = check(&facts, states[i].control) && is_good;
    }
    free(states);
    if (!is_found && target.server != 0) {
        struct swap_facts facts = {.server = target.server};
        find_device(&facts);
        is_good = check(&facts, NULL);
    } else if (!is_found) {
        command_fail("%s: nothing to check: uzram swap start has set up nothing; --pid PID checks "
                     "another server",
                     target.device != NULL ? target.device : "swap");
    }
    (void)command_done();
    return is_good ? STATUS_OK : STATUS_REFUSED;
}
