/*
 * What would break: a gateway that serves nothing although a sound file lies
 * in its state folder, or serves a damaged one; that builds what another
 * node has built, or believes a copy from Redis of another generation; that
 * never gets ready, or says so while the first sync runs; that fills the
 * log while the database is away.
 *
 * The store and Redis are doubles here; snapshots are real files.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/mg_keep.h"
#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_routing.h"
#include "store/mg_store.h"
#include "tap.h"


static mg_env_t          env;
static mg_state_t        state;
static mg_metrics_t      metrics;
static mg_keep_t         keep;
static char              dir[] = "/tmp/model-keep-XXXXXX";
static char              last_log[1024];
static unsigned          logged[MG_LOG_INFO + 1];

static mg_generations_t  generations;
static int               away;
static int               models;         /* in the catalog */
static int               waiting;
static int               fails;          /* builds */
static const char       *base_url;       /* of the one provider */
static mg_job_state_e    sync_state;
static int               sync_lands;     /* when it is asked about next */
static int               history;        /* a completed sync is there */
static unsigned          asked;          /* syncs */
static unsigned          builds;

static mg_buf_t          shelf[3];       /* Redis, by kind */
static uint64_t          shelf_generation[3];


/* -- doubles -- */

mg_pg_t *
mg_pg_checkout(mg_pg_pool_t *p, mg_error_t *e)
{
    if (away) {
        (void) mg_error_set(e, MG_E_UNAVAILABLE, NULL, "nobody answers");
        return NULL;
    }

    return (mg_pg_t *) p;
}


void
mg_pg_release(mg_pg_t *c)
{
    (void) c;
}


int
mg_store_generations(mg_pg_t *c, mg_generations_t *g, mg_error_t *e)
{
    (void) c;
    (void) e;

    *g = generations;
    return MG_OK;
}


