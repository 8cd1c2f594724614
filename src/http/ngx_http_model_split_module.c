/*
 * ngx_http_model_split_module.c: model_split, the request's side.
 *
 * A handler of the PRECONTENT phase: checks the token, reads the body,
 * finds "model" with the project's own scanner, lets choice.c decide and
 * puts the upstream's name into the body in place.  What follows is the
 * stock proxy module with the variables of variable.c.
 *
 *     first entry -> [body] -> body_ready -> phases again -> DECLINED
 *                       \-> body in a file: scanned by a pool thread
 *
 * ctx->status: NGX_DONE while the body is read or scanned, NGX_DECLINED
 * when the decision stands, NGX_ERROR when ctx->error is to be sent.  An
 * internal redirect (error_page to a fallback location) wipes the ctx but
 * not the exchange: the next variant is chosen then.
 *
 * A dry run decides likewise, for the record alone: nothing is put into the
 * request, and what cannot be decided goes on without a decision.
 *
 * Event loop only.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "http/ngx_http_model_capture.h"
#include "http/ngx_http_model_choice.h"
#include "model/mg_policy.h"


/* model_split */
#define NGX_HTTP_MODEL_SPLIT_OFF     0
#define NGX_HTTP_MODEL_SPLIT_ON      1
#define NGX_HTTP_MODEL_SPLIT_DRY     2


typedef struct {
    ngx_uint_t                    mode;         /* model_split */
    ngx_http_complex_value_t     *key;          /* model_split_key */
} ngx_http_model_split_loc_conf_t;


typedef struct {
    ngx_uint_t                    used;         /* some location splits */
    ngx_thread_pool_t            *pool;         /* reads bodies in files */
} ngx_http_model_split_main_conf_t;


typedef struct {
    ngx_int_t                     status;
    mg_error_t                   *error;
    ngx_http_model_principal_t   *principal;
    ngx_http_model_wanted_t       wanted;
    ngx_uint_t                    copied;       /* when the body is read */
    mg_str_t                      head;         /* of a body in a file, while
                                                   it is decided */
} ngx_http_model_split_ctx_t;


static ngx_int_t ngx_http_model_split_inner(ngx_http_request_t *r);
static ngx_int_t ngx_http_model_split_handler(ngx_http_request_t *r);
static void ngx_http_model_split_clock(ngx_http_model_wanted_t *w);
static ngx_int_t ngx_http_model_split_check(ngx_http_request_t *r,
    ngx_http_model_principal_t **p, mg_error_t *e);
static ngx_int_t ngx_http_model_split_json(ngx_http_request_t *r);
static ngx_int_t ngx_http_model_split_path(ngx_http_request_t *r,
    ngx_http_model_wanted_t *w);
