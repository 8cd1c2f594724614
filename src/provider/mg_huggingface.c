/*
 * mg_huggingface.c: the list of Hugging Face's router.
 *
 * OpenAI's shape with "providers": who serves the model, each with a context
 * length, prices per million tokens and flags of its own.  The router
 * chooses among them for each request, so a number is stated only where all
 * that are live agree, and a capability when one has it.  The list of
 * providers is kept as it came.
 *
 * An aggregator: no authority on what exists.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_openai.h"
#include "provider/mg_protocols.h"


static int mg_huggingface_finish(mg_entry_t *x, const mg_json_t *v,
    mg_arena_t *a);


/* One element of "providers", read into a model of its own. */

static const mg_field_t  mg_huggingface_pricing[] = {
    MG_ENTRY_PRICE("input", PRICE, INPUT, MILLION),
    MG_ENTRY_PRICE("output", PRICE, OUTPUT, MILLION),
    MG_FIELD_END
};

static const mg_field_t  mg_huggingface_provider[] = {
    MG_ENTRY("context_length", COUNT, context),
    MG_ENTRY_CAP("supports_tools", FUNCTION_CALLING),
    MG_ENTRY_CAP("supports_structured_output", JSON_MODE),
    MG_ENTRY_OBJECT("pricing", mg_huggingface_pricing),
    MG_FIELD_END
};


static const mg_list_t  mg_huggingface_entries = {
    .source = mg_str("huggingface"),
    .arrays = { "data" },
    .server = "Hugging Face's router, with its version (/v1)",
    .fields = mg_openai_fields,
    .finish = mg_huggingface_finish
};


MG_LIST_DEFINE(mg_huggingface_list, mg_huggingface_entries)


const mg_protocol_t  mg_protocol_huggingface = {
    .name = mg_str("huggingface"),
    .auth = MG_AUTH_BEARER,
    .list_path = "/models",
    .list = mg_huggingface_list,
    .probe = mg_openai_probe,
    .judge = mg_openai_judge
};


static void
mg_huggingface_agree(int64_t *all, int64_t one, int first)
{
    if (first) {
        *all = one;

    } else if (*all != one) {
        *all = MG_UNKNOWN;
    }
}


static void
mg_huggingface_add(mg_model_t *m, const mg_model_t *one, int first)
{
    unsigned  i;

    mg_huggingface_agree(&m->context, one->context, first);

    for (i = 0; i < MG_PRICE_N; i++) {
        mg_huggingface_agree(&m->price[i], one->price[i], first);
    }

    for (i = 0; i < MG_CAP_N; i++) {
        if (one->caps[i] > m->caps[i]) {
            m->caps[i] = one->caps[i];
        }
    }
}


static int
mg_huggingface_finish(mg_entry_t *x, const mg_json_t *v, mg_arena_t *a)
{
    int               first;
    mg_entry_t       *one;
    const mg_json_t  *providers, *p;

    providers = mg_json_get(v, "providers");

    if (providers == NULL || providers->type != MG_JSON_ARRAY) {
        return MG_OK;
    }

    first = 1;

    for (p = providers->child; p; p = p->next) {
        if (!mg_str_eq(mg_json_str(p, "status"), mg_str("live"))) {
            continue;
        }

        one = mg_entry_read(p, mg_huggingface_provider, a);
        if (one == NULL) {
            return MG_ERROR;
        }

        mg_huggingface_add(&x->model, &one->model, first);
        first = 0;
    }

    return MG_OK;
}
