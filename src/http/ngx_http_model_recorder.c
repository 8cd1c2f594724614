/*
 * ngx_http_model_recorder.c: a worker's ring of inference records.
 *
 * A flush is posted when two thousand records or half a ring have gathered,
 * or after 200 ms; one at a time.  While the worker leaves, each record
 * posts one, and the guard of the task keeps the worker until it is done;
 * what is left in exit_process goes to the spool.  Worker 0 looks once a
 * second for rings whose worker is dead and for spool files to replay.
 *
 * What was pending when a worker died follows its ring: the worker that
 * takes the slot moves it into that ring before it does anything else,
 * worker 0 moves it into its own ring once the dead one's is empty.
 */

#include "http/ngx_http_model_recorder.h"
#include "base/mg_pid.h"
#include "job/mg_flush.h"
#include "model/mg_pending.h"


#define NGX_HTTP_MODEL_FLUSH_TIME      200     /* ms */
#define NGX_HTTP_MODEL_FLUSH_RECORDS   2000
#define NGX_HTTP_MODEL_SWEEP_TIME      1000    /* ms */
#define NGX_HTTP_MODEL_CELLS           512
#define NGX_HTTP_MODEL_HEAP_RING       (1024 * 1024)
#define NGX_HTTP_MODEL_WARM            4096    /* bytes of the next record */
#define NGX_HTTP_MODEL_PENDING_SHARE   8       /* of a slot's memory, at
                                                  least: one part of these */


/* Area "slots"; one word each, all zero at first. */
typedef struct {
    uint64_t                     rings;      /* how many there are */
    uint64_t                     owner[NGX_HTTP_MODEL_SLOTS];   /* pid */
    uint64_t                     reader[NGX_HTTP_MODEL_SLOTS];  /* pid */
} ngx_http_model_slots_t;


typedef struct {
    ngx_int_t                    slots_area;
    ngx_int_t                    cells_area;
    ngx_int_t                    records_area;
} ngx_http_model_areas_t;


typedef struct {
    mg_env_t                    *env;
    ngx_http_model_slots_t      *slots;
    mg_tally_cell_t             *cells;
    u_char                      *base;       /* of the rings */
    size_t                       stride;
    ngx_uint_t                   slot;
    mg_ring_t                   *ring;       /* ours; NULL: no recording */
    mg_pending_writer_t          pending;    /* open when it is empty */
    ngx_thread_pool_t           *pool;
    uint64_t                     flushed;    /* records when last flushed */
    ngx_msec_t                   pause;      /* no flush before, after a
                                                failure */
    ngx_event_t                  timer;
    ngx_event_t                  sweep;
    unsigned                     flushing:1;
    unsigned                     sweeping:1;
    unsigned                     replaying:1;
    unsigned                     on_heap:1;
    unsigned                     closed:1;   /* no tasks any more */
} ngx_http_model_recorder_t;


/* Data of a task: what mg_flush.h works on. */
typedef struct {
    mg_env_t                    *env;
    mg_ring_t                   *ring;       /* NULL: replay */
    ngx_uint_t                   slot;
    int                          rc;
    mg_error_t                   error;
} ngx_http_model_flush_t;


static ngx_int_t ngx_http_model_recorder_spool(void);
static mg_ring_t *ngx_http_model_recorder_ring(ngx_uint_t slot);
static mg_pending_t *ngx_http_model_recorder_pending(ngx_uint_t slot);
static void ngx_http_model_recorder_inherit(void);
static mg_ring_t *ngx_http_model_recorder_heap(ngx_cycle_t *cycle);
static void ngx_http_model_recorder_timer(ngx_event_t *ev);
static void ngx_http_model_recorder_flush(void);
static ngx_int_t ngx_http_model_recorder_post(mg_ring_t *ring,
    ngx_uint_t slot, ngx_int_t (*done)(ngx_http_model_task_t *t,
    ngx_http_request_t *r));
static void ngx_http_model_recorder_work(ngx_http_model_task_t *t);
static ngx_int_t ngx_http_model_recorder_flushed(ngx_http_model_task_t *t,
    ngx_http_request_t *r);
static void ngx_http_model_recorder_sweep(ngx_event_t *ev);
static void ngx_http_model_recorder_orphans(void);
static ngx_uint_t ngx_http_model_recorder_orphan(ngx_uint_t slot);
static ngx_int_t ngx_http_model_recorder_swept(ngx_http_model_task_t *t,
    ngx_http_request_t *r);
