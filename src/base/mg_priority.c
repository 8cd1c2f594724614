/*
 * mg_priority.c: slices and nice of the calling thread.
 *
 * The C library has no wrapper for the two calls: struct sched_attr is told
 * to the kernel by its size, of which this is the first version.
 */

#include "base/mg_priority.h"
#include "base/mg_time.h"

#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>


/* The usual one is 0.75 to 3 ms, by the number of cores. */
#define MG_PRIORITY_LONG_NS   4000000

/* For so long a lowered thread has the core for itself. */
#define MG_PRIORITY_BREATH_US  200

/* SCHED_FLAG_RESET_ON_FORK of the kernel. */
#define MG_PRIORITY_OWN       1


typedef struct {
    uint32_t   size;
    uint32_t   policy;
    uint64_t   flags;
    int32_t    nice;
    uint32_t   priority;
    uint64_t   runtime;         /* of SCHED_OTHER: the slice, ns */
    uint64_t   deadline;
    uint64_t   period;
} mg_priority_attr_t;


static int mg_priority_slice(uint64_t ns, uint64_t flags);


static __thread int      mg_priority_lowered;
static __thread int64_t  mg_priority_breath_us;


int
mg_priority_prompt(unsigned us)
{
    return mg_priority_slice((uint64_t) us * 1000, MG_PRIORITY_OWN);
}


void
mg_priority_lower(void)
{
    (void) setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, getpid())
                                        + MG_PRIORITY_NICE);
    (void) mg_priority_slice(MG_PRIORITY_LONG_NS, 0);
    mg_priority_lowered = 1;
}


void
mg_priority_breathe(void)
{
    int64_t  now;

    if (!mg_priority_lowered) {
        return;
    }

    now = mg_mono_us();

    if (now - mg_priority_breath_us >= MG_PRIORITY_BREATH_US) {
        (void) sched_yield();
        mg_priority_breath_us = mg_mono_us();
    }
}


static int
mg_priority_slice(uint64_t ns, uint64_t flags)
{
    mg_priority_attr_t  attr;

    memset(&attr, 0, sizeof(mg_priority_attr_t));

    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(mg_priority_attr_t), 0)
            != 0
        || attr.policy != SCHED_OTHER)
    {
        return 0;
    }

    attr.runtime = ns;
    attr.flags |= flags;

    if (syscall(SYS_sched_setattr, 0, &attr, 0) != 0) {
        return 0;
    }

    /* a kernel that knows no slices takes the value and forgets it */

    return syscall(SYS_sched_getattr, 0, &attr, sizeof(mg_priority_attr_t), 0)
               == 0
           && attr.runtime == ns;
}
