/*
 * If this breaks, a model or a provider that was entered by hand is stored
 * with a wrong price or as something it is not; a header or a key smuggles a
 * line break into requests upstream; or a wrong body ends in the database
 * instead of a 400 that names the member.
 */

#include <stdio.h>
#include <stdlib.h>

#include "model/mg_catalog.h"
#include "tap.h"


typedef struct {
    const char  *json;
    const char  *param;      /* NULL: it is taken */
    const char  *message;
} case_t;


static const case_t  models[] = {
    { "{\"id\":\"own/llama\"}", NULL, NULL },
    { "{\"id\":\"own/org/Model:free@v1~x\",\"name\":\"M\","
      "\"type\":\"chat\",\"tags\":[\"a\",\"b\"],\"details\":{\"x\":1}}",
      NULL, NULL },
    { "{\"id\":\"own/m\",\"pricing\":{\"input\":\"0.045000000000000005\","
      "\"output\":null},\"limits\":{\"context\":1e6}}", NULL, NULL },

    { "{\"id\":\"own/m\",\"description\":\"a\\nb\",\"version\":\"1\","
      "\"deprecation_date\":\"2027-01\",\"benchmark_score\":100,"
      "\"popularity_score\":0,\"reliability_score\":null,"
      "\"price_tiers\":null}", NULL, NULL },

    { "{\"id\":\"own/m\",\"benchmark_score\":100.001}", "benchmark_score",
      "\"100.001\" is not between 0 and 100" },
    { "{\"id\":\"own/m\",\"popularity_score\":-1}", "popularity_score",
      "\"-1\"" },
    { "{\"id\":\"own/m\",\"reliability_score\":\"9\"}",
      "reliability_score", "\"9\"" },
    { "{\"id\":\"own/m\",\"benchmark_score\":1e99}", "benchmark_score",
      "\"1e99\"" },
    { "{\"id\":\"own/m\",\"deprecation_date\":\"x\"}",
      "deprecation_date", "deprecation_date" },
    { "{\"id\":\"own/m\",\"price_tiers\":{}}", "price_tiers",
      "an array of at most 16" },
    { "{\"id\":\"own/m\",\"price_tiers\":[1]}", "price_tiers",
      "must hold \"tier\"" },
    { "{\"id\":\"own/m\",\"price_tiers\":[{\"input\":1}]}",
      "price_tiers", "must hold \"tier\"" },
    { "{\"id\":\"own/m\",\"price_tiers\":[{\"tier\":{\"type\":"
      "\"context\",\"size\":-1}}]}", "price_tiers", "must hold \"tier\"" },
    { "{\"id\":\"own/m\",\"price_tiers\":[{\"tier\":{\"type\":"
      "\"context\",\"size\":1},\"input\":\"1\"}]}", "price_tiers",
      "\"1\" is not a price" },
    { "{\"id\":\"own/m\",\"price_tiers\":[{\"tier\":{\"type\":"
      "\"context\",\"size\":1},\"cheap\":1}]}", "price_tiers",
      "\"cheap\" in price_tiers is not known" },
    { "{\"id\":\"own/m\",\"price_tiers\":[{},{},{},{},{},{},{},{},{},{},"
      "{},{},{},{},{},{},{}]}", "price_tiers", "at most 16" },

    { "{}", "id", "id is missing" },
    { "{\"id\":7}", "id", "id must be a string" },
    { "{\"id\":\"nomodel\"}", "id", "form provider/model" },
    { "{\"id\":\"/model\"}", "provider_id", "provider_id" },
    { "{\"id\":\"own/\"}", "id", "id" },
    { "{\"id\":\"Own/m\"}", "provider_id", "\"Own\"" },
    { "{\"id\":\"own/a \"}", "id", "blank" },
    { "{\"id\":\"own/a\\nb\"}", "id", "control character 0x0a" },
    { "{\"id\":\"own/a\\u0000\"}", "id", "control character 0x00" },
    { "{\"id\":\"own/m\",\"provider\":\"x\"}", "provider",
      "\"provider\" is not known" },
    { "{\"id\":\"own/m\",\"name\":\"\"}", "name", "name is empty" },
    { "{\"id\":\"own/m\",\"name\":\"a\\u0085\\u0000\"}", "name",
      "control character" },
    { "{\"id\":\"own/m\",\"type\":\"llm\"}", "type",
      "\"llm\" is not known; give one of other, chat" },
    { "{\"id\":\"own/m\",\"capabilities\":\"vision\"}", "capabilities",
      "must be an array" },
    { "{\"id\":\"own/m\",\"capabilities\":[\"flying\"]}", "capabilities",
      "capability \"flying\" is not known" },
    { "{\"id\":\"own/m\",\"capabilities\":[1]}", "capabilities",
      "array of names" },
    { "{\"id\":\"own/m\",\"capabilities\":{\"vision\":1}}", "capabilities",
      "true, false or null" },
    { "{\"id\":\"own/m\",\"limits\":{\"context\":-1}}", "limits.context",
      "context \"-1\" is not a whole number" },
    { "{\"id\":\"own/m\",\"limits\":{\"context\":1.5}}", "limits.context",
      "\"1.5\"" },
    { "{\"id\":\"own/m\",\"limits\":{\"context\":14836394043272784000}}",
      "limits.context", "\"14836394043272784000\"" },
    { "{\"id\":\"own/m\",\"limits\":{\"tokens\":1}}", "limits.tokens",
      "\"tokens\" is not known" },
    { "{\"id\":\"own/m\",\"limits\":5}", "limits", "must be a JSON object" },
    { "{\"id\":\"own/m\",\"pricing\":{\"input\":-0.1}}", "pricing.input",
      "input \"-0.1\" is not a price" },
    { "{\"id\":\"own/m\",\"pricing\":{\"input\":true}}", "pricing.input",
      "must be a number" },
    { "{\"id\":\"own/m\",\"pricing\":{\"input\":1e300}}", "pricing.input",
      "is not a price" },
    { "{\"id\":\"own/m\",\"pricing\":{\"input\":\"free\"}}",
      "pricing.input", "\"free\" is not a price" },
    { "{\"id\":\"own/m\",\"open_weights\":\"yes\"}", "open_weights",
      "must be true or false" },
    { "{\"id\":\"own/m\",\"active\":null}", "active", "active is null" },
    { "{\"id\":\"own/m\",\"tags\":\"a\"}", "tags", "array of strings" },
    { "{\"id\":\"own/m\",\"tags\":[\"\"]}", "tags", "1 to 128 bytes" },
    { "{\"id\":\"own/m\",\"tags\":[{}]}", "tags", "not a string" },
    { "{\"id\":\"own/m\",\"modalities\":{\"input\":[1]}}",
      "modalities.input", "not a string" },
    { "{\"id\":\"own/m\",\"details\":[]}", "details",
      "must be a JSON object" },
    { "{\"id\":\"own/m\",\"release_date\":\"24\"}", "release_date",
      "too short" },
    { NULL, NULL, NULL }
};


