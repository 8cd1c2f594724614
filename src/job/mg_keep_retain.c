/*
 * mg_keep_retain.c: asks for the retention of records when a day is over.
 *
 *     once an hour: groups with a day to take away -> a job each
 *                   jobs that ended long ago -> gone
 *
 * A day is due once, at midnight UTC; the key of the jobs lets one of several
 * nodes that see it have it.  A job that failed is asked for again in an hour.
 *
 * Pool thread of worker 0.
 */

#include "job/mg_engine.h"
#include "job/mg_keep_local.h"


#define MG_KEEP_RETAIN         (3600 * MG_KEEP_SECOND)
#define MG_KEEP_RETAIN_AGAIN   (60 * MG_KEEP_SECOND)


static int mg_keep_retain_ask(mg_pg_t *db, mg_arena_t *a, mg_error_t *e);
static int mg_keep_retain_jobs(const mg_env_t *env, mg_pg_t *db,
    mg_error_t *e);


int
mg_keep_retain(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db, mg_error_t *e)
{
    int          rc;
    int64_t      now;
    mg_arena_t  *a;

    now = mg_mono_us();

    if (k->retain_us != 0 && now - k->retain_us < MG_KEEP_RETAIN) {
        return MG_OK;
    }

    a = mg_arena_create(0);

    if (a == NULL) {
        return MG_OK;
    }

    k->retain_us = now;
    rc = mg_keep_retain_ask(db, a, e);
    mg_arena_destroy(a);

    if (rc == MG_OK) {
        rc = mg_keep_retain_jobs(env, db, e);
    }

    if (rc == MG_OK) {
        return MG_OK;
    }

    if (e->kind == MG_E_UNAVAILABLE) {
        k->retain_us = 0;
        return MG_ERROR;
    }

    k->retain_us = now - MG_KEEP_RETAIN + MG_KEEP_RETAIN_AGAIN;

    env->log(MG_LOG_ERROR, "cannot see which records and jobs are too old: "
             "%s", e->message);

    return MG_OK;
}


static int
mg_keep_retain_ask(mg_pg_t *db, mg_arena_t *a, mg_error_t *e)
{
    mg_job_t          j;
    unsigned          i, n;
    mg_actor_t        who;
    mg_retain_due_t  *due;

    if (mg_store_retain_due(db, a, &due, &n, e) != MG_OK) {
        return MG_ERROR;
    }

    for (i = 0; i < n; i++) {
        who.org_id = due[i].org_id;
        who.token_id = mg_str_null;
        who.once = NULL;
        who.webhook = mg_str_null;

        if (mg_retain_ask(db, &who, due[i].group_id, a, &j, e) != MG_OK
            && e->kind != MG_E_CONFLICT)
        {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static int
mg_keep_retain_jobs(const mg_env_t *env, mg_pg_t *db, mg_error_t *e)
{
    int64_t  removed;

    if (env->jobs_history_days == 0) {
        return MG_OK;
    }

    if (mg_store_job_retire(db, env->jobs_history_days, &removed, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (removed > 0) {
        env->log(MG_LOG_INFO, "%d jobs that ended more than %u days ago were "
                 "removed", (int) removed, env->jobs_history_days);
    }

    return MG_OK;
}
