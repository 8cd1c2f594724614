/*
 * Breaks when a copy for a shadow variant is lost, sent twice or sent after
 * its deadline, when more wait or hold memory than was allowed, when the
 * answer's usage, status or failure do not reach the record, when a variant
 * that hangs leaves no room for another, or when the thread does not end at
 * once however its servers behave.
 *
 * The other side is a small server in this process, on loopback.
 */

#include "tap.h"
#include "loopback.h"

#include <fcntl.h>

#include "base/mg_time.h"
#include "client/mg_share.h"
#include "client/mg_shadow.h"
#include "model/mg_policy.h"


#define SECRET  "sk-verysecret-0123456789"


static const char  usage_json[] =
    "{\"id\":\"x\",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"
    "\"total_tokens\":15}}";

static const char  usage_sse[] =
    "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,"
    "\"completion_tokens\":3}}\n\n"
    "data: [DONE]\n\n";

static char             heard[65536];   /* the last request for /echo */
static pthread_mutex_t  heard_lock = PTHREAD_MUTEX_INITIALIZER;
static int              rings;          /* of notify */


/* -- the server -- */

static int
serve_json(peer_t *p)
{
    answer(p->fd, "200 OK", "Content-Type: application/json\r\n"
           "X-Request-Id: upstream-1\r\n", usage_json);

    return 1;
}


static int
serve_sse(peer_t *p)
{
    answer(p->fd, "200 OK", "Content-Type: text/event-stream\r\n", usage_sse);

    return 1;
}


/* A stream that ends with its length, but not with its end. */

static int
serve_half(peer_t *p)
{
    char  half[64];

    memcpy(half, usage_sse, sizeof(half) - 1);
    half[sizeof(half) - 1] = '\0';
    answer(p->fd, "200 OK", "Content-Type: text/event-stream\r\n", half);

    return 1;
}


