/*
 * Breaks when a source that fails for a moment is given up at once, one that
 * asks to be left alone is not, a key or a document goes by way of another
 * host, a page of HTML passes for a list, what has not changed is loaded
 * again, or bytes of a document are handed on twice.
 */

#include "tap.h"
#include "loopback.h"

#include <signal.h>

#include "base/mg_gzip.h"
#include "base/mg_time.h"
#include "client/mg_fetch.h"


static int          flaky;          /* requests to answer with 500 */
static int          busy;
static int          cut;
static int          elsewhere;
static mg_gates_t   gates;
static mg_buf_t     sunk;
static mg_buf_t     packed;


/* -- the server -- */

static int
serve_good(peer_t *p)
{
    answer(p->fd, "200 OK", "Content-Type: application/json\r\n"
           "ETag: W/\"v1\"\r\nLink: </next>; rel=\"next\"\r\n", "{\"a\":1}");
    return 1;
}


static int
serve_cached(peer_t *p)
{
    if (strstr(p->in, "If-None-Match: W/\"v1\"")) {
        answer(p->fd, "304 Not Modified", "ETag: W/\"v1\"\r\n", "");
        return 1;
    }

    return serve_good(p);
}


static int
serve_304(peer_t *p)
{
    answer(p->fd, "304 Not Modified", "", "");
    return 1;
}


static int
serve_flaky(peer_t *p)
{
    if (__atomic_fetch_sub(&flaky, 1, __ATOMIC_RELAXED) > 0) {
        answer(p->fd, "503 Busy", "", "later");
        return 1;
    }

    return serve_good(p);
}


static int
serve_drop(peer_t *p)
{
    if (__atomic_fetch_sub(&flaky, 1, __ATOMIC_RELAXED) > 0) {
        return 0;
    }

    return serve_good(p);
}


static int
serve_busy(peer_t *p)
{
    char  header[64];

    snprintf(header, sizeof(header), "Retry-After: %d\r\n", busy);
    answer(p->fd, "429 Too Many", header, "slow down");
    return 1;
}


static int
serve_cut(peer_t *p)
{
    static const char  text[] = "HTTP/1.1 200 OK\r\n"
                                "Content-Type: application/json\r\n"
                                "Content-Length: 1000\r\n\r\n{\"a\":";

    cut++;
    say(p->fd, text, sizeof(text) - 1);
    nap(50);
    return 0;
}


static int
serve_html(peer_t *p)
{
    answer(p->fd, "200 OK", "Content-Type: text/html; charset=utf-8\r\n",
           "<html>Sign in</html>");
    return 1;
}


static int
serve_bare(peer_t *p)
{
    answer(p->fd, "200 OK", "", "{}");
    return 1;
}


static int
serve_plain(peer_t *p)
{
    answer(p->fd, "200 OK", "Content-Type: Text/Plain; charset=utf-8\r\n",
           "{}");
    return 1;
}


static int
serve_gzip(peer_t *p)
{
    int   n;
    char  head[256];

    if (strstr(p->in, "gzip") == NULL) {
        return serve_good(p);
    }

    n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Type: "
                 "application/json\r\nContent-Encoding: gzip\r\n"
                 "Content-Length: %zu\r\n\r\n", packed.len);
    say(p->fd, head, (size_t) n);
    say(p->fd, packed.data, packed.len);
    return 1;
}


static int
serve_moved(peer_t *p)
{
    answer(p->fd, "301 Moved", "Location: /good?x=1\r\n", "");
    return 1;
}


static int
serve_circle(peer_t *p)
{
    answer(p->fd, "302 Found", "Location: /circle\r\n", "");
    return 1;
}


static int
serve_away(peer_t *p)
{
    char  header[128];

    /* another port, another name, another scheme */

    snprintf(header, sizeof(header), "Location: %s:%d/elsewhere\r\n",
             strstr(p->path, "name") ? "http://localhost"
             : strstr(p->path, "tls") ? "https://127.0.0.1"
             : "http://127.0.0.2", server.port);
    answer(p->fd, "307 Moved", header, "");
    return 1;
}


static int
serve_elsewhere(peer_t *p)
{
    elsewhere++;
    return serve_good(p);
}


static int
serve_401(peer_t *p)
{
    answer(p->fd, "401 Unauthorized", "Content-Type: application/json\r\n",
           "{\"error\":\"key sk-secret-1\"}");
    return 1;
}


static int
serve_endless(peer_t *p)
{
    unsigned     n;
    static char  blanks[16384];

    static const char  head[] = "HTTP/1.1 200 OK\r\n"
                                "Content-Type: application/json\r\n"
                                "Connection: close\r\n\r\n";

    memset(blanks, ' ', sizeof(blanks));
    say(p->fd, head, sizeof(head) - 1);

    for (n = 0; n < 4096; n++) {
        if (send(p->fd, blanks, sizeof(blanks), MSG_NOSIGNAL) <= 0) {
            break;
        }
    }

    return 0;
}


