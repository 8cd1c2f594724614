/*
 * ngx_http_model_shadow_module.c: model_shadow, a share of the requests once
 * more, for shadow variants.
 *
 * When it is decided who serves a request whose group has shadows, the
 * request's id says whether it belongs to the share.  If so a copy is made
 * for each shadow and handed to a thread; the request goes on at once and
 * never hears of it again.  What cannot be sent is counted, nothing waits:
 *
 *     decided -> too large? -> room? -> backend well? -> copy -> send
 *                     \----------\-----------\------> counted
 *
 *     thread: answer -> wake-up -> collect: record, counters
 *
 * The thread is started with the first copy: a worker without shadows has
 * none.  A worker that leaves (quit, reload) stays for what is under way, but
 * no longer than "grace"; what is cut then has a record that says so.
 *
 * Event loop.
 */

#include "http/ngx_http_model_health.h"
#include "http/ngx_http_model_recorder.h"
#include "http/ngx_http_model_shadow.h"
#include "base/mg_hash.h"
#include "model/mg_split.h"
#include "ngx/ngx_http_model_param.h"


#define NGX_HTTP_MODEL_SHADOW_RETRY   1000     /* ms, when no thread comes */


typedef struct {
    mg_shadow_t                *shadow;        /* NULL: not started */
    ngx_http_model_wake_t      *wake;
    ngx_event_t                 guard;         /* keeps a leaving worker */
    ngx_connection_t            dumb;          /* guard's data: has an fd */
    ngx_msec_t                  again;         /* no start before */
    ngx_msec_t                  until;         /* end of the grace */
    unsigned                    failed:1;      /* "again" holds */
    unsigned                    leaving:1;     /* "until" holds */
} ngx_http_model_shadow_worker_t;


static ngx_int_t ngx_http_model_shadow_decided(ngx_http_model_exchange_t *x);
static void ngx_http_model_shadow_send(ngx_http_model_exchange_t *x,
    uint32_t index, mg_routing_variant_t *v);
static ngx_uint_t ngx_http_model_shadow_room(ngx_http_request_t *r,
    uint64_t variant, size_t body);
static ngx_int_t ngx_http_model_shadow_start(ngx_http_request_t *r);
static void ngx_http_model_shadow_notify(void *data);
static void ngx_http_model_shadow_collect(void *data);
static void ngx_http_model_shadow_count(mg_shadow_job_t *job);
static void ngx_http_model_shadow_leave(void);
static void ngx_http_model_shadow_wait(void);
static void ngx_http_model_shadow_over(ngx_event_t *ev);
static void ngx_http_model_shadow_exit(void);

