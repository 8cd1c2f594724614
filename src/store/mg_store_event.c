/*
 * mg_store_event.c: the state of a topic as the database has it.
 *
 * One statement: the provider's row, and beside it the run that was made
 * last.  Pool threads; blocks.
 */

#include "store/mg_store_event.h"

#include "store/mg_store_column.h"


int
mg_store_event_validation(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_arena_t *a, mg_str_t *text, uint64_t *id, mg_error_t *e)
{
    int             rc;
    mg_pg_rows_t   *r;
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, org_id);
    mg_pg_param_str(&p, provider);

    if (mg_pg_exec(c, "select model.validation_status_json(v), v.event_id "
                   "from model.providers p left join lateral ("
                   "select w.* from model.ai_model_validation_progress w "
                   "where w.org_id = p.org_id and w.provider_id = p.id "
                   "order by w.created_at desc limit 1) v on true "
                   "where p.org_id = $1 and p.id = $2 "
                   "and p.deleted_at is null", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_error_set(e, MG_E_NOT_FOUND, "provider",
                            "there is no provider \"%.*s\"",
                            MG_STR_ARG(provider));
    }

    *id = 0;
    *text = mg_str_null;
    rc = MG_OK;

    if (mg_pg_rows_str(r, 0, 1).data) {
        *id = (uint64_t) mg_pg_rows_int(r, 0, 1);
        rc = mg_column_str(r, 0, 0, a, text);
    }

    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK
                       : mg_error_set(e, MG_E_INTERNAL, NULL,
                                      "out of memory");
}


int
mg_store_event_run(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    mg_str_t *text, mg_error_t *e)
{
    int             rc;
    mg_pg_rows_t   *r;
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, org_id);
    mg_pg_param_str(&p, id);

    if (mg_pg_exec(c, "select model.validation_status_json(v) "
                   "from model.ai_model_validation_progress v "
                   "where v.org_id = $1 and v.id = $2", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_error_set(e, MG_E_NOT_FOUND, "id",
                            "there is no validation \"%.*s\"",
                            MG_STR_ARG(id));
    }

    rc = mg_column_str(r, 0, 0, a, text);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK
                       : mg_error_set(e, MG_E_INTERNAL, NULL,
                                      "out of memory");
}
