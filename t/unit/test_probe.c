/*
 * Breaks when a model is asked twice without need, or not again after a
 * refusal that passes; when a verdict is lost, doubled or of the wrong
 * class; when the provider's key shows in its own words; when the rate
 * limit is ignored; when a stopped run goes on or judges what it cut.
 *
 * The provider is a server in this process that acts by the name of the
 * model that it is asked for.
 */

#include "tap.h"
#include "loopback.h"

#include <signal.h>

#include "base/mg_time.h"
#include "client/mg_http.h"
#include "job/mg_probe.h"


#define SECRET      "sk-verysecret-0123456789"
#define MODELS_MAX  400


typedef struct {
    const char       *name;
    mg_model_type_e   type;
    const char       *class;         /* "ok" and so on */
    int               status;
    int               requests;      /* that the server is to see */
    const char       *words;         /* part of the message */
} expect_t;


static const expect_t  expected[] = {
    { "org/good:free", MG_TYPE_CHAT, "ok", 200, 1, NULL },
    { "vectors", MG_TYPE_EMBEDDING, "ok", 200, 1, NULL },
    { "flaky", MG_TYPE_CHAT, "ok", 200, 2, NULL },
    { "limited", MG_TYPE_CHAT, "ok", 200, 2, NULL },
    { "reset", MG_TYPE_CHAT, "ok", 200, 2, NULL },
    { "broken", MG_TYPE_CHAT, "overloaded", 503, 2, "down" },
    { "dead", MG_TYPE_CHAT, "connect", 0, 2, "broken off" },
    { "later", MG_TYPE_CHAT, "quota", 429, 1, "tomorrow" },
    { "missing", MG_TYPE_CHAT, "not_found", 404, 1, "no such model" },
    { "leaky", MG_TYPE_CHAT, "auth", 401, 1, "key ************************ "
      "is wrong, ************************ is" },
    { "slow", MG_TYPE_CHAT, "timeout", 0, 1, "127.0.0.1" },
    { "huge", MG_TYPE_CHAT, "bad_answer", 0, 1, "too large" },
    { "hollow", MG_TYPE_CHAT, "bad_answer", 200, 1, "choices" },
    { "painter", MG_TYPE_IMAGE, "unverified", 0, 0, "lists it" },
    { "singer", MG_TYPE_AUDIO, "not_found", 0, 0, "own list" },
    { "table", MG_TYPE_TABULAR, "unverified", 0, 0, "metadata is known" }
};

#define N_EXPECTED  (sizeof(expected) / sizeof(expected[0]))


/* Requests for each of these names, atomic. */
static int      asked[N_EXPECTED];
static int64_t  last_us;

/* Requests of serve_crowd(). */
static int      crowd;


/* -- the provider -- */

#define GOOD  "{\"choices\":[{\"index\":0}]}"


static int
act(peer_t *p, const char *name, int before)
{
    char  *text;

    if (strcmp(name, "vectors") == 0) {
        answer(p->fd, strcmp(p->path, "/v1/embeddings") == 0
                      ? "200 OK" : "404 Not Found", "",
               "{\"data\":[{\"embedding\":[0.5]}]}");

    } else if ((strcmp(name, "flaky") == 0 && before == 0)
               || strcmp(name, "broken") == 0)
    {
        answer(p->fd, "503 Service Unavailable", "",
               "{\"error\":\"down\"}");

    } else if (strcmp(name, "limited") == 0 && before == 0) {
        answer(p->fd, "429 Too Many Requests", "Retry-After: 1\r\n", "{}");

    } else if (strcmp(name, "later") == 0) {
        answer(p->fd, "429 Too Many Requests", "Retry-After: 3600\r\n",
               "{\"error\":{\"message\":\"come back tomorrow\"}}");

    } else if ((strcmp(name, "reset") == 0 && before == 0)
               || strcmp(name, "dead") == 0)
    {
        return 0;

    } else if (strcmp(name, "missing") == 0) {
        answer(p->fd, "404 Not Found", "",
               "{\"error\":{\"message\":\"no such model\"}}");

    } else if (strcmp(name, "leaky") == 0) {
        answer(p->fd, "401 Unauthorized", "",
               "{\"error\":{\"message\":\"key " SECRET " is wrong, " SECRET
               " is\"}}");

    } else if (strcmp(name, "slow") == 0) {
        return nap_while_open(p, 20000);

    } else if (strcmp(name, "huge") == 0) {
        text = calloc(1, 1024 * 1024);
        memset(text, ' ', 1024 * 1024 - 1);
        answer(p->fd, "200 OK", "", text);
        free(text);

    } else if (strcmp(name, "hollow") == 0) {
        answer(p->fd, "200 OK", "", "{\"choices\":[]}");

    } else {
        answer(p->fd, "200 OK", "", GOOD);
    }

    return 1;
}


