/*
 * mg_models_dev.c: the models.dev document, as it flows by.
 *
 *     { provider id: { id, name, env[], npm, api?, doc,
 *                      models: { model id: {...}, ... } }, ... }
 *
 * The stream delivers one model at a time as nodes; translated models wait
 * in the arena of their provider until that provider ends, because the
 * order of members carries nothing: "npm" may stand behind "models".  Then
 * the provider is handed on, and its models after it, and the arena is
 * reset.  So memory grows with the largest provider, not with the document.
 *
 * The keys are the identities.  A key that occurs twice counts once: the
 * first stays, the second is reported as skipped.  What no column holds
 * (reasoning_options, interleaved, provider overrides, experimental, values
 * of another type than usual) goes to "extra" as it came.
 *
 * Called by the sync job on a pool thread; touches only its own memory.
 */

#include "provider/mg_models_dev.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mg_jw.h"
#include "provider/mg_keyset.h"
#include "provider/mg_package.h"


#define MG_MODELS_DEV_TOTAL     (64 * 1024 * 1024)
#define MG_MODELS_DEV_NODES     (16 * 1024 * 1024)
#define MG_MODELS_DEV_DEPTH     32
#define MG_MODELS_DEV_ARENA     (256 * 1024 * 1024)
#define MG_MODELS_DEV_EXTRA     (256 * 1024)


typedef struct {
    mg_source_handler_t         handler;
    void                       *ctx;
    mg_json_stream_t           *stream;

    mg_arena_t                 *names;        /* of the whole document */
    mg_keyset_t                 providers;

    mg_arena_t                 *arena;        /* of the current provider */
    mg_keyset_t                 ids;
    mg_provider_t               provider;
    mg_buf_t                    extra;        /* of it, members as JSON */
    mg_jw_t                     writer;
    mg_entry_t                 *models;
    mg_entry_t                **last;
    unsigned                    has_models:1;
    unsigned                    no_object:1;
    unsigned                    no_memory:1;
} mg_models_dev_t;


static mg_json_want_e mg_models_dev_enter(void *ctx, unsigned depth,
    mg_str_t key, mg_json_type_e type);
static int mg_models_dev_value(void *ctx, unsigned depth, mg_str_t key,
    const mg_json_t *v, mg_error_t *e);
static int mg_models_dev_leave(void *ctx, unsigned depth, mg_str_t key,
    mg_error_t *e);


static const mg_json_handler_t  mg_models_dev_callbacks = {
    mg_models_dev_enter,
    mg_models_dev_value,
    mg_models_dev_leave
};


static const mg_field_t  mg_models_dev_limit[] = {
    MG_ENTRY("context", COUNT, context),
    MG_ENTRY("input", COUNT, input_limit),
    MG_ENTRY("output", COUNT, output_limit),
    MG_FIELD_END
};

static const mg_field_t  mg_models_dev_cost[] = {
    MG_ENTRY_PRICE("input", PRICE, INPUT, MILLION),
    MG_ENTRY_PRICE("output", PRICE, OUTPUT, MILLION),
    MG_ENTRY_PRICE("cache_read", PRICE, CACHE_READ, MILLION),
    MG_ENTRY_PRICE("cache_write", PRICE, CACHE_WRITE, MILLION),
    MG_ENTRY_PRICE("reasoning", PRICE, REASONING, MILLION),
    MG_ENTRY_PRICE("input_audio", PRICE, INPUT_AUDIO, MILLION),
    MG_ENTRY_PRICE("output_audio", PRICE, OUTPUT_AUDIO, MILLION),
    MG_ENTRY("tiers", ARRAY, price_tiers),
    MG_FIELD_END
};

static const mg_field_t  mg_models_dev_modalities[] = {
    MG_ENTRY_MODES("input", in),
    MG_ENTRY_MODES("output", out),
    MG_FIELD_END
};

