/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control-server-test.c: the control socket: who may use it, what happens to clients that behave
 * badly, and what becomes of the socket of a server that has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "control/client.h"
#include "control/control.h"
#include "tests/control-table.h"

#define ASK_MS 20000

static char folder[] = "/tmp/uzram-control-XXXXXX";
static char path[64], lock_path[80];
static struct things things;

static struct control *serve_with(unsigned idle_ms, unsigned stuck_ms)
{
    struct text sentence = text_of_limit(1000);
    struct control *control;
    struct control_config config = {
        .path = path,
        .table = table_of_things(&things),
        .idle_ms = idle_ms,
        .stuck_ms = stuck_ms,
    };
    int error = control_open(&config, &control, &sentence);
    if (error != 0)
        print_error("%s: %s\n", path, text_string(&sentence));
    assert_int_equal(error, 0);
    assert_int_equal(control_start(control), 0);
    text_free(&sentence);
    return control;
}

static struct control *serve(void)
{
    return serve_with(0, 0);
}

/* Has the server refuse to open; returns the error and fails unless the sentence has `says`. */
static int open_refused(const char *at, const char *says)
{
    struct text sentence = text_of_limit(1000);
    struct control *control;
    struct control_config config = {.path = at, .table = table_of_things(&things)};
    int error = control_open(&config, &control, &sentence);
    assert_null(control);
    if (strstr(text_string(&sentence), says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text_string(&sentence), says);
    text_free(&sentence);
    return error;
}

static struct control_client client_of_server(void)
{
    struct control_client client;
    assert_int_equal(control_client_open(&client, path), 0);
    return client;
}

/* Asks over a connection of its own; tries again while the server says that it is busy. */
static int ask(const char *request, struct text *answer)
{
    int error = -EBUSY;
    for (int i = 0; i < 100 && error == -EBUSY; i++) {
        struct control_client client = client_of_server();
        error = control_client_ask(&client, request, ASK_MS, answer);
        control_client_close(&client);
        if (error == -EBUSY)
            usleep(50000);
    }
    return error;
}

static void others_are_served(void)
{
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    assert_int_equal(ask("get echo served", &answer), 0);
    assert_string_equal(text_string(&answer), "served");
    text_free(&answer);
}

/* Waits until the server has left the connection. */
static void must_be_left(int socket)
{
    char bytes[4096];
    struct pollfd ready = {.fd = socket, .events = POLLIN};
    ssize_t count = 1;
    while (count > 0) {
        assert_int_equal(poll(&ready, 1, ASK_MS), 1);
        count = recv(socket, bytes, sizeof bytes, 0);
    }
    assert_true(count == 0 || errno == ECONNRESET);
}

static void a_client_is_answered(void **state)
{
    (void)state;
    struct control *control = serve();
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    struct control_client client = client_of_server();
    assert_string_equal(control_path(control), path);
    assert_int_equal(control_client_ask(&client, "set word a b", ASK_MS, &answer), 0);
    assert_string_equal(text_string(&answer), "");
    assert_int_equal(control_client_ask(&client, "get word", ASK_MS, &answer), 0);
    assert_string_equal(text_string(&answer), "a b\n");
    assert_int_equal(control_client_ask(&client, "get big", ASK_MS, &answer), 0);
    assert_int_equal(answer.length, ANSWER_BYTES_MAX);
    assert_int_equal(control_client_ask(&client, "get nothing", ASK_MS, &answer), -ENOENT);
    assert_string_equal(text_string(&answer), "nothing: no such attribute; `list` names all");
    control_client_close(&client);
    control_close(control);
    text_free(&answer);
}

static void the_socket_is_for_its_owner_and_goes_with_the_server(void **state)
{
    (void)state;
    struct stat status;
    struct control *control = serve();
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode, S_IFSOCK | 0600);
    assert_int_equal(stat(lock_path, &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    control_close(control);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(lock_path, F_OK), -1);
    control_close(NULL);
}

static void a_living_servers_socket_is_refused_and_stays(void **state)
{
    (void)state;
    struct control *control = serve();
    assert_int_equal(open_refused(path, "a server is there already"), -EADDRINUSE);
    others_are_served();
    control_close(control);
}

/* A child that serves until it is killed. */
static pid_t serve_in_child(void)
{
    int told[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)serve();
        if (write(told[1], "!", 1) == 1)
            pause();
        _exit(1);
    }
    assert_true(child > 0);
    close(told[1]);
    assert_int_equal(read(told[0], &byte, 1), 1); /* 0: the child has ended */
    close(told[0]);
    return child;
}