static char *ngx_http_model_shadow(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_model_shadow_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_model_shadow_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_model_shadow_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_model_shadow_postconfiguration(ngx_conf_t *cf);


#define NGX_HTTP_MODEL_SHADOW_PARAM(name, read, type, member, min, max,       \
    wrong)                                                                    \
    { ngx_string(name "="), ngx_http_model_param_##read,                      \
      offsetof(ngx_http_model_shadow_##type##_conf_t, member), min, max,      \
      wrong }

static const ngx_http_model_param_t  ngx_http_model_shadow_params[] = {

    NGX_HTTP_MODEL_SHADOW_PARAM("timeout", time, loc, timeout, 1, 3600000,
        "is no time between 1ms and 1h; give one such as 60s"),

    NGX_HTTP_MODEL_SHADOW_PARAM("max_body", size, loc, max_body, 1, 67108864,
        "is no size between 1 and 64m; give one such as 256k"),

    { ngx_null_string, NULL, 0, 0, 0, NULL }
};


static const ngx_http_model_param_t  ngx_http_model_shadow_main_params[] = {

    NGX_HTTP_MODEL_SHADOW_PARAM("queue", number, main, queue, 1, 1000000,
        "is not a number of requests between 1 and 1000000"),

    NGX_HTTP_MODEL_SHADOW_PARAM("concurrency", number, main, concurrency, 1,
        1024, "is not a number of requests at once between 1 and 1024"),

    NGX_HTTP_MODEL_SHADOW_PARAM("memory", size, main, memory, 65536,
        1073741824, "is no size between 64k and 1g; give one such as 32m"),

    NGX_HTTP_MODEL_SHADOW_PARAM("grace", time, main, grace, 0, 3600000,
        "is no time between 0 and 1h; give one such as 5s"),

    NGX_HTTP_MODEL_SHADOW_PARAM("trusted_certificate", text, main, trusted,
        0, 0, "is no file"),

    { ngx_null_string, NULL, 0, 0, 0, NULL }
};


static ngx_command_t  ngx_http_model_shadow_commands[] = {

    { ngx_string("model_shadow"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_model_shadow,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_model_shadow_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_model_shadow_postconfiguration, /* postconfiguration */

    ngx_http_model_shadow_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_model_shadow_create_loc_conf, /* create location configuration */
    ngx_http_model_shadow_merge_loc_conf   /* merge location configuration */
};


ngx_module_t  ngx_http_model_shadow_module = {
    NGX_MODULE_V1,
    &ngx_http_model_shadow_module_ctx,     /* module context */
    ngx_http_model_shadow_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_model_shadow_worker_t  ngx_http_model_shadow_worker;


/* -- in a request -- */

static ngx_int_t
ngx_http_model_shadow_decided(ngx_http_model_exchange_t *x)
{
    uint32_t                           i;
    mg_str_t                           id;
    ngx_http_request_t                *r;
    mg_routing_variant_t               v;
    ngx_http_model_shadow_loc_conf_t  *slcf;

    r = x->request;
    slcf = ngx_http_get_module_loc_conf(r, ngx_http_model_shadow_module);
    id = mg_str_n((char *) x->id.b, sizeof(x->id.b));

    if (!slcf->enable || x->dry_run || x->group.status != MG_GROUP_ACTIVE
        || mg_split_bucket(x->group.salt, id) >= x->group.shadow_share)
    {
        return NGX_OK;
    }

    for (i = 0; i < x->group.n_variants; i++) {
        mg_routing_variant(x->snap, &x->group, i, &v);

        if (v.role != MG_MEMBER_SHADOW) {
            continue;
        }

        /* whom an operator has chosen has the request itself */

        if (x->forced && mg_str_eq(v.model_id, x->assigned.model_id)) {
            continue;
        }

        if (r->request_body == NULL) {
            return NGX_AGAIN;
        }

        ngx_http_model_shadow_send(x, i, &v);
    }

    return NGX_OK;
}


static void
ngx_http_model_shadow_send(ngx_http_model_exchange_t *x, uint32_t index,
    mg_routing_variant_t *v)
{
    off_t                               len;
    uint64_t                            variant;
    mg_metrics_t                       *counters;
    mg_shadow_job_t                    *job;
    ngx_http_request_t                 *r;
    ngx_http_model_exchange_t           s;
    ngx_http_model_loc_conf_t          *lcf;
    ngx_http_model_shadow_loc_conf_t   *slcf;
    ngx_http_model_shadow_main_conf_t  *smcf;

    r = x->request;
    counters = ngx_http_model_counters();
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_model_module);
    slcf = ngx_http_get_module_loc_conf(r, ngx_http_model_shadow_module);
    smcf = ngx_http_get_module_main_conf(r, ngx_http_model_shadow_module);
    len = ngx_http_model_copy_length(r);

    if (len > (off_t) slcf->max_body) {
        mg_metric_own(counters, SHADOW_LARGE, 1);
        return;
    }

    /* one variant, whichever groups have it */

    variant = mg_sum64(v->model_id.data, v->model_id.len)
              ^ mg_sum64(x->group.org_bytes, sizeof(x->group.org_bytes));

    if (!ngx_http_model_shadow_room(r, variant, len)) {
        return;
    }

    /* the original and its copies are spans of one trace */

    if (ngx_http_model_variable_span(r, x) != NGX_OK) {
        mg_metric_own(counters, SHADOW_NO_MEMORY, 1);
        return;
    }

    if (ngx_http_model_choice_shadow(r, x, index, &s) != NGX_OK
        || !ngx_http_model_health_well(&s))
    {
        mg_metric_own(counters, SHADOW_NO_BACKEND, 1);
        return;
    }

    job = ngx_http_model_copy_make(x, &s);

    if (job == NULL) {
        mg_metric_own(counters, SHADOW_NO_MEMORY, 1);
        return;
    }

    job->variant = variant;
    job->deadline_us = mg_mono_us() + (int64_t) slcf->timeout * 1000;
    job->unrecorded = !lcf->record;

    if (smcf->trusted.len) {
        job->http.trusted = (char *) smcf->trusted.data;
    }

    mg_metric_own(counters, SHADOW_QUEUED, 1);
    mg_shadow_send(ngx_http_model_shadow_worker.shadow, job);

    ngx_http_model_shadow_wait();
}


/* 1: it may be sent; otherwise it is counted why not. */

static ngx_uint_t
ngx_http_model_shadow_room(ngx_http_request_t *r, uint64_t variant,
    size_t body)
{
    mg_metrics_t                    *counters;
    ngx_http_model_shadow_worker_t  *w;

    w = &ngx_http_model_shadow_worker;
    counters = ngx_http_model_counters();

    if (w->leaving
        && (ngx_msec_int_t) (w->until - ngx_current_msec) <= 0)
    {
        mg_metric_own(counters, SHADOW_SHUTDOWN, 1);
        return 0;
    }

    if (w->shadow == NULL && ngx_http_model_shadow_start(r) != NGX_OK) {
        mg_metric_own(counters, SHADOW_NO_MEMORY, 1);
        return 0;
    }

    switch (mg_shadow_room(w->shadow, variant, body)) {

    case MG_SHADOW_NO_QUEUE:
        mg_metric_own(counters, SHADOW_NO_QUEUE, 1);
        return 0;

    case MG_SHADOW_NO_MEMORY:
        mg_metric_own(counters, SHADOW_NO_MEMORY, 1);
        return 0;

    default: /* MG_SHADOW_ROOM */
        return 1;
    }
}


static ngx_int_t
ngx_http_model_shadow_start(ngx_http_request_t *r)
{
    mg_shadow_options_t                 o;
    ngx_http_model_shadow_worker_t     *w;
    ngx_http_model_shadow_main_conf_t  *smcf;

    w = &ngx_http_model_shadow_worker;
    smcf = ngx_http_get_module_main_conf(r, ngx_http_model_shadow_module);

    if (w->failed && (ngx_msec_int_t) (w->again - ngx_current_msec) > 0) {
        return NGX_ERROR;
    }

    if (w->wake == NULL) {
        w->wake = ngx_http_model_wake_create((ngx_cycle_t *) ngx_cycle,
                                             ngx_http_model_shadow_collect,
                                             NULL);
    }

    if (w->wake) {
        o.queue = smcf->queue;
        o.concurrency = smcf->concurrency;
        o.memory = smcf->memory;
        o.notify = ngx_http_model_shadow_notify;
        o.ctx = w->wake;

        w->shadow = mg_shadow_start(&o);
    }

    if (w->shadow) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "model: no thread for shadows could be started");

    w->failed = 1;
    w->again = ngx_current_msec + NGX_HTTP_MODEL_SHADOW_RETRY;

    return NGX_ERROR;
}


/* -- what comes back -- */

/* The thread. */

static void
ngx_http_model_shadow_notify(void *data)
{
    ngx_http_model_wake_ring(data);
}


static void
ngx_http_model_shadow_collect(void *data)
{
    mg_shadow_job_t                 *job;
    ngx_http_model_shadow_worker_t  *w;

    w = &ngx_http_model_shadow_worker;

    if (w->shadow == NULL) {
        return;
    }

    while ((job = mg_shadow_done(w->shadow)) != NULL) {

        if (!job->unrecorded
            && (job->outcome == MG_SHADOW_ANSWERED
                || job->outcome == MG_SHADOW_FAILED))
        {
            ngx_http_model_recorder_add(&job->record, NULL, 0);
        }

        ngx_http_model_shadow_count(job);
        mg_shadow_job_free(job);
    }

    if (w->guard.timer_set && mg_shadow_jobs(w->shadow) == 0) {
        ngx_del_timer(&w->guard);
    }
}


static void
ngx_http_model_shadow_count(mg_shadow_job_t *job)
{
    mg_metrics_t  *counters;

    counters = ngx_http_model_counters();

    switch (job->outcome) {

    case MG_SHADOW_ANSWERED:
        mg_metric_own(counters, SHADOW_ANSWERED, 1);
        break;

    case MG_SHADOW_FAILED:
        mg_metric_own(counters, SHADOW_FAILED, 1);
        break;

    case MG_SHADOW_EXPIRED:
        mg_metric_own(counters, SHADOW_EXPIRED, 1);
        break;

    case MG_SHADOW_UNREAD:
        mg_metric_own(counters, SHADOW_LARGE, 1);
        break;

    case MG_SHADOW_UNSENT:
        mg_metric_own(counters, SHADOW_SHUTDOWN, 1);
        break;
    }
}


/* -- the end of a worker -- */

/* Early notice: what is under way may end, and so may its requests' copies. */

static void
ngx_http_model_shadow_leave(void)
{
    ngx_http_model_shadow_worker_t     *w;
    ngx_http_model_shadow_main_conf_t  *smcf;

    w = &ngx_http_model_shadow_worker;
    smcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_model_shadow_module);
    w->leaving = 1;
    w->until = ngx_current_msec + smcf->grace;

    ngx_http_model_shadow_wait();
}


/* A leaving worker stays for its copies until the grace is over. */

static void
ngx_http_model_shadow_wait(void)
{
    ngx_msec_int_t                   left;
    ngx_http_model_shadow_worker_t  *w;

    w = &ngx_http_model_shadow_worker;

    if (!w->leaving || w->guard.timer_set || w->shadow == NULL
        || mg_shadow_jobs(w->shadow) == 0)
    {
        return;
    }

    w->dumb.fd = (ngx_socket_t) -1;
    w->guard.handler = ngx_http_model_shadow_over;
    w->guard.data = &w->dumb;
    w->guard.log = ngx_cycle->log;

    left = (ngx_msec_int_t) (w->until - ngx_current_msec);

    ngx_add_timer(&w->guard, ngx_max(left, 1));
}


static void
ngx_http_model_shadow_over(ngx_event_t *ev)
{
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "model: %ui copies for shadow variants are cut, the worker "
                  "leaves",
                  (ngx_uint_t) mg_shadow_jobs(
                                        ngx_http_model_shadow_worker.shadow));

    mg_shadow_stop(ngx_http_model_shadow_worker.shadow);
    ngx_http_model_shadow_collect(NULL);
}


