/*
 * mg_probe.c: the requests of a validation, from the first to the last.
 *
 *     waiting -> next() -> in flight ----------> verdict
 *                 | ^           |                   ^
 *                 | +-- again --+     (later)       |
 *                 +-- untested, until the end ------+
 *
 * One small struct a model holds the buffers of its request while it is in
 * flight; structs come in blocks, one for each time that models are added.
 * Those that wait for another try are a list ordered by nothing: it is
 * short, and only looked at when there is room for a request.  The requests
 * for pages of the provider's list are of them, without a model.  An arena for
 * what one answer needs is reset with each answer.
 *
 * Called by the validation job; one thread; blocks.
 */

#include "job/mg_probe.h"

#include <stdlib.h>

#include "base/mg_hash.h"
#include "base/mg_time.h"
#include "job/mg_target.h"


#define MG_PROBE_TRIES          2

/* Where it is the rate of the provider that refuses many. */
#define MG_PROBE_TURNS          8
#define MG_PROBE_FEW            8

/* Before another try when the server names no time, and the most it may. */
#define MG_PROBE_PAUSE_US       500000
#define MG_PROBE_PAUSE_MAX_S    30

#define MG_PROBE_CARRY_US       1000000

/* Fewer bytes of a key than this at the end of a message tell nothing. */
#define MG_PROBE_TAIL_MIN       4

#define MG_PROBE_ANSWER_MAX     (256 * 1024)
#define MG_PROBE_LIST_MAX       (16 * 1024 * 1024)

/* Models that are begun with one statement. */
#define MG_PROBE_BATCH          256
#define MG_PROBE_BEGIN_US       250000

/* How often it is looked at whether there is room at the host. */
#define MG_PROBE_SLEEP_MS       50
#define MG_PROBE_CROWDED_MS     5


typedef struct mg_probe_s  mg_probe_t;

struct mg_probe_s {
    const mg_validation_model_t
                              *model;      /* NULL: the list of models ... */
    mg_str_t                   path;       /* ... of which this is a page */
    mg_probe_t                *next;       /* in one of the two lists */
    int64_t                    due_us;
    unsigned                   answered;   /* of the run, when refused */
    unsigned                   tries:8;
    unsigned                   begun:1;    /* noted by the handler */
    unsigned                   told:1;     /* it has its verdict */
    mg_buf_t                   url;
    mg_buf_t                   body;
};


typedef struct mg_probe_block_s  mg_probe_block_t;

struct mg_probe_block_s {
    mg_probe_block_t          *next;
    unsigned                   n;
    mg_probe_t                 probes[];
};


struct mg_probes_s {
    const mg_probe_target_t   *target;
    const mg_probe_handler_t  *handler;
    void                      *ctx;
    mg_http_t                 *http;
    mg_arena_t                *arena;      /* of one answer */
    mg_probe_block_t          *blocks;
    mg_probe_t                *waiting;
    mg_probe_t               **last;       /* of those that wait */
    mg_probe_t                *again;
    mg_probe_t                *untested;
    mg_host_run_t              host;
    unsigned                   in_flight;
    unsigned                   limited;    /* answers of 429 ... */
    unsigned                   answered;   /* ... and others */
    int64_t                    space_us;   /* between requests */
    int64_t                    next_us;
    int64_t                    begin_us;   /* before that nothing is begun */
    unsigned                   failed:1;
    mg_error_t                 failure;    /* of a verdict */
};


mg_probes_t *
mg_probes_create(const mg_probe_target_t *t, const mg_probe_handler_t *h,
    void *ctx)
{
    mg_probes_t  *r;

    r = calloc(1, sizeof(mg_probes_t));
    if (r == NULL) {
        return NULL;
    }

    r->target = t;
    r->handler = h;
    r->ctx = ctx;
    r->last = &r->waiting;
    r->next_us = mg_mono_us();
    r->space_us = (t->rate_limit > 0) ? 60000000 / t->rate_limit : 0;
    r->arena = mg_arena_create(16 * 1024 * 1024);
    r->http = mg_http_create(t->concurrency, NULL);
    mg_host_begin(&r->host, t->hosts, t->host, t->host_max);

    if (r->arena == NULL || r->http == NULL) {
        mg_probes_destroy(r);
        return NULL;
    }

    return r;
}


