/*
 * mg_source.c: the table of sources.
 *
 * Each source is a file that reads one document; here they are listed, with
 * where it is published, whose word it is and what may follow from it.
 * Linear search: there are a handful, and nobody looks one up for each
 * request.
 *
 * Called by the sync job; touches nothing.
 */

#include "provider/mg_source.h"

#include "provider/mg_document.h"
#include "provider/mg_hub.h"
#include "provider/mg_litellm.h"
#include "provider/mg_models_dev.h"
#include "provider/mg_models_list.h"
#include "provider/mg_openrouter.h"


/* Sources whose documents are lists of entries. */
#define MG_SOURCE_DOCUMENT                                                    \
    .feed = mg_document_feed,                                                 \
    .finish = mg_document_finish,                                             \
    .destroy = mg_document_destroy


const mg_source_t  mg_sources[] = {
    {
        .name = mg_str("models.dev"),
        .url = "https://models.dev/api.json",
        .rank = MG_RANK_MODELS_DEV,
        .creates = 1,
        .authority = 1,
        .per_minute = 100,
        .create = mg_models_dev_create,
        .feed = mg_models_dev_feed,
        .finish = mg_models_dev_finish,
        .destroy = mg_models_dev_destroy
    },
    {
        .name = mg_str("models.dev-models"),
        .url = "https://models.dev/models.json",
        .rank = MG_RANK_LIST,          /* it knows no single provider */
        .labs = 1,
        .per_minute = 100,
        .create = mg_models_list_create,
        MG_SOURCE_DOCUMENT
    },
    {
        .name = mg_str("openrouter"),
        .url = "https://openrouter.ai/api/v1/models",
        .rank = MG_RANK_PROVIDER,
        .creates = 1,
        .per_minute = 20,
        .create = mg_openrouter_create,
        MG_SOURCE_DOCUMENT
    },
    {
        .name = mg_str("litellm"),
        .url = "https://raw.githubusercontent.com/BerriAI/litellm/main/"
               "model_prices_and_context_window.json",
        .rank = MG_RANK_LIST,
        .per_minute = 20,
        .create = mg_litellm_create,
        MG_SOURCE_DOCUMENT
    },
    {
        .name = mg_str("huggingface-hub"),
        .url = "https://huggingface.co/api/models?sort=downloads"
               "&direction=-1&limit=1000",
        .rank = MG_RANK_LIST,
        .per_minute = 20,
        .create = mg_hub_create,
        MG_SOURCE_DOCUMENT
    },
    { .name = { NULL, 0 } }
};


const mg_source_t *
mg_source_find(mg_str_t name)
{
    const mg_source_t  *s;

    for (s = mg_sources; s->name.data; s++) {
        if (mg_str_eq(s->name, name)) {
            return s;
        }
    }

    return NULL;
}