/* exit_process; the pools' threads have gone, so records go to the spool. */

static void
ngx_http_model_shadow_exit(void)
{
    ngx_http_model_shadow_worker_t  *w;

    w = &ngx_http_model_shadow_worker;

    if (w->shadow) {
        mg_shadow_stop(w->shadow);

        ngx_http_model_recorder_close();
        ngx_http_model_shadow_collect(NULL);

        mg_shadow_destroy(w->shadow);
        w->shadow = NULL;
    }

    if (w->wake) {
        ngx_http_model_wake_destroy(w->wake);
        w->wake = NULL;
    }
}


/* -- configuration -- */

static char *
ngx_http_model_shadow(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_shadow_loc_conf_t *slcf = conf;

    ngx_int_t                           rc;
    ngx_str_t                          *value;
    ngx_uint_t                          i;
    const char                         *wrong;
    ngx_http_model_shadow_main_conf_t  *smcf;

    if (slcf->enable != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    smcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_model_shadow_module);

    if (ngx_strcmp(value[1].data, "on") == 0) {
        slcf->enable = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        slcf->enable = 0;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"model_shadow\"; use "
                           "\"on\" or \"off\", and parameters", &value[1]);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        wrong = "is no parameter of \"model_shadow\"; it takes timeout= and "
                "max_body=, and at the http level queue=, concurrency=, "
                "memory=, grace= and trusted_certificate=";

        rc = ngx_http_model_param_read(ngx_http_model_shadow_params, slcf,
                                       &value[i], &wrong);

        if (rc == NGX_DECLINED && cf->cmd_type == NGX_HTTP_MAIN_CONF) {
            rc = ngx_http_model_param_read(ngx_http_model_shadow_main_params,
                                           smcf, &value[i], &wrong);
        }

        if (rc != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &value[i],
                               wrong);
            return NGX_CONF_ERROR;
        }
    }

    return smcf->trusted.len ? ngx_http_model_param_file(cf, &smcf->trusted)
                             : NGX_CONF_OK;
}