static const route_t  routes[] = {
    { "/good", serve_good },
    { "/cached", serve_cached },
    { "/304", serve_304 },
    { "/flaky", serve_flaky },
    { "/drop", serve_drop },
    { "/busy", serve_busy },
    { "/cut", serve_cut },
    { "/html", serve_html },
    { "/bare", serve_bare },
    { "/plain", serve_plain },
    { "/gzip", serve_gzip },
    { "/moved", serve_moved },
    { "/circle", serve_circle },
    { "/away", serve_away },
    { "/elsewhere", serve_elsewhere },
    { "/401", serve_401 },
    { "/endless", serve_endless },
    { NULL, serve_good }
};


/* -- the client -- */

static mg_http_response_t   res;
static mg_fetch_t           f;


static int
sink(void *data, const char *bytes, size_t len, mg_error_t *e)
{
    mg_buf_t  *b = data;

    if (b->cap == 1) {
        return mg_error_set(e, MG_E_CONFLICT, NULL, "the sink is full");
    }

    mg_buf_add(b, bytes, len);

    return MG_OK;
}


static int
fetch(const char *path, const char *etag, mg_buf_t *to, mg_error_t *e)
{
    char               url[256];
    mg_http_request_t  req;

    memset(&req, 0, sizeof(req));
    memset(e, 0, sizeof(*e));
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", server.port, path);
    req.url = mg_str_z(url);
    req.headers[0] = mg_str("Authorization: Bearer sk-secret-1");
    req.n_headers = 1;
    req.timeout_ms = 5000;
    req.allow_private = 1;
    req.body_max = 1024 * 1024;
    req.data = to;
    req.sink = to ? sink : NULL;
    f.requests = 0;

    return mg_fetch(&f, &req, mg_str_z(etag), &res, e);
}


static void
begin(void)
{
    memset(&gates, 0, sizeof(gates));
    f.gate = mg_gate_find(&gates, mg_str("lab"));
    sunk.len = 0;
}


#define count(outcome)  ((int) f.gate->outcomes[MG_GATE_##outcome])


static void
test_answers(void)
{
    mg_error_t  e;

    begin();
    is_int(fetch("/good", NULL, NULL, &e), MG_OK, "an answer");
    ok(mg_str_eq(res.body, mg_str("{\"a\":1}")), "its body");
    ok(mg_str_eq(res.etag, mg_str("W/\"v1\"")), "its tag");
    ok(mg_str_eq(res.link, mg_str("</next>; rel=\"next\"")), "its link");
    is_int(count(OK), 1, "counted");

    is_int(fetch("/cached", "W/\"v1\"", &sunk, &e), MG_DECLINED,
           "nothing is new");
    is_int(sunk.len, 0, "nothing was handed on");
    is_int(count(NOT_MODIFIED), 1, "counted");
    is_int(fetch("/cached", "\"v0\"", &sunk, &e), MG_OK, "something is");
    is_int(fetch("/304", NULL, &sunk, &e), MG_ERROR,
           "a 304 that nobody asked for is no answer");

    begin();
    is_int(fetch("/plain", NULL, NULL, &e), MG_OK, "plain text may be JSON");
    is_int(fetch("/html", NULL, NULL, &e), MG_ERROR, "a web page is not");
    is_int(e.kind, MG_E_UPSTREAM, "the source is to blame");
    ok(strstr(e.message, "text/html") != NULL, "says: %s", e.message);
    is_int(f.requests, 1, "asked once");
    is_int(count(BAD_ANSWER), 1, "counted");
    is_int(fetch("/bare", NULL, NULL, &e), MG_ERROR, "nor is no type");

    begin();
    is_int(fetch("/gzip", NULL, &sunk, &e), MG_OK, "gzip");
    is_int(sunk.len, 300000, "unpacked");
    is_int(fetch("/gzip", NULL, NULL, &e), MG_OK, "without a sink, too");
    is_int(res.body.len, 300000, "unpacked");

    begin();
    is_int(fetch("/401", NULL, NULL, &e), MG_ERROR, "refused");
    ok(strstr(e.message, "401") && !strstr(e.message, "sk-secret"),
       "says: %s", e.message);
    is_int(f.requests, 1, "asked once");
    is_int(count(REJECTED), 1, "counted");

    begin();
    is_int(fetch("/endless", NULL, &sunk, &e), MG_ERROR, "too much");
    is_int(e.kind, MG_E_TOO_LARGE, "is an error, no cut");
    is_int(count(BAD_ANSWER), 1, "counted");
    ok(sunk.len <= 1024 * 1024, "and bounded");
}


