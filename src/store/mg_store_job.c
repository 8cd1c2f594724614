/*
 * mg_store_job.c: jobs, claimed by lease.
 *
 * The clock is the database's alone: leases are made and compared there.
 * Which state may follow which is enforced by a trigger, and a validation
 * has the state of its job by another, so that a job whose workers were
 * killed too often ends for its readers too.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_job_row.h"
#include "store/mg_store_list.h"


/* A job may be claimed: it waits, or whoever had it is gone. */
#define MG_JOB_CLAIMABLE                                                      \
    "(state = 'pending' or (state = 'in_progress' and lease_until < now()))"

#define MG_JOB_STRING_(n)  #n
#define MG_JOB_STRING(n)   MG_JOB_STRING_(n)

#define MG_JOB_LEASE       "interval '" MG_JOB_STRING(MG_JOB_LEASE_S) " s'"


static int mg_job_bury(mg_pg_t *c, mg_error_t *e);
static int mg_job_find(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e);


int
mg_store_job_create(mg_pg_t *c, const mg_actor_t *who, const char *kind,
    mg_str_t key, mg_str_t payload, mg_arena_t *a, mg_job_t *j,
    mg_error_t *e)
{
    int              rc, n, tries;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_z(&p, kind);
    mg_pg_param_str(&p, key);
    mg_pg_param_str(&p, payload.data ? payload : mg_str("{}"));
    mg_pg_param_str(&p, who->token_id);

    /* what was in the way may have ended before it could be read */

    for (tries = 0; tries < 3; tries++) {
        p.n = 5;

        if (mg_pg_exec(c, "insert into model.jobs "
                       "(org_id, kind, key, payload, token_id) "
                       "values ($1, $2, $3, $4, $5) "
                       "on conflict (org_id, kind, key) "
                       "where state in ('pending', 'in_progress') "
                       "and key is not null do nothing "
                       "returning " MG_JOB_COLUMNS, &p, &r, e)
            != MG_OK)
        {
            return MG_ERROR;
        }

        if (mg_pg_rows_count(r) == 1) {
            rc = mg_job_row(r, 0, a, j);
            mg_pg_rows_free(r);
            return rc == MG_OK ? MG_OK : mg_store_memory(e);
        }

        mg_pg_rows_free(r);
        p.n = 3;

        if (mg_pg_exec(c, "select " MG_JOB_COLUMNS " from model.jobs "
                       "where org_id = $1 and kind = $2 and key = $3 "
                       "and state in ('pending', 'in_progress')", &p, &r, e)
            != MG_OK)
        {
            return MG_ERROR;
        }

        n = mg_pg_rows_count(r);
        rc = n ? mg_job_row(r, 0, a, j) : MG_OK;
        mg_pg_rows_free(r);

        if (rc != MG_OK) {
            return mg_store_memory(e);
        }

        if (n) {
            return mg_error_set(e, MG_E_CONFLICT, NULL,
                                "a job of this kind is running: %.*s; wait "
                                "for its end or cancel it",
                                MG_STR_ARG(j->id));
        }
    }

    return mg_error_set(e, MG_E_CONFLICT, NULL,
                        "jobs of this kind come and go; try again");
}


int
mg_store_job_claim(mg_pg_t *c, const char *owner, mg_arena_t *a, mg_job_t *j,
    mg_error_t *e)
{
    return mg_store_job_claim_one(c, owner, mg_str_null, a, j, e);
}


