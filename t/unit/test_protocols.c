/*
 * Breaks when a provider's list is misread: an id cut or doubled, a limit or
 * a price that was not stated, a page that is not asked for, a member that is
 * lost; when a probe asks in another protocol's words; when a broken or
 * hostile list is taken for one that is empty.
 *
 * Lists are recorded answers, see t/data/captures/models/SOURCES.
 */

#include "listed.h"


#define LISTS    "t/data/captures/models/"
#define UNKNOWN  MG_UNKNOWN


static listed_t  l;


static const mg_protocol_t *
protocol(const char *name)
{
    return mg_protocol_find(mg_str_z(name));
}


static void
recorded(const char *name, const char *file, unsigned models,
    unsigned skipped)
{
    char  path[128];

    snprintf(path, sizeof(path), LISTS "%s", file);
    listed_list(&l, protocol(name), listed_slurp(path));

    is_str(l.error.message, "", "%s is read by %s", file, name);
    is_int(l.n, models, "its models");
    is_int(l.skipped, skipped, "those that are skipped");
    is_str(l.n ? listed_z(l.models[0].source) : NULL, name, "their source");
}


static void
given(const char *name, const char *text, unsigned models)
{
    listed_list(&l, protocol(name), mg_str_z(text));
    is_str(l.error.message, "", "%s: a list is read", name);
    is_int(l.n, models, "%s: its models", name);
}


/* -- one after the other -- */

static void
test_anthropic(void)
{
    const mg_model_t  *m;

    recorded("anthropic", "anthropic.json", 11, 0);
    m = listed_get(&l, "claude-opus-4-20250514");
    is_str(listed_z(m->name), "Claude Opus 4", "display_name");
    is_int(m->name_inferred, 0, "is stated");
    is_str(listed_z(m->release_date), "2025-05-22", "created_at, its day");
    is_int(m->context, UNKNOWN, "no context is stated");
    is_int(m->type_inferred, 1, "the type is a guess");
    is_str(listed_z(m->extra), "{\"type\":\"model\"}", "the rest is kept");
    listed_free(&l);

    given("anthropic", "{\"data\":[{\"id\":\"m\",\"max_input_tokens\":1000000,"
          "\"max_tokens\":128000,\"lifecycle\":\"retired\","
          "\"retires_at\":\"2026-09-01T00:00:00Z\",\"capabilities\":{"
          "\"image_input\":{\"supported\":true},\"thinking\":{\"supported\":"
          "true,\"types\":{\"enabled\":{\"supported\":false}}},"
          "\"structured_outputs\":{\"supported\":false},\"batch\":{"
          "\"supported\":true}}}],\"has_more\":false}", 1);
    m = listed_get(&l, "m");
    is_int(m->input_limit, 1000000, "max_input_tokens");
    is_int(m->output_limit, 128000, "max_tokens");
    is_str(listed_z(m->status), "deprecated", "retired is deprecated");
    is_str(listed_z(m->deprecation_date), "2026-09-01", "and when");
    is_int(m->caps[MG_CAP_VISION], 1, "image_input");
    is_int(m->caps[MG_CAP_REASONING], 1, "thinking");
    is_int(m->caps[MG_CAP_JSON_MODE], 0, "structured_outputs");
    is_int(m->attachment, -1, "pdf_input is not stated");
    like(m->extra.data, "\"thinking\":{\"types\":", "details are kept");
    like(m->extra.data, "\"lifecycle\":\"retired\"", "the word, too");
    listed_free(&l);
}


static void
test_google(void)
{
    const mg_model_t  *m;

    recorded("google", "google-page.json", 8, 0);
    m = listed_get(&l, "gemini-2.5-pro");
    is_str(listed_z(m->source_model_id), "models/gemini-2.5-pro",
           "the id is what stands behind models/");
    is_str(listed_z(m->name), "Gemini 2.5 Pro", "displayName");
    is_str(listed_z(m->version), "2.5", "version");
    is_int(m->input_limit, 1048576, "inputTokenLimit");
    is_int(m->output_limit, 65536, "outputTokenLimit");
    is_int(m->caps[MG_CAP_REASONING], 1, "thinking");
    like(m->extra.data, "\"createCachedContent\"", "methods are kept");

    m = listed_get(&l, "text-embedding-004");
    is_int(m->type, MG_TYPE_EMBEDDING, "embedContent");
    is_int(m->type_inferred, 0, "states the type");
    is_int(m->caps[MG_CAP_REASONING], -1, "no thinking is not no");
    is_int(listed_get(&l, "imagen-4.0-generate-preview-06-06")->type,
           MG_TYPE_IMAGE, "predict");
    is_int(listed_get(&l, "gemini-2.5-flash-preview-tts")->type,
           MG_TYPE_AUDIO, "speech by generateContent, by its name");
    listed_free(&l);

    given("google", "{\"models\":[{\"name\":\"tunedModels/mine\"},"
          "{\"name\":\"models/\"}]}", 2);
    listed_get(&l, "tunedModels/mine");
    listed_get(&l, "models/");
    listed_free(&l);
}


