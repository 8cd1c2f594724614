/*
 * mg_call_job.c: jobs of every kind, listed, shown and cancelled.
 *
 * What makes them is elsewhere: mg_call_refresh.c, mg_call_validation.c.
 *
 * Pool threads; blocks on the database.
 */

#include "job/mg_call_local.h"


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