static void ngx_http_model_recorder_replay(void);
static ngx_int_t ngx_http_model_recorder_replayed(ngx_http_model_task_t *t,
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_model_recorder_claim(ngx_uint_t slot);
static void ngx_http_model_recorder_unclaim(ngx_uint_t slot);


static ngx_http_model_areas_t     ngx_http_model_areas;
static ngx_http_model_recorder_t  ngx_http_model_recorder;


ngx_int_t
ngx_http_model_recorder_areas(ngx_conf_t *cf, ngx_http_model_main_conf_t *mcf)
{
    ngx_http_model_areas_t  *a;

    a = &ngx_http_model_areas;

    a->slots_area = ngx_http_model_zone_area(cf, mcf->zone, "slots",
                                             sizeof(ngx_http_model_slots_t));
    a->cells_area = ngx_http_model_zone_area(cf, mcf->zone, "cells",
                             NGX_HTTP_MODEL_CELLS * sizeof(mg_tally_cell_t));
    a->records_area = ngx_http_model_zone_area(cf, mcf->zone, "records", 0);

    if (a->slots_area == NGX_ERROR || a->cells_area == NGX_ERROR
        || a->records_area == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_model_recorder_init(ngx_cycle_t *cycle,
    ngx_http_model_main_conf_t *mcf)
{
    size_t                      size;
    uint64_t                    none, rings;
    mg_env_t                   *env;
    ngx_core_conf_t            *ccf;
    ngx_http_model_recorder_t  *w;

    env = ngx_http_model_env();

    if (env == NULL) {
        return NGX_OK;
    }

    w = &ngx_http_model_recorder;

    w->slots = ngx_http_model_zone_get(mcf->zone,
                                       ngx_http_model_areas.slots_area, NULL);
    w->cells = ngx_http_model_zone_get(mcf->zone,
                                       ngx_http_model_areas.cells_area, NULL);
    w->base = ngx_http_model_zone_get(mcf->zone,
                                      ngx_http_model_areas.records_area,
                                      &size);
    w->env = env;
    w->pool = mcf->db_pool;
    w->slot = ngx_process_slot;

    if (env->db == NULL) {

        /* nowhere to go: records would only fill the disk */

        return NGX_OK;
    }

    /* old and new workers at once during a reload, and some helpers */

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    none = 0;
    rings = ngx_min(2 * ccf->worker_processes + 8, NGX_HTTP_MODEL_SLOTS);

    (void) __atomic_compare_exchange_n(&w->slots->rings, &none, rings, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);

    rings = mg_word_get(w->slots->rings);
    w->stride = (size / rings) & ~(size_t) (NGX_ALIGNMENT * 8 - 1);

    w->ring = ngx_http_model_recorder_ring(w->slot);

    if (w->ring == NULL) {
        w->ring = ngx_http_model_recorder_heap(cycle);

        if (w->ring == NULL) {
            return NGX_ERROR;
        }

        w->on_heap = 1;

    } else {
        mg_word_set(w->slots->owner[w->slot], (uint64_t) ngx_pid);
        ngx_http_model_recorder_inherit();
    }

    w->timer.handler = ngx_http_model_recorder_timer;
    w->timer.data = w;
    w->timer.log = cycle->log;
    w->timer.cancelable = 1;
    ngx_add_timer(&w->timer, NGX_HTTP_MODEL_FLUSH_TIME);

    if (ngx_worker == 0) {
        w->sweep.handler = ngx_http_model_recorder_sweep;
        w->sweep.data = w;
        w->sweep.log = cycle->log;
        w->sweep.cancelable = 1;
        ngx_add_timer(&w->sweep, NGX_HTTP_MODEL_SWEEP_TIME);
    }

    return NGX_OK;
}


void
ngx_http_model_recorder_close(void)
{
    ngx_http_model_recorder.closed = 1;

    if (ngx_http_model_recorder.ring) {
        (void) ngx_http_model_recorder_spool();
    }
}


void
ngx_http_model_recorder_exit(void)
{
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;

    if (w->ring == NULL || ngx_http_model_recorder_spool() != NGX_OK) {
        return;
    }

    if (!w->on_heap) {
        mg_word_set(w->slots->reader[w->slot], 0);
        mg_word_set(w->slots->owner[w->slot], 0);
    }
}


/* The pool threads have gone: nobody else reads this ring. */

static ngx_int_t
ngx_http_model_recorder_spool(void)
{
    mg_error_t                  e;
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;

    if (mg_flush_spool_all(w->env, w->ring, w->slot, &e) == MG_OK) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "model: %s", e.message);

    return NGX_ERROR;
}


void
ngx_http_model_recorder_leave(void)
{
    if (ngx_http_model_recorder.ring) {
        ngx_http_model_recorder_flush();
    }
}


/* Without its bodies: those are no loss that the trail cannot bear. */

void *
ngx_http_model_recorder_pend(const mg_record_t *record, size_t *size)
{
    void                       *p;
    mg_record_t                 bare;
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;

    if (w->ring == NULL) {
        return NULL;
    }

    if (record->bodies) {
        bare = *record;
        bare.bodies = 0;
        record = &bare;
    }

    *size = mg_record_size(record);
    p = mg_pending_take(&w->pending, *size);

    if (p == NULL) {
        mg_metric_add(ngx_http_model_counters(), RECORDS_UNCOVERED, 1);
        return NULL;
    }

    mg_record_put(record, p);
    mg_pending_publish(&w->pending, p, *size);

    return p;
}


void
ngx_http_model_recorder_unpend(void *pending, size_t size)
{
    mg_pending_free(&ngx_http_model_recorder.pending, pending, size);
}


void
ngx_http_model_recorder_add(const mg_record_t *record, const void *pending,
    size_t size)
{
    void                       *p;
    mg_record_t                 bare;
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;

    if (w->ring == NULL) {
        return;
    }

    if (pending == NULL || record->bodies) {
        pending = NULL;
        size = mg_record_size(record);
    }

    p = mg_ring_reserve(w->ring, size);

    if (p == NULL && record->bodies) {
        mg_metric_add(ngx_http_model_counters(), RECORD_BODIES_DROPPED, 1);

        bare = *record;
        bare.bodies = 0;
        record = &bare;

        size = mg_record_size(record);
        p = mg_ring_reserve(w->ring, size);
    }

    if (p == NULL) {
        mg_metric_add(ngx_http_model_counters(), RECORDS_DROPPED, 1);

    } else {
        if (pending) {
            mg_record_renew(record, pending, p);

        } else {
            mg_record_put(record, p);
        }

        mg_ring_commit(w->ring, size);
        mg_ring_warm(w->ring, ngx_min(size, NGX_HTTP_MODEL_WARM));
    }

    if (w->flushing || w->closed) {
        return;
    }

    if (ngx_exiting
        || w->ring->written - w->flushed >= NGX_HTTP_MODEL_FLUSH_RECORDS
        || mg_ring_used(w->ring) > w->ring->size / 2)
    {
        ngx_http_model_recorder_flush();
    }
}


/*
 * All that is pending before all rings: on its way from one to the other a
 * record is in both, so none is overlooked.
 */

uint64_t
ngx_http_model_recorder_waiting(void)
{
    uint64_t                    sum;
    mg_ring_t                  *ring;
    ngx_uint_t                  i;
    mg_pending_t               *pending;
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;
    sum = 0;

    if (w->ring == NULL) {
        return 0;
    }

    for (i = 0; i < mg_word_get(w->slots->rings); i++) {
        pending = ngx_http_model_recorder_pending(i);
        sum += pending ? mg_pending_used(pending) : 0;
    }

    for (i = 0; i < mg_word_get(w->slots->rings); i++) {
        ring = ngx_http_model_recorder_ring(i);
        sum += ring ? mg_ring_used(ring) : 0;
    }

    return sum + (w->on_heap ? mg_ring_used(w->ring) : 0);
}


mg_tally_cell_t *
ngx_http_model_recorder_cells(uint32_t *n)
{
    *n = NGX_HTTP_MODEL_CELLS;

    return ngx_http_model_recorder.cells;
}


/*
 * The ring of a slot, formatted at its first use, as is what lies behind it;
 * NULL: there is none.
 */

static mg_ring_t *
ngx_http_model_recorder_ring(ngx_uint_t slot)
{
    size_t                      size;
    mg_ring_t                  *ring;
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;

    if (slot >= mg_word_get(w->slots->rings)
        || w->stride <= sizeof(mg_ring_t))
    {
        return NULL;
    }

    size = mg_ring_fit(w->stride - w->stride / NGX_HTTP_MODEL_PENDING_SHARE
                       - sizeof(mg_ring_t));

    if (size == 0) {
        return NULL;
    }

    ring = (mg_ring_t *) (w->base + slot * w->stride);

    if (mg_word_get(ring->size) == 0) {
        mg_pending_init((mg_pending_t *) ((u_char *) ring + size),
                        w->stride - size);
        mg_ring_init(ring, size);
    }

    return ring;
}


static mg_pending_t *
ngx_http_model_recorder_pending(ngx_uint_t slot)
{
    mg_ring_t  *ring;

    ring = ngx_http_model_recorder_ring(slot);

    if (ring == NULL) {
        return NULL;
    }

    return (mg_pending_t *) ((u_char *) ring + sizeof(mg_ring_t)
                             + mg_word_get(ring->size));
}


/* What the slot's last worker left; tried again while the ring is full. */

static void
ngx_http_model_recorder_inherit(void)
{
    mg_pending_t               *pending;
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;

    if (w->on_heap || w->pending.shared) {
        return;
    }

    pending = ngx_http_model_recorder_pending(w->slot);

    if (mg_pending_move(pending, w->ring, NULL) == MG_OK) {
        mg_pending_open(&w->pending, pending, ngx_pid);
    }
}


static mg_ring_t *
ngx_http_model_recorder_heap(ngx_cycle_t *cycle)
{
    size_t      size;
    mg_ring_t  *ring;

    size = mg_ring_fit(NGX_HTTP_MODEL_HEAP_RING);
    ring = ngx_calloc(size, cycle->log);

    if (ring) {
        mg_ring_init(ring, size);
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "model: process slot %i has no ring in the zone; "
                      "records of this worker would not survive its death",
                      ngx_process_slot);
    }

    return ring;
}


/* Also while the worker leaves: streams may go on for long. */

static void
ngx_http_model_recorder_timer(ngx_event_t *ev)
{
    ngx_http_model_recorder_inherit();
    ngx_http_model_recorder_flush();

    ngx_add_timer(ev, NGX_HTTP_MODEL_FLUSH_TIME);
}


static void
ngx_http_model_recorder_flush(void)
{
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;

    if (w->flushing || mg_ring_used(w->ring) == 0
        || (ngx_msec_int_t) (w->pause - ngx_current_msec) > 0)
    {
        return;
    }

    if (!w->on_heap && !ngx_http_model_recorder_claim(w->slot)) {
        return;
    }

    w->flushed = w->ring->written;

    if (ngx_http_model_recorder_post(w->ring, w->slot,
                                     ngx_http_model_recorder_flushed)
        == NGX_OK)
    {
        w->flushing = 1;
        return;
    }

    /* the queue is full: the next timer tries again */

    w->pause = ngx_current_msec + NGX_HTTP_MODEL_FLUSH_TIME / 2;

    if (!w->on_heap) {
        ngx_http_model_recorder_unclaim(w->slot);
    }
}


static ngx_int_t
ngx_http_model_recorder_post(mg_ring_t *ring, ngx_uint_t slot,
    ngx_int_t (*done)(ngx_http_model_task_t *t, ngx_http_request_t *r))
{
    ngx_http_model_task_t   *t;
    ngx_http_model_flush_t  *f;

    t = ngx_http_model_task_create(sizeof(ngx_http_model_flush_t));
    if (t == NULL) {
        return NGX_ERROR;
    }

    f = t->data;
    f->env = ngx_http_model_recorder.env;
    f->ring = ring;
    f->slot = slot;

    t->work = ngx_http_model_recorder_work;
    t->done = done;

    return ngx_http_model_task_post(ngx_http_model_recorder.pool, t);
}


static void
ngx_http_model_recorder_work(ngx_http_model_task_t *t)
{
    ngx_http_model_flush_t  *f;

    f = t->data;

    if (f->ring) {
        f->rc = mg_flush_ring(f->env, f->ring, f->slot, &f->error);

    } else {
        f->rc = mg_flush_replay(f->env, &t->cancel, &f->error);
    }
}


static ngx_int_t
ngx_http_model_recorder_flushed(ngx_http_model_task_t *t,
    ngx_http_request_t *r)
{
    ngx_http_model_flush_t     *f;
    ngx_http_model_recorder_t  *w;

    f = t->data;
    w = &ngx_http_model_recorder;

    w->flushing = 0;

    if (!w->on_heap) {
        ngx_http_model_recorder_unclaim(w->slot);
    }

    if (f->rc == MG_ERROR) {
        w->pause = ngx_current_msec + NGX_HTTP_MODEL_SWEEP_TIME;

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "model: %s; %uL bytes of records wait in memory",
                      f->error.message, mg_ring_used(w->ring));
        return NGX_DONE;
    }

    if (ngx_exiting || mg_ring_used(w->ring) > w->ring->size / 2) {
        ngx_http_model_recorder_flush();
    }

    return NGX_DONE;
}


