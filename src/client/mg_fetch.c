/*
 * mg_fetch.c: one document, with limits, retries and redirects.
 *
 *     pass (gate) -> send -> outcome (gate) -> judge
 *       ^                                        |
 *       +---- another host's path (redirect) ----+
 *       +---- pause, another try ----------------+---> answer
 *
 * The sink of the caller is called through one of this file, which remembers
 * that bytes have gone through and whether it was the sink that failed.
 *
 * Called by jobs on pool threads; the gate is all that is shared.
 */

#include "client/mg_fetch.h"

#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/mg_crypt.h"
#include "base/mg_time.h"
#include "base/mg_uri.h"


#define MG_FETCH_TRIES         3
#define MG_FETCH_PAUSE_MS      500
#define MG_FETCH_PAUSES        6            /* doublings at most */
#define MG_FETCH_WAIT_MAX_MS   60000
#define MG_FETCH_STEP_US       50000
#define MG_FETCH_REDIRECTS     3


/* What follows from an answer. */
typedef enum {
    MG_FETCH_DONE = 0,
    MG_FETCH_AGAIN,          /* may pass by itself */
    MG_FETCH_FOLLOW
} mg_fetch_next_e;


typedef struct {
    mg_fetch_t               *f;
    const mg_http_request_t  *given;
    mg_http_request_t         req;
    mg_http_response_t       *res;
    unsigned                  redirects;
    int                       rc;
    mg_gate_outcome_e         outcome;
    unsigned                  conditional:1;
    unsigned                  sunk:1;        /* bytes were handed on */
    unsigned                  sink_failed:1;
    char                      etag[300];     /* a header */
    char                      url[MG_URI_MAX + 1];
} mg_fetch_work_t;


static int mg_fetch_pass(mg_fetch_t *f, mg_error_t *e);
static int mg_fetch_wait(mg_fetch_t *f, int64_t us, mg_error_t *e);
static int mg_fetch_sink(void *data, const char *bytes, size_t len,
    mg_error_t *e);
static mg_fetch_next_e mg_fetch_judge(mg_fetch_work_t *w, mg_error_t *e);
static mg_fetch_next_e mg_fetch_failed(mg_fetch_work_t *w, mg_error_t *e);
static mg_fetch_next_e mg_fetch_status(mg_fetch_work_t *w, mg_error_t *e);
static mg_fetch_next_e mg_fetch_redirect(mg_fetch_work_t *w, mg_error_t *e);
static mg_str_t mg_fetch_origin(mg_str_t url);
static int mg_fetch_same_host(const mg_url_t *from, const mg_url_t *to);
static int mg_fetch_is_json(mg_str_t type);
static int64_t mg_fetch_pause(const mg_fetch_work_t *w, unsigned tried);


static void
mg_fetch_prepare(mg_fetch_work_t *w, mg_str_t etag)
{
    w->req = *w->given;
    w->req.data = w;
    w->req.gzip = 1;

    if (w->given->sink) {
        w->req.sink = mg_fetch_sink;
    }

    if (etag.len > 0 && etag.len < 256
        && w->req.n_headers < sizeof(w->req.headers)
                              / sizeof(w->req.headers[0]))
    {
        (void) snprintf(w->etag, sizeof(w->etag), "If-None-Match: "
                        MG_STR_FMT, MG_STR_ARG(etag));
        w->req.headers[w->req.n_headers++] = mg_str_z(w->etag);
        w->conditional = 1;
    }
}


/* One request, counted; w->rc and *e say what came of it. */

static mg_fetch_next_e
mg_fetch_send(mg_fetch_work_t *w, mg_error_t *e)
{
    mg_fetch_t       *f;
    mg_fetch_next_e   next;

    f = w->f;

    w->rc = mg_fetch_pass(f, e);

    if (w->rc != MG_OK) {
        return MG_FETCH_DONE;
    }

    f->requests++;
    w->outcome = MG_GATE_N;
    w->rc = mg_http_fetch(f->http, &w->req, w->res, f->tick, f->ctx, e);

    next = mg_fetch_judge(w, e);

    if (w->outcome != MG_GATE_N) {
        mg_gate_leave(f->gate, &f->limits, w->outcome, w->res->retry_after_s,
                      mg_mono_us());
    }

    return next;
}


