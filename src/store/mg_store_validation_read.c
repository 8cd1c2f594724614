/*
 * mg_store_validation_read.c: runs of validations and their results, read.
 *
 * One list of columns (mg_store_validation_row.h) and one function that
 * reads them, for a run that is asked for, the history and the statements
 * that change a run and return it.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_list.h"
#include "store/mg_store_validation_row.h"


#define MG_VALIDATION_LISTED                                                  \
    "where v.org_id = $1 and ($2::text is null or v.provider_id = $2) "       \
    "and ($3::text is null or v.status = $3) "


static int mg_validation_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out);
static int mg_validation_result_row(const mg_pg_rows_t *r, int row,
    mg_arena_t *a, void *out);


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
    mg_str_t status, mg_paging_t *paging, mg_arena_t *a,
    mg_validation_t **rows, unsigned *n, mg_error_t *e)
{
    void            *array;
    mg_pg_params_t   p;

    static const mg_store_list_t  list = {
        "select count(*) " MG_VALIDATION_FROM MG_VALIDATION_LISTED,

        "select " MG_VALIDATION_COLUMNS " " MG_VALIDATION_FROM
        MG_VALIDATION_LISTED
        "order by v.created_at desc, v.id limit $4 offset $5",

        sizeof(mg_validation_t),
        mg_validation_row
    };

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, provider);
    mg_pg_param_str(&p, status);

    if (mg_store_list(c, &list, &p, paging, a, &array, n, e) != MG_OK) {
        return MG_ERROR;
    }

    *rows = array;

    return MG_OK;
}


/* What has a result: unavailable, unverified, available. */

int
mg_store_validation_results(mg_pg_t *c, mg_str_t id, mg_str_t result,
    mg_paging_t *paging, mg_arena_t *a, mg_validation_result_t **rows,
    unsigned *n, mg_error_t *e)
{
    void            *array;
    mg_pg_params_t   p;

    static const mg_store_list_t  list = {
        "select count(*) from model.ai_model_validation_results "
        "where validation_id = $1 and result is not null "
        "and ($2::text is null or result = $2)",

        "select model_id, result, latency_us, status_code, "
        "error_class, error, tested_at "
        "from model.ai_model_validation_results "
        "where validation_id = $1 and result is not null "
        "and ($2::text is null or result = $2) "
        "order by case result when 'unavailable' then 0 "
        "when 'unverified' then 1 else 2 end, model_id "
        "limit $3 offset $4",

        sizeof(mg_validation_result_t),
        mg_validation_result_row
    };

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);
    mg_pg_param_str(&p, result);

    if (mg_store_list(c, &list, &p, paging, a, &array, n, e) != MG_OK) {
        return MG_ERROR;
    }

    *rows = array;

    return MG_OK;
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
    v->unverified = mg_pg_rows_int(r, row, 15);
    v->missing = mg_pg_rows_int(r, row, 16);
    v->estimated_s = mg_pg_rows_int(r, row, 17);
    v->listed = (mg_pg_rows_tri(r, row, 18) == 1);
    v->only_failed = (mg_pg_rows_tri(r, row, 19) == 1);
    v->chosen = (mg_pg_rows_tri(r, row, 20) == 1);

    return mg_column_str(r, row, 14, a, &v->phase);
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

    v->available = mg_str_eq(mg_pg_rows_str(r, row, 1), mg_str("available"));
    v->unverified = mg_str_eq(mg_pg_rows_str(r, row, 1),
                              mg_str("unverified"));

    n = mg_pg_rows_int(r, row, 2);
    v->latency_us = n < 0 ? -1 : n;

    n = mg_pg_rows_int(r, row, 3);
    v->status_code = n < 0 ? 0 : n;

    v->tested_at = mg_pg_rows_time(r, row, 6);

    return MG_OK;
}
