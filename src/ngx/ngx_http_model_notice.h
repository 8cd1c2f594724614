/*
 * ngx_http_model_notice.h: two ways to be called back by the event loop.
 *
 * Early notice: an idle connection without a socket, which a worker closes
 * first when it begins to leave (quit, reload; not on stop).
 * Wake: an eventfd, so that a thread of our own (the listener) can call a
 * handler on the loop.
 */

#ifndef _NGX_HTTP_MODEL_NOTICE_H_INCLUDED_
#define _NGX_HTTP_MODEL_NOTICE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef void (*ngx_http_model_notice_pt)(void *data);


/* init_process; costs one of worker_connections. */
ngx_int_t ngx_http_model_notice_early(ngx_cycle_t *cycle,
    ngx_http_model_notice_pt handler, void *data);


typedef struct ngx_http_model_wake_s  ngx_http_model_wake_t;

/* init_process.  NULL on failure (logged). */
ngx_http_model_wake_t *ngx_http_model_wake_create(ngx_cycle_t *cycle,
    ngx_http_model_notice_pt handler, void *data);

/* Any thread; calls are merged. */
void ngx_http_model_wake_ring(ngx_http_model_wake_t *w);

/* Event loop or exit_process, after the thread was joined. */
void ngx_http_model_wake_destroy(ngx_http_model_wake_t *w);


#endif /* _NGX_HTTP_MODEL_NOTICE_H_INCLUDED_ */
