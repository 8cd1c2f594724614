/*
 * mg_tally.c: counts by group, variant and role, in shared memory.
 *
 * Histograms are kept as plain buckets and summed up when they are written;
 * their bounds are the ones that OpenTelemetry's GenAI conventions advise
 * for gen_ai.server.request.duration and gen_ai.server.time_to_first_token.
 */

#include "model/mg_tally.h"

#include <stddef.h>

#include "base/mg_hash.h"
#include "model/mg_metric.h"


#define MG_TALLY_PROBES   32

#define mg_tally_inc(word, v)                                                 \
    __atomic_fetch_add(&(word), (v), __ATOMIC_RELAXED)

#define mg_tally_get(word)   __atomic_load_n(&(word), __ATOMIC_RELAXED)


typedef struct {
    const char  *name;
    const char  *label;         /* rendered, or NULL: status classes */
    const char  *help;          /* NULL: the same family as the line before */
    size_t       offset;
} mg_tally_counter_t;


typedef struct {
    const char     *name;
    const char     *help;
    size_t          sum;
    size_t          buckets;
    const int64_t  *bounds;      /* us */
    const char    **texts;       /* the same in seconds */
    unsigned        n;
} mg_tally_histogram_t;


static mg_tally_cell_t *mg_tally_find(mg_tally_cell_t *cells, uint32_t n,
    const mg_tally_t *t);
static void mg_tally_name(mg_tally_cell_t *c, const mg_tally_t *t);
static int mg_tally_is(const mg_tally_cell_t *c, const mg_tally_t *t);
static mg_str_t mg_tally_cut(mg_str_t s, size_t max);
static void mg_tally_tokens(uint64_t *word, int64_t n);
static unsigned mg_tally_bucket(const int64_t *bounds, unsigned n, int64_t us);
static void mg_tally_write_requests(mg_buf_t *b, const mg_tally_cell_t *cells,
    uint32_t n);
static void mg_tally_write_counter(mg_buf_t *b, const mg_tally_cell_t *cells,
    uint32_t n, const mg_tally_counter_t *m);
static void mg_tally_write_histogram(mg_buf_t *b,
    const mg_tally_cell_t *cells, uint32_t n, const mg_tally_histogram_t *m);
static void mg_tally_head(mg_buf_t *b, const char *name, const char *type,
    const char *help);
static void mg_tally_labels(mg_buf_t *b, const mg_tally_cell_t *c);


static const int64_t  mg_tally_durations[MG_TALLY_DURATIONS] = {
    10000, 20000, 40000, 80000, 160000, 320000, 640000, 1280000, 2560000,
    5120000, 10240000, 20480000, 40960000, 81920000
};

static const char  *mg_tally_durations_text[MG_TALLY_DURATIONS] = {
    "0.01", "0.02", "0.04", "0.08", "0.16", "0.32", "0.64", "1.28", "2.56",
    "5.12", "10.24", "20.48", "40.96", "81.92"
};

static const int64_t  mg_tally_ttfts[MG_TALLY_TTFTS] = {
    1000, 5000, 10000, 20000, 40000, 60000, 80000, 100000, 250000, 500000,
    750000, 1000000, 2500000, 5000000, 7500000, 10000000
};

static const char  *mg_tally_ttfts_text[MG_TALLY_TTFTS] = {
    "0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25",
    "0.5", "0.75", "1", "2.5", "5", "7.5", "10"
};

static const char  *mg_tally_classes[MG_TALLY_CLASSES] = {
    "other", "1xx", "2xx", "3xx", "4xx", "5xx"
};


static const mg_tally_counter_t  mg_tally_counters[] = {

    { "nginx_model_errors_total", "",
      "Requests that count against the variant.",
      offsetof(mg_tally_cell_t, errors) },

    { "nginx_model_tokens_total", ",type=\"input\"",
      "Tokens as providers stated them; input includes cached ones, "
      "output includes reasoning.",
      offsetof(mg_tally_cell_t, input) },

    { "nginx_model_tokens_total", ",type=\"output\"", NULL,
      offsetof(mg_tally_cell_t, output) },

    { "nginx_model_tokens_total", ",type=\"cache_read\"", NULL,
      offsetof(mg_tally_cell_t, cache_read) },

    { "nginx_model_tokens_total", ",type=\"cache_write\"", NULL,
      offsetof(mg_tally_cell_t, cache_write) },

    { "nginx_model_tokens_total", ",type=\"reasoning\"", NULL,
      offsetof(mg_tally_cell_t, reasoning) }
};


