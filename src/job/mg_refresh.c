/*
 * mg_refresh.c: which sources there are, and when each one is due.
 *
 *     history of a source -> due? -> job "sync:SOURCE", after row R
 *
 * A source is due an interval after its last row began, and a little later:
 * by a share of the jitter that is drawn from the row's id, so that all
 * nodes come to the same time and no two installations do.  After failures
 * it is due sooner, then later and later, but never later than usual.
 *
 * Several nodes may find a source due at once: the key lets one job be made,
 * and one that was made a moment too late finds another row than R in the
 * history and ends without asking (mg_job_sync.c).
 *
 * Called by the keeper on a thread of worker 0; blocks on the database.
 */

#include "job/mg_refresh.h"

#include "base/mg_hash.h"
#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "job/mg_engine.h"
#include "job/mg_sync.h"


#define MG_REFRESH_SECOND      INT64_C(1000000)

/* How often the history is looked at, at most. */
#define MG_REFRESH_LOOK        (15 * MG_REFRESH_SECOND)
#define MG_REFRESH_RETAIN      (3600 * MG_REFRESH_SECOND)

/* After the first failure: this share of the interval, doubled each time. */
#define MG_REFRESH_SOON        16
#define MG_REFRESH_SOON_MIN    (30 * MG_REFRESH_SECOND)

/* A row that far ahead was written by a clock that is wrong. */
#define MG_REFRESH_AHEAD       (300 * MG_REFRESH_SECOND)


static int mg_refresh_all(const mg_env_t *env, mg_pg_t *db, mg_arena_t *a,
    mg_error_t *e);
static int mg_refresh_one(const mg_env_t *env, mg_pg_t *db, mg_arena_t *a,
    mg_str_t source, mg_str_t provider, mg_error_t *e);
static int mg_refresh_due(const mg_refresh_conf_t *conf,
    const mg_sync_history_t *rows, unsigned n, int64_t now);
static int mg_refresh_retain(const mg_env_t *env, mg_refresh_round_t *r,
    mg_pg_t *db, mg_error_t *e);


/* -- configuration -- */

static const mg_refresh_conf_t  mg_refresh_defaults = {
    .interval_s = 3600,
    .jitter_s = 600,
    .shrink = 20,
    .history_days = 90,
    .gone_days = 30,
    .failures = 5,
    .pause_ms = 60000,
    .timeout_ms = 120000
};


void
mg_refresh_conf_init(mg_refresh_conf_t *conf)
{
    *conf = mg_refresh_defaults;
}


const mg_refresh_conf_t *
mg_refresh_conf(const mg_env_t *env)
{
    return env->refresh ? env->refresh : &mg_refresh_defaults;
}


unsigned
mg_refresh_sources(const mg_env_t *env, mg_refresh_source_t *list)
{
    unsigned                  i, n;
    const mg_refresh_conf_t  *conf;

    conf = mg_refresh_conf(env);

    if (conf->n_sources == 0) {
        return (unsigned) mg_refresh_source(env,
                                            mg_str(MG_REFRESH_MODELS_DEV),
                                            &list[0]);
    }

    for (n = 0, i = 0; i < conf->n_sources; i++) {
        n += (unsigned) mg_refresh_source(env, conf->sources[i].source->name,
                                          &list[n]);
    }

    return n;
}


int
mg_refresh_source(const mg_env_t *env, mg_str_t name, mg_refresh_source_t *s)
{
    unsigned                  i;
    const mg_refresh_conf_t  *conf;

    conf = mg_refresh_conf(env);

    for (i = 0; i < conf->n_sources; i++) {
        if (mg_str_eq(conf->sources[i].source->name, name)
            && conf->sources[i].from)
        {
            *s = conf->sources[i];
            return 1;
        }
    }

    /* where models.dev is has a directive of its own */

    s->source = mg_source_find(mg_str(MG_REFRESH_MODELS_DEV));
    s->from = env->catalog_source;

    return s->source && s->from && s->from[0] && mg_str_eq(s->source->name,
                                                           name);
}


/* -- the schedule -- */

int
mg_refresh_round(const mg_env_t *env, mg_refresh_round_t *r, mg_pg_t *db,
    mg_error_t *e)
{
    int                       rc;
    int64_t                   look, now;
    mg_arena_t               *a;
    const mg_refresh_conf_t  *conf;

    conf = mg_refresh_conf(env);

    if (mg_refresh_retain(env, r, db, e) != MG_OK) {
        return MG_ERROR;
    }

    if (!conf->on) {
        return MG_OK;
    }

    now = mg_mono_us();
    look = (int64_t) conf->interval_s * MG_REFRESH_SECOND / 4;

    if (r->looked_us != 0
        && now - r->looked_us < (look < MG_REFRESH_LOOK ? look
                                                        : MG_REFRESH_LOOK))
    {
        return MG_OK;
    }

    a = mg_arena_create(0);
    if (a == NULL) {
        return MG_OK;
    }

    r->looked_us = now;
    rc = mg_refresh_all(env, db, a, e);
    mg_arena_destroy(a);

    return rc;
}