static void *
ngx_http_model_shadow_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_model_shadow_main_conf_t  *smcf;

    smcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_shadow_main_conf_t));
    if (smcf == NULL) {
        return NULL;
    }

    /* trusted = { 0, NULL } is set by ngx_pcalloc() */

    smcf->queue = 1000;
    smcf->concurrency = 64;
    smcf->memory = 32 * 1024 * 1024;
    smcf->grace = 5000;

    return smcf;
}


static void *
ngx_http_model_shadow_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_model_shadow_loc_conf_t  *slcf;

    slcf = ngx_palloc(cf->pool, sizeof(ngx_http_model_shadow_loc_conf_t));
    if (slcf == NULL) {
        return NULL;
    }

    slcf->enable = NGX_CONF_UNSET_UINT;
    slcf->timeout = NGX_CONF_UNSET_UINT;
    slcf->max_body = NGX_CONF_UNSET_UINT;

    return slcf;
}


static char *
ngx_http_model_shadow_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_model_shadow_loc_conf_t *prev = parent;
    ngx_http_model_shadow_loc_conf_t *conf = child;

    ngx_conf_merge_uint_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_uint_value(conf->timeout, prev->timeout, 120000);
    ngx_conf_merge_uint_value(conf->max_body, prev->max_body, 1024 * 1024);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_shadow_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_model_main_conf_t         *mcf;
    ngx_http_model_shadow_main_conf_t  *smcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);
    smcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_model_shadow_module);

    if (mcf->zone == NULL) {
        return NGX_OK;
    }

    if (smcf->trusted.len == 0) {
        smcf->trusted = mcf->trusted;
    }

    ngx_http_model_exchange_on_decision(ngx_http_model_shadow_decided);

    if (ngx_http_model_hook_add(cf, NGX_HTTP_MODEL_HOOK_LEAVE,
                                ngx_http_model_shadow_leave)
        != NGX_OK
        || ngx_http_model_hook_add(cf, NGX_HTTP_MODEL_HOOK_EXIT,
                                   ngx_http_model_shadow_exit)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
