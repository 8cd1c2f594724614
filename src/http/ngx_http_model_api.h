/*
 * ngx_http_model_api.h: where the dispatcher hands a call over to a thread.
 *
 * ngx_http_model_api_module.c finds the row and checks what can be checked
 * without a body; ngx_http_model_api_call.c reads the body, fills the call,
 * runs it on a thread of model_db, and answers.
 */

#ifndef _NGX_HTTP_MODEL_API_H_INCLUDED_
#define _NGX_HTTP_MODEL_API_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ngx_http_model_core.h"


#define NGX_HTTP_MODEL_API_CUT   80     /* bytes quoted in messages */


extern ngx_module_t  ngx_http_model_api_module;


/*
 * Event loop.  ask: path and query are filled and checked, pointing into
 * r->pool.  Returns what a content handler returns, or NGX_DECLINED with
 * ask->error.
 */
ngx_int_t ngx_http_model_api_call(ngx_http_model_ask_t *ask,
    const mg_call_route_t *route, ngx_http_model_principal_t *who);


#endif /* _NGX_HTTP_MODEL_API_H_INCLUDED_ */
