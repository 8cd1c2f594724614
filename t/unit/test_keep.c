/*
 * What would break: a gateway that serves nothing although a sound file lies
 * in its state folder, or serves a damaged one; that builds too often or too
 * late; that never gets ready, or says so while the first sync runs; that
 * fills the log while the database is away.
 */

#include "keep_double.h"


static void
test_first_start(void)
{
    begin(0);
    models = 3;
    generations.catalog = 10;
    generations.routing = 20;
    waiting = 1;

    is_int(start(), MG_OK, "start with an empty folder");
    is_int(state.phase, MG_PHASE_CONNECTING, "nothing is there: connecting");
    is_uint(state.catalog_serial, 0, "nothing is announced");
    ok(state.started_us != 0, "the start has a time");

    is_int(step(), MG_OK, "a round");
    is_int(builds, 2, "both files were built");
    is_uint(state.catalog_generation, 10, "catalog's generation");
    is_uint(state.routing_generation, 20, "routing's generation");
    is_uint(state.catalog_serial, 1, "catalog's serial");
    is_uint(state.catalog_models, 3, "models are counted");
    is_int(state.phase, MG_PHASE_FINALIZING, "finalizing");
    is_int(keep.jobs_waiting, 1, "a job waits");
    is_uint(state.database_up, 1, "the database is up");
    is_int(logged[MG_LOG_NOTICE], 1, "which is logged");

    is_int(retain_asked, 0, "no day is too old");
    is_int(price_writes, 1, "price lists were written down");

    retain_due = 1;
    is_int(step(), MG_OK, "a day is");
    is_int(retain_asked, 0, "which is not looked for all the time");
    keep.retain_us -= 3600 * (int64_t) 1000000;
    is_int(step(), MG_OK, "an hour later");
    is_int(retain_asked, 1, "a job is asked for, or there is one");
    is_int(logged[MG_LOG_ERROR], 0, "which is no error");
    is_int(retired, 0, "jobs are kept for ever if nothing else was said");
    retain_due = 0;

    env.jobs_history_days = 30;
    keep.retain_us -= 3600 * (int64_t) 1000000;
    is_int(step(), MG_OK, "two hours later");
    is_int(retired, 1, "old jobs go");
    env.jobs_history_days = 0;

    waiting = 0;
    canary_ms = 400;
    is_int(step(), MG_OK, "another round");
    ok(keep.again_ms > 0 && keep.again_ms <= 401, "a step of a canary is due "
       "soon");
    canary_ms = 4000;
    is_int(step(), MG_OK, "and another");
    is_int(keep.again_ms, 0, "it is far away");
    canary_ms = -1;
    is_int(builds, 2, "nothing is built for nothing");
    is_int(keep.jobs_waiting, 0, "no job waits");
    is_int(logged[MG_LOG_NOTICE], 1, "nothing is logged for nothing");

    generations.routing = 21;
    is_int(step(), MG_OK, "a promotion");
    is_int(builds, 3, "only routing is built");
    is_int(price_writes, 1, "the same prices are not written again");
    is_uint(state.routing_serial, 2, "and announced");
    is_uint(state.catalog_serial, 1, "the catalog is not");

    generations.catalog = 9;
    is_int(step(), MG_OK, "a database that was restored");
    is_uint(state.catalog_generation, 9, "is the truth");
    like(last_log, "restored", "with a line in the log");
}


/* Changes that come fast share builds, a lone one does not wait. */

static void
test_pause(void)
{
    begin(1);
    state.phase = MG_PHASE_READY;
    generations.catalog++;

    is_int(step(), MG_OK, "a change after a while");
    is_int(builds, 1, "is built at once");
    is_uint(keep.again_ms, 0, "nothing waits");
    ok(keep.cost_us[0] > 0, "what it took is known");
    ok(keep.next_us[0] != 0
       && keep.next_us[0] <= mg_mono_us() + keep.cost_us[0],
       "the next one waits as long as that at most");

    keep.next_us[0] = mg_mono_us() + 400000;
    generations.catalog++;
    generations.routing++;
    is_int(step_at_once(), MG_OK, "another change right after it");
    is_int(builds, 2, "only routing is built");
    is_uint(state.routing_generation, generations.routing, "with its change");
    ok(keep.again_ms > 0 && keep.again_ms <= 401,
       "the catalog waits for a round in %u ms", keep.again_ms);

    generations.catalog++;
    keep.next_us[0] -= 400000;
    is_int(step_at_once(), MG_OK, "when its time has come");
    is_int(builds, 3, "both changes are one build");
    is_uint(state.catalog_generation, generations.catalog, "of the last");
    is_uint(keep.again_ms, 0, "nothing waits any more");

    generations.catalog = 9;
    (void) step();
    state.phase = MG_PHASE_FINALIZING;
}


