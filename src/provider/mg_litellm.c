/*
 * mg_litellm.c: LiteLLM's price list.
 *
 *     { "gpt-4o": {"litellm_provider": "openai", "mode": "chat",
 *                  "input_cost_per_token": 2.5e-06, ...}, ... }
 *
 * One object keyed by what LiteLLM's users write: the provider's own id, or
 * that behind the provider's name.  Providers go by other names than in the
 * catalog; a table translates.  The list completes models that the catalog
 * has; entries that are no models (a sample, sizes of pictures) match none.
 *
 * Prices are floats in USD per token.  Those for long prompts, one member a
 * class and threshold (input_cost_per_token_above_200k_tokens), become price
 * tiers as models.dev has them.  All that no column holds is kept.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_litellm.h"

#include "base/mg_decimal.h"
#include "base/mg_jw.h"
#include "provider/mg_document.h"


#define MG_LITELLM_TIERS_MAX  8


typedef struct {
    int64_t     size;                  /* tokens above which it holds */
    int64_t     price[MG_PRICE_N];
} mg_litellm_tier_t;


static int mg_litellm_finish(mg_entry_t *x, mg_str_t key,
    const mg_json_t *v, mg_arena_t *a, const char **reason);


static const mg_field_t  mg_litellm_modes[] = {
    MG_ENTRY_WORD("chat", CHAT),
    MG_ENTRY_WORD("responses", CHAT),
    MG_ENTRY_WORD("embedding", EMBEDDING),
    MG_ENTRY_WORD("rerank", RERANK),
    MG_ENTRY_WORD("image_generation", IMAGE),
    MG_ENTRY_WORD("image_edit", IMAGE),
    MG_ENTRY_WORD("audio_transcription", AUDIO),
    MG_ENTRY_WORD("audio_speech", AUDIO),
    MG_ENTRY_WORD("realtime", AUDIO),
    MG_ENTRY_WORD("completion", OTHER),
    MG_ENTRY_WORD("moderation", OTHER),
    MG_ENTRY_WORD("video_generation", OTHER),
    MG_ENTRY_WORD("ocr", OTHER),
    MG_FIELD_END
};

static const mg_field_t  mg_litellm_fields[] = {
    MG_ENTRY_TYPE("mode", mg_litellm_modes),
    MG_ENTRY("max_input_tokens", COUNT, input_limit),
    MG_ENTRY("max_output_tokens", COUNT, output_limit),
    MG_ENTRY("deprecation_date", DATE, deprecation_date),
    MG_ENTRY_MODES("supported_modalities", in),
    MG_ENTRY_MODES("supported_output_modalities", out),
    MG_ENTRY_CAP("supports_vision", VISION),
    MG_ENTRY_CAP("supports_function_calling", FUNCTION_CALLING),
    MG_ENTRY_CAP("supports_response_schema", JSON_MODE),
    MG_ENTRY_CAP("supports_reasoning", REASONING),
    MG_ENTRY_CAP("supports_native_streaming", STREAMING),
    MG_ENTRY_PRICE("input_cost_per_token", PRICE, INPUT, TOKEN),
    MG_ENTRY_PRICE("output_cost_per_token", PRICE, OUTPUT, TOKEN),
    MG_ENTRY_PRICE("cache_read_input_token_cost", PRICE, CACHE_READ, TOKEN),
    MG_ENTRY_PRICE("cache_creation_input_token_cost", PRICE, CACHE_WRITE,
                   TOKEN),
    MG_ENTRY_PRICE("output_cost_per_reasoning_token", PRICE, REASONING,
                   TOKEN),
    MG_ENTRY_PRICE("input_cost_per_audio_token", PRICE, INPUT_AUDIO, TOKEN),
    MG_ENTRY_PRICE("output_cost_per_audio_token", PRICE, OUTPUT_AUDIO,
                   TOKEN),
    MG_FIELD_END
};


static const mg_document_kind_t  mg_litellm_document = {
    .source = mg_str("litellm"),
    .container = MG_JSON_OBJECT,
    .fields = mg_litellm_fields,
    .finish = mg_litellm_finish
};


/*
 * LiteLLM's names of providers where the catalog has another; those that are
 * not here are the same.  A name that ends with "*" is a beginning.
 */
