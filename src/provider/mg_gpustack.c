/*
 * mg_gpustack.c: GPUStack's list of models.
 *
 *     {"items": [{"name", "meta", "ready_replicas", "categories"}],
 *      "pagination": {"page", "perPage", "total", "totalPage"}}
 *
 * The name is what inference asks for; the id is a number of the server's
 * own.  "meta" is what the backend says once the model has been loaded, so it
 * may be empty.  A model without a ready replica is listed, too: whether it
 * answers is for validation to find out.  Behind /v1 the list has OpenAI's
 * shape, which is read as well.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_openai.h"
#include "provider/mg_protocols.h"


#define MG_GPUSTACK_LIST  "/models?perPage=100"


static int mg_gpustack_next(mg_str_t body, mg_str_t link, mg_arena_t *a,
    mg_str_t *path, mg_error_t *e);


static const mg_field_t  mg_gpustack_meta[] = {
    MG_ENTRY("n_ctx", COUNT, context),
    MG_ENTRY_CAP("support_vision", VISION),
    MG_ENTRY_CAP("support_tool_calls", FUNCTION_CALLING),
    MG_ENTRY_CAP("support_reasoning", REASONING),
    MG_FIELD_END
};

static const mg_field_t  mg_gpustack_categories[] = {
    MG_ENTRY_WORD("llm", CHAT),
    MG_ENTRY_WORD("embedding", EMBEDDING),
    MG_ENTRY_WORD("reranker", RERANK),
    MG_ENTRY_WORD("image", IMAGE),
    MG_ENTRY_WORD("speech_to_text", AUDIO),
    MG_ENTRY_WORD("text_to_speech", AUDIO),
    MG_FIELD_END
};

static const mg_field_t  mg_gpustack_fields[] = {
    MG_ENTRY("name", STR, provider_model_id),
    MG_ENTRY("id", STR, provider_model_id),
    MG_ENTRY("description", STR, description),
    MG_ENTRY_OBJECT("meta", mg_gpustack_meta),
    MG_ENTRY_TYPE("categories", mg_gpustack_categories),
    MG_FIELD_END
};


static const mg_list_t  mg_gpustack_entries = {
    .source = mg_str("gpustack"),
    .arrays = { "items", "data" },
    .server = "a GPUStack, with its version (/v1)",
    .fields = mg_gpustack_fields
};


MG_LIST_DEFINE(mg_gpustack_list, mg_gpustack_entries)


const mg_protocol_t  mg_protocol_gpustack = {
    .name = mg_str("gpustack"),
    .auth = MG_AUTH_BEARER,
    .list_path = MG_GPUSTACK_LIST,
    .list = mg_gpustack_list,
    .next = mg_gpustack_next,
    .authority = 1,
    .usage_asked = 1,
    .probe = mg_openai_probe,
    .judge = mg_openai_judge
};


static int
mg_gpustack_next(mg_str_t body, mg_str_t link, mg_arena_t *a,
    mg_str_t *path, mg_error_t *e)
{
    int64_t           page, total;
    const mg_json_t  *doc, *pages;

    (void) link;

    doc = mg_list_parse(body, a, e);
    if (doc == NULL) {
        return MG_ERROR;
    }

    pages = mg_json_get(doc, "pagination");

    if (mg_json_int64(mg_json_get(pages, "page"), &page) != MG_OK
        || mg_json_int64(mg_json_get(pages, "totalPage"), &total) != MG_OK
        || page < 1 || page >= total)
    {
        return MG_DECLINED;
    }

    return mg_list_page(MG_GPUSTACK_LIST, "page",
                        mg_arena_printf(a, "%lld", (long long) page + 1), a,
                        path, e);
}
