/*
 * ngx_http_model_events_module.c: state that is pushed, to who is allowed.
 *
 *     /api/v1/providers/{p}/validation-events   server-sent events
 *     /ws/providers/{p}/validation              the same, WebSocket
 *     /api/v1/admin/ready/events                readiness until it is ready
 *     /ws/init/{client_id}                      the same, WebSocket
 *
 * What is sent is what polling answers.  Routes, limits and rights are here;
 * topics, watchers and frames are in files of their own.
 *
 * Event loop.
 */

#include "http/ngx_http_model_events.h"
#include "ngx/ngx_http_model_param.h"
#include "model/mg_catalog.h"


#define NGX_HTTP_MODEL_EVENTS_CLIENT_ID   128


static char *ngx_http_model_events(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_model_events_webhook(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_model_events_secret(ngx_conf_t *cf,
    ngx_http_model_events_conf_t *conf, ngx_str_t *file);
static void ngx_http_model_events_cleanup(void *data);
static void *ngx_http_model_events_create_main_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_events_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_events_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_events_init_process(ngx_cycle_t *cycle);

static ngx_int_t ngx_http_model_events_validation(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_events_socket(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_events_ready(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_events_init(ngx_http_model_ask_t *ask);
static ngx_int_t ngx_http_model_events_provider(ngx_http_model_ask_t *ask,
    mg_role_e need, ngx_http_model_watcher_t *w);
static ngx_int_t ngx_http_model_events_origin(ngx_http_request_t *r,
    mg_error_t *e);
static uint64_t ngx_http_model_events_last_id(ngx_http_request_t *r);
static ngx_http_model_events_conf_t *ngx_http_model_events_conf(
    ngx_http_request_t *r);


static const char * const  ngx_http_model_events_none[] = { NULL };


/* a WebSocket may bring its token in a place that only its handler knows */

static const ngx_http_model_route_t  ngx_http_model_events_routes[] = {

    { "/api/v1/providers/{provider}/validation-events", MG_ROLE_VIEWER,
      ngx_http_model_events_none, ngx_http_model_events_validation },

    { "/ws/providers/{provider}/validation", MG_ROLE_NONE,
      ngx_http_model_events_none, ngx_http_model_events_socket },

    { "/api/v1/admin/ready/events", MG_ROLE_NONE,
      ngx_http_model_events_none, ngx_http_model_events_ready },

    { "/ws/init/{client}", MG_ROLE_NONE,
      ngx_http_model_events_none, ngx_http_model_events_init },

    { NULL, MG_ROLE_NONE, NULL, NULL }
};


static const ngx_http_model_param_t  ngx_http_model_events_params[] = {

    { ngx_string("connections="), ngx_http_model_param_number,
      offsetof(ngx_http_model_events_conf_t, connections), 1, 1000000,
      "is not a number between 1 and 1000000" },

    { ngx_string("per_client="), ngx_http_model_param_number,
      offsetof(ngx_http_model_events_conf_t, per_client), 1, 65535,
      "is not a number between 1 and 65535" },

    { ngx_string("heartbeat="), ngx_http_model_param_time,
      offsetof(ngx_http_model_events_conf_t, heartbeat), 100, 3600000,
      "is not a time between 100ms and 1h" },

    { ngx_string("timeout="), ngx_http_model_param_time,
      offsetof(ngx_http_model_events_conf_t, timeout), 100, 3600000,
      "is not a time between 100ms and 1h" },

    { ngx_null_string, NULL, 0, 0, 0, NULL }
};


static ngx_command_t  ngx_http_model_events_commands[] = {

    { ngx_string("model_events"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_model_events,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_webhook"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_model_events_webhook,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_model_events_module_ctx = {
    ngx_http_model_events_preconfiguration, /* preconfiguration */
    ngx_http_model_events_postconfiguration, /* postconfiguration */

    ngx_http_model_events_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_events_module = {
    NGX_MODULE_V1,
    &ngx_http_model_events_module_ctx,     /* module context */
    ngx_http_model_events_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_model_events_init_process,    /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_model_events_validation(ngx_http_model_ask_t *ask)
{
    ngx_http_model_watcher_t  w;

    ngx_memzero(&w, sizeof(ngx_http_model_watcher_t));
    w.form = NGX_HTTP_MODEL_SSE;
    w.seen = ngx_http_model_events_last_id(ask->request);

    return ngx_http_model_events_provider(ask, MG_ROLE_VIEWER, &w);
}


static ngx_int_t
ngx_http_model_events_socket(ngx_http_model_ask_t *ask)
{
    ngx_http_request_t        *r;
    ngx_http_model_watcher_t   w;

    r = ask->request;

    ngx_memzero(&w, sizeof(ngx_http_model_watcher_t));

    if (ngx_http_model_socket_check(r, &w, &ask->error) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_model_events_provider(ask, MG_ROLE_VIEWER, &w);
}


/* As for polling: reads may be open to all by "model_auth off". */

static ngx_int_t
ngx_http_model_events_provider(ngx_http_model_ask_t *ask, mg_role_e need,
    ngx_http_model_watcher_t *w)
{
    size_t                       len;
    u_char                       name[NGX_HTTP_MODEL_TOPIC_LEN];
    mg_str_t                     provider;
    ngx_http_request_t          *r;
    ngx_http_model_loc_conf_t   *mlcf;
    ngx_http_model_principal_t  *who;

    r = ask->request;
    provider = ask->path[0].value;
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_model_module);

    if (mlcf->auth == NGX_HTTP_MODEL_AUTH_OFF) {
        need = MG_ROLE_NONE;
    }

    if (ngx_http_model_principal(r, need, &who, &ask->error) != NGX_OK) {
        return NGX_DECLINED;
    }

    w->token = (who->role != MG_ROLE_NONE && need != MG_ROLE_NONE);

    if (who->role == MG_ROLE_NONE && w->form == NGX_HTTP_MODEL_SOCKET
        && ngx_http_model_events_origin(r, &ask->error) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (!mg_provider_id_ok(provider)
        || who->org_id.len + 1 + provider.len > sizeof(name))
    {
        (void) mg_error_set(&ask->error, MG_E_NOT_FOUND, "provider",
                            "there is no provider \"%.*s\"",
                            (int) ngx_min(provider.len, 80), provider.data);
        return NGX_DECLINED;
    }

    len = ngx_sprintf(name, "%V %*s", &who->org_id, provider.len,
                      provider.data)
          - name;

    return ngx_http_model_watcher_add(r, ngx_http_model_events_conf(r), w,
                                      name, len, &ask->error);
}


/*
 * A client that has heard that all is ready comes again by itself, as its
 * standard wants; 204 makes it stop.
 */

static ngx_int_t
ngx_http_model_events_ready(ngx_http_model_ask_t *ask)
{
    mg_env_t                  *env;
    ngx_str_t                 *last;
    ngx_http_request_t        *r;
    ngx_http_model_watcher_t   w;

    r = ask->request;
    env = ngx_http_model_env();
    last = ngx_http_model_answer_sent(r, "Last-Event-ID");

    if (last && last->len == 5 && ngx_memcmp(last->data, "ready", 5) == 0
        && env && env->state && mg_ready(env->state))
    {
        r->headers_out.status = NGX_HTTP_NO_CONTENT;
        r->header_only = 1;

        return ngx_http_send_header(r);
    }

    ngx_memzero(&w, sizeof(ngx_http_model_watcher_t));
    w.form = NGX_HTTP_MODEL_SSE;

    return ngx_http_model_watcher_add(r, ngx_http_model_events_conf(r), &w,
                                      (u_char *) "", 0, &ask->error);
}


/* The id is the client's own name, for its and our logs. */

static ngx_int_t
ngx_http_model_events_init(ngx_http_model_ask_t *ask)
{
    ngx_http_request_t        *r;
    ngx_http_model_watcher_t   w;

    r = ask->request;

    if (ask->path[0].value.len > NGX_HTTP_MODEL_EVENTS_CLIENT_ID) {
        (void) mg_error_set(&ask->error, MG_E_INVALID, "client_id",
                            "the client's id has %u bytes; at most %d are "
                            "taken", (unsigned) ask->path[0].value.len,
                            NGX_HTTP_MODEL_EVENTS_CLIENT_ID);
        return NGX_DECLINED;
    }

    ngx_memzero(&w, sizeof(ngx_http_model_watcher_t));

    if (ngx_http_model_socket_check(r, &w, &ask->error) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_model_watcher_add(r, ngx_http_model_events_conf(r), &w,
                                      (u_char *) "", 0, &ask->error);
}


/* A page of another host may not read for whoever looks at it. */

static ngx_int_t
ngx_http_model_events_origin(ngx_http_request_t *r, mg_error_t *e)
{
    u_char     *p;
    ngx_str_t  *origin, host;

    origin = ngx_http_model_answer_sent(r, "Origin");

    if (origin == NULL) {
        return NGX_OK;
    }

    host = *origin;
    p = ngx_strlchr(host.data, host.data + host.len, '/');

    if (p && (size_t) (p - host.data) + 2 <= host.len && p[1] == '/') {
        host.len -= p + 2 - host.data;
        host.data = p + 2;
    }

    if (r->headers_in.host && host.len == r->headers_in.host->value.len
        && ngx_strncasecmp(host.data, r->headers_in.host->value.data,
                           host.len)
           == 0)
    {
        return NGX_OK;
    }

    (void) mg_error_set(e, MG_E_FORBIDDEN, "Origin",
                        "origin \"%.*s\" is not this host; send a token as "
                        "protocol \"bearer.TOKEN\"",
                        (int) ngx_min(origin->len, 120), origin->data);

    return NGX_DECLINED;
}


/* 0: none of ours. */

static uint64_t
ngx_http_model_events_last_id(ngx_http_request_t *r)
{
    ngx_int_t   n;
    ngx_str_t  *last;

    last = ngx_http_model_answer_sent(r, "Last-Event-ID");
    n = last ? ngx_atoi(last->data, last->len) : NGX_ERROR;

    return n > 0 ? (uint64_t) n : 0;
}


static ngx_http_model_events_conf_t *
ngx_http_model_events_conf(ngx_http_request_t *r)
{
    return ngx_http_get_module_main_conf(r, ngx_http_model_events_module);
}


/* -- configuration -- */

static char *
ngx_http_model_events(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t   *value;
    ngx_int_t    rc;
    ngx_uint_t   i;
    const char  *wrong;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rc = ngx_http_model_param_read(ngx_http_model_events_params, conf,
                                       &value[i], &wrong);

        if (rc == NGX_OK) {
            continue;
        }

        if (rc == NGX_DECLINED) {
            wrong = "is none of connections=, per_client=, heartbeat= and "
                    "timeout=";
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\": \"%V\" %s",
                           &cmd->name, &value[i], wrong);

        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_model_events_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_events_conf_t *ecf = conf;

    mg_error_t   e;
    ngx_str_t   *value, file;
    ngx_uint_t   i;

    if (ecf->webhook.secrets) {
        return "is duplicate";
    }

    ngx_str_null(&file);
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "url=", 4) == 0) {
            ecf->webhook.url = mg_str_n((char *) value[i].data + 4,
                                        value[i].len - 4);

            if (mg_webhook_url(ecf->webhook.url, &e) != MG_OK) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", e.message);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "secret_file=", 12) == 0) {
            file.data = value[i].data + 12;
            file.len = value[i].len - 12;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\": \"%V\" is none of url= and "
                           "secret_file=", &cmd->name, &value[i]);
        return NGX_CONF_ERROR;
    }

    if (file.len == 0) {
        return "has no secret_file=, with which webhooks are signed";
    }

    return ngx_http_model_events_secret(cf, ecf, &file);
}


static char *
ngx_http_model_events_secret(ngx_conf_t *cf,
    ngx_http_model_events_conf_t *conf, ngx_str_t *file)
{
    u_char              *source;
    mg_error_t           e;
    ngx_pool_cleanup_t  *cln;

    if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    source = ngx_pnalloc(cf->pool, sizeof("file:") + file->len);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (source == NULL || cln == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_sprintf(source, "file:%V%Z", file);

    conf->webhook.secrets = mg_secrets_create();
    if (conf->webhook.secrets == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_model_events_cleanup;
    cln->data = conf->webhook.secrets;

    if (mg_secrets_add(conf->webhook.secrets, MG_WEBHOOK_SECRET,
                       mg_str_z((char *) source), &e)
        != MG_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", e.message);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_model_events_cleanup(void *data)
{
    mg_secrets_destroy(data);
}


static void *
ngx_http_model_events_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_model_events_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_events_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->area = 0
     *     conf->webhook = { { NULL, 0 }, NULL }
     */

    conf->connections = 4096;
    conf->per_client = 64;
    conf->heartbeat = 15000;
    conf->timeout = 30000;

    return conf;
}


static ngx_int_t
ngx_http_model_events_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_model_hook_add(cf, NGX_HTTP_MODEL_HOOK_LEAVE,
                                ngx_http_model_topic_leave)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_model_route_add(cf, ngx_http_model_events_routes);
}


static ngx_int_t
ngx_http_model_events_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_model_main_conf_t    *mcf;
    ngx_http_model_events_conf_t  *conf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    if (mcf->zone == NULL) {
        return NGX_OK;
    }

    conf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_model_events_module);

    conf->area = ngx_http_model_zone_area(cf, mcf->zone, "streams",
                                          NGX_HTTP_MODEL_SLOTS
                                          * sizeof(mg_conn_cell_t));

    return conf->area == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_model_events_init_process(ngx_cycle_t *cycle)
{
    mg_env_t                      *env;
    ngx_http_model_main_conf_t    *mcf;
    ngx_http_model_events_conf_t  *conf;

    env = ngx_http_model_env();

    if (env == NULL) {
        return NGX_OK;
    }

    conf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_model_events_module);

    /* no job runs yet, no call has come */

    if (conf->webhook.secrets) {
        env->webhook = &conf->webhook;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_model_module);

    ngx_http_model_watcher_init(ngx_http_model_zone_get(mcf->zone, conf->area,
                                                        NULL));
    ngx_http_model_topic_init(cycle, mcf->db_pool);

    return NGX_OK;
}
