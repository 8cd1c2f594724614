/*
 * mg_call_validation.c: validations of a provider's models over the API.
 *
 * A run is a row that the job fills while it works; everything here only
 * makes it, reads it or asks it to stop.
 *
 * Pool threads; blocks on the database.
 */

#include "base/mg_decimal.h"
#include "job/mg_call_local.h"


static int mg_validation_provider(mg_call_t *c, mg_str_t *provider,
    mg_error_t *e);
static int mg_validation_only(mg_call_t *c, int *only_failed, mg_error_t *e);
static int mg_validation_conflict(mg_call_t *c, const mg_validation_t *v,
    const mg_error_t *e);
static void mg_validation_begun(mg_call_t *c, mg_jw_t *w,
    const mg_validation_t *v);
static void mg_validation_members(mg_jw_t *w, const mg_validation_t *v);
static void mg_validation_estimate(mg_jw_t *w, const mg_validation_t *v);
static void mg_validation_result(mg_jw_t *w,
    const mg_validation_result_t *r);
static int mg_validation_read(mg_call_t *c, mg_validation_t *v,
    mg_paging_t *paging, mg_validation_result_t **rows, unsigned *n,
    mg_error_t *e);


int
mg_call_validation_start(mg_call_t *c, mg_error_t *e)
{
    int               rc, only_failed;
    mg_jw_t           w;
    mg_pg_t          *db;
    mg_str_t          provider;
    mg_validation_t   v;

    if (mg_validation_provider(c, &provider, e) != MG_OK
        || mg_validation_only(c, &only_failed, e) != MG_OK)
    {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    memset(&v, 0, sizeof(mg_validation_t));
    rc = mg_store_validation_create(db, &c->who, provider, only_failed,
                                    c->arena, &v, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return mg_validation_conflict(c, &v, e);
    }

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_validation_begun(c, &w, &v);
    mg_jw_end_object(&w);

    c->status = 202;
    c->kick_jobs = 1;

    return MG_OK;
}


/* A run that is in the way is named in the answer, with its address. */

static int
mg_validation_conflict(mg_call_t *c, const mg_validation_t *v,
    const mg_error_t *e)
{
    mg_jw_t  w;

    if (e->kind != MG_E_CONFLICT || v->id.len == 0) {
        return MG_ERROR;
    }

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_call_write_error(&w, e);
    mg_validation_begun(c, &w, v);
    mg_jw_end_object(&w);

    c->status = 409;

    return MG_OK;
}


static void
mg_validation_begun(mg_call_t *c, mg_jw_t *w, const mg_validation_t *v)
{
    c->location = mg_call_address(c, "/api/v1/validations/", v->id, "");

    mg_jw_str(w, "id", v->id);
    mg_jw_str(w, "provider_id", v->provider_id);
    mg_jw_str(w, "status", mg_job_state_names[v->state]);
    mg_jw_int(w, "total", v->total);
    mg_jw_str(w, "job_id", v->job_id);
    mg_jw_str(w, "status_url",
              mg_call_address(c, "/api/v1/providers/", v->provider_id,
                              "/validation-status"));
}


int
mg_call_validation_status(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_jw_t           w;
    mg_pg_t          *db;
    mg_str_t          provider;
    mg_validation_t   v;

    if (mg_validation_provider(c, &provider, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_validation_latest(db, c->who.org_id, provider, c->arena,
                                    &v, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_validation_members(&w, &v);
    mg_jw_end_object(&w);

    return MG_OK;
}


int
mg_call_validation_list(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_jw_t           w;
    mg_pg_t          *db;
    mg_str_t          provider;
    unsigned          i, n;
    mg_paging_t       paging;
    mg_validation_t  *rows;

    if (mg_validation_provider(c, &provider, e) != MG_OK
        || mg_call_paging(c, &paging, e) != MG_OK)
    {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_validation_list(db, c->who.org_id, provider, &paging,
                                  c->arena, &rows, &n, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_list_begin(c, &w, "validations");

    for (i = 0; i < n; i++) {
        mg_jw_object(&w, NULL);
        mg_validation_members(&w, &rows[i]);
        mg_jw_end_object(&w);
    }

    mg_call_list_end(&w, &paging);

    return MG_OK;
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
    mg_validation_members(&w, &v);
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
    mg_str_t   id;

    if (mg_call_uuid(c, "id", "validation", &id, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_validation_get(db, c->who.org_id, id, c->arena, v, e);

    if (rc == MG_OK) {
        rc = mg_store_validation_results(db, id, paging, c->arena, rows, n,
                                         e);
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
    mg_validation_members(&w, &v);
    mg_jw_end_object(&w);

    return MG_OK;
}


/* -- what was asked -- */

static int
mg_validation_provider(mg_call_t *c, mg_str_t *provider, mg_error_t *e)
{
    *provider = mg_call_path(c, "provider");

    if (mg_provider_id_ok(*provider)) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_NOT_FOUND, "provider",
                        "there is no provider \"%.*s\"",
                        (int) (provider->len > 80 ? 80 : provider->len),
                        provider->data);
}


static int
mg_validation_only(mg_call_t *c, int *only_failed, mg_error_t *e)
{
    mg_str_t  only;

    only = mg_call_query(c, "only");
    *only_failed = (only.data != NULL);

    if (only.data == NULL || mg_str_eq(only, mg_str("failed"))) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, "only",
                        "only \"%.*s\" is not known; give failed, or leave "
                        "it out to test all models",
                        (int) (only.len > 80 ? 80 : only.len), only.data);
}


/* -- JSON -- */

static void
mg_validation_members(mg_jw_t *w, const mg_validation_t *v)
{
    mg_jw_str(w, "id", v->id);
    mg_jw_str(w, "provider_id", v->provider_id);
    mg_jw_str(w, "job_id", v->job_id);
    mg_jw_str(w, "status", mg_job_state_names[v->state]);
    mg_call_write_int(w, "total", v->total);
    mg_jw_int(w, "validated", v->validated);
    mg_jw_int(w, "available", v->available);
    mg_jw_int(w, "unavailable", v->unavailable);
    mg_jw_str(w, "current_model_id", v->current_model_id);
    mg_call_write_time(w, "created_at", v->created_at);
    mg_call_write_time(w, "started_at", v->started_at);
    mg_call_write_time(w, "completed_at", v->completed_at);
    mg_call_write_time(w, "last_updated_at", v->updated_at);
    mg_validation_estimate(w, v);
    mg_jw_str(w, "error", v->error);
}


/*
 * Seconds that are left at the rate measured so far; null while nothing was
 * measured, 0 when the run has ended.
 */

static void
mg_validation_estimate(mg_jw_t *w, const mg_validation_t *v)
{
    int64_t  elapsed, left;

    if (v->state != MG_JOB_PENDING && v->state != MG_JOB_IN_PROGRESS) {
        mg_jw_int(w, "estimated_seconds", 0);
        return;
    }

    elapsed = v->started_at ? v->updated_at - v->started_at : 0;
    left = v->total - v->validated;

    if (v->validated <= 0 || elapsed <= 0 || left < 0) {
        mg_jw_null(w, "estimated_seconds");
        return;
    }

    left = left * (elapsed / v->validated);
    mg_jw_int(w, "estimated_seconds", (left + 999999) / 1000000);
}


static void
mg_validation_result(mg_jw_t *w, const mg_validation_result_t *r)
{
    char    text[48];
    size_t  len;

    mg_jw_object(w, NULL);
    mg_jw_str(w, "model_id", r->model_id);
    mg_jw_bool(w, "available", r->available);

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
