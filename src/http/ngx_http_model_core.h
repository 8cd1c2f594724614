/*
 * ngx_http_model_core.h: where the family of modules meets.
 *
 * Core owns what all share: the zone, the database and Redis pools, the
 * thread pools, the secrets, the mapped snapshots, and three tables in
 * which the other modules register: routes of the control plane, hooks, and
 * writers of metrics.  Modules include this header and never one another's.
 */

#ifndef _NGX_HTTP_MODEL_CORE_H_INCLUDED_
#define _NGX_HTTP_MODEL_CORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "job/mg_call.h"
#include "job/mg_env.h"
#include "job/mg_watch.h"
#include "ngx/ngx_http_model_answer.h"
#include "ngx/ngx_http_model_compat.h"
#include "ngx/ngx_http_model_notice.h"
#include "ngx/ngx_http_model_task.h"
#include "ngx/ngx_http_model_zone.h"
#include "snapshot/mg_snap_resolve.h"
#include "snapshot/mg_snap.h"


extern ngx_module_t  ngx_http_model_module;


/* -- main configuration -- */

typedef struct {
    ngx_str_t                database;         /* model_database */
    ngx_uint_t               database_connections;
    ngx_msec_t               database_timeout; /* of a statement */
    ngx_str_t                redis;            /* model_redis */
    ngx_str_t                state_path;       /* model_state_path */
    ngx_str_t                key_file;         /* model_secret_key_file */
    mg_secrets_t            *secrets;          /* model_secret; NULL: none */
    ngx_str_t                catalog_source;   /* model_catalog_source */
    ngx_str_t                trusted;          /* model_trusted_certificate;
                                                  data NULL: the system's */
    mg_resolve_conf_t        resolver;         /* model_resolver */
    mg_watch_conf_t          probe;            /* model_probe */
    ngx_flag_t               allow_private;    /* model_allow_private */
    ngx_uint_t               validate_concurrency;
    ngx_uint_t               validate_host;    /* at once, of all runs */
    ngx_msec_t               validate_timeout;
    mg_crypt_key_t           key;              /* wiped with the cycle */
    ngx_http_model_zone_t   *zone;             /* model_zone; NULL: the
                                                  family is not used */
    ngx_int_t                state_area;
    ngx_int_t                metrics_area;
    ngx_int_t                gates_area;
    ngx_int_t                hosts_area;
    ngx_int_t                peaks_area;
    ngx_int_t                events_area;
    ngx_thread_pool_t       *db_pool;          /* thread_pool model_db */
    ngx_thread_pool_t       *jobs_pool;        /* thread_pool model_jobs, or
                                                  pool= of model_jobs */
    ngx_str_t                jobs_pool_name;
    ngx_array_t              routes;           /* ngx_http_model_route_t */
    ngx_array_t              metrics;          /* ngx_http_model_metric_pt */
    ngx_array_t              hooks;            /* ngx_http_model_hook_t */
} ngx_http_model_main_conf_t;


/* model_auth: what a location asks for. */
#define NGX_HTTP_MODEL_AUTH_OFF       100
#define NGX_HTTP_MODEL_AUTH_DEFAULT   101   /* as the handler decides */

typedef struct ngx_http_model_fallback_s  ngx_http_model_fallback_t;

typedef struct {
    ngx_uint_t               auth;   /* mg_role_e or one of the two above */
    ngx_http_model_fallback_t  *fallback;   /* model_fallback; NULL: off */
    ngx_flag_t               record;        /* model_record */
    ngx_uint_t               control;       /* model_api stands here */
} ngx_http_model_loc_conf_t;


#define ngx_http_model_main(r)                                                \
    ((ngx_http_model_main_conf_t *)                                           \
        ngx_http_get_module_main_conf(r, ngx_http_model_module))


/* -- registration; in preconfiguration or postconfiguration -- */

/*
 * A route that the event loop answers (from a snapshot or the zone).  Path
 * parameters and decoded query pairs are in params and query; the answer is
 * sent by the handler with ngx_http_model_answer_*().
 */
typedef struct {
    ngx_http_request_t      *request;
    mg_pair_t                path[MG_CALL_PARAMS_MAX];
    unsigned                 n_path;
    mg_pair_t                query[MG_CALL_QUERY_MAX];
    unsigned                 n_query;
    mg_error_t               error;      /* handler sets and returns
                                            NGX_DECLINED: sent as an error */
} ngx_http_model_ask_t;

