/*
 * mg_catalog.c: the tables of the catalog and what may enter it.
 *
 * Names of capabilities, types and prices stand in the order of their
 * enums, so that an index is all that is stored.  mg_model_check() is the
 * last gate before a model reaches the database, whoever made it: a sync,
 * a provider's list, a call by hand.  Its bounds are tables of string
 * members and of numbers.
 *
 * Called by adapters, store and builders on pool threads; touches nothing
 * but its arguments.
 */

#include <stddef.h>

#include "base/mg_decimal.h"
#include "base/mg_uri.h"
#include "model/mg_catalog.h"


#define MG_MODEL_NAME_MAX     512
#define MG_MODEL_WORD_MAX     128
#define MG_MODEL_DATE_MAX     32
#define MG_MODEL_MODES_MAX    1024      /* both are one key of an index */
#define MG_MODEL_ARRAY_MAX    16384
#define MG_MODEL_EXTRA_MAX    262144
#define MG_MODEL_TEXT_MAX     16384

/* Digits behind the point of a score that must fit. */
#define MG_SCORE_DIGITS       6

#define MG_MODEL_SCORE_MAX    100000          /* thousandths */


typedef struct {
    const char  *name;
    size_t       offset;         /* of the mg_str_t in mg_model_t */
    size_t       max;            /* bytes */
} mg_model_string_t;


typedef struct {
    const char  *name;
    size_t       offset;
} mg_model_number_t;


static int mg_name_find(const mg_str_t *names, int n, mg_str_t name);
static int mg_model_id_check(const mg_model_t *m, mg_error_t *e);
static int mg_model_strings_check(const mg_model_t *m, mg_error_t *e);
static int mg_model_json_check(const mg_model_t *m, mg_error_t *e);
static int mg_model_numbers_check(const mg_model_t *m, mg_error_t *e);
static int mg_model_flags_check(const mg_model_t *m, mg_error_t *e);
static int mg_tri_ok(int8_t tri);


const mg_str_t  mg_capability_names[MG_CAP_N] = {
    mg_str("vision"),
    mg_str("function_calling"),
    mg_str("streaming"),
    mg_str("json_mode"),
    mg_str("image_generation"),
    mg_str("audio"),
    mg_str("code_generation"),
    mg_str("reasoning")
};


const mg_str_t  mg_model_type_names[MG_TYPE_N] = {
    mg_str("other"),
    mg_str("chat"),
    mg_str("embedding"),
    mg_str("image"),
    mg_str("audio"),
    mg_str("rerank"),
    mg_str("tabular")
};


const mg_str_t  mg_price_names[MG_PRICE_N] = {
    mg_str("input"),
    mg_str("output"),
    mg_str("cache_read"),
    mg_str("cache_write"),
    mg_str("reasoning"),
    mg_str("input_audio"),
    mg_str("output_audio")
};


static const mg_str_t  mg_model_health_names[] = {
    mg_str("unknown"),
    mg_str("available"),
    mg_str("unavailable")
};


