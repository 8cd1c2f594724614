/*
 * Breaks when a public list is misread: a model given to the wrong provider,
 * a price off by a power of ten, a tier or a benchmark that is lost, an entry
 * that takes the whole document with it, a piece cut at a bad place, a web
 * page that is taken for an empty list.
 *
 * What LiteLLM and OpenRouter publish is recorded, see t/data/litellm and
 * t/data/captures/models; the other documents are made up.
 */

#include "listed.h"

#include "provider/mg_package.h"


#define LITELLM     "t/data/litellm/prices.json"
#define OPENROUTER  "t/data/captures/models/openrouter.json"
#define UNKNOWN     MG_UNKNOWN


static listed_t  l, other;


static void
test_table(void)
{
    unsigned            n;
    const mg_source_t  *s;

    for (s = mg_sources, n = 0; s->name.data; s++, n++) {
        ok(mg_source_find(s->name) == s, "%s is found", s->name.data);
        ok(strncmp(s->url, "https://", 8) == 0, "published at %s", s->url);
        ok(s->create && s->feed && s->finish && s->destroy, "it is whole");
        ok(s->per_minute > 0, "and asked with measure");
        ok(s->creates || !s->authority,
           "what cannot add models cannot take them away");
    }

    is_int(n, 5, "sources");
    is_int(mg_source_find(mg_str("models.dev"))->per_minute, 100,
           "100 requests a minute for models.dev");
    ok(mg_source_find(mg_str("Models.dev")) == NULL, "names have one case");
    ok(mg_source_find(mg_str("")) == NULL, "an empty name is none");
}


/* -- LiteLLM -- */

static void
check_litellm_names(void)
{
    const mg_model_t  *m;

    m = listed_get(&l, "groq/llama-3.1-8b-instant");
    is_str(listed_z(m->provider_model_id), "llama-3.1-8b-instant",
           "the provider's name in front is none of the id");
    is_str(listed_z(m->source_model_id), "groq/llama-3.1-8b-instant",
           "what LiteLLM calls it");

    listed_get(&l, "google/gemini-1.5-flash-002");
    listed_get(&l, "google-vertex-anthropic/claude-3-5-sonnet@20240620");
    listed_get(&l, "google-vertex/text-embedding-004");
    listed_get(&l, "google-vertex/imagen-3.0-generate-002");
    listed_get(&l, "amazon-bedrock/anthropic.claude-3-5-sonnet-20240620-"
               "v1:0");
    listed_get(&l, "fireworks-ai/accounts/fireworks/models/llama-v3p2-1b-"
               "instruct");
    listed_get(&l, "openrouter/deepseek/deepseek-coder");
    listed_get(&l, "cohere/command-r");
    listed_get(&l, "togetherai/mistralai/Mixtral-8x7B-Instruct-v0.1");
    listed_get(&l, "openai/1024-x-1024/dall-e-2");
}


static void
test_litellm(void)
{
    const mg_model_t  *m;

    listed_source(&l, "litellm", listed_slurp(LITELLM), 0);
    is_str(l.error.message, "", "LiteLLM's list is read");
    is_int(l.n, 24, "models");
    is_int(l.skipped, 1, "one stands there twice, under two names");
    check_litellm_names();

    m = listed_get(&l, "openai/gpt-4o");
    is_int(m->price[MG_PRICE_INPUT], INT64_C(2500000000),
           "2.5e-06 USD a token");
    is_int(m->price[MG_PRICE_CACHE_READ], INT64_C(1250000000), "cache");
    is_int(m->input_limit, 128000, "max_input_tokens");
    is_int(m->context, UNKNOWN, "which is no context");
    is_int(m->output_limit, 16384, "max_output_tokens");
    is_int(m->caps[MG_CAP_VISION], 1, "vision");
    is_int(m->caps[MG_CAP_REASONING], -1, "what is absent is unknown");
    is_int(m->name_inferred, 1, "it has no names");
    is_int(m->type_inferred, 0, "but types");
    like(m->extra.data, "\"supports_prompt_caching\":true", "the rest");

    m = listed_get(&l, "deepseek/deepseek-chat");
    is_int(m->price[MG_PRICE_INPUT], 140000000, "the first of two");

    m = listed_get(&l, "cohere/rerank-english-v3.0");
    is_int(m->type, MG_TYPE_RERANK, "mode rerank");
    is_int(m->price[MG_PRICE_INPUT], UNKNOWN, "sold by the search, not at 0");
    is_int(listed_get(&l, "azure/whisper-1")->type, MG_TYPE_AUDIO, "speech");
    is_int(listed_get(&l, "openai/babbage-002")->type, MG_TYPE_OTHER,
           "completions");

    m = listed_get(&l, "anthropic/claude-sonnet-4-20250514");
    is_str(listed_z(m->price_tiers), "[{\"input\":6,\"output\":22.5,"
           "\"cache_read\":0.6,\"cache_write\":7.5,\"tier\":{\"type\":"
           "\"context\",\"size\":200000}}]", "a tier, as models.dev has it");
    is_str(listed_z(m->deprecation_date), "2026-05-14", "deprecation_date");
    listed_free(&l);
}


