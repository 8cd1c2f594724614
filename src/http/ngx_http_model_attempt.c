/*
 * ngx_http_model_attempt.c: the attempts of one inference, for its record.
 *
 * The list of variants that failed is made when they fail; the text only when
 * it is recorded, and only where more than one connection was tried.
 *
 *     r->upstream_states:  [ a1 ][ a2 ][ - ][ b1 ]      - : a new proxy
 *     x->failed:           { a, up to 2 }
 *
 * The text ends with a whole attempt before it is longer than a record takes.
 *
 * Event loop only; memory from r->pool.
 */

#include "http/ngx_http_model_attempt.h"

#include "base/mg_jw.h"


/* What one attempt may add, with names as long as they can be. */
#define NGX_HTTP_MODEL_ATTEMPT_MAX   768


struct ngx_http_model_attempt_s {
    struct ngx_http_model_attempt_s  *next;       /* later */
    mg_str_t                          served;
    mg_str_t                          provider;
    ngx_uint_t                        states;     /* behind its last */
};


static void ngx_http_model_attempt_write(mg_jw_t *w,
    const ngx_http_upstream_state_t *s, mg_str_t served, mg_str_t provider);
static mg_str_t ngx_http_model_attempt_class(
    const ngx_http_upstream_state_t *s);


void
ngx_http_model_attempt_failed(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, mg_str_t served, mg_str_t provider)
{
    struct ngx_http_model_attempt_s  *a, **last;

    if (r->upstream_states == NULL) {
        return;
    }

    a = ngx_palloc(r->pool, sizeof(struct ngx_http_model_attempt_s));
    if (a == NULL) {
        return;
    }

    a->next = NULL;
    a->served = served;
    a->provider = provider;
    a->states = r->upstream_states->nelts;

    for (last = &x->failed; *last; last = &(*last)->next) { /* void */ }

    *last = a;
}


mg_str_t
ngx_http_model_attempt_log(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    mg_jw_t                           w;
    mg_buf_t                          b;
    mg_str_t                          text;
    ngx_uint_t                        i, last;
    ngx_http_upstream_state_t        *state;
    struct ngx_http_model_attempt_s  *a;

    state = r->upstream_states->elts;
    last = r->upstream_states->nelts;

    while (last && state[--last].peer == NULL) { /* void */ }

    mg_buf_init(&b, MG_RECORD_ATTEMPTS_MAX);
    mg_jw_init(&w, &b);
    mg_jw_array(&w, NULL);

    a = x->failed;

    for (i = 0; i < last; i++) {

        while (a && i >= a->states) {
            a = a->next;
        }

        if (state[i].peer == NULL) {
            continue;
        }

        if (b.len > MG_RECORD_ATTEMPTS_MAX - NGX_HTTP_MODEL_ATTEMPT_MAX) {
            break;
        }

        ngx_http_model_attempt_write(&w, &state[i],
                                     a ? a->served : x->served.model_id,
                                     a ? a->provider : x->backend.id);
    }

    mg_jw_end_array(&w);

    text = mg_str_null;

    if (!b.failed && b.len > sizeof("[]") - 1) {
        text.data = ngx_pnalloc(r->pool, b.len);

        if (text.data) {
            ngx_memcpy((char *) text.data, b.data, b.len);
            text.len = b.len;
        }
    }

    mg_buf_free(&b);

    return text;
}


/* A status is the provider's: there is none where it has not answered. */

static void
ngx_http_model_attempt_write(mg_jw_t *w, const ngx_http_upstream_state_t *s,
    mg_str_t served, mg_str_t provider)
{
    mg_jw_object(w, NULL);

    mg_jw_str(w, "variant", served);
    mg_jw_str(w, "provider", provider);
    mg_jw_str(w, "address", mg_str_n((char *) s->peer->data, s->peer->len));

    if (s->header_time != (ngx_msec_t) -1) {
        mg_jw_int(w, "status", s->status);
    }

    mg_jw_str(w, "error", ngx_http_model_attempt_class(s));

    if (s->response_time != (ngx_msec_t) -1) {
        mg_jw_int(w, "ms", s->response_time);
    }

    mg_jw_end_object(w);
}


/* Names as of the record's error_class. */

static mg_str_t
ngx_http_model_attempt_class(const ngx_http_upstream_state_t *s)
{
    if (s->header_time == (ngx_msec_t) -1) {

        if (s->status == NGX_HTTP_GATEWAY_TIME_OUT) {
            return mg_str("timeout");
        }

        return s->connect_time == (ngx_msec_t) -1 ? mg_str("connect")
                                                  : mg_str("bad_answer");
    }

    if (s->status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return mg_str("upstream_5xx");
    }

    return s->status >= NGX_HTTP_BAD_REQUEST ? mg_str("upstream_4xx")
                                             : mg_str("bad_answer");
}
