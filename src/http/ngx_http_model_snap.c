/*
 * ngx_http_model_snap.c: the snapshot files that a worker has mapped.
 *
 *     kind -> current map (refs: 1 for being current, 1 a request)
 *             older maps live on until their last request is freed
 *
 * A worker looks at the serial in the zone at each request and maps the
 * new file when it has moved: one open(), one mmap(), pages in memory
 * already.  A request pins the map that it has seen first, in a cleanup of
 * its pool, so all phases, redirects and the log see the same one.  That a
 * catalog was there is a hit of the first layer of caches, and the cleanup
 * knows how long the request has taken.  Counts of users are plain integers
 * of one process: a killed worker leaves nothing behind.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_snap.h"
#include "base/mg_aside.h"
#include "base/mg_time.h"


#define NGX_HTTP_MODEL_SNAP_KINDS     2

/* More old files than this in use: go on with the newest of them. */
#define NGX_HTTP_MODEL_SNAP_OLD_MAX   64


typedef struct {
    mg_snap_t                  *snap;
    unsigned                    kind;
    ngx_uint_t                  refs;
} ngx_http_model_map_t;


typedef struct {
    ngx_http_model_map_t       *current;
    uint64_t                    seen;       /* of the zone's serials */
    uint64_t                    serial;     /* ours: files mapped so far */
    ngx_uint_t                  old;        /* maps that are not current */
    ngx_msec_t                  retry;      /* not before, after a failure */
} ngx_http_model_slot_t;


/* What a request has pinned; data of a cleanup of its pool. */
typedef struct {
    ngx_http_model_map_t       *map[NGX_HTTP_MODEL_SNAP_KINDS];
    int64_t                     catalog_us;  /* mg_mono_us() at the look */
} ngx_http_model_pin_t;


static ngx_http_model_pin_t *ngx_http_model_pin_get(ngx_http_request_t *r);
static void ngx_http_model_pin_cleanup(void *data);
static ngx_http_model_slot_t *ngx_http_model_slot_fresh(unsigned kind);
static void ngx_http_model_slot_map(ngx_http_model_slot_t *slot,
    unsigned kind, uint64_t published);
static void ngx_http_model_map_release(ngx_http_model_map_t *map);
static void ngx_http_model_map_close(ngx_http_model_task_t *t);
static void ngx_http_model_map_unmap(void *data);
static ngx_int_t ngx_http_model_map_closed(ngx_http_model_task_t *t,
    ngx_http_request_t *r);


static ngx_http_model_slot_t  ngx_http_model_slots[NGX_HTTP_MODEL_SNAP_KINDS];

/* for the log, by kind */

static const char            *ngx_http_model_snap_files[] = {
    [MG_SNAP_CATALOG] = MG_SNAP_CATALOG_FILE,
    [MG_SNAP_ROUTING] = MG_SNAP_ROUTING_FILE
};


mg_snap_t *
ngx_http_model_snap(ngx_http_request_t *r, unsigned kind)
{
    ngx_http_model_pin_t   *pin;
    ngx_http_model_slot_t  *slot;

    pin = ngx_http_model_pin_get(r);
    if (pin == NULL) {
        return NULL;
    }

    if (pin->map[kind - 1] == NULL) {
        slot = ngx_http_model_slot_fresh(kind);

        if (slot == NULL || slot->current == NULL) {

            if (kind == MG_SNAP_CATALOG) {
                mg_metric_add(ngx_http_model_counters(), L1_MISSES, 1);
            }

            return NULL;
        }

        slot->current->refs++;
        pin->map[kind - 1] = slot->current;

        if (kind == MG_SNAP_CATALOG) {
            mg_metric_add(ngx_http_model_counters(), L1_HITS, 1);
            pin->catalog_us = mg_mono_us();
        }
    }

    return pin->map[kind - 1]->snap;
}


mg_snap_t *
ngx_http_model_snap_current(unsigned kind)
{
    ngx_http_model_slot_t  *slot;

    slot = ngx_http_model_slot_fresh(kind);

    return (slot && slot->current) ? slot->current->snap : NULL;
}


void
ngx_http_model_snap_unpin(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_model_pin_cleanup) {
            ngx_http_model_pin_cleanup(cln->data);
            ngx_memzero(cln->data, sizeof(ngx_http_model_pin_t));
            return;
        }
    }
}


uint64_t
ngx_http_model_snap_serial(unsigned kind)
{
    return ngx_http_model_slots[kind - 1].serial;
}


ngx_uint_t
ngx_http_model_snap_refresh(void)
{
    unsigned                kind;
    ngx_uint_t              all;
    ngx_http_model_slot_t  *slot;

    all = 1;

    for (kind = 1; kind <= NGX_HTTP_MODEL_SNAP_KINDS; kind++) {
        slot = ngx_http_model_slot_fresh(kind);

        if (slot == NULL || slot->current == NULL) {
            all = 0;
        }
    }

    return all;
}


void
ngx_http_model_snap_exit(void)
{
    unsigned                kind;
    ngx_http_model_map_t   *map;

    for (kind = 1; kind <= NGX_HTTP_MODEL_SNAP_KINDS; kind++) {
        map = ngx_http_model_slots[kind - 1].current;
        ngx_http_model_slots[kind - 1].current = NULL;

        if (map) {
            ngx_http_model_map_release(map);
        }
    }
}


