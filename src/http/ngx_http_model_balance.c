/*
 * ngx_http_model_balance.c: which of a backend's addresses is asked.
 *
 * Two are drawn at random, and the request goes to the one that is likely
 * to answer sooner: latency of late, as all workers have met it (peak EWMA
 * in a cell of the zone), times the requests that this worker has under way
 * there, plus one.  Two, because drawing the best of all would send
 * everybody to the same server at once.  A failure keeps an address out of
 * the draw for some seconds, and so do its probes; when all are out they are
 * drawn all the same.
 *
 * Latency is the time to the header of the answer: how long a stream goes
 * on says nothing of its server.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_address.h"
#include "http/ngx_http_model_core.h"


#define NGX_HTTP_MODEL_BALANCE_AVOID    3000   /* ms after a failure */
#define NGX_HTTP_MODEL_BALANCE_SERIES   1000   /* addresses in metrics */


typedef void (*ngx_http_model_balance_line_pt)(mg_buf_t *b,
    const mg_peak_t *peak, mg_str_t labels);


static mg_peak_t *ngx_http_model_balance_peak(ngx_http_model_address_t *a);
static void ngx_http_model_balance_each(mg_buf_t *b,
    ngx_http_model_balance_line_pt line);
static void ngx_http_model_balance_labels(mg_buf_t *labels,
    const mg_routing_backend_t *backend, uint32_t i);
static void ngx_http_model_balance_latency(mg_buf_t *b,
    const mg_peak_t *peak, mg_str_t labels);
static void ngx_http_model_balance_up(mg_buf_t *b, const mg_peak_t *peak,
    mg_str_t labels);


ngx_http_model_address_t *
ngx_http_model_balance_choose(ngx_http_model_book_t *b,
    const mg_routing_backend_t *backend, uint32_t *tried)
{
    uint64_t                   cost, least;
    ngx_uint_t                 i, n, k, left, drawn, best;
    mg_peak_t                 *peak;
    ngx_uint_t                 places[MG_BACKEND_ADDRS_MAX];
    ngx_http_model_address_t  *a, *chosen;

    left = 0;

    for (i = 0; i < backend->n_addrs; i++) {
        if (!(*tried & ((uint32_t) 1 << i))) {
            places[left++] = i;
        }
    }

    chosen = NULL;
    least = 0;
    best = 0;

    for (drawn = 0; left && drawn < 2; /* void */ ) {
        k = (ngx_uint_t) ngx_random() % left;
        n = places[k];
        places[k] = places[--left];

        a = ngx_http_model_book_find(b, backend->identity,
                                     &backend->addrs[n],
                                     backend->addr_lens[n]);

        if (a == NULL) {
            break;
        }

        peak = ngx_http_model_balance_peak(a);
        cost = peak ? mg_peak_cost(peak, a->refs, ngx_current_msec) : 0;

        if (peak && mg_peak_avoided(peak, ngx_current_msec)) {
            cost = UINT64_MAX;

        } else {
            drawn++;
        }

        if (chosen == NULL || cost < least) {
            chosen = a;
            least = cost;
            best = n;
        }
    }

    *tried |= (uint32_t) 1 << best;

    return chosen;
}


/* Its cell in the zone, which may have gone to another address meanwhile. */

static mg_peak_t *
ngx_http_model_balance_peak(ngx_http_model_address_t *a)
{
    mg_env_t  *env;
    uint64_t   key;

    key = mg_peak_key(a->identity, &a->sockaddr, a->socklen);

    if (a->peak == NULL || mg_word_get(a->peak->key) != key) {
        env = ngx_http_model_env();
        a->peak = env ? mg_peak_find(env->peaks, key, ngx_current_msec)
                      : NULL;
    }

    return a->peak;
}