static void
test_litellm_odd(void)
{
    const mg_model_t  *m;

    listed_source(&l, "litellm", mg_str(
        "{\"sample_spec\":{\"litellm_provider\":\"one of https://x\","
        "\"max_tokens\":\"set to max\"},"
        "\"a\":{\"litellm_provider\":\"p\",\"mode\":\"chat\","
        "\"input_cost_per_token\":3.3333333333333335e-05,"
        "\"output_cost_per_token\":-1,"
        "\"input_cost_per_token_above_272k_tokens\":2e-6,"
        "\"output_cost_per_token_above_128k_tokens\":1e-6,"
        "\"input_cost_per_token_above_128k_tokens\":\"x\","
        "\"input_cost_per_token_above_-1k_tokens\":1,"
        "\"input_cost_per_token_above_1hr\":1,"
        "\"input_cost_per_token_above_200k_tokens_priority\":1},"
        "\"b\":{\"mode\":\"chat\"},\"c\":{\"litellm_provider\":\"P Q\"},"
        "\"d\":7,\"e\":[],\"\":{\"litellm_provider\":\"p\"},"
        "\"p/\":{\"litellm_provider\":\"p\"},"
        "\"q/m\":{\"litellm_provider\":\"p\"}}"), 0);

    is_str(l.error.message, "", "odd entries do not break the list");
    is_int(l.n, 3, "those that can be used");
    is_int(l.skipped, 4, "the others are reported, the sample is not");

    m = listed_get(&l, "p/a");
    is_int(m->price[MG_PRICE_INPUT], INT64_C(33333333333),
           "float rubbish is rounded to 10^-15 USD");
    is_int(m->price[MG_PRICE_OUTPUT], UNKNOWN, "a negative price is none");
    is_str(listed_z(m->price_tiers), "[{\"output\":1,\"tier\":{\"type\":"
           "\"context\",\"size\":128000}},{\"input\":2,\"tier\":{\"type\":"
           "\"context\",\"size\":272000}}]", "tiers, in order, and no more");
    listed_get(&l, "p/p/");
    listed_get(&l, "p/q/m");
    listed_free(&l);
}


/* -- OpenRouter -- */

static void
test_openrouter(void)
{
    const mg_model_t  *m;

    listed_source(&l, "openrouter", listed_slurp(OPENROUTER), 0);
    is_str(l.error.message, "", "OpenRouter's list is read");
    is_int(l.n, 9, "models");

    m = listed_get(&l, "openrouter/openrouter/auto");
    is_str(listed_z(m->provider_id), "openrouter", "its provider");
    is_str(listed_z(m->provider_model_id), "openrouter/auto", "its id");
    is_int(m->price[MG_PRICE_INPUT], UNKNOWN, "a price that varies");

    m = listed_get(&l, "openrouter/google/gemma-3-4b-it");
    is_int(m->price[MG_PRICE_OUTPUT], 68153600, "14 decimals");
    is_int(m->context, 96000, "context_length");
    ok(m->description.len > 0, "description");
    listed_free(&l);

    listed_source(&l, "openrouter", mg_str("{\"data\":[{\"id\":\"a\"},"
                  "{\"id\":\"a\"},{\"name\":\"b\"},{\"id\":\"x\\u0001\"},"
                  "7],\"links\":{\"next\":null},\"total_count\":5}"), 0);
    is_int(l.rc, MG_OK, "odd entries do not break the list");
    is_int(l.n, 1, "one is sound");
    is_int(l.skipped, 4, "twice, without an id, a bad id, a number");
    listed_free(&l);
}


/* -- models.dev without providers -- */

