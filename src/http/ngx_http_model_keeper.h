/*
 * ngx_http_model_keeper.h: worker 0 looks after the node.
 *
 * For the core module itself.  Listener, timer and steps of mg_keep.h, from
 * init_process to exit_process; in other workers nothing happens.
 */

#ifndef _NGX_HTTP_MODEL_KEEPER_H_INCLUDED_
#define _NGX_HTTP_MODEL_KEEPER_H_INCLUDED_


#include "http/ngx_http_model_core.h"


/* init_process of worker 0: listener, first step.  Event loop. */
ngx_int_t ngx_http_model_keeper_init(ngx_cycle_t *cycle,
    ngx_thread_pool_t *pool);

/* Early notice: no further step, the listener is told to end. */
void ngx_http_model_keeper_leave(void);

/* exit_process: joins the listener. */
void ngx_http_model_keeper_exit(void);


#endif /* _NGX_HTTP_MODEL_KEEPER_H_INCLUDED_ */