typedef ngx_int_t (*ngx_http_model_route_pt)(ngx_http_model_ask_t *ask);

typedef struct {
    const char              *pattern;    /* as in mg_call.h; GET and HEAD */
    mg_role_e                role;       /* MG_ROLE_NONE: open to all */
    const char * const      *query;      /* allowed parameters, NULL ends;
                                            "ids*" may stand often */
    ngx_http_model_route_pt  handler;
} ngx_http_model_route_t;

ngx_int_t ngx_http_model_route_add(ngx_conf_t *cf,
    const ngx_http_model_route_t *routes);      /* ends with pattern NULL */

/* Appends Prometheus text; on the event loop. */
typedef void (*ngx_http_model_metric_pt)(ngx_http_request_t *r, mg_buf_t *b);

ngx_int_t ngx_http_model_metric_add(ngx_conf_t *cf,
    ngx_http_model_metric_pt writer);

typedef enum {
    NGX_HTTP_MODEL_HOOK_JOBS = 0,    /* a job waits: run the engine */
    NGX_HTTP_MODEL_HOOK_LEAVE,       /* early notice of quit or reload */
    NGX_HTTP_MODEL_HOOK_EXIT,        /* exit_process, before anything else of
                                        the family: end your threads */
    NGX_HTTP_MODEL_HOOK_N
} ngx_http_model_hook_e;

typedef struct {
    ngx_http_model_hook_e    when;
    void                   (*handler)(void);
} ngx_http_model_hook_t;

ngx_int_t ngx_http_model_hook_add(ngx_conf_t *cf, ngx_http_model_hook_e when,
    void (*handler)(void));
void ngx_http_model_hook_run(ngx_http_model_hook_e when);


/* -- in a worker -- */

/* What pool threads work with; NULL in a process that is no worker. */
mg_env_t *ngx_http_model_env(void);

/* This worker's counters (never NULL; a scratch array without a zone). */
mg_metrics_t *ngx_http_model_counters(void);

/*
 * The current snapshot of a kind, pinned until r is freed; the same one for
 * all calls within a request.  NULL: there is none yet (answer 503).
 */
mg_snap_t *ngx_http_model_snap(ngx_http_request_t *r, unsigned kind);

/* The same, not pinned: valid until the handler returns to the event loop. */
mg_snap_t *ngx_http_model_snap_current(unsigned kind);

/*
 * Age and Warning on an answer of a catalog that cannot be confirmed against
 * the database; nothing otherwise, for the price of one word.  Called before
 * the answer is sent.  NGX_ERROR when out of memory.  Event loop.
 */
ngx_int_t ngx_http_model_stale_headers(ngx_http_request_t *r);

/*
 * Gives back what the request has pinned, for one that stays for long; what
 * points into the mappings (a principal's token_id) is void afterwards.
 */
void ngx_http_model_snap_unpin(ngx_http_request_t *r);

/* Raised whenever this worker maps a new routing file: key of caches. */
uint64_t ngx_http_model_snap_serial(unsigned kind);


/* -- who asks (ngx_http_model_principal.c) -- */

typedef struct {
    mg_role_e                role;       /* MG_ROLE_NONE: no token sent */
    ngx_str_t                token_id;   /* UUID text, in r->pool */
    ngx_str_t                org_id;
    uint8_t                  token_bytes[16];
    uint8_t                  org_bytes[16];
} ngx_http_model_principal_t;

/*
 * Looks at Authorization: Bearer and (data plane) x-api-key.  need:
 * MG_ROLE_NONE accepts a request without token (default organisation),
 * and takes an unknown one for none: clients send placeholders.  NGX_OK, or
 * NGX_DECLINED with *e (401 with WWW-Authenticate set, 403, 503 without a
 * snapshot).  The result is remembered for the request.
 */
ngx_int_t ngx_http_model_principal(ngx_http_request_t *r, mg_role_e need,
    ngx_http_model_principal_t **p, mg_error_t *e);

/*
 * Whether the token of a request that stays for long is still good for need,
 * by the current snapshot, which it does not pin.  NGX_OK or NGX_DECLINED.
 */
ngx_int_t ngx_http_model_principal_again(ngx_http_request_t *r,
    mg_role_e need);


#endif /* _NGX_HTTP_MODEL_CORE_H_INCLUDED_ */
