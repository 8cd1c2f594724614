/*
 * mg_store_canary.c: how far the schedules of canaries are.
 *
 * A row a group that has a schedule.  Triggers of the database start it,
 * stop its clock and end it as its group changes; here it is only moved on,
 * within a change of the group, so that share, event and row are one
 * transaction.  The clock is the database's: nodes need not agree on theirs.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_column.h"


static int mg_canary_read(mg_pg_t *c, const char *sql,
    const mg_pg_params_t *p, mg_arena_t *a, mg_canary_t *canary,
    mg_error_t *e);


#define MG_CANARY_SELECT                                                      \
    "select group_id, org_id, model_id, step, greatest(0, "                   \
    "ceil(extract(epoch from next_at - clock_timestamp()) * 1000))::bigint "  \
    "from model.model_group_canaries where state = 'running' "


int
mg_store_canary_next(mg_pg_t *c, mg_arena_t *a, mg_canary_t *canary,
    mg_error_t *e)
{
    return mg_canary_read(c, MG_CANARY_SELECT "order by next_at limit 1",
                          NULL, a, canary, e);
}


int
mg_store_canary_claim(mg_pg_t *c, mg_str_t group_id, mg_arena_t *a,
    mg_canary_t *canary, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, group_id);

    return mg_canary_read(c, MG_CANARY_SELECT "and group_id = $1 "
                          "and next_at <= clock_timestamp() "
                          "for update skip locked", &p, a, canary, e);
}


static int
mg_canary_read(mg_pg_t *c, const char *sql, const mg_pg_params_t *p,
    mg_arena_t *a, mg_canary_t *canary, mg_error_t *e)
{
    int            rc;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, sql, p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return MG_DECLINED;
    }

    canary->step = (unsigned) mg_pg_rows_int(r, 0, 3);
    canary->in_ms = mg_pg_rows_int(r, 0, 4);

    rc = (mg_column_str(r, 0, 0, a, &canary->group_id) == MG_OK
          && mg_column_str(r, 0, 1, a, &canary->org_id) == MG_OK
          && mg_column_str(r, 0, 2, a, &canary->model_id) == MG_OK)
         ? MG_OK : mg_store_memory(e);

    mg_pg_rows_free(r);

    return rc;
}


int
mg_store_canary_save(mg_pg_t *c, mg_str_t group_id, unsigned step,
    uint32_t share, int64_t seconds, mg_arena_t *a, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, group_id);
    mg_pg_param_int(&p, step);
    mg_pg_param_int(&p, share);
    mg_pg_param_int(&p, seconds);

    return mg_pg_exec(c, "update model.model_group_canaries "
                      "set step = $2, percentage = $3::integer / 100.0, "
                      "state = case when $4::bigint = 0 then 'completed' "
                      "else 'running' end, "
                      "next_at = case when $4 <> 0 then clock_timestamp() "
                      "+ $4 * interval '1 second' end, "
                      "reason = null, updated_at = clock_timestamp() "
                      "where group_id = $1", &p, NULL, e);
}


int
mg_store_canary_fail(mg_pg_t *c, mg_str_t group_id, mg_str_t reason,
    int64_t seconds, mg_arena_t *a, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, group_id);
    mg_pg_param_str(&p, reason);
    mg_pg_param_int(&p, seconds);

    return mg_pg_exec(c, "update model.model_group_canaries "
                      "set state = case when $3::bigint = 0 then 'ended' "
                      "else state end, "
                      "next_at = case when $3 <> 0 then clock_timestamp() "
                      "+ $3 * interval '1 second' end, "
                      "reason = $2, updated_at = clock_timestamp() "
                      "where group_id = $1 and state = 'running' "
                      "and next_at <= clock_timestamp()", &p, NULL, e);
}
