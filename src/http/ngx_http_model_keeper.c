/*
 * ngx_http_model_keeper.c: worker 0 looks after the node.
 *
 *     timer (1 s), or the listener's wake-up -> task on model_db
 *     -> mg_keep_step() -> done: map the new files, go from "finalizing" to
 *     "ready", kick the job engine if jobs wait -> timer again
 *
 * A wake-up starts a step at once, unless the last one has ended just now.
 * One task at a time; a wake-up that comes meanwhile makes the next one
 * follow soon.  During a reload two workers 0 live: publishing is atomic
 * and under a file lock, so it does no harm.
 *
 * Event loop; mg_keep_t belongs to the task while one is under way.
 */

#include "http/ngx_http_model_keeper.h"
#include "http/ngx_http_model_snap.h"
#include "job/mg_keep.h"


#define NGX_HTTP_MODEL_KEEPER_STEP    1000    /* ms between steps */
#define NGX_HTTP_MODEL_KEEPER_GAP     20      /* ms at least; gathers
                                                 wake-ups */


typedef struct {
    ngx_thread_pool_t       *pool;
    ngx_http_model_wake_t   *wake;
    mg_listen_t             *listen;
    mg_keep_t                keep;
    ngx_event_t              timer;
    ngx_connection_t         dumb;       /* timer's data: has an fd */
    ngx_msec_t               done;       /* the last step has ended */
    ngx_uint_t               failed;     /* attempts to start */
    unsigned                 started;    /* mg_keep_start() has run */
    unsigned                 active:1;
    unsigned                 busy:1;     /* a task is under way */
    unsigned                 rung:1;     /* woken while busy */
    unsigned                 leaving:1;
} ngx_http_model_keeper_t;


typedef struct {
    unsigned                 started;
    int                      rc;
    mg_error_t               error;
} ngx_http_model_keeper_step_t;


static void ngx_http_model_keeper_timer(ngx_event_t *ev);
static void ngx_http_model_keeper_post(ngx_http_model_keeper_t *k);
static void ngx_http_model_keeper_work(ngx_http_model_task_t *t);
static ngx_int_t ngx_http_model_keeper_done(ngx_http_model_task_t *t,
    ngx_http_request_t *r);
static void ngx_http_model_keeper_ready(mg_state_t *state);
static void ngx_http_model_keeper_notify(void *data);
static void ngx_http_model_keeper_ring(void *data);
static void ngx_http_model_keeper_arm(ngx_http_model_keeper_t *k,
    ngx_msec_t delay);


static ngx_http_model_keeper_t  ngx_http_model_keeper;


ngx_int_t
ngx_http_model_keeper_init(ngx_cycle_t *cycle, ngx_thread_pool_t *pool)
{
    mg_env_t                 *env;
    mg_error_t                e;
    ngx_http_model_keeper_t  *k;

    env = ngx_http_model_env();
    k = &ngx_http_model_keeper;

    k->pool = pool;
    k->active = 1;

    k->dumb.fd = (ngx_socket_t) -1;
    k->timer.handler = ngx_http_model_keeper_timer;
    k->timer.data = &k->dumb;
    k->timer.log = cycle->log;
    k->timer.cancelable = 1;

    mg_word_set(env->state->keeper_pid, ngx_pid);

    if (env->db) {
        k->wake = ngx_http_model_wake_create(cycle,
                                             ngx_http_model_keeper_ring, k);
        if (k->wake == NULL) {
            return NGX_ERROR;
        }

        k->listen = mg_listen_start(env, ngx_http_model_keeper_notify,
                                    k->wake, &e);
        if (k->listen == NULL) {
            ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                          "model: no listener, changes are found by the "
                          "poll alone: %s", e.message);
        }
    }

    ngx_http_model_keeper_post(k);

    return NGX_OK;
}


void
ngx_http_model_keeper_leave(void)
{
    ngx_http_model_keeper_t  *k;

    k = &ngx_http_model_keeper;

    if (!k->active) {
        return;
    }

    k->leaving = 1;

    if (k->timer.timer_set) {
        ngx_del_timer(&k->timer);
    }

    if (k->listen) {
        mg_listen_end(k->listen);
    }
}


void
ngx_http_model_keeper_exit(void)
{
    ngx_http_model_keeper_t  *k;

    k = &ngx_http_model_keeper;

    if (!k->active) {
        return;
    }

    if (k->listen) {
        mg_listen_stop(k->listen);
        k->listen = NULL;
    }

    if (k->wake) {
        ngx_http_model_wake_destroy(k->wake);
        k->wake = NULL;
    }
}


static void
ngx_http_model_keeper_timer(ngx_event_t *ev)
{
    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    ngx_http_model_keeper_post(&ngx_http_model_keeper);
}


