/*
 * mg_job_sync.c: sources and providers' lists into the database.
 *
 *     payload -> parts -> each: read -> staging tables -> compare, merge
 *
 * Each source is one transaction of its own; nothing of a document is
 * visible before the commit, and whatever goes wrong on the way rolls back
 * and leaves the old rows, with a row in the history that says why.  What a
 * source no longer lists is given up only if the document was complete,
 * nearly all of its entries were readable, and not too much is missing at
 * once: a broken source must not empty the catalog.
 *
 * A source that was read before is asked whether anything is new (ETag),
 * unless the job is to force it.  What a source is to blame for is not tried
 * again by the engine: that has been done where it was asked (mg_fetch.h).
 * The database's troubles are.
 *
 * Called by the engine on a model_jobs thread; blocks.
 */

#include "job/mg_sync.h"

#include <poll.h>

#include "base/mg_time.h"


/* Reasons that are logged and kept in the result; all are counted. */
#define MG_SYNC_REASONS_MAX    20

/* More unreadable entries than one in so many: vanished models stay. */
#define MG_SYNC_FAILED_SHARE   20

/* Share of the progress bar that reading takes; the rest is the commit. */
#define MG_SYNC_READ_PERCENT   80

/* How often, and ms in between, a row about a failure is tried to be left. */
#define MG_SYNC_TRIES          20
#define MG_SYNC_PAUSE          100


/* What came of all parts; the members of one are in mg_sync_members(). */
typedef struct {
    mg_run_t           *run;
    mg_sync_ask_t       ask;
    mg_http_t          *http;
    mg_buf_t            out;
    mg_jw_t             writer;
    mg_sync_counts_t    sum;
    int64_t             began_us;
    int                 parts;
    int                 done;
    unsigned            held:1;
    mg_error_t          failure;         /* the first one */
} mg_sync_job_t;


static int mg_sync_plan(mg_sync_job_t *job, mg_refresh_source_t *list,
    unsigned *n, mg_error_t *e);
static int mg_sync_part(mg_sync_job_t *job, const mg_refresh_source_t *from,
    mg_error_t *e);
static int mg_sync_part_open(mg_sync_t *s, mg_error_t *e);
static int mg_sync_part_provider(mg_sync_t *s, mg_error_t *e);
static int mg_sync_history(mg_sync_t *s, mg_error_t *e);
static int mg_sync_commit(mg_sync_t *s, mg_error_t *e);
static void mg_sync_abort(mg_sync_t *s, const mg_error_t *why);
static void mg_sync_lost(mg_sync_t *s, const char *why);
static int mg_sync_store_again(mg_sync_t *s);
static void mg_sync_part_done(mg_sync_job_t *job, mg_sync_t *s, int rc,
    mg_error_t *e);
static void mg_sync_members(mg_jw_t *w, const mg_sync_counts_t *c,
    int64_t began_us, int held);


/* -- what the readers share -- */

void
mg_sync_skipped(void *ctx, mg_str_t id, const char *reason)
{
    mg_sync_t   *s = ctx;
    mg_error_t   clean;

    if (s->counts.failed++ >= MG_SYNC_REASONS_MAX) {
        return;
    }

    /* the id comes from outside: no control characters into the log */

    mg_error_set(&clean, MG_E_INVALID, NULL, "\"" MG_STR_FMT "\": %s",
                 (int) (id.len < 300 ? id.len : 300), id.data, reason);

    s->run->env->log(MG_LOG_WARN, "sync of " MG_STR_FMT ": entry %s",
                     MG_STR_ARG(s->scope.source), clean.message);

    mg_jw_z(&s->writer, NULL, clean.message);
}


int
mg_sync_store(mg_sync_t *s, mg_error_t *e)
{
    if (s->db == NULL) {
        s->db = mg_pg_checkout_job(s->run->env->db, e);
    }

    if (s->db && s->store == NULL) {
        s->store = mg_store_sync_begin(s->db, &s->scope, e);
    }

    return s->store ? MG_OK : MG_ERROR;
}


