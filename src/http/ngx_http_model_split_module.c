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
 * Event loop, but for the scan of a file.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "base/mg_scan.h"
#include "http/ngx_http_model_choice.h"


#define NGX_HTTP_MODEL_SPLIT_PIECE   (64 * 1024)


typedef struct {
    ngx_flag_t                    enable;       /* model_split */
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
} ngx_http_model_split_ctx_t;


/* Data of a task: nothing of the request. */
typedef struct {
    ngx_fd_t                      fd;           /* a duplicate */
    off_t                         start;
    off_t                         end;
    ngx_int_t                     rc;
    mg_error_t                    error;
    mg_scan_t                     scan;
} ngx_http_model_split_file_t;


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
static ngx_int_t ngx_http_model_split_memory(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, mg_error_t *e);
static ngx_int_t ngx_http_model_split_file(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, ngx_buf_t *b, mg_error_t *e);
static void ngx_http_model_split_file_work(ngx_http_model_task_t *t);
static ngx_int_t ngx_http_model_split_file_done(ngx_http_model_task_t *t,
    ngx_http_request_t *r);
static void ngx_http_model_split_file_destroy(void *data);
static ngx_int_t ngx_http_model_split_scanned(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, mg_scan_t *scan, ngx_int_t rc,
    mg_error_t *e);
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


static ngx_command_t  ngx_http_model_split_commands[] = {

    { ngx_string("model_split"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_model_split,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_model_split_loc_conf_t, enable),
      NULL },

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

    if (!slcf->enable || r != r->main) {
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

    if (ngx_http_model_split_check(r, &p, &e) != NGX_OK) {
        return ngx_http_model_split_refuse(r, &e);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_model_split_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->principal = p;
    ngx_http_model_split_clock(&ctx->wanted);

    ngx_http_set_ctx(r, ctx, ngx_http_model_split_module);

    if (ngx_http_model_split_path(r, &ctx->wanted) == NGX_OK) {
        ctx->status = NGX_DECLINED;

        if (ngx_http_model_split_decide(r, ctx, &e) != NGX_OK) {
            return ngx_http_model_split_refuse(r, &e);
        }

        return NGX_DECLINED;
    }

    if (ngx_http_model_split_json(r) != NGX_OK) {
        mg_error_set(&e, MG_E_MEDIA_TYPE, NULL,
                     "the Content-Type is \"%.*s\"; send application/json",
                     (int) ngx_min(r->headers_in.content_type->value.len, 128),
                     r->headers_in.content_type->value.data);
        return ngx_http_model_split_refuse(r, &e);
    }

    ctx->status = NGX_DONE;

    rc = ngx_http_read_client_request_body(r, ngx_http_model_split_body);

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
    mg_role_e                   need;
    ngx_http_model_loc_conf_t  *lcf;

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

    switch (lcf->auth) {

    case NGX_HTTP_MODEL_AUTH_OFF:
        need = MG_ROLE_NONE;
        break;

    case NGX_HTTP_MODEL_AUTH_DEFAULT:
        need = MG_ROLE_INFERENCE;
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

    if (r->headers_in.content_type == NULL) {
        return NGX_OK;
    }

    type = r->headers_in.content_type->value;
    last = ngx_strlchr(type.data, type.data + type.len, ';');

    if (last) {
        type.len = last - type.data;
    }

    while (type.len && type.data[type.len - 1] == ' ') {
        type.len--;
    }

    if (type.len == 0
        || (type.len == sizeof("application/json") - 1
            && (ngx_memcmp(type.data, "application/json", type.len) == 0
                || ngx_strncasecmp(type.data, (u_char *) "application/json",
                                   type.len)
                   == 0)))
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

    if (x->refused) {
        return NGX_DECLINED;
    }

    if (ngx_http_model_choice_again(r, x, &e) != NGX_OK) {
        return ngx_http_model_split_refuse(r, &e);
    }

    if (ngx_http_model_rewrite_again(r, x) != NGX_OK
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
    ngx_int_t                    rc;
    mg_error_t                   e;
    ngx_chain_t                 *cl;
    ngx_http_model_split_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_model_split_module);

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        if (!ngx_buf_in_memory(cl->buf) && cl->buf->in_file) {
            break;
        }
    }

    if (cl) {
        rc = ngx_http_model_split_file(r, ctx, cl->buf, &e);

        if (rc == NGX_DONE) {
            return;
        }

    } else {
        rc = ngx_http_model_split_memory(r, ctx, &e);
    }

    ngx_http_model_split_go(r, ctx, rc, &e);
}


static ngx_int_t
ngx_http_model_split_memory(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, mg_error_t *e)
{
    int           rc;
    mg_scan_t     scan;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    mg_scan_init(&scan);

    rc = MG_OK;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        rc = mg_scan_feed(&scan, (char *) b->pos, b->last - b->pos, e);

        if (rc != MG_OK) {
            break;
        }
    }

    if (rc == MG_OK) {
        rc = mg_scan_finish(&scan, e);
    }

    return ngx_http_model_split_scanned(r, ctx, &scan, rc, e);
}


/*
 * A body that was spooled: the disk is a pool thread's business, and not one
 * of model_db, which may all be waiting for the database.
 */

static ngx_int_t
ngx_http_model_split_file(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, ngx_buf_t *b, mg_error_t *e)
{
    ngx_int_t                          rc;
    ngx_http_model_task_t             *t;
    ngx_http_model_split_file_t       *f;
    ngx_http_model_split_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_model_split_module);

    t = ngx_http_model_task_create(sizeof(ngx_http_model_split_file_t));

    if (t == NULL) {
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_ERROR;
    }

    f = t->data;

    /* the thread's own, since the request may go and close its file */

    f->fd = fcntl(b->file->fd, F_DUPFD_CLOEXEC, 0);
    f->start = b->file_pos;
    f->end = b->file_last;

    t->work = ngx_http_model_split_file_work;
    t->done = ngx_http_model_split_file_done;
    t->destroy = ngx_http_model_split_file_destroy;

    rc = ngx_http_model_task_wait(smcf->pool, t, r);

    if (rc == NGX_DONE) {
        return NGX_DONE;
    }

    mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                 "too many large requests wait to be read; try again");

    return NGX_ERROR;
}


