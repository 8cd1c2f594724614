/*
 * What would break: a client of models.dev that is pointed at /api.json
 * misses a provider, a model, a member or a value that models.dev has, or
 * gets a price that is another number.
 */

#include <stdio.h>
#include <stdlib.h>

#include <zlib.h>

#include "base/mg_decimal.h"
#include "base/mg_json.h"
#include "provider/mg_models_dev.h"
#include "snap_ask.h"
#include "tap.h"


#define DOCUMENT     "conf/models.dev/api.json"

/* USD per million tokens to femto-USD per token: 15 decimals a token */
#define PRICE_SHIFT  9


static unsigned  n_providers, n_models, n_skipped, n_wrong, n_values;


/* -- the way in -- */

static int
on_provider(void *ctx, const mg_provider_t *p, mg_error_t *e)
{
    n_providers++;

    return mg_catalog_builder_provider(ctx, p, e);
}


static int
on_model(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    n_models++;

    return mg_catalog_builder_model(ctx, m, e);
}


static void
on_skipped(void *ctx, mg_str_t id, const char *reason)
{
    (void) ctx;

    n_skipped++;
    diag("skipped " MG_STR_FMT ": %s", MG_STR_ARG(id), reason);
}


static const mg_source_handler_t  handler = {
    .provider = on_provider,
    .model = on_model,
    .skipped = on_skipped
};


/* -- comparing -- */

static void
wrong(const char *path, const char *what)
{
    if (n_wrong++ < 20) {
        diag("%s: %s", path, what);
    }
}


static int
same_number(mg_str_t a, mg_str_t b, int price)
{
    char     x[64], y[64];
    int64_t  n, m;

    if (mg_decimal_parse(a, price ? PRICE_SHIFT : 0, &n) == MG_OK
        && mg_decimal_parse(b, price ? PRICE_SHIFT : 0, &m) == MG_OK
        && price)
    {
        return n == m;
    }

    snprintf(x, sizeof(x), MG_STR_FMT, MG_STR_ARG(a));
    snprintf(y, sizeof(y), MG_STR_FMT, MG_STR_ARG(b));

    return strtod(x, NULL) == strtod(y, NULL);
}


/* Modalities are a set: their order says nothing. */

static int
holds(const mg_json_t *set, mg_str_t name)
{
    const mg_json_t  *v;

    for (v = set->child; v; v = v->next) {
        if (v->type == MG_JSON_STRING && mg_str_eq(v->str, name)) {
            return 1;
        }
    }

    return 0;
}


static void
same_set(const char *path, const mg_json_t *one, const mg_json_t *two)
{
    const mg_json_t  *v;

    for (v = one->child; v; v = v->next) {
        n_values++;

        if (v->type != MG_JSON_STRING || !holds(two, v->str)) {
            wrong(path, "a modality is missing");
        }
    }

    if (one->count != two->count) {
        wrong(path, "a modality is more");
    }
}


/* All that is in one must be in two; what is more there does no harm. */

static void
within(const char *path, const mg_json_t *one, const mg_json_t *two,
    int price)
{
    char              deeper[512], key[256];
    const mg_json_t  *v, *w;

    if (one->type != two->type) {
        wrong(path, "another type");
        return;
    }

    n_values++;

    switch (one->type) {

    case MG_JSON_BOOL:
        if (one->boolean != two->boolean) {
            wrong(path, "another bool");
        }

        break;

    case MG_JSON_NUMBER:
        if (!same_number(one->str, two->str, price)) {
            wrong(path, "another number");
        }

        break;

    case MG_JSON_STRING:
        if (!mg_str_eq(one->str, two->str)) {
            wrong(path, "another string");
        }

        break;

    case MG_JSON_ARRAY:
        if (strstr(path, "/modalities/") != NULL) {
            same_set(path, one, two);
            break;
        }

        if (one->count != two->count) {
            wrong(path, "another length");
            return;
        }

        for (v = one->child, w = two->child; v; v = v->next, w = w->next) {
            within(path, v, w, price);
        }

        break;

    case MG_JSON_OBJECT:
        w = two->child;

        for (v = one->child; v; v = v->next) {
            snprintf(key, sizeof(key), MG_STR_FMT, MG_STR_ARG(v->key));
            snprintf(deeper, sizeof(deeper), "%s/%s", path, key);
            w = mg_json_get(two, key);

            if (w == NULL) {
                wrong(deeper, "missing");
                continue;
            }

            within(deeper, v, w, price || strcmp(key, "cost") == 0);
        }

        break;

    default:
        break;
    }
}


