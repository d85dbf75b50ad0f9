/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compress-streams-test.c: streams are lent to one thread each, to all who ask, and none is lost;
 * what they compress with changes while no thread has one, or not at all.
 */
#include "compress/streams.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/memory.h"
#include "common/steps.h"

#define THREAD_COUNT       16
#define BORROWS_PER_THREAD 2000
#define STREAM_COUNT_TEST  3

/* Every codec, each at its default level, and one place left unused. */
static void all_algorithms(struct algorithm algorithms[ALGORITHM_COUNT_MAX])
{
    memset(algorithms, 0, ALGORITHM_COUNT_MAX * sizeof *algorithms);
    for (size_t i = 0; i < 3; i++) {
        algorithms[i].codec = codec_at(i);
        algorithms[i].level = codec_at(i)->level_default;
    }
}

static struct streams *streams_of(size_t count)
{
    struct algorithm algorithms[ALGORITHM_COUNT_MAX] = {{.codec = codec_find("lz4"), .level = 1}};
    struct streams *streams;
    assert_int_equal(streams_create(algorithms, count, &streams), 0);
    return streams;
}

static void default_count_is_the_number_of_cpus_this_process_may_use(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    struct streams *streams = streams_of(0);
    assert_int_equal(streams_count(streams), CPU_COUNT(&before));
    streams_destroy(streams);

    int cpu = 0;
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    streams = streams_of(0);
    assert_int_equal(streams_count(streams), 1);
    streams_destroy(streams);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void stream_has_a_context_per_used_algorithm_and_aligned_memory(void **state)
{
    (void)state;
    struct algorithm algorithms[ALGORITHM_COUNT_MAX];
    all_algorithms(algorithms);
    struct streams *streams;
    assert_int_equal(streams_create(algorithms, STREAM_COUNT_TEST, &streams), 0);
    struct stream *stream = stream_borrow(streams);
    for (size_t i = 0; i < ALGORITHM_COUNT_MAX; i++)
        assert_true((stream->context[i] != NULL) == (algorithms[i].codec != NULL));
    assert_true((uintptr_t)stream->scratch % 64 == 0);
    assert_true((uintptr_t)stream->block % 64 == 0);
    memset(stream->scratch, 1, 2 * BLOCK_SIZE_BYTES);
    memset(stream->block, 2, BLOCK_SIZE_BYTES);
    assert_int_equal(stream->scratch[2 * BLOCK_SIZE_BYTES - 1], 1);
    stream_return(streams, stream);
    streams_destroy(streams);
    streams_destroy(NULL);
}

static void bytes_are_those_of_contexts_and_buffers(void **state)
{
    (void)state;
    struct algorithm algorithms[ALGORITHM_COUNT_MAX];
    all_algorithms(algorithms);
    struct streams *streams;
    assert_int_equal(streams_create(algorithms, STREAM_COUNT_TEST, &streams), 0);
    struct stream *stream = stream_borrow(streams);
    size_t each = 3 * BLOCK_SIZE_BYTES;
    for (size_t i = 0; i < 3; i++)
        each += algorithms[i].codec->context_bytes(stream->context[i]);
    stream_return(streams, stream);

    size_t bytes = streams_bytes(streams);
    assert_true(bytes > STREAM_COUNT_TEST * each);
    /* Lock words and pointers: two cache lines per stream, and what all share. */
    assert_true(bytes <= STREAM_COUNT_TEST * (each + 128) + 256);
    streams_destroy(streams);
}

static void wrong_level_or_count_returns_einval_and_leaves_nothing(void **state)
{
    (void)state;
    struct algorithm algorithms[ALGORITHM_COUNT_MAX];
    all_algorithms(algorithms);
    struct streams *streams = (struct streams *)algorithms;
    assert_int_equal(streams_create(algorithms, SIZE_MAX, &streams), -EINVAL);
    assert_null(streams);
    algorithms[2].level = algorithms[2].codec->level_max + 1;
    assert_int_equal(streams_create(algorithms, STREAM_COUNT_TEST, &streams), -EINVAL);
    assert_null(streams);
}

static void each_allocation_failing_in_turn_returns_enomem_and_leaves_nothing(void **state)
{
    (void)state;
    struct algorithm algorithms[ALGORITHM_COUNT_MAX];
    all_algorithms(algorithms);
    /* The array, and for each stream its buffers and three contexts. */
    const long requests = 1 + STREAM_COUNT_TEST * (1 + 3);
    for (long failing = 0; failing <= requests; failing++) {
        struct streams *streams = (struct streams *)algorithms;
        memory_fail_after(failing, false);
        int error = streams_create(algorithms, STREAM_COUNT_TEST, &streams);
        long seen = memory_fail_after(-1, false);
        if (failing < requests) {
            assert_int_equal(error, -ENOMEM);
            assert_null(streams);
            assert_int_equal(seen, failing + 1);
        } else {
            assert_int_equal(error, 0);
            assert_int_equal(seen, requests);
            streams_destroy(streams);
        }
    }
}

/* What the borrowing threads share. */
struct crowd {
    struct streams *streams;
    size_t stream_count;
    _Atomic size_t lent;
    _Atomic size_t lent_max;
    _Atomic unsigned wrong;
    _Atomic unsigned long borrows;
};

/* Holds a stream for a while; a second holder would be seen, by us or by a race detector. */
static void *borrow_again_and_again(void *argument)
{
    struct crowd *crowd = argument;
    for (int i = 0; i < BORROWS_PER_THREAD; i++) {
        struct stream *stream = stream_borrow(crowd->streams);
        size_t lent = atomic_fetch_add(&crowd->lent, 1) + 1;
        size_t most = atomic_load(&crowd->lent_max);
        while (lent > most && !atomic_compare_exchange_weak(&crowd->lent_max, &most, lent))
            ;
        pthread_t self = pthread_self();
        memcpy(stream->scratch, &self, sizeof self);
        if (i % 4 == 0)
            sched_yield(); /* so that others run while it is lent, on any number of CPUs */
        int length = codec_find("lz4")->compress(stream->context[0], stream->block, stream->scratch,
                                                 2 * BLOCK_SIZE_BYTES);
        memcpy(stream->scratch + BLOCK_SIZE_BYTES, &self, sizeof self);
        sched_yield();
        if (length <= 0 || memcmp(stream->scratch + BLOCK_SIZE_BYTES, &self, sizeof self) != 0)
            atomic_fetch_add(&crowd->wrong, 1);
        atomic_fetch_sub(&crowd->lent, 1);
        stream_return(crowd->streams, stream);
        atomic_fetch_add(&crowd->borrows, 1);
    }
    return NULL;
}

static void many_threads_share_few_streams_one_holder_each_and_all_finish(void **state)
{
    (void)state;
    for (size_t count = 1; count <= STREAM_COUNT_TEST; count++) {
        struct crowd crowd = {.streams = streams_of(count), .stream_count = count};
        pthread_t threads[THREAD_COUNT];
        for (size_t i = 0; i < THREAD_COUNT; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, borrow_again_and_again, &crowd), 0);
        for (size_t i = 0; i < THREAD_COUNT; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(atomic_load(&crowd.wrong), 0);
        assert_int_equal(atomic_load(&crowd.borrows), THREAD_COUNT * BORROWS_PER_THREAD);
        assert_true(atomic_load(&crowd.lent_max) <= count);
        streams_destroy(crowd.streams);
    }
}

/* A borrower is stopped at this step until the stream it waits for was returned. */
static const char *stop_at;
static sem_t stopped, go_on;

static void stop_there(const char *name)
{
    if (strcmp(name, stop_at) != 0)
        return;
    sem_post(&stopped);
    sem_wait(&go_on);
}

static void *borrow_once(void *argument)
{
    struct streams *streams = argument;
    stream_return(streams, stream_borrow(streams));
    return NULL;
}

/*
 * The only stream is returned just when the borrower has found it lent, at the named step. If that
 * wake-up were lost, the join would never end.
 */
static void return_while_borrower_is_at(const char *name)
{
    struct streams *streams = streams_of(1);
    stop_at = name;
    assert_int_equal(sem_init(&stopped, 0, 0), 0);
    assert_int_equal(sem_init(&go_on, 0, 0), 0);
    steps_set(stop_there);
    struct stream *stream = stream_borrow(streams);
    pthread_t borrower;
    assert_int_equal(pthread_create(&borrower, NULL, borrow_once, streams), 0);
    sem_wait(&stopped);
    stream_return(streams, stream);
    sem_post(&go_on);
    pthread_join(borrower, NULL);
    steps_set(NULL);
    sem_destroy(&stopped);
    sem_destroy(&go_on);
    streams_destroy(streams);
}

static void return_before_the_borrower_counts_as_sleeper_is_seen(void **state)
{
    (void)state;
    return_while_borrower_is_at("streams: all found lent");
}

static void return_just_before_the_borrower_sleeps_is_seen(void **state)
{
    (void)state;
    return_while_borrower_is_at("streams: about to sleep");
}

/* ---- a change of an algorithm ---- */

#define CHANGED_INDEX 3u

/* A change in a thread of its own, and what it has come to. */
struct change {
    struct streams *streams;
    struct algorithm algorithm;
    _Atomic bool is_asleep; /* it waits for a stream */
    _Atomic bool has_changed;
    _Atomic bool has_returned;
    int error;
};

static struct change *watched;
static pthread_t watched_thread;
static _Atomic unsigned others_asleep;

static void note_sleep(const char *name)
{
    if (strcmp(name, "streams: about to sleep") != 0)
        return;
    if (pthread_equal(pthread_self(), watched_thread))
        atomic_store(&watched->is_asleep, true);
    else
        atomic_fetch_add(&others_asleep, 1);
}

static void note_change(void *context)
{
    struct change *change = context;
    atomic_store(&change->has_changed, true);
}

static void *change_streams(void *context)
{
    struct change *change = context;
    watched_thread = pthread_self();
    steps_set(note_sleep);
    change->error =
        streams_change(change->streams, CHANGED_INDEX, &change->algorithm, note_change, change);
    atomic_store(&change->has_returned, true);
    return NULL;
}

static pthread_t start_change(struct change *change)
{
    pthread_t thread;
    watched = change;
    assert_int_equal(pthread_create(&thread, NULL, change_streams, change), 0);
    return thread;
}

static void finish_change(pthread_t thread)
{
    pthread_join(thread, NULL);
    steps_set(NULL);
}

/* Until the change waits for a stream or, which it may not, doesn't. */
static void wait_until_asleep(struct change *change)
{
    while (!atomic_load(&change->is_asleep) && !atomic_load(&change->has_returned))
        sched_yield();
    assert_true(atomic_load(&change->is_asleep));
    assert_false(atomic_load(&change->has_changed));
}

/* What each of as many threads as there are streams finds in its own, all at once. */
struct look {
    struct streams *streams;
    const struct codec *codec; /* that must be there; NULL: none */
    pthread_barrier_t all_borrowed;
};

static bool works(const struct codec *codec, struct stream *stream)
{
    unsigned char back[BLOCK_SIZE_BYTES];
    struct codec_context *context = stream->context[CHANGED_INDEX];
    memset(stream->block, 0, BLOCK_SIZE_BYTES);
    memcpy(stream->block + 99, "a change", 8);
    int length = codec->compress(context, stream->block, stream->scratch, 2 * BLOCK_SIZE_BYTES);
    return length > 0 && codec->decompress(context, stream->scratch, (size_t)length, back) == 0 &&
           memcmp(back, stream->block, BLOCK_SIZE_BYTES) == 0;
}

static void *look_at_stream(void *context)
{
    struct look *look = context;
    struct stream *stream = stream_borrow(look->streams);
    pthread_barrier_wait(&look->all_borrowed);
    bool right = (stream->context[CHANGED_INDEX] != NULL) == (look->codec != NULL) &&
                 stream->context[0] != NULL && (look->codec == NULL || works(look->codec, stream));
    stream_return(look->streams, stream);
    return right ? context : NULL;
}

/* All have a context there that works, or none has one. */
static void all_streams_have(struct streams *streams, const struct codec *codec)
{
    struct look look = {.streams = streams, .codec = codec};
    pthread_t threads[STREAM_COUNT_TEST];
    assert_int_equal(pthread_barrier_init(&look.all_borrowed, NULL, STREAM_COUNT_TEST), 0);
    for (size_t i = 0; i < STREAM_COUNT_TEST; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_at_stream, &look), 0);
    for (size_t i = 0; i < STREAM_COUNT_TEST; i++) {
        void *right;
        pthread_join(threads[i], &right);
        assert_non_null(right);
    }
    pthread_barrier_destroy(&look.all_borrowed);
}

