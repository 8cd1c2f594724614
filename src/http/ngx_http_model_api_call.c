/*
 * ngx_http_model_api_call.c: one control-plane call, from its body to its
 * answer.
 *
 * The call is a detached task: it gets copies of everything that it needs
 * (a body in a temporary file as a descriptor of its own), so its client
 * may leave at any time; what it has changed is committed all the same.
 *
 *     body -> task: copies -> thread of model_db -> answer
 *
 * Event loop, but for ngx_http_model_api_work() and _read().
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ngx_http_model_api.h"
#include "base/mg_priority.h"


#define NGX_HTTP_MODEL_API_ARENA   (64 * 1024 * 1024)
#define NGX_HTTP_MODEL_API_OUT     (32 * 1024 * 1024)

/* Bytes of an Idempotency-Key. */
#define NGX_HTTP_MODEL_API_ONCE    255


/* A request on its way to a thread; in r->pool. */

typedef struct {
    ngx_http_model_ask_t           ask;
    const mg_call_route_t         *route;
    ngx_http_model_principal_t    *who;
} ngx_http_model_api_ctx_t;


/* What the thread works on; in the task. */

typedef struct {
    mg_call_t                      call;
    mg_call_pt                     handler;
    mg_error_t                     error;
    int                            rc;
    ngx_fd_t                       fd;       /* body in a temporary file */
    size_t                         size;     /* of the body */
} ngx_http_model_api_job_t;


static ngx_int_t ngx_http_model_api_media_type(ngx_http_request_t *r,
    mg_error_t *e);
static void ngx_http_model_api_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_model_api_post(ngx_http_request_t *r,
    ngx_http_model_api_ctx_t *ctx);
static ngx_int_t ngx_http_model_api_collect(ngx_http_request_t *r,
    ngx_http_model_api_job_t *job, mg_error_t *e);
static ngx_int_t ngx_http_model_api_fill(ngx_http_request_t *r,
    ngx_http_model_api_ctx_t *ctx, ngx_http_model_api_job_t *job,
    mg_error_t *e);
static ngx_int_t ngx_http_model_api_headers(ngx_http_request_t *r,
    mg_call_t *c, mg_error_t *e);
static ngx_int_t ngx_http_model_api_once(ngx_http_request_t *r, mg_call_t *c,
    mg_error_t *e);
static void ngx_http_model_api_work(ngx_http_model_task_t *t);
static int ngx_http_model_api_read(ngx_http_model_api_job_t *job);
static ngx_int_t ngx_http_model_api_done(ngx_http_model_task_t *t,
    ngx_http_request_t *r);
static ngx_int_t ngx_http_model_api_answer(ngx_http_request_t *r,
    mg_call_t *c);
static ngx_int_t ngx_http_model_api_answer_headers(ngx_http_request_t *r,
    mg_call_t *c);
static ngx_int_t ngx_http_model_api_header(ngx_http_request_t *r,
    const char *name, const char *before, mg_str_t value, const char *after);
static void ngx_http_model_api_destroy(void *data);