static void
test_mistral(void)
{
    const mg_model_t  *m;

    recorded("mistral", "mistral.json", 65, 2);
    m = listed_get(&l, "voxtral-mini-2507");
    is_int(m->context, 32768, "the first entry's context");
    is_int(m->caps[MG_CAP_AUDIO], 1, "capabilities are united");
    is_int(m->type, MG_TYPE_CHAT, "one of the two chats");
    like(m->extra.data, "\"default_model_temperature\"", "the rest is kept");

    m = listed_get(&l, "mistral-large-latest");
    is_int(m->name_inferred, 1, "a name that is null is not stated");
    is_str(listed_z(m->name), "mistral-large-latest", "the id stands for it");
    is_int(listed_get(&l, "mistral-embed")->type, MG_TYPE_EMBEDDING,
           "embeddings, by the name");
    listed_free(&l);
}


static void
test_cohere(void)
{
    const mg_model_t  *m;

    recorded("cohere", "cohere.json", 21, 0);
    m = listed_get(&l, "command-r-08-2024");
    is_int(m->type, MG_TYPE_CHAT, "generates, chats: chat");
    is_int(m->context, 132096, "context_length");
    is_int(m->caps[MG_CAP_FUNCTION_CALLING], 1, "a feature that is listed");
    is_int(m->caps[MG_CAP_REASONING], 0, "one that is not");

    m = listed_get(&l, "rerank-v3.5");
    is_int(m->type, MG_TYPE_RERANK, "rerank");
    is_int(m->caps[MG_CAP_FUNCTION_CALLING], -1, "features null: unknown");
    is_int(l.types[MG_TYPE_EMBEDDING], 8, "embeddings");
    is_int(listed_get(&l, "c4ai-aya-vision-32b")->caps[MG_CAP_VISION], 1,
           "vision");
    listed_free(&l);
}


static void
test_azure(void)
{
    const mg_model_t  *m;

    recorded("azure", "azure.json", 9, 2);
    ok(!protocol("azure")->authority, "what is deployed is another matter");

    m = listed_get(&l, "gpt-35-turbo-0301");
    is_int(m->type, MG_TYPE_CHAT, "completes and chats: chat");
    is_str(listed_z(m->status), "deprecated", "lifecycle_status");
    is_str(listed_z(m->deprecation_date), "2025-04-30", "unix seconds");

    m = listed_get(&l, "text-embedding-ada-002");
    is_int(m->type, MG_TYPE_EMBEDDING, "listed twice, embeds");
    is_str(listed_z(m->status), NULL, "generally available is no status");

    m = listed_get(&l, "Llama-3.3-70B-Instruct");
    is_str(listed_z(m->deprecation_date), NULL, "2099 is no date");
    is_str(listed_z(listed_get(&l, "sora-2025-05-02")->status), "beta",
           "preview is beta");
    is_int(listed_get(&l, "davinci")->type, MG_TYPE_OTHER, "only completes");
    listed_free(&l);
}


static void
test_ollama(void)
{
    const mg_model_t  *m;

    recorded("ollama", "ollama-tags.json", 2, 0);
    m = listed_get(&l, "snowflake-arctic-embed:22m");
    is_str(listed_z(m->family), "bert", "details.family");
    is_int(m->type, MG_TYPE_EMBEDDING, "by its name");
    like(m->extra.data, "\"details\":{\"parent_model\":\"\"", "the rest");
    listed_free(&l);

    given("ollama", "{\"models\":[{\"model\":\"m\",\"capabilities\":["
          "\"completion\",\"tools\",\"thinking\"]}]}", 1);
    m = listed_get(&l, "m");
    is_int(m->type, MG_TYPE_CHAT, "completion");
    is_int(m->type_inferred, 0, "is stated");
    is_int(m->caps[MG_CAP_FUNCTION_CALLING], 1, "tools");
    is_int(m->caps[MG_CAP_REASONING], 1, "thinking");
    is_int(m->caps[MG_CAP_VISION], 0, "no vision");
    listed_free(&l);

    recorded("openai", "ollama.json", 5, 0);
    listed_get(&l, "gpt-oss:latest");
    listed_free(&l);
}


