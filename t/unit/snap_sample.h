/*
 * Small snapshots for tests: a catalog of a few models with everything that
 * is special in real ones (unknown numbers, slashes and capitals in ids, a
 * provider whose name begins another's, an inactive model), and a routing
 * file of two groups, two backends and two tokens.
 */

#ifndef SNAP_SAMPLE_H
#define SNAP_SAMPLE_H

#include <stdio.h>
#include <stdlib.h>

#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_routing.h"


#define SAMPLE_UNUSED    __attribute__((unused))

#define SAMPLE_GROUP_ID  "018f0000-0000-7000-8000-000000000001"
#define SAMPLE_TOKEN_ID  "018f0000-0000-7000-8000-0000000000aa"
#define SAMPLE_ORG_2     "00000000-0000-0000-0000-000000000002"


typedef struct {
    const char       *provider;
    const char       *model;
    const char       *name;
    const char       *family;
    mg_model_type_e   type;
    int               vision;
    int               active;
} sample_model_t;


static const sample_model_t  sample_models[] = {
    { "ab", "zeta", "Zeta One", "zeta", MG_TYPE_CHAT, 1, 1 },
    { "ab", "Alpha/Big:1@x~y", "Alpha BIG", "alpha", MG_TYPE_CHAT, 0, 1 },
    { "ab", "gone", "Gone", NULL, MG_TYPE_CHAT, 1, 0 },
    { "ab-c", "one", "One\tTab", NULL, MG_TYPE_EMBEDDING, -1, 1 },
    { "ab.c", "two", "Two \"quoted\"", NULL, MG_TYPE_IMAGE, -1, 1 },
    { "ab0", "three", "Three", "zeta", MG_TYPE_CHAT, 1, 1 },
    { NULL, NULL, NULL, NULL, 0, 0, 0 }
};


static SAMPLE_UNUSED void
sample_model(mg_model_t *m, const sample_model_t *from, char *id, size_t size)
{
    snprintf(id, size, "%s/%s", from->provider, from->model);

    mg_model_init(m);
    m->id = mg_str_z(id);
    m->provider_id = mg_str_z(from->provider);
    m->provider_model_id = mg_str_z(from->model);
    m->name = mg_str_z(from->name);
    m->family = mg_str_z(from->family);
    m->type = from->type;
    m->active = (int8_t) from->active;
    m->caps[MG_CAP_VISION] = (int8_t) from->vision;
    m->source = mg_str("models.dev");
    m->price[MG_PRICE_INPUT] = 1100000000;
    m->price[MG_PRICE_OUTPUT] = 0;
    m->context = 128000;
    m->created_at = 1700000000000000LL;

    if (from == &sample_models[0]) {
        m->description = mg_str("The \"last\" letter");
        m->version = mg_str("1.2");
        m->deprecation_date = mg_str("2027-01-31");
        m->benchmark_score = 81250;
        m->popularity_score = 100000;
        m->reliability_score = 0;
        m->price_tiers = mg_str("[{\"input\":2}]");
        m->source_model_id = mg_str("zeta-latest");
        m->sources = mg_str("{\"models.dev\":{\"id\":\"ab/zeta\"}}");
        m->provenance = mg_str("{\"name\":\"manual\"}");
        m->extra = mg_str("{\"interleaved\":true}");
        m->modalities_in = mg_str("[\"text\",\"image\"]");
        m->release_date = mg_str("2024-07");
    }
}


/* Two of one model, the older one first, and one of a model that is not. */

static SAMPLE_UNUSED void
sample_benchmarks(mg_catalog_builder_t *b)
{
    mg_error_t      e;
    mg_benchmark_t  r;

    memset(&r, 0, sizeof(mg_benchmark_t));
    r.model_id = mg_str("ab/zeta");
    r.name = mg_str("MMLU-Pro");
    r.score = mg_str("81.25");
    r.metric = mg_str("accuracy");
    r.date = mg_str("2024-01-01");
    r.source = mg_str("models.dev");

    if (mg_catalog_builder_benchmark(b, &r, &e) != MG_OK) {
        abort();
    }

    r.score = mg_str("n/a");
    r.date = mg_str("2025-01-01");
    r.variant = mg_str("5 \"shot\"");

    if (mg_catalog_builder_benchmark(b, &r, &e) != MG_OK) {
        abort();
    }

    r.model_id = mg_str("nobody/x");

    if (mg_catalog_builder_benchmark(b, &r, &e) != MG_OK) {
        abort();
    }
}


