/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugin/control_socket.h"

#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "control/control.h"
#include "control/places.h"
#include "device/attributes.h"

#define SENTENCE_BYTES_MAX ((size_t)1000)

static struct control *the_control;

static int open_at(struct device *device, const char *path, struct text *sentence)
{
    struct control_config config = {.path = path, .table = device_attributes(device)};
    return control_open(&config, &the_control, sentence);
}

int control_socket_prepare(struct device *device, const char *path)
{
    if (path == NULL || *path == '\0')
        return 0;
    struct text sentence = text_of_limit(SENTENCE_BYTES_MAX);
    int error = open_at(device, path, &sentence);
    if (error != 0)
        nbdkit_error("control=%s: %s", path, text_string(&sentence));
    text_free(&sentence);
    return error == 0 ? 0 : -1;
}

/* A socket where nobody asked for one is a convenience: without a place for it there is none. */
static void open_at_own_place(struct device *device)
{
    char path[PATH_MAX];
    struct text sentence = text_of_limit(SENTENCE_BYTES_MAX);
    int error = place_own(path);
    if (error != 0)
        nbdkit_debug("zram: no control socket: %s", strerror(-error));
    else if (open_at(device, path, &sentence) != 0)
        nbdkit_debug("zram: no control socket at %s: %s", path, text_string(&sentence));
    text_free(&sentence);
}

int control_socket_start(struct device *device, const char *path)
{
    if (path == NULL)
        open_at_own_place(device);
    if (the_control == NULL)
        return 0;
    int error = control_start(the_control);
    if (error != 0) {
        nbdkit_error("the control thread cannot be started: %s", strerror(-error));
        return -1;
    }
    nbdkit_debug("zram: control socket %s", control_path(the_control));
    return 0;
}

void control_socket_close(void)
{
    control_close(the_control);
    the_control = NULL;
}
