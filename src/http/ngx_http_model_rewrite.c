/*
 * ngx_http_model_rewrite.c: the body as a provider wants it.
 *
 *     | prefix | "client's name" | ... | {         | suffix |   as it came
 *     | prefix | upstream's name | ... | { options | suffix |   as it is sent
 *
 * The options are include_usage, without which a stream of the OpenAI
 * protocol does not tell its usage.  A client that has "stream_options" of
 * its own gets a member more in them; for others they stand behind the name.
 *
 * A small body is copied into one buffer, which costs less than three buffers
 * on their way to the socket.  Of a large one no byte is copied: the buffers
 * around an edit are cut, in memory or in the temporary file, and one of ours
 * stands between them.  The proxy takes the length from content_length_n.
 * The body as it came is kept, so each variant starts from it.
 *
 * Event loop only; memory from r->pool.
 */

#include "http/ngx_http_model_choice.h"
#include "provider/mg_protocol.h"


/* A body of up to so many bytes is copied. */
#define NGX_HTTP_MODEL_REWRITE_COPY   2048


static ngx_uint_t ngx_http_model_rewrite_wanted(
    ngx_http_model_exchange_t *x);
static ngx_int_t ngx_http_model_rewrite_usage(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_edit_t *edits);
static ngx_int_t ngx_http_model_rewrite_copy(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_edit_t *edits, ngx_uint_t n,
    size_t len);
static u_char *ngx_http_model_rewrite_bytes(u_char *p, ngx_chain_t *in,
    off_t start, off_t end);
static ngx_int_t ngx_http_model_rewrite_cut(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_edit_t *edits,
    ngx_uint_t n);
static ngx_chain_t **ngx_http_model_rewrite_text(ngx_http_request_t *r,
    ngx_chain_t **ll, ngx_str_t *text);
static ngx_chain_t **ngx_http_model_rewrite_range(ngx_http_request_t *r,
    ngx_chain_t **ll, ngx_chain_t *in, off_t start, off_t end);
static ngx_chain_t **ngx_http_model_rewrite_piece(ngx_http_request_t *r,
    ngx_chain_t **ll, ngx_buf_t *from, off_t start, off_t end);
static ngx_int_t ngx_http_model_rewrite_name(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_str_t *name);
static size_t ngx_http_model_rewrite_escapes(mg_str_t s);
static ngx_int_t ngx_http_model_rewrite_length(ngx_http_request_t *r,
    off_t n);


ngx_int_t
ngx_http_model_rewrite_body(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    off_t                   len, all;
    ngx_int_t               n, i, rc;
    ngx_chain_t            *cl;
    ngx_http_model_edit_t   edits[NGX_HTTP_MODEL_EDITS];

    n = ngx_http_model_rewrite_edits(r, x, edits);

    if (n <= 0) {
        return n;
    }

    if (x->body == NULL) {
        x->body = r->request_body->bufs;
        x->body_length = r->headers_in.content_length_n;
    }

    len = 0;
    all = x->body_length;

    for (i = 0; i < n; i++) {
        all += (off_t) edits[i].text.len - (edits[i].end - edits[i].start);
    }

    for (cl = x->body; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);

        if (len > NGX_HTTP_MODEL_REWRITE_COPY
            || !ngx_buf_in_memory(cl->buf) || cl->buf->in_file)
        {
            break;
        }
    }

    rc = cl ? ngx_http_model_rewrite_cut(r, x, edits, n)
            : ngx_http_model_rewrite_copy(r, x, edits, n,
                                          len + all - x->body_length);

    return rc == NGX_OK ? ngx_http_model_rewrite_length(r, all) : rc;
}


ngx_int_t
ngx_http_model_rewrite_edits(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_edit_t *edits)
{
    x->usage_added = 0;

    if (x->name_end == 0) {
        return 0;
    }

    edits[0].start = x->name_start;
    edits[0].end = x->name_end;

    if (ngx_http_model_rewrite_name(r, x, &edits[0].text) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!x->stream || x->usage_asked || !ngx_http_model_rewrite_wanted(x)) {
        return 1;
    }

    x->usage_added = 1;

    return ngx_http_model_rewrite_usage(r, x, edits);
}


/* 1: a stream of these tells its usage if it is asked. */

static ngx_uint_t
ngx_http_model_rewrite_wanted(ngx_http_model_exchange_t *x)
{
    ngx_uint_t            i;
    const mg_protocol_t  *protocol;

    static const ngx_str_t  paths[] = {
        ngx_string("/v1/chat/completions"),
        ngx_string("/v1/completions")
    };

    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (x->path.len == paths[i].len
            && ngx_memcmp(x->path.data, paths[i].data, x->path.len) == 0)
        {
            if (x->backend.stream_usage != -1) {
                return x->backend.stream_usage;
            }

            protocol = mg_protocol_find(x->backend.protocol);

            return protocol && protocol->usage_asked;
        }
    }

    return 0;
}


/* Adds to the edit that is there, or another one; how many they are. */