const mg_field_t  mg_models_dev_fields[] = {
    MG_FIELD("id", STR, offsetof(mg_entry_t, id)),
    MG_ENTRY("name", STR, name),
    MG_ENTRY("description", STR, description),
    MG_ENTRY("family", STR, family),
    MG_ENTRY("status", STR, status),
    MG_ENTRY("attachment", TRI, attachment),
    MG_ENTRY_CAP("reasoning", REASONING),
    MG_ENTRY_CAP("tool_call", FUNCTION_CALLING),
    MG_ENTRY_CAP("structured_output", JSON_MODE),
    MG_ENTRY("temperature", TRI, temperature),
    MG_ENTRY("open_weights", TRI, open_weights),
    MG_ENTRY("knowledge", STR, knowledge),
    MG_ENTRY("release_date", STR, release_date),
    MG_ENTRY("last_updated", STR, last_updated),
    MG_ENTRY_OBJECT("modalities", mg_models_dev_modalities),
    MG_ENTRY_OBJECT("limit", mg_models_dev_limit),
    MG_ENTRY_OBJECT("cost", mg_models_dev_cost),
    MG_FIELD_END
};


void *
mg_models_dev_create(const mg_source_handler_t *h, void *ctx)
{
    mg_models_dev_t   *d;
    mg_json_limits_t   limits;

    d = calloc(1, sizeof(mg_models_dev_t));
    if (d == NULL) {
        return NULL;
    }

    limits.depth = MG_MODELS_DEV_DEPTH;
    limits.members = MG_MODELS_DEV_NODES;
    limits.string = 1024 * 1024;
    limits.total = MG_MODELS_DEV_TOTAL;

    d->handler = *h;
    d->ctx = ctx;
    d->last = &d->models;
    d->names = mg_arena_create(MG_MODELS_DEV_ARENA);
    d->arena = mg_arena_create(MG_MODELS_DEV_ARENA);
    d->stream = mg_json_stream_create(&mg_models_dev_callbacks, d, &limits);

    mg_buf_init(&d->extra, MG_MODELS_DEV_EXTRA);

    if (d->names == NULL || d->arena == NULL || d->stream == NULL
        || mg_keyset_init(&d->providers) != MG_OK
        || mg_keyset_init(&d->ids) != MG_OK)
    {
        mg_models_dev_destroy(d);
        return NULL;
    }

    return d;
}


void
mg_models_dev_destroy(void *document)
{
    mg_models_dev_t  *d = document;

    if (d == NULL) {
        return;
    }

    if (d->stream) {
        mg_json_stream_destroy(d->stream);
    }

    mg_buf_free(&d->extra);
    mg_arena_destroy(d->arena);
    mg_arena_destroy(d->names);
    free(d);
}


static int
mg_models_dev_check(mg_models_dev_t *d, int rc, mg_error_t *e)
{
    if (d->no_memory) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL,
                            "the models.dev document needs more than %d MiB "
                            "of memory for one provider",
                            MG_MODELS_DEV_ARENA / 1024 / 1024);
    }

    if (d->no_object) {
        return mg_error_set(e, MG_E_INVALID, NULL,
                            "the document is not models.dev's: at the top "
                            "there must be an object keyed by provider id");
    }

    return rc;
}


int
mg_models_dev_feed(void *document, const char *data, size_t len,
    mg_error_t *e)
{
    mg_models_dev_t  *d = document;

    return mg_models_dev_check(d, mg_json_stream_feed(d->stream, data, len,
                                                      e), e);
}


int
mg_models_dev_finish(void *document, mg_error_t *e)
{
    mg_models_dev_t  *d = document;

    return mg_models_dev_check(d, mg_json_stream_finish(d->stream, e), e);
}


static void
mg_models_dev_skip(mg_models_dev_t *d, mg_str_t id, const char *reason)
{
    if (d->handler.skipped) {
        d->handler.skipped(d->ctx, id, reason);
    }
}


static void
mg_models_dev_skip_model(mg_models_dev_t *d, mg_str_t id, const char *reason)
{
    char    full[MG_MODEL_ID_MAX * 2];
    size_t  len;

    len = (size_t) snprintf(full, sizeof(full), MG_STR_FMT "/%.*s",
                            MG_STR_ARG(d->provider.id),
                            (int) (id.len > MG_MODEL_ID_MAX ? MG_MODEL_ID_MAX
                                                            : id.len),
                            id.data);

    mg_models_dev_skip(d, mg_str_n(full, len), reason);
}


/* -- the document -- */

