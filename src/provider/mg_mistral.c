/*
 * mg_mistral.c: Mistral's list of models.
 *
 * OpenAI's shape with descriptions, context lengths and capabilities.  One
 * id may be listed twice with different capabilities: an alias that points
 * at two versions, or a model that transcribes and also chats.  Models are
 * asked as OpenAI's are.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_openai.h"
#include "provider/mg_protocols.h"


static const mg_field_t  mg_mistral_capabilities[] = {
    MG_ENTRY_TYPE_IF("completion_chat", CHAT),
    MG_ENTRY_TYPE_IF("moderation", OTHER),
    MG_ENTRY_TYPE_IF("ocr", OTHER),
    MG_ENTRY_CAP("function_calling", FUNCTION_CALLING),
    MG_ENTRY_CAP("vision", VISION),
    MG_ENTRY_CAP("audio", AUDIO),
    MG_ENTRY_CAP("reasoning", REASONING),
    MG_FIELD_END
};

static const mg_field_t  mg_mistral_fields[] = {
    MG_ENTRY("id", STR, provider_model_id),
    MG_ENTRY("name", STR, name),
    MG_ENTRY("description", STR, description),
    MG_ENTRY("max_context_length", COUNT, context),
    MG_ENTRY("deprecation", DATE, deprecation_date),
    MG_ENTRY_OBJECT("capabilities", mg_mistral_capabilities),
    MG_FIELD_END
};


static const mg_list_t  mg_mistral_entries = {
    .source = mg_str("mistral"),
    .arrays = { "data" },
    .server = "Mistral's API, with its version (/v1)",
    .fields = mg_mistral_fields
};


MG_LIST_DEFINE(mg_mistral_list, mg_mistral_entries)


const mg_protocol_t  mg_protocol_mistral = {
    .name = mg_str("mistral"),
    .auth = MG_AUTH_BEARER,
    .list_path = "/models",
    .list = mg_mistral_list,
    .authority = 1,
    .probe = mg_openai_probe,
    .judge = mg_openai_judge
};
