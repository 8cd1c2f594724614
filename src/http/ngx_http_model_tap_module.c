/*
 * ngx_http_model_tap_module.c: looks at the answer as it passes.
 *
 * Header filter: adds X-Model-Group, X-Model-Variant, X-Model-Role and
 * X-Inference-Id to every answer after a decision, the gateway's own errors
 * too (a dry run's stays as it is), and chooses how the body is read, by its
 * content type.  Body filter: hands every chain on as it came, at once; what
 * it reads in the buffers is the first byte's time and the usage.  It never
 * holds back, changes or fails a response, but for one: where the gateway has
 * asked for a stream's usage, strip.c takes out what came of it.  What cannot
 * be read is counted, not waited for.  Before the bytes with which a client
 * has its whole answer go on, the exchange is told, so that a kill in that
 * moment costs no record.
 *
 * The filters of the family stand behind the copy filter (type
 * HTTP_AUX_FILTER) and before gzip, so bytes are plain and in memory.
 *
 * Event loop only.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "base/mg_uri.h"
#include "http/ngx_http_model_capture.h"
#include "http/ngx_http_model_choice.h"
#include "http/ngx_http_model_core.h"
#include "http/ngx_http_model_exchange.h"
#include "http/ngx_http_model_strip.h"


static ngx_int_t ngx_http_model_tap_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_model_tap_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static void ngx_http_model_tap_headers(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static ngx_uint_t ngx_http_model_tap_rubbish(ngx_http_request_t *r);
static void ngx_http_model_tap_add(ngx_http_request_t *r, const char *name,
    mg_str_t value);
static void ngx_http_model_tap_upstream(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static ngx_int_t ngx_http_model_tap_reader(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static ngx_uint_t ngx_http_model_tap_bare(ngx_http_request_t *r);
static void ngx_http_model_tap_read(ngx_http_model_exchange_t *x,
    ngx_chain_t *in);
static ngx_uint_t ngx_http_model_tap_whole(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static ngx_uint_t ngx_http_model_tap_full(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static ngx_int_t ngx_http_model_tap_postconfiguration(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_model_tap_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_model_tap_postconfiguration,  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_tap_module = {
    NGX_MODULE_V1,
    &ngx_http_model_tap_module_ctx,        /* module context */
    NULL,                                  /* module directives */
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


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_model_tap_header_filter(ngx_http_request_t *r)
{
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(r);

    if (x == NULL) {
        return ngx_http_next_header_filter(r);
    }

    /* what comes from a cache was never asked for: no key is to stay on */

    ngx_http_model_header_restore(r, x);

    if (!x->dry_run) {

        if (ngx_http_model_tap_rubbish(r)
            || (r->upstream && !x->judged
                && ngx_http_model_exchange_judge(x) != NGX_OK))
        {
            return NGX_HTTP_BAD_GATEWAY;
        }

        ngx_http_model_tap_headers(r, x);
    }

    /* a page that nginx made of a failure has another status */

    if (r->upstream && !x->refused
        && r->upstream->headers_in.status_n == r->headers_out.status)
    {
        x->answered = 1;
        ngx_http_model_tap_upstream(r, x);

        if (ngx_http_model_tap_reader(r, x) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_model_tap_bare(r)) {
        x->ended = 1;
    }

    if (x->ended || r->headers_out.content_length_n == 0) {
        ngx_http_model_exchange_whole(x);
    }

    return ngx_http_next_header_filter(r);
}


static void
ngx_http_model_tap_headers(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    ngx_http_model_tap_add(r, "X-Model-Group", x->group.name);

    if (x->served.model_id.len) {
        ngx_http_model_tap_add(r, "X-Model-Variant", x->served.model_id);
        ngx_http_model_tap_add(r, "X-Model-Role",
                               mg_member_role_names[x->served.role]);
    }

    (void) ngx_http_model_answer_header(r, "X-Inference-Id", &x->id_text);
}


/*
 * Two kinds of bytes that a client would take for whatever they spell.  An
 * answer without a status line: the proxy takes it for HTTP/0.9 and would
 * pass it on bare, but no client of ours speaks 0.9, which has no POST.  And
 * one that begins with 1xx: the proxy takes that for the whole header, and
 * the real answer behind it for a body.
 */

static ngx_uint_t
ngx_http_model_tap_rubbish(ngx_http_request_t *r)
{
    u_char      *p;
    ngx_uint_t   bare;

    if (r->upstream == NULL) {
        return 0;
    }

    bare = (r->http_version == NGX_HTTP_VERSION_9
            && r->http_protocol.len == sizeof("HTTP/1.1") - 1);

    if (!bare
        && (r->headers_out.status >= NGX_HTTP_OK || r->upstream->upgrade))
    {
        return 0;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  bare ? "model: upstream sent an answer without a header"
                       : "model: upstream sent an interim answer, which the "
                         "proxy takes for the whole one");

    /* logs and records have no status of such an answer */

    if (r->upstream->state) {
        r->upstream->state->header_time = (ngx_msec_t) -1;
    }

    if (bare) {

        /* what the client speaks: the parser has overwritten the numbers */

        p = r->http_protocol.data;
        r->http_version = (p[5] - '0') * 1000 + p[7] - '0';
    }

    return 1;
}


/* Names come from the database: no byte of them may end the header. */

static void
ngx_http_model_tap_add(ngx_http_request_t *r, const char *name,
    mg_str_t value)
{
    ngx_str_t  s;

    if (!mg_header_ok(value)) {
        return;
    }

    s.data = (u_char *) value.data;
    s.len = value.len;

    (void) ngx_http_model_answer_header(r, name, &s);
}


/* The provider's own id of the request: what its support asks for. */

static void
ngx_http_model_tap_upstream(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_str_null(&x->upstream_id);

    for (part = &r->upstream->headers_in.headers.part;
         part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if ((h[i].key.len == 12
                 && ngx_memcmp(h[i].lowcase_key, "x-request-id", 12) == 0)
                || (h[i].key.len == 10
                    && ngx_memcmp(h[i].lowcase_key, "request-id", 10) == 0))
            {
                x->upstream_id = h[i].value;
                return;
            }
        }
    }
}


