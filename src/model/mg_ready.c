/*
 * mg_ready.c: names of the phases, the guess how long they last, and how
 * stale the catalog is.
 *
 * While loading, the time that is left follows from the time that has gone
 * and the progress made in it; where neither says anything, a fixed guess
 * per phase stands in, small enough that a client asks again soon.
 *
 * The gateway's own part of the progress is a fifth where model servers are
 * waited for: they take minutes, it takes seconds.  The phase of both is
 * that of the slower, but it never goes back to connecting.
 *
 * Called by the handlers of readiness in every worker; reads the words of
 * shared memory once each; never blocks.
 */

#include "model/mg_ready.h"


#define MG_READY_ESTIMATE_MAX   600     /* seconds */
#define MG_READY_CONNECTING     10
#define MG_READY_LOADING        5
#define MG_READY_SERVERS        10
#define MG_READY_SERVERS_MAX    3600

/* Percent of the progress that are the gateway's own. */
#define MG_READY_OWN            20


const mg_str_t  mg_phase_names[MG_PHASE_N] = {
    mg_str("connecting"),
    mg_str("loading"),
    mg_str("finalizing"),
    mg_str("ready")
};


static const char  *mg_ready_messages[MG_PHASE_N] = {
    "Waiting for the database",
    "AI models are still loading",
    "AI models are loaded and being published",
    "All systems ready"
};

static const char   mg_ready_trying[] = "AI models are loaded and being tried";


static unsigned mg_ready_servers(const mg_state_t *s, int64_t now_us);
static void mg_ready_write_well(mg_jw_t *w, const mg_state_t *s,
    int64_t now_us);
static void mg_ready_write_wait(mg_jw_t *w, const mg_ready_t *r);
static void mg_ready_age(mg_jw_t *w, const char *key, uint64_t built_us,
    int64_t now_us);


void
mg_ready_phase(mg_state_t *s, mg_phase_e phase)
{
    uint64_t  seen;

    seen = mg_word_get(s->phase);

    while (seen != MG_PHASE_READY
           && !__atomic_compare_exchange_n(&s->phase, &seen, phase, 0,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE))
    {
        /* void */
    }
}


int
mg_ready(const mg_state_t *s)
{
    return mg_word_get(s->phase) == MG_PHASE_READY
           && (!mg_word_get(s->servers_wanted)
               || mg_word_get(s->servers_done));
}


void
mg_ready_look(const mg_state_t *s, int64_t now_us, mg_ready_t *r)
{
    uint64_t  phase, progress;

    r->ready = (mg_ready(s) != 0);

    if (r->ready) {
        r->phase = MG_PHASE_READY;
        r->progress = 100;
        r->seconds = 0;
        r->message = mg_ready_messages[MG_PHASE_READY];
        return;
    }

    phase = mg_word_get(s->phase);
    progress = mg_word_get(s->progress);
    r->phase = (phase < MG_PHASE_N) ? (mg_phase_e) phase
                                    : MG_PHASE_CONNECTING;
    r->seconds = mg_ready_estimate(s, now_us);

    if (!mg_word_get(s->servers_wanted)) {
        r->progress = (unsigned) progress;
        r->message = mg_ready_messages[r->phase];
        return;
    }

    if (r->phase != MG_PHASE_READY) {
        r->progress = (unsigned) progress * MG_READY_OWN / 100;
        r->phase = (r->phase == MG_PHASE_CONNECTING) ? r->phase
                                                     : MG_PHASE_LOADING;
        r->message = mg_ready_messages[r->phase];
        return;
    }

    progress = mg_word_get(s->servers_progress);
    r->progress = MG_READY_OWN
                  + (unsigned) progress * (99 - MG_READY_OWN) / 100;

    if (mg_word_get(s->servers_phase) >= MG_PHASE_FINALIZING) {
        r->phase = MG_PHASE_FINALIZING;
        r->message = mg_ready_trying;

    } else {
        r->phase = MG_PHASE_LOADING;
        r->message = mg_ready_messages[MG_PHASE_LOADING];
    }
}


