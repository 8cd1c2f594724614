/*
 * ngx_http_model_health.c: breakers of backends and the budget of retries.
 *
 * A slot is found by the provider's name once for each snapshot and then
 * remembered by the backend's index.  Only failures write to shared memory,
 * and successes that follow one: workers that are well share the line of a
 * slot without taking it from one another.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_fallback.h"
#include "http/ngx_http_model_health.h"
#include "base/mg_hash.h"
#include "model/mg_window.h"


#define NGX_HTTP_MODEL_HEALTH_SLOTS    64      /* power of two */

/* A share of failures opens a breaker: percent, of at least so many. */
#define NGX_HTTP_MODEL_HEALTH_SHARE    50
#define NGX_HTTP_MODEL_HEALTH_LEAST    20

/* Retries in a window that are no question of share. */
#define NGX_HTTP_MODEL_HEALTH_FLOOR    10

/* The longest pause that a provider can ask for, seconds. */
#define NGX_HTTP_MODEL_HEALTH_PAUSE    3600

/* Seconds between two words of a worker about a provider without address. */
#define NGX_HTTP_MODEL_HEALTH_TELL     60


/* A gate that was found, with the snapshot that the index is of. */
typedef struct {
    mg_snap_t                 *snap;
    uint64_t                   serial;
    uint32_t                   index;
    mg_gate_t                 *gate;
} ngx_http_model_health_slot_t;


/* Lines of one provider, and what stands before those of all. */
typedef void (*ngx_http_model_health_lines_pt)(mg_buf_t *b,
    const mg_gate_view_t *view, const mg_gate_t *g);

typedef struct {
    const char                      *head;
    ngx_http_model_health_lines_pt   lines;
} ngx_http_model_health_family_t;


static mg_gate_t *ngx_http_model_health_find(ngx_http_model_exchange_t *x);
static const mg_breaker_limits_t *ngx_http_model_health_limits(
    ngx_http_model_exchange_t *x);
static uint64_t ngx_http_model_health_server(const mg_routing_backend_t *b);
static ngx_uint_t ngx_http_model_health_ill(mg_gate_outcome_e outcome);
static ngx_uint_t ngx_http_model_health_share(mg_window_t *w, uint32_t now);
static void ngx_http_model_health_hold(ngx_http_model_exchange_t *x,
    ngx_int_t seconds);
static void ngx_http_model_health_each(mg_buf_t *b,
    ngx_http_model_health_lines_pt lines);
static void ngx_http_model_health_breaker(mg_buf_t *b,
    const mg_gate_view_t *view, const mg_gate_t *g);
static void ngx_http_model_health_opens(mg_buf_t *b,
    const mg_gate_view_t *view, const mg_gate_t *g);
static void ngx_http_model_health_paused(mg_buf_t *b,
    const mg_gate_view_t *view, const mg_gate_t *g);
static void ngx_http_model_health_failures(mg_buf_t *b,
    const mg_gate_view_t *view, const mg_gate_t *g);


/* Where "model_fallback" says nothing else. */
static const mg_breaker_limits_t  ngx_http_model_health_default = {
    NGX_HTTP_MODEL_FALLBACK_FAILURES, NGX_HTTP_MODEL_FALLBACK_PAUSE
};

static mg_gates_t   *ngx_http_model_health_gates;

/* This worker's. */
static mg_window_t   ngx_http_model_health_windows[MG_GATE_SLOTS];
static mg_window_t   ngx_http_model_health_retries;
static uint32_t      ngx_http_model_health_told[MG_GATE_SLOTS];


#define ngx_http_model_health_now()   ((uint32_t) (ngx_current_msec / 1000))


void
ngx_http_model_health_init(mg_gates_t *gates)
{
    ngx_http_model_health_gates = gates;
}


ngx_int_t
ngx_http_model_health_enter(ngx_http_model_exchange_t *x, ngx_uint_t forced)
{
    mg_gate_t   *g;
    ngx_uint_t   heeded;

    x->trying = 0;
    x->trial = 0;
    x->gate = ngx_http_model_health_find(x);

    g = x->gate;

    if (g == NULL) {
        return NGX_OK;
    }

    heeded = (x->fallback && !forced);

    if (heeded && mg_word_get(g->hold) > (uint64_t) ngx_current_msec * 1000) {
        return NGX_BUSY;
    }

    if (mg_word_get(g->breaker) == 0) {
        return NGX_OK;
    }

    /* one that is not heeded is tried all the same, or it would never close */

    switch (mg_breaker_move(&g->breaker, MG_BREAKER_ASK,
                            ngx_http_model_health_limits(x),
                            ngx_current_msec))
    {

    case MG_OK:
        return NGX_OK;

    case MG_AGAIN:
        x->trying = 1;
        return NGX_OK;

    default:

        if (!heeded) {
            return NGX_OK;
        }

        mg_gate_count(g, MG_GATE_OPEN);
        return NGX_DECLINED;
    }
}


