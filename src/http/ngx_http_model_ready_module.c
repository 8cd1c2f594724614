/*
 * ngx_http_model_ready_module.c: is it alive, and how far has it come.
 *
 * Both answers are made from the state words in the zone, which worker 0
 * keeps; they ask nobody, and need no token: who asks is a load balancer.
 *
 *     /health               200 while the worker lives
 *     /api/v1/admin/ready   200 when ready, else 425 with Retry-After
 *
 * Ready stays ready when the database goes away: what can be served from the
 * snapshots is served.  The answer says so and how old they are.
 *
 * Where model_ready_backends says so, a thread of worker 0 waits for model
 * servers (mg_ready_probe.h), and they belong to "ready".  A location with
 * model_require_ready is answered with the same object until then.  It is
 * looked at before the access phase, where "satisfy any" cannot pass it by.
 *
 * Event loop.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "http/ngx_http_model_core.h"
#include "job/mg_ready_probe.h"
#include "ngx/ngx_http_model_param.h"


#define NGX_HTTP_MODEL_READY_BODY   2048


typedef struct {
    mg_ready_conf_t   probe;            /* model_ready_backends */
    ngx_array_t       names;            /* mg_str_t */
    ngx_uint_t        interval;         /* ms */
    ngx_uint_t        timeout;          /* ms */
    ngx_uint_t        pull;
    ngx_str_t         trusted;
    ngx_uint_t        given;            /* the directive was */
    ngx_int_t         area;             /* mg_loads_t */
} ngx_http_model_ready_main_conf_t;


typedef struct {
    ngx_uint_t        status;           /* model_require_ready; 0: off */
} ngx_http_model_ready_loc_conf_t;


