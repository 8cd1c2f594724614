/*
 * mg_cost.c: what an inference cost.
 *
 * One table says which price a class has, and which one stands in for it
 * where the provider has none of its own.  Sums are unsigned 128-bit
 * integers: tokens and prices are below 2^63 each, so one product always
 * fits, and the sum is checked.
 *
 * Pure functions; write only what the caller hands in.
 */

#include "model/mg_cost.h"

#include "base/mg_decimal.h"

#include <stdio.h>


#define MG_COST_TIER_SHIFT   9             /* USD per million -> femto-USD */
#define MG_COST_FEMTO        1000000       /* in a nano-USD */


typedef unsigned __int128  mg_cost_sum_t;


typedef struct {
    uint8_t           price;
    uint8_t           fallback;      /* the same: none */
    uint8_t           needed;        /* not stated is not zero */
} mg_cost_rule_t;


static void mg_cost_clear(int64_t price[MG_COST_PRICES]);
static int mg_cost_tier(mg_cost_prices_t *p, const mg_json_t *v,
    mg_error_t *e);
static int mg_cost_tier_prices(mg_cost_tier_t *tier, const mg_json_t *v,
    mg_error_t *e);
static int64_t mg_cost_part(int64_t part, int64_t *rest);
static const int64_t *mg_cost_list(const mg_cost_prices_t *p,
    const mg_usage_t *u);
static mg_cost_reason_e mg_cost_add(const int64_t *price, int64_t tokens,
    const mg_cost_rule_t *rule, mg_cost_sum_t *sum);


static const mg_cost_rule_t  mg_cost_rules[MG_COST_N] = {
    [MG_COST_INPUT] =
        { MG_PRICE_INPUT, MG_PRICE_INPUT, 1 },
    [MG_COST_CACHE_READ] =
        { MG_PRICE_CACHE_READ, MG_PRICE_CACHE_READ, 0 },
    [MG_COST_CACHE_WRITE] =
        { MG_PRICE_CACHE_WRITE, MG_PRICE_CACHE_WRITE, 0 },
    [MG_COST_CACHE_WRITE_1H] =
        { MG_COST_PRICE_WRITE_1H, MG_COST_PRICE_WRITE_1H, 0 },
    [MG_COST_INPUT_AUDIO] =
        { MG_PRICE_INPUT_AUDIO, MG_PRICE_INPUT_AUDIO, 0 },
    [MG_COST_TOOL_INPUT] =
        { MG_PRICE_INPUT, MG_PRICE_INPUT, 0 },
    [MG_COST_OUTPUT] =
        { MG_PRICE_OUTPUT, MG_PRICE_OUTPUT, 1 },
    [MG_COST_REASONING] =
        { MG_PRICE_REASONING, MG_PRICE_OUTPUT, 0 },
    [MG_COST_OUTPUT_AUDIO] =
        { MG_PRICE_OUTPUT_AUDIO, MG_PRICE_OUTPUT_AUDIO, 0 }
};


const mg_str_t  mg_cost_class_names[MG_COST_N] = {
    mg_str("input"),
    mg_str("cache_read"),
    mg_str("cache_write"),
    mg_str("cache_write_1h"),
    mg_str("input_audio"),
    mg_str("tool_input"),
    mg_str("output"),
    mg_str("reasoning"),
    mg_str("output_audio")
};


const mg_str_t  mg_cost_reason_names[MG_COST_REASONS] = {
    mg_str(""),
    mg_str("no_usage"),
    mg_str("no_count"),
    mg_str("no_price"),
    mg_str("no_size"),
    mg_str("too_large")
};


/* -- prices -- */

void
mg_cost_prices_init(mg_cost_prices_t *p)
{
    unsigned  i;

    mg_cost_clear(p->price);
    p->tiers_n = 0;

    for (i = 0; i < MG_COST_TIERS_MAX; i++) {
        p->tiers[i].size = 0;
        mg_cost_clear(p->tiers[i].price);
    }
}


static void
mg_cost_clear(int64_t price[MG_COST_PRICES])
{
    unsigned  i;

    for (i = 0; i < MG_COST_PRICES; i++) {
        price[i] = MG_UNKNOWN;
    }
}