/* The same for all calls within a request, its subrequests and redirects. */

static ngx_http_model_pin_t *
ngx_http_model_pin_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_model_pin_cleanup) {
            return cln->data;
        }
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_model_pin_t));
    if (cln == NULL) {
        return NULL;
    }

    ngx_memzero(cln->data, sizeof(ngx_http_model_pin_t));
    cln->handler = ngx_http_model_pin_cleanup;

    return cln->data;
}


static void
ngx_http_model_pin_cleanup(void *data)
{
    ngx_http_model_pin_t  *pin = data;

    ngx_uint_t             i;
    ngx_http_model_map_t  *map;

    if (pin->catalog_us) {
        mg_metric_took(ngx_http_model_counters(), CATALOG_REQUEST,
                       mg_mono_us() - pin->catalog_us);
    }

    for (i = 0; i < NGX_HTTP_MODEL_SNAP_KINDS; i++) {
        map = pin->map[i];

        if (map == NULL) {
            continue;
        }

        if (map->refs == 1) {
            ngx_http_model_slots[i].old--;
        }

        ngx_http_model_map_release(map);
    }
}


static ngx_http_model_slot_t *
ngx_http_model_slot_fresh(unsigned kind)
{
    uint64_t                published;
    mg_env_t               *env;
    ngx_http_model_slot_t  *slot;

    env = ngx_http_model_env();
    if (env == NULL) {
        return NULL;
    }

    published = (kind == MG_SNAP_CATALOG)
                ? mg_word_get(env->state->catalog_serial)
                : mg_word_get(env->state->routing_serial);

    slot = &ngx_http_model_slots[kind - 1];

    if (published != slot->seen
        && (slot->retry == 0
            || (ngx_msec_int_t) (ngx_current_msec - slot->retry) >= 0))
    {
        ngx_http_model_slot_map(slot, kind, published);
    }

    return slot;
}


static void
ngx_http_model_slot_map(ngx_http_model_slot_t *slot, unsigned kind,
    uint64_t published)
{
    int                    rc;
    mg_env_t              *env;
    mg_snap_t             *snap;
    mg_error_t             e;
    ngx_http_model_map_t  *map, *old;

    env = ngx_http_model_env();

    if (slot->old >= NGX_HTTP_MODEL_SNAP_OLD_MAX) {
        slot->retry = ngx_current_msec + 1000;
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "model: %ui replaced files \"%s\" are still in use by "
                      "slow requests, a newer one is not mapped yet",
                      slot->old, ngx_http_model_snap_files[kind]);
        return;
    }

    map = ngx_alloc(sizeof(ngx_http_model_map_t), ngx_cycle->log);
    if (map == NULL) {
        return;
    }

    rc = mg_snap_open(&snap, env->state_dir, kind, 0, &e);

    if (rc != MG_OK) {
        ngx_free(map);
        slot->retry = ngx_current_msec + 1000;
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "model: cannot map \"%s/%s\": %s", env->state_dir,
                      ngx_http_model_snap_files[kind],
                      rc == MG_DECLINED ? "there is none" : e.message);
        return;
    }

    mg_metric_add(env->metrics, SNAPSHOT_MAPS, 1);

    map->snap = snap;
    map->kind = kind;
    map->refs = 1;

    old = slot->current;

    slot->current = map;
    slot->seen = published;
    slot->retry = 0;
    slot->serial++;

    if (old) {
        if (old->refs > 1) {
            slot->old++;
        }

        ngx_http_model_map_release(old);
    }
}


/*
 * The last one to close a file that was replaced frees its pages, also those
 * that are still on their way to the disk, which takes milliseconds for a
 * large one: a thread does it, unless the worker leaves.
 */

static void
ngx_http_model_map_release(ngx_http_model_map_t *map)
{
    mg_snap_t                   *snap;
    ngx_http_model_task_t       *t;
    ngx_http_model_main_conf_t  *mcf;

    if (--map->refs) {
        return;
    }

    mg_metric_add(ngx_http_model_counters(), SNAPSHOT_UNMAPS, 1);

    snap = map->snap;
    ngx_free(map);

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_model_module);

    if (ngx_exiting || ngx_quit || ngx_terminate || mcf->db_pool == NULL) {
        mg_snap_close(snap);
        return;
    }

    t = ngx_http_model_task_create(sizeof(mg_snap_t *));

    if (t) {
        *(mg_snap_t **) t->data = snap;
        t->work = ngx_http_model_map_close;
        t->done = ngx_http_model_map_closed;
    }

    if (t == NULL || ngx_http_model_task_post(mcf->db_pool, t) != NGX_OK) {
        mg_snap_close(snap);
    }
}


/*
 * Pool thread, whose priority is that of the event loop: a thread below both
 * keeps the core while the kernel frees the pages.
 */

static void
ngx_http_model_map_close(ngx_http_model_task_t *t)
{
    mg_aside_t  aside;

    mg_aside_begin(&aside, ngx_http_model_map_unmap, *(mg_snap_t **) t->data);
    mg_aside_end(&aside);
}


static void
ngx_http_model_map_unmap(void *data)
{
    mg_snap_close(data);
}


static ngx_int_t
ngx_http_model_map_closed(ngx_http_model_task_t *t, ngx_http_request_t *r)
{
    return NGX_OK;
}