void
mg_sync_progress(mg_sync_t *s, int percent)
{
    if (percent > 100) {
        percent = 100;
    }

    s->run->progress = (s->part * 100 + percent * MG_SYNC_READ_PERCENT / 100)
                       / s->parts;
}


int
mg_sync_tick(void *ctx, mg_error_t *e)
{
    mg_sync_t  *s = ctx;

    if (mg_run_stop(s->run, e) == MG_OK) {
        return MG_OK;
    }

    s->ours = 1;

    return MG_ERROR;
}


void
mg_sync_fetch_init(mg_sync_t *s, mg_fetch_t *f, mg_str_t name,
    int64_t per_minute)
{
    const mg_refresh_conf_t  *conf;

    conf = mg_refresh_conf(s->run->env);

    memset(f, 0, sizeof(mg_fetch_t));
    f->http = s->http;
    f->name = name;
    f->gate = mg_gate_find(s->run->env->gates, name);
    f->limits.per_minute = (conf->per_minute && s->from.source)
                           ? conf->per_minute : (unsigned) per_minute;
    f->limits.failures = conf->failures;
    f->limits.open_ms = conf->pause_ms;
    f->tick = mg_sync_tick;
    f->ctx = s;
}


void
mg_sync_etag(mg_sync_t *s, mg_str_t etag)
{
    if (etag.len > MG_SYNC_ETAG_MAX) {
        return;
    }

    if (etag.len) {
        memcpy(s->etag, etag.data, etag.len);
    }

    s->etag[etag.len] = '\0';

    if (s->store) {
        mg_store_sync_etag(s->store, mg_str_z(s->etag));
    }
}


/* -- the job -- */