ngx_int_t
ngx_http_model_api_call(ngx_http_model_ask_t *ask,
    const mg_call_route_t *route, ngx_http_model_principal_t *who)
{
    ngx_int_t                  rc;
    ngx_http_request_t        *r;
    ngx_http_model_api_ctx_t  *ctx;

    r = ask->request;

    if (r->headers_in.content_length_n > MG_CALL_BODY_MAX) {
        (void) mg_error_set(&ask->error, MG_E_TOO_LARGE, NULL,
                            "the body is larger than %d bytes",
                            MG_CALL_BODY_MAX);
        return NGX_DECLINED;
    }

    if (route->body == MG_CALL_BODY_NEEDED
        && ngx_http_model_api_media_type(r, &ask->error) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ctx = ngx_palloc(r->pool, sizeof(ngx_http_model_api_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->ask = *ask;
    ctx->route = route;
    ctx->who = who;

    ngx_http_set_ctx(r, ctx, ngx_http_model_api_module);

    rc = ngx_http_read_client_request_body(r, ngx_http_model_api_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_model_api_media_type(ngx_http_request_t *r, mg_error_t *e)
{
    size_t      len;
    ngx_str_t  *type;

    static ngx_str_t  json = ngx_string("application/json");

    if (r->headers_in.content_type) {
        type = &r->headers_in.content_type->value;

        for (len = 0; len < type->len; len++) {
            if (type->data[len] == ';' || type->data[len] == ' ') {
                break;
            }
        }

        if (len == json.len
            && ngx_strncasecmp(type->data, json.data, len) == 0)
        {
            return NGX_OK;
        }
    }

    (void) mg_error_set(e, MG_E_MEDIA_TYPE, NULL,
                        "the content type of the body must be "
                        "application/json");

    return NGX_DECLINED;
}


static void
ngx_http_model_api_body(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_model_api_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_model_api_module);

    rc = ngx_http_model_api_post(r, ctx);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_model_answer_error(r, &ctx->ask.error);
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_model_api_post(ngx_http_request_t *r, ngx_http_model_api_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_str_t                    retry;
    ngx_http_model_task_t       *t;
    ngx_http_model_api_job_t    *job;
    ngx_http_model_main_conf_t  *mmcf;

    mmcf = ngx_http_model_main(r);

    if (ngx_http_model_env() == NULL || mmcf->db_pool == NULL) {
        (void) mg_error_set(&ctx->ask.error, MG_E_UNAVAILABLE, NULL,
                            "no database is configured; set model_zone and "
                            "model_database");
        return NGX_DECLINED;
    }

    t = ngx_http_model_task_create(sizeof(ngx_http_model_api_job_t));
    if (t == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    job = t->data;
    job->fd = NGX_INVALID_FILE;
    job->handler = ctx->route->handler;

    t->work = ngx_http_model_api_work;
    t->done = ngx_http_model_api_done;
    t->destroy = ngx_http_model_api_destroy;

    rc = ngx_http_model_api_fill(r, ctx, job, &ctx->ask.error);

    if (rc != NGX_OK) {
        ngx_http_model_task_free(t);
        return rc;
    }

    job->call.cancel = &t->cancel;

    mg_metric_add(ngx_http_model_counters(), API_CALLS, 1);

    rc = ngx_http_model_task_wait(mmcf->db_pool, t, r);

    if (rc != NGX_HTTP_SERVICE_UNAVAILABLE) {
        return rc;
    }

    mg_metric_add(ngx_http_model_counters(), API_REJECTED, 1);

    ngx_str_set(&retry, "1");

    if (ngx_http_model_answer_header(r, "Retry-After", &retry) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) mg_error_set(&ctx->ask.error, MG_E_UNAVAILABLE, NULL,
                        "the queue of calls is full; try again in a second");

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_model_api_fill(ngx_http_request_t *r, ngx_http_model_api_ctx_t *ctx,
    ngx_http_model_api_job_t *job, mg_error_t *e)
{
    ngx_int_t                    rc;
    mg_call_t                   *c;
    ngx_uint_t                   i;
    ngx_http_model_principal_t  *who;

    c = &job->call;
    who = ctx->who;

    mg_buf_init(&c->out, NGX_HTTP_MODEL_API_OUT);

    c->arena = mg_arena_create(NGX_HTTP_MODEL_API_ARENA);
    if (c->arena == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    c->env = ngx_http_model_env();
    c->method = ctx->route->method;
    c->role = who->role;

    c->who.org_id = mg_arena_dup(c->arena, mg_str_n((char *) who->org_id.data,
                                                    who->org_id.len));

    if (who->token_id.len) {
        c->who.token_id = mg_arena_dup(c->arena,
                                       mg_str_n((char *) who->token_id.data,
                                                who->token_id.len));
    }

    c->n_path = ctx->ask.n_path;

    for (i = 0; i < c->n_path; i++) {
        c->path[i].name = ctx->ask.path[i].name;
        c->path[i].value = mg_arena_dup(c->arena, ctx->ask.path[i].value);
    }

    c->n_query = ctx->ask.n_query;

    for (i = 0; i < c->n_query; i++) {
        c->query[i].name = ctx->ask.query[i].name;
        c->query[i].value = mg_arena_dup(c->arena, ctx->ask.query[i].value);
    }

    rc = ngx_http_model_api_headers(r, c, e);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_model_api_collect(r, job, e);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->route->body == MG_CALL_BODY_NEEDED && job->size == 0) {
        (void) mg_error_set(e, MG_E_INVALID, NULL,
                            "the body is empty; send JSON");
        return NGX_DECLINED;
    }

    if (ctx->route->body == MG_CALL_BODY_NONE && job->size) {
        (void) mg_error_set(e, MG_E_INVALID, NULL,
                            "this call takes no body; leave it out");
        return NGX_DECLINED;
    }

    if (ctx->route->body == MG_CALL_BODY_OPTIONAL && job->size) {
        return ngx_http_model_api_media_type(r, e);
    }

    return NGX_OK;
}


/* If-Match, Prefer and Idempotency-Key. */

static ngx_int_t
ngx_http_model_api_headers(ngx_http_request_t *r, mg_call_t *c, mg_error_t *e)
{
    ngx_str_t  *sent;

    sent = ngx_http_model_answer_sent(r, "Prefer");

    if (sent
        && ngx_strlcasestrn(sent->data, sent->data + sent->len,
                            (u_char *) "respond-async", 13 - 1))
    {
        c->respond_async = 1;
    }

    if (c->method == MG_POST
        && ngx_http_model_api_once(r, c, e) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (c->method == MG_GET) {
        return NGX_OK;
    }

    if (ngx_http_model_answer_sent_once(r, "If-Match", &sent, e) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (sent
        && mg_call_if_match(c, mg_str_n((char *) sent->data, sent->len), e)
           != MG_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_api_once(ngx_http_request_t *r, mg_call_t *c, mg_error_t *e)
{
    size_t      i;
    ngx_str_t  *sent;

    if (ngx_http_model_answer_sent_once(r, MG_JOB_ONCE_PARAM, &sent, e)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (sent == NULL) {
        return NGX_OK;
    }

    for (i = 0; i < sent->len; i++) {
        if (sent->data[i] < 0x20 || sent->data[i] > 0x7e) {
            break;
        }
    }

    if (i == 0 || i < sent->len || sent->len > NGX_HTTP_MODEL_API_ONCE) {
        (void) mg_error_set(e, MG_E_INVALID, MG_JOB_ONCE_PARAM,
                            MG_JOB_ONCE_PARAM " is not 1 to %d printable "
                            "ASCII characters; send a UUID, for example",
                            NGX_HTTP_MODEL_API_ONCE);
        return NGX_DECLINED;
    }

    c->once.key = mg_arena_dup(c->arena, mg_str_n((char *) sent->data,
                                                  sent->len));
    c->target = mg_arena_dup(c->arena,
                             mg_str_n((char *) r->unparsed_uri.data,
                                      r->unparsed_uri.len));
    return NGX_OK;
}


/*
 * A body in memory is copied; one in a file is left to the thread to read,
 * through a descriptor of its own, since the request may go away.
 */

static ngx_int_t
ngx_http_model_api_collect(ngx_http_request_t *r,
    ngx_http_model_api_job_t *job, mg_error_t *e)
{
    char         *p;
    size_t        size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    size = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > MG_CALL_BODY_MAX) {
        (void) mg_error_set(e, MG_E_TOO_LARGE, NULL,
                            "the body is larger than %d bytes",
                            MG_CALL_BODY_MAX);
        return NGX_DECLINED;
    }

    job->size = size;

    if (r->request_body->temp_file) {
        job->fd = dup(r->request_body->temp_file->file.fd);

        if (job->fd == NGX_INVALID_FILE) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_errno,
                          "dup() of a request body failed");
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_OK;
    }

    p = mg_arena_alloc(job->call.arena, size + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    job->call.body = mg_str_n(p, size);

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (b->last > b->pos) {
            p = (char *) ngx_cpymem(p, b->pos, b->last - b->pos);
        }
    }

    return NGX_OK;
}


/* Pool thread. */

static void
ngx_http_model_api_work(ngx_http_model_task_t *t)
{
    ngx_http_model_api_job_t  *job;

    static __thread unsigned  prompt;

    job = t->data;

    /* somebody waits: not for the slices of jobs and of the database, too */

    if (!prompt) {
        prompt = 1;
        (void) mg_priority_prompt(MG_PRIORITY_CALL_US);
    }

    if (job->fd != NGX_INVALID_FILE
        && ngx_http_model_api_read(job) != MG_OK)
    {
        job->rc = MG_ERROR;
        return;
    }

    job->rc = mg_call_once(&job->call, &job->error);

    if (job->rc == MG_OK) {
        job->rc = job->handler(&job->call, &job->error);
    }

    if (job->rc != MG_OK && job->error.kind == MG_E_NONE) {
        (void) mg_error_set(&job->error, MG_E_INTERNAL, NULL,
                            "the call failed without saying why");
    }

    if (job->rc == MG_OK && job->call.out.failed) {
        job->rc = mg_error_set(&job->error, MG_E_INTERNAL, NULL,
                               "the answer is too large; ask for fewer "
                               "items with limit");
    }
}


static int
ngx_http_model_api_read(ngx_http_model_api_job_t *job)
{
    char     *p;
    size_t    done;
    ssize_t   n;

    p = mg_arena_alloc(job->call.arena, job->size + 1);

    for (done = 0; p && done < job->size; done += n) {
        n = pread(job->fd, p + done, job->size - done, (off_t) done);

        if (n <= 0) {
            p = NULL;
            break;
        }
    }

    if (p == NULL) {
        return mg_error_set(&job->error, MG_E_INTERNAL, NULL,
                            "the body could not be read back from its "
                            "temporary file");
    }

    job->call.body = mg_str_n(p, job->size);

    return MG_OK;
}


static ngx_int_t
ngx_http_model_api_done(ngx_http_model_task_t *t, ngx_http_request_t *r)
{
    ngx_http_model_api_job_t  *job;

    job = t->data;

    if (job->rc == MG_OK && job->call.kick_jobs) {
        ngx_http_model_hook_run(NGX_HTTP_MODEL_HOOK_JOBS);
    }

    if (r == NULL) {
        return NGX_OK;
    }

    if (job->rc != MG_OK) {
        return ngx_http_model_answer_error(r, &job->error);
    }

    return ngx_http_model_api_answer(r, &job->call);
}


static ngx_int_t
ngx_http_model_api_answer(ngx_http_request_t *r, mg_call_t *c)
{
    u_char       *p;
    ngx_buf_t    *b;
    ngx_str_t     etag;
    ngx_chain_t   out;

    b = ngx_create_temp_buf(r->pool, c->out.len + 1);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (c->out.len) {
        b->last = ngx_cpymem(b->pos, c->out.data, c->out.len);

    } else {
        b->temporary = 0;
    }

    if (ngx_http_model_api_answer_headers(r, c) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_null(&etag);

    if (c->version) {
        p = ngx_pnalloc(r->pool, NGX_INT64_LEN + 2);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        etag.data = p;
        etag.len = ngx_sprintf(p, "\"%L\"", c->version) - p;

#if (NGX_HTTP_GZIP)

        /* nginx's gzip would make it weak, and If-Match takes none such */

        r->gzip_tested = 1;
        r->gzip_ok = 0;
#endif
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_model_answer_chain(r, c->status ? c->status : NGX_HTTP_OK,
                                       &out, c->out.len,
                                       etag.len ? &etag : NULL, 0);
}


static ngx_int_t
ngx_http_model_api_answer_headers(ngx_http_request_t *r, mg_call_t *c)
{
    if (c->type) {
        r->headers_out.content_type.data = (u_char *) c->type;
        r->headers_out.content_type.len = ngx_strlen(c->type);
        r->headers_out.content_type_len = strcspn(c->type, ";");
        r->headers_out.content_type_lowcase = NULL;
    }

    if (ngx_http_model_api_header(r, "Location", "", c->location, "")
        != NGX_OK
        || ngx_http_model_api_header(r, "Idempotent-Replayed", "",
                                     c->replayed ? mg_str("true")
                                                 : mg_str_null, "")
           != NGX_OK
        || ngx_http_model_api_header(r, "Link", "", c->link, "") != NGX_OK
        || ngx_http_model_api_header(r, "Content-Disposition",
                                     "attachment; filename=\"", c->file,
                                     "\"")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* A copy: the call goes away before the answer has been sent. */

static ngx_int_t
ngx_http_model_api_header(ngx_http_request_t *r, const char *name,
    const char *before, mg_str_t value, const char *after)
{
    u_char     *p;
    ngx_str_t   header;

    if (value.len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, ngx_strlen(before) + value.len
                             + ngx_strlen(after));
    if (p == NULL) {
        return NGX_ERROR;
    }

    header.data = p;
    p = ngx_cpymem(p, before, ngx_strlen(before));
    p = ngx_cpymem(p, value.data, value.len);
    p = ngx_cpymem(p, after, ngx_strlen(after));
    header.len = p - header.data;

    return ngx_http_model_answer_header(r, name, &header);
}


static void
ngx_http_model_api_destroy(void *data)
{
    ngx_http_model_api_job_t  *job = data;

    if (job->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(job->fd);
    }

    /* bodies and answers may hold a key or a token */

    if (job->call.out.data) {
        mg_wipe(job->call.out.data, job->call.out.len);
    }

    if (job->call.body.data) {
        mg_wipe((char *) job->call.body.data, job->call.body.len);
    }

    mg_buf_free(&job->call.out);
    mg_arena_destroy(job->call.arena);
}