static const mg_tally_histogram_t  mg_tally_histograms[] = {

    { "gen_ai_server_request_duration_seconds",
      "From the request's head to the last byte of the answer.",
      offsetof(mg_tally_cell_t, duration_us),
      offsetof(mg_tally_cell_t, duration),
      mg_tally_durations, mg_tally_durations_text, MG_TALLY_DURATIONS },

    { "gen_ai_server_time_to_first_token_seconds",
      "From the request's head to the first byte of the answer's body.",
      offsetof(mg_tally_cell_t, ttft_us),
      offsetof(mg_tally_cell_t, ttft),
      mg_tally_ttfts, mg_tally_ttfts_text, MG_TALLY_TTFTS }
};


mg_tally_cell_t *
mg_tally_add(mg_tally_cell_t *cells, uint32_t n, const mg_tally_t *t)
{
    unsigned          i;
    mg_tally_cell_t  *c;

    c = t->guess;

    if (c == NULL || !mg_tally_is(c, t)) {
        c = mg_tally_find(cells, n, t);
    }

    i = t->status / 100;
    mg_tally_inc(c->requests[i < MG_TALLY_CLASSES ? i : 0], 1);

    if (t->error) {
        mg_tally_inc(c->errors, 1);
    }

    mg_tally_tokens(&c->input, t->usage->input);
    mg_tally_tokens(&c->output, t->usage->output);
    mg_tally_tokens(&c->cache_read, t->usage->cache_read);
    mg_tally_tokens(&c->cache_write, t->usage->cache_write);
    mg_tally_tokens(&c->reasoning, t->usage->reasoning);

    i = mg_tally_bucket(mg_tally_durations, MG_TALLY_DURATIONS,
                        t->duration_us);
    mg_tally_inc(c->duration[i], 1);
    mg_tally_inc(c->duration_us, (uint64_t) t->duration_us);

    if (t->ttft_us >= 0) {
        i = mg_tally_bucket(mg_tally_ttfts, MG_TALLY_TTFTS, t->ttft_us);
        mg_tally_inc(c->ttft[i], 1);
        mg_tally_inc(c->ttft_us, (uint64_t) t->ttft_us);
    }

    return c;
}


void
mg_tally_write(mg_buf_t *b, const mg_tally_cell_t *cells, uint32_t n)
{
    unsigned  i;

    mg_tally_write_requests(b, cells, n);

    for (i = 0;
         i < sizeof(mg_tally_counters) / sizeof(mg_tally_counters[0]);
         i++)
    {
        mg_tally_write_counter(b, cells, n, &mg_tally_counters[i]);
    }

    for (i = 0;
         i < sizeof(mg_tally_histograms) / sizeof(mg_tally_histograms[0]);
         i++)
    {
        mg_tally_write_histogram(b, cells, n, &mg_tally_histograms[i]);
    }
}


static mg_tally_cell_t *
mg_tally_find(mg_tally_cell_t *cells, uint32_t n, const mg_tally_t *t)
{
    uint64_t          h, seen;
    uint32_t          i, at;
    mg_tally_cell_t  *c;

    h = mg_sum64(t->group.data, t->group.len);
    h = h * 31 + mg_sum64(t->variant.data, t->variant.len);
    h = h * 31 + mg_sum64(t->role.data, t->role.len);
    h |= 1;

    for (i = 0; i < MG_TALLY_PROBES && i < n - 1; i++) {
        at = ((h >> 1) + i) % (n - 1);
        c = &cells[at];

        seen = __atomic_load_n(&c->claim, __ATOMIC_ACQUIRE);

        if (seen == 0
            && __atomic_compare_exchange_n(&c->claim, &seen, h, 0,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE))
        {
            seen = h;
        }

        if (seen != h) {
            continue;
        }

        if (!__atomic_load_n(&c->named, __ATOMIC_ACQUIRE)) {
            mg_tally_name(c, t);
        }

        if (mg_tally_is(c, t)) {
            return c;
        }
    }

    return &cells[n - 1];
}


static void
mg_tally_name(mg_tally_cell_t *c, const mg_tally_t *t)
{
    mg_str_t  s;

    s = mg_tally_cut(t->group, sizeof(c->group));
    memcpy(c->group, s.data, s.len);
    c->group_len = s.len;

    /* a request that no variant could serve has neither of these two */

    s = mg_tally_cut(t->variant, sizeof(c->variant));

    if (s.len) {
        memcpy(c->variant, s.data, s.len);
    }

    c->variant_len = s.len;

    s = mg_tally_cut(t->role, sizeof(c->role));

    if (s.len) {
        memcpy(c->role, s.data, s.len);
    }

    c->role_len = s.len;

    __atomic_store_n(&c->named, 1, __ATOMIC_RELEASE);
}


static int
mg_tally_is(const mg_tally_cell_t *c, const mg_tally_t *t)
{
    return mg_str_eq(mg_tally_cut(t->group, sizeof(c->group)),
                     mg_str_n(c->group, c->group_len))
           && mg_str_eq(mg_tally_cut(t->variant, sizeof(c->variant)),
                        mg_str_n(c->variant, c->variant_len))
           && mg_str_eq(mg_tally_cut(t->role, sizeof(c->role)),
                        mg_str_n(c->role, c->role_len));
}


