/*
 * Breaks when a source is asked more often than its limit allows, by one
 * worker or by several together, when a breaker never opens or never closes
 * again, when a pause that a source asked for is cut short, or when a worker
 * that died halfway leaves a slot that misleads the others.
 */

#include "tap.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mg_time.h"
#include "model/mg_gate.h"


#define SECOND  INT64_C(1000000)


static const mg_gate_limits_t  limits = { 100, 3, 1000 };
static mg_gates_t             *gates;


static void
fresh(void)
{
    memset(gates, 0, sizeof(mg_gates_t));
}


static void
test_slots(void)
{
    char             name[100];
    unsigned         i, n;
    mg_gate_t       *g;
    mg_gate_view_t   v;

    fresh();
    g = mg_gate_find(gates, mg_str("models.dev"));
    ok(g == mg_gate_find(gates, mg_str("models.dev")), "found again");
    ok(g != mg_gate_find(gates, mg_str("litellm")), "another one's");

    for (n = 0, i = 0; i < MG_GATE_SLOTS; i++) {
        if (mg_gate_view(gates, i, SECOND, &v)) {
            n++;
            ok(strcmp(v.name, "models.dev") == 0
               || strcmp(v.name, "litellm") == 0, "named %s", v.name);
        }
    }

    is_int(n, 2, "two are in use");

    /* a worker was killed between the key and the name */

    memset(g->name, 0, sizeof(g->name));

    for (n = 0, i = 0; i < MG_GATE_SLOTS; i++) {
        n += mg_gate_view(gates, i, SECOND, &v);
    }

    is_int(n, 1, "a slot without its name is not shown");
    ok(mg_gate_find(gates, mg_str("models.dev")) == g, "but found");

    for (n = 0, i = 0; i < MG_GATE_SLOTS; i++) {
        n += mg_gate_view(gates, i, SECOND, &v);
    }

    is_int(n, 2, "which gives it its name");

    for (i = 0; i < 3 * MG_GATE_SLOTS; i++) {
        (void) snprintf(name, sizeof(name), "provider-%u", i);
        g = mg_gate_find(gates, mg_str_z(name));
        mg_gate_count(g, MG_GATE_OK);
    }

    ok(g == &gates->slots[MG_GATE_SLOTS - 1], "late ones share the last");
    ok(mg_gate_view(gates, MG_GATE_SLOTS - 1, SECOND, &v), "which is shown");
    is_str(v.name, "other", "as other");

    memset(name, 'x', sizeof(name));
    g = mg_gate_find(gates, mg_str_n(name, sizeof(name)));
    ok(g != NULL, "a long name is cut");
}


static void
test_bucket(void)
{
    int         n;
    int64_t     now, wait;
    mg_gate_t  *g;

    fresh();
    g = mg_gate_find(gates, mg_str("a"));
    now = 1000 * SECOND;

    for (n = 0; mg_gate_enter(g, &limits, now, &wait) == MG_OK; n++) {
        /* void */
    }

    is_int(n, 10, "a tenth of a minute's at once");
    is_int(wait, 600000, "the next in 0.6 s");
    is_int(mg_gate_enter(g, &limits, now + wait - 1, &wait), MG_AGAIN,
           "not before");
    is_int(wait, 1, "but a microsecond later");
    is_int(mg_gate_enter(g, &limits, now + 600000, &wait), MG_OK, "then");

    for (n = 0, now += SECOND; now < 1061 * SECOND; now += 10000) {
        n += (mg_gate_enter(g, &limits, now, &wait) == MG_OK);
    }

    ok(n >= 99 && n <= 101, "100 in the minute after it: %d", n);

    now += 3600 * SECOND;

    for (n = 0; mg_gate_enter(g, &limits, now, &wait) == MG_OK; n++) {
        /* void */
    }

    is_int(n, 10, "an idle hour saves up no more than a bucket");

    for (n = 0; n < 1000; n++) {
        if (mg_gate_enter(g, &(mg_gate_limits_t) { 0, 3, 0 }, now, &wait)
            != MG_OK)
        {
            break;
        }
    }

    is_int(n, 1000, "no limit");

    fresh();
    g = mg_gate_find(gates, mg_str("slow"));
    is_int(mg_gate_enter(g, &(mg_gate_limits_t) { 1, 3, 0 }, now, &wait),
           MG_OK, "one a minute");
    is_int(mg_gate_enter(g, &(mg_gate_limits_t) { 1, 3, 0 }, now, &wait),
           MG_AGAIN, "is no more than one");
    is_int(wait, 60 * SECOND, "for a minute");
    is_int(mg_gate_enter(g, &limits, now + SECOND, &wait), MG_AGAIN,
           "a higher limit does not forget");
    ok(wait <= 60 * SECOND, "but waits a minute at most");
}


/* Several processes on one slot: together no more than one alone. */

static void
test_workers(void)
{
    int         i, n, status;
    pid_t       pids[4];
    int64_t     wait;
    mg_gate_t  *g;

    fresh();
    g = mg_gate_find(gates, mg_str("shared"));

    for (i = 0; i < 4; i++) {
        pids[i] = fork();

        if (pids[i] == 0) {
            for (n = 0; n < 20000; n++) {
                if (mg_gate_enter(g, &limits, 1000 * SECOND, &wait) == MG_OK)
                {
                    mg_gate_count(g, MG_GATE_OK);
                }
            }

            _exit(0);
        }
    }

    for (i = 0; i < 4; i++) {
        (void) waitpid(pids[i], &status, 0);
    }

    is_int(g->outcomes[MG_GATE_OK], 10, "four processes share one bucket");
}


