/*
 * mg_engine.c: one job from claim to end.
 *
 * A step claims a row, finds the function of its kind, runs it and writes
 * how it ended; the row is ended in every case but one: when the lease is
 * another's, nothing is written any more.  A beat has a connection of its
 * own, so that it never waits for, or becomes part of, a transaction of the
 * job; but for itself alone, since others of the worker need one, too.  A
 * beat that fails is tried again a second later; meanwhile the job goes on,
 * for what it writes is its own affair.
 *
 * A failure that time may heal (database away, source away or slow) is
 * followed by another attempt until these are used up.  No thread waits for
 * that: the job is pending again, with a moment in its row before which
 * nobody takes it, later each time.
 *
 * Called by the job module on model_jobs threads; blocks.
 */

#include "job/mg_engine.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mg_time.h"


#define MG_ENGINE_BEAT_US        500000
#define MG_ENGINE_BEAT_RETRY_US  1000000
#define MG_ENGINE_STEP_US        50000
#define MG_ENGINE_BACKOFF_US     1000000
#define MG_ENGINE_BACKOFF_MAX_US 30000000

/* How long the end of a job is tried to be written. */
#define MG_ENGINE_END_US         30000000


#define MG_ENGINE_KIND(name)   { mg_str(#name), mg_job_##name },

const mg_job_kind_t  mg_job_kinds[] = {
    MG_JOB_KINDS(MG_ENGINE_KIND)
    { mg_str_null, NULL }
};


static int
mg_engine_leaves(const mg_run_t *run)
{
    if (run->until_us && mg_mono_us() >= run->until_us) {
        return 1;
    }

    return run->hand_over
           && __atomic_load_n(run->hand_over, __ATOMIC_RELAXED);
}


/* -- the heart -- */

static void
mg_engine_beat(mg_run_t *run)
{
    int         rc, cancel;
    mg_pg_t    *c;
    mg_error_t  e;

    run->beat_us = mg_mono_us() + MG_ENGINE_BEAT_US;
    cancel = 0;
    rc = MG_ERROR;
    c = mg_pg_checkout(run->env->db, &e);

    if (c) {
        rc = mg_store_job_heartbeat(c, &run->job, run->owner, run->progress,
                                    run->moved, &cancel, &e);
        mg_pg_release(c);
    }

    if (rc == MG_DECLINED) {
        run->lost = 1;

    } else if (rc != MG_OK) {
        run->beat_us += MG_ENGINE_BEAT_RETRY_US;

    } else if (cancel) {
        run->cancel = 1;
    }
}


int
mg_run_stop(mg_run_t *run, mg_error_t *e)
{
    if (!run->lost && !mg_engine_leaves(run)
        && mg_mono_us() >= run->beat_us)
    {
        mg_engine_beat(run);
    }

    if (run->lost) {
        return mg_error_set(e, MG_E_CANCELLED, NULL,
                            "another worker has taken the job over");
    }

    if (run->cancel) {
        return mg_error_set(e, MG_E_CANCELLED, NULL,
                            "the job was cancelled");
    }

    if (mg_engine_leaves(run)) {
        return mg_error_set(e, MG_E_CANCELLED, NULL,
                            "the job is handed over, another worker goes on");
    }

    return MG_OK;
}


mg_job_state_e
mg_run_outcome(const mg_run_t *run, int rc, const mg_error_t *e)
{
    if (rc == MG_OK) {
        return MG_JOB_COMPLETED;
    }

    if (e->kind == MG_E_CANCELLED) {
        return run->cancel ? MG_JOB_CANCELLED : MG_JOB_PENDING;
    }

    if ((e->kind == MG_E_UNAVAILABLE || e->kind == MG_E_TIMEOUT)
        && !run->cancel
        && (run->moved || run->job.attempt < run->job.max_attempts))
    {
        return MG_JOB_PENDING;
    }

    return run->cancel ? MG_JOB_CANCELLED : MG_JOB_FAILED;
}


/* -- the end -- */

int64_t
mg_engine_backoff(int64_t attempts)
{
    int64_t  n, wait;

    wait = MG_ENGINE_BACKOFF_US;

    for (n = 1; n < attempts && wait < MG_ENGINE_BACKOFF_MAX_US; n++) {
        wait *= 2;
    }

    return wait < MG_ENGINE_BACKOFF_MAX_US ? wait : MG_ENGINE_BACKOFF_MAX_US;
}


/* wait_us: before another attempt; 0: none is due to a failure. */

static int
mg_engine_end_once(mg_run_t *run, mg_job_state_e state, int64_t wait_us,
    mg_str_t error, mg_error_t *e)
{
    int       rc;
    mg_pg_t  *c;

    c = mg_pg_checkout(run->env->db, e);
    if (c == NULL) {
        return MG_ERROR;
    }

    rc = wait_us ? mg_store_job_retry(c, &run->job, run->owner, wait_us,
                                      run->moved, error, e)
                 : mg_store_job_end(c, &run->job, run->owner, state,
                                    run->result, error, e);
    mg_pg_release(c);

    return rc;
}


/*
 * With the database away the end is tried again for a while; after that the
 * lease runs out and another worker finds the row as it is.
 */

static void
mg_engine_end(mg_run_t *run, mg_job_state_e state, int64_t wait_us,
    mg_str_t error)
{
    int64_t     until, wait;
    mg_error_t  e;

    until = mg_mono_us() + MG_ENGINE_END_US;
    wait = MG_ENGINE_STEP_US;

    while (mg_engine_end_once(run, state, wait_us, error, &e) == MG_ERROR) {

        if (mg_engine_leaves(run) || mg_mono_us() + wait > until
            || e.kind != MG_E_UNAVAILABLE)
        {
            run->env->log(MG_LOG_ERROR, "job " MG_STR_FMT ": its end could "
                          "not be written: %s", MG_STR_ARG(run->job.id),
                          e.message);
            return;
        }

        usleep((useconds_t) wait);
        wait = (wait < MG_ENGINE_BACKOFF_US) ? wait * 2 : wait;
    }
}