/* The image is malloc()ed. */

static SAMPLE_UNUSED mg_str_t
sample_catalog(uint64_t generation)
{
    char                   id[128], *copy;
    mg_str_t               image;
    mg_error_t             e;
    mg_model_t             m;
    mg_provider_t          p;
    const sample_model_t  *from;
    mg_catalog_builder_t  *b;

    static const char  *providers[] = { "ab0", "ab", "ab.c", "ab-c", "none" };

    b = mg_catalog_builder_create(generation);
    sample_benchmarks(b);

    for (from = sample_models; from->provider != NULL; from++) {
        sample_model(&m, from, id, sizeof(id));

        if (mg_catalog_builder_model(b, &m, &e) != MG_OK) {
            abort();
        }
    }

    for (unsigned i = 0; i < 5; i++) {
        mg_provider_init(&p);
        p.id = mg_str_z(providers[i]);
        p.name = p.id;
        p.key_sealed = mg_str("sealed-secret");
        p.key_hint = i == 0 ? mg_str("wxyz") : mg_str_null;

        if (mg_catalog_builder_provider(b, &p, &e) != MG_OK) {
            abort();
        }
    }

    if (mg_catalog_builder_finish(b, &image, &e) != MG_OK) {
        abort();
    }

    copy = malloc(image.len);
    memcpy(copy, image.data, image.len);
    image.data = copy;

    mg_catalog_builder_destroy(b);

    return image;
}


static SAMPLE_UNUSED void
sample_group(mg_group_t *g)
{
    memset(g, 0, sizeof(mg_group_t));

    g->id = mg_str(SAMPLE_GROUP_ID);
    g->org_id = mg_str(MG_ORG_DEFAULT);
    g->name = mg_str("assistant");
    g->status = MG_GROUP_ACTIVE;
    g->strategy = MG_STRATEGY_CANARY;
    g->inference_table = mg_str("inference_assistant");
    g->traffic_config = mg_str("{\"shadow\": {\"percentage\": 12.5}, "
                               "\"records\": {\"response_body\": true, "
                               "\"max_bytes\": 99, \"redact\": [\"user\", "
                               "\"e\"]}}");
    g->created_at = 1700000000123456LL;
    memset(g->salt, 7, sizeof(g->salt));

    g->n_members = 3;
    g->members[0].model_id = mg_str("ours/small");
    g->members[0].role = MG_MEMBER_CHAMPION;
    g->members[0].share = 9000;
    g->members[1].model_id = mg_str("theirs/org/Large:2");
    g->members[1].role = MG_MEMBER_CHALLENGER;
    g->members[1].share = 1000;
    g->members[2].model_id = mg_str("nobody/x");
    g->members[2].role = MG_MEMBER_FALLBACK;

    g->n_ranges = 2;
    g->ranges[0] = (mg_split_range_t) { 0, 999, 1 };
    g->ranges[1] = (mg_split_range_t) { 1000, 9999, 0 };
}