static ngx_int_t
ngx_http_model_tap_reader(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    mg_str_t           type;
    ngx_table_elt_t   *h;
    mg_usage_format_e  format;

    /* parameters may follow; content_type_len ends before them */

    type = mg_str_n((char *) r->headers_out.content_type.data,
                    r->headers_out.content_type_len);

    if (mg_usage_format(type, &format) != MG_OK) {
        return NGX_OK;
    }

    h = r->headers_out.content_encoding;

    if (h && mg_usage_encoded(mg_str_n((char *) h->value.data, h->value.len)))
    {
        mg_metric_add(ngx_http_model_counters(), TAP_LOST, 1);
        return NGX_OK;
    }

    mg_usage_init(ngx_http_model_exchange_reader(x), format);

    r->filter_need_in_memory = 1;

    if (x->group.bodies) {
        ngx_http_model_capture_begin(r, x);
    }

    if (x->usage_added && format == MG_USAGE_SSE) {
        return ngx_http_model_strip_begin(r, x);
    }

    return NGX_OK;
}


/* An answer that ends with its header: no body passes, not even an end. */

static ngx_uint_t
ngx_http_model_tap_bare(ngx_http_request_t *r)
{
    return r->method == NGX_HTTP_HEAD
           || r->headers_out.status == NGX_HTTP_NO_CONTENT
           || r->headers_out.status == NGX_HTTP_NOT_MODIFIED;
}


static ngx_int_t
ngx_http_model_tap_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                   rc;
    ngx_uint_t                  gone;
    ngx_chain_t                *out;
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(r);

    if (x == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    out = in;

    if (in) {
        ngx_http_model_tap_read(x, in);

        if (!x->whole && ngx_http_model_tap_whole(r, x)) {

            if (x->now_us == 0) {
                x->now_us = mg_mono_us();
            }

            ngx_http_model_exchange_whole(x);
        }
    }

    if (in && x->strip
        && ngx_http_model_strip_filter(r, x, in, &out) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (in && out == NULL && !r->connection->buffered) {

        /* all of it waits for the rest of its line */

        x->now_us = 0;

        return NGX_OK;
    }

    rc = ngx_http_next_body_filter(r, out);

    if (out != in) {
        ngx_http_model_strip_done(r, out);
    }

    gone = (rc == NGX_OK && !r->buffered && !r->connection->buffered);

    if (gone && x->ended) {
        ngx_http_model_exchange_end(x);
    }

    /* after the last byte nginx may still have to say that it was the last */

    if (!gone || !ngx_http_model_tap_full(r, x)) {
        x->now_us = 0;
    }

    return rc;
}


static void
ngx_http_model_tap_read(ngx_http_model_exchange_t *x, ngx_chain_t *in)
{
    off_t       size;
    ngx_buf_t  *b;

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        size = ngx_buf_special(b) ? 0 : ngx_buf_size(b);

        if (size > 0) {
            x->received += size;

            if (x->ttft_us < 0 && x->answered) {
                x->now_us = mg_mono_us();
                x->ttft_us = x->now_us - x->mono_us;
            }

            if (x->reader && ngx_buf_in_memory(b)) {
                mg_usage_feed(x->reader, (char *) b->pos, b->last - b->pos);

                if (x->capture) {
                    ngx_http_model_capture_add(x, b);
                }
            }
        }

        if (b->last_buf) {
            x->ended = 1;

            if (x->reader) {
                mg_usage_finish(x->reader);
            }
        }
    }
}


/*
 * A client may know before nginx does: by Content-Length, or by an event
 * that says so.
 */

static ngx_uint_t
ngx_http_model_tap_whole(ngx_http_request_t *r, ngx_http_model_exchange_t *x)
{
    return x->ended || ngx_http_model_tap_full(r, x)
           || (x->reader && x->reader->done);
}


/* As many bytes as were announced: no more will come. */

static ngx_uint_t
ngx_http_model_tap_full(ngx_http_request_t *r, ngx_http_model_exchange_t *x)
{
    return r->headers_out.content_length_n >= 0
           && x->received >= r->headers_out.content_length_n;
}


static ngx_int_t
ngx_http_model_tap_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_model_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    if (mcf->zone == NULL) {
        return NGX_OK;
    }

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_model_tap_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_model_tap_body_filter;

    return NGX_OK;
}
