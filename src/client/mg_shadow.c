/*
 * mg_shadow.c: copies of requests, sent to shadow variants by a thread.
 *
 * Two stacks pass jobs between the event loop and the thread: a push is one
 * compare-and-swap, and the other side takes the whole stack at once and
 * turns it around, so neither ever waits for a lock.  Who pushes onto an
 * empty stack wakes the other one; if it was not empty, that was done.
 *
 * The thread is one run of the HTTP client, which asks for jobs while it has
 * room and says when each has ended.  Its sleep is cut short by the wake-up,
 * so it may be long.  Jobs wait in a line for each variant, and the lines
 * take turns:
 *
 *     in -> lines[0]: job - job - job, 32 being sent: more than half, no more
 *           lines[1]: job                  <- its turn
 */

#include "client/mg_shadow.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mg_aside.h"
#include "base/mg_crypt.h"
#include "client/mg_share.h"
#include "model/mg_policy.h"


#define MG_SHADOW_SLEEP_MS    1000
#define MG_SHADOW_AGAIN_MS    100
#define MG_SHADOW_CONNECT_MS  10000
#define MG_SHADOW_ANSWER_MAX  ((size_t) 256 * 1024 * 1024)
#define MG_SHADOW_ARENA_SPARE (1024 * 1024)


/* A variant's jobs, the oldest first. */
typedef struct {
    mg_shadow_job_t      *first;
    mg_shadow_job_t     **last;
    unsigned              sending;
} mg_shadow_line_t;


struct mg_shadow_s {
    mg_shadow_options_t   options;
    mg_http_t            *http;
    mg_aside_t            thread;

    /* shared; see above */
    mg_shadow_job_t      *in;
    mg_shadow_job_t      *out;
    int                   cancel;
    unsigned              several;      /* variants; share.several */

    /* the thread's: taken from "in" */
    mg_shadow_line_t      lines[MG_SHARE_SLOTS];
    unsigned              waiting;      /* in all of them */
    unsigned              turn;

    /* the event loop's; a slot of share is a line */
    mg_shadow_job_t      *back;         /* taken from "out" */
    mg_share_t            share;
};


static void mg_shadow_run(void *data);
static int mg_shadow_push(mg_shadow_job_t **stack, mg_shadow_job_t *job);
static mg_shadow_job_t *mg_shadow_take(mg_shadow_job_t **stack);
static void mg_shadow_fetch(mg_shadow_t *s);
static void mg_shadow_give(mg_shadow_t *s, mg_shadow_job_t *job);
static int mg_shadow_next(void *ctx, mg_http_request_t *req);
static mg_shadow_job_t *mg_shadow_first(mg_shadow_t *s,
    mg_shadow_line_t *line, int64_t now);
static mg_shadow_job_t *mg_shadow_pop(mg_shadow_t *s, mg_shadow_line_t *line);
static int mg_shadow_begin(mg_shadow_job_t *job, int64_t now);
static int mg_shadow_read(mg_shadow_job_t *job);
static void mg_shadow_head(void *data, int status, mg_str_t type,
    mg_str_t encoding);
static int mg_shadow_sink(void *data, const char *bytes, size_t len,
    mg_error_t *e);
static void mg_shadow_ended(void *ctx, const mg_http_request_t *req,
    const mg_http_response_t *res);
static mg_str_t mg_shadow_class(const mg_shadow_job_t *job,
    const mg_http_response_t *res);
static unsigned mg_shadow_status(const mg_http_response_t *res);
static void mg_shadow_cost(mg_shadow_job_t *job);


static const mg_http_many_t  mg_shadow_many = {
    mg_shadow_next,
    mg_shadow_ended,
    NULL
};


/* -- the event loop -- */

mg_shadow_t *
mg_shadow_start(const mg_shadow_options_t *o)
{
    mg_shadow_t  *s;

    s = calloc(1, sizeof(mg_shadow_t));
    if (s == NULL) {
        return NULL;
    }

    s->options = *o;
    s->share.jobs_max = o->queue + o->concurrency;
    s->share.bytes_max = o->memory;
    s->http = mg_http_create(o->concurrency, &s->cancel);

    if (s->http == NULL) {
        free(s);
        return NULL;
    }

    mg_http_sleep(s->http, MG_SHADOW_SLEEP_MS);
    mg_aside_begin(&s->thread, mg_shadow_run, s);

    if (!s->thread.begun) {
        mg_http_destroy(s->http);
        free(s);
        return NULL;
    }

    return s;
}


void
mg_shadow_stop(mg_shadow_t *s)
{
    if (!s->thread.begun) {
        return;
    }

    __atomic_store_n(&s->cancel, 1, __ATOMIC_RELAXED);
    mg_http_wake(s->http);

    mg_aside_end(&s->thread);
    s->thread.begun = 0;
}


