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
 * (reasoning_options, interleaved, provider overrides, experimental, price
 * tiers, values of another type than usual) goes to "extra" as it came.
 *
 * Called by the sync job on a pool thread; touches only its own memory.
 */

#include "provider/mg_protocol.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mg_crypt.h"
#include "base/mg_hash.h"
#include "provider/mg_field.h"
#include "provider/mg_kind.h"


#define MG_MODELS_DEV_TOTAL     (64 * 1024 * 1024)
#define MG_MODELS_DEV_NODES     (16 * 1024 * 1024)
#define MG_MODELS_DEV_DEPTH     32
#define MG_MODELS_DEV_ARENA     (256 * 1024 * 1024)
#define MG_MODELS_DEV_SET_SIZE  64


/* Keys seen so far: open addressing, at most half full, in an arena. */
typedef struct {
    mg_str_t                   *slots;
    size_t                      size;
    size_t                      used;
} mg_models_dev_set_t;


typedef struct mg_models_dev_entry_s  mg_models_dev_entry_t;

/* One model with what only its translation needs. */
struct mg_models_dev_entry_s {
    mg_model_t                  model;
    mg_str_t                    id;
    unsigned                    in;
    unsigned                    out;
    mg_models_dev_entry_t      *next;
};


struct mg_models_dev_s {
    mg_models_dev_handler_t     handler;
    void                       *ctx;
    mg_json_stream_t           *stream;

    mg_arena_t                 *names;        /* of the whole document */
    mg_models_dev_set_t         providers;

    mg_arena_t                 *arena;        /* of the current provider */
    mg_models_dev_set_t         ids;
    mg_provider_t               provider;
    mg_models_dev_entry_t      *models;
    mg_models_dev_entry_t     **last;
    uint8_t                     key[16];      /* of both sets' hashes */
    unsigned                    has_models:1;
    unsigned                    no_object:1;
    unsigned                    no_memory:1;
};


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


#define MG_ENTRY(member)  offsetof(mg_models_dev_entry_t, model.member)
#define MG_CAP(c)         (MG_ENTRY(caps) + (c))
#define MG_PRICE(p)       (MG_ENTRY(price) + (p) * sizeof(int64_t))

static const mg_field_t  mg_models_dev_limit[] = {
    { "context", MG_FIELD_COUNT, MG_ENTRY(context), 0, NULL },
    { "input", MG_FIELD_COUNT, MG_ENTRY(input_limit), 0, NULL },
    { "output", MG_FIELD_COUNT, MG_ENTRY(output_limit), 0, NULL },
    { NULL, MG_FIELD_STR, 0, 0, NULL }
};

static const mg_field_t  mg_models_dev_cost[] = {
    { "input", MG_FIELD_PRICE, MG_PRICE(MG_PRICE_INPUT), 0, NULL },
    { "output", MG_FIELD_PRICE, MG_PRICE(MG_PRICE_OUTPUT), 0, NULL },
    { "cache_read", MG_FIELD_PRICE, MG_PRICE(MG_PRICE_CACHE_READ), 0, NULL },
    { "cache_write", MG_FIELD_PRICE, MG_PRICE(MG_PRICE_CACHE_WRITE), 0,
      NULL },
    { "reasoning", MG_FIELD_PRICE, MG_PRICE(MG_PRICE_REASONING), 0, NULL },
    { "input_audio", MG_FIELD_PRICE, MG_PRICE(MG_PRICE_INPUT_AUDIO), 0,
      NULL },
    { "output_audio", MG_FIELD_PRICE, MG_PRICE(MG_PRICE_OUTPUT_AUDIO), 0,
      NULL },
    { NULL, MG_FIELD_STR, 0, 0, NULL }
};

static const mg_field_t  mg_models_dev_modalities[] = {
    { "input", MG_FIELD_MODES, MG_ENTRY(modalities_in),
      offsetof(mg_models_dev_entry_t, in), NULL },
    { "output", MG_FIELD_MODES, MG_ENTRY(modalities_out),
      offsetof(mg_models_dev_entry_t, out), NULL },
    { NULL, MG_FIELD_STR, 0, 0, NULL }
};

