/*
 * ngx_http_model_deadline.c: how long one attempt may take.
 *
 *     the location's | the provider's, where it says some | what is left of
 *     "model_fallback timeout=", from the second attempt to its first byte
 *
 * The smallest holds, for connecting, sending and waiting, and for all
 * addresses of an attempt together.  u->conf belongs to the location and to all
 * its requests, so an attempt that differs gets a copy.
 *
 * Event loop only; memory from r->pool.
 */

#include "http/ngx_http_model_choice.h"
#include "http/ngx_http_model_fallback.h"
#include "http/ngx_http_model_health.h"


/* The copy, and what it has again after the first byte. */
typedef struct {
    ngx_http_upstream_conf_t   conf;
    ngx_msec_t                 send_timeout;
} ngx_http_model_deadline_t;


static ngx_msec_t ngx_http_model_deadline_left(ngx_http_model_exchange_t *x);


ngx_int_t
ngx_http_model_deadline_set(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    ngx_msec_t                   left;
    ngx_uint_t                   bound;
    ngx_http_upstream_conf_t    *conf;
    ngx_http_model_deadline_t   *d;
    const mg_routing_backend_t  *b;

    b = &x->backend;
    x->attempts++;
    x->read_timeout = 0;

    bound = (x->fallback && x->attempts > 1);

    if (x->fallback && !bound) {
        ngx_http_model_health_request();
    }

    if (!bound
        && b->connect_timeout_ms == MG_UNKNOWN
        && b->read_timeout_ms == MG_UNKNOWN)
    {
        return NGX_OK;
    }

    d = ngx_palloc(r->pool, sizeof(ngx_http_model_deadline_t));
    if (d == NULL) {
        return NGX_ERROR;
    }

    conf = &d->conf;
    *conf = *r->upstream->conf;

    if (b->connect_timeout_ms != MG_UNKNOWN) {
        conf->connect_timeout = b->connect_timeout_ms;
    }

    if (b->read_timeout_ms != MG_UNKNOWN) {
        conf->read_timeout = b->read_timeout_ms;
    }

    r->upstream->conf = conf;

    if (bound) {
        x->read_timeout = conf->read_timeout;
        d->send_timeout = conf->send_timeout;

        /* nginx counts it from here; 0 is none */

        left = ngx_http_model_deadline_left(x);

        if (conf->next_upstream_timeout == 0
            || conf->next_upstream_timeout > left)
        {
            conf->next_upstream_timeout = left;
        }
    }

    return NGX_OK;
}


void
ngx_http_model_deadline_next(ngx_http_model_exchange_t *x,
    ngx_http_upstream_t *u)
{
    ngx_msec_t                 left;
    ngx_http_upstream_conf_t  *conf;

    if (x->read_timeout == 0) {
        return;
    }

    conf = u->conf;
    left = ngx_http_model_deadline_left(x);

    conf->connect_timeout = ngx_min(conf->connect_timeout, left);
    conf->send_timeout = ngx_min(conf->send_timeout, left);
    conf->read_timeout = ngx_min(conf->read_timeout, left);
}


void
ngx_http_model_deadline_lift(ngx_http_model_exchange_t *x,
    ngx_http_upstream_t *u)
{
    ngx_http_model_deadline_t  *d;

    if (x->read_timeout == 0) {
        return;
    }

    d = (ngx_http_model_deadline_t *) u->conf;

    d->conf.read_timeout = x->read_timeout;
    d->conf.send_timeout = d->send_timeout;
}


/* At least 1 ms: nginx takes 0 for no bound. */

static ngx_msec_t
ngx_http_model_deadline_left(ngx_http_model_exchange_t *x)
{
    int64_t  left;

    left = (int64_t) x->fallback->timeout
           - (mg_mono_us() - x->mono_us) / 1000;

    return (ngx_msec_t) ngx_max(left, 1);
}