static ngx_int_t
ngx_http_model_rewrite_usage(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_edit_t *edits)
{
    u_char                 *p;
    ngx_str_t              *text;
    ngx_http_model_edit_t   edit;

    static const ngx_str_t  member = ngx_string("\"include_usage\":true,");
    static const ngx_str_t  object = ngx_string("{\"include_usage\":true}");
    static const ngx_str_t  options =
        ngx_string("\",\"stream_options\":{\"include_usage\":true}");

    if (x->options_at == 0) {

        /* behind the name and its quote */

        text = &edits[0].text;

        p = ngx_pnalloc(r->pool, text->len + options.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(ngx_cpymem(p, text->data, text->len), options.data,
                   options.len);

        text->data = p;
        text->len += options.len;
        edits[0].end++;

        return 1;
    }

    edit.start = x->options_at;
    edit.end = edit.start;
    edit.text = member;

    if (x->options_null) {
        edit.end += sizeof("null") - 1;
        edit.text = object;

    } else if (!x->options_some) {
        edit.text.len--;
    }

    if (edit.start < edits[0].start) {
        edits[1] = edits[0];
        edits[0] = edit;

    } else {
        edits[1] = edit;
    }

    return 2;
}


/* All of the body in one new buffer of len bytes. */

static ngx_int_t
ngx_http_model_rewrite_copy(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_edit_t *edits, ngx_uint_t n,
    size_t len)
{
    off_t         at;
    ngx_buf_t    *b, *last;
    ngx_uint_t    i;
    ngx_chain_t  *cl, *in;

    b = ngx_create_temp_buf(r->pool, len);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    at = 0;

    for (i = 0; i < n; i++) {
        b->last = ngx_http_model_rewrite_bytes(b->last, x->body, at,
                                               edits[i].start);
        b->last = ngx_cpymem(b->last, edits[i].text.data, edits[i].text.len);
        at = edits[i].end;
    }

    b->last = ngx_http_model_rewrite_bytes(b->last, x->body, at,
                                           NGX_MAX_OFF_T_VALUE);

    for (in = x->body; in->next; in = in->next) { /* void */ }

    last = in->buf;
    b->last_buf = last->last_buf;
    b->last_in_chain = last->last_in_chain;

    cl->buf = b;
    cl->next = NULL;

    r->request_body->bufs = cl;

    return NGX_OK;
}


/* Copies bytes [start, end) of a body in memory; behind the copy. */

static u_char *
ngx_http_model_rewrite_bytes(u_char *p, ngx_chain_t *in, off_t start,
    off_t end)
{
    off_t  at, from, to;

    for (at = 0; in && at < end; in = in->next) {
        from = ngx_max(start - at, 0);
        to = ngx_min(end - at, in->buf->last - in->buf->pos);

        if (from < to) {
            p = ngx_cpymem(p, in->buf->pos + from, to - from);
        }

        at += in->buf->last - in->buf->pos;
    }

    return p;
}


static ngx_int_t
ngx_http_model_rewrite_cut(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_edit_t *edits,
    ngx_uint_t n)
{
    off_t          at;
    ngx_uint_t     i;
    ngx_chain_t   *in, *out, **ll;

    ll = &out;
    at = 0;

    for (i = 0; i < n; i++) {
        ll = ngx_http_model_rewrite_range(r, ll, x->body, at,
                                          edits[i].start);
        ll = ngx_http_model_rewrite_text(r, ll, &edits[i].text);
        at = edits[i].end;
    }

    ll = ngx_http_model_rewrite_range(r, ll, x->body, at,
                                      NGX_MAX_OFF_T_VALUE);

    if (ll == NULL) {
        return NGX_ERROR;
    }

    *ll = NULL;

    /* the marks of the last buffer belong to the last piece */

    for (in = x->body; in->next; in = in->next) { /* void */ }
    for (r->request_body->bufs = out; out->next; out = out->next) { /* void */ }

    out->buf->last_buf = in->buf->last_buf;
    out->buf->last_in_chain = in->buf->last_in_chain;

    return NGX_OK;
}


/* These three take NULL for "out of memory" from one another. */

static ngx_chain_t **
ngx_http_model_rewrite_text(ngx_http_request_t *r, ngx_chain_t **ll,
    ngx_str_t *text)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (ll == NULL || b == NULL || cl == NULL) {
        return NULL;
    }

    b->memory = 1;
    b->start = text->data;
    b->pos = text->data;
    b->last = text->data + text->len;
    b->end = b->last;

    cl->buf = b;
    *ll = cl;

    return &cl->next;
}


/* Bytes [start, end) of a body. */

static ngx_chain_t **
ngx_http_model_rewrite_range(ngx_http_request_t *r, ngx_chain_t **ll,
    ngx_chain_t *in, off_t start, off_t end)
{
    off_t  at, from, to;

    for (at = 0; in && ll && at < end; in = in->next) {
        from = ngx_max(start - at, 0);
        to = ngx_min(end - at, ngx_buf_size(in->buf));

        if (from < to) {
            ll = ngx_http_model_rewrite_piece(r, ll, in->buf, from, to);
        }

        at += ngx_buf_size(in->buf);
    }

    return ll;
}


/* Bytes [start, end) of a buffer, as a buffer over the same memory or file. */

static ngx_chain_t **
ngx_http_model_rewrite_piece(ngx_http_request_t *r, ngx_chain_t **ll,
    ngx_buf_t *from, off_t start, off_t end)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

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


/* The length of the body as it is sent. */

static ngx_int_t
ngx_http_model_rewrite_length(ngx_http_request_t *r, off_t n)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    if (n == r->headers_in.content_length_n) {
        return NGX_OK;
    }

    r->headers_in.content_length_n = n;

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

    do {
        *--p = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    h->value.data = p;
    h->value.len = last - p;

    return NGX_OK;
}
