/*
 * Breaks when the models.dev document is misread: an id cut at a slash, an
 * absent price that becomes 0, a value of an unusual type that is lost, a
 * provider whose "npm" stands behind its models, bytes cut at a bad place,
 * a broken entry that takes the whole document with it.
 *
 * The document is the bundled one; the sums were computed apart from this
 * code, with decimal arithmetic.
 */

#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mg_hash.h"
#include "base/mg_json.h"
#include "provider/mg_models_dev.h"


#define DOCUMENT   "conf/models.dev/api.json"
#define FOUND_MAX  32


/* A model of the document that is looked at closely. */
typedef struct {
    const char     *id;
    int             seen;
    mg_model_t      model;
    char            extra[2048];
    char            tiers[512];
    char            name[128];
    char            in[128];
    char            date[32];
    char            knowledge[32];
    char            provider[80];
    char            pmodel[128];
} found_t;


/* What a whole document adds up to. */
typedef struct {
    int64_t         providers;
    int64_t         models;
    int64_t         skipped;
    int64_t         protocols[4];     /* none, openai, anthropic, google */
    int64_t         base_urls;
    int64_t         caps[MG_CAP_N][3];      /* unknown, no, yes */
    int64_t         attachment[3];
    int64_t         temperature[3];
    int64_t         open_weights[3];
    int64_t         stated[MG_PRICE_N];
    int64_t         price[MG_PRICE_N];
    int64_t         context;
    int64_t         input_limit;
    int64_t         output_limit;
    int64_t         context_zero;
    int64_t         price_zero;
    int64_t         types[MG_TYPE_N];
    int64_t         status;
    int64_t         tiers;
    int64_t         knowledge;
    int64_t         orphans;          /* models of no known provider */
    mg_str_t        provider;
    char            provider_id[80];
    char            provider_extra[128];
    char            last_reason[256];
    char            last_skipped[256];
    int             stop_after;
    uint64_t        sum;
    found_t        *found;
} seen_t;


static void
copy(char *to, size_t size, mg_str_t s)
{
    size_t  n;

    n = s.len < size - 1 ? s.len : size - 1;

    if (n) {
        memcpy(to, s.data, n);
    }

    to[n] = '\0';
}


/* In order: the same pieces in another one give another sum. */

static void
mix(uint64_t *c, const void *data, size_t len)
{
    *c = *c * 31 + mg_sum64(data, len);
}


static void
add(uint64_t *c, mg_str_t s)
{
    mix(c, s.data ? "+" : "-", 1);

    if (s.len) {
        mix(c, s.data, s.len);
    }
}


static int
on_provider(void *ctx, const mg_provider_t *p, mg_error_t *e)
{
    int      i;
    seen_t  *s = ctx;

    static const char  *names[] = { "", "openai", "anthropic", "google" };

    (void) e;

    s->providers++;
    s->base_urls += (p->base_url.data != NULL);
    copy(s->provider_id, sizeof(s->provider_id), p->id);
    copy(s->provider_extra, sizeof(s->provider_extra), p->extra);

    for (i = 0; i < 4; i++) {
        s->protocols[i] += mg_str_eq(p->protocol, mg_str_z(names[i]));
    }

    add(&s->sum, p->id);
    add(&s->sum, p->name);
    add(&s->sum, p->npm);
    add(&s->sum, p->env);
    add(&s->sum, p->base_url);

    return MG_OK;
}


static void
look(found_t *f, const mg_model_t *m)
{
    for ( /* void */ ; f && f->id; f++) {
        if (mg_str_eq(mg_str_z(f->id), m->id)) {
            f->seen++;
            f->model = *m;
            copy(f->extra, sizeof(f->extra), m->extra);
            copy(f->tiers, sizeof(f->tiers), m->price_tiers);
            copy(f->name, sizeof(f->name), m->name);
            copy(f->in, sizeof(f->in), m->modalities_in);
            copy(f->date, sizeof(f->date), m->release_date);
            copy(f->knowledge, sizeof(f->knowledge), m->knowledge);
            copy(f->provider, sizeof(f->provider), m->provider_id);
            copy(f->pmodel, sizeof(f->pmodel), m->provider_model_id);
        }
    }
}


