/*
 * Lists of models as anybody may send them.  The first byte says how they are
 * read: by 3 the kind, the rest which source or protocol.
 *
 *     a source's document, once in one piece and once cut at the places
 *     that the input names: what it delivers must be the same
 *     a provider's list, and the path of its next page
 *     a provider's answer to a probe
 *
 * What is delivered must be what may enter the catalog, paths must be paths,
 * and words that are kept must be bounded and printable.
 */

#include "fuzz.h"

#include "base/mg_hash.h"
#include "base/mg_uri.h"
#include "provider/mg_protocol.h"
#include "provider/mg_source.h"


#define MESSAGE_MAX  300


/* What a reader has delivered, as a number: order counts. */
typedef struct {
    uint64_t     sum;
    unsigned     providers;
    unsigned     models;
    unsigned     benchmarks;
    unsigned     skipped;
} seen_t;


static void
add(seen_t *s, mg_str_t text)
{
    uint8_t  key[16];

    memset(key, 0, sizeof(key));
    memcpy(key, &s->sum, sizeof(s->sum));

    s->sum = mg_siphash(key, text.data ? text.data : "", text.len) + text.len;
}


static int
on_provider(void *ctx, const mg_provider_t *p, mg_error_t *e)
{
    seen_t  *s = ctx;

    (void) e;
    fuzz_check(mg_provider_id_ok(p->id));
    fuzz_check(p->name.len > 0);

    s->providers++;
    add(s, p->id);
    add(s, p->name);
    add(s, p->base_url);
    add(s, p->env);

    return MG_OK;
}


static int
on_model(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    unsigned  i;
    seen_t   *s = ctx;

    (void) e;
    fuzz_check(mg_model_check(m, NULL) == MG_OK);

    s->models++;
    add(s, m->id);
    add(s, m->name);
    add(s, m->modalities_in);
    add(s, m->extra);

    for (i = 0; i < MG_PRICE_N; i++) {
        s->sum = s->sum * 31 + (uint64_t) m->price[i];
    }

    return MG_OK;
}


static int
on_benchmark(void *ctx, const mg_benchmark_t *b, mg_error_t *e)
{
    seen_t  *s = ctx;

    (void) e;
    fuzz_check(b->model_id.len > 0 && b->name.len > 0 && b->score.len > 0);
    fuzz_check(s->models > 0);

    s->benchmarks++;
    add(s, b->name);
    add(s, b->score);

    return MG_OK;
}


static void
on_skipped(void *ctx, mg_str_t id, const char *reason)
{
    seen_t  *s = ctx;

    fuzz_check(reason && *reason);

    s->skipped++;
    add(s, id);
}


static const mg_source_handler_t  handler = {
    .provider = on_provider,
    .model = on_model,
    .benchmark = on_benchmark,
    .skipped = on_skipped
};


/* Feeds pieces of 1 to 16 bytes by the digits of "cuts"; 0: one piece. */

static int
document(const mg_source_t *s, mg_str_t body, uint64_t cuts, seen_t *seen)
{
    int          rc;
    char        *piece;
    void        *d;
    size_t       n;
    mg_error_t   e;

    memset(seen, 0, sizeof(seen_t));
    memset(&e, 0, sizeof(e));

    d = s->create(&handler, seen);
    fuzz_check(d != NULL);

    rc = MG_OK;

    while (rc == MG_OK && body.len > 0) {
        n = cuts ? (size_t) (cuts & 15) + 1 : body.len;
        n = n < body.len ? n : body.len;
        cuts = (cuts >> 4) | (cuts << 60);

        piece = fuzz_piece(mg_str_n(body.data, n));
        rc = s->feed(d, piece, n, &e);
        free(piece);

        body.data += n;
        body.len -= n;
    }

    if (rc == MG_OK) {
        rc = s->finish(d, &e);
    }

    fuzz_check(rc == MG_OK || e.message[0] != '\0');
    s->destroy(d);

    return rc;
}


static void
documents(unsigned which, mg_str_t body)
{
    int                 one, other;
    seen_t              whole, cut;
    uint64_t            cuts;
    const mg_source_t  *s;

    for (s = mg_sources; which > 0 && s[1].name.data; s++) {
        which--;
    }

    if (body.len < sizeof(cuts)) {
        return;
    }

    memcpy(&cuts, body.data, sizeof(cuts));
    body = mg_str_n(body.data + sizeof(cuts), body.len - sizeof(cuts));

    one = document(s, body, 0, &whole);
    other = document(s, body, cuts | 1, &cut);

    fuzz_check(one == other);
    fuzz_check(whole.providers == cut.providers);
    fuzz_check(whole.models == cut.models);
    fuzz_check(whole.benchmarks == cut.benchmarks);
    fuzz_check(whole.skipped == cut.skipped);
    fuzz_check(whole.sum == cut.sum);
}


