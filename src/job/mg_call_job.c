/*
 * mg_call_job.c: jobs of every kind, and the refresh of the catalog.
 *
 * A refresh is a job of kind "sync"; its key lets one run at a time.
 *
 * Pool threads; blocks on the database.
 */

#include "job/mg_call_local.h"
#include "job/mg_engine.h"


#define MG_REFRESH_HISTORY_DEFAULT   10
#define MG_REFRESH_HISTORY_MAX       100


static void mg_refresh_write(mg_jw_t *w, const mg_sync_history_t *h);


int
mg_call_job_list(mg_call_t *c, mg_error_t *e)
{
    int           rc;
    mg_jw_t       w;
    mg_pg_t      *db;
    mg_str_t      kind;
    mg_job_t     *rows;
    unsigned      i, n;
    mg_paging_t   paging;

    kind = mg_call_query(c, "kind");

    if (kind.data && !mg_str_eq(kind, mg_str("sync"))
        && !mg_str_eq(kind, mg_str("validate")))
    {
        return mg_error_set(e, MG_E_INVALID, "kind",
                            "kind \"%.*s\" is not known; give sync or "
                            "validate",
                            (int) (kind.len > 80 ? 80 : kind.len), kind.data);
    }

    if (mg_call_paging(c, &paging, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_job_list(db, c->who.org_id, kind, &paging, c->arena, &rows,
                           &n, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_list_begin(c, &w, "jobs");

    for (i = 0; i < n; i++) {
        mg_call_write_job(&w, NULL, &rows[i]);
    }

    mg_call_list_end(&w, &paging);

    return MG_OK;
}


int
mg_call_job_get(mg_call_t *c, mg_error_t *e)
{
    int        rc;
    mg_jw_t    w;
    mg_pg_t   *db;
    mg_job_t   j;
    mg_str_t   id;

    if (mg_call_uuid(c, "id", "job", &id, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_job_get(db, c->who.org_id, id, c->arena, &j, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        mg_call_writer(c, &w);
        mg_call_write_job(&w, NULL, &j);
    }

    return rc;
}


int
mg_call_job_cancel(mg_call_t *c, mg_error_t *e)
{
    int        rc;
    mg_jw_t    w;
    mg_pg_t   *db;
    mg_job_t   j;
    mg_str_t   id;

    if (mg_call_uuid(c, "id", "job", &id, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_job_cancel(db, c->who.org_id, id, c->arena, &j, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        mg_call_created(c, 202, mg_call_address(c, "/api/v1/jobs/", j.id,
                                                ""));
        mg_call_writer(c, &w);
        mg_call_write_job(&w, NULL, &j);
    }

    return rc;
}


void
mg_call_write_job(mg_jw_t *w, const char *key, const mg_job_t *j)
{
    mg_jw_object(w, key);
    mg_jw_str(w, "id", j->id);
    mg_jw_str(w, "kind", j->kind);
    mg_jw_str(w, "status", mg_job_state_names[j->state]);

    if (j->progress < 0) {
        mg_jw_null(w, "progress");

    } else {
        mg_jw_int(w, "progress", j->progress);
    }

    mg_jw_int(w, "attempt", j->attempt);
    mg_jw_int(w, "max_attempts", j->max_attempts);
    mg_jw_bool(w, "cancel_requested", j->cancel_requested);
    mg_jw_raw(w, "payload", j->payload);
    mg_jw_raw(w, "result", j->result);
    mg_jw_str(w, "error", j->error);
    mg_call_write_time(w, "created_at", j->created_at);
    mg_call_write_time(w, "started_at", j->started_at);
    mg_call_write_time(w, "completed_at", j->completed_at);
    mg_call_write_time(w, "last_updated_at", j->updated_at);
    mg_jw_end_object(w);
}


/* -- refresh -- */

int
mg_call_refresh_start(mg_call_t *c, mg_error_t *e)
{
    int        rc;
    mg_jw_t    w;
    mg_pg_t   *db;
    mg_job_t   j;

    if (c->env->catalog_source == NULL) {
        return mg_error_set(e, MG_E_CONFLICT, NULL,
                            "there is nothing to refresh from; set "
                            "model_catalog_source to a file or URL");
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    memset(&j, 0, sizeof(mg_job_t));
    rc = mg_store_job_create(db, &c->who, "sync", mg_str(MG_JOB_KEY_SYNC),
                             mg_str(MG_JOB_PAYLOAD_SYNC), c->arena, &j, e);
    mg_pg_release(db);

    if (rc != MG_OK && (e->kind != MG_E_CONFLICT || j.id.len == 0)) {
        return MG_ERROR;
    }

    mg_call_created(c, 202, mg_call_address(c, "/api/v1/jobs/", j.id, ""));
    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);

    if (rc != MG_OK) {
        c->status = 409;
        mg_call_write_error(&w, e);
    }

    mg_jw_str(&w, "id", j.id);
    mg_jw_str(&w, "kind", mg_str("sync"));
    mg_jw_str(&w, "status", mg_job_state_names[j.state]);
    mg_jw_str(&w, "status_url", c->location);
    mg_jw_end_object(&w);

    c->kick_jobs = 1;

    return MG_OK;
}


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

    rc = mg_store_sync_history(db, paging.limit, c->arena, &rows, &n, e);
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
    mg_jw_str(w, "status", h->status);
    mg_jw_int(w, "added", h->counts.added);
    mg_jw_int(w, "changed", h->counts.changed);
    mg_jw_int(w, "removed", h->counts.removed);
    mg_jw_int(w, "unchanged", h->counts.unchanged);
    mg_jw_int(w, "failed", h->counts.failed);
    mg_jw_int(w, "providers", h->counts.providers);
    mg_jw_int(w, "models", h->counts.models);
    mg_jw_int(w, "bytes", h->counts.bytes);
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