static void
test_gpustack(void)
{
    const mg_model_t  *m;

    recorded("gpustack", "gpustack.json", 5, 0);
    m = listed_get(&l, "llama3.2");
    is_int(m->context, 8192, "the context it runs with, not the trained");
    is_int(m->caps[MG_CAP_FUNCTION_CALLING], 1, "support_tool_calls");
    is_int(m->caps[MG_CAP_VISION], 0, "support_vision");
    is_int(m->type, MG_TYPE_CHAT, "llm");
    like(m->extra.data, "\"temperature\":0.800000011920929",
         "numbers as they came");
    like(m->extra.data, "\"ready_replicas\":1", "replicas");

    m = listed_get(&l, "faster-whisper-tiny");
    is_int(m->type, MG_TYPE_AUDIO, "speech_to_text");
    is_int(m->context, UNKNOWN, "meta is empty");
    is_int(listed_get(&l, "jina-reranker-v2-base-multilingual")->type,
           MG_TYPE_RERANK, "reranker");
    is_int(m->active, 1, "a model without a ready replica has not gone");
    listed_free(&l);

    given("gpustack", "{\"data\":[{\"id\":\"m\"}]}", 1);
    listed_free(&l);
}


static void
test_kserve(void)
{
    const mg_protocol_t  *p;

    p = protocol("kserve_v2");
    is_str(p->list_path, "/v2/repository/index", "the repository's index");
    is_str(p->list_body, "{}", "is POSTed for");
    ok(protocol("openai")->list_body == NULL, "which others are not");

    given("kserve_v2", "[{\"name\":\"fraud\",\"version\":\"1\",\"state\":"
          "\"READY\",\"reason\":\"\"},{\"name\":\"fraud\",\"version\":"
          "\"2\"},{\"name\":\"bert-embed\",\"state\":\"UNAVAILABLE\","
          "\"reason\":\"unloaded\"}]", 2);
    is_int(l.skipped, 1, "a model stands once for each version");
    is_str(listed_z(listed_get(&l, "fraud")->version), "1", "the first");
    like(listed_get(&l, "bert-embed")->extra.data,
         "\"state\":\"UNAVAILABLE\"", "the state is kept");
    listed_free(&l);
}


static void
test_openrouter(void)
{
    const mg_model_t  *m;

    recorded("openrouter", "openrouter.json", 9, 0);
    ok(!protocol("openrouter")->authority, "an aggregator");

    m = listed_get(&l, "google/gemma-3-4b-it");
    is_int(m->price[MG_PRICE_INPUT], 17030120,
           "0.00000001703012 USD a token, exactly");
    is_int(m->price[MG_PRICE_REASONING], UNKNOWN,
           "reasoning at 0 is in the output's price");

    m = listed_get(&l, "openrouter/auto");
    is_int(m->price[MG_PRICE_INPUT], UNKNOWN, "-1 is unknown");
    like(m->extra.data, "\"pricing\":{\"prompt\":\"-1\","
         "\"completion\":\"-1\"}", "and is kept");

    m = listed_get(&l, "perplexity/sonar-deep-research");
    is_int(m->price[MG_PRICE_REASONING], INT64_C(3000000000), "reasoning");
    like(m->extra.data, "\"web_search\":\"0.005\"", "a price of no column");

    m = listed_get(&l, "nvidia/nemotron-nano-12b-v2-vl:free");
    is_int(m->price[MG_PRICE_INPUT], 0, "free is free");
    is_int(m->output_limit, 128000, "top_provider.max_completion_tokens");
    is_int(m->caps[MG_CAP_REASONING], 1, "supported_parameters");
    is_int(m->caps[MG_CAP_JSON_MODE], 0, "what they leave out");

    m = listed_get(&l, "google/gemini-2.5-flash-preview-09-2025");
    is_int(m->price[MG_PRICE_INPUT_AUDIO], INT64_C(1000000000), "audio");
    is_int(m->price[MG_PRICE_CACHE_WRITE], 383300000, "input_cache_write");
    is_str(listed_z(m->release_date), NULL, "created is no release");
    is_str(listed_z(m->modalities_in),
           "[\"text\",\"image\",\"audio\",\"file\"]", "modalities in order");
    listed_free(&l);
}


