/*
 * Breaks when a list of models of OpenAI or one of its likes is misread
 * (duplicate ids, a bare array, members under other names), when a probe
 * asks what a server does not understand, or when an answer without
 * substance, 200 with an error inside for one, is taken for life.
 */

#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

#include "provider/mg_kind.h"
#include "provider/mg_protocol.h"


#define LISTS  "t/data/captures/models/"


typedef struct {
    int          n;
    int          types[MG_TYPE_N];
    const char  *wanted;
    mg_model_t   found;
    char         extra[1024];
    char         name[128];
    int          stop;
} seen_t;


static const mg_protocol_t  *openai;


static int
on_model(void *ctx, const mg_model_t *m, mg_error_t *e)
{
    seen_t  *s = ctx;

    s->n++;
    s->types[m->type]++;

    if (s->wanted && mg_str_eq(mg_str_z(s->wanted), m->provider_model_id)) {
        s->found = *m;
        snprintf(s->extra, sizeof(s->extra), MG_STR_FMT,
                 MG_STR_ARG(m->extra));
        snprintf(s->name, sizeof(s->name), MG_STR_FMT, MG_STR_ARG(m->name));
    }

    if (s->stop) {
        return mg_error_set(e, MG_E_CANCELLED, NULL, "enough");
    }

    return MG_OK;
}


static int
list(mg_str_t body, const char *wanted, seen_t *s, unsigned *skipped,
    mg_error_t *e)
{
    int          rc;
    mg_arena_t  *a;

    memset(s, 0, sizeof(seen_t));
    memset(e, 0, sizeof(mg_error_t));
    s->wanted = wanted;

    a = mg_arena_create(0);
    rc = openai->list(body, a, on_model, s, skipped, e);
    mg_arena_destroy(a);

    return rc;
}


static int
list_file(const char *path, const char *wanted, seen_t *s,
    unsigned *skipped)
{
    int          rc;
    FILE        *f;
    size_t       n;
    mg_error_t   e;
    static char  text[1024 * 1024];

    f = fopen(path, "rb");

    if (f == NULL) {
        fail("%s is there", path);
        return MG_ERROR;
    }

    n = fread(text, 1, sizeof(text), f);
    fclose(f);

    rc = list(mg_str_n(text, n), wanted, s, skipped, &e);
    is_str(e.message, "", "%s is read", path);

    return rc;
}


static void
test_recorded(void)
{
    seen_t    s;
    unsigned  skipped;

    list_file(LISTS "openai.json", "gpt-4.1-mini", &s, &skipped);
    is_int(s.n, 86, "OpenAI's list: 86 models");
    is_int(skipped, 0, "none twice");
    is_str(s.name, "gpt-4.1-mini", "without a name the id is the name");
    like(s.extra, "\"created\":1744318173", "created is kept as it came");
    is_int(s.found.context, MG_UNKNOWN, "no limit is stated");
    is_int(s.found.caps[MG_CAP_VISION], -1, "no capability is stated");
    is_int(s.types[MG_TYPE_EMBEDDING], 3, "three embedding models, by name");
    ok(s.types[MG_TYPE_AUDIO] >= 8, "speech, by name");
    ok(s.types[MG_TYPE_IMAGE] >= 3, "pictures, by name");
    ok(s.types[MG_TYPE_OTHER] >= 5, "completions and moderation, by name");

    list_file(LISTS "openai-duplicate-ids.json", NULL, &s, &skipped);
    is_int(s.n, 69, "105 entries are 69 models");
    is_int(skipped, 36, "and 36 duplicates");

    list_file(LISTS "mistral.json", "voxtral-mini-2507", &s, &skipped);
    is_int(s.n, 65, "Mistral's list: 65 models");
    is_int(skipped, 2, "two of them twice");
    is_str(s.name, "voxtral-mini-2507", "the first entry's name");
    is_int(s.found.context, 32768, "the first entry's context");
    is_int(s.found.caps[MG_CAP_AUDIO], 1, "capabilities are united");
    is_int(s.found.caps[MG_CAP_VISION], 0, "what both deny is denied");
    like(s.extra, "\"aliases\":[\"voxtral-mini-latest\"]",
         "and the rest is kept");
}