void
mg_shadow_destroy(mg_shadow_t *s)
{
    mg_shadow_job_t  *job;

    mg_shadow_stop(s);

    while ((job = mg_shadow_done(s)) != NULL) {
        mg_shadow_job_free(job);
    }

    mg_http_destroy(s->http);
    free(s);
}


mg_shadow_room_e
mg_shadow_room(mg_shadow_t *s, uint64_t variant, size_t body)
{
    unsigned  slot;

    slot = mg_share_find(&s->share, variant, mg_mono_us());
    __atomic_store_n(&s->several, s->share.several, __ATOMIC_RELAXED);

    switch (mg_share_room(&s->share, slot, body)) {

    case MG_SHARE_NO_JOBS:
        return MG_SHADOW_NO_QUEUE;

    case MG_SHARE_NO_BYTES:
        return MG_SHADOW_NO_MEMORY;

    default: /* MG_SHARE_ROOM */
        return MG_SHADOW_ROOM;
    }
}


unsigned
mg_shadow_jobs(const mg_shadow_t *s)
{
    return s->share.jobs;
}


mg_shadow_job_t *
mg_shadow_job_create(size_t body)
{
    mg_arena_t       *a;
    mg_shadow_job_t  *job;

    a = mg_arena_create(body + MG_SHADOW_ARENA_SPARE);
    if (a == NULL) {
        return NULL;
    }

    job = mg_arena_calloc(a, sizeof(mg_shadow_job_t));

    if (job) {
        job->arena = a;
        job->fd = -1;
        job->body = mg_arena_alloc(a, body + 1);
    }

    if (job == NULL || job->body == NULL) {
        mg_arena_destroy(a);
        return NULL;
    }

    job->http.method = "POST";
    job->http.body = mg_str_n(job->body, body);

    mg_record_init(&job->record);
    job->record.kind = MG_RECORD_SHADOW;

    return job;
}


void
mg_shadow_job_free(mg_shadow_job_t *job)
{
    unsigned     i;
    mg_arena_t  *a;

    for (i = 0; i < job->http.n_more; i++) {
        mg_wipe((char *) job->http.more[i].data, job->http.more[i].len);
    }

    if (job->fd != -1) {
        (void) close(job->fd);
    }

    free(job->reader);
    mg_buf_free(&job->kept);

    a = job->arena;
    mg_arena_destroy(a);
}


void
mg_shadow_send(mg_shadow_t *s, mg_shadow_job_t *job)
{
    job->line = mg_share_find(&s->share, job->variant, mg_mono_us());
    mg_share_take(&s->share, job->line, job->http.body.len);

    if (mg_shadow_push(&s->in, job)) {
        mg_http_wake(s->http);
    }
}


mg_shadow_job_t *
mg_shadow_done(mg_shadow_t *s)
{
    mg_shadow_job_t  *job;

    if (s->back == NULL) {
        s->back = mg_shadow_take(&s->out);
    }

    job = s->back;

    if (job) {
        s->back = job->next;
        mg_share_give(&s->share, job->line, job->http.body.len);
    }

    return job;
}


/* -- between the two -- */

/* 1: the stack was empty.  The job is the other side's then. */

static int
mg_shadow_push(mg_shadow_job_t **stack, mg_shadow_job_t *job)
{
    mg_shadow_job_t  *top;

    top = __atomic_load_n(stack, __ATOMIC_RELAXED);

    do {
        job->next = top;
    } while (!__atomic_compare_exchange_n(stack, &top, job, 1,
                                          __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));

    return top == NULL;
}


/* All of it, the oldest first. */

static mg_shadow_job_t *
mg_shadow_take(mg_shadow_job_t **stack)
{
    mg_shadow_job_t  *job, *next, *first;

    first = NULL;

    for (job = __atomic_exchange_n(stack, NULL, __ATOMIC_ACQUIRE);
         job;
         job = next)
    {
        next = job->next;
        job->next = first;
        first = job;
    }

    return first;
}


/* -- the thread -- */

static void
mg_shadow_run(void *data)
{
    unsigned          i;
    mg_error_t        e;
    mg_shadow_t      *s = data;
    mg_shadow_job_t  *job;

    /* it ends by the cancel flag, or when libcurl gives up: then again */

    for ( ;; ) {
        (void) mg_http_run(s->http, &mg_shadow_many, s, &e);

        if (__atomic_load_n(&s->cancel, __ATOMIC_RELAXED)) {
            break;
        }

        (void) poll(NULL, 0, MG_SHADOW_AGAIN_MS);
    }

    mg_shadow_fetch(s);

    for (i = 0; i < MG_SHARE_SLOTS; i++) {
        while (s->lines[i].first) {
            job = mg_shadow_pop(s, &s->lines[i]);
            job->outcome = MG_SHADOW_UNSENT;
            mg_shadow_give(s, job);
        }
    }
}