static SAMPLE_UNUSED mg_str_t
sample_routing(uint64_t generation)
{
    char                  *copy;
    unsigned               unresolved;
    mg_str_t               image;
    mg_error_t             e;
    mg_group_t             g;
    mg_token_t             t;
    mg_provider_t          p;
    mg_cost_prices_t       prices;
    mg_routing_builder_t  *b;

    b = mg_routing_builder_create(generation);
    unresolved = 0;

    mg_provider_init(&p);
    p.id = mg_str("theirs");
    p.org_id = mg_str(MG_ORG_DEFAULT);
    p.protocol = mg_str("openai");
    p.base_url = mg_str("https://[::1]:8443/v1/");
    p.key_sealed = mg_str("\1sealed");
    p.paths = mg_str("{\"/v1/\": \"/a/{model}/{rest}\", \"bad\": "
                     "\"/b\"}");
    p.probe = mg_str("/health");
    p.headers = mg_str("{\"X-Team\":\"a: b\",\"Host\":\"evil\","
                       "\"X-Number\":7,\"X-Line\":\"1\\nX-Evil: 2\","
                       "\"X-Empty\":\"\"}");
    p.read_timeout_ms = 60000;

    if (mg_routing_builder_provider(b, &p, &unresolved, &e) != MG_OK) {
        abort();
    }

    mg_provider_init(&p);
    p.id = mg_str("ours");
    p.org_id = mg_str(MG_ORG_DEFAULT);
    p.base_url = mg_str("http://127.0.0.1:8081");

    if (mg_routing_builder_provider(b, &p, &unresolved, &e) != MG_OK) {
        abort();
    }

    sample_group(&g);

    mg_cost_prices_init(&prices);
    prices.price[MG_PRICE_OUTPUT] = 7;
    prices.tiers_n = 1;
    prices.tiers[0].size = 200000;

    if (mg_routing_builder_prices(b, g.org_id, g.members[0].model_id, &prices,
                                  &e)
        != MG_OK
        || mg_routing_builder_group(b, &g, &e) != MG_OK)
    {
        abort();
    }

    g.org_id = mg_str(SAMPLE_ORG_2);
    g.status = MG_GROUP_PAUSED;
    g.traffic_config = mg_str_null;
    g.n_members = 0;
    g.n_ranges = 0;

    if (mg_routing_builder_group(b, &g, &e) != MG_OK) {
        abort();
    }

    memset(&t, 0, sizeof(mg_token_t));
    t.id = mg_str(SAMPLE_TOKEN_ID);
    t.org_id = mg_str(MG_ORG_DEFAULT);
    t.role = MG_ROLE_OPERATOR;
    memset(t.sha256, 0xab, 32);

    if (mg_routing_builder_token(b, &t, &e) != MG_OK) {
        abort();
    }

    t.role = MG_ROLE_INFERENCE;
    t.sha256[31] = 0xac;
    t.expires_at = 1800000000000000LL;

    if (mg_routing_builder_token(b, &t, &e) != MG_OK) {
        abort();
    }

    if (mg_routing_builder_finish(b, &image, &e) != MG_OK) {
        abort();
    }

    copy = malloc(image.len);
    memcpy(copy, image.data, image.len);
    image.data = copy;

    mg_routing_builder_destroy(b);

    return image;
}


/* -- a folder of its own, and damage -- */

static SAMPLE_UNUSED int
sample_refuses_all_flips(mg_str_t image, unsigned kind, size_t *at)
{
    char        *copy;
    size_t       i;
    mg_error_t   e;

    copy = malloc(image.len);
    memcpy(copy, image.data, image.len);

    for (i = 0; i < image.len; i++) {
        copy[i] = (char) (copy[i] ^ (1 << (i % 8)));

        if (mg_snap_verify(mg_str_n(copy, image.len), kind, &e) == MG_OK) {
            break;
        }

        copy[i] = image.data[i];
    }

    *at = i;
    free(copy);

    return i == image.len;
}


/* Each length gets memory of just its size, so that a read behind it shows. */

static SAMPLE_UNUSED int
sample_refuses_all_cuts(mg_str_t image, unsigned kind, size_t *at)
{
    char        *copy;
    size_t       i;
    mg_error_t   e;

    for (i = 0; i < image.len; i++) {
        copy = malloc(i ? i : 1);
        memcpy(copy, image.data, i);

        if (mg_snap_verify(mg_str_n(copy, i), kind, &e) == MG_OK) {
            free(copy);
            break;
        }

        free(copy);
    }

    *at = i;

    return i == image.len;
}


#endif /* SNAP_SAMPLE_H */
