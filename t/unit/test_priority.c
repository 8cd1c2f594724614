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
#include <time.h>
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


/*
 * The clocks and the kernel that mg_priority.c sees: simulated ones, in which
 * a yield waits for as long as it is told, or those of the machine.  What else
 * runs there must not decide how often a thread yields.
 */

typedef struct {
    int      on;
    int64_t  mono_us, cpu_us;
    int64_t  wait_us;
    int      yields;
} sim_t;

static __thread sim_t  sim;


int64_t
mg_mono_us(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return sim.on ? sim.mono_us
                  : (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}


int64_t
mg_cpu_ns(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);

    return sim.on ? sim.cpu_us * 1000
                  : (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


int
sched_yield(void)
{
    sim.yields++;
    sim.mono_us += sim.wait_us;

    return sim.on ? 0 : (int) syscall(SYS_sched_yield);
}


/* Computes for so long, in steps of 10 us: how often does it yield? */

static int
yields(int64_t run_us, int64_t wait_us)
{
    sim.yields = 0;
    sim.wait_us = wait_us;

    for (/* void */; run_us > 0; run_us -= 10) {
        sim.mono_us += 10;
        sim.cpu_us += 10;
        mg_priority_breathe();
    }

    return sim.yields;
}


static void *
breathe(void *data)
{
    (void) data;

    sim.on = 1;
    is_int(yields(8000, 0), 0, "who is not lowered lets nobody in");

    mg_priority_lower();
    is_int(yields(8000, 0), 40, "lets others in every 0.2 ms");
    is_int(yields(8000, 1800), 40, "for nine times as long as it has run");
    is_int(yields(8000, 9000), 10, "seldom if they stay for longer");
    is_int(yields(8000, 9000), 8, "and with what it had saved before spent");
    is_int(yields(8000, 90000), 1, "hardly ever if they stay for very long");
    is_int(yields(40000, 0), 190, "and again when it has run for its part");

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
 * A core that is never idle: whenever the one that breathes yields, the other
 * one is let in; and what it gets of the core, in parts of what both have.
 */

static void *
starve(void *data)
{
    int            ended;
    int64_t        begun, own, both;
    long           switches;
    pthread_t      t;
    struct rusage  before, after;

    (void) data;
    ended = 0;

    if (pthread_create(&t, NULL, spin, &ended) != 0) {
        return NULL;
    }

    mg_priority_lower();
    begun = mg_mono_us();
    own = thread_us();
    both = process_us();
    (void) getrusage(RUSAGE_THREAD, &before);

    while (mg_mono_us() - begun < 1000000) {
        mg_priority_breathe();
    }

    (void) getrusage(RUSAGE_THREAD, &after);
    own = thread_us() - own;
    both = process_us() - both;
    __atomic_store_n(&ended, 1, __ATOMIC_RELAXED);
    (void) pthread_join(t, NULL);

    switches = after.ru_nivcsw - before.ru_nivcsw;
    ok(sim.yields > 0 && switches >= sim.yields / 2,
       "lets the other one in: %d yields, %ld switches", sim.yields, switches);
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

    ok(pthread_create(&t, NULL, breathe, NULL) == 0
       && pthread_join(t, NULL) == 0, "a thread breathes");

    one_core();
    ok(pthread_create(&t, NULL, starve, NULL) == 0
       && pthread_join(t, NULL) == 0, "beside one that never rests");

    return done_testing();
}