void
ngx_http_model_health_absent(ngx_http_model_exchange_t *x, const char *what)
{
    uint32_t    now;
    mg_gate_t  *g;
    uint32_t   *told;

    g = ngx_http_model_health_find(x);

    if (g == NULL) {
        return;
    }

    mg_gate_count(g, MG_GATE_UNREACHABLE);

    now = ngx_http_model_health_now();
    told = &ngx_http_model_health_told[g - ngx_http_model_health_gates->slots];

    if (*told && now - *told < NGX_HTTP_MODEL_HEALTH_TELL) {
        return;
    }

    *told = now;

    ngx_log_error(NGX_LOG_WARN, x->request->connection->log, 0,
                  "model: provider \"%*s\" cannot be asked: %s",
                  x->backend.id.len, x->backend.id.data, what);
}


ngx_uint_t
ngx_http_model_health_well(ngx_http_model_exchange_t *x)
{
    uint64_t    word;
    mg_gate_t  *g;

    g = ngx_http_model_health_find(x);

    if (g == NULL) {
        return 1;
    }

    if (mg_word_get(g->hold) > (uint64_t) ngx_current_msec * 1000) {
        return 0;
    }

    /* a copy of the word is asked: the one that tries is a client's */

    word = mg_word_get(g->breaker);

    return word == 0
           || mg_breaker_move(&word, MG_BREAKER_ASK,
                              ngx_http_model_health_limits(x),
                              ngx_current_msec)
              != MG_DECLINED;
}


void
ngx_http_model_health_cancel(ngx_http_model_exchange_t *x)
{
    if (x->gate && x->trying) {
        (void) mg_breaker_move(&x->gate->breaker, MG_BREAKER_TRIED_NOTHING,
                               ngx_http_model_health_limits(x),
                               ngx_current_msec);
    }

    x->trying = 0;
}


void
ngx_http_model_health_leave(ngx_http_model_exchange_t *x,
    mg_gate_outcome_e outcome, ngx_int_t retry_after)
{
    uint32_t             now;
    mg_gate_t           *g;
    ngx_uint_t           ill;
    mg_window_t         *w;
    mg_breaker_event_e   event;

    g = x->gate;

    if (g == NULL) {
        return;
    }

    /* of a server that the provider has left meanwhile */

    if (outcome != MG_GATE_OK
        && mg_word_get(g->server) != ngx_http_model_health_server(&x->backend))
    {
        mg_gate_count(g, outcome);
        x->trying = 0;
        return;
    }

    ill = ngx_http_model_health_ill(outcome);
    now = ngx_http_model_health_now();
    w = &ngx_http_model_health_windows[g - ngx_http_model_health_gates->slots];

    mg_window_add(w, now, 1, ill);

    if (outcome != MG_GATE_OK) {
        mg_gate_count(g, outcome);
        ngx_http_model_health_hold(x, retry_after);
    }

    if (outcome == MG_GATE_LIMITED) {

        /* a limit that was reached tells nothing of the server's health */

        ngx_http_model_health_cancel(x);
        return;
    }

    if (ill) {
        /* a trial that has begun well and was cut has not ended well */

        event = x->trying ? MG_BREAKER_TRIED_ILL
                : x->trial || ngx_http_model_health_share(w, now)
                ? MG_BREAKER_SICK : MG_BREAKER_ILL;

    } else {

        if (mg_word_get(g->breaker) == 0) {
            return;
        }

        event = x->trying ? MG_BREAKER_TRIED_WELL : MG_BREAKER_WELL;
    }

    x->trying = 0;
    x->trial = (event == MG_BREAKER_TRIED_WELL);

    if (mg_breaker_move(&g->breaker, event, ngx_http_model_health_limits(x),
                        ngx_current_msec)
        == MG_AGAIN)
    {
        (void) mg_word_add(g->opens, 1);

        ngx_log_error(NGX_LOG_WARN, x->request->connection->log, 0,
                      "model: provider \"%*s\" fails, its breaker is open",
                      x->backend.id.len, x->backend.id.data);
    }

    if (event == MG_BREAKER_TRIED_WELL) {
        ngx_memzero(w, sizeof(mg_window_t));

        ngx_log_error(NGX_LOG_NOTICE, x->request->connection->log, 0,
                      "model: provider \"%*s\" answers again",
                      x->backend.id.len, x->backend.id.data);
    }
}