static void
test_huggingface(void)
{
    const mg_model_t  *m;

    given("huggingface", "{\"data\":[{\"id\":\"lab/m\",\"providers\":["
          "{\"provider\":\"a\",\"status\":\"live\",\"context_length\":1000,"
          "\"pricing\":{\"input\":1.4,\"output\":4},\"supports_tools\":true},"
          "{\"provider\":\"b\",\"status\":\"live\",\"context_length\":2000,"
          "\"pricing\":{\"input\":1.40,\"output\":5},\"supports_tools\":"
          "false},{\"provider\":\"c\",\"status\":\"error\",\"pricing\":{"
          "\"input\":9}},7]},{\"id\":\"n\",\"providers\":null}]}", 2);
    ok(!protocol("huggingface")->authority, "an aggregator");

    m = listed_get(&l, "lab/m");
    is_int(m->price[MG_PRICE_INPUT], INT64_C(1400000000),
           "a price on which all that are live agree");
    is_int(m->price[MG_PRICE_OUTPUT], UNKNOWN, "one on which they do not");
    is_int(m->context, UNKNOWN, "nor on the context");
    is_int(m->caps[MG_CAP_FUNCTION_CALLING], 1, "one of them has tools");
    like(m->extra.data, "\"provider\":\"c\"", "all of them are kept");
    listed_free(&l);
}


static void
test_likes(void)
{
    const mg_model_t  *m;

    recorded("deepseek", "deepseek.json", 2, 0);
    listed_free(&l);

    given("deepseek", "{\"data\":[{\"id\":\"m\",\"context_window\":131072,"
          "\"max_output_tokens\":8192,\"modalities\":[\"text\"]},"
          "{\"id\":\"n\",\"modalities\":{\"input\":[\"image\",\"text\"],"
          "\"output\":[\"text\"]}}]}", 2);
    m = listed_get(&l, "m");
    is_int(m->context, 131072, "context_window");
    is_int(m->output_limit, 8192, "max_output_tokens");
    is_str(listed_z(m->modalities_in), "[\"text\"]", "one list");
    is_int(listed_get(&l, "n")->caps[MG_CAP_VISION], 1, "two lists");
    listed_free(&l);

    recorded("xai", "xai.json", 11, 0);
    listed_free(&l);

    given("xai", "{\"models\":[{\"id\":\"m\",\"prompt_text_token_price\":"
          "20000,\"completion_text_token_price\":100000,"
          "\"cached_prompt_text_token_price\":7500,\"input_modalities\":["
          "\"text\",\"image\"],\"output_modalities\":[\"text\"]}]}", 1);
    m = listed_get(&l, "m");
    is_int(m->price[MG_PRICE_INPUT], INT64_C(2000000000),
           "20000 cents for 100 million tokens are 2 USD for one");
    is_int(m->price[MG_PRICE_OUTPUT], INT64_C(10000000000), "output");
    is_int(m->price[MG_PRICE_CACHE_READ], 750000000, "cached");
    is_int(m->caps[MG_CAP_VISION], 1, "modalities");
    listed_free(&l);

    given("openai", "[{\"id\":\"t\",\"type\":\"chat\",\"pricing\":{"
          "\"input\":0.18,\"output\":0.045000000000000005,\"hourly\":0}},"
          "{\"id\":\"i\",\"type\":\"image\",\"pricing\":{\"input\":0,"
          "\"output\":0}},{\"id\":\"v\",\"type\":\"language\",\"tags\":["
          "\"a\"],\"pricing\":{\"input\":\"0.0000003\",\"output\":\"-1\","
          "\"input_cache_read\":\"0.00000003\"}},{\"id\":\"g\",\"active\":"
          "false,\"meta\":{\"n_ctx_train\":4096,\"n_vocab\":9}}]", 4);
    m = listed_get(&l, "t");
    is_int(m->price[MG_PRICE_INPUT], 180000000, "Together: per million");
    is_int(m->price[MG_PRICE_OUTPUT], 45000000, "rubbish is rounded");
    like(m->extra.data, "\"pricing\":{\"hourly\":0}", "what has no column");
    is_int(listed_get(&l, "i")->price[MG_PRICE_INPUT], UNKNOWN,
           "a picture's 0 per token is no price");
    m = listed_get(&l, "v");
    is_int(m->price[MG_PRICE_INPUT], 300000000, "Vercel: per token");
    is_int(m->price[MG_PRICE_CACHE_READ], 30000000, "cached");
    is_int(m->price[MG_PRICE_OUTPUT], UNKNOWN, "-1");
    is_str(listed_z(m->tags), "[\"a\"]", "tags");
    is_int(m->type_inferred, 0, "a type that is stated");
    m = listed_get(&l, "g");
    is_int(m->active, 0, "Groq: not active");
    is_int(m->context, 4096, "llama.cpp: meta");
    like(m->extra.data, "\"meta\":{\"n_vocab\":9}", "the rest of meta");
    listed_free(&l);
}


