/*
 * mg_http.c: many transfers through one thread, with libcurl's multi.
 *
 *     next() -> transfer -> multi -> done()
 *                 ^                |
 *                 +-- free list ---+
 *
 * Transfers are made when first needed and used again; connections and
 * their TLS sessions live in the multi's cache.  The loop waits at most 50
 * ms in poll, which bounds how late a cancel or a tick comes.
 *
 * Called by jobs on pool threads; one client belongs to one thread.
 */

#include "client/mg_http.h"

#include <stdlib.h>

#include "base/mg_time.h"
#include "client/mg_transfer.h"


#define MG_HTTP_POLL_MS      50
#define MG_HTTP_TICK_US      25000
#define MG_HTTP_OVERDUE_US   100000

/* Away from the transfers for longer than this, it is not their fault. */
#define MG_HTTP_HELD_US      100000


struct mg_http_s {
    CURLM          *multi;
    const int      *cancel;
    mg_transfer_t  *slots;
    mg_transfer_t  *free;
    unsigned        concurrency;
    unsigned        active;
    int             poll_ms;
    int64_t         left_us;          /* when libcurl was left */
    unsigned        private_used:1;   /* connections that are kept may go to
                                         private addresses */
};


/* The one transfer of a fetch. */
typedef struct {
    const mg_http_request_t  *req;
    mg_http_response_t       *res;
    int                     (*tick)(void *ctx, mg_error_t *e);
    void                     *ctx;
    unsigned                  given:1;
} mg_http_one_t;


int
mg_http_global_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? MG_OK
                                                             : MG_ERROR;
}


void
mg_http_global_done(void)
{
    curl_global_cleanup();
}


mg_http_t *
mg_http_create(unsigned concurrency, const int *cancel)
{
    unsigned    i;
    mg_http_t  *h;

    if (concurrency == 0) {
        concurrency = 1;

    } else if (concurrency > 1024) {
        concurrency = 1024;
    }

    h = calloc(1, sizeof(mg_http_t));
    if (h == NULL) {
        return NULL;
    }

    h->cancel = cancel;
    h->concurrency = concurrency;
    h->poll_ms = MG_HTTP_POLL_MS;
    h->slots = calloc(concurrency, sizeof(mg_transfer_t));
    h->multi = curl_multi_init();

    if (h->slots == NULL || h->multi == NULL) {
        mg_http_destroy(h);
        return NULL;
    }

    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long) concurrency);

    for (i = concurrency; i > 0; i--) {
        h->slots[i - 1].multi = h->multi;
        h->slots[i - 1].next = h->free;
        mg_buf_init(&h->slots[i - 1].url, 16 * 1024);
        h->free = &h->slots[i - 1];
    }

    return h;
}


void
mg_http_destroy(mg_http_t *h)
{
    unsigned  i;

    if (h == NULL) {
        return;
    }

    for (i = 0; h->slots && i < h->concurrency; i++) {
        mg_transfer_free(&h->slots[i]);
    }

    if (h->multi) {
        curl_multi_cleanup(h->multi);
    }

    free(h->slots);
    free(h);
}


/* -- the loop -- */

static int
mg_http_start(mg_http_t *h, mg_transfer_t *t, const mg_http_request_t *req)
{
    int  fresh;

    /* a connection that is kept was opened under the rules of its request */

    fresh = (!req->allow_private && h->private_used);
    h->private_used |= req->allow_private;

    if (mg_transfer_start(t, req, fresh) != MG_OK) {
        return MG_ERROR;
    }

    h->active++;

    return MG_OK;
}


static void
mg_http_end(mg_http_t *h, mg_transfer_t *t, const mg_http_many_t *many,
    void *ctx, CURLcode code)
{
    h->active -= t->busy;
    mg_transfer_finish(t, code);

    t->next = h->free;
    h->free = t;

    many->done(ctx, &t->req, &t->res);
}


/* Starts what there is room for.  0: next() has said that it is the end. */

static int
mg_http_fill(mg_http_t *h, const mg_http_many_t *many, void *ctx)
{
    int                 rc;
    mg_transfer_t      *t;
    mg_http_request_t   req;

    while (h->free) {
        memset(&req, 0, sizeof(req));

        rc = many->next(ctx, &req);
        if (rc <= 0) {
            return rc == 0;
        }

        t = h->free;
        h->free = t->next;

        if (mg_http_start(h, t, &req) != MG_OK) {
            mg_http_end(h, t, many, ctx, CURLE_OK);
        }
    }

    return 1;
}


/* Number of transfers that ended. */

static unsigned
mg_http_collect(mg_http_t *h, const mg_http_many_t *many, void *ctx)
{
    int             left;
    unsigned        n;
    CURLMsg        *msg;
    CURLcode        code;
    mg_transfer_t  *t;

    for (n = 0; (msg = curl_multi_info_read(h->multi, &left)) != NULL; n++) {
        t = NULL;
        code = msg->data.result;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **) &t);

        /* msg is gone once the handle is taken out */

        mg_http_end(h, t, many, ctx, code);
    }

    return n;
}