void
mg_probes_destroy(mg_probes_t *r)
{
    mg_probe_block_t  *b;

    if (r == NULL) {
        return;
    }

    while (r->blocks) {
        b = r->blocks;
        r->blocks = b->next;
        free(b);
    }

    mg_http_destroy(r->http);
    mg_host_end(&r->host);
    mg_arena_destroy(r->arena);
    free(r);
}


int
mg_probes_add(mg_probes_t *r, const mg_validation_model_t *models,
    unsigned n)
{
    unsigned           i;
    mg_probe_block_t  *b;

    if (n == 0) {
        return MG_OK;
    }

    b = calloc(1, sizeof(mg_probe_block_t) + n * sizeof(mg_probe_t));
    if (b == NULL) {
        return MG_ERROR;
    }

    b->next = r->blocks;
    b->n = n;
    r->blocks = b;

    for (i = 0; i < n; i++) {
        b->probes[i].model = &models[i];
        *r->last = &b->probes[i];
        r->last = &b->probes[i].next;
    }

    return MG_OK;
}


int
mg_probes_add_list(mg_probes_t *r, mg_str_t path)
{
    mg_probe_block_t  *b;

    b = calloc(1, sizeof(mg_probe_block_t) + sizeof(mg_probe_t));
    if (b == NULL) {
        return MG_ERROR;
    }

    b->next = r->blocks;
    b->n = 1;
    r->blocks = b;

    b->probes[0].path = path;
    b->probes[0].next = r->waiting;

    if (r->waiting == NULL) {
        r->last = &b->probes[0].next;
    }

    r->waiting = &b->probes[0];

    return MG_OK;
}


unsigned
mg_probes_open(const mg_probes_t *r, const mg_validation_model_t **models,
    unsigned max)
{
    unsigned                 i, n;
    const mg_probe_block_t  *b;

    n = 0;

    for (b = r->blocks; b; b = b->next) {
        for (i = 0; i < b->n && n < max; i++) {
            if (b->probes[i].begun && !b->probes[i].told) {
                models[n++] = b->probes[i].model;
            }
        }
    }

    return n;
}


mg_str_t
mg_probe_redact(mg_str_t text, mg_str_t secret, mg_arena_t *a)
{
    char    *p;
    size_t   i, n;

    if (secret.len == 0 || text.len == 0) {
        return text;
    }

    p = mg_arena_alloc(a, text.len);
    if (p == NULL) {
        return mg_str_null;
    }

    memcpy(p, text.data, text.len);

    for (i = 0; i + secret.len <= text.len; i++) {
        if (memcmp(p + i, secret.data, secret.len) == 0) {
            memset(p + i, '*', secret.len);
        }
    }

    /* the adapter bounds a message without a thought of what it cuts */

    n = text.len < secret.len ? text.len : secret.len - 1;

    for ( /* void */ ; n >= MG_PROBE_TAIL_MIN; n--) {
        if (memcmp(p + text.len - n, secret.data, n) == 0) {
            memset(p + text.len - n, '*', n);
            break;
        }
    }

    return mg_str_n(p, text.len);
}


/* -- verdicts -- */

static void
mg_probe_tell(mg_probes_t *r, mg_probe_t *p, mg_validation_result_t *v)
{
    p->told = 1;
    v->model_id = p->model->id;
    v->tested_at = mg_now_us();

    if (!r->failed
        && r->handler->verdict(r->ctx, p->model, v, &r->failure) != MG_OK)
    {
        r->failed = 1;
    }
}


static void
mg_probe_say(mg_probes_t *r, mg_probe_t *p, mg_probe_class_e class,
    const mg_http_response_t *res, mg_str_t message)
{
    mg_validation_result_t  v;

    memset(&v, 0, sizeof(v));
    v.available = (class == MG_PROBE_OK);
    v.latency_us = (res && res->status) ? res->latency_us : -1;
    v.status_code = res ? res->status : 0;

    if (class != MG_PROBE_OK) {
        v.error_class = mg_probe_class_names[class];
        v.error = mg_probe_redact(message, r->target->secret, r->arena);
    }

    mg_probe_tell(r, p, &v);
}


/* Nobody can ask it, so it is never available. */

