/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"
#include "control/errand.h"
#include "control/listener.h"
#include "control/session.h"

#define IDLE_MS  60000
#define STUCK_MS 10000

/* A client that has been silent for less does not make room for another. */
#define SILENT_LEAST_MS 200

/* How many are accepted, and requests of one client answered, before others have their turn. */
#define ACCEPTS_A_TURN  8
#define REQUESTS_A_TURN 16

/* When no connection can be accepted (no descriptors left), how long until the next try. */
#define ACCEPT_PAUSE_MS 100

struct client {
    int socket;
    uint64_t heard_us; /* when it last sent or took something */
    struct session session;
    struct text out;
    size_t sent;        /* bytes of `out` */
    bool may_have_more; /* its turn ended before its requests did */
    bool is_away;       /* its session and `out` are with the errand's thread */
    bool waits;         /* its next line is slow, and another such is being answered */
};

struct control {
    struct attribute_table table;
    uint64_t idle_us, stuck_us;
    struct listener listener;
    int wake; /* an eventfd: an errand is done, or the thread is to end */
    _Atomic bool is_ending;
    pthread_t thread;
    struct errand *errand;
    bool is_running;

    /* The thread's own. */
    struct client *clients[CONTROL_CLIENTS_MAX];
    unsigned client_count;
    struct text body;
    uint64_t accept_again_us;
};

int control_open(const struct control_config *config, struct control **result,
                 struct text *sentence)
{
    *result = NULL;
    struct control *control = memory_zalloc(sizeof *control);
    if (control == NULL) {
        text_add(sentence, "no memory");
        return -ENOMEM;
    }
    control->table = config->table;
    control->idle_us = (config->idle_ms != 0 ? config->idle_ms : IDLE_MS) * UINT64_C(1000);
    control->stuck_us = (config->stuck_ms != 0 ? config->stuck_ms : STUCK_MS) * UINT64_C(1000);
    control->body = text_of_limit(ANSWER_BYTES_MAX);
    control->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = control->wake < 0 ? -errno : 0;
    if (error != 0) {
        text_add(sentence, "no descriptors are left");
        memory_free(control);
        return error;
    }
    error = listener_open(&control->listener, config->path, sentence);
    if (error != 0) {
        close(control->wake);
        memory_free(control);
        return error;
    }
    *result = control;
    return 0;
}

const char *control_path(const struct control *control)
{
    return control->listener.path;
}

/* Whether there is something to send. While it is away, its answer is the errand thread's alone. */
static bool has_answer(const struct client *client)
{
    return !client->is_away && client->sent < client->out.length;
}

static void leave(struct control *control, unsigned index)
{
    struct client *client = control->clients[index];
    close(client->socket);
    text_free(&client->out);
    memory_free(client);
    control->clients[index] = control->clients[--control->client_count];
}

