/*
 * ngx_http_model_answer.h: responses of the control plane, and errors of
 * every plane, in one shape.
 *
 * Content handlers: each function sends headers and body and returns what
 * the handler returns to nginx.  Bodies are either copied into r->pool or
 * lists of buffers that point into a mapping pinned by the request.
 */

#ifndef _NGX_HTTP_MODEL_ANSWER_H_INCLUDED_
#define _NGX_HTTP_MODEL_ANSWER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "base/mg_error.h"


/* Adds a response header; value must live as long as r. */
ngx_int_t ngx_http_model_answer_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);

/*
 * X-Request-Id from the client's (if sane) or $request_id, once a response;
 * the answers below call it.
 */
ngx_int_t ngx_http_model_answer_request_id(ngx_http_request_t *r);

/*
 * A quoted strong validator of what a snapshot says: generation and variant
 * (a hash of the query, or anything that tells answers apart); gzip != 0
 * gives the compressed form one of its own.  In r->pool; etag->len 0 when
 * out of memory.
 */
void ngx_http_model_answer_etag(ngx_http_request_t *r, ngx_str_t *etag,
    uint64_t generation, uint64_t variant, ngx_uint_t gzip);

/* JSON in memory that lives as long as r (not copied). */
ngx_int_t ngx_http_model_answer_json(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *body);

/*
 * A chain of memory buffers, total bytes; content type JSON unless set;
 * gzip != 0 sets Content-Encoding and Vary.  etag as in
 * ngx_http_model_answer_etag(), or NULL; ends with 304 through the stock
 * filter when it matches.  HEAD is respected.
 */
ngx_int_t ngx_http_model_answer_chain(ngx_http_request_t *r,
    ngx_uint_t status, ngx_chain_t *out, off_t total, ngx_str_t *etag,
    ngx_uint_t gzip);

/*
 * The one error shape; Allow and others are set before.  An answer that
 * says "later" (425, 503, 504) gets Retry-After unless it has one.
 */
ngx_int_t ngx_http_model_answer_error(ngx_http_request_t *r,
    const mg_error_t *e);

/* A request header by its name in any case; NULL: not sent. */
ngx_str_t *ngx_http_model_answer_sent(ngx_http_request_t *r,
    const char *name);

/*
 * The same for one that means nothing when it is sent twice: *value NULL when
 * it was not sent.  NGX_DECLINED and *e (400): it was sent more than once.
 */
ngx_int_t ngx_http_model_answer_sent_once(ngx_http_request_t *r,
    const char *name, ngx_str_t **value, mg_error_t *e);

/* 1 if the client takes gzip (RFC 9110 12.5.3, q=0 respected). */
ngx_uint_t ngx_http_model_answer_accepts_gzip(ngx_http_request_t *r);


#endif /* _NGX_HTTP_MODEL_ANSWER_H_INCLUDED_ */
