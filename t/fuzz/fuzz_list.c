/*
 * Lists of models as anybody may send them.  The first byte says which:
 *
 *     models.dev's document, once in one piece and once cut at the places
 *     that the input names: what it delivers must be the same
 *     a provider's list, a provider's answer to a probe
 *
 * What is delivered must be what may enter the catalog, and words that are
 * kept must be bounded and printable.
 */

#include "fuzz.h"

#include "base/mg_hash.h"
#include "base/mg_uri.h"
#include "provider/mg_openai.h"
#include "provider/mg_protocol.h"


#define MESSAGE_MAX  300


/* What a reader has delivered, as a number: order counts. */
typedef struct {
    uint64_t     sum;
    unsigned     providers;
    unsigned     models;
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


static void
on_skipped(void *ctx, mg_str_t id, const char *reason)
{
    seen_t  *s = ctx;

    fuzz_check(reason && *reason);

    s->skipped++;
    add(s, id);
}


static const mg_models_dev_handler_t  handler = {
    on_provider,
    on_model,
    on_skipped
};


/* Feeds pieces of 1 to 16 bytes by the digits of "cuts"; 0: one piece. */

static int
document(mg_str_t body, uint64_t cuts, seen_t *seen)
{
    int               rc;
    char             *piece;
    size_t            n;
    mg_error_t        e;
    mg_models_dev_t  *d;

    memset(seen, 0, sizeof(seen_t));
    memset(&e, 0, sizeof(e));

    d = mg_models_dev_create(&handler, seen);
    fuzz_check(d != NULL);

    rc = MG_OK;

    while (rc == MG_OK && body.len > 0) {
        n = cuts ? (size_t) (cuts & 15) + 1 : body.len;
        n = n < body.len ? n : body.len;
        cuts = (cuts >> 4) | (cuts << 60);

        piece = fuzz_piece(mg_str_n(body.data, n));
        rc = mg_models_dev_feed(d, piece, n, &e);
        free(piece);

        body.data += n;
        body.len -= n;
    }

    if (rc == MG_OK) {
        rc = mg_models_dev_finish(d, &e);
    }

    fuzz_check(rc == MG_OK || e.message[0] != '\0');
    mg_models_dev_destroy(d);

    return rc;
}


static void
documents(mg_str_t body)
{
    int       one, other;
    seen_t    whole, cut;
    uint64_t  cuts;

    if (body.len < sizeof(cuts)) {
        return;
    }

    memcpy(&cuts, body.data, sizeof(cuts));
    body = mg_str_n(body.data + sizeof(cuts), body.len - sizeof(cuts));

    one = document(body, 0, &whole);
    other = document(body, cuts | 1, &cut);

    fuzz_check(one == other);
    fuzz_check(whole.providers == cut.providers);
    fuzz_check(whole.models == cut.models);
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

    s->models++;

    /* one that does not want any more is obeyed */

    if (s->models == 1000) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "enough");
    }

    return MG_OK;
}


static void
list(mg_str_t body)
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

    rc = mg_protocol_openai.list(body, a, on_listed, &seen, &skipped, &e);

    fuzz_check(seen.models <= 1000);
    fuzz_check(rc == MG_OK || e.message[0] != '\0');

    mg_arena_destroy(a);
}


static void
judge(mg_str_t body)
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
        class = mg_protocol_openai.judge(&m, status, body, a, &message);

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
        documents(body);
        break;

    case 1:
        list(body);
        break;

    default:
        judge(body);
        break;
    }

    free(copy);

    return 0;
}