static const case_t  providers[] = {
    { "{\"id\":\"own\"}", NULL, NULL },
    { "{\"id\":\"own\",\"name\":\"Own\",\"protocol\":\"openai\","
      "\"base_url\":\"http://[::1]:8000/v1/\",\"api_key\":\"sk-1\","
      "\"headers\":{\"X-Team\":\"a\"},\"rate_limit\":60,"
      "\"timeouts\":{\"connect_ms\":500,\"read_ms\":null}}", NULL, NULL },

    { "{}", "id", "id is missing" },
    { "{\"id\":\"Own\"}", "id", "\"Own\" is not allowed" },
    { "{\"id\":\"a/b\"}", "id", "is not allowed" },
    { "{\"id\":\"own\",\"base_url\":\"ftp://x/\"}", "base_url", "base_url" },
    { "{\"id\":\"own\",\"base_url\":\"http://u:p@x/\"}", "base_url",
      "base_url" },
    { "{\"id\":\"own\",\"base_url\":\"http://x/?a=1\"}", "base_url",
      "base_url" },
    { "{\"id\":\"own\",\"base_url\":\"http://x/\\r\\nHost: y\"}",
      "base_url", "control character 0x0d" },
    { "{\"id\":\"own\",\"base_url\":5}", "base_url", "must be a string" },
    { "{\"id\":\"own\",\"api_key\":\"\"}", "api_key", "api_key is empty" },
    { "{\"id\":\"own\",\"api_key\":\"sk 1\"}", "api_key", "a blank" },
    { "{\"id\":\"own\",\"api_key\":\"sk\\r\\nX: y\"}", "api_key",
      "control character 0x0d" },
    { "{\"id\":\"own\",\"api_key\":\"k\\u00e9y\"}", "api_key",
      "not ASCII" },
    { "{\"id\":\"own\",\"headers\":[]}", "headers",
      "must be a JSON object" },
    { "{\"id\":\"own\",\"headers\":{\"X-A\":1}}", "headers",
      "header \"X-A\" must be a string" },
    { "{\"id\":\"own\",\"headers\":{\"X-A\":\"1\\r\\nX-B: 2\"}}", "headers",
      "without control characters" },
    { "{\"id\":\"own\",\"headers\":{\"X-A: 1\\r\\nX-B\":\"2\"}}", "headers",
      "is not allowed; use letters" },
    { "{\"id\":\"own\",\"headers\":{\"\":\"2\"}}", "headers",
      "is not allowed" },
    { "{\"id\":\"own\",\"headers\":{\"AUTHORIZATION\":\"Bearer x\"}}",
      "headers", "give a key as api_key" },
    { "{\"id\":\"own\",\"headers\":{\"Host\":\"x\"}}", "headers",
      "is the gateway's to set" },
    { "{\"id\":\"own\",\"rate_limit\":0}", "rate_limit", "rate_limit \"0\"" },
    { "{\"id\":\"own\",\"timeouts\":{\"read_ms\":\"1\"}}",
      "timeouts.read_ms", "must be a whole number" },
    { "{\"id\":\"own\",\"org_id\":\"x\"}", "org_id", "is not known" },
    { "{\"id\":\"own\",\"source\":\"x\"}", "source", "is not known" },
    { NULL, NULL, NULL }
};


