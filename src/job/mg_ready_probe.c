/*
 * mg_ready_probe.c: the thread that waits for model servers.
 *
 *     routing file -> list -> health? -> generation -> ready, latched
 *                               ^             |
 *                               +-- later ----+-> pull (an Ollama)
 *
 * All requests are driven by one client of this thread; a server has one
 * under way at most.  Another file that says something else of the
 * servers cuts them and begins anew; what is ready stays so.  When all are
 * ready and the gateway is, that is latched as well and the thread ends.
 *
 * Addresses are not looked at: the proxy would send clients' requests there.
 */

#include "job/mg_ready_local.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mg_thread.h"
#include "base/mg_time.h"


#define MG_READY_AT_ONCE      32
#define MG_READY_LOOK_MS      100

#define MG_READY_HEALTH_MS    5000
#define MG_READY_PULL_MS      (24 * 3600 * 1000)
#define MG_READY_BODY_MAX     (256 * 1024)
#define MG_READY_LIST_MAX     (16 * 1024 * 1024)
#define MG_READY_LINE_MAX     (64 * 1024)

/* Sixteen lines of 200 bytes a second for a day; none of them is kept. */
#define MG_READY_PULL_MAX     (512 * 1024 * 1024)

/* Where waiting alone helps nobody, questions come rarer: ms. */
#define MG_READY_RARE         30000
#define MG_READY_RARE_TIMES   5

/* The most that a server may ask for with Retry-After, seconds. */
#define MG_READY_RETRY_MAX    60

/* Percent: one that is well but proved nothing, and of a pull's whole. */
#define MG_READY_WELL         95
#define MG_READY_PULL_SHARE   90


typedef struct {
    const mg_env_t          *env;
    const mg_ready_conf_t   *conf;
    mg_loads_t              *loads;
    mg_thread_t             *thread;
    uint64_t                 serial;      /* of the files that are listed */
    mg_ready_list_t          list;
    mg_load_t              **cells;       /* of the list */
    const int               *cancel;
    unsigned                 learned:1;   /* one has become ready */
} mg_ready_probe_t;


static void mg_ready_probe_run(mg_thread_t *t, void *data);
static int mg_ready_probe_look(mg_ready_probe_t *w);
static uint64_t mg_ready_probe_serial(const mg_ready_probe_t *w);
static void mg_ready_probe_relist(mg_ready_probe_t *w);
static int mg_ready_probe_other(const mg_ready_probe_t *w,
    mg_ready_list_t *list);
static void mg_ready_probe_cells(mg_ready_probe_t *w);
static void mg_ready_probe_ask(mg_ready_probe_t *w);
static int mg_ready_probe_next(void *ctx, mg_http_request_t *req);
static int mg_ready_probe_begin(mg_ready_probe_t *w, mg_ready_server_t *sv,
    mg_http_request_t *req);
static int mg_ready_probe_target(mg_ready_probe_t *w, mg_ready_server_t *sv,
    mg_http_request_t *req, mg_error_t *e);
static int mg_ready_probe_proof(mg_ready_server_t *sv,
    mg_http_request_t *req);
static int mg_ready_probe_pull(mg_ready_server_t *sv,
    mg_http_request_t *req);
static int mg_ready_probe_sink(void *data, const char *bytes, size_t len,
    mg_error_t *e);
static int mg_ready_probe_tick(void *ctx, mg_error_t *e);
static void mg_ready_probe_done(void *ctx, const mg_http_request_t *req,
    const mg_http_response_t *res);
static void mg_ready_probe_healthy(mg_ready_probe_t *w,
    mg_ready_server_t *sv, const mg_http_response_t *res);
static void mg_ready_probe_proved(mg_ready_probe_t *w,
    mg_ready_server_t *sv, const mg_http_response_t *res);
static void mg_ready_probe_pulled(mg_ready_probe_t *w,
    mg_ready_server_t *sv, const mg_http_response_t *res);
static void mg_ready_probe_well(mg_ready_probe_t *w, mg_ready_server_t *sv);
static void mg_ready_probe_away(mg_ready_probe_t *w, mg_ready_server_t *sv,
    const mg_http_response_t *res);
static void mg_ready_probe_later(const mg_ready_probe_t *w,
    mg_ready_server_t *sv, mg_probe_class_e class, int64_t retry_after_s);