static ngx_int_t ngx_http_model_ready_health(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_ready_status(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_ready_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_model_ready_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_http_model_ready_answer(ngx_http_request_t *r,
    ngx_uint_t status);
static const mg_state_t *ngx_http_model_ready_state(void);
static ngx_int_t ngx_http_model_ready_send(ngx_http_request_t *r,
    ngx_uint_t status, mg_buf_t *b);
static void ngx_http_model_ready_metrics(ngx_http_request_t *r, mg_buf_t *b);

static char *ngx_http_model_ready_backends(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_model_ready_first(ngx_conf_t *cf, ngx_str_t *value,
    mg_ready_conf_t *probe);
static ngx_int_t ngx_http_model_ready_switch(void *conf,
    const ngx_http_model_param_t *p, ngx_str_t *value);
static char *ngx_http_model_ready_require(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static void *ngx_http_model_ready_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_model_ready_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_model_ready_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_model_ready_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_ready_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_ready_init_process(ngx_cycle_t *cycle);
static void ngx_http_model_ready_start(ngx_cycle_t *cycle, mg_env_t *env,
    ngx_http_model_ready_main_conf_t *rmcf, mg_loads_t *loads);


static const char * const  ngx_http_model_ready_none[] = { NULL };


static const ngx_http_model_route_t  ngx_http_model_ready_routes[] = {

    { "/health", MG_ROLE_NONE,
      ngx_http_model_ready_none, ngx_http_model_ready_health },

    { "/api/v1/admin/ready", MG_ROLE_NONE,
      ngx_http_model_ready_none, ngx_http_model_ready_status },

    { NULL, MG_ROLE_NONE, NULL, NULL }
};


static const ngx_http_model_param_t  ngx_http_model_ready_params[] = {

    { ngx_string("interval="), ngx_http_model_param_time,
      offsetof(ngx_http_model_ready_main_conf_t, interval), 100, 3600000,
      "is no time between 100ms and 1h; give one such as 1s" },

    { ngx_string("timeout="), ngx_http_model_param_time,
      offsetof(ngx_http_model_ready_main_conf_t, timeout), 100, 86400000,
      "is no time between 100ms and 1d; give one such as 60s" },

    { ngx_string("pull="), ngx_http_model_ready_switch,
      offsetof(ngx_http_model_ready_main_conf_t, pull), 0, 1,
      "is neither \"pull=on\" nor \"pull=off\"" },

    { ngx_string("trusted_certificate="), ngx_http_model_param_text,
      offsetof(ngx_http_model_ready_main_conf_t, trusted), 0, 0,
      "is no file" },

    { ngx_null_string, NULL, 0, 0, 0, NULL }
};


static ngx_command_t  ngx_http_model_ready_commands[] = {

    { ngx_string("model_ready_backends"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_model_ready_backends,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_require_ready"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF
                        |NGX_CONF_TAKE12,
      ngx_http_model_ready_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_model_ready_module_ctx = {
    ngx_http_model_ready_preconfiguration, /* preconfiguration */
    ngx_http_model_ready_postconfiguration, /* postconfiguration */

    ngx_http_model_ready_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_model_ready_create_loc_conf,  /* create location configuration */
    ngx_http_model_ready_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_model_ready_module = {
    NGX_MODULE_V1,
    &ngx_http_model_ready_module_ctx,      /* module context */
    ngx_http_model_ready_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_model_ready_init_process,     /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_model_ready_health(ngx_http_model_ask_t *ask)
{
    mg_jw_t            w;
    mg_buf_t           b;
    const mg_state_t  *s;

    s = ngx_http_model_ready_state();

    mg_buf_init(&b, NGX_HTTP_MODEL_READY_BODY);
    mg_jw_init(&w, &b);

    mg_jw_object(&w, NULL);
    mg_jw_z(&w, "status", "ok");
    mg_jw_bool(&w, "ready", mg_ready(s));
    mg_jw_z(&w, "database", mg_word_get(s->database_up) ? "up" : "away");
    mg_jw_end_object(&w);

    return ngx_http_model_ready_send(ask->request, NGX_HTTP_OK, &b);
}


static ngx_int_t
ngx_http_model_ready_status(ngx_http_model_ask_t *ask)
{
    return ngx_http_model_ready_answer(ask->request, 425);
}


/* Before the access phase: a location with model_require_ready. */

static ngx_int_t
ngx_http_model_ready_handler(ngx_http_request_t *r)
{
    ngx_http_model_ready_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_model_ready_module);

    if (rlcf->status == 0 || r != r->main
        || mg_ready(ngx_http_model_ready_state()))
    {
        return NGX_DECLINED;
    }

    if (ngx_http_model_ready_page(r, rlcf->status)) {
        return rlcf->status;
    }

    ngx_http_finalize_request(r, ngx_http_model_ready_answer(r,
                                                           rlcf->status));

    return NGX_DONE;
}


/*
 * Whether "error_page 425" stands in, for a page that a person opens.  503 is
 * in many an error_page that has nothing to do with this, and who repeats by
 * it wants the object.
 */

static ngx_uint_t
ngx_http_model_ready_page(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *pages;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (status != 425 || r->error_page
        || clcf->error_pages == NULL)
    {
        return 0;
    }

    pages = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (pages[i].status == 425) {
            return 1;
        }
    }

    return 0;
}


/* The object; status: of an answer that says "not yet". */

static ngx_int_t
ngx_http_model_ready_answer(ngx_http_request_t *r, ngx_uint_t status)
{
    mg_jw_t     w;
    mg_buf_t    b;
    ngx_str_t   retry;
    mg_ready_t  ready;

    static ngx_str_t  no_store = ngx_string("no-store");

    mg_buf_init(&b, NGX_HTTP_MODEL_READY_BODY);
    mg_jw_init(&w, &b);
    mg_ready_write(&w, ngx_http_model_ready_state(), mg_now_us(), &ready);

    if (ready.ready) {
        return ngx_http_model_ready_send(r, NGX_HTTP_OK, &b);
    }

    retry.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);

    if (retry.data == NULL) {
        mg_buf_free(&b);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    retry.len = ngx_sprintf(retry.data, "%ui", (ngx_uint_t) ready.seconds)
                - retry.data;

    if (ngx_http_model_answer_header(r, "Retry-After", &retry) != NGX_OK
        || ngx_http_model_answer_header(r, "Cache-Control", &no_store)
           != NGX_OK)
    {
        mg_buf_free(&b);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_model_ready_send(r, status, &b);
}


/* Without a zone nothing has ever been ready. */

static const mg_state_t *
ngx_http_model_ready_state(void)
{
    mg_env_t  *env;

    static const mg_state_t  nothing;

    env = ngx_http_model_env();

    return (env && env->state) ? env->state : &nothing;
}


static ngx_int_t
ngx_http_model_ready_send(ngx_http_request_t *r, ngx_uint_t status,
    mg_buf_t *b)
{
    ngx_str_t  body;

    body.len = b->len;
    body.data = b->failed ? NULL : ngx_pnalloc(r->pool, b->len);

    if (body.data) {
        ngx_memcpy(body.data, b->data, b->len);
    }

    mg_buf_free(b);

    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_model_answer_json(r, status, &body);
}


/* Which server is waited for; text format of Prometheus. */

static void
ngx_http_model_ready_metrics(ngx_http_request_t *r, mg_buf_t *b)
{
    char                               name[MG_GATE_NAME_MAX + 1];
    ngx_uint_t                         i;
    mg_loads_t                        *loads;
    ngx_http_model_main_conf_t        *mcf;
    ngx_http_model_ready_main_conf_t  *rmcf;

    mcf = ngx_http_model_main(r);
    rmcf = ngx_http_get_module_main_conf(r, ngx_http_model_ready_module);

    if (mcf->zone == NULL || rmcf->probe.which == MG_READY_NONE) {
        return;
    }

    loads = ngx_http_model_zone_get(mcf->zone, rmcf->area, NULL);

    mg_buf_z(b, "# HELP nginx_model_backend_ready Whether a server that is "
             "waited for has completed a generation.\n"
             "# TYPE nginx_model_backend_ready gauge\n");

    for (i = 0; i < MG_LOAD_CELLS; i++) {

        if (mg_load_name(&loads->cells[i], name)) {
            mg_buf_z(b, "nginx_model_backend_ready{provider=");
            mg_jw_quote(b, mg_str_z(name));
            mg_buf_printf(b, "} %d\n",
                          mg_word_get(loads->cells[i].phase)
                          == MG_PHASE_READY);
        }
    }
}


/* -- configuration -- */

static char *
ngx_http_model_ready_backends(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_ready_main_conf_t *rmcf = conf;

    char        *rv;
    mg_str_t    *name;
    ngx_int_t    rc;
    ngx_str_t   *value;
    ngx_uint_t   i;
    const char  *wrong;

    if (rmcf->given++) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rv = ngx_http_model_ready_first(cf, &value[1], &rmcf->probe);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = (rmcf->probe.which == MG_READY_NAMED) ? 1 : 2;
         i < cf->args->nelts;
         i++)
    {
        if (ngx_strlchr(value[i].data, value[i].data + value[i].len, '=')
            == NULL)
        {
            if (rmcf->probe.which != MG_READY_NAMED) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" follows "
                                   "\"%V\"; name providers instead of it, "
                                   "or none", &value[i], &value[1]);
                return NGX_CONF_ERROR;
            }

            name = ngx_array_push(&rmcf->names);
            if (name == NULL) {
                return NGX_CONF_ERROR;
            }

            *name = mg_str_n((char *) value[i].data, value[i].len);
            continue;
        }

        wrong = "is no parameter of \"model_ready_backends\"; it takes "
                "interval=, timeout=, pull= and trusted_certificate=";

        rc = ngx_http_model_param_read(ngx_http_model_ready_params, rmcf,
                                       &value[i], &wrong);

        if (rc != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &value[i],
                               wrong);
            return NGX_CONF_ERROR;
        }
    }

    return rmcf->trusted.len ? ngx_http_model_param_file(cf, &rmcf->trusted)
                             : NGX_CONF_OK;
}


static char *
ngx_http_model_ready_first(ngx_conf_t *cf, ngx_str_t *value,
    mg_ready_conf_t *probe)
{
    ngx_uint_t  i;

    static const struct {
        const char        *word;
        mg_ready_which_e   which;
    } words[] = {
        { "off", MG_READY_NONE },
        { "all", MG_READY_ALL },
        { "members", MG_READY_MEMBERS }
    };

    if (ngx_strlchr(value->data, value->data + value->len, '=')) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" comes before what "
                           "is waited for; begin with \"all\", "
                           "\"members\", \"off\" or names of providers",
                           value);
        return NGX_CONF_ERROR;
    }

    probe->which = MG_READY_NAMED;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (ngx_strcmp(value->data, words[i].word) == 0) {
            probe->which = words[i].which;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_ready_switch(void *conf, const ngx_http_model_param_t *p,
    ngx_str_t *value)
{
    ngx_uint_t  *to;

    to = (ngx_uint_t *) ((char *) conf + p->offset);

    if (value->len == 2 && ngx_strncmp(value->data, "on", 2) == 0) {
        *to = 1;
        return NGX_OK;
    }

    if (value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0) {
        *to = 0;
        return NGX_OK;
    }

    return NGX_ERROR;
}


static char *
ngx_http_model_ready_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_ready_loc_conf_t *rlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   bad;

    if (rlcf->status != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    bad = 1;
    rlcf->status = 425;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->status = 0;

    } else if (ngx_strcmp(value[1].data, "on") != 0) {
        goto invalid;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    bad = 2;

    if (rlcf->status && ngx_strcmp(value[2].data, "status=503") == 0) {
        rlcf->status = NGX_HTTP_SERVICE_UNAVAILABLE;
        return NGX_CONF_OK;
    }

    if (rlcf->status && ngx_strcmp(value[2].data, "status=425") == 0) {
        return NGX_CONF_OK;
    }

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\"; \"%V\" takes \"off\", or "
                       "\"on\" with \"status=425\" or \"status=503\"",
                       &value[bad], &cmd->name);

    return NGX_CONF_ERROR;
}


static void *
ngx_http_model_ready_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_model_ready_main_conf_t  *rmcf;

    rmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_ready_main_conf_t));
    if (rmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     rmcf->probe = { 0 }: MG_READY_NONE
     *     rmcf->pull = 0, rmcf->given = 0
     *     rmcf->trusted = { 0, NULL }
     */

    rmcf->interval = 1000;
    rmcf->timeout = 60000;

    if (ngx_array_init(&rmcf->names, cf->pool, 4, sizeof(mg_str_t))
        != NGX_OK)
    {
        return NULL;
    }

    return rmcf;
}


static void *
ngx_http_model_ready_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_model_ready_loc_conf_t  *rlcf;

    rlcf = ngx_palloc(cf->pool, sizeof(ngx_http_model_ready_loc_conf_t));
    if (rlcf == NULL) {
        return NULL;
    }

    rlcf->status = NGX_CONF_UNSET_UINT;

    return rlcf;
}


