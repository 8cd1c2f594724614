/*
 * ngx_http_model_shadow.h: what the parts of model_shadow share.
 *
 *     decision -> module: share, room -> copy: a job -> mg_shadow's thread
 *     record, counters <- module <- wake-up <- the job, ended
 *
 * Event loop only.
 */

#ifndef _NGX_HTTP_MODEL_SHADOW_H_INCLUDED_
#define _NGX_HTTP_MODEL_SHADOW_H_INCLUDED_


#include "http/ngx_http_model_choice.h"
#include "client/mg_shadow.h"


/* What a worker has one of; model_shadow at the http level. */
typedef struct {
    ngx_uint_t    queue;           /* copies that wait */
    ngx_uint_t    concurrency;     /* that are being sent */
    ngx_uint_t    memory;          /* bytes of all their bodies */
    ngx_uint_t    grace;           /* ms, when the worker leaves */
    ngx_str_t     trusted;         /* certificates; empty: the system's */
} ngx_http_model_shadow_main_conf_t;


typedef struct {
    ngx_uint_t    enable;
    ngx_uint_t    timeout;         /* ms, from the decision to the last byte */
    ngx_uint_t    max_body;        /* bytes */
} ngx_http_model_shadow_loc_conf_t;


/* -- ngx_http_model_copy.c -- */

/* Bytes of the body that was read. */
off_t ngx_http_model_copy_length(ngx_http_request_t *r);

/*
 * What the proxy would send if s, made by choice_shadow(), were the exchange
 * of the request, and the record as far as it is known.  x and r are left as
 * they were.  NULL when out of memory.
 */
mg_shadow_job_t *ngx_http_model_copy_make(ngx_http_model_exchange_t *x,
    ngx_http_model_exchange_t *s);


#endif /* _NGX_HTTP_MODEL_SHADOW_H_INCLUDED_ */