/* -- pages -- */

static void
page(const char *name, mg_str_t body, int rc, const char *path)
{
    int                   got;
    char                  text[256];
    mg_str_t              next;
    mg_arena_t           *a;
    mg_error_t            e;
    const mg_protocol_t  *p;

    p = protocol(name);
    a = mg_arena_create(0);
    memset(&e, 0, sizeof(e));
    next = mg_str_null;

    got = p->next(body, mg_str_null, a, &next, &e);
    is_int(got, rc, "%s: %.60s", name, path ? path : "no page");

    if (got == MG_OK) {
        snprintf(text, sizeof(text), MG_STR_FMT, MG_STR_ARG(next));
        is_str(text, path, "its path");
    }

    ok(got != MG_ERROR || e.message[0], "an error has words");
    mg_arena_destroy(a);
}


static void
test_pages(void)
{
    page("google", listed_slurp(LISTS "google-page.json"), MG_OK,
         "/models?pageSize=1000&pageToken=Ci5tb2RlbHMvaW1hZ2VuLTQuMC11bHRyYS1n"
         "ZW5lcmF0ZS1wcmV2aWV3LTA2LTA2");
    page("google", listed_slurp(LISTS "google-last.json"), MG_DECLINED, NULL);
    page("google", mg_str("{\"models\":[],\"nextPageToken\":\"a&b=c\\r\\n\"}"),
         MG_OK, "/models?pageSize=1000&pageToken=a%26b%3Dc%0D%0A");
    page("google", mg_str("<html>"), MG_ERROR, NULL);

    page("cohere", listed_slurp(LISTS "cohere.json"), MG_OK,
         "/v1/models?page_size=1000&page_token=S_-BAwEBCVBhZ2VUb2tlbgH_ggABBAE"
         "CSUQBDAABC0ZUUGFnZVRva2VuAQwAAQtJbkZpbmV0dW5lcwECAAEIQ2hlY2tzdW0BBgA"
         "AAC__ggEkYTQ0Zjc3ZTMtNDIwNy00YjcyLWIyNGMtZmZiNTg0ZDQ2MWI4A_xo327JAA%"
         "3D%3D");
    page("cohere", mg_str("{\"models\":[],\"next_page_token\":null}"),
         MG_DECLINED, NULL);

    page("anthropic", listed_slurp(LISTS "anthropic.json"), MG_DECLINED,
         NULL);
    page("anthropic", mg_str("{\"data\":[],\"has_more\":true,\"last_id\":"
         "\"claude-2.1\"}"), MG_OK, "/models?limit=1000&after_id=claude-2.1");
    page("anthropic", mg_str("{\"data\":[],\"has_more\":true}"), MG_DECLINED,
         NULL);

    page("gpustack", listed_slurp(LISTS "gpustack.json"), MG_DECLINED, NULL);
    page("gpustack", mg_str("{\"items\":[],\"pagination\":{\"page\":2,"
         "\"totalPage\":3}}"), MG_OK, "/models?perPage=100&page=3");
    page("gpustack", mg_str("{\"pagination\":{\"page\":-9,\"totalPage\":3}}"),
         MG_DECLINED, NULL);

    page("openrouter", listed_slurp(LISTS "openrouter.json"), MG_DECLINED,
         NULL);
    page("openrouter", mg_str("{\"links\":{\"next\":\"https://10.0.0.1/x?"
         "offset=5&limit=2\"}}"), MG_OK, "/models?offset=5&limit=2");
    page("openrouter", mg_str("{\"links\":{\"next\":\"/x?a=b\\r\\nc\"}}"),
         MG_ERROR, NULL);
}


/* -- whatever the protocol -- */

