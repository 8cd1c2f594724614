/*
 * mg_store_validation.c: validations, made and read.
 *
 * A run's list is its rows in ai_model_validation_results; a row without a
 * result is still to be tested, so a run that was interrupted goes on with
 * what the table says.  Here runs are made and read, in
 * mg_store_validation_save.c they are carried on.
 *
 * total_models stays 0 until the list is made: by discovery, or at once for
 * a run that retries what failed.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_job_row.h"
#include "store/mg_store_validation_row.h"

#include "base/mg_jw.h"
#include "store/mg_store_list.h"


#define MG_VALIDATION_FROM                                                    \
    "from model.ai_model_validation_progress v "


static int mg_validation_create(mg_pg_t *c, const mg_actor_t *who,
    mg_str_t provider, int only_failed, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);
static int mg_validation_job(mg_pg_t *c, const mg_actor_t *who,
    mg_str_t provider, int only_failed, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);
static int mg_validation_retry(mg_pg_t *c, mg_str_t provider, mg_arena_t *a,
    mg_validation_t *v, mg_error_t *e);
static int mg_validation_known(mg_pg_t *c, mg_str_t org_id,
    mg_str_t provider, mg_arena_t *a, int64_t *n, mg_error_t *e);
static int mg_validation_running(mg_pg_t *c, mg_str_t org_id,
    mg_str_t provider, mg_arena_t *a, mg_validation_t *v, mg_error_t *e);
static int mg_validation_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out);
static int mg_validation_result_row(const mg_pg_rows_t *r, int row,
    mg_arena_t *a, void *out);


/* -- creating -- */

int
mg_store_validation_create(mg_pg_t *c, const mg_actor_t *who,
    mg_str_t provider, int only_failed, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e)
{
    int         rc;
    mg_error_t  why;

    memset(v, 0, sizeof(mg_validation_t));

    if (mg_pg_begin(c, e) != MG_OK) {
        return MG_ERROR;
    }

    rc = mg_store_end(c, mg_validation_create(c, who, provider, only_failed,
                                              a, v, &why), &why);

    if (rc == MG_OK) {
        return MG_OK;
    }

    memset(v, 0, sizeof(mg_validation_t));

    /* outside of the transaction: one that is there may end meanwhile */

    if (why.kind == MG_E_CONFLICT && strcmp(why.param, "provider") == 0) {
        (void) mg_validation_running(c, mg_store_org(who->org_id), provider,
                                     a, v, NULL);
    }

    if (e) {
        *e = why;
    }

    return MG_ERROR;
}


