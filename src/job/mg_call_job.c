/*
 * mg_call_job.c: jobs of every kind, listed, shown and cancelled.
 *
 * What makes them is elsewhere: mg_call_refresh.c, mg_call_validation.c,
 * mg_call_retain.c.
 *
 * Pool threads; blocks on the database.
 */

#include "job/mg_call_local.h"

#include <stdio.h>

#include "base/mg_time.h"
#include "job/mg_engine.h"


static int mg_job_filter(const mg_call_t *c, mg_job_filter_t *f,
    mg_error_t *e);
static int mg_job_filter_kind(mg_str_t kind, mg_error_t *e);
static int mg_job_filter_state(const mg_call_t *c, int *n, mg_error_t *e);
static int mg_job_unknown(const char *name, mg_str_t value,
    const char *known, mg_error_t *e);


int
mg_call_job_list(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_jw_t           w;
    mg_pg_t          *db;
    mg_job_t         *rows;
    unsigned          i, n;
    mg_paging_t       paging;
    mg_job_filter_t   filter;

    if (mg_job_filter(c, &filter, e) != MG_OK
        || mg_call_paging(c, &paging, e) != MG_OK)
    {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_job_list(db, c->who.org_id, &filter, &paging, c->arena,
                           &rows, &n, e);
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


static int
mg_job_filter(const mg_call_t *c, mg_job_filter_t *f, mg_error_t *e)
{
    mg_str_t  since;

    memset(f, 0, sizeof(mg_job_filter_t));
    f->kind = mg_call_query(c, "kind");
    f->key = mg_call_query(c, "key");

    if (mg_job_filter_kind(f->kind, e) != MG_OK
        || mg_job_filter_state(c, &f->state, e) != MG_OK)
    {
        return MG_ERROR;
    }

    since = mg_call_query(c, "since");

    if (since.data && mg_time_parse(since, &f->since) != MG_OK) {
        return mg_error_set(e, MG_E_INVALID, "since",
                            "since \"%.*s\" is no time; give one such as "
                            "2026-06-14T00:00:00Z",
                            (int) (since.len > 80 ? 80 : since.len),
                            since.data);
    }

    return MG_OK;
}


static int
mg_job_filter_kind(mg_str_t kind, mg_error_t *e)
{
    size_t    n;
    char      known[160];
    unsigned  i;

    n = 0;

    for (i = 0; kind.data && mg_job_kinds[i].handler; i++) {
        if (mg_str_eq(mg_job_kinds[i].kind, kind)) {
            return MG_OK;
        }

        if (n < sizeof(known)) {
            n += (size_t) snprintf(known + n, sizeof(known) - n,
                                   ", " MG_STR_FMT,
                                   MG_STR_ARG(mg_job_kinds[i].kind));
        }
    }

    return kind.data ? mg_job_unknown("kind", kind, known, e) : MG_OK;
}


/* -1: of any. */

/* As the member is called that it is about, or as the column. */

static int
mg_job_filter_state(const mg_call_t *c, int *n, mg_error_t *e)
{
    mg_str_t     state, column;
    const char  *name;

    name = "status";
    state = mg_call_query(c, name);
    column = mg_call_query(c, "state");

    if (state.data && column.data) {
        return mg_error_set(e, MG_E_INVALID, "state", "status and state are "
                            "two names of one thing; give one of them");
    }

    if (column.data) {
        name = "state";
        state = column;
    }

    *n = state.data ? mg_job_state_find(state) : -1;

    if (state.data && *n < 0) {
        return mg_job_unknown(name, state, ", pending, in_progress, "
                              "completed, failed, cancelled", e);
    }

    return MG_OK;
}


/* known: names with a comma before each. */

static int
mg_job_unknown(const char *name, mg_str_t value, const char *known,
    mg_error_t *e)
{
    return mg_error_set(e, MG_E_INVALID, name, "%s \"%.*s\" is not known; "
                        "give one of %s", name,
                        (int) (value.len > 80 ? 80 : value.len), value.data,
                        known + 2);
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
    mg_jw_str(w, "key", j->key);
    mg_jw_str(w, "status", mg_job_state_names[j->state]);
    mg_jw_int(w, "priority", j->priority);

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
    mg_call_write_time(w, "run_after",
                       j->state == MG_JOB_PENDING ? j->run_after : 0);
    mg_call_write_time(w, "started_at", j->started_at);
    mg_call_write_time(w, "completed_at", j->completed_at);
    mg_call_write_time(w, "last_updated_at", j->updated_at);
    mg_jw_end_object(w);
}