static int
on_model(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    int      i;
    seen_t  *s = ctx;

    s->models++;
    s->orphans += !mg_str_eq(m->provider_id, mg_str_z(s->provider_id));
    s->attachment[m->attachment + 1]++;
    s->temperature[m->temperature + 1]++;
    s->open_weights[m->open_weights + 1]++;
    s->context += m->context;
    s->output_limit += m->output_limit;
    s->context_zero += (m->context == 0);
    s->price_zero += (m->price[MG_PRICE_INPUT] == 0);
    s->input_limit += (m->input_limit != MG_UNKNOWN) ? m->input_limit : 0;
    s->types[m->type]++;
    s->status += (m->status.data != NULL);
    s->tiers += (m->price_tiers.data != NULL);
    s->knowledge += (m->knowledge.data != NULL);

    for (i = 0; i < MG_CAP_N; i++) {
        s->caps[i][m->caps[i] + 1]++;
    }

    for (i = 0; i < MG_PRICE_N; i++) {
        if (m->price[i] != MG_UNKNOWN) {
            s->stated[i]++;
            s->price[i] += m->price[i];
        }
    }

    add(&s->sum, m->id);
    add(&s->sum, m->name);
    add(&s->sum, m->extra);
    add(&s->sum, m->modalities_in);
    mix(&s->sum, m->price, sizeof(m->price));
    mix(&s->sum, m->caps, sizeof(m->caps));

    look(s->found, m);

    if (s->stop_after && s->models == s->stop_after) {
        return mg_error_set(e, MG_E_CANCELLED, NULL, "enough");
    }

    return MG_OK;
}


static void
on_skipped(void *ctx, mg_str_t id, const char *reason)
{
    seen_t  *s = ctx;

    s->skipped++;
    copy(s->last_skipped, sizeof(s->last_skipped), id);
    copy(s->last_reason, sizeof(s->last_reason), mg_str_z(reason));
}


static const mg_source_handler_t  handler = {
    .provider = on_provider,
    .model = on_model,
    .skipped = on_skipped
};


/* Feeds text in pieces of at most "piece" bytes, 0: of random length. */

static int
feed(seen_t *s, mg_str_t text, size_t piece, mg_error_t *e)
{
    int      rc;
    void    *d;
    size_t   n, pos;

    memset(e, 0, sizeof(mg_error_t));

    d = mg_models_dev_create(&handler, s);
    rc = d ? MG_OK : MG_ERROR;

    for (pos = 0; rc == MG_OK && pos < text.len; pos += n) {
        n = piece ? piece : 1 + (size_t) (rand() % 3000);
        n = n < text.len - pos ? n : text.len - pos;
        rc = mg_models_dev_feed(d, text.data + pos, n, e);
    }

    if (rc == MG_OK) {
        rc = mg_models_dev_finish(d, e);
    }

    mg_models_dev_destroy(d);

    return rc;
}


static mg_str_t
slurp(const char *path)
{
    long    n;
    FILE   *f;
    char   *p;

    f = fopen(path, "rb");
    if (f == NULL) {
        return mg_str_null;
    }

    fseek(f, 0, SEEK_END);
    n = ftell(f);
    rewind(f);

    p = malloc((size_t) n);
    n = (long) fread(p, 1, (size_t) n, f);
    fclose(f);

    return mg_str_n(p, (size_t) n);
}


static void
check_sums(const seen_t *s)
{
    int  i;

    static const int64_t  stated[] = { 4894, 4894, 2109, 717, 70, 65, 15 };
    static const int64_t  price[] = {
        8945422857997, 41631116054997, 671227987000, 2665961630333,
        332698627000, 111936000000, 137238000000
    };

    is_int(s->providers, 145, "providers");
    is_int(s->models, 5269, "models");
    is_int(s->skipped, 0, "nothing is skipped");
    is_int(s->orphans, 0, "each model comes behind its provider");

    is_int(s->protocols[0], 9, "npm that names no known protocol");
    is_int(s->protocols[1], 120, "openai, by npm");
    is_int(s->protocols[2], 7, "anthropic, by npm");
    is_int(s->protocols[3], 1, "google, by npm");
    is_int(s->base_urls, 121, "24 providers have no base URL");

    for (i = 0; i < MG_PRICE_N; i++) {
        is_int(s->stated[i], stated[i], "stated " MG_STR_FMT,
               MG_STR_ARG(mg_price_names[i]));
        is_int(s->price[i], price[i], "sum of " MG_STR_FMT,
               MG_STR_ARG(mg_price_names[i]));
    }

    is_int(s->price_zero, 436, "a price of 0 is stated, not unknown");
    is_int(s->context, 1971225722, "sum of context limits");
    is_int(s->output_limit, 585263504, "sum of output limits");
    is_int(s->input_limit, 337674687, "sum of input limits");
    is_int(s->context_zero, 80, "a context of 0 is kept as it came");
    is_int(s->status, 155, "status stated");
    is_int(s->tiers, 186, "price tiers");
    is_int(s->knowledge, 2580, "knowledge stated");
}


