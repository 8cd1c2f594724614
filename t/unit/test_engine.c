/*
 * Breaks when a run ends in the wrong state: a hand-over that counts as a
 * failure, a source that was away for a moment and is not tried again, one
 * that is tried for ever, a cancelled job that comes back, a run that goes
 * on although it was told to stop.
 */

#include "tap.h"

#include "base/mg_time.h"
#include "job/mg_engine.h"


static void
test_outcome(void)
{
    size_t      i;
    mg_run_t    run;
    mg_error_t  e;

    static const struct {
        const char       *what;
        int               rc;
        mg_error_kind_e   kind;
        int               cancel;
        int64_t           attempt;
        mg_job_state_e    state;
        int               moved;
    } cases[] = {
        { "done", MG_OK, MG_E_NONE, 0, 1, MG_JOB_COMPLETED, 0 },
        { "done before the cancellation came", MG_OK, MG_E_NONE, 1, 1,
          MG_JOB_COMPLETED, 0 },
        { "cancelled", MG_ERROR, MG_E_CANCELLED, 1, 1, MG_JOB_CANCELLED, 0 },
        { "handed over", MG_ERROR, MG_E_CANCELLED, 0, 1, MG_JOB_PENDING, 0 },
        { "handed over in the last attempt", MG_ERROR, MG_E_CANCELLED, 0, 3,
          MG_JOB_PENDING, 0 },
        { "away, attempts are left", MG_ERROR, MG_E_UNAVAILABLE, 0, 1,
          MG_JOB_PENDING, 0 },
        { "slow, attempts are left", MG_ERROR, MG_E_TIMEOUT, 0, 2,
          MG_JOB_PENDING, 0 },
        { "away in the last attempt", MG_ERROR, MG_E_UNAVAILABLE, 0, 3,
          MG_JOB_FAILED, 0 },
        { "away and cancelled", MG_ERROR, MG_E_UNAVAILABLE, 1, 1,
          MG_JOB_CANCELLED, 0 },
        { "wrong input", MG_ERROR, MG_E_INVALID, 0, 1, MG_JOB_FAILED, 0 },
        { "a bad source", MG_ERROR, MG_E_UPSTREAM, 0, 1, MG_JOB_FAILED, 0 },
        { "another run", MG_ERROR, MG_E_CONFLICT, 0, 1, MG_JOB_FAILED, 0 },
        { "broken and cancelled", MG_ERROR, MG_E_INTERNAL, 1, 1,
          MG_JOB_CANCELLED, 0 },
        { "away in the last attempt, but it got further", MG_ERROR,
          MG_E_UNAVAILABLE, 0, 3, MG_JOB_PENDING, 1 },
        { "wrong input, found late", MG_ERROR, MG_E_INVALID, 0, 3,
          MG_JOB_FAILED, 1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&run, 0, sizeof(run));
        memset(&e, 0, sizeof(e));
        run.cancel = cases[i].cancel;
        run.moved = cases[i].moved;
        run.job.attempt = cases[i].attempt;
        run.job.max_attempts = 3;
        e.kind = cases[i].kind;

        is_str(mg_job_state_names[mg_run_outcome(&run, cases[i].rc,
                                                 &e)].data,
               mg_job_state_names[cases[i].state].data, "%s",
               cases[i].what);
    }
}


static void
test_backoff(void)
{
    is_int(mg_engine_backoff(1), 1000000, "a second");
    is_int(mg_engine_backoff(2), 2000000, "then two");
    is_int(mg_engine_backoff(4), 8000000, "then eight");
    is_int(mg_engine_backoff(6), 30000000, "half a minute at most");
    is_int(mg_engine_backoff(INT64_MAX), 30000000, "for ever");
}


static void
test_kinds(void)
{
    unsigned  i;
    mg_str_t  names;

    names = MG_JOB_KIND_NAMES;

    for (i = 0; mg_job_kinds[i].handler; i++) {
        ok(strstr(names.data, mg_job_kinds[i].kind.data) != NULL,
           "%s is claimed", mg_job_kinds[i].kind.data);
    }

    ok(i >= 3, "there are kinds");
}


static void
test_stop(void)
{
    int         hand_over;
    mg_run_t    run;
    mg_error_t  e;

    hand_over = 0;
    memset(&run, 0, sizeof(run));
    run.hand_over = &hand_over;
    run.beat_us = mg_mono_us() + 3600000000;

    is_int(mg_run_stop(&run, &e), MG_OK, "go on");

    hand_over = 1;
    is_int(mg_run_stop(&run, &e), MG_ERROR, "the worker leaves");
    is_int(e.kind, MG_E_CANCELLED, "as a cancellation");
    like(e.message, "another worker goes on", "in words");

    run.beat_us = 0;
    is_int(mg_run_stop(&run, &e), MG_ERROR, "and does not beat any more");

    hand_over = 0;
    run.beat_us = mg_mono_us() + 3600000000;
    run.cancel = 1;
    is_int(mg_run_stop(&run, &e), MG_ERROR, "cancelled");
    like(e.message, "cancelled", "in words");

    run.lost = 1;
    is_int(mg_run_stop(&run, &e), MG_ERROR, "lost");
    like(e.message, "taken the job over", "goes before all else");
}


static void
test_step(void)
{
    int         hand_over;
    mg_env_t    env;
    mg_error_t  e;

    hand_over = 1;
    memset(&env, 0, sizeof(env));

    is_int(mg_engine_step(&env, &hand_over, &e), MG_ERROR, "no database");
    is_int(e.kind, MG_E_UNAVAILABLE, "is unavailable");
    like(e.message, "model_database", "and names what to set");

    /* never looked at, since the worker leaves */

    env.db = (mg_pg_pool_t *) &env;
    is_int(mg_engine_step(&env, &hand_over, &e), MG_DECLINED,
           "a worker that leaves claims nothing");
}


int
main(void)
{
    test_outcome();
    test_backoff();
    test_kinds();
    test_stop();
    test_step();

    return done_testing();
}
