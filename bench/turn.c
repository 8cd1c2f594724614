/*
 * turn.c: how long an event loop is away from its sockets.
 *
 *     TURN_FILE=path LD_PRELOAD=turn.so nginx ...
 *
 * A turn is the time from one epoll_wait() of a process's first thread to the
 * next, without what the thread waited for a processor: that goes to whoever
 * else runs on the machine.  What it waited for anything else (a lock, a disk)
 * counts; nginx's first turn, in which a process gets ready, does not.  The
 * longest of all processes, in nanoseconds, is the first word of the file,
 * which has to be there; whoever reads it may set it back to 0.
 *
 * Part of the benchmark.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>


typedef int (*turn_wait_pt)(int fd, struct epoll_event *events, int max,
    int timeout);


static void turn_open(void) __attribute__((constructor));


static uint64_t      *longest;
static turn_wait_pt   turn_wait;
static pid_t          process;      /* whose turns are looked at */
static unsigned       turns;        /* that it has begun */
static int            stat_fd = -1;
static int64_t        began;        /* without the time in the queue */


static void
turn_open(void)
{
    int          fd;
    void        *p;
    const char  *path;

    turn_wait = (turn_wait_pt) dlsym(RTLD_NEXT, "epoll_wait");
    path = getenv("TURN_FILE");

    if (path == NULL) {
        return;
    }

    fd = open(path, O_RDWR|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(uint64_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    (void) close(fd);

    if (p != MAP_FAILED) {
        longest = p;
    }
}


/* ns that the thread has waited for a processor. */

static int64_t
turn_queued(void)
{
    char       text[128];
    ssize_t    n;
    long long  ran, queued;

    n = pread(stat_fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    queued = 0;
    (void) sscanf(text, "%lld %lld", &ran, &queued);

    return queued;
}


/* ns; stands still meanwhile. */

static int64_t
turn_clock(void)
{
    int64_t          queued;
    struct timespec  ts;

    do {
        queued = turn_queued();
        clock_gettime(CLOCK_MONOTONIC, &ts);
    } while (turn_queued() != queued);

    return ts.tv_sec * 1000000000LL + ts.tv_nsec - queued;
}


int
epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    int       n;
    int64_t   took;
    uint64_t  turn, seen;

    if (longest == NULL || gettid() != getpid()) {
        return turn_wait(fd, events, max, timeout);
    }

    if (process != getpid()) {
        process = getpid();
        turns = 0;
        stat_fd = open("/proc/thread-self/schedstat", O_RDONLY|O_CLOEXEC);
    }

    if (turns++ > 1) {
        took = turn_clock() - began;
        turn = took > 0 ? (uint64_t) took : 0;
        seen = __atomic_load_n(longest, __ATOMIC_RELAXED);

        while (turn > seen
               && !__atomic_compare_exchange_n(longest, &seen, turn, 0,
                                               __ATOMIC_RELAXED,
                                               __ATOMIC_RELAXED))
        {
            /* void */
        }
    }

    n = turn_wait(fd, events, max, timeout);
    began = turn_clock();

    return n;
}
