/*
 * mg_store_performance.c: how the variants of a group did.
 *
 *     window -> cells of (part, assigned, served)          counts and sums
 *            -> the same and a bucket of the time          quantiles
 *            -> by assigned variant, and by the one that served
 *
 * An error is what the variant is to blame for; seen from the assigned one
 * that another had to answer is an error, too, or one that leaves all that is
 * hard to its fallback would look perfect.  Quantiles and means of time are
 * of the requests that ended without an error: a refusal at once is no fast
 * answer.  Buckets are powers of 2^(1/89), so quantiles are right to within
 * half a percent, and nothing is sorted: the cost is that of reading.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_inference.h"
#include "store/mg_store_list.h"


const mg_str_t  mg_part_names[MG_PART_N] = {
    { "split", 5 }, { "forced", 6 }, { "dry_run", 7 }, { "shadow", 6 }
};


/*
 * As of mg_part_e; $1 to $5: organisation, since, until, ids of those times,
 * which are what the rows are found by.
 */

#define MG_PERFORMANCE_PART                                                   \
    "case when t.kind = 'shadow' then 3 when t.dry_run then 2 "               \
    "when t.forced then 1 else 0 end"

#define MG_PERFORMANCE_WINDOW                                                 \
    "t.org_id = $1 and t.created_at >= $2::timestamptz "                      \
    "and t.created_at < $3::timestamptz "                                     \
    "and t.inference_id >= $4::uuid and t.inference_id < $5::uuid"

#define MG_PERFORMANCE_FAULT                                                  \
    "coalesce(t.status = 429 or t.error_class in ('timeout', 'connect', "     \
    "'bad_answer', 'upstream_5xx', 'upstream_error', 'truncated'), false)"

/* Buckets of a factor e. */
#define MG_PERFORMANCE_BUCKETS  "128"

#define MG_PERFORMANCE_QUANTILE(q)                                            \
    "exp((min(b) filter (where c >= total * " q ") + 0.5) / "                 \
    MG_PERFORMANCE_BUCKETS ")::bigint"

/* The variant of a row, by which it was grouped. */
#define MG_PERFORMANCE_MODEL                                                  \
    "case grouping(r.assigned) when 0 then r.assigned else r.served end"


/* What is asked, before and after the name of the table. */

static const char  mg_performance_head[] =
    "select r.part, grouping(r.assigned), " MG_PERFORMANCE_MODEL ", "
    "sum(r.requests)::bigint, "
    "(case grouping(r.assigned) "
    "when 0 then sum(case when r.diverted then r.requests "
    "else r.faults end) "
    "else sum(r.faults) end)::bigint, "
    "sum(r.requests) filter (where r.diverted)::bigint, "
    "sum(r.truncated)::bigint, sum(r.client_closed)::bigint, "
    "sum(r.streams)::bigint, sum(r.measured)::bigint, "
    "(sum(r.latency) / nullif(sum(r.latencies), 0))::bigint, "
    "(sum(r.ttft) / nullif(sum(r.ttfts), 0))::bigint, "
    "sum(r.input)::bigint, sum(r.cache_read)::bigint, "
    "sum(r.cache_write)::bigint, sum(r.output)::bigint, "
    "sum(r.reasoning)::bigint, sum(r.usages)::bigint, "
    "sum(r.cost)::bigint, sum(r.costs)::bigint "
    "from (select " MG_PERFORMANCE_PART " as part, "
    "t.model_assigned as assigned, t.model_served as served, "
    "t.model_assigned is distinct from t.model_served as diverted, "
    "count(*) as requests, "
    "count(*) filter (where " MG_PERFORMANCE_FAULT ") as faults, "
    "count(*) filter (where t.truncated) as truncated, "
    "count(*) filter (where t.error_class = 'client_closed') "
    "as client_closed, "
    "count(*) filter (where t.stream) as streams, "
    "count(*) filter (where t.error_class is null) as measured, "
    "sum(t.latency_us) filter (where t.error_class is null) as latency, "
    "count(t.latency_us) filter (where t.error_class is null) "
    "as latencies, "
    "sum(t.ttft_us) filter (where t.error_class is null) as ttft, "
    "count(t.ttft_us) filter (where t.error_class is null) as ttfts, "
    "sum(t.input_tokens) as input, sum(t.cache_read_tokens) as cache_read, "
    "sum(t.cache_write_tokens) as cache_write, "
    "sum(t.output_tokens) as output, sum(t.reasoning_tokens) as reasoning, "
    "count(t.usage_source) as usages, sum(t.cost_nano_usd) as cost, "
    "count(t.cost_nano_usd) as costs from ";

