/*
 * ngx_http_model_header.c: the headers that a provider gets.
 *
 * The stock proxy module passes the client's headers on, but for those that
 * the configuration sets.  What it cannot set is what differs from provider
 * to provider: headers of its row in the database, a key that travels as
 * x-goog-api-key or api-key, the version that Anthropic insists on.  Where a
 * provider wants one of these, or a client sends credentials of its own in
 * one of these names, the request gets another list of headers, which is
 * given back as soon as the proxy has made its request: nothing of it is
 * seen by logs, or by the next provider.  Nor by a subrequest: nginx makes
 * it with the list that the request has, and it begins with taking that off.
 *
 *     the client's, without credentials | the key | version | the provider's
 *
 * Event loop only; memory from r->pool.
 */

#include "http/ngx_http_model_choice.h"
#include "provider/mg_protocol.h"


#define NGX_HTTP_MODEL_HEADER_LINES   16


static ngx_uint_t ngx_http_model_header_version(
    ngx_http_model_exchange_t *x);
static ngx_int_t ngx_http_model_header_copy(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static ngx_int_t ngx_http_model_header_wear(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
static ngx_uint_t ngx_http_model_header_drop(ngx_http_model_exchange_t *x,
    ngx_table_elt_t *h);
static ngx_uint_t ngx_http_model_header_own(ngx_http_model_exchange_t *x,
    const char *name, size_t len);
static ngx_int_t ngx_http_model_header_add(ngx_http_request_t *r,
    mg_str_t name, mg_str_t value);


/* What a client shows to the gateway; a provider has no use for it. */

static const ngx_str_t  ngx_http_model_header_credentials[] = {
    ngx_string("authorization"),
    ngx_string("proxy-authorization"),
    ngx_string("x-api-key"),
    ngx_string("x-goog-api-key"),
    ngx_string("api-key"),
    ngx_string("x-model-variant")
};

#define NGX_HTTP_MODEL_HEADER_CREDENTIALS                                     \
    (sizeof(ngx_http_model_header_credentials)                                \
     / sizeof(ngx_http_model_header_credentials[0]))


ngx_int_t
ngx_http_model_header_dress(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    mg_str_t              headers, name, value;
    const char           *version;
    ngx_uint_t            versioned;
    const mg_protocol_t  *protocol;

    ngx_http_model_header_restore(r, x);

    versioned = ngx_http_model_header_version(x);

    if (!x->credentials && !versioned && x->key.len == 0
        && x->backend.headers.len == 0)
    {
        return NGX_OK;
    }

    if (ngx_http_model_header_copy(r, x) != NGX_OK) {
        return NGX_ERROR;
    }

    if (x->key.len
        && ngx_http_model_header_add(r,
               mg_str_n((char *) x->key_name.data, x->key_name.len),
               mg_str_n((char *) x->key.data, x->key.len))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    protocol = versioned ? mg_protocol_find(x->backend.protocol) : NULL;

    if (protocol && protocol->headers) {
        version = strchr(protocol->headers[0], ':');
        name = mg_str_n(protocol->headers[0],
                        version - protocol->headers[0]);

        if (ngx_http_model_header_add(r, name, mg_str_z(version + 2))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    headers = x->backend.headers;

    while (mg_routing_header(&headers, &name, &value)) {
        if (ngx_http_model_header_add(r, name, value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_model_header_restore(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    if (!x->dressed) {
        return;
    }

    /* "last" may point into the list itself: it is back where it was */

    r->headers_in.headers = x->headers;
    x->dressed = 0;
}


void
ngx_http_model_header_undress(ngx_http_request_t *sr)
{
    ngx_list_t                 *client;
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(sr->main);

    if (x == NULL || x->worn == NULL
        || sr->headers_in.headers.part.elts != x->worn)
    {
        return;
    }

    client = x->dressed ? &x->headers : &sr->main->headers_in.headers;

    sr->headers_in.headers = *client;

    /* the first part is in the list itself: what is added goes to this one */

    if (client->last == &sr->main->headers_in.headers.part) {
        sr->headers_in.headers.last = &sr->headers_in.headers.part;
    }
}


/* 1: neither client nor provider name the version that is asked for. */

static ngx_uint_t
ngx_http_model_header_version(ngx_http_model_exchange_t *x)
{
    static const mg_str_t  anthropic = mg_str("anthropic");
    static const char      name[] = "anthropic-version";

    return !x->versioned && mg_str_eq(x->backend.protocol, anthropic)
           && !ngx_http_model_header_own(x, name, sizeof(name) - 1);
}


static ngx_int_t
ngx_http_model_header_copy(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *copy;

    if (ngx_http_model_header_wear(r, x) != NGX_OK) {
        return NGX_ERROR;
    }

    for (part = &x->headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_model_header_drop(x, &h[i])) {
                continue;
            }

            copy = ngx_list_push(&r->headers_in.headers);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = h[i];
        }
    }

    return NGX_OK;
}


/* An empty list, which always begins in the same place: that marks it. */

static ngx_int_t
ngx_http_model_header_wear(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    ngx_list_t  *list;

    if (x->worn == NULL) {
        x->worn = ngx_palloc(r->pool, NGX_HTTP_MODEL_HEADER_LINES
                                      * sizeof(ngx_table_elt_t));
        if (x->worn == NULL) {
            return NGX_ERROR;
        }
    }

    x->headers = r->headers_in.headers;
    x->dressed = 1;

    list = &r->headers_in.headers;

    list->part.elts = x->worn;
    list->part.nelts = 0;
    list->part.next = NULL;
    list->last = &list->part;
    list->size = sizeof(ngx_table_elt_t);
    list->nalloc = NGX_HTTP_MODEL_HEADER_LINES;
    list->pool = r->pool;

    return NGX_OK;
}


/* 1: a credential of the client, or the provider says it otherwise. */

static ngx_uint_t
ngx_http_model_header_drop(ngx_http_model_exchange_t *x, ngx_table_elt_t *h)
{
    ngx_uint_t        i;
    const ngx_str_t  *name;

    for (i = 0; i < NGX_HTTP_MODEL_HEADER_CREDENTIALS; i++) {
        name = &ngx_http_model_header_credentials[i];

        if (name->len == h->key.len
            && ngx_memcmp(name->data, h->lowcase_key, name->len) == 0)
        {
            return 1;
        }
    }

    return ngx_http_model_header_own(x, (char *) h->key.data, h->key.len);
}


/* 1: the provider's row has a header of this name. */

static ngx_uint_t
ngx_http_model_header_own(ngx_http_model_exchange_t *x, const char *wanted,
    size_t len)
{
    mg_str_t  headers, name, value;

    headers = x->backend.headers;

    while (mg_routing_header(&headers, &name, &value)) {
        if (name.len == len
            && ngx_strncasecmp((u_char *) name.data, (u_char *) wanted, len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_model_header_add(ngx_http_request_t *r, mg_str_t name,
    mg_str_t value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.len = name.len;
    h->key.data = (u_char *) name.data;
    h->value.len = value.len;
    h->value.data = (u_char *) value.data;

    h->lowcase_key = ngx_pnalloc(r->pool, name.len);
    if (h->lowcase_key == NULL) {
        h->key.len = 0;
        return NGX_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, name.len);

    return NGX_OK;
}
