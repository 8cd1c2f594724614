/*
 * What would break: money.  Cached or reasoning tokens are paid for twice, a
 * price that nobody stated counts as nothing, or a sum is rounded twice.  The
 * golden cases are public failures of other gateways, named after where they
 * were reported, each from the usage object as it came to the cost.
 */

#include <stdio.h>

#include "base/mg_error.h"
#include "model/mg_cost.h"
#include "tap.h"


#define NO       MG_TOKENS_UNKNOWN
#define UN       MG_UNKNOWN

/* USD per million tokens, in thousandths, as femto-USD per token */
#define M(usd)   ((int64_t) (usd) * 1000000)

/* input, output, cache read and write, reasoning, audio in and out, 1 hour */
#define PRICES(...)   { __VA_ARGS__ }


typedef struct {
    const char        *what;
    const char        *usage;
    int64_t            price[MG_COST_PRICES];
    int64_t            nano;
    int64_t            wrong;      /* what was billed; -1: none known */
} golden_t;


static const golden_t  golden[] = {

    { "litellm #6215: cached tokens are part of the prompt",
      "{\"prompt_tokens\":2006,\"completion_tokens\":300,"
      "\"total_tokens\":2306,\"prompt_tokens_details\":{"
      "\"cached_tokens\":1920},\"completion_tokens_details\":{"
      "\"reasoning_tokens\":0}}",
      PRICES(M(2500), M(10000), M(1250), UN, UN, UN, UN, UN),
      5615000, 10415000 },

    { "litellm #9812: writes to the cache are no prompt as well",
      "{\"input_tokens\":3,\"cache_creation_input_tokens\":12304,"
      "\"cache_read_input_tokens\":0,\"output_tokens\":550}",
      PRICES(M(3000), M(15000), M(300), M(3750), UN, UN, UN, UN),
      54399000, 91311000 },

    { "litellm #11364: reads and writes within one prompt",
      "{\"total_tokens\":103925,\"prompt_tokens\":98805,"
      "\"completion_tokens\":5120,\"prompt_tokens_details\":{"
      "\"text_tokens\":null,\"cached_tokens\":66360,"
      "\"cache_creation_tokens\":32435},\"cache_read_input_tokens\":66360,"
      "\"completion_tokens_details\":{\"reasoning_tokens\":1710},"
      "\"cache_creation_input_tokens\":32435}",
      PRICES(M(5000), M(25000), M(500), M(6250), UN, UN, UN, UN),
      363948750, 47080000 },

    { "litellm #11789: a read that a stream names in one of two places",
      "{\"total_tokens\":2482,\"prompt_tokens\":2459,"
      "\"completion_tokens\":23,\"prompt_tokens_details\":{"
      "\"audio_tokens\":null,\"cached_tokens\":0},"
      "\"cache_read_input_tokens\":2455,\"completion_tokens_details\":{"
      "\"reasoning_tokens\":0},\"cache_creation_input_tokens\":0}",
      PRICES(M(800), M(4000), M(80), M(1000), UN, UN, UN, UN),
      291600, 2059200 },

    { "litellm #14849: 0.185 USD, not 0.764",
      "{\"total_tokens\":264704,\"prompt_tokens\":262960,"
      "\"completion_tokens\":1744,\"prompt_tokens_details\":{"
      "\"text_tokens\":262960,\"cached_tokens\":257955},"
      "\"completion_tokens_details\":{\"reasoning_tokens\":0}}",
      PRICES(M(1250), M(10000), M(625), UN, UN, UN, UN, UN),
      184918125, 764200000 },

    { "litellm #14849, as Google itself says it",
      "{\"promptTokenCount\":262960,\"candidatesTokenCount\":1744,"
      "\"cachedContentTokenCount\":257955,\"totalTokenCount\":264704}",
      PRICES(M(1250), M(10000), M(625), UN, UN, UN, UN, UN),
      184918125, 764200000 },

    { "litellm #14874: text_tokens is no class beside the cached ones",
      "{\"prompt_tokens\":2739,\"completion_tokens\":5,"
      "\"total_tokens\":2744,\"prompt_tokens_details\":{"
      "\"text_tokens\":2739,\"cached_tokens\":2634}}",
      PRICES(100000, 10000, 3000000000000, UN, UN, UN, UN, UN),
      7902000011, 7902000000 },

    { "litellm #14874: the same with a dear prompt",
      "{\"prompt_tokens\":2693,\"completion_tokens\":5,"
      "\"total_tokens\":2698,\"prompt_tokens_details\":{"
      "\"text_tokens\":2693,\"cached_tokens\":2585}}",
      PRICES(200000000000, 10000, 10000, UN, UN, UN, UN, UN),
      21600026, 7902000000 },

    { "litellm #18599, llmgateway #3435: reasoning is part of the output",
      "{\"prompt_tokens\":51,\"completion_tokens\":136,"
      "\"total_tokens\":187,\"completion_tokens_details\":{"
      "\"reasoning_tokens\":31,\"text_tokens\":136}}",
      PRICES(M(3000), M(15000), UN, UN, M(15000), UN, UN, UN),
      2193000, 2658000 },

    { "opencode #17566: reasoning is part of the output, in responses too",
      "{\"input_tokens\":14746,\"input_tokens_details\":{"
      "\"cached_tokens\":0},\"output_tokens\":1944,"
      "\"output_tokens_details\":{\"reasoning_tokens\":1360},"
      "\"total_tokens\":16690}",
      PRICES(M(30000), M(180000), UN, UN, UN, UN, UN, UN),
      792300000, 1037100000 },

    { "litellm #31714: all but one token of a prompt came from the cache",
      "{\"prompt_tokens\":27147,\"completion_tokens\":351,"
      "\"total_tokens\":27498,\"prompt_tokens_details\":{"
      "\"cached_tokens\":27146}}",
      PRICES(M(1400), M(4400), M(260), UN, UN, UN, UN, UN),
      8603760, 39550200 },

    { "litellm #37407: what xAI billed, in ticks of its own",
      "{\"input_tokens\":2461,\"input_tokens_details\":{"
      "\"audio_tokens\":null,\"cached_tokens\":2432,"
      "\"text_tokens\":null},\"output_tokens\":606,"
      "\"cost_in_usd_ticks\":49100000}",
      PRICES(M(2000), M(6000), M(500), UN, UN, UN, UN, UN),
      4910000, -1 },

    { "what OpenRouter billed: a cost of 0.000784 beside the usage",
      "{\"prompt_tokens\":579,\"completion_tokens\":41,"
      "\"total_tokens\":620,\"cost\":0.000784,\"is_byok\":false,"
      "\"prompt_tokens_details\":{\"cached_tokens\":0,"
      "\"cache_write_tokens\":0,\"audio_tokens\":0,\"video_tokens\":0},"
      "\"completion_tokens_details\":{\"reasoning_tokens\":0,"
      "\"image_tokens\":0,\"audio_tokens\":0}}",
      PRICES(M(1000), M(5000), M(100), M(1250), UN, UN, UN, UN),
      784000, -1 },

    { "litellm #37992: an explicit 0 is a figure, no gap to fill",
      "{\"prompt_tokens\":1200,\"completion_tokens\":0,"
      "\"total_tokens\":1200}",
      PRICES(M(2500), M(10000), UN, UN, UN, UN, UN, UN),
      3000000, -1 },

    { "litellm #37992: so is a price of 0",
      "{\"prompt_tokens\":1200,\"completion_tokens\":34,"
      "\"total_tokens\":1234}",
      PRICES(0, 0, UN, UN, UN, UN, UN, UN),
      0, 3340000 },

    { "litellm #35290: the usage that was asked for on the client's behalf",
      "{\"prompt_tokens\":19,\"completion_tokens\":10,"
      "\"total_tokens\":29,\"prompt_tokens_details\":{\"cached_tokens\":0,"
      "\"audio_tokens\":0},\"completion_tokens_details\":{"
      "\"reasoning_tokens\":0,\"audio_tokens\":0,"
      "\"accepted_prediction_tokens\":0,"
      "\"rejected_prediction_tokens\":0}}",
      PRICES(M(150), M(600), M(75), UN, UN, UN, UN, UN),
      8850, 0 },

    { "ai-gateway #281: Cohere's stream has a cost, of what is billed",
      "{\"billed_units\":{\"input_tokens\":68,\"output_tokens\":8},"
      "\"tokens\":{\"input_tokens\":1591,\"output_tokens\":38},"
      "\"cached_tokens\":992}",
      PRICES(M(2500), M(10000), UN, UN, UN, UN, UN, UN),
      250000, 0 },

    { "ai-gateway #281: so has Google's, with its thoughts",
      "{\"promptTokenCount\":323,\"candidatesTokenCount\":21,"
      "\"thoughtsTokenCount\":74,\"totalTokenCount\":418}",
      PRICES(M(300), M(2500), UN, UN, UN, UN, UN, UN),
      334400, 0 },

    { "reasoning at a price of its own",
      "{\"prompt_tokens\":10,\"completion_tokens\":100,"
      "\"total_tokens\":110,\"completion_tokens_details\":{"
      "\"reasoning_tokens\":60}}",
      PRICES(M(2000), M(8000), UN, UN, M(3000), UN, UN, UN),
      520000, -1 },

    { "writes to the cache for 5 minutes and for 1 hour",
      "{\"input_tokens\":3,\"cache_read_input_tokens\":0,"
      "\"cache_creation_input_tokens\":5000,\"cache_creation\":{"
      "\"ephemeral_5m_input_tokens\":1000,"
      "\"ephemeral_1h_input_tokens\":4000},\"output_tokens\":1}",
      PRICES(M(3000), M(15000), M(300), M(3750), UN, UN, UN, M(6000)),
      27774000, -1 },

    { "sound in both directions",
      "{\"prompt_tokens\":100,\"completion_tokens\":50,"
      "\"total_tokens\":150,\"prompt_tokens_details\":{"
      "\"audio_tokens\":60,\"cached_tokens\":10},"
      "\"completion_tokens_details\":{\"audio_tokens\":45,"
      "\"reasoning_tokens\":0}}",
      PRICES(M(2500), M(10000), M(1250), UN, UN, M(40000), M(80000), UN),
      6137500, -1 },

    { "input of tools is read like a prompt",
      "{\"promptTokenCount\":32,\"candidatesTokenCount\":25,"
      "\"totalTokenCount\":4704,\"toolUsePromptTokenCount\":4610,"
      "\"thoughtsTokenCount\":37}",
      PRICES(M(300), M(2500), UN, UN, UN, UN, UN, UN),
      1547600, -1 },

    { "Azure's xAI models: cached tokens beside the prompt",
      "{\"prompt_tokens\":249,\"completion_tokens\":40,"
      "\"total_tokens\":289,\"prompt_tokens_details\":{"
      "\"cached_tokens\":416}}",
      PRICES(M(200), M(500), M(50), UN, UN, UN, UN, UN),
      90600, -1 },

    { "half a nano-USD is rounded up, once",
      "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}",
      PRICES(250000, 250000, UN, UN, UN, UN, UN, UN),
      1, -1 },

    { "less than half is nothing",
      "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}",
      PRICES(250000, 249999, UN, UN, UN, UN, UN, UN),
      0, -1 }
};