int
mg_cost_prices_model(mg_cost_prices_t *p, const mg_model_t *m, mg_arena_t *a,
    mg_error_t *e)
{
    const mg_json_t  *tiers, *v;

    mg_cost_prices_init(p);

    if (m->price_tiers.len) {
        tiers = mg_json_parse(a, m->price_tiers, NULL, e);

        if (tiers == NULL) {
            return MG_ERROR;
        }

        for (v = tiers->child; v; v = v->next) {
            if (mg_cost_tier(p, v, e) != MG_OK) {
                mg_cost_prices_init(p);
                return MG_ERROR;
            }
        }
    }

    memcpy(p->price, m->price, sizeof(m->price));

    return MG_OK;
}


/* {"tier": {"type": "context", "size": 200000}, "input": 2.5, ...} */

static int
mg_cost_tier(mg_cost_prices_t *p, const mg_json_t *v, mg_error_t *e)
{
    int64_t           i;
    mg_str_t          type;
    mg_cost_tier_t    tier;
    const mg_json_t  *bound;

    bound = mg_json_get(v, "tier");
    type = mg_json_str(bound, "type");

    if (!mg_str_eq(type, mg_str("context"))
        || mg_json_int64(mg_json_get(bound, "size"), &tier.size) != MG_OK
        || tier.size < 0)
    {
        return mg_error_set(e, MG_E_INVALID, "price_tiers",
                            "a price tier of type \"%.*s\" is not known; give "
                            "{\"type\": \"context\", \"size\": 200000} and the "
                            "prices above that size",
                            (int) (type.len < 64 ? type.len : 64),
                            type.len ? type.data : "");
    }

    if (p->tiers_n == MG_COST_TIERS_MAX) {
        return mg_error_set(e, MG_E_INVALID, "price_tiers",
                            "price_tiers has more than %d tiers; give fewer",
                            MG_COST_TIERS_MAX);
    }

    if (mg_cost_tier_prices(&tier, v, e) != MG_OK) {
        return MG_ERROR;
    }

    for (i = p->tiers_n++; i > 0 && p->tiers[i - 1].size > tier.size; i--) {
        p->tiers[i] = p->tiers[i - 1];
    }

    p->tiers[i] = tier;

    return MG_OK;
}


static int
mg_cost_tier_prices(mg_cost_tier_t *tier, const mg_json_t *v, mg_error_t *e)
{
    int               i;
    const mg_json_t  *price;

    mg_cost_clear(tier->price);

    for (price = v->child; price; price = price->next) {

        for (i = 0; i < MG_PRICE_N; i++) {
            if (mg_str_eq(price->key, mg_price_names[i])) {
                break;
            }
        }

        if (i == MG_PRICE_N || price->type == MG_JSON_NULL) {
            continue;
        }

        if (price->type != MG_JSON_NUMBER
            || mg_decimal_parse(price->str, MG_COST_TIER_SHIFT,
                                &tier->price[i]) != MG_OK)
        {
            return mg_error_set(e, MG_E_INVALID, "price_tiers",
                                "\"" MG_STR_FMT "\" in price_tiers is not a "
                                "price; give USD per million tokens such as "
                                "1.75", MG_STR_ARG(mg_price_names[i]));
        }
    }

    return MG_OK;
}


/* -- the cost of one inference -- */

void
mg_cost_classes(const mg_usage_t *u, int64_t tokens[MG_COST_N])
{
    int64_t  rest;

    tokens[MG_COST_INPUT] = u->input_uncached;
    tokens[MG_COST_CACHE_READ] = u->cache_read;
    tokens[MG_COST_INPUT_AUDIO] = u->audio_in;
    tokens[MG_COST_TOOL_INPUT] = u->tool_input;

    rest = u->cache_write;
    tokens[MG_COST_CACHE_WRITE_1H] = mg_cost_part(u->cache_write_1h, &rest);
    tokens[MG_COST_CACHE_WRITE] = rest;

    rest = u->output;
    tokens[MG_COST_OUTPUT_AUDIO] = mg_cost_part(u->audio_out, &rest);
    tokens[MG_COST_REASONING] = mg_cost_part(u->reasoning, &rest);
    tokens[MG_COST_OUTPUT] = rest;
}


/* Takes the part out of the rest, never more than there is. */

