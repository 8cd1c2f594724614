/*
 * ngx_http_model_exchange.c: finds the exchange of a request.
 *
 * It hangs on a cleanup of r->pool, recognised by its handler, since an
 * internal redirect wipes module contexts but leaves the pool alone.  The
 * list has a handful of entries, the newest first.  All exchanges of a
 * worker are in one queue, so that one that ends at once (TERM) can still
 * record what its requests have come to.
 *
 * An exchange, its reader and its record are 6 KB, more than a pool gives
 * away: they are a slot of the worker's own, which the cleanup puts aside for
 * the next request.  No more are kept than were ever in use at once, and at
 * most NGX_HTTP_MODEL_EXCHANGE_KEEP.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_secrets.h"


#define NGX_HTTP_MODEL_EXCHANGE_KEEP   256


typedef struct {
    ngx_http_model_exchange_t        exchange;   /* the first member */
    mg_usage_reader_t                reader;
    mg_record_t                      record;
} ngx_http_model_exchange_slot_t;


static void ngx_http_model_exchange_strings(ngx_http_model_exchange_t *x,
    mg_record_t *rec);
static void ngx_http_model_exchange_cleanup(void *data);
static ngx_http_model_exchange_t *ngx_http_model_exchange_alloc(
    ngx_log_t *log);
static void ngx_http_model_exchange_free(ngx_http_model_exchange_t *x);


#define ngx_http_model_exchange_str(s)                                        \
    mg_str_n((const char *) (s).data, (s).len)


static ngx_queue_t  ngx_http_model_exchanges;

static void  (*ngx_http_model_exchange_on_whole)(
    ngx_http_model_exchange_t *x);
static void  (*ngx_http_model_exchange_on_end)(ngx_http_model_exchange_t *x);
static ngx_int_t  (*ngx_http_model_exchange_judged)(
    ngx_http_model_exchange_t *x);
static void  (*ngx_http_model_exchange_finished)(ngx_http_model_exchange_t *x,
    ngx_int_t rc);
static ngx_int_t  (*ngx_http_model_exchange_beside)(
    ngx_http_model_exchange_t *x);

/* Slots that wait for a request. */
static ngx_queue_t  ngx_http_model_exchanges_idle;
static ngx_uint_t   ngx_http_model_exchanges_kept;


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

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    if (ngx_http_model_exchanges.next == NULL) {
        ngx_queue_init(&ngx_http_model_exchanges);
        ngx_queue_init(&ngx_http_model_exchanges_idle);
    }

    x = ngx_http_model_exchange_alloc(r->connection->log);
    if (x == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_model_exchange_cleanup;
    cln->data = x;

    ngx_memzero(x, sizeof(ngx_http_model_exchange_t));

    x->request = r;
    x->bucket = -1;
    x->ttft_us = -1;

    /* until the proxy asks: an answer from its cache is no news */

    x->judged = 1;

    ngx_queue_insert_tail(&ngx_http_model_exchanges, &x->queue);

    return x;
}


mg_usage_reader_t *
ngx_http_model_exchange_reader(ngx_http_model_exchange_t *x)
{
    x->reader = &((ngx_http_model_exchange_slot_t *) x)->reader;

    return x->reader;
}


int64_t
ngx_http_model_exchange_cost(const ngx_http_model_exchange_t *x,
    mg_cost_reason_e *reason)
{
    mg_cost_t  cost;

    cost.nano = MG_COST_UNKNOWN;
    cost.reason = MG_COST_NO_USAGE;

    if (x->reader && x->reader->seen) {
        cost.reason = MG_COST_NO_PRICE;

        if (x->served.prices) {
            (void) mg_cost_count(x->served.prices, &x->reader->usage, &cost);
        }
    }

    if (reason) {
        *reason = cost.reason;
    }

    return cost.nano;
}


mg_record_t *
ngx_http_model_exchange_record(ngx_http_model_exchange_t *x)
{
    return &((ngx_http_model_exchange_slot_t *) x)->record;
}


void
ngx_http_model_exchange_describe(ngx_http_model_exchange_t *x,
    mg_record_t *rec)
{
    mg_record_init(rec);
    rec->cost_reason = MG_COST_NO_USAGE;

    rec->id = x->id;
    ngx_memcpy(rec->group_id.b, x->group.id_bytes, 16);
    ngx_memcpy(rec->org_id.b, x->group.org_bytes, 16);
    ngx_memcpy(rec->token_id.b, x->token_bytes, 16);
    ngx_memcpy(rec->key_hash, x->key_hash, 16);

    rec->created_at = x->begun_us;
    rec->key_source = x->key_source;
    rec->bucket = x->bucket;
    rec->stream = x->stream;
    rec->price_version = x->served.price_version;
    ngx_memcpy(rec->span_id, x->span_id, sizeof(rec->span_id));
    rec->flags = (x->forced ? MG_RECORD_FORCED : 0)
                 | (x->dry_run ? MG_RECORD_DRY_RUN : 0);
    rec->request_bytes = x->request_bytes;

    ngx_http_model_exchange_strings(x, rec);
}


