/*
 * ngx_http_model_module.c: the core of the family, as configured.
 *
 * Zone, database, Redis, state folder, key, pools, and the tables in which
 * the other modules register.  Without model_zone the whole family is
 * inert; directives that make no sense without it are refused.  The master
 * reads the key file (as root, where it is) and connects to nothing; what
 * happens in a worker is in ngx_http_model_worker.c.
 */

#include "http/ngx_http_model_core.h"
#include "http/ngx_http_model_reach.h"
#include "http/ngx_http_model_rotate.h"
#include "http/ngx_http_model_worker.h"
#include "ngx/ngx_http_model_param.h"


#define NGX_HTTP_MODEL_ZONE_MIN      (8 * 1024 * 1024)


static void *ngx_http_model_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_model_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_model_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_model_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_model_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_model_state_path(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_model_path_add(ngx_conf_t *cf, ngx_str_t *name);
static char *ngx_http_model_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_model_trusted_certificate(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_model_secret_key_file(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static void ngx_http_model_key_cleanup(void *data);
static char *ngx_http_model_catalog_source(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_model_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_check(ngx_conf_t *cf,
    ngx_http_model_main_conf_t *mcf);
static ngx_int_t ngx_http_model_pool(ngx_conf_t *cf, const char *name,
    ngx_thread_pool_t **pool);


static ngx_conf_num_bounds_t  ngx_http_model_concurrency_bounds = {
    ngx_conf_check_num_bounds, 1, 1024
};


static ngx_conf_enum_t  ngx_http_model_auth_levels[] = {
    { ngx_string("off"), NGX_HTTP_MODEL_AUTH_OFF },
    { ngx_string("inference"), MG_ROLE_INFERENCE },
    { ngx_string("viewer"), MG_ROLE_VIEWER },
    { ngx_string("operator"), MG_ROLE_OPERATOR },
    { ngx_string("admin"), MG_ROLE_ADMIN },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_model_commands[] = {

    { ngx_string("model_database"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_model_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_model_main_conf_t, redis),
      NULL },

    { ngx_string("model_state_path"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_model_state_path,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_model_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_secret_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_model_secret_key_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_resolver"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_model_reach_resolver,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_probe"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_model_reach_probe,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_model_trusted_certificate,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_secret"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_model_rotate_secret,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_catalog_source"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_model_catalog_source,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("model_allow_private"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_model_main_conf_t, allow_private),
      NULL },

    { ngx_string("model_validate_concurrency"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_model_main_conf_t, validate_concurrency),
      &ngx_http_model_concurrency_bounds },

    { ngx_string("model_validate_host_concurrency"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_model_main_conf_t, validate_host),
      &ngx_http_model_concurrency_bounds },

    { ngx_string("model_validate_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_model_main_conf_t, validate_timeout),
      NULL },

    { ngx_string("model_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_model_loc_conf_t, auth),
      &ngx_http_model_auth_levels },

    { ngx_string("model_record"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_model_loc_conf_t, record),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_model_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_model_postconfiguration,      /* postconfiguration */

    ngx_http_model_create_main_conf,       /* create main configuration */
    ngx_http_model_init_main_conf,         /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_model_create_loc_conf,        /* create location configuration */
    ngx_http_model_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_model_module = {
    NGX_MODULE_V1,
    &ngx_http_model_module_ctx,            /* module context */
    ngx_http_model_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_model_worker_init,            /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_model_worker_exit,            /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_int_t
ngx_http_model_route_add(ngx_conf_t *cf, const ngx_http_model_route_t *routes)
{
    ngx_http_model_route_t      *route;
    ngx_http_model_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    for ( /* void */ ; routes->pattern; routes++) {
        route = ngx_array_push(&mcf->routes);
        if (route == NULL) {
            return NGX_ERROR;
        }

        *route = *routes;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_model_metric_add(ngx_conf_t *cf, ngx_http_model_metric_pt writer)
{
    ngx_http_model_metric_pt    *metric;
    ngx_http_model_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    metric = ngx_array_push(&mcf->metrics);
    if (metric == NULL) {
        return NGX_ERROR;
    }

    *metric = writer;

    return NGX_OK;
}


ngx_int_t
ngx_http_model_hook_add(ngx_conf_t *cf, ngx_http_model_hook_e when,
    void (*handler)(void))
{
    ngx_http_model_hook_t       *hook;
    ngx_http_model_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    hook = ngx_array_push(&mcf->hooks);
    if (hook == NULL) {
        return NGX_ERROR;
    }

    hook->when = when;
    hook->handler = handler;

    return NGX_OK;
}


static void *
ngx_http_model_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_model_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     mcf->database = { 0, NULL }, as all other strings
     *     mcf->zone = NULL
     */

    mcf->database_connections = NGX_CONF_UNSET_UINT;
    mcf->database_timeout = NGX_CONF_UNSET_MSEC;
    mcf->allow_private = NGX_CONF_UNSET;
    mcf->validate_concurrency = NGX_CONF_UNSET_UINT;
    mcf->validate_host = NGX_CONF_UNSET_UINT;
    mcf->validate_timeout = NGX_CONF_UNSET_MSEC;

    if (ngx_array_init(&mcf->routes, cf->pool, 32,
                       sizeof(ngx_http_model_route_t))
        != NGX_OK
        || ngx_array_init(&mcf->metrics, cf->pool, 8,
                          sizeof(ngx_http_model_metric_pt))
           != NGX_OK
        || ngx_array_init(&mcf->hooks, cf->pool, 8,
                          sizeof(ngx_http_model_hook_t))
           != NGX_OK)
    {
        return NULL;
    }

    return mcf;
}


static char *
ngx_http_model_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    ngx_conf_init_uint_value(mcf->database_connections, 8);
    ngx_conf_init_msec_value(mcf->database_timeout, 10000);
    ngx_conf_init_value(mcf->allow_private, 0);
    ngx_conf_init_uint_value(mcf->validate_concurrency, 64);
    ngx_conf_init_uint_value(mcf->validate_host, mcf->validate_concurrency);
    ngx_conf_init_msec_value(mcf->validate_timeout, 30000);

    return NGX_CONF_OK;
}


static void *
ngx_http_model_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_model_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     lcf->control = 0
     */

    lcf->auth = NGX_CONF_UNSET_UINT;
    lcf->fallback = NGX_CONF_UNSET_PTR;
    lcf->record = NGX_CONF_UNSET;

    return lcf;
}


static char *
ngx_http_model_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_model_loc_conf_t *prev = parent;
    ngx_http_model_loc_conf_t *conf = child;

    ngx_conf_merge_uint_value(conf->auth, prev->auth,
                              NGX_HTTP_MODEL_AUTH_DEFAULT);
    ngx_conf_merge_ptr_value(conf->fallback, prev->fallback, NULL);
    ngx_conf_merge_value(conf->record, prev->record, 1);

    return NGX_CONF_OK;
}


static char *
ngx_http_model_database(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (mcf->database.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->database = value[1];

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "connections=", 12) == 0) {
            n = ngx_atoi(value[i].data + 12, value[i].len - 12);

            if (n < 1 || n > 1000) {
                goto invalid;
            }

            mcf->database_connections = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            s.len = value[i].len - 8;
            s.data = value[i].data + 8;
            n = ngx_parse_time(&s, 0);

            if (n == NGX_ERROR || n < 1) {
                goto invalid;
            }

            mcf->database_timeout = n;
            continue;
        }

        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\"; \"%V\" takes a conninfo in "
                       "quotes, connections=1..1000 and timeout=TIME",
                       &value[i], &cmd->name);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_model_state_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    ngx_str_t  *value, spool;

    if (mcf->state_path.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->state_path = value[1];

    while (mcf->state_path.len > 1
           && mcf->state_path.data[mcf->state_path.len - 1] == '/')
    {
        mcf->state_path.data[--mcf->state_path.len] = '\0';
    }

    if (mcf->state_path.len == 0) {
        return "has an empty path";
    }

    if (ngx_conf_full_name(cf->cycle, &mcf->state_path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    spool.len = mcf->state_path.len + sizeof("/spool") - 1;
    spool.data = ngx_pnalloc(cf->pool, spool.len + 1);
    if (spool.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_sprintf(spool.data, "%V/spool%Z", &mcf->state_path);

    if (ngx_http_model_path_add(cf, &mcf->state_path) != NGX_OK
        || ngx_http_model_path_add(cf, &spool) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* nginx makes the folder and gives it to the workers' user. */

static ngx_int_t
ngx_http_model_path_add(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_path_t  *path;

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_ERROR;
    }

    path->name = *name;
    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    return ngx_add_path(cf, &path);
}


static char *
ngx_http_model_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, name, s;

    if (mcf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    p = (u_char *) ngx_strchr(value[1].data, ':');
    if (p == NULL || p == value[1].data) {
        goto invalid;
    }

    name.data = value[1].data;
    name.len = p - value[1].data;

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);
    if (size == NGX_ERROR) {
        goto invalid;
    }

    if (size < (ssize_t) NGX_HTTP_MODEL_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "size of zone \"%V\" is below 8m; give it 8m or "
                           "more, such as \"%V:32m\"", &value[1], &name);
        return NGX_CONF_ERROR;
    }

    mcf->zone = ngx_http_model_zone_add(cf, &name, size,
                                        &ngx_http_model_module);

    return mcf->zone ? NGX_CONF_OK : NGX_CONF_ERROR;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid zone \"%V\"; write NAME:SIZE, such as "
                       "\"model:32m\"", &value[1]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_model_secret_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    ngx_str_t           *value;
    mg_error_t           e;
    ngx_pool_cleanup_t  *cln;

    if (mcf->key_file.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->key_file = value[1];

    if (ngx_conf_full_name(cf->cycle, &mcf->key_file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_model_key_cleanup;
    cln->data = &mcf->key;

    if (mg_crypt_key_read(&mcf->key, (char *) mcf->key_file.data, &e)
        != MG_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", e.message);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_model_trusted_certificate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    ngx_str_t  *value;

    if (mcf->trusted.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->trusted = value[1];

    return ngx_http_model_param_file(cf, &mcf->trusted);
}


static void
ngx_http_model_key_cleanup(void *data)
{
    mg_wipe(data, sizeof(mg_crypt_key_t));
}


static char *
ngx_http_model_catalog_source(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_main_conf_t *mcf = conf;

    ngx_str_t  *value;

    if (mcf->catalog_source.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->catalog_source = value[1];

    if (ngx_strncasecmp(value[1].data, (u_char *) "http://", 7) == 0
        || ngx_strncasecmp(value[1].data, (u_char *) "https://", 8) == 0)
    {
        return NGX_CONF_OK;
    }

    if (ngx_conf_full_name(cf->cycle, &mcf->catalog_source, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_model_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    if (ngx_http_model_check(cf, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (mcf->zone == NULL) {
        return NGX_OK;
    }

    mcf->state_area = ngx_http_model_zone_area(cf, mcf->zone, "state",
                                               sizeof(mg_state_t));

    mcf->metrics_area = ngx_http_model_zone_area(cf, mcf->zone, "metrics",
                               NGX_HTTP_MODEL_SLOTS * sizeof(mg_metrics_t));

    mcf->gates_area = ngx_http_model_zone_area(cf, mcf->zone, "gates",
                                               sizeof(mg_gates_t));

    mcf->hosts_area = ngx_http_model_zone_area(cf, mcf->zone, "hosts",
                                               sizeof(mg_hosts_t));

    mcf->peaks_area = ngx_http_model_zone_area(cf, mcf->zone, "peaks",
                                               sizeof(mg_peaks_t));

    mcf->events_area = ngx_http_model_zone_area(cf, mcf->zone, "events",
                                                sizeof(mg_events_t));

    if (mcf->state_area == NGX_ERROR
        || mcf->metrics_area == NGX_ERROR
        || mcf->gates_area == NGX_ERROR
        || mcf->hosts_area == NGX_ERROR
        || mcf->peaks_area == NGX_ERROR
        || mcf->events_area == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    if (ngx_http_model_pool(cf, "model_db", &mcf->db_pool) != NGX_OK
        || ngx_http_model_pool(cf, mcf->jobs_pool_name.len
                                   ? (char *) mcf->jobs_pool_name.data
                                   : "model_jobs", &mcf->jobs_pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* What needs what; every message says which line is missing. */

static ngx_int_t
ngx_http_model_check(ngx_conf_t *cf, ngx_http_model_main_conf_t *mcf)
{
    ngx_uint_t   i;
    const char  *used;

    struct {
        ngx_str_t   *value;
        const char  *name;
    } directives[] = {
        { &mcf->database, "model_database" },
        { &mcf->redis, "model_redis" },
        { &mcf->state_path, "model_state_path" },
        { &mcf->key_file, "model_secret_key_file" },
        { &mcf->catalog_source, "model_catalog_source" }
    };

    used = mcf->secrets ? "model_secret" : NULL;

    for (i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (directives[i].value->data) {
            used = directives[i].name;
            break;
        }
    }

    if (used && mcf->zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" is used without \"model_zone\", the "
                           "shared memory where workers meet; add "
                           "\"model_zone model:32m;\" to the http block",
                           used);
        return NGX_ERROR;
    }

    if (mcf->zone && mcf->state_path.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"model_zone\" is used without "
                           "\"model_state_path\", the folder for snapshot "
                           "files; add \"model_state_path DIRECTORY;\" to "
                           "the http block");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_pool(ngx_conf_t *cf, const char *name,
    ngx_thread_pool_t **pool)
{
    ngx_str_t  s;

    s.len = ngx_strlen(name);
    s.data = (u_char *) name;

    *pool = ngx_thread_pool_get(cf->cycle, &s);
    if (*pool) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"model_zone\" needs the thread pool \"%s\", which is "
                       "not defined above the http block; add "
                       "\"thread_pool %s threads=4 max_queue=1024;\" there",
                       name, name);

    return NGX_ERROR;
}