static void
ngx_http_model_keeper_post(ngx_http_model_keeper_t *k)
{
    ngx_http_model_task_t         *t;
    ngx_http_model_keeper_step_t  *step;

    t = ngx_http_model_task_create(sizeof(ngx_http_model_keeper_step_t));
    if (t == NULL) {
        ngx_http_model_keeper_arm(k, NGX_HTTP_MODEL_KEEPER_STEP);
        return;
    }

    step = t->data;
    step->started = k->started;

    t->work = ngx_http_model_keeper_work;
    t->done = ngx_http_model_keeper_done;

    if (ngx_http_model_task_post(k->pool, t) != NGX_OK) {
        ngx_http_model_keeper_arm(k, NGX_HTTP_MODEL_KEEPER_STEP);
        return;
    }

    k->busy = 1;
    k->rung = 0;
}


/* Pool thread. */

static void
ngx_http_model_keeper_work(ngx_http_model_task_t *t)
{
    mg_env_t                      *env;
    mg_keep_t                     *keep;
    ngx_http_model_keeper_step_t  *step;

    step = t->data;
    env = ngx_http_model_env();
    keep = &ngx_http_model_keeper.keep;

    if (!step->started) {
        step->rc = mg_keep_start(env, keep, &step->error);

        if (step->rc == MG_OK) {
            step->started = 1;
        }

        /* what lies on disk is served before the database is asked */

        return;
    }

    step->rc = mg_keep_step(env, keep, &t->cancel, &step->error);
}


static ngx_int_t
ngx_http_model_keeper_done(ngx_http_model_task_t *t, ngx_http_request_t *r)
{
    mg_env_t                      *env;
    ngx_msec_t                     delay;
    ngx_http_model_keeper_t       *k;
    ngx_http_model_keeper_step_t  *step;

    k = &ngx_http_model_keeper;
    env = ngx_http_model_env();
    step = t->data;

    k->busy = 0;
    k->done = ngx_current_msec;

    if (step->started && !k->started) {
        k->started = 1;
        k->rung = 1;

    } else if (!step->started && k->failed++ % 60 == 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "model: %s",
                      step->error.message);
    }

    ngx_http_model_keeper_ready(env->state);

    if (k->leaving) {
        return NGX_OK;
    }

    if (k->keep.jobs_waiting) {
        k->keep.jobs_waiting = 0;
        ngx_http_model_hook_run(NGX_HTTP_MODEL_HOOK_JOBS);
    }

    delay = k->rung ? NGX_HTTP_MODEL_KEEPER_GAP
                    : NGX_HTTP_MODEL_KEEPER_STEP;

    if (k->keep.again_ms && k->keep.again_ms < delay) {
        delay = k->keep.again_ms;
    }

    ngx_http_model_keeper_arm(k, delay);

    return NGX_OK;
}


/* Ready is when the files are published and this worker has mapped them. */

static void
ngx_http_model_keeper_ready(mg_state_t *state)
{
    if (!ngx_http_model_snap_refresh()
        || mg_word_get(state->phase) != MG_PHASE_FINALIZING)
    {
        return;
    }

    mg_word_set(state->progress, 100);
    mg_word_set(state->phase, MG_PHASE_READY);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "model: ready, catalog generation %uL with %uL models, "
                  "routing generation %uL",
                  mg_word_get(state->catalog_generation),
                  mg_word_get(state->catalog_models),
                  mg_word_get(state->routing_generation));
}


/* Listener's thread. */

static void
ngx_http_model_keeper_notify(void *data)
{
    ngx_http_model_wake_ring(data);
}


static void
ngx_http_model_keeper_ring(void *data)
{
    ngx_http_model_keeper_t  *k = data;

    ngx_msec_t  since;

    if (ngx_exiting || ngx_terminate || ngx_quit || k->leaving) {
        return;
    }

    if (k->busy) {
        k->rung = 1;
        return;
    }

    since = ngx_current_msec - k->done;

    ngx_http_model_keeper_arm(k, since < NGX_HTTP_MODEL_KEEPER_GAP
                                 ? NGX_HTTP_MODEL_KEEPER_GAP - since : 0);
}


/* Brings the next step forward, never back. */

static void
ngx_http_model_keeper_arm(ngx_http_model_keeper_t *k, ngx_msec_t delay)
{
    if (k->leaving) {
        return;
    }

    if (k->timer.timer_set) {
        if ((ngx_msec_int_t) (k->timer.timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) delay)
        {
            return;
        }

        ngx_del_timer(&k->timer);
    }

    ngx_add_timer(&k->timer, delay);
}