static void
test_golden(void)
{
    unsigned           i;
    mg_cost_t          c;
    mg_usage_t         u;
    const golden_t    *g;
    mg_cost_prices_t   p;

    for (i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        g = &golden[i];

        mg_usage_clear(&u);
        is_int(mg_usage_object(&u, mg_str_z(g->usage)), MG_OK, "%s: usage",
               g->what);

        mg_cost_prices_init(&p);
        memcpy(p.price, g->price, sizeof(p.price));

        is_int(mg_cost_count(&p, &u, &c), g->nano, "%s: nano-USD", g->what);
        is_int(c.reason, MG_COST_KNOWN, "%s: known", g->what);

        if (g->wrong != -1) {
            ok(c.nano != g->wrong, "%s: not what was billed", g->what);
        }
    }
}


/* -- unknown is not zero -- */

typedef struct {
    const char        *what;
    const char        *usage;
    int64_t            price[MG_COST_PRICES];
    mg_cost_reason_e   reason;
    mg_cost_class_e    at;
    const char        *text;
} unknown_t;


static const unknown_t  unknowns[] = {

    { "no usage", "{}",
      PRICES(1, 1, 1, 1, 1, 1, 1, 1), MG_COST_NO_USAGE, MG_COST_INPUT,
      "the answer states no usage" },

    { "no price at all", "{\"prompt_tokens\":5,\"completion_tokens\":5}",
      PRICES(UN, UN, UN, UN, UN, UN, UN, UN), MG_COST_NO_PRICE,
      MG_COST_INPUT, "5 tokens of \"input\" have no price" },

    { "cached tokens without a price",
      "{\"prompt_tokens\":5,\"completion_tokens\":5,"
      "\"prompt_tokens_details\":{\"cached_tokens\":2}}",
      PRICES(M(1), M(1), UN, UN, UN, UN, UN, UN), MG_COST_NO_PRICE,
      MG_COST_CACHE_READ, "2 tokens of \"cache_read\" have no price" },

    { "an hour in the cache is not at the price of five minutes",
      "{\"input_tokens\":3,\"cache_creation_input_tokens\":4803,"
      "\"cache_creation\":{\"ephemeral_1h_input_tokens\":4803},"
      "\"output_tokens\":1}",
      PRICES(M(1), M(1), M(1), M(1), UN, UN, UN, UN), MG_COST_NO_PRICE,
      MG_COST_CACHE_WRITE_1H,
      "4803 tokens of \"cache_write_1h\" have no price" },

    { "sound without a price",
      "{\"prompt_tokens\":5,\"completion_tokens\":5,"
      "\"completion_tokens_details\":{\"audio_tokens\":4}}",
      PRICES(M(1), M(1), UN, UN, UN, UN, UN, UN), MG_COST_NO_PRICE,
      MG_COST_OUTPUT_AUDIO, "4 tokens of \"output_audio\" have no price" },

    { "output that was not stated", "{\"prompt_tokens\":5}",
      PRICES(M(1), M(1), UN, UN, UN, UN, UN, UN), MG_COST_NO_COUNT,
      MG_COST_OUTPUT, "the answer states no tokens of \"output\"" },

    { "input that was not stated", "{\"completion_tokens\":5}",
      PRICES(M(1), M(1), UN, UN, UN, UN, UN, UN), MG_COST_NO_COUNT,
      MG_COST_INPUT, "the answer states no tokens of \"input\"" },

    { "more than int64_t holds",
      "{\"prompt_tokens\":999999999999999,\"completion_tokens\":0}",
      PRICES(INT64_MAX, 0, UN, UN, UN, UN, UN, UN), MG_COST_TOO_LARGE,
      MG_COST_INPUT, "the sum is beyond what nano-USD can hold" }
};