static void a_killed_servers_socket_is_replaced(void **state)
{
    (void)state;
    pid_t child = serve_in_child();
    assert_int_equal(open_refused(path, "a server is there already"), -EADDRINUSE);
    others_are_served();
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(access(path, F_OK), 0);
    struct control *control = serve();
    others_are_served();
    control_close(control);
}

static void what_is_no_socket_is_refused_and_stays(void **state)
{
    (void)state;
    struct stat status;
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(open_refused(path, "no socket"), -EEXIST);
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(access(lock_path, F_OK), -1);
    unlink(path);
}

static void another_programs_socket_is_refused_and_stays(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(other, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(other, 1), 0);
    assert_int_equal(open_refused(path, "another program"), -EADDRINUSE);
    assert_int_equal(access(path, F_OK), 0);
    close(other);
    unlink(path);
}

static void paths_that_cannot_be_are_refused(void **state)
{
    (void)state;
    char longest[200];
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(open_refused(longest, "at most 107 bytes"), -ENAMETOOLONG);
    assert_int_equal(open_refused("/no/such/folder/socket", "can't be made"), -ENOENT);
    assert_int_equal(open_refused("/proc/socket", "can't be made"), -ENOENT);
}

/* More descriptors than a process usually may have, as far as the system lets us. */
static unsigned allow_descriptors(unsigned wanted)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return (unsigned)limit.rlim_cur;
}

/*
 * The server is in another process, with descriptors of its own. Connections that it refuses or
 * leaves stay open here, as those of a bad client would.
 */
static void ten_thousand_connections_leave_room_for_one_more(void **state)
{
    (void)state;
    pid_t child = serve_in_child();
    enum { CONNECTIONS = 10000, SPARE = 50 };
    static int sockets[CONNECTIONS];
    unsigned open_at_once = allow_descriptors(CONNECTIONS + SPARE) - SPARE;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (i >= open_at_once)
            close(sockets[i - open_at_once]);
        sockets[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(sockets[i] >= 0);
        assert_int_equal(connect(sockets[i], (struct sockaddr *)&address, sizeof address), 0);
        if (i % 1000 == 999)
            others_are_served();
    }
    others_are_served();
    for (unsigned i = CONNECTIONS > open_at_once ? CONNECTIONS - open_at_once : 0; i < CONNECTIONS;
         i++)
        close(sockets[i]);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    unlink(path);
    unlink(lock_path);
}

static void too_many_at_once_are_told_so(void **state)
{
    (void)state;
    struct control *control = serve();
    struct control_client clients[CONTROL_CLIENTS_MAX];
    struct text answer = text_of_limit(ANSWER_BYTES_MAX);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        clients[i] = client_of_server();
    /* If all have spoken just before, none is left for the new one; a slow machine needs tries. */
    int error = 0;
    for (unsigned tries = 0; error == 0 && tries < 100; tries++) {
        struct control_client late;
        for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
            if (control_client_ask(&clients[i], "get echo x", ASK_MS, &answer) == 0)
                continue;
            control_client_close(&clients[i]);
            clients[i] = client_of_server();
        }
        late = client_of_server();
        error = control_client_ask(&late, "get echo y", ASK_MS, &answer);
        control_client_close(&late);
    }
    assert_int_equal(error, -EBUSY);
    assert_string_equal(text_string(&answer), "too many clients; try again");
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control_client_close(&clients[i]);
    others_are_served();
    control_close(control);
    text_free(&answer);
}

static void a_client_that_never_reads_is_left(void **state)
{
    (void)state;
    struct control *control = serve_with(ASK_MS, 100);
    struct control_client greedy = client_of_server();
    /* More requests than the socket takes: the server stops reading after the first answer. */
    static const char request[] = "get big\n";
    ssize_t sent = 1;
    for (unsigned i = 0; i < 100000 && sent > 0; i++)
        sent = send(greedy.socket, request, strlen(request), MSG_NOSIGNAL | MSG_DONTWAIT);
    others_are_served();
    usleep(300000);
    others_are_served();
    must_be_left(greedy.socket);
    control_client_close(&greedy);
    control_close(control);
}

static void a_silent_client_is_left(void **state)
{
    (void)state;
    struct control *control = serve_with(100, ASK_MS);
    struct control_client silent = client_of_server(), half = client_of_server();
    assert_int_equal(send(half.socket, "get ec", 6, MSG_NOSIGNAL), 6);
    must_be_left(silent.socket);
    must_be_left(half.socket);
    others_are_served();
    control_client_close(&silent);
    control_client_close(&half);
    control_close(control);
}