/* So many of them a quarter of a second, and "never" one of the others. */

static int
serve_crowd(peer_t *p, int never)
{
    int                     served;
    int64_t                 now;
    static int              n;
    static int64_t          since;
    static pthread_mutex_t  lock = PTHREAD_MUTEX_INITIALIZER;

    now = mg_mono_us();
    pthread_mutex_lock(&lock);
    crowd++;

    if (now - since > 250000) {
        since = now;
        n = 0;
    }

    served = (!never && n < 16);
    n += served;
    pthread_mutex_unlock(&lock);

    answer(p->fd, served ? "200 OK" : "429 Too Many Requests",
           served ? "" : "Retry-After: 0\r\n", served ? GOOD : "{}");

    return 1;
}


static int
serve_list(peer_t *p)
{
    if (!nap_while_open(p, 150)) {
        return 0;
    }

    answer(p->fd, strncmp(p->in, "GET ", 4) == 0 ? "200 OK"
                                                 : "400 Bad Request", "",
           "{\"data\":[]}");

    return 1;
}


static int
serve_model(peer_t *p)
{
    size_t   i;
    char     name[64];
    int64_t  now;

    now = mg_mono_us();

    __atomic_store_n(&last_us, now, __ATOMIC_RELAXED);

    if (strstr(p->in, "Authorization: Bearer " SECRET) == NULL
        || sscanf(p->body, "{\"model\":\"%63[^\"]\"", name) != 1)
    {
        answer(p->fd, "400 Bad Request", "", "{\"error\":\"no model\"}");
        return 1;
    }

    for (i = 0; i < N_EXPECTED; i++) {
        if (strcmp(name, expected[i].name) == 0) {
            return act(p, name, __atomic_fetch_add(&asked[i], 1,
                                                   __ATOMIC_RELAXED));
        }
    }

    if (strncmp(name, "crowd", 5) == 0 || strncmp(name, "never", 5) == 0) {
        return serve_crowd(p, name[0] == 'n');
    }

    if (strncmp(name, "nap", 3) == 0 && !nap_while_open(p, 100)) {
        return 0;
    }

    if (strncmp(name, "doze", 4) == 0 && !nap_while_open(p, 400)) {
        return 0;
    }

    if (strncmp(name, "sleep", 5) == 0 && !nap_while_open(p, 20000)) {
        return 0;
    }

    answer(p->fd, "200 OK", "", GOOD);

    return 1;
}


static const route_t  routes[] = {
    { "/v1/models", serve_list },
    { NULL, serve_model }
};


/* -- the run -- */

typedef struct {
    char               class[32];
    char               words[640];
    int                status;
    int64_t            latency_us;
} said_t;


typedef struct {
    const mg_validation_model_t
                      *models;
    unsigned           n;
    mg_probes_t       *probes;
    const mg_validation_model_t
                      *late;               /* added when the list comes */
    unsigned           n_late;
    int                listed;             /* status of the list */
    int                strangers;          /* verdicts on another model */
    int                started;
    int                verdicts;
    int                available;
    int                stop_at;            /* ticks; 0: never */
    int                fail_at;            /* verdicts; 0: never */
    int                ticks;
    int                refusals;           /* of on_begin(), at first */
    unsigned           begun;              /* models */
    unsigned           again;              /* of them, not the first time */
    unsigned           batches;
    int                mixed;
    int                seen[MODELS_MAX];
    said_t             said[MODELS_MAX];
} run_t;


static void
on_started(void *ctx, const mg_validation_model_t *m)
{
    run_t  *r = ctx;

    (void) m;

    r->started++;
}


