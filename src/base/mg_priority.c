/*
 * mg_priority.c: slices and nice of the calling thread.
 *
 * The C library has no wrapper for the two calls: struct sched_attr is told
 * to the kernel by its size, of which this is the first version.
 */

#include "base/mg_priority.h"

#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>


/* Less than 0.1 ms is taken for that much. */
#define MG_PRIORITY_SLICE_NS  100000

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


int
mg_priority_prompt(void)
{
    mg_priority_attr_t  attr;

    memset(&attr, 0, sizeof(mg_priority_attr_t));

    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(mg_priority_attr_t), 0)
            != 0
        || attr.policy != SCHED_OTHER)
    {
        return 0;
    }

    attr.runtime = MG_PRIORITY_SLICE_NS;
    attr.flags |= MG_PRIORITY_OWN;

    if (syscall(SYS_sched_setattr, 0, &attr, 0) != 0) {
        return 0;
    }

    /* a kernel that knows no slices takes the value and forgets it */

    return syscall(SYS_sched_getattr, 0, &attr, sizeof(mg_priority_attr_t), 0)
               == 0
           && attr.runtime == MG_PRIORITY_SLICE_NS;
}


void
mg_priority_lower(void)
{
    (void) setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, getpid())
                                        + MG_PRIORITY_NICE);
}
