/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * train.c: uzram train: makes a dictionary for what a disk holds now, says what it would save, and
 * writes it to a file for algorithm_params' dict=. Nothing of the disk changes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/session.h"
#include "tool/command.h"
#include "tool/servers.h"

/* What the server says: figures by name, then the dictionary in hexadecimal. */
struct training {
    uint64_t samples, stored, without, with, bytes;
    const char *digits;
};

static struct training training_of(const char *answer)
{
    struct training training = {0};
    int length = 0;
    if (sscanf(answer,
               "samples %" SCNu64 " stored_bytes %" SCNu64 " without_bytes %" SCNu64
               " with_bytes %" SCNu64 " dictionary_bytes %" SCNu64 "\n%n",
               &training.samples, &training.stored, &training.without, &training.with,
               &training.bytes, &length) != 5 ||
        strlen(answer + length) < 2 * training.bytes)
        command_fail("the server's answer can't be understood");
    training.digits = answer + length;
    return training;
}

static void write_dictionary(const struct training *training, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        command_fail("%s: %s", path, strerror(errno));
    for (uint64_t i = 0; i < training->bytes; i++) {
        unsigned byte = 0;
        if (sscanf(training->digits + 2 * i, "%2x", &byte) != 1)
            command_fail("the server's answer can't be understood");
        fputc((int)byte, file);
    }
    int failed = ferror(file);
    if (fclose(file) != 0 || failed != 0)
        command_fail("%s: %s", path, strerror(errno));
}

static double percent_less(uint64_t than, uint64_t now)
{
    return than == 0 ? 0 : 100 - 100 * (double)now / (double)than;
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"algo", required_argument, NULL, 'a'},
        {"level", required_argument, NULL, 'l'},
        {"size", required_argument, NULL, 's'},
        {"output", required_argument, NULL, 'o'},
        {0},
    };
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    struct text request = text_of_limit(REQUEST_BYTES_MAX);
    const char *output = NULL;
    int option;
    text_add(&request, "get train");
    while ((option = command_option(command, argc, argv, options)) != -1) {
        if (option == 'o')
            output = optarg;
        else
            text_add(&request, " %s=%s",
                     option == 'a'   ? "algo"
                     : option == 'l' ? "level"
                                     : "size",
                     optarg);
    }
    if (optind != argc)
        command_misused(command, "%s: not an option", argv[optind]);
    struct servers servers = servers_find_one();
    server_must_answer(&servers.server[0], text_string(&request), &answer);
    struct training training = training_of(text_string(&answer));
    printf("%" PRIu64 " blocks, other ones than it was trained with, take\n", training.samples);
    printf("%12" PRIu64 " bytes as they are stored\n", training.stored);
    printf("%12" PRIu64 " bytes without the dictionary, %.1f %% less\n", training.without,
           percent_less(training.stored, training.without));
    printf("%12" PRIu64 " bytes with it, %.1f %% less\n", training.with,
           percent_less(training.stored, training.with));
    if (output != NULL) {
        write_dictionary(&training, output);
        printf("%s: a dictionary of %" PRIu64 " bytes\n", output, training.bytes);
    }
    text_free(&answer);
    text_free(&request);
    servers_free(&servers);
    return command_done();
}

const struct command command_train = {
    .name = "train",
    .arguments = "[--algo NAME] [--level NUMBER] [--size BYTES] [--output FILE]",
    .help = "a dictionary for what is stored, and what it would save",
    .run = run,
};
