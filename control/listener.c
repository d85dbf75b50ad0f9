/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections that wait to be accepted: as many as the server talks to at once. */
#define BACKLOG 64

/* How often the lock file may be removed under our hands before we give up. */
#define LOCK_TRIES 100

static int refuse(struct text *sentence, int error, const char *what)
{
    text_add(sentence, "%s: %s", what, strerror(-error));
    return error;
}

/* Whether the file that was opened is still the one of that name. */
static bool is_still_named(int file, const char *path)
{
    struct stat opened, named;
    return fstat(file, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Takes the lock that whoever serves at the path holds. */
static int take_lock(struct listener *listener, struct text *sentence)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        int file = open(listener->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file < 0)
            return refuse(sentence, -errno, "its lock file can't be made beside it");
        if (flock(file, LOCK_EX | LOCK_NB) < 0) {
            int error = -errno;
            close(file);
            if (error != -EWOULDBLOCK)
                return refuse(sentence, error, "its lock file can't be locked");
            text_add(sentence, "a server is there already; give another path");
            return -EADDRINUSE;
        }
        if (is_still_named(file, listener->lock_path)) {
            listener->lock = file;
            return 0;
        }
        close(file); /* the one who had it has just removed it */
    }
    return refuse(sentence, -EAGAIN, "its lock file comes and goes");
}

/* Removes a socket that nobody answers at. The lock is held. */
static int remove_stale(const struct sockaddr_un *address, struct text *sentence)
{
    struct stat status;
    if (lstat(address->sun_path, &status) < 0)
        return errno == ENOENT ? 0 : refuse(sentence, -errno, "it can't be looked at");
    if (!S_ISSOCK(status.st_mode)) {
        text_add(sentence, "it is there and no socket; give the path of none yet");
        return -EEXIST;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return refuse(sentence, -errno, "no socket can be made");
    int error = connect(probe, (const struct sockaddr *)address, sizeof *address) < 0 ? errno : 0;
    close(probe);
    if (error != ECONNREFUSED) {
        text_add(sentence, "another program answers there; give another path");
        return -EADDRINUSE;
    }
    if (unlink(address->sun_path) < 0)
        return refuse(sentence, -errno, "the socket of a server that ended can't be removed");
    return 0;
}

static int listen_at(struct listener *listener, const struct sockaddr_un *address,
                     struct text *sentence)
{
    listener->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The mode that the socket has before bind is the one that its file gets. */
    if (listener->socket < 0 || fchmod(listener->socket, 0600) < 0 ||
        bind(listener->socket, (const struct sockaddr *)address, sizeof *address) < 0 ||
        listen(listener->socket, BACKLOG) < 0)
        return refuse(sentence, -errno, "no socket can be made there");
    return 0;
}

/* Sets the address and the listener's paths. Returns 0, -ENAMETOOLONG or -ENOMEM. */
static int name_it(struct listener *listener, const char *path, struct sockaddr_un *address,
                   struct text *sentence)
{
    *listener = (struct listener){.socket = -1, .lock = -1};
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        text_add(sentence, "too long; the path of a socket has at most %zu bytes",
                 sizeof address->sun_path - 1);
        return -ENAMETOOLONG;
    }
    strcpy(address->sun_path, path);
    listener->path = strdup(path);
    if (listener->path != NULL && asprintf(&listener->lock_path, "%s.lock", path) >= 0)
        return 0;
    listener->lock_path = NULL;
    listener_close(listener);
    return refuse(sentence, -ENOMEM, "it can't be kept");
}

void listener_remove_stale(const char *path)
{
    struct listener listener;
    struct sockaddr_un address;
    struct text sentence = text_of_limit(1000);
    if (name_it(&listener, path, &address, &sentence) == 0) {
        if (take_lock(&listener, &sentence) == 0)
            (void)remove_stale(&address, &sentence);
        listener_close(&listener);
    }
    text_free(&sentence);
}

int listener_open(struct listener *listener, const char *path, struct text *sentence)
{
    struct sockaddr_un address;
    int error = name_it(listener, path, &address, sentence);
    if (error != 0)
        return error;
    error = take_lock(listener, sentence);
    if (error == 0)
        error = remove_stale(&address, sentence);
    if (error == 0)
        error = listen_at(listener, &address, sentence);
    if (error != 0)
        listener_close(listener);
    return error;
}

void listener_close(struct listener *listener)
{
    if (listener->socket >= 0) {
        close(listener->socket);
        unlink(listener->path);
    }
    if (listener->lock >= 0) {
        unlink(listener->lock_path);
        close(listener->lock);
    }
    free(listener->path);
    free(listener->lock_path);
    *listener = (struct listener){.socket = -1, .lock = -1};
}