static void
test_breaker(void)
{
    int              i;
    int64_t          now, wait;
    mg_gate_t       *g;
    mg_gate_view_t   v;

    fresh();
    g = mg_gate_find(gates, mg_str("ill"));
    now = 1000 * SECOND;

    for (i = 0; i < 3; i++) {
        is_int(mg_gate_enter(g, &limits, now, &wait), MG_OK, "closed");
        mg_gate_leave(g, &limits, MG_GATE_FAILED, -1, now);
    }

    is_int(mg_gate_enter(g, &limits, now + 1, &wait), MG_DECLINED,
           "three failures in a row open it");
    ok(wait > 0 && wait <= SECOND, "for a second");
    is_int(g->outcomes[MG_GATE_OPEN], 1, "what it refused is counted");

    now += SECOND;
    is_int(mg_gate_enter(g, &limits, now, &wait), MG_OK, "one may try");
    is_int(mg_gate_enter(g, &limits, now, &wait), MG_DECLINED,
           "a second one not");
    mg_gate_leave(g, &limits, MG_GATE_TIMED_OUT, -1, now);
    is_int(mg_gate_enter(g, &limits, now + SECOND, &wait), MG_DECLINED,
           "the next time it is open for longer");

    now += 2 * SECOND;
    is_int(mg_gate_enter(g, &limits, now, &wait), MG_OK, "then one tries");

    /* the one that tries was killed */

    is_int(mg_gate_enter(g, &limits, now + 31 * SECOND, &wait), MG_OK,
           "another one tries when nothing was heard of it");
    now += 31 * SECOND;
    mg_gate_leave(g, &limits, MG_GATE_REJECTED, -1, now);
    is_int(mg_gate_enter(g, &limits, now, &wait), MG_OK,
           "an answer of any kind closes it");
    is_int(mg_gate_enter(g, &limits, now, &wait), MG_OK, "for everybody");

    for (i = 0; i < 10; i++) {
        mg_gate_leave(g, &limits, MG_GATE_BAD_ANSWER, -1, now);
        mg_gate_leave(g, &limits, MG_GATE_LIMITED, -1, now);
    }

    is_int(mg_gate_enter(g, &limits, now, &wait), MG_OK,
           "a server that answers nonsense is not away");

    for (i = 0; i < 300; i++) {
        mg_gate_leave(g, &limits, MG_GATE_FAILED, -1, now);
    }

    is_int(mg_gate_enter(g, &limits, now, &wait), MG_DECLINED, "open");
    ok(wait <= 32 * SECOND, "the time is bounded");

    for (i = 0; i < MG_GATE_SLOTS; i++) {
        if (mg_gate_view(gates, (unsigned) i, now, &v)) {
            is_int(v.open, 1, "which metrics can show");
        }
    }
}


static void
test_hold(void)
{
    int64_t     now, wait;
    mg_gate_t  *g;

    fresh();
    g = mg_gate_find(gates, mg_str("busy"));
    now = 1000 * SECOND;

    mg_gate_leave(g, &limits, MG_GATE_LIMITED, 7, now);
    is_int(mg_gate_enter(g, &limits, now, &wait), MG_AGAIN, "on hold");
    is_int(wait, 7 * SECOND, "as long as it asked for");

    mg_gate_leave(g, &limits, MG_GATE_FAILED, 2, now);
    is_int(mg_gate_enter(g, &limits, now, &wait), MG_AGAIN, "still");
    is_int(wait, 7 * SECOND, "a shorter one does not cut it");

    mg_gate_leave(g, &limits, MG_GATE_OK, 100, now);
    is_int(mg_gate_enter(g, &limits, now + 7 * SECOND, &wait), MG_OK,
           "one with a 200 means nothing");
}


static void
test_server(void)
{
    int64_t     now, wait;
    mg_gate_t  *g;

    fresh();
    now = 1000 * SECOND;
    g = mg_gate_find(gates, mg_str("moves"));

    is_int(mg_gate_server(g, 5), 0, "the first one is no other");
    mg_gate_leave(g, &limits, MG_GATE_LIMITED, 60, now);
    is_int(mg_gate_server(g, 5), 0, "nor is the same one");
    is_int(mg_gate_enter(g, &limits, now, &wait), MG_AGAIN,
           "its pause goes on");
    is_int(mg_gate_server(g, 7), 1, "another one");
    is_int(mg_gate_enter(g, &limits, now, &wait), MG_OK, "has asked for none");
    is_uint(g->outcomes[MG_GATE_LIMITED], 1, "what has happened is counted");
}


int
main(void)
{
    gates = mmap(NULL, sizeof(mg_gates_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (gates == MAP_FAILED) {
        return 1;
    }

    is_int(sizeof(mg_gate_t) % 64, 0, "slots share no cache line");

    test_slots();
    test_bucket();
    test_workers();
    test_breaker();
    test_hold();
    test_server();

    return done_testing();
}