static void
test_retries(void)
{
    mg_error_t  e;

    begin();
    flaky = 2;
    is_int(fetch("/flaky", NULL, &sunk, &e), MG_OK, "the third time is fine");
    is_int(f.requests, 3, "asked three times");
    is_int(count(FAILED), 2, "two failures");
    is_int(sunk.len, 7, "one document");

    flaky = 2;
    is_int(fetch("/drop", NULL, NULL, &e), MG_OK, "so it is when dropped");
    ok(f.requests >= 2, "asked again");

    begin();
    flaky = 100;
    is_int(fetch("/flaky", NULL, &sunk, &e), MG_ERROR, "three, no more");
    is_int(f.requests, 3, "tries");
    is_int(e.kind, MG_E_UPSTREAM, "the source is to blame");
    ok(strstr(e.message, "status 503") != NULL, "says: %s", e.message);

    begin();
    cut = 0;
    is_int(fetch("/cut", NULL, &sunk, &e), MG_ERROR, "broken off");
    is_int(cut, 1, "not tried again: half of it was handed on");
    is_int(e.kind, MG_E_UPSTREAM, "says: %s", e.message);
    is_int(count(UNREACHABLE), 1, "counted");

    begin();
    sunk.cap = 1;
    is_int(fetch("/good", NULL, &sunk, &e), MG_ERROR, "a sink that fails");
    is_int(e.kind, MG_E_CONFLICT, "its own error");
    is_int(f.requests, 1, "is not tried again");
    is_int(count(OK), 1, "and no fault of the source");
    sunk.cap = 0;
}


static void
test_pauses(void)
{
    int64_t     began;
    mg_error_t  e;

    begin();
    busy = 1;
    f.tries = 2;
    began = mg_mono_us();
    is_int(fetch("/busy", NULL, NULL, &e), MG_ERROR, "asks for a second");
    is_int(f.requests, 2, "is asked again");
    ok(mg_mono_us() - began >= 990000, "after that second");
    is_int(count(LIMITED), 2, "counted");

    began = mg_mono_us();
    is_int(fetch("/good", NULL, NULL, &e), MG_OK, "the next request");
    ok(mg_mono_us() - began >= 500000, "waits for it, too");

    begin();
    busy = 3600;
    is_int(fetch("/busy", NULL, NULL, &e), MG_ERROR, "asks for an hour");
    is_int(f.requests, 1, "is not asked again");
    is_int(fetch("/good", NULL, NULL, &e), MG_ERROR, "by nobody");
    is_int(f.requests, 0, "for an hour");
    is_int(e.kind, MG_E_UNAVAILABLE, "says: %s", e.message);
    ok(strstr(e.message, "3600 s") || strstr(e.message, "3599 s"),
       "and how long");

    begin();
    flaky = 100;
    f.tries = 5;
    is_int(fetch("/flaky", NULL, NULL, &e), MG_ERROR, "five failures");
    is_int(fetch("/good", NULL, NULL, &e), MG_ERROR, "open the breaker");
    is_int(f.requests, 0, "nothing is sent");
    is_int(e.kind, MG_E_UNAVAILABLE, "says: %s", e.message);
    is_int(count(OPEN), 1, "counted");
    nap(1100);
    is_int(fetch("/good", NULL, NULL, &e), MG_OK, "later one is let through");
    is_int(fetch("/good", NULL, NULL, &e), MG_OK, "and all after it");
    f.tries = 0;
}


static void
test_redirects(void)
{
    mg_error_t  e;

    begin();
    is_int(fetch("/moved", NULL, &sunk, &e), MG_OK, "within the host");
    is_int(sunk.len, 7, "the document");
    is_int(f.requests, 2, "two requests");

    begin();
    is_int(fetch("/circle", NULL, &sunk, &e), MG_ERROR, "in a circle");
    is_int(f.requests, 4, "three redirects, no more");

    is_int(fetch("/away/address", NULL, &sunk, &e), MG_ERROR,
           "another address");
    ok(strstr(e.message, "status 307") && strstr(e.message, "another host"),
       "says: %s", e.message);
    is_int(fetch("/away/name", NULL, &sunk, &e), MG_ERROR, "another name");
    is_int(fetch("/away/tls", NULL, &sunk, &e), MG_ERROR, "another scheme");
    is_int(elsewhere, 0, "nobody went there");
}


int
main(void)
{
    mg_buf_t    plain;
    mg_error_t  e;

    signal(SIGPIPE, SIG_IGN);
    mg_buf_init(&sunk, 0);
    mg_buf_init(&plain, 0);
    mg_buf_init(&packed, 0);
    memset(mg_buf_reserve(&plain, 300000), ' ', 300000);
    plain.len = 300000;

    if (mg_http_global_init() != MG_OK
        || mg_gzip(&packed, mg_buf_view(&plain), 6, &e) != MG_OK)
    {
        return 1;
    }

    server_start(routes);

    f.http = mg_http_create(1, NULL);
    f.name = mg_str("lab");
    f.pause_ms = 20;
    f.wait_max_ms = 2000;
    f.limits.open_ms = 1000;

    test_answers();
    test_retries();
    test_pauses();
    test_redirects();

    mg_http_destroy(f.http);
    server_stop();
    mg_buf_free(&sunk);
    mg_buf_free(&plain);
    mg_buf_free(&packed);
    mg_http_global_done();

    return done_testing();
}
