/*
 * mg_ollama.c: Ollama's own list of models, chat and embeddings.
 *
 *     {"models": [{"name", "model", "details": {"family", ...}, ...}]}
 *
 * The base URL is the server's, without a path.  An Ollama that is spoken to
 * as OpenAI's likes, at /v1, is a provider of protocol openai.  What lies on
 * the disk is listed, not what is loaded: an answer to the probe may wait
 * for that.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_list.h"
#include "provider/mg_ping.h"
#include "provider/mg_protocols.h"


static void mg_ollama_chat_body(mg_jw_t *w, mg_str_t id);
static void mg_ollama_embed_body(mg_jw_t *w, mg_str_t id);


static const mg_ping_t  mg_ollama_pings[] = {
    { MG_TYPE_CHAT, "/api/chat", mg_ollama_chat_body, "message" },
    { MG_TYPE_EMBEDDING, "/api/embed", mg_ollama_embed_body, "embeddings" },
    { MG_TYPE_OTHER, NULL, NULL, NULL }
};


static const mg_field_t  mg_ollama_details[] = {
    MG_ENTRY("family", STR, family),
    MG_FIELD_END
};

static const mg_field_t  mg_ollama_types[] = {
    MG_ENTRY_WORD("embedding", EMBEDDING),
    MG_ENTRY_WORD("completion", CHAT),
    MG_FIELD_END
};

static const mg_field_t  mg_ollama_capabilities[] = {
    MG_FIELD("tools", TRI, MG_ENTRY_CAP_AT(FUNCTION_CALLING)),
    MG_FIELD("vision", TRI, MG_ENTRY_CAP_AT(VISION)),
    MG_FIELD("thinking", TRI, MG_ENTRY_CAP_AT(REASONING)),
    MG_FIELD_END
};

static const mg_field_t  mg_ollama_fields[] = {
    MG_ENTRY("name", STR, provider_model_id),
    MG_ENTRY("model", STR, provider_model_id),
    MG_ENTRY_OBJECT("details", mg_ollama_details),
    MG_ENTRY_TYPE("capabilities", mg_ollama_types),
    MG_ENTRY_FLAGS("capabilities", mg_ollama_capabilities),
    MG_FIELD_END
};


static const mg_list_t  mg_ollama_entries = {
    .source = mg_str("ollama"),
    .arrays = { "models" },
    .server = "an Ollama, without /api or /v1",
    .fields = mg_ollama_fields
};


MG_LIST_DEFINE(mg_ollama_list, mg_ollama_entries)
MG_PING_DEFINE(mg_ollama_probe, mg_ollama_judge, mg_ollama_pings)


const mg_protocol_t  mg_protocol_ollama = {
    .name = mg_str("ollama"),
    .auth = MG_AUTH_BEARER,
    .list_path = "/api/tags",
    .list = mg_ollama_list,
    .authority = 1,
    .probe = mg_ollama_probe,
    .judge = mg_ollama_judge
};


static void
mg_ollama_chat_body(mg_jw_t *w, mg_str_t id)
{
    (void) id;

    mg_ping_messages(w);
    mg_jw_bool(w, "stream", 0);
    mg_jw_object(w, "options");
    mg_jw_int(w, "num_predict", 1);
    mg_jw_end_object(w);
}


static void
mg_ollama_embed_body(mg_jw_t *w, mg_str_t id)
{
    (void) id;

    mg_jw_z(w, "input", "ping");
}
