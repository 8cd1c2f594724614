/*
 * mg_azure.c: Azure's list of models.
 *
 * The base URL is that of the resource with /openai/v1.  The list is the
 * catalog of the region, not what is deployed: no authority on what exists.
 * Two ids are listed twice.  Capabilities say what an entry can be asked;
 * dates are unix seconds, and the end of 2099 stands for no date.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_openai.h"
#include "provider/mg_protocols.h"


#define MG_AZURE_NEVER  mg_str("2099-")


static int mg_azure_finish(mg_entry_t *x, const mg_json_t *v, mg_arena_t *a);


static const mg_field_t  mg_azure_capabilities[] = {
    MG_ENTRY_TYPE_IF("chat_completion", CHAT),
    MG_ENTRY_TYPE_IF("embeddings", EMBEDDING),
    MG_FIELD_END
};

static const mg_field_t  mg_azure_deprecation[] = {
    MG_ENTRY("inference", DATE, deprecation_date),
    MG_FIELD_END
};

static const mg_field_t  mg_azure_fields[] = {
    MG_ENTRY("id", STR, provider_model_id),
    MG_ENTRY("lifecycle_status", STATUS, status),
    MG_ENTRY_OBJECT("capabilities", mg_azure_capabilities),
    MG_ENTRY_OBJECT("deprecation", mg_azure_deprecation),
    MG_FIELD_END
};


static const mg_list_t  mg_azure_entries = {
    .source = mg_str("azure"),
    .arrays = { "data" },
    .server = "an Azure resource, with /openai/v1",
    .fields = mg_azure_fields,
    .finish = mg_azure_finish
};


MG_LIST_DEFINE(mg_azure_list, mg_azure_entries)


const mg_protocol_t  mg_protocol_azure = {
    .name = mg_str("azure"),
    .auth = MG_AUTH_API_KEY,
    .list_path = "/models?api-version=preview",
    .list = mg_azure_list,
    .probe = mg_openai_probe,
    .judge = mg_openai_judge
};


static int
mg_azure_finish(mg_entry_t *x, const mg_json_t *v, mg_arena_t *a)
{
    mg_str_t          never, *date;
    const mg_json_t  *capabilities;

    (void) a;

    capabilities = mg_json_get(v, "capabilities");

    /* models that complete are often also asked to chat, seldom to embed */

    if (x->type < 0
        && mg_json_tri(mg_json_get(capabilities, "completion")) == 1)
    {
        x->type = MG_TYPE_OTHER;
    }

    never = MG_AZURE_NEVER;
    date = &x->model.deprecation_date;

    if (date->len > never.len
        && memcmp(date->data, never.data, never.len) == 0)
    {
        *date = mg_str_null;
    }

    return MG_OK;
}