static void mg_ready_probe_say(const mg_ready_probe_t *w,
    mg_ready_server_t *sv, mg_probe_class_e class, int status,
    mg_str_t message);
static void mg_ready_probe_clear(mg_ready_server_t *sv);


static mg_ready_probe_t  mg_ready_probe;


int
mg_ready_probe_start(const mg_env_t *env, const mg_ready_conf_t *conf,
    mg_loads_t *loads, mg_error_t *e)
{
    mg_ready_probe_t  *w;

    w = &mg_ready_probe;
    w->env = env;
    w->conf = conf;
    w->loads = loads;

    if (mg_word_get(env->state->servers_done)) {
        return MG_OK;
    }

    w->thread = mg_thread_start(mg_ready_probe_run, w, e);

    return w->thread ? MG_OK : MG_ERROR;
}


void
mg_ready_probe_end(void)
{
    if (mg_ready_probe.thread) {
        mg_thread_end(mg_ready_probe.thread);
    }
}


void
mg_ready_probe_stop(void)
{
    if (mg_ready_probe.thread) {
        mg_thread_stop(mg_ready_probe.thread);
        mg_ready_probe.thread = NULL;
    }
}


static void
mg_ready_probe_run(mg_thread_t *t, void *data)
{
    mg_error_t         e;
    mg_ready_probe_t  *w = data;

    w->cancel = mg_thread_flag(t);

    do {
        mg_ready_probe_relist(w);

        if (mg_ready_probe_look(w)) {
            break;
        }

        mg_ready_probe_ask(w);

        if (w->learned) {
            w->learned = 0;

            if (mg_ready_past_write(w->env->state_dir, &w->list, &e)
                != MG_OK)
            {
                w->env->log(MG_LOG_WARN, "%s", e.message);
            }
        }

    } while (!mg_thread_pause(t, MG_READY_LOOK_MS));

    mg_ready_list_free(&w->list);
    free(w->cells);
    w->cells = NULL;
}


/*
 * 1: everything is ready, and that was told.  Who is in a file of before a
 * restart is not yet who has to be waited for.
 */

static int
mg_ready_probe_look(mg_ready_probe_t *w)
{
    mg_state_t  *s;

    s = w->env->state;

    if (w->cells == NULL
        || !mg_load_sum(w->cells, w->list.n, s, mg_mono_us(),
                        mg_now_us())
        || mg_word_get(s->phase) != MG_PHASE_READY
        || !mg_word_get(s->routing_compared)
        || mg_ready_probe_serial(w) != w->serial)
    {
        return 0;
    }

    mg_word_set(s->servers_done, 1);

    w->env->log(MG_LOG_NOTICE, "ready, and so are the %u model servers that "
                "were waited for", w->list.n);

    return 1;
}


/* -- the list -- */

/* Another one with each file: who is there, and of what type models are. */

static uint64_t
mg_ready_probe_serial(const mg_ready_probe_t *w)
{
    return mg_word_get(w->env->state->routing_serial)
           + mg_word_get(w->env->state->catalog_serial);
}


/* As the files are now; on any failure the old list stays. */

static void
mg_ready_probe_relist(mg_ready_probe_t *w)
{
    int              rc;
    uint64_t         serial;
    mg_ready_list_t  list;

    serial = mg_ready_probe_serial(w);

    if (serial == w->serial) {
        return;
    }

    rc = mg_ready_probe_other(w, &list);

    if (rc != MG_DECLINED) {
        w->serial = serial;
    }

    if (rc != MG_OK) {
        return;
    }

    mg_ready_list_free(&w->list);
    w->list = list;

    free(w->cells);
    w->cells = calloc(w->list.n + 1, sizeof(mg_load_t *));

    if (w->cells == NULL) {
        mg_ready_list_free(&w->list);
        w->serial = 0;
        return;
    }

    mg_ready_probe_cells(w);
    mg_ready_past_read(w->env->state_dir, &w->list);
}


/*
 * MG_OK: the file says something else, list is it.  MG_AGAIN: it says the
 * same.  MG_DECLINED: it cannot be read now.
 */

