/*
 * ngx_http_model_worker.h: the core of the family in a worker.
 *
 * For the core module itself: the others see ngx_http_model_env() and what
 * stands beside it in the core header.
 */

#ifndef _NGX_HTTP_MODEL_WORKER_H_INCLUDED_
#define _NGX_HTTP_MODEL_WORKER_H_INCLUDED_


#include "http/ngx_http_model_core.h"


/* init_process and exit_process; nothing happens without model_zone. */
ngx_int_t ngx_http_model_worker_init(ngx_cycle_t *cycle);
void ngx_http_model_worker_exit(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_MODEL_WORKER_H_INCLUDED_ */