static const char  models_list[] =
    "{\"lab/m\":{\"id\":\"lab/m\",\"name\":\"M\",\"description\":\"A model\","
    "\"family\":\"fam\",\"limit\":{\"context\":1000,\"output\":100},"
    "\"modalities\":{\"input\":[\"text\"],\"output\":[\"image\"]},"
    "\"license\":\"MIT\",\"links\":[{\"url\":\"https://x\"}],"
    "\"weights\":[],\"benchmarks\":["
    "{\"name\":\"MMLU\",\"score\":87.50,\"metric\":\"accuracy\","
    "\"variant\":\"5-shot\",\"source\":\"https://y\",\"date\":\"2026-05\","
    "\"version\":2},"
    "{\"name\":\"Elo\",\"score\":\"-12.5\"},{\"name\":\"none\"},"
    "{\"score\":1},7]},"
    "\"lab/e/f\":{\"name\":\"F\"},\"lonely\":{\"name\":\"L\"},"
    "\"/m\":{},\"lab/\":{},\"Lab X/m\":{\"name\":\"N\"}}";


static void
test_models_list(void)
{
    const mg_model_t      *m;
    const mg_benchmark_t  *b;

    listed_source(&l, "models.dev-models", mg_str_z(models_list), 0);
    is_str(l.error.message, "", "models.json is read");
    is_int(l.n, 2, "models");
    is_int(l.skipped, 7, "3 benchmarks and 4 entries are reported");

    m = listed_get(&l, "lab/m");
    is_str(listed_z(m->provider_id), "lab", "the lab");
    is_str(listed_z(m->source_model_id), "lab/m", "its id there");
    is_str(listed_z(m->description), "A model", "description");
    is_int(m->context, 1000, "limits");
    is_str(listed_z(m->extra), "{\"license\":\"MIT\",\"links\":[{\"url\":"
           "\"https://x\"}],\"weights\":[]}", "what no column holds, but not "
           "the benchmarks");
    is_int(m->type, MG_TYPE_IMAGE, "the type follows from modalities");
    is_int(m->type_inferred, 0, "so it is as good as stated");
    is_str(listed_z(listed_get(&l, "lab/e/f")->provider_model_id), "e/f",
           "only the first slash parts");

    is_int(l.n_benchmarks, 2, "benchmarks");
    b = &l.benchmarks[0];
    is_str(listed_z(b->model_id), "lab/m", "of which model");
    is_str(listed_z(b->score), "87.50", "the score as it came");
    is_str(listed_z(b->variant), "5-shot", "variant");
    is_str(listed_z(b->version), "2", "a version that is a number");
    is_str(listed_z(b->url), "https://y", "where it was published");
    is_str(listed_z(b->date), "2026-05", "when");
    is_str(listed_z(b->source), "models.dev", "who says so");
    is_str(listed_z(l.benchmarks[1].score), "-12.5", "a score below 0");
    is_str(listed_z(l.benchmarks[1].metric), NULL, "absent is absent");
    listed_free(&l);
}


/* -- the Hub -- */

static void
test_hub(void)
{
    const mg_model_t  *m;

    listed_source(&l, "huggingface-hub", mg_str(
        "[{\"_id\":\"1\",\"id\":\"org/m\",\"private\":false,\"gated\":"
        "\"manual\",\"pipeline_tag\":\"text-generation\",\"tags\":[\"gguf\","
        "\"license:mit\"],\"likes\":7,\"downloads\":99,\"createdAt\":"
        "\"2024-07-18T08:56:00.000Z\",\"library_name\":\"transformers\"},"
        "{\"id\":\"org/secret\",\"private\":true},{\"likes\":1},"
        "{\"id\":\"org/e\",\"pipeline_tag\":\"sentence-similarity\"}]"), 0);
    is_str(l.error.message, "", "the Hub's list is read");
    is_int(l.n, 2, "public models");
    is_int(l.skipped, 1, "a private one is not reported");

    m = listed_get(&l, "huggingface/org/m");
    is_str(listed_z(m->release_date), "2024-07-18", "createdAt");
    is_str(listed_z(m->tags), "[\"gguf\",\"license:mit\"]", "tags");
    like(m->extra.data, "\"likes\":7,\"downloads\":99", "likes, downloads");
    is_int(listed_get(&l, "huggingface/org/e")->type, MG_TYPE_EMBEDDING,
           "the task tells the type");
    listed_free(&l);
}


/* -- whatever the source -- */

