/*
 * ngx_http_model_copy.c: a request as a shadow variant is to get it.
 *
 * The same functions that prepare a request for the proxy prepare it here,
 * on an exchange that is a copy: the name in the body, the headers of the
 * provider, the URI.  What they have put into the request is copied into the
 * job, and then all is put back as it was:
 *
 *     bufs of the body, its length | list of headers  <-> the request's own
 *
 * Memory is copied once, parts in a file are left to the thread, which gets
 * a descriptor of its own.  Everything in the job belongs to the job: the
 * request and the snapshot may go before it is sent.
 *
 * Event loop; nothing blocks; memory of the job, a little of r->pool.
 */

#include "http/ngx_http_model_shadow.h"
#include "base/mg_uri.h"
#include "model/mg_policy.h"
#include "model/mg_trace.h"


/* The request's own, while it wears what a shadow is to get. */
typedef struct {
    ngx_chain_t              *bufs;
    off_t                     length;
    ngx_str_t                 length_text;
    ngx_list_t                headers;
} ngx_http_model_copy_saved_t;


static void ngx_http_model_copy_save(ngx_http_request_t *r,
    ngx_http_model_copy_saved_t *saved);
static void ngx_http_model_copy_restore(ngx_http_request_t *r,
    ngx_http_model_copy_saved_t *saved);
static ngx_int_t ngx_http_model_copy_body(ngx_http_request_t *r,
    mg_shadow_job_t *job);
static ngx_int_t ngx_http_model_copy_file(mg_shadow_job_t *job, ngx_buf_t *b,
    size_t at);
static ngx_int_t ngx_http_model_copy_headers(ngx_http_request_t *r,
    mg_shadow_job_t *job, ngx_http_model_exchange_t *s);
static ngx_uint_t ngx_http_model_copy_passes(ngx_table_elt_t *h);
static void ngx_http_model_copy_header(mg_shadow_job_t *job,
    const char *name, size_t name_len, ngx_str_t *value);
static ngx_int_t ngx_http_model_copy_target(mg_shadow_job_t *job,
    ngx_http_model_exchange_t *s);
static ngx_int_t ngx_http_model_copy_addresses(mg_shadow_job_t *job,
    ngx_http_model_exchange_t *s);
static void ngx_http_model_copy_trace(ngx_http_model_exchange_t *s,
    mg_shadow_job_t *job);
static ngx_int_t ngx_http_model_copy_record(ngx_http_model_exchange_t *x,
    ngx_http_model_exchange_t *s, mg_shadow_job_t *job);
static ngx_int_t ngx_http_model_copy_keep(ngx_http_model_exchange_t *x,
    mg_shadow_job_t *job);


#define ngx_http_model_copy_str(s)                                            \
    mg_str_n((const char *) (s).data, (s).len)


/*
 * What a copy does not get of the client's headers: what belongs to one
 * connection, what libcurl makes by itself, and what conf/model_proxy.conf
 * sets or keeps back.
 */

static const ngx_str_t  ngx_http_model_copy_own[] = {
    ngx_string("accept-encoding"),
    ngx_string("api-key"),
    ngx_string("authorization"),
    ngx_string("connection"),
    ngx_string("content-length"),
    ngx_string("cookie"),
    ngx_string("expect"),
    ngx_string("host"),
    ngx_string("keep-alive"),
    ngx_string("proxy-authorization"),
    ngx_string("proxy-connection"),
    ngx_string("te"),
    ngx_string("traceparent"),
    ngx_string("trailer"),
    ngx_string("transfer-encoding"),
    ngx_string("upgrade"),
    ngx_string("x-api-key"),
    ngx_string("x-goog-api-key"),
    ngx_string("x-model-variant"),
    ngx_string("x-request-id")
};


off_t
ngx_http_model_copy_length(ngx_http_request_t *r)
{
    off_t         len;
    ngx_chain_t  *cl;

    len = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    return len;
}


mg_shadow_job_t *
ngx_http_model_copy_make(ngx_http_model_exchange_t *x,
    ngx_http_model_exchange_t *s)
{
    mg_shadow_job_t              *job;
    ngx_http_request_t           *r;
    ngx_http_model_copy_saved_t   saved;

    r = x->request;
    job = NULL;

    ngx_http_model_copy_save(r, &saved);

    if (ngx_http_model_rewrite_body(r, s) == NGX_OK
        && ngx_http_model_header_dress(r, s) == NGX_OK)
    {
        job = mg_shadow_job_create(ngx_http_model_copy_length(r));
    }

    if (job
        && (ngx_http_model_copy_record(x, s, job) != NGX_OK
            || ngx_http_model_copy_keep(x, job) != NGX_OK
            || ngx_http_model_copy_body(r, job) != NGX_OK
            || ngx_http_model_copy_headers(r, job, s) != NGX_OK
            || ngx_http_model_copy_target(job, s) != NGX_OK))
    {
        mg_shadow_job_free(job);
        job = NULL;
    }

    ngx_http_model_copy_restore(r, &saved);

    return job;
}