/* What has come goes behind what waits. */

static void
mg_shadow_fetch(mg_shadow_t *s)
{
    mg_shadow_job_t   *job, *next;
    mg_shadow_line_t  *line;

    for (job = mg_shadow_take(&s->in); job; job = next) {
        next = job->next;
        job->next = NULL;
        line = &s->lines[job->line];

        if (line->first == NULL) {
            line->last = &line->first;
        }

        *line->last = job;
        line->last = &job->next;
        s->waiting++;
    }
}


static void
mg_shadow_give(mg_shadow_t *s, mg_shadow_job_t *job)
{
    if (mg_shadow_push(&s->out, job)) {
        s->options.notify(s->options.ctx);
    }
}


/* Called while there is room for one more. */

static int
mg_shadow_next(void *ctx, mg_http_request_t *req)
{
    int64_t           now;
    unsigned          i, n;
    mg_shadow_t      *s = ctx;
    mg_shadow_job_t  *job;

    mg_shadow_fetch(s);
    now = mg_mono_us();

    for (i = 0; i < MG_SHARE_SLOTS && s->waiting; i++) {
        n = (s->turn + i) % MG_SHARE_SLOTS;
        job = mg_shadow_first(s, &s->lines[n], now);

        if (job) {
            s->turn = n + 1;
            *req = job->http;
            return 1;
        }
    }

    return 0;
}


/* The line's first job that can be sent, if it may send one; NULL: none. */

static mg_shadow_job_t *
mg_shadow_first(mg_shadow_t *s, mg_shadow_line_t *line, int64_t now)
{
    unsigned          most;
    mg_shadow_job_t  *job;

    most = mg_share_most(s->options.concurrency,
                         __atomic_load_n(&s->several, __ATOMIC_RELAXED));

    while (line->first
           && (line->sending < most || line->first->deadline_us <= now))
    {
        job = mg_shadow_pop(s, line);

        if (mg_shadow_begin(job, now) == MG_OK) {
            line->sending++;
            return job;
        }

        mg_shadow_give(s, job);
    }

    return NULL;
}


static mg_shadow_job_t *
mg_shadow_pop(mg_shadow_t *s, mg_shadow_line_t *line)
{
    mg_shadow_job_t  *job;

    job = line->first;
    line->first = job->next;
    s->waiting--;

    return job;
}


/* MG_OK: to be sent; MG_DECLINED: it has ended here. */

static int
mg_shadow_begin(mg_shadow_job_t *job, int64_t now)
{
    int64_t             left;
    mg_http_request_t  *http;

    http = &job->http;
    left = (job->deadline_us - now) / 1000;

    if (left <= 0) {
        job->outcome = MG_SHADOW_EXPIRED;
        return MG_DECLINED;
    }

    if (mg_shadow_read(job) != MG_OK) {
        job->outcome = MG_SHADOW_UNREAD;
        return MG_DECLINED;
    }

    http->inference = 1;
    http->allow_private = 1;
    http->timeout_ms = (unsigned) left;
    http->body_max = MG_SHADOW_ANSWER_MAX;
    http->head = mg_shadow_head;
    http->sink = mg_shadow_sink;
    http->data = job;

    if (http->connect_timeout_ms == 0) {
        http->connect_timeout_ms = MG_SHADOW_CONNECT_MS;
    }

    job->begun_us = now;

    return MG_OK;
}


/* The parts of the body that nginx has put into a file. */

static int
mg_shadow_read(mg_shadow_job_t *job)
{
    size_t                   done;
    ssize_t                  n;
    unsigned                 i;
    const mg_shadow_file_t  *f;

    for (i = 0; i < job->n_files; i++) {
        f = &job->files[i];

        for (done = 0; done < f->len; done += (size_t) n) {
            n = pread(job->fd, job->body + f->at + done, f->len - done,
                      f->from + (off_t) done);

            if (n == -1 && errno == EINTR) {
                n = 0;
                continue;
            }

            if (n <= 0) {
                return MG_ERROR;
            }
        }
    }

    if (job->fd != -1) {
        (void) close(job->fd);
        job->fd = -1;
    }

    return MG_OK;
}


