/*
 * mg_engine.h: claims jobs and runs them.
 *
 *     claim (SKIP LOCKED, lease) -> run by kind -> end
 *                 ^                    |
 *                 |    heartbeat: lease, progress, cancel?
 *                 |
 *                 +--- hand-over: state pending, somebody else goes on
 *                 +--- another attempt: pending, not before a while
 *
 * The heart beats twice a second, not because of the lease (10 s) but
 * because a cancellation must be noticed within one.
 *
 * The truth is the row.  A job function works in steps, looks at
 * mg_run_stop() at least every 200 ms and can be run again from where the
 * database says it was: kill -9 costs a lease, a reload nothing.  What it
 * has done for good it says (moved): a job runs out of attempts only while
 * it does not get further.
 *
 * Blocks: model_jobs threads only.
 */

#ifndef MG_ENGINE_H
#define MG_ENGINE_H

#include "job/mg_env.h"
#include "store/mg_store.h"


/* Key and payload of the first sync; see mg_sync_ask.c for all others. */
#define MG_JOB_KEY_SYNC       "sync:models.dev"
#define MG_JOB_PAYLOAD_SYNC   "{\"source\": \"models.dev\"}"

/* What this version knows how to do: X(kind), run by mg_job_kind(). */
#define MG_JOB_KINDS(X)                                                       \
    X(sync)                                                                   \
    X(validate)                                                               \
    X(retain)                                                                 \
    X(webhook)                                                                \
    X(score)

/* Their names for mg_store_job_claim() and mg_store_job_waiting(). */
#define MG_JOB_KIND_NAME(name)   "," #name
#define MG_JOB_KIND_NAMES        mg_str(MG_JOB_KINDS(MG_JOB_KIND_NAME))


typedef struct {
    const mg_env_t  *env;
    const int       *hand_over;      /* the worker leaves: give the job back */
    mg_arena_t      *arena;          /* of this run */
    mg_job_t         job;
    char             owner[112];     /* of the lease, of this run alone */
    int64_t          beat_us;        /* private to the engine */
    int64_t          until_us;       /* mg_mono_us(): then it is handed over;
                                        0: never */
    int              progress;       /* 0..100 */
    int              moved;          /* set it after each step whose effect
                                        stays */
    int64_t          retry_us;       /* set it to wait so long before the
                                        next attempt; 0: as the engine does */
    int              cancel;         /* asked for by somebody */
    int              lost;           /* the lease is another's now */
    mg_str_t         result;         /* JSON object for the row */
} mg_run_t;


typedef int (*mg_job_pt)(mg_run_t *run, mg_error_t *e);

typedef struct {
    mg_str_t    kind;
    mg_job_pt   handler;
} mg_job_kind_t;

/* MG_JOB_KINDS; ends with handler == NULL. */
extern const mg_job_kind_t  mg_job_kinds[];


/*
 * Claims and runs at most one job.  MG_OK: one was run (however it ended);
 * MG_DECLINED: there was none; MG_ERROR: the database is away.
 */
int mg_engine_step(const mg_env_t *env, const int *hand_over, mg_error_t *e);

/*
 * Claims and runs the job of this id on the calling thread, which waits for
 * it.  One that has not ended after wait_us is handed over.  MG_OK: it was
 * run, see its row; MG_DECLINED: somebody else has it; MG_ERROR: the
 * database is away.
 */
int mg_engine_run_job(const mg_env_t *env, mg_str_t id, const int *hand_over,
    int64_t wait_us, mg_error_t *e);

/*
 * For job functions, often: beats when due.  0: go on.  Otherwise stop and
 * return MG_ERROR with the kind set here (MG_E_CANCELLED): cancelled,
 * handing over, or lost.
 */
int mg_run_stop(mg_run_t *run, mg_error_t *e);

/*
 * The state that a run ends in when its function has returned rc and *e:
 * the engine's rule, for functions that keep a row of their own in step.
 * PENDING: it will be run again (handed over, or the database or a source
 * was away and attempts are left).  Means nothing when run->lost is set.
 */
mg_job_state_e mg_run_outcome(const mg_run_t *run, int rc,
    const mg_error_t *e);

/*
 * us before the next attempt, after so many have failed: a second, twice as
 * long each time, half a minute at most.
 */
int64_t mg_engine_backoff(int64_t attempts);


int mg_job_sync(mg_run_t *run, mg_error_t *e);
int mg_job_validate(mg_run_t *run, mg_error_t *e);
int mg_job_retain(mg_run_t *run, mg_error_t *e);
int mg_job_webhook(mg_run_t *run, mg_error_t *e);
int mg_job_score(mg_run_t *run, mg_error_t *e);

/*
 * Asks for a job that takes away what a group keeps no longer.  MG_E_CONFLICT
 * with j->id if one is pending or running.
 */
int mg_retain_ask(mg_pg_t *db, const mg_actor_t *who, mg_str_t group_id,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e);


#endif /* MG_ENGINE_H */