static int
mg_ready_probe_other(const mg_ready_probe_t *w, mg_ready_list_t *list)
{
    if (mg_ready_list(w->env, w->conf, list) != MG_OK) {
        return MG_DECLINED;
    }

    if (w->cells == NULL || list->digest != w->list.digest) {
        return MG_OK;
    }

    mg_ready_list_free(list);

    return MG_AGAIN;
}


static void
mg_ready_probe_cells(mg_ready_probe_t *w)
{
    unsigned            i, n;
    mg_ready_server_t  *sv;

    for (i = 0, n = 0; i < w->list.n; i++) {
        sv = &w->list.servers[n];
        *sv = w->list.servers[i];

        if (sv->model.provider_model_id.len == 0) {
            w->env->log(MG_LOG_WARN, "model_ready_backends names provider "
                        "\"%s\", which no group uses; it is not ready until "
                        "one does", sv->name);

        } else {
            sv->load = mg_load_find(w->loads, mg_str_z(sv->name),
                                    sv->identity, mg_mono_us());

            if (sv->load == NULL) {

                /* those of the list before give way */

                mg_load_list(w->loads, w->cells, n);
                sv->load = mg_load_find(w->loads, mg_str_z(sv->name),
                                        sv->identity, mg_mono_us());
            }

            if (sv->load == NULL) {
                w->env->log(MG_LOG_WARN, "more than %d model servers: "
                            "\"%s\" is not waited for", MG_LOAD_CELLS,
                            sv->name);
                continue;
            }
        }

        w->cells[n++] = sv->load;
    }

    w->list.n = n;
    mg_load_list(w->loads, w->cells, n);
}


/* -- requests -- */

static const mg_http_many_t  mg_ready_probe_many = {
    mg_ready_probe_next,
    mg_ready_probe_done,
    mg_ready_probe_tick
};


static void
mg_ready_probe_ask(mg_ready_probe_t *w)
{
    mg_http_t   *http;
    mg_error_t   e;

    if (w->cells == NULL) {
        return;
    }

    http = mg_http_create(MG_READY_AT_ONCE, w->cancel);
    if (http == NULL) {
        return;
    }

    mg_http_sleep(http, MG_READY_LOOK_MS);

    /* cut when it is to end, or when there is another list */

    (void) mg_http_run(http, &mg_ready_probe_many, w, &e);
    mg_http_destroy(http);
}


static int
mg_ready_probe_next(void *ctx, mg_http_request_t *req)
{
    int                 wait;
    int64_t             now;
    unsigned            i;
    mg_ready_probe_t   *w = ctx;
    mg_ready_server_t  *sv;

    now = mg_mono_us();
    wait = -1;

    for (i = 0; i < w->list.n; i++) {
        sv = &w->list.servers[i];

        if (sv->load == NULL
            || mg_word_get(sv->load->phase) == MG_PHASE_READY)
        {
            continue;
        }

        wait = 0;

        if (!sv->busy && sv->due_us <= now
            && mg_ready_probe_begin(w, sv, req) == MG_OK)
        {
            return 1;
        }
    }

    return wait;
}


static int
mg_ready_probe_begin(mg_ready_probe_t *w, mg_ready_server_t *sv,
    mg_http_request_t *req)
{
    int         rc;
    mg_error_t  e;

    mg_buf_init(&sv->url, 0);
    mg_buf_init(&sv->body, 0);
    mg_buf_init(&sv->line, MG_READY_LINE_MAX);
    sv->progress = -1;
    sv->arena = mg_arena_create(0);

    if (sv->health == NULL && sv->step == MG_READY_HEALTH) {
        sv->step = MG_READY_PROOF;
    }

    req->data = sv;
    req->method = "GET";
    req->allow_private = 1;
    req->trusted = w->conf->trusted;
    req->timeout_ms = MG_READY_HEALTH_MS;
    req->body_max = MG_READY_BODY_MAX;
    req->url = sv->health_url;

    rc = sv->arena ? MG_OK : mg_error_set(&e, MG_E_INTERNAL, NULL,
                                          "out of memory");

    if (rc == MG_OK && sv->step != MG_READY_HEALTH) {
        rc = mg_ready_probe_target(w, sv, req, &e);
    }

    if (rc != MG_OK) {
        mg_ready_probe_say(w, sv, MG_PROBE_UNSUPPORTED, 0,
                           mg_str_z(e.message));
        mg_ready_probe_later(w, sv, MG_PROBE_UNSUPPORTED, -1);
        mg_ready_probe_clear(sv);
        return MG_ERROR;
    }

    sv->busy = 1;

    return MG_OK;
}


