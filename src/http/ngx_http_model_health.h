/*
 * ngx_http_model_health.h: what the data plane knows of its backends.
 *
 * One slot of shared memory a provider (mg_gate.h): the breaker's word, the
 * time before which the provider does not want to be asked, and counters of
 * failures.  Beside them each worker counts the last ten seconds by itself:
 * requests and failures of each backend, requests and retries of all.  What
 * is healthy costs two reads of shared words.
 *
 *     choice: enter() -> proxy -> answer or failure: leave()
 *
 * Providers that come when all slots are taken are not watched.
 *
 * Event loop only.
 */

#ifndef _NGX_HTTP_MODEL_HEALTH_H_INCLUDED_
#define _NGX_HTTP_MODEL_HEALTH_H_INCLUDED_


#include "http/ngx_http_model_core.h"
#include "http/ngx_http_model_exchange.h"
#include "model/mg_breaker.h"
#include "model/mg_gate.h"


/* In init_process; gates: of the zone. */
void ngx_http_model_health_init(mg_gates_t *gates);

/*
 * Sets x->gate for x->backend.  NGX_OK: it may be asked; NGX_DECLINED: its
 * breaker is open; NGX_BUSY: it asked for a pause.  forced: always NGX_OK.
 */
ngx_int_t ngx_http_model_health_enter(ngx_http_model_exchange_t *x,
    ngx_uint_t forced);

/*
 * x->backend should have been asked and cannot be: counts it as unreachable,
 * and logs what is missing, once a minute.
 */
void ngx_http_model_health_absent(ngx_http_model_exchange_t *x,
    const char *what);

/* 1: nothing speaks against a request to x->backend that counts for nothing. */
ngx_uint_t ngx_http_model_health_well(ngx_http_model_exchange_t *x);

/* The request that x->gate was entered for is not made after all. */
void ngx_http_model_health_cancel(ngx_http_model_exchange_t *x);

/*
 * What came of the attempt.  retry_after: seconds that the provider asked
 * for, 0 for none.
 */
void ngx_http_model_health_leave(ngx_http_model_exchange_t *x,
    mg_gate_outcome_e outcome, ngx_int_t retry_after);

/* The budget: a request has come; may one be sent again?  1: it may. */
void ngx_http_model_health_request(void);
ngx_uint_t ngx_http_model_health_retry(ngx_uint_t percent);

/* For /metrics. */
void ngx_http_model_health_metrics(ngx_http_request_t *r, mg_buf_t *b);


#endif /* _NGX_HTTP_MODEL_HEALTH_H_INCLUDED_ */
