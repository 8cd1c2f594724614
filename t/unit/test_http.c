/*
 * Breaks when an outbound call could run for ever, fill the memory, follow
 * a redirect, reach a private address, inherit a proxy, leak a connection
 * or a key into an error text, or when many calls at once are not.
 *
 * The other side is a small server in this process, on loopback.
 */

#include "tap.h"
#include "loopback.h"

#include <dirent.h>
#include <signal.h>
#include <time.h>

#include "base/mg_gzip.h"
#include "base/mg_time.h"
#include "client/mg_http.h"


#define SECRET  "sk-verysecret-0123456789"


/* -- the server -- */

static int       secret;           /* requests for /secret */
static mg_buf_t  bomb;             /* 16 MiB of blanks, gzipped */


static int
serve_slow(peer_t *p)
{
    if (!nap_while_open(p, atoi(p->path + sizeof("/slow/") - 1))) {
        return 0;
    }

    answer(p->fd, "200 OK", "", "slept");

    return 1;
}


static int
serve_echo(peer_t *p)
{
    answer(p->fd, "200 OK", "Content-Type: text/plain\r\n", p->in);

    return 1;
}


static int
serve_ok(peer_t *p)
{
    answer(p->fd, "200 OK", "Content-Type: application/json\r\n"
           "ETag: \"v1\"\r\n", "hello");

    return 1;
}


static int
serve_redirect(peer_t *p)
{
    char  header[128];

    snprintf(header, sizeof(header),
             "Location: http://127.0.0.1:%d/secret\r\n", server.port);
    answer(p->fd, "302 Found", header, "elsewhere");

    return 1;
}


static int
serve_secret(peer_t *p)
{
    __atomic_add_fetch(&secret, 1, __ATOMIC_RELAXED);
    answer(p->fd, "200 OK", "", "secret");

    return 1;
}


/* More than anybody wants, with and without a length. */

static int
serve_long(peer_t *p)
{
    char  head[128];

    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n"
             "Content-Length: 100000000\r\n\r\n");
    say(p->fd, head, strlen(head));

    return 0;
}


static int
serve_endless(peer_t *p)
{
    int   i;
    char  piece[16384];

    say(p->fd, "HTTP/1.1 200 OK\r\n\r\n", 19);
    memset(piece, 'x', sizeof(piece));

    for (i = 0; i < 1000; i++) {
        say(p->fd, piece, sizeof(piece));
    }

    return 0;
}


static int
serve_bomb(peer_t *p)
{
    int   n;
    char  head[256];

    n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n"
                 "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                 bomb.len);
    say(p->fd, head, (size_t) n);
    say(p->fd, bomb.data, bomb.len);

    return 1;
}


static int
serve_cut(peer_t *p)
{
    say(p->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.",
        sizeof("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.")
        - 1);

    return 0;
}


static int
serve_close(peer_t *p)
{
    (void) p;

    return 0;
}


