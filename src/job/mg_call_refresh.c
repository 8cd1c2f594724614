/*
 * mg_call_refresh.c: the catalog is to be renewed, and how that went before.
 *
 *     POST  all or one source -> a job, 202
 *     POST  ?provider=P       -> a job, run here while the client waits: 200
 *                                with its result, or 202 if it takes longer
 *                                or is asked not to be waited for
 *
 * A refresh is a job of kind "sync" in every case: its key lets one run at a
 * time, its row is the truth.  Few calls may run theirs on model_db at once:
 * that pool is for short work.
 *
 * Pool threads; blocks on the database, and on the provider.
 */

#include "job/mg_call_local.h"

#include <unistd.h>

#include "base/mg_time.h"
#include "job/mg_sync.h"


#define MG_REFRESH_HISTORY_DEFAULT   10
#define MG_REFRESH_HISTORY_MAX       100

/* Longer than this nobody waits for a provider. */
#define MG_REFRESH_WAIT_US           INT64_C(15000000)

#define MG_REFRESH_STEP_US           100000

/* Calls of a worker that run their job themselves. */
#define MG_REFRESH_WAITING_MAX       2


static int mg_refresh_ask(mg_call_t *c, mg_sync_ask_t *ask, mg_error_t *e);
static int mg_refresh_ask_source(mg_call_t *c, mg_sync_ask_t *ask,
    mg_error_t *e);
static int mg_refresh_ask_provider(mg_call_t *c, mg_pg_t *db,
    const mg_sync_ask_t *ask, mg_error_t *e);
static int mg_refresh_run(mg_call_t *c, mg_job_t *j, mg_error_t *e);
static int mg_refresh_wait(mg_call_t *c, mg_job_t *j, mg_error_t *e);
static int mg_refresh_job(mg_call_t *c, mg_str_t id, mg_job_t *j,
    mg_error_t *e);
static int mg_refresh_answer(mg_call_t *c, const mg_job_t *j,
    const mg_error_t *busy, mg_error_t *e);
static void mg_refresh_write(mg_jw_t *w, const mg_sync_history_t *h);


static unsigned  mg_refresh_waiting;    /* atomic, of this process */


