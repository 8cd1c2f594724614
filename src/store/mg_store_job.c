/*
 * mg_store_job.c: jobs, claimed by lease.  mg_store_job_ask.c makes them.
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


#define MG_JOB_STRING_(n)  #n
#define MG_JOB_STRING(n)   MG_JOB_STRING_(n)

#define MG_JOB_LEASE       "interval '" MG_JOB_STRING(MG_JOB_LEASE_S) " s'"

/* A lease that ends later than any can: the database's clock was set back. */
#define MG_JOB_LEFT                                                           \
    "(state = 'in_progress' and (lease_until < now() "                        \
    "or lease_until > now() + 2 * " MG_JOB_LEASE "))"

/* A job may be claimed: it waits, or whoever had it is gone. */
#define MG_JOB_CLAIMABLE                                                      \
    "((state = 'pending' and run_after <= now()) or " MG_JOB_LEFT ")"

/* Names with commas between them, or null. */
#define MG_JOB_OF_KINDS(param)                                                \
    "(" param "::text is null "                                               \
    "or kind = any(string_to_array(" param ", ',')))"


static int mg_job_bury(mg_pg_t *c, mg_str_t kinds, mg_arena_t *a,
    mg_error_t *e);
static mg_arena_t *mg_job_params(mg_pg_params_t *p, const mg_job_t *j,
    const char *owner);
static int mg_job_leave(mg_pg_t *c, const char *sql, mg_pg_params_t *p,
    mg_error_t *e);
static int mg_job_find(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e);


int
mg_store_job_claim(mg_pg_t *c, const char *owner, mg_str_t kinds,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    return mg_store_job_claim_one(c, owner, kinds, mg_str_null, a, j, e);
}


