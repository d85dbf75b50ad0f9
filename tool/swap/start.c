/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * start.c: uzram swap start: sees first whether all is there that is needed, then makes step
 * after step; what fails, or is interrupted, is undone with all before it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "common/units.h"
#include "tool/format.h"
#include "tool/swap/swap.h"
#include "tool/swap/steps.h"

#define SENTENCE_BYTES_MAX 4096

/* What --KEY sets has the value of the key's index here. */
static const char *const keys_of_options[] = {"priority", "device", "threads", "connections",
                                              "plugin"};

enum { OPTION_CONFIG = 300, OPTION_KEY };

/* What was said, in its order: keys come after the file's, wherever --config stands. */
struct said {
    const char *config;
    size_t count;
    struct {
        const char *key, *value;
    } * all;
};

static void add(struct said *said, const char *key, const char *value)
{
    said->all[said->count].key = key;
    said->all[said->count++].value = value;
}

static struct said read_arguments(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"priority", required_argument, NULL, OPTION_KEY},
        {"device", required_argument, NULL, OPTION_KEY + 1},
        {"threads", required_argument, NULL, OPTION_KEY + 2},
        {"connections", required_argument, NULL, OPTION_KEY + 3},
        {"plugin", required_argument, NULL, OPTION_KEY + 4},
        {"config", required_argument, NULL, OPTION_CONFIG},
        {0},
    };
    struct said said = {.all = command_allocate((size_t)argc * sizeof *said.all)};
    int option;
    while ((option = command_option(command, argc, argv, options)) != -1) {
        if (option == OPTION_CONFIG)
            said.config = optarg;
        else
            add(&said, keys_of_options[option - OPTION_KEY], optarg);
    }
    bool has_size = false;
    for (int i = optind; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL && has_size)
            command_misused(command, "%s: swap start takes one size, and KEY=VALUE", argv[i]);
        has_size |= equals == NULL;
        if (equals != NULL)
            *equals = '\0';
        add(&said, equals != NULL ? argv[i] : "size", equals != NULL ? equals + 1 : argv[i]);
    }
    return said;
}

static void make_plan(const struct command *command, const struct said *said,
                      struct swap_plan *plan)
{
    struct text wrong = text_of_limit(SENTENCE_BYTES_MAX);
    struct text warnings = text_of_limit(SENTENCE_BYTES_MAX);
    struct sysinfo system;
    if (sysinfo(&system) != 0)
        command_fail("this machine's memory is not known: %s", strerror(errno));
    swap_plan_init(plan, (uint64_t)system.totalram * system.mem_unit);
    if (said->config != NULL && !swap_plan_read(plan, said->config, &wrong))
        command_fail("%s", text_string(&wrong));
    for (size_t i = 0; i < said->count; i++)
        if (!swap_plan_set(plan, said->all[i].key, said->all[i].value, &wrong))
            command_misused(command, "%s", text_string(&wrong));
    if (plan->size_bytes == 0)
        command_misused(command, "swap start: give the size, such as 4G or 200%%");
    plan->size_bytes -= plan->size_bytes % BLOCK_SIZE_BYTES;
    if (!swap_plan_check(plan, &wrong, &warnings))
        command_fail("%s", text_string(&wrong));
    char *rest = warnings.bytes;
    for (char *line; rest != NULL && (line = strsep(&rest, "\n")) != NULL;)
        if (*line != '\0')
            command_warn("%s", line);
    text_free(&wrong);
    text_free(&warnings);
}

static void need_programs(void)
{
    static const struct {
        const char *name, *package;
    } needed[] = {
        {"nbdkit", "nbdkit"},     {"nbd-client", "nbd-client"}, {"mkswap", "util-linux"},
        {"swapon", "util-linux"}, {"swapoff", "util-linux"},
    };
    for (size_t i = 0; i < array_count(needed); i++)
        if (!program_exists(needed[i].name))
            command_fail("%s is not on PATH; install it (package %s)", needed[i].name,
                         needed[i].package);
}

static void need_module(void)
{
    static const char *const arguments[] = {"modprobe", "nbd", NULL};
    char said[PROGRAM_SAID_BYTES];
    if (nbd_is_there(NBD_BLOCKS))
        return;
    if (!program_run(arguments, NULL, said))
        command_fail("the kernel has no nbd devices, and its module cannot be loaded: %s", said);
    if (!nbd_is_there(NBD_BLOCKS))
        command_fail("the kernel has no nbd devices, although modprobe nbd found its module");
}

/* A device may look free whose server, or swap, of an earlier start is still there. */
static bool may_take(void *context, const char *name)
{
    struct swap_state state;
    (void)context;
    if (swap_state_read(&state, SWAP_FOLDER, name) == 0 &&
        process_has_argument(state.server, state.socket))
        return false;
    return !swap_is_used(PROC_SWAPS, state.device, NULL);
}

static void choose_device(const struct swap_plan *plan, struct swap_state *state)
{
    char name[NBD_NAME_BYTES] = "";
    if (plan->device == NULL) {
        if (!nbd_find_free(NBD_BLOCKS, may_take, NULL, name))
            command_fail("all nbd devices are in use; load the module with a greater nbds_max");
    } else if (!nbd_name(plan->device, name) || !nbd_is_free(NBD_BLOCKS, name) ||
               !may_take(NULL, name)) {
        command_fail("%s: it is not there, or in use; leave --device out for one that is free",
                     plan->device);
    }
    swap_state_name(state, SWAP_FOLDER, name);
}

/* Makes all steps, or undoes what it made and ends the program. */
static void make(struct swap_setup *setup)
{
    char why[PROGRAM_SAID_BYTES];
    for (int i = 0; i < SWAP_STEP_COUNT; i++) {
        bool is_made = swap_steps[i].make(setup);
        if (is_made && !program_was_interrupted())
            continue;
        snprintf(why, sizeof why, "%s", is_made ? "interrupted" : setup->said);
        program_undo();
        int left = swap_undo(setup, i + 1);
        if (left < 0)
            command_fail("swap start failed at %s, and all was undone: %s", swap_steps[i].name,
                         why);
        command_fail("swap start failed at %s (%s), and undoing %s failed, too: %s; "
                     "uzram swap stop tries again",
                     swap_steps[i].name, why, swap_steps[left].name, setup->said);
    }
}

int swap_start(const struct command *command, int argc, char **argv)
{
    struct said said = read_arguments(command, argc, argv);
    struct swap_plan plan;
    struct swap_setup setup = {.plan = &plan};
    char size[FORMAT_BYTES_MAX];
    make_plan(command, &said, &plan);
    swap_need_root();
    need_programs();
    program_begin();
    need_module();
    swap_lock(true);
    choose_device(&plan, &setup.state);
    make(&setup);
    printf("%s: %s of swap, priority %d, from process %d; uzram swap check looks whether it is "
           "safe\n",
           setup.state.device, format_bytes(size, plan.size_bytes), plan.priority,
           (int)setup.state.server);
    swap_plan_free(&plan);
    free(said.all);
    return command_done();
}
