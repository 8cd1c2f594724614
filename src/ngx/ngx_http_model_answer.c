/*
 * ngx_http_model_answer.c: responses of the control plane, and errors of
 * every plane, in one shape.
 *
 * Everything goes out through one function, which sets length, type,
 * validator and request id, sends the header and hands the chain to the
 * filters; 304 and HEAD are the stock filters' business.  Request bodies
 * that nobody read are discarded here, so that a kept connection goes on.
 *
 * Content handlers return what these functions return.
 */

#include "ngx/ngx_http_model_answer.h"
#include "ngx/ngx_http_model_compat.h"
#include "base/mg_crypt.h"
#include "base/mg_hash.h"
#include "base/mg_jw.h"


#define NGX_HTTP_MODEL_ANSWER_ID_MAX    128
#define NGX_HTTP_MODEL_ANSWER_RETRY     "2"     /* seconds */


static ngx_table_elt_t *ngx_http_model_answer_find(ngx_list_t *headers,
    const char *name);
static ngx_table_elt_t *ngx_http_model_answer_find_nth(ngx_list_t *headers,
    const char *name, ngx_uint_t nth);
static ngx_uint_t ngx_http_model_answer_id_ok(ngx_str_t *id);
static ngx_int_t ngx_http_model_answer_id_make(ngx_http_request_t *r,
    ngx_str_t *id);
static void ngx_http_model_answer_unique(u_char id[16]);
static ngx_int_t ngx_http_model_answer_prepare(ngx_http_request_t *r,
    ngx_str_t *etag, ngx_uint_t gzip);
static ngx_int_t ngx_http_model_answer_render(ngx_http_request_t *r,
    const mg_error_t *e, ngx_str_t *body);
static ngx_uint_t ngx_http_model_answer_quality(u_char *p, u_char *last);


ngx_int_t
ngx_http_model_answer_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value = *value;
    ngx_http_model_header_last(h);

    return NGX_OK;
}


ngx_str_t *
ngx_http_model_answer_sent(ngx_http_request_t *r, const char *name)
{
    ngx_table_elt_t  *h;

    h = ngx_http_model_answer_find(&r->headers_in.headers, name);

    return h ? &h->value : NULL;
}


