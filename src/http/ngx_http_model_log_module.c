/*
 * ngx_http_model_log_module.c: one record an inference.
 *
 * A handler of the LOG phase, so it sees every request with an exchange
 * once and at its end, however it ended: served, refused by the gateway,
 * left by the client, cut by the provider.  An answer whose last byte went
 * out is recorded at once: nginx may keep a request of a connection that
 * closes for seconds more, which are no latency.  And before that byte goes
 * out the record is kept aside as if all had ended well: a client that has
 * its answer has its record, even if the worker is killed in between.
 *
 * It fills the record of the exchange, counts it for /metrics and encodes it
 * into the worker's ring; the rest is the recorder's.  No allocation, no
 * formatting, no lock.
 *
 * Status on record: what the client was sent, but 499 where the client left
 * before the answer was complete, even if a 200 had gone out before.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_attempt.h"
#include "http/ngx_http_model_capture.h"
#include "http/ngx_http_model_exchange.h"
#include "http/ngx_http_model_recorder.h"
#include "model/mg_policy.h"


#define NGX_HTTP_MODEL_LOG_GUESSES   16      /* power of two */


static ngx_int_t ngx_http_model_log_handler(ngx_http_request_t *r);
static void ngx_http_model_log_whole(ngx_http_model_exchange_t *x);
static void ngx_http_model_log_exchange(ngx_http_model_exchange_t *x);
static void ngx_http_model_log_cut(ngx_http_model_exchange_t *x);
static void ngx_http_model_log_outcome(ngx_http_model_exchange_t *x,
    mg_record_t *rec);
static void ngx_http_model_log_usage(ngx_http_model_exchange_t *x,
    mg_record_t *rec);
static void ngx_http_model_log_bodies(ngx_http_model_exchange_t *x,
    mg_record_t *rec);
static ngx_uint_t ngx_http_model_log_status(ngx_http_request_t *r);
static ngx_http_upstream_state_t *ngx_http_model_log_attempts(
    ngx_http_model_exchange_t *x, mg_record_t *rec);
static ngx_uint_t ngx_http_model_log_truncated(ngx_http_model_exchange_t *x);
static mg_str_t ngx_http_model_log_class(ngx_http_model_exchange_t *x,
    mg_record_t *rec, ngx_http_upstream_state_t *state, ngx_uint_t gone);
static ngx_uint_t ngx_http_model_log_fault(mg_str_t class);
static void ngx_http_model_log_tally(ngx_http_model_exchange_t *x,
    const mg_record_t *rec);
static void ngx_http_model_log_metrics(ngx_http_request_t *r, mg_buf_t *b);
static ngx_int_t ngx_http_model_log_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_model_log_init_process(ngx_cycle_t *cycle);
static void ngx_http_model_log_exit_process(ngx_cycle_t *cycle);


#define ngx_http_model_log_str(s)                                             \
    mg_str_n((const char *) (s).data, (s).len)