static void
ngx_http_model_split_file_work(ngx_http_model_task_t *t)
{
    char                         *piece;
    off_t                         at;
    size_t                        size;
    ssize_t                       n;
    ngx_http_model_split_file_t  *f;

    f = t->data;

    mg_scan_init(&f->scan);

    piece = malloc(NGX_HTTP_MODEL_SPLIT_PIECE);

    if (piece == NULL || f->fd == -1) {
        free(piece);
        f->rc = mg_error_set(&f->error, MG_E_INTERNAL, NULL,
                             "the body cannot be read again");
        return;
    }

    f->rc = MG_OK;

    for (at = f->start; at < f->end && f->rc == MG_OK; at += n) {

        if (__atomic_load_n(&t->cancel, __ATOMIC_RELAXED)) {
            f->rc = mg_error_set(&f->error, MG_E_CANCELLED, NULL,
                                 "the client has gone");
            break;
        }

        size = ngx_min(f->end - at, NGX_HTTP_MODEL_SPLIT_PIECE);
        n = pread(f->fd, piece, size, at);

        if (n <= 0) {
            f->rc = mg_error_set(&f->error, MG_E_INTERNAL, NULL,
                                 "the body cannot be read again");
            break;
        }

        f->rc = mg_scan_feed(&f->scan, piece, n, &f->error);
    }

    if (f->rc == MG_OK) {
        f->rc = mg_scan_finish(&f->scan, &f->error);
    }

    free(piece);
}


static ngx_int_t
ngx_http_model_split_file_done(ngx_http_model_task_t *t,
    ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_model_split_ctx_t   *ctx;
    ngx_http_model_split_file_t  *f;

    if (r == NULL) {
        return NGX_DONE;
    }

    f = t->data;
    ctx = ngx_http_get_module_ctx(r, ngx_http_model_split_module);

    rc = ngx_http_model_split_scanned(r, ctx, &f->scan, f->rc, &f->error);

    r->read_event_handler = ngx_http_block_reading;

    ngx_http_model_split_go(r, ctx, rc, &f->error);

    return NGX_DONE;
}


static void
ngx_http_model_split_file_destroy(void *data)
{
    ngx_http_model_split_file_t  *f;

    f = data;

    if (f->fd != -1) {
        (void) close(f->fd);
    }
}


/* The scanner's verdict, then the decision; rc is the scanner's. */

static ngx_int_t
ngx_http_model_split_scanned(ngx_http_request_t *r,
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
    ngx_memcpy(p, scan->user, scan->user_len);

    w->value_start = scan->value_start;
    w->value_end = scan->value_end;
    w->stream = scan->stream;

    return ngx_http_model_split_decide(r, ctx, e);
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

    if ((w->value_end
         && ngx_http_model_rewrite_body(r, x, w->value_start, w->value_end)
            != NGX_OK)
        || ngx_http_model_header_dress(r, x) != NGX_OK)
    {
        x->refused = 1;
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NGX_ERROR;
    }

    mg_metric_own(ngx_http_model_counters(), SPLIT_REQUESTS, 1);

    return NGX_OK;
}


static void
ngx_http_model_split_go(ngx_http_request_t *r,
    ngx_http_model_split_ctx_t *ctx, ngx_int_t rc, mg_error_t *e)
{
    ctx->status = NGX_DECLINED;

    if (rc != NGX_OK) {
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
    ngx_http_model_split_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_split_module);
    smcf->used = 1;

    return ngx_conf_set_flag_slot(cf, cmd, conf);
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

    conf->enable = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_model_split_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_model_split_loc_conf_t *prev = parent;
    ngx_http_model_split_loc_conf_t *conf = child;

    ngx_conf_merge_value(conf->enable, prev->enable, 0);

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

    return NGX_OK;
}
