/*
 * What would break: an event loop, or a database on the same core, that waits
 * for the slice of a job; a nice that is lost with it, or a priority that
 * spreads to other threads.  Where the kernel knows no slices, the thread must
 * be left as it was.
 */

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mg_priority.h"
#include "base/mg_time.h"
#include "tap.h"


typedef struct {
    uint32_t   size, policy;
    uint64_t   flags;
    int32_t    nice;
    uint32_t   priority;
    uint64_t   runtime, deadline, period;
} attr_t;


static attr_t
seen(void)
{
    attr_t  a = { 0 };

    (void) syscall(SYS_sched_getattr, 0, &a, sizeof(attr_t), 0);

    return a;
}


/* A thread that a lowered and prompt one has started. */

static void *
started(void *data)
{
    attr_t  a, *usual = data;

    a = seen();
    is_int(a.runtime, usual->runtime, "a thread that it starts has its own");

    mg_priority_lower();
    is_int(seen().nice, usual->nice, "and is lowered only once");

    return NULL;
}


static void *
prompt(void *data)
{
    int        granted;
    attr_t     a, before, usual;
    pthread_t  t;

    usual = seen();
    mg_priority_lower();
    before = seen();
    usual.nice = before.nice;
    granted = (before.runtime == 4000000);
    ok(granted || before.runtime == usual.runtime,
       "slices of 4 ms, or those that it had");
    is_int(before.policy, SCHED_BATCH, "who wakes up waits for those at work");

    is_int(mg_priority_prompt(MG_PRIORITY_LOOP_US), granted,
           "short ones if there are long ones");
    a = seen();

    printf("# slices are %s\n", granted ? "granted" : "unknown here");

    is_int(a.runtime, granted ? 100000 : before.runtime,
           "a slice of 0.1 ms, or the one that it had");
    is_int(a.policy, SCHED_BATCH, "which it goes on to do");
    is_int(a.nice, *(int *) data + MG_PRIORITY_NICE,
           "its nice is below the process's and stays");
    is_int(mg_priority_prompt(MG_PRIORITY_LOOP_US), granted,
           "asking again changes nothing");

    ok(pthread_create(&t, NULL, started, &usual) == 0
       && pthread_join(t, NULL) == 0, "a thread");

    return NULL;
}


/* Spins beside the one that breathes until that has ended. */

static void *
spin(void *data)
{
    while (!__atomic_load_n((int *) data, __ATOMIC_RELAXED)) {
        /* void */
    }

    return NULL;
}


static int64_t
used_us(int who)
{
    struct rusage  u;

    (void) getrusage(who, &u);

    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000
           + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}


static int64_t
thread_us(void)
{
    return used_us(RUSAGE_THREAD);
}


static int64_t
process_us(void)
{
    return used_us(RUSAGE_SELF);
}


/*
 * How often it lets the other one in within 8 ms of its own time; the other
 * one would have the core for ever, so not each breath may.
 */

static void *
breathe(void *data)
{
    int            ended;
    int64_t        begun;
    pthread_t      t;
    struct rusage  before, after;

    (void) data;
    ended = 0;

    if (pthread_create(&t, NULL, spin, &ended) != 0) {
        return NULL;
    }

    mg_priority_lower();
    (void) getrusage(RUSAGE_THREAD, &before);
    begun = thread_us();

    while (thread_us() - begun < 8000) {
        mg_priority_breathe();
    }

    (void) getrusage(RUSAGE_THREAD, &after);
    __atomic_store_n(&ended, 1, __ATOMIC_RELAXED);
    (void) pthread_join(t, NULL);

    ok(after.ru_nivcsw - before.ru_nivcsw >= 8,
       "lets others in more often than the clock ticks: %ld times",
       after.ru_nivcsw - before.ru_nivcsw);

    return NULL;
}


/*
 * A core that is never idle: what the one that breathes gets of it, in parts
 * of what the other one has.
 */

static void *
starve(void *data)
{
    int        ended;
    int64_t    begun, own, both;
    pthread_t  t;

    (void) data;
    ended = 0;

    if (pthread_create(&t, NULL, spin, &ended) != 0) {
        return NULL;
    }

    mg_priority_lower();
    begun = mg_mono_us();
    own = thread_us();
    both = process_us();

    while (mg_mono_us() - begun < 1000000) {
        mg_priority_breathe();
    }

    own = thread_us() - own;
    both = process_us() - both;
    __atomic_store_n(&ended, 1, __ATOMIC_RELAXED);
    (void) pthread_join(t, NULL);

    ok(own > both / 50, "has its part of a core: %ld of %ld us", (long) own,
       (long) both);
    ok(own < both / 3, "and no more");

    return NULL;
}


/* Threads share the first core that this one may run on. */

static void
one_core(void)
{
    int        i;
    cpu_set_t  all, one;

    (void) sched_getaffinity(0, sizeof(cpu_set_t), &all);
    CPU_ZERO(&one);

    for (i = 0; i < CPU_SETSIZE && !CPU_ISSET(i, &all); i++) {
        /* void */
    }

    CPU_SET(i, &one);
    (void) sched_setaffinity(0, sizeof(cpu_set_t), &one);
}


int
main(void)
{
    int        nice;
    attr_t     before, after;
    pthread_t  t;

    before = seen();
    nice = getpriority(PRIO_PROCESS, 0);

    ok(pthread_create(&t, NULL, prompt, &nice) == 0
       && pthread_join(t, NULL) == 0, "a thread asks");

    after = seen();
    ok(after.runtime == before.runtime && after.nice == before.nice,
       "and another one is as it was");

    one_core();
    ok(pthread_create(&t, NULL, breathe, NULL) == 0
       && pthread_join(t, NULL) == 0, "a thread breathes");
    ok(pthread_create(&t, NULL, starve, NULL) == 0
       && pthread_join(t, NULL) == 0, "beside one that never rests");

    return done_testing();
}