static const mg_field_t  mg_models_dev_model_fields[] = {
    { "id", MG_FIELD_STR, offsetof(mg_models_dev_entry_t, id), 0, NULL },
    { "name", MG_FIELD_STR, MG_ENTRY(name), 0, NULL },
    { "family", MG_FIELD_STR, MG_ENTRY(family), 0, NULL },
    { "status", MG_FIELD_STR, MG_ENTRY(status), 0, NULL },
    { "attachment", MG_FIELD_TRI, MG_ENTRY(attachment), 0, NULL },
    { "reasoning", MG_FIELD_TRI, MG_CAP(MG_CAP_REASONING), 0, NULL },
    { "tool_call", MG_FIELD_TRI, MG_CAP(MG_CAP_FUNCTION_CALLING), 0, NULL },
    { "structured_output", MG_FIELD_TRI, MG_CAP(MG_CAP_JSON_MODE), 0, NULL },
    { "temperature", MG_FIELD_TRI, MG_ENTRY(temperature), 0, NULL },
    { "open_weights", MG_FIELD_TRI, MG_ENTRY(open_weights), 0, NULL },
    { "knowledge", MG_FIELD_STR, MG_ENTRY(knowledge), 0, NULL },
    { "release_date", MG_FIELD_STR, MG_ENTRY(release_date), 0, NULL },
    { "last_updated", MG_FIELD_STR, MG_ENTRY(last_updated), 0, NULL },
    { "modalities", MG_FIELD_OBJECT, 0, 0, mg_models_dev_modalities },
    { "limit", MG_FIELD_OBJECT, 0, 0, mg_models_dev_limit },
    { "cost", MG_FIELD_OBJECT, 0, 0, mg_models_dev_cost },
    { NULL, MG_FIELD_STR, 0, 0, NULL }
};


/*
 * npm names the client library and so the wire protocol.  A package that is
 * not listed speaks a protocol of its own: unknown, its name stays in npm.
 */
static const struct {
    mg_str_t                    npm;
    mg_str_t                    protocol;
} mg_models_dev_protocols[] = {
    { mg_str("@ai-sdk/openai-compatible"), mg_str("openai") },
    { mg_str("@ai-sdk/openai"), mg_str("openai") },
    { mg_str("@ai-sdk/anthropic"), mg_str("anthropic") },
    { mg_str("@ai-sdk/google"), mg_str("google") }
};


mg_models_dev_t *
mg_models_dev_create(const mg_models_dev_handler_t *h, void *ctx)
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

    /* a secret key, or hostile ids could all fall into one slot */

    if (d->names == NULL || d->arena == NULL || d->stream == NULL
        || mg_random(d->key, sizeof(d->key)) != MG_OK)
    {
        mg_models_dev_destroy(d);
        return NULL;
    }

    return d;
}


