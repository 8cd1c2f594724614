/*
 * ngx_http_model_strip.c: a stream without what the gateway asked for.
 *
 * Buffers are changed where they lie, so no byte is copied but those of a
 * line that came in two pieces: for these there are buffers of our own, which
 * are used again as soon as they are sent.
 *
 *     in:   [ ..., half a line ]        [ the other half, ... ]
 *     out:  [ ...              ] [ our own: the line ] [ ...  ]
 *
 * A buffer of which nothing is left is not passed on: its owner finds it
 * empty and uses it again.  So a client that reads slowly slows the upstream
 * down as it does without all this.
 *
 * nginx sends a bare flush where an answer ends too soon; what is held goes
 * on with it.
 *
 * Event loop only; memory from r->pool.
 */

#include "http/ngx_http_model_strip.h"

#include "http/ngx_http_model_core.h"
#include "model/mg_strip.h"


#define NGX_HTTP_MODEL_STRIP_SIZE   4096


struct ngx_http_model_strip_s {
    mg_strip_t                 strip;
    ngx_chain_t               *own;       /* buffers, sent or not */
    uint32_t                   passed;    /* of strip.passed, counted */
};


static void ngx_http_model_strip_cleanup(void *data);
static ngx_chain_t **ngx_http_model_strip_buffer(ngx_http_request_t *r,
    struct ngx_http_model_strip_s *s, ngx_buf_t *b, ngx_chain_t **ll);
static ngx_chain_t **ngx_http_model_strip_last(ngx_http_request_t *r,
    struct ngx_http_model_strip_s *s, ngx_chain_t **ll);
static ngx_chain_t **ngx_http_model_strip_own(ngx_http_request_t *r,
    struct ngx_http_model_strip_s *s, mg_str_t bytes, ngx_chain_t **ll);
static ngx_buf_t *ngx_http_model_strip_take(ngx_http_request_t *r,
    struct ngx_http_model_strip_s *s, size_t len);
static ngx_chain_t **ngx_http_model_strip_link(ngx_http_request_t *r,
    ngx_buf_t *b, ngx_chain_t **ll);


ngx_int_t
ngx_http_model_strip_begin(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(struct ngx_http_model_strip_s));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    x->strip = cln->data;
    x->strip->own = NULL;
    x->strip->passed = 0;

    mg_strip_init(&x->strip->strip);
    cln->handler = ngx_http_model_strip_cleanup;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_weak_etag(r);

    return NGX_OK;
}


static void
ngx_http_model_strip_cleanup(void *data)
{
    struct ngx_http_model_strip_s  *s;

    s = data;

    mg_strip_free(&s->strip);
}


ngx_int_t
ngx_http_model_strip_filter(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_chain_t *in, ngx_chain_t **out)
{
    ngx_chain_t                    **ll;
    struct ngx_http_model_strip_s   *s;

    s = x->strip;
    ll = out;

    for ( /* void */ ; in && ll; in = in->next) {
        ll = ngx_http_model_strip_buffer(r, s, in->buf, ll);
    }

    if (ll == NULL) {
        return NGX_ERROR;
    }

    *ll = NULL;

    if (s->passed != s->strip.passed) {
        s->passed = s->strip.passed;
        mg_metric_add(ngx_http_model_counters(), TAP_LOST, 1);
    }

    return NGX_OK;
}


void
ngx_http_model_strip_done(ngx_http_request_t *r, ngx_chain_t *out)
{
    ngx_chain_t  *next;

    for ( /* void */ ; out; out = next) {
        next = out->next;
        ngx_free_chain(r->pool, out);
    }
}


/* The next four return NULL when out of memory, and take it for that. */

static ngx_chain_t **
ngx_http_model_strip_buffer(ngx_http_request_t *r,
    struct ngx_http_model_strip_s *s, ngx_buf_t *b, ngx_chain_t **ll)
{
    size_t      n;
    mg_str_t    bytes;
    ngx_uint_t  last;

    if (ngx_buf_special(b)) {

        if (b->flush || b->last_buf) {
            ll = ngx_http_model_strip_own(r, s, mg_strip_flush(&s->strip),
                                          ll);
        }

        return ngx_http_model_strip_link(r, b, ll);
    }

    if (!ngx_buf_in_memory(b)) {
        return ngx_http_model_strip_link(r, b, ll);
    }

    n = mg_strip_feed(&s->strip, (char *) b->pos, b->last - b->pos, &bytes);

    last = b->last_buf;

    b->last = b->pos + n;
    b->last_buf = 0;
    b->in_file = 0;

    ll = ngx_http_model_strip_own(r, s, bytes, ll);

    if (n) {
        ll = ngx_http_model_strip_link(r, b, ll);
    }

    return last ? ngx_http_model_strip_last(r, s, ll) : ll;
}


/* What is held, and an end of the answer that stands for itself. */

static ngx_chain_t **
ngx_http_model_strip_last(ngx_http_request_t *r,
    struct ngx_http_model_strip_s *s, ngx_chain_t **ll)
{
    ngx_buf_t  *b;

    ll = ngx_http_model_strip_own(r, s, mg_strip_flush(&s->strip), ll);

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NULL;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    return ngx_http_model_strip_link(r, b, ll);
}


/* Bytes that are not in the upstream's memory any more. */

static ngx_chain_t **
ngx_http_model_strip_own(ngx_http_request_t *r,
    struct ngx_http_model_strip_s *s, mg_str_t bytes, ngx_chain_t **ll)
{
    ngx_buf_t  *b;

    if (bytes.len == 0) {
        return ll;
    }

    b = ngx_http_model_strip_take(r, s, bytes.len);
    if (b == NULL) {
        return NULL;
    }

    b->pos = b->start;
    b->last = ngx_cpymem(b->pos, bytes.data, bytes.len);
    b->flush = 1;

    return ngx_http_model_strip_link(r, b, ll);
}


static ngx_chain_t **
ngx_http_model_strip_link(ngx_http_request_t *r, ngx_buf_t *b,
    ngx_chain_t **ll)
{
    ngx_chain_t  *cl;

    if (ll == NULL) {
        return NULL;
    }

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf = b;
    *ll = cl;

    return &cl->next;
}


/* A buffer for len bytes that is sent, or a new one. */

static ngx_buf_t *
ngx_http_model_strip_take(ngx_http_request_t *r,
    struct ngx_http_model_strip_s *s, size_t len)
{
    ngx_chain_t  *cl;

    for (cl = s->own; cl; cl = cl->next) {

        if (cl->buf->pos == cl->buf->last
            && (size_t) (cl->buf->end - cl->buf->start) >= len)
        {
            return cl->buf;
        }
    }

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf = ngx_create_temp_buf(r->pool,
                                  ngx_max(len, NGX_HTTP_MODEL_STRIP_SIZE));
    if (cl->buf == NULL) {
        return NULL;
    }

    cl->next = s->own;
    s->own = cl;

    return cl->buf;
}