static mg_json_want_e
mg_models_dev_enter_provider(mg_models_dev_t *d, mg_str_t key)
{
    void  **seen;

    mg_arena_reset(d->arena);
    mg_keyset_clear(&d->ids);
    mg_buf_free(&d->extra);
    mg_buf_init(&d->extra, MG_MODELS_DEV_EXTRA);
    mg_jw_init(&d->writer, &d->extra);
    mg_jw_object(&d->writer, NULL);
    d->models = NULL;
    d->last = &d->models;
    d->has_models = 0;
    mg_provider_init(&d->provider);

    if (!mg_provider_id_ok(key)) {
        mg_models_dev_skip(d, key, "a provider id is 1 to 64 of "
                           "a-z 0-9 . _ - and begins with a letter or digit");
        return MG_JSON_SKIP;
    }

    switch (mg_keyset_add(&d->providers, d->names, &key, &seen)) {

    case MG_OK:
        d->provider.id = key;
        return MG_JSON_DESCEND;

    case MG_DECLINED:
        mg_models_dev_skip(d, key, "the provider is listed twice, the first "
                           "is kept");
        return MG_JSON_SKIP;

    default:
        d->no_memory = 1;
        return MG_JSON_SKIP;
    }
}


static mg_json_want_e
mg_models_dev_enter(void *ctx, unsigned depth, mg_str_t key,
    mg_json_type_e type)
{
    mg_models_dev_t  *d = ctx;

    switch (depth) {

    case 0:
        d->no_object = (type != MG_JSON_OBJECT);
        return d->no_object ? MG_JSON_SKIP : MG_JSON_DESCEND;

    case 1:
        if (type != MG_JSON_OBJECT) {
            mg_models_dev_skip(d, key, "the provider is not an object");
            return MG_JSON_SKIP;
        }

        return mg_models_dev_enter_provider(d, key);

    case 2:
        if (type == MG_JSON_OBJECT && mg_str_eq(key, mg_str("models"))) {
            d->has_models = 1;
            return MG_JSON_DESCEND;
        }

        return MG_JSON_CAPTURE;

    default:
        return MG_JSON_CAPTURE;
    }
}


/* Members that no column holds are kept, but not the id: it is the key. */

static int
mg_models_dev_provider_member(mg_models_dev_t *d, mg_str_t key,
    const mg_json_t *v)
{
    int        rc;
    mg_str_t  *s;
    unsigned   i;

    static const struct {
        const char  *name;
        size_t       offset;
    } members[] = {
        { "name", offsetof(mg_provider_t, name) },
        { "api", offsetof(mg_provider_t, base_url) },
        { "doc", offsetof(mg_provider_t, doc) },
        { "npm", offsetof(mg_provider_t, npm) }
    };

    if (v->type == MG_JSON_ARRAY && mg_str_eq(key, mg_str("env"))) {
        rc = mg_field_node_text(v, d->arena, &d->provider.env);
        d->no_memory |= (rc != MG_OK);
        return rc;
    }

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (v->type == MG_JSON_STRING
            && mg_str_eq(key, mg_str_z(members[i].name)))
        {
            s = (mg_str_t *) ((char *) &d->provider + members[i].offset);
            *s = mg_arena_dup(d->arena, v->str);
            d->no_memory |= (s->data == NULL);
            return d->no_memory ? MG_ERROR : MG_OK;
        }
    }

    if (v->type == MG_JSON_NULL
        || (mg_str_eq(key, mg_str("id")) && v->type == MG_JSON_STRING
            && mg_str_eq(v->str, d->provider.id)))
    {
        return MG_OK;
    }

    mg_jw_key(&d->writer, key);
    mg_jw_node(&d->writer, NULL, v);

    return MG_OK;
}


/* The identity, and columns that follow from others. */