/* A thread that has a stream until it is told to return it. */
struct holder {
    pthread_t thread;
    struct streams *streams;
    struct stream *stream;
    sem_t has_borrowed, may_return;
};

static void *hold_stream(void *context)
{
    struct holder *holder = context;
    holder->stream = stream_borrow(holder->streams);
    sem_post(&holder->has_borrowed);
    sem_wait(&holder->may_return);
    stream_return(holder->streams, holder->stream);
    return NULL;
}

static void holder_start(struct holder *holder, struct streams *streams)
{
    holder->streams = streams;
    assert_int_equal(sem_init(&holder->has_borrowed, 0, 0), 0);
    assert_int_equal(sem_init(&holder->may_return, 0, 0), 0);
    assert_int_equal(pthread_create(&holder->thread, NULL, hold_stream, holder), 0);
    sem_wait(&holder->has_borrowed);
}

static void holder_end(struct holder *holder)
{
    sem_post(&holder->may_return);
    pthread_join(holder->thread, NULL);
    sem_destroy(&holder->has_borrowed);
    sem_destroy(&holder->may_return);
}

static void change_waits_until_every_stream_is_back(void **state)
{
    (void)state;
    const struct codec *zstd = codec_find("zstd");
    for (size_t lent = 1; lent <= STREAM_COUNT_TEST; lent++)
        for (int backwards = 0; backwards < 2; backwards++) {
            struct change change = {.streams = streams_of(STREAM_COUNT_TEST),
                                    .algorithm = {.codec = zstd, .level = 3}};
            struct holder holder[STREAM_COUNT_TEST];
            for (size_t i = 0; i < lent; i++)
                holder_start(&holder[i], change.streams);
            pthread_t thread = start_change(&change);
            for (size_t i = 0; i < lent; i++) {
                struct holder *next = &holder[backwards ? lent - 1 - i : i];
                wait_until_asleep(&change);
                assert_null(next->stream->context[CHANGED_INDEX]);
                holder_end(next);
            }
            finish_change(thread);
            assert_int_equal(change.error, 0);
            assert_true(atomic_load(&change.has_changed));
            all_streams_have(change.streams, zstd);
            streams_destroy(change.streams);
        }
}