static int
mg_validation_create(mg_pg_t *c, const mg_actor_t *who, mg_str_t provider,
    int only_failed, mg_arena_t *a, mg_validation_t *v, mg_error_t *e)
{
    int              rc;
    mg_str_t         id;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_str(&p, provider);
    mg_pg_param_bool(&p, only_failed);

    if (mg_pg_exec(c, "insert into model.ai_model_validation_progress "
                   "(org_id, provider_id, only_failed) "
                   "select p.org_id, p.id, $3 from model.providers p "
                   "where p.org_id = $1 and p.id = $2 "
                   "and p.deleted_at is null returning id", &p, &r, e)
        != MG_OK)
    {
        if (strcmp(mg_pg_sqlstate(c), "23505") != 0) {
            return MG_ERROR;
        }

        return mg_error_set(e, MG_E_CONFLICT, "provider",
                            "a validation of provider \"%.*s\" is running; "
                            "wait for its end or cancel it",
                            MG_STR_ARG(provider));
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_error_set(e, MG_E_NOT_FOUND, "provider",
                            "there is no provider \"%.*s\"",
                            MG_STR_ARG(provider));
    }

    rc = mg_column_str(r, 0, 0, a, &id);
    mg_pg_rows_free(r);

    if (rc != MG_OK) {
        return mg_store_memory(e);
    }

    v->id = id;

    if (only_failed && mg_validation_retry(c, provider, a, v, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_validation_job(c, who, provider, only_failed, a, v, e);
}


static int
mg_validation_job(mg_pg_t *c, const mg_actor_t *who, mg_str_t provider,
    int only_failed, mg_arena_t *a, mg_validation_t *v, mg_error_t *e)
{
    mg_jw_t         w;
    mg_buf_t        b;
    mg_job_t        j;
    mg_str_t        id, payload;
    mg_pg_params_t  p;

    id = v->id;

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "validation_id", id);
    mg_jw_str(&w, "provider_id", provider);
    mg_jw_bool(&w, "only_failed", only_failed != 0);
    mg_jw_end_object(&w);

    payload = b.failed ? mg_str_null : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    if (payload.data == NULL) {
        return mg_store_memory(e);
    }

    if (mg_store_job_create(c, who, "validate", provider, payload, a, &j, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);
    mg_pg_param_str(&p, j.id);

    if (mg_validation_one(c, "update model.ai_model_validation_progress v "
                          "set job_id = $2 where v.id = $1 "
                          "returning " MG_VALIDATION_COLUMNS, &p, a, v, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (only_failed) {
        return MG_OK;
    }

    /* what the answer to the client can say now */

    return mg_validation_known(c, mg_store_org(who->org_id), provider, a,
                               &v->total, e);
}


/* The list of a run over what failed in the last one that was run. */

static int
mg_validation_retry(mg_pg_t *c, mg_str_t provider, mg_arena_t *a,
    mg_validation_t *v, mg_error_t *e)
{
    uint64_t         n;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, v->id);

    if (mg_pg_exec(c, "insert into model.ai_model_validation_results "
                   "(validation_id, org_id, model_id) "
                   "select v.id, v.org_id, m.id "
                   "from model.ai_model_validation_progress v "
                   "join model.models_metadata m on m.org_id = v.org_id "
                   "and m.provider_id = v.provider_id and m.active "
                   "and m.deleted_at is null "
                   "where v.id = $1 and m.health_status = 'unavailable'",
                   &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    n = mg_pg_rows_affected(r);
    mg_pg_rows_free(r);

    if (n == 0) {
        return mg_error_set(e, MG_E_CONFLICT, "only",
                            "no model of provider \"%.*s\" has failed; "
                            "leave out only=failed to validate all",
                            MG_STR_ARG(provider));
    }

    mg_pg_param_int(&p, (int64_t) n);

    return mg_pg_exec(c, "update model.ai_model_validation_progress "
                      "set total_models = $2 where id = $1", &p, NULL, e);
}


static int
mg_validation_known(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_arena_t *a, int64_t *n, mg_error_t *e)
{
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, org_id);
    mg_pg_param_str(&p, provider);

    if (mg_pg_exec(c, "select count(*) from model.models_metadata "
                   "where org_id = $1 and provider_id = $2 and active "
                   "and deleted_at is null", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    *n = mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    return MG_OK;
}


/* -- reading -- */

static int
mg_validation_running(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, org_id);
    mg_pg_param_str(&p, provider);

    return mg_validation_one(c, "select " MG_VALIDATION_COLUMNS " "
                             MG_VALIDATION_FROM "where v.org_id = $1 "
                             "and v.provider_id = $2 "
                             "and v.status in ('pending', 'in_progress')",
                             &p, a, v, e);
}


int
mg_store_validation_latest(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e)
{
    int             rc;
    mg_error_t      why;
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, provider);

    rc = mg_validation_one(c, "select " MG_VALIDATION_COLUMNS " "
                           MG_VALIDATION_FROM "where v.org_id = $1 "
                           "and v.provider_id = $2 "
                           "order by v.created_at desc limit 1", &p, a, v,
                           &why);

    if (rc != MG_OK && why.kind == MG_E_NOT_FOUND) {
        return mg_error_set(e, MG_E_NOT_FOUND, "provider",
                            "provider \"%.*s\" has not been validated",
                            MG_STR_ARG(provider));
    }

    if (rc != MG_OK && e) {
        *e = why;
    }

    return rc;
}


int
mg_store_validation_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e)
{
    int             rc;
    mg_error_t      why;
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, id);

    rc = mg_validation_one(c, "select " MG_VALIDATION_COLUMNS " "
                           MG_VALIDATION_FROM "where v.org_id = $1 "
                           "and v.id = $2", &p, a, v, &why);

    if (rc != MG_OK && why.kind == MG_E_NOT_FOUND) {
        return mg_error_set(e, MG_E_NOT_FOUND, "id",
                            "there is no validation \"%.*s\"",
                            MG_STR_ARG(id));
    }

    if (rc != MG_OK && e) {
        *e = why;
    }

    return rc;
}


int
mg_validation_one(mg_pg_t *c, const char *sql, const mg_pg_params_t *p,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e)
{
    int            rc;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, sql, p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_error_set(e, MG_E_NOT_FOUND, NULL,
                            "there is no such validation");
    }

    rc = mg_validation_row(r, 0, a, v);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


int
mg_store_validation_list(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_paging_t *paging, mg_arena_t *a, mg_validation_t **rows, unsigned *n,
    mg_error_t *e)
{
    void            *array;
    mg_pg_params_t   p;

    static const mg_store_list_t  list = {
        "select count(*) " MG_VALIDATION_FROM
        "where v.org_id = $1 and v.provider_id = $2",

        "select " MG_VALIDATION_COLUMNS " " MG_VALIDATION_FROM
        "where v.org_id = $1 and v.provider_id = $2 "
        "order by v.created_at desc, v.id limit $3 offset $4",

        sizeof(mg_validation_t),
        mg_validation_row
    };

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, provider);

    if (mg_store_list(c, &list, &p, paging, a, &array, n, e) != MG_OK) {
        return MG_ERROR;
    }

    *rows = array;

    return MG_OK;
}


/* What has a result, the unavailable first. */

int
mg_store_validation_results(mg_pg_t *c, mg_str_t id, mg_paging_t *paging,
    mg_arena_t *a, mg_validation_result_t **rows, unsigned *n, mg_error_t *e)
{
    void            *array;
    mg_pg_params_t   p;

    static const mg_store_list_t  list = {
        "select count(*) from model.ai_model_validation_results "
        "where validation_id = $1 and available is not null",

        "select model_id, available, latency_us, status_code, "
        "error_class, error, tested_at "
        "from model.ai_model_validation_results "
        "where validation_id = $1 and available is not null "
        "order by available, model_id limit $2 offset $3",

        sizeof(mg_validation_result_t),
        mg_validation_result_row
    };

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);

    if (mg_store_list(c, &list, &p, paging, a, &array, n, e) != MG_OK) {
        return MG_ERROR;
    }

    *rows = array;

    return MG_OK;
}