static const char  mg_performance_tail[] =
    " t where " MG_PERFORMANCE_WINDOW " group by 1, 2, 3, 4) r "
    "group by grouping sets ((r.part, r.assigned), (r.part, r.served)) "
    "order by 1, 2, 4 desc, 3 limit ";

/* The same for the quantiles of a column, whose name stands in between. */

static const char  mg_performance_times_head[] =
    "select part, g, model, "
    MG_PERFORMANCE_QUANTILE("0.5") ", "
    MG_PERFORMANCE_QUANTILE("0.9") ", "
    MG_PERFORMANCE_QUANTILE("0.95") ", "
    MG_PERFORMANCE_QUANTILE("0.99") " "
    "from (select *, sum(n) over (partition by part, g, model order by b) "
    "as c, sum(n) over (partition by part, g, model) as total "
    "from (select r.part, grouping(r.assigned) as g, "
    MG_PERFORMANCE_MODEL " as model, r.b, sum(r.n) as n "
    "from (select " MG_PERFORMANCE_PART " as part, "
    "t.model_assigned as assigned, t.model_served as served, "
    "floor(ln(greatest(t.";

static const char  mg_performance_times_mid[] =
    ", 1)::double precision) * " MG_PERFORMANCE_BUCKETS ")::integer as b, "
    "count(*) as n from ";

static const char  mg_performance_times_tail[] =
    " t where " MG_PERFORMANCE_WINDOW " and t.error_class is null "
    "and t.%s is not null group by 1, 2, 3, 4) r "
    "group by grouping sets ((r.part, r.assigned, r.b), "
    "(r.part, r.served, r.b))) m) w group by 1, 2, 3";


static void mg_performance_window(mg_pg_params_t *p, int64_t since,
    int64_t until);
static int mg_performance_times(mg_pg_t *c, mg_str_t table,
    const mg_pg_params_t *p, const char *column, size_t offset,
    mg_performance_t *rows, unsigned n, mg_error_t *e);
static mg_performance_t *mg_performance_find(mg_performance_t *rows,
    unsigned n, const mg_pg_rows_t *r, int row);
static int mg_performance_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out);
static int mg_performance_feedback_row(const mg_pg_rows_t *r, int row,
    mg_arena_t *a, void *out);