static void
mg_probe_metadata(mg_probes_t *r, mg_probe_t *p)
{
    int                     known;
    mg_validation_result_t  v;

    known = r->handler->known(r->ctx, p->model);

    memset(&v, 0, sizeof(v));
    v.latency_us = -1;
    v.unverified = (known != 0);

    if (known == 0) {
        v.error_class = mg_probe_class_names[MG_PROBE_NOT_FOUND];
        v.error = mg_str("the provider's own list does not have it");

    } else {
        mg_arena_reset(r->arena);
        v.error = mg_arena_printf(r->arena, "no request is known that tests "
                                  "a model of type " MG_STR_FMT ": %s",
                                  MG_STR_ARG(
                                  mg_model_type_names[p->model->type]),
                                  known == 1 ? "the provider lists it"
                                  : "only its metadata is known");
    }

    mg_probe_tell(r, p, &v);
}


static void
mg_probe_untested(mg_probes_t *r)
{
    mg_probe_t  *p;

    while (r->untested && !r->failed) {
        p = r->untested;
        r->untested = p->next;

        if (p->model->active) {
            mg_probe_metadata(r, p);
        }
    }
}


/* What a protocol looks at of a model. */

static void
mg_probe_model(const mg_probe_t *p, mg_model_t *m)
{
    mg_model_init(m);
    m->id = p->model->id;
    m->provider_model_id = p->model->provider_model_id;
    m->type = (mg_model_type_e) p->model->type;
}


static mg_probe_class_e
mg_probe_transport(const mg_error_t *e)
{
    switch (e->kind) {

    case MG_E_TIMEOUT:
        return MG_PROBE_TIMEOUT;

    case MG_E_TOO_LARGE:
        return MG_PROBE_BAD_ANSWER;

    default:
        return MG_PROBE_CONNECT;
    }
}


/*
 * Many are refused while others get through: it is not these models that the
 * provider refuses, they are asked too fast.
 */

static int
mg_probe_crowded(const mg_probes_t *r, const mg_probe_t *p,
    const mg_http_response_t *res)
{
    return res->status == 429 && p->tries < MG_PROBE_TURNS
           && r->limited > MG_PROBE_FEW && r->answered != p->answered;
}


/* Twice as long each time, scattered by half so that they do not meet again. */

static int64_t
mg_probe_turn(const mg_probe_t *p, int64_t pause)
{
    int64_t   wait;
    mg_str_t  name;

    wait = (pause > MG_PROBE_PAUSE_US ? pause : MG_PROBE_PAUSE_US)
           << (p->tries - 1);

    if (wait > MG_PROBE_PAUSE_MAX_S * 1000000) {
        wait = MG_PROBE_PAUSE_MAX_S * 1000000;
    }

    name = p->model ? p->model->id : p->path;
    wait -= (int64_t) ((mg_sum64(name.data, name.len) >> p->tries)
                       % (uint64_t) (wait / 2));

    return wait > pause ? wait : pause;
}


/* Microseconds until another try, -1 if there is to be none. */

static int64_t
mg_probe_pause(const mg_probes_t *r, const mg_probe_t *p,
    const mg_http_response_t *res)
{
    int64_t  pause;

    if (p->tries >= MG_PROBE_TRIES && !mg_probe_crowded(r, p, res)) {
        return -1;
    }

    if (res->status == 0) {
        return (res->error.kind == MG_E_UNAVAILABLE
                || res->error.kind == MG_E_UPSTREAM) ? MG_PROBE_PAUSE_US : -1;
    }

    if (res->status != 429 && res->status < 500) {
        return -1;
    }

    if (res->retry_after_s > MG_PROBE_PAUSE_MAX_S) {
        return -1;
    }

    pause = (res->retry_after_s >= 0) ? res->retry_after_s * 1000000
                                      : MG_PROBE_PAUSE_US;

    return res->status == 429 ? mg_probe_turn(p, pause) : pause;
}


/* -- requests -- */

static void
mg_probe_free(mg_probe_t *p)
{
    mg_buf_free(&p->url);
    mg_buf_free(&p->body);
}


/* MG_DECLINED: this kind of model is not probed. */

