/*
 * clock.c: a wall clock that jumps, for a program that is started with this
 * as LD_PRELOAD.  CLOCK_FILE names a file with a 64-bit number of seconds
 * that are added to what the system says, from one moment to the next when
 * the file is written to.  The monotonic clock stays what it is.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>


static volatile int64_t  *clock_offset;


static int64_t
clock_seconds(void)
{
    static volatile int64_t  none;

    int          fd;
    void        *p;
    const char  *name;

    if (clock_offset == NULL) {
        clock_offset = &none;
        name = getenv("CLOCK_FILE");
        fd = name ? open(name, O_RDONLY) : -1;

        if (fd != -1) {
            p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

            if (p != MAP_FAILED) {
                clock_offset = p;
            }
        }
    }

    return *clock_offset;
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;

    static int  (*next)(clockid_t, struct timespec *);

    if (next == NULL) {
        next = (int (*)(clockid_t, struct timespec *))
                   dlsym(RTLD_NEXT, "clock_gettime");
    }

    rc = next(id, ts);

    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        ts->tv_sec += clock_seconds();
    }

    return rc;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}


time_t
time(time_t *t)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }

    if (t) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}
