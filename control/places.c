/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/places.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/listener.h"

#define FOLDER_OF_ROOT "/run/uzram"

/* The folder below the user's runtime directory; false if there is no such directory. */
static bool folder_of_user(char *path)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime == NULL || runtime[0] != '/')
        return false;
    return (size_t)snprintf(path, PATH_MAX, "%s/uzram", runtime) < PATH_MAX;
}

bool place_folder(unsigned index, char *path)
{
    if (folder_of_user(path) && index-- == 0)
        return true;
    strcpy(path, FOLDER_OF_ROOT);
    return index == 0;
}

/* Removes sockets whose servers have ended without doing so: nobody else would ever name them. */
static void tidy(const char *folder)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    if (entries == NULL)
        return;
    while ((entry = readdir(entries)) != NULL) {
        char *path;
        size_t length = strlen(entry->d_name), suffix = strlen(PLACE_SUFFIX);
        if (length <= suffix || strcmp(entry->d_name + length - suffix, PLACE_SUFFIX) != 0 ||
            asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
            continue;
        listener_remove_stale(path);
        free(path);
    }
    closedir(entries);
}

int place_own(char *path)
{
    char folder[PATH_MAX];
    struct stat status;
    if (!folder_of_user(folder)) {
        if (geteuid() != 0)
            return -ENOENT;
        strcpy(folder, FOLDER_OF_ROOT);
    }
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return -errno;
    /* In a folder of somebody else's, that one could put another socket in its place. */
    if (lstat(folder, &status) < 0)
        return -errno;
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid())
        return -ENOTDIR;
    tidy(folder);
    if ((size_t)snprintf(path, PATH_MAX, "%s/%d" PLACE_SUFFIX, folder, (int)getpid()) >= PATH_MAX)
        return -ENAMETOOLONG;
    return 0;
}
