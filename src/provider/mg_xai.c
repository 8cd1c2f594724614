/*
 * mg_xai.c: xAI's list of models.
 *
 * OpenAI's shape; newer answers, and those to /language-models, state
 * modalities and prices.  A price is in US cents for 100 million tokens,
 * 10^-10 USD a token.  Models are asked as OpenAI's are.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_openai.h"
#include "provider/mg_protocols.h"


#define MG_FIELD_PER_CENTS  5

static const mg_field_t  mg_xai_fields[] = {
    MG_ENTRY("id", STR, provider_model_id),
    MG_ENTRY("version", STR, version),
    MG_ENTRY("context_length", COUNT, context),
    MG_ENTRY("max_prompt_length", COUNT, input_limit),
    MG_ENTRY_MODES("input_modalities", in),
    MG_ENTRY_MODES("output_modalities", out),
    MG_ENTRY_PRICE("prompt_text_token_price", PRICE, INPUT, CENTS),
    MG_ENTRY_PRICE("completion_text_token_price", PRICE, OUTPUT, CENTS),
    MG_ENTRY_PRICE("cached_prompt_text_token_price", PRICE, CACHE_READ,
                   CENTS),
    MG_FIELD_END
};


static const mg_list_t  mg_xai_entries = {
    .source = mg_str("xai"),
    .arrays = { "data", "models" },
    .server = "xAI's API, with its version (/v1)",
    .fields = mg_xai_fields
};


MG_LIST_DEFINE(mg_xai_list, mg_xai_entries)


const mg_protocol_t  mg_protocol_xai = {
    .name = mg_str("xai"),
    .auth = MG_AUTH_BEARER,
    .list_path = "/models",
    .list = mg_xai_list,
    .authority = 1,
    .probe = mg_openai_probe,
    .judge = mg_openai_judge
};
