/*
 * What the tests of the keeper share: doubles of the store and of Redis, a
 * node that starts and does its rounds, and the folder that it publishes to.
 * Snapshots are real files.  A test sets the variables below to say what the
 * database and Redis are like.
 */

#ifndef KEEP_DOUBLE_H
#define KEEP_DOUBLE_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "job/mg_canary.h"
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
static uint64_t          jobs_only;      /* the catalog's generation since
                                            which only jobs have changed it */
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
static unsigned          price_writes;
static int               price_versions;
static unsigned          retain_due;     /* groups, 0 or 1 */
static unsigned          retain_asked;
static unsigned          retired;        /* looks for old jobs */
static int64_t           canary_ms = -1; /* until the next step */

static int               others_build;   /* another node has the lock */
static int               redis_fails;
static unsigned          claims, released, dropped;
static uint64_t          replaced;       /* generation, by the last put */
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
mg_store_price_versions(mg_pg_t *c, mg_str_t versions, mg_error_t *e)
{
    (void) c;
    (void) e;

    price_versions = mg_str_eq(versions, mg_str("[]")) ? 0 : 1;
    price_writes++;

    return MG_OK;
}


int
mg_store_retain_due(mg_pg_t *c, mg_arena_t *a, mg_retain_due_t **rows,
    unsigned *n, mg_error_t *e)
{
    static mg_retain_due_t  due;

    (void) c;
    (void) a;
    (void) e;

    due.org_id = mg_str(MG_ORG_DEFAULT);
    due.group_id = mg_str("0190a000-0000-7000-8000-000000000001");

    *rows = &due;
    *n = retain_due;

    return MG_OK;
}


int
mg_store_generations(mg_pg_t *c, mg_generations_t *g, mg_error_t *e)
{
    (void) c;
    (void) e;

    *g = generations;
    g->awaited = jobs_only ? jobs_only : generations.catalog;
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
mg_store_sync_history(mg_pg_t *c, mg_str_t source, mg_str_t provider,
    unsigned limit, mg_arena_t *a, mg_sync_history_t **rows, unsigned *n,
    mg_error_t *e)
{
    (void) c;
    (void) source;
    (void) provider;
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
    (void) key;
    (void) payload;
    (void) a;

    if (strcmp(kind, "retain") == 0) {
        retain_asked++;

    } else {
        asked++;
    }

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
mg_canary_round(const mg_env_t *e, mg_pg_t *c, unsigned *taken,
    int64_t *in_ms, mg_error_t *error)
{
    (void) e;
    (void) c;
    (void) error;

    *taken = 0;
    *in_ms = canary_ms;

    return MG_OK;
}


int
mg_store_job_waiting(mg_pg_t *c, mg_str_t kinds, int *found, mg_error_t *e)
{
    (void) c;
    (void) kinds;
    (void) e;

    *found = waiting;
    return MG_OK;
}


int
mg_refresh_round(const mg_env_t *e, mg_refresh_round_t *r, mg_pg_t *db,
    mg_error_t *err)
{
    (void) e;
    (void) r;
    (void) db;
    (void) err;

    return MG_OK;
}


int
mg_schedule_round(const mg_env_t *e, mg_schedule_round_t *r, mg_pg_t *db,
    mg_error_t *err)
{
    (void) e;
    (void) r;
    (void) db;
    (void) err;

    return MG_OK;
}


int
mg_store_job_retire(mg_pg_t *c, unsigned days, int64_t *removed,
    mg_error_t *e)
{
    (void) c;
    (void) e;

    *removed = days;
    retired++;

    return MG_OK;
}


int
mg_store_partitions(mg_pg_t *c, mg_error_t *e)
{
    (void) c;
    (void) e;

    return MG_OK;
}


void
mg_redis_patient(mg_redis_t *r, int patient)
{
    (void) r;
    (void) patient;
}


int
mg_redis_snap_claim(mg_redis_t *r, unsigned kind, uint64_t generation,
    unsigned expire_ms, mg_redis_lock_t *lock, mg_error_t *e)
{
    (void) r;
    (void) expire_ms;

    memset(lock, 0, sizeof(mg_redis_lock_t));
    claims++;

    if (redis_fails) {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL, "Redis is away");
    }

    if (shelf_generation[kind] == generation) {
        lock->size = shelf[kind].len;
        return MG_OK;
    }

    if (others_build) {
        return MG_AGAIN;
    }

    lock->held = 1;

    return MG_DECLINED;
}


void
mg_redis_snap_release(mg_redis_t *r, mg_redis_lock_t *lock)
{
    (void) r;

    released += lock->held;
    lock->held = 0;
}


int
mg_redis_snap_get(mg_redis_t *r, unsigned kind, uint64_t generation,
    size_t size, mg_buf_t *out, mg_error_t *e)
{
    (void) r;
    (void) size;
    (void) e;

    if (shelf_generation[kind] != generation) {
        return MG_DECLINED;
    }

    mg_buf_str(out, mg_buf_view(&shelf[kind]));
    return MG_OK;
}


int
mg_redis_snap_put(mg_redis_t *r, unsigned kind, uint64_t generation,
    uint64_t old, mg_str_t image, mg_error_t *e)
{
    (void) r;
    (void) e;

    mg_buf_free(&shelf[kind]);
    mg_buf_init(&shelf[kind], 0);
    mg_buf_str(&shelf[kind], image);
    shelf_generation[kind] = generation;
    replaced = old;

    return MG_OK;
}


int
mg_redis_snap_drop(mg_redis_t *r, unsigned kind, uint64_t generation,
    unsigned *n, mg_error_t *e)
{
    (void) r;
    (void) e;

    *n = (shelf_generation[kind] == generation);

    if (*n) {
        shelf_generation[kind] = 0;
        dropped++;
    }

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

TAP_UNUSED static void
begin(int adopted)
{
    memset(&keep, 0, sizeof(keep));
    memset(&metrics, 0, sizeof(metrics));
    memset(logged, 0, sizeof(logged));
    last_log[0] = '\0';

    if (!adopted) {
        memset(&state, 0, sizeof(state));
    }

    keep.names_built = state.routing_built_us;

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
    others_build = 0;
    redis_fails = 0;
    released = 0;
    dropped = 0;
    base_url = "http://127.0.0.1:9000/v1";
}


TAP_UNUSED static int
start(void)
{
    mg_error_t  e;

    return mg_keep_start(&env, &keep, &e);
}


TAP_UNUSED static int
step_at_once(void)
{
    int         cancel;
    mg_error_t  e;

    cancel = 0;
    return mg_keep_step(&env, &keep, &cancel, &e);
}


/* A round when the last build is old enough for the next. */

TAP_UNUSED static int
step(void)
{
    memset(keep.next_us, 0, sizeof(keep.next_us));
    return step_at_once();
}


TAP_UNUSED static char *
path(const char *file)
{
    static char  buf[256];

    (void) snprintf(buf, sizeof(buf), "%s/%s", dir, file);
    return buf;
}


TAP_UNUSED static void
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


/* Takes down what all tests have left; the last check. */

TAP_UNUSED static int
end(void)
{
    unsigned  kind;

    for (kind = 0; kind < 3; kind++) {
        mg_buf_free(&shelf[kind]);
    }

    (void) unlink(path("catalog.snap"));
    (void) unlink(path("routing.snap"));
    (void) unlink(path("keeper.lock"));
    (void) unlink(path("confirmed"));
    ok(rmdir(dir) == 0, "no temporary file is left in the folder");

    return done_testing();
}


#endif /* KEEP_DOUBLE_H */