static int
mg_probe_build(mg_probes_t *r, mg_probe_t *p)
{
    int         rc;
    mg_model_t  m;

    mg_buf_init(&p->url, 0);
    mg_buf_init(&p->body, 0);
    mg_buf_str(&p->url, r->target->base);

    if (p->model == NULL) {
        mg_buf_str(&p->url, p->path);
        return MG_OK;
    }

    mg_probe_model(p, &m);
    rc = r->target->protocol->probe(&m, &p->url, &p->body);

    if (rc == MG_OK && r->target->paths.len) {
        rc = mg_target_path(r->target, p->model->provider_model_id, &p->url);
    }

    if (rc != MG_OK) {
        mg_probe_free(p);
    }

    return rc;
}


static void
mg_probe_fill(const mg_probes_t *r, mg_probe_t *p, mg_http_request_t *req)
{
    unsigned                  i;
    const mg_probe_target_t  *t;

    t = r->target;
    req->url = mg_buf_view(&p->url);
    req->body = p->model ? mg_buf_view(&p->body)
                         : mg_str_z(t->protocol->list_body);
    req->method = req->body.len ? "POST" : "GET";

    for (i = 0; i < t->n_headers; i++) {
        req->headers[i] = t->headers[i];
    }

    req->n_headers = t->n_headers;
    req->connect_timeout_ms = t->connect_timeout_ms;
    req->timeout_ms = t->timeout_ms;
    req->body_max = p->model ? MG_PROBE_ANSWER_MAX : MG_PROBE_LIST_MAX;
    req->allow_private = t->allow_private;
    req->trusted = t->trusted;
    req->data = p;
}


/* One whose next try is due, or NULL. */

static mg_probe_t *
mg_probe_due(mg_probes_t *r)
{
    int64_t       now;
    mg_probe_t   *p, **link;

    now = r->again ? mg_mono_us() : 0;

    for (link = &r->again; *link; link = &(*link)->next) {
        p = *link;

        if (p->due_us <= now) {
            *link = p->next;
            return p;
        }
    }

    return NULL;
}


/*
 * Says of those at the head of the queue that they are begun: of those that
 * were never begun before as many as there are requests at once, of others no
 * more than there is room for now.  0: not now.
 */

static int
mg_probe_begin(mg_probes_t *r)
{
    int                           rc;
    unsigned                      i, n, most, begun;
    mg_probe_t                   *p, *batch[MG_PROBE_BATCH];
    const mg_validation_model_t  *models[MG_PROBE_BATCH];

    if (mg_mono_us() < r->begin_us) {
        return 0;
    }

    begun = r->waiting->model->begun;
    most = r->target->concurrency;

    if (begun) {
        most = most > r->in_flight ? most - r->in_flight : 1;
    }

    for (n = 0, p = r->waiting;
         p && n < most && n < MG_PROBE_BATCH && p->model && !p->begun
         && p->model->active && p->model->begun == begun;
         p = p->next)
    {
        batch[n] = p;
        models[n++] = p->model;
    }

    rc = r->handler->begin(r->ctx, models, n, &r->failure);

    if (rc != MG_OK) {
        r->failed = (rc != MG_DECLINED);
        r->begin_us = mg_mono_us() + MG_PROBE_BEGIN_US;
        return 0;
    }

    for (i = 0; i < n; i++) {
        batch[i]->begun = 1;
    }

    return 1;
}


/* The first of those that wait and are still wanted, or NULL. */

static mg_probe_t *
mg_probe_first(mg_probes_t *r)
{
    mg_probe_t  *p;

    while (r->waiting) {
        p = r->waiting;

        if (p->model && p->model->active && !p->begun && !mg_probe_begin(r))
        {
            return NULL;
        }

        r->waiting = p->next;

        if (r->waiting == NULL) {
            r->last = &r->waiting;
        }

        if (p->model == NULL || p->model->active) {
            return p;
        }
    }

    return NULL;
}


/* The next model that is to be asked, built, or NULL. */

