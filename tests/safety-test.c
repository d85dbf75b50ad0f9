/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * safety-test.c: what is seen of a process is what it has done. Only what any user may do is done
 * here; the rest is shown in guests (tests/guest).
 */
#include "tests/device-support.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "safety/safety.h"

static void threads_and_memory_of_this_process_are_seen(void **state)
{
    (void)state;
    struct safety_report report;
    assert_int_equal(safety_inspect(0, &report), 0);
    assert_true(report.threads >= 1 && report.threads_without_right == report.threads);
    assert_true(report.mapped_bytes >= report.resident_bytes && report.resident_bytes > 0);
    assert_true(!safety_is_safe(&report));

    struct safety_report same;
    assert_int_equal(safety_inspect(getpid(), &same), 0);
    assert_int_equal(same.threads, report.threads);
    assert_true(same.minor_faults >= report.minor_faults);
}

static void *wait_for_the_end(void *end)
{
    pthread_mutex_lock(end);
    pthread_mutex_unlock(end);
    return NULL;
}

static void each_thread_is_counted(void **state)
{
    (void)state;
    pthread_mutex_t end = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread[4];
    struct safety_report with_one, with_all;
    pthread_mutex_lock(&end);
    /* The first thread may bring one of a sanitizer's with it. */
    must(pthread_create(&thread[0], NULL, wait_for_the_end, &end) == 0);
    assert_int_equal(safety_inspect(0, &with_one), 0);
    for (unsigned i = 1; i < 4; i++)
        must(pthread_create(&thread[i], NULL, wait_for_the_end, &end) == 0);
    assert_int_equal(safety_inspect(0, &with_all), 0);
    pthread_mutex_unlock(&end);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    assert_true(with_one.threads >= 2);
    assert_int_equal(with_all.threads, with_one.threads + 3);
    assert_int_equal(with_all.threads_that_wait, with_one.threads_that_wait + 3);
}

static void a_process_that_is_gone_is_an_error(void **state)
{
    (void)state;
    struct safety_report report;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    must(waitpid(child, NULL, 0) == child);
    assert_int_equal(safety_inspect(child, &report), -ESRCH);
}

static void faults_of_this_thread_are_counted(void **state)
{
    (void)state;
    char *memory =
        mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(memory != MAP_FAILED && madvise(memory, 64 * 4096, MADV_NOHUGEPAGE) == 0);
    uint64_t before = safety_thread_faults();
    for (unsigned i = 0; i < 64; i++)
        memory[i * 4096] = 1;
    assert_true(safety_thread_faults() - before >= 64);
    munmap(memory, 64 * 4096);
}

static void each_measure_has_a_sentence_that_says_what_would_allow_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SAFETY_PREFAULT; i++)
        assert_non_null(strstr(safety_meaning((enum safety_measure)i), "give CAP_"));
    assert_non_null(strstr(safety_meaning(SAFETY_PREFAULT), "memory"));
}

/* In a child, since it can't be undone. Under a sanitizer the process is too large to lock. */
static void what_was_taken_is_seen_and_what_was_not_is_told(void **state)
{
    (void)state;
    if (TEST_UNDER_ASAN || TEST_UNDER_TSAN)
        skip_because("a sanitizer's shadow memory can't be locked");
    pid_t child = fork();
    if (child == 0) {
        struct safety safety;
        struct safety_report report;
        int error = safety_take(64 * KIB, &safety);
        if (safety_inspect(0, &report) != 0)
            _exit(1);
        if (safety_is_locked(&report) != (safety.error[SAFETY_LOCK] == 0))
            _exit(2);
        if ((report.threads_that_wait == 0) != (safety.error[SAFETY_FLUSHER] == 0))
            _exit(3);
        if ((report.threads_without_right == 0) != (safety.error[SAFETY_REALTIME] == 0))
            _exit(4);
        if ((report.oom_score_adj == SAFETY_OOM_SCORE_ADJ) != (safety.error[SAFETY_OOM] == 0))
            _exit(5);
        if (safety_is_safe(&report) != (error == 0))
            _exit(6);
        _exit(0);
    }
    int status;
    must(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    watchdog_start("safety-test", 60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_memory_of_this_process_are_seen),
        cmocka_unit_test(each_thread_is_counted),
        cmocka_unit_test(a_process_that_is_gone_is_an_error),
        cmocka_unit_test(faults_of_this_thread_are_counted),
        cmocka_unit_test(each_measure_has_a_sentence_that_says_what_would_allow_it),
        cmocka_unit_test(what_was_taken_is_seen_and_what_was_not_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