static void
test_refused(void)
{
    size_t              i;
    const mg_source_t  *s;

    static const char  *bodies[] = {
        "", "<!DOCTYPE html><html></html>", "7", "null", "{\"data\":",
        "{\"a/b\":{\"name\":\"x\"", "[{\"id\":\"a/b\"}", "{\"data\":[]}x",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
    };

    for (s = mg_sources; s->name.data; s++) {
        for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
            listed_source(&l, s->name.data, mg_str_z(bodies[i]), 3);
            ok(l.rc == MG_ERROR && l.error.message[0],
               "%s: refused: %s", s->name.data, bodies[i]);
            listed_free(&l);
        }
    }

    listed_source(&l, "openrouter", mg_str("{\"error\":{\"code\":429}}"), 0);
    is_int(l.rc, MG_ERROR, "an error is no list");
    like(l.error.message, "no array under data", "and what is missing");
    listed_free(&l);

    listed_source(&l, "huggingface-hub", mg_str("{\"error\":\"x\"}"), 0);
    like(l.error.message, "no array at the top", "at the top");
    listed_free(&l);

    listed_source(&l, "litellm", mg_str("[]"), 0);
    like(l.error.message, "no object at the top", "an array is no object");
    listed_free(&l);
}


/* Strings, levels, ends that no list has. */

static void
test_hostile(void)
{
    char      *big;
    size_t     i;
    unsigned   n;

    big = malloc(2 * 1024 * 1024);
    memset(big, 'x', 2 * 1024 * 1024);

    listed_init(&l);
    listed_feed(&l, "litellm", mg_str("{"), 0);
    is_int(l.rc, MG_ERROR, "half a document");
    listed_free(&l);

    n = (unsigned) snprintf(big, 64, "{\"m\":{\"litellm_provider\":\"p\",\"k");
    big[n] = 'x';
    memcpy(big + 2 * 1024 * 1024 - 5, "\":1}}", 5);
    listed_source(&l, "litellm", mg_str_n(big, 2 * 1024 * 1024), 65536);
    is_int(l.error.kind, MG_E_TOO_LARGE, "a key of 2 MiB");
    listed_free(&l);

    for (i = 0; i < 1000; i++) {
        memcpy(big + i * 9, "{\"a\":[[[", 8);
        big[i * 9 + 8] = ' ';
    }

    listed_source(&l, "models.dev-models", mg_str_n(big, 9000), 1000);
    is_int(l.rc, MG_ERROR, "thousands of levels");
    listed_free(&l);

    free(big);

    listed_init(&l);
    l.stop_after = 2;
    listed_feed(&l, "litellm", listed_slurp(LITELLM), 0);
    is_int(l.n, 2, "who wants no more is obeyed");
    is_int(l.error.kind, MG_E_CANCELLED, "in his words");
    listed_free(&l);
}


static void
same(const char *name, mg_str_t text, size_t piece)
{
    unsigned  i, differ;

    listed_source(&l, name, text, 0);
    listed_source(&other, name, text, piece);
    differ = (l.n != other.n) + (l.n_benchmarks != other.n_benchmarks)
             + (l.skipped != other.skipped);

    for (i = 0; i < l.n && differ == 0; i++) {
        differ += !mg_str_eq(l.models[i].id, other.models[i].id)
                  || !mg_str_eq(l.models[i].extra, other.models[i].extra)
                  || memcmp(l.models[i].price, other.models[i].price,
                            sizeof(l.models[i].price)) != 0;
    }

    ok(l.n > 0 && differ == 0, "%s in pieces of %d bytes", name, (int) piece);
    listed_free(&l);
    listed_free(&other);
}


static void
test_pieces(void)
{
    static const size_t  pieces[] = { 1, 2, 3, 7, 61, 1009 };

    size_t  i;

    for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        same("litellm", listed_slurp(LITELLM), pieces[i]);
        same("openrouter", listed_slurp(OPENROUTER), pieces[i]);
        same("models.dev-models", mg_str_z(models_list), pieces[i]);
    }
}


/* -- packages -- */

static void
package(const char *id, const char *npm, const char *protocol)
{
    mg_provider_t  p;

    mg_provider_init(&p);
    p.id = mg_str_z(id);
    p.npm = mg_str_z(npm);

    is_str(mg_package_protocol(&p).data, protocol, "protocol of %s", id);
    ok(protocol == NULL || mg_protocol_find(mg_str_z(protocol)),
       "which is known");
}


static void
test_packages(void)
{
    package("openai", "@ai-sdk/openai", "openai");
    package("google", "@ai-sdk/google", "google");
    package("groq", "@ai-sdk/groq", "openai");
    package("azure", "@ai-sdk/azure", "azure");
    package("huggingface", "@ai-sdk/openai-compatible", "huggingface");
    package("amazon-bedrock", "@ai-sdk/amazon-bedrock", NULL);
    package("own", NULL, NULL);
}


int
main(void)
{
    test_table();
    test_litellm();
    test_litellm_odd();
    test_openrouter();
    test_models_list();
    test_hub();
    test_refused();
    test_hostile();
    test_pieces();
    test_packages();

    return done_testing();
}