static int
on_verdict(void *ctx, const mg_validation_model_t *m,
    const mg_validation_result_t *v, mg_error_t *e)
{
    unsigned   i;
    run_t     *r = ctx;

    r->strangers += !mg_str_eq(m->id, v->model_id);

    for (i = 0; i < r->n; i++) {
        if (mg_str_eq(r->models[i].id, v->model_id)) {
            r->seen[i]++;
            r->said[i].status = (int) v->status_code;
            r->said[i].latency_us = v->latency_us;
            snprintf(r->said[i].class, sizeof(r->said[i].class), MG_STR_FMT,
                     MG_STR_ARG(v->available ? mg_str("ok")
                                : v->unverified ? mg_str("unverified")
                                : v->error_class));
            snprintf(r->said[i].words, sizeof(r->said[i].words), MG_STR_FMT,
                     MG_STR_ARG(v->error));
        }
    }

    r->verdicts++;
    r->available += v->available;

    if (r->fail_at && r->verdicts == r->fail_at) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "no room for verdicts");
    }

    return MG_OK;
}


static int
on_begin(void *ctx, const mg_validation_model_t **models, unsigned n,
    mg_error_t *e)
{
    unsigned   i;
    run_t     *r = ctx;

    (void) e;

    if (r->refusals > 0) {
        r->refusals--;
        return MG_DECLINED;
    }

    for (i = 0; i < n; i++) {
        r->mixed += (models[i]->begun != models[0]->begun);
        r->again += (models[i]->begun == 1);
    }

    r->begun += n;
    r->batches++;

    return MG_OK;
}


static int
on_known(void *ctx, const mg_validation_model_t *m)
{
    (void) ctx;

    return m->type == MG_TYPE_IMAGE ? 1 : m->type == MG_TYPE_AUDIO ? 0 : -1;
}


static int
on_tick(void *ctx, mg_error_t *e)
{
    run_t  *r = ctx;

    if (r->stop_at && ++r->ticks >= r->stop_at) {
        return mg_error_set(e, MG_E_CANCELLED, NULL, "asked to stop");
    }

    return MG_OK;
}


static void
on_listed(void *ctx, const mg_http_response_t *res)
{
    run_t  *r = ctx;

    r->listed = res->status;

    if (r->late) {
        mg_probes_add(r->probes, r->late, r->n_late);
        r->late = NULL;
    }
}


static const mg_probe_handler_t  handler = {
    on_started, on_begin, on_known, on_verdict, on_listed, on_tick
};


static char               base[64];
static mg_probe_target_t  target;


static int
run(run_t *r, const mg_validation_model_t *models, unsigned n, mg_error_t *e)
{
    int  rc;

    memset(e, 0, sizeof(mg_error_t));
    r->models = models;
    r->n = n;
    r->probes = mg_probes_create(&target, &handler, r);

    rc = r->late ? mg_probes_add_list(r->probes, mg_str("/models"))
                 : MG_OK;

    if (rc == MG_OK) {
        rc = mg_probes_add(r->probes, models, n - r->n_late);
    }

    if (rc == MG_OK) {
        rc = mg_probes_run(r->probes, e);
    }

    mg_probes_destroy(r->probes);

    return rc;
}


static void
target_init(void)
{
    snprintf(base, sizeof(base), "http://127.0.0.1:%d/v1", server.port);

    target.protocol = mg_protocol_find(mg_str("openai"));
    target.base = mg_str_z(base);
    target.headers[0] = mg_str("Content-Type: application/json");
    target.headers[1] = mg_str("Authorization: Bearer " SECRET);
    target.n_headers = 2;
    target.secret = mg_str(SECRET);
    target.concurrency = 64;
    target.timeout_ms = 60000;
    target.allow_private = 1;
}


static mg_validation_model_t *
numbered(const char *name, unsigned n)
{
    unsigned                      i;
    static char                   text[MODELS_MAX][64];
    static mg_validation_model_t  models[MODELS_MAX];

    for (i = 0; i < n; i++) {
        snprintf(text[i], sizeof(text[i]), "p/%s-%u", name, i);
        memset(&models[i], 0, sizeof(models[i]));
        models[i].active = 1;
        models[i].id = mg_str_z(text[i]);
        models[i].provider_model_id = mg_str_z(text[i] + 2);
        models[i].type = MG_TYPE_CHAT;
    }

    return models;
}


