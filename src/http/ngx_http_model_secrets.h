/*
 * ngx_http_model_secrets.h: provider keys, opened.
 *
 * A worker keeps the keys of one routing snapshot in pages of their own,
 * left out of core dumps and overwritten before they are given back:
 *
 *     | header | entry of backend 0 | entry 1 | ... | "Bearer KEY" ... |
 *
 * A key is opened when its backend is first used.  When another snapshot
 * is mapped a new set is begun; the old one goes with the last request
 * that holds it.
 *
 * Event loop only; opening a key costs a few microseconds, once.
 */

#ifndef _NGX_HTTP_MODEL_SECRETS_H_INCLUDED_
#define _NGX_HTTP_MODEL_SECRETS_H_INCLUDED_


#include "http/ngx_http_model_core.h"
#include "http/ngx_http_model_exchange.h"


/*
 * Fills x->authorization, x->api_key or x->key, as the protocol of
 * x->backend wants its key, and takes a reference in x->secrets.
 * NGX_DECLINED: there is a key, but it does not open (logged once); all are
 * then empty.
 */
ngx_int_t ngx_http_model_secrets_get(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x);

/* Keys of the configuration have changed: requests to come get the new. */
void ngx_http_model_secrets_rotate(void);

void ngx_http_model_secrets_release(ngx_http_model_secrets_t *s);


#endif /* _NGX_HTTP_MODEL_SECRETS_H_INCLUDED_ */