/* With the key, which is opened for each request and wiped behind it. */

static int
mg_ready_probe_target(mg_ready_probe_t *w, mg_ready_server_t *sv,
    mg_http_request_t *req, mg_error_t *e)
{
    int                 rc;
    unsigned            i;
    mg_probe_target_t  *t;

    if (mg_target_open(w->env, sv->provider.org_id, &sv->provider, sv->arena,
                       &sv->target, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    t = &sv->target.probe;
    t->paths = sv->paths;

    for (i = 0; i < t->n_headers; i++) {
        req->headers[i] = t->headers[i];
    }

    req->n_headers = t->n_headers;
    req->connect_timeout_ms = t->connect_timeout_ms;
    req->timeout_ms = w->conf->timeout_ms;

    mg_buf_str(&sv->url, t->base);

    rc = (sv->step == MG_READY_PULL) ? mg_ready_probe_pull(sv, req)
                                     : mg_ready_probe_proof(sv, req);

    if (rc != MG_OK || sv->url.failed || sv->body.failed) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "the request could not "
                            "be made");
    }

    req->url = mg_buf_view(&sv->url);
    req->body = mg_buf_view(&sv->body);
    req->method = req->body.len ? "POST" : "GET";

    return MG_OK;
}


/* A model that no small request proves is believed if the list answers. */

static int
mg_ready_probe_proof(mg_ready_server_t *sv, mg_http_request_t *req)
{
    int                   rc;
    const mg_protocol_t  *p;

    p = sv->target.probe.protocol;
    rc = p->probe(&sv->model, &sv->url, &sv->body);

    sv->listed = (rc == MG_DECLINED);

    if (!sv->listed) {
        return rc == MG_OK ? mg_target_path(&sv->target.probe,
                                            sv->model.provider_model_id,
                                            &sv->url)
                           : MG_ERROR;
    }

    mg_buf_z(&sv->url, p->list_path);
    mg_buf_str(&sv->body, mg_str_z(p->list_body));
    req->body_max = MG_READY_LIST_MAX;

    return MG_OK;
}


static int
mg_ready_probe_pull(mg_ready_server_t *sv, mg_http_request_t *req)
{
    mg_jw_t  w;

    mg_buf_z(&sv->url, "/api/pull");

    mg_jw_init(&w, &sv->body);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "model", sv->model.provider_model_id);
    mg_jw_bool(&w, "stream", 1);
    mg_jw_end_object(&w);

    req->timeout_ms = MG_READY_PULL_MS;
    req->body_max = MG_READY_PULL_MAX;
    req->sink = mg_ready_probe_sink;
    sv->pulled = 0;

    return MG_OK;
}


/* One line a piece, cut anywhere. */

static int
mg_ready_probe_sink(void *data, const char *bytes, size_t len, mg_error_t *e)
{
    int                 rc;
    size_t              n;
    const char         *end;
    mg_ready_server_t  *sv = data;

    while (len) {
        end = memchr(bytes, '\n', len);
        n = end ? (size_t) (end - bytes) : len;

        mg_buf_add(&sv->line, bytes, n);

        if (sv->line.failed) {
            return mg_error_set(e, MG_E_TOO_LARGE, NULL, "a line of the pull "
                                "is longer than %d bytes", MG_READY_LINE_MAX);
        }

        if (end == NULL) {
            return MG_OK;
        }

        mg_arena_reset(sv->arena);
        rc = mg_health_pull(mg_buf_view(&sv->line), sv->arena,
                            &sv->progress);

        if (rc == MG_ERROR && sv->line.len) {
            return mg_error_set(e, MG_E_UPSTREAM, NULL, "it does not pull: "
                                MG_STR_FMT,
                                (int) (sv->line.len < 200 ? sv->line.len
                                                          : 200),
                                sv->line.data);
        }

        sv->pulled = sv->pulled || rc == MG_OK;

        (void) mg_load_seen(sv->load, MG_PHASE_LOADING,
                            sv->progress < 0 ? -1 : sv->progress
                                                 * MG_READY_PULL_SHARE / 100,
                            mg_mono_us());
        sv->line.len = 0;
        bytes += n + 1;
        len -= n + 1;
    }

    return MG_OK;
}