static char *
ngx_http_model_ready_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_model_ready_loc_conf_t *prev = parent;
    ngx_http_model_ready_loc_conf_t *conf = child;

    ngx_http_model_loc_conf_t  *mlcf;

    mlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_model_module);

    /* /health is asked, and what is wrong is put right, until it is ready */

    if (mlcf->control && conf->status == NGX_CONF_UNSET_UINT) {
        conf->status = 0;
    }

    ngx_conf_merge_uint_value(conf->status, prev->status, 0);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_ready_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_model_route_add(cf, ngx_http_model_ready_routes);
}


static ngx_int_t
ngx_http_model_ready_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt               *h;
    ngx_http_core_main_conf_t         *cmcf;
    ngx_http_model_main_conf_t        *mcf;
    ngx_http_model_ready_main_conf_t  *rmcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_model_ready_module);

    if (mcf->zone == NULL && rmcf->probe.which != MG_READY_NONE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"model_ready_backends\" is used without "
                           "\"model_zone\"; add \"model_zone model:32m;\" "
                           "to the http block");
        return NGX_ERROR;
    }

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_model_ready_handler;

    if (mcf->zone == NULL) {
        return NGX_OK;
    }

    rmcf->probe.names = rmcf->names.elts;
    rmcf->probe.n_names = rmcf->names.nelts;
    rmcf->probe.interval_ms = rmcf->interval;
    rmcf->probe.timeout_ms = rmcf->timeout;
    rmcf->probe.pull = (rmcf->pull != 0);
    rmcf->probe.trusted = (char *) (rmcf->trusted.len ? rmcf->trusted.data
                                                      : mcf->trusted.data);

    /* also without the directive, so that a reload may bring it */

    rmcf->area = ngx_http_model_zone_area(cf, mcf->zone, "loads",
                                          sizeof(mg_loads_t));

    if (rmcf->area == NGX_ERROR
        || ngx_http_model_metric_add(cf, ngx_http_model_ready_metrics)
           != NGX_OK
        || ngx_http_model_hook_add(cf, NGX_HTTP_MODEL_HOOK_LEAVE,
                                   mg_ready_probe_end)
           != NGX_OK
        || ngx_http_model_hook_add(cf, NGX_HTTP_MODEL_HOOK_EXIT,
                                   mg_ready_probe_stop)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* -- worker 0 -- */

static ngx_int_t
ngx_http_model_ready_init_process(ngx_cycle_t *cycle)
{
    mg_env_t                          *env;
    ngx_http_model_main_conf_t        *mcf;
    ngx_http_model_ready_main_conf_t  *rmcf;

    env = ngx_http_model_env();

    if (env == NULL || ngx_worker != 0) {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_model_module);
    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_model_ready_module);

    ngx_http_model_ready_start(cycle, env, rmcf,
                               ngx_http_model_zone_get(mcf->zone, rmcf->area,
                                                       NULL));

    return NGX_OK;
}


/* A gateway that was ready before a reload stays so, whatever is added. */

static void
ngx_http_model_ready_start(ngx_cycle_t *cycle, mg_env_t *env,
    ngx_http_model_ready_main_conf_t *rmcf, mg_loads_t *loads)
{
    mg_error_t   e;
    mg_state_t  *s;

    s = env->state;

    if (rmcf->probe.which == MG_READY_NONE) {
        mg_word_set(s->servers_wanted, 0);
        return;
    }

    if (mg_ready(s)) {
        mg_word_set(s->servers_done, 1);
    }

    mg_word_set(s->servers_wanted, 1);

    if (mg_ready_probe_start(env, &rmcf->probe, loads, &e) != MG_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "model: model servers are not asked whether they are "
                      "ready: %s", e.message);
    }
}