/*
 * The change waits for the first stream; the second comes back. Its wake-up is for the borrower,
 * who sleeps later than the change does. If the change had it alone, the join would never end.
 */
static void return_of_another_stream_wakes_a_borrower_though_a_change_sleeps(void **state)
{
    (void)state;
    struct change change = {.streams = streams_of(2),
                            .algorithm = {.codec = codec_find("zstd"), .level = 3}};
    struct holder holder[2];
    for (size_t i = 0; i < 2; i++)
        holder_start(&holder[i], change.streams);
    size_t first = holder[0].stream < holder[1].stream ? 0 : 1;
    pthread_t changer = start_change(&change), borrower;
    wait_until_asleep(&change);
    unsigned asleep = atomic_load(&others_asleep);
    assert_int_equal(pthread_create(&borrower, NULL, borrow_once, change.streams), 0);
    while (atomic_load(&others_asleep) == asleep)
        sched_yield();
    holder_end(&holder[1 - first]);
    pthread_join(borrower, NULL);
    assert_false(atomic_load(&change.has_changed));
    holder_end(&holder[first]);
    finish_change(changer);
    assert_true(atomic_load(&change.has_changed));
    streams_destroy(change.streams);
}

static void *borrow_after_change(void *context)
{
    struct change *change = context;
    struct stream *stream = stream_borrow(change->streams);
    bool right = atomic_load(&change->has_changed) == (stream->context[CHANGED_INDEX] != NULL);
    stream_return(change->streams, stream);
    return right ? context : NULL;
}