void
mg_ready_write(mg_jw_t *w, const mg_state_t *s, int64_t now_us,
    mg_ready_t *r)
{
    mg_ready_look(s, now_us, r);

    mg_jw_object(w, NULL);
    mg_jw_z(w, "status", r->ready ? "ready" : "initializing");
    mg_jw_z(w, "message", r->message);
    mg_jw_bool(w, "ready", (int) r->ready);

    if (r->ready) {
        mg_ready_write_well(w, s, now_us);

    } else {
        mg_ready_write_wait(w, r);
    }

    mg_jw_z(w, "database", mg_word_get(s->database_up) ? "up" : "away");

    if (mg_word_get(s->servers_wanted)) {
        mg_jw_int(w, "backends", (int64_t) mg_word_get(s->servers));
        mg_jw_int(w, "backends_ready",
                  (int64_t) mg_word_get(s->servers_ready));
    }

    mg_jw_end_object(w);
}


static void
mg_ready_write_well(mg_jw_t *w, const mg_state_t *s, int64_t now_us)
{
    int64_t  seconds;

    mg_jw_bool(w, "models_loaded", mg_word_get(s->catalog_serial) != 0);
    mg_jw_int(w, "models", (int64_t) mg_word_get(s->catalog_models));
    mg_ready_age(w, "catalog_age_seconds", mg_word_get(s->catalog_built_us),
                 now_us);
    mg_ready_age(w, "routing_age_seconds", mg_word_get(s->routing_built_us),
                 now_us);

    /* what answers of the catalog say by their headers */

    seconds = mg_ready_stale(s, now_us);

    mg_jw_bool(w, "stale", seconds >= 0);

    if (seconds >= 0) {
        mg_jw_int(w, "stale_seconds", seconds);
    }
}


static void
mg_ready_write_wait(mg_jw_t *w, const mg_ready_t *r)
{
    mg_jw_int(w, "progress", (int64_t) r->progress);
    mg_jw_int(w, "estimated_seconds", (int64_t) r->seconds);
    mg_jw_str(w, "phase", mg_phase_names[r->phase]);
    mg_jw_z(w, "type", "initialization");
}


static void
mg_ready_age(mg_jw_t *w, const char *key, uint64_t built_us, int64_t now_us)
{
    int64_t  age;

    if (built_us == 0) {
        mg_jw_null(w, key);
        return;
    }

    age = (now_us - (int64_t) built_us) / 1000000;
    mg_jw_int(w, key, age > 0 ? age : 0);
}


unsigned
mg_ready_estimate(const mg_state_t *s, int64_t now_us)
{
    double    left;
    int64_t   started;
    uint64_t  phase, progress;

    phase = mg_word_get(s->phase);

    if (phase == MG_PHASE_CONNECTING) {
        return MG_READY_CONNECTING;
    }

    if (phase == MG_PHASE_READY && !mg_ready(s)) {
        return mg_ready_servers(s, now_us);
    }

    if (phase != MG_PHASE_LOADING) {
        return 1;
    }

    progress = mg_word_get(s->progress);
    started = (int64_t) mg_word_get(s->started_us);

    if (progress == 0 || started <= 0 || started >= now_us) {
        return MG_READY_LOADING;
    }

    if (progress >= 100) {
        return 1;
    }

    left = (double) (now_us - started) / 1e6 * (double) (100 - progress)
           / (double) progress;

    if (left >= MG_READY_ESTIMATE_MAX) {
        return MG_READY_ESTIMATE_MAX;
    }

    return 1 + (unsigned) left;
}


static unsigned
mg_ready_servers(const mg_state_t *s, int64_t now_us)
{
    int64_t  left, until;

    until = (int64_t) mg_word_get(s->servers_until_us);

    if (until == 0) {
        return MG_READY_SERVERS;
    }

    left = (until - now_us) / 1000000 + 1;

    return left < 1 ? 1 : left > MG_READY_SERVERS_MAX ? MG_READY_SERVERS_MAX
                                                      : (unsigned) left;
}


int64_t
mg_ready_stale(const mg_state_t *s, int64_t now_us)
{
    int64_t  confirmed;

    if (!mg_word_get(s->catalog_stale)) {
        return -1;
    }

    confirmed = (int64_t) mg_word_get(s->catalog_confirmed_us);

    /* a clock that was turned back */

    if (confirmed >= now_us) {
        return 0;
    }

    return (now_us - confirmed) / 1000000;
}