/* -- worker 0: what the dead have left -- */

static void
ngx_http_model_recorder_sweep(ngx_event_t *ev)
{
    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    ngx_http_model_recorder_orphans();
    ngx_http_model_recorder_replay();

    ngx_add_timer(ev, NGX_HTTP_MODEL_SWEEP_TIME);
}


static void
ngx_http_model_recorder_orphans(void)
{
    uint64_t                    pid;
    ngx_uint_t                  i;
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;

    if (w->sweeping || w->ring == NULL) {
        return;
    }

    for (i = 0; i < mg_word_get(w->slots->rings); i++) {

        pid = mg_word_get(w->slots->owner[i]);

        if (i == w->slot || pid == 0 || !mg_pid_gone(pid)) {
            continue;
        }

        if (ngx_http_model_recorder_orphan(i)) {
            w->sweeping = 1;
            return;
        }
    }
}


/* 1: a task reads its ring. */

static ngx_uint_t
ngx_http_model_recorder_orphan(ngx_uint_t slot)
{
    mg_ring_t  *ring;

    ring = ngx_http_model_recorder_ring(slot);

    if (ring == NULL) {
        return 0;
    }

    if (mg_ring_used(ring) == 0) {

        /* the slot may have a new owner by now, whose records stay */

        (void) mg_pending_move(ngx_http_model_recorder_pending(slot),
                               ngx_http_model_recorder.ring,
                               mg_pid_gone);
        return 0;
    }

    if (!ngx_http_model_recorder_claim(slot)) {
        return 0;
    }

    if (ngx_http_model_recorder_post(ring, slot,
                                     ngx_http_model_recorder_swept)
        == NGX_OK)
    {
        return 1;
    }

    ngx_http_model_recorder_unclaim(slot);

    return 0;
}