static void
test_variants(void)
{
    size_t      i;
    seen_t      s;
    unsigned    skipped;
    mg_error_t  e;

    static const struct {
        const char  *what;
        const char  *body;
        int64_t      context;
    } variants[] = {
        { "vLLM", "{\"object\":\"list\",\"data\":[{\"id\":\"m\","
          "\"max_model_len\":4096,\"permission\":[]}]}", 4096 },
        { "Groq", "{\"data\":[{\"id\":\"m\",\"context_window\":8192}]}",
          8192 },
        { "Together, a bare array", "[{\"id\":\"m\",\"display_name\":\"M\","
          "\"context_length\":32768,\"pricing\":{\"input\":0.1}}]", 32768 },
        { "llama.cpp while it loads", "{\"data\":[{\"id\":\"m\","
          "\"meta\":null}]}", MG_UNKNOWN }
    };

    for (i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        is_int(list(mg_str_z(variants[i].body), "m", &s, &skipped, &e),
               MG_OK, "%s", variants[i].what);
        is_int(s.n, 1, "one model");
        is_int(s.found.context, variants[i].context, "its context");
    }

    list(mg_str("{\"data\":[{\"id\":\"m\",\"architecture\":{"
                "\"input_modalities\":[\"image\",\"text\"],"
                "\"output_modalities\":[\"text\"],\"tokenizer\":\"T\"}}]}"),
         "m", &s, &skipped, &e);
    is_int(s.found.caps[MG_CAP_VISION], 1, "OpenRouter's modalities");
    is_str(s.extra, "{\"architecture\":{\"tokenizer\":\"T\"}}",
           "without what was read");

    list(mg_str("{\"data\":[{\"id\":\"\"},{\"name\":\"x\"},7,{\"id\":5},"
                "null,{\"id\":\"good\"}]}"), "good", &s, &skipped, &e);
    is_int(s.n, 1, "bad entries are left out");
    is_int(skipped, 5, "and counted");
}


static void
test_refused(void)
{
    size_t      i;
    seen_t      s;
    unsigned    skipped;
    mg_error_t  e;

    static const char  *bodies[] = {
        "", "{}", "[", "<html></html>", "{\"data\":{}}", "{\"data\":null}",
        "{\"object\":\"list\",\"data\":[{\"id\":\"m\"}", "7", "\"data\""
    };

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        is_int(list(mg_str_z(bodies[i]), NULL, &s, &skipped, &e), MG_ERROR,
               "no list: %s", bodies[i]);
        ok(e.message[0] != '\0', "with a message");
    }

    memset(&s, 0, sizeof(s));
    list(mg_str("{\"data\":[]}"), NULL, &s, &skipped, &e);
    is_int(s.n, 0, "an empty list is a list");
}


static void
model(mg_model_t *m, const char *id, mg_model_type_e type)
{
    mg_model_init(m);
    m->provider_model_id = mg_str_z(id);
    m->type = type;
}


static void
probe(const char *id, mg_model_type_e type, const char *path,
    const char *body)
{
    int         rc;
    mg_buf_t    p, b;
    mg_model_t  m;

    mg_buf_init(&p, 0);
    mg_buf_init(&b, 0);
    model(&m, id, type);

    rc = openai->probe(&m, &p, &b);

    if (path == NULL) {
        is_int(rc, MG_DECLINED, "%s is not probed", id);

    } else {
        is_int(rc, MG_OK, "%s is probed", id);
        is_mem(p.data, p.len, path, strlen(path), "at %s", path);
        is_mem(b.data, b.len, body, strlen(body), "with %s", body);
    }

    mg_buf_free(&p);
    mg_buf_free(&b);
}


#define CHAT(id, limit)                                                       \
    "{\"model\":\"" id "\",\"messages\":[{\"role\":\"user\","                 \
    "\"content\":\"ping\"}],\"" limit "}"


static void
test_probe(void)
{
    probe("org/m:free", MG_TYPE_CHAT, "/chat/completions",
          CHAT("org/m:free", "max_tokens\":1"));
    probe("o3-mini", MG_TYPE_CHAT, "/chat/completions",
          CHAT("o3-mini", "max_completion_tokens\":16"));
    probe("openai/gpt-5.1", MG_TYPE_CHAT, "/chat/completions",
          CHAT("openai/gpt-5.1", "max_completion_tokens\":16"));
    probe("o200k-base", MG_TYPE_CHAT, "/chat/completions",
          CHAT("o200k-base", "max_tokens\":1"));
    probe("a\"b", MG_TYPE_CHAT, "/chat/completions",
          CHAT("a\\\"b", "max_tokens\":1"));
    probe("embed", MG_TYPE_EMBEDDING, "/embeddings",
          "{\"model\":\"embed\",\"input\":\"ping\"}");
    probe("tts-1", MG_TYPE_AUDIO, NULL, NULL);
    probe("dall-e-3", MG_TYPE_IMAGE, NULL, NULL);
    probe("rerank", MG_TYPE_RERANK, NULL, NULL);
    probe("tabnet", MG_TYPE_TABULAR, NULL, NULL);
    probe("moderation", MG_TYPE_OTHER, NULL, NULL);
}


static void
judge(mg_model_type_e type, int status, mg_str_t body,
    mg_probe_class_e class, const char *message)
{
    char              text[1024];
    mg_str_t          words;
    mg_model_t        m;
    mg_arena_t       *a;
    mg_probe_class_e  got;

    a = mg_arena_create(0);
    model(&m, "m", type);

    got = openai->judge(&m, status, body, a, &words);

    is_str(mg_probe_class_names[got].data, mg_probe_class_names[class].data,
           "status %d, %.*s", status,
           (int) (body.len < 60 ? body.len : 60), body.data);

    snprintf(text, sizeof(text), MG_STR_FMT, MG_STR_ARG(words));
    is_str(text, message, "in these words");

    mg_arena_destroy(a);
}