void
mg_models_dev_destroy(mg_models_dev_t *d)
{
    if (d == NULL) {
        return;
    }

    if (d->stream) {
        mg_json_stream_destroy(d->stream);
    }

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
mg_models_dev_feed(mg_models_dev_t *d, const char *data, size_t len,
    mg_error_t *e)
{
    return mg_models_dev_check(d, mg_json_stream_feed(d->stream, data, len,
                                                      e), e);
}


int
mg_models_dev_finish(mg_models_dev_t *d, mg_error_t *e)
{
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


/* -- sets of keys -- */

static size_t
mg_models_dev_slot(const mg_models_dev_t *d, const mg_models_dev_set_t *set,
    mg_str_t key)
{
    size_t  i;

    i = (size_t) mg_siphash(d->key, key.data, key.len) & (set->size - 1);

    while (set->slots[i].data && !mg_str_eq(set->slots[i], key)) {
        i = (i + 1) & (set->size - 1);
    }

    return i;
}


static int
mg_models_dev_grow(mg_models_dev_t *d, mg_models_dev_set_t *set,
    mg_arena_t *a)
{
    size_t               i;
    mg_models_dev_set_t  bigger;

    bigger.size = set->size ? set->size * 4 : MG_MODELS_DEV_SET_SIZE;
    bigger.used = set->used;
    bigger.slots = mg_arena_calloc(a, bigger.size * sizeof(mg_str_t));

    if (bigger.slots == NULL) {
        return MG_ERROR;
    }

    for (i = 0; i < set->size; i++) {
        if (set->slots[i].data) {
            bigger.slots[mg_models_dev_slot(d, &bigger, set->slots[i])]
                = set->slots[i];
        }
    }

    *set = bigger;

    return MG_OK;
}


/*
 * Copies key into the arena: MG_OK with the copy if it is new, MG_DECLINED
 * if it was there, MG_ERROR (and no_memory) when the arena is full.
 */

static int
mg_models_dev_add(mg_models_dev_t *d, mg_models_dev_set_t *set,
    mg_arena_t *a, mg_str_t *key)
{
    size_t  i;

    if (set->used * 2 >= set->size
        && mg_models_dev_grow(d, set, a) != MG_OK)
    {
        d->no_memory = 1;
        return MG_ERROR;
    }

    i = mg_models_dev_slot(d, set, *key);

    if (set->slots[i].data) {
        return MG_DECLINED;
    }

    *key = mg_arena_dup(a, *key);

    if (key->data == NULL) {
        d->no_memory = 1;
        return MG_ERROR;
    }

    set->slots[i] = *key;
    set->used++;

    return MG_OK;
}


/* -- the document -- */

static mg_json_want_e
mg_models_dev_enter_provider(mg_models_dev_t *d, mg_str_t key)
{
    mg_arena_reset(d->arena);
    memset(&d->ids, 0, sizeof(d->ids));
    d->models = NULL;
    d->last = &d->models;
    d->has_models = 0;
    mg_provider_init(&d->provider);

    if (!mg_provider_id_ok(key)) {
        mg_models_dev_skip(d, key, "a provider id is 1 to 64 of "
                           "a-z 0-9 . _ - and begins with a letter or digit");
        return MG_JSON_SKIP;
    }

    switch (mg_models_dev_add(d, &d->providers, d->names, &key)) {

    case MG_OK:
        d->provider.id = key;
        return MG_JSON_DESCEND;

    case MG_DECLINED:
        mg_models_dev_skip(d, key, "the provider is listed twice, the first "
                           "is kept");
        return MG_JSON_SKIP;

    default:
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
            break;
        }
    }

    return d->no_memory ? MG_ERROR : MG_OK;
}


/* Columns that follow from others, and the identity. */

static int
mg_models_dev_complete(mg_models_dev_t *d, mg_models_dev_entry_t *x,
    mg_str_t key)
{
    mg_model_t  *m;

    m = &x->model;
    m->provider_id = d->provider.id;
    m->provider_model_id = key;
    m->source = mg_str("models.dev");
    m->id = mg_arena_printf(d->arena, MG_STR_FMT "/" MG_STR_FMT,
                            MG_STR_ARG(m->provider_id), MG_STR_ARG(key));

    m->type = mg_kind_infer(m, x->in, x->out);
    mg_kind_capabilities(m, x->in, x->out);

    return m->id.data ? MG_OK : MG_ERROR;
}


static int
mg_models_dev_translate(mg_models_dev_t *d, mg_str_t key, const mg_json_t *v)
{
    mg_error_t              bad;
    mg_json_t              *rest, *id;
    mg_models_dev_entry_t  *x;

    x = mg_arena_calloc(d->arena, sizeof(mg_models_dev_entry_t));
    if (x == NULL) {
        return MG_ERROR;
    }

    mg_model_init(&x->model);

    if (mg_field_read(v, mg_models_dev_model_fields, x, d->arena, &rest)
        != MG_OK
        || mg_models_dev_complete(d, x, key) != MG_OK)
    {
        return MG_ERROR;
    }

    if (x->id.data && !mg_str_eq(x->id, key)) {

        /* the key is the identity; another "id" is kept beside it */

        id = mg_arena_calloc(d->arena, sizeof(mg_json_t));
        if (id == NULL) {
            return MG_ERROR;
        }

        id->type = MG_JSON_STRING;
        id->key = mg_str("id");
        id->str = x->id;
        id->next = rest;
        rest = id;
    }

    if (mg_field_text(rest, d->arena, &x->model.extra) != MG_OK) {
        return MG_ERROR;
    }

    if (x->model.name.len == 0) {
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
    if (v->type != MG_JSON_OBJECT) {
        mg_models_dev_skip_model(d, key, "the model is not an object");
        return MG_OK;
    }

    switch (mg_models_dev_add(d, &d->ids, d->arena, &key)) {

    case MG_OK:
        break;

    case MG_DECLINED:
        mg_models_dev_skip_model(d, key, "the model is listed twice by its "
                                 "provider, the first is kept");
        return MG_OK;

    default:
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
mg_models_dev_deliver(mg_models_dev_t *d, mg_error_t *e)
{
    size_t                  i;
    mg_provider_t          *p;
    mg_models_dev_entry_t  *x;

    p = &d->provider;

    if (!d->has_models || p->name.len == 0) {
        mg_models_dev_skip(d, p->id, d->has_models
                                     ? "the provider has no name"
                                     : "the provider has no \"models\"");
        return MG_OK;
    }

    p->source = mg_str("models.dev");

    for (i = 0; i < sizeof(mg_models_dev_protocols)
                    / sizeof(mg_models_dev_protocols[0]); i++)
    {
        if (mg_str_eq(p->npm, mg_models_dev_protocols[i].npm)) {
            p->protocol = mg_models_dev_protocols[i].protocol;
        }
    }

    if (d->handler.provider(d->ctx, p, e) != MG_OK) {
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
