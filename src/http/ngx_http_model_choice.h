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


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "base/mg_scan.h"
#include "http/ngx_http_model_core.h"
#include "http/ngx_http_model_exchange.h"


/* What the client asks for; strings live as long as r. */
typedef struct {
    ngx_str_t    model;
    off_t        value_start;     /* of the name in the body, without ... */
    off_t        value_end;       /* ... its quotes; both 0: not there */
    ngx_str_t    suffix;          /* by path: what follows the name */
    ngx_str_t    user;            /* the sticky key of the body: "user",
                                     or what stands for it */
    ngx_str_t    force;           /* X-Model-Variant of an operator */
    ngx_uint_t   dry_run;         /* model_split dry_run */
    ngx_str_t    key;             /* model_split_key; empty: not set */
    ngx_str_t    session;         /* of a session header */
    ngx_uint_t   stream;
    off_t        options_at;      /* these four as in mg_scan_t */
    unsigned     options_null:1;
    unsigned     options_some:1;
    unsigned     usage_asked:1;
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

/*
 * *s is what x would be if variant i served it: backend, key, URI.  Nothing
 * of x changes, but it may hold secrets then; s has nothing of its own to
 * release.  NGX_DECLINED: the variant has no address or no usable key.
 */
ngx_int_t ngx_http_model_choice_shadow(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, uint32_t i, ngx_http_model_exchange_t *s);


/* -- ngx_http_model_scan.c -- */

/*
 * rc: as of mg_scan_finish(); scan: its results, until the call returns, as
 * is head: the first bytes of a body that lies in a file.
 */
typedef void (*ngx_http_model_scan_pt)(ngx_http_request_t *r,
    mg_scan_t *scan, mg_str_t head, ngx_int_t rc, mg_error_t *e);

/*
 * Scans the body that was read: at once, or where it lies in a file in a
 * thread of pool.  Then, unless the request is gone, handler is called.
 */
void ngx_http_model_scan_body(ngx_http_request_t *r, ngx_thread_pool_t *pool,
    ngx_http_model_scan_pt handler);


/* -- ngx_http_model_assign.c -- */

/*
 * Which variant of x->group the request is given; sets x's bucket, key_hash,
 * key_source and forced.  NGX_OK with *variant; NGX_DECLINED with *e: the
 * header X-Model-Variant is not this client's to send, or names no member.
 */
ngx_int_t ngx_http_model_assign(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_wanted_t *w,
    ngx_http_model_principal_t *p, uint32_t *variant, mg_error_t *e);

/*
 * n random bytes, valid until the next call: from a buffer of the worker,
 * so that there is a system call each few hundred requests.
 */
u_char *ngx_http_model_assign_random(size_t n);


/* -- ngx_http_model_rewrite.c -- */

/* Bytes of the client's body, and what is sent in their place. */
typedef struct {
    off_t        start;
    off_t        end;
    ngx_str_t    text;
} ngx_http_model_edit_t;

#define NGX_HTTP_MODEL_EDITS   2

/*
 * What x->served and x->backend want to read otherwise in the body as it
 * came, in its order: their name of the model, and include_usage where it
 * takes that to be told of a stream's usage.  Returns how many edits there
 * are, or NGX_ERROR; sets x->usage_added.
 */
ngx_int_t ngx_http_model_rewrite_edits(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_http_model_edit_t *edits);

/*
 * Makes these edits in the body that was read: memory or a temporary file,
 * which is not copied.  Sets the length and Content-Length.  May be called
 * again for another variant.
 */
ngx_int_t ngx_http_model_rewrite_body(ngx_http_request_t *r,
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

/*
 * A subrequest that was made of r->main meanwhile, such as a mirror's, gets
 * the client's headers back.  Called before anything of it is seen.
 */
void ngx_http_model_header_undress(ngx_http_request_t *sr);


/* -- ngx_http_model_deadline.c -- */

/*
 * Counts an attempt and sets its time-outs, once r->upstream is there.  One
 * that has a deadline for its first byte has x->read_timeout other than 0, the
 * time-out between two reads after that.
 */
ngx_int_t ngx_http_model_deadline_set(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);

/* For each address of such an attempt: it has what is left. */
void ngx_http_model_deadline_next(ngx_http_model_exchange_t *x,
    ngx_http_upstream_t *u);

/* The first byte of such an attempt is there. */
void ngx_http_model_deadline_lift(ngx_http_model_exchange_t *x,
    ngx_http_upstream_t *u);


/* -- ngx_http_model_variable.c -- */

/* The gateway's span of x, x->trace_out and x->span_id, if there is none. */
ngx_int_t ngx_http_model_variable_span(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);

/* preconfiguration: $model_... */
ngx_int_t ngx_http_model_variable_add(ngx_conf_t *cf);


#endif /* _NGX_HTTP_MODEL_CHOICE_H_INCLUDED_ */