/* What a job has changed waits for more of it, but not for long. */

static void
test_unawaited(void)
{
    begin(1);
    state.phase = MG_PHASE_READY;
    jobs_only = generations.catalog;
    generations.catalog++;

    is_int(step(), MG_OK, "a change by a job");
    is_int(builds, 0, "is not built at once");
    ok(keep.again_ms > 300 && keep.again_ms <= 501,
       "but with a round in %u ms", keep.again_ms);

    keep.noticed_us[0] -= 400000;
    generations.catalog++;
    is_int(step(), MG_OK, "another one meanwhile");
    is_int(builds, 0, "waits with it");
    ok(keep.again_ms > 0 && keep.again_ms <= 101,
       "no longer than the first, %u ms", keep.again_ms);

    keep.noticed_us[0] -= 100000;
    is_int(step(), MG_OK, "when its time has come");
    is_int(builds, 1, "both are one build");
    is_uint(state.catalog_generation, generations.catalog, "of the last");

    jobs_only = generations.catalog;
    generations.catalog++;
    is_int(step(), MG_OK, "a job once more");
    is_int(builds, 1, "which waits anew");
    jobs_only = ++generations.catalog;
    is_int(step(), MG_OK, "and somebody who waits");
    is_int(builds, 2, "does not wait for long");

    jobs_only = 0;
    generations.catalog = 9;
    keep.noticed_us[0] = 1;
    (void) step();
    state.phase = MG_PHASE_FINALIZING;
}


static void
test_away(void)
{
    int  i;

    begin(0);
    away = 1;

    is_int(start(), MG_OK, "start with files, database away");
    is_uint(state.catalog_generation, 9, "they are announced");
    is_int(state.phase, MG_PHASE_FINALIZING, "and are enough");

    for (i = 0; i < 3; i++) {
        is_int(step(), MG_ERROR, "a round without the database");
    }

    is_int(logged[MG_LOG_WARN], 1, "one line says so");
    is_uint(state.database_up, 0, "so does the state");
    is_uint(metrics.n[MG_M_DATABASE_ERRORS], 3, "each is counted");

    state.phase = MG_PHASE_READY;
    away = 0;
    is_int(step(), MG_OK, "it is back");
    is_int(logged[MG_LOG_NOTICE], 1, "one line");
    is_int(builds, 0, "nothing has changed");

    away = 1;
    (void) step();
    is_int(logged[MG_LOG_WARN], 2, "away again: one line more");
    is_int(state.phase, MG_PHASE_READY, "ready stays ready");
}


static void
test_reload(void)
{
    uint64_t  serial;

    serial = state.catalog_serial;

    begin(1);
    is_int(start(), MG_OK, "start in an adopted zone");
    is_uint(state.catalog_serial, serial, "known files are not announced");

    (void) unlink(path("catalog.snap"));
    begin(1);
    is_int(start(), MG_OK, "start with a file that is gone");
    is_int(step(), MG_OK, "a round");
    is_int(builds, 1, "it is built");
    is_uint(state.catalog_serial, serial + 1, "and announced");
}


static void
test_damaged(void)
{
    begin(0);
    away = 1;
    damage("catalog.snap");

    is_int(start(), MG_OK, "start with a damaged catalog");
    is_uint(state.catalog_serial, 0, "it is not announced");
    is_uint(state.routing_serial, 1, "the sound one is");
    is_int(state.phase, MG_PHASE_CONNECTING, "one file is not enough");
    like(last_log, "built anew", "the log says so");

    away = 0;
    is_int(step(), MG_OK, "the database is there");
    is_int(builds, 1, "it is built anew");
    is_int(state.phase, MG_PHASE_FINALIZING, "now it is");
}


static void
test_failed_build(void)
{
    begin(1);
    generations.catalog++;
    fails = 1;

    is_int(step(), MG_OK, "a build that fails is no failed round");
    is_int(logged[MG_LOG_ERROR], 1, "it is logged");
    is_uint(metrics.n[MG_M_SNAPSHOT_FAILED], 1, "and counted");
    is_uint(state.catalog_generation, generations.catalog - 1,
            "the old one stays");

    is_int(step(), MG_OK, "at once again");
    is_int(builds, 1, "is too soon");

    keep.failed_us[0] -= 10 * 1000000LL;
    is_int(step(), MG_OK, "later");
    is_int(builds, 2, "is not");
    is_int(logged[MG_LOG_ERROR], 1, "the same failure is logged once");

    generations.catalog++;
    fails = 0;
    is_int(step(), MG_OK, "another generation");
    is_uint(state.catalog_generation, generations.catalog,
            "is tried at once");
}


