/*
 * mg_snap_render.c: models and providers as the API shows them.
 *
 * Rendered once by the builder, sent as it lies there by every worker, so
 * the order of members here is the order that clients see.  Unknown is
 * null.  Prices are kept in femto-USD per token, shown in USD per million
 * tokens: nine decimals to the right.
 *
 * Pool threads; appends to the caller's buffer.
 */

#include "base/mg_decimal.h"
#include "base/mg_jw.h"
#include "base/mg_time.h"
#include "snapshot/mg_snap_render.h"


#define MG_RENDER_PRICE_SCALE   9
#define MG_RENDER_SCORE_SCALE   3


static void mg_render_capabilities(mg_jw_t *w, const mg_model_t *m);
static void mg_render_modalities(mg_jw_t *w, const mg_model_t *m);
static void mg_render_limits(mg_jw_t *w, const mg_model_t *m);
static void mg_render_pricing(mg_jw_t *w, const mg_model_t *m);
static void mg_render_member(mg_buf_t *b, const char *key, mg_str_t json);
static void mg_render_number(mg_jw_t *w, const char *key, int64_t n);
static void mg_render_score(mg_jw_t *w, const char *key, int64_t score);
static int mg_render_is_number(mg_str_t text);
static void mg_render_time(mg_jw_t *w, const char *key, int64_t us);
static void mg_render_hint(mg_jw_t *w, const mg_provider_t *p);


void
mg_render_model(mg_buf_t *b, const mg_model_t *m)
{
    mg_jw_t  w;

    mg_jw_init(&w, b);
    mg_jw_object(&w, NULL);

    mg_jw_str(&w, "id", m->id);
    mg_jw_str(&w, "provider_id", m->provider_id);
    mg_jw_str(&w, "provider_model_id", m->provider_model_id);
    mg_jw_str(&w, "name", m->name);
    mg_jw_str(&w, "family", m->family);
    mg_jw_str(&w, "type", mg_model_type_names[m->type]);
    mg_jw_str(&w, "status", m->status);
    mg_jw_str(&w, "health_status", m->health);
    mg_jw_bool(&w, "active", m->active);

    mg_render_capabilities(&w, m);
    mg_render_modalities(&w, m);

    mg_jw_tri(&w, "attachment", m->attachment);
    mg_jw_tri(&w, "temperature", m->temperature);
    mg_jw_tri(&w, "open_weights", m->open_weights);

    mg_render_limits(&w, m);
    mg_render_pricing(&w, m);

    mg_jw_str(&w, "release_date", m->release_date);
    mg_jw_str(&w, "last_updated", m->last_updated);
    mg_jw_str(&w, "knowledge", m->knowledge);
    mg_jw_raw(&w, "tags", m->tags);

    mg_render_time(&w, "created_at", m->created_at);
    mg_render_time(&w, "updated_at", m->updated_at);
    mg_render_time(&w, "last_refreshed_at", m->refreshed_at);

    mg_jw_str(&w, "version", m->version);
    mg_jw_str(&w, "deprecation_date", m->deprecation_date);
    mg_render_score(&w, "benchmark_score", m->benchmark_score);
    mg_render_score(&w, "popularity_score", m->popularity_score);
    mg_render_score(&w, "reliability_score", m->reliability_score);

    mg_jw_end_object(&w);
}


static void
mg_render_capabilities(mg_jw_t *w, const mg_model_t *m)
{
    unsigned  i;

    mg_jw_object(w, "capabilities");

    for (i = 0; i < MG_CAP_N; i++) {
        mg_jw_tri(w, mg_capability_names[i].data, m->caps[i]);
    }

    mg_jw_end_object(w);
}


static void
mg_render_modalities(mg_jw_t *w, const mg_model_t *m)
{
    mg_jw_object(w, "modalities");
    mg_jw_raw(w, "input", m->modalities_in);
    mg_jw_raw(w, "output", m->modalities_out);
    mg_jw_end_object(w);
}


static void
mg_render_limits(mg_jw_t *w, const mg_model_t *m)
{
    mg_jw_object(w, "limits");
    mg_render_number(w, "context", m->context);
    mg_render_number(w, "input", m->input_limit);
    mg_render_number(w, "output", m->output_limit);
    mg_jw_end_object(w);
}


static void
mg_render_pricing(mg_jw_t *w, const mg_model_t *m)
{
    char      text[48];
    size_t    n;
    unsigned  i;

    mg_jw_object(w, "pricing");

    for (i = 0; i < MG_PRICE_N; i++) {
        if (m->price[i] == MG_UNKNOWN) {
            mg_jw_null(w, mg_price_names[i].data);
            continue;
        }

        n = mg_decimal_format(m->price[i], MG_RENDER_PRICE_SCALE, text);
        mg_jw_raw(w, mg_price_names[i].data, mg_str_n(text, n));
    }

    mg_jw_str(w, "currency", mg_str("USD"));
    mg_jw_str(w, "unit", mg_str("1M tokens"));
    mg_jw_end_object(w);
}


void
mg_render_model_more(mg_buf_t *b, const mg_model_t *m)
{
    mg_jw_t  w;

    /* members of an object that is open: each brings its comma */

    mg_jw_init(&w, b);
    mg_buf_z(b, ",\"source\":");
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "name", m->source);
    mg_jw_end_object(&w);

    mg_render_member(b, "details", m->extra);
    mg_render_member(b, "price_tiers", m->price_tiers);
    mg_render_member(b, "sources", m->sources);
    mg_render_member(b, "provenance", m->provenance);

    mg_buf_z(b, ",\"source_model_id\":");
    mg_jw_init(&w, b);
    mg_jw_str(&w, NULL, m->source_model_id);

    mg_buf_z(b, ",\"description\":");
    mg_jw_init(&w, b);
    mg_jw_str(&w, NULL, m->description);
}


