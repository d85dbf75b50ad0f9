/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz-replay.c: does again what the fuzzer has found: each file of a corpus is one test.
 *
 *      fuzz-replay [FILE…]       without files: all of the folder that the target names
 *
 * Speaks TAP. A stream that fails ends the program; its name is the last that was printed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const char fuzz_corpus[]; /* below the sources' top */

static unsigned test_count, failure_count;

static void replay(const char *path)
{
    static uint8_t stream[STREAM_BYTES_MAX];
    const char *slash = strrchr(path, '/');
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        printf("not ok %u - can't open %s\n", ++test_count, path);
        failure_count++;
        return;
    }
    size_t size = fread(stream, 1, sizeof stream, file);
    fclose(file);
    printf("# %s\n", path);
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput(stream, size);
    printf("ok %u - %s\n", ++test_count, slash != NULL ? slash + 1 : path);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_folder(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_visible, alphasort);
    if (count <= 0) {
        printf("not ok %u - no streams in %s\n", ++test_count, folder);
        failure_count++;
    }
    for (int i = 0; i < count; i++) {
        char *path;
        if (asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0)
            abort();
        replay(path);
        free(path);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

int main(int argc, char **argv)
{
    const char *top = getenv("srcdir");
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (argc == 1) {
        char *folder;
        if (asprintf(&folder, "%s/%s", top != NULL ? top : ".", fuzz_corpus) < 0)
            abort();
        replay_folder(folder);
        free(folder);
    }
    printf("1..%u\n", test_count);
    return failure_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
