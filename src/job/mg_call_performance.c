/*
 * mg_call_performance.c: champion against each challenger.
 *
 *     window -> a row a part and variant -> variants, comparisons, excluded
 *
 * Variants are compared by assignment (intention to treat): what a variant
 * left to its fallback stays on its account.  What a header forced, what was
 * decided only, and shadows are no part of the experiment and are shown
 * apart.  The z of a difference is that of one look at a fixed time: it
 * informs, and decides nothing.
 *
 * Pool threads; blocks on the database.
 */

#include <math.h>
#include <stdio.h>

#include "base/mg_decimal.h"
#include "base/mg_time.h"
#include "job/mg_call_inference.h"
#include "store/mg_store_column.h"


typedef struct {
    mg_call_t                  *call;
    mg_group_t                  group;
    int64_t                     since, until;
    mg_performance_t           *rows;
    unsigned                    n_rows;
    mg_performance_feedback_t  *feedback;
    unsigned                    n_feedback;
} mg_performance_ctx_t;


static int mg_performance_read(mg_pg_t *db, void *data, mg_error_t *e);
static void mg_performance_answer(mg_performance_ctx_t *x);
static void mg_performance_variants(mg_jw_t *w,
    const mg_performance_ctx_t *x);
static void mg_performance_variant(mg_jw_t *w, const mg_performance_ctx_t *x,
    mg_str_t model);
static void mg_performance_excluded(mg_jw_t *w,
    const mg_performance_ctx_t *x);
static void mg_performance_counts(mg_jw_t *w, const char *key,
    const mg_performance_t *p);
static void mg_performance_times(mg_jw_t *w, const char *key, int64_t mean,
    const int64_t *q);
static void mg_performance_said(mg_jw_t *w, const mg_performance_ctx_t *x,
    mg_str_t model);
static unsigned mg_performance_labels(mg_jw_t *w,
    const mg_performance_ctx_t *x, unsigned i);
static void mg_performance_compare(mg_jw_t *w, const mg_performance_ctx_t *x,
    const mg_member_t *champion, const mg_member_t *challenger);
static void mg_performance_rates(mg_jw_t *w, const mg_performance_t *a,
    const mg_performance_t *b);
static void mg_performance_whole(mg_jw_t *w, const char *key, int64_t a,
    int64_t b);
static void mg_performance_rewards(mg_jw_t *w, const mg_performance_ctx_t *x,
    mg_str_t a, mg_str_t b);
static const mg_performance_t *mg_performance_find(
    const mg_performance_ctx_t *x, mg_part_e part, int served,
    mg_str_t model);
static const mg_performance_feedback_t *mg_performance_feedback_find(
    const mg_performance_ctx_t *x, mg_str_t model, mg_str_t name);
static const mg_member_t *mg_performance_member(const mg_group_t *g,
    mg_str_t model);
static void mg_performance_number(mg_jw_t *w, const char *key, double n);
static double mg_performance_ratio(int64_t n, int64_t of);
static double mg_performance_double(mg_str_t text);


static const mg_performance_t  mg_performance_none = {
    .latency_mean_us = MG_UNKNOWN,
    .latency_us = { MG_UNKNOWN, MG_UNKNOWN, MG_UNKNOWN, MG_UNKNOWN },
    .ttft_mean_us = MG_UNKNOWN,
    .ttft_us = { MG_UNKNOWN, MG_UNKNOWN, MG_UNKNOWN, MG_UNKNOWN },
    .input_tokens = MG_UNKNOWN,
    .cache_read_tokens = MG_UNKNOWN,
    .cache_write_tokens = MG_UNKNOWN,
    .output_tokens = MG_UNKNOWN,
    .reasoning_tokens = MG_UNKNOWN,
    .cost_nano_usd = MG_UNKNOWN
};