static int64_t
mg_cost_part(int64_t part, int64_t *rest)
{
    if (part < 0 || *rest < 0) {
        return MG_TOKENS_UNKNOWN;
    }

    part = part < *rest ? part : *rest;
    *rest -= part;

    return part;
}


int64_t
mg_cost_count(const mg_cost_prices_t *p, const mg_usage_t *u, mg_cost_t *c)
{
    int64_t         tokens[MG_COST_N];
    unsigned        i;
    mg_cost_sum_t   sum;
    const int64_t  *price;

    mg_cost_classes(u, tokens);

    c->nano = MG_COST_UNKNOWN;
    c->at = MG_COST_INPUT;
    c->tokens = MG_TOKENS_UNKNOWN;

    for (i = 0; i < MG_COST_N && tokens[i] < 0; i++) { /* void */ }

    if (i == MG_COST_N) {
        c->reason = MG_COST_NO_USAGE;
        return c->nano;
    }

    price = mg_cost_list(p, u);

    if (price == NULL) {
        c->reason = MG_COST_NO_SIZE;
        return c->nano;
    }

    sum = 0;

    for (i = 0; i < MG_COST_N; i++) {
        c->reason = mg_cost_add(price, tokens[i], &mg_cost_rules[i], &sum);

        if (c->reason != MG_COST_KNOWN) {
            c->at = i;
            c->tokens = tokens[i];
            return c->nano;
        }
    }

    sum = sum / MG_COST_FEMTO + (sum % MG_COST_FEMTO >= MG_COST_FEMTO / 2);

    if (sum > INT64_MAX) {
        c->reason = MG_COST_TOO_LARGE;
        return c->nano;
    }

    c->nano = (int64_t) sum;

    return c->nano;
}


/* The price list that holds for this size; NULL: nobody can tell. */

static const int64_t *
mg_cost_list(const mg_cost_prices_t *p, const mg_usage_t *u)
{
    int64_t         i;
    const int64_t  *price;

    price = p->price;

    if (p->tiers_n > 0 && u->input < 0) {
        return NULL;
    }

    for (i = 0; i < p->tiers_n && i < MG_COST_TIERS_MAX; i++) {
        if (u->input > p->tiers[i].size) {
            price = p->tiers[i].price;
        }
    }

    return price;
}


static mg_cost_reason_e
mg_cost_add(const int64_t *price, int64_t tokens, const mg_cost_rule_t *rule,
    mg_cost_sum_t *sum)
{
    int64_t  each;

    each = price[rule->price];
    each = each < 0 ? price[rule->fallback] : each;

    if (tokens < 0) {

        /* what costs nothing need not be counted */

        return rule->needed && each != 0 ? MG_COST_NO_COUNT : MG_COST_KNOWN;
    }

    if (tokens == 0) {
        return MG_COST_KNOWN;
    }

    if (each < 0) {
        return MG_COST_NO_PRICE;
    }

    return __builtin_add_overflow(*sum, (mg_cost_sum_t) tokens
                                        * (mg_cost_sum_t) each, sum)
           ? MG_COST_TOO_LARGE : MG_COST_KNOWN;
}


size_t
mg_cost_explain(const mg_cost_t *c, char out[MG_COST_TEXT_MAX])
{
    int          n;
    const char  *at;

    at = mg_cost_class_names[c->at].data;

    switch (c->reason) {

    case MG_COST_NO_USAGE:
        n = snprintf(out, MG_COST_TEXT_MAX, "the answer states no usage");
        break;

    case MG_COST_NO_COUNT:
        n = snprintf(out, MG_COST_TEXT_MAX,
                     "the answer states no tokens of \"%s\"", at);
        break;

    case MG_COST_NO_PRICE:
        n = snprintf(out, MG_COST_TEXT_MAX,
                     "%lld tokens of \"%s\" have no price",
                     (long long) c->tokens, at);
        break;

    case MG_COST_NO_SIZE:
        n = snprintf(out, MG_COST_TEXT_MAX,
                     "prices depend on the input, and the answer does not "
                     "state how long it was");
        break;

    case MG_COST_TOO_LARGE:
        n = snprintf(out, MG_COST_TEXT_MAX,
                     "the sum is beyond what nano-USD can hold");
        break;

    default: /* MG_COST_KNOWN */
        out[0] = '\0';
        n = 0;
    }

    return (size_t) n;
}