static mg_probe_t *
mg_probe_take(mg_probes_t *r)
{
    int          rc;
    mg_probe_t  *p;

    for ( ;; ) {
        p = mg_probe_due(r);

        if (p == NULL) {
            p = mg_probe_first(r);
        }

        if (p == NULL) {
            return NULL;
        }

        rc = mg_probe_build(r, p);

        if (rc == MG_OK) {
            return p;
        }

        if (rc == MG_DECLINED) {
            p->next = r->untested;
            r->untested = p;
            continue;
        }

        mg_arena_reset(r->arena);
        mg_probe_say(r, p, MG_PROBE_UNSUPPORTED, NULL,
                     mg_str("the request could not be made"));
    }
}


/*
 * The rate limit: requests stand space_us apart on average; what was not
 * used is carried over for a second, so that coarse waits lose nothing.
 */

static int
mg_probe_may(mg_probes_t *r)
{
    int64_t  now;

    if (r->space_us == 0) {
        return 1;
    }

    now = mg_mono_us();

    if (r->next_us < now - MG_PROBE_CARRY_US) {
        r->next_us = now - MG_PROBE_CARRY_US;
    }

    return r->next_us <= now;
}


/* The next one under all limits, or NULL. */

static mg_probe_t *
mg_probe_allowed(mg_probes_t *r)
{
    int          room;
    mg_probe_t  *p;

    if ((r->waiting == NULL && r->again == NULL) || !mg_probe_may(r)) {
        return NULL;
    }

    room = mg_host_enter(&r->host, mg_mono_us());
    mg_http_sleep(r->http, room ? MG_PROBE_SLEEP_MS : MG_PROBE_CROWDED_MS);

    if (!room) {
        return NULL;
    }

    p = mg_probe_take(r);

    if (p == NULL) {
        mg_host_leave(&r->host, mg_mono_us());
    }

    return p;
}


static int
mg_probe_next(void *ctx, mg_http_request_t *req)
{
    mg_probe_t   *p;
    mg_probes_t  *r = ctx;

    if (r->failed) {
        return -1;
    }

    p = mg_probe_allowed(r);

    if (p == NULL) {

        /* what is in flight may still come back for another try */

        return (r->waiting || r->in_flight || r->again) ? 0 : -1;
    }

    r->next_us += r->space_us;

    p->tries++;
    r->in_flight++;
    mg_probe_fill(r, p, req);

    if (p->model) {
        r->handler->started(r->ctx, p->model);
    }

    return 1;
}


static void
mg_probe_done(void *ctx, const mg_http_request_t *req,
    const mg_http_response_t *res)
{
    int64_t            pause;
    mg_str_t           message;
    mg_model_t         m;
    mg_probe_t        *p;
    mg_probes_t       *r = ctx;
    mg_probe_class_e   class;

    p = req->data;
    r->in_flight--;
    mg_host_leave(&r->host, mg_mono_us());
    mg_probe_free(p);

    if (res->status == 0 && res->error.kind == MG_E_CANCELLED) {
        return;
    }

    r->limited += (res->status == 429);
    r->answered += (res->status != 0 && res->status != 429);

    pause = mg_probe_pause(r, p, res);

    if (pause >= 0) {
        p->answered = r->answered;
        p->due_us = mg_mono_us() + pause;
        p->next = r->again;
        r->again = p;
        return;
    }

    if (p->model == NULL) {
        r->handler->listed(r->ctx, res);
        return;
    }

    mg_arena_reset(r->arena);
    message = mg_str_null;

    if (res->status == 0) {
        class = mg_probe_transport(&res->error);
        message = mg_str_z(res->error.message);

    } else {
        mg_probe_model(p, &m);
        class = r->target->protocol->judge(&m, res->status, res->body,
                                           r->arena, &message);
    }

    mg_probe_say(r, p, class, res, message);
}


static int
mg_probe_tick(void *ctx, mg_error_t *e)
{
    mg_probes_t  *r = ctx;

    if (r->failed) {
        *e = r->failure;
        return MG_ERROR;
    }

    mg_host_renew(&r->host, mg_mono_us());

    return r->handler->tick(r->ctx, e);
}


static const mg_http_many_t  mg_probe_many = {
    mg_probe_next,
    mg_probe_done,
    mg_probe_tick
};


int
mg_probes_run(mg_probes_t *r, mg_error_t *e)
{
    if (mg_http_run(r->http, &mg_probe_many, r, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_probe_untested(r);

    if (r->failed) {
        *e = r->failure;
        return MG_ERROR;
    }

    return MG_OK;
}