static mg_json_t *
parsed(mg_arena_t *a, mg_str_t text)
{
    mg_json_t         *doc;
    mg_error_t         e;
    mg_json_limits_t   limits;

    memset(&limits, 0, sizeof(limits));
    limits.members = 4 * 1024 * 1024;
    limits.total = 64 * 1024 * 1024;

    doc = mg_json_parse(a, text, &limits, &e);

    if (doc == NULL) {
        diag("%s", e.message);
    }

    return doc;
}


static void
gunzipped(mg_str_t zipped, mg_str_t plain)
{
    int        rc;
    char      *out;
    z_stream   z;

    memset(&z, 0, sizeof(z));
    out = malloc(plain.len + 1);

    inflateInit2(&z, 15 + 16);
    z.next_in = (Bytef *) zipped.data;
    z.avail_in = (uInt) zipped.len;
    z.next_out = (Bytef *) out;
    z.avail_out = (uInt) plain.len + 1;
    rc = inflate(&z, Z_FINISH);
    inflateEnd(&z);

    is_int(rc, Z_STREAM_END, "one gzip member");
    ok(z.total_out == plain.len && memcmp(out, plain.data, plain.len) == 0,
       "gzip holds the same %zu bytes in %zu", plain.len, zipped.len);

    free(out);
}


/* -- the bundled document -- */

static char *
slurp(const char *path, size_t *len)
{
    FILE  *f;
    char  *data;

    f = fopen(path, "rb");
    if (f == NULL) {
        return NULL;
    }

    fseek(f, 0, SEEK_END);
    *len = (size_t) ftell(f);
    rewind(f);
    data = malloc(*len + 1);
    *len = fread(data, 1, *len, f);
    fclose(f);

    return data;
}


static void
document(void)
{
    void                  *d;
    char                  *data;
    size_t                 len;
    mg_str_t               plain, zipped;
    mg_snap_t              s;
    mg_json_t             *one, *two;
    mg_error_t             e;
    mg_arena_t            *a;
    mg_catalog_builder_t  *b;

    data = slurp(DOCUMENT, &len);

    if (!ok(data != NULL, "%s", DOCUMENT)) {
        return;
    }

    b = mg_catalog_builder_create(1);
    d = mg_models_dev_create(&handler, b);
    is_int(mg_models_dev_feed(d, data, len, &e), MG_OK, "read");
    is_int(mg_models_dev_finish(d, &e), MG_OK, "to its end");
    mg_models_dev_destroy(d);

    ok(n_models > 5000 && n_providers > 100, "%u models of %u providers",
       n_models, n_providers);
    is_int(n_skipped, 0, "nothing skipped");

    s = ask_build(b);
    mg_catalog_body(&s, MG_CATALOG_BODY_API_JSON, 0, &plain);
    mg_catalog_body(&s, MG_CATALOG_BODY_API_JSON, 1, &zipped);

    a = mg_arena_create(1024 * 1024 * 1024);
    one = parsed(a, mg_str_n(data, len));
    two = parsed(a, plain);

    if (ok(one && two, "both are documents")) {
        is_int(one->count, two->count, "providers");
        within("", one, two, 0);
        ok(n_values > 100000, "%u values compared", n_values);
        is_int(n_wrong, 0, "every member and value of the source is there");
    }

    gunzipped(zipped, plain);

    mg_arena_destroy(a);
    mg_catalog_builder_destroy(b);
    free(data);
}


