/*
 * ngx_http_model_exchange.c: finds the exchange of a request.
 *
 * It hangs on a cleanup of r->pool, recognised by its handler, since an
 * internal redirect wipes module contexts but leaves the pool alone.  The
 * list has a handful of entries, the newest first.  All exchanges of a
 * worker are in one queue, so that one that ends at once (TERM) can still
 * record what its requests have come to.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_secrets.h"


static void ngx_http_model_exchange_cleanup(void *data);


static ngx_queue_t  ngx_http_model_exchanges;


ngx_http_model_exchange_t *
ngx_http_model_exchange_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    /* a subrequest shares the pool, not the inference */

    if (r != r->main) {
        return NULL;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_model_exchange_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


ngx_http_model_exchange_t *
ngx_http_model_exchange_create(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_model_exchange_t  *x;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_model_exchange_t));
    if (cln == NULL) {
        return NULL;
    }

    x = cln->data;
    ngx_memzero(x, sizeof(ngx_http_model_exchange_t));

    x->request = r;
    x->bucket = -1;
    x->ttft_us = -1;

    if (ngx_http_model_exchanges.next == NULL) {
        ngx_queue_init(&ngx_http_model_exchanges);
    }

    ngx_queue_insert_tail(&ngx_http_model_exchanges, &x->queue);

    cln->handler = ngx_http_model_exchange_cleanup;

    return x;
}


void
ngx_http_model_exchange_each(void (*handler)(ngx_http_model_exchange_t *x))
{
    ngx_queue_t  *q;

    if (ngx_http_model_exchanges.next == NULL) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_model_exchanges);
         q != ngx_queue_sentinel(&ngx_http_model_exchanges);
         q = ngx_queue_next(q))
    {
        handler(ngx_queue_data(q, ngx_http_model_exchange_t, queue));
    }
}


/* All the rest belongs to the pool or to the pinned snapshot. */

static void
ngx_http_model_exchange_cleanup(void *data)
{
    ngx_http_model_exchange_t  *x;

    x = data;

    ngx_queue_remove(&x->queue);

    if (x->secrets) {
        ngx_http_model_secrets_release(x->secrets);
    }
}