static int
mg_ready_probe_tick(void *ctx, mg_error_t *e)
{
    int                rc;
    uint64_t           serial;
    mg_ready_list_t    list;
    mg_ready_probe_t  *w = ctx;

    (void) mg_load_sum(w->cells, w->list.n, w->env->state,
                       mg_mono_us(), mg_now_us());

    serial = mg_ready_probe_serial(w);

    if (serial == w->serial) {
        return MG_OK;
    }

    rc = mg_ready_probe_other(w, &list);

    if (rc == MG_OK) {
        mg_ready_list_free(&list);
        return mg_error_set(e, MG_E_CANCELLED, NULL, "other model servers");
    }

    if (rc == MG_AGAIN) {
        w->serial = serial;
    }

    return MG_OK;
}


/* -- answers -- */

static void
mg_ready_probe_done(void *ctx, const mg_http_request_t *req,
    const mg_http_response_t *res)
{
    mg_ready_probe_t   *w = ctx;
    mg_ready_server_t  *sv;

    static void  (* const answered[])(mg_ready_probe_t *w,
                     mg_ready_server_t *sv, const mg_http_response_t *res) = {
        [MG_READY_HEALTH] = mg_ready_probe_healthy,
        [MG_READY_PROOF] = mg_ready_probe_proved,
        [MG_READY_PULL] = mg_ready_probe_pulled
    };

    sv = req->data;
    sv->busy = 0;

    if (res->status == 0 && res->error.kind == MG_E_CANCELLED) {
        mg_ready_probe_clear(sv);
        return;
    }

    if (res->status == 0) {
        mg_ready_probe_away(w, sv, res);

    } else {
        answered[sv->step](w, sv, res);
    }

    mg_ready_probe_clear(sv);
}


static void
mg_ready_probe_healthy(mg_ready_probe_t *w, mg_ready_server_t *sv,
    const mg_http_response_t *res)
{
    mg_health_t  h;

    sv->health->read(sv->model.provider_model_id, res->status, res->body,
                     sv->arena, &h);

    if (h.state == MG_HEALTH_LOADING) {
        (void) mg_load_seen(sv->load, MG_PHASE_LOADING, h.progress,
                            mg_mono_us());
        mg_ready_probe_say(w, sv, MG_PROBE_OVERLOADED, res->status,
                           mg_str("it is loading"));
        mg_ready_probe_later(w, sv, MG_PROBE_OVERLOADED, res->retry_after_s);
        return;
    }

    if (h.state == MG_HEALTH_WELL) {
        (void) mg_load_seen(sv->load, MG_PHASE_FINALIZING, MG_READY_WELL,
                            mg_mono_us());

    } else if (res->status >= 300 && res->status < 500) {

        /* it has no such call: once is enough; 502 is of one in between */

        sv->health = NULL;
    }

    sv->step = MG_READY_PROOF;
    sv->due_us = 0;
}


static void
mg_ready_probe_proved(mg_ready_probe_t *w, mg_ready_server_t *sv,
    const mg_http_response_t *res)
{
    mg_str_t            message;
    mg_probe_class_e    class;
    mg_probe_target_t  *t;

    t = &sv->target.probe;
    message = mg_str_null;

    if (sv->listed && res->status < 300) {
        class = MG_PROBE_OK;

    } else {
        class = t->protocol->judge(&sv->model, res->status, res->body,
                                   sv->arena, &message);
    }

    if (class == MG_PROBE_OK) {
        mg_ready_probe_well(w, sv);
        return;
    }

    (void) mg_load_seen(sv->load, MG_PHASE_LOADING, -1, mg_mono_us());
    mg_ready_probe_say(w, sv, class, res->status,
                       mg_probe_redact(message, t->secret, sv->arena));
    mg_ready_probe_later(w, sv, class, res->retry_after_s);

    if (class == MG_PROBE_NOT_FOUND && w->conf->pull
        && mg_str_eq(t->protocol->name, mg_str("ollama")))
    {
        sv->step = MG_READY_PULL;
        sv->due_us = 0;
    }
}