static void
test_unknown(void)
{
    char               text[MG_COST_TEXT_MAX];
    unsigned           i;
    mg_cost_t          c;
    mg_usage_t         u;
    mg_cost_prices_t   p;
    const unknown_t   *n;

    for (i = 0; i < sizeof(unknowns) / sizeof(unknowns[0]); i++) {
        n = &unknowns[i];

        mg_usage_clear(&u);
        (void) mg_usage_object(&u, mg_str_z(n->usage));

        mg_cost_prices_init(&p);
        memcpy(p.price, n->price, sizeof(p.price));

        is_int(mg_cost_count(&p, &u, &c), MG_COST_UNKNOWN, "%s: unknown",
               n->what);
        is_int(c.reason, n->reason, "%s: reason", n->what);
        is_int(c.at, n->at, "%s: class", n->what);
        is_int(mg_cost_explain(&c, text), strlen(n->text), "%s: length",
               n->what);
        is_str(text, n->text, "%s: text", n->what);
    }

    /* what costs nothing need not be counted */

    mg_usage_clear(&u);
    (void) mg_usage_object(&u, mg_str("{\"prompt_tokens\":8}"));
    mg_cost_prices_init(&p);
    p.price[MG_PRICE_INPUT] = M(100);
    p.price[MG_PRICE_OUTPUT] = 0;

    is_int(mg_cost_count(&p, &u, &c), 800, "an embedding: output is free");
    is_int(mg_cost_explain(&c, text), 0, "nothing to explain");
    is_str(text, "", "no text");

    /* a class without tokens needs no price */

    (void) mg_usage_object(&u, mg_str("{\"prompt_tokens\":0,"
                                      "\"completion_tokens\":0,"
                                      "\"prompt_tokens_details\":{"
                                      "\"cached_tokens\":0}}"));
    mg_cost_prices_init(&p);
    is_int(mg_cost_count(&p, &u, &c), 0, "no tokens, no price, no cost");
}