int
mg_store_validation_pending(mg_pg_t *c, mg_str_t id, mg_arena_t *a,
    mg_model_t **models, unsigned *n, mg_error_t *e)
{
    mg_buf_t         sql;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, "select ");
    mg_model_select(&sql);
    mg_buf_z(&sql, " from model.ai_model_validation_results t "
             "join model.models_metadata m on m.id = t.model_id "
             "and m.org_id = t.org_id where t.validation_id = $1 "
             "and t.available is null and m.deleted_at is null "
             "order by m.id");

    if (mg_store_exec(c, &sql, &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_model_rows(r, a, models, n, e);
}


static int
mg_validation_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out)
{
    mg_validation_t  *v = out;

    int  state;

    memset(v, 0, sizeof(mg_validation_t));

    if (mg_column_str(r, row, 0, a, &v->id) != MG_OK
        || mg_column_str(r, row, 1, a, &v->provider_id) != MG_OK
        || mg_column_str(r, row, 2, a, &v->job_id) != MG_OK
        || mg_column_str(r, row, 3, a, &v->current_model_id) != MG_OK
        || mg_column_str(r, row, 4, a, &v->error) != MG_OK)
    {
        return MG_ERROR;
    }

    state = mg_job_state_find(mg_pg_rows_str(r, row, 5));
    v->state = state < 0 ? MG_JOB_FAILED : (mg_job_state_e) state;

    v->total = mg_pg_rows_int(r, row, 6);
    v->validated = mg_pg_rows_int(r, row, 7);
    v->available = mg_pg_rows_int(r, row, 8);
    v->unavailable = mg_pg_rows_int(r, row, 9);
    v->started_at = mg_pg_rows_time(r, row, 10);
    v->completed_at = mg_pg_rows_time(r, row, 11);
    v->updated_at = mg_pg_rows_time(r, row, 12);
    v->created_at = mg_pg_rows_time(r, row, 13);

    return MG_OK;
}


static int
mg_validation_result_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out)
{
    mg_validation_result_t  *v = out;

    int64_t  n;

    memset(v, 0, sizeof(mg_validation_result_t));

    if (mg_column_str(r, row, 0, a, &v->model_id) != MG_OK
        || mg_column_str(r, row, 4, a, &v->error_class) != MG_OK
        || mg_column_str(r, row, 5, a, &v->error) != MG_OK)
    {
        return MG_ERROR;
    }

    v->available = (mg_pg_rows_tri(r, row, 1) == 1);

    n = mg_pg_rows_int(r, row, 2);
    v->latency_us = n < 0 ? -1 : n;

    n = mg_pg_rows_int(r, row, 3);
    v->status_code = n < 0 ? 0 : n;

    v->tested_at = mg_pg_rows_time(r, row, 6);

    return MG_OK;
}