static void
test_refused(void)
{
    size_t                i;
    unsigned              n;
    const mg_protocol_t  *p;

    static const char  *bodies[] = {
        "", "{}", "[", "<!DOCTYPE html><html></html>", "7", "null", "\"data\"",
        "{\"data\":{},\"models\":null,\"items\":7}",
        "{\"data\":[{\"id\":\"m\"}", "{\"models\":[{\"name\":\"m\"},",
        "{\"error\":{\"message\":\"no\"}}", "{\"data\":[],\"data\":[]}"
    };

    for (n = 0; (p = mg_protocol_at(n)) != NULL; n++) {
        ok(mg_protocol_find(p->name) == p, "%s is found", p->name.data);
        ok(p->list && p->probe && p->judge && p->list_path[0] == '/',
           "%s is whole", p->name.data);

        for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
            listed_list(&l, p, mg_str_z(bodies[i]));
            ok(l.rc == MG_ERROR && l.n == 0 && l.error.message[0],
               "%s: no list: %s", p->name.data, bodies[i]);
            listed_free(&l);
        }

        listed_list(&l, p, mg_str("[]"));
        ok(l.rc == MG_OK && l.n == 0, "an empty list is a list");
        listed_free(&l);

        listed_list(&l, p, mg_str("[null,7,[],{},{\"id\":\"\",\"name\":7}]"));
        is_int(l.rc, MG_OK, "entries that are none do not break a list");
        is_int(l.skipped, 5, "they are counted");
        listed_free(&l);
    }

    is_int(n, 13, "protocols");
}


/* An array of n times text between begin and end, in a buffer. */

static void
repeat(mg_buf_t *b, const char *begin, const char *text, unsigned n,
    const char *end)
{
    mg_buf_init(b, 0);
    mg_buf_z(b, begin);

    while (n--) {
        mg_buf_z(b, text);
    }

    mg_buf_z(b, end);
}


static void
test_hostile(void)
{
    unsigned  i;
    mg_buf_t  b;

    repeat(&b, "{\"data\":", "[", 200, "");
    listed_list(&l, protocol("openai"), mg_buf_view(&b));
    is_int(l.rc, MG_ERROR, "200 levels");
    listed_free(&l);
    mg_buf_free(&b);

    repeat(&b, "{\"data\":[{\"id\":\"", "x", 2 * 1024 * 1024, "\"}]}");
    listed_list(&l, protocol("google"), mg_buf_view(&b));
    is_int(l.rc, MG_ERROR, "an id of 2 MiB");
    listed_free(&l);
    mg_buf_free(&b);

    repeat(&b, "[{}", ",{}", 10001, "]");
    listed_list(&l, protocol("cohere"), mg_buf_view(&b));
    is_int(l.error.kind, MG_E_TOO_LARGE, "10,002 models");
    listed_free(&l);
    mg_buf_free(&b);

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "[{\"id\":\"m\"");

    for (i = 0; i < 200; i++) {
        mg_buf_printf(&b, ",\"k%u\":1", i);
    }

    mg_buf_z(&b, "},{\"id\":\"n\"}]");
    listed_list(&l, protocol("openai"), mg_buf_view(&b));
    is_int(l.n, 1, "a model with 200 members is skipped");
    is_int(l.skipped, 1, "and counted");
    listed_free(&l);
    mg_buf_free(&b);

    listed_list(&l, protocol("openai"), mg_str("[{\"id\":\"m\",\"tags\":{},"
                "\"context_length\":-5,\"max_tokens\":1e99,\"pricing\":[],"
                "\"architecture\":{\"input_modalities\":[7]},\"active\":\"x\","
                "\"shutdown_date\":\"soon\"}]"));
    is_int(l.n, 1, "members of other types than usual");
    is_int(l.models[0].context, UNKNOWN, "state nothing");
    is_str(listed_z(l.models[0].extra), "{\"tags\":{},\"context_length\":-5,"
           "\"max_tokens\":1e99,\"pricing\":[],\"architecture\":{"
           "\"input_modalities\":[7]},\"active\":\"x\","
           "\"shutdown_date\":\"soon\"}", "and are kept");
    listed_free(&l);
}


/* -- probes -- */

static void
probe(const char *name, const char *id, mg_model_type_e type,
    const char *path, const char *body)
{
    int         rc;
    mg_buf_t    p, b;
    mg_model_t  m;

    mg_buf_init(&p, 0);
    mg_buf_init(&b, 0);
    mg_model_init(&m);
    m.provider_model_id = mg_str_z(id);
    m.type = type;

    rc = protocol(name)->probe(&m, &p, &b);
    is_int(rc, path ? MG_OK : MG_DECLINED, "%s: probe of %s", name, id);

    if (rc == MG_OK) {
        is_mem(p.data, p.len, path, strlen(path), "at %s", path);
        is_mem(b.len ? b.data : "", b.len, body, strlen(body), "with \"%s\"",
               body);
    }

    mg_buf_free(&p);
    mg_buf_free(&b);
}


