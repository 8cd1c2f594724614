/*
 * ngx_http_model_rewrite.c: another model name in a body that was read.
 *
 *     | prefix | "client's name" | suffix |      as it was read
 *     | prefix | upstream's name | suffix |      as it is sent
 *
 * A small body is copied into one buffer, which costs less than three buffers
 * on their way to the socket.  Of a large one no byte is copied: the buffers
 * before and after the name are cut, in memory or in the temporary file, and
 * one of ours stands between them.  The proxy takes the length from
 * content_length_n.
 *
 * Event loop only; memory from r->pool.
 */

#include "http/ngx_http_model_choice.h"


/* A body of up to so many bytes is copied. */
#define NGX_HTTP_MODEL_REWRITE_COPY   2048


static ngx_int_t ngx_http_model_rewrite_copy(ngx_http_request_t *r,
    ngx_str_t *name, size_t len, off_t value_start, off_t value_end);
static ngx_int_t ngx_http_model_rewrite_cut(ngx_http_request_t *r,
    ngx_str_t *name, off_t value_start, off_t value_end);
static ngx_int_t ngx_http_model_rewrite_name(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_str_t *name);
static size_t ngx_http_model_rewrite_escapes(mg_str_t s);
static ngx_chain_t **ngx_http_model_rewrite_piece(ngx_http_request_t *r,
    ngx_chain_t **ll, ngx_buf_t *from, off_t start, off_t end);
static ngx_int_t ngx_http_model_rewrite_length(ngx_http_request_t *r,
    off_t delta);


ngx_int_t
ngx_http_model_rewrite_body(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, off_t value_start, off_t value_end)
{
    off_t         len;
    ngx_int_t     rc;
    ngx_str_t     name;
    ngx_chain_t  *cl;

    if (ngx_http_model_rewrite_name(r, x, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    len = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);

        if (len > NGX_HTTP_MODEL_REWRITE_COPY
            || !ngx_buf_in_memory(cl->buf) || cl->buf->in_file)
        {
            break;
        }
    }

    rc = cl ? ngx_http_model_rewrite_cut(r, &name, value_start, value_end)
            : ngx_http_model_rewrite_copy(r, &name, len, value_start,
                                          value_end);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    x->name_start = value_start;
    x->name_end = value_start + name.len;

    return ngx_http_model_rewrite_length(r,
                             (off_t) name.len - (value_end - value_start));
}


ngx_int_t
ngx_http_model_rewrite_again(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    if (x->name_end == 0) {
        return NGX_OK;
    }

    return ngx_http_model_rewrite_body(r, x, x->name_start, x->name_end);
}


/* All of the body, len bytes in memory, in one new buffer. */

