/*
 * mg_catalog_parse.c: models and providers as API bodies.
 *
 * Members have the names that answers show (limits, pricing, modalities,
 * capabilities).  Prices are USD per million tokens, as a number or, where
 * floats would spoil it, a string.
 * Everything ends in mg_model_check(), the same gate that a sync passes.
 *
 * Pool threads; touches only the caller's struct and arena.
 */

#include <stddef.h>
#include <stdio.h>
#include <strings.h>

#include "base/mg_decimal.h"
#include "base/mg_uri.h"
#include "model/mg_body.h"
#include "model/mg_catalog.h"
#include "model/mg_path.h"


#define MG_CATALOG_NAME_MAX       512
#define MG_CATALOG_WORD_MAX       128
#define MG_CATALOG_TIMEOUT_MAX    3600000      /* ms */
#define MG_CATALOG_COUNT_MAX      1000000000000LL
#define MG_CATALOG_KEY_MAX        1024
#define MG_CATALOG_KEY_SHOWN      12           /* shorter ones give no hint */

#define MG_CATALOG_TEXT_MAX       16384
#define MG_CATALOG_TIERS_MAX      16

/* femto-USD per token from USD per million tokens */
#define MG_CATALOG_PRICE_SHIFT    9

/* thousandths */
#define MG_CATALOG_SCORE_SHIFT    3


/* What mg_provider_t has no room for: the key as it was sent. */

typedef struct {
    mg_provider_t  p;
    mg_str_t       api_key;
} mg_provider_body_t;


