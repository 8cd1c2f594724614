/*
 * mg_hub.c: the Hugging Face Hub's list of models.
 *
 *     [{"id": "org/model", "pipeline_tag", "tags", "likes", ...}, ...]
 *
 * The Hub has millions of models; one page, those downloaded most, is read,
 * and it only completes what the catalog's provider "huggingface" has.  The
 * task tells the type; likes, downloads, library and licence tags are kept
 * as they came.  Private models are passed over.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_hub.h"

#include "provider/mg_document.h"


static int mg_hub_finish(mg_entry_t *x, mg_str_t key, const mg_json_t *v,
    mg_arena_t *a, const char **reason);


static const mg_field_t  mg_hub_tasks[] = {
    MG_ENTRY_WORD("text-generation", CHAT),
    MG_ENTRY_WORD("image-text-to-text", CHAT),
    MG_ENTRY_WORD("any-to-any", CHAT),
    MG_ENTRY_WORD("audio-text-to-text", CHAT),
    MG_ENTRY_WORD("video-text-to-text", CHAT),
    MG_ENTRY_WORD("feature-extraction", EMBEDDING),
    MG_ENTRY_WORD("sentence-similarity", EMBEDDING),
    MG_ENTRY_WORD("text-ranking", RERANK),
    MG_ENTRY_WORD("text-to-image", IMAGE),
    MG_ENTRY_WORD("image-to-image", IMAGE),
    MG_ENTRY_WORD("automatic-speech-recognition", AUDIO),
    MG_ENTRY_WORD("text-to-speech", AUDIO),
    MG_ENTRY_WORD("text-to-audio", AUDIO),
    MG_ENTRY_WORD("tabular-classification", TABULAR),
    MG_ENTRY_WORD("tabular-regression", TABULAR),
    MG_ENTRY_WORD("time-series-forecasting", TABULAR),
    MG_ENTRY_WORD("text-classification", OTHER),
    MG_ENTRY_WORD("token-classification", OTHER),
    MG_ENTRY_WORD("image-classification", OTHER),
    MG_ENTRY_WORD("object-detection", OTHER),
    MG_ENTRY_WORD("fill-mask", OTHER),
    MG_ENTRY_WORD("text-to-video", OTHER),
    MG_ENTRY_WORD("image-to-video", OTHER),
    MG_FIELD_END
};

static const mg_field_t  mg_hub_fields[] = {
    MG_ENTRY("id", STR, provider_model_id),
    MG_ENTRY("createdAt", DATE, release_date),
    MG_ENTRY("lastModified", DATE, last_updated),
    MG_ENTRY("tags", ARRAY, tags),
    MG_ENTRY_TYPE("pipeline_tag", mg_hub_tasks),
    MG_FIELD_END
};


static const mg_document_kind_t  mg_hub_document = {
    .source = mg_str("huggingface-hub"),
    .container = MG_JSON_ARRAY,
    .fields = mg_hub_fields,
    .finish = mg_hub_finish
};


void *
mg_hub_create(const mg_source_handler_t *h, void *ctx)
{
    return mg_document_create(&mg_hub_document, h, ctx);
}


static int
mg_hub_finish(mg_entry_t *x, mg_str_t key, const mg_json_t *v, mg_arena_t *a,
    const char **reason)
{
    (void) key;
    (void) a;

    if (x->model.provider_model_id.len == 0) {
        *reason = "the model has no id";
        return MG_DECLINED;
    }

    x->model.provider_id = mg_str("huggingface");

    return (mg_json_tri(mg_json_get(v, "private")) == 1) ? MG_DECLINED
                                                         : MG_OK;
}