/* -- tiers -- */

static void
test_tiers(void)
{
    mg_cost_t          c;
    mg_error_t         e;
    mg_model_t         m;
    mg_usage_t         u;
    mg_arena_t        *a;
    mg_cost_prices_t   p;

    a = mg_arena_create(0);
    mg_model_init(&m);

    m.price[MG_PRICE_INPUT] = M(1250);
    m.price[MG_PRICE_OUTPUT] = M(10000);
    m.price[MG_PRICE_CACHE_READ] = M(310);
    m.price_tiers = mg_str(
        "[{\"tier\":{\"type\":\"context\",\"size\":1000000},\"input\":5,"
        "\"output\":30,\"cache_read\":null},"
        "{\"tier\":{\"type\":\"context\",\"size\":200000},\"input\":2.5,"
        "\"output\":15,\"cache_read\":0.25}]");

    is_int(mg_cost_prices_model(&p, &m, a, &e), MG_OK, "prices of a model");
    is_int(p.tiers_n, 2, "two tiers");
    is_int(p.tiers[0].size, 200000, "the smaller one first");
    is_int(p.tiers[0].price[MG_PRICE_CACHE_READ], M(250), "a tier's price");
    is_int(p.tiers[0].price[MG_PRICE_CACHE_WRITE], UN, "none is invented");

    mg_usage_clear(&u);
    u.output = 10;

    u.input = u.input_uncached = 200000;
    is_int(mg_cost_count(&p, &u, &c), 250100000, "at the size: the base");

    u.input = u.input_uncached = 200001;
    is_int(mg_cost_count(&p, &u, &c), 500152500,
           "above the size: all of it at the tier's price, output too");

    u.input_uncached = 1;
    u.cache_read = 200000;
    is_int(mg_cost_count(&p, &u, &c), 50152500, "cached tokens count for it");

    u.input = 1000001;
    u.input_uncached = 1000001;
    u.cache_read = 0;
    is_int(mg_cost_count(&p, &u, &c), 5000305000, "the largest that holds");

    u.input_uncached = 1000000;
    u.cache_read = 1;
    is_int(mg_cost_count(&p, &u, &c), MG_COST_UNKNOWN,
           "a tier is a list of its own");
    is_int(c.at, MG_COST_CACHE_READ, "that has no price for it");

    u.input = NO;
    is_int(mg_cost_count(&p, &u, &c), MG_COST_UNKNOWN, "no size, no tier");
    is_int(c.reason, MG_COST_NO_SIZE, "and that is why");

    m.price_tiers = mg_str("[{\"tier\":{\"type\":\"hour\",\"size\":8},"
                           "\"input\":1}]");
    is_int(mg_cost_prices_model(&p, &m, a, &e), MG_ERROR,
           "a tier of an unknown type");
    ok(strstr(e.message, "\"hour\"") != NULL, "it is named: %s", e.message);
    is_int(p.price[MG_PRICE_INPUT], UN, "then no price is sure to hold");

    m.price_tiers = mg_str("[{\"tier\":{\"type\":\"context\",\"size\":1},"
                           "\"input\":\"free\"}]");
    is_int(mg_cost_prices_model(&p, &m, a, &e), MG_ERROR, "no price");

    m.price_tiers = mg_str(
        "[{\"tier\":{\"type\":\"context\",\"size\":1}},"
        "{\"tier\":{\"type\":\"context\",\"size\":2}},"
        "{\"tier\":{\"type\":\"context\",\"size\":3}},"
        "{\"tier\":{\"type\":\"context\",\"size\":4}},"
        "{\"tier\":{\"type\":\"context\",\"size\":5}}]");
    is_int(mg_cost_prices_model(&p, &m, a, &e), MG_ERROR, "too many tiers");

    m.price_tiers = mg_str("[{");
    is_int(mg_cost_prices_model(&p, &m, a, &e), MG_ERROR, "no JSON");

    m.price_tiers = mg_str_null;
    is_int(mg_cost_prices_model(&p, &m, a, &e), MG_OK, "no tiers");
    is_int(p.tiers_n, 0, "none");
    is_int(p.price[MG_PRICE_OUTPUT], M(10000), "the prices are there");

    mg_arena_destroy(a);
}


