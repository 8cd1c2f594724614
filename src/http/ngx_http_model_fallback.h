/*
 * ngx_http_model_fallback.h: what "model_fallback" of a location says.
 *
 * Kept in the location's part of the core module, since the choice of the
 * first variant heeds breakers, too.  NULL there: "off".
 */

#ifndef _NGX_HTTP_MODEL_FALLBACK_H_INCLUDED_
#define _NGX_HTTP_MODEL_FALLBACK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "model/mg_breaker.h"


#define NGX_HTTP_MODEL_FALLBACK_STATUSES   16

#define NGX_HTTP_MODEL_FALLBACK_FAILURES   5
#define NGX_HTTP_MODEL_FALLBACK_PAUSE      10000       /* ms */


struct ngx_http_model_fallback_s {
    ngx_uint_t            n_statuses;
    ngx_uint_t            statuses[NGX_HTTP_MODEL_FALLBACK_STATUSES];
    ngx_uint_t            timeout;       /* for all attempts, ms */
    ngx_uint_t            tries;         /* attempts, the first one too */
    ngx_uint_t            budget;        /* percent of the requests */
    ngx_uint_t            failures;      /* these two as they were given */
    ngx_uint_t            pause_ms;
    mg_breaker_limits_t   limits;
};


#endif /* _NGX_HTTP_MODEL_FALLBACK_H_INCLUDED_ */