static void
mg_render_member(mg_buf_t *b, const char *key, mg_str_t json)
{
    mg_jw_t  w;

    mg_buf_z(b, ",\"");
    mg_buf_z(b, key);
    mg_buf_z(b, "\":");

    mg_jw_init(&w, b);
    mg_jw_raw(&w, NULL, json);
}


void
mg_render_benchmark(mg_buf_t *b, const mg_benchmark_t *r)
{
    mg_jw_t  w;

    mg_jw_init(&w, b);
    mg_jw_object(&w, NULL);

    mg_jw_str(&w, "name", r->name);

    if (mg_render_is_number(r->score)) {
        mg_jw_raw(&w, "score", r->score);

    } else {
        mg_jw_str(&w, "score", r->score);
    }

    mg_jw_str(&w, "metric", r->metric);
    mg_jw_str(&w, "harness", r->harness);
    mg_jw_str(&w, "variant", r->variant);
    mg_jw_str(&w, "dataset", r->dataset);
    mg_jw_str(&w, "version", r->version);
    mg_jw_str(&w, "url", r->url);
    mg_jw_str(&w, "date", r->date);
    mg_jw_str(&w, "source", r->source);

    mg_jw_end_object(&w);
}


/* As JSON has numbers, without an exponent. */

static int
mg_render_is_number(mg_str_t text)
{
    size_t  i, start;

    i = (text.len != 0 && text.data[0] == '-');
    start = i;

    while (i < text.len && text.data[i] >= '0' && text.data[i] <= '9') {
        i++;
    }

    if (i == start || (text.data[start] == '0' && i - start > 1)) {
        return 0;
    }

    if (i == text.len) {
        return 1;
    }

    start = i + 1;

    if (text.data[i++] != '.') {
        return 0;
    }

    while (i < text.len && text.data[i] >= '0' && text.data[i] <= '9') {
        i++;
    }

    return i == text.len && i > start;
}


void
mg_render_provider(mg_buf_t *b, const mg_provider_t *p)
{
    mg_jw_t  w;

    mg_jw_init(&w, b);
    mg_jw_object(&w, NULL);

    mg_jw_str(&w, "id", p->id);
    mg_jw_str(&w, "name", p->name);
    mg_jw_str(&w, "protocol", p->protocol);
    mg_jw_str(&w, "base_url", p->base_url);
    mg_jw_str(&w, "doc", p->doc);
    mg_jw_str(&w, "source", p->source);
    mg_jw_bool(&w, "active", p->active);
    mg_render_hint(&w, p);

    mg_jw_object(&w, "models");
    mg_render_number(&w, "total", p->total);
    mg_render_number(&w, "available", p->available);
    mg_render_number(&w, "unavailable", p->unavailable);
    mg_render_number(&w, "unknown", p->unknown);
    mg_jw_end_object(&w);

    mg_render_time(&w, "last_synced_at", p->last_synced_at);
    mg_render_time(&w, "last_validated_at", p->last_validated_at);

    mg_render_number(&w, "rate_limit", p->rate_limit);
    mg_render_number(&w, "max_concurrency", p->max_concurrency);

    mg_jw_object(&w, "timeouts");
    mg_render_number(&w, "connect_ms", p->connect_timeout_ms);
    mg_render_number(&w, "read_ms", p->read_timeout_ms);
    mg_jw_end_object(&w);

    if (p->paths.data) {
        mg_jw_raw(&w, "paths", p->paths);
    }

    mg_jw_str(&w, "probe", p->probe);
    mg_jw_tri(&w, "stream_usage", p->stream_usage);

    mg_jw_end_object(&w);
}


/* A key is shown by its end alone. */

static void
mg_render_hint(mg_jw_t *w, const mg_provider_t *p)
{
    char      text[16];
    mg_str_t  hint;

    hint = p->key_hint;

    if (hint.data == NULL) {
        mg_jw_null(w, "api_key");
        return;
    }

    if (hint.len > 4) {
        hint.data += hint.len - 4;
        hint.len = 4;
    }

    memcpy(text, "...", 3);
    memcpy(text + 3, hint.data, hint.len);

    mg_jw_str(w, "api_key", mg_str_n(text, 3 + hint.len));
}


static void
mg_render_number(mg_jw_t *w, const char *key, int64_t n)
{
    if (n == MG_UNKNOWN) {
        mg_jw_null(w, key);
        return;
    }

    mg_jw_int(w, key, n);
}


/* Thousandths as a number from 0 to 100. */

static void
mg_render_score(mg_jw_t *w, const char *key, int64_t score)
{
    char    text[48];
    size_t  n;

    if (score == MG_UNKNOWN) {
        mg_jw_null(w, key);
        return;
    }

    n = mg_decimal_format(score, MG_RENDER_SCORE_SCALE, text);
    mg_jw_raw(w, key, mg_str_n(text, n));
}


static void
mg_render_time(mg_jw_t *w, const char *key, int64_t us)
{
    char    text[MG_TIME_LEN + 1];
    size_t  n;

    if (us == 0) {
        mg_jw_null(w, key);
        return;
    }

    n = mg_time_format(us, text);
    mg_jw_str(w, key, mg_str_n(text, n));
}


void
mg_render_list_end(mg_buf_t *b, uint32_t page, uint32_t limit,
    uint32_t total)
{
    mg_buf_printf(b, "],\"pagination\":{\"page\":%u,\"limit\":%u,"
                  "\"total\":%u,\"total_pages\":%u}}",
                  (unsigned) page, (unsigned) limit, (unsigned) total,
                  (unsigned) (limit ? ((uint64_t) total + limit - 1) / limit
                                    : 0));
}
