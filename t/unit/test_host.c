/*
 * Requests at one host, counted in shared memory by all runs of a machine: if
 * this breaks, runs pass the bound of a host together, starve each other, or
 * find a host full of workers that were killed.  Then nothing is asked for a
 * while, and a run whose workers are killed often does not get further.
 */

#include "model/mg_host.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mg_time.h"
#include "tap.h"


#define HOST   mg_str("Models.example:8080")


static mg_hosts_t  *hosts;


static unsigned
enter(mg_host_run_t *r, int64_t now_us, unsigned most)
{
    unsigned  n;

    for (n = 0; n < most && mg_host_enter(r, now_us); n++) {
        /* void */
    }

    return n;
}


static void
test_share(void)
{
    int64_t        now;
    mg_host_run_t  a, b;

    now = 1000000000;
    mg_host_begin(&a, hosts, HOST, 4);
    mg_host_begin(&b, hosts, mg_str("models.EXAMPLE:8080"), 4);

    is_int(enter(&a, now, 9), 4, "alone: all of it");
    is_int(enter(&b, now, 9), 0, "then there is no room");
    mg_host_leave(&a, now);
    mg_host_leave(&a, now);
    mg_host_leave(&a, now);
    is_int(enter(&b, now, 9), 2, "two share evenly");
    is_int(enter(&a, now, 9), 1, "both of them");

    mg_host_end(&a);
    mg_host_end(&b);
}


/* One that takes everything and is killed. */

static void
taken(int64_t now)
{
    pid_t          pid;
    mg_host_run_t  r;

    pid = fork();

    if (pid == 0) {
        mg_host_begin(&r, hosts, HOST, 4);
        (void) enter(&r, now, 9);
        (void) raise(SIGKILL);
    }

    (void) waitpid(pid, NULL, 0);
}


static void
test_killed(void)
{
    int64_t        now;
    mg_host_run_t  r;

    now = 2000000000;
    taken(now);
    mg_host_begin(&r, hosts, HOST, 4);

    is_int(enter(&r, now, 9), 0, "full of one that is gone");
    is_int(enter(&r, now, 9), 4, "which is noticed");

    /* one of this process that is not heard of any more is not */

    r.index = MG_HOST_RUNS;
    mg_host_begin(&r, hosts, HOST, 4);
    now += 2000000;
    is_int(enter(&r, now, 9), 0, "full of one that lives");
    is_int(enter(&r, now + 1000000, 9), 0, "as long as it may be");
    is_int(enter(&r, now + 60000000, 9), 4, "until its time is over");
    mg_host_end(&r);
}


int
main(void)
{
    hosts = mmap(NULL, sizeof(mg_hosts_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (hosts == MAP_FAILED) {
        return 1;
    }

    test_share();
    test_killed();

    return done_testing();
}