/* The slot of x->backend; NULL: it is not watched. */

static mg_gate_t *
ngx_http_model_health_find(ngx_http_model_exchange_t *x)
{
    char                           name[MG_GATE_NAME_MAX];
    size_t                         len;
    mg_gate_t                     *g;
    uint64_t                       serial;
    ngx_http_model_health_slot_t  *slot;

    static ngx_http_model_health_slot_t  slots[NGX_HTTP_MODEL_HEALTH_SLOTS];

    if (ngx_http_model_health_gates == NULL) {
        return NULL;
    }

    slot = &slots[x->backend.index & (NGX_HTTP_MODEL_HEALTH_SLOTS - 1)];
    serial = ngx_http_model_snap_serial(MG_SNAP_ROUTING);

    if (slot->snap == x->snap && slot->serial == serial
        && slot->index == x->backend.index)
    {
        return slot->gate;
    }

    slot->snap = x->snap;
    slot->serial = serial;
    slot->index = x->backend.index;

    len = mg_gate_name(x->backend.id, x->backend.org_id, name);

    g = mg_gate_find(ngx_http_model_health_gates, mg_str_n(name, len));
    slot->gate = g;

    /* the last one is what all share that found no slot */

    if (slot->gate == &ngx_http_model_health_gates->slots[MG_GATE_SLOTS - 1])
    {
        slot->gate = NULL;
        return NULL;
    }

    /* a request that began long ago may know another server of that name */

    if (x->snap == ngx_http_model_snap_current(MG_SNAP_ROUTING)
        && mg_gate_server(g, ngx_http_model_health_server(&x->backend)))
    {
        ngx_memzero(&ngx_http_model_health_windows[
                        g - ngx_http_model_health_gates->slots],
                    sizeof(mg_window_t));
    }

    return slot->gate;
}


/*
 * Who moves a provider, or gives it another key, does so because the server
 * fails, or because the account has used up what it may.
 */

static uint64_t
ngx_http_model_health_server(const mg_routing_backend_t *b)
{
    return (b->identity ^ mg_sum64(b->key_sealed.data, b->key_sealed.len)) | 1;
}


static const mg_breaker_limits_t *
ngx_http_model_health_limits(ngx_http_model_exchange_t *x)
{
    return x->fallback ? &x->fallback->limits
                       : &ngx_http_model_health_default;
}


static ngx_uint_t
ngx_http_model_health_ill(mg_gate_outcome_e outcome)
{
    return outcome == MG_GATE_FAILED || outcome == MG_GATE_UNREACHABLE
           || outcome == MG_GATE_TIMED_OUT || outcome == MG_GATE_BAD_ANSWER;
}


static ngx_uint_t
ngx_http_model_health_share(mg_window_t *w, uint32_t now)
{
    uint32_t  all, ill;

    mg_window_sum(w, now, &all, &ill);

    return all >= NGX_HTTP_MODEL_HEALTH_LEAST
           && (uint64_t) ill * 100
              >= (uint64_t) all * NGX_HTTP_MODEL_HEALTH_SHARE;
}


/* Of two pauses the longer one holds. */

static void
ngx_http_model_health_hold(ngx_http_model_exchange_t *x, ngx_int_t seconds)
{
    uint64_t    seen, hold;
    mg_gate_t  *g;

    if (seconds <= 0) {
        return;
    }

    g = x->gate;
    hold = ((uint64_t) ngx_current_msec
            + (uint64_t) ngx_min(seconds, NGX_HTTP_MODEL_HEALTH_PAUSE) * 1000)
           * 1000;

    seen = mg_word_get(g->hold);

    if (seen <= (uint64_t) ngx_current_msec * 1000) {
        ngx_log_error(NGX_LOG_NOTICE, x->request->connection->log, 0,
                      "model: provider \"%*s\" asks for a pause of %i s",
                      x->backend.id.len, x->backend.id.data,
                      ngx_min(seconds, NGX_HTTP_MODEL_HEALTH_PAUSE));
    }

    while (seen < hold
           && !__atomic_compare_exchange_n(&g->hold, &seen, hold, 0,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE))
    {
        /* void */
    }
}


/* -- the budget of retries -- */

void
ngx_http_model_health_request(void)
{
    mg_window_add(&ngx_http_model_health_retries,
                  ngx_http_model_health_now(), 1, 0);
}


