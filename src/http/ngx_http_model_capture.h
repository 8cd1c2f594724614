/*
 * ngx_http_model_capture.h: the bodies that a group wants to keep.
 *
 * As the client sent it, and as the provider did: the first body_max bytes
 * of each, without the values of the members that the group names.  Nothing
 * else of a body leaves this worker's memory.
 *
 *     request's body -> mg_redact.h -> x->request_body
 *     answer's bytes -> mg_redact.h -> capture_response()  -> record
 *
 * Only JSON and streams of it are kept, in plain.  Event loop only; memory
 * from r->pool, or freed with it.
 */

#ifndef _NGX_HTTP_MODEL_CAPTURE_H_INCLUDED_
#define _NGX_HTTP_MODEL_CAPTURE_H_INCLUDED_


#include "http/ngx_http_model_exchange.h"


/*
 * When it is decided to which group a request goes, and its body is as it
 * came.  head: the first bytes of a body that lies in a file.
 */
void ngx_http_model_capture_request(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, mg_str_t head);

/* In the header filter of an answer that the tap can read. */
void ngx_http_model_capture_begin(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);

/* x->capture is set; nothing is added to an answer that is whole. */
void ngx_http_model_capture_add(ngx_http_model_exchange_t *x, ngx_buf_t *b);

/* {NULL, 0}: it is not kept.  Valid as long as r. */
mg_str_t ngx_http_model_capture_response(const ngx_http_model_exchange_t *x);


#endif /* _NGX_HTTP_MODEL_CAPTURE_H_INCLUDED_ */