int
mg_store_job_claim_one(mg_pg_t *c, const char *owner, mg_str_t id,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    int              rc;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    if (mg_job_bury(c, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_z(&p, owner);
    mg_pg_param_str(&p, id);

    /* the parameter is of any id when it is null */

    if (mg_pg_exec(c, "update model.jobs set state = 'in_progress', "
                   "attempt = attempt + 1, lease_owner = $1, "
                   "lease_until = now() + " MG_JOB_LEASE ", "
                   "started_at = coalesce(started_at, now()), "
                   "updated_at = now() "
                   "where id = (select id from model.jobs "
                   "where " MG_JOB_CLAIMABLE " "
                   "and ($2::uuid is null or id = $2) "
                   "order by created_at limit 1 for update skip locked) "
                   "returning " MG_JOB_COLUMNS, &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return MG_DECLINED;
    }

    rc = mg_job_row(r, 0, a, j);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


/* Jobs whose worker is gone and that nobody is to begin again. */

static int
mg_job_bury(mg_pg_t *c, mg_error_t *e)
{
    return mg_pg_exec(c, "update model.jobs set "
                      "state = case when cancel_requested then 'cancelled' "
                      "else 'failed' end, "
                      "error = case when cancel_requested then error "
                      "else format('the worker was lost in each of %s "
                      "attempts', attempt) end, "
                      "lease_owner = null, lease_until = null, "
                      "completed_at = now(), updated_at = now() "
                      "where id in (select id from model.jobs "
                      "where state = 'in_progress' "
                      "and lease_until < now() "
                      "and (cancel_requested or attempt >= max_attempts) "
                      "for update skip locked)", NULL, NULL, e);
}


int
mg_store_job_waiting(mg_pg_t *c, int *waiting, mg_error_t *e)
{
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, "select exists (select from model.jobs "
                   "where " MG_JOB_CLAIMABLE ")", NULL, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    *waiting = (mg_pg_rows_tri(r, 0, 0) == 1);
    mg_pg_rows_free(r);

    return MG_OK;
}


int
mg_store_job_heartbeat(mg_pg_t *c, const mg_job_t *j, const char *owner,
    int progress, int *cancel, mg_error_t *e)
{
    int              rc;
    mg_arena_t      *a;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, j->id);
    mg_pg_param_z(&p, owner);
    mg_pg_param_int(&p, progress < 0 ? INT64_MIN
                                     : progress > 100 ? 100 : progress);

    rc = mg_pg_exec(c, "update model.jobs "
                    "set lease_until = now() + " MG_JOB_LEASE ", "
                    "progress = coalesce($3, progress), "
                    "updated_at = now() "
                    "where id = $1 and lease_owner = $2 "
                    "and state = 'in_progress' returning cancel_requested",
                    &p, &r, e);

    mg_arena_destroy(a);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return MG_DECLINED;
    }

    *cancel = (mg_pg_rows_tri(r, 0, 0) == 1);
    mg_pg_rows_free(r);

    return MG_OK;
}


/* A hand-over gives the attempt back: nothing had gone wrong. */

int
mg_store_job_end(mg_pg_t *c, const mg_job_t *j, const char *owner,
    mg_job_state_e state, mg_str_t result, mg_str_t error, mg_error_t *e)
{
    int              rc;
    mg_arena_t      *a;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, j->id);
    mg_pg_param_z(&p, owner);
    mg_pg_param_str(&p, mg_job_state_names[state]);
    mg_pg_param_str(&p, result);
    mg_pg_param_str(&p, error.len ? error : mg_str_null);
    mg_pg_param_int(&p, j->attempt);

    rc = mg_pg_exec(c, "update model.jobs set state = $3, "
                    "result = coalesce($4, result), "
                    "error = case when $3 = 'pending' then null "
                    "else $5 end, "
                    "attempt = case when $3 = 'pending' "
                    "then greatest(attempt - 1, 0) "
                    "else greatest(attempt, $6) end, "
                    "progress = case when $3 = 'completed' then 100 "
                    "else progress end, "
                    "lease_owner = null, lease_until = null, "
                    "completed_at = case when $3 = 'pending' then null "
                    "else now() end, updated_at = now() "
                    "where id = $1 and lease_owner = $2 "
                    "and state = 'in_progress'", &p, &r, e);

    mg_arena_destroy(a);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    rc = mg_pg_rows_affected(r) ? MG_OK : MG_DECLINED;
    mg_pg_rows_free(r);

    return rc;
}


/* -- reading -- */

int
mg_store_job_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    mg_job_t *j, mg_error_t *e)
{
    return mg_job_find(c, mg_store_org(org_id), id, a, j, e);
}