static const struct {
    mg_str_t    theirs;
    mg_str_t    ours;
} mg_litellm_providers[] = {
    { mg_str("gemini"), mg_str("google") },
    { mg_str("vertex_ai-anthropic_models"),
      mg_str("google-vertex-anthropic") },
    { mg_str("vertex_ai*"), mg_str("google-vertex") },
    { mg_str("bedrock*"), mg_str("amazon-bedrock") },
    { mg_str("azure_ai"), mg_str("azure") },
    { mg_str("azure_text"), mg_str("azure") },
    { mg_str("text-completion-openai"), mg_str("openai") },
    { mg_str("codestral"), mg_str("mistral") },
    { mg_str("text-completion-codestral"), mg_str("mistral") },
    { mg_str("cohere_chat"), mg_str("cohere") },
    { mg_str("together_ai"), mg_str("togetherai") },
    { mg_str("fireworks_ai*"), mg_str("fireworks-ai") },
    { mg_str("friendliai"), mg_str("friendli") },
    { mg_str("meta_llama"), mg_str("llama") },
    { mg_str("cloudflare"), mg_str("cloudflare-workers-ai") },
    { mg_str("snowflake"), mg_str("snowflake-cortex") },
    { mg_str("moonshot"), mg_str("moonshotai") },
    { mg_str("dashscope"), mg_str("alibaba") },
    { mg_str("novita"), mg_str("novita-ai") },
    { mg_str("nvidia_nim"), mg_str("nvidia") },
    { mg_str("github_copilot"), mg_str("github-copilot") },
    { mg_str("vercel_ai_gateway"), mg_str("vercel") }
};


/* Members whose name ends with "_above_200k_tokens" or the like. */
static const struct {
    mg_str_t    stem;
    mg_price_e  price;
    const char *name;                  /* in a tier of models.dev */
} mg_litellm_tiers[] = {
    { mg_str("input_cost_per_token"), MG_PRICE_INPUT, "input" },
    { mg_str("output_cost_per_token"), MG_PRICE_OUTPUT, "output" },
    { mg_str("cache_read_input_token_cost"), MG_PRICE_CACHE_READ,
      "cache_read" },
    { mg_str("cache_creation_input_token_cost"), MG_PRICE_CACHE_WRITE,
      "cache_write" }
};

#define MG_LITELLM_TIERS_N                                                    \
    (sizeof(mg_litellm_tiers) / sizeof(mg_litellm_tiers[0]))


void *
mg_litellm_create(const mg_source_handler_t *h, void *ctx)
{
    return mg_document_create(&mg_litellm_document, h, ctx);
}


/* -- names -- */

static int
mg_litellm_begins(mg_str_t s, mg_str_t with)
{
    return s.len >= with.len && memcmp(s.data, with.data, with.len) == 0;
}


static mg_str_t
mg_litellm_provider(mg_str_t theirs)
{
    unsigned  i;
    mg_str_t  name;

    for (i = 0; i < sizeof(mg_litellm_providers)
                    / sizeof(mg_litellm_providers[0]); i++)
    {
        name = mg_litellm_providers[i].theirs;

        if (name.data[name.len - 1] == '*') {
            name.len--;

            if (mg_litellm_begins(theirs, name)) {
                return mg_litellm_providers[i].ours;
            }

        } else if (mg_str_eq(theirs, name)) {
            return mg_litellm_providers[i].ours;
        }
    }

    return theirs;
}


/*
 * "groq/llama" of provider groq and "vertex_ai/x" of vertex_ai-llama_models
 * are "llama" and "x"; "openai/gpt-oss" of provider groq stays.
 */

static mg_str_t
mg_litellm_model(mg_str_t key, mg_str_t theirs, mg_str_t ours)
{
    mg_str_t     head;
    const char  *slash;

    slash = memchr(key.data, '/', key.len);

    if (slash == NULL || slash + 1 == key.data + key.len) {
        return key;
    }

    head = mg_str_n(key.data, (size_t) (slash - key.data));

    if (!mg_litellm_begins(theirs, head)
        && !mg_str_eq(mg_litellm_provider(head), ours))
    {
        return key;
    }

    return mg_str_n(slash + 1, key.len - head.len - 1);
}


/* -- tiers -- */

/* "_above_200k_tokens" is 200,000; -1 for anything else. */

static int64_t
mg_litellm_above(mg_str_t s)
{
    int64_t   n;
    mg_str_t  above, tokens;

    above = mg_str("_above_");
    tokens = mg_str("k_tokens");

    if (s.len < above.len + 1 + tokens.len || !mg_litellm_begins(s, above)) {
        return -1;
    }

    if (memcmp(s.data + s.len - tokens.len, tokens.data, tokens.len) != 0) {
        return -1;
    }

    s = mg_str_n(s.data + above.len, s.len - above.len - tokens.len);

    return (mg_decimal_int64(s, &n) == MG_OK && n > 0 && n < 1000000)
           ? n * 1000 : -1;
}