static void
test_judge(void)
{
    judge(MG_TYPE_CHAT, 200, mg_str("{\"choices\":[{\"index\":0}]}"),
          MG_PROBE_OK, "");
    judge(MG_TYPE_CHAT, 200,
          mg_str("{\"choices\":[{}],\"error\":null}"), MG_PROBE_OK, "");
    judge(MG_TYPE_EMBEDDING, 200, mg_str("{\"data\":[{}]}"), MG_PROBE_OK,
          "");
    judge(MG_TYPE_EMBEDDING, 200, mg_str("{\"choices\":[{}]}"),
          MG_PROBE_BAD_ANSWER, "the answer holds no \"data\"");
    judge(MG_TYPE_CHAT, 200, mg_str("{\"choices\":[]}"),
          MG_PROBE_BAD_ANSWER, "the answer holds no \"choices\"");
    judge(MG_TYPE_CHAT, 200, mg_str("{\"choices\":[{}"),
          MG_PROBE_BAD_ANSWER,
          "the answer is not a complete JSON document");
    judge(MG_TYPE_CHAT, 200, mg_str("<html>hello</html>"),
          MG_PROBE_BAD_ANSWER,
          "the answer is not a complete JSON document");

    judge(MG_TYPE_CHAT, 200, mg_str("{\"error\":{\"message\":\"no such\","
          "\"code\":\"model_not_found\"}}"), MG_PROBE_NOT_FOUND, "no such");
    judge(MG_TYPE_CHAT, 200, mg_str("{\"error\":{\"code\":7}}"),
          MG_PROBE_BAD_ANSWER, "the answer is an error without words");
    judge(MG_TYPE_CHAT, 401, mg_str("{\"error\":{\"message\":\"key?\","
          "\"code\":\"invalid_api_key\"}}"), MG_PROBE_AUTH, "key?");
    judge(MG_TYPE_CHAT, 403, mg_str("{\"error\":\"forbidden\"}"),
          MG_PROBE_AUTH, "forbidden");
    judge(MG_TYPE_CHAT, 404, mg_str("{\"detail\":\"Not Found\"}"),
          MG_PROBE_NOT_FOUND, "Not Found");
    judge(MG_TYPE_CHAT, 400, mg_str("{\"error\":{\"message\":\"unknown\","
          "\"code\":\"model_not_found\"}}"), MG_PROBE_NOT_FOUND, "unknown");
    judge(MG_TYPE_CHAT, 400, mg_str("{\"error\":{\"message\":\"odd\","
          "\"code\":42}}"), MG_PROBE_BAD_ANSWER, "odd");
    judge(MG_TYPE_CHAT, 429, mg_str("{\"error\":{\"message\":\"slow down\","
          "\"type\":\"insufficient_quota\",\"code\":null}}"),
          MG_PROBE_QUOTA, "slow down");
    judge(MG_TYPE_CHAT, 503, mg_str("Service Unavailable"),
          MG_PROBE_OVERLOADED, "status 503");
    judge(MG_TYPE_CHAT, 504, mg_str(""), MG_PROBE_TIMEOUT, "status 504");
    judge(MG_TYPE_CHAT, 500, mg_str("{\"message\":\"boom\"}"),
          MG_PROBE_BAD_ANSWER, "boom");
    judge(MG_TYPE_CHAT, 302, mg_str(""), MG_PROBE_BAD_ANSWER,
          "status 302, a redirect, which is not followed; set base_url to "
          "where it leads");
    judge(MG_TYPE_CHAT, 405, mg_str(""), MG_PROBE_UNSUPPORTED,
          "status 405");
}


/* A provider's words are data from outside: bounded, one line, UTF-8. */

static void
test_words(void)
{
    int          n;
    char         body[2048];
    mg_str_t     words;
    mg_model_t   m;
    mg_arena_t  *a;

    a = mg_arena_create(0);
    model(&m, "m", MG_TYPE_CHAT);

    judge(MG_TYPE_CHAT, 400,
          mg_str("{\"error\":\"a\\r\\nSet-Cookie: b\\u0000c\\u007f\"}"),
          MG_PROBE_BAD_ANSWER, "a  Set-Cookie: b c ");

    n = snprintf(body, sizeof(body), "{\"error\":\"%0*d\xc3\xa9%0*d\"}",
                 299, 1, 900, 1);
    openai->judge(&m, 400, mg_str_n(body, (size_t) n), a, &words);
    is_int(words.len, 299, "cut before a character, not within");

    mg_arena_destroy(a);
}


static void
test_find(void)
{
    ok(mg_protocol_find(mg_str("openai")) == openai, "found by name");
    ok(mg_protocol_find(mg_str_null) == openai, "no name is openai");
    ok(mg_protocol_find(mg_str("OpenAI")) == NULL, "names have one case");
    ok(mg_protocol_find(mg_str("")) == NULL, "an empty name is none");
    ok(mg_protocol_find(mg_str("gopher")) == NULL, "unknown");
}


int
main(void)
{
    openai = mg_protocol_find(mg_str("openai"));

    test_find();
    test_recorded();
    test_variants();
    test_refused();
    test_probe();
    test_judge();
    test_words();

    return done_testing();
}