/* Asks for all that is due: sources, then providers' own lists. */

static int
mg_refresh_all(const mg_env_t *env, mg_pg_t *db, mg_arena_t *a,
    mg_error_t *e)
{
    unsigned              i, n;
    mg_lister_t          *listers;
    mg_refresh_source_t   list[MG_REFRESH_SOURCES_MAX];
    const mg_protocol_t  *protocol;

    n = mg_refresh_sources(env, list);

    for (i = 0; i < n; i++) {
        if (mg_refresh_one(env, db, a, list[i].source->name, mg_str_null, e)
            != MG_OK)
        {
            return MG_ERROR;
        }
    }

    if (!mg_refresh_conf(env)->providers) {
        return MG_OK;
    }

    if (mg_store_listers(db, mg_str(MG_ORG_DEFAULT), a, &listers, &n, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    for (i = 0; i < n; i++) {
        protocol = mg_protocol_find(listers[i].protocol);

        if (protocol && protocol->list
            && mg_refresh_one(env, db, a, protocol->name, listers[i].id, e)
               != MG_OK)
        {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


/* provider {NULL, 0}: the source itself. */

static int
mg_refresh_one(const mg_env_t *env, mg_pg_t *db, mg_arena_t *a,
    mg_str_t source, mg_str_t provider, mg_error_t *e)
{
    mg_job_t            j;
    unsigned            n;
    mg_actor_t          who;
    mg_sync_ask_t       ask;
    mg_sync_history_t  *rows;

    if (mg_store_sync_history(db, source, provider, MG_SYNC_HISTORY, a,
                              &rows, &n, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (!mg_refresh_due(mg_refresh_conf(env), rows, n, mg_now_us())) {
        return MG_OK;
    }

    memset(&ask, 0, sizeof(ask));
    memset(&j, 0, sizeof(j));
    ask.source = provider.data ? mg_str_null : source;
    ask.provider = provider;
    ask.scheduled = 1;
    ask.after = mg_sync_last(rows, n);
    who.org_id = mg_str(MG_ORG_DEFAULT);
    who.token_id = mg_str_null;
    who.once = NULL;
    who.webhook = mg_str_null;

    /* one that runs already is as good */

    if (mg_sync_ask(db, &who, &ask, a, &j, e) != MG_OK
        && e->kind != MG_E_CONFLICT)
    {
        return MG_ERROR;
    }

    return MG_OK;
}


static int
mg_refresh_due(const mg_refresh_conf_t *conf, const mg_sync_history_t *rows,
    unsigned n, int64_t now)
{
    int64_t   jitter, wait, soon;
    unsigned  failed;

    if (n == 0 || rows[0].started_at > now + MG_REFRESH_AHEAD) {
        return 1;
    }

    for (failed = 0; failed < n; failed++) {
        if (!mg_str_eq(rows[failed].status, mg_str("failed"))) {
            break;
        }
    }

    wait = (int64_t) conf->interval_s * MG_REFRESH_SECOND;

    if (failed > 0) {
        soon = wait / MG_REFRESH_SOON;

        if (soon < MG_REFRESH_SOON_MIN) {
            soon = MG_REFRESH_SOON_MIN;
        }

        soon <<= (failed < 8 ? failed - 1 : 7);
        wait = soon < wait ? soon : wait;
    }

    jitter = (int64_t) conf->jitter_s * MG_REFRESH_SECOND;

    if (jitter > 0) {
        jitter = (int64_t) (mg_sum64(rows[0].id.data, rows[0].id.len)
                            % (uint64_t) jitter);
    }

    return now >= rows[0].started_at + wait + jitter;
}


static int
mg_refresh_retain(const mg_env_t *env, mg_refresh_round_t *r, mg_pg_t *db,
    mg_error_t *e)
{
    int64_t                   now, removed;
    const mg_refresh_conf_t  *conf;

    now = mg_mono_us();
    conf = mg_refresh_conf(env);

    if (r->retained_us != 0 && now - r->retained_us < MG_REFRESH_RETAIN) {
        return MG_OK;
    }

    r->retained_us = now;
    removed = 0;

    if (mg_store_catalog_retain(db, conf->history_days, conf->gone_days,
                                &removed, e)
        != MG_OK)
    {
        if (e->kind == MG_E_UNAVAILABLE) {
            r->retained_us = 0;
            return MG_ERROR;
        }

        env->log(MG_LOG_ERROR, "what is too old in the catalog could not be "
                 "removed: %s", e->message);
        return MG_OK;
    }

    if (removed > 0) {
        env->log(MG_LOG_NOTICE, "%d models that no source has listed for %u "
                 "days were removed", (int) removed, conf->gone_days);
    }

    return MG_OK;
}