static int
serve_flood(peer_t *p)
{
    int  i;

    say(p->fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", 36);

    for (i = 0; i < 1000; i++) {
        say(p->fd, "X-Flood: 1\r\n", 12);
    }

    say(p->fd, "\r\n", 2);

    return 0;
}


static int
serve_retry(peer_t *p)
{
    char       header[256];
    time_t     t;
    struct tm  tm;

    switch (p->path[sizeof("/retry/") - 1]) {

    case 's':
        snprintf(header, sizeof(header), "Retry-After: 7\r\n");
        break;

    case 'm':
        snprintf(header, sizeof(header),
                 "retry-after-ms: 2500\r\nRetry-After: 1\r\n");
        break;

    case 'd':
        t = time(NULL) + 100;
        gmtime_r(&t, &tm);
        strftime(header, sizeof(header),
                 "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        break;

    case 'p':
        snprintf(header, sizeof(header),
                 "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        break;

    case 'h':
        snprintf(header, sizeof(header), "Retry-After: 99999999999\r\n");
        break;

    default:
        snprintf(header, sizeof(header), "Retry-After: soon\r\n");
        break;
    }

    answer(p->fd, "429 Too Many Requests", header, "");

    return 1;
}


static int
serve_missing(peer_t *p)
{
    answer(p->fd, "404 Not Found", "Content-Type: text/html\r\n",
           "<html>no</html>");

    return 1;
}


static const route_t  routes[] = {
    { "/ok", serve_ok },
    { "/slow/", serve_slow },
    { "/echo", serve_echo },
    { "/redirect", serve_redirect },
    { "/secret", serve_secret },
    { "/long", serve_long },
    { "/endless", serve_endless },
    { "/bomb", serve_bomb },
    { "/cut", serve_cut },
    { "/close", serve_close },
    { "/flood", serve_flood },
    { "/retry/", serve_retry },
    { NULL, serve_missing }
};


static void
make_bomb(void)
{
    char  *blank;

    blank = calloc(16, 1024 * 1024);
    mg_buf_init(&bomb, 0);
    mg_gzip(&bomb, mg_str_n(blank, 16 * 1024 * 1024), 9, NULL);
    free(blank);
}


/* -- the client -- */

static char  urls[1024][128];


static mg_str_t
url(unsigned n, const char *path)
{
    snprintf(urls[n], sizeof(urls[n]), "http://127.0.0.1:%d%s", server.port,
             path);

    return mg_str_z(urls[n]);
}


static void
want(mg_http_request_t *req, const char *path)
{
    memset(req, 0, sizeof(mg_http_request_t));
    req->method = "GET";
    req->url = url(0, path);
    req->allow_private = 1;
}


static int
fetch(mg_http_t *h, mg_http_request_t *req, mg_http_response_t *res,
    mg_error_t *e)
{
    memset(e, 0, sizeof(mg_error_t));

    return mg_http_fetch(h, req, res, NULL, NULL, e);
}


static void
test_answers(mg_http_t *h)
{
    mg_error_t          e;
    mg_http_request_t   req;
    mg_http_response_t  res;

    want(&req, "/ok");
    is_int(fetch(h, &req, &res, &e), MG_OK, "answered");
    is_int(res.status, 200, "status");
    is_mem(res.body.data, res.body.len, "hello", 5, "body");
    is_mem(res.content_type.data, res.content_type.len, "application/json",
           16, "content type");
    is_mem(res.etag.data, res.etag.len, "\"v1\"", 4, "entity tag");
    is_int(res.retry_after_s, -1, "no Retry-After");
    ok(res.latency_us > 0, "latency");
    is_int(res.error.kind, MG_E_NONE, "no error");

    want(&req, "/missing");
    is_int(fetch(h, &req, &res, &e), MG_OK, "a 404 is an answer");
    is_int(res.status, 404, "with its status");
    is_mem(res.body.data, res.body.len, "<html>no</html>", 15, "and body");
    is_int(res.etag.len, 0, "without the last one's tag");

    want(&req, "/redirect");
    is_int(fetch(h, &req, &res, &e), MG_OK, "a redirect is an answer");
    is_int(res.status, 302, "with its status");
    is_int(secret, 0, "and is not followed");
}


static void
test_requests(mg_http_t *h)
{
    char                text[8192];
    mg_error_t          e;
    mg_http_request_t   req;
    mg_http_response_t  res;

    want(&req, "/echo");
    req.method = "POST";
    req.body = mg_str("{\"a\":1}");
    req.headers[0] = mg_str("Authorization: Bearer " SECRET);
    req.headers[1] = mg_str("Content-Type: application/json");
    req.n_headers = 2;

    is_int(fetch(h, &req, &res, &e), MG_OK, "POST");
    snprintf(text, sizeof(text), MG_STR_FMT, MG_STR_ARG(res.body));
    like(text, "POST /echo HTTP/1.1", "method and path");
    like(text, "Authorization: Bearer " SECRET, "the key");
    like(text, "Content-Type: application/json", "the type");
    like(text, "\r\n\r\n{\"a\":1}", "the body");
    unlike(text, "Expect:", "no waiting for a 100");
    unlike(text, "Cookie:", "no cookie");

    want(&req, "/echo");
    fetch(h, &req, &res, &e);
    snprintf(text, sizeof(text), MG_STR_FMT, MG_STR_ARG(res.body));
    like(text, "GET /echo HTTP/1.1", "the next request is a GET again");
    unlike(text, SECRET, "without the other's key");

    want(&req, "/echo");
    req.headers[0] = mg_str("X-A: 1\r\nX-B: 2");
    req.n_headers = 1;
    is_int(fetch(h, &req, &res, &e), MG_ERROR, "CR LF in a header");
    is_int(e.kind, MG_E_INVALID, "is refused");
}


static void
test_urls(mg_http_t *h)
{
    size_t              i;
    char                long_url[20000];
    mg_error_t          e;
    mg_http_request_t   req;
    mg_http_response_t  res;

    static const char  *bad[] = {
        "", "127.0.0.1", "file:///etc/passwd", "ftp://127.0.0.1/",
        "gopher://127.0.0.1/", "http://", "http:///x",
        "http://user:" SECRET "@127.0.0.1/", "http://127.0.0.1/\r\nX: y",
        "unix:///tmp/x", "http://[::1/"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        want(&req, "/ok");
        req.url = mg_str_z(bad[i]);
        is_int(fetch(h, &req, &res, &e), MG_ERROR, "refused: %zu", i);
        is_int(e.kind, MG_E_INVALID, "as invalid");
        unlike(e.message, SECRET, "without a secret in the message");
    }

    memset(long_url, 'a', sizeof(long_url));
    memcpy(long_url, urls[0], strlen(urls[0]));
    want(&req, "/ok");
    req.url = mg_str_n(long_url, sizeof(long_url));
    is_int(fetch(h, &req, &res, &e), MG_ERROR, "20,000 bytes of URL");
    is_int(e.kind, MG_E_INVALID, "are refused");
}


static void
test_limits(mg_http_t *h)
{
    size_t              i;
    mg_error_t          e;
    mg_http_request_t   req;
    mg_http_response_t  res;

    static const struct {
        const char       *path;
        mg_error_kind_e   kind;
        const char       *code;
    } cases[] = {
        { "/long", MG_E_TOO_LARGE, "answer_too_large" },
        { "/endless", MG_E_TOO_LARGE, "answer_too_large" },
        { "/flood", MG_E_UPSTREAM, NULL },
        { "/cut", MG_E_UPSTREAM, "broken_answer" },
        { "/close", MG_E_UPSTREAM, "broken_answer" },
        { "/slow/20000", MG_E_TIMEOUT, "timeout" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        want(&req, cases[i].path);
        req.body_max = 1000000;
        req.timeout_ms = (cases[i].kind == MG_E_TIMEOUT) ? 200 : 60000;
        req.headers[0] = mg_str("Authorization: Bearer " SECRET);
        req.n_headers = 1;

        is_int(fetch(h, &req, &res, &e), MG_ERROR, "%s", cases[i].path);
        is_int(e.kind, cases[i].kind, "is of its kind");
        is_int(res.status, 0, "and no answer");
        like(e.message, "127.0.0.1", "the message names the host");
        unlike(e.message, SECRET, "and no key");

        if (cases[i].code) {
            is_str(e.code, cases[i].code, "code");
        }
    }

    /* a port where nobody listens */

    want(&req, "/ok");
    req.url = mg_str("http://127.0.0.1:1/");
    is_int(fetch(h, &req, &res, &e), MG_ERROR, "nobody listens");
    is_int(e.kind, MG_E_UNAVAILABLE, "is unavailable");
    is_str(e.code, "connect_failed", "code");

    want(&req, "/ok");
    req.url = mg_str("http://no-such-name.invalid/");
    is_int(fetch(h, &req, &res, &e), MG_ERROR, "a name that is none");
    is_int(e.kind, MG_E_UNAVAILABLE, "is unavailable");
    is_str(e.code, "resolve_failed", "code");
}


static void
test_retry(mg_http_t *h)
{
    size_t              i;
    mg_error_t          e;
    mg_http_request_t   req;
    mg_http_response_t  res;

    static const struct {
        const char  *path;
        int64_t      least;
        int64_t      most;
    } cases[] = {
        { "/retry/seconds", 7, 7 },
        { "/retry/ms", 3, 3 },
        { "/retry/date", 60, 100 },
        { "/retry/past", 0, 0 },
        { "/retry/huge", 86400, 86400 },
        { "/retry/words", -1, -1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        want(&req, cases[i].path);
        fetch(h, &req, &res, &e);
        is_int(res.status, 429, "%s", cases[i].path);
        ok(res.retry_after_s >= cases[i].least
           && res.retry_after_s <= cases[i].most, "wait %d s",
           (int) res.retry_after_s);
    }
}


static void
test_private(void)
{
    int                 before;
    size_t              i;
    mg_http_t          *h;
    mg_error_t          e;
    mg_http_request_t   req;
    mg_http_response_t  res;

    static const char  *hosts[] = {
        "http://127.0.0.1:%d/ok", "http://localhost:%d/ok",
        "http://[::1]:%d/ok", "http://0.0.0.0:%d/ok",
        "http://[::ffff:127.0.0.1]:%d/ok", "http://2130706433:%d/ok",
        "http://169.254.169.254:%d/ok", "http://10.0.0.1:%d/ok"
    };

    h = mg_http_create(1, NULL);
    before = server.connections;

    for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        want(&req, "/ok");
        snprintf(urls[1], sizeof(urls[1]), hosts[i], server.port);
        req.url = mg_str_z(urls[1]);
        req.allow_private = 0;
        req.connect_timeout_ms = 2000;

        is_int(fetch(h, &req, &res, &e), MG_ERROR, "%s", hosts[i]);
        is_int(e.kind, MG_E_FORBIDDEN, "is forbidden");
        is_str(e.code, "private_address", "code");
    }

    is_int(server.connections, before, "nobody was connected to");

    want(&req, "/ok");
    is_int(fetch(h, &req, &res, &e), MG_OK, "unless it is allowed");

    want(&req, "/ok");
    req.allow_private = 0;
    is_int(fetch(h, &req, &res, &e), MG_ERROR,
           "and then not through the connection that is kept");

    mg_http_destroy(h);
}


/* -- documents -- */

static struct {
    size_t  bytes;
    size_t  stop;
} drain;


static int
on_bytes(void *data, const char *bytes, size_t len, mg_error_t *e)
{
    (void) data;
    (void) bytes;

    drain.bytes += len;

    if (drain.stop && drain.bytes >= drain.stop) {
        return mg_error_set(e, MG_E_CONFLICT, NULL, "the sink has enough");
    }

    return MG_OK;
}


static void
test_sink(mg_http_t *h)
{
    mg_error_t          e;
    mg_http_request_t   req;
    mg_http_response_t  res;

    want(&req, "/endless");
    req.sink = on_bytes;
    req.body_max = 64 * 1024 * 1024;
    is_int(fetch(h, &req, &res, &e), MG_OK, "16 MB through the sink");
    is_int(drain.bytes, 1000 * 16384, "every byte");
    is_int(res.body.len, 0, "and none kept");

    drain.bytes = 0;
    drain.stop = 100000;
    want(&req, "/endless");
    req.sink = on_bytes;
    req.body_max = 64 * 1024 * 1024;
    is_int(fetch(h, &req, &res, &e), MG_ERROR, "a sink that has enough");
    is_str(e.message, "the sink has enough", "with its own error");
    is_int(e.kind, MG_E_CONFLICT, "of its own kind");

    drain.bytes = 0;
    drain.stop = 0;
    want(&req, "/missing");
    req.sink = on_bytes;
    is_int(fetch(h, &req, &res, &e), MG_OK, "another status");
    is_int(drain.bytes, 0, "does not go through the sink");
    is_int(res.body.len, 15, "but is kept");

    want(&req, "/bomb");
    req.sink = on_bytes;
    req.body_max = 64 * 1024 * 1024;
    is_int(fetch(h, &req, &res, &e), MG_OK, "gzip is undone");
    is_int(drain.bytes, 16 * 1024 * 1024, "every byte");

    drain.bytes = 0;
    want(&req, "/bomb");
    req.sink = on_bytes;
    req.body_max = 1024 * 1024;
    is_int(fetch(h, &req, &res, &e), MG_ERROR, "the cap holds for what "
           "comes out");
    is_int(e.kind, MG_E_TOO_LARGE, "too large");
    ok(drain.bytes <= 1024 * 1024, "and the sink saw no more");
}


/* -- many -- */

typedef struct {
    int             total;
    int             given;
    int             done;
    int             answered;
    int             cut;
    int             late;
    int             twice;
    int             ticks;
    int             stop_at;         /* ticks, 0: never */
    int             nap_ms;          /* of the second tick */
    int             timeout_ms;
    int64_t         last_us;
    int64_t         gap_us;          /* longest between ticks */
    const char     *path;
    unsigned char   seen[1024];
} many_t;


static int
many_next(void *ctx, mg_http_request_t *req)
{
    many_t  *m = ctx;

    if (m->given == m->total) {
        return -1;
    }

    req->method = "GET";
    req->url = url((unsigned) m->given, m->path);
    req->timeout_ms = m->timeout_ms;
    req->allow_private = 1;
    req->data = &m->seen[m->given++];

    return 1;
}


static void
many_done(void *ctx, const mg_http_request_t *req,
    const mg_http_response_t *res)
{
    many_t         *m = ctx;
    unsigned char  *seen = req->data;

    m->done++;
    m->twice += (*seen)++;
    m->answered += (res->status == 200);
    m->cut += (res->error.kind == MG_E_CANCELLED);
    m->late += (res->error.kind == MG_E_TIMEOUT);
}


static int
many_tick(void *ctx, mg_error_t *e)
{
    many_t   *m = ctx;
    int64_t   now;

    now = mg_mono_us();

    if (m->last_us && now - m->last_us > m->gap_us) {
        m->gap_us = now - m->last_us;
    }

    m->last_us = now;

    m->ticks++;

    if (m->stop_at && m->ticks >= m->stop_at) {
        return mg_error_set(e, MG_E_TIMEOUT, NULL, "the tick says stop");
    }

    if (m->nap_ms && m->ticks == 2) {
        nap(m->nap_ms);
    }

    return MG_OK;
}


static const mg_http_many_t  many_calls = {
    many_next, many_done, many_tick
};


static void
test_many(void)
{
    int         before, rc;
    many_t      m;
    int64_t     started, took;
    mg_http_t  *h;
    mg_error_t  e;

    memset(&m, 0, sizeof(m));
    m.total = 512;
    m.path = "/slow/300";

    h = mg_http_create(64, NULL);
    before = server.connections;
    server.most = 0;
    started = mg_mono_us();

    rc = mg_http_run(h, &many_calls, &m, &e);
    took = mg_mono_us() - started;

    is_int(rc, MG_OK, "512 requests");
    is_int(m.answered, 512, "each answered");
    is_int(m.twice, 0, "each once");
    ok(server.most <= 64, "never more than 64 at once");
    ok(server.most > 32, "but many: a busy machine may keep some waiting");
    ok(server.connections - before <= 64, "over at most 64 connections");
    diag("512 of 300 ms, 64 at once: %d ms of 2400; longest time between "
         "ticks %d ms", (int) (took / 1000), (int) (m.gap_us / 1000));

    mg_http_destroy(h);
}


static void
test_tick(void)
{
    many_t      m;
    mg_http_t  *h;
    mg_error_t  e;

    memset(&m, 0, sizeof(m));
    m.total = 100;
    m.path = "/slow/20000";
    m.stop_at = 4;

    h = mg_http_create(32, NULL);
    is_int(mg_http_run(h, &many_calls, &m, &e), MG_ERROR, "a tick stops");
    is_int(e.kind, MG_E_TIMEOUT, "with its own error");
    is_int(m.given, 32, "32 were in flight");
    is_int(m.done, 32, "each is done");
    is_int(m.cut, 32, "as cut");
    is_int(m.twice, 0, "once");

    mg_http_destroy(h);
}


/* A tick that takes long, as when the database does. */

static void
test_held(void)
{
    many_t      m;
    mg_http_t  *h;
    mg_error_t  e;

    memset(&m, 0, sizeof(m));
    m.total = 16;
    m.path = "/slow/300";
    m.timeout_ms = 2000;
    m.nap_ms = 2500;

    h = mg_http_create(16, NULL);
    is_int(mg_http_run(h, &many_calls, &m, &e), MG_OK, "a tick that is held");
    is_int(m.answered, 16, "what was answered meanwhile is not late");

    memset(&m, 0, sizeof(m));
    m.total = 4;
    m.path = "/slow/20000";
    m.timeout_ms = 300;
    m.nap_ms = 500;

    is_int(mg_http_run(h, &many_calls, &m, &e), MG_OK, "the same");
    is_int(m.late, 4, "what is not answered at all is late all the same");
    mg_http_destroy(h);
}


static void *
cancel_later(void *data)
{
    nap(150);
    __atomic_store_n((int *) data, 1, __ATOMIC_RELAXED);

    return NULL;
}


static void
test_cancel(void)
{
    int                  flag;
    int64_t              started;
    mg_http_t           *h;
    mg_error_t           e;
    pthread_t            t;
    mg_http_request_t    req;
    mg_http_response_t   res;

    flag = 0;
    h = mg_http_create(1, &flag);
    pthread_create(&t, NULL, cancel_later, &flag);

    want(&req, "/slow/20000");
    started = mg_mono_us();
    is_int(fetch(h, &req, &res, &e), MG_ERROR, "cancelled");
    is_int(e.kind, MG_E_CANCELLED, "and says so");
    is_int(res.error.kind, MG_E_CANCELLED, "in the response, too");
    ok(mg_mono_us() - started < 10000000, "long before the answer");
    diag("%d ms after the flag",
         (int) ((mg_mono_us() - started) / 1000 - 150));

    pthread_join(t, NULL);

    is_int(fetch(h, &req, &res, &e), MG_ERROR, "a flag that is up already");
    is_int(res.error.kind, MG_E_CANCELLED, "lets nothing begin");

    mg_http_destroy(h);
}


static int
fds(void)
{
    int   n;
    DIR  *d;

    d = opendir("/proc/self/fd");

    for (n = 0; readdir(d) != NULL; n++) { /* void */ }

    closedir(d);

    return n;
}


int
main(void)
{
    int         before;
    mg_http_t  *h;

    /* none of these may have a say */

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("HTTPS_PROXY", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);

    signal(SIGPIPE, SIG_IGN);
    make_bomb();
    server_start(routes);
    mg_http_global_init();

    before = fds();
    h = mg_http_create(4, NULL);

    test_answers(h);
    test_requests(h);
    test_urls(h);
    test_limits(h);
    test_retry(h);
    test_sink(h);

    mg_http_destroy(h);

    test_private();
    test_many();
    test_tick();
    test_held();
    test_cancel();

    server_stop();
    is_int(fds(), before - 1, "no descriptor is left but the listener's");

    mg_buf_free(&bomb);
    mg_http_global_done();

    return done_testing();
}