static int
mg_job_find(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    mg_job_t *j, mg_error_t *e)
{
    int              rc;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, org_id);
    mg_pg_param_str(&p, id);

    if (mg_pg_exec(c, "select " MG_JOB_COLUMNS " from model.jobs "
                   "where org_id = $1 and id = $2", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_error_set(e, MG_E_NOT_FOUND, "id",
                            "there is no job \"%.*s\"", MG_STR_ARG(id));
    }

    rc = mg_job_row(r, 0, a, j);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


int
mg_store_job_list(mg_pg_t *c, mg_str_t org_id, mg_str_t kind,
    mg_paging_t *paging, mg_arena_t *a, mg_job_t **rows, unsigned *n,
    mg_error_t *e)
{
    void            *array;
    mg_pg_params_t   p;

    static const mg_store_list_t  list = {
        "select count(*) from model.jobs where org_id = $1 "
        "and ($2::text is null or kind = $2)",

        "select " MG_JOB_COLUMNS " from model.jobs "
        "where org_id = $1 and ($2::text is null or kind = $2) "
        "order by created_at desc, id limit $3 offset $4",

        sizeof(mg_job_t),
        mg_job_row
    };

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, kind.len ? kind : mg_str_null);

    if (mg_store_list(c, &list, &p, paging, a, &array, n, e) != MG_OK) {
        return MG_ERROR;
    }

    *rows = array;

    return MG_OK;
}


int
mg_store_job_cancel(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    mg_job_t *j, mg_error_t *e)
{
    uint64_t         n;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, id);

    if (mg_pg_exec(c, "update model.jobs set cancel_requested = true, "
                   "state = case state when 'pending' then 'cancelled' "
                   "else state end, "
                   "completed_at = case state when 'pending' then now() end, "
                   "updated_at = now() where org_id = $1 and id = $2 "
                   "and state in ('pending', 'in_progress')", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    n = mg_pg_rows_affected(r);
    mg_pg_rows_free(r);

    if (mg_job_find(c, mg_store_org(org_id), id, a, j, e) != MG_OK) {
        return MG_ERROR;
    }

    if (n == 0) {
        return mg_error_set(e, MG_E_CONFLICT, "id",
                            "the job \"%.*s\" has ended: it is %.*s",
                            MG_STR_ARG(id),
                            MG_STR_ARG(mg_job_state_names[j->state]));
    }

    return MG_OK;
}


int
mg_job_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out)
{
    mg_job_t  *j = out;

    int  state;

    memset(j, 0, sizeof(mg_job_t));

    if (mg_column_str(r, row, 0, a, &j->id) != MG_OK
        || mg_column_str(r, row, 1, a, &j->org_id) != MG_OK
        || mg_column_str(r, row, 2, a, &j->kind) != MG_OK
        || mg_column_str(r, row, 3, a, &j->key) != MG_OK
        || mg_column_str(r, row, 4, a, &j->payload) != MG_OK
        || mg_column_str(r, row, 5, a, &j->result) != MG_OK
        || mg_column_str(r, row, 6, a, &j->error) != MG_OK)
    {
        return MG_ERROR;
    }

    state = mg_job_state_find(mg_pg_rows_str(r, row, 7));
    j->state = state < 0 ? MG_JOB_FAILED : (mg_job_state_e) state;

    j->attempt = mg_pg_rows_int(r, row, 8);
    j->max_attempts = mg_pg_rows_int(r, row, 9);
    j->progress = mg_pg_rows_int(r, row, 10);
    j->cancel_requested = (mg_pg_rows_tri(r, row, 11) == 1);
    j->created_at = mg_pg_rows_time(r, row, 12);
    j->started_at = mg_pg_rows_time(r, row, 13);
    j->completed_at = mg_pg_rows_time(r, row, 14);
    j->updated_at = mg_pg_rows_time(r, row, 15);

    if (j->progress < 0) {
        j->progress = -1;
    }

    return MG_OK;
}
