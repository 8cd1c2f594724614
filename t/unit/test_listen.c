/*
 * What would break: a change in the database is not heard of (nobody is
 * called after a notification, or after a reconnect, when some were lost), a
 * worker that leaves hangs on its listener, or is called by it afterwards.
 *
 * The connection is a double: a pipe whose other end the test writes to.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mg_time.h"
#include "job/mg_keep.h"
#include "tap.h"


static mg_events_t   events;

/* stays to the end of the process, and is no leak */
static mg_listen_t  *left;

static int  pipe_in, pipe_out;
static int  opened, closed, called, refuse, hang, signals_open, also;


mg_pg_listener_t *
mg_pg_listener_open(const mg_pg_options_t *o, const char *channel,
    mg_error_t *e)
{
    int       fds[2];
    sigset_t  set;

    (void) o;

    if (__atomic_load_n(&hang, __ATOMIC_SEQ_CST)) {
        (void) poll(NULL, 0, 4000);
    }

    if (strcmp(channel, "model_generation") != 0
        || __atomic_load_n(&refuse, __ATOMIC_SEQ_CST)
        || pipe(fds) == -1)
    {
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL, "nobody answers");
        return NULL;
    }

    (void) pthread_sigmask(SIG_SETMASK, NULL, &set);

    if (!sigismember(&set, SIGTERM) || !sigismember(&set, SIGCHLD)) {
        __atomic_store_n(&signals_open, 1, __ATOMIC_SEQ_CST);
    }

    (void) fcntl(fds[0], F_SETFL, O_NONBLOCK);

    pipe_in = fds[0];
    __atomic_store_n(&pipe_out, fds[1], __ATOMIC_SEQ_CST);
    (void) __atomic_add_fetch(&opened, 1, __ATOMIC_SEQ_CST);

    return (mg_pg_listener_t *) &pipe_in;
}


int
mg_pg_listener_also(mg_pg_listener_t *l, const char *channel,
    void (*heard)(void *ctx, mg_str_t payload), void *ctx, mg_error_t *e)
{
    (void) l;
    (void) e;

    also = (strcmp(channel, "model_progress") == 0);
    heard(ctx, mg_str("7 org acme\n{}"));

    return MG_OK;
}


int
mg_pg_listener_fd(const mg_pg_listener_t *l)
{
    (void) l;
    return pipe_in;
}


int
mg_pg_listener_read(mg_pg_listener_t *l)
{
    char     buf[64];
    ssize_t  n;

    (void) l;
    n = read(pipe_in, buf, sizeof(buf));

    return (n == 0) ? -1 : (n > 0);
}


void
mg_pg_listener_close(mg_pg_listener_t *l)
{
    (void) l;
    (void) close(pipe_in);
    (void) __atomic_add_fetch(&closed, 1, __ATOMIC_SEQ_CST);
}


static void
notify(void *ctx)
{
    (void) __atomic_add_fetch((int *) ctx, 1, __ATOMIC_SEQ_CST);
}


/* Until *what is at least n, 20 s at most. */

static int
until(int *what, int n)
{
    int  i;

    for (i = 0; i < 2000; i++) {
        if (__atomic_load_n(what, __ATOMIC_SEQ_CST) >= n) {
            return 1;
        }

        (void) poll(NULL, 0, 10);
    }

    return 0;
}


int
main(void)
{
    int           n;
    int64_t       began;
    mg_env_t      env;
    mg_error_t    e;
    mg_listen_t  *l;

    memset(&env, 0, sizeof(env));
    env.events = &events;

    (void) signal(SIGPIPE, SIG_IGN);

    __atomic_store_n(&refuse, 1, __ATOMIC_SEQ_CST);
    l = mg_listen_start(&env, notify, &called, &e);
    ok(l != NULL, "it starts while the database is away");
    (void) poll(NULL, 0, 50);
    is_int(called, 0, "and calls nobody");

    __atomic_store_n(&refuse, 0, __ATOMIC_SEQ_CST);
    ok(until(&opened, 1), "it connects when the database is back");
    ok(until(&called, 1), "and calls, for what was lost");
    ok(!signals_open, "signals are blocked in its thread");
    ok(also && mg_word_get(events.next) == 1, "events go into the ring");
    ok(mg_word_get(events.gaps) == 1, "those before were missed");

    n = __atomic_load_n(&called, __ATOMIC_SEQ_CST);
    (void) !write(pipe_out, "x", 1);
    ok(until(&called, n + 1), "it calls after a notification");

    n = __atomic_load_n(&called, __ATOMIC_SEQ_CST);
    (void) close(pipe_out);
    ok(until(&opened, 2), "a lost connection is made again");
    ok(until(&called, n + 1), "and it calls");
    ok(until(&closed, 1), "the old one was closed");

    began = mg_mono_us();
    mg_listen_end(l);
    n = __atomic_load_n(&called, __ATOMIC_SEQ_CST);
    ok(until(&closed, 2), "asked to end, it closes its connection");
    mg_listen_stop(l);
    ok(mg_mono_us() - began < 4000000, "and can be waited for");
    (void) !write(pipe_out, "x", 1);
    is_int(called, n, "nobody is called any more");
    (void) close(pipe_out);

    __atomic_store_n(&hang, 1, __ATOMIC_SEQ_CST);
    n = __atomic_load_n(&called, __ATOMIC_SEQ_CST);
    l = mg_listen_start(&env, notify, &called, &e);
    left = l;
    (void) poll(NULL, 0, 50);
    began = mg_mono_us();
    mg_listen_stop(l);
    ok(mg_mono_us() - began < 3000000,
       "a thread that hangs in a connect is not waited for");
    (void) until(&closed, 3);
    (void) poll(NULL, 0, 50);
    is_int(called, n, "and calls nobody when it comes back");
    (void) close(pipe_out);

    return done_testing();
}
