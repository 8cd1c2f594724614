/*
 * mg_pid.h: whether a process is over.
 *
 * Words in shared memory carry the pid of who wrote them, so that others can
 * tell what a killed worker has left from what is in use.  A process of
 * another user, such as a worker from before "user" was changed, cannot be
 * signalled and yet is there: only ESRCH says that one has gone.
 *
 * Used by counters, files and slots that outlive a worker.  Any thread;
 * touches nothing, never blocks.
 */

#ifndef MG_PID_H
#define MG_PID_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>


/* 1: no process has this number, which is not 0; errno is left as it was. */

static inline int
mg_pid_gone(uint64_t pid)
{
    int  gone, saved;

    saved = errno;
    gone = kill((pid_t) pid, 0) == -1 && errno == ESRCH;
    errno = saved;

    return gone;
}


#endif /* MG_PID_H */