ngx_int_t
ngx_http_model_answer_sent_once(ngx_http_request_t *r, const char *name,
    ngx_str_t **value, mg_error_t *e)
{
    *value = ngx_http_model_answer_sent(r, name);

    if (*value
        && ngx_http_model_answer_find_nth(&r->headers_in.headers, name, 1))
    {
        (void) mg_error_set(e, MG_E_INVALID, name,
                            "%s was sent more than once; send it once", name);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_model_answer_request_id(ngx_http_request_t *r)
{
    ngx_str_t  *sent, id;

    if (ngx_http_model_answer_find(&r->headers_out.headers, "X-Request-Id")) {
        return NGX_OK;
    }

    sent = ngx_http_model_answer_sent(r, "X-Request-Id");

    if (sent && ngx_http_model_answer_id_ok(sent)) {
        return ngx_http_model_answer_header(r, "X-Request-Id", sent);
    }

    if (ngx_http_model_answer_id_make(r, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_model_answer_header(r, "X-Request-Id", &id);
}


/*
 * The value of $request_id where the configuration uses that (a log shows
 * the same id then), and else one like it that is cheaper to come by.
 */

static ngx_int_t
ngx_http_model_answer_id_make(ngx_http_request_t *r, ngx_str_t *id)
{
    u_char                      bytes[16];
    ngx_uint_t                  key;
    ngx_http_variable_t        *known;
    ngx_http_variable_value_t  *v;
    ngx_http_core_main_conf_t  *cmcf;

    static ngx_str_t  name = ngx_string("request_id");

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    key = ngx_hash_key(name.data, name.len);

    known = ngx_hash_find(&cmcf->variables_hash, key, name.data, name.len);

    if (known && (known->flags & NGX_HTTP_VAR_INDEXED)) {
        v = ngx_http_get_flushed_variable(r, known->index);

        if (v == NULL || v->not_found) {
            return NGX_ERROR;
        }

        id->len = v->len;
        id->data = v->data;

        return NGX_OK;
    }

    id->len = 32;
    id->data = ngx_pnalloc(r->pool, id->len + 1);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    ngx_http_model_answer_unique(bytes);
    mg_hex(bytes, sizeof(bytes), (char *) id->data);

    return NGX_OK;
}


/*
 * A keyed hash of a counter: who does not know the key cannot tell it from
 * random bytes, and no system call is made.  The key is the worker's own.
 */

static void
ngx_http_model_answer_unique(u_char id[16])
{
    uint64_t  hash[2];

    static uint8_t   key[16];
    static uint64_t  counter;

    if (counter == 0 && mg_random(key, sizeof(key)) != MG_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "model: the system gives no random bytes");
    }

    counter++;

    mg_siphash128(key, &counter, sizeof(counter), hash);
    ngx_memcpy(id, hash, 16);
}


void
ngx_http_model_answer_etag(ngx_http_request_t *r, ngx_str_t *etag,
    uint64_t generation, uint64_t variant, ngx_uint_t gzip)
{
    etag->len = 0;

    etag->data = ngx_pnalloc(r->pool, sizeof("\"-z\"") + 2 * 16 + 1);
    if (etag->data == NULL) {
        return;
    }

    etag->len = ngx_sprintf(etag->data, "\"%xL-%xL%s\"", generation, variant,
                            gzip ? "-z" : "")
                - etag->data;
}


ngx_int_t
ngx_http_model_answer_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = body->len ? 1 : 0;

    out.buf = b;
    out.next = NULL;

    return ngx_http_model_answer_chain(r, status, &out, body->len, NULL, 0);
}


ngx_int_t
ngx_http_model_answer_chain(ngx_http_request_t *r, ngx_uint_t status,
    ngx_chain_t *out, off_t total, ngx_str_t *etag, ngx_uint_t gzip)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = total;

    if (r->headers_out.content_type.len == 0) {
        ngx_str_set(&r->headers_out.content_type, "application/json");
        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;
    }

    if (ngx_http_model_answer_prepare(r, etag, gzip) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    for (cl = out; cl->next; cl = cl->next) { /* void */ }

    cl->buf->last_buf = (r == r->main) ? 1 : 0;
    cl->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, out);
}


ngx_int_t
ngx_http_model_answer_error(ngx_http_request_t *r, const mg_error_t *e)
{
    ngx_int_t  status;
    ngx_str_t  body;

    static ngx_str_t  retry = ngx_string(NGX_HTTP_MODEL_ANSWER_RETRY);

    if (r->header_sent) {
        return NGX_ERROR;
    }

    if (ngx_http_model_answer_render(r, e, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    status = mg_error_status(e->kind);

    if ((status == NGX_HTTP_SERVICE_UNAVAILABLE || status == 425
         || status == NGX_HTTP_GATEWAY_TIME_OUT)
        && ngx_http_model_answer_find(&r->headers_out.headers, "Retry-After")
           == NULL
        && ngx_http_model_answer_header(r, "Retry-After", &retry) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* what a handler may have prepared for the answer that failed */

    ngx_str_null(&r->headers_out.content_type);
    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    return ngx_http_model_answer_json(r, status, &body);
}


ngx_uint_t
ngx_http_model_answer_accepts_gzip(ngx_http_request_t *r)
{
    u_char      *p, *last, *end, *name;
    size_t       len;
    ngx_int_t    star;
    ngx_str_t   *sent;
    ngx_uint_t   quality;

    sent = ngx_http_model_answer_sent(r, "Accept-Encoding");
    if (sent == NULL) {
        return 0;
    }

    star = 0;
    last = sent->data + sent->len;

    for (p = sent->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        name = p;

        while (p < end && *p != ' ' && *p != '\t' && *p != ';') {
            p++;
        }

        len = p - name;
        quality = ngx_http_model_answer_quality(p, end);

        if ((len == 4 && ngx_strncasecmp(name, (u_char *) "gzip", 4) == 0)
            || (len == 6 && ngx_strncasecmp(name, (u_char *) "x-gzip", 6)
                == 0))
        {
            return quality;
        }

        if (len == 1 && *name == '*') {
            star = quality;
        }
    }

    return star;
}


static ngx_table_elt_t *
ngx_http_model_answer_find(ngx_list_t *headers, const char *name)
{
    return ngx_http_model_answer_find_nth(headers, name, 0);
}


static ngx_table_elt_t *
ngx_http_model_answer_find_nth(ngx_list_t *headers, const char *name,
    ngx_uint_t nth)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    part = &headers->part;
    h = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash != 0
            && h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0
            && nth-- == 0)
        {
            return &h[i];
        }
    }
}


/* Goes into logs and rows: short, and of harmless characters. */

static ngx_uint_t
ngx_http_model_answer_id_ok(ngx_str_t *id)
{
    u_char  *p, *last, ch;

    if (id->len == 0 || id->len > NGX_HTTP_MODEL_ANSWER_ID_MAX) {
        return 0;
    }

    last = id->data + id->len;

    for (p = id->data; p < last; p++) {
        ch = ngx_tolower(*p);

        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')
              || ch == '-' || ch == '_' || ch == '.'))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_model_answer_prepare(ngx_http_request_t *r, ngx_str_t *etag,
    ngx_uint_t gzip)
{
    ngx_table_elt_t  *h;

    static ngx_str_t  encoding = ngx_string("gzip");
    static ngx_str_t  vary = ngx_string("Accept-Encoding");

    if (ngx_http_model_answer_request_id(r) != NGX_OK) {
        return NGX_ERROR;
    }

    /* If-Match of a write was for the row before the write */

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        r->disable_not_modified = 1;
    }

    if (etag && etag->len) {
        if (ngx_http_model_answer_header(r, "ETag", etag) != NGX_OK) {
            return NGX_ERROR;
        }

        r->headers_out.etag = ngx_http_model_answer_find(
                                         &r->headers_out.headers, "ETag");
    }

    if (!gzip) {
        return NGX_OK;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    ngx_str_set(&h->key, "Content-Encoding");
    h->value = encoding;
    ngx_http_model_header_last(h);

    r->headers_out.content_encoding = h;

    return ngx_http_model_answer_header(r, "Vary", &vary);
}


static ngx_int_t
ngx_http_model_answer_render(ngx_http_request_t *r, const mg_error_t *e,
    ngx_str_t *body)
{
    mg_jw_t   w;
    mg_buf_t  b;

    mg_buf_init(&b, 16 * 1024);
    mg_jw_init(&w, &b);

    mg_jw_object(&w, NULL);
    mg_jw_object(&w, "error");
    mg_jw_z(&w, "message", e->message);
    mg_jw_z(&w, "type", mg_error_type(e->kind));
    mg_jw_z(&w, "param", e->param[0] ? e->param : NULL);
    mg_jw_z(&w, "code", e->code);
    mg_jw_end_object(&w);
    mg_jw_end_object(&w);

    body->data = NULL;

    if (!b.failed) {
        body->len = b.len;
        body->data = ngx_pnalloc(r->pool, b.len);
    }

    if (body->data) {
        ngx_memcpy(body->data, b.data, b.len);
    }

    mg_buf_free(&b);

    return body->data ? NGX_OK : NGX_ERROR;
}


/* Parameters of a coding: 0 for q=0, q=0.0, ..., else 1. */

static ngx_uint_t
ngx_http_model_answer_quality(u_char *p, u_char *last)
{
    while (p < last && *p != '=') {
        p++;
    }

    if (p == last) {
        return 1;
    }

    for (p++; p < last; p++) {
        if (*p >= '1' && *p <= '9') {
            return 1;
        }
    }

    return 0;
}