/* The tier of that size, in the order of sizes; NULL: there are too many. */

static mg_litellm_tier_t *
mg_litellm_tier(mg_litellm_tier_t *tiers, unsigned *n, int64_t size)
{
    unsigned  i, p;

    for (i = 0; i < *n && tiers[i].size < size; i++) { /* void */ }

    if (i < *n && tiers[i].size == size) {
        return &tiers[i];
    }

    if (*n == MG_LITELLM_TIERS_MAX) {
        return NULL;
    }

    memmove(&tiers[i + 1], &tiers[i], (*n - i) * sizeof(mg_litellm_tier_t));
    (*n)++;

    tiers[i].size = size;

    for (p = 0; p < MG_PRICE_N; p++) {
        tiers[i].price[p] = MG_UNKNOWN;
    }

    return &tiers[i];
}


static unsigned
mg_litellm_collect(const mg_json_t *v, mg_litellm_tier_t *tiers)
{
    int64_t             size, price;
    unsigned            i, n;
    mg_str_t            stem;
    const mg_json_t    *m;
    mg_litellm_tier_t  *tier;

    n = 0;

    for (m = v->child; m; m = m->next) {
        for (i = 0; i < MG_LITELLM_TIERS_N; i++) {
            stem = mg_litellm_tiers[i].stem;

            if (m->type != MG_JSON_NUMBER || !mg_litellm_begins(m->key, stem))
            {
                continue;
            }

            size = mg_litellm_above(mg_str_n(m->key.data + stem.len,
                                             m->key.len - stem.len));

            if (size < 0 || mg_decimal_parse(m->str, MG_FIELD_PER_TOKEN,
                                             &price) != MG_OK)
            {
                continue;
            }

            tier = mg_litellm_tier(tiers, &n, size);

            if (tier) {
                tier->price[mg_litellm_tiers[i].price] = price;
            }
        }
    }

    return n;
}


/* [{"input": 2.5, "output": 15, "tier": {"type": "context", "size": n}}] */

static int
mg_litellm_write(const mg_litellm_tier_t *tiers, unsigned n, mg_arena_t *a,
    mg_str_t *text)
{
    char      decimal[48];
    size_t    len;
    int64_t   price;
    mg_jw_t   w;
    mg_buf_t  b;
    unsigned  i, k;

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_array(&w, NULL);

    for (i = 0; i < n; i++) {
        mg_jw_object(&w, NULL);

        for (k = 0; k < MG_LITELLM_TIERS_N; k++) {
            price = tiers[i].price[mg_litellm_tiers[k].price];

            if (price != MG_UNKNOWN) {
                len = mg_decimal_format(price, MG_FIELD_PER_MILLION, decimal);
                mg_jw_raw(&w, mg_litellm_tiers[k].name,
                          mg_str_n(decimal, len));
            }
        }

        mg_jw_object(&w, "tier");
        mg_jw_z(&w, "type", "context");
        mg_jw_int(&w, "size", tiers[i].size);
        mg_jw_end_object(&w);
        mg_jw_end_object(&w);
    }

    mg_jw_end_array(&w);

    *text = b.failed ? mg_str_null : mg_arena_dup(a, mg_buf_view(&b));
    mg_buf_free(&b);

    return text->data ? MG_OK : MG_ERROR;
}


/* -- the entry -- */

static int
mg_litellm_finish(mg_entry_t *x, mg_str_t key, const mg_json_t *v,
    mg_arena_t *a, const char **reason)
{
    unsigned           n;
    mg_str_t           theirs;
    mg_model_t        *m;
    mg_litellm_tier_t  tiers[MG_LITELLM_TIERS_MAX];

    theirs = mg_json_str(v, "litellm_provider");

    /* the sample says "one of: ..." where others name their provider */

    if (key.len == 0 || mg_str_eq(key, mg_str("sample_spec"))) {
        return MG_DECLINED;
    }

    if (!mg_provider_id_ok(mg_litellm_provider(theirs))) {
        *reason = "\"litellm_provider\" is no provider's name";
        return MG_DECLINED;
    }

    key = mg_arena_dup(a, key);
    theirs = mg_arena_dup(a, theirs);

    if (key.data == NULL || theirs.data == NULL) {
        return MG_ERROR;
    }

    m = &x->model;
    m->provider_id = mg_litellm_provider(theirs);
    m->provider_model_id = mg_litellm_model(key, theirs, m->provider_id);
    m->source_model_id = key;

    mg_entry_unpriced(x);

    n = mg_litellm_collect(v, tiers);

    return n ? mg_litellm_write(tiers, n, a, &m->price_tiers) : MG_OK;
}