#define PING  "\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}]"


static void
test_probes(void)
{
    probe("anthropic", "m", MG_TYPE_CHAT, "/messages",
          "{\"model\":\"m\",\"max_tokens\":1," PING "}");
    probe("anthropic", "m", MG_TYPE_EMBEDDING, NULL, NULL);
    is_str(protocol("anthropic")->headers[0], "anthropic-version: 2023-06-01",
           "with its version");

    probe("google", "gemini", MG_TYPE_CHAT, "/models/gemini:generateContent",
          "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"ping\"}]}]"
          ",\"generationConfig\":{\"maxOutputTokens\":1}}");
    probe("google", "e", MG_TYPE_EMBEDDING, "/models/e:embedContent",
          "{\"content\":{\"parts\":[{\"text\":\"ping\"}]}}");
    probe("google", "tunedModels/a?b#c", MG_TYPE_EMBEDDING,
          "/tunedModels/a%3Fb%23c:embedContent",
          "{\"content\":{\"parts\":[{\"text\":\"ping\"}]}}");
    probe("google", "imagen", MG_TYPE_IMAGE, NULL, NULL);

    probe("ollama", "a:1b", MG_TYPE_CHAT, "/api/chat", "{\"model\":\"a:1b\","
          PING ",\"stream\":false,\"options\":{\"num_predict\":1}}");
    probe("ollama", "e", MG_TYPE_EMBEDDING, "/api/embed",
          "{\"model\":\"e\",\"input\":\"ping\"}");

    probe("cohere", "c", MG_TYPE_CHAT, "/v2/chat",
          "{\"model\":\"c\"," PING ",\"max_tokens\":1}");
    probe("cohere", "e", MG_TYPE_EMBEDDING, "/v2/embed",
          "{\"model\":\"e\",\"texts\":[\"ping\"],\"input_type\":"
          "\"search_query\",\"embedding_types\":[\"float\"]}");
    probe("cohere", "r", MG_TYPE_RERANK, "/v2/rerank",
          "{\"model\":\"r\",\"query\":\"ping\",\"documents\":[\"ping\"]}");

    probe("mistral", "m", MG_TYPE_CHAT, "/chat/completions",
          "{\"model\":\"m\"," PING ",\"max_tokens\":1}");
    probe("azure", "o3-mini", MG_TYPE_CHAT, "/chat/completions",
          "{\"model\":\"o3-mini\"," PING ",\"max_completion_tokens\":16}");

    probe("kserve_v2", "fraud", MG_TYPE_OTHER, "/v2/models/fraud/ready", "");
    probe("kserve_v2", "org/a b", MG_TYPE_IMAGE,
          "/v2/models/org%2Fa%20b/ready", "");
}


static void
judge(const char *name, mg_model_type_e type, int status, const char *body,
    mg_probe_class_e class)
{
    mg_str_t          words;
    mg_model_t        m;
    mg_arena_t       *a;
    mg_probe_class_e  got;

    a = mg_arena_create(0);
    mg_model_init(&m);
    m.type = type;

    got = protocol(name)->judge(&m, status, mg_str_z(body), a, &words);
    is_str(mg_probe_class_names[got].data, mg_probe_class_names[class].data,
           "%s: status %d, %.60s", name, status, body);
    ok(got == MG_PROBE_OK || words.len > 0, "a failure has words");

    mg_arena_destroy(a);
}