/* The caller completes what a list delivers, and checks it. */

static int
on_listed(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    seen_t  *s = ctx;

    (void) e;
    fuzz_check(m->provider_model_id.len > 0);
    fuzz_check(m->name.len > 0);
    fuzz_check((unsigned) m->type < MG_TYPE_N);
    fuzz_check(m->extra.data == NULL || m->extra.data[0] == '{');

    s->models++;

    /* one that does not want any more is obeyed */

    if (s->models == 1000) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "enough");
    }

    return MG_OK;
}


static const mg_protocol_t *
protocol(unsigned which)
{
    unsigned  n;

    for (n = 0; mg_protocol_at(n); n++) { /* void */ }

    return mg_protocol_at(which % n);
}


/* Behind a base URL, in a request's line: nothing may end either. */

static void
next(const mg_protocol_t *p, mg_str_t body, mg_arena_t *a)
{
    int         rc;
    size_t      i;
    mg_str_t    path;
    mg_error_t  e;

    memset(&e, 0, sizeof(e));
    rc = p->next(body, mg_str_null, a, &path, &e);

    fuzz_check(rc != MG_ERROR || e.message[0] != '\0');

    for (i = 0; rc == MG_OK && i < path.len; i++) {
        fuzz_check(path.data[i] > ' ' && path.data[i] <= '~'
                   && path.data[i] != '#');
    }

    fuzz_check(rc != MG_OK || path.data[0] == '/');
}


static void
list(const mg_protocol_t *p, mg_str_t body)
{
    int          rc;
    seen_t       seen;
    unsigned     skipped;
    mg_arena_t  *a;
    mg_error_t   e;

    memset(&seen, 0, sizeof(seen));
    memset(&e, 0, sizeof(e));
    skipped = 0;

    a = mg_arena_create(16 * 1024 * 1024);
    fuzz_check(a != NULL);

    rc = p->list(body, a, on_listed, &seen, &skipped, &e);

    fuzz_check(seen.models <= 1000);
    fuzz_check(rc == MG_OK || e.message[0] != '\0');

    if (p->next) {
        next(p, body, a);
    }

    mg_arena_destroy(a);
}


static void
judge(const mg_protocol_t *p, mg_str_t body)
{
    int                i, status;
    size_t             at;
    mg_str_t           message;
    mg_model_t         m;
    mg_arena_t        *a;
    mg_probe_class_e   class;

    if (body.len < 2) {
        return;
    }

    mg_model_init(&m);
    m.type = (body.data[0] & 1) ? MG_TYPE_CHAT : MG_TYPE_EMBEDDING;
    status = (body.data[0] & 2) ? 200 : 100 + ((uint8_t) body.data[1]) * 2;
    body = mg_str_n(body.data + 2, body.len - 2);

    a = mg_arena_create(16 * 1024 * 1024);
    fuzz_check(a != NULL);

    for (i = 0; i < 2; i++) {
        class = p->judge(&m, status, body, a, &message);

        fuzz_check((unsigned) class < MG_PROBE_N);
        fuzz_check(class != MG_PROBE_OK || status == 200);
        fuzz_check(message.len <= MESSAGE_MAX);
        fuzz_check(class == MG_PROBE_OK || message.len > 0);
        fuzz_check(mg_utf8_ok(message));

        for (at = 0; at < message.len; at++) {
            fuzz_check((uint8_t) message.data[at] >= ' '
                       && message.data[at] != 0x7f);
        }

        m.type = MG_TYPE_CHAT;
    }

    mg_arena_destroy(a);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char      *copy;
    mg_str_t   body;

    if (size < 1 || size > 65536) {
        return 0;
    }

    copy = fuzz_piece(mg_str_n((const char *) data + 1, size - 1));
    body = mg_str_n(copy, size - 1);

    switch (data[0] % 3) {

    case 0:
        documents(data[0] / 3, body);
        break;

    case 1:
        list(protocol(data[0] / 3), body);
        break;

    default:
        judge(protocol(data[0] / 3), body);
        break;
    }

    free(copy);

    return 0;
}
