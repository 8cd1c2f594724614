/*
 * ngx_http_model_reach.h: how servers of providers are found and watched.
 *
 * For the core module itself: two directives, and the threads of worker 0
 * that do the work (mg_snap_resolve.h, mg_watch.h).  Event loop.
 */

#ifndef _NGX_HTTP_MODEL_REACH_H_INCLUDED_
#define _NGX_HTTP_MODEL_REACH_H_INCLUDED_


#include "http/ngx_http_model_core.h"


/* The directives "model_resolver" and "model_probe". */
char *ngx_http_model_reach_resolver(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_model_reach_probe(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* init_process of worker 0; what cannot be started is logged. */
void ngx_http_model_reach_init(ngx_cycle_t *cycle,
    ngx_http_model_main_conf_t *mcf);

/* Early notice, and exit_process. */
void ngx_http_model_reach_leave(void);
void ngx_http_model_reach_exit(void);


#endif /* _NGX_HTTP_MODEL_REACH_H_INCLUDED_ */