static void
check_flags(const seen_t *s)
{
    is_int(s->attachment[2], 2482, "attachment");
    is_int(s->temperature[0], 5269 - 4546, "temperature unknown");
    is_int(s->temperature[1], 791, "temperature not to be set");
    is_int(s->open_weights[2], 1977, "open weights");

    is_int(s->caps[MG_CAP_FUNCTION_CALLING][2], 4120, "tool_call");
    is_int(s->caps[MG_CAP_FUNCTION_CALLING][1], 1149, "no tool_call");
    is_int(s->caps[MG_CAP_JSON_MODE][2], 1872, "structured_output");
    is_int(s->caps[MG_CAP_JSON_MODE][1], 710, "no structured_output");
    is_int(s->caps[MG_CAP_JSON_MODE][0], 5269 - 2582,
           "structured_output unknown");
    is_int(s->caps[MG_CAP_REASONING][2], 3107, "reasoning");
    is_int(s->caps[MG_CAP_VISION][2], 2560, "image in: vision");
    is_int(s->caps[MG_CAP_VISION][0], 0, "vision is always known");
    is_int(s->caps[MG_CAP_IMAGE_GENERATION][2], 127,
           "image out: image_generation");
    is_int(s->caps[MG_CAP_AUDIO][2], 350, "audio in or out");
    is_int(s->caps[MG_CAP_STREAMING][0], 5269, "streaming is not stated");
    is_int(s->caps[MG_CAP_CODE_GENERATION][0], 5269,
           "code_generation is not stated");

    is_int(s->types[MG_TYPE_RERANK], 11, "rerank, by name");
    ok(s->types[MG_TYPE_EMBEDDING] > 60, "embeddings, by name");
    ok(s->types[MG_TYPE_IMAGE] > 80, "image, by output");
    ok(s->types[MG_TYPE_AUDIO] > 40, "audio, by output and input");
    ok(s->types[MG_TYPE_CHAT] > 4900, "most are chat");

    diag("types: chat %d embedding %d image %d audio %d rerank %d other %d",
         (int) s->types[MG_TYPE_CHAT], (int) s->types[MG_TYPE_EMBEDDING],
         (int) s->types[MG_TYPE_IMAGE], (int) s->types[MG_TYPE_AUDIO],
         (int) s->types[MG_TYPE_RERANK], (int) s->types[MG_TYPE_OTHER]);
}


static const found_t *
get(const found_t *f, const char *id)
{
    while (strcmp(f->id, id) != 0) {
        f++;
    }

    is_int(f->seen, 1, "%s is there once", id);

    return f;
}


static void
check_ids(const found_t *found)
{
    const found_t  *f;

    f = get(found, "cloudflare-workers-ai/@cf/openai/gpt-oss-20b");
    is_str(f->provider, "cloudflare-workers-ai", "provider before the slash");
    is_str(f->pmodel, "@cf/openai/gpt-oss-20b", "@ and / in a model id");

    f = get(found, "openrouter/openai/gpt-oss-120b:free");
    is_str(f->pmodel, "openai/gpt-oss-120b:free", ": in a model id");

    f = get(found, "openrouter/~openai/gpt-latest");
    is_str(f->pmodel, "~openai/gpt-latest", "~ in a model id");
    is_str(f->in, "[\"text\",\"image\",\"pdf\"]",
           "a set of modalities has one order");

    f = get(found, "siliconflow-cn/deepseek-ai/DeepSeek-OCR");
    is_str(f->pmodel, "deepseek-ai/DeepSeek-OCR", "upper case stays");

    /* one model id under several providers: as many entries */

    get(found, "routing-run/route/kimi-k2.6");
    get(found, "iflowcn/deepseek-r1");

    f = get(found,
            "nano-gpt/gemini-2.5-flash-preview-09-2025-thinking");
    like(f->name, "\xe2\x80\x93 Thinking", "a name that is not ASCII");
}