int
mg_store_catalog_read(mg_pg_t *c, mg_catalog_builder_t **b,
    uint64_t *generation, mg_error_t *e)
{
    int            i;
    char           id[32];
    mg_model_t     m;
    mg_provider_t  p;

    (void) c;
    builds++;

    if (fails) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "it is too hard");
    }

    *generation = generations.catalog;
    *b = mg_catalog_builder_create(*generation);

    mg_provider_init(&p);
    p.id = mg_str("acme");
    p.name = p.id;
    (void) mg_catalog_builder_provider(*b, &p, e);

    for (i = 0; i < models; i++) {
        mg_model_init(&m);
        (void) snprintf(id, sizeof(id), "acme/m%d", i);
        m.id = mg_str_z(id);
        m.provider_id = mg_str("acme");
        m.provider_model_id = mg_str_z(id + 5);
        m.name = m.id;

        if (mg_catalog_builder_model(*b, &m, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


int
mg_store_routing_read(mg_pg_t *c, mg_routing_builder_t **b,
    uint64_t *generation, unsigned *unresolved, mg_error_t *e)
{
    mg_provider_t  p;

    (void) c;
    builds++;

    *generation = generations.routing;
    *b = mg_routing_builder_create(*generation);

    mg_provider_init(&p);
    p.id = mg_str("acme");
    p.name = p.id;
    p.org_id = mg_str(MG_ORG_DEFAULT);
    p.protocol = mg_str("openai");
    p.base_url = mg_str_z(base_url);

    return mg_routing_builder_provider(*b, &p, unresolved, e);
}


int
mg_store_sync_history(mg_pg_t *c, unsigned limit, mg_arena_t *a,
    mg_sync_history_t **rows, unsigned *n, mg_error_t *e)
{
    (void) c;
    (void) limit;
    (void) e;

    *n = history ? 2 : 1;
    *rows = mg_arena_calloc(a, 2 * sizeof(mg_sync_history_t));
    (*rows)[0].status = mg_str("failed");
    (*rows)[1].status = mg_str("completed");
    (*rows)[1].completed_at = 77;

    return MG_OK;
}


int
mg_store_job_create(mg_pg_t *c, const mg_actor_t *who, const char *kind,
    mg_str_t key, mg_str_t payload, mg_arena_t *a, mg_job_t *j,
    mg_error_t *e)
{
    (void) c;
    (void) who;
    (void) kind;
    (void) key;
    (void) payload;
    (void) a;

    asked++;
    j->id = mg_str("018f0000-0000-7000-8000-000000000001");

    return mg_error_set(e, MG_E_CONFLICT, NULL, "another node has asked");
}


int
mg_store_job_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    mg_job_t *j, mg_error_t *e)
{
    (void) c;
    (void) org_id;
    (void) a;
    (void) e;

    ok(id.len == 36, "it asks for the job that it knows");

    if (sync_lands) {
        sync_state = MG_JOB_COMPLETED;
        models = 2;
        generations.catalog++;
        sync_lands = 0;
    }

    j->state = sync_state;
    j->progress = 50;

    return MG_OK;
}


int
mg_store_job_waiting(mg_pg_t *c, int *found, mg_error_t *e)
{
    (void) c;
    (void) e;

    *found = waiting;
    return MG_OK;
}


int
mg_store_partitions(mg_pg_t *c, mg_error_t *e)
{
    (void) c;
    (void) e;

    return MG_OK;
}


int
mg_redis_snap_get(mg_redis_t *r, unsigned kind, uint64_t generation,
    mg_buf_t *out, mg_error_t *e)
{
    (void) r;
    (void) e;

    if (shelf_generation[kind] != generation) {
        return MG_DECLINED;
    }

    mg_buf_str(out, mg_buf_view(&shelf[kind]));
    return MG_OK;
}


int
mg_redis_snap_put(mg_redis_t *r, unsigned kind, uint64_t generation,
    mg_str_t image, mg_error_t *e)
{
    (void) r;
    (void) e;

    mg_buf_free(&shelf[kind]);
    mg_buf_init(&shelf[kind], 0);
    mg_buf_str(&shelf[kind], image);
    shelf_generation[kind] = generation;

    return MG_OK;
}


static void
note(mg_log_level_e level, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(last_log, sizeof(last_log), fmt, args);
    va_end(args);

    logged[level]++;
}


/* -- helpers -- */

/* A worker 0 that has just started; the zone is new, or adopted. */

static void
begin(int adopted)
{
    memset(&keep, 0, sizeof(keep));
    memset(&metrics, 0, sizeof(metrics));
    memset(logged, 0, sizeof(logged));
    last_log[0] = '\0';

    if (!adopted) {
        memset(&state, 0, sizeof(state));
    }

    env.db = (mg_pg_pool_t *) &env;
    env.redis = NULL;
    env.state_dir = dir;
    env.state = &state;
    env.metrics = &metrics;
    env.catalog_source = NULL;
    env.log = note;

    away = 0;
    fails = 0;
    builds = 0;
    waiting = 0;
    base_url = "http://127.0.0.1:9000/v1";
}


static int
start(void)
{
    mg_error_t  e;

    return mg_keep_start(&env, &keep, &e);
}


static int
step_at_once(void)
{
    int         cancel;
    mg_error_t  e;

    cancel = 0;
    return mg_keep_step(&env, &keep, &cancel, &e);
}


/* A round when the last catalog is old enough for the next. */

static int
step(void)
{
    keep.catalog_us = 0;
    return step_at_once();
}


static char *
path(const char *file)
{
    static char  buf[256];

    (void) snprintf(buf, sizeof(buf), "%s/%s", dir, file);
    return buf;
}


static void
damage(const char *file)
{
    int    c;
    FILE  *f;

    f = fopen(path(file), "r+");
    (void) fseek(f, -1, SEEK_END);
    c = fgetc(f);
    (void) fseek(f, -1, SEEK_END);
    (void) fputc(c ^ 0x40, f);
    (void) fclose(f);
}


/* -- tests -- */

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

    waiting = 0;
    is_int(step(), MG_OK, "another round");
    is_int(builds, 2, "nothing is built for nothing");
    is_int(keep.jobs_waiting, 0, "no job waits");
    is_int(logged[MG_LOG_NOTICE], 1, "nothing is logged for nothing");

    generations.routing = 21;
    is_int(step(), MG_OK, "a promotion");
    is_int(builds, 3, "only routing is built");
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

    generations.catalog++;
    generations.routing++;
    is_int(step_at_once(), MG_OK, "another change right after it");
    is_int(builds, 2, "only routing is built");
    is_uint(state.routing_generation, generations.routing, "with its change");
    ok(keep.again_ms > 0 && keep.again_ms <= 501,
       "the catalog waits for a round in %u ms", keep.again_ms);

    generations.catalog++;
    keep.catalog_us -= 500000;
    is_int(step_at_once(), MG_OK, "half a second later");
    is_int(builds, 3, "both changes are one build");
    is_uint(state.catalog_generation, generations.catalog, "of the last");
    is_uint(keep.again_ms, 0, "nothing waits any more");

    generations.catalog = 9;
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
test_redis(void)
{
    begin(1);
    env.redis = (mg_redis_t *) &env;
    generations.catalog = 100;

    is_int(step(), MG_OK, "a node builds");
    is_uint(shelf_generation[MG_SNAP_CATALOG], 100, "and shares");

    begin(0);
    env.redis = (mg_redis_t *) &env;
    (void) unlink(path("catalog.snap"));
    is_int(start(), MG_OK, "another node");
    is_int(step(), MG_OK, "its first round");
    is_int(builds, 0, "builds nothing");
    is_uint(metrics.n[MG_M_SNAPSHOT_REDIS], 1, "it comes from Redis");
    is_uint(state.catalog_generation, 100, "and is what it should be");

    begin(1);
    env.redis = (mg_redis_t *) &env;
    generations.catalog = 101;
    shelf_generation[MG_SNAP_CATALOG] = 101;
    is_int(step(), MG_OK, "a copy that is of another generation");
    is_int(builds, 1, "is not believed");
    is_uint(state.catalog_generation, 101, "the database is asked");

    generations.catalog = 102;
    shelf_generation[MG_SNAP_CATALOG] = 102;
    shelf[MG_SNAP_CATALOG].data[shelf[MG_SNAP_CATALOG].len - 1] ^= 1;
    is_int(step(), MG_OK, "a copy that is damaged");
    is_int(builds, 2, "is not believed");
    is_uint(state.catalog_generation, 102, "the database is asked");
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
    unsigned  kind;

    if (mkdtemp(dir) == NULL) {
        return skip_all("no temporary folder");
    }

    test_first_start();
    test_pause();
    test_away();
    test_reload();
    test_damaged();
    test_failed_build();
    test_redis();
    test_names();
    test_first_sync();
    test_folder();

    for (kind = 0; kind < 3; kind++) {
        mg_buf_free(&shelf[kind]);
    }

    (void) unlink(path("catalog.snap"));
    (void) unlink(path("routing.snap"));
    (void) unlink(path("keeper.lock"));
    ok(rmdir(dir) == 0, "no temporary file is left in the folder");

    return done_testing();
}