ngx_uint_t
ngx_http_model_health_retry(ngx_uint_t percent)
{
    uint32_t  now;

    now = ngx_http_model_health_now();

    if (!mg_window_room(&ngx_http_model_health_retries, now, percent,
                        percent ? NGX_HTTP_MODEL_HEALTH_FLOOR : 0))
    {
        return 0;
    }

    mg_window_add(&ngx_http_model_health_retries, now, 0, 1);

    return 1;
}


/* -- metrics -- */

void
ngx_http_model_health_metrics(ngx_http_request_t *r, mg_buf_t *b)
{
    ngx_uint_t  i;

    static const ngx_http_model_health_family_t  families[] = {

        { "# HELP nginx_model_backend_breaker 1 for the state that the "
          "breaker of a provider is in.\n"
          "# TYPE nginx_model_backend_breaker gauge\n",
          ngx_http_model_health_breaker },

        { "# HELP nginx_model_backend_breaker_opens_total How often it has "
          "opened.\n"
          "# TYPE nginx_model_backend_breaker_opens_total counter\n",
          ngx_http_model_health_opens },

        { "# HELP nginx_model_backend_paused_seconds How long it still wants "
          "not to be asked.\n"
          "# TYPE nginx_model_backend_paused_seconds gauge\n",
          ngx_http_model_health_paused },

        { "# HELP nginx_model_backend_failures_total Attempts that failed, "
          "and those that an open breaker refused.\n"
          "# TYPE nginx_model_backend_failures_total counter\n",
          ngx_http_model_health_failures }
    };

    if (ngx_http_model_health_gates == NULL) {
        return;
    }

    for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        mg_buf_z(b, families[i].head);
        ngx_http_model_health_each(b, families[i].lines);
    }
}


/* Every provider that has a slot of its own. */

static void
ngx_http_model_health_each(mg_buf_t *b, ngx_http_model_health_lines_pt lines)
{
    ngx_uint_t      i;
    mg_gate_view_t  view;

    for (i = 0; i < MG_GATE_SLOTS - 1; i++) {
        if (mg_gate_view(ngx_http_model_health_gates, i, 0, &view)) {
            lines(b, &view, &ngx_http_model_health_gates->slots[i]);
        }
    }
}


static void
ngx_http_model_health_breaker(mg_buf_t *b, const mg_gate_view_t *view,
    const mg_gate_t *g)
{
    ngx_uint_t          k;
    mg_breaker_state_e  state;

    state = mg_breaker_state(mg_word_get(g->breaker));

    for (k = 0; k < MG_BREAKER_N; k++) {
        mg_buf_z(b, "nginx_model_backend_breaker{provider=\"");
        mg_metric_label(b, mg_str_z(view->name));
        mg_buf_printf(b, "\",state=\"%.*s\"} %d\n",
                      MG_STR_ARG(mg_breaker_state_names[k]), k == state);
    }
}


static void
ngx_http_model_health_opens(mg_buf_t *b, const mg_gate_view_t *view,
    const mg_gate_t *g)
{
    mg_buf_z(b, "nginx_model_backend_breaker_opens_total{provider=\"");
    mg_metric_label(b, mg_str_z(view->name));
    mg_buf_printf(b, "\"} %llu\n", (unsigned long long) mg_word_get(g->opens));
}


static void
ngx_http_model_health_paused(mg_buf_t *b, const mg_gate_view_t *view,
    const mg_gate_t *g)
{
    int64_t  left;

    left = (int64_t) mg_word_get(g->hold) - (int64_t) ngx_current_msec * 1000;

    mg_buf_z(b, "nginx_model_backend_paused_seconds{provider=\"");
    mg_metric_label(b, mg_str_z(view->name));
    mg_buf_printf(b, "\"} %lld\n",
                  left > 0 ? (long long) (left / 1000000 + 1) : 0LL);
}


static void
ngx_http_model_health_failures(mg_buf_t *b, const mg_gate_view_t *view,
    const mg_gate_t *g)
{
    ngx_uint_t  k;

    for (k = 0; k < MG_GATE_N; k++) {
        if (view->outcomes[k] == 0) {
            continue;
        }

        mg_buf_z(b, "nginx_model_backend_failures_total{provider=\"");
        mg_metric_label(b, mg_str_z(view->name));
        mg_buf_printf(b, "\",outcome=\"%.*s\"} %llu\n",
                      MG_STR_ARG(mg_gate_outcome_names[k]),
                      (unsigned long long) view->outcomes[k]);
    }
}
