/*
 * ngx_http_model_address.h: a worker's book of upstream addresses.
 *
 *     (identity of the backend, socket address) -> name, cell of its
 *                                  latency, idle connections, TLS session
 *
 * A fixed number of entries in a hash table and a list, the last used one
 * first; the one that was not used for the longest time makes room.  An
 * entry with refs is in use by a request and stays.
 *
 * Memory from the configuration's pool, private to a worker.  Event loop
 * only.
 */

#ifndef _NGX_HTTP_MODEL_ADDRESS_H_INCLUDED_
#define _NGX_HTTP_MODEL_ADDRESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "model/mg_peak.h"
#include "snapshot/mg_snap_routing.h"


typedef struct ngx_http_model_book_s     ngx_http_model_book_t;
typedef struct ngx_http_model_address_s  ngx_http_model_address_t;

struct ngx_http_model_address_s {
    ngx_http_model_address_t  *next;         /* in a bucket */
    ngx_queue_t                lru;
    ngx_queue_t                idle;         /* the balancer's */
    uint64_t                   identity;
    ngx_uint_t                 refs;         /* requests under way */
    mg_peak_t                 *peak;         /* found last, or NULL */
    socklen_t                  socklen;      /* 0: an unused entry */
    struct sockaddr_storage    sockaddr;
    size_t                     name_len;
    u_char                     name[NGX_SOCKADDR_STRLEN];
#if (NGX_HTTP_SSL)
    ngx_ssl_session_t         *session;      /* owned */
#endif
};


/* leave() closes the idle connections of an entry that makes room. */
ngx_http_model_book_t *ngx_http_model_book_create(ngx_pool_t *pool,
    void (*leave)(ngx_http_model_address_t *a));

/* Finds an address or enters it; NULL: all entries are in use. */
ngx_http_model_address_t *ngx_http_model_book_find(ngx_http_model_book_t *b,
    uint64_t identity, const struct sockaddr_storage *sa, socklen_t len);


/* -- ngx_http_model_balance.c: where a backend has several addresses -- */

/*
 * Of those whose bit in *tried is not set; sets it.  NULL: all entries of the
 * book are in use.
 */
ngx_http_model_address_t *ngx_http_model_balance_choose(
    ngx_http_model_book_t *b, const mg_routing_backend_t *backend,
    uint32_t *tried);

/* What came of the request; state: as of peer.free(). */
void ngx_http_model_balance_note(ngx_http_model_address_t *a,
    ngx_http_upstream_t *u, ngx_uint_t state);

/* For /metrics. */
void ngx_http_model_balance_metrics(ngx_http_request_t *r, mg_buf_t *b);


#endif /* _NGX_HTTP_MODEL_ADDRESS_H_INCLUDED_ */
