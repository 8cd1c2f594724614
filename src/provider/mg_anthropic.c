/*
 * mg_anthropic.c: Anthropic's list of models, and a message as a probe.
 *
 *     {"data": [...], "has_more": true, "first_id", "last_id"}
 *
 * Pages are asked for by the last id of the one before.  Newer answers state
 * limits, a lifecycle and capabilities, each an object with "supported";
 * older ones only id, name and time of release.  No prices.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_list.h"
#include "provider/mg_ping.h"
#include "provider/mg_protocols.h"


#define MG_ANTHROPIC_LIST  "/models?limit=1000"


static int mg_anthropic_next(mg_str_t body, mg_str_t link, mg_arena_t *a,
    mg_str_t *path, mg_error_t *e);
static void mg_anthropic_body(mg_jw_t *w, mg_str_t id);


static const char * const  mg_anthropic_headers[] = {
    "anthropic-version: 2023-06-01",
    NULL
};


static const mg_ping_t  mg_anthropic_pings[] = {
    { MG_TYPE_CHAT, "/messages", mg_anthropic_body, "content" },
    { MG_TYPE_OTHER, NULL, NULL, NULL }
};


/* "image_input": {"supported": true} and so on */

static const mg_field_t  mg_anthropic_image[] = {
    MG_ENTRY_CAP("supported", VISION),
    MG_FIELD_END
};

static const mg_field_t  mg_anthropic_thinking[] = {
    MG_ENTRY_CAP("supported", REASONING),
    MG_FIELD_END
};

static const mg_field_t  mg_anthropic_structured[] = {
    MG_ENTRY_CAP("supported", JSON_MODE),
    MG_FIELD_END
};

static const mg_field_t  mg_anthropic_pdf[] = {
    MG_ENTRY("supported", TRI, attachment),
    MG_FIELD_END
};

static const mg_field_t  mg_anthropic_capabilities[] = {
    MG_ENTRY_OBJECT("image_input", mg_anthropic_image),
    MG_ENTRY_OBJECT("thinking", mg_anthropic_thinking),
    MG_ENTRY_OBJECT("structured_outputs", mg_anthropic_structured),
    MG_ENTRY_OBJECT("pdf_input", mg_anthropic_pdf),
    MG_FIELD_END
};

static const mg_field_t  mg_anthropic_fields[] = {
    MG_ENTRY("id", STR, provider_model_id),
    MG_ENTRY("display_name", STR, name),
    MG_ENTRY("created_at", DATE, release_date),
    MG_ENTRY("lifecycle", STATUS, status),
    MG_ENTRY("retires_at", DATE, deprecation_date),
    MG_ENTRY("max_input_tokens", COUNT, input_limit),
    MG_ENTRY("max_tokens", COUNT, output_limit),
    MG_ENTRY_OBJECT("capabilities", mg_anthropic_capabilities),
    MG_FIELD_END
};


static const mg_list_t  mg_anthropic_entries = {
    .source = mg_str("anthropic"),
    .arrays = { "data" },
    .server = "Anthropic's API, with its version (/v1)",
    .fields = mg_anthropic_fields
};


MG_LIST_DEFINE(mg_anthropic_list, mg_anthropic_entries)
MG_PING_DEFINE(mg_anthropic_probe, mg_anthropic_judge, mg_anthropic_pings)


const mg_protocol_t  mg_protocol_anthropic = {
    .name = mg_str("anthropic"),
    .auth = MG_AUTH_X_API_KEY,
    .list_path = MG_ANTHROPIC_LIST,
    .list = mg_anthropic_list,
    .next = mg_anthropic_next,
    .headers = mg_anthropic_headers,
    .authority = 1,
    .probe = mg_anthropic_probe,
    .judge = mg_anthropic_judge
};


static int
mg_anthropic_next(mg_str_t body, mg_str_t link, mg_arena_t *a,
    mg_str_t *path, mg_error_t *e)
{
    const mg_json_t  *doc;

    (void) link;

    doc = mg_list_parse(body, a, e);
    if (doc == NULL) {
        return MG_ERROR;
    }

    if (mg_json_tri(mg_json_get(doc, "has_more")) != 1) {
        return MG_DECLINED;
    }

    return mg_list_page(MG_ANTHROPIC_LIST, "after_id",
                        mg_json_str(doc, "last_id"), a, path, e);
}


static void
mg_anthropic_body(mg_jw_t *w, mg_str_t id)
{
    (void) id;

    mg_jw_int(w, "max_tokens", 1);
    mg_ping_messages(w);
}
