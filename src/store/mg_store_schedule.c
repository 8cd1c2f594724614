/*
 * mg_store_schedule.c: what is done again and again by the clock.
 *
 * The clock is the database's, as it is for jobs: nodes whose own clocks
 * differ, or jump, come to the same answer.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_column.h"
#include "store/mg_store_list.h"


/* Rows that one call takes away, so that nobody waits for long. */
#define MG_RETIRE_MAX   "5000"

/* Who has more validates them in several rounds. */
#define MG_DUE_MAX      "1000"


static int mg_due_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out);


/* Validations first: they refer to jobs. */

int
mg_store_job_retire(mg_pg_t *c, unsigned days, int64_t *removed,
    mg_error_t *e)
{
    int              rc;
    mg_arena_t      *a;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    *removed = 0;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_int(&p, days);

    rc = mg_pg_exec(c, "delete from model.ai_model_validation_progress "
                    "where id in (select v.id "
                    "from model.ai_model_validation_progress v "
                    "where v.status in ('completed', 'failed', 'cancelled') "
                    "and v.completed_at "
                    "< now() - $1::bigint * interval '1 day' "
                    "and exists (select "
                    "from model.ai_model_validation_progress w "
                    "where w.org_id = v.org_id "
                    "and w.provider_id = v.provider_id "
                    "and w.created_at > v.created_at) limit " MG_RETIRE_MAX
                    ")", &p, NULL, e);

    if (rc == MG_OK) {
        rc = mg_pg_exec(c, "delete from model.jobs where id in "
                        "(select id from model.jobs "
                        "where state in ('completed', 'failed', 'cancelled') "
                        "and completed_at "
                        "< now() - $1::bigint * interval '1 day' "
                        "limit " MG_RETIRE_MAX " for update skip locked)",
                        &p, &r, e);
    }

    mg_arena_destroy(a);

    if (rc == MG_OK) {
        *removed = (int64_t) mg_pg_rows_affected(r);
        mg_pg_rows_free(r);
    }

    return rc;
}


int
mg_store_validation_due(mg_pg_t *c, mg_str_t providers, unsigned interval_s,
    unsigned jitter_s, mg_arena_t *a, mg_validation_due_t **rows, unsigned *n,
    mg_error_t *e)
{
    void            *list;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, providers);
    mg_pg_param_int(&p, interval_s);
    mg_pg_param_int(&p, jitter_s);

    if (mg_pg_exec(c, "select p.org_id, p.id, v.id "
                   "from model.providers p left join lateral (select w.* "
                   "from model.ai_model_validation_progress w "
                   "where w.org_id = p.org_id and w.provider_id = p.id "
                   "and not w.only_failed and not w.chosen "
                   "order by w.created_at desc limit 1) v on true "
                   "where p.active and p.deleted_at is null "
                   "and p.base_url is not null "
                   "and case when $1::text is null "
                   "then p.source = 'manual' or exists "
                   "(select from model.provider_credentials k "
                   "where k.provider_id = p.id and k.org_id = p.org_id) "
                   "else p.id = any(string_to_array($1, ',')) end "
                   "and (v.id is null "
                   "or (v.status in ('completed', 'failed', 'cancelled') "
                   "and v.created_at + ($2::bigint + case when $3::bigint > 0 "
                   "then abs(hashtext(v.id::text)::bigint) % $3::bigint "
                   "else 0 end) * interval '1 s' <= now())) "
                   "order by v.created_at nulls first, p.id "
                   "limit " MG_DUE_MAX, &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_store_rows(r, sizeof(mg_validation_due_t), mg_due_row, a, &list, n,
                      e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    *rows = list;

    return MG_OK;
}


static int
mg_due_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out)
{
    mg_validation_due_t  *due = out;

    return (mg_column_str(r, row, 0, a, &due->org_id) == MG_OK
            && mg_column_str(r, row, 1, a, &due->provider_id) == MG_OK
            && mg_column_str(r, row, 2, a, &due->last) == MG_OK)
           ? MG_OK : MG_ERROR;
}