static void
test_judges(void)
{
    judge("anthropic", MG_TYPE_CHAT, 200,
          "{\"type\":\"message\",\"content\":[{\"type\":\"text\"}]}",
          MG_PROBE_OK);
    judge("anthropic", MG_TYPE_CHAT, 200, "{\"choices\":[{}]}",
          MG_PROBE_BAD_ANSWER);
    judge("anthropic", MG_TYPE_CHAT, 529, "{\"type\":\"error\",\"error\":{"
          "\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
          MG_PROBE_OVERLOADED);
    judge("anthropic", MG_TYPE_CHAT, 400, "{\"type\":\"error\",\"error\":{"
          "\"type\":\"billing_error\",\"message\":\"pay\"}}",
          MG_PROBE_QUOTA);

    judge("google", MG_TYPE_CHAT, 200, "{\"candidates\":[{\"finishReason\":"
          "\"MAX_TOKENS\"}]}", MG_PROBE_OK);
    judge("google", MG_TYPE_EMBEDDING, 200,
          "{\"embedding\":{\"values\":[0.1]}}", MG_PROBE_OK);
    judge("google", MG_TYPE_CHAT, 200, "{\"candidates\":[]}",
          MG_PROBE_BAD_ANSWER);
    judge("google", MG_TYPE_CHAT, 400, "{\"error\":{\"code\":400,\"message\":"
          "\"API key not valid.\",\"status\":\"INVALID_ARGUMENT\","
          "\"details\":[{\"@type\":\"x\"},{\"reason\":\"API_KEY_INVALID\"}]}}",
          MG_PROBE_AUTH);
    judge("google", MG_TYPE_CHAT, 429, "[{\"error\":{\"code\":429,\"message\":"
          "\"slow\",\"status\":\"RESOURCE_EXHAUSTED\"}}]", MG_PROBE_QUOTA);
    judge("google", MG_TYPE_CHAT, 404, "<html>not found</html>",
          MG_PROBE_NOT_FOUND);

    judge("ollama", MG_TYPE_CHAT, 200,
          "{\"message\":{\"role\":\"assistant\"},\"done\":true}",
          MG_PROBE_OK);
    judge("ollama", MG_TYPE_CHAT, 404,
          "{\"error\":\"model 'x' not found\"}", MG_PROBE_NOT_FOUND);
    judge("ollama", MG_TYPE_EMBEDDING, 200, "{\"embeddings\":[[0.1]]}",
          MG_PROBE_OK);

    judge("cohere", MG_TYPE_CHAT, 200, "{\"message\":{\"role\":\"a\"}}",
          MG_PROBE_OK);
    judge("cohere", MG_TYPE_RERANK, 200, "{\"results\":[{\"index\":0}]}",
          MG_PROBE_OK);
    judge("cohere", MG_TYPE_CHAT, 401, "{\"message\":\"invalid api token\"}",
          MG_PROBE_AUTH);
    judge("azure", MG_TYPE_CHAT, 404, "{\"error\":{\"code\":"
          "\"DeploymentNotFound\",\"message\":\"no deployment\"}}",
          MG_PROBE_NOT_FOUND);

    judge("kserve_v2", MG_TYPE_OTHER, 200, "", MG_PROBE_OK);
    judge("kserve_v2", MG_TYPE_CHAT, 200, "{\"name\":\"m\",\"ready\":true}",
          MG_PROBE_OK);
    judge("kserve_v2", MG_TYPE_OTHER, 200, "{\"ready\":false}",
          MG_PROBE_OVERLOADED);
    judge("kserve_v2", MG_TYPE_OTHER, 200, "{\"error\":\"no\"}",
          MG_PROBE_BAD_ANSWER);
    judge("kserve_v2", MG_TYPE_OTHER, 200, "<html>hello</html>",
          MG_PROBE_BAD_ANSWER);
    judge("kserve_v2", MG_TYPE_OTHER, 200, "[]", MG_PROBE_BAD_ANSWER);
    judge("kserve_v2", MG_TYPE_OTHER, 400, "", MG_PROBE_NOT_FOUND);
    judge("kserve_v2", MG_TYPE_OTHER, 404, "{\"error\":\"Model m not found\"}",
          MG_PROBE_NOT_FOUND);
    judge("kserve_v2", MG_TYPE_OTHER, 503, "{\"name\":\"m\",\"ready\":false}",
          MG_PROBE_OVERLOADED);
}


static void
test_keys(void)
{
    is_int(protocol("openai")->auth, MG_AUTH_BEARER, "a bearer token");
    is_int(protocol("anthropic")->auth, MG_AUTH_X_API_KEY, "Anthropic's");
    is_int(protocol("google")->auth, MG_AUTH_X_GOOG_API_KEY, "Google's");
    is_int(protocol("azure")->auth, MG_AUTH_API_KEY, "Azure's");
}


int
main(void)
{
    test_anthropic();
    test_google();
    test_mistral();
    test_cohere();
    test_azure();
    test_ollama();
    test_gpustack();
    test_kserve();
    test_openrouter();
    test_huggingface();
    test_likes();
    test_pages();
    test_refused();
    test_hostile();
    test_probes();
    test_judges();
    test_keys();

    return done_testing();
}