static void
test_names(void)
{
    uint64_t  serial;

    begin(1);
    base_url = "http://localhost:9000/v1";
    generations.routing++;
    is_int(step(), MG_OK, "a backend with a name");
    is_int(keep.named, 1, "is noticed");
    is_int(keep.unresolved, 0, "and resolved");

    serial = state.routing_serial;
    is_int(step(), MG_OK, "soon after");
    is_int(builds, 1, "it is left alone");

    keep.names_us -= 60 * 1000000LL;
    is_int(step(), MG_OK, "a minute later");
    is_int(builds, 2, "it is resolved again");
    is_uint(state.routing_serial, serial, "the same addresses: no new file");

    /* a reload: what the worker before has published after we had begun */

    keep.names_built--;
    keep.named = 0;
    is_int(step(), MG_OK, "a file of somebody else");
    is_int(builds, 3, "its names are looked up");
    is_int(keep.named, 1, "and from then on");
    is_uint(state.routing_serial, serial, "the file is good");
    is_int(step(), MG_OK, "then");
    is_int(builds, 3, "it is left alone");

    /* and the worker before was killed when it had not yet told of it */

    state.routing_built_us--;
    is_int(step(), MG_OK, "a file that was not announced");
    is_uint(state.routing_serial, ++serial, "is");
    is_int(builds, 4, "when it was looked at");
    is_int(step(), MG_OK, "then");
    is_int(builds, 4, "it is left alone, too");

    /* the database cannot change without a generation; an address can */

    base_url = "http://127.0.0.2:9000/v1";
    keep.names_us -= 60 * 1000000LL;
    is_int(step(), MG_OK, "other addresses");
    is_uint(state.routing_serial, serial + 1, "a new file");

    base_url = "http://localhost:9000/v1";
    generations.routing++;
    is_int(step(), MG_OK, "a name once more");
    serial = state.routing_serial;

    base_url = "http://absent.invalid:9000/v1";
    keep.names_us -= 60 * 1000000LL;
    is_int(step(), MG_OK, "a name server that knows nothing");
    is_uint(state.routing_serial, serial, "old addresses stay in use");
}


static void
test_first_sync(void)
{
    begin(0);
    models = 0;
    generations.catalog++;
    asked = 0;
    history = 0;
    sync_state = MG_JOB_IN_PROGRESS;
    env.catalog_source = "/nowhere/models.json";

    is_int(start(), MG_OK, "start");
    is_int(step(), MG_OK, "an empty catalog, and a source");
    is_int(asked, 1, "a sync is asked for");
    is_int(state.phase, MG_PHASE_LOADING, "loading");

    is_int(step(), MG_OK, "it runs");
    is_int(asked, 1, "it is asked for once");
    is_int(state.phase, MG_PHASE_LOADING, "still loading");
    is_uint(state.progress, 50, "half of it is done");

    models = 2;
    history = 1;
    generations.catalog++;
    is_int(step(), MG_OK, "it is done");
    is_uint(state.catalog_models, 2, "there are models");
    is_uint(state.last_sync_us, 77, "and the time of the sync");
    is_int(state.phase, MG_PHASE_FINALIZING, "finalizing");

    /* its commit comes after the generations were read */

    begin(0);
    models = 0;
    history = 0;
    generations.catalog++;
    sync_state = MG_JOB_IN_PROGRESS;
    env.catalog_source = "/nowhere/models.json";
    is_int(start(), MG_OK, "one more start");
    is_int(step_at_once(), MG_OK, "a sync");
    sync_lands = 1;
    is_int(step_at_once(), MG_OK, "it ends in the middle of a round");
    is_int(state.phase, MG_PHASE_FINALIZING, "finalizing");
    is_uint(state.catalog_models, 2, "with its models");

    begin(0);
    models = 0;
    history = 0;
    generations.catalog++;
    sync_state = MG_JOB_FAILED;
    env.catalog_source = "/nowhere/models.json";
    is_int(start(), MG_OK, "another start");
    is_int(step(), MG_OK, "another sync");
    is_int(state.phase, MG_PHASE_LOADING, "loading");
    is_int(step(), MG_OK, "it fails");
    is_int(state.phase, MG_PHASE_FINALIZING,
           "a gateway without models is better than none");
}


static void
test_folder(void)
{
    mg_error_t  e;

    begin(0);
    env.state_dir = "/nowhere/at/all";

    is_int(mg_keep_start(&env, &keep, &e), MG_OK, "no such folder");
    is_int(logged[MG_LOG_ERROR], 1, "which is logged");
    like(last_log, "/nowhere/at/all", "by its name");
    is_uint(state.catalog_serial, 0, "nothing is announced");
}


int
main(void)
{
    if (mkdtemp(dir) == NULL) {
        return skip_all("no temporary folder");
    }

    test_first_start();
    test_pause();
    test_unawaited();
    test_away();
    test_reload();
    test_damaged();
    test_failed_build();
    test_names();
    test_first_sync();
    test_folder();

    return end();
}