int
mg_store_job_claim_one(mg_pg_t *c, const char *owner, mg_str_t kinds,
    mg_str_t id, mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    if (mg_job_bury(c, kinds, a, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_z(&p, owner);
    mg_pg_param_str(&p, id);
    mg_pg_param_str(&p, kinds);

    /* the parameter is of any id when it is null */

    if (mg_pg_exec(c, "update model.jobs set state = 'in_progress', "
                   "attempt = case when moved then 1 else attempt + 1 end, "
                   "moved = false, lease_owner = $1, "
                   "lease_until = now() + " MG_JOB_LEASE ", "
                   "started_at = coalesce(started_at, now()), "
                   "updated_at = now() "
                   "where id = (select id from model.jobs "
                   "where " MG_JOB_CLAIMABLE " "
                   "and ($2::uuid is null or id = $2) "
                   "and " MG_JOB_OF_KINDS("$3") " "
                   "order by priority desc, created_at "
                   "limit 1 for update skip locked) "
                   "returning " MG_JOB_COLUMNS, &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_job_one(r, a, j, e);
}


/* Jobs whose worker is gone and that nobody is to begin again. */

static int
mg_job_bury(mg_pg_t *c, mg_str_t kinds, mg_arena_t *a, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, kinds);

    return mg_pg_exec(c, "update model.jobs set "
                      "state = case when cancel_requested then 'cancelled' "
                      "else 'failed' end, "
                      "error = case when cancel_requested then error "
                      "else format('the worker was lost in each of %s "
                      "attempts', attempt) end, "
                      "lease_owner = null, lease_until = null, "
                      "completed_at = now(), updated_at = now() "
                      "where id in (select id from model.jobs "
                      "where " MG_JOB_LEFT " "
                      "and (cancel_requested "
                      "or (attempt >= max_attempts and not moved)) "
                      "and " MG_JOB_OF_KINDS("$1") " "
                      "for update skip locked)", &p, NULL, e);
}


int
mg_store_job_waiting(mg_pg_t *c, mg_str_t kinds, int *waiting, mg_error_t *e)
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
    mg_pg_param_str(&p, kinds);

    rc = mg_pg_exec(c, "select exists (select from model.jobs "
                    "where " MG_JOB_CLAIMABLE " "
                    "and " MG_JOB_OF_KINDS("$1") ")", &p, &r, e);

    mg_arena_destroy(a);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    *waiting = (mg_pg_rows_tri(r, 0, 0) == 1);
    mg_pg_rows_free(r);

    return MG_OK;
}


int
mg_store_job_heartbeat(mg_pg_t *c, const mg_job_t *j, const char *owner,
    int progress, int moved, int *cancel, mg_error_t *e)
{
    int              rc;
    mg_arena_t      *a;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    a = mg_job_params(&p, j, owner);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_param_int(&p, progress < 0 ? INT64_MIN
                                     : progress > 100 ? 100 : progress);
    mg_pg_param_bool(&p, moved != 0);

    rc = mg_pg_exec(c, "update model.jobs "
                    "set lease_until = now() + " MG_JOB_LEASE ", "
                    "progress = coalesce($3, progress), "
                    "moved = moved or $4, updated_at = now() "
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


/*
 * A hand-over gives the attempt back: nothing had gone wrong.  One that was
 * to be cancelled does not wait for somebody who finds that out.
 */

int
mg_store_job_end(mg_pg_t *c, const mg_job_t *j, const char *owner,
    mg_job_state_e state, mg_str_t result, mg_str_t error, mg_error_t *e)
{
    int              rc;
    mg_arena_t      *a;
    mg_pg_params_t   p;

    a = mg_job_params(&p, j, owner);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_param_str(&p, mg_job_state_names[state]);
    mg_pg_param_str(&p, result);
    mg_pg_param_str(&p, error.len ? error : mg_str_null);

    rc = mg_job_leave(c, "update model.jobs set "
                      "state = case when $3 = 'pending' and cancel_requested "
                      "then 'cancelled' else $3 end, "
                      "result = coalesce($4, result), "
                      "error = case when $3 = 'pending' then null "
                      "else $5 end, "
                      "attempt = case when $3 = 'pending' "
                      "then greatest(attempt - 1, 0) else attempt end, "
                      "progress = case when $3 = 'completed' then 100 "
                      "else progress end, "
                      "lease_owner = null, lease_until = null, "
                      "run_after = now(), "
                      "completed_at = case when $3 = 'pending' "
                      "and not cancel_requested then null else now() end, "
                      "updated_at = now() "
                      "where id = $1 and lease_owner = $2 "
                      "and state = 'in_progress'", &p, e);
    mg_arena_destroy(a);

    return rc;
}


int
mg_store_job_retry(mg_pg_t *c, const mg_job_t *j, const char *owner,
    int64_t wait_us, int moved, mg_str_t error, mg_error_t *e)
{
    int              rc;
    mg_arena_t      *a;
    mg_pg_params_t   p;

    a = mg_job_params(&p, j, owner);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_param_int(&p, wait_us);
    mg_pg_param_str(&p, error.len ? error : mg_str_null);
    mg_pg_param_bool(&p, moved != 0);

    rc = mg_job_leave(c, "update model.jobs set "
                      "state = case when cancel_requested then 'cancelled' "
                      "else 'pending' end, error = $4, moved = moved or $5, "
                      "run_after = now() + $3::bigint * interval '1 us', "
                      "lease_owner = null, lease_until = null, "
                      "completed_at = case when cancel_requested then now() "
                      "end, updated_at = now() "
                      "where id = $1 and lease_owner = $2 "
                      "and state = 'in_progress'", &p, e);
    mg_arena_destroy(a);

    return rc;
}


/* The first two of the parameters; NULL when out of memory. */

static mg_arena_t *
mg_job_params(mg_pg_params_t *p, const mg_job_t *j, const char *owner)
{
    mg_arena_t  *a;

    a = mg_arena_create(0);

    if (a) {
        mg_pg_params_init(p, a);
        mg_pg_param_str(p, j->id);
        mg_pg_param_z(p, owner);
    }

    return a;
}


/* MG_DECLINED: it was not ours. */

static int
mg_job_leave(mg_pg_t *c, const char *sql, mg_pg_params_t *p, mg_error_t *e)
{
    int            rc;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, sql, p, &r, e) != MG_OK) {
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

    rc = mg_job_one(r, a, j, e);

    if (rc == MG_DECLINED) {
        return mg_error_set(e, MG_E_NOT_FOUND, "id",
                            "there is no job \"%.*s\"", MG_STR_ARG(id));
    }

    return rc;
}


int
mg_store_job_list(mg_pg_t *c, mg_str_t org_id, const mg_job_filter_t *f,
    mg_paging_t *paging, mg_arena_t *a, mg_job_t **rows, unsigned *n,
    mg_error_t *e)
{
    void            *array;
    mg_pg_params_t   p;

#define MG_JOB_FILTER                                                         \
    "from model.jobs where org_id = $1 and ($2::text is null or kind = $2) "  \
    "and ($3::text is null or key = $3) "                                     \
    "and ($4::text is null or state = $4) "                                   \
    "and ($5::timestamptz is null or created_at >= $5) "

    static const mg_store_list_t  list = {
        "select count(*) " MG_JOB_FILTER,

        "select " MG_JOB_COLUMNS " " MG_JOB_FILTER
        "order by created_at desc, id limit $6 offset $7",

        sizeof(mg_job_t),
        mg_job_row
    };

#undef MG_JOB_FILTER

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, f->kind.len ? f->kind : mg_str_null);
    mg_pg_param_str(&p, f->key.len ? f->key : mg_str_null);
    mg_pg_param_str(&p, f->state < 0 ? mg_str_null
                                     : mg_job_state_names[f->state]);
    mg_pg_param_time(&p, f->since);

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

    if (mg_pg_exec(c, MG_JOB_CANCEL "and org_id = $1 and id = $2", &p, &r, e)
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
mg_job_one(mg_pg_rows_t *r, mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    int  rc;

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return MG_DECLINED;
    }

    rc = mg_job_row(r, 0, a, j);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
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
    j->run_after = mg_pg_rows_time(r, row, 16);
    j->priority = mg_pg_rows_int(r, row, 17);

    if (j->progress < 0) {
        j->progress = -1;
    }

    return MG_OK;
}