int
mg_fetch(mg_fetch_t *f, const mg_http_request_t *req, mg_str_t etag,
    mg_http_response_t *res, mg_error_t *e)
{
    int64_t          began, pause;
    unsigned         tries, tried;
    mg_error_t       stop;
    mg_fetch_next_e  next;
    mg_fetch_work_t  w;

    memset(&w, 0, sizeof(w));
    memset(res, 0, sizeof(mg_http_response_t));
    w.f = f;
    w.given = req;
    w.res = res;
    mg_fetch_prepare(&w, etag);

    tries = f->tries ? f->tries : MG_FETCH_TRIES;
    began = mg_mono_us();

    for (tried = 1; /* void */ ; tried++) {

        do {
            next = mg_fetch_send(&w, e);
        } while (next == MG_FETCH_FOLLOW);

        /* a try that took all the time that there was is the last one */

        if (next == MG_FETCH_DONE || w.sunk || tried >= tries
            || (req->timeout_ms
                && mg_mono_us() - began > (int64_t) req->timeout_ms * 1000))
        {
            return w.rc;
        }

        pause = mg_fetch_pause(&w, tried);

        if (pause < 0) {
            return w.rc;
        }

        if (mg_fetch_wait(f, pause, &stop) != MG_OK) {
            *e = stop;
            return MG_ERROR;
        }

        w.req.url = req->url;
        w.redirects = 0;
    }
}


/* -- the gate -- */

static int
mg_fetch_pass(mg_fetch_t *f, mg_error_t *e)
{
    int      rc;
    int64_t  wait;

    for ( ;; ) {
        rc = mg_gate_enter(f->gate, &f->limits, mg_mono_us(), &wait);

        if (rc == MG_OK) {
            return MG_OK;
        }

        if (rc == MG_DECLINED) {
            return mg_error_set(e, MG_E_UNAVAILABLE, NULL, "\"" MG_STR_FMT
                                "\" has failed several times in a row and "
                                "is left alone for another %d s",
                                MG_STR_ARG(f->name),
                                (int) ((wait + 999999) / 1000000));
        }

        if (wait > (int64_t) (f->wait_max_ms ? f->wait_max_ms
                                             : MG_FETCH_WAIT_MAX_MS) * 1000)
        {
            return mg_error_set(e, MG_E_UNAVAILABLE, NULL, "\"" MG_STR_FMT
                                "\" is not to be asked for another %d s: it "
                                "said so itself, or its limit of requests a "
                                "minute is used up", MG_STR_ARG(f->name),
                                (int) ((wait + 999999) / 1000000));
        }

        if (mg_fetch_wait(f, wait, e) != MG_OK) {
            return MG_ERROR;
        }
    }
}


static int
mg_fetch_wait(mg_fetch_t *f, int64_t us, mg_error_t *e)
{
    int64_t  left, until;

    until = mg_mono_us() + us;

    for ( ;; ) {
        if (f->tick && f->tick(f->ctx, e) != MG_OK) {
            return MG_ERROR;
        }

        left = until - mg_mono_us();

        if (left <= 0) {
            return MG_OK;
        }

        usleep((useconds_t) (left < MG_FETCH_STEP_US ? left
                                                     : MG_FETCH_STEP_US));
    }
}


/* Microseconds before the next try, -1: that is longer than anybody waits. */

