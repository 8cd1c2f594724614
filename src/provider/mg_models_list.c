/*
 * mg_models_list.c: models.dev's models.json.
 *
 *     { "lab/model": {..., license, links[], weights[], benchmarks[]}, ... }
 *
 * The same model members as in api.json, but without a provider and without
 * prices, and what concerns the model wherever it runs.  The lab is taken
 * for the provider of that name: the list completes those, and its
 * benchmarks go to "lab/model".  Licence, links and weights are kept in
 * extra.
 *
 * Any thread; touches nothing but the arena.
 */

#include "provider/mg_models_list.h"

#include "provider/mg_document.h"
#include "provider/mg_models_dev.h"


#define MG_MODELS_LIST_BENCHMARKS  1000


static int mg_models_list_finish(mg_entry_t *x, mg_str_t key,
    const mg_json_t *v, mg_arena_t *a, const char **reason);
static int mg_models_list_benchmarks(const mg_entry_t *x, const mg_json_t *v,
    mg_arena_t *a, const mg_source_handler_t *h, void *ctx, mg_error_t *e);


#define MG_BENCHMARK(n, t, member)                                            \
    MG_FIELD(n, t, offsetof(mg_benchmark_t, member))

static const mg_field_t  mg_models_list_benchmark[] = {
    MG_BENCHMARK("name", STR, name),
    MG_BENCHMARK("score", NUMBER, score),
    MG_BENCHMARK("metric", STR, metric),
    MG_BENCHMARK("harness", STR, harness),
    MG_BENCHMARK("variant", STR, variant),
    MG_BENCHMARK("dataset", STR, dataset),
    MG_BENCHMARK("version", STR, version),
    MG_BENCHMARK("version", NUMBER, version),
    MG_BENCHMARK("source", STR, url),
    MG_BENCHMARK("date", STR, date),
    MG_FIELD_END
};


static const mg_document_kind_t  mg_models_list_document = {
    .source = mg_str("models.dev-models"),
    .container = MG_JSON_OBJECT,
    .fields = mg_models_dev_fields,
    .finish = mg_models_list_finish,
    .more = mg_models_list_benchmarks
};


void *
mg_models_list_create(const mg_source_handler_t *h, void *ctx)
{
    return mg_document_create(&mg_models_list_document, h, ctx);
}


static int
mg_models_list_finish(mg_entry_t *x, mg_str_t key, const mg_json_t *v,
    mg_arena_t *a, const char **reason)
{
    size_t       n;
    const char  *slash;

    (void) v;

    slash = key.len ? memchr(key.data, '/', key.len) : NULL;
    n = slash ? (size_t) (slash - key.data) : 0;

    if (n == 0 || n + 1 == key.len) {
        *reason = "the key is not \"lab/model\"";
        return MG_DECLINED;
    }

    key = mg_arena_dup(a, key);
    if (key.data == NULL) {
        return MG_ERROR;
    }

    x->model.provider_id = mg_str_n(key.data, n);
    x->model.provider_model_id = mg_str_n(key.data + n + 1, key.len - n - 1);
    x->model.source_model_id = key;

    /* benchmarks have a table of their own */

    mg_entry_drop(x, "benchmarks");

    return (x->id.data && !mg_str_eq(x->id, key))
           ? mg_entry_keep(x, "id", x->id, a) : MG_OK;
}


static int
mg_models_list_one(const mg_entry_t *x, const mg_json_t *v, mg_arena_t *a,
    const mg_source_handler_t *h, void *ctx, mg_error_t *e)
{
    mg_json_t       *rest;
    mg_error_t       bad;
    mg_benchmark_t   b;

    memset(&b, 0, sizeof(mg_benchmark_t));
    b.model_id = x->model.id;
    b.source = mg_str("models.dev");

    if (v->type == MG_JSON_OBJECT
        && mg_field_read(v, mg_models_list_benchmark, &b, a, &rest) != MG_OK)
    {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "the benchmarks of one "
                            "model need more memory than allowed");
    }

    if (mg_benchmark_check(&b, &bad) != MG_OK) {
        if (h->skipped) {
            h->skipped(ctx, x->model.id, bad.message);
        }

        return MG_OK;
    }

    return h->benchmark(ctx, &b, e);
}


static int
mg_models_list_benchmarks(const mg_entry_t *x, const mg_json_t *v,
    mg_arena_t *a, const mg_source_handler_t *h, void *ctx, mg_error_t *e)
{
    const mg_json_t  *list, *one;

    list = mg_json_get(v, "benchmarks");

    if (list == NULL || list->type != MG_JSON_ARRAY || h->benchmark == NULL) {
        return MG_OK;
    }

    if (list->count > MG_MODELS_LIST_BENCHMARKS) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "a model has %u "
                            "benchmarks, more than %d cannot be read",
                            (unsigned) list->count,
                            MG_MODELS_LIST_BENCHMARKS);
    }

    for (one = list->child; one; one = one->next) {
        if (mg_models_list_one(x, one, a, h, ctx, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}