static ngx_http_module_t  ngx_http_model_log_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_model_log_postconfiguration,  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_model_log_module = {
    NGX_MODULE_V1,
    &ngx_http_model_log_module_ctx,        /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_model_log_init_process,       /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_model_log_exit_process,       /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* Failures of the variant; the others are the client's or the gateway's. */

static const mg_str_t  ngx_http_model_log_faults[] = {
    { "timeout", 7 },
    { "connect", 7 },
    { "bad_answer", 10 },
    { "upstream_5xx", 12 },
    { "upstream_error", 14 },
    { "truncated", 9 }
};


static ngx_int_t
ngx_http_model_log_handler(ngx_http_request_t *r)
{
    ngx_http_model_exchange_t  *x;

    x = ngx_http_model_exchange_get(r);

    if (x) {
        ngx_http_model_log_exchange(x);
    }

    return NGX_OK;
}


/* The client is about to have its answer: what would be said if it had. */

static void
ngx_http_model_log_whole(ngx_http_model_exchange_t *x)
{
    ngx_uint_t                  ended;
    mg_record_t                *rec;
    ngx_http_model_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(x->request, ngx_http_model_module);

    rec = ngx_http_model_exchange_record(x);
    ended = x->ended;
    x->ended = 1;

    ngx_http_model_exchange_describe(x, rec);
    ngx_http_model_log_outcome(x, rec);

    x->ended = ended;

    if (!conf->record) {
        return;
    }

    x->pending = ngx_http_model_recorder_pend(rec, &x->pending_size);
}


static void
ngx_http_model_log_exchange(ngx_http_model_exchange_t *x)
{
    mg_str_t                    class;
    mg_record_t                *rec;
    ngx_http_model_loc_conf_t  *conf;

    if (x->logged) {
        return;
    }

    conf = ngx_http_get_module_loc_conf(x->request, ngx_http_model_module);

    x->logged = 1;
    rec = ngx_http_model_exchange_record(x);

    if (!x->whole) {
        ngx_http_model_exchange_describe(x, rec);
    }

    class = rec->str[MG_RS_ERROR_CLASS];

    ngx_http_model_log_outcome(x, rec);
    ngx_http_model_log_tally(x, rec);

    /* of an error nobody expects usage */

    if (x->reader && x->ended && x->received
        && rec->status < NGX_HTTP_BAD_REQUEST && mg_usage_missed(x->reader))
    {
        mg_metric_add(ngx_http_model_counters(), TAP_LOST, 1);
    }

    if (!conf->record) {
        return;
    }

    /* of its strings no other can have changed since the answer was whole */

    ngx_http_model_recorder_add(rec,
                                mg_str_eq(class, rec->str[MG_RS_ERROR_CLASS])
                                ? x->pending : NULL, x->pending_size);

    if (x->pending) {
        ngx_http_model_recorder_unpend(x->pending, x->pending_size);
        x->pending = NULL;
    }
}


static void
ngx_http_model_log_cut(ngx_http_model_exchange_t *x)
{
    x->cut = !x->ended;

    ngx_http_model_log_exchange(x);
}


static void
ngx_http_model_log_outcome(ngx_http_model_exchange_t *x, mg_record_t *rec)
{
    ngx_uint_t                  gone;
    ngx_http_request_t         *r;
    ngx_http_upstream_state_t  *state;

    r = x->request;

    rec->latency_us = (x->now_us ? x->now_us : mg_mono_us()) - x->mono_us;
    rec->ttft_us = x->ttft_us;
    rec->response_bytes = x->received;

    state = ngx_http_model_log_attempts(x, rec);

    rec->status = ngx_http_model_log_status(r);
    rec->truncated = ngx_http_model_log_truncated(x);

    /* a provider may answer 499, too */

    gone = ((rec->status == NGX_HTTP_CLIENT_CLOSED_REQUEST
             && !(x->ended
                  && rec->upstream_status == NGX_HTTP_CLIENT_CLOSED_REQUEST))
            || (!x->ended && r->connection->error));

    if (gone) {
        rec->status = NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }

    ngx_http_model_log_usage(x, rec);

    if (x->group.bodies) {
        ngx_http_model_log_bodies(x, rec);
    }

    rec->str[MG_RS_ERROR_CLASS] = ngx_http_model_log_class(x, rec, state,
                                                           gone);
}


static void
ngx_http_model_log_usage(ngx_http_model_exchange_t *x, mg_record_t *rec)
{
    mg_cost_reason_e  reason;

    if (x->reader == NULL || !x->reader->seen) {
        return;
    }

    rec->usage_source = mg_usage_source(x->reader, !rec->truncated);

    /* as a rule the figures are those of when the answer was whole */

    if (ngx_memcmp(&rec->usage, &x->reader->usage, sizeof(mg_usage_t)) == 0) {
        return;
    }

    rec->usage = x->reader->usage;
    rec->cost_nano = ngx_http_model_exchange_cost(x, &reason);
    rec->cost_reason = reason;
}


static void
ngx_http_model_log_bodies(ngx_http_model_exchange_t *x, mg_record_t *rec)
{
    rec->bodies = 0;
    rec->request_body = x->request_body;
    rec->response_body = ngx_http_model_capture_response(x);

    if (rec->request_body.len) {
        rec->bodies |= MG_POLICY_REQUEST_BODY;
    }

    if (rec->response_body.len) {
        rec->bodies |= MG_POLICY_RESPONSE_BODY;
    }
}


static ngx_uint_t
ngx_http_model_log_status(ngx_http_request_t *r)
{
    return r->err_status ? r->err_status : r->headers_out.status;
}


/* Counts the connections that were tried; the last one's state, or NULL. */

static ngx_http_upstream_state_t *
ngx_http_model_log_attempts(ngx_http_model_exchange_t *x, mg_record_t *rec)
{
    ngx_uint_t                  i;
    ngx_http_request_t         *r;
    ngx_http_upstream_state_t  *state, *last;

    r = x->request;
    rec->attempts = 0;

    if (r->upstream_states == NULL) {
        return NULL;
    }

    state = r->upstream_states->elts;
    last = NULL;

    for (i = 0; i < r->upstream_states->nelts; i++) {
        if (state[i].peer) {
            rec->attempts++;
            last = &state[i];
        }
    }

    if (last == NULL) {
        return NULL;
    }

    rec->str[MG_RS_UPSTREAM_ADDR] = ngx_http_model_log_str(*last->peer);

    if (rec->attempts > 1 && rec->str[MG_RS_ATTEMPTS].len == 0) {
        rec->str[MG_RS_ATTEMPTS] = ngx_http_model_attempt_log(r, x);
    }

    if (last->response_time != (ngx_msec_t) -1) {
        rec->upstream_us = (int64_t) last->response_time * 1000;
    }

    if (last->header_time != (ngx_msec_t) -1) {
        rec->upstream_status = last->status;
    }

    return last;
}


/* An answer began and did not come to its end. */

static ngx_uint_t
ngx_http_model_log_truncated(ngx_http_model_exchange_t *x)
{
    if (!x->answered) {
        return 0;
    }

    if (!x->ended) {
        return 1;
    }

    return x->reader && mg_usage_truncated(x->reader);
}


static mg_str_t
ngx_http_model_log_class(ngx_http_model_exchange_t *x, mg_record_t *rec,
    ngx_http_upstream_state_t *state, ngx_uint_t gone)
{
    if (x->refused) {
        return rec->status < 500 ? mg_str("refused") : mg_str("no_backend");
    }

    if (gone) {
        return mg_str("client_closed");
    }

    if (x->cut) {
        return mg_str("shutdown");
    }

    if (!x->answered) {

        if (state == NULL || state->connect_time == (ngx_msec_t) -1) {
            return rec->status == NGX_HTTP_GATEWAY_TIME_OUT
                   ? mg_str("timeout") : mg_str("connect");
        }

        return rec->status == NGX_HTTP_GATEWAY_TIME_OUT
               ? mg_str("timeout") : mg_str("bad_answer");
    }

    if (rec->status >= 500) {
        return mg_str("upstream_5xx");
    }

    if (rec->status >= 400) {
        return mg_str("upstream_4xx");
    }

    if (x->reader && x->reader->error) {
        return mg_str("upstream_error");
    }

    if (rec->truncated) {
        return mg_str("truncated");
    }

    return mg_str("");
}


static ngx_uint_t
ngx_http_model_log_fault(mg_str_t class)
{
    ngx_uint_t  i;

    if (class.len == 0) {
        return 0;
    }

    for (i = 0;
         i < sizeof(ngx_http_model_log_faults)
             / sizeof(ngx_http_model_log_faults[0]);
         i++)
    {
        if (mg_str_eq(class, ngx_http_model_log_faults[i])) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_model_log_tally(ngx_http_model_exchange_t *x, const mg_record_t *rec)
{
    uint32_t           n;
    mg_tally_t         t;
    mg_tally_cell_t   *cells, **guess;

    static mg_tally_cell_t  *guesses[NGX_HTTP_MODEL_LOG_GUESSES];

    cells = ngx_http_model_recorder_cells(&n);

    if (cells == NULL || x->dry_run) {
        return;
    }

    t.group = rec->str[MG_RS_GROUP];
    t.variant = rec->str[MG_RS_MODEL_SERVED];
    t.role = rec->str[MG_RS_ROLE];
    t.status = rec->status;
    t.error = ngx_http_model_log_fault(rec->str[MG_RS_ERROR_CLASS]);
    t.duration_us = rec->latency_us;
    t.ttft_us = rec->ttft_us;
    t.usage = &rec->usage;

    guess = &guesses[((uintptr_t) t.variant.data >> 4)
                     & (NGX_HTTP_MODEL_LOG_GUESSES - 1)];

    t.guess = *guess;
    *guess = mg_tally_add(cells, n, &t);
}


static void
ngx_http_model_log_metrics(ngx_http_request_t *r, mg_buf_t *b)
{
    uint32_t          n;
    mg_tally_cell_t  *cells;

    cells = ngx_http_model_recorder_cells(&n);

    if (cells) {
        mg_tally_write(b, cells, n);
    }

    mg_buf_printf(b, "# HELP nginx_model_records_waiting Bytes of inference "
                  "records that are neither in the database nor in the "
                  "spool.\n"
                  "# TYPE nginx_model_records_waiting gauge\n"
                  "nginx_model_records_waiting %llu\n",
                  (unsigned long long) ngx_http_model_recorder_waiting());
}


static ngx_int_t
ngx_http_model_log_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt         *h;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_model_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_model_module);

    if (mcf->zone == NULL) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_model_log_handler;

    ngx_http_model_exchange_watch(ngx_http_model_log_whole,
                                  ngx_http_model_log_exchange);

    if (ngx_http_model_recorder_areas(cf, mcf) != NGX_OK
        || ngx_http_model_metric_add(cf, ngx_http_model_log_metrics) != NGX_OK
        || ngx_http_model_hook_add(cf, NGX_HTTP_MODEL_HOOK_LEAVE,
                                   ngx_http_model_recorder_leave)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_model_log_init_process(ngx_cycle_t *cycle)
{
    ngx_http_model_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_model_module);

    if (mcf == NULL || mcf->zone == NULL) {
        return NGX_OK;
    }

    return ngx_http_model_recorder_init(cycle, mcf);
}


/*
 * A worker that is stopped (TERM) leaves requests behind that nobody logs:
 * answered ones whose connection lingers, and those that it cuts.
 */

static void
ngx_http_model_log_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_model_recorder_close();
    ngx_http_model_exchange_each(ngx_http_model_log_cut);
    ngx_http_model_recorder_exit();
    ngx_http_model_exchange_exit();
}