static void
ngx_http_model_copy_save(ngx_http_request_t *r,
    ngx_http_model_copy_saved_t *saved)
{
    saved->bufs = r->request_body->bufs;
    saved->length = r->headers_in.content_length_n;
    saved->headers = r->headers_in.headers;

    ngx_str_null(&saved->length_text);

    if (r->headers_in.content_length) {
        saved->length_text = r->headers_in.content_length->value;
    }
}


static void
ngx_http_model_copy_restore(ngx_http_request_t *r,
    ngx_http_model_copy_saved_t *saved)
{
    r->request_body->bufs = saved->bufs;
    r->headers_in.content_length_n = saved->length;
    r->headers_in.headers = saved->headers;

    if (r->headers_in.content_length) {
        r->headers_in.content_length->value = saved->length_text;
    }
}


/* -- the body -- */

static ngx_int_t
ngx_http_model_copy_body(ngx_http_request_t *r, mg_shadow_job_t *job)
{
    size_t        at, size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    at = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        size = ngx_buf_size(b);

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(job->body + at, b->pos, size);

        } else if (size && ngx_http_model_copy_file(job, b, at) != NGX_OK) {
            return NGX_ERROR;
        }

        at += size;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_copy_file(mg_shadow_job_t *job, ngx_buf_t *b, size_t at)
{
    struct rlimit      limit;
    mg_shadow_file_t  *f;

    if (job->n_files == MG_SHADOW_FILES_MAX) {
        return NGX_ERROR;
    }

    /* the thread's own: nginx closes its one with the request */

    if (job->fd == -1) {
        job->fd = fcntl(b->file->fd, F_DUPFD_CLOEXEC, 0);
    }

    /* half of all descriptors are for clients, however many copies wait */

    if (job->fd == -1
        || getrlimit(RLIMIT_NOFILE, &limit) == -1
        || (rlim_t) job->fd > limit.rlim_cur / 2)
    {
        return NGX_ERROR;
    }

    f = &job->files[job->n_files++];

    f->from = b->file_pos;
    f->at = at;
    f->len = b->file_last - b->file_pos;

    return NGX_OK;
}


/* -- the head -- */

static ngx_int_t
ngx_http_model_copy_headers(ngx_http_request_t *r, mg_shadow_job_t *job,
    ngx_http_model_exchange_t *s)
{
    char              id[MG_UUID_LEN + 1];
    mg_str_t          none;
    ngx_str_t         value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    job->http.more = mg_arena_alloc(job->arena,
                                    MG_HTTP_MORE_MAX * sizeof(mg_str_t));
    if (job->http.more == NULL) {
        return NGX_ERROR;
    }

    /* the gateway's own come first: for them there is room */

    ngx_http_model_copy_header(job, "Authorization", 13, &s->authorization);
    ngx_http_model_copy_header(job, "x-api-key", 9, &s->api_key);
    ngx_http_model_copy_header(job, (char *) s->key_name.data,
                               s->key_name.len, &s->key);

    mg_uuid_format(&job->record.id, id);
    value.data = (u_char *) id;
    value.len = MG_UUID_LEN;

    ngx_http_model_copy_header(job, "X-Request-Id", 12, &value);

    ngx_http_model_copy_trace(s, job);

    if (r->headers_in.content_type == NULL) {

        /* without a value: libcurl is to send none of its own */

        none = mg_arena_dup(job->arena, mg_str("Content-Type:"));

        if (none.data == NULL) {
            return NGX_ERROR;
        }

        job->http.more[job->http.n_more++] = none;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_model_copy_passes(&h[i])) {
                ngx_http_model_copy_header(job, (char *) h[i].key.data,
                                           h[i].key.len, &h[i].value);
            }
        }
    }

    return NGX_OK;
}


/* A span beside the original's, in the same trace. */

static void
ngx_http_model_copy_trace(ngx_http_model_exchange_t *s, mg_shadow_job_t *job)
{
    char        text[MG_TRACE_LEN + 1];
    ngx_str_t   value;
    mg_trace_t  t;

    if (mg_trace_read(&t, ngx_http_model_copy_str(s->trace_out)) != MG_OK) {
        return;
    }

    ngx_memcpy(t.span, ngx_http_model_assign_random(sizeof(t.span)),
               sizeof(t.span));
    ngx_memcpy(job->record.span_id, t.span, sizeof(t.span));

    mg_trace_write(&t, text);
    value.data = (u_char *) text;
    value.len = MG_TRACE_LEN;

    ngx_http_model_copy_header(job, "traceparent", 11, &value);
}


static ngx_uint_t
ngx_http_model_copy_passes(ngx_table_elt_t *h)
{
    ngx_uint_t        i;
    const ngx_str_t  *own;

    for (i = 0;
         i < sizeof(ngx_http_model_copy_own)
             / sizeof(ngx_http_model_copy_own[0]);
         i++)
    {
        own = &ngx_http_model_copy_own[i];

        if (own->len == h->key.len
            && ngx_memcmp(own->data, h->lowcase_key, own->len) == 0)
        {
            return 0;
        }
    }

    return 1;
}


