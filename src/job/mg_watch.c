/*
 * mg_watch.c: the thread that probes.
 *
 *     serial in the zone raised -> open the routing file -> list of pulses,
 *     a run of them a backend -> ask them all -> cells, breakers -> pause
 *
 * The list is a copy, so that no mapping is held while servers are waited
 * for.  A round that takes longer than the interval is followed by the next
 * one at once.  What is in the zone holds for three rounds: should this
 * worker die, or stop probing, addresses are as if nobody had probed them.
 */

#include "job/mg_watch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mg_thread.h"
#include "base/mg_time.h"
#include "client/mg_pulse.h"
#include "model/mg_breaker.h"
#include "snapshot/mg_snap_routing.h"


#define MG_WATCH_MAX         4096       /* addresses */
#define MG_WATCH_STALE       3          /* rounds */
#define MG_WATCH_LOOK_MS     1000       /* for another file */


/* A run of pulses. */
typedef struct {
    char         name[MG_GATE_NAME_MAX];
    size_t       name_len;
    unsigned     first;
    unsigned     n;
    int          down;               /* all of it, in the last round */
} mg_watch_backend_t;


typedef struct {
    const mg_env_t          *env;
    const mg_watch_conf_t   *conf;
    mg_thread_t             *thread;
    uint64_t                 serial;     /* of the file that is listed */
    unsigned                 n;
    unsigned                 n_backends;
    mg_pulse_t              *pulses;
    uint64_t                *keys;       /* of the cells, a pulse each */
    mg_watch_backend_t      *backends;
} mg_watch_t;


static void mg_watch_run(mg_thread_t *t, void *data);
static void mg_watch_list(mg_watch_t *w);
static int mg_watch_room(mg_watch_t *w, const mg_snap_t *s);
static void mg_watch_add(mg_watch_t *w, const mg_routing_backend_t *b);
static void mg_watch_address(const struct sockaddr_storage *ss, char *out,
    size_t size);
static int mg_watch_was_down(const mg_watch_backend_t *old, unsigned n,
    const mg_watch_backend_t *b);
static void mg_watch_judge(mg_watch_t *w, mg_watch_backend_t *b);
static void mg_watch_tell(mg_watch_t *w, mg_watch_backend_t *b, int down);
static void mg_watch_free(mg_watch_t *w);


static mg_watch_t  mg_watch;


int
mg_watch_start(const mg_env_t *env, const mg_watch_conf_t *conf,
    mg_error_t *e)
{
    mg_watch.env = env;
    mg_watch.conf = conf;
    mg_watch.thread = mg_thread_start(mg_watch_run, &mg_watch, e);

    return mg_watch.thread ? MG_OK : MG_ERROR;
}


void
mg_watch_end(void)
{
    if (mg_watch.thread) {
        mg_thread_end(mg_watch.thread);
    }
}


void
mg_watch_stop(void)
{
    if (mg_watch.thread) {
        (void) mg_thread_stop(mg_watch.thread);
        mg_watch.thread = NULL;
    }
}


static void
mg_watch_run(mg_thread_t *t, void *data)
{
    int64_t      begun, rest;
    unsigned     i;
    mg_watch_t  *w = data;

    do {
        begun = mg_mono_us();
        mg_watch_list(w);

        if (w->n
            && mg_pulse_run(w->pulses, w->n, w->conf->timeout_ms,
                            w->env->trusted, mg_thread_flag(t))
               == MG_OK)
        {
            for (i = 0; i < w->n_backends; i++) {
                mg_watch_judge(w, &w->backends[i]);
            }
        }

        /* a new file is looked at before the interval is over */

        do {
            rest = (int64_t) w->conf->interval_ms
                   - (mg_mono_us() - begun) / 1000;
            rest = rest < 1 ? 1 : rest > MG_WATCH_LOOK_MS ? MG_WATCH_LOOK_MS
                                                          : rest;

            if (mg_thread_pause(t, (unsigned) rest)) {
                mg_watch_free(w);
                return;
            }

        } while (mg_mono_us() - begun < w->conf->interval_ms * INT64_C(1000)
                 && mg_word_get(w->env->state->routing_serial) == w->serial);

    } while (1);
}


/* As the file is now; on any failure the old list stays. */

static void
mg_watch_list(mg_watch_t *w)
{
    uint64_t               serial;
    uint32_t               i;
    unsigned               n_old, k;
    mg_snap_t             *snap;
    mg_error_t             e;
    mg_watch_backend_t    *old;
    mg_routing_backend_t   b;

    serial = mg_word_get(w->env->state->routing_serial);

    if (serial == w->serial
        || mg_snap_open(&snap, w->env->state_dir, MG_SNAP_ROUTING, 0, &e)
           != MG_OK)
    {
        return;
    }

    w->serial = serial;

    old = w->backends;
    n_old = w->n_backends;
    w->backends = NULL;

    if (mg_watch_room(w, snap) == MG_OK) {
        for (i = 0; i < mg_routing_backends(snap); i++) {
            mg_routing_backend(snap, i, &b);
            mg_watch_add(w, &b);
        }

        for (k = 0; k < w->n_backends; k++) {
            w->backends[k].down = mg_watch_was_down(old, n_old,
                                                    &w->backends[k]);
        }
    }

    free(old);
    mg_snap_close(snap);
}


