/*
 * mg_google.c: the Gemini API's list of models, and its generateContent.
 *
 *     {"models": [{"name": "models/x", ...}], "nextPageToken": "..."}
 *
 * A page holds 50 models unless more are asked for, and may hold fewer than
 * asked: only a page without a token is the last.  The id is what stands
 * behind "models/"; a tuned model keeps its whole name.  The methods tell
 * embeddings, pictures and video from the rest; generateContent does not
 * tell chat from speech, so that is left to the name.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_list.h"
#include "provider/mg_ping.h"
#include "provider/mg_protocols.h"

#include "base/mg_uri.h"


#define MG_GOOGLE_LIST    "/models?pageSize=1000"
#define MG_GOOGLE_PREFIX  mg_str("models/")


static int mg_google_finish(mg_entry_t *x, const mg_json_t *v,
    mg_arena_t *a);
static int mg_google_next(mg_str_t body, mg_str_t link, mg_arena_t *a,
    mg_str_t *path, mg_error_t *e);
static int mg_google_probe(const mg_model_t *m, mg_buf_t *path,
    mg_buf_t *body);
static mg_probe_class_e mg_google_judge(const mg_model_t *m, int status,
    mg_str_t body, mg_arena_t *a, mg_str_t *message);
static void mg_google_chat_body(mg_jw_t *w, mg_str_t id);
static void mg_google_embedding_body(mg_jw_t *w, mg_str_t id);


/* The path is what stands behind the model's name. */
static const mg_ping_t  mg_google_pings[] = {
    { MG_TYPE_CHAT, ":generateContent", mg_google_chat_body, "candidates" },
    { MG_TYPE_EMBEDDING, ":embedContent", mg_google_embedding_body,
      "embedding" },
    { MG_TYPE_OTHER, NULL, NULL, NULL }
};


static const mg_field_t  mg_google_methods[] = {
    MG_ENTRY_WORD("embedContent", EMBEDDING),
    MG_ENTRY_WORD("embedText", EMBEDDING),
    MG_ENTRY_WORD("predict", IMAGE),
    MG_ENTRY_WORD("predictLongRunning", OTHER),
    MG_ENTRY_WORD("generateAnswer", OTHER),
    MG_FIELD_END
};

static const mg_field_t  mg_google_fields[] = {
    MG_ENTRY("name", STR, provider_model_id),
    MG_ENTRY("displayName", STR, name),
    MG_ENTRY("description", STR, description),
    MG_ENTRY("version", STR, version),
    MG_ENTRY("inputTokenLimit", COUNT, input_limit),
    MG_ENTRY("outputTokenLimit", COUNT, output_limit),
    MG_ENTRY_CAP("thinking", REASONING),
    MG_ENTRY_TYPE("supportedGenerationMethods", mg_google_methods),
    MG_FIELD_END
};


static const mg_list_t  mg_google_entries = {
    .source = mg_str("google"),
    .arrays = { "models" },
    .server = "the Gemini API, with its version (/v1beta)",
    .fields = mg_google_fields,
    .finish = mg_google_finish
};


MG_LIST_DEFINE(mg_google_list, mg_google_entries)


const mg_protocol_t  mg_protocol_google = {
    .name = mg_str("google"),
    .auth = MG_AUTH_X_GOOG_API_KEY,
    .list_path = MG_GOOGLE_LIST,
    .list = mg_google_list,
    .next = mg_google_next,
    .authority = 1,
    .probe = mg_google_probe,
    .judge = mg_google_judge
};


static int
mg_google_finish(mg_entry_t *x, const mg_json_t *v, mg_arena_t *a)
{
    mg_str_t  name, prefix;

    (void) v;
    (void) a;

    prefix = MG_GOOGLE_PREFIX;
    name = x->model.provider_model_id;

    if (name.len > prefix.len
        && memcmp(name.data, prefix.data, prefix.len) == 0)
    {
        x->model.source_model_id = name;
        x->model.provider_model_id = mg_str_n(name.data + prefix.len,
                                              name.len - prefix.len);
    }

    return MG_OK;
}


static int
mg_google_next(mg_str_t body, mg_str_t link, mg_arena_t *a, mg_str_t *path,
    mg_error_t *e)
{
    (void) link;

    return mg_list_next(body, "nextPageToken", MG_GOOGLE_LIST, "pageToken", a,
                        path, e);
}


/* -- the probe -- */

static void
mg_google_content(mg_jw_t *w)
{
    mg_jw_array(w, "parts");
    mg_jw_object(w, NULL);
    mg_jw_z(w, "text", "ping");
    mg_jw_end_object(w);
    mg_jw_end_array(w);
}


static void
mg_google_chat_body(mg_jw_t *w, mg_str_t id)
{
    (void) id;

    mg_jw_array(w, "contents");
    mg_jw_object(w, NULL);
    mg_jw_z(w, "role", "user");
    mg_google_content(w);
    mg_jw_end_object(w);
    mg_jw_end_array(w);

    mg_jw_object(w, "generationConfig");
    mg_jw_int(w, "maxOutputTokens", 1);
    mg_jw_end_object(w);
}


static void
mg_google_embedding_body(mg_jw_t *w, mg_str_t id)
{
    (void) id;

    mg_jw_object(w, "content");
    mg_google_content(w);
    mg_jw_end_object(w);
}


/* The model stands in the path; a slash in its name belongs there, too. */

static int
mg_google_probe(const mg_model_t *m, mg_buf_t *path, mg_buf_t *body)
{
    char             *p;
    mg_jw_t           w;
    mg_str_t          id;
    const mg_ping_t  *row;

    row = mg_ping_find(mg_google_pings, m->type);
    if (row == NULL) {
        return MG_DECLINED;
    }

    id = m->provider_model_id;
    mg_buf_z(path, memchr(id.data, '/', id.len) ? "/" : "/models/");

    p = mg_buf_reserve(path, id.len * 3);
    if (p == NULL) {
        return MG_ERROR;
    }

    path->len += mg_uri_encode(id, "/", p);
    mg_buf_z(path, row->path);

    mg_jw_init(&w, body);
    mg_jw_object(&w, NULL);
    row->body(&w, id);
    mg_jw_end_object(&w);

    return (body->failed || path->failed) ? MG_ERROR : MG_OK;
}


static mg_probe_class_e
mg_google_judge(const mg_model_t *m, int status, mg_str_t body,
    mg_arena_t *a, mg_str_t *message)
{
    return mg_ping_judge(mg_google_pings, m, status, body, a, message);
}