/* -- properties -- */

static uint64_t  seed = 88172645463325252;


static int64_t
draw(int64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return (int64_t) (seed % (uint64_t) below);
}


/* A usage as the reader may leave it: known or not, parts within wholes. */

static void
draw_usage(mg_usage_t *u)
{
    mg_usage_clear(u);

    u->input_uncached = draw(1000000);
    u->cache_read = draw(2) ? draw(1000000) : NO;
    u->audio_in = draw(3) ? NO : draw(1000);
    u->tool_input = draw(3) ? NO : draw(1000);
    u->output = draw(100000);
    u->reasoning = draw(2) ? draw(u->output + 1) : NO;
    u->audio_out = draw(3) ? NO : draw(u->output + 1);
    u->cache_write = draw(2) ? draw(1000000) : NO;

    if (u->cache_write > 0 && draw(2)) {
        u->cache_write_1h = draw(u->cache_write + 1);
        u->cache_write_5m = u->cache_write - u->cache_write_1h;
    }

    u->input = u->input_uncached;
    u->input += u->cache_read > 0 ? u->cache_read : 0;
    u->input += u->cache_write > 0 ? u->cache_write : 0;
    u->input += u->audio_in > 0 ? u->audio_in : 0;
    u->input += u->tool_input > 0 ? u->tool_input : 0;
}


