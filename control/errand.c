/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/errand.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "common/memory.h"
#include "common/steps.h"

struct errand {
    const struct attribute_table *table;
    int event;
    pthread_t thread;
    struct text body; /* the thread's own */

    pthread_mutex_t mutex; /* all below */
    pthread_cond_t wake;
    struct session *session; /* NULL: there is no errand */
    struct text *out;
    bool is_done; /* `session` is the control thread's again */
    bool is_stopping;
};

static void *run_errands(void *context)
{
    struct errand *errand = context;
    pthread_mutex_lock(&errand->mutex);
    for (;;) {
        while (!errand->is_stopping && (errand->session == NULL || errand->is_done))
            pthread_cond_wait(&errand->wake, &errand->mutex);
        if (errand->is_stopping)
            break;
        pthread_mutex_unlock(&errand->mutex);

        step("errand: under way");
        (void)session_answer(errand->session, errand->table, &errand->body, errand->out);

        pthread_mutex_lock(&errand->mutex);
        errand->is_done = true;
        (void)eventfd_write(errand->event, 1);
    }
    pthread_mutex_unlock(&errand->mutex);
    return NULL;
}

int errand_start(const struct attribute_table *table, int event, struct errand **result)
{
    *result = NULL;
    struct errand *errand = memory_zalloc(sizeof *errand);
    if (errand == NULL)
        return -ENOMEM;
    errand->table = table;
    errand->event = event;
    errand->body = text_of_limit(ANSWER_BYTES_MAX);
    pthread_mutex_init(&errand->mutex, NULL);
    pthread_cond_init(&errand->wake, NULL);
    int error = pthread_create(&errand->thread, NULL, run_errands, errand);
    if (error != 0) {
        memory_free(errand);
        return -error;
    }
    (void)pthread_setname_np(errand->thread, "uzram-errand");
    *result = errand;
    return 0;
}

void errand_stop(struct errand *errand)
{
    if (errand == NULL)
        return;
    pthread_mutex_lock(&errand->mutex);
    errand->is_stopping = true;
    pthread_cond_signal(&errand->wake);
    pthread_mutex_unlock(&errand->mutex);
    pthread_join(errand->thread, NULL);
    pthread_cond_destroy(&errand->wake);
    pthread_mutex_destroy(&errand->mutex);
    text_free(&errand->body);
    memory_free(errand);
}

bool errand_begin(struct errand *errand, struct session *session, struct text *out)
{
    pthread_mutex_lock(&errand->mutex);
    bool is_free = errand->session == NULL;
    if (is_free) {
        errand->session = session;
        errand->out = out;
        errand->is_done = false;
        pthread_cond_signal(&errand->wake);
    }
    pthread_mutex_unlock(&errand->mutex);
    return is_free;
}

struct session *errand_end(struct errand *errand)
{
    struct session *session = NULL;
    pthread_mutex_lock(&errand->mutex);
    if (errand->is_done) {
        session = errand->session;
        errand->session = NULL;
        errand->is_done = false;
    }
    pthread_mutex_unlock(&errand->mutex);
    return session;
}