static void
check_prices(const found_t *found)
{
    const found_t  *f;

    f = get(found, "cohere/c4ai-aya-vision-8b");
    is_int(f->model.price[MG_PRICE_INPUT], MG_UNKNOWN,
           "no cost: unknown, not 0");
    is_str(f->extra, "", "and nothing is left over");

    f = get(found, "iflowcn/deepseek-r1");
    is_int(f->model.price[MG_PRICE_INPUT], 0, "cost 0 is 0");
    is_int(f->model.price[MG_PRICE_CACHE_READ], MG_UNKNOWN,
           "a class without a price is unknown");
    is_str(f->knowledge, "2024-12", "a short date stays short");
    is_str(f->extra, "{\"reasoning_options\":[]}", "an empty list is kept");

    f = get(found, "nano-gpt/deepseek/deepseek-v3.2");
    is_int(f->model.price[MG_PRICE_INPUT], 280000000,
           "0.27999999999999997 USD per million is 0.28");
    is_int(f->model.price[MG_PRICE_OUTPUT], 420000000,
           "0.42000000000000004 USD per million is 0.42");
    is_int(f->model.temperature, -1, "temperature not stated");

    f = get(found, "opencode/gpt-5.3-codex");
    is_int(f->model.price[MG_PRICE_INPUT], 1750000000, "1.75");
    is_int(f->model.input_limit, 272000, "limit.input");
    is_str(f->extra, "{\"provider\":{\"npm\":\"@ai-sdk/openai\"}}",
           "what a model overrides of its provider");

    f = get(found, "qiniu-ai/kling-v2-6");
    is_int(f->model.context, 99999999, "the largest context");
    is_int(f->model.type, MG_TYPE_OTHER, "video out is no contract type");
}


static void
check_odd(const found_t *found)
{
    const found_t  *f;

    f = get(found, "aihubmix/claude-opus-4-7");
    like(f->extra, "\"interleaved\":true", "interleaved as a bool");
    is_str(f->tiers, "[{\"input\":10,\"output\":37.5,\"cache_read\":1,"
           "\"cache_write\":12.5,\"tier\":{\"type\":\"context\","
           "\"size\":200000}}]", "price tiers as they came");
    like(f->extra, "\"cost\":{\"context_over_200k\":{\"input\":10,",
         "the legacy echo of a tier, too");
    is_int(f->model.temperature, 0, "temperature not to be set");
    is_str(f->date, "2026-04-16", "release date");

    f = get(found, "cohere/north-mini-code-1-0");
    like(f->extra, "\"interleaved\":{\"field\":\"reasoning_content\"}",
         "interleaved as an object");
    like(f->extra, "\"provider\":{\"npm\":\"@ai-sdk/openai-compatible\","
         "\"api\":\"https://api.cohere.ai/compatibility/v1\"}",
         "provider override with a URL");
    like(f->extra, "\"reasoning_options\":[{\"type\":\"effort\","
         "\"values\":[\"none\",\"high\"]}]", "reasoning_options");

    f = get(found, "aihubmix/gpt-5.4");
    like(f->extra, "\"experimental\":{\"modes\":{\"fast\":{\"cost\":"
         "{\"input\":5,\"output\":30,\"cache_read\":0.5}", "experimental");

    f = get(found, "openai/gpt-image-1-mini");
    is_int(f->model.type, MG_TYPE_IMAGE, "draws and has no output tokens");
    is_int(f->model.context, 0, "context 0 as it came");

    f = get(found, "groq/whisper-large-v3");
    is_int(f->model.type, MG_TYPE_AUDIO, "audio in, text out");

    f = get(found, "vercel/voyage/rerank-2.5");
    is_int(f->model.type, MG_TYPE_RERANK, "a family of embeddings reranks");

    f = get(found, "digitalocean/all-mini-lm-l6-v2");
    is_int(f->model.type, MG_TYPE_EMBEDDING, "by its family alone");
}