int
mg_call_refresh_start(mg_call_t *c, mg_error_t *e)
{
    int             rc;
    mg_pg_t        *db;
    mg_job_t        j;
    mg_error_t      busy;
    mg_sync_ask_t   ask;

    if (mg_refresh_ask(c, &ask, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    memset(&j, 0, sizeof(mg_job_t));
    rc = ask.provider.data ? mg_refresh_ask_provider(c, db, &ask, e) : MG_OK;

    if (rc == MG_OK) {
        rc = mg_sync_ask(db, &c->who, &ask, c->arena, &j, e);
    }

    mg_pg_release(db);

    if (rc == MG_OK) {
        c->kick_jobs = 1;
        c->replayed = (j.replayed != 0);

        if (ask.provider.data && !c->respond_async) {
            rc = mg_refresh_run(c, &j, e);
        }

        return rc == MG_OK ? mg_refresh_answer(c, &j, NULL, e) : MG_ERROR;
    }

    if (e->kind != MG_E_CONFLICT || j.id.len == 0) {
        return MG_ERROR;
    }

    /* one that runs already: 409, and which it is */

    busy = *e;
    c->kick_jobs = 1;

    return mg_refresh_answer(c, &j, &busy, e);
}


/* -- what is asked for -- */

static int
mg_refresh_ask(mg_call_t *c, mg_sync_ask_t *ask, mg_error_t *e)
{
    mg_str_t  force;

    memset(ask, 0, sizeof(mg_sync_ask_t));
    ask->provider = mg_call_query(c, "provider");
    force = mg_call_query(c, "force");

    if (force.data) {
        ask->force = mg_str_eq(force, mg_str("true"));

        if (!ask->force && !mg_str_eq(force, mg_str("false"))) {
            return mg_error_set(e, MG_E_INVALID, "force",
                                "force \"%.*s\" is neither true nor false",
                                (int) (force.len > 80 ? 80 : force.len),
                                force.data);
        }
    }

    if (ask->provider.data == NULL) {
        return mg_refresh_ask_source(c, ask, e);
    }

    if (mg_call_query(c, "source").data) {
        return mg_error_set(e, MG_E_INVALID, "source",
                            "give either source or provider: a provider's "
                            "list is a source of its own");
    }

    if (!mg_provider_id_ok(ask->provider)) {
        return mg_error_set(e, MG_E_NOT_FOUND, "provider",
                            "there is no provider \"%.*s\"",
                            (int) (ask->provider.len > 80
                                   ? 80 : ask->provider.len),
                            ask->provider.data);
    }

    return MG_OK;
}


static int
mg_refresh_ask_source(mg_call_t *c, mg_sync_ask_t *ask, mg_error_t *e)
{
    unsigned             n;
    mg_str_t             name;
    mg_refresh_source_t  list[MG_REFRESH_SOURCES_MAX];

    n = mg_refresh_sources(c->env, list);

    if (n == 0) {
        return mg_error_set(e, MG_E_CONFLICT, NULL,
                            "there is nothing to refresh from; set "
                            "model_catalog_source to a file or URL");
    }

    name = mg_call_query(c, "source");

    if (name.data && !mg_refresh_source(c->env, name, &list[0])) {
        return mg_error_set(e, MG_E_INVALID, "source",
                            "source \"%.*s\" is not configured; add it to "
                            "the sources of model_refresh",
                            (int) (name.len > 80 ? 80 : name.len),
                            name.data);
    }

    /* of a single one the key is always the same */

    if (name.data || n == 1) {
        ask->source = list[0].source->name;
    }

    return MG_OK;
}


/* What the job would find out, too late for a good answer. */

static int
mg_refresh_ask_provider(mg_call_t *c, mg_pg_t *db, const mg_sync_ask_t *ask,
    mg_error_t *e)
{
    mg_provider_t  p;

    if (mg_store_provider_get(db, c->who.org_id, ask->provider, c->arena, &p,
                              e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (p.base_url.len && mg_protocol_find(p.protocol)) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_CONFLICT, "provider", "provider \"" MG_STR_FMT
                        "\" cannot be asked for its list: %s",
                        MG_STR_ARG(ask->provider),
                        p.base_url.len ? "its protocol is not known"
                                       : "it has no base_url; set one");
}


/* -- the job, while the client waits -- */

static int
mg_refresh_run(mg_call_t *c, mg_job_t *j, mg_error_t *e)
{
    int       rc;
    unsigned  waiting;

    waiting = __atomic_add_fetch(&mg_refresh_waiting, 1, __ATOMIC_RELAXED);

    rc = (waiting <= MG_REFRESH_WAITING_MAX) ? mg_refresh_wait(c, j, e)
                                             : mg_refresh_job(c, j->id, j, e);

    __atomic_sub_fetch(&mg_refresh_waiting, 1, __ATOMIC_RELAXED);

    return rc;
}


/*
 * Runs the job as often as it is there to be run: an engine may be faster,
 * and another attempt is due only after a while.
 */

static int
mg_refresh_wait(mg_call_t *c, mg_job_t *j, mg_error_t *e)
{
    int64_t  left, until;

    until = mg_mono_us() + MG_REFRESH_WAIT_US;

    for ( ;; ) {
        left = until - mg_mono_us();

        if (left > 0 && j->state == MG_JOB_PENDING
            && mg_engine_run_job(c->env, j->id, c->cancel, left, e)
               == MG_ERROR)
        {
            return MG_ERROR;
        }

        if (mg_refresh_job(c, j->id, j, e) != MG_OK) {
            return MG_ERROR;
        }

        if ((j->state != MG_JOB_PENDING && j->state != MG_JOB_IN_PROGRESS)
            || left <= 0
            || (c->cancel && __atomic_load_n(c->cancel, __ATOMIC_RELAXED)))
        {
            return MG_OK;
        }

        usleep(MG_REFRESH_STEP_US);
    }
}


static int
mg_refresh_job(mg_call_t *c, mg_str_t id, mg_job_t *j, mg_error_t *e)
{
    int       rc;
    mg_pg_t  *db;

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_job_get(db, c->who.org_id, id, c->arena, j, e);
    mg_pg_release(db);

    return rc;
}


/* busy: what is in the way, NULL: nothing. */

static int
mg_refresh_answer(mg_call_t *c, const mg_job_t *j, const mg_error_t *busy,
    mg_error_t *e)
{
    mg_jw_t   w;
    mg_str_t  location;

    location = mg_call_address(c, "/api/v1/jobs/", j->id, "");

    if (j->state == MG_JOB_FAILED || j->state == MG_JOB_CANCELLED) {
        return mg_error_set(e, MG_E_UPSTREAM, NULL, MG_STR_FMT,
                            MG_STR_ARG(j->error));
    }

    if (j->state == MG_JOB_COMPLETED) {
        c->status = 200;

    } else {
        mg_call_created(c, 202, location);
    }

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);

    if (busy) {
        c->status = 409;
        mg_call_write_error(&w, busy);
    }

    mg_jw_str(&w, "id", j->id);
    mg_jw_str(&w, "kind", mg_str("sync"));
    mg_jw_str(&w, "status", mg_job_state_names[j->state]);
    mg_jw_str(&w, "status_url", location);

    if (j->state == MG_JOB_COMPLETED) {
        mg_jw_raw(&w, "result", j->result);
    }

    mg_jw_end_object(&w);

    return MG_OK;
}


/* -- the history -- */

int
mg_call_refresh_status(mg_call_t *c, mg_error_t *e)
{
    int                 rc;
    mg_jw_t             w;
    mg_pg_t            *db;
    unsigned            i, n;
    mg_paging_t         paging;
    mg_sync_history_t  *rows;

    if (mg_call_paging(c, &paging, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_call_query(c, "limit").data == NULL) {
        paging.limit = MG_REFRESH_HISTORY_DEFAULT;
    }

    if (paging.limit > MG_REFRESH_HISTORY_MAX) {
        return mg_error_set(e, MG_E_INVALID, "limit",
                            "limit \"%u\" is not between 1 and %d; give a "
                            "number such as 10", (unsigned) paging.limit,
                            MG_REFRESH_HISTORY_MAX);
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_sync_history(db, mg_call_query(c, "source"),
                               mg_call_query(c, "provider"), paging.limit,
                               c->arena, &rows, &n, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_jw_array(&w, "history");

    for (i = 0; i < n; i++) {
        mg_refresh_write(&w, &rows[i]);
    }

    mg_jw_end_array(&w);
    mg_jw_end_object(&w);

    return MG_OK;
}


static void
mg_refresh_write(mg_jw_t *w, const mg_sync_history_t *h)
{
    mg_jw_object(w, NULL);
    mg_jw_str(w, "id", h->id);
    mg_jw_str(w, "source", h->source);
    mg_jw_str(w, "provider", h->provider);
    mg_jw_str(w, "status", h->status);
    mg_jw_int(w, "added", h->counts.added);
    mg_jw_int(w, "changed", h->counts.changed);
    mg_jw_int(w, "removed", h->counts.removed);
    mg_jw_int(w, "held", h->counts.held);
    mg_jw_int(w, "unchanged", h->counts.unchanged);
    mg_jw_int(w, "failed", h->counts.failed);
    mg_jw_raw(w, "fields", h->fields.data ? h->fields : mg_str("{}"));
    mg_jw_int(w, "providers", h->counts.providers);
    mg_jw_int(w, "models", h->counts.models);
    mg_jw_int(w, "benchmarks", h->counts.benchmarks);
    mg_jw_int(w, "bytes", h->counts.bytes);
    mg_jw_str(w, "etag", h->etag);
    mg_call_write_time(w, "started_at", h->started_at);
    mg_call_write_time(w, "completed_at", h->completed_at);

    if (h->started_at && h->completed_at >= h->started_at) {
        mg_jw_int(w, "duration_ms",
                  (h->completed_at - h->started_at) / 1000);

    } else {
        mg_jw_null(w, "duration_ms");
    }

    mg_jw_str(w, "error", h->error);
    mg_jw_end_object(w);
}