static ngx_int_t
ngx_http_model_rewrite_copy(ngx_http_request_t *r, ngx_str_t *name,
    size_t len, off_t value_start, off_t value_end)
{
    off_t         at, end;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *last;

    b = ngx_create_temp_buf(r->pool,
                            len + name->len - (value_end - value_start));
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    p = b->last;
    at = 0;

    for (last = r->request_body->bufs; last; last = last->next) {

        end = at + ngx_buf_size(last->buf);

        if (at < value_start) {
            p = ngx_cpymem(p, last->buf->pos,
                           ngx_min(end, value_start) - at);

            if (end >= value_start) {
                p = ngx_cpymem(p, name->data, name->len);
            }
        }

        if (end > value_end) {
            p = ngx_cpymem(p, last->buf->pos + ngx_max(at, value_end) - at,
                           end - ngx_max(at, value_end));
        }

        b->last_buf = last->buf->last_buf;
        b->last_in_chain = last->buf->last_in_chain;

        at = end;
    }

    b->last = p;

    cl->buf = b;
    cl->next = NULL;

    r->request_body->bufs = cl;

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_rewrite_cut(ngx_http_request_t *r, ngx_str_t *name,
    off_t value_start, off_t value_end)
{
    off_t         at, end;
    ngx_buf_t    *b, *last;
    ngx_chain_t  *in, *out, **ll;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->memory = 1;
    b->start = name->data;
    b->pos = name->data;
    b->last = name->data + name->len;
    b->end = b->last;

    ll = &out;
    last = NULL;
    at = 0;

    for (in = r->request_body->bufs; in; in = in->next) {

        last = in->buf;
        end = at + ngx_buf_size(last);

        if (at < value_start) {
            ll = ngx_http_model_rewrite_piece(r, ll, last, 0,
                                     ngx_min(end, value_start) - at);
        }

        if (ll && at < value_start && end >= value_start) {
            *ll = ngx_alloc_chain_link(r->pool);
            if (*ll == NULL) {
                return NGX_ERROR;
            }

            (*ll)->buf = b;
            ll = &(*ll)->next;
        }

        if (ll && end > value_end) {
            ll = ngx_http_model_rewrite_piece(r, ll, last,
                                     ngx_max(at, value_end) - at, end - at);
        }

        if (ll == NULL) {
            return NGX_ERROR;
        }

        at = end;
    }

    *ll = NULL;

    if (last == NULL) {
        return NGX_ERROR;
    }

    /* the marks of the last buffer belong to the last piece */

    for (in = out; in->next; in = in->next) { /* void */ }

    in->buf->last_buf = last->last_buf;
    in->buf->last_in_chain = last->last_in_chain;

    r->request_body->bufs = out;

    return NGX_OK;
}


/* The upstream's name as it stands between the quotes of a JSON string. */

static ngx_int_t
ngx_http_model_rewrite_name(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_str_t *name)
{
    size_t     i, n;
    u_char    *p;
    mg_str_t   s;

    s = x->served.upstream_model;

    name->data = (u_char *) s.data;
    name->len = s.len;

    n = ngx_http_model_rewrite_escapes(s);

    if (n == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, s.len + n);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name->data = p;

    for (i = 0; i < s.len; i++) {

        if ((u_char) s.data[i] < 0x20) {
            p = ngx_sprintf(p, "\\u%04xd", (u_char) s.data[i]);
            continue;
        }

        if (s.data[i] == '"' || s.data[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = s.data[i];
    }

    name->len = p - name->data;

    return NGX_OK;
}


/* Bytes that escaping adds. */

static size_t
ngx_http_model_rewrite_escapes(mg_str_t s)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < s.len; i++) {

        if ((u_char) s.data[i] < 0x20) {
            n += sizeof("\\u0000") - 2;

        } else if (s.data[i] == '"' || s.data[i] == '\\') {
            n++;
        }
    }

    return n;
}


/* Bytes [start, end) of a buffer, as a buffer over the same memory or file. */

static ngx_chain_t **
ngx_http_model_rewrite_piece(ngx_http_request_t *r, ngx_chain_t **ll,
    ngx_buf_t *from, off_t start, off_t end)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (start == end) {
        return ll;
    }

    b = ngx_alloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NULL;
    }

    *b = *from;
    b->last_buf = 0;
    b->last_in_chain = 0;
    b->flush = 0;

    if (ngx_buf_in_memory(from)) {
        b->pos = from->pos + start;
        b->last = from->pos + end;

        /* where nginx goes back to when it sends the request again */

        b->start = b->pos;
    }

    if (from->in_file) {
        b->file_pos = from->file_pos + start;
        b->file_last = from->file_pos + end;
    }

    cl->buf = b;
    *ll = cl;

    return &cl->next;
}


static ngx_int_t
ngx_http_model_rewrite_length(ngx_http_request_t *r, off_t delta)
{
    off_t             n;
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    if (delta == 0) {
        return NGX_OK;
    }

    r->headers_in.content_length_n += delta;

    h = r->headers_in.content_length;

    if (h == NULL) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_OFF_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = p + NGX_OFF_T_LEN;
    p = last;
    n = r->headers_in.content_length_n;

    do {
        *--p = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    h->value.data = p;
    h->value.len = last - p;

    return NGX_OK;
}
