/*
 * What would break: an event loop that waits for the slice of a job, one
 * whose nice is lost with it, or a job's priority that spreads to others.
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


static void *
prompt(void *data)
{
    int     granted;
    attr_t  a, before;

    mg_priority_lower();
    before = seen();
    granted = mg_priority_prompt();
    a = seen();

    printf("# slices are %s\n", granted ? "granted" : "unknown here");

    is_int(a.runtime, granted ? 100000 : before.runtime,
           "a slice of 0.1 ms, or the one that it had");
    is_int(a.nice, *(int *) data + MG_PRIORITY_NICE,
           "a thread's nice is added to and stays");
    is_int(mg_priority_prompt(), granted, "asking again changes nothing");

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
