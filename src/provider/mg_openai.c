/*
 * mg_openai.c: lists and probes of OpenAI and its likes.
 *
 * The list is {"object": "list", "data": [...]} or, at Together, a bare
 * array.  Only "id" is certain; what some servers add (a context length
 * under one of several names, prices, a display name, capabilities) is read
 * where it can be trusted, and every other member is kept in "extra".
 * "created" stays there: at most servers it is when the answer was made.
 *
 * Prices: Together sends numbers per million tokens, Vercel strings per
 * token, under the same names; the JSON type tells them apart.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_openai.h"

#include "provider/mg_ping.h"
#include "provider/mg_protocols.h"


/* Tokens that a reasoning model is given: it thinks before it says one. */
#define MG_OPENAI_REASONING     16


static int mg_openai_finish(mg_entry_t *x, const mg_json_t *v,
    mg_arena_t *a);
static void mg_openai_chat_body(mg_jw_t *w, mg_str_t id);
static void mg_openai_embedding_body(mg_jw_t *w, mg_str_t id);


static const mg_ping_t  mg_openai_pings[] = {
    { MG_TYPE_CHAT, "/chat/completions", mg_openai_chat_body, "choices" },
    { MG_TYPE_EMBEDDING, "/embeddings", mg_openai_embedding_body, "data" },
    { MG_TYPE_OTHER, NULL, NULL, NULL }
};


/* Hugging Face's and OpenRouter's "architecture" */
static const mg_field_t  mg_openai_architecture[] = {
    MG_ENTRY_MODES("input_modalities", in),
    MG_ENTRY_MODES("output_modalities", out),
    MG_FIELD_END
};

static const mg_field_t  mg_openai_capabilities[] = {
    MG_ENTRY_CAP("function_calling", FUNCTION_CALLING),
    MG_ENTRY_CAP("vision", VISION),
    MG_ENTRY_CAP("audio", AUDIO),
    MG_FIELD_END
};

static const mg_field_t  mg_openai_pricing[] = {
    MG_ENTRY_PRICE("input", PRICE, INPUT, MILLION),
    MG_ENTRY_PRICE("input", PRICE_TEXT, INPUT, TOKEN),
    MG_ENTRY_PRICE("output", PRICE, OUTPUT, MILLION),
    MG_ENTRY_PRICE("output", PRICE_TEXT, OUTPUT, TOKEN),
    MG_ENTRY_PRICE("cached_input", PRICE, CACHE_READ, MILLION),
    MG_ENTRY_PRICE("input_cache_read", PRICE_TEXT, CACHE_READ, TOKEN),
    MG_ENTRY_PRICE("input_cache_write", PRICE_TEXT, CACHE_WRITE, TOKEN),
    MG_FIELD_END
};

/* Together's and Vercel's "type" */
static const mg_field_t  mg_openai_types[] = {
    MG_ENTRY_WORD("chat", CHAT),
    MG_ENTRY_WORD("language", CHAT),
    MG_ENTRY_WORD("code", CHAT),
    MG_ENTRY_WORD("embedding", EMBEDDING),
    MG_ENTRY_WORD("image", IMAGE),
    MG_ENTRY_WORD("audio", AUDIO),
    MG_ENTRY_WORD("transcribe", AUDIO),
    MG_ENTRY_WORD("rerank", RERANK),
    MG_ENTRY_WORD("reranking", RERANK),
    MG_ENTRY_WORD("moderation", OTHER),
    MG_ENTRY_WORD("video", OTHER),
    MG_FIELD_END
};

/* llama.cpp's "meta", null while the model loads */
static const mg_field_t  mg_openai_meta[] = {
    MG_ENTRY("n_ctx_train", COUNT, context),
    MG_FIELD_END
};

const mg_field_t  mg_openai_fields[] = {
    MG_ENTRY("id", STR, provider_model_id),
    MG_ENTRY("name", STR, name),
    MG_ENTRY("display_name", STR, name),
    MG_ENTRY("description", STR, description),
    MG_ENTRY("max_model_len", COUNT, context),
    MG_ENTRY("context_window", COUNT, context),
    MG_ENTRY("context_length", COUNT, context),
    MG_ENTRY("max_context_length", COUNT, context),
    MG_ENTRY("max_output_tokens", COUNT, output_limit),
    MG_ENTRY("max_tokens", COUNT, output_limit),
    MG_ENTRY("active", TRI, active),
    MG_ENTRY("tags", ARRAY, tags),
    MG_ENTRY("shutdown_date", DATE, deprecation_date),
    MG_ENTRY_CAP("supports_image_in", VISION),
    MG_ENTRY_CAP("supports_reasoning", REASONING),
    MG_ENTRY_OBJECT("architecture", mg_openai_architecture),
    MG_ENTRY_OBJECT("capabilities", mg_openai_capabilities),
    MG_ENTRY_OBJECT("pricing", mg_openai_pricing),
    MG_ENTRY_OBJECT("meta", mg_openai_meta),
    MG_ENTRY_TYPE("type", mg_openai_types),
    MG_FIELD_END
};


static const mg_list_t  mg_openai_entries = {
    .source = mg_str("openai"),
    .arrays = { "data" },
    .server = "an OpenAI-compatible server",
    .fields = mg_openai_fields,
    .finish = mg_openai_finish
};


MG_LIST_DEFINE(mg_openai_list, mg_openai_entries)


const mg_protocol_t  mg_protocol_openai = {
    .name = mg_str("openai"),
    .auth = MG_AUTH_BEARER,
    .list_path = "/models",
    .list = mg_openai_list,
    .authority = 1,
    .usage_asked = 1,
    .probe = mg_openai_probe,
    .judge = mg_openai_judge
};


static int
mg_openai_finish(mg_entry_t *x, const mg_json_t *v, mg_arena_t *a)
{
    (void) v;
    (void) a;

    mg_entry_unpriced(x);

    return MG_OK;
}


/* -- the probe -- */

/*
 * OpenAI's reasoning models (o1, o3-mini, gpt-5...) refuse "max_tokens";
 * every other server knows nothing else.
 */

static int
mg_openai_reasoning(mg_str_t id)
{
    size_t       i;
    const char  *p;

    for (i = id.len; i > 0 && id.data[i - 1] != '/'; i--) { /* void */ }

    p = id.data + i;
    id.len -= i;

    if (id.len >= 5 && memcmp(p, "gpt-5", 5) == 0) {
        return 1;
    }

    return id.len >= 2 && p[0] == 'o' && p[1] >= '1' && p[1] <= '9'
           && (id.len == 2 || p[2] == '-');
}


static void
mg_openai_chat_body(mg_jw_t *w, mg_str_t id)
{
    mg_ping_messages(w);

    if (mg_openai_reasoning(id)) {
        mg_jw_int(w, "max_completion_tokens", MG_OPENAI_REASONING);

    } else {
        mg_jw_int(w, "max_tokens", 1);
    }
}


static void
mg_openai_embedding_body(mg_jw_t *w, mg_str_t id)
{
    (void) id;

    mg_jw_z(w, "input", "ping");
}


int
mg_openai_probe(const mg_model_t *m, mg_buf_t *path, mg_buf_t *body)
{
    return mg_ping_build(mg_openai_pings, m, path, body);
}


mg_probe_class_e
mg_openai_judge(const mg_model_t *m, int status, mg_str_t body,
    mg_arena_t *a, mg_str_t *message)
{
    return mg_ping_judge(mg_openai_pings, m, status, body, a, message);
}
