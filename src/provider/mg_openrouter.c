/*
 * mg_openrouter.c: OpenRouter's list, which is public.
 *
 *     {"data": [{"id", "pricing": {"prompt": "0.0000025", ...}, ...}]}
 *
 * Read in two ways by one table: as the list of a provider of protocol
 * openrouter, and without a key as a source, of what the catalog's provider
 * "openrouter" offers.  An aggregator: no authority on what exists.
 *
 * Prices are decimal strings in USD per token.  "-1" says that the price
 * varies, "0" for reasoning that it has no price of its own: both are
 * unknown here, and are kept with the prices that no column holds (per
 * request, per image, per search).  "created" is when OpenRouter added the
 * model, not when it was released.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_openrouter.h"

#include "provider/mg_document.h"
#include "provider/mg_openai.h"
#include "provider/mg_protocols.h"


#define MG_OPENROUTER_NAME  "openrouter"
#define MG_OPENROUTER_LIST  "/models"


static int mg_openrouter_next(mg_str_t body, mg_str_t link, mg_arena_t *a,
    mg_str_t *path, mg_error_t *e);
static int mg_openrouter_finish(mg_entry_t *x, const mg_json_t *v,
    mg_arena_t *a);
static int mg_openrouter_name(mg_entry_t *x, mg_str_t key,
    const mg_json_t *v, mg_arena_t *a, const char **reason);


static const mg_field_t  mg_openrouter_architecture[] = {
    MG_ENTRY_MODES("input_modalities", in),
    MG_ENTRY_MODES("output_modalities", out),
    MG_FIELD_END
};

static const mg_field_t  mg_openrouter_pricing[] = {
    MG_ENTRY_PRICE("prompt", PRICE_TEXT, INPUT, TOKEN),
    MG_ENTRY_PRICE("completion", PRICE_TEXT, OUTPUT, TOKEN),
    MG_ENTRY_PRICE("input_cache_read", PRICE_TEXT, CACHE_READ, TOKEN),
    MG_ENTRY_PRICE("input_cache_write", PRICE_TEXT, CACHE_WRITE, TOKEN),
    MG_ENTRY_PRICE("internal_reasoning", PRICE_TEXT, REASONING, TOKEN),
    MG_ENTRY_PRICE("audio", PRICE_TEXT, INPUT_AUDIO, TOKEN),
    MG_FIELD_END
};

static const mg_field_t  mg_openrouter_top[] = {
    MG_ENTRY("max_completion_tokens", COUNT, output_limit),
    MG_FIELD_END
};

static const mg_field_t  mg_openrouter_parameters[] = {
    MG_FIELD("tools", TRI, MG_ENTRY_CAP_AT(FUNCTION_CALLING)),
    MG_FIELD("structured_outputs", TRI, MG_ENTRY_CAP_AT(JSON_MODE)),
    MG_FIELD("response_format", TRI, MG_ENTRY_CAP_AT(JSON_MODE)),
    MG_FIELD("reasoning", TRI, MG_ENTRY_CAP_AT(REASONING)),
    MG_FIELD("temperature", TRI, MG_ENTRY_AT(temperature)),
    MG_FIELD_END
};

static const mg_field_t  mg_openrouter_fields[] = {
    MG_ENTRY("id", STR, provider_model_id),
    MG_ENTRY("name", STR, name),
    MG_ENTRY("description", STR, description),
    MG_ENTRY("context_length", COUNT, context),
    MG_ENTRY("expiration_date", DATE, deprecation_date),
    MG_ENTRY_OBJECT("architecture", mg_openrouter_architecture),
    MG_ENTRY_OBJECT("pricing", mg_openrouter_pricing),
    MG_ENTRY_OBJECT("top_provider", mg_openrouter_top),
    MG_ENTRY_FLAGS("supported_parameters", mg_openrouter_parameters),
    MG_FIELD_END
};


static const mg_list_t  mg_openrouter_entries = {
    .source = mg_str(MG_OPENROUTER_NAME),
    .arrays = { "data" },
    .server = "OpenRouter's API, with its version (/api/v1)",
    .fields = mg_openrouter_fields,
    .finish = mg_openrouter_finish
};


static const mg_document_kind_t  mg_openrouter_document = {
    .source = mg_str(MG_OPENROUTER_NAME),
    .member = "data",
    .container = MG_JSON_ARRAY,
    .fields = mg_openrouter_fields,
    .finish = mg_openrouter_name
};


MG_LIST_DEFINE(mg_openrouter_list, mg_openrouter_entries)


const mg_protocol_t  mg_protocol_openrouter = {
    .name = mg_str(MG_OPENROUTER_NAME),
    .auth = MG_AUTH_BEARER,
    .list_path = MG_OPENROUTER_LIST,
    .list = mg_openrouter_list,
    .next = mg_openrouter_next,
    .probe = mg_openai_probe,
    .judge = mg_openai_judge
};


void *
mg_openrouter_create(const mg_source_handler_t *h, void *ctx)
{
    return mg_document_create(&mg_openrouter_document, h, ctx);
}


/*
 * "links": {"next": URL}: of the URL only the query is followed, and only if
 * nothing in it could end the request's line.
 */

static int
mg_openrouter_next(mg_str_t body, mg_str_t link, mg_arena_t *a,
    mg_str_t *path, mg_error_t *e)
{
    const mg_json_t  *doc;

    (void) link;

    doc = mg_list_parse(body, a, e);
    if (doc == NULL) {
        return MG_ERROR;
    }

    return mg_list_query(MG_OPENROUTER_LIST,
                         mg_json_str(mg_json_get(doc, "links"), "next"), a,
                         path, e);
}


/* A price of 0 for reasoning: it is in the price of the output. */

static int
mg_openrouter_finish(mg_entry_t *x, const mg_json_t *v, mg_arena_t *a)
{
    (void) v;
    (void) a;

    if (x->model.price[MG_PRICE_REASONING] == 0) {
        x->model.price[MG_PRICE_REASONING] = MG_UNKNOWN;
    }

    return MG_OK;
}


static int
mg_openrouter_name(mg_entry_t *x, mg_str_t key, const mg_json_t *v,
    mg_arena_t *a, const char **reason)
{
    (void) key;

    if (x->model.provider_model_id.len == 0) {
        *reason = "the model has no id";
        return MG_DECLINED;
    }

    x->model.provider_id = mg_str(MG_OPENROUTER_NAME);

    return mg_openrouter_finish(x, v, a);
}
