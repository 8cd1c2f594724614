/*
 * mg_deepseek.c: DeepSeek's list of models.
 *
 * OpenAI's shape; newer answers state limits and modalities, as two lists or
 * as one of what goes in.  Models are asked as OpenAI's are.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_openai.h"
#include "provider/mg_protocols.h"


static const mg_field_t  mg_deepseek_modalities[] = {
    MG_ENTRY_MODES("input", in),
    MG_ENTRY_MODES("output", out),
    MG_FIELD_END
};

static const mg_field_t  mg_deepseek_fields[] = {
    MG_ENTRY("id", STR, provider_model_id),
    MG_ENTRY("name", STR, name),
    MG_ENTRY("context_window", COUNT, context),
    MG_ENTRY("max_output_tokens", COUNT, output_limit),
    MG_ENTRY_OBJECT("modalities", mg_deepseek_modalities),
    MG_ENTRY_MODES("modalities", in),
    MG_FIELD_END
};


static const mg_list_t  mg_deepseek_entries = {
    .source = mg_str("deepseek"),
    .arrays = { "data" },
    .server = "DeepSeek's API",
    .fields = mg_deepseek_fields
};


MG_LIST_DEFINE(mg_deepseek_list, mg_deepseek_entries)


const mg_protocol_t  mg_protocol_deepseek = {
    .name = mg_str("deepseek"),
    .auth = MG_AUTH_BEARER,
    .list_path = "/models",
    .list = mg_deepseek_list,
    .authority = 1,
    .probe = mg_openai_probe,
    .judge = mg_openai_judge
};