int
mg_job_sync(mg_run_t *run, mg_error_t *e)
{
    int                  rc;
    unsigned             i, n;
    mg_sync_job_t        job;
    mg_refresh_source_t  list[MG_REFRESH_SOURCES_MAX];

    memset(&job, 0, sizeof(job));
    job.run = run;
    job.began_us = mg_now_us();

    if (mg_sync_plan(&job, list, &n, e) != MG_OK) {
        return MG_ERROR;
    }

    job.http = mg_http_create(1, NULL);
    if (job.http == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    mg_buf_init(&job.out, 0);
    mg_jw_init(&job.writer, &job.out);
    mg_jw_object(&job.writer, NULL);

    if (n > 1) {
        mg_jw_array(&job.writer, "sources");
    }

    for (rc = MG_OK, i = 0; rc == MG_OK && i < n; i++) {
        rc = mg_sync_part(&job, &list[i], e);
    }

    if (n > 1) {
        mg_jw_end_array(&job.writer);
        mg_sync_members(&job.writer, &job.sum, job.began_us, job.held);
    }

    mg_jw_end_object(&job.writer);

    if (!job.out.failed) {
        run->result = mg_arena_dup(run->arena, mg_buf_view(&job.out));
    }

    mg_buf_free(&job.out);
    mg_http_destroy(job.http);

    /* one source that failed keeps none of the others from being read */

    if (rc == MG_OK && job.failure.kind != MG_E_NONE) {
        *e = job.failure;
        rc = MG_ERROR;
    }

    return rc;
}


/* The parts: sources of the configuration, or one without a source. */

static int
mg_sync_plan(mg_sync_job_t *job, mg_refresh_source_t *list, unsigned *n,
    mg_error_t *e)
{
    const mg_env_t  *env;

    env = job->run->env;

    if (mg_sync_ask_parse(job->run->arena, job->run->job.payload, &job->ask,
                          e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (job->ask.provider.data) {
        memset(&list[0], 0, sizeof(mg_refresh_source_t));
        *n = 1;

    } else if (job->ask.source.data) {
        *n = (unsigned) mg_refresh_source(env, job->ask.source, &list[0]);

    } else {
        *n = mg_refresh_sources(env, list);
    }

    job->parts = (int) *n;

    if (*n > 0) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, "source", "source \"" MG_STR_FMT
                        "\" is not configured; set model_catalog_source, or "
                        "name it in model_refresh",
                        MG_STR_ARG(job->ask.source));
}


/* MG_ERROR: the job ends, too. */

static int
mg_sync_part(mg_sync_job_t *job, const mg_refresh_source_t *from,
    mg_error_t *e)
{
    int        rc;
    mg_sync_t  s;

    memset(&s, 0, sizeof(s));
    s.run = job->run;
    s.ask = &job->ask;
    s.http = job->http;
    s.from = *from;
    s.part = job->done;
    s.parts = job->parts;
    s.started_at = mg_now_us();
    mg_buf_init(&s.reasons, 64 * 1024);
    mg_jw_init(&s.writer, &s.reasons);
    mg_jw_array(&s.writer, NULL);

    rc = mg_sync_part_open(&s, e);

    if (rc == MG_OK) {
        rc = s.from.source ? mg_sync_read(&s, e) : mg_sync_list(&s, e);

        if (rc == MG_OK) {
            rc = mg_sync_commit(&s, e);

        } else if (!s.ours
                   && (e->kind == MG_E_UNAVAILABLE
                       || e->kind == MG_E_TIMEOUT))
        {
            e->kind = MG_E_UPSTREAM;
        }
    }

    if (rc == MG_ERROR) {
        mg_sync_abort(&s, e);
    }

    mg_sync_part_done(job, &s, rc, e);

    if (s.db) {
        mg_pg_release(s.db);
    }

    if (s.target) {
        mg_target_close(s.target);
    }

    mg_buf_free(&s.reasons);

    /* what is left is only tried if this is not everybody's trouble */

    return (rc == MG_ERROR && s.ours && e->kind != MG_E_CONFLICT) ? MG_ERROR
                                                                  : MG_OK;
}


/* MG_DECLINED: another node has done it meanwhile. */

static int
mg_sync_part_open(mg_sync_t *s, mg_error_t *e)
{
    int                       rc;
    const mg_refresh_conf_t  *conf;

    conf = mg_refresh_conf(s->run->env);
    s->ours = 1;

    s->scope.shrink = conf->shrink;
    s->scope.force = s->ask->force;
    s->db = mg_pg_checkout_job(s->run->env->db, e);

    if (s->db == NULL) {
        return MG_ERROR;
    }

    if (s->from.source) {
        s->scope.source = s->from.source->name;
        s->scope.rank = s->from.source->rank;
        s->scope.creates = s->from.source->creates;
        s->scope.authority = s->from.source->authority;
        s->scope.labs = s->from.source->labs;

    } else if (mg_sync_part_provider(s, e) != MG_OK) {
        return MG_ERROR;
    }

    rc = mg_sync_history(s, e);

    /* nothing is held while the source is asked */

    mg_pg_release(s->db);
    s->db = NULL;

    if (rc == MG_OK) {
        s->ours = 0;
    }

    return rc;
}


static int
mg_sync_part_provider(mg_sync_t *s, mg_error_t *e)
{
    mg_str_t     org;
    mg_arena_t  *a;

    a = s->run->arena;
    org = s->run->job.org_id;
    s->scope.provider = s->ask->provider;
    s->scope.source = mg_str("provider");

    if (mg_store_provider_get(s->db, org, s->ask->provider, a, &s->provider,
                              e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    s->target = mg_arena_alloc(a, sizeof(mg_target_t));
    if (s->target == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    if (mg_target_open(s->run->env, org, &s->provider, a, s->target, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    s->scope.source = s->target->probe.protocol->name;
    s->scope.rank = MG_RANK_PROVIDER;
    s->scope.creates = 1;
    s->scope.authority = s->target->probe.protocol->authority;

    if (s->target->probe.protocol->list) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, "provider", "provider \"" MG_STR_FMT
                        "\" speaks " MG_STR_FMT ", which has no list of "
                        "models", MG_STR_ARG(s->scope.provider),
                        MG_STR_ARG(s->scope.source));
}


/* What was read last: whether to go on, and the etag to ask with. */

static int
mg_sync_history(mg_sync_t *s, mg_error_t *e)
{
    unsigned            i, n;
    mg_str_t            last;
    mg_sync_history_t  *rows;

    if (mg_store_sync_history(s->db, s->scope.source, s->scope.provider,
                              MG_SYNC_HISTORY, s->run->arena, &rows, &n, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    last = mg_sync_last(rows, n);

    if (s->ask->scheduled && !mg_str_eq(last, s->ask->after)) {
        s->status = "skipped";
        return MG_DECLINED;
    }

    for (i = 0; i < n && !mg_str_eq(rows[i].id, last); i++) {
        /* void */
    }

    /* what was held is looked at again each time */

    if (i < n && !s->ask->force && rows[i].counts.held == 0
        && rows[i].etag.len <= MG_SYNC_ETAG_MAX && rows[i].etag.len > 0)
    {
        memcpy(s->known, rows[i].etag.data, rows[i].etag.len);
    }

    return MG_OK;
}


static int
mg_sync_commit(mg_sync_t *s, mg_error_t *e)
{
    int               rc;
    mg_store_sync_t  *store;

    s->ours = 1;

    if (s->unchanged) {
        s->status = "unchanged";
        s->scope.etag = mg_str_z(s->known);

        if (s->db == NULL) {
            s->db = mg_pg_checkout_job(s->run->env->db, e);
        }

        rc = s->db ? mg_store_sync_unchanged(s->db, &s->scope, s->started_at,
                                             e)
                   : MG_ERROR;

    } else {
        if (mg_run_stop(s->run, e) != MG_OK || mg_sync_store(s, e) != MG_OK)
        {
            return MG_ERROR;
        }

        if (s->counts.failed * MG_SYNC_FAILED_SHARE > s->counts.models) {
            s->unread = 1;
            s->run->env->log(MG_LOG_WARN, "sync of " MG_STR_FMT ": %d of %d "
                             "entries could not be read, models that are "
                             "missing stay active",
                             MG_STR_ARG(s->scope.source),
                             (int) s->counts.failed,
                             (int) (s->counts.models + s->counts.failed));
        }

        /* freed by the commit in every case */

        store = s->store;
        s->store = NULL;
        s->status = "completed";
        rc = mg_store_sync_commit(store, !s->unread, s->started_at,
                                  &s->counts, e);
    }

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    s->run->progress = (s->part + 1) * 100 / s->parts;

    if (s->counts.held) {
        s->run->env->log(MG_LOG_WARN, "sync of " MG_STR_FMT ": %d models are "
                         "missing, which is more than %u %% of a provider's; "
                         "they stay active until they are listed again or a "
                         "refresh is forced", MG_STR_ARG(s->scope.source),
                         (int) s->counts.held, s->scope.shrink);
    }

    if (s->from.source) {
        mg_word_set(s->run->env->state->last_sync_us,
                    (uint64_t) mg_now_us());
    }

    return MG_OK;
}


/* A connection that was lost takes with it what was begun on it. */

static void
mg_sync_lost(mg_sync_t *s, const char *why)
{
    mg_error_t  e;

    if (s->db == NULL || mg_pg_exec(s->db, "select 1", NULL, NULL, &e)
                         == MG_OK)
    {
        return;
    }

    if (s->store) {
        mg_store_sync_abort(s->store, s->started_at, &s->counts, why);
        s->store = NULL;
    }

    mg_pg_release(s->db);
    s->db = NULL;
}


/*
 * Rolls back and leaves a row in the history.  A commit that failed has
 * taken the transaction with it: the row needs a new one.  A job that is
 * handed over leaves none: it goes on elsewhere.
 */

static void
mg_sync_abort(mg_sync_t *s, const mg_error_t *why)
{
    const char  *words;

    words = why->message;

    if (s->run->lost
        || (why->kind == MG_E_CANCELLED
            && mg_run_outcome(s->run, MG_ERROR, why) == MG_JOB_PENDING))
    {
        words = NULL;
    }

    if (why->kind != MG_E_CONFLICT) {
        mg_sync_lost(s, words);
    }

    if (s->store == NULL
        && (words == NULL || why->kind == MG_E_CONFLICT
            || mg_sync_store_again(s) != MG_OK))
    {
        return;
    }

    mg_store_sync_abort(s->store, s->started_at, &s->counts, words);
    s->store = NULL;
}


/*
 * When a connection was lost the pool opens no other for a second; a database
 * that is there again by then is to have the row.
 */

static int
mg_sync_store_again(mg_sync_t *s)
{
    unsigned    i;
    mg_error_t  e;

    for (i = 0; mg_sync_store(s, &e) != MG_OK; i++) {
        if (s->db) {
            mg_pg_release(s->db);
            s->db = NULL;
        }

        if (i == MG_SYNC_TRIES || e.kind != MG_E_UNAVAILABLE
            || mg_run_stop(s->run, &e) != MG_OK)
        {
            return MG_ERROR;
        }

        (void) poll(NULL, 0, MG_SYNC_PAUSE);
    }

    return MG_OK;
}


/* -- the result -- */

static void
mg_sync_part_done(mg_sync_job_t *job, mg_sync_t *s, int rc, mg_error_t *e)
{
    mg_jw_t  *w;

    if (rc == MG_OK) {
        mg_metric_add(s->run->env->metrics, SYNC_RUNS, 1);

    } else if (rc == MG_ERROR) {
        s->status = (e->kind == MG_E_CANCELLED) ? "cancelled" : "failed";

        if (e->kind != MG_E_CANCELLED) {
            mg_metric_add(s->run->env->metrics, SYNC_FAILED, 1);
        }

        if (job->failure.kind == MG_E_NONE) {
            job->failure = *e;
        }
    }

    w = &job->writer;

    if (job->parts > 1) {
        mg_jw_object(w, NULL);
    }

    mg_jw_str(w, "source", s->scope.source);
    mg_jw_str(w, "provider", s->scope.provider);
    mg_jw_z(w, "status", s->status);
    mg_sync_members(w, &s->counts, s->started_at,
                    s->unread || s->counts.held);
    mg_jw_end_array(&s->writer);
    mg_jw_raw(w, "reasons", s->reasons.failed ? mg_str("[]")
                                              : mg_buf_view(&s->reasons));

    if (rc == MG_ERROR) {
        mg_jw_z(w, "error", e->message);
    }

    if (job->parts > 1) {
        mg_jw_end_object(w);
    }

    job->done++;
    job->held |= (s->unread || s->counts.held);
    job->sum.providers += s->counts.providers;
    job->sum.models += s->counts.models;
    job->sum.benchmarks += s->counts.benchmarks;
    job->sum.added += s->counts.added;
    job->sum.changed += s->counts.changed;
    job->sum.removed += s->counts.removed;
    job->sum.held += s->counts.held;
    job->sum.unchanged += s->counts.unchanged;
    job->sum.failed += s->counts.failed;
    job->sum.bytes += s->counts.bytes;

    mg_metric_add(s->run->env->metrics, TRANSFORM_ENTRIES,
                  (uint64_t) (s->counts.models + s->counts.failed));
    mg_metric_add(s->run->env->metrics, TRANSFORM_ERRORS,
                  (uint64_t) s->counts.failed);
}


static void
mg_sync_members(mg_jw_t *w, const mg_sync_counts_t *c, int64_t began_us,
    int held)
{
    unsigned  i;

    const struct {
        const char  *name;
        int64_t      value;
    } members[] = {
        { "providers", c->providers },
        { "models", c->models },
        { "benchmarks", c->benchmarks },
        { "added", c->added },
        { "changed", c->changed },
        { "removed", c->removed },
        { "held", c->held },
        { "unchanged", c->unchanged },
        { "failed", c->failed },
        { "bytes", c->bytes },
        { "duration_ms", (mg_now_us() - began_us) / 1000 }
    };

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        mg_jw_int(w, members[i].name, members[i].value);
    }

    mg_jw_bool(w, "removals_held", held);
}