/* No arguments of the URI: some clients send their keys there. */

static void
ngx_http_model_exchange_strings(ngx_http_model_exchange_t *x,
    mg_record_t *rec)
{
    mg_str_t            *s;
    ngx_http_request_t  *r;

    r = x->request;
    s = rec->str;

    s[MG_RS_TABLE] = x->group.table;
    s[MG_RS_GROUP] = x->group.name;
    s[MG_RS_MODEL_REQUESTED] = ngx_http_model_exchange_str(x->requested);
    s[MG_RS_MODEL_ASSIGNED] = x->assigned.model_id;
    s[MG_RS_MODEL_SERVED] = x->served.model_id;
    s[MG_RS_UPSTREAM_MODEL] = x->served.upstream_model;
    s[MG_RS_PROVIDER] = x->backend.id;
    s[MG_RS_REQUEST_ID] = ngx_http_model_exchange_str(x->request_id);
    s[MG_RS_UPSTREAM_REQUEST_ID] = ngx_http_model_exchange_str(x->upstream_id);
    s[MG_RS_TRACEPARENT] = ngx_http_model_exchange_str(x->traceparent);
    s[MG_RS_METHOD] = ngx_http_model_exchange_str(r->method_name);
    s[MG_RS_PATH] = ngx_http_model_exchange_str(x->path);
    s[MG_RS_CLIENT] = ngx_http_model_exchange_str(r->connection->addr_text);

    if (x->served.model_id.len) {
        s[MG_RS_ROLE] = mg_member_role_names[x->served.role];
    }
}


void
ngx_http_model_exchange_watch(void (*whole)(ngx_http_model_exchange_t *x),
    void (*end)(ngx_http_model_exchange_t *x))
{
    ngx_http_model_exchange_on_whole = whole;
    ngx_http_model_exchange_on_end = end;
}


void
ngx_http_model_exchange_whole(ngx_http_model_exchange_t *x)
{
    if (x->whole) {
        return;
    }

    x->whole = 1;

    if (ngx_http_model_exchange_on_whole) {
        ngx_http_model_exchange_on_whole(x);
    }
}


void
ngx_http_model_exchange_end(ngx_http_model_exchange_t *x)
{
    if (ngx_http_model_exchange_on_end) {
        ngx_http_model_exchange_on_end(x);
    }
}


void
ngx_http_model_exchange_on_answer(
    ngx_int_t (*judge)(ngx_http_model_exchange_t *x),
    void (*done)(ngx_http_model_exchange_t *x, ngx_int_t rc))
{
    ngx_http_model_exchange_judged = judge;
    ngx_http_model_exchange_finished = done;
}


ngx_int_t
ngx_http_model_exchange_judge(ngx_http_model_exchange_t *x)
{
    return ngx_http_model_exchange_judged
           ? ngx_http_model_exchange_judged(x) : NGX_OK;
}


void
ngx_http_model_exchange_done(ngx_http_model_exchange_t *x, ngx_int_t rc)
{
    if (ngx_http_model_exchange_finished) {
        ngx_http_model_exchange_finished(x, rc);
    }
}


void
ngx_http_model_exchange_on_decision(
    ngx_int_t (*decided)(ngx_http_model_exchange_t *x))
{
    ngx_http_model_exchange_beside = decided;
}


ngx_int_t
ngx_http_model_exchange_decided(ngx_http_model_exchange_t *x)
{
    return ngx_http_model_exchange_beside
           ? ngx_http_model_exchange_beside(x) : NGX_OK;
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


void
ngx_http_model_exchange_exit(void)
{
    ngx_queue_t  *q;

    if (ngx_http_model_exchanges.next == NULL) {
        return;
    }

    while (!ngx_queue_empty(&ngx_http_model_exchanges_idle)) {
        q = ngx_queue_head(&ngx_http_model_exchanges_idle);

        ngx_queue_remove(q);
        ngx_http_model_exchanges_kept--;

        ngx_free(ngx_queue_data(q, ngx_http_model_exchange_t, queue));
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

    ngx_http_model_exchange_free(x);
}


static ngx_http_model_exchange_t *
ngx_http_model_exchange_alloc(ngx_log_t *log)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&ngx_http_model_exchanges_idle)) {
        return ngx_alloc(sizeof(ngx_http_model_exchange_slot_t), log);
    }

    q = ngx_queue_head(&ngx_http_model_exchanges_idle);

    ngx_queue_remove(q);
    ngx_http_model_exchanges_kept--;

    return ngx_queue_data(q, ngx_http_model_exchange_t, queue);
}


static void
ngx_http_model_exchange_free(ngx_http_model_exchange_t *x)
{
    if (ngx_http_model_exchanges_kept == NGX_HTTP_MODEL_EXCHANGE_KEEP) {
        ngx_free(x);
        return;
    }

    ngx_queue_insert_head(&ngx_http_model_exchanges_idle, &x->queue);
    ngx_http_model_exchanges_kept++;
}
