/*
 * mg_priority.c: slices and nice of the calling thread.
 *
 * The C library has no wrapper for the two calls: struct sched_attr is told
 * to the kernel by its size, of which this is the first version.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* SCHED_BATCH */
#endif

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

/* What it may have run before, and be paid for. */
#define MG_PRIORITY_CREDIT_US  2000

/* The weight of another thread in weights of a lowered one, as the kernel. */
#define MG_PRIORITY_OTHERS    9

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


typedef struct {
    int        lowered;
    int64_t    breath_us;       /* monotonic, the last look */
    int64_t    cpu_us;          /* its own time then */
    int64_t    credit_us;
} mg_priority_own_t;


static int mg_priority_slice(uint64_t ns, uint64_t flags, int batch);


static __thread mg_priority_own_t  mg_priority_own;


int
mg_priority_prompt(unsigned us)
{
    return mg_priority_slice((uint64_t) us * 1000, MG_PRIORITY_OWN, 0);
}


void
mg_priority_lower(void)
{
    (void) setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, getpid())
                                        + MG_PRIORITY_NICE);
    (void) mg_priority_slice(MG_PRIORITY_LONG_NS, 0, 1);
    mg_priority_own.lowered = 1;
    mg_priority_own.cpu_us = mg_cpu_ns() / 1000;
}


/*
 * A kernel may take a yield for a slice that was used up (Linux 6.18): on a
 * core that is never idle the thread waits for very long then.  So what it
 * waits is paid for, by its weight, with what it ran: when that is spent it
 * goes on until it has run as much again.
 */

void
mg_priority_breathe(void)
{
    int64_t             now, cpu_us;
    mg_priority_own_t  *own;

    own = &mg_priority_own;

    if (!own->lowered) {
        return;
    }

    now = mg_mono_us();

    if (now - own->breath_us < MG_PRIORITY_BREATH_US) {
        return;
    }

    cpu_us = mg_cpu_ns() / 1000;
    own->credit_us += cpu_us - own->cpu_us;
    own->cpu_us = cpu_us;
    own->breath_us = now;

    if (own->credit_us > MG_PRIORITY_CREDIT_US) {
        own->credit_us = MG_PRIORITY_CREDIT_US;
    }

    if (own->credit_us >= 0) {
        (void) sched_yield();

        own->breath_us = mg_mono_us();
        own->credit_us -= (own->breath_us - now) / MG_PRIORITY_OTHERS;
    }
}


/* A batch stays one: who is in it never goes before somebody at work. */

static int
mg_priority_slice(uint64_t ns, uint64_t flags, int batch)
{
    mg_priority_attr_t  attr;

    memset(&attr, 0, sizeof(mg_priority_attr_t));

    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(mg_priority_attr_t), 0)
            != 0
        || (attr.policy != SCHED_OTHER && attr.policy != SCHED_BATCH))
    {
        return 0;
    }

    attr.policy = batch ? SCHED_BATCH : attr.policy;
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