static int
mg_models_dev_complete(mg_models_dev_t *d, mg_entry_t *x, mg_str_t key)
{
    mg_model_t  *m;

    m = &x->model;
    m->provider_id = d->provider.id;
    m->provider_model_id = key;
    m->id = mg_arena_printf(d->arena, MG_STR_FMT "/" MG_STR_FMT,
                            MG_STR_ARG(m->provider_id), MG_STR_ARG(key));

    if (m->id.data == NULL) {
        return MG_ERROR;
    }

    /* the key is the identity; another "id" is kept beside it */

    if (x->id.data && !mg_str_eq(x->id, key)
        && mg_entry_keep(x, "id", x->id, d->arena) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_entry_complete(x, mg_str("models.dev"), d->arena);
}


static int
mg_models_dev_translate(mg_models_dev_t *d, mg_str_t key, const mg_json_t *v)
{
    mg_error_t   bad;
    mg_entry_t  *x;

    x = mg_entry_read(v, mg_models_dev_fields, d->arena);

    if (x == NULL || mg_models_dev_complete(d, x, key) != MG_OK) {
        return MG_ERROR;
    }

    if (x->model.name_inferred) {
        mg_models_dev_skip_model(d, key, "the model has no name");
        return MG_OK;
    }

    if (mg_model_check(&x->model, &bad) != MG_OK) {
        mg_models_dev_skip_model(d, key, bad.message);
        return MG_OK;
    }

    *d->last = x;
    d->last = &x->next;

    return MG_OK;
}


static int
mg_models_dev_model(mg_models_dev_t *d, mg_str_t key, const mg_json_t *v)
{
    void  **seen;

    if (v->type != MG_JSON_OBJECT) {
        mg_models_dev_skip_model(d, key, "the model is not an object");
        return MG_OK;
    }

    switch (mg_keyset_add(&d->ids, d->arena, &key, &seen)) {

    case MG_OK:
        break;

    case MG_DECLINED:
        mg_models_dev_skip_model(d, key, "the model is listed twice by its "
                                 "provider, the first is kept");
        return MG_OK;

    default:
        d->no_memory = 1;
        return MG_ERROR;
    }

    if (mg_models_dev_translate(d, key, v) != MG_OK) {
        d->no_memory = 1;
        return MG_ERROR;
    }

    return MG_OK;
}


static int
mg_models_dev_value(void *ctx, unsigned depth, mg_str_t key,
    const mg_json_t *v, mg_error_t *e)
{
    int               rc;
    mg_models_dev_t  *d = ctx;

    rc = MG_OK;

    switch (depth) {

    case 0:
        d->no_object = 1;
        rc = MG_ERROR;
        break;

    case 1:
        mg_models_dev_skip(d, key, "the provider is not an object");
        break;

    case 2:
        rc = mg_models_dev_provider_member(d, key, v);
        break;

    default:
        rc = mg_models_dev_model(d, key, v);
        break;
    }

    /* every failure here is one of those that the check words */

    return (rc == MG_OK) ? MG_OK : mg_models_dev_check(d, rc, e);
}


static int
mg_models_dev_provider(mg_models_dev_t *d, mg_error_t *e)
{
    mg_provider_t  *p;

    p = &d->provider;
    p->source = mg_str("models.dev");
    p->protocol = mg_package_protocol(p);

    mg_jw_end_object(&d->writer);

    if (d->extra.failed) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "provider \""
                            MG_STR_FMT "\" has more than %d KiB of members "
                            "that are not known", MG_STR_ARG(p->id),
                            MG_MODELS_DEV_EXTRA / 1024);
    }

    if (d->extra.len > sizeof("{}") - 1) {
        p->extra = mg_arena_dup(d->arena, mg_buf_view(&d->extra));
    }

    return d->handler.provider(d->ctx, p, e);
}


static int
mg_models_dev_deliver(mg_models_dev_t *d, mg_error_t *e)
{
    mg_entry_t  *x;

    if (!d->has_models || d->provider.name.len == 0) {
        mg_models_dev_skip(d, d->provider.id,
                           d->has_models ? "the provider has no name"
                                         : "the provider has no \"models\"");
        return MG_OK;
    }

    if (mg_models_dev_provider(d, e) != MG_OK) {
        return MG_ERROR;
    }

    for (x = d->models; x; x = x->next) {
        if (d->handler.model(d->ctx, &x->model, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static int
mg_models_dev_leave(void *ctx, unsigned depth, mg_str_t key, mg_error_t *e)
{
    mg_models_dev_t  *d = ctx;

    (void) key;

    return (depth == 1) ? mg_models_dev_deliver(d, e) : MG_OK;
}
