/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * streams.c: lending codec contexts.
 *
 * Uncontended, borrowing is one compare-and-swap of the stream's own lock word and returning is one
 * exchange of it. Only a borrower that found every stream lent touches what all share:
 *
 *      borrower                                returner
 *      --------                                --------
 *      sleepers + 1                  (A)       lent = 0                 (C)
 *      seen = returns                          if (sleepers > 0) {      (D)
 *      look at every lent again      (B)           returns + 1
 *      sleep while returns == seen                 wake one
 *      sleepers - 1                            }
 *
 * No wake-up is lost. A to D are sequentially consistent, so either B follows C and sees the free
 * stream, or B precedes C, hence A precedes D, which sees the sleeper. In the second case the sleep
 * ends because `returns` changes, whether that happens before it begins or after.
 *
 * A sleeper that wakes may find that a third thread was faster; it then looks and sleeps again, and
 * the third thread's return will wake it. While the streams' algorithms are being changed, a return
 * wakes all sleepers: the changer waits for each stream in turn, and only that one will do for it.
 * It says so (is_changing) before it becomes a sleeper, so whoever sees it asleep sees that, too.
 */
#include "compress/streams.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/lock.h"
#include "common/memory.h"
#include "common/steps.h"

#define SCRATCH_BYTES (2 * BLOCK_SIZE_BYTES)

/* No system has more CPUs. Bounds the memory that a mistaken count asks for. */
#define STREAM_COUNT_MAX 65536

/* A stream's lock word, and beside it what its holder reads first: in one cache line. */
struct place {
    cache_aligned _Atomic uint32_t lent;
    struct stream stream;
};
static_assert(sizeof(struct place) % 64 == 0,
              "a lock word's cache line holds nothing of another stream");

struct streams {
    size_t count;
    const struct codec *codec[ALGORITHM_COUNT_MAX];
    cache_aligned _Atomic uint32_t sleepers; /* borrowers that found all streams lent */
    _Atomic uint32_t returns;                /* returns that saw a sleeper; sleepers wait for it */
    _Atomic bool is_changing;                /* a sleeper waits for one certain stream */
    struct place place[];
};

static size_t cpus_available(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        return (size_t)CPU_COUNT(&cpus);
    /* More CPUs than cpu_set_t has bits. */
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}

static int context_create(const struct algorithm *algorithm, struct codec_context **context)
{
    struct codec_parameters parameters = {
        .level = algorithm->level,
        .dictionary = algorithm->dictionary,
        .only_decompresses = algorithm->only_decompresses,
    };
    return algorithm->codec->context_create(&parameters, context);
}

static int stream_init(struct stream *stream, const struct algorithm *algorithms)
{
    unsigned char *buffers = memory_zalloc(SCRATCH_BYTES + BLOCK_SIZE_BYTES);
    if (buffers == NULL)
        return -ENOMEM;
    stream->scratch = buffers;
    stream->block = buffers + SCRATCH_BYTES;

    for (size_t i = 0; i < ALGORITHM_COUNT_MAX; i++) {
        if (algorithms[i].codec == NULL)
            continue;
        int error = context_create(&algorithms[i], &stream->context[i]);
        if (error != 0)
            return error;
    }
    return 0;
}

int streams_create(const struct algorithm algorithms[ALGORITHM_COUNT_MAX], size_t count,
                   struct streams **streams)
{
    *streams = NULL;
    if (count == 0)
        count = cpus_available();
    if (count > STREAM_COUNT_MAX)
        return -EINVAL;

    struct streams *created = memory_zalloc(sizeof(struct streams) + count * sizeof(struct place));
    if (created == NULL)
        return -ENOMEM;
    created->count = count;
    for (size_t i = 0; i < ALGORITHM_COUNT_MAX; i++)
        created->codec[i] = algorithms[i].codec;
    for (size_t i = 0; i < count; i++) {
        int error = stream_init(&created->place[i].stream, algorithms);
        if (error != 0) {
            streams_destroy(created);
            return error;
        }
    }
    *streams = created;
    return 0;
}

void streams_destroy(struct streams *streams)
{
    if (streams == NULL)
        return;
    for (size_t i = 0; i < streams->count; i++) {
        struct place *place = &streams->place[i];
        checked(atomic_load_explicit(&place->lent, memory_order_relaxed) == 0);
        for (size_t j = 0; j < ALGORITHM_COUNT_MAX; j++) {
            if (streams->codec[j] != NULL)
                streams->codec[j]->context_destroy(place->stream.context[j]);
        }
        memory_free(place->stream.scratch);
    }
    memory_free(streams);
}

