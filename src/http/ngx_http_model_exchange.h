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

#include "model/mg_gate.h"
#include "model/mg_record.h"
#include "model/mg_usage.h"
#include "snapshot/mg_snap_routing.h"


typedef struct ngx_http_model_secrets_s  ngx_http_model_secrets_t;

struct ngx_http_model_fallback_s;
struct ngx_http_model_attempt_s;
struct ngx_http_model_capture_s;
struct ngx_http_model_strip_s;


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
    ngx_http_model_secrets_t  *secrets;    /* holds the next three */
    ngx_str_t               authorization; /* $model_authorization, secret */
    ngx_str_t               api_key;       /* $model_api_key, secret */
    ngx_str_t               key;           /* a key in another header, */
    ngx_str_t               key_name;      /* of this name; secret */
    ngx_list_t              headers;       /* the client's, while others are
                                              in their place */
    void                   *worn;          /* memory of the others */
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
    ngx_str_t               traceparent;   /* the client's, or our own */
    ngx_str_t               trace_out;     /* sent on; empty: not made yet */
    uint8_t                 span_id[8];    /* of it */
    off_t                   name_start;    /* of the model in the body that */
    off_t                   name_end;      /* came; both 0: it is not there */
    off_t                   options_at;    /* as in mg_scan_t */
    ngx_chain_t            *body;          /* as it came, all along */
    off_t                   body_length;
    ngx_str_t               path;          /* of the request, decoded */
    ngx_str_t               args;
    ngx_str_t               suffix;        /* of a model named by path */
    uint32_t                tried;         /* bit n: variant n was served */
    uint32_t                held;          /* bit n: its breaker is open, */
    uint32_t                paused;        /* or it has asked for a pause */
    ngx_uint_t              attempts;      /* that were begun */
    struct ngx_http_model_attempt_s  *failed;      /* variants, in order */
    ngx_msec_t              read_timeout;  /* after the first byte; 0: the
                                              same as before it */
    struct ngx_http_model_fallback_s  *fallback;   /* NULL: off */
    mg_gate_t              *gate;          /* of backend; NULL: not watched */

    mg_usage_reader_t      *reader;        /* tap; NULL: not read */
    struct ngx_http_model_strip_s  *strip;         /* NULL: passes as it is */
    struct ngx_http_model_capture_s  *capture;     /* NULL: is not kept */
    mg_str_t                request_body;  /* that is kept */
    int64_t                 ttft_us;       /* -1 unknown */
    int64_t                 now_us;        /* monotonic, in a call of the
                                              tap that looked, and after the
                                              one of the last byte; or 0 */
    off_t                   received;      /* body bytes from upstream */
    ngx_str_t               upstream_id;   /* the provider's request id */
    unsigned                credentials:1; /* of the client, in a header that
                                              no configuration sets */
    unsigned                versioned:1;   /* it sent anthropic-version */
    unsigned                dressed:1;     /* headers are put aside */
    unsigned                trying:1;      /* for a breaker that is open */
    unsigned                judged:1;      /* gate knows of this attempt */
    unsigned                owed:1;        /* but not yet that it went well */
    unsigned                trial:1;       /* it has closed a breaker */
    unsigned                again:1;       /* the next variant is chosen */
    unsigned                answered:1;    /* what passes is a provider's */
    unsigned                whole:1;       /* it has all that will come */
    unsigned                ended:1;       /* the answer was complete */
    unsigned                refused:1;     /* answered by the gateway */
    unsigned                cut:1;         /* by the end of the worker */
    unsigned                logged:1;      /* its record is made */
    unsigned                forced:1;      /* variant by a header */
    unsigned                dry_run:1;     /* decided, proxied as before */
    unsigned                options_null:1;
    unsigned                options_some:1;
    unsigned                usage_asked:1; /* by the client, or who knows */
    unsigned                usage_added:1; /* include_usage was put into the
                                              body: the extra is taken out */
    void                   *pending;       /* the record as it was when the
                                              answer was whole; or NULL */
    size_t                  pending_size;
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
 * Nano-USD by the served variant's prices, or MG_COST_UNKNOWN and why.
 * reason may be NULL.
 */
int64_t ngx_http_model_exchange_cost(const ngx_http_model_exchange_t *x,
    mg_cost_reason_e *reason);

/* Where its record is made; comes with the exchange, not initialized. */
mg_record_t *ngx_http_model_exchange_record(ngx_http_model_exchange_t *x);

/* Begins *rec with what is known before the answer; strings are x's. */
void ngx_http_model_exchange_describe(ngx_http_model_exchange_t *x,
    mg_record_t *rec);

/*
 * What to do before the last byte of an answer goes out, once; and when it
 * has gone out, which is long before the log phase where a client that
 * closes lingers, and may be called again.  One handler of each a worker,
 * set while the configuration is read.
 */
void ngx_http_model_exchange_watch(
    void (*whole)(ngx_http_model_exchange_t *x),
    void (*end)(ngx_http_model_exchange_t *x));
void ngx_http_model_exchange_whole(ngx_http_model_exchange_t *x);
void ngx_http_model_exchange_end(ngx_http_model_exchange_t *x);

/*
 * Two more, of the same kind.  judge: the header of an answer is here and
 * nothing was sent yet; NGX_DECLINED: drop it, another variant is asked.
 * done: the proxy ends with rc, as nginx's finalize_request has it.
 */
void ngx_http_model_exchange_on_answer(
    ngx_int_t (*judge)(ngx_http_model_exchange_t *x),
    void (*done)(ngx_http_model_exchange_t *x, ngx_int_t rc));
ngx_int_t ngx_http_model_exchange_judge(ngx_http_model_exchange_t *x);
void ngx_http_model_exchange_done(ngx_http_model_exchange_t *x,
    ngx_int_t rc);

/*
 * One more: what is done with a request beside being served, when it is
 * decided who serves it and the body is as it came.  NGX_AGAIN: call it again
 * when the body is read.
 */
void ngx_http_model_exchange_on_decision(
    ngx_int_t (*decided)(ngx_http_model_exchange_t *x));
ngx_int_t ngx_http_model_exchange_decided(ngx_http_model_exchange_t *x);

/* In exit_process: gives back the slots that wait for a request. */
void ngx_http_model_exchange_exit(void);

/* All exchanges of this worker whose requests are not freed yet. */
void ngx_http_model_exchange_each(
    void (*handler)(ngx_http_model_exchange_t *x));


#endif /* _NGX_HTTP_MODEL_EXCHANGE_H_INCLUDED_ */
