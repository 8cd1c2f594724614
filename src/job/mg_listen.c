/*
 * mg_listen.c: the thread that hears of changes.
 *
 *     open (LISTEN) -> notify -> poll(connection, stop) -> read -> notify
 *       ^                                  |
 *       +---- pause 0.2 .. 5 s <---- lost -+
 *
 * A notification is a hint and nothing else: whoever is notified looks at
 * the generations, also after each (re)connect, since what was sent
 * meanwhile is lost.  Events are different: their payload goes into the ring
 * that all workers read.  The thread owns its connection; the mutex guards
 * "stop" and is held while notify runs, so that after mg_listen_end() nobody
 * is called any more.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mg_thread.h"
#include "job/mg_keep.h"


#define MG_LISTEN_CHANNEL     "model_generation"
#define MG_LISTEN_EVENTS      "model_progress"
#define MG_LISTEN_PAUSE_MIN   200       /* ms */
#define MG_LISTEN_PAUSE_MAX   5000


struct mg_listen_s {
    const mg_env_t    *env;
    void             (*notify)(void *ctx);
    void              *ctx;
    mg_pg_options_t    options;
    mg_thread_t       *thread;
    pthread_mutex_t    mutex;
    int                fd;         /* eventfd: readable when to stop */
    int                stop;
};


static void mg_listen_run(mg_thread_t *t, void *data);
static mg_pg_listener_t *mg_listen_open(mg_listen_t *l);
static void mg_listen_heard(void *data, mg_str_t payload);
static void mg_listen_serve(mg_listen_t *l, mg_pg_listener_t *c);
static int mg_listen_call(mg_listen_t *l);
static int mg_listen_pause(mg_listen_t *l, unsigned ms);
static void mg_listen_free(mg_listen_t *l);


mg_listen_t *
mg_listen_start(const mg_env_t *env, void (*notify)(void *ctx), void *ctx,
    mg_error_t *e)
{
    mg_listen_t  *l;

    l = calloc(1, sizeof(mg_listen_t));
    if (l == NULL) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NULL;
    }

    l->env = env;
    l->notify = notify;
    l->ctx = ctx;
    l->options = env->db_options;
    l->options.application = "nginx-model-listener";

    l->fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    if (l->fd == -1) {
        (void) mg_error_set(e, MG_E_INTERNAL, NULL, "eventfd() failed: %s",
                            strerror(errno));
        free(l);
        return NULL;
    }

    (void) pthread_mutex_init(&l->mutex, NULL);
    l->thread = mg_thread_start(mg_listen_run, l, e);

    if (l->thread == NULL) {
        mg_listen_free(l);
        return NULL;
    }

    return l;
}


void
mg_listen_end(mg_listen_t *l)
{
    ssize_t   n;
    uint64_t  one;

    (void) pthread_mutex_lock(&l->mutex);
    l->stop = 1;
    (void) pthread_mutex_unlock(&l->mutex);

    one = 1;

    do {
        n = write(l->fd, &one, sizeof(uint64_t));
    } while (n == -1 && errno == EINTR);
}


void
mg_listen_stop(mg_listen_t *l)
{
    mg_listen_end(l);

    /* one in a connect that nothing interrupts keeps what it has */

    if (mg_thread_stop(l->thread)) {
        mg_listen_free(l);
    }
}


static void
mg_listen_free(mg_listen_t *l)
{
    (void) close(l->fd);
    (void) pthread_mutex_destroy(&l->mutex);
    free(l);
}


static void
mg_listen_run(mg_thread_t *t, void *data)
{
    unsigned           pause;
    mg_listen_t       *l = data;
    mg_pg_listener_t  *c;

    (void) t;

    pause = MG_LISTEN_PAUSE_MIN;

    do {
        c = mg_listen_open(l);

        if (c) {
            pause = MG_LISTEN_PAUSE_MIN;

            mg_listen_serve(l, c);
            mg_pg_listener_close(c);
        }

        if (mg_listen_pause(l, pause)) {
            break;
        }

        /* a quarter of it at random, so that nodes do not come as one */

        pause = pause * 2 - (unsigned) (mg_mono_us() % (pause / 2 + 1));

        if (pause > MG_LISTEN_PAUSE_MAX) {
            pause = MG_LISTEN_PAUSE_MAX;
        }

    } while (1);
}


/*
 * From here on events are heard; those before were missed, so whoever follows
 * a topic asks for its state.
 */

static mg_pg_listener_t *
mg_listen_open(mg_listen_t *l)
{
    mg_error_t         e;
    mg_pg_listener_t  *c;

    c = mg_pg_listener_open(&l->options, MG_LISTEN_CHANNEL, &e);

    if (c == NULL || l->env->events == NULL) {
        return c;
    }

    if (mg_pg_listener_also(c, MG_LISTEN_EVENTS, mg_listen_heard, l, &e)
        != MG_OK)
    {
        mg_pg_listener_close(c);
        return NULL;
    }

    mg_event_gap(l->env->events);

    return c;
}


static void
mg_listen_heard(void *data, mg_str_t payload)
{
    mg_listen_t  *l = data;

    mg_event_hear(l->env->events, payload);

    if (l->env->metrics) {
        mg_metric_add(l->env->metrics, EVENTS_HEARD, 1);
    }
}


/* Until the connection is lost or the thread is to stop. */

static void
mg_listen_serve(mg_listen_t *l, mg_pg_listener_t *c)
{
    int            n;
    struct pollfd  fds[2];

    if (mg_listen_call(l)) {
        return;
    }

    for ( ;; ) {
        fds[0].fd = mg_pg_listener_fd(c);
        fds[0].events = POLLIN;
        fds[0].revents = 0;

        fds[1].fd = l->fd;
        fds[1].events = POLLIN;
        fds[1].revents = 0;

        if (fds[0].fd == -1) {
            return;
        }

        n = poll(fds, 2, -1);

        if (n == -1 && errno != EINTR) {
            return;
        }

        if (n <= 0) {
            continue;
        }

        if (fds[1].revents) {
            return;
        }

        n = mg_pg_listener_read(c);

        if (n == -1 || (n > 0 && mg_listen_call(l))) {
            return;
        }
    }
}


/* 1: the thread is to stop, nobody was called. */

static int
mg_listen_call(mg_listen_t *l)
{
    int  stop;

    (void) pthread_mutex_lock(&l->mutex);

    stop = l->stop;

    if (!stop) {
        l->notify(l->ctx);
    }

    (void) pthread_mutex_unlock(&l->mutex);

    return stop;
}


/* 1: the thread is to stop. */

static int
mg_listen_pause(mg_listen_t *l, unsigned ms)
{
    int            n;
    struct pollfd  fds;

    fds.fd = l->fd;
    fds.events = POLLIN;
    fds.revents = 0;

    do {
        n = poll(&fds, 1, (int) ms);
    } while (n == -1 && errno == EINTR);

    return n != 0;
}
