/*
 * What would break: an event loop that waits for the slice of a job, one
 * whose nice is lost with it, or a priority that spreads to other threads.
 * Where the kernel knows no slices, the thread must be left as it was.
 */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mg_priority.h"
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
    attr_t     a, before;
    pthread_t  t;

    mg_priority_lower();
    before = seen();
    granted = mg_priority_prompt();
    a = seen();

    printf("# slices are %s\n", granted ? "granted" : "unknown here");

    is_int(a.runtime, granted ? 100000 : before.runtime,
           "a slice of 0.1 ms, or the one that it had");
    is_int(a.nice, *(int *) data + MG_PRIORITY_NICE,
           "its nice is below the process's and stays");
    is_int(mg_priority_prompt(), granted, "asking again changes nothing");

    ok(pthread_create(&t, NULL, started, &before) == 0
       && pthread_join(t, NULL) == 0, "a thread");

    return NULL;
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

    return done_testing();
}
