/*
 * ngx_http_model_job_module.c: runs the job engine on model_jobs.
 *
 *     kick (a job was made, or the keeper saw one) -> a runner, while fewer
 *     than the node may run are at work -> one mg_engine_step() after
 *     another -> none left: the runner ends
 *
 * How many are at work on the node is the sum over a cell a worker in the
 * zone: pid and number, written by the worker's threads alone, so that one
 * that was killed leaves a cell whose pid is nobody's.  A thread that finds
 * the node full goes; whoever is at work looks for the next job afterwards.
 *
 * A kick that comes while a runner is finding nothing would be lost, so
 * kicks are counted and a runner that began before the last one looks
 * again.  When the worker leaves, hand_over is raised: jobs give themselves
 * back within 200 ms and another worker goes on.
 *
 * Event loop; the flag is read by pool threads.
 */

#include "http/ngx_http_model_core.h"
#include "base/mg_pid.h"
#include "base/mg_priority.h"
#include "http/ngx_http_model_refresh.h"
#include "http/ngx_http_model_schedule.h"
#include "job/mg_engine.h"
#include "ngx/ngx_http_model_param.h"


#define NGX_HTTP_MODEL_JOB_TELL   60       /* s between lines of the log */
#define NGX_HTTP_MODEL_JOB_HISTORY  30     /* days */


typedef struct {
    ngx_uint_t               concurrency;
    ngx_uint_t               history;      /* days */
    ngx_str_t                pool;
    ngx_int_t                cells_area;
    ngx_http_model_refresh_conf_t
                             refresh;      /* model_refresh */
    ngx_http_model_schedule_conf_t
                             schedule;     /* model_validate */
} ngx_http_model_job_main_conf_t;


/* Jobs at work in a worker; in shared memory. */
typedef struct {
    uint64_t                 pid;
    uint64_t                 running;
} ngx_http_model_job_cell_t;


typedef struct {
    ngx_thread_pool_t       *pool;
    ngx_http_model_job_cell_t
                            *cells;        /* NGX_HTTP_MODEL_SLOTS */
    ngx_http_model_job_cell_t
                            *cell;         /* this worker's */
    ngx_uint_t               concurrency;
    ngx_uint_t               running;
    ngx_uint_t               kicks;
    time_t                   told;         /* when a failure was logged */
    int                      hand_over;    /* atomic */
} ngx_http_model_job_runners_t;


typedef struct {
    ngx_uint_t               kicks;        /* when it was posted */
    int                      rc;
    mg_error_t               error;
} ngx_http_model_job_run_t;


static void ngx_http_model_job_kick(void);
static void ngx_http_model_job_post(void);
static void ngx_http_model_job_work(ngx_http_model_task_t *t);
static ngx_uint_t ngx_http_model_job_room(
    ngx_http_model_job_runners_t *js);
static ngx_int_t ngx_http_model_job_done(ngx_http_model_task_t *t,
    ngx_http_request_t *r);
static void ngx_http_model_job_leave(void);
static char *ngx_http_model_job_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_model_job_days(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value);
static void *ngx_http_model_job_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_model_job_init_main_conf(ngx_conf_t *cf, void *conf);
static ngx_int_t ngx_http_model_job_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_job_init_process(ngx_cycle_t *cycle);


static ngx_conf_num_bounds_t  ngx_http_model_job_bounds = {
    ngx_conf_check_num_bounds, 1, 64
};


static const ngx_http_model_param_t  ngx_http_model_job_params[] = {

    { ngx_string("pool="), ngx_http_model_param_text,
      offsetof(ngx_http_model_job_main_conf_t, pool), 0, 0,
      "names no thread pool; give the name of a \"thread_pool\"" },

    { ngx_string("concurrency="), ngx_http_model_param_number,
      offsetof(ngx_http_model_job_main_conf_t, concurrency), 1, 64,
      "is not between 1 and 64; give a number such as 2" },

    { ngx_string("history="), ngx_http_model_job_days,
      offsetof(ngx_http_model_job_main_conf_t, history), 1, 36500,
      "is not a number of whole days, from 1d; give one such as 30d" },

    { ngx_null_string, NULL, 0, 0, 0, NULL }
};


