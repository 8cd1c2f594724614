/*
 * ngx_http_model_attempt.h: the attempts of one inference, for its record.
 *
 *     variant a: address 1 failed, address 2 said 503 -> variant b: 200
 *     `----------------- the log of attempts --------'
 *
 * nginx keeps a state for each connection it has tried; what it does not know
 * is for which variant.  That is noted when the next one is chosen.
 *
 * Event loop only; memory from r->pool.
 */

#ifndef _NGX_HTTP_MODEL_ATTEMPT_H_INCLUDED_
#define _NGX_HTTP_MODEL_ATTEMPT_H_INCLUDED_


#include "http/ngx_http_model_exchange.h"


/*
 * Another variant takes the place of the one that was asked until now:
 * served, of this provider.
 */
void ngx_http_model_attempt_failed(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, mg_str_t served, mg_str_t provider);

/*
 * A JSON array of the attempts before the last one, or {NULL, 0}: there was
 * no other.
 */
mg_str_t ngx_http_model_attempt_log(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);


#endif /* _NGX_HTTP_MODEL_ATTEMPT_H_INCLUDED_ */