int
mg_call_performance(mg_call_t *c, mg_error_t *e)
{
    int64_t               now;
    mg_performance_ctx_t  x;

    memset(&x, 0, sizeof(mg_performance_ctx_t));
    x.call = c;
    now = mg_now_us();

    if (mg_call_window(c, now, now, MG_PERFORMANCE_SINCE_US, &x.since,
                       &x.until, e)
        != MG_OK
        || mg_call_long(c, mg_performance_read, &x, e) != MG_OK)
    {
        return MG_ERROR;
    }

    mg_performance_answer(&x);

    return MG_OK;
}


static int
mg_performance_read(mg_pg_t *db, void *data, mg_error_t *e)
{
    mg_call_t              *c;
    mg_performance_ctx_t   *x;
    mg_inference_source_t   s;

    x = data;
    c = x->call;

    if (mg_store_group_get(db, c->who.org_id, mg_call_path(c, "group"),
                           c->arena, &x->group, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    s.group_id = x->group.id;
    s.group_name = x->group.name;
    s.table = x->group.inference_table;

    if (s.table.len == 0) {
        return MG_OK;
    }

    if (mg_store_performance(db, c->who.org_id, &s, x->since, x->until,
                             c->arena, &x->rows, &x->n_rows, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (c->cancel && __atomic_load_n(c->cancel, __ATOMIC_RELAXED)) {
        return mg_error_set(e, MG_E_CANCELLED, NULL, "the client has gone");
    }

    return mg_store_performance_feedback(db, c->who.org_id, &s, x->since,
                                         x->until, c->arena, &x->feedback,
                                         &x->n_feedback, e);
}


/* -- the answer -- */

static void
mg_performance_answer(mg_performance_ctx_t *x)
{
    mg_jw_t             w;
    unsigned            i;
    const mg_group_t   *g;
    const mg_member_t  *champion;

    g = &x->group;
    champion = NULL;

    mg_call_writer(x->call, &w);
    mg_jw_object(&w, NULL);
    mg_jw_str(&w, "group_id", g->id);
    mg_jw_str(&w, "group", g->name);
    mg_call_write_time(&w, "since", x->since);
    mg_call_write_time(&w, "until", x->until);

    for (i = 0; i < g->n_members; i++) {
        if (g->members[i].role == MG_MEMBER_CHAMPION) {
            champion = &g->members[i];
        }
    }

    mg_jw_str(&w, "champion", champion ? champion->model_id : mg_str_null);

    mg_performance_variants(&w, x);

    mg_jw_array(&w, "comparisons");

    for (i = 0; champion && i < g->n_members; i++) {
        if (g->members[i].role == MG_MEMBER_CHALLENGER) {
            mg_performance_compare(&w, x, champion, &g->members[i]);
        }
    }

    mg_jw_end_array(&w);

    mg_performance_excluded(&w, x);
    mg_jw_end_object(&w);
}


/* Members first, then who else was assigned or served in the window. */

static void
mg_performance_variants(mg_jw_t *w, const mg_performance_ctx_t *x)
{
    unsigned                 i;
    const mg_performance_t  *p;

    mg_jw_array(w, "variants");

    for (i = 0; i < x->group.n_members; i++) {
        mg_performance_variant(w, x, x->group.members[i].model_id);
    }

    for (i = 0; i < x->n_rows; i++) {
        p = &x->rows[i];

        /* one that was assigned has been shown as such */

        if (p->part != MG_PART_SPLIT
            || mg_performance_member(&x->group, p->model_id)
            || (p->served
                && mg_performance_find(x, MG_PART_SPLIT, 0, p->model_id)
                   ->requests))
        {
            continue;
        }

        mg_performance_variant(w, x, p->model_id);
    }

    mg_jw_end_array(w);
}


static void
mg_performance_variant(mg_jw_t *w, const mg_performance_ctx_t *x,
    mg_str_t model)
{
    char                share[48];
    size_t              len;
    const mg_member_t  *m;

    m = mg_performance_member(&x->group, model);

    mg_jw_object(w, NULL);
    mg_jw_str(w, "model_id", model);
    mg_jw_str(w, "role", m ? mg_member_role_names[m->role] : mg_str_null);

    if (m) {
        len = mg_decimal_format(m->share, 2, share);
        mg_jw_raw(w, "traffic_percentage", mg_str_n(share, len));

    } else {
        mg_jw_null(w, "traffic_percentage");
    }

    mg_performance_counts(w, "assigned",
                          mg_performance_find(x, MG_PART_SPLIT, 0, model));
    mg_performance_counts(w, "served",
                          mg_performance_find(x, MG_PART_SPLIT, 1, model));
    mg_performance_said(w, x, model);
    mg_jw_end_object(w);
}


static void
mg_performance_excluded(mg_jw_t *w, const mg_performance_ctx_t *x)
{
    unsigned                 i, part;
    const mg_performance_t  *p;

    mg_jw_object(w, "excluded");

    for (part = MG_PART_FORCED; part < MG_PART_N; part++) {
        mg_jw_array(w, mg_part_names[part].data);

        for (i = 0; i < x->n_rows; i++) {
            p = &x->rows[i];

            if (p->part == part && p->served) {
                mg_jw_object(w, NULL);
                mg_jw_str(w, "model_id", p->model_id);
                mg_performance_counts(w, "served", p);
                mg_jw_end_object(w);
            }
        }

        mg_jw_end_array(w);
    }

    mg_jw_end_object(w);
}


static void
mg_performance_counts(mg_jw_t *w, const char *key, const mg_performance_t *p)
{
    mg_jw_object(w, key);
    mg_jw_int(w, "requests", p->requests);
    mg_jw_int(w, "errors", p->errors);
    mg_performance_number(w, "error_rate",
                          mg_performance_ratio(p->errors, p->requests));
    mg_jw_int(w, "diverted", p->diverted);
    mg_jw_int(w, "truncated", p->truncated);
    mg_jw_int(w, "client_closed", p->client_closed);
    mg_jw_int(w, "streams", p->streams);

    mg_performance_times(w, "latency_us", p->latency_mean_us, p->latency_us);
    mg_performance_times(w, "ttft_us", p->ttft_mean_us, p->ttft_us);

    mg_jw_object(w, "tokens");
    mg_jw_int(w, "known", p->usage_known);
    mg_call_write_int(w, "input", p->input_tokens);
    mg_call_write_int(w, "cache_read", p->cache_read_tokens);
    mg_call_write_int(w, "cache_write", p->cache_write_tokens);
    mg_call_write_int(w, "output", p->output_tokens);
    mg_call_write_int(w, "reasoning", p->reasoning_tokens);
    mg_jw_end_object(w);

    mg_jw_object(w, "cost");
    mg_jw_int(w, "known", p->cost_known);
    mg_call_write_int(w, "nano_usd", p->cost_nano_usd);
    mg_call_write_int(w, "mean_nano_usd", p->cost_known
                      ? p->cost_nano_usd / p->cost_known : MG_UNKNOWN);
    mg_jw_end_object(w);

    mg_jw_end_object(w);
}


static void
mg_performance_times(mg_jw_t *w, const char *key, int64_t mean,
    const int64_t *q)
{
    unsigned  i;

    static const char * const  names[MG_PERFORMANCE_QUANTILES] = {
        "p50", "p90", "p95", "p99"
    };

    mg_jw_object(w, key);
    mg_call_write_int(w, "mean", mean);

    for (i = 0; i < MG_PERFORMANCE_QUANTILES; i++) {
        mg_call_write_int(w, names[i], q[i]);
    }

    mg_jw_end_object(w);
}


/* Feedback on what was assigned to a variant, by name, with its labels. */

static void
mg_performance_said(mg_jw_t *w, const mg_performance_ctx_t *x, mg_str_t model)
{
    unsigned                          i;
    const mg_performance_feedback_t  *f;

    mg_jw_array(w, "feedback");

    i = 0;

    while (i < x->n_feedback) {
        f = &x->feedback[i];

        if (f->label.data || !mg_str_eq(f->model_id, model)) {
            i++;
            continue;
        }

        mg_jw_object(w, NULL);
        mg_jw_str(w, "name", f->name);
        mg_jw_int(w, "count", f->count);
        mg_jw_int(w, "rewards", f->rewards);
        mg_jw_raw(w, "mean_reward", f->mean);
        mg_jw_raw(w, "deviation", f->deviation);
        i = mg_performance_labels(w, x, i + 1);
        mg_jw_end_object(w);
    }

    mg_jw_end_array(w);
}


/* Rows with labels follow the row of their name; the first that is none. */

static unsigned
mg_performance_labels(mg_jw_t *w, const mg_performance_ctx_t *x, unsigned i)
{
    const mg_performance_feedback_t  *f;

    mg_jw_object(w, "labels");

    while (i < x->n_feedback && x->feedback[i].label.data) {
        f = &x->feedback[i++];
        mg_jw_key(w, f->label);
        mg_jw_int(w, NULL, f->count);
    }

    mg_jw_end_object(w);

    return i;
}


/* -- comparisons: the challenger's figure less the champion's -- */

static void
mg_performance_compare(mg_jw_t *w, const mg_performance_ctx_t *x,
    const mg_member_t *champion, const mg_member_t *challenger)
{
    const mg_performance_t  *a, *b;

    a = mg_performance_find(x, MG_PART_SPLIT, 0, champion->model_id);
    b = mg_performance_find(x, MG_PART_SPLIT, 0, challenger->model_id);

    mg_jw_object(w, NULL);
    mg_jw_str(w, "champion", champion->model_id);
    mg_jw_str(w, "challenger", challenger->model_id);

    mg_performance_rates(w, a, b);
    mg_performance_whole(w, "latency_p50_us", a->latency_us[0],
                         b->latency_us[0]);
    mg_performance_whole(w, "latency_p95_us", a->latency_us[2],
                         b->latency_us[2]);
    mg_performance_whole(w, "ttft_p50_us", a->ttft_us[0], b->ttft_us[0]);
    mg_performance_whole(w, "ttft_p95_us", a->ttft_us[2], b->ttft_us[2]);
    mg_performance_whole(w, "cost_mean_nano_usd",
                         a->cost_known ? a->cost_nano_usd / a->cost_known
                                       : MG_UNKNOWN,
                         b->cost_known ? b->cost_nano_usd / b->cost_known
                                       : MG_UNKNOWN);
    mg_performance_rewards(w, x, champion->model_id, challenger->model_id);

    mg_jw_end_object(w);
}


/* Two proportions, pooled under the hypothesis that they are one. */

static void
mg_performance_rates(mg_jw_t *w, const mg_performance_t *a,
    const mg_performance_t *b)
{
    double  pa, pb, p, se;

    pa = mg_performance_ratio(a->errors, a->requests);
    pb = mg_performance_ratio(b->errors, b->requests);
    se = 0;

    if (a->requests && b->requests) {
        p = (double) (a->errors + b->errors)
            / (double) (a->requests + b->requests);
        se = sqrt(p * (1 - p) * (1 / (double) a->requests
                                 + 1 / (double) b->requests));
    }

    mg_jw_object(w, "error_rate");
    mg_performance_number(w, "champion", pa);
    mg_performance_number(w, "challenger", pb);
    mg_jw_int(w, "champion_requests", a->requests);
    mg_jw_int(w, "challenger_requests", b->requests);
    mg_performance_number(w, "difference", pb - pa);
    mg_performance_number(w, "z", se > 0 ? (pb - pa) / se : NAN);
    mg_jw_end_object(w);
}


static void
mg_performance_whole(mg_jw_t *w, const char *key, int64_t a, int64_t b)
{
    mg_jw_object(w, key);
    mg_call_write_int(w, "champion", a);
    mg_call_write_int(w, "challenger", b);
    mg_call_write_int(w, "difference", a == MG_UNKNOWN || b == MG_UNKNOWN
                                       ? MG_UNKNOWN : b - a);
    mg_jw_end_object(w);
}


/* Means of two samples with deviations of their own (Welch). */

static void
mg_performance_rewards(mg_jw_t *w, const mg_performance_ctx_t *x, mg_str_t a,
    mg_str_t b)
{
    double                            sa, sb, difference, se;
    unsigned                          i;
    const mg_performance_feedback_t  *fa, *fb;

    mg_jw_array(w, "rewards");

    for (i = 0; i < x->n_feedback; i++) {
        fa = &x->feedback[i];

        if (fa->label.data || fa->rewards == 0
            || !mg_str_eq(fa->model_id, a))
        {
            continue;
        }

        fb = mg_performance_feedback_find(x, b, fa->name);

        if (fb == NULL || fb->rewards == 0) {
            continue;
        }

        difference = mg_performance_double(fb->mean)
                     - mg_performance_double(fa->mean);
        sa = mg_performance_double(fa->deviation);
        sb = mg_performance_double(fb->deviation);
        se = sqrt(sa * sa / (double) fa->rewards
                  + sb * sb / (double) fb->rewards);

        mg_jw_object(w, NULL);
        mg_jw_str(w, "name", fa->name);
        mg_jw_raw(w, "champion", fa->mean);
        mg_jw_raw(w, "challenger", fb->mean);
        mg_jw_int(w, "champion_rewards", fa->rewards);
        mg_jw_int(w, "challenger_rewards", fb->rewards);
        mg_performance_number(w, "difference", difference);
        mg_performance_number(w, "z", se > 0 ? difference / se : NAN);
        mg_jw_end_object(w);
    }

    mg_jw_end_array(w);
}


/* -- finding -- */

static const mg_performance_t *
mg_performance_find(const mg_performance_ctx_t *x, mg_part_e part, int served,
    mg_str_t model)
{
    unsigned  i;

    for (i = 0; i < x->n_rows; i++) {
        if (x->rows[i].part == part && x->rows[i].served == (served != 0)
            && mg_str_eq(x->rows[i].model_id, model))
        {
            return &x->rows[i];
        }
    }

    return &mg_performance_none;
}


static const mg_performance_feedback_t *
mg_performance_feedback_find(const mg_performance_ctx_t *x, mg_str_t model,
    mg_str_t name)
{
    unsigned                          i;
    const mg_performance_feedback_t  *f;

    for (i = 0; i < x->n_feedback; i++) {
        f = &x->feedback[i];

        if (f->label.data == NULL && mg_str_eq(f->model_id, model)
            && mg_str_eq(f->name, name))
        {
            return f;
        }
    }

    return NULL;
}


static const mg_member_t *
mg_performance_member(const mg_group_t *g, mg_str_t model)
{
    unsigned  i;

    for (i = 0; i < g->n_members; i++) {
        if (mg_str_eq(g->members[i].model_id, model)) {
            return &g->members[i];
        }
    }

    return NULL;
}


/* -- numbers -- */

/* Six significant digits; what is not finite is unknown. */

static void
mg_performance_number(mg_jw_t *w, const char *key, double n)
{
    int   len;
    char  text[40];

    if (!isfinite(n)) {
        mg_jw_null(w, key);
        return;
    }

    len = snprintf(text, sizeof(text), "%.6g", n == 0 ? 0.0 : n);
    mg_jw_raw(w, key, mg_str_n(text, (size_t) len));
}


static double
mg_performance_ratio(int64_t n, int64_t of)
{
    return of > 0 ? (double) n / (double) of : NAN;
}


/* A decimal of the database; absent: not a number. */

static double
mg_performance_double(mg_str_t text)
{
    char    copy[64];
    double  n;

    if (text.data == NULL || text.len >= sizeof(copy)) {
        return NAN;
    }

    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';

    return sscanf(copy, "%lf", &n) == 1 ? n : NAN;
}