static ngx_command_t  ngx_http_model_job_commands[] = {

    { ngx_string("model_jobs"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_model_job_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_jobs_concurrency"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_model_job_main_conf_t, concurrency),
      &ngx_http_model_job_bounds },

    { ngx_string("model_refresh"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_model_refresh_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_model_job_main_conf_t, refresh),
      NULL },

    { ngx_string("model_validate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_model_schedule_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_model_job_main_conf_t, schedule),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_model_job_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_model_job_postconfiguration,  /* postconfiguration */

    ngx_http_model_job_create_main_conf,   /* create main configuration */
    ngx_http_model_job_init_main_conf,     /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_job_module = {
    NGX_MODULE_V1,
    &ngx_http_model_job_module_ctx,        /* module context */
    ngx_http_model_job_commands,           /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_model_job_init_process,       /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_model_job_runners_t  ngx_http_model_job_runners;


static void
ngx_http_model_job_kick(void)
{
    ngx_http_model_job_runners_t  *js;

    js = &ngx_http_model_job_runners;
    js->kicks++;

    if (js->running < js->concurrency) {
        ngx_http_model_job_post();
    }
}


static void
ngx_http_model_job_post(void)
{
    ngx_http_model_task_t         *t;
    ngx_http_model_job_run_t      *run;
    ngx_http_model_job_runners_t  *js;

    js = &ngx_http_model_job_runners;

    if (js->pool == NULL || js->hand_over) {
        return;
    }

    t = ngx_http_model_task_create(sizeof(ngx_http_model_job_run_t));
    if (t == NULL) {
        return;
    }

    run = t->data;
    run->kicks = js->kicks;

    t->work = ngx_http_model_job_work;
    t->done = ngx_http_model_job_done;

    /* a full queue: the keeper sees the job and kicks again */

    if (ngx_http_model_task_post(js->pool, t) == NGX_OK) {
        js->running++;
    }
}


/* Pool thread. */

static void
ngx_http_model_job_work(ngx_http_model_task_t *t)
{
    ngx_http_model_job_run_t      *run;
    ngx_http_model_job_runners_t  *js;

    static __thread unsigned  nice;

    run = t->data;
    js = &ngx_http_model_job_runners;

    /* the event loop shall have more of a core that both want */

    if (!nice) {
        nice = 1;
        mg_priority_lower();
    }

    (void) __atomic_add_fetch(&js->cell->running, 1, __ATOMIC_SEQ_CST);

    run->rc = ngx_http_model_job_room(js)
              ? mg_engine_step(ngx_http_model_env(), &js->hand_over,
                               &run->error)
              : MG_DECLINED;

    (void) __atomic_sub_fetch(&js->cell->running, 1, __ATOMIC_SEQ_CST);
}


/*
 * Pool thread.  Two that come at the same moment may send each other away;
 * the keeper sees the job that waits, and kicks again.
 */

static ngx_uint_t
ngx_http_model_job_room(ngx_http_model_job_runners_t *js)
{
    uint64_t    pid, n;
    ngx_uint_t  i, sum;

    sum = 0;

    for (i = 0; i < NGX_HTTP_MODEL_SLOTS; i++) {
        n = __atomic_load_n(&js->cells[i].running, __ATOMIC_SEQ_CST);
        pid = __atomic_load_n(&js->cells[i].pid, __ATOMIC_SEQ_CST);

        if (n && (&js->cells[i] == js->cell || !mg_pid_gone(pid))) {
            sum += n;
        }
    }

    return sum <= js->concurrency;
}


static ngx_int_t
ngx_http_model_job_done(ngx_http_model_task_t *t, ngx_http_request_t *r)
{
    ngx_http_model_job_run_t      *run;
    ngx_http_model_job_runners_t  *js;

    js = &ngx_http_model_job_runners;
    run = t->data;

    js->running--;

    switch (run->rc) {

    case MG_OK:
        ngx_http_model_job_post();
        break;

    case MG_DECLINED:
        if (run->kicks != js->kicks) {
            ngx_http_model_job_post();
        }

        break;

    default:

        /* the keeper kicks when the database is back, and logs that */

        if (run->error.kind != MG_E_UNAVAILABLE
            && ngx_time() - js->told >= NGX_HTTP_MODEL_JOB_TELL)
        {
            js->told = ngx_time();
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "model: jobs wait: %s", run->error.message);
        }
    }

    return NGX_OK;
}


static void
ngx_http_model_job_leave(void)
{
    __atomic_store_n(&ngx_http_model_job_runners.hand_over, 1,
                     __ATOMIC_RELAXED);
}


static char *
ngx_http_model_job_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_job_main_conf_t *jmcf = conf;

    ngx_str_t                   *value;
    ngx_uint_t                   i;
    const char                  *wrong;
    ngx_http_model_main_conf_t  *mcf;

    if (jmcf->history) {
        return "is duplicate";
    }

    if (jmcf->concurrency != NGX_CONF_UNSET_UINT) {
        return "says what \"model_jobs_concurrency\" has said already; "
               "remove that";
    }

    value = cf->args->elts;
    jmcf->history = NGX_HTTP_MODEL_JOB_HISTORY;

    for (i = 1; i < cf->args->nelts; i++) {
        wrong = "is no parameter of \"model_jobs\"; it takes pool=, "
                "concurrency= and history=";

        if (ngx_http_model_param_read(ngx_http_model_job_params, jmcf,
                                      &value[i], &wrong)
            != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &value[i],
                               wrong);
            return NGX_CONF_ERROR;
        }
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);
    mcf->jobs_pool_name = jmcf->pool;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_job_days(void *conf, const ngx_http_model_param_t *p,
    ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_parse_time(value, 1);

    if (n == NGX_ERROR || n % 86400 || n / 86400 < p->min
        || n / 86400 > p->max)
    {
        return NGX_ERROR;
    }

    *(ngx_uint_t *) ((u_char *) conf + p->offset) = (ngx_uint_t) n / 86400;

    return NGX_OK;
}


static void *
ngx_http_model_job_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_model_job_main_conf_t  *jmcf;

    jmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_job_main_conf_t));
    if (jmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     jmcf->history = 0
     *     jmcf->pool = { 0, NULL }
     *     jmcf->refresh.file = NULL
     *     jmcf->schedule = all zero
     */

    jmcf->concurrency = NGX_CONF_UNSET_UINT;
    mg_refresh_conf_init(&jmcf->refresh.conf);

    return jmcf;
}


static char *
ngx_http_model_job_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_model_job_main_conf_t *jmcf = conf;

    ngx_conf_init_uint_value(jmcf->concurrency, 2);

    if (jmcf->history == 0) {
        jmcf->history = NGX_HTTP_MODEL_JOB_HISTORY;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_job_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_model_main_conf_t      *mcf;
    ngx_http_model_job_main_conf_t  *jmcf;

    jmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_job_module);

    if (ngx_http_model_refresh_check(cf, &jmcf->refresh) != NGX_OK
        || ngx_http_model_schedule_check(cf, &jmcf->schedule) != NGX_OK)
    {
        return NGX_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    if (mcf->zone) {
        jmcf->cells_area = ngx_http_model_zone_area(cf, mcf->zone, "jobs",
                                     NGX_HTTP_MODEL_SLOTS
                                     * sizeof(ngx_http_model_job_cell_t));

        if (jmcf->cells_area == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_model_hook_add(cf, NGX_HTTP_MODEL_HOOK_JOBS,
                                ngx_http_model_job_kick)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_model_hook_add(cf, NGX_HTTP_MODEL_HOOK_LEAVE,
                                   ngx_http_model_job_leave);
}


static ngx_int_t
ngx_http_model_job_init_process(ngx_cycle_t *cycle)
{
    mg_env_t                        *env;
    ngx_http_model_main_conf_t      *mcf;
    ngx_http_model_job_runners_t    *js;
    ngx_http_model_job_main_conf_t  *jmcf;

    env = ngx_http_model_env();

    if (env == NULL || env->db == NULL) {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_model_module);
    jmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_model_job_module);

    /* the one task that may be at work by now does not look at it */

    if (jmcf->refresh.file) {
        env->refresh = &jmcf->refresh.conf;
    }

    if (jmcf->schedule.file) {
        env->schedule = &jmcf->schedule.conf;
    }

    env->jobs_history_days = (unsigned) jmcf->history;

    js = &ngx_http_model_job_runners;
    js->cells = ngx_http_model_zone_get(mcf->zone, jmcf->cells_area, NULL);
    js->cell = &js->cells[ngx_min(ngx_process_slot,
                                  NGX_HTTP_MODEL_SLOTS - 1)];
    js->pool = mcf->jobs_pool;
    js->concurrency = jmcf->concurrency;

    __atomic_store_n(&js->cell->running, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&js->cell->pid, (uint64_t) ngx_pid, __ATOMIC_SEQ_CST);

    /* and have it at once: the slice of a job's thread is milliseconds */

    (void) mg_priority_prompt(MG_PRIORITY_LOOP_US);

    return NGX_OK;
}
