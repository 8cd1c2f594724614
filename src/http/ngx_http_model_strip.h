/*
 * ngx_http_model_strip.h: a stream without what the gateway asked for.
 *
 * For the tap: where include_usage was put into a request, the bytes that
 * pass are changed by mg_strip.h before they go on.
 *
 *     upstream's buffers -> tap reads -> strip changes them -> client
 *
 * Event loop only; memory from r->pool.
 */

#ifndef _NGX_HTTP_MODEL_STRIP_H_INCLUDED_
#define _NGX_HTTP_MODEL_STRIP_H_INCLUDED_


#include "http/ngx_http_model_exchange.h"


/*
 * In the header filter, for a stream that is not encoded: from now on its
 * length is not known.  NGX_ERROR when out of memory.
 */
ngx_int_t ngx_http_model_strip_begin(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);

/*
 * Of in, which was read, what goes on: *out, which may be NULL and is for
 * ngx_http_model_strip_done() as soon as it was passed on.
 */
ngx_int_t ngx_http_model_strip_filter(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_chain_t *in, ngx_chain_t **out);

/* Gives back the links, not the buffers. */
void ngx_http_model_strip_done(ngx_http_request_t *r, ngx_chain_t *out);


#endif /* _NGX_HTTP_MODEL_STRIP_H_INCLUDED_ */
