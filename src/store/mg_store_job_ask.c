/*
 * mg_store_job_ask.c: jobs, made.
 *
 *     the same request before? -> insert -> what is in the way?
 *
 * Two indexes may stand in the way of a row: the key of a job that is pending
 * or running, and the Idempotency-Key of a request within a day.  Both are
 * looked up after an insert that did nothing, and since what is found may end
 * in between, all that is tried three times.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_job_row.h"


/* For how long a request is known again. */
#define MG_JOB_ONCE   "interval '24 h'"

#define MG_JOB_TRIES  3


static int mg_job_insert(mg_pg_t *c, const mg_actor_t *who,
    const mg_job_ask_t *ask, mg_arena_t *a, mg_job_t *j, mg_error_t *e);
static int mg_job_running(mg_pg_t *c, const mg_actor_t *who,
    const mg_job_ask_t *ask, mg_arena_t *a, mg_job_t *j, mg_error_t *e);
static int mg_job_forget(mg_pg_t *c, const mg_actor_t *who, const char *kind,
    mg_arena_t *a, mg_error_t *e);


int
mg_store_job_create(mg_pg_t *c, const mg_actor_t *who, const char *kind,
    mg_str_t key, mg_str_t payload, mg_arena_t *a, mg_job_t *j,
    mg_error_t *e)
{
    mg_job_ask_t  ask;

    memset(&ask, 0, sizeof(mg_job_ask_t));
    ask.kind = kind;
    ask.key = key;
    ask.payload = payload;
    ask.priority = mg_store_job_priority(who);

    return mg_store_job_ask(c, who, &ask, a, j, e);
}


int
mg_store_job_priority(const mg_actor_t *who)
{
    return who->token_id.data ? MG_JOB_PRIORITY_PERSON
                              : MG_JOB_PRIORITY_ROUTINE;
}


int
mg_store_job_ask(mg_pg_t *c, const mg_actor_t *who, const mg_job_ask_t *ask,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    int  rc, tries;

    for (tries = 0; tries < MG_JOB_TRIES; tries++) {

        rc = mg_store_job_replay(c, who, ask->kind,
                                 ask->key.data ? ask->key : mg_str(""), a, j,
                                 e);

        if (rc == MG_DECLINED) {
            rc = mg_job_insert(c, who, ask, a, j, e);
        }

        if (rc == MG_DECLINED) {
            rc = mg_job_running(c, who, ask, a, j, e);
        }

        if (rc != MG_DECLINED) {
            return rc;
        }
    }

    return mg_error_set(e, MG_E_CONFLICT, NULL,
                        "jobs of this kind come and go; try again");
}


/* MG_DECLINED: something was in the way. */

static int
mg_job_insert(mg_pg_t *c, const mg_actor_t *who, const mg_job_ask_t *ask,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_z(&p, ask->kind);
    mg_pg_param_str(&p, ask->key);
    mg_pg_param_str(&p, ask->payload.data ? ask->payload : mg_str("{}"));
    mg_pg_param_str(&p, who->token_id);
    mg_pg_param_int(&p, ask->priority);
    mg_pg_param_int(&p, ask->max_attempts ? ask->max_attempts : MG_UNKNOWN);
    mg_pg_param_int(&p, ask->wait_us);
    mg_pg_param_str(&p, who->once ? who->once->key : mg_str_null);
    mg_pg_param_str(&p, who->once ? who->once->hash : mg_str_null);

    if (mg_pg_exec(c, "insert into model.jobs (org_id, kind, key, payload, "
                   "token_id, priority, max_attempts, run_after, "
                   "idempotency_key, idempotency_hash) "
                   "values ($1, $2, $3, $4, $5, $6, coalesce($7, 3), "
                   "now() + $8::bigint * interval '1 us', $9, $10) "
                   "on conflict do nothing returning " MG_JOB_COLUMNS, &p, &r,
                   e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_job_one(r, a, j, e);
}


/* MG_ERROR: one is there; MG_DECLINED: no more. */

static int
mg_job_running(mg_pg_t *c, const mg_actor_t *who, const mg_job_ask_t *ask,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    int              rc;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_z(&p, ask->kind);
    mg_pg_param_str(&p, ask->key);

    if (mg_pg_exec(c, "select " MG_JOB_COLUMNS " from model.jobs "
                   "where org_id = $1 and kind = $2 and key = $3 "
                   "and state in ('pending', 'in_progress')", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    rc = mg_job_one(r, a, j, e);

    if (rc == MG_OK) {
        return mg_error_set(e, MG_E_CONFLICT, NULL,
                            "a job of this kind is running: %.*s; wait for "
                            "its end or cancel it", MG_STR_ARG(j->id));
    }

    return rc;
}


int
mg_store_job_replay(mg_pg_t *c, const mg_actor_t *who, const char *kind,
    mg_str_t key, mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    int              rc, same, one;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    if (who->once == NULL) {
        return MG_DECLINED;
    }

    if (mg_job_forget(c, who, kind, a, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_z(&p, kind);
    mg_pg_param_str(&p, who->once->key);
    mg_pg_param_str(&p, who->once->hash);
    mg_pg_param_str(&p, key);

    /* behind the columns of a job; a different request comes first */

    if (mg_pg_exec(c, "select " MG_JOB_COLUMNS ", idempotency_hash = $4, "
                   "$5::text is null or coalesce(key, '') = $5 "
                   "from model.jobs where org_id = $1 and kind = $2 "
                   "and idempotency_key = $3 "
                   "order by idempotency_hash = $4, "
                   "$5::text is null or coalesce(key, '') = $5 desc, "
                   "created_at limit 1", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    same = (mg_pg_rows_count(r) == 0
            || mg_pg_rows_tri(r, 0, MG_JOB_COLUMNS_N) == 1);
    one = (mg_pg_rows_count(r)
           && mg_pg_rows_tri(r, 0, MG_JOB_COLUMNS_N + 1) == 1);

    if (same && one) {
        rc = mg_job_one(r, a, j, e);
        j->replayed = 1;
        return rc;
    }

    mg_pg_rows_free(r);

    if (same) {
        return MG_DECLINED;
    }

    memset(j, 0, sizeof(mg_job_t));

    return mg_error_set(e, MG_E_CONFLICT, MG_JOB_ONCE_PARAM,
                        MG_JOB_ONCE_PARAM " \"%.*s\" was sent with another "
                        "request within the last 24 hours; give each request "
                        "a key of its own", MG_STR_ARG(who->once->key));
}


/* An index cannot know the time of day. */

static int
mg_job_forget(mg_pg_t *c, const mg_actor_t *who, const char *kind,
    mg_arena_t *a, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_z(&p, kind);
    mg_pg_param_str(&p, who->once->key);

    return mg_pg_exec(c, "update model.jobs set idempotency_key = null, "
                      "idempotency_hash = null where org_id = $1 "
                      "and kind = $2 and idempotency_key = $3 "
                      "and created_at < now() - " MG_JOB_ONCE, &p, NULL, e);
}
