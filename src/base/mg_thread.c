/*
 * mg_thread.c: start, pause and end of a thread.
 *
 * One condition tells of everything: that the thread is to wake up, and that
 * it has returned.  The mutex guards all members but "stop", which long work
 * reads without it.
 */

#include "base/mg_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>


struct mg_thread_s {
    void             (*run)(mg_thread_t *t, void *data);
    void              *data;
    pthread_t          thread;
    pthread_mutex_t    mutex;
    pthread_cond_t     changed;    /* any of these: */
    int                stop;
    int                woken;
    int                done;       /* the thread is about to return */
    int                left;       /* nobody joins: it frees all this */
};


static void *mg_thread_main(void *data);
static void mg_thread_free(mg_thread_t *t);
static void mg_thread_until(struct timespec *until, unsigned ms);


mg_thread_t *
mg_thread_start(void (*run)(mg_thread_t *t, void *data), void *data,
    mg_error_t *e)
{
    int                  rc;
    sigset_t             all, before;
    mg_thread_t         *t;
    pthread_condattr_t   attr;

    t = calloc(1, sizeof(mg_thread_t));
    if (t == NULL) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NULL;
    }

    t->run = run;
    t->data = data;

    (void) pthread_condattr_init(&attr);
    (void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void) pthread_cond_init(&t->changed, &attr);
    (void) pthread_condattr_destroy(&attr);
    (void) pthread_mutex_init(&t->mutex, NULL);

    /* signals are for the thread that runs the event loop */

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &before);

    rc = pthread_create(&t->thread, NULL, mg_thread_main, t);

    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (rc != 0) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL,
                            "pthread_create() failed: %s", strerror(rc));
        mg_thread_free(t);
        return NULL;
    }

    return t;
}


static void
mg_thread_free(mg_thread_t *t)
{
    (void) pthread_cond_destroy(&t->changed);
    (void) pthread_mutex_destroy(&t->mutex);
    free(t);
}


static void *
mg_thread_main(void *data)
{
    int           left;
    mg_thread_t  *t = data;

    t->run(t, t->data);

    (void) pthread_mutex_lock(&t->mutex);

    t->done = 1;
    left = t->left;

    (void) pthread_cond_broadcast(&t->changed);
    (void) pthread_mutex_unlock(&t->mutex);

    if (left) {
        mg_thread_free(t);
    }

    return NULL;
}


void
mg_thread_end(mg_thread_t *t)
{
    __atomic_store_n(&t->stop, 1, __ATOMIC_RELEASE);

    mg_thread_wake(t);
}


void
mg_thread_wake(mg_thread_t *t)
{
    (void) pthread_mutex_lock(&t->mutex);

    t->woken = 1;

    (void) pthread_cond_broadcast(&t->changed);
    (void) pthread_mutex_unlock(&t->mutex);
}


int
mg_thread_stop(mg_thread_t *t)
{
    int              rc, done;
    struct timespec  until;

    mg_thread_end(t);
    mg_thread_until(&until, MG_THREAD_JOIN_MS);

    (void) pthread_mutex_lock(&t->mutex);

    rc = 0;

    while (!t->done && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&t->changed, &t->mutex, &until);
    }

    done = t->done;

    if (!done) {
        t->left = 1;
        (void) pthread_detach(t->thread);
    }

    (void) pthread_mutex_unlock(&t->mutex);

    if (done) {
        (void) pthread_join(t->thread, NULL);
        mg_thread_free(t);
    }

    return done;
}


const int *
mg_thread_flag(const mg_thread_t *t)
{
    return &t->stop;
}


int
mg_thread_pause(mg_thread_t *t, unsigned ms)
{
    int              rc;
    struct timespec  until;

    mg_thread_until(&until, ms);

    (void) pthread_mutex_lock(&t->mutex);

    rc = 0;

    while (!t->woken && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&t->changed, &t->mutex, &until);
    }

    t->woken = 0;

    (void) pthread_mutex_unlock(&t->mutex);

    return __atomic_load_n(&t->stop, __ATOMIC_ACQUIRE);
}


static void
mg_thread_until(struct timespec *until, unsigned ms)
{
    (void) clock_gettime(CLOCK_MONOTONIC, until);

    until->tv_sec += ms / 1000;
    until->tv_nsec += (long) (ms % 1000) * 1000000;

    if (until->tv_nsec >= 1000000000) {
        until->tv_sec++;
        until->tv_nsec -= 1000000000;
    }
}