/* -- what the document does not have -- */

static void
add(mg_catalog_builder_t *b, const char *id, const char *extra,
    mg_model_t *m)
{
    mg_error_t  e;

    m->provider_id = mg_str("p");
    m->id = mg_str_z(id);
    m->provider_model_id = mg_str_z(id + 2);
    m->name = mg_str("N");
    m->extra = extra ? mg_str_z(extra) : mg_str_null;

    is_int(mg_catalog_builder_model(b, m, &e), MG_OK, "model %s", id);
}


static void
special(void)
{
    mg_str_t               plain;
    mg_snap_t              s;
    mg_json_t             *one, *two;
    mg_error_t             e;
    mg_model_t             m;
    mg_arena_t            *a;
    mg_provider_t          p;
    mg_catalog_builder_t  *b;

    static const char  want[] =
        "{\"none\":{\"id\":\"none\",\"env\":[],\"name\":\"None\","
        "\"models\":{}},"
        "\"p\":{\"id\":\"p\",\"env\":[\"P_KEY\"],"
        "\"npm\":\"@ai-sdk/anthropic\",\"api\":\"https://p.test/v1\","
        "\"name\":\"P \\\"1\\\"\",\"logo\":\"x\",\"models\":{"
        "\"A/b:c\":{\"id\":\"A/b:c\",\"name\":\"N\"},"
        "\"d\":{\"id\":\"other\",\"name\":\"N\",\"reasoning\":false,"
        "\"limit\":{\"context\":5,\"tokens\":7},"
        "\"cost\":{\"input\":0.1,\"tiers\":[{\"input\":2}],\"batch\":1},"
        "\"modalities\":\"odd\",\"interleaved\":true}}}}";

    b = mg_catalog_builder_create(1);

    mg_provider_init(&p);
    p.id = mg_str("p");
    p.name = mg_str("P \"1\"");
    p.protocol = mg_str("anthropic");
    p.base_url = mg_str("https://p.test/v1");
    p.env = mg_str("[\"P_KEY\"]");
    p.extra = mg_str("{\"logo\":\"x\",\"id\":\"q\",\"models\":{\"a\":1}}");
    p.headers = mg_str("{\"x-secret\":\"1\"}");
    (void) mg_catalog_builder_provider(b, &p, &e);

    mg_provider_init(&p);
    p.id = mg_str("none");
    p.name = mg_str("None");
    (void) mg_catalog_builder_provider(b, &p, &e);

    mg_model_init(&m);
    add(b, "p/A/b:c", NULL, &m);
    m.active = 0;
    add(b, "p/gone", NULL, &m);

    mg_model_init(&m);
    m.caps[MG_CAP_REASONING] = 0;
    m.context = 5;
    m.price[MG_PRICE_INPUT] = 100000000;
    m.price_tiers = mg_str("[{\"input\":2}]");
    m.modalities_in = mg_str("[\"text\"]");
    add(b, "p/d", "{\"id\":\"other\",\"interleaved\":true,"
        "\"name\":\"from the source\",\"reasoning\":true,"
        "\"limit\":{\"tokens\":7,\"context\":9},\"cost\":{\"batch\":1},"
        "\"modalities\":\"odd\"}", &m);

    s = ask_build(b);
    mg_catalog_body(&s, MG_CATALOG_BODY_API_JSON, 0, &plain);

    a = mg_arena_create(0);
    one = parsed(a, mg_str_n(want, sizeof(want) - 1));
    two = parsed(a, plain);
    n_wrong = 0;

    if (ok(one && two, "both are documents")) {
        within("", one, two, 0);
        within("", two, one, 0);
        is_int(n_wrong, 0, "columns first, what waits behind, both merged");
    }

    if (n_wrong) {
        diag(MG_STR_FMT, MG_STR_ARG(plain));
    }

    mg_arena_destroy(a);
    mg_catalog_builder_destroy(b);
}


int
main(void)
{
    document();
    special();

    return done_testing();
}