static void a_client_that_sends_rubbish_is_told_and_left(void **state)
{
    (void)state;
    struct control *control = serve();
    struct control_client client = client_of_server();
    static char rubbish[3 * REQUEST_BYTES_MAX];
    memset(rubbish, 0xff, sizeof rubbish);
    (void)send(client.socket, rubbish, sizeof rubbish, MSG_NOSIGNAL);
    char answer[100] = "";
    assert_true(recv(client.socket, answer, sizeof answer - 1, 0) > 0);
    assert_string_equal(answer, "error E2BIG the line is too long; 4096 bytes are the most\n");
    must_be_left(client.socket);
    others_are_served();
    control_client_close(&client);
    control_close(control);
}

static void a_client_may_go_at_any_time(void **state)
{
    (void)state;
    struct control *control = serve();
    for (unsigned i = 0; i < 300; i++) {
        struct control_client client = client_of_server();
        if (i % 3 != 0)
            assert_true(send(client.socket, "get big\nget big\n", i % 17, MSG_NOSIGNAL) >= 0);
        control_client_close(&client);
    }
    others_are_served();
    control_close(control);
}

static void many_requests_may_be_sent_at_once(void **state)
{
    (void)state;
    struct control *control = serve();
    struct control_client client = client_of_server();
    enum { REQUESTS = 500 };
    char bytes[16 * REQUESTS] = "";
    for (unsigned i = 0; i < REQUESTS; i++)
        strcpy(bytes + i * 11, "get echo x\n");
    assert_int_equal(send(client.socket, bytes, REQUESTS * 11, MSG_NOSIGNAL), REQUESTS * 11);
    size_t got = 0;
    while (got < REQUESTS * 6) {
        ssize_t count = recv(client.socket, bytes + got, sizeof bytes - got, 0);
        assert_true(count > 0);
        got += (size_t)count;
    }
    for (unsigned i = 0; i < REQUESTS; i++)
        assert_memory_equal(bytes + i * 6, "ok 1\nx", 6);
    control_client_close(&client);
    control_close(control);
}

/* Another user, although the file's mode would let that one in. */
/* Who connects is somebody else, but files are still opened as root: all folders let him pass. */
/* A client that has asked for something slow and doesn't wait for the answer. */
static int slow_client(const char *request)
{
    struct control_client client = client_of_server();
    assert_int_equal(send(client.socket, request, strlen(request), 0), (ssize_t)strlen(request));
    return client.socket;
}

static void must_answer(int socket, const char *expected)
{
    char answer[256] = "";
    size_t length = 0;
    struct pollfd ready = {.fd = socket, .events = POLLIN};
    while (length < strlen(expected)) {
        assert_int_equal(poll(&ready, 1, ASK_MS), 1);
        ssize_t count = recv(socket, answer + length, sizeof answer - 1 - length, 0);
        assert_true(count > 0);
        length += (size_t)count;
    }
    assert_string_equal(answer, expected);
}

static void others_are_served_while_slow_requests_have_their_turns(void **state)
{
    (void)state;
    int go[2];
    assert_int_equal(pipe(go), 0);
    things = (struct things){.slow_go = go[0]};
    struct control *control = serve_with(50, 50); /* who waits for the server isn't silent */
    int first = slow_client("set slow 1\nget echo a\n");
    while (things.slow_begun < 1)
        usleep(1000);
    int second = slow_client("set slow 2\nset slow 3\n");
    for (int i = 0; i < 20; i++) {
        others_are_served();
        usleep(10000);
    }
    assert_int_equal(things.slow_begun, 1);

    assert_int_equal(write(go[1], "1", 1), 1);
    must_answer(first, "ok 13\nwaited for 1\nok 1\na");
    while (things.slow_begun < 2)
        usleep(1000);
    others_are_served();
    assert_int_equal(write(go[1], "23", 2), 2);
    must_answer(second, "ok 13\nwaited for 2\nok 13\nwaited for 3\n");
    close(first);
    close(second);
    control_close(control);
    close(go[0]);
    close(go[1]);
    things = (struct things){0};
}