static bool place_take_try(struct place *place)
{
    uint32_t expected = 0;
    /*
     * seq_cst load: (B) above. Looking first spares a holder the loss of its cache line.
     * acquire: pairs with (C), so that what the last holder left in the context is seen.
     */
    return atomic_load_explicit(&place->lent, memory_order_seq_cst) == 0 &&
           atomic_compare_exchange_strong_explicit(&place->lent, &expected, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* A stream that was free, now lent to the caller, or NULL. */
static struct place *take_any(struct streams *streams)
{
    size_t own = (size_t)sched_getcpu() % streams->count;
    for (size_t i = own; i < streams->count; i++) {
        if (place_take_try(&streams->place[i]))
            return &streams->place[i];
    }
    for (size_t i = 0; i < own; i++) {
        if (place_take_try(&streams->place[i]))
            return &streams->place[i];
    }
    return NULL;
}

/* Waits for any stream, or for the one in `wanted`. */
static struct place *sleep_and_take(struct streams *streams, struct place *wanted)
{
    struct place *place;
    step("streams: all found lent");
    /* seq_cst: (A) above. */
    atomic_fetch_add_explicit(&streams->sleepers, 1, memory_order_seq_cst);
    for (;;) {
        /* acquire: pairs with stream_return's count; who sees a return sees the stream free. */
        uint32_t seen = atomic_load_explicit(&streams->returns, memory_order_acquire);
        place = wanted == NULL ? take_any(streams) : place_take_try(wanted) ? wanted : NULL;
        if (place != NULL)
            break;
        step("streams: about to sleep");
        futex_wait(&streams->returns, seen);
    }
    /* relaxed: too great a number for a moment costs one wake-up of nobody. */
    atomic_fetch_sub_explicit(&streams->sleepers, 1, memory_order_relaxed);
    return place;
}

struct stream *stream_borrow(struct streams *streams)
{
    lock_rank_waited(LOCK_RANK_STREAM);
    struct place *place = take_any(streams);
    if (unlikely(place == NULL))
        place = sleep_and_take(streams, NULL);
    lock_rank_taken(LOCK_RANK_STREAM);
    return &place->stream;
}

static void place_return(struct streams *streams, struct place *place)
{
    /* seq_cst: (C) above; it releases the context to the next borrower, too. */
    uint32_t was_lent = atomic_exchange_explicit(&place->lent, 0, memory_order_seq_cst);
    checked(was_lent == 1);
    /* seq_cst: (D) above. */
    if (unlikely(atomic_load_explicit(&streams->sleepers, memory_order_seq_cst) > 0)) {
        /* release: pairs with the acquire in sleep_and_take. */
        atomic_fetch_add_explicit(&streams->returns, 1, memory_order_release);
        bool wake_all = atomic_load_explicit(&streams->is_changing, memory_order_seq_cst);
        futex_wake(&streams->returns, wake_all ? INT_MAX : 1);
    }
}

void stream_return(struct streams *streams, struct stream *stream)
{
    lock_rank_released(LOCK_RANK_STREAM);
    place_return(streams, container_of(stream, struct place, stream));
}

static void hold_all(struct streams *streams)
{
    lock_rank_waited(LOCK_RANK_STREAM);
    /* seq_cst: before (A), which says that this thread sleeps. */
    atomic_store_explicit(&streams->is_changing, true, memory_order_seq_cst);
    for (size_t i = 0; i < streams->count; i++) {
        if (!place_take_try(&streams->place[i]))
            (void)sleep_and_take(streams, &streams->place[i]);
    }
    atomic_store_explicit(&streams->is_changing, false, memory_order_relaxed);
}

int streams_change(struct streams *streams, unsigned index, const struct algorithm *algorithm,
                   void (*changed)(void *context), void *context)
{
    struct codec_context **contexts =
        memory_zalloc(streams->count * sizeof(struct codec_context *));
    if (contexts == NULL)
        return -ENOMEM;
    int error = 0;
    size_t made = 0;
    while (algorithm->codec != NULL && made < streams->count && error == 0) {
        error = context_create(algorithm, &contexts[made]);
        made += error == 0;
    }
    if (error == 0) {
        hold_all(streams);
        /* What was there goes out in the same array, to be freed with nothing held. */
        const struct codec *old_codec = streams->codec[index];
        for (size_t i = 0; i < streams->count; i++) {
            struct codec_context *old = streams->place[i].stream.context[index];
            streams->place[i].stream.context[index] = contexts[i];
            contexts[i] = old;
        }
        streams->codec[index] = algorithm->codec;
        if (changed != NULL)
            changed(context);
        for (size_t i = 0; i < streams->count; i++)
            place_return(streams, &streams->place[i]);
        for (size_t i = 0; i < streams->count && old_codec != NULL; i++)
            old_codec->context_destroy(contexts[i]);
    } else {
        while (made-- > 0)
            algorithm->codec->context_destroy(contexts[made]);
    }
    memory_free(contexts);
    return error;
}

size_t streams_count(const struct streams *streams)
{
    return streams->count;
}

size_t streams_bytes(const struct streams *streams)
{
    size_t bytes = sizeof(struct place) + SCRATCH_BYTES + BLOCK_SIZE_BYTES;
    for (size_t i = 0; i < ALGORITHM_COUNT_MAX; i++) {
        if (streams->codec[i] != NULL)
            bytes += streams->codec[i]->context_bytes(streams->place[0].stream.context[i]);
    }
    /* All streams are alike. */
    return sizeof(struct streams) + streams->count * bytes;
}