static int mg_catalog_price(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_catalog_price_error(const mg_body_field_t *f,
    const mg_json_t *v, mg_error_t *e);
static int mg_catalog_tiers(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_catalog_tier(const mg_body_field_t *f, const mg_json_t *tier,
    mg_error_t *e);
static int mg_catalog_score(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_catalog_caps(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_catalog_cap(const mg_body_field_t *f, const mg_json_t *v,
    mg_str_t name, int value, int8_t *caps, mg_error_t *e);
static int mg_catalog_id(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_catalog_url(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_catalog_key(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_catalog_header_name(mg_str_t k);
static const char *mg_catalog_header_refused(mg_str_t k);
static int mg_catalog_headers(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_catalog_header(const mg_json_t *v, mg_error_t *e);
static int mg_catalog_paths(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_catalog_probe(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);
static int mg_model_split_id(mg_model_t *m, mg_error_t *e);


#define MG_CATALOG_END   { NULL, NULL, 0, 0, 0, 0, NULL, 0 }

#define MG_MODEL_TRI(member)                                                  \
    { #member, mg_body_tri, offsetof(mg_model_t, member),                     \
      MG_BODY_NULLABLE, 0, 0, NULL, 0 }

#define MG_MODEL_WORD(member)                                                 \
    { #member, mg_body_string, offsetof(mg_model_t, member),                  \
      MG_BODY_NULLABLE, 1, MG_CATALOG_WORD_MAX, NULL, 0 }

#define MG_MODEL_DATE(member)                                                 \
    { #member, mg_body_string, offsetof(mg_model_t, member),                  \
      MG_BODY_NULLABLE, 4, 32, NULL, 0 }

#define MG_MODEL_SCORE(member)                                                \
    { #member, mg_catalog_score, offsetof(mg_model_t, member),                \
      MG_BODY_NULLABLE, 0, 100000, NULL, 0 }

#define MG_MODEL_LIMIT(name, member)                                          \
    { name, mg_body_int, offsetof(mg_model_t, member),                        \
      MG_BODY_NULLABLE, 0, MG_CATALOG_COUNT_MAX, NULL, 0 }

#define MG_MODEL_PRICE(name, index)                                           \
    { name, mg_catalog_price,                                                 \
      offsetof(mg_model_t, price) + (index) * sizeof(int64_t),                \
      MG_BODY_NULLABLE, 0, 0, NULL, 0 }


static const mg_body_field_t  mg_model_limit_fields[] = {
    MG_MODEL_LIMIT("context", context),
    MG_MODEL_LIMIT("input", input_limit),
    MG_MODEL_LIMIT("output", output_limit),
    MG_CATALOG_END
};


static const mg_body_field_t  mg_model_price_fields[] = {
    MG_MODEL_PRICE("input", MG_PRICE_INPUT),
    MG_MODEL_PRICE("output", MG_PRICE_OUTPUT),
    MG_MODEL_PRICE("cache_read", MG_PRICE_CACHE_READ),
    MG_MODEL_PRICE("cache_write", MG_PRICE_CACHE_WRITE),
    MG_MODEL_PRICE("reasoning", MG_PRICE_REASONING),
    MG_MODEL_PRICE("input_audio", MG_PRICE_INPUT_AUDIO),
    MG_MODEL_PRICE("output_audio", MG_PRICE_OUTPUT_AUDIO),
    MG_CATALOG_END
};


static const mg_body_field_t  mg_model_modality_fields[] = {

    { "input", mg_body_strings, offsetof(mg_model_t, modalities_in),
      MG_BODY_NULLABLE, 0, 16, NULL, 0 },

    { "output", mg_body_strings, offsetof(mg_model_t, modalities_out),
      MG_BODY_NULLABLE, 0, 16, NULL, 0 },

    MG_CATALOG_END
};


static const mg_body_field_t  mg_model_fields[] = {

    { "id", mg_body_string, offsetof(mg_model_t, id),
      MG_BODY_REQUIRED|MG_BODY_CREATE, 3, MG_MODEL_ID_MAX, NULL, 0 },

    { "name", mg_body_string, offsetof(mg_model_t, name),
      0, 1, MG_CATALOG_NAME_MAX, NULL, 0 },

    { "description", mg_body_string, offsetof(mg_model_t, description),
      MG_BODY_NULLABLE|MG_BODY_LINES, 1, MG_CATALOG_TEXT_MAX, NULL, 0 },

    { "type", mg_body_name, offsetof(mg_model_t, type),
      0, 0, 0, mg_model_type_names, MG_TYPE_N },

    { "capabilities", mg_catalog_caps, offsetof(mg_model_t, caps),
      MG_BODY_NULLABLE, 0, 0, NULL, 0 },

    { "limits", mg_body_nested, 0, 0, 0, 0, mg_model_limit_fields, 0 },

    { "pricing", mg_body_nested, 0, 0, 0, 0, mg_model_price_fields, 0 },

    { "price_tiers", mg_catalog_tiers, offsetof(mg_model_t, price_tiers),
      MG_BODY_NULLABLE, 0, MG_CATALOG_TIERS_MAX, NULL, 0 },

    { "modalities", mg_body_nested, 0, 0, 0, 0, mg_model_modality_fields,
      0 },

    { "tags", mg_body_strings, offsetof(mg_model_t, tags),
      MG_BODY_NULLABLE, 0, 64, NULL, 0 },

    { "details", mg_body_object, offsetof(mg_model_t, extra),
      MG_BODY_NULLABLE, 0, 0, NULL, 0 },

    { "active", mg_body_tri, offsetof(mg_model_t, active), 0, 0, 0, NULL, 0 },

    MG_MODEL_SCORE(benchmark_score),
    MG_MODEL_SCORE(popularity_score),
    MG_MODEL_SCORE(reliability_score),
    MG_MODEL_WORD(family),
    MG_MODEL_WORD(version),
    MG_MODEL_WORD(status),
    MG_MODEL_DATE(release_date),
    MG_MODEL_DATE(last_updated),
    MG_MODEL_DATE(knowledge),
    MG_MODEL_DATE(deprecation_date),
    MG_MODEL_TRI(attachment),
    MG_MODEL_TRI(temperature),
    MG_MODEL_TRI(open_weights),
    MG_CATALOG_END
};


#define MG_PROVIDER_AT(member)   offsetof(mg_provider_body_t, member)

static const mg_body_field_t  mg_provider_timeout_fields[] = {

    { "connect_ms", mg_body_int, MG_PROVIDER_AT(p.connect_timeout_ms),
      MG_BODY_NULLABLE, 1, MG_CATALOG_TIMEOUT_MAX, NULL, 0 },

    { "read_ms", mg_body_int, MG_PROVIDER_AT(p.read_timeout_ms),
      MG_BODY_NULLABLE, 1, MG_CATALOG_TIMEOUT_MAX, NULL, 0 },

    MG_CATALOG_END
};


static const mg_body_field_t  mg_provider_fields[] = {

    { "id", mg_catalog_id, MG_PROVIDER_AT(p.id),
      MG_BODY_REQUIRED|MG_BODY_CREATE, 1, MG_PROVIDER_ID_MAX, NULL, 0 },

    { "name", mg_body_string, MG_PROVIDER_AT(p.name),
      0, 1, MG_CATALOG_NAME_MAX, NULL, 0 },

    { "protocol", mg_body_string, MG_PROVIDER_AT(p.protocol),
      MG_BODY_NULLABLE, 1, 64, NULL, 0 },

    { "base_url", mg_catalog_url, MG_PROVIDER_AT(p.base_url),
      MG_BODY_NULLABLE, 1, MG_URI_MAX, NULL, 0 },

    { "api_key", mg_catalog_key, MG_PROVIDER_AT(api_key),
      MG_BODY_NULLABLE, 1, MG_CATALOG_KEY_MAX, NULL, 0 },

    { "headers", mg_catalog_headers, MG_PROVIDER_AT(p.headers),
      MG_BODY_NULLABLE, 0, 0, NULL, 0 },

    { "paths", mg_catalog_paths, MG_PROVIDER_AT(p.paths),
      MG_BODY_NULLABLE, 0, 0, NULL, 0 },

    { "probe", mg_catalog_probe, MG_PROVIDER_AT(p.probe),
      MG_BODY_NULLABLE, 1, MG_PATH_PREFIX_MAX, NULL, 0 },

    { "stream_usage", mg_body_tri, MG_PROVIDER_AT(p.stream_usage),
      MG_BODY_NULLABLE, 0, 0, NULL, 0 },

    { "timeouts", mg_body_nested, 0, 0, 0, 0, mg_provider_timeout_fields,
      0 },

    { "rate_limit", mg_body_int, MG_PROVIDER_AT(p.rate_limit),
      MG_BODY_NULLABLE, 1, 1000000000, NULL, 0 },

    { "max_concurrency", mg_body_int, MG_PROVIDER_AT(p.max_concurrency),
      MG_BODY_NULLABLE, 1, 1000000, NULL, 0 },

    { "doc", mg_body_string, MG_PROVIDER_AT(p.doc),
      MG_BODY_NULLABLE, 1, MG_URI_MAX, NULL, 0 },

    { "active", mg_body_tri, MG_PROVIDER_AT(p.active), 0, 0, 0, NULL, 0 },

    MG_CATALOG_END
};


/* what the gateway sets itself, or what must not be readable */

static const char * const  mg_catalog_headers_refused[] = {
    "authorization", "x-api-key", "x-goog-api-key", "api-key", "host",
    "connection", "keep-alive", "proxy-connection", "content-length",
    "content-type", "content-encoding", "accept-encoding",
    "transfer-encoding", "te", "trailer", "upgrade", "expect",
    "proxy-authenticate", "proxy-authorization", "cookie", "x-request-id",
    "traceparent", NULL
};


/* -- models -- */

int
mg_model_parse(const mg_json_t *json, int patch, mg_arena_t *a, mg_model_t *m,
    mg_error_t *e)
{
    if (!patch) {
        mg_model_init(m);
    }

    if (mg_body_parse(json, mg_model_fields, patch, a, m, e) != MG_OK) {
        return MG_ERROR;
    }

    if (!patch && mg_model_split_id(m, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_model_check(m, e);
}


static int
mg_model_split_id(mg_model_t *m, mg_error_t *e)
{
    size_t       len;
    const char  *slash;

    slash = memchr(m->id.data, '/', m->id.len);

    if (slash == NULL) {
        return mg_error_set(e, MG_E_INVALID, "id",
                            "id \"%.*s\" is not of the form provider/model",
                            MG_BODY_CUT(m->id));
    }

    len = slash - m->id.data;

    m->provider_id = mg_str_n(m->id.data, len);
    m->provider_model_id = mg_str_n(slash + 1, m->id.len - len - 1);

    if (m->name.data == NULL) {
        m->name = m->provider_model_id;
        m->name_inferred = 1;
    }

    return MG_OK;
}


static int
mg_catalog_price(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    int64_t  *price;

    (void) a;

    price = (int64_t *) ((char *) to + f->offset);

    if (v->type == MG_JSON_NULL) {
        *price = MG_UNKNOWN;
        return MG_OK;
    }

    if (v->type != MG_JSON_NUMBER && v->type != MG_JSON_STRING) {
        return mg_body_type_error(f, "a number: USD per million tokens", e);
    }

    if (v->str.len > 64
        || mg_decimal_parse(v->str, MG_CATALOG_PRICE_SHIFT, price) != MG_OK)
    {
        return mg_catalog_price_error(f, v, e);
    }

    return MG_OK;
}


static int
mg_catalog_price_error(const mg_body_field_t *f, const mg_json_t *v,
    mg_error_t *e)
{
    return mg_error_set(e, MG_E_INVALID, f->name,
                        "%s \"%.*s\" is not a price; give USD per million "
                        "tokens such as 1.75, or null where nobody knows",
                        f->name, MG_BODY_CUT(v->str));
}


/*
 * [{"tier": {"type": "context", "size": 200000}, "input": 2.5, ...}, ...]:
 * prices that hold from a size on; each is checked, the text is kept as sent.
 */

static int
mg_catalog_tiers(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    mg_str_t         *text;
    const mg_json_t  *tier;

    text = (mg_str_t *) ((char *) to + f->offset);

    if (v->type == MG_JSON_NULL) {
        *text = mg_str_null;
        return MG_OK;
    }

    if (v->type != MG_JSON_ARRAY || v->count > (size_t) f->max) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s must be an array of at most %d objects",
                            f->name, (int) f->max);
    }

    for (tier = v->child; tier; tier = tier->next) {
        if (mg_catalog_tier(f, tier, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return mg_body_text(f, v, a, text, e);
}


static int
mg_catalog_tier(const mg_body_field_t *f, const mg_json_t *tier,
    mg_error_t *e)
{
    int               i;
    int64_t           n;
    const mg_json_t  *v, *bound;

    bound = mg_json_get(tier, "tier");

    if (mg_json_str(bound, "type").len == 0
        || mg_json_int64(mg_json_get(bound, "size"), &n) != MG_OK || n < 0)
    {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "each of %s must hold \"tier\" with a type and a "
                            "size, such as {\"type\": \"context\", \"size\": "
                            "200000}", f->name);
    }

    for (v = tier->child; v; v = v->next) {
        if (v == bound) {
            continue;
        }

        for (i = 0; i < MG_PRICE_N; i++) {
            if (mg_str_eq(v->key, mg_price_names[i])) {
                break;
            }
        }

        if (i == MG_PRICE_N) {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "\"%.*s\" in %s is not known; give tier, "
                                "input, output, cache_read, cache_write, "
                                "reasoning, input_audio, output_audio",
                                MG_BODY_CUT(v->key), f->name);
        }

        if (v->type != MG_JSON_NUMBER || v->str.len > 64
            || mg_decimal_parse(v->str, MG_CATALOG_PRICE_SHIFT, &n) != MG_OK)
        {
            return mg_catalog_price_error(f, v, e);
        }
    }

    return MG_OK;
}


static int
mg_catalog_score(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    int64_t  *score;

    (void) a;

    score = (int64_t *) ((char *) to + f->offset);

    if (v->type == MG_JSON_NULL) {
        *score = MG_UNKNOWN;
        return MG_OK;
    }

    if (v->type != MG_JSON_NUMBER || v->str.len > 64
        || mg_decimal_parse(v->str, MG_CATALOG_SCORE_SHIFT, score) != MG_OK
        || *score > f->max)
    {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s \"%.*s\" is not between 0 and 100; give a "
                            "number such as 71.4, or null where nobody "
                            "knows", f->name, MG_BODY_CUT(v->str));
    }

    return MG_OK;
}


/*
 * ["vision", ...]: these, and of the others nobody knows; or {"vision":
 * true, "audio": false}: just those that are named change.
 */

static int
mg_catalog_caps(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    int               rc, value;
    int8_t           *caps;
    const mg_json_t  *c;

    (void) a;

    caps = (int8_t *) to + f->offset;

    if (v->type != MG_JSON_NULL && v->type != MG_JSON_ARRAY
        && v->type != MG_JSON_OBJECT)
    {
        return mg_body_type_error(f, "an array of names", e);
    }

    if (v->type != MG_JSON_OBJECT) {
        memset(caps, -1, MG_CAP_N);
    }

    for (c = v->child; c; c = c->next) {

        if (v->type == MG_JSON_OBJECT) {
            value = mg_json_tri(c);

            if (c->type != MG_JSON_BOOL && c->type != MG_JSON_NULL) {
                value = -2;
            }

            rc = mg_catalog_cap(f, c, c->key, value, caps, e);

        } else {
            rc = mg_catalog_cap(f, c, c->str,
                                c->type == MG_JSON_STRING ? 1 : -2, caps, e);
        }

        if (rc != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


static int
mg_catalog_cap(const mg_body_field_t *f, const mg_json_t *v, mg_str_t name,
    int value, int8_t *caps, mg_error_t *e)
{
    int  cap;

    (void) v;

    if (value == -2) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s must be an array of names, or an object of "
                            "true, false or null", f->name);
    }

    cap = mg_capability_find(name);

    if (cap == -1) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "capability \"%.*s\" is not known; known are "
                            "vision, function_calling, streaming, json_mode, "
                            "image_generation, audio, code_generation, "
                            "reasoning", MG_BODY_CUT(name));
    }

    caps[cap] = (int8_t) value;

    return MG_OK;
}


/* -- providers -- */

int
mg_provider_parse(const mg_json_t *json, int patch, mg_arena_t *a,
    mg_provider_t *p, mg_str_t *api_key, mg_error_t *e)
{
    mg_provider_body_t  body;

    if (!patch) {
        mg_provider_init(p);
    }

    body.p = *p;
    body.api_key = mg_str_null;

    if (mg_body_parse(json, mg_provider_fields, patch, a, &body, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (body.p.name.data == NULL) {
        body.p.name = body.p.id;
    }

    if (body.api_key.data) {
        body.p.key_hint = body.api_key.len ? mg_str("") : mg_str_null;

        if (body.api_key.len >= MG_CATALOG_KEY_SHOWN) {
            body.p.key_hint = mg_str_n(body.api_key.data
                                       + body.api_key.len - 4, 4);
        }
    }

    *p = body.p;
    *api_key = body.api_key;

    return MG_OK;
}


static int
mg_catalog_id(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    if (mg_body_string(f, v, a, to, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_provider_id_ok(v->str)) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, f->name,
                        "id \"%.*s\" is not allowed; use a-z, 0-9, . _ -, and "
                        "begin with a letter or digit", MG_BODY_CUT(v->str));
}


static int
mg_catalog_url(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    mg_str_t  *s;
    mg_url_t   url;

    if (mg_body_string(f, v, a, to, e) != MG_OK) {
        return MG_ERROR;
    }

    s = (mg_str_t *) ((char *) to + f->offset);

    if (s->data == NULL) {
        return MG_OK;
    }

    if (mg_url_parse(*s, &url, f->name, e) != MG_OK) {
        return MG_ERROR;
    }

    /* paths are put behind it, and they begin with a slash */

    while (s->len && s->data[s->len - 1] == '/') {
        s->len--;
    }

    return MG_OK;
}


/* Goes into a request header: visible ASCII only.  Never quoted. */

/* null is an empty key, unlike none that was sent. */

static int
mg_catalog_key(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    size_t     i;
    mg_str_t  *key;

    if (v->type == MG_JSON_NULL) {
        key = (mg_str_t *) ((char *) to + f->offset);
        *key = mg_str("");

        return MG_OK;
    }

    if (mg_body_string(f, v, a, to, e) != MG_OK) {
        return MG_ERROR;
    }

    for (i = 0; i < v->str.len; i++) {
        if (v->str.data[i] <= ' ' || v->str.data[i] > '~') {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s holds a blank or a character that is not "
                                "ASCII at byte %zu; give the key alone",
                                f->name, i);
        }
    }

    return MG_OK;
}


static int
mg_catalog_headers(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e)
{
    const mg_json_t  *c;

    if (v->type == MG_JSON_OBJECT && v->count > MG_PROVIDER_HEADERS_MAX) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s has %u members; at most %d are allowed",
                            f->name, (unsigned) v->count,
                            MG_PROVIDER_HEADERS_MAX);
    }

    for (c = v->type == MG_JSON_OBJECT ? v->child : NULL; c; c = c->next) {
        if (mg_catalog_header(c, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return mg_body_object(f, v, a, to, e);
}


static int
mg_catalog_header(const mg_json_t *v, mg_error_t *e)
{
    mg_str_t     k;
    const char  *refused;

    k = v->key;

    if (!mg_catalog_header_name(k)) {
        return mg_error_set(e, MG_E_INVALID, "headers",
                            "header name \"%.*s\" is not allowed; use "
                            "letters, digits, - and _", MG_BODY_CUT(k));
    }

    refused = mg_catalog_header_refused(k);

    if (refused) {
        return mg_error_set(e, MG_E_INVALID, "headers",
                            "header \"%s\" is the gateway's to set or to "
                            "leave out; give a key as api_key", refused);
    }

    if (v->type != MG_JSON_STRING || v->str.len > MG_PROVIDER_HEADER_MAX
        || !mg_header_ok(v->str))
    {
        return mg_error_set(e, MG_E_INVALID, "headers",
                            "header \"%.*s\" must be a string of at most 1024 "
                            "bytes without control characters",
                            MG_BODY_CUT(k));
    }

    return MG_OK;
}


static int
mg_catalog_paths(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    const mg_json_t  *c;

    if (v->type == MG_JSON_OBJECT && v->count > MG_PATHS_MAX) {
        return mg_error_set(e, MG_E_INVALID, f->name,
                            "%s has %u members; at most %d are allowed",
                            f->name, (unsigned) v->count, MG_PATHS_MAX);
    }

    for (c = v->type == MG_JSON_OBJECT ? v->child : NULL; c; c = c->next) {
        if (mg_path_check(c->key,
                          c->type == MG_JSON_STRING ? c->str : mg_str_null,
                          e)
            != MG_OK)
        {
            return MG_ERROR;
        }
    }

    return mg_body_object(f, v, a, to, e);
}


static int
mg_catalog_probe(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    void *to, mg_error_t *e)
{
    if (mg_body_string(f, v, a, to, e) != MG_OK) {
        return MG_ERROR;
    }

    if (v->type == MG_JSON_NULL || mg_path_plain(v->str)) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_INVALID, f->name,
                        "probe \"%.*s\" is no path; give one such as "
                        "\"/health\"", MG_BODY_CUT(v->str));
}


int
mg_provider_header_ok(mg_str_t name, mg_str_t value)
{
    return mg_catalog_header_name(name)
           && mg_catalog_header_refused(name) == NULL
           && value.len <= MG_PROVIDER_HEADER_MAX && mg_header_ok(value);
}


static int
mg_catalog_header_name(mg_str_t k)
{
    size_t  i;

    for (i = 0; i < k.len; i++) {
        if (!(k.data[i] >= 'a' && k.data[i] <= 'z')
            && !(k.data[i] >= 'A' && k.data[i] <= 'Z')
            && !(k.data[i] >= '0' && k.data[i] <= '9')
            && k.data[i] != '-' && k.data[i] != '_')
        {
            return 0;
        }
    }

    return k.len > 0 && k.len <= MG_PROVIDER_HEADER_NAME_MAX;
}


static const char *
mg_catalog_header_refused(mg_str_t k)
{
    const char * const  *refused;

    for (refused = mg_catalog_headers_refused; *refused; refused++) {
        if (strlen(*refused) == k.len
            && strncasecmp(*refused, k.data, k.len) == 0)
        {
            return *refused;
        }
    }

    return NULL;
}