static const mg_json_t *
json(mg_arena_t *a, const char *text)
{
    mg_error_t  e;
    mg_json_t  *v;

    v = mg_json_parse(a, mg_str_z(text), NULL, &e);

    if (!ok(v != NULL, "JSON: %.70s", text)) {
        diag("%s", e.message);
        exit(1);
    }

    return v;
}


static void
test_cases(const case_t *c, int as_model)
{
    int            rc;
    mg_str_t       key;
    mg_arena_t    *a;
    mg_error_t     e;
    mg_model_t     m;
    mg_provider_t  p;

    for ( /* void */ ; c->json; c++) {
        a = mg_arena_create(0);
        memset(&e, 0, sizeof(e));

        if (as_model) {
            rc = mg_model_parse(json(a, c->json), 0, a, &m, &e);

        } else {
            rc = mg_provider_parse(json(a, c->json), 0, a, &p, &key, &e);
        }

        if (c->param == NULL) {
            is_int(rc, MG_OK, "taken");

            if (rc != MG_OK) {
                diag("%s", e.message);
            }

        } else {
            is_int(rc, MG_ERROR, "refused");
            is_int(e.kind, MG_E_INVALID, "as invalid");
            is_str(e.param, c->param, "names the member");
            like(e.message, c->message, "says why");
        }

        mg_arena_destroy(a);
    }
}


static void
test_model(void)
{
    mg_arena_t  *a;
    mg_error_t   e;
    mg_model_t   m;

    a = mg_arena_create(0);

    is_int(mg_model_parse(json(a, models[1].json), 0, a, &m, &e), MG_OK,
           "a model");
    is_mem(m.provider_id.data, m.provider_id.len, "own", 3, "provider");
    is_mem(m.provider_model_id.data, m.provider_model_id.len,
           "org/Model:free@v1~x", 19, "what the provider calls it");
    is_int(m.type, MG_TYPE_CHAT, "type");
    is_mem(m.tags.data, m.tags.len, "[\"a\",\"b\"]", 9, "tags");
    is_int(m.context, MG_UNKNOWN, "unknown is not zero");
    is_int(m.price[MG_PRICE_INPUT], MG_UNKNOWN, "nor is a price");
    is_int(m.caps[MG_CAP_VISION], -1, "nor is a capability false");

    is_int(mg_model_parse(json(a, models[2].json), 0, a, &m, &e), MG_OK,
           "prices");
    is_int(m.price[MG_PRICE_INPUT], 45000000, "0.045 per million, exactly");
    is_int(m.price[MG_PRICE_OUTPUT], MG_UNKNOWN, "null is unknown");
    is_int(m.context, 1000000, "1e6 is a whole number");
    is_mem(m.name.data, m.name.len, "m", 1, "a name for want of another");

    is_int(mg_model_parse(json(a, "{\"capabilities\":{\"vision\":true,"
                                  "\"audio\":false}}"), 1, a, &m, &e),
           MG_OK, "a patch of capabilities");
    is_int(m.caps[MG_CAP_VISION], 1, "true");
    is_int(m.caps[MG_CAP_AUDIO], 0, "false");
    is_int(m.caps[MG_CAP_STREAMING], -1, "not named");
    is_int(m.context, 1000000, "the rest stays");

    is_int(mg_model_parse(json(a, "{\"capabilities\":[\"audio\"]}"), 1, a,
                          &m, &e),
           MG_OK, "a list of capabilities");
    is_int(m.caps[MG_CAP_VISION], -1, "is the whole list");
    is_int(m.caps[MG_CAP_AUDIO], 1, "of those that are there");

    is_int(mg_model_parse(json(a, "{\"id\":\"own/other\"}"), 1, a, &m, &e),
           MG_ERROR, "an id cannot be changed");
    is_str(e.param, "id", "says so");

    mg_arena_destroy(a);
}