static mg_str_t
mg_tally_cut(mg_str_t s, size_t max)
{
    if (s.len <= max) {
        return s;
    }

    while (max > 0 && ((uint8_t) s.data[max] & 0xc0) == 0x80) {
        max--;
    }

    return mg_str_n(s.data, max);
}


static void
mg_tally_tokens(uint64_t *word, int64_t n)
{
    if (n > 0) {
        mg_tally_inc(*word, (uint64_t) n);
    }
}


static unsigned
mg_tally_bucket(const int64_t *bounds, unsigned n, int64_t us)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (us <= bounds[i]) {
            break;
        }
    }

    return i;
}


static void
mg_tally_write_requests(mg_buf_t *b, const mg_tally_cell_t *cells, uint32_t n)
{
    uint32_t  i;
    uint64_t  v;
    unsigned  k;

    mg_tally_head(b, "nginx_model_requests_total", "counter",
                  "Inferences by the status sent to the client.");

    for (i = 0; i < n; i++) {
        for (k = 0; k < MG_TALLY_CLASSES; k++) {
            v = mg_tally_get(cells[i].requests[k]);

            if (v == 0) {
                continue;
            }

            mg_buf_z(b, "nginx_model_requests_total{");
            mg_tally_labels(b, &cells[i]);
            mg_buf_printf(b, ",status_class=\"%s\"} %llu\n",
                          mg_tally_classes[k], (unsigned long long) v);
        }
    }
}


static void
mg_tally_write_counter(mg_buf_t *b, const mg_tally_cell_t *cells, uint32_t n,
    const mg_tally_counter_t *m)
{
    uint32_t         i;
    uint64_t         v;
    const uint64_t  *word;

    if (m->help) {
        mg_tally_head(b, m->name, "counter", m->help);
    }

    for (i = 0; i < n; i++) {
        word = (const uint64_t *) ((const char *) &cells[i] + m->offset);
        v = mg_tally_get(*word);

        if (v == 0) {
            continue;
        }

        mg_buf_printf(b, "%s{", m->name);
        mg_tally_labels(b, &cells[i]);
        mg_buf_printf(b, "%s} %llu\n", m->label, (unsigned long long) v);
    }
}


static void
mg_tally_write_histogram(mg_buf_t *b, const mg_tally_cell_t *cells,
    uint32_t n, const mg_tally_histogram_t *m)
{
    uint32_t         i;
    uint64_t         sum, count;
    unsigned         k;
    const char      *cell;
    const uint64_t  *buckets;

    mg_tally_head(b, m->name, "histogram", m->help);

    for (i = 0; i < n; i++) {
        cell = (const char *) &cells[i];
        buckets = (const uint64_t *) (cell + m->buckets);

        for (k = 0, count = 0; k <= m->n; k++) {
            count += mg_tally_get(buckets[k]);
        }

        if (count == 0) {
            continue;
        }

        /* the count is the last bucket, whatever is added meanwhile */

        for (k = 0, count = 0; k <= m->n; k++) {
            count += mg_tally_get(buckets[k]);

            mg_buf_printf(b, "%s_bucket{", m->name);
            mg_tally_labels(b, &cells[i]);
            mg_buf_printf(b, ",le=\"%s\"} %llu\n",
                          k < m->n ? m->texts[k] : "+Inf",
                          (unsigned long long) count);
        }

        sum = mg_tally_get(*(const uint64_t *) (cell + m->sum));

        mg_buf_printf(b, "%s_sum{", m->name);
        mg_tally_labels(b, &cells[i]);
        mg_buf_printf(b, "} %llu.%06u\n", (unsigned long long) (sum / 1000000),
                      (unsigned) (sum % 1000000));

        mg_buf_printf(b, "%s_count{", m->name);
        mg_tally_labels(b, &cells[i]);
        mg_buf_printf(b, "} %llu\n", (unsigned long long) count);
    }
}


static void
mg_tally_head(mg_buf_t *b, const char *name, const char *type,
    const char *help)
{
    mg_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}


static void
mg_tally_labels(mg_buf_t *b, const mg_tally_cell_t *c)
{
    if (!__atomic_load_n(&c->named, __ATOMIC_ACQUIRE)) {
        mg_buf_z(b, "group=\"_other\",variant=\"_other\",role=\"_other\"");
        return;
    }

    mg_buf_z(b, "group=\"");
    mg_metric_label(b, mg_str_n(c->group, c->group_len));
    mg_buf_z(b, "\",variant=\"");
    mg_metric_label(b, mg_str_n(c->variant, c->variant_len));
    mg_buf_z(b, "\",role=\"");
    mg_metric_label(b, mg_str_n(c->role, c->role_len));
    mg_buf_char(b, '"');
}