static ngx_int_t ngx_http_model_split_again(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static void ngx_http_model_split_body(ngx_http_request_t *r);
static void ngx_http_model_split_copied(ngx_http_request_t *r);
static void ngx_http_model_split_scanned(ngx_http_request_t *r,
    mg_scan_t *scan, mg_str_t head, ngx_int_t rc, mg_error_t *e);
static ngx_int_t ngx_http_model_split_found(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, mg_scan_t *scan, ngx_int_t rc,
    mg_error_t *e);
static void ngx_http_model_split_coded(ngx_http_request_t *r, mg_error_t *e);
static ngx_int_t ngx_http_model_split_decide(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, mg_error_t *e);
static void ngx_http_model_split_go(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, ngx_int_t rc, mg_error_t *e);
static ngx_int_t ngx_http_model_split_refuse(ngx_http_request_t *r,
    mg_error_t *e);

static char *ngx_http_model_split(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_model_split_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_model_split_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_model_split_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_model_split_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_split_postconfiguration(ngx_conf_t *cf);


static ngx_conf_enum_t  ngx_http_model_split_modes[] = {
    { ngx_string("off"), NGX_HTTP_MODEL_SPLIT_OFF },
    { ngx_string("on"), NGX_HTTP_MODEL_SPLIT_ON },
    { ngx_string("dry_run"), NGX_HTTP_MODEL_SPLIT_DRY },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_model_split_commands[] = {

    { ngx_string("model_split"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_model_split,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_model_split_loc_conf_t, mode),
      ngx_http_model_split_modes },

    { ngx_string("model_split_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_model_split_loc_conf_t, key),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_model_split_module_ctx = {
    ngx_http_model_split_preconfiguration, /* preconfiguration */
    ngx_http_model_split_postconfiguration, /* postconfiguration */

    ngx_http_model_split_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_model_split_create_loc_conf,  /* create location configuration */
    ngx_http_model_split_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_model_split_module = {
    NGX_MODULE_V1,
    &ngx_http_model_split_module_ctx,      /* module context */
    ngx_http_model_split_commands,         /* module directives */
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


/* The first phase of a subrequest. */

static ngx_int_t
ngx_http_model_split_inner(ngx_http_request_t *r)
{
    if (r != r->main) {
        ngx_http_model_header_undress(r);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_model_split_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    mg_error_t                        e;
    ngx_http_model_exchange_t        *x;
    ngx_http_model_split_ctx_t       *ctx;
    ngx_http_model_principal_t       *p;
    ngx_http_model_split_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_model_split_module);

    if (slcf->mode == NGX_HTTP_MODEL_SPLIT_OFF || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_model_split_module);

    if (ctx) {
        if (ctx->status == NGX_ERROR) {
            ctx->status = NGX_DECLINED;
            return ngx_http_model_split_refuse(r, ctx->error);
        }

        return ctx->status;
    }

    x = ngx_http_model_exchange_get(r);

    if (x) {
        return ngx_http_model_split_again(r, x);
    }

    if (slcf->mode == NGX_HTTP_MODEL_SPLIT_DRY
        && (r->method != NGX_HTTP_POST
            || ngx_http_model_split_json(r) != NGX_OK))
    {
        return NGX_DECLINED;
    }

    if (ngx_http_model_split_check(r, &p, &e) != NGX_OK) {
        return ngx_http_model_split_refuse(r, &e);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_model_split_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->principal = p;
    ctx->wanted.dry_run = (slcf->mode == NGX_HTTP_MODEL_SPLIT_DRY);
    ngx_http_model_split_clock(&ctx->wanted);

    ngx_http_set_ctx(r, ctx, ngx_http_model_split_module);

    if (ngx_http_model_split_path(r, &ctx->wanted) == NGX_OK) {
        ctx->status = NGX_DECLINED;

        if (ngx_http_model_split_decide(r, ctx, &e) != NGX_OK
            && !ctx->wanted.dry_run)
        {
            return ngx_http_model_split_refuse(r, &e);
        }

        if (!ctx->copied) {
            return NGX_DECLINED;
        }

    } else if (ngx_http_model_split_json(r) != NGX_OK) {
        mg_error_set(&e, MG_E_MEDIA_TYPE, NULL,
                     "the Content-Type is \"%.*s\"; send application/json",
                     (int) ngx_min(r->headers_in.content_type->value.len, 128),
                     r->headers_in.content_type->value.data);
        return ngx_http_model_split_refuse(r, &e);
    }

    ctx->status = NGX_DONE;

    rc = ngx_http_read_client_request_body(r,
                                  ctx->copied ? ngx_http_model_split_copied
                                              : ngx_http_model_split_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


/*
 * One clock is read, the other follows from it: how far they are apart is
 * looked at whenever nginx's own time has moved on.
 */

static void
ngx_http_model_split_clock(ngx_http_model_wanted_t *w)
{
    static int64_t     apart;
    static ngx_msec_t  looked;

    w->mono_us = mg_mono_us();

    if (apart == 0 || looked != ngx_current_msec) {
        apart = mg_now_us() - w->mono_us;
        looked = ngx_current_msec;
    }

    w->begun_us = w->mono_us + apart;
}


/* Method and token: all that can be judged before the body. */

static ngx_int_t
ngx_http_model_split_check(ngx_http_request_t *r,
    ngx_http_model_principal_t **p, mg_error_t *e)
{
    mg_role_e                         need;
    ngx_http_model_loc_conf_t        *lcf;
    ngx_http_model_split_loc_conf_t  *slcf;

    static ngx_str_t  allow = ngx_string("POST");

    if (r->method != NGX_HTTP_POST) {
        mg_error_set(e, MG_E_METHOD, NULL,
                     "the method \"%.*s\" is not supported here; use POST",
                     (int) ngx_min(r->method_name.len, 32),
                     r->method_name.data);
        (void) ngx_http_model_answer_header(r, "Allow", &allow);
        return NGX_DECLINED;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_model_module);
    slcf = ngx_http_get_module_loc_conf(r, ngx_http_model_split_module);

    switch (lcf->auth) {

    case NGX_HTTP_MODEL_AUTH_OFF:
        need = MG_ROLE_NONE;
        break;

    case NGX_HTTP_MODEL_AUTH_DEFAULT:
        need = slcf->mode == NGX_HTTP_MODEL_SPLIT_DRY ? MG_ROLE_NONE
                                                      : MG_ROLE_INFERENCE;
        break;

    default:
        need = lcf->auth;
    }

    return ngx_http_model_principal(r, need, p, e);
}


/* No Content-Type at all is taken for JSON; the scanner judges anyway. */

static ngx_int_t
ngx_http_model_split_json(ngx_http_request_t *r)
{
    u_char     *p, *last;
    ngx_str_t   type;

    static ngx_str_t  json = ngx_string("application/json");

    if (r->headers_in.content_type == NULL) {
        return NGX_OK;
    }

    type = r->headers_in.content_type->value;

    if (type.len == json.len
        && ngx_memcmp(type.data, json.data, json.len) == 0)
    {
        return NGX_OK;
    }

    last = ngx_strlchr(type.data, type.data + type.len, ';');

    if (last) {
        type.len = last - type.data;
    }

    while (type.len && type.data[type.len - 1] == ' ') {
        type.len--;
    }

    if (type.len == 0
        || (type.len == json.len
            && ngx_strncasecmp(type.data, json.data, json.len) == 0))
    {
        return NGX_OK;
    }

    p = type.data + type.len - (sizeof("+json") - 1);

    if (type.len > sizeof("application/+json") - 1
        && ngx_strncasecmp(p, (u_char *) "+json", sizeof("+json") - 1) == 0)
    {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* POST /v2/models/NAME[/versions/V]/infer names the model by path. */

static ngx_int_t
ngx_http_model_split_path(ngx_http_request_t *r, ngx_http_model_wanted_t *w)
{
    u_char  *p, *last;

    static u_char  prefix[] = "/v2/models/";
    static u_char  suffix[] = "/infer";
    static u_char  version[] = "/versions/";

    if (r->uri.len <= sizeof(prefix) - 1 + sizeof(suffix) - 1
        || ngx_strncmp(r->uri.data, prefix, sizeof(prefix) - 1) != 0)
    {
        return NGX_DECLINED;
    }

    p = r->uri.data + sizeof(prefix) - 1;
    last = r->uri.data + r->uri.len - (sizeof(suffix) - 1);

    if (ngx_strncmp(last, suffix, sizeof(suffix) - 1) != 0) {
        return NGX_DECLINED;
    }

    w->model.data = p;

    while (p < last) {
        p = ngx_strlchr(p, last, '/');

        if (p == NULL) {
            break;
        }

        if ((size_t) (last - p) >= sizeof(version) - 1
            && ngx_strncmp(p, version, sizeof(version) - 1) == 0)
        {
            last = p;
            break;
        }

        p++;
    }

    w->model.len = last - w->model.data;
    w->suffix.data = last;
    w->suffix.len = r->uri.data + r->uri.len - last;

    return w->model.len ? NGX_OK : NGX_DECLINED;
}


/* Back from error_page: what was served has failed. */

static ngx_int_t
ngx_http_model_split_again(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    mg_error_t  e;

    if (x->refused || x->dry_run) {
        return NGX_DECLINED;
    }

    if (ngx_http_model_choice_again(r, x, &e) != NGX_OK) {
        return ngx_http_model_split_refuse(r, &e);
    }

    if (ngx_http_model_rewrite_body(r, x) != NGX_OK
        || ngx_http_model_header_dress(r, x) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


/* The body is there; phases run again when the decision stands. */

static void
ngx_http_model_split_body(ngx_http_request_t *r)
{
    ngx_http_model_split_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_model_split_module);

    ngx_http_model_scan_body(r, smcf->pool, ngx_http_model_split_scanned);
}


static void
ngx_http_model_split_scanned(ngx_http_request_t *r, mg_scan_t *scan,
    mg_str_t head, ngx_int_t rc, mg_error_t *e)
{
    ngx_http_model_split_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_model_split_module);
    ctx->head = head;

    rc = ngx_http_model_split_found(r, ctx, scan, rc, e);

    ngx_http_model_split_go(r, ctx, rc, e);
}


/* The same where the model is named by path: who decides has no use for it. */

static void
ngx_http_model_split_copied(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    mg_error_t                   e;
    ngx_http_model_exchange_t   *x;
    ngx_http_model_split_ctx_t  *ctx;

    rc = NGX_OK;
    x = ngx_http_model_exchange_get(r);
    ctx = ngx_http_get_module_ctx(r, ngx_http_model_split_module);

    if (x->group.bodies && ngx_http_model_split_json(r) == NGX_OK) {
        ngx_http_model_capture_request(r, x, mg_str_null);
    }

    if (!x->dry_run) {

        if (x->group.shadow_share) {
            (void) ngx_http_model_exchange_decided(x);
        }

        rc = ngx_http_model_header_dress(r, x);

        if (rc != NGX_OK) {
            x->refused = 1;
            mg_error_set(&e, MG_E_INTERNAL, NULL, "out of memory");
        }
    }

    ngx_http_model_split_go(r, ctx, rc, &e);
}


/* The scanner's verdict, then the decision; rc is the scanner's. */

static ngx_int_t
ngx_http_model_split_found(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, mg_scan_t *scan, ngx_int_t rc,
    mg_error_t *e)
{
    u_char                   *p;
    ngx_http_model_wanted_t  *w;

    if (rc == MG_DECLINED) {
        mg_error_set(e, MG_E_INVALID, "model",
                     "the body has no \"model\"; name a model group, "
                     "GET /v1/models lists them");
        (void) mg_error_code(e, "missing_model");
        return NGX_ERROR;
    }

    if (rc != MG_OK) {
        ngx_http_model_split_coded(r, e);
        return NGX_ERROR;
    }

    w = &ctx->wanted;

    p = ngx_pnalloc(r->pool, scan->model_len + scan->user_len + 1);
    if (p == NULL) {
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_ERROR;
    }

    w->model.data = p;
    w->model.len = scan->model_len;
    p = ngx_cpymem(p, scan->model, scan->model_len);

    w->user.data = p;
    w->user.len = scan->user_len;

    if (scan->user_len) {
        ngx_memcpy(p, scan->user, scan->user_len);
    }

    w->value_start = scan->value_start;
    w->value_end = scan->value_end;
    w->stream = scan->stream;
    w->options_at = scan->options_at;
    w->options_null = scan->options_null;
    w->options_some = scan->options_some;
    w->usage_asked = scan->usage_asked;

    return ngx_http_model_split_decide(r, ctx, e);
}


/* A body that is no JSON because it is packed: a better reason. */

static void
ngx_http_model_split_coded(ngx_http_request_t *r, mg_error_t *e)
{
    ngx_str_t  *coding;

    coding = ngx_http_model_answer_sent(r, "Content-Encoding");

    if (coding == NULL || e->kind != MG_E_INVALID
        || (coding->len == sizeof("identity") - 1
            && ngx_strncasecmp(coding->data, (u_char *) "identity",
                               coding->len)
               == 0))
    {
        return;
    }

    mg_error_set(e, MG_E_MEDIA_TYPE, NULL,
                 "the Content-Encoding is \"%.*s\"; send the JSON without "
                 "one", (int) ngx_min(coding->len, 128), coding->data);
}


static ngx_int_t
ngx_http_model_split_decide(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, mg_error_t *e)
{
    ngx_http_model_wanted_t          *w;
    ngx_http_model_exchange_t        *x;
    ngx_http_model_split_loc_conf_t  *slcf;

    w = &ctx->wanted;
    slcf = ngx_http_get_module_loc_conf(r, ngx_http_model_split_module);

    if (slcf->key && ngx_http_complex_value(r, slcf->key, &w->key) != NGX_OK)
    {
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_ERROR;
    }

    if (ngx_http_model_choice_make(r, w, ctx->principal, &x, e) != NGX_OK) {

        if (x) {
            x->refused = 1;
        }

        return NGX_ERROR;
    }

    mg_metric_own(ngx_http_model_counters(), SPLIT_REQUESTS, 1);

    if (x->group.bodies && r->request_body) {
        ngx_http_model_capture_request(r, x, ctx->head);

    } else if (x->group.bodies & MG_POLICY_REQUEST_BODY) {
        ctx->copied = 1;
    }

    if (x->dry_run) {
        return NGX_OK;
    }

    if (x->group.shadow_share
        && ngx_http_model_exchange_decided(x) == NGX_AGAIN)
    {
        ctx->copied = 1;
    }

    if (ctx->copied) {

        /* keys are not put on before the proxy is next */

        return NGX_OK;
    }

    if (ngx_http_model_rewrite_body(r, x) != NGX_OK
        || ngx_http_model_header_dress(r, x) != NGX_OK)
    {
        x->refused = 1;
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_model_split_go(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, ngx_int_t rc, mg_error_t *e)
{
    ctx->status = NGX_DECLINED;

    if (rc != NGX_OK && !ctx->wanted.dry_run) {
        ctx->error = ngx_palloc(r->pool, sizeof(mg_error_t));

        if (ctx->error) {
            *ctx->error = *e;
            ctx->status = NGX_ERROR;

        } else {
            ctx->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    r->preserve_body = 1;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
}


static ngx_int_t
ngx_http_model_split_refuse(ngx_http_request_t *r, mg_error_t *e)
{
    mg_metric_add(ngx_http_model_counters(), SPLIT_REJECTED, 1);

    ngx_http_finalize_request(r, ngx_http_model_answer_error(r, e));

    return NGX_DONE;
}


static char *
ngx_http_model_split(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_model_split_loc_conf_t *slcf = conf;

    ngx_str_t                         *value;
    ngx_conf_enum_t                   *mode;
    ngx_http_model_split_main_conf_t  *smcf;

    if (slcf->mode != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (mode = cmd->post; mode->name.len; mode++) {

        if (mode->name.len == value[1].len
            && ngx_strcmp(mode->name.data, value[1].data) == 0)
        {
            break;
        }
    }

    if (mode->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"model_split\"; use "
                           "\"on\", \"off\" or \"dry_run\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    slcf->mode = mode->value;

    if (slcf->mode != NGX_HTTP_MODEL_SPLIT_OFF) {
        smcf = ngx_http_conf_get_module_main_conf(cf,
                                                ngx_http_model_split_module);
        smcf->used = 1;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_model_split_create_main_conf(ngx_conf_t *cf)
{
    /* used = 0 is set by ngx_pcalloc() */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_model_split_main_conf_t));
}


static void *
ngx_http_model_split_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_model_split_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_model_split_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /* key = NULL is set by ngx_pcalloc() */

    conf->mode = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_model_split_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_model_split_loc_conf_t *prev = parent;
    ngx_http_model_split_loc_conf_t *conf = child;

    ngx_conf_merge_uint_value(conf->mode, prev->mode,
                              NGX_HTTP_MODEL_SPLIT_OFF);

    if (conf->key == NULL) {
        conf->key = prev->key;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_model_split_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_model_variable_add(cf);
}


static ngx_int_t
ngx_http_model_split_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt               *h;
    ngx_http_core_main_conf_t         *cmcf;
    ngx_http_model_main_conf_t        *mcf;
    ngx_http_model_split_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_split_module);

    if (!smcf->used) {
        return NGX_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    if (mcf->zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"model_split\" is used without \"model_zone\"; "
                           "add \"model_zone model:32m;\" to the http block");
        return NGX_ERROR;
    }

    /* "default", which nginx makes where no thread_pool says otherwise */

    smcf->pool = ngx_thread_pool_add(cf, NULL);
    if (smcf->pool == NULL) {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_model_split_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_SERVER_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_model_split_inner;

    return NGX_OK;
}