/* Borrowers may come before it or after it; what they get is wholly of before or of after. */
static void borrowers_during_a_change_get_what_was_or_what_is(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct change change = {.streams = streams_of(STREAM_COUNT_TEST),
                                .algorithm = {.codec = codec_find("lz4hc"), .level = 3}};
        struct stream *stream = stream_borrow(change.streams);
        pthread_t thread = start_change(&change), borrowers[THREAD_COUNT];
        wait_until_asleep(&change);
        for (size_t i = 0; i < THREAD_COUNT; i++)
            assert_int_equal(pthread_create(&borrowers[i], NULL, borrow_after_change, &change), 0);
        stream_return(change.streams, stream);
        for (size_t i = 0; i < THREAD_COUNT; i++) {
            void *right;
            pthread_join(borrowers[i], &right);
            assert_non_null(right);
        }
        finish_change(thread);
        all_streams_have(change.streams, change.algorithm.codec);
        streams_destroy(change.streams);
    }
}

static void changes_again_and_again_lose_no_borrower(void **state)
{
    (void)state;
    static const char *const names[] = {"lz4hc", NULL, "zstd", "lz4"};
    struct crowd crowd = {.streams = streams_of(STREAM_COUNT_TEST),
                          .stream_count = STREAM_COUNT_TEST};
    pthread_t threads[THREAD_COUNT];
    for (size_t i = 0; i < THREAD_COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, borrow_again_and_again, &crowd), 0);
    for (int i = 0; i < 200; i++) {
        const char *name = names[i % 4];
        const struct algorithm algorithm = {.codec = name != NULL ? codec_find(name) : NULL,
                                            .level = 3};
        assert_int_equal(streams_change(crowd.streams, CHANGED_INDEX, &algorithm, NULL, NULL), 0);
    }
    for (size_t i = 0; i < THREAD_COUNT; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.wrong), 0);
    assert_int_equal(atomic_load(&crowd.borrows), THREAD_COUNT * BORROWS_PER_THREAD);
    streams_destroy(crowd.streams);
}