static void
mg_http_cut(mg_http_t *h, const mg_http_many_t *many, void *ctx)
{
    unsigned        i;
    mg_transfer_t  *t;

    for (i = 0; i < h->concurrency; i++) {
        t = &h->slots[i];

        if (t->busy) {
            mg_error_set(&t->failure, MG_E_CANCELLED, NULL,
                         "\"%s\": the transfer was cut, the work was asked "
                         "to stop", t->host);
            mg_http_end(h, t, many, ctx, CURLE_OK);
        }
    }
}


static int
mg_http_cancelled(const mg_http_t *h, mg_error_t *e)
{
    if (h->cancel && __atomic_load_n(h->cancel, __ATOMIC_RELAXED)) {
        return mg_error_set(e, MG_E_CANCELLED, NULL,
                            "the work was asked to stop");
    }

    return MG_OK;
}


/*
 * A tick may take a while (it saves results), so it comes when the next
 * requests are out and nothing has just ended, unless it is overdue.
 */

static int
mg_http_tick(const mg_http_many_t *many, void *ctx, unsigned ended,
    int64_t *ticked, mg_error_t *e)
{
    int64_t  now;

    now = mg_mono_us();

    if (many->tick == NULL
        || now - *ticked < (ended ? MG_HTTP_OVERDUE_US : MG_HTTP_TICK_US))
    {
        return MG_OK;
    }

    *ticked = now;

    return many->tick(ctx, e);
}


/* A tick that waits for the database lets nobody's time run out. */

static void
mg_http_return(mg_http_t *h)
{
    int64_t   now, held;
    unsigned  i;

    now = mg_mono_us();
    held = now - h->left_us;
    h->left_us = now;

    if (held < MG_HTTP_HELD_US) {
        return;
    }

    for (i = 0; i < h->concurrency; i++) {
        if (h->slots[i].busy) {
            mg_transfer_hold(&h->slots[i], held);
        }
    }
}


int
mg_http_run(mg_http_t *h, const mg_http_many_t *many, void *ctx,
    mg_error_t *e)
{
    int       more, running;
    int64_t   ticked;
    unsigned  ended;

    more = 1;
    ticked = 0;
    h->left_us = mg_mono_us();

    for ( ;; ) {
        if (mg_http_cancelled(h, e) != MG_OK) {
            break;
        }

        if (more) {
            more = mg_http_fill(h, many, ctx);
        }

        if (!more && h->active == 0) {
            return MG_OK;
        }

        mg_http_return(h);

        if (curl_multi_perform(h->multi, &running) != CURLM_OK) {
            (void) mg_error_set(e, MG_E_INTERNAL, NULL,
                                "the transfers could not go on");
            break;
        }

        h->left_us = mg_mono_us();
        ended = mg_http_collect(h, many, ctx);

        if (mg_http_tick(many, ctx, ended, &ticked, e) != MG_OK) {
            break;
        }

        mg_http_return(h);

        if (ended == 0) {
            curl_multi_poll(h->multi, NULL, 0, h->poll_ms, NULL);
            h->left_us = mg_mono_us();
        }
    }

    mg_http_cut(h, many, ctx);

    return MG_ERROR;
}


void
mg_http_sleep(mg_http_t *h, unsigned ms)
{
    h->poll_ms = (int) ms;
}


void
mg_http_wake(mg_http_t *h)
{
    (void) curl_multi_wakeup(h->multi);
}


static int
mg_http_next_one(void *ctx, mg_http_request_t *req)
{
    mg_http_one_t  *one = ctx;

    if (one->given) {
        return -1;
    }

    *req = *one->req;
    one->given = 1;

    return 1;
}


static void
mg_http_done_one(void *ctx, const mg_http_request_t *req,
    const mg_http_response_t *res)
{
    mg_http_one_t  *one = ctx;

    (void) req;

    *one->res = *res;
}


static int
mg_http_tick_one(void *ctx, mg_error_t *e)
{
    mg_http_one_t  *one = ctx;

    return one->tick ? one->tick(one->ctx, e) : MG_OK;
}


int
mg_http_fetch(mg_http_t *h, const mg_http_request_t *req,
    mg_http_response_t *res, int (*tick)(void *ctx, mg_error_t *e),
    void *ctx, mg_error_t *e)
{
    mg_http_one_t  one;

    static const mg_http_many_t  many = {
        mg_http_next_one,
        mg_http_done_one,
        mg_http_tick_one
    };

    memset(res, 0, sizeof(mg_http_response_t));
    res->retry_after_s = -1;

    one.req = req;
    one.res = res;
    one.tick = tick;
    one.ctx = ctx;
    one.given = 0;

    if (mg_http_run(h, &many, &one, e) != MG_OK) {
        if (e && res->error.kind == MG_E_NONE) {
            res->error = *e;
        }

        return MG_ERROR;
    }

    if (res->error.kind != MG_E_NONE) {
        if (e) {
            *e = res->error;
        }

        return MG_ERROR;
    }

    return MG_OK;
}