static void a_client_may_go_while_its_slow_request_is_answered(void **state)
{
    (void)state;
    int go[2];
    assert_int_equal(pipe(go), 0);
    things = (struct things){.slow_go = go[0]};
    struct control *control = serve();
    int first = slow_client("set slow 1\n");
    while (things.slow_begun < 1)
        usleep(1000);
    int second = slow_client("set slow 2\n");
    close(first);
    close(second);
    others_are_served();
    assert_int_equal(write(go[1], "12", 2), 2);
    while (things.slow_begun < 2)
        usleep(1000);
    others_are_served();

    /* The server's end waits for what is under way; what waits may be begun before, or is
     * forgotten. */
    first = slow_client("set slow 3\n");
    while (things.slow_begun < 3)
        usleep(1000);
    second = slow_client("set slow 4\n");
    assert_int_equal(write(go[1], "34", 2), 2);
    control_close(control);
    assert_true(things.slow_begun == 3 || things.slow_begun == 4);
    close(first);
    close(second);
    close(go[0]);
    close(go[1]);
    things = (struct things){0};
}

static void another_user_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("# skipped: only root can be another user\n");
        skip();
    }
    struct control *control = serve();
    pid_t child = fork();
    if (child == 0) {
        struct text answer = text_of_limit(1000);
        struct control_client client;
        if (seteuid(65534) != 0)
            _exit(2);
        (void)setfsuid(0);
        if (control_client_open(&client, path) != 0)
            _exit(3);
        int error = control_client_ask(&client, "set word taken", ASK_MS, &answer);
        _exit(error == -EPERM && strstr(text_string(&answer), "own user") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_string_not_equal(things.word, "taken");
    others_are_served();
    control_close(control);
}

static void a_missing_server_is_told_from_an_ended_one(void **state)
{
    (void)state;
    struct control_client client;
    assert_int_equal(control_client_open(&client, path), -ENOENT);
    pid_t child = serve_in_child();
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(control_client_open(&client, path), -ECONNREFUSED);
    unlink(path);
    unlink(lock_path);
}

/* Whichever request for memory fails, nothing is left behind, and clients are told or left. */
static void a_server_without_memory_fails_whole(void **state)
{
    (void)state;
    struct text sentence = text_of_limit(1000);
    struct control *control = NULL;
    struct control_config config = {.path = path, .table = table_of_things(&things)};
    int error = -ENOMEM;
    for (long after = 0; error != 0; after++) {
        (void)memory_fail_after(after, false);
        error = control_open(&config, &control, &sentence);
        (void)memory_fail_after(-1, false);
        if (error != 0) {
            assert_int_equal(error, -ENOMEM);
            assert_int_equal(access(path, F_OK), -1);
            assert_int_equal(access(lock_path, F_OK), -1);
        }
    }
    assert_int_equal(control_start(control), 0);
    text_free(&sentence);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    for (long after = 0; after < 6; after++) {
        static const char request[] = "get echo x\n";
        char answer[200] = "";
        int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(client >= 0);
        (void)memory_fail_after(after, false);
        assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
        (void)send(client, request, strlen(request), MSG_NOSIGNAL);
        ssize_t count = recv(client, answer, sizeof answer - 1, 0);
        (void)memory_fail_after(-1, false);
        if (count > 0 && strncmp(answer, "ok 1\n", 5) != 0)
            assert_int_equal(strncmp(answer, "error E", 7), 0);
        close(client);
        others_are_served();
    }
    control_close(control);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails if anything was left in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_answered),
        cmocka_unit_test(the_socket_is_for_its_owner_and_goes_with_the_server),
        cmocka_unit_test(a_living_servers_socket_is_refused_and_stays),
        cmocka_unit_test(a_killed_servers_socket_is_replaced),
        cmocka_unit_test(what_is_no_socket_is_refused_and_stays),
        cmocka_unit_test(another_programs_socket_is_refused_and_stays),
        cmocka_unit_test(paths_that_cannot_be_are_refused),
        cmocka_unit_test(too_many_at_once_are_told_so),
        cmocka_unit_test(a_client_that_never_reads_is_left),
        cmocka_unit_test(a_silent_client_is_left),
        cmocka_unit_test(a_client_that_sends_rubbish_is_told_and_left),
        cmocka_unit_test(a_client_may_go_at_any_time),
        cmocka_unit_test(many_requests_may_be_sent_at_once),
        cmocka_unit_test(others_are_served_while_slow_requests_have_their_turns),
        cmocka_unit_test(a_client_may_go_while_its_slow_request_is_answered),
        cmocka_unit_test(another_user_is_refused),
        cmocka_unit_test(a_missing_server_is_told_from_an_ended_one),
        cmocka_unit_test(a_server_without_memory_fails_whole),
        cmocka_unit_test(ten_thousand_connections_leave_room_for_one_more),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