static void change_that_fails_leaves_what_was(void **state)
{
    (void)state;
    const struct codec *codecs[] = {NULL, codec_find("lz4hc")};
    for (size_t i = 0; i < 2; i++) {
        struct streams *streams = streams_of(STREAM_COUNT_TEST);
        const struct algorithm old = {.codec = codecs[i], .level = 3};
        const struct algorithm new = {.codec = codec_find("zstd"), .level = 3};
        struct algorithm wrong = new;
        wrong.level = new.codec->level_max + 1;
        assert_int_equal(streams_change(streams, CHANGED_INDEX, &old, NULL, NULL), 0);
        size_t bytes = streams_bytes(streams);
        struct change change = {.streams = streams};

        assert_int_equal(streams_change(streams, CHANGED_INDEX, &wrong, note_change, &change),
                         -EINVAL);
        const long requests = 1 + STREAM_COUNT_TEST; /* the list, and each context */
        for (long failing = 0; failing < requests; failing++) {
            memory_fail_after(failing, failing % 2 == 0);
            int error = streams_change(streams, CHANGED_INDEX, &new, note_change, &change);
            assert_true(memory_fail_after(-1, false) > failing);
            assert_int_equal(error, -ENOMEM);
            assert_false(atomic_load(&change.has_changed));
            assert_true(streams_bytes(streams) == bytes);
            all_streams_have(streams, codecs[i]);
        }
        memory_fail_after(requests, false);
        assert_int_equal(streams_change(streams, CHANGED_INDEX, &new, note_change, &change), 0);
        assert_int_equal(memory_fail_after(-1, false), requests);
        assert_true(atomic_load(&change.has_changed));
        assert_true(streams_bytes(streams) != bytes);
        all_streams_have(streams, new.codec);
        streams_destroy(streams);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_count_is_the_number_of_cpus_this_process_may_use),
        cmocka_unit_test(stream_has_a_context_per_used_algorithm_and_aligned_memory),
        cmocka_unit_test(bytes_are_those_of_contexts_and_buffers),
        cmocka_unit_test(wrong_level_or_count_returns_einval_and_leaves_nothing),
        cmocka_unit_test(each_allocation_failing_in_turn_returns_enomem_and_leaves_nothing),
        cmocka_unit_test(many_threads_share_few_streams_one_holder_each_and_all_finish),
        cmocka_unit_test(return_before_the_borrower_counts_as_sleeper_is_seen),
        cmocka_unit_test(return_just_before_the_borrower_sleeps_is_seen),
        cmocka_unit_test(change_waits_until_every_stream_is_back),
        cmocka_unit_test(return_of_another_stream_wakes_a_borrower_though_a_change_sleeps),
        cmocka_unit_test(borrowers_during_a_change_get_what_was_or_what_is),
        cmocka_unit_test(changes_again_and_again_lose_no_borrower),
        cmocka_unit_test(change_that_fails_leaves_what_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
