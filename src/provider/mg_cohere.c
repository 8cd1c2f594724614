/*
 * mg_cohere.c: Cohere's list of models, and its chat, embed and rerank.
 *
 *     {"models": [{"name", "endpoints": ["chat"], ...}], "next_page_token"}
 *
 * The list is at version 1 of the API, chat at version 2, so the base URL is
 * the one without a version.  "endpoints" tells the type, "features" some of
 * the capabilities; null where nobody filled it in.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_list.h"
#include "provider/mg_ping.h"
#include "provider/mg_protocols.h"


#define MG_COHERE_LIST  "/v1/models?page_size=1000"


static int mg_cohere_next(mg_str_t body, mg_str_t link, mg_arena_t *a,
    mg_str_t *path, mg_error_t *e);
static void mg_cohere_chat_body(mg_jw_t *w, mg_str_t id);
static void mg_cohere_embed_body(mg_jw_t *w, mg_str_t id);
static void mg_cohere_rerank_body(mg_jw_t *w, mg_str_t id);


static const mg_ping_t  mg_cohere_pings[] = {
    { MG_TYPE_CHAT, "/v2/chat", mg_cohere_chat_body, "message" },
    { MG_TYPE_EMBEDDING, "/v2/embed", mg_cohere_embed_body, "embeddings" },
    { MG_TYPE_RERANK, "/v2/rerank", mg_cohere_rerank_body, "results" },
    { MG_TYPE_OTHER, NULL, NULL, NULL }
};


/* A model that chats and also summarizes is one that chats. */
static const mg_field_t  mg_cohere_endpoints[] = {
    MG_ENTRY_WORD("chat", CHAT),
    MG_ENTRY_WORD("embed", EMBEDDING),
    MG_ENTRY_WORD("rerank", RERANK),
    MG_ENTRY_WORD("transcriptions", AUDIO),
    MG_ENTRY_WORD("classify", OTHER),
    MG_ENTRY_WORD("generate", OTHER),
    MG_FIELD_END
};

static const mg_field_t  mg_cohere_features[] = {
    MG_FIELD("tools", TRI, MG_ENTRY_CAP_AT(FUNCTION_CALLING)),
    MG_FIELD("json_mode", TRI, MG_ENTRY_CAP_AT(JSON_MODE)),
    MG_FIELD("json_schema", TRI, MG_ENTRY_CAP_AT(JSON_MODE)),
    MG_FIELD("vision", TRI, MG_ENTRY_CAP_AT(VISION)),
    MG_FIELD("reasoning", TRI, MG_ENTRY_CAP_AT(REASONING)),
    MG_FIELD_END
};

static const mg_field_t  mg_cohere_fields[] = {
    MG_ENTRY("name", STR, provider_model_id),
    MG_ENTRY("context_length", COUNT, context),
    MG_ENTRY_CAP("supports_vision", VISION),
    MG_ENTRY_TYPE("endpoints", mg_cohere_endpoints),
    MG_ENTRY_FLAGS("features", mg_cohere_features),
    MG_FIELD_END
};


static const mg_list_t  mg_cohere_entries = {
    .source = mg_str("cohere"),
    .arrays = { "models" },
    .server = "Cohere's API, without a version",
    .fields = mg_cohere_fields
};


MG_LIST_DEFINE(mg_cohere_list, mg_cohere_entries)
MG_PING_DEFINE(mg_cohere_probe, mg_cohere_judge, mg_cohere_pings)


const mg_protocol_t  mg_protocol_cohere = {
    .name = mg_str("cohere"),
    .auth = MG_AUTH_BEARER,
    .list_path = MG_COHERE_LIST,
    .list = mg_cohere_list,
    .next = mg_cohere_next,
    .authority = 1,
    .probe = mg_cohere_probe,
    .judge = mg_cohere_judge
};


static int
mg_cohere_next(mg_str_t body, mg_str_t link, mg_arena_t *a, mg_str_t *path,
    mg_error_t *e)
{
    (void) link;

    return mg_list_next(body, "next_page_token", MG_COHERE_LIST,
                        "page_token", a, path, e);
}


/* -- the probe -- */

static void
mg_cohere_chat_body(mg_jw_t *w, mg_str_t id)
{
    (void) id;

    mg_ping_messages(w);
    mg_jw_int(w, "max_tokens", 1);
}


static void
mg_cohere_one(mg_jw_t *w, const char *name, const char *value)
{
    mg_jw_array(w, name);
    mg_jw_z(w, NULL, value);
    mg_jw_end_array(w);
}


static void
mg_cohere_embed_body(mg_jw_t *w, mg_str_t id)
{
    (void) id;

    mg_cohere_one(w, "texts", "ping");
    mg_jw_z(w, "input_type", "search_query");
    mg_cohere_one(w, "embedding_types", "float");
}


static void
mg_cohere_rerank_body(mg_jw_t *w, mg_str_t id)
{
    (void) id;

    mg_jw_z(w, "query", "ping");
    mg_cohere_one(w, "documents", "ping");
}