int
mg_store_performance(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, int64_t since, int64_t until,
    mg_arena_t *a, mg_performance_t **rows, unsigned *n, mg_error_t *e)
{
    void            *array;
    mg_buf_t         sql;
    mg_str_t         table;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    if (mg_store_inference_params(org_id, s, a, &p, &table, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_performance_window(&p, since, until);

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, mg_performance_head);
    mg_buf_str(&sql, table);
    mg_buf_printf(&sql, "%s%d", mg_performance_tail, MG_PERFORMANCE_ROWS);

    if (mg_store_inference_ask(c, &sql, &p, &r, e) != MG_OK
        || mg_store_rows(r, sizeof(mg_performance_t), mg_performance_row, a,
                         &array, n, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    *rows = array;

    if (mg_performance_times(c, table, &p, "latency_us",
                             offsetof(mg_performance_t, latency_us), array,
                             *n, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_performance_times(c, table, &p, "ttft_us",
                                offsetof(mg_performance_t, ttft_us), array,
                                *n, e);
}


/* Columns of mg_performance_head, in their order. */

static int
mg_performance_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out)
{
    int                i;
    mg_performance_t  *v = out;

    int64_t  *counts[] = {
        &v->requests, &v->errors, &v->diverted, &v->truncated,
        &v->client_closed, &v->streams, &v->measured
    };

    int64_t  *sums[] = {
        &v->input_tokens, &v->cache_read_tokens, &v->cache_write_tokens,
        &v->output_tokens, &v->reasoning_tokens, &v->usage_known,
        &v->cost_nano_usd, &v->cost_known
    };

    v->part = (mg_part_e) (mg_pg_rows_int(r, row, 0) & 3);
    v->served = (mg_pg_rows_int(r, row, 1) != 0);

    if (mg_column_str(r, row, 2, a, &v->model_id) != MG_OK) {
        return MG_ERROR;
    }

    for (i = 0; i < 7; i++) {
        *counts[i] = mg_pg_rows_int(r, row, 3 + i);
    }

    v->latency_mean_us = mg_pg_rows_int(r, row, 10);
    v->ttft_mean_us = mg_pg_rows_int(r, row, 11);

    for (i = 0; i < 8; i++) {
        *sums[i] = mg_pg_rows_int(r, row, 12 + i);
    }

    /* of an outer aggregate over nothing */

    for (i = 0; i < 7; i++) {
        *counts[i] = *counts[i] == MG_UNKNOWN ? 0 : *counts[i];
    }

    for (i = 0; i < MG_PERFORMANCE_QUANTILES; i++) {
        v->latency_us[i] = MG_UNKNOWN;
        v->ttft_us[i] = MG_UNKNOWN;
    }

    return MG_OK;
}


/* $2 to $5. */

static void
mg_performance_window(mg_pg_params_t *p, int64_t since, int64_t until)
{
    char  id[MG_UUID_LEN + 1];

    mg_pg_param_time(p, since);
    mg_pg_param_time(p, until);

    mg_pg_param_str(p, mg_store_inference_bound(since - MG_INFERENCE_APART_US,
                                                id));
    mg_pg_param_str(p, mg_store_inference_bound(until + MG_INFERENCE_APART_US,
                                                id));
}


/* offset: of the quantiles in the rows, which are filled. */

static int
mg_performance_times(mg_pg_t *c, mg_str_t table, const mg_pg_params_t *p,
    const char *column, size_t offset, mg_performance_t *rows, unsigned n,
    mg_error_t *e)
{
    int                row, i;
    int64_t           *q;
    mg_buf_t           sql;
    mg_pg_rows_t      *r;
    mg_performance_t  *v;

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, mg_performance_times_head);
    mg_buf_z(&sql, column);
    mg_buf_z(&sql, mg_performance_times_mid);
    mg_buf_str(&sql, table);
    mg_buf_printf(&sql, mg_performance_times_tail, column);

    if (mg_store_inference_ask(c, &sql, p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    for (row = 0; row < mg_pg_rows_count(r); row++) {
        v = mg_performance_find(rows, n, r, row);

        if (v == NULL) {
            continue;
        }

        q = (int64_t *) ((char *) v + offset);

        for (i = 0; i < MG_PERFORMANCE_QUANTILES; i++) {
            q[i] = mg_pg_rows_int(r, row, 3 + i);
        }
    }

    mg_pg_rows_free(r);

    return MG_OK;
}


static mg_performance_t *
mg_performance_find(mg_performance_t *rows, unsigned n,
    const mg_pg_rows_t *r, int row)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (rows[i].part == mg_pg_rows_int(r, row, 0)
            && rows[i].served == mg_pg_rows_int(r, row, 1)
            && mg_str_eq(rows[i].model_id, mg_pg_rows_str(r, row, 2)))
        {
            return &rows[i];
        }
    }

    return NULL;
}


/*
 * Feedback of the window first, since there is less of it than there are
 * inferences; each row then finds its record by id.
 */

int
mg_store_performance_feedback(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, int64_t since, int64_t until,
    mg_arena_t *a, mg_performance_feedback_t **rows, unsigned *n,
    mg_error_t *e)
{
    void            *array;
    mg_buf_t         sql;
    mg_str_t         table;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    if (mg_store_inference_params(org_id, s, a, &p, &table, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_performance_window(&p, since, until);

    mg_buf_init(&sql, 0);
    mg_buf_printf(&sql, "select t.model_assigned, f.name, "
                  "case grouping(f.label) when 0 then f.label end, "
                  "count(*), count(f.reward), "
                  "trim_scale(round(avg(f.reward), 9)), "
                  "trim_scale(round(stddev_samp(f.reward), 9)) "
                  "from model.inference_feedback f join %.*s t "
                  "on t.inference_id = f.inference_id "
                  "where f.org_id = $1 "
                  "and f.inference_at >= $2::timestamptz - interval '1 ms' "
                  "and f.inference_at < $3::timestamptz "
                  "and " MG_PERFORMANCE_WINDOW " "
                  "and " MG_PERFORMANCE_PART " = 0 "
                  "group by grouping sets ((t.model_assigned, f.name), "
                  "(t.model_assigned, f.name, f.label)) "
                  "having grouping(f.label) = 1 or f.label is not null "
                  "order by 1, 2, grouping(f.label) desc, 4 desc, 3 "
                  "limit %d", MG_STR_ARG(table), MG_PERFORMANCE_LABELS);

    if (mg_store_inference_ask(c, &sql, &p, &r, e) != MG_OK
        || mg_store_rows(r, sizeof(mg_performance_feedback_t),
                         mg_performance_feedback_row, a, &array, n, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    *rows = array;

    return MG_OK;
}


static int
mg_performance_feedback_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out)
{
    mg_performance_feedback_t  *v = out;

    if (mg_column_str(r, row, 0, a, &v->model_id) != MG_OK
        || mg_column_str(r, row, 1, a, &v->name) != MG_OK
        || mg_column_str(r, row, 2, a, &v->label) != MG_OK
        || mg_column_str(r, row, 5, a, &v->mean) != MG_OK
        || mg_column_str(r, row, 6, a, &v->deviation) != MG_OK)
    {
        return MG_ERROR;
    }

    v->count = mg_pg_rows_int(r, row, 3);
    v->rewards = mg_pg_rows_int(r, row, 4);

    return MG_OK;
}
