/*
 * mg_call_cache.c: an operator's way to have everything built anew.
 *
 *     forget the copies in Redis -> raise the generations -> 202
 *
 * A higher generation is what every node follows: the notification wakes
 * their keepers, one of them reads PostgreSQL, and the others find its
 * result in Redis.  What is served meanwhile is what was served before.
 *
 * Pool threads; blocks on the database and on Redis.
 */

#include "job/mg_call_local.h"


typedef struct {
    unsigned    removed;         /* copies */
    unsigned    failed:1;
    mg_error_t  error;
} mg_call_cache_t;


static void mg_call_cache_drop(mg_call_t *c, const mg_generations_t *g,
    mg_call_cache_t *cache);
static void mg_call_cache_write(mg_call_t *c, const mg_generations_t *g,
    const mg_call_cache_t *cache);


int
mg_call_cache_flush(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_pg_t          *db;
    mg_call_cache_t   cache;
    mg_generations_t  before, after;

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_generations_raise(db, &before, &after, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_cache_drop(c, &before, &cache);

    mg_metric_add(c->env->metrics, CACHE_FLUSHES, 1);

    c->env->log(MG_LOG_NOTICE, "the caches are flushed by token %.*s, "
                "generation %llu of the catalog follows %llu",
                MG_STR_ARG(c->who.token_id),
                (unsigned long long) after.catalog,
                (unsigned long long) before.catalog);

    mg_call_cache_write(c, &after, &cache);
    c->status = 202;

    return MG_OK;
}


/* Nobody asks for them any more: this only makes room at once. */

static void
mg_call_cache_drop(mg_call_t *c, const mg_generations_t *g,
    mg_call_cache_t *cache)
{
    unsigned  i, n;

    const struct {
        unsigned  kind;
        uint64_t  generation;
    } copies[] = {
        { MG_SNAP_CATALOG, g->catalog },
        { MG_SNAP_ROUTING, g->routing }
    };

    memset(cache, 0, sizeof(mg_call_cache_t));

    if (c->env->redis == NULL) {
        return;
    }

    for (i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
        if (mg_redis_snap_drop(c->env->redis, copies[i].kind,
                               copies[i].generation, &n, &cache->error)
            != MG_OK)
        {
            mg_metric_add(c->env->metrics, L2_ERRORS, 1);
            cache->failed = 1;
            return;
        }

        cache->removed += n;
    }
}


static void
mg_call_cache_write(mg_call_t *c, const mg_generations_t *g,
    const mg_call_cache_t *cache)
{
    mg_jw_t  w;

    mg_call_writer(c, &w);

    mg_jw_object(&w, NULL);
    mg_jw_z(&w, "status", "rebuilding");

    mg_jw_object(&w, "generation");
    mg_jw_int(&w, "catalog", (int64_t) g->catalog);
    mg_jw_int(&w, "routing", (int64_t) g->routing);
    mg_jw_end_object(&w);

    mg_jw_object(&w, "redis");
    mg_jw_bool(&w, "configured", c->env->redis != NULL);
    mg_jw_int(&w, "removed", cache->removed);

    if (cache->failed) {
        mg_jw_z(&w, "error", cache->error.message);

    } else {
        mg_jw_null(&w, "error");
    }

    mg_jw_end_object(&w);
    mg_jw_end_object(&w);
}
