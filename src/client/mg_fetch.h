/*
 * mg_fetch.h: one document from a source that others run, with manners.
 *
 * A GET through the gate of its source (mg_gate.h): no more requests than
 * its limit allows, none while its breaker is open or before the time that
 * it asked for.  What may pass by itself (no connection, 408, 429, 5xx) is
 * tried again after a pause that doubles and is scattered, or after the
 * Retry-After of the answer, if that is not too long to wait for.  Nothing
 * is tried again once bytes of a document were handed on.
 *
 * A redirect is followed within the same host only, so that neither a key
 * nor a document comes from elsewhere; the address is judged anew.  What
 * comes back has status 200 and a content type that JSON is sent with.
 *
 * Blocks: pool threads only; one thread at a time.
 */

#ifndef MG_FETCH_H
#define MG_FETCH_H

#include "client/mg_http.h"
#include "model/mg_gate.h"


typedef struct {
    mg_http_t         *http;
    mg_gate_t         *gate;
    mg_gate_limits_t   limits;
    mg_str_t           name;         /* for messages: source "litellm" */
    unsigned           tries;        /* 0: 3 */
    unsigned           pause_ms;     /* before the second one; 0: 500 */
    unsigned           wait_max_ms;  /* longest pause at once; 0: 60,000 */

    /* Called at least every 200 ms; MG_ERROR stops.  May be NULL. */
    int              (*tick)(void *ctx, mg_error_t *e);
    void              *ctx;

    unsigned           requests;     /* out: that were sent, added up */
} mg_fetch_t;


/*
 * req: as for mg_http_fetch(), without If-None-Match; room for one more
 * header is needed.  etag: of what is there already, {NULL, 0}: none.
 *
 * MG_OK: res->body, or the sink has it; res lives until the next request
 * through f->http.  MG_DECLINED: 304, nothing is new.  MG_ERROR: UPSTREAM,
 * what the source is to blame for; UNAVAILABLE: it is not to be asked now;
 * TIMEOUT, TOO_LARGE, FORBIDDEN, INVALID as in mg_http_response_t; or what
 * the sink or the tick has set.
 */
int mg_fetch(mg_fetch_t *f, const mg_http_request_t *req, mg_str_t etag,
    mg_http_response_t *res, mg_error_t *e);


#endif /* MG_FETCH_H */