static int64_t
mg_fetch_pause(const mg_fetch_work_t *w, unsigned tried)
{
    int64_t   pause, asked, max;
    uint32_t  chance;

    pause = w->f->pause_ms ? w->f->pause_ms : MG_FETCH_PAUSE_MS;
    pause = 1000 * (pause << (tried < MG_FETCH_PAUSES ? tried - 1
                                                      : MG_FETCH_PAUSES));

    /* between a half and one and a half of it */

    if (mg_random(&chance, sizeof(chance)) == MG_OK) {
        pause = pause / 2 + (int64_t) ((uint64_t) pause * chance >> 32);
    }

    asked = w->res->retry_after_s * 1000000;
    max = (int64_t) (w->f->wait_max_ms ? w->f->wait_max_ms
                                       : MG_FETCH_WAIT_MAX_MS) * 1000;

    if (asked > max) {
        return -1;
    }

    return asked > pause ? asked : pause;
}


/* -- the answer -- */

static int
mg_fetch_sink(void *data, const char *bytes, size_t len, mg_error_t *e)
{
    mg_fetch_work_t  *w = data;

    w->sunk = 1;

    if (w->given->sink(w->given->data, bytes, len, e) == MG_OK) {
        return MG_OK;
    }

    w->sink_failed = 1;

    return MG_ERROR;
}


static mg_fetch_next_e
mg_fetch_judge(mg_fetch_work_t *w, mg_error_t *e)
{
    mg_str_t  type;

    type = w->res->content_type;

    /* a web page that fails as JSON is no syntax error */

    if (type.data && !mg_fetch_is_json(type)
        && ((w->rc == MG_OK && w->res->status == 200)
            || (w->sink_failed && e->kind == MG_E_INVALID)))
    {
        w->outcome = MG_GATE_BAD_ANSWER;
        w->rc = mg_error_set(e, MG_E_UPSTREAM, NULL, "\"" MG_STR_FMT "\" "
                             "answered with content type \"" MG_STR_FMT
                             "\", application/json is needed; check its URL",
                             MG_STR_ARG(w->f->name), MG_STR_ARG(type));
        return MG_FETCH_DONE;
    }

    return w->rc == MG_OK ? mg_fetch_status(w, e) : mg_fetch_failed(w, e);
}


/* No answer, or one that did not come to its end. */

static mg_fetch_next_e
mg_fetch_failed(mg_fetch_work_t *w, mg_error_t *e)
{
    if (w->sink_failed) {
        w->outcome = (e->kind == MG_E_INVALID || e->kind == MG_E_TOO_LARGE)
                     ? MG_GATE_BAD_ANSWER : MG_GATE_OK;
        return MG_FETCH_DONE;
    }

    switch (e->kind) {

    case MG_E_UNAVAILABLE:
    case MG_E_UPSTREAM:
        w->outcome = MG_GATE_UNREACHABLE;

        /* nobody but the source is to blame */

        e->kind = MG_E_UPSTREAM;
        return MG_FETCH_AGAIN;

    case MG_E_TIMEOUT:
        w->outcome = MG_GATE_TIMED_OUT;
        return MG_FETCH_AGAIN;

    case MG_E_TOO_LARGE:
        w->outcome = MG_GATE_BAD_ANSWER;
        return MG_FETCH_DONE;

    case MG_E_FORBIDDEN:
    case MG_E_INVALID:
        w->outcome = MG_GATE_REFUSED;
        return MG_FETCH_DONE;

    default:
        return MG_FETCH_DONE;
    }
}