/* Each token is in one class; prices of whole nano-USD need no rounding. */

static void
test_additive(void)
{
    int64_t           tokens[MG_COST_N], sum, alone;
    unsigned          i, n, twice, off, negative;
    mg_cost_t         c;
    mg_usage_t        u;
    mg_cost_prices_t  p, one;

    for (n = 0, twice = 0, off = 0, negative = 0; n < 20000; n++) {
        draw_usage(&u);
        mg_cost_classes(&u, tokens);

        for (i = 0, sum = 0; i < MG_COST_N; i++) {
            sum += tokens[i] > 0 ? tokens[i] : 0;
        }

        twice += (sum != u.input + u.output);

        mg_cost_prices_init(&p);

        for (i = 0; i < MG_COST_PRICES; i++) {
            p.price[i] = draw(100) * 1000000;
        }

        (void) mg_cost_count(&p, &u, &c);
        negative += (c.nano < 0);

        for (i = 0, alone = 0; i < MG_COST_PRICES; i++) {
            memset(&one, 0, sizeof(one));
            one.price[i] = p.price[i];
            alone += mg_cost_count(&one, &u, &c);
        }

        off += (mg_cost_count(&p, &u, &c) != alone);
    }

    is_int(twice, 0, "each token is in one class");
    is_int(off, 0, "the cost is the sum of the costs of its classes");
    is_int(negative, 0, "no cost is negative");
}


/* Figures that no provider sends: the sum is right, or unknown. */

static void
test_guarded(void)
{
    unsigned           i, n, bad, known;
    mg_cost_t          c;
    mg_usage_t         u;
    int64_t           *figures;
    mg_cost_prices_t   p;

    figures = &u.input;

    for (n = 0, bad = 0, known = 0; n < 20000; n++) {
        mg_usage_clear(&u);
        mg_cost_prices_init(&p);

        for (i = 0; i < 11; i++) {
            figures[i] = draw(INT64_MAX) >> draw(63);
            figures[i] = draw(8) ? figures[i] : -figures[i];
        }

        for (i = 0; i < MG_COST_PRICES; i++) {
            p.price[i] = draw(INT64_MAX) >> draw(63);
            p.price[i] = draw(16) ? p.price[i] : -p.price[i];
        }

        (void) mg_cost_count(&p, &u, &c);

        bad += (c.nano < 0) != (c.reason != MG_COST_KNOWN);
        known += (c.reason == MG_COST_KNOWN);
    }

    is_int(bad, 0, "a cost is known, or there is a reason why not");
    ok(known > 0 && known < n, "%u of %u are known", known, n);

    mg_usage_clear(&u);
    mg_cost_prices_init(&p);

    for (i = 0; i < 11; i++) {
        figures[i] = INT64_MAX;
    }

    for (i = 0; i < MG_COST_PRICES; i++) {
        p.price[i] = INT64_MAX;
    }

    is_int(mg_cost_count(&p, &u, &c), MG_COST_UNKNOWN, "everything at once");
    is_int(c.reason, MG_COST_TOO_LARGE, "is too large");
}


int
main(void)
{
    test_golden();
    test_unknown();
    test_tiers();
    test_additive();
    test_guarded();

    return done_testing();
}
