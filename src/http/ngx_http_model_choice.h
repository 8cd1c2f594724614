/*
 * ngx_http_model_choice.h: which variant serves a request, and how.
 *
 * The split module reads what the client wants; here the routing snapshot
 * answers: group, sticky key, bucket, variant, backend, key, URI.  All of
 * it ends in the exchange.
 *
 *     wanted -> choice_make() -> exchange -> rewrite_body() -> proxy_pass
 *
 * Event loop only; never blocks; memory from r->pool.
 */

#ifndef _NGX_HTTP_MODEL_CHOICE_H_INCLUDED_
#define _NGX_HTTP_MODEL_CHOICE_H_INCLUDED_


#include "http/ngx_http_model_core.h"
#include "http/ngx_http_model_exchange.h"


/* What the client asks for; strings live as long as r. */
typedef struct {
    ngx_str_t    model;
    off_t        value_start;     /* of the name in the body, without ... */
    off_t        value_end;       /* ... its quotes; both 0: not there */
    ngx_str_t    suffix;          /* by path: what follows the name */
    ngx_str_t    user;            /* of the body */
    ngx_str_t    key;             /* model_split_key; empty: not set */
    ngx_uint_t   stream;
    int64_t      begun_us;        /* see ngx_http_model_exchange_t */
    int64_t      mono_us;
} ngx_http_model_wanted_t;


/*
 * NGX_OK with *xp; or NGX_DECLINED with *e, and *xp set if a group was found
 * (its record says what happened).
 */
ngx_int_t ngx_http_model_choice_make(ngx_http_request_t *r,
    ngx_http_model_wanted_t *w, ngx_http_model_principal_t *p,
    ngx_http_model_exchange_t **xp, mg_error_t *e);

/*
 * The next variant for a request that has failed, as choice_again() does, or
 * NGX_DECLINED with x as it was.  avoid: a backend that is not asked again,
 * or UINT32_MAX.
 */
ngx_int_t ngx_http_model_choice_next(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t avoid);

/* 1: there is a variant that was not tried, open breakers aside. */
ngx_uint_t ngx_http_model_choice_left(ngx_http_model_exchange_t *x,
    uint32_t avoid);

/*
 * After a failure of what was served (error_page to a location with
 * model_split): the next variant, fallbacks first, then the champion, then
 * the others.
 */
ngx_int_t ngx_http_model_choice_again(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, mg_error_t *e);


/* -- ngx_http_model_rewrite.c -- */

/*
 * Puts x's upstream model between value_start and value_end of the body
 * that was read: memory or a temporary file, which is not copied.  Sets
 * the length and Content-Length.
 */
ngx_int_t ngx_http_model_rewrite_body(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, off_t value_start, off_t value_end);

/* Another name in a body that was rewritten before. */
ngx_int_t ngx_http_model_rewrite_again(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);


/* -- ngx_http_model_header.c -- */

/*
 * Puts what x's provider wants in the place of the client's headers, until
 * restore(): called before, and as soon as the proxy has made its request.
 */
ngx_int_t ngx_http_model_header_dress(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);
void ngx_http_model_header_restore(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);


/* -- ngx_http_model_deadline.c -- */

/*
 * Counts an attempt and sets its time-outs, once r->upstream is there.  The
 * time-out between two reads is x->read_timeout after the first byte, unless
 * that is 0.
 */
ngx_int_t ngx_http_model_deadline_set(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);


/* -- ngx_http_model_variable.c -- */

/* preconfiguration: $model_... */
ngx_int_t ngx_http_model_variable_add(ngx_conf_t *cf);


#endif /* _NGX_HTTP_MODEL_CHOICE_H_INCLUDED_ */