static ngx_int_t
ngx_http_model_recorder_swept(ngx_http_model_task_t *t,
    ngx_http_request_t *r)
{
    ngx_http_model_flush_t  *f;

    f = t->data;

    ngx_http_model_recorder.sweeping = 0;
    ngx_http_model_recorder_unclaim(f->slot);

    if (f->rc == MG_ERROR) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "model: records of a dead worker: %s",
                      f->error.message);
    }

    return NGX_DONE;
}


static void
ngx_http_model_recorder_replay(void)
{
    ngx_http_model_recorder_t  *w;

    w = &ngx_http_model_recorder;

    if (w->replaying || !mg_pg_pool_up(w->env->db)) {
        return;
    }

    if (ngx_http_model_recorder_post(NULL, 0,
                                     ngx_http_model_recorder_replayed)
        == NGX_OK)
    {
        w->replaying = 1;
    }
}


static ngx_int_t
ngx_http_model_recorder_replayed(ngx_http_model_task_t *t,
    ngx_http_request_t *r)
{
    ngx_http_model_flush_t  *f;

    f = t->data;

    ngx_http_model_recorder.replaying = 0;

    if (f->rc == MG_OK && !ngx_exiting && !ngx_quit && !ngx_terminate) {
        ngx_http_model_recorder_replay();
        return NGX_DONE;
    }

    if (f->rc == MG_ERROR && f->error.kind == MG_E_INTERNAL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "model: replay of spooled records: %s",
                      f->error.message);
    }

    return NGX_DONE;
}


/* -- one reader a ring -- */

static ngx_uint_t
ngx_http_model_recorder_claim(ngx_uint_t slot)
{
    uint64_t  *word, was;

    word = &ngx_http_model_recorder.slots->reader[slot];
    was = mg_word_get(*word);

    if (was && was != (uint64_t) ngx_pid && !mg_pid_gone(was)) {
        return 0;
    }

    return __atomic_compare_exchange_n(word, &was, (uint64_t) ngx_pid, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}


static void
ngx_http_model_recorder_unclaim(ngx_uint_t slot)
{
    mg_word_set(ngx_http_model_recorder.slots->reader[slot], 0);
}
