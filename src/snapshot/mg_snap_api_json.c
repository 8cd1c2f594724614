/*
 * mg_snap_api_json.c: the catalog in models.dev's own shape.
 *
 *     { provider id: { id, env[], npm, api, name, doc,
 *                      models: { model id: { ... }, ... } }, ... }
 *
 * Made from the columns, and from "extra", where the source's members wait
 * that no column holds: those stand behind, and inside limit, cost and
 * modalities behind what the columns give there.  So a client of models.dev
 * finds all that it said, and what was set by hand since counts instead.
 * Unknown members are left out, as models.dev does.
 *
 * Pool threads; appends to the builder's buffer; pieces are joined by commas
 * there.
 */

#include "base/mg_decimal.h"
#include "base/mg_jw.h"
#include "snapshot/mg_snap_catalog_build.h"


#define MG_API_NAMES_MAX     32
#define MG_API_DEPTH         64
#define MG_API_PRICE_SCALE   9       /* femto-USD a token, USD a million */


/* An object being written: which names it has, what waits behind them. */
typedef struct {
    mg_jw_t           *w;
    const mg_json_t   *extra;
    const char        *names[MG_API_NAMES_MAX];
    unsigned           n;
} mg_api_object_t;


static const mg_json_t *mg_api_extra(mg_str_t text, mg_arena_t *a);
static void mg_api_begin(mg_api_object_t *o, mg_jw_t *w, const char *key,
    const mg_json_t *extra);
static void mg_api_end(mg_api_object_t *o);
static void mg_api_name(mg_api_object_t *o, const char *name);
static int mg_api_has(const mg_api_object_t *o, mg_str_t name);
static void mg_api_str(mg_api_object_t *o, const char *name, mg_str_t s);
static void mg_api_raw(mg_api_object_t *o, const char *name, mg_str_t json);
static void mg_api_tri(mg_api_object_t *o, const char *name, int tri);
static void mg_api_number(mg_api_object_t *o, const char *name, int64_t n);
static int mg_api_is_group(const mg_json_t *extra, const char *name);
static void mg_api_modalities(mg_api_object_t *o, const mg_model_t *m);
static void mg_api_limit(mg_api_object_t *o, const mg_model_t *m);
static void mg_api_cost(mg_api_object_t *o, const mg_model_t *m);


/* The library that speaks a protocol, for providers that name none. */
static const struct {
    mg_str_t   protocol;
    mg_str_t   npm;
} mg_api_packages[] = {
    { mg_str("openai"), mg_str("@ai-sdk/openai-compatible") },
    { mg_str("anthropic"), mg_str("@ai-sdk/anthropic") },
    { mg_str("google"), mg_str("@ai-sdk/google") },
    { mg_str("mistral"), mg_str("@ai-sdk/mistral") },
    { mg_str("cohere"), mg_str("@ai-sdk/cohere") },
    { mg_str("azure"), mg_str("@ai-sdk/azure") }
};


void
mg_api_json_model(mg_buf_t *b, const mg_model_t *m, mg_arena_t *a)
{
    mg_jw_t           w;
    mg_str_t          id;
    mg_api_object_t   o;
    const mg_json_t  *extra;

    extra = mg_api_extra(m->extra, a);

    mg_jw_quote(b, m->provider_model_id);
    mg_buf_char(b, ':');

    mg_jw_init(&w, b);
    mg_api_begin(&o, &w, NULL, extra);

    /* the key is the identity; the source may have another "id" inside */

    id = mg_json_str(extra, "id");
    mg_api_str(&o, "id", id.data ? id : m->provider_model_id);
    mg_api_str(&o, "name", m->name);
    mg_api_str(&o, "description", m->description);
    mg_api_str(&o, "family", m->family);
    mg_api_tri(&o, "attachment", m->attachment);
    mg_api_tri(&o, "reasoning", m->caps[MG_CAP_REASONING]);
    mg_api_tri(&o, "tool_call", m->caps[MG_CAP_FUNCTION_CALLING]);
    mg_api_tri(&o, "structured_output", m->caps[MG_CAP_JSON_MODE]);
    mg_api_tri(&o, "temperature", m->temperature);
    mg_api_str(&o, "knowledge", m->knowledge);
    mg_api_str(&o, "release_date", m->release_date);
    mg_api_str(&o, "last_updated", m->last_updated);
    mg_api_modalities(&o, m);
    mg_api_tri(&o, "open_weights", m->open_weights);
    mg_api_limit(&o, m);
    mg_api_cost(&o, m);
    mg_api_str(&o, "status", m->status);

    mg_api_end(&o);
    mg_arena_reset(a);
}


void
mg_api_json_provider(mg_buf_t *b, const mg_provider_t *p, mg_arena_t *a)
{
    mg_jw_t          w;
    mg_str_t         npm;
    unsigned         i;
    mg_api_object_t  o;

    npm = p->npm;

    for (i = 0; i < sizeof(mg_api_packages) / sizeof(mg_api_packages[0])
                && npm.data == NULL; i++)
    {
        if (mg_str_eq(p->protocol, mg_api_packages[i].protocol)) {
            npm = mg_api_packages[i].npm;
        }
    }

    mg_jw_quote(b, p->id);
    mg_buf_char(b, ':');

    mg_jw_init(&w, b);
    mg_api_begin(&o, &w, NULL, mg_api_extra(p->extra, a));

    mg_api_str(&o, "id", p->id);
    mg_api_raw(&o, "env", p->env.data ? p->env : mg_str("[]"));
    mg_api_str(&o, "npm", npm);
    mg_api_str(&o, "api", p->base_url);
    mg_api_str(&o, "name", p->name);
    mg_api_str(&o, "doc", p->doc);

    /* the models come last, and the braces with them */

    mg_api_name(&o, "models");
    mg_api_end(&o);
    b->len -= (b->len != 0);
    mg_buf_z(b, ",\"models\":{");

    mg_arena_reset(a);
}