static void
test_verdicts(void)
{
    int                    rc;
    char                   ids[N_EXPECTED][64];
    size_t                 i;
    mg_error_t             e;
    mg_validation_model_t  models[N_EXPECTED];
    static run_t           r;

    for (i = 0; i < N_EXPECTED; i++) {
        snprintf(ids[i], sizeof(ids[i]), "p/%s", expected[i].name);
        memset(&models[i], 0, sizeof(models[i]));
        models[i].active = 1;
        models[i].id = mg_str_z(ids[i]);
        models[i].provider_model_id = mg_str_z(expected[i].name);
        models[i].type = expected[i].type;
    }

    target.timeout_ms = 3000;

    rc = run(&r, models, N_EXPECTED, &e);

    target.timeout_ms = 60000;
    is_int(rc, MG_OK, "all have been asked");
    is_str(e.message, "", "without an error");
    is_int(r.strangers, 0, "each verdict comes with its model");

    for (i = 0; i < N_EXPECTED; i++) {
        is_int(r.seen[i], 1, "%s has one verdict", expected[i].name);
        is_str(r.said[i].class, expected[i].class, "its class");
        is_int(r.said[i].status, expected[i].status, "the status");

        /* libcurl itself tries again when a kept connection turns out dead */

        if (strcmp(expected[i].name, "dead") == 0) {
            ok(asked[i] >= expected[i].requests, "and as many requests");

        } else {
            is_int(asked[i], expected[i].requests, "and as many requests");
        }

        ok((r.said[i].latency_us >= 0) == (expected[i].status != 0),
           "a latency if there was an answer");
        unlike(r.said[i].words, SECRET, "no key in the words");

        if (expected[i].words) {
            like(r.said[i].words, expected[i].words, "the words");
        }
    }
}


static void
test_many(void)
{
    unsigned                i, once;
    mg_error_t              e;
    mg_validation_model_t  *models;
    static run_t            r;

    models = numbered("doze", 300);
    server.most = 0;

    is_int(run(&r, models, 300, &e), MG_OK,
           "300 models");
    is_int(r.available, 300, "all answer");
    ok(server.most <= 64, "64 are asked at once, not more: %d", server.most);
    ok(server.most > 32, "but many: a busy machine may keep some waiting");

    for (once = 0, i = 0; i < 300; i++) {
        once += (r.seen[i] == 1);
    }

    is_int(once, 300, "each has one verdict");

    memset(&r, 0, sizeof(r));
    is_int(run(&r, NULL, 0, &e), MG_OK,
           "none at all is fine, too");
    is_int(r.verdicts, 0, "without a verdict");
}


static void
test_stop(void)
{
    mg_error_t              e;
    mg_validation_model_t  *models;
    static run_t            r;

    models = numbered("sleep", 100);
    r.stop_at = 5;

    is_int(run(&r, models, 100, &e),
           MG_ERROR, "stopped");
    is_int(e.kind, MG_E_CANCELLED, "by its tick");
    is_int(r.started, 64, "64 were in flight");
    is_int(r.verdicts, 0, "none of them is judged");

    memset(&r, 0, sizeof(r));
    models = numbered("nap", 300);
    r.fail_at = 10;

    is_int(run(&r, models, 300, &e),
           MG_ERROR, "a verdict that cannot be taken");
    is_str(e.message, "no room for verdicts", "ends the run");
    is_int(r.verdicts, 10, "and none comes after it");
}


/* The list comes while others are asked, and brings more of them. */

static void
test_late(void)
{
    unsigned                i, once;
    mg_error_t              e;
    mg_validation_model_t  *models;
    static run_t            r;

    models = numbered("nap", 80);
    models[75].active = 0;
    r.late = models + 70;
    r.n_late = 10;

    is_int(run(&r, models, 80, &e), MG_OK, "70 models, then 10 more");
    is_int(r.listed, 200, "the list was asked for");
    is_int(r.verdicts, 79, "one is passed over");
    is_int(r.seen[75], 0, "the one that is not active");

    for (once = 0, i = 0; i < 80; i++) {
        once += (r.seen[i] == 1);
    }

    is_int(once, 79, "each of the others has one verdict");
}


/* Nothing is asked before that is noted. */

static void
test_again(void)
{
    unsigned                i;
    mg_error_t              e;
    mg_validation_model_t  *models;
    static run_t            r;

    models = numbered("nap", 120);

    for (i = 0; i < 100; i++) {
        models[i].begun = 1;
    }

    r.refusals = 2;

    is_int(run(&r, models, 120, &e), MG_OK, "100 were begun before");
    is_int(r.available, 120, "all are asked");
    is_int(r.begun, 120, "all are noted, once each");
    is_int(r.again, 100, "a hundred as begun again");
    is_int(r.mixed, 0, "and never together with others");
    ok(r.batches < 60, "many at a time: %u", r.batches);
    is_int(r.refusals, 0, "it waits while they cannot be noted");
}