static void
mg_engine_report(mg_run_t *run, mg_job_state_e state, int64_t wait_us,
    int64_t started, const mg_error_t *e)
{
    int64_t  ms;

    ms = (mg_mono_us() - started) / 1000;

    if (wait_us) {
        run->env->log(MG_LOG_WARN, "job " MG_STR_FMT " (" MG_STR_FMT "): "
                      "attempt %d of %d failed, the next in %d ms: %s",
                      MG_STR_ARG(run->job.id), MG_STR_ARG(run->job.kind),
                      (int) run->job.attempt, (int) run->job.max_attempts,
                      (int) (wait_us / 1000), e->message);
        return;
    }

    if (state == MG_JOB_FAILED) {
        run->env->log(MG_LOG_ERROR, "job " MG_STR_FMT " (" MG_STR_FMT ") "
                      "failed after %d ms: %s", MG_STR_ARG(run->job.id),
                      MG_STR_ARG(run->job.kind), (int) ms, e->message);
        return;
    }

    run->env->log(MG_LOG_NOTICE, "job " MG_STR_FMT " (" MG_STR_FMT "): "
                  MG_STR_FMT " after %d ms%s%s", MG_STR_ARG(run->job.id),
                  MG_STR_ARG(run->job.kind),
                  MG_STR_ARG(mg_job_state_names[state]), (int) ms,
                  state == MG_JOB_COMPLETED ? "" : ": ",
                  state == MG_JOB_COMPLETED ? "" : e->message);
}


/* -- the step -- */

static int
mg_engine_call(mg_run_t *run, mg_error_t *e)
{
    unsigned  i;

    for (i = 0; mg_job_kinds[i].handler; i++) {
        if (mg_str_eq(mg_job_kinds[i].kind, run->job.kind)) {
            return mg_job_kinds[i].handler(run, e);
        }
    }

    return mg_error_set(e, MG_E_INVALID, "kind", "job kind \"" MG_STR_FMT
                        "\" is not known to this version",
                        MG_STR_ARG(run->job.kind));
}


static void
mg_engine_run(mg_run_t *run)
{
    int             rc;
    int64_t         started, wait_us;
    mg_str_t        error;
    mg_error_t      e;
    mg_job_state_e  state;

    memset(&e, 0, sizeof(e));
    started = mg_mono_us();

    /* the claim was the first beat */

    run->beat_us = started + MG_ENGINE_BEAT_US;
    run->cancel = run->job.cancel_requested;

    rc = mg_engine_call(run, &e);

    if (run->lost) {
        mg_metric_add(run->env->metrics, JOBS_LOST, 1);
        run->env->log(MG_LOG_WARN, "job " MG_STR_FMT ": the lease was lost, "
                      "another worker goes on", MG_STR_ARG(run->job.id));
        return;
    }

    state = mg_run_outcome(run, rc, &e);
    wait_us = 0;

    if (state == MG_JOB_PENDING) {

        if (e.kind == MG_E_CANCELLED) {
            mg_metric_add(run->env->metrics, JOBS_HANDED_OVER, 1);

        } else {
            mg_metric_add(run->env->metrics, JOBS_RETRIED, 1);
            wait_us = run->retry_us ? run->retry_us
                                    : mg_engine_backoff(run->job.attempt);
        }
    }

    mg_engine_report(run, state, wait_us, started, &e);

    error = (state == MG_JOB_COMPLETED) ? mg_str_null : mg_str_z(e.message);
    mg_engine_end(run, state, wait_us, error);
}


/* id {NULL, 0}: the next one that waits. */

static int
mg_engine_claim(const mg_env_t *env, mg_str_t id, const int *hand_over,
    int64_t wait_us, mg_error_t *e)
{
    int        rc;
    mg_pg_t   *c;
    mg_run_t   run;

    static unsigned  claims;

    if (env->db == NULL) {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                            "no database is configured; set model_database");
    }

    memset(&run, 0, sizeof(run));
    run.env = env;
    run.hand_over = hand_over;
    run.until_us = wait_us ? mg_mono_us() + wait_us : 0;

    if (mg_engine_leaves(&run)) {
        return MG_DECLINED;
    }

    /*
     * A thread that was held up for longer than its lease may find its job
     * with another thread of the same worker.
     */

    (void) snprintf(run.owner, sizeof(run.owner), "%s:%u", env->owner,
                    __atomic_add_fetch(&claims, 1, __ATOMIC_RELAXED));

    run.arena = mg_arena_create(0);
    if (run.arena == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    rc = MG_ERROR;
    c = mg_pg_checkout(env->db, e);

    if (c) {
        rc = mg_store_job_claim_one(c, run.owner, MG_JOB_KIND_NAMES, id,
                                    run.arena, &run.job, e);
        mg_pg_release(c);
    }

    if (rc == MG_OK) {
        mg_metric_add(env->metrics, JOBS_CLAIMED, 1);
        mg_engine_run(&run);
    }

    mg_arena_destroy(run.arena);

    return rc;
}


int
mg_engine_step(const mg_env_t *env, const int *hand_over, mg_error_t *e)
{
    return mg_engine_claim(env, mg_str_null, hand_over, 0, e);
}


int
mg_engine_run_job(const mg_env_t *env, mg_str_t id, const int *hand_over,
    int64_t wait_us, mg_error_t *e)
{
    return mg_engine_claim(env, id, hand_over, wait_us, e);
}
