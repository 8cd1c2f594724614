/*
 * mg_aside.c: a piece of work on a thread of its own.
 *
 * One thread a piece of work, which takes its low priority with it when it
 * ends: a thread of a pool could not have it back.  What it used of the core
 * is read by the thread itself, whose clock ends with it.
 */

#include <signal.h>
#include <string.h>

#include "base/mg_aside.h"
#include "base/mg_priority.h"
#include "base/mg_time.h"


static void *mg_aside_thread(void *data);


void
mg_aside_begin(mg_aside_t *a, void (*run)(void *data), void *data)
{
    sigset_t  all, old;

    memset(a, 0, sizeof(mg_aside_t));
    a->run = run;
    a->data = data;

    /* signals are for the threads of the process that wait for them */

    sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &old);

    a->begun = pthread_create(&a->thread, NULL, mg_aside_thread, a) == 0;

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
}


void
mg_aside_end(mg_aside_t *a)
{
    if (a->begun) {
        (void) pthread_join(a->thread, NULL);

    } else {
        a->run(a->data);
    }
}


static void *
mg_aside_thread(void *data)
{
    int64_t      begun;
    mg_aside_t  *a;

    a = data;

    mg_priority_lower();

    begun = mg_cpu_ns();
    a->run(a->data);
    a->cpu_ns = mg_cpu_ns() - begun;

    return NULL;
}