static mg_fetch_next_e
mg_fetch_status(mg_fetch_work_t *w, mg_error_t *e)
{
    int  status;

    status = w->res->status;

    if (status == 200 && w->res->content_type.data) {
        w->outcome = MG_GATE_OK;
        return MG_FETCH_DONE;
    }

    if (status == 304 && w->conditional) {
        w->outcome = MG_GATE_NOT_MODIFIED;
        w->rc = MG_DECLINED;
        return MG_FETCH_DONE;
    }

    if (w->res->location.data) {
        return mg_fetch_redirect(w, e);
    }

    if (status == 200) {
        w->outcome = MG_GATE_BAD_ANSWER;
        w->rc = mg_error_set(e, MG_E_UPSTREAM, NULL, "\"" MG_STR_FMT "\" "
                             "answered without a content type, "
                             "application/json is needed",
                             MG_STR_ARG(w->f->name));
        return MG_FETCH_DONE;
    }

    w->rc = mg_error_set(e, MG_E_UPSTREAM, NULL, "\"" MG_STR_FMT "\" answered "
                         "with status %d%s", MG_STR_ARG(w->f->name), status,
                         (status == 401 || status == 403)
                         ? "; check its key" : "; check its URL");

    if (status == 429 || status == 408 || status >= 500) {
        w->outcome = (status == 429) ? MG_GATE_LIMITED : MG_GATE_FAILED;
        (void) mg_error_set(e, MG_E_UPSTREAM, NULL, "\"" MG_STR_FMT "\" "
                            "answered with status %d; it is asked again with "
                            "the next refresh", MG_STR_ARG(w->f->name),
                            status);
        return MG_FETCH_AGAIN;
    }

    w->outcome = (status >= 400) ? MG_GATE_REJECTED : MG_GATE_BAD_ANSWER;

    return MG_FETCH_DONE;
}


static mg_fetch_next_e
mg_fetch_redirect(mg_fetch_work_t *w, mg_error_t *e)
{
    mg_str_t    to;
    mg_url_t    here, there;
    mg_error_t  bad;

    to = w->res->location;
    w->outcome = MG_GATE_BAD_ANSWER;

    if (to.len < sizeof(w->url)
        && w->redirects < MG_FETCH_REDIRECTS
        && mg_url_parse(mg_fetch_origin(w->req.url), &here, "url", &bad)
           == MG_OK
        && mg_url_parse(mg_fetch_origin(to), &there, "url", &bad) == MG_OK
        && mg_fetch_same_host(&here, &there))
    {
        memcpy(w->url, to.data, to.len);
        w->req.url = mg_str_n(w->url, to.len);
        w->redirects++;
        w->outcome = MG_GATE_OK;
        return MG_FETCH_FOLLOW;
    }

    w->rc = mg_error_set(e, MG_E_UPSTREAM, NULL, "\"" MG_STR_FMT "\" answered "
                         "with status %d, a redirect %s, which is not "
                         "followed; check its URL", MG_STR_ARG(w->f->name),
                         w->res->status,
                         w->redirects < MG_FETCH_REDIRECTS
                         ? "to another host" : "after several others");

    return MG_FETCH_DONE;
}


/* Scheme, host and port: what stands before the path. */

static mg_str_t
mg_fetch_origin(mg_str_t url)
{
    size_t  i, slashes;

    for (i = 0, slashes = 0; i < url.len; i++) {
        slashes += (url.data[i] == '/');

        if (slashes == 3
            || (slashes == 2 && (url.data[i] == '?' || url.data[i] == '#')))
        {
            break;
        }
    }

    return mg_str_n(url.data, i);
}


/* The same place, or the same host behind TLS. */

static int
mg_fetch_same_host(const mg_url_t *from, const mg_url_t *to)
{
    if (from->host.len != to->host.len
        || strncasecmp(from->host.data, to->host.data, to->host.len) != 0)
    {
        return 0;
    }

    if (from->tls == to->tls) {
        return from->port == to->port;
    }

    return to->tls && from->port == 80 && to->port == 443;
}


/*
 * application/json, text/json and anything+json; text/plain and
 * application/octet-stream, with which hosts of plain files send it.
 */

static int
mg_fetch_is_json(mg_str_t type)
{
    size_t       i;
    mg_str_t     ending;
    const char  *end;

    static const mg_str_t  endings[] = {
        mg_str("/json"),
        mg_str("+json"),
        mg_str("text/plain"),
        mg_str("application/octet-stream")
    };

    end = type.len ? memchr(type.data, ';', type.len) : NULL;

    if (end) {
        type.len = (size_t) (end - type.data);
    }

    while (type.len > 0 && type.data[type.len - 1] == ' ') {
        type.len--;
    }

    for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        ending = endings[i];

        if (type.len >= ending.len
            && strncasecmp(type.data + type.len - ending.len, ending.data,
                           ending.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