static void
test_document(mg_str_t text)
{
    int         i;
    seen_t      whole, cut;
    uint64_t    sum;
    mg_error_t  e;

    static found_t  found[FOUND_MAX] = {
        { .id = "cloudflare-workers-ai/@cf/openai/gpt-oss-20b" },
        { .id = "openrouter/openai/gpt-oss-120b:free" },
        { .id = "openrouter/~openai/gpt-latest" },
        { .id = "siliconflow-cn/deepseek-ai/DeepSeek-OCR" },
        { .id = "routing-run/route/kimi-k2.6" },
        { .id = "nano-gpt/gemini-2.5-flash-preview-09-2025-thinking" },
        { .id = "cohere/c4ai-aya-vision-8b" },
        { .id = "iflowcn/deepseek-r1" },
        { .id = "nano-gpt/deepseek/deepseek-v3.2" },
        { .id = "opencode/gpt-5.3-codex" },
        { .id = "qiniu-ai/kling-v2-6" },
        { .id = "aihubmix/claude-opus-4-7" },
        { .id = "cohere/north-mini-code-1-0" },
        { .id = "aihubmix/gpt-5.4" },
        { .id = "openai/gpt-image-1-mini" },
        { .id = "groq/whisper-large-v3" },
        { .id = "vercel/voyage/rerank-2.5" },
        { .id = "digitalocean/all-mini-lm-l6-v2" },
        { .id = NULL }
    };

    memset(&whole, 0, sizeof(whole));
    whole.found = found;

    is_int(feed(&whole, text, 65536, &e), MG_OK, "the document is read");
    diag("%s", e.message);

    check_sums(&whole);
    check_flags(&whole);
    check_ids(found);
    check_prices(found);
    check_odd(found);

    sum = whole.sum;
    srand(1);

    for (i = 0; i < 5; i++) {
        memset(&cut, 0, sizeof(cut));
        feed(&cut, text, 0, &e);
        is_uint(cut.sum, sum,
                "the same in pieces of random length, %d", i);
    }

    memset(&cut, 0, sizeof(cut));
    is_int(feed(&cut, mg_str_n(text.data, text.len - 1), 65536, &e),
           MG_ERROR, "one byte short is an error");
    is_int(e.kind, MG_E_INVALID, "of the document");

    memset(&cut, 0, sizeof(cut));
    cut.stop_after = 1000;
    is_int(feed(&cut, text, 65536, &e), MG_ERROR, "a callback stops it");
    is_int(e.kind, MG_E_CANCELLED, "with its own error");
    is_int(cut.models, 1000, "at once");
}


/* A small document with members in an awkward order and broken entries. */

static const char  small[] =
    "{\"b-1\":{\"models\":{"
    "\"x/y:z@1\":{\"name\":\"X\",\"id\":\"other\",\"limit\":{\"context\":"
    "\"many\",\"output\":12,\"rate\":3},\"cost\":{\"input\":-1,\"output\":"
    "1.5e-3},\"modalities\":{\"input\":[\"text\",\"touch\",\"audio\"]},"
    "\"tool_call\":{\"parallel\":true},\"reasoning\":null,\"family\":7},"
    "\"n\":{\"id\":\"n\"},"
    "\"s\":\"text\","
    "\"x/y:z@1\":{\"name\":\"again\"}"
    "},\"future\":{\"a\":[1,2]},\"npm\":\"@ai-sdk/anthropic\","
    "\"name\":\"B\",\"env\":[\"B_KEY\"],\"api\":\"https://b/v1\"},"
    "\"Bad Id\":{\"name\":\"N\",\"models\":{\"m\":{\"name\":\"M\"}}},"
    "\"list\":[1],\"word\":\"w\","
    "\"empty\":{\"name\":\"E\"},"
    "\"b-1\":{\"name\":\"B\",\"models\":{\"late\":{\"name\":\"L\"}}}}";


static void
check_small(const seen_t *s, const found_t *f)
{
    const mg_model_t  *m;

    is_int(s->providers, 1, "one provider is sound");
    is_int(s->protocols[2], 1, "npm behind the models counts");
    is_str(s->provider_extra, "{\"future\":{\"a\":[1,2]}}",
           "what no column of a provider takes is kept");
    is_int(s->models, 1, "one model is sound");
    is_int(s->skipped, 8, "all others are skipped, each with a reason");
    is_str(s->last_skipped, "b-1", "the last of them");
    like(s->last_reason, "listed twice", "and its reason");

    m = &f->model;
    is_int(f->seen, 1, "the first of two wins");
    is_str(f->name, "X", "its name");
    is_int(m->price[MG_PRICE_INPUT], MG_UNKNOWN, "-1 is no price");
    is_int(m->price[MG_PRICE_OUTPUT], 1500000, "exponents are exact");
    is_int(m->context, MG_UNKNOWN, "text is no limit");
    is_int(m->output_limit, 12, "the number beside it is one");
    is_int(m->caps[MG_CAP_FUNCTION_CALLING], -1, "an object is no bool");
    is_int(m->caps[MG_CAP_REASONING], -1, "null is unknown");
    is_int(m->caps[MG_CAP_VISION], 0, "input is known, without image");
    is_int(m->caps[MG_CAP_IMAGE_GENERATION], -1, "output is not known");
    is_int(m->caps[MG_CAP_AUDIO], 1, "one list is enough for a yes");
    is_str(f->in, "[\"text\",\"audio\",\"touch\"]",
           "an unknown modality is kept");
    is_str(f->extra, "{\"id\":\"other\",\"limit\":{\"context\":\"many\","
           "\"rate\":3},\"cost\":{\"input\":-1},"
           "\"tool_call\":{\"parallel\":true},\"family\":7}",
           "what no column takes is kept as it came");
}