static const mg_json_t *
mg_api_extra(mg_str_t text, mg_arena_t *a)
{
    mg_error_t        e;
    mg_json_limits_t  limits;

    memset(&limits, 0, sizeof(mg_json_limits_t));
    limits.depth = MG_API_DEPTH;

    return text.len ? mg_json_parse(a, text, &limits, &e) : NULL;
}


static void
mg_api_begin(mg_api_object_t *o, mg_jw_t *w, const char *key,
    const mg_json_t *extra)
{
    o->w = w;
    o->extra = (extra && extra->type == MG_JSON_OBJECT) ? extra : NULL;
    o->n = 0;

    mg_jw_object(w, key);
}


/* What waits and was not written goes behind. */

static void
mg_api_end(mg_api_object_t *o)
{
    const mg_json_t  *v;

    for (v = o->extra ? o->extra->child : NULL; v != NULL; v = v->next) {
        if (!mg_api_has(o, v->key)) {
            mg_jw_key(o->w, v->key);
            mg_jw_node(o->w, NULL, v);
        }
    }

    mg_jw_end_object(o->w);
}


static void
mg_api_name(mg_api_object_t *o, const char *name)
{
    if (o->n < MG_API_NAMES_MAX) {
        o->names[o->n++] = name;
    }
}


static int
mg_api_has(const mg_api_object_t *o, mg_str_t name)
{
    unsigned  i;

    for (i = 0; i < o->n; i++) {
        if (mg_str_eq(mg_str_z(o->names[i]), name)) {
            return 1;
        }
    }

    return 0;
}


static void
mg_api_str(mg_api_object_t *o, const char *name, mg_str_t s)
{
    if (s.data != NULL) {
        mg_jw_str(o->w, name, s);
        mg_api_name(o, name);
    }
}


static void
mg_api_raw(mg_api_object_t *o, const char *name, mg_str_t json)
{
    if (json.len != 0) {
        mg_jw_raw(o->w, name, json);
        mg_api_name(o, name);
    }
}


static void
mg_api_tri(mg_api_object_t *o, const char *name, int tri)
{
    if (tri != -1) {
        mg_jw_bool(o->w, name, tri);
        mg_api_name(o, name);
    }
}


static void
mg_api_number(mg_api_object_t *o, const char *name, int64_t n)
{
    if (n != MG_UNKNOWN) {
        mg_jw_int(o->w, name, n);
        mg_api_name(o, name);
    }
}


/* -- groups -- */

/* 1 if what waits under the name can be merged into an object. */

static int
mg_api_is_group(const mg_json_t *extra, const char *name)
{
    const mg_json_t  *v;

    v = mg_json_get(extra, name);

    return v == NULL || v->type == MG_JSON_OBJECT;
}


static void
mg_api_modalities(mg_api_object_t *o, const mg_model_t *m)
{
    mg_api_object_t  group;

    if ((m->modalities_in.len == 0 && m->modalities_out.len == 0)
        || !mg_api_is_group(o->extra, "modalities"))
    {
        return;
    }

    mg_api_begin(&group, o->w, "modalities",
                 mg_json_get(o->extra, "modalities"));
    mg_api_raw(&group, "input", m->modalities_in);
    mg_api_raw(&group, "output", m->modalities_out);
    mg_api_end(&group);
    mg_api_name(o, "modalities");
}


static void
mg_api_limit(mg_api_object_t *o, const mg_model_t *m)
{
    mg_api_object_t  group;

    if ((m->context == MG_UNKNOWN && m->input_limit == MG_UNKNOWN
         && m->output_limit == MG_UNKNOWN)
        || !mg_api_is_group(o->extra, "limit"))
    {
        return;
    }

    mg_api_begin(&group, o->w, "limit", mg_json_get(o->extra, "limit"));
    mg_api_number(&group, "context", m->context);
    mg_api_number(&group, "input", m->input_limit);
    mg_api_number(&group, "output", m->output_limit);
    mg_api_end(&group);
    mg_api_name(o, "limit");
}


static void
mg_api_cost(mg_api_object_t *o, const mg_model_t *m)
{
    char             text[48];
    size_t           n;
    unsigned         i, known;
    mg_api_object_t  group;

    for (i = 0, known = 0; i < MG_PRICE_N; i++) {
        known += (m->price[i] != MG_UNKNOWN);
    }

    if ((known == 0 && m->price_tiers.len == 0)
        || !mg_api_is_group(o->extra, "cost"))
    {
        return;
    }

    mg_api_begin(&group, o->w, "cost", mg_json_get(o->extra, "cost"));

    for (i = 0; i < MG_PRICE_N; i++) {
        if (m->price[i] != MG_UNKNOWN) {
            n = mg_decimal_format(m->price[i], MG_API_PRICE_SCALE, text);
            mg_api_raw(&group, mg_price_names[i].data, mg_str_n(text, n));
        }
    }

    mg_api_raw(&group, "tiers", m->price_tiers);
    mg_api_end(&group);
    mg_api_name(o, "cost");
}
