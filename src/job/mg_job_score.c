/*
 * mg_job_score.c: the scores of a provider's models after a validation.
 *
 * The run itself has ended: whether a model answers is known at once, how
 * reliable it has been takes the database a while.  Models are scored some at
 * a time, in the order of their ids and in as many transactions; a job that
 * is taken over begins anew, and what is scored already is only looked at.
 *
 * Called by the engine on a model_jobs thread; blocks.
 */

#include "job/mg_engine.h"

#include "base/mg_json.h"


static int mg_score_next(mg_run_t *run, mg_str_t provider, mg_str_t *after,
    mg_error_t *e);


int
mg_job_score(mg_run_t *run, mg_error_t *e)
{
    int               rc;
    mg_str_t          provider, after;
    const mg_json_t  *payload;

    payload = mg_json_parse(run->arena, run->job.payload, NULL, e);
    if (payload == NULL) {
        return MG_ERROR;
    }

    provider = mg_json_str(payload, "provider_id");

    if (provider.len == 0) {
        return mg_error_set(e, MG_E_INVALID, "payload", "the payload of "
                            "scores needs \"provider_id\"");
    }

    after = mg_str_null;

    do {
        rc = mg_run_stop(run, e);

        if (rc == MG_OK) {
            rc = mg_score_next(run, provider, &after, e);
        }

    } while (rc == MG_OK);

    return rc == MG_DECLINED ? MG_OK : MG_ERROR;
}


static int
mg_score_next(mg_run_t *run, mg_str_t provider, mg_str_t *after,
    mg_error_t *e)
{
    int       rc;
    mg_pg_t  *db;

    db = mg_pg_checkout_job(run->env->db, e);
    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_score_next(db, run->job.org_id, provider, after, run->arena,
                             e);
    mg_pg_release(db);

    return rc;
}
