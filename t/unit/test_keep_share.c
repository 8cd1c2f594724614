/*
 * What would break: a node that builds what another one has built or is
 * building, waits for it for ever, or believes a copy from Redis of another
 * generation; that serves an old catalog as if it were the database's, or
 * calls a good one old.
 */

#include "keep_double.h"


/* Who reads a catalog must be told when nobody can vouch for it. */

static void
test_stale(void)
{
    struct stat      st;
    const int64_t    hour = 3600 * 1000000LL;
    struct timespec  times[2];

    (void) unlink(path("confirmed"));

    begin(0);
    is_int(start(), MG_OK, "start with files");
    is_uint(state.catalog_stale, 1, "nobody has confirmed them yet");
    is_uint(state.catalog_confirmed_us, state.catalog_built_us,
            "they are as old as they are");

    is_int(step(), MG_OK, "a round");
    is_uint(state.catalog_stale, 0, "they are what the database is");
    ok(mg_now_us() - (int64_t) state.catalog_confirmed_us < hour, "now");
    ok(stat(path("confirmed"), &st) == 0, "which is written down");
    is_int(mg_ready_stale(&state, mg_now_us() + hour), -1,
           "no age while all is well");

    away = 1;
    is_int(step(), MG_ERROR, "the database goes away");
    is_uint(state.catalog_stale, 1, "stale");
    ok(mg_ready_stale(&state, mg_now_us() + hour) >= 3600, "since then");

    /* two hours later, after a restart */

    times[0].tv_sec = time(NULL) - 7200;
    times[0].tv_nsec = 0;
    times[1] = times[0];
    (void) utimensat(AT_FDCWD, path("confirmed"), times, 0);

    begin(0);
    away = 1;
    is_int(start(), MG_OK, "a restart without the database");
    is_int(step(), MG_ERROR, "which stays away");
    is_uint(state.catalog_stale, 1, "stale");
    ok(mg_ready_stale(&state, mg_now_us()) >= 7200
       && mg_ready_stale(&state, mg_now_us()) < 7300,
       "for the two hours that it was not confirmed");

    away = 0;
    is_int(step(), MG_OK, "it is back");
    is_uint(state.catalog_stale, 0, "and all is well");

    generations.catalog++;
    fails = 1;
    is_int(step(), MG_OK, "a change that cannot be built");
    is_uint(state.catalog_stale, 1, "is not served, and answers say so");

    fails = 0;
    generations.catalog = 9;
    is_int(step(), MG_OK, "and back");
    is_uint(state.catalog_stale, 0, "it is what the database is");
}


static void
test_redis(void)
{
    begin(1);
    env.redis = (mg_redis_t *) &env;
    generations.catalog = 100;

    is_int(step(), MG_OK, "a node builds");
    is_uint(shelf_generation[MG_SNAP_CATALOG], 100, "and shares");
    is_int(released, 1, "and gives the lock back");
    is_uint(metrics.n[MG_M_L2_MISSES], 1, "a miss of the second layer");
    is_uint(metrics.n[MG_M_L3_HITS], 1, "a hit of the third");

    begin(0);
    env.redis = (mg_redis_t *) &env;
    (void) unlink(path("catalog.snap"));
    is_int(start(), MG_OK, "another node");
    is_int(step(), MG_OK, "its first round");
    is_int(builds, 0, "builds nothing");
    is_uint(metrics.n[MG_M_SNAPSHOT_REDIS], 1, "it comes from Redis");
    is_uint(metrics.n[MG_M_L2_HITS], 1, "a hit of the second layer");
    is_uint(state.catalog_generation, 100, "and is what it should be");

    begin(1);
    env.redis = (mg_redis_t *) &env;
    generations.catalog = 101;
    shelf_generation[MG_SNAP_CATALOG] = 101;
    is_int(step(), MG_OK, "a copy that is of another generation");
    is_int(builds, 0, "is not believed");
    is_int(dropped, 1, "but deleted");
    ok(keep.again_ms > 0, "and the question is asked again");
    is_int(step(), MG_OK, "with the next round");
    is_int(builds, 1, "the database is asked");
    is_uint(state.catalog_generation, 101, "for what is wanted");
    is_uint(shelf_generation[MG_SNAP_CATALOG], 101, "and it is shared");
    is_uint(replaced, 100, "in place of the old one");

    generations.catalog = 102;
    shelf_generation[MG_SNAP_CATALOG] = 102;
    shelf[MG_SNAP_CATALOG].data[shelf[MG_SNAP_CATALOG].len - 1] ^= 1;
    is_int(step(), MG_OK, "a copy that is damaged");
    is_int(builds, 1, "is not believed");
    is_int(step(), MG_OK, "the next round");
    is_int(builds, 2, "the database is asked");
    is_uint(state.catalog_generation, 102, "for what is wanted");

    redis_fails = 1;
    generations.catalog = 103;
    is_int(step(), MG_OK, "without Redis");
    is_uint(state.catalog_generation, 103, "the database is asked");
    is_uint(metrics.n[MG_M_L2_ERRORS], 1, "which is counted");
}


/* One builder: the others wait for what it makes, but not for ever. */

static void
test_wait(void)
{
    unsigned  before;

    begin(1);
    env.redis = (mg_redis_t *) &env;
    others_build = 1;
    generations.catalog = 110;
    generations.routing++;
    shelf_generation[MG_SNAP_ROUTING] = 0;

    is_int(step(), MG_OK, "another node builds both");
    is_int(builds, 0, "this one does not");
    ok(keep.again_ms > 0 && keep.again_ms <= 100, "it asks again in %u ms",
       keep.again_ms);
    is_uint(metrics.n[MG_M_L2_WAITS], 2, "both waits are counted");

    before = claims;
    is_int(step(), MG_OK, "still");
    is_int(claims - before, 2, "it asked");
    is_uint(metrics.n[MG_M_L2_WAITS], 2, "a wait is counted once");

    keep.waiting_us[0] -= 60 * 1000000LL;
    keep.waiting_us[1] -= 60 * 1000000LL;
    is_int(step(), MG_OK, "too long");
    is_int(builds, 2, "it builds for itself");
    is_uint(state.catalog_generation, 110, "what is wanted");
    is_int(keep.waiting_us[0], 0, "and waits for nobody");
    is_int(released, 0, "a lock that it never had is not given back");
}


int
main(void)
{
    if (mkdtemp(dir) == NULL) {
        return skip_all("no temporary folder");
    }

    models = 3;
    generations.catalog = 9;
    generations.routing = 20;

    begin(0);
    is_int(start(), MG_OK, "start");
    is_int(step(), MG_OK, "the first files");

    test_stale();
    test_redis();
    test_wait();

    return end();
}