static void
mg_shadow_head(void *data, int status, mg_str_t type, mg_str_t encoding)
{
    mg_shadow_job_t    *job = data;
    mg_usage_format_e   format;

    (void) status;

    job->record.ttft_us = mg_mono_us() - job->begun_us;

    if (mg_usage_format(type, &format) != MG_OK || mg_usage_encoded(encoding))
    {
        return;
    }

    job->reader = malloc(sizeof(mg_usage_reader_t));

    if (job->reader) {
        mg_usage_init(job->reader, format);
    }

    if (job->keep) {
        mg_redact_init(&job->redact, job->hidden);
        mg_buf_init(&job->kept, job->keep);
        job->record.bodies = MG_POLICY_RESPONSE_BODY;
    }
}


static int
mg_shadow_sink(void *data, const char *bytes, size_t len, mg_error_t *e)
{
    mg_shadow_job_t  *job = data;

    (void) e;

    job->record.response_bytes += (int64_t) len;

    if (job->reader) {
        mg_usage_feed(job->reader, bytes, len);
    }

    if (job->record.bodies) {
        mg_redact_feed(&job->redact, bytes, len, &job->kept);
    }

    return MG_OK;
}


/* The record's second half. */

static void
mg_shadow_ended(void *ctx, const mg_http_request_t *req,
    const mg_http_response_t *res)
{
    int               whole;
    mg_str_t         *str;
    mg_record_t      *rec;
    mg_shadow_t      *s = ctx;
    mg_shadow_job_t  *job = req->data;

    s->lines[job->line].sending--;

    rec = &job->record;
    str = rec->str;
    whole = (res->error.kind == MG_E_NONE);

    rec->attempts = 1;
    rec->latency_us = mg_mono_us() - job->begun_us;
    rec->upstream_us = rec->latency_us;
    rec->upstream_status = (uint16_t) res->begun;
    rec->status = (uint16_t) mg_shadow_status(res);
    rec->truncated = (!whole && res->begun);

    if (job->reader) {
        mg_usage_finish(job->reader);

        rec->truncated |= (res->begun < 400
                           && mg_usage_truncated(job->reader));
    }

    if (job->reader && job->reader->seen) {
        rec->usage = job->reader->usage;
        rec->usage_source = mg_usage_source(job->reader, !rec->truncated);
    }

    mg_shadow_cost(job);
    rec->response_body = mg_buf_view(&job->kept);

    str[MG_RS_UPSTREAM_ADDR] = mg_arena_dup(job->arena, mg_str_z(res->peer));
    str[MG_RS_UPSTREAM_REQUEST_ID] = mg_arena_dup(job->arena,
                                                  res->request_id);
    str[MG_RS_ERROR_CLASS] = mg_shadow_class(job, res);

    job->outcome = str[MG_RS_ERROR_CLASS].len ? MG_SHADOW_FAILED
                                              : MG_SHADOW_ANSWERED;

    mg_shadow_give(s, job);
}


static void
mg_shadow_cost(mg_shadow_job_t *job)
{
    mg_cost_t     cost;
    mg_record_t  *rec;

    rec = &job->record;

    if (rec->usage_source == MG_USAGE_NONE) {
        rec->cost_reason = MG_COST_NO_USAGE;
        return;
    }

    if (job->prices == NULL) {
        rec->cost_reason = MG_COST_NO_PRICE;
        return;
    }

    rec->cost_nano = mg_cost_count(job->prices, &rec->usage, &cost);
    rec->cost_reason = (uint8_t) cost.reason;
}


/* What the gateway would have told a client. */

static unsigned
mg_shadow_status(const mg_http_response_t *res)
{
    if (res->begun) {
        return (unsigned) res->begun;
    }

    switch (res->error.kind) {

    case MG_E_NONE:
        return 200;

    case MG_E_TIMEOUT:
        return 504;

    case MG_E_CANCELLED:
        return 503;

    default:
        return 502;
    }
}


/* The names are those of the records of clients' requests. */

static mg_str_t
mg_shadow_class(const mg_shadow_job_t *job, const mg_http_response_t *res)
{
    switch (res->error.kind) {

    case MG_E_NONE:
        break;

    case MG_E_TIMEOUT:
        return mg_str("timeout");

    case MG_E_CANCELLED:
        return mg_str("shutdown");

    case MG_E_UNAVAILABLE:
        return mg_str("connect");

    default:
        if (res->begun) {
            return mg_str("truncated");
        }

        return strcmp(res->error.code, "tls_failed") == 0
               ? mg_str("connect") : mg_str("bad_answer");
    }

    if (res->status >= 500) {
        return mg_str("upstream_5xx");
    }

    if (res->status >= 400) {
        return mg_str("upstream_4xx");
    }

    if (job->reader && job->reader->error) {
        return mg_str("upstream_error");
    }

    return job->record.truncated ? mg_str("truncated") : mg_str("");
}
