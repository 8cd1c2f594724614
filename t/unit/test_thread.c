/*
 * What would break: a thread that does not end with the worker, one that
 * misses its wake-up, one that takes signals from the event loop, or one
 * that hangs and holds up the end of the process.
 */

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/mg_thread.h"
#include "tap.h"


static int  rounds;          /* how often it was woken */
static int  blocked;         /* signals, as the thread sees them */
static int  hangs = 1;


static void
nap(void)
{
    struct timespec  ts = { 0, 1000000 };

    (void) nanosleep(&ts, NULL);
}


static void
wakes(mg_thread_t *t, void *data)
{
    sigset_t  set;

    (void) pthread_sigmask(SIG_BLOCK, NULL, &set);
    __atomic_store_n(&blocked, sigismember(&set, SIGTERM), __ATOMIC_RELEASE);

    while (!mg_thread_pause(t, 3600000)) {
        (void) __atomic_add_fetch((int *) data, 1, __ATOMIC_ACQ_REL);
    }
}


static void
hung(mg_thread_t *t, void *data)
{
    (void) t;

    while (__atomic_load_n((int *) data, __ATOMIC_ACQUIRE)) {
        nap();
    }
}


static void
times_out(mg_thread_t *t, void *data)
{
    while (!mg_thread_pause(t, 1)) {
        (void) __atomic_add_fetch((int *) data, 1, __ATOMIC_ACQ_REL);
    }
}


static void
wait_for(int *word, int least)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < least) {
        nap();
    }
}


int
main(void)
{
    int           i;
    mg_error_t    e;
    mg_thread_t  *t;

    t = mg_thread_start(wakes, &rounds, &e);

    if (!ok(t != NULL, "started")) {
        return done_testing();
    }

    for (i = 1; i <= 3; i++) {
        mg_thread_wake(t);
        wait_for(&rounds, i);
    }

    is_int(rounds, 3, "each wake-up ends a pause");
    is_int(__atomic_load_n(&blocked, __ATOMIC_ACQUIRE), 1,
           "signals are not for it");
    ok(!*mg_thread_flag(t), "it is to go on");
    mg_thread_end(t);
    mg_thread_stop(t);
    pass("it ends in the middle of an hour's pause");

    rounds = 0;
    t = mg_thread_start(times_out, &rounds, &e);
    wait_for(&rounds, 3);
    mg_thread_stop(t);
    pass("a pause that nobody ends is over in time");

    t = mg_thread_start(hung, &hangs, &e);
    mg_thread_stop(t);
    pass("one that hangs is left");

    /* it frees itself: the sanitizer would tell */

    __atomic_store_n(&hangs, 0, __ATOMIC_RELEASE);

    for (i = 0; i < 50; i++) {
        nap();
    }

    return done_testing();
}
