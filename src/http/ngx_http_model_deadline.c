/*
 * ngx_http_model_deadline.c: how long one attempt may take.
 *
 *     the location's | the provider's, where it says some | what is left of
 *     "model_fallback timeout=", from the second attempt to its first byte
 *
 * The smallest holds.  u->conf belongs to the location and to all its
 * requests, so an attempt that differs gets a copy.
 *
 * Event loop only; memory from r->pool.
 */

#include "http/ngx_http_model_choice.h"
#include "http/ngx_http_model_fallback.h"
#include "http/ngx_http_model_health.h"


ngx_int_t
ngx_http_model_deadline_set(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    int64_t                      left;
    ngx_http_upstream_conf_t    *conf;
    const mg_routing_backend_t  *b;

    b = &x->backend;
    left = 0;
    x->attempts++;
    x->read_timeout = 0;

    if (x->fallback) {

        if (x->attempts == 1) {
            ngx_http_model_health_request();

        } else {
            left = (int64_t) x->fallback->timeout
                   - (mg_mono_us() - x->mono_us) / 1000;
            left = ngx_max(left, 1);
        }
    }

    if (left == 0
        && b->connect_timeout_ms == MG_UNKNOWN
        && b->read_timeout_ms == MG_UNKNOWN)
    {
        return NGX_OK;
    }

    conf = ngx_palloc(r->pool, sizeof(ngx_http_upstream_conf_t));
    if (conf == NULL) {
        return NGX_ERROR;
    }

    *conf = *r->upstream->conf;

    if (b->connect_timeout_ms != MG_UNKNOWN) {
        conf->connect_timeout = b->connect_timeout_ms;
    }

    if (b->read_timeout_ms != MG_UNKNOWN) {
        conf->read_timeout = b->read_timeout_ms;
    }

    if (left) {
        x->read_timeout = conf->read_timeout;

        conf->connect_timeout = ngx_min(conf->connect_timeout,
                                        (ngx_msec_t) left);
        conf->read_timeout = ngx_min(conf->read_timeout, (ngx_msec_t) left);
    }

    r->upstream->conf = conf;

    return NGX_OK;
}