/* Two runs at one host, which takes eight requests. */

static void
test_host(void)
{
    mg_error_t              e;
    mg_host_run_t           other;
    mg_validation_model_t  *models;
    static run_t            r;
    static mg_hosts_t       hosts;

    models = numbered("nap", 60);
    target.host = mg_str("LocalHost:80");
    target.hosts = &hosts;
    target.host_max = 8;
    server.most = 0;

    mg_host_begin(&other, &hosts, mg_str("localhost:80"), 8);
    ok(mg_host_enter(&other, mg_mono_us())
       && mg_host_enter(&other, mg_mono_us())
       && mg_host_enter(&other, mg_mono_us()), "another run holds three");

    is_int(run(&r, models, 60, &e), MG_OK, "60 models");
    is_int(r.available, 60, "all answer");
    ok(server.most <= 4, "an even share at most: %d", server.most);

    mg_host_end(&other);
    memset(&r, 0, sizeof(r));
    server.most = 0;

    is_int(run(&r, models, 60, &e), MG_OK, "alone");
    ok(server.most > 4 && server.most <= 8, "it has more than half: %d",
       server.most);
    target.hosts = NULL;
}


static void
test_rate(void)
{
    int64_t                 began;
    mg_error_t              e;
    mg_validation_model_t  *models;
    static run_t            r;

    models = numbered("quick", 11);
    began = mg_mono_us();
    target.rate_limit = 1200;

    is_int(run(&r, models, 11, &e), MG_OK,
           "1,200 a minute");
    is_int(r.available, 11, "all answer");
    ok(last_us - began >= 500000, "11 requests take half a second: %d ms",
       (int) ((last_us - began) / 1000));

    target.rate_limit = 0;
}


/* A provider that serves fewer a second than it is asked for. */

static void
test_crowd(void)
{
    mg_error_t              e;
    mg_validation_model_t  *models;
    static run_t            r;

    models = numbered("crowd", 120);
    crowd = 0;

    is_int(run(&r, models, 120, &e), MG_OK, "120 models, 64 a second");
    is_int(r.available, 120, "each has its turn");
    ok(crowd < 120 * 6, "with few requests more: %d", crowd);

    memset(&r, 0, sizeof(r));
    models = numbered("never", 40);
    crowd = 0;

    is_int(run(&r, models, 40, &e), MG_OK, "40 that are always refused");
    is_int(r.available, 0, "have none");
    is_int(crowd, 80, "and are asked twice");
    is_str(r.said[7].class, "quota", "their class");

    /* the others are answered at once, and then nobody is */

    memset(&r, 0, sizeof(r));
    models = numbered("never", 40);
    models[0].provider_model_id = mg_str("quick");
    crowd = 0;

    is_int(run(&r, models, 40, &e), MG_OK, "39, and one that answers");
    is_int(r.available, 1, "it does");
    ok(crowd <= 39 * 3, "the others are not asked for long: %d", crowd);
}


static void
test_redact(void)
{
    size_t       i;
    mg_str_t     s;
    mg_arena_t  *a;

    static const struct {
        const char  *text;
        const char  *secret;
        const char  *clean;
    } cases[] = {
        { "no key here", "abc", "no key here" },
        { "abc", "abc", "***" },
        { "xabcabcx", "abc", "x******x" },
        { "ab", "abc", "ab" },
        { "", "abc", "" },
        { "anything", "", "anything" },
        { "aaaa", "aa", "****" },
        { "cut: sk-12345678", "sk-123456789", "cut: ***********" },
        { "sk-12345678", "sk-123456789", "***********" },
        { "cut: sk-", "sk-123456789", "cut: sk-" }
    };

    a = mg_arena_create(0);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = mg_probe_redact(mg_str_z(cases[i].text),
                            mg_str_z(cases[i].secret), a);
        is_mem(s.data, s.len, cases[i].clean, strlen(cases[i].clean),
               "\"%s\" without \"%s\"", cases[i].text, cases[i].secret);
    }

    mg_arena_destroy(a);
}


int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    server_start(routes);
    mg_http_global_init();
    target_init();

    test_redact();
    test_verdicts();
    test_many();
    test_stop();
    test_late();
    test_again();
    test_host();
    test_rate();
    test_crowd();

    server_stop();
    mg_http_global_done();

    return done_testing();
}