/* One that cannot be sent is left out. */

static void
ngx_http_model_copy_header(mg_shadow_job_t *job, const char *name,
    size_t name_len, ngx_str_t *value)
{
    mg_str_t  line;

    if (value->len == 0 || job->http.n_more == MG_HTTP_MORE_MAX
        || !mg_header_ok(ngx_http_model_copy_str(*value)))
    {
        return;
    }

    line = mg_arena_printf(job->arena, "%.*s: %.*s", (int) name_len, name,
                           (int) value->len, (char *) value->data);

    if (line.data) {
        job->http.more[job->http.n_more++] = line;
    }
}


static ngx_int_t
ngx_http_model_copy_target(mg_shadow_job_t *job, ngx_http_model_exchange_t *s)
{
    job->http.url = mg_arena_printf(job->arena, "%.*s://%.*s%.*s",
                                    MG_STR_ARG(s->backend.scheme),
                                    MG_STR_ARG(s->backend.host_port),
                                    (int) s->uri.len, (char *) s->uri.data);

    if (s->backend.connect_timeout_ms != MG_UNKNOWN) {
        job->http.connect_timeout_ms = s->backend.connect_timeout_ms;
    }

    return job->http.url.data ? ngx_http_model_copy_addresses(job, s)
                              : NGX_ERROR;
}


/*
 * "name:port:address,...", the addresses of the snapshot: nobody is asked for
 * the name.  An address instead of a name needs none.
 */

static ngx_int_t
ngx_http_model_copy_addresses(mg_shadow_job_t *job,
    ngx_http_model_exchange_t *s)
{
    mg_buf_t          b;
    mg_str_t          text;
    ngx_uint_t        i, n, first;
    struct sockaddr  *sa;
    u_char            ip[NGX_SOCKADDR_STRLEN];

    n = s->backend.n_addrs;
    sa = (struct sockaddr *) &s->backend.addrs[0];

    if (n == 0
        || ngx_inet_addr((u_char *) s->backend.host.data,
                         s->backend.host.len)
           != INADDR_NONE
        || memchr(s->backend.host.data, ':', s->backend.host.len))
    {
        return NGX_OK;
    }

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "%.*s:%d:", MG_STR_ARG(s->backend.host),
                  (int) ngx_inet_get_port(sa));

    /* not always the same one first */

    first = job->record.id.b[15];

    for (i = 0; i < n; i++) {
        sa = (struct sockaddr *) &s->backend.addrs[(first + i) % n];

        mg_buf_printf(&b, "%s%.*s", i ? "," : "",
                      (int) ngx_sock_ntop(sa, sizeof(struct sockaddr_storage),
                                          ip, sizeof(ip), 0),
                      (char *) ip);
    }

    text = b.failed ? mg_str_null : mg_arena_dup(job->arena,
                                                 mg_buf_view(&b));
    mg_buf_free(&b);

    job->http.resolve = text.data;

    return text.data ? NGX_OK : NGX_ERROR;
}


/* -- the record -- */

static ngx_int_t
ngx_http_model_copy_record(ngx_http_model_exchange_t *x,
    ngx_http_model_exchange_t *s, mg_shadow_job_t *job)
{
    mg_str_t          *str;
    ngx_uint_t         i;
    mg_record_t       *rec;
    mg_cost_prices_t  *prices;

    rec = &job->record;
    str = rec->str;

    ngx_http_model_exchange_describe(s, rec);

    rec->kind = MG_RECORD_SHADOW;
    rec->shadow_of = x->id;
    rec->request_bytes = job->http.body.len;
    rec->created_at = mg_now_us();
    mg_uuid_v7(&rec->id, rec->created_at, ngx_http_model_assign_random(10));

    str[MG_RS_MODEL_ASSIGNED] = s->served.model_id;

    for (i = 0; i < MG_RS_N; i++) {

        if (str[i].len == 0) {
            continue;
        }

        str[i] = mg_arena_dup(job->arena, str[i]);

        if (str[i].data == NULL) {
            return NGX_ERROR;
        }
    }

    if (s->served.prices == NULL) {
        return NGX_OK;
    }

    prices = mg_arena_alloc(job->arena, sizeof(mg_cost_prices_t));
    if (prices == NULL) {
        return NGX_ERROR;
    }

    *prices = *s->served.prices;
    job->prices = prices;

    return NGX_OK;
}


/* The answer, if the group keeps answers; the question is the original's. */

static ngx_int_t
ngx_http_model_copy_keep(ngx_http_model_exchange_t *x, mg_shadow_job_t *job)
{
    if (!(x->group.bodies & MG_POLICY_RESPONSE_BODY)) {
        return NGX_OK;
    }

    job->keep = ngx_min(x->group.body_max, MG_RECORD_BODY_MAX);

    if (x->group.redact.len) {
        job->hidden = mg_arena_dup(job->arena, x->group.redact);
    }

    return x->group.redact.len && job->hidden.data == NULL ? NGX_ERROR
                                                            : NGX_OK;
}
