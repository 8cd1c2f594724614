/*
 * mg_call_validation.c: validations of a provider's models over the API.
 *
 * A run is a row that the job fills while it works; everything here only
 * reads it or asks it to stop.  What makes runs: mg_call_validate.c.
 *
 * Pool threads; blocks on the database.
 */

#include "base/mg_decimal.h"
#include "job/mg_call_local.h"


static int mg_validation_filters(mg_call_t *c, mg_str_t *provider,
    mg_str_t *status, mg_error_t *e);
static int mg_validation_runs(mg_call_t *c, mg_str_t provider, int named,
    mg_str_t status, mg_error_t *e);
static int mg_validation_known(mg_call_t *c, mg_pg_t *db, mg_str_t provider,
    mg_error_t *e);
static int mg_validation_wanted(mg_call_t *c, mg_str_t *result,
    mg_error_t *e);
static void mg_validation_result(mg_jw_t *w,
    const mg_validation_result_t *r);
static int mg_validation_read(mg_call_t *c, mg_validation_t *v,
    mg_paging_t *paging, mg_validation_result_t **rows, unsigned *n,
    mg_error_t *e);


int
mg_call_validation_status(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_jw_t           w;
    mg_pg_t          *db;
    mg_str_t          provider;
    mg_validation_t   v;

    if (mg_call_provider(c, &provider, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_validation_latest(db, c->who.org_id, provider, c->arena,
                                    &v, e);

    if (rc != MG_OK && e->kind == MG_E_NOT_FOUND) {
        (void) mg_validation_known(c, db, provider, e);
    }

    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_call_write_validation(&w, &v);
    mg_jw_end_object(&w);

    return MG_OK;
}


int
mg_call_validation_list(mg_call_t *c, mg_error_t *e)
{
    mg_str_t  provider, status;

    if (mg_call_provider(c, &provider, e) != MG_OK
        || mg_validation_filters(c, NULL, &status, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_validation_runs(c, provider, 1, status, e);
}


int
mg_call_validation_history(mg_call_t *c, mg_error_t *e)
{
    mg_str_t  provider, status;

    if (mg_validation_filters(c, &provider, &status, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_validation_runs(c, provider, 0, status, e);
}


static int
mg_validation_filters(mg_call_t *c, mg_str_t *provider, mg_str_t *status,
    mg_error_t *e)
{
    *status = mg_call_query(c, "status");

    if (status->data && mg_job_state_find(*status) < 0) {
        return mg_error_set(e, MG_E_INVALID, "status",
                            "status \"%.*s\" is not known; give pending, "
                            "in_progress, completed, failed or cancelled",
                            MG_BODY_CUT(*status));
    }

    if (provider == NULL) {
        return MG_OK;
    }

    *provider = mg_call_query(c, "provider");

    if (provider->data && !mg_provider_id_ok(*provider)) {
        return mg_error_set(e, MG_E_INVALID, "provider",
                            "provider \"%.*s\" is no id of a provider",
                            MG_BODY_CUT(*provider));
    }

    return MG_OK;
}


/* named: by the path, so that there has to be one, or to have been one. */

static int
mg_validation_runs(mg_call_t *c, mg_str_t provider, int named,
    mg_str_t status, mg_error_t *e)
{
    int               rc;
    mg_jw_t           w;
    mg_pg_t          *db;
    unsigned          i, n;
    mg_paging_t       paging;
    mg_validation_t  *rows;

    if (mg_call_paging(c, &paging, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_validation_list(db, c->who.org_id, provider, status,
                                  &paging, c->arena, &rows, &n, e);

    if (rc == MG_OK && paging.total == 0 && named) {
        rc = mg_validation_known(c, db, provider, e);
    }

    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_list_begin(c, &w, "validations");

    for (i = 0; i < n; i++) {
        mg_jw_object(&w, NULL);
        mg_call_write_validation(&w, &rows[i]);
        mg_jw_end_object(&w);
    }

    mg_call_list_end(&w, &paging);

    return MG_OK;
}


/* Of a provider without runs: MG_ERROR says that there is none. */

static int
mg_validation_known(mg_call_t *c, mg_pg_t *db, mg_str_t provider,
    mg_error_t *e)
{
    mg_error_t     why;
    mg_provider_t  p;

    if (mg_store_provider_get(db, c->who.org_id, provider, c->arena, &p,
                              &why)
        == MG_OK)
    {
        return MG_OK;
    }

    *e = why;

    return MG_ERROR;
}


int
mg_call_validation_get(mg_call_t *c, mg_error_t *e)
{
    mg_jw_t                  w;
    unsigned                 i, n;
    mg_paging_t              paging;
    mg_validation_t          v;
    mg_validation_result_t  *rows;

    if (mg_call_paging(c, &paging, e) != MG_OK
        || mg_validation_read(c, &v, &paging, &rows, &n, e) != MG_OK)
    {
        return MG_ERROR;
    }

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_call_write_validation(&w, &v);
    mg_jw_array(&w, "results");

    for (i = 0; i < n; i++) {
        mg_validation_result(&w, &rows[i]);
    }

    mg_call_list_end(&w, &paging);

    return MG_OK;
}


static int
mg_validation_read(mg_call_t *c, mg_validation_t *v, mg_paging_t *paging,
    mg_validation_result_t **rows, unsigned *n, mg_error_t *e)
{
    int        rc;
    mg_pg_t   *db;
    mg_str_t   id, result;

    if (mg_call_uuid(c, "id", "validation", &id, e) != MG_OK
        || mg_validation_wanted(c, &result, e) != MG_OK)
    {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_validation_get(db, c->who.org_id, id, c->arena, v, e);

    if (rc == MG_OK) {
        rc = mg_store_validation_results(db, id, result, paging, c->arena,
                                         rows, n, e);
    }

    mg_pg_release(db);

    return rc;
}


int
mg_call_validation_cancel(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_jw_t           w;
    mg_pg_t          *db;
    mg_job_t          j;
    mg_str_t          id;
    mg_validation_t   v;

    if (mg_call_uuid(c, "id", "validation", &id, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_validation_get(db, c->who.org_id, id, c->arena, &v, e);

    if (rc == MG_OK) {
        rc = mg_store_job_cancel(db, c->who.org_id, v.job_id, c->arena, &j,
                                 e);
    }

    if (rc == MG_OK) {
        rc = mg_store_validation_get(db, c->who.org_id, id, c->arena, &v, e);
    }

    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_created(c, 202, mg_call_address(c, "/api/v1/validations/", id,
                                            ""));
    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_call_write_validation(&w, &v);
    mg_jw_end_object(&w);

    return MG_OK;
}


static int
mg_validation_wanted(mg_call_t *c, mg_str_t *result, mg_error_t *e)
{
    *result = mg_call_query(c, "result");

    if (result->data == NULL || mg_str_eq(*result, mg_str("available"))
        || mg_str_eq(*result, mg_str("unavailable"))
        || mg_str_eq(*result, mg_str("unverified")))
    {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, "result",
                        "result \"%.*s\" is not known; give available, "
                        "unavailable or unverified", MG_BODY_CUT(*result));
}


int
mg_call_provider(mg_call_t *c, mg_str_t *provider, mg_error_t *e)
{
    *provider = mg_call_path(c, "provider");

    if (mg_provider_id_ok(*provider)) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_NOT_FOUND, "provider",
                        "there is no provider \"%.*s\"",
                        MG_BODY_CUT(*provider));
}


/* -- JSON -- */

/*
 * The members of a run's state, everywhere.  model.validation_status_json()
 * writes the same ones for those that are told of it by the database.
 */

void
mg_call_write_validation(mg_jw_t *w, const mg_validation_t *v)
{
    mg_jw_str(w, "id", v->id);
    mg_jw_str(w, "provider_id", v->provider_id);
    mg_jw_str(w, "job_id", v->job_id);
    mg_jw_str(w, "status", mg_job_state_names[v->state]);
    mg_jw_str(w, "phase", v->phase);
    mg_jw_int(w, "total", v->total);
    mg_jw_int(w, "validated", v->validated);
    mg_jw_int(w, "available", v->available);
    mg_jw_int(w, "unavailable", v->unavailable);
    mg_jw_int(w, "unverified", v->unverified);
    mg_jw_int(w, "missing", v->missing);
    mg_jw_str(w, "current_model_id", v->current_model_id);
    mg_jw_bool(w, "only_failed", v->only_failed);
    mg_jw_bool(w, "chosen", v->chosen);
    mg_call_write_time(w, "created_at", v->created_at);
    mg_call_write_time(w, "started_at", v->started_at);
    mg_call_write_time(w, "completed_at", v->completed_at);
    mg_call_write_time(w, "last_updated_at", v->updated_at);
    mg_call_write_int(w, "estimated_seconds", v->estimated_s);
    mg_jw_str(w, "error", v->error);
}


static void
mg_validation_result(mg_jw_t *w, const mg_validation_result_t *r)
{
    char    text[48];
    size_t  len;

    mg_jw_object(w, NULL);
    mg_jw_str(w, "model_id", r->model_id);
    mg_jw_z(w, "result", r->unverified ? "unverified"
                         : r->available ? "available" : "unavailable");

    if (r->unverified) {
        mg_jw_null(w, "available");

    } else {
        mg_jw_bool(w, "available", r->available);
    }

    if (r->latency_us < 0) {
        mg_jw_null(w, "latency_ms");

    } else {
        len = mg_decimal_format(r->latency_us, 3, text);
        mg_jw_raw(w, "latency_ms", mg_str_n(text, len));
    }

    if (r->status_code > 0) {
        mg_jw_int(w, "status_code", r->status_code);

    } else {
        mg_jw_null(w, "status_code");
    }

    mg_jw_str(w, "error_class", r->error_class);
    mg_jw_str(w, "error", r->error);
    mg_call_write_time(w, "tested_at", r->tested_at);
    mg_jw_end_object(w);
}