static int
serve_cut(peer_t *p)
{
    static const char  head[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"
                                "Content-Type: application/json\r\n\r\n{";

    say(p->fd, head, sizeof(head) - 1);

    return 0;
}


static int
serve_status(peer_t *p)
{
    char  status[64];

    snprintf(status, sizeof(status), "%s Scripted",
             p->path + sizeof("/status/") - 1);
    answer(p->fd, status, "Content-Type: application/json\r\n",
           "{\"error\":{\"message\":\"no\"}}");

    return 1;
}


static int
serve_slow(peer_t *p)
{
    if (!nap_while_open(p, atoi(p->path + sizeof("/slow/") - 1))) {
        return 0;
    }

    return serve_json(p);
}


static int
serve_echo(peer_t *p)
{
    pthread_mutex_lock(&heard_lock);
    memcpy(heard, p->in, p->len + 1);
    pthread_mutex_unlock(&heard_lock);

    return serve_json(p);
}


static int
serve_drop(peer_t *p)
{
    (void) p;

    return 0;
}


static const route_t  routes[] = {
    { "/json", serve_json },
    { "/sse", serve_sse },
    { "/half", serve_half },
    { "/cut", serve_cut },
    { "/status/", serve_status },
    { "/slow/", serve_slow },
    { "/echo", serve_echo },
    { NULL, serve_drop }
};


/* -- jobs -- */

static void
notify(void *ctx)
{
    (void) ctx;

    __atomic_add_fetch(&rings, 1, __ATOMIC_RELAXED);
}


static mg_shadow_t *
begin(unsigned queue, unsigned concurrency, size_t memory)
{
    mg_shadow_options_t  o;

    o.queue = queue;
    o.concurrency = concurrency;
    o.memory = memory;
    o.notify = notify;
    o.ctx = NULL;

    return mg_shadow_start(&o);
}


static mg_shadow_job_t *
job_for(const char *path, size_t body, int ms)
{
    mg_shadow_job_t  *job;

    job = mg_shadow_job_create(body);
    memset(job->body, 'b', body);

    job->variant = 1;
    job->deadline_us = mg_mono_us() + (int64_t) ms * 1000;
    job->http.url = mg_arena_printf(job->arena, "http://127.0.0.1:%d%s",
                                    server.port, path);
    job->http.more = mg_arena_alloc(job->arena, 4 * sizeof(mg_str_t));
    job->http.more[0] = mg_arena_printf(job->arena,
                                        "Authorization: Bearer " SECRET);
    job->http.more[1] = mg_arena_printf(job->arena,
                                        "Content-Type: application/json");
    job->http.n_more = 2;

    return job;
}


/* Waits for one; NULL after ten seconds. */

static mg_shadow_job_t *
wait_job(mg_shadow_t *s)
{
    int               i;
    mg_shadow_job_t  *job;

    for (i = 0; i < 10000; i++) {
        job = mg_shadow_done(s);

        if (job) {
            return job;
        }

        nap(1);
    }

    return NULL;
}


static mg_shadow_job_t *
run(mg_shadow_t *s, const char *path, int ms)
{
    mg_shadow_send(s, job_for(path, 2, ms));

    return wait_job(s);
}


static const char *
class_of(mg_shadow_job_t *job)
{
    static char  text[64];

    snprintf(text, sizeof(text), "%.*s",
             MG_STR_ARG(job->record.str[MG_RS_ERROR_CLASS]));

    return text;
}


/* -- tests -- */

static void
test_answers(mg_shadow_t *s)
{
    mg_record_t       *rec;
    mg_cost_prices_t   prices;
    mg_shadow_job_t   *job;

    mg_cost_prices_init(&prices);
    prices.price[MG_PRICE_INPUT] = 1000000000;       /* femto-USD: 1 USD/M */
    prices.price[MG_PRICE_OUTPUT] = 2000000000;

    job = job_for("/json", 2, 10000);
    job->prices = &prices;
    mg_shadow_send(s, job);
    job = wait_job(s);
    rec = &job->record;

    is_int(job->outcome, MG_SHADOW_ANSWERED, "plain JSON: answered");
    is_int(rec->kind, MG_RECORD_SHADOW, "its record is a shadow's");
    is_int(rec->status, 200, "status");
    is_int(rec->upstream_status, 200, "status of the upstream");
    is_int(rec->attempts, 1, "one attempt");
    is_int(rec->usage.input, 10, "input tokens");
    is_int(rec->usage.output, 5, "output tokens");
    is_int(rec->usage_source, MG_USAGE_PROVIDER, "of the provider");
    is_int(rec->cost_nano, 20000, "and what they cost");
    is_int(rec->response_bytes, sizeof(usage_json) - 1, "bytes");
    ok(rec->ttft_us > 0 && rec->ttft_us <= rec->latency_us, "times");
    is_mem(rec->str[MG_RS_UPSTREAM_REQUEST_ID].data,
           rec->str[MG_RS_UPSTREAM_REQUEST_ID].len, "upstream-1", 10,
           "the upstream's id");
    ok(rec->str[MG_RS_UPSTREAM_ADDR].len > 10, "its address");
    is_str(class_of(job), "", "no error");
    mg_shadow_job_free(job);

    job = run(s, "/sse", 10000);
    is_int(job->outcome, MG_SHADOW_ANSWERED, "a stream: answered");
    is_int(job->record.usage.input, 7, "its input tokens");
    is_int(job->record.usage.output, 3, "its output tokens");
    is_int(job->record.cost_nano, -1, "without prices no cost");
    is_int(job->record.cost_reason, MG_COST_NO_PRICE, "and why");
    is_int(job->record.truncated, 0, "whole");
    is_int(job->record.bodies, 0, "nothing of it is kept");
    mg_shadow_job_free(job);

    job = job_for("/json", 2, 10000);
    job->keep = 45;
    job->hidden = mg_str_n("id", 3);
    mg_shadow_send(s, job);
    job = wait_job(s);
    rec = &job->record;
    is_int(rec->bodies, MG_POLICY_RESPONSE_BODY, "the answer is kept");
    is_mem(rec->response_body.data, rec->response_body.len,
           "{\"id\":\"[redacted]\",\"usage\":{\"prompt_tokens\":1", 45,
           "as far as asked, without what is hidden");
    mg_shadow_job_free(job);
}


static void
test_failures(mg_shadow_t *s)
{
    unsigned          i;
    mg_shadow_job_t  *job;

    static const struct {
        const char   *path;
        int           ms;
        const char   *class;
        int           status;
        int           upstream;
        int           truncated;
    } cases[] = {
        { "/half", 10000, "truncated", 200, 200, 1 },
        { "/cut", 10000, "truncated", 200, 200, 1 },
        { "/status/429", 10000, "upstream_4xx", 429, 429, 0 },
        { "/status/503", 10000, "upstream_5xx", 503, 503, 0 },
        { "/drop", 10000, "bad_answer", 502, 0, 0 },
        { "/slow/20000", 3000, "timeout", 504, 0, 0 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        job = run(s, cases[i].path, cases[i].ms);

        is_int(job->outcome, MG_SHADOW_FAILED, "%s: failed", cases[i].path);
        is_str(class_of(job), cases[i].class, "%s: class", cases[i].path);
        is_int(job->record.status, cases[i].status, "%s: status",
               cases[i].path);
        is_int(job->record.upstream_status, cases[i].upstream,
               "%s: upstream's status", cases[i].path);
        is_int(job->record.truncated, cases[i].truncated, "%s: truncated",
               cases[i].path);
        is_int(job->record.cost_nano, -1, "%s: no cost", cases[i].path);
        mg_shadow_job_free(job);
    }

    job = job_for("/json", 2, 10000);
    job->http.url = mg_str("http://127.0.0.1:1/");
    mg_shadow_send(s, job);
    job = wait_job(s);
    is_str(class_of(job), "connect", "nobody listens");
    is_int(job->record.status, 502, "which is a 502");
    mg_shadow_job_free(job);
}


/* Headers, a body in pieces of a file, and a name that nobody resolves. */

static void
test_request(mg_shadow_t *s)
{
    int               fd;
    char              path[] = "/tmp/test_shadow.XXXXXX";
    mg_shadow_job_t  *job;

    fd = mkstemp(path);
    unlink(path);
    ok(write(fd, "0123456789", 10) == 10, "a file");

    job = job_for("/echo", 12, 10000);
    memcpy(job->body, "<....|....,>", 12);
    job->fd = fd;
    job->n_files = 2;
    job->files[0] = (mg_shadow_file_t) { 0, 1, 4 };
    job->files[1] = (mg_shadow_file_t) { 6, 6, 4 };
    job->http.url = mg_arena_printf(job->arena,
                                    "http://shadow.invalid:%d/echo?a=../b",
                                    server.port);
    job->http.resolve = mg_arena_printf(job->arena,
                                        "shadow.invalid:%d:127.0.0.1",
                                        server.port).data;
    mg_shadow_send(s, job);
    job = wait_job(s);

    is_int(job->outcome, MG_SHADOW_ANSWERED, "an address instead of a name");
    like(heard, "POST /echo?a=../b HTTP/1.1\r\n", "the URI as it is");
    like(heard, "\r\nHost: shadow.invalid:", "the name for the server");
    like(heard, "\r\nAuthorization: Bearer " SECRET "\r\n", "the key");
    like(heard, "\r\nContent-Type: application/json\r\n", "the type");
    like(heard, "\r\n\r\n<0123|6789,>", "the body with parts of a file");
    unlike(heard, "Expect:", "nothing to wait for");
    unlike(heard, "Accept-Encoding:", "plain bytes are wanted");
    mg_shadow_job_free(job);

    /* a file that is shorter than it was */

    job = job_for("/echo", 20, 10000);
    job->fd = open("/dev/null", O_RDONLY|O_CLOEXEC);
    job->n_files = 1;
    job->files[0] = (mg_shadow_file_t) { 0, 0, 20 };
    mg_shadow_send(s, job);
    job = wait_job(s);
    is_int(job->outcome, MG_SHADOW_UNREAD, "half a body is not sent");
    mg_shadow_job_free(job);

    is_int(mg_shadow_jobs(s), 0, "nothing is left");
}


static void
test_bounds(void)
{
    int               i, answered, expired;
    mg_shadow_t      *s;
    mg_shadow_job_t  *job;

    s = begin(3, 2, 1000);

    is_int(mg_shadow_room(s, 1, 1001), MG_SHADOW_NO_MEMORY, "too large");
    is_int(mg_shadow_room(s, 1, 1000), MG_SHADOW_ROOM, "just not");

    for (i = 0; i < 5; i++) {
        is_int(mg_shadow_room(s, 1, 100), MG_SHADOW_ROOM, "room for %d", i + 1);
        mg_shadow_send(s, job_for(i < 2 ? "/slow/3000" : "/json", 100,
                                  i == 3 ? 200 : 10000));
    }

    is_int(mg_shadow_room(s, 1, 1), MG_SHADOW_NO_QUEUE, "no room for one more");
    is_int(mg_shadow_jobs(s), 5, "five are under way");

    for (answered = 0, expired = 0, i = 0; i < 5; i++) {
        job = wait_job(s);

        if (job == NULL) {
            break;
        }

        answered += (job->outcome == MG_SHADOW_ANSWERED);
        expired += (job->outcome == MG_SHADOW_EXPIRED);
        mg_shadow_job_free(job);
    }

    is_int(answered, 4, "four are answered");
    is_int(expired, 1, "the one that waited too long was not sent");
    is_int(mg_shadow_room(s, 1, 1000), MG_SHADOW_ROOM, "all the room is back");

    mg_shadow_send(s, job_for("/slow/300", 1010, 10000));
    is_int(mg_shadow_room(s, 1, 1), MG_SHADOW_NO_MEMORY, "more is used");
    mg_shadow_job_free(wait_job(s));
    is_int(mg_shadow_room(s, 1, 1000), MG_SHADOW_ROOM, "and it is back again");

    mg_shadow_destroy(s);
}


static int
send_of(mg_shadow_t *s, uint64_t variant, const char *path, size_t body,
    int ms)
{
    mg_shadow_job_t  *job;

    if (mg_shadow_room(s, variant, body) != MG_SHADOW_ROOM) {
        return 0;
    }

    job = job_for(path, body, ms);
    job->variant = variant;
    mg_shadow_send(s, job);

    return 1;
}


/* Requests at the server, within ten seconds. */

static int
comes_to(int busy)
{
    int  i;

    for (i = 0; i < 10000; i++) {
        if (__atomic_load_n(&server.busy, __ATOMIC_RELAXED) == busy) {
            return 1;
        }

        nap(1);
    }

    return 0;
}


/*
 * One variant hangs: it fills its half of what may wait and of what is sent,
 * and the other one is answered meanwhile.
 */

static void
test_shares(void)
{
    int               i, n;
    mg_shadow_t      *s;
    mg_shadow_job_t  *job;

    s = begin(16, 4, 1000);

    (void) mg_shadow_room(s, 2, 1);

    for (n = 0; n < 20 && send_of(s, 1, "/slow/60000", 10, 60000); n++) {
        /* void */
    }

    is_int(n, 10, "half of all that may be under way, and no more");
    is_int(mg_shadow_room(s, 1, 10), MG_SHADOW_NO_QUEUE, "is said to it");
    is_int(mg_shadow_room(s, 2, 10), MG_SHADOW_ROOM, "and not to another");

    for (i = 0, n = 0; i < 30; i++) {
        if (!send_of(s, 2, "/json", 10, 60000)) {
            break;
        }

        job = wait_job(s);
        if (job == NULL) {
            break;
        }

        n += (job->variant == 2 && job->outcome == MG_SHADOW_ANSWERED);
        mg_shadow_job_free(job);
    }

    is_int(n, 30, "whose copies are answered beside those that hang");
    ok(comes_to(2), "half of what is sent at once hangs");

    /* what waits in a line that may send no more still expires */

    is_int(mg_shadow_jobs(s), 10, "ten hang or wait");
    mg_shadow_destroy(s);

    s = begin(16, 4, 1000);
    (void) mg_shadow_room(s, 2, 1);

    for (n = 0; n < 10; n++) {
        (void) send_of(s, 1, "/slow/60000", 10, n < 2 ? 60000 : 100);
    }

    for (n = 0; n < 8; n++) {
        job = wait_job(s);
        if (job == NULL) {
            break;
        }

        if (job->outcome != MG_SHADOW_EXPIRED) {
            mg_shadow_job_free(job);
            break;
        }

        mg_shadow_job_free(job);
    }

    is_int(n, 8, "those that wait behind them expire at their deadline");
    mg_shadow_destroy(s);

    /* memory */

    s = begin(16, 4, 1000);
    (void) mg_shadow_room(s, 2, 1);

    is_int(mg_shadow_room(s, 1, 900), MG_SHADOW_ROOM, "one large body");
    ok(send_of(s, 1, "/slow/60000", 400, 60000), "a body");
    is_int(mg_shadow_room(s, 1, 100), MG_SHADOW_ROOM, "up to half");
    is_int(mg_shadow_room(s, 1, 101), MG_SHADOW_NO_MEMORY, "and no more");
    is_int(mg_shadow_room(s, 2, 600), MG_SHADOW_ROOM, "the rest is left");
    is_int(mg_shadow_room(s, 2, 601), MG_SHADOW_NO_MEMORY, "which is all");
    mg_shadow_destroy(s);

    /* alone */

    s = begin(6, 4, 1000);

    for (n = 0; n < 20 && send_of(s, 1, "/slow/60000", 10, 60000); n++) {
        /* void */
    }

    is_int(n, 10, "a variant that is alone may have all");

    ok(comes_to(4), "and send all at once");
    mg_shadow_destroy(s);
}


/* The table of variants: more than it has room for, and one long gone. */

static void
test_slots(void)
{
    int       i, n;
    unsigned  slot, used[MG_SHARE_SLOTS];

    static mg_share_t  t;

    t.jobs_max = 1000;
    t.bytes_max = 1000000;
    memset(used, 0, sizeof(used));

    slot = mg_share_find(&t, 7, 1);
    is_int(t.several, 0, "the first is alone");
    is_int(mg_share_find(&t, 7, 2), slot, "and keeps its slot");
    mg_share_take(&t, slot, 10);

    for (i = 0; i < MG_SHARE_SLOTS - 1; i++) {
        n = (int) mg_share_find(&t, 100 + (uint64_t) i, 3 + i);
        used[n]++;
        mg_share_take(&t, (unsigned) n, 10);
    }

    for (i = 0, n = 0; i < MG_SHARE_SLOTS; i++) {
        n += (used[i] == 1);
    }

    is_int(n, MG_SHARE_SLOTS - 1, "others have others");
    is_int(used[slot], 0, "and none has its");
    is_int(t.several, 1, "nobody is alone");

    ok(mg_share_find(&t, 5000, 100) < MG_SHARE_SLOTS, "one too many");
    is_int(mg_share_find(&t, 101, 101), mg_share_find(&t, 101, 102),
           "the others find theirs");

    /* what holds nothing makes room, what was long ago counts no more */

    n = (int) mg_share_find(&t, 110, 103);
    mg_share_give(&t, (unsigned) n, 10);
    is_int(mg_share_find(&t, 6000, 104), n, "a slot that is free again");
    is_int(t.several, 1, "still several");

    (void) mg_share_find(&t, 6000, 105 + MG_SHARE_SEEN_US);
    is_int(t.several, 0, "after an hour it is alone");
}


static void
test_many(void)
{
    int               i, j, answered, before;
    unsigned          seen;
    mg_shadow_t      *s;
    mg_shadow_job_t  *job;

    static unsigned char  twice[2000];

    s = begin(2000, 16, 100 * 1024 * 1024);
    before = __atomic_load_n(&server.requests, __ATOMIC_RELAXED);
    answered = 0;
    seen = 0;

    for (i = 0, j = 0; j < 2000; ) {

        if (i < 2000 && mg_shadow_room(s, 1, 64) == MG_SHADOW_ROOM) {
            job = job_for("/json", 64, 60000);
            job->record.bucket = i++;
            mg_shadow_send(s, job);
        }

        job = i < 2000 ? mg_shadow_done(s) : wait_job(s);

        if (job == NULL && i == 2000) {
            break;
        }

        if (job) {
            j++;
            answered += (job->outcome == MG_SHADOW_ANSWERED);
            seen += twice[job->record.bucket]++;
            mg_shadow_job_free(job);
        }
    }

    is_int(answered, 2000, "2000 copies are answered");
    is_int(seen, 0, "each comes back once");
    is_int(server.requests - before, 2000, "each was sent once");
    ok(rings > 0 && rings <= 3000, "the loop was woken");

    mg_shadow_destroy(s);
}


static void
test_stop(void)
{
    int               i, cut, unsent;
    int64_t           begun;
    mg_shadow_t      *s;
    mg_shadow_job_t  *job;

    s = begin(10, 2, 1000000);

    for (i = 0; i < 6; i++) {
        mg_shadow_send(s, job_for("/slow/60000", 1, 60000));
    }

    while (__atomic_load_n(&server.busy, __ATOMIC_RELAXED) < 2) {
        nap(1);
    }

    begun = mg_mono_us();
    mg_shadow_stop(s);
    diag("stopped in %d us", (int) (mg_mono_us() - begun));
    ok(mg_mono_us() - begun < 5000000, "a hanging server holds nobody up");

    for (cut = 0, unsent = 0; (job = mg_shadow_done(s)) != NULL; ) {
        cut += (job->outcome == MG_SHADOW_FAILED
                && strcmp(class_of(job), "shutdown") == 0);
        unsent += (job->outcome == MG_SHADOW_UNSENT);
        mg_shadow_job_free(job);
    }

    is_int(cut, 2, "two were cut");
    is_int(unsent, 4, "four were not sent");

    /* after the end, and without taking anything back */

    mg_shadow_stop(s);
    mg_shadow_destroy(s);

    s = begin(10, 2, 1000000);
    mg_shadow_send(s, job_for("/json", 1, 60000));
    mg_shadow_destroy(s);
    pass("what is left goes with it");
}


int
main(void)
{
    mg_shadow_t  *s;

    (void) mg_http_global_init();
    server_start(routes);

    s = begin(100, 8, 1000000);

    test_answers(s);
    test_failures(s);
    test_request(s);

    mg_shadow_destroy(s);

    test_bounds();
    test_shares();
    test_slots();
    test_many();
    test_stop();

    server_stop();
    mg_http_global_done();

    return done_testing();
}