#define MG_MODEL_STRING(member, max)                                          \
    { #member, offsetof(mg_model_t, member), max }

static const mg_model_string_t  mg_model_strings[] = {
    MG_MODEL_STRING(name, MG_MODEL_NAME_MAX),
    MG_MODEL_STRING(description, MG_MODEL_TEXT_MAX),
    MG_MODEL_STRING(family, MG_MODEL_WORD_MAX),
    MG_MODEL_STRING(version, MG_MODEL_WORD_MAX),
    MG_MODEL_STRING(status, MG_MODEL_WORD_MAX),
    MG_MODEL_STRING(release_date, MG_MODEL_DATE_MAX),
    MG_MODEL_STRING(last_updated, MG_MODEL_DATE_MAX),
    MG_MODEL_STRING(knowledge, MG_MODEL_DATE_MAX),
    MG_MODEL_STRING(deprecation_date, MG_MODEL_DATE_MAX),
    MG_MODEL_STRING(price_tiers, MG_MODEL_ARRAY_MAX),
    { "modalities.input", offsetof(mg_model_t, modalities_in),
      MG_MODEL_MODES_MAX },
    { "modalities.output", offsetof(mg_model_t, modalities_out),
      MG_MODEL_MODES_MAX },
    MG_MODEL_STRING(tags, MG_MODEL_ARRAY_MAX),
    MG_MODEL_STRING(extra, MG_MODEL_EXTRA_MAX),
    MG_MODEL_STRING(source, MG_MODEL_WORD_MAX),
    MG_MODEL_STRING(source_model_id, MG_MODEL_NAME_MAX),
    { NULL, 0, 0 }
};


#define MG_BENCHMARK_STRING(member, max)                                      \
    { #member, offsetof(mg_benchmark_t, member), max }

static const mg_model_string_t  mg_benchmark_strings[] = {
    MG_BENCHMARK_STRING(model_id, MG_MODEL_ID_MAX),
    MG_BENCHMARK_STRING(name, MG_MODEL_WORD_MAX),
    MG_BENCHMARK_STRING(score, MG_MODEL_DATE_MAX),
    MG_BENCHMARK_STRING(metric, MG_MODEL_WORD_MAX),
    MG_BENCHMARK_STRING(harness, MG_MODEL_NAME_MAX),
    MG_BENCHMARK_STRING(variant, MG_MODEL_WORD_MAX),
    MG_BENCHMARK_STRING(dataset, MG_MODEL_NAME_MAX),
    MG_BENCHMARK_STRING(version, MG_MODEL_WORD_MAX),
    MG_BENCHMARK_STRING(url, MG_URI_MAX),
    MG_BENCHMARK_STRING(date, MG_MODEL_DATE_MAX),
    MG_BENCHMARK_STRING(source, MG_MODEL_WORD_MAX),
    { NULL, 0, 0 }
};


#define MG_MODEL_PRICE(index)                                                 \
    (offsetof(mg_model_t, price) + (index) * sizeof(int64_t))

static const mg_model_number_t  mg_model_numbers[] = {
    { "limits.context", offsetof(mg_model_t, context) },
    { "limits.input", offsetof(mg_model_t, input_limit) },
    { "limits.output", offsetof(mg_model_t, output_limit) },
    { "pricing.input", MG_MODEL_PRICE(MG_PRICE_INPUT) },
    { "pricing.output", MG_MODEL_PRICE(MG_PRICE_OUTPUT) },
    { "pricing.cache_read", MG_MODEL_PRICE(MG_PRICE_CACHE_READ) },
    { "pricing.cache_write", MG_MODEL_PRICE(MG_PRICE_CACHE_WRITE) },
    { "pricing.reasoning", MG_MODEL_PRICE(MG_PRICE_REASONING) },
    { "pricing.input_audio", MG_MODEL_PRICE(MG_PRICE_INPUT_AUDIO) },
    { "pricing.output_audio", MG_MODEL_PRICE(MG_PRICE_OUTPUT_AUDIO) },
    { NULL, 0 }
};


static const mg_model_number_t  mg_model_scores[] = {
    { "benchmark_score", offsetof(mg_model_t, benchmark_score) },
    { "popularity_score", offsetof(mg_model_t, popularity_score) },
    { "reliability_score", offsetof(mg_model_t, reliability_score) },
    { NULL, 0 }
};


int
mg_capability_find(mg_str_t name)
{
    return mg_name_find(mg_capability_names, MG_CAP_N, name);
}


int
mg_model_type_find(mg_str_t name)
{
    return mg_name_find(mg_model_type_names, MG_TYPE_N, name);
}


static int
mg_name_find(const mg_str_t *names, int n, mg_str_t name)
{
    int  i;

    for (i = 0; i < n; i++) {
        if (mg_str_eq(names[i], name)) {
            return i;
        }
    }

    return -1;
}


void
mg_model_init(mg_model_t *m)
{
    unsigned  i;

    memset(m, 0, sizeof(mg_model_t));

    m->health = mg_model_health_names[0];
    m->type = MG_TYPE_OTHER;

    for (i = 0; i < MG_CAP_N; i++) {
        m->caps[i] = -1;
    }

    m->attachment = -1;
    m->temperature = -1;
    m->open_weights = -1;
    m->active = 1;

    m->context = MG_UNKNOWN;
    m->input_limit = MG_UNKNOWN;
    m->output_limit = MG_UNKNOWN;

    for (i = 0; i < MG_PRICE_N; i++) {
        m->price[i] = MG_UNKNOWN;
    }

    m->benchmark_score = MG_UNKNOWN;
    m->popularity_score = MG_UNKNOWN;
    m->reliability_score = MG_UNKNOWN;
}


void
mg_provider_init(mg_provider_t *p)
{
    memset(p, 0, sizeof(mg_provider_t));

    p->active = 1;
    p->stream_usage = -1;

    p->connect_timeout_ms = MG_UNKNOWN;
    p->read_timeout_ms = MG_UNKNOWN;
    p->rate_limit = MG_UNKNOWN;
    p->max_concurrency = MG_UNKNOWN;

    p->total = MG_UNKNOWN;
    p->available = MG_UNKNOWN;
    p->unavailable = MG_UNKNOWN;
    p->unknown = MG_UNKNOWN;
}


int
mg_provider_id_ok(mg_str_t id)
{
    char    c;
    size_t  i;

    if (id.len == 0 || id.len > MG_PROVIDER_ID_MAX) {
        return 0;
    }

    for (i = 0; i < id.len; i++) {
        c = id.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            continue;
        }

        if (i > 0 && (c == '.' || c == '_' || c == '-')) {
            continue;
        }

        return 0;
    }

    return 1;
}


int
mg_benchmark_check(const mg_benchmark_t *b, mg_error_t *e)
{
    int64_t                   score;
    mg_str_t                  s;
    const mg_model_string_t  *f;

    for (f = mg_benchmark_strings; f->name != NULL; f++) {
        s = *(const mg_str_t *) ((const char *) b + f->offset);

        if (s.len > f->max || (s.len && !mg_utf8_ok(s))) {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s has %zu bytes or is no valid UTF-8; give "
                                "at most %zu", f->name, s.len, f->max);
        }
    }

    if (b->name.len == 0) {
        return mg_error_set(e, MG_E_INVALID, "name",
                            "name is empty; give that of the benchmark");
    }

    /* the sign is no matter of prices, but may be of a score */

    s = b->score;

    if (s.len && s.data[0] == '-') {
        s = mg_str_n(s.data + 1, s.len - 1);
    }

    if (s.len == 0 || mg_decimal_parse(s, MG_SCORE_DIGITS, &score) != MG_OK) {
        return mg_error_set(e, MG_E_INVALID, "score",
                            "score \"" MG_STR_FMT "\" is no number; give one "
                            "such as 71.4", (int) b->score.len,
                            b->score.data ? b->score.data : "");
    }

    return MG_OK;
}