static void
test_provider(void)
{
    mg_str_t       key;
    mg_arena_t    *a;
    mg_error_t     e;
    mg_provider_t  p;

    a = mg_arena_create(0);

    is_int(mg_provider_parse(json(a, providers[1].json), 0, a, &p, &key, &e),
           MG_OK, "a provider");
    is_mem(p.base_url.data, p.base_url.len, "http://[::1]:8000/v1", 20,
           "no final slash");
    is_mem(key.data, key.len, "sk-1", 4, "the key");
    is_int(p.key_hint.len, 0, "a short key gives no hint of itself");
    is_int(p.connect_timeout_ms, 500, "time-out");
    is_int(p.read_timeout_ms, MG_UNKNOWN, "no time-out");

    is_int(mg_provider_parse(json(a, "{\"api_key\":\"sk-0123456789abcd\"}"),
                             1, a, &p, &key, &e),
           MG_OK, "another key");
    is_mem(p.key_hint.data, p.key_hint.len, "abcd", 4, "its end");

    is_int(mg_provider_parse(json(a, "{\"rate_limit\":null}"), 1, a, &p, &key,
                             &e),
           MG_OK, "a patch without a key");
    ok(key.data == NULL, "has none");
    is_int(p.rate_limit, MG_UNKNOWN, "null: unlimited");
    is_mem(p.key_hint.data, p.key_hint.len, "abcd", 4, "the old one stays");

    is_int(mg_provider_parse(json(a, "{\"api_key\":null}"), 1, a, &p, &key,
                             &e),
           MG_OK, "a patch that takes the key away");
    ok(key.data != NULL && key.len == 0, "has an empty one");
    ok(p.key_hint.data == NULL, "of which nothing is shown");

    is_int(mg_provider_parse(json(a, "{\"api_key\":\"very secret\"}"), 1, a,
                             &p, &key, &e),
           MG_ERROR, "a bad key");
    unlike(e.message, "secret", "is not repeated in the message");

    mg_arena_destroy(a);
}


static void
test_sizes(void)
{
    char        *text;
    size_t       len;
    mg_arena_t  *a;
    mg_error_t   e;
    mg_model_t   m;

    a = mg_arena_create(0);
    text = malloc(20000);

    len = sprintf(text, "{\"id\":\"own/");
    memset(text + len, 'x', 10240);
    strcpy(text + len + 10240, "\"}");
    is_int(mg_model_parse(json(a, text), 0, a, &m, &e), MG_ERROR,
           "an id of 10 KB");
    like(e.message, "at most 256", "says the bound");

    len = sprintf(text, "{\"id\":\"own/m\",\"");
    memset(text + len, 'k', 10240);
    strcpy(text + len + 10240, "\":1}");
    is_int(mg_model_parse(json(a, text), 0, a, &m, &e), MG_ERROR,
           "a member's name of 10 KB");
    like(e.message, "is not known", "is cut in the message");

    free(text);
    mg_arena_destroy(a);
}


int
main(void)
{
    test_cases(models, 1);
    test_cases(providers, 0);
    test_model();
    test_provider();
    test_sizes();

    return done_testing();
}