static void
mg_ready_probe_pulled(mg_ready_probe_t *w, mg_ready_server_t *sv,
    const mg_http_response_t *res)
{
    if (res->status == 200 && sv->pulled) {
        w->env->log(MG_LOG_NOTICE, "provider \"%s\" has pulled model \"%.*s\"",
                    sv->name, MG_STR_ARG(sv->model.provider_model_id));
        sv->step = MG_READY_HEALTH;
        sv->due_us = 0;
        return;
    }

    mg_ready_probe_say(w, sv, MG_PROBE_BAD_ANSWER, res->status,
                       mg_str("the pull ended without success"));
    mg_ready_probe_later(w, sv, MG_PROBE_NOT_FOUND, res->retry_after_s);
}


static void
mg_ready_probe_well(mg_ready_probe_t *w, mg_ready_server_t *sv)
{
    int64_t  now;

    now = mg_mono_us();

    if (mg_load_seen(sv->load, MG_PHASE_READY, 100, now)) {
        w->learned = 1;
        w->env->log(MG_LOG_NOTICE, "provider \"%s\" is ready after %.1f s",
                    sv->name,
                    (double) mg_word_get(sv->load->took_us) / 1e6);
    }
}


/* It did not answer, or not in time: then it may be loading. */

static void
mg_ready_probe_away(mg_ready_probe_t *w, mg_ready_server_t *sv,
    const mg_http_response_t *res)
{
    int               timeout;
    mg_probe_class_e  class;

    timeout = (res->error.kind == MG_E_TIMEOUT);
    class = timeout ? MG_PROBE_TIMEOUT : MG_PROBE_CONNECT;

    (void) mg_load_seen(sv->load, timeout ? MG_PHASE_LOADING
                                          : MG_PHASE_CONNECTING,
                        -1, mg_mono_us());

    /* it may have the words of a server, which knows the key */

    mg_ready_probe_say(w, sv, class, 0,
                       mg_probe_redact(mg_str_z(res->error.message),
                                       sv->target.probe.secret, sv->arena));
    mg_ready_probe_later(w, sv, class, -1);
}


/* When it is asked again, from the beginning. */

static void
mg_ready_probe_later(const mg_ready_probe_t *w, mg_ready_server_t *sv,
    mg_probe_class_e class, int64_t retry_after_s)
{
    int64_t  ms, asked;

    ms = w->conf->interval_ms;

    switch (class) {

    case MG_PROBE_AUTH:
    case MG_PROBE_QUOTA:
    case MG_PROBE_NOT_FOUND:
    case MG_PROBE_UNSUPPORTED:

        sv->failed += (sv->failed < MG_READY_RARE_TIMES);
        ms <<= sv->failed;
        ms = ms > MG_READY_RARE && ms > w->conf->interval_ms ? MG_READY_RARE
                                                             : ms;
        break;

    default:
        sv->failed = 0;
        break;
    }

    asked = retry_after_s > MG_READY_RETRY_MAX ? MG_READY_RETRY_MAX
                                               : retry_after_s;
    ms = asked * 1000 > ms ? asked * 1000 : ms;

    sv->step = MG_READY_HEALTH;
    sv->due_us = mg_mono_us() + ms * 1000;
}


/* Once for each reason in a row. */

static void
mg_ready_probe_say(const mg_ready_probe_t *w, mg_ready_server_t *sv,
    mg_probe_class_e class, int status, mg_str_t message)
{
    char  answer[32];

    if (sv->said == (int) class) {
        return;
    }

    sv->said = (int) class;
    answer[0] = '\0';

    if (status) {
        (void) snprintf(answer, sizeof(answer), " (status %d)", status);
    }

    w->env->log(MG_LOG_NOTICE, "provider \"%s\" is not ready yet: %.*s%s%s"
                "%.*s", sv->name, MG_STR_ARG(mg_probe_class_names[class]),
                answer, message.len ? ", " : "", MG_STR_ARG(message));
}


static void
mg_ready_probe_clear(mg_ready_server_t *sv)
{
    mg_target_close(&sv->target);
    mg_buf_free(&sv->url);
    mg_buf_free(&sv->body);
    mg_buf_free(&sv->line);
    mg_arena_destroy(sv->arena);
    sv->arena = NULL;
}