/* Sends what it takes of the answer. False: the client is gone. */
static bool send_answer(struct client *client)
{
    while (has_answer(client)) {
        ssize_t count = send(client->socket, client->out.bytes + client->sent,
                             client->out.length - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return errno == EAGAIN;
        client->sent += (size_t)count;
        client->heard_us = clock_now_us();
    }
    text_free(&client->out);
    client->sent = 0;
    return true;
}

/* Reads what the client has sent, as far as a line goes. False: it is gone. */
static bool receive(struct client *client, bool *got_some)
{
    size_t capacity;
    char *room = session_room(&client->session, &capacity);
    ssize_t count = recv(client->socket, room, capacity, MSG_DONTWAIT);
    *got_some = count > 0;
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    if (count > 0) {
        session_read(&client->session, (size_t)count);
        client->heard_us = clock_now_us();
    }
    return true;
}

/* Gives a client its turn. False: it is gone, or is to go. */
static bool serve(struct control *control, struct client *client)
{
    client->may_have_more = false;
    for (unsigned i = 0; i < REQUESTS_A_TURN; i++) {
        if (!send_answer(client))
            return false;
        if (has_answer(client))
            return true;
        if (client->session.is_over)
            return false;
        if (session_is_slow(&client->session, &control->table)) {
            client->is_away = errand_begin(control->errand, &client->session, &client->out);
            client->waits = !client->is_away;
            return true;
        }
        if (session_answer(&client->session, &control->table, &control->body, &client->out)) {
            if (client->out.is_broken)
                return false; /* no memory even for an error: who waits for it must not wait on */
            continue;
        }
        bool got_some;
        if (!receive(client, &got_some))
            return false;
        if (!got_some)
            return true;
    }
    client->may_have_more = true;
    return true;
}

/* Takes back the client whose slow request is answered, and gives the others who wait their turn.
 */
static void end_errand(struct control *control)
{
    const struct session *session = errand_end(control->errand);
    if (session == NULL)
        return;
    for (unsigned i = 0; i < control->client_count; i++) {
        struct client *client = control->clients[i];
        if (&client->session == session) {
            client->is_away = false;
            client->heard_us = clock_now_us();
            client->may_have_more = true;
            client->session.is_over |= client->out.is_broken;
        } else if (client->waits) {
            client->waits = false;
            client->heard_us = clock_now_us();
            client->may_have_more = true;
        }
    }
}

/* Whether nobody but the server can go on with this client. */
static bool is_served(const struct client *client)
{
    return client->is_away || client->waits;
}

/* Tells a connection that it is refused, if it can be told at once, and ends it. */
static void turn_away(int socket, int error, const char *sentence)
{
    struct text out = text_of_limit(FRAME_BYTES_MAX);
    session_add_error(&out, error, sentence);
    (void)send(socket, text_string(&out), out.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    text_free(&out);
    close(socket);
}

static bool is_allowed(int socket)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

/* Makes room for one more, if there is none: the one that has been silent the longest goes. */
static bool make_room(struct control *control)
{
    if (control->client_count < CONTROL_CLIENTS_MAX)
        return true;
    unsigned oldest = CONTROL_CLIENTS_MAX;
    uint64_t heard_us = clock_now_us() - SILENT_LEAST_MS * UINT64_C(1000);
    for (unsigned i = 0; i < control->client_count; i++)
        if (control->clients[i]->heard_us < heard_us && !is_served(control->clients[i])) {
            oldest = i;
            heard_us = control->clients[i]->heard_us;
        }
    if (oldest == CONTROL_CLIENTS_MAX)
        return false;
    leave(control, oldest);
    return true;
}

static void take_in(struct control *control, int socket)
{
    if (!is_allowed(socket)) {
        turn_away(socket, -EPERM, "only the server's own user and root may control it");
        return;
    }
    if (!make_room(control)) {
        turn_away(socket, -EBUSY, "too many clients; try again");
        return;
    }
    struct client *client = memory_zalloc(sizeof *client);
    if (client == NULL) {
        turn_away(socket, -ENOMEM, "no memory for another client");
        return;
    }
    client->socket = socket;
    client->heard_us = clock_now_us();
    client->out = text_of_limit(ANSWER_BYTES_MAX + FRAME_BYTES_MAX);
    control->clients[control->client_count++] = client;
}

static void accept_some(struct control *control)
{
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        int socket = accept4(control->listener.socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket >= 0) {
            take_in(control, socket);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            control->accept_again_us = clock_now_us() + ACCEPT_PAUSE_MS * UINT64_C(1000);
        return;
    }
}

/* `now` is from before the clients had their turn: that one kept another waiting isn't its fault.
 */
static void leave_silent(struct control *control, uint64_t now)
{
    for (unsigned i = control->client_count; i-- > 0;) {
        struct client *client = control->clients[i];
        uint64_t patience = has_answer(client) ? control->stuck_us : control->idle_us;
        if (!is_served(client) && now > client->heard_us && now - client->heard_us >= patience)
            leave(control, i);
    }
}

/* How long poll may sleep: until the first client's patience ends. */
static int sleep_ms(const struct control *control)
{
    uint64_t now = clock_now_us(), until = UINT64_MAX;
    for (unsigned i = 0; i < control->client_count; i++) {
        const struct client *client = control->clients[i];
        if (is_served(client))
            continue;
        uint64_t patience = has_answer(client) ? control->stuck_us : control->idle_us;
        if (client->may_have_more)
            return 0;
        if (client->heard_us + patience < until)
            until = client->heard_us + patience;
    }
    if (control->accept_again_us > now && control->accept_again_us < until)
        until = control->accept_again_us;
    if (until == UINT64_MAX)
        return -1;
    return until > now ? (int)((until - now) / 1000 + 1) : 0;
}

static void *serve_clients(void *context)
{
    struct control *control = context;
    struct pollfd ready[2 + CONTROL_CLIENTS_MAX];
    for (;;) {
        bool can_accept = clock_now_us() >= control->accept_again_us;
        ready[0] = (struct pollfd){.fd = control->wake, .events = POLLIN};
        ready[1] =
            (struct pollfd){.fd = can_accept ? control->listener.socket : -1, .events = POLLIN};
        unsigned count = control->client_count;
        for (unsigned i = 0; i < count; i++) {
            const struct client *client = control->clients[i];
            ready[2 + i] = (struct pollfd){.fd = is_served(client) ? -1 : client->socket,
                                           .events = has_answer(client) ? POLLOUT : POLLIN};
        }
        if (poll(ready, 2 + count, sleep_ms(control)) < 0)
            continue; /* EINTR, or no memory for the moment */
        if (atomic_load_explicit(&control->is_ending, memory_order_acquire))
            return NULL;
        if (ready[0].revents != 0) {
            eventfd_t events;
            (void)eventfd_read(control->wake, &events);
            end_errand(control);
        }
        uint64_t now = clock_now_us();
        /* From the last on: leave puts the last one in the place of who goes. */
        for (unsigned i = count; i-- > 0;) {
            struct client *client = control->clients[i];
            bool has_turn = ready[2 + i].revents != 0 || client->may_have_more;
            if (!is_served(client) && has_turn && !serve(control, client))
                leave(control, i);
        }
        leave_silent(control, now);
        if (ready[1].revents != 0)
            accept_some(control);
    }
}

int control_start(struct control *control)
{
    int error = errand_start(&control->table, control->wake, &control->errand);
    if (error != 0)
        return error;
    error = pthread_create(&control->thread, NULL, serve_clients, control);
    if (error != 0) {
        errand_stop(control->errand);
        control->errand = NULL;
        return -error;
    }
    (void)pthread_setname_np(control->thread, "uzram-control");
    control->is_running = true;
    return 0;
}

void control_close(struct control *control)
{
    if (control == NULL)
        return;
    if (control->is_running) {
        atomic_store_explicit(&control->is_ending, true, memory_order_release);
        (void)eventfd_write(control->wake, 1);
        pthread_join(control->thread, NULL);
        errand_stop(control->errand);
    }
    while (control->client_count > 0)
        leave(control, 0);
    text_free(&control->body);
    close(control->wake);
    listener_close(&control->listener);
    memory_free(control);
}