void
ngx_http_model_balance_note(ngx_http_model_address_t *a,
    ngx_http_upstream_t *u, ngx_uint_t state)
{
    uint64_t                    us;
    mg_peak_t                  *peak;
    ngx_http_upstream_state_t  *s;

    s = u->state;
    peak = ngx_http_model_balance_peak(a);

    if (peak == NULL || s == NULL) {
        return;
    }

    us = (uint64_t) (ngx_current_msec - u->start_time) * 1000;

    if (state & NGX_PEER_FAILED) {

        /* a kept connection may have been stale */

        if (!u->peer.cached) {
            mg_peak_failed(peak, us, ngx_current_msec);
            mg_peak_avoid(peak, NGX_HTTP_MODEL_BALANCE_AVOID,
                          ngx_current_msec);
        }

        return;
    }

    if (s->status >= 500 || s->status == NGX_HTTP_TOO_MANY_REQUESTS) {
        mg_peak_failed(peak, us, ngx_current_msec);
        return;
    }

    if (s->header_time == (ngx_msec_t) -1) {

        /* the client did not wait for it */

        return;
    }

    /* what takes less than the clock can tell took half a millisecond */

    mg_peak_answered(peak, (uint64_t) s->header_time * 1000 + 500,
                     ngx_current_msec);

    if (mg_word_get(peak->avoid)) {
        mg_peak_avoid(peak, 0, ngx_current_msec);
    }
}


/* -- metrics -- */

void
ngx_http_model_balance_metrics(ngx_http_request_t *r, mg_buf_t *b)
{
    mg_buf_z(b, "# HELP nginx_model_address_latency_seconds Time to the "
                "header of an answer, of late (peak EWMA), of providers "
                "with several addresses.\n"
                "# TYPE nginx_model_address_latency_seconds gauge\n");

    ngx_http_model_balance_each(b, ngx_http_model_balance_latency);

    mg_buf_z(b, "# HELP nginx_model_address_up 1 while the probes of an "
                "address succeed, 0 while they fail.\n"
                "# TYPE nginx_model_address_up gauge\n");

    ngx_http_model_balance_each(b, ngx_http_model_balance_up);
}


/* Every address of which the zone knows something. */

static void
ngx_http_model_balance_each(mg_buf_t *b, ngx_http_model_balance_line_pt line)
{
    mg_env_t              *env;
    mg_buf_t               labels;
    uint32_t               i, k, n, left;
    mg_peak_t             *peak;
    mg_snap_t             *snap;
    mg_routing_backend_t   backend;

    env = ngx_http_model_env();
    snap = ngx_http_model_snap_current(MG_SNAP_ROUTING);

    if (env == NULL || snap == NULL) {
        return;
    }

    mg_buf_init(&labels, 0);
    n = mg_routing_backends(snap);
    left = NGX_HTTP_MODEL_BALANCE_SERIES;

    for (i = 0; i < n && left; i++) {
        mg_routing_backend(snap, i, &backend);

        for (k = 0; k < backend.n_addrs && left; k++) {
            peak = mg_peak_look(env->peaks,
                                mg_peak_key(backend.identity,
                                            &backend.addrs[k],
                                            backend.addr_lens[k]));
            if (peak == NULL) {
                continue;
            }

            labels.len = 0;
            ngx_http_model_balance_labels(&labels, &backend, k);
            line(b, peak, mg_buf_view(&labels));
            left--;
        }
    }

    mg_buf_free(&labels);
}


static void
ngx_http_model_balance_labels(mg_buf_t *labels,
    const mg_routing_backend_t *backend, uint32_t i)
{
    char    name[MG_GATE_NAME_MAX];
    u_char  address[NGX_SOCKADDR_STRLEN];
    size_t  len;

    len = mg_gate_name(backend->id, backend->org_id, name);

    mg_buf_z(labels, "{provider=\"");
    mg_metric_label(labels, mg_str_n(name, len));

    len = ngx_sock_ntop((struct sockaddr *) &backend->addrs[i],
                        backend->addr_lens[i], address,
                        NGX_SOCKADDR_STRLEN, 1);

    mg_buf_z(labels, "\",address=\"");
    mg_metric_label(labels, mg_str_n((char *) address, len));
    mg_buf_z(labels, "\"}");
}


static void
ngx_http_model_balance_latency(mg_buf_t *b, const mg_peak_t *peak,
    mg_str_t labels)
{
    uint32_t  us;

    us = mg_peak_now(peak, ngx_current_msec);

    if (us) {
        mg_buf_printf(b, "nginx_model_address_latency_seconds%.*s %u.%06u\n",
                      MG_STR_ARG(labels), us / 1000000, us % 1000000);
    }
}


static void
ngx_http_model_balance_up(mg_buf_t *b, const mg_peak_t *peak,
    mg_str_t labels)
{
    mg_peak_state_e  state;

    state = mg_peak_state(peak, ngx_current_msec);

    if (state != MG_PEAK_UNPROBED) {
        mg_buf_printf(b, "nginx_model_address_up%.*s %d\n",
                      MG_STR_ARG(labels), state == MG_PEAK_UP);
    }
}