int
mg_model_check(const mg_model_t *m, mg_error_t *e)
{
    if (mg_model_id_check(m, e) != MG_OK
        || mg_model_strings_check(m, e) != MG_OK
        || mg_model_json_check(m, e) != MG_OK
        || mg_model_numbers_check(m, e) != MG_OK
        || mg_model_flags_check(m, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return MG_OK;
}


/*
 * The id goes into response headers and paths: no control characters, and
 * blanks, which real ids hold, only where no header loses them.
 */

static int
mg_model_id_check(const mg_model_t *m, mg_error_t *e)
{
    size_t    i, n;
    mg_str_t  id;

    id = m->id;
    n = m->provider_id.len;

    if (!mg_provider_id_ok(m->provider_id)) {
        return mg_error_set(e, MG_E_INVALID, "provider_id",
                            "provider_id \"%.*s\" is no provider's id; use "
                            "1 to 64 of a-z, 0-9, \".\", \"_\" and \"-\", "
                            "a letter or digit first",
                            (int) (n < 80 ? n : 80), m->provider_id.data);
    }

    if (id.len > MG_MODEL_ID_MAX) {
        return mg_error_set(e, MG_E_INVALID, "id",
                            "id has %zu bytes; give at most %d", id.len,
                            MG_MODEL_ID_MAX);
    }

    for (i = 0; i < id.len; i++) {
        if ((unsigned char) id.data[i] < ' ' || id.data[i] == 0x7f
            || (id.data[i] == ' ' && (i == n + 1 || i == id.len - 1)))
        {
            return mg_error_set(e, MG_E_INVALID, "id",
                                "id holds a control character, or a blank at "
                                "an end, at byte %zu; leave it out", i);
        }
    }

    if (!mg_utf8_ok(id)) {
        return mg_error_set(e, MG_E_INVALID, "id", "id is no valid UTF-8");
    }

    if (m->provider_model_id.len == 0
        || id.len != n + 1 + m->provider_model_id.len
        || memcmp(id.data, m->provider_id.data, n) != 0
        || id.data[n] != '/'
        || memcmp(id.data + n + 1, m->provider_model_id.data,
                  m->provider_model_id.len)
           != 0)
    {
        return mg_error_set(e, MG_E_INVALID, "id",
                            "id \"%.*s\" is not provider_id \"%.*s\", a "
                            "slash and the provider's own model id",
                            MG_STR_ARG(id), MG_STR_ARG(m->provider_id));
    }

    return MG_OK;
}


static int
mg_model_strings_check(const mg_model_t *m, mg_error_t *e)
{
    const mg_str_t           *s;
    const mg_model_string_t  *f;

    for (f = mg_model_strings; f->name != NULL; f++) {
        s = (const mg_str_t *) ((const char *) m + f->offset);

        if (s->len > f->max) {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s has %zu bytes; give at most %zu",
                                f->name, s->len, f->max);
        }

        if (s->len && !mg_utf8_ok(*s)) {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s is no valid UTF-8 or holds a NUL",
                                f->name);
        }
    }

    if (m->name.len == 0) {
        return mg_error_set(e, MG_E_INVALID, "name",
                            "name is empty; give what people call the model");
    }

    if (mg_name_find(mg_model_health_names,
                     sizeof(mg_model_health_names) / sizeof(mg_str_t),
                     m->health)
        == -1)
    {
        return mg_error_set(e, MG_E_INVALID, "health_status",
                            "health_status \"%.*s\" is none of unknown, "
                            "available, unavailable",
                            (int) (m->health.len < 80 ? m->health.len : 80),
                            m->health.data ? m->health.data : "");
    }

    return MG_OK;
}