static void
test_small(void)
{
    int         same;
    size_t      i;
    seen_t      s;
    uint64_t    sum;
    mg_error_t  e;
    found_t     found[2];

    memset(&s, 0, sizeof(s));
    memset(found, 0, sizeof(found));
    found[0].id = "b-1/x/y:z@1";
    s.found = found;

    is_int(feed(&s, mg_str_n(small, sizeof(small) - 1), 100000, &e), MG_OK,
           "broken entries do not break the document");
    check_small(&s, found);

    sum = s.sum;

    for (same = 0, i = 1; i < sizeof(small) - 1; i++) {
        memset(&s, 0, sizeof(s));

        if (feed(&s, mg_str_n(small, sizeof(small) - 1), i, &e) == MG_OK
            && s.skipped == 8 && s.sum == sum)
        {
            same++;
        }
    }

    is_int(same, sizeof(small) - 2, "the same with pieces of every length");
}


static void
test_bad(void)
{
    size_t      i;
    seen_t      s;
    mg_error_t  e;

    static const struct {
        const char  *text;
        const char  *message;
    } bad[] = {
        { "[]", "keyed by provider id" },
        { "\"text\"", "keyed by provider id" },
        { "null", "keyed by provider id" },
        { "<html>", "" },
        { "", "" },
        { "{\"a\":{\"name\":\"A\",\"models\":{}}", "" },
        { "{\"a\":{\"name\":\"A\",\"models\":{}}}}", "" },
        { "{\"a\":{\"name\":\"A\",\"models\":{\"m\":{\"name\":01}}}}", "" }
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&s, 0, sizeof(s));
        is_int(feed(&s, mg_str_z(bad[i].text), 3, &e), MG_ERROR,
               "refused: %s", bad[i].text);
        like(e.message, bad[i].message, "with a message");
        ok(e.message[0] != '\0' && e.kind == MG_E_INVALID, "of its kind");
    }

    memset(&s, 0, sizeof(s));
    is_int(feed(&s, mg_str("{}"), 1, &e), MG_OK, "empty is well-formed");
    is_int(s.providers, 0, "and holds nothing");
}


static void
test_deep(void)
{
    int         i;
    char       *text, *p;
    seen_t      s;
    mg_error_t  e;

    text = malloc(300000);
    p = text + sprintf(text, "{\"a\":{\"name\":\"A\",\"models\":"
                       "{\"m\":{\"name\":\"M\",\"x\":");

    for (i = 0; i < 100000; i++) {
        *p++ = '[';
    }

    memset(&s, 0, sizeof(s));
    is_int(feed(&s, mg_str_n(text, (size_t) (p - text)), 4096, &e), MG_ERROR,
           "100,000 brackets are refused");
    is_int(s.models, 0, "without a model");

    free(text);
}


static void
test_cap(void)
{
    int          i, rc;
    char        *blank;
    void        *d;
    seen_t       s;
    mg_error_t   e;

    blank = malloc(1024 * 1024);
    memset(blank, ' ', 1024 * 1024);
    memset(&s, 0, sizeof(s));
    memset(&e, 0, sizeof(e));

    d = mg_models_dev_create(&handler, &s);
    rc = mg_models_dev_feed(d, "{", 1, &e);

    for (i = 0; rc == MG_OK && i < 70; i++) {
        rc = mg_models_dev_feed(d, blank, 1024 * 1024, &e);
    }

    is_int(rc, MG_ERROR, "a document without end is refused");
    is_int(e.kind, MG_E_TOO_LARGE, "as too large");
    ok(i >= 60 && i <= 65, "after 64 MiB");

    mg_models_dev_destroy(d);
    free(blank);
}


int
main(void)
{
    mg_str_t  text;

    text = slurp(DOCUMENT);

    if (!ok(text.len > 0, DOCUMENT " is there")) {
        return done_testing();
    }

    test_document(text);
    test_small();
    test_bad();
    test_deep();
    test_cap();

    free((char *) text.data);

    return done_testing();
}
