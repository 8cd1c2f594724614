/*
 * ngx_http_model_exchange.h: one inference on its way through the phases.
 *
 * Made by the split when it has decided, read by backend, tap and log.  It
 * is kept as the data of a cleanup of r->pool, not as a module ctx, so that
 * an internal redirect (fallback) finds it again.
 *
 *     split: decides, pins the routing snapshot -> backend: addresses, key
 *     -> tap: first byte, usage -> log: record
 */

#ifndef _NGX_HTTP_MODEL_EXCHANGE_H_INCLUDED_
#define _NGX_HTTP_MODEL_EXCHANGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "model/mg_record.h"
#include "model/mg_usage.h"
#include "snapshot/mg_snap_routing.h"


typedef struct ngx_http_model_secrets_s  ngx_http_model_secrets_t;


typedef struct {
    ngx_queue_t             queue;         /* all of this worker */
    ngx_http_request_t     *request;
    mg_snap_t              *snap;          /* pinned by the request */
    ngx_str_t               requested;     /* as the client wrote it */
    mg_routing_group_t      group;
    mg_routing_variant_t    assigned;
    mg_routing_variant_t    served;
    mg_routing_backend_t    backend;       /* of served */
    ngx_str_t               uri;           /* $model_uri */
    ngx_http_model_secrets_t  *secrets;    /* holds the next two */
    ngx_str_t               authorization; /* $model_authorization, secret */
    ngx_str_t               api_key;       /* $model_api_key, secret */
    mg_uuid_t               id;
    ngx_str_t               id_text;
    int64_t                 begun_us;      /* wall clock: headers read */
    int64_t                 mono_us;       /* the same moment, monotonic */
    ngx_int_t               bucket;        /* -1: not by bucket */
    uint8_t                 key_hash[16];
    ngx_uint_t              key_source;    /* as in mg_record_t */
    uint8_t                 token_bytes[16];
    ngx_uint_t              stream;        /* the client asked for one */
    off_t                   request_bytes; /* of the body, as it came */
    ngx_str_t               request_id;    /* the client's X-Request-Id */
    ngx_str_t               traceparent;
    ngx_buf_t              *name;          /* the model in the body that is
                                              sent; NULL: not rewritten */
    ngx_str_t               path;          /* of the request, decoded */
    ngx_str_t               args;
    ngx_str_t               suffix;        /* of a model named by path */
    uint32_t                tried;         /* bit n: variant n was served */

    mg_usage_reader_t      *reader;        /* tap; NULL: not read */
    int64_t                 ttft_us;       /* -1 unknown */
    off_t                   received;      /* body bytes from upstream */
    ngx_str_t               upstream_id;   /* the provider's request id */
    unsigned                answered:1;    /* what passes is a provider's */
    unsigned                ended:1;       /* the answer was complete */
    unsigned                refused:1;     /* answered by the gateway */
    unsigned                cut:1;         /* by the end of the worker */
    unsigned                logged:1;      /* its record is made */
} ngx_http_model_exchange_t;


/* NULL if the split decided nothing for this request. */
ngx_http_model_exchange_t *ngx_http_model_exchange_get(ngx_http_request_t *r);

/* Zeroed, registered; NULL when out of memory. */
ngx_http_model_exchange_t *ngx_http_model_exchange_create(
    ngx_http_request_t *r);

/* Makes x->reader, once: room for it comes with the exchange. */
mg_usage_reader_t *ngx_http_model_exchange_reader(
    ngx_http_model_exchange_t *x);

/*
 * What to do when the last byte of an answer has gone out: long before the
 * log phase where a client that closes lingers.  May be called again for the
 * same exchange.  One handler a worker, set while the configuration is read.
 */
void ngx_http_model_exchange_on_end(
    void (*handler)(ngx_http_model_exchange_t *x));
void ngx_http_model_exchange_end(ngx_http_model_exchange_t *x);

/* In exit_process: gives back the slots that wait for a request. */
void ngx_http_model_exchange_exit(void);

/* All exchanges of this worker whose requests are not freed yet. */
void ngx_http_model_exchange_each(
    void (*handler)(ngx_http_model_exchange_t *x));


#endif /* _NGX_HTTP_MODEL_EXCHANGE_H_INCLUDED_ */
