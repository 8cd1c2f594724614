/*
 * ngx_http_model_capture.c: the bodies that a group wants to keep.
 *
 * The copies grow as bytes come and are freed with the request; the redactor
 * stops at their cap, so a long answer costs no more than a short one.  The
 * answer's copy stands still once the exchange is whole: from then on its
 * record is in the zone, and has this length.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_capture.h"

#include "model/mg_policy.h"
#include "model/mg_redact.h"


struct ngx_http_model_capture_s {
    mg_redact_t          redact;
    mg_buf_t             copy;
};


static struct ngx_http_model_capture_s *ngx_http_model_capture_create(
    ngx_http_request_t *r, ngx_http_model_exchange_t *x, ngx_uint_t which);
static void ngx_http_model_capture_cleanup(void *data);


void
ngx_http_model_capture_request(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, mg_str_t head)
{
    ngx_buf_t                        *b;
    ngx_chain_t                      *cl;
    struct ngx_http_model_capture_s  *c;

    if (r->request_body == NULL) {
        return;
    }

    c = ngx_http_model_capture_create(r, x, MG_POLICY_REQUEST_BODY);
    if (c == NULL) {
        return;
    }

    if (head.len) {
        mg_redact_feed(&c->redact, head.data, head.len, &c->copy);

    } else {
        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            b = cl->buf;

            if (ngx_buf_in_memory(b)) {
                mg_redact_feed(&c->redact, (char *) b->pos, b->last - b->pos,
                               &c->copy);
            }
        }
    }

    x->request_body = mg_buf_view(&c->copy);
}


void
ngx_http_model_capture_begin(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x)
{
    x->capture = ngx_http_model_capture_create(r, x, MG_POLICY_RESPONSE_BODY);
}


void
ngx_http_model_capture_add(ngx_http_model_exchange_t *x, ngx_buf_t *b)
{
    if (!x->whole) {
        mg_redact_feed(&x->capture->redact, (char *) b->pos,
                       b->last - b->pos, &x->capture->copy);
    }
}


mg_str_t
ngx_http_model_capture_response(const ngx_http_model_exchange_t *x)
{
    return x->capture ? mg_buf_view(&x->capture->copy) : mg_str_null;
}


/* NULL: the group does not want it, or out of memory: it is not kept then. */

static struct ngx_http_model_capture_s *
ngx_http_model_capture_create(ngx_http_request_t *r,
    ngx_http_model_exchange_t *x, ngx_uint_t which)
{
    ngx_pool_cleanup_t               *cln;
    struct ngx_http_model_capture_s  *c;

    if (!(x->group.bodies & which) || x->group.body_max == 0) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(r->pool,
                               sizeof(struct ngx_http_model_capture_s));
    if (cln == NULL) {
        return NULL;
    }

    c = cln->data;

    mg_redact_init(&c->redact, x->group.redact);
    mg_buf_init(&c->copy, ngx_min(x->group.body_max, MG_RECORD_BODY_MAX));

    cln->handler = ngx_http_model_capture_cleanup;

    return c;
}


static void
ngx_http_model_capture_cleanup(void *data)
{
    struct ngx_http_model_capture_s  *c;

    c = data;

    mg_buf_free(&c->copy);
}