static int
mg_watch_room(mg_watch_t *w, const mg_snap_t *s)
{
    uint32_t              i, n, wanted;
    mg_routing_backend_t  b;

    mg_watch_free(w);
    n = mg_routing_backends(s);

    for (i = 0, wanted = 0; i < n; i++) {
        mg_routing_backend(s, i, &b);
        wanted += b.probe.len ? b.n_addrs : 0;
    }

    if (wanted > MG_WATCH_MAX) {
        w->env->log(MG_LOG_WARN, "of %u addresses with a probe the first %d "
                    "are probed", (unsigned) wanted, MG_WATCH_MAX);
        wanted = MG_WATCH_MAX;
    }

    w->pulses = calloc(wanted + 1, sizeof(mg_pulse_t));
    w->keys = calloc(wanted + 1, sizeof(uint64_t));
    w->backends = calloc(n + 1, sizeof(mg_watch_backend_t));

    if (w->pulses == NULL || w->keys == NULL || w->backends == NULL) {
        mg_watch_free(w);
        return MG_ERROR;
    }

    return MG_OK;
}


static void
mg_watch_add(mg_watch_t *w, const mg_routing_backend_t *b)
{
    unsigned             i;
    mg_pulse_t          *p;
    mg_watch_backend_t  *to;

    if (b->probe.len == 0 || b->n_addrs == 0
        || w->n + b->n_addrs > MG_WATCH_MAX
        || b->scheme.len + 3 + b->host_port.len + b->probe.len
           >= MG_PULSE_URL_MAX)
    {
        return;
    }

    to = &w->backends[w->n_backends++];
    to->first = w->n;
    to->n = b->n_addrs;
    to->name_len = mg_gate_name(b->id, b->org_id, to->name);

    for (i = 0; i < b->n_addrs; i++) {
        p = &w->pulses[w->n];

        (void) snprintf(p->url, sizeof(p->url), "%.*s://%.*s%.*s",
                        MG_STR_ARG(b->scheme), MG_STR_ARG(b->host_port),
                        MG_STR_ARG(b->probe));
        mg_watch_address(&b->addrs[i], p->address, sizeof(p->address));

        w->keys[w->n++] = mg_peak_key(b->identity, &b->addrs[i],
                                      b->addr_lens[i]);
    }
}


/* "::HOST:PORT": whatever the URL says, go there. */

static void
mg_watch_address(const struct sockaddr_storage *ss, char *out, size_t size)
{
    char                        host[INET6_ADDRSTRLEN];
    const struct sockaddr_in   *in;
    const struct sockaddr_in6  *in6;

    in = (const struct sockaddr_in *) ss;
    in6 = (const struct sockaddr_in6 *) ss;

    if (ss->ss_family == AF_INET) {
        (void) inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        (void) snprintf(out, size, "::%s:%u", host,
                        (unsigned) ntohs(in->sin_port));

    } else {
        (void) inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        (void) snprintf(out, size, "::[%s]:%u", host,
                        (unsigned) ntohs(in6->sin6_port));
    }
}


static int
mg_watch_was_down(const mg_watch_backend_t *old, unsigned n,
    const mg_watch_backend_t *b)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (old[i].name_len == b->name_len
            && memcmp(old[i].name, b->name, b->name_len) == 0)
        {
            return old[i].down;
        }
    }

    return 0;
}


/* What this round has found of one backend. */

static void
mg_watch_judge(mg_watch_t *w, mg_watch_backend_t *b)
{
    unsigned      i, down, stale;
    uint64_t      now;
    mg_peak_t    *peak;
    mg_pulse_t   *p;

    now = (uint64_t) mg_mono_us() / 1000;
    stale = MG_WATCH_STALE * (w->conf->interval_ms + w->conf->timeout_ms);

    for (i = b->first, down = 0; i < b->first + b->n; i++) {
        p = &w->pulses[i];
        peak = mg_peak_find(w->env->peaks, w->keys[i], now);

        if (peak == NULL) {
            continue;
        }

        if (mg_peak_probed(peak, p->well, w->conf->rise, w->conf->fall,
                           stale, now))
        {
            w->env->log(p->well ? MG_LOG_NOTICE : MG_LOG_WARN,
                        "provider \"%.*s\" at %s is %s: its probe answered "
                        "%d%s%s", (int) b->name_len, b->name,
                        p->address + 2, p->well ? "up" : "down", p->status,
                        p->status ? "" : ", ", p->status ? "" : p->why);
        }

        down += (mg_peak_state(peak, now) == MG_PEAK_DOWN);
    }

    mg_watch_tell(w, b, down == b->n);
}


/* Only what probes have opened is closed by them. */

static void
mg_watch_tell(mg_watch_t *w, mg_watch_backend_t *b, int down)
{
    mg_gate_t            *g;
    mg_gates_t           *gates;
    mg_breaker_limits_t   limits;

    gates = mg_word_get(w->env->backends);

    if (gates == NULL || (!down && !b->down)) {
        return;
    }

    g = mg_gate_find(gates, mg_str_n(b->name, b->name_len));

    if (g == &gates->slots[MG_GATE_SLOTS - 1]) {

        /* what those share that found no slot is nobody's */

        return;
    }

    limits.failures = 1;
    limits.pause_ms = 2 * (w->conf->interval_ms + w->conf->timeout_ms);

    if (mg_breaker_move(&g->breaker,
                        down ? MG_BREAKER_SICK : MG_BREAKER_TRIED_WELL,
                        &limits, (uint64_t) mg_mono_us() / 1000)
        == MG_AGAIN)
    {
        (void) mg_word_add(g->opens, 1);

        w->env->log(MG_LOG_WARN, "no server of provider \"%.*s\" is up, its "
                    "breaker is open", (int) b->name_len, b->name);
    }

    b->down = down;
}


static void
mg_watch_free(mg_watch_t *w)
{
    free(w->pulses);
    free(w->keys);
    free(w->backends);

    w->pulses = NULL;
    w->keys = NULL;
    w->backends = NULL;
    w->n = 0;
    w->n_backends = 0;
}