/*
 * Text of another type of JSON than its column takes would be refused there,
 * with all that is written in the same statement.  That it is JSON at all is
 * found when it is staged, entry by entry.
 */

static int
mg_model_json_check(const mg_model_t *m, mg_error_t *e)
{
    mg_str_t  s;
    unsigned  i;

    static const struct {
        const char  *name;
        size_t       offset;
        char         first;
    } texts[] = {
        { "modalities.input", offsetof(mg_model_t, modalities_in), '[' },
        { "modalities.output", offsetof(mg_model_t, modalities_out), '[' },
        { "tags", offsetof(mg_model_t, tags), '[' },
        { "price_tiers", offsetof(mg_model_t, price_tiers), '[' },
        { "details", offsetof(mg_model_t, extra), '{' }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        s = *(const mg_str_t *) ((const char *) m + texts[i].offset);

        if (s.data && (s.len == 0 || s.data[0] != texts[i].first)) {
            return mg_error_set(e, MG_E_INVALID, texts[i].name,
                                "%s is no JSON %s", texts[i].name,
                                texts[i].first == '[' ? "array" : "object");
        }
    }

    return MG_OK;
}


static int
mg_model_numbers_check(const mg_model_t *m, mg_error_t *e)
{
    int64_t                   v;
    const mg_model_number_t  *f;

    for (f = mg_model_numbers; f->name != NULL; f++) {
        v = *(const int64_t *) ((const char *) m + f->offset);

        if (v < 0 && v != MG_UNKNOWN) {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s is negative; give 0 or more, or null "
                                "where nobody knows", f->name);
        }
    }

    for (f = mg_model_scores; f->name != NULL; f++) {
        v = *(const int64_t *) ((const char *) m + f->offset);

        if (v != MG_UNKNOWN && (v < 0 || v > MG_MODEL_SCORE_MAX)) {
            return mg_error_set(e, MG_E_INVALID, f->name,
                                "%s is not between 0 and 100; give a number "
                                "such as 71.4, or null where nobody knows",
                                f->name);
        }
    }

    return MG_OK;
}


static int
mg_model_flags_check(const mg_model_t *m, mg_error_t *e)
{
    unsigned  i;

    if ((unsigned) m->type >= MG_TYPE_N) {
        return mg_error_set(e, MG_E_INVALID, "type",
                            "type %u is none of the known types",
                            (unsigned) m->type);
    }

    for (i = 0; i < MG_CAP_N; i++) {
        if (!mg_tri_ok(m->caps[i])) {
            return mg_error_set(e, MG_E_INVALID, "capabilities",
                                "capability %.*s is neither true, false nor "
                                "unknown", MG_STR_ARG(mg_capability_names[i]));
        }
    }

    if (!mg_tri_ok(m->attachment)
        || !mg_tri_ok(m->temperature)
        || !mg_tri_ok(m->open_weights)
        || m->active < 0 || m->active > 1)
    {
        return mg_error_set(e, MG_E_INVALID, NULL,
                            "attachment, temperature, open_weights or active "
                            "is neither true, false nor unknown");
    }

    return MG_OK;
}


static int
mg_tri_ok(int8_t tri)
{
    return tri >= -1 && tri <= 1;
}
