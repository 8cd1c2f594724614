/*
 * mg_store_inference.c: the audit trail, read.
 *
 *     page:  window of time -> partitions -> primary key, backwards
 *     one:   id -> its millisecond -> partition -> primary key
 *
 * The day of an id names the partition, but nothing names the group: all
 * tables of an organisation are asked, so many in one statement, since each
 * one costs locks until the statement ends.
 *
 * Text is put together from literals of this file and the quoted name of a
 * table; all values travel as parameters.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_column.h"
#include "store/mg_store_inference.h"


/* Tables in one statement; each takes six locks, or a few more. */
#define MG_INFERENCE_BATCH       32

/* Rows of one answer about one: shadows are members, 16 at most. */
#define MG_INFERENCE_NEAR        16

#define MG_INFERENCE_ALL         (MG_INFERENCE_LISTED|MG_INFERENCE_WHOLE)


typedef struct {
    size_t        offset;       /* of a mg_str_t in the filter */
    const char   *clause;       /* before its parameter's number */
} mg_inference_clause_t;


static void mg_inference_select(mg_buf_t *b, unsigned set, int private_too);
static void mg_inference_where(mg_buf_t *b, mg_pg_params_t *p,
    const mg_inference_filter_t *f);
static void mg_inference_number(mg_buf_t *b, mg_pg_params_t *p,
    const char *clause, int64_t n);
static void mg_inference_flag(mg_buf_t *b, mg_pg_params_t *p,
    const char *clause, int tri);
static int mg_inference_search(mg_pg_t *c, mg_str_t org_id,
    const mg_uuid_t *id, const mg_pg_rows_t *sources, int first, int end,
    mg_arena_t *a, int *found, mg_error_t *e);
static int mg_inference_near(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, const mg_uuid_t *id, const char *column,
    int64_t span, int private_too, mg_arena_t *a, mg_pg_rows_t **rows,
    mg_error_t *e);
static int mg_inference_source_row(const mg_pg_rows_t *r, int row,
    mg_arena_t *a, mg_inference_source_t *s);
static int mg_inference_missing(const mg_uuid_t *id, mg_error_t *e);


#define MG_L    MG_INFERENCE_LISTED|MG_INFERENCE_WHOLE
#define MG_LP   MG_INFERENCE_LISTED|MG_INFERENCE_WHOLE|MG_INFERENCE_PRIVATE
#define MG_W    MG_INFERENCE_WHOLE
#define MG_WP   MG_INFERENCE_WHOLE|MG_INFERENCE_PRIVATE

const mg_inference_column_t  mg_inference_columns[] = {
    { "inference_id",          NULL, MG_CELL_WORD,   MG_L },
    { "created_at",            NULL, MG_CELL_TIME,   MG_L },
    { "kind",                  NULL, MG_CELL_WORD,   MG_L },
    { "shadow_of",             NULL, MG_CELL_WORD,   MG_L },
    { "group_id",              NULL, MG_CELL_WORD,   MG_L },
    { "group_name",            NULL, MG_CELL_TEXT,   MG_L },
    { "model_requested",       NULL, MG_CELL_TEXT,   MG_L },
    { "model_assigned",        NULL, MG_CELL_TEXT,   MG_L },
    { "model_served",          NULL, MG_CELL_TEXT,   MG_L },
    { "role",                  NULL, MG_CELL_TEXT,   MG_L },
    { "upstream_model",        NULL, MG_CELL_TEXT,   MG_L },
    { "provider_id",           NULL, MG_CELL_TEXT,   MG_L },
    { "bucket",                NULL, MG_CELL_NUMBER, MG_L },
    { "key_source",            NULL, MG_CELL_WORD,   MG_L },
    { "key_hash", "encode(t.key_hash, 'hex')", MG_CELL_WORD, MG_L },
    { "forced",                NULL, MG_CELL_BOOL,   MG_L },
    { "dry_run",               NULL, MG_CELL_BOOL,   MG_L },
    { "token_id",              NULL, MG_CELL_WORD,   MG_L },
    { "client",                NULL, MG_CELL_TEXT,   MG_LP },
    { "request_id",            NULL, MG_CELL_TEXT,   MG_L },
    { "upstream_request_id",   NULL, MG_CELL_TEXT,   MG_L },
    { "trace_id",              NULL, MG_CELL_TEXT,   MG_L },
    { "span_id",               NULL, MG_CELL_TEXT,   MG_L },
    { "traceparent",           NULL, MG_CELL_TEXT,   MG_L },
    { "method",                NULL, MG_CELL_TEXT,   MG_L },
    { "path",                  NULL, MG_CELL_TEXT,   MG_L },
    { "status",                NULL, MG_CELL_NUMBER, MG_L },
    { "upstream_status",       NULL, MG_CELL_NUMBER, MG_L },
    { "upstream_addr",         NULL, MG_CELL_TEXT,   MG_L },
    { "error_class",           NULL, MG_CELL_TEXT,   MG_L },
    { "stream",                NULL, MG_CELL_BOOL,   MG_L },
    { "truncated",             NULL, MG_CELL_BOOL,   MG_L },
    { "attempts",              NULL, MG_CELL_NUMBER, MG_L },
    { "attempt_log",           NULL, MG_CELL_JSON,   MG_L },
    { "latency_us",            NULL, MG_CELL_NUMBER, MG_L },
    { "ttft_us",               NULL, MG_CELL_NUMBER, MG_L },
    { "upstream_us",           NULL, MG_CELL_NUMBER, MG_L },
    { "request_bytes",         NULL, MG_CELL_NUMBER, MG_L },
    { "response_bytes",        NULL, MG_CELL_NUMBER, MG_L },
    { "input_tokens",          NULL, MG_CELL_NUMBER, MG_L },
    { "input_uncached_tokens", NULL, MG_CELL_NUMBER, MG_L },
    { "cache_read_tokens",     NULL, MG_CELL_NUMBER, MG_L },
    { "cache_write_tokens",    NULL, MG_CELL_NUMBER, MG_L },
    { "cache_write_5m_tokens", NULL, MG_CELL_NUMBER, MG_L },
    { "cache_write_1h_tokens", NULL, MG_CELL_NUMBER, MG_L },
    { "tool_input_tokens",     NULL, MG_CELL_NUMBER, MG_L },
    { "output_tokens",         NULL, MG_CELL_NUMBER, MG_L },
    { "reasoning_tokens",      NULL, MG_CELL_NUMBER, MG_L },
    { "audio_input_tokens",    NULL, MG_CELL_NUMBER, MG_L },
    { "audio_output_tokens",   NULL, MG_CELL_NUMBER, MG_L },
    { "usage_source",          NULL, MG_CELL_WORD,   MG_L },
    { "usage_marks", "array_to_json(t.usage_marks)", MG_CELL_JSON, MG_L },
    { "cost_nano_usd",         NULL, MG_CELL_NUMBER, MG_L },
    { "cost_unknown",          NULL, MG_CELL_TEXT,   MG_L },
    { "price_version",         NULL, MG_CELL_WORD,   MG_L },
    { "explanation",           NULL, MG_CELL_JSON,   MG_W },
    { "request_body",          NULL, MG_CELL_TEXT,   MG_WP },
    { "response_body",         NULL, MG_CELL_TEXT,   MG_WP },
    { NULL,                    NULL, MG_CELL_TEXT,   0 }
};


#define mg_filter(member)  offsetof(mg_inference_filter_t, member)

static const mg_inference_clause_t  mg_inference_clauses[] = {
    { mg_filter(served),      " and t.model_served = $%u" },
    { mg_filter(assigned),    " and t.model_assigned = $%u" },
    { mg_filter(requested),   " and t.model_requested = $%u" },
    { mg_filter(role),        " and t.role = $%u" },
    { mg_filter(provider),    " and t.provider_id = $%u" },
    { mg_filter(kind),        " and t.kind = $%u" },
    { mg_filter(error_class), " and t.error_class = $%u" },
    { mg_filter(token_id),    " and t.token_id = $%u::uuid" },
    { mg_filter(request_id),  " and t.request_id = $%u" },
    { mg_filter(trace_id),    " and t.trace_id = $%u" },
    { mg_filter(key_hash),    " and t.key_hash = decode($%u, 'hex')" }
};


int
mg_inference_column_in(const mg_inference_column_t *col, unsigned set,
    int private_too)
{
    return (col->sets & set)
           && (private_too || !(col->sets & MG_INFERENCE_PRIVATE));
}


int
mg_store_inference_begin(mg_pg_t *c, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, NULL);
    mg_pg_param_int(&p, MG_INFERENCE_TIMEOUT_MS);

    if (mg_pg_begin_snapshot(c, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_exec(c, "select set_config('jit', 'off', true), "
                   "set_config('statement_timeout', least($1::integer, "
                   "nullif(setting::integer, 0))::text, true) "
                   "from pg_settings where name = 'statement_timeout'", &p,
                   NULL, e)
        != MG_OK)
    {
        return mg_store_end(c, MG_ERROR, e);
    }

    return MG_OK;
}


int
mg_store_inference_ask(mg_pg_t *c, mg_buf_t *sql, const mg_pg_params_t *p,
    mg_pg_rows_t **rows, mg_error_t *e)
{
    mg_error_t  why;

    if (mg_store_exec(c, sql, p, rows, &why) == MG_OK) {
        return MG_OK;
    }

    if (why.kind == MG_E_TIMEOUT) {
        return mg_error_set(e, MG_E_TIMEOUT, NULL,
                            "the question took longer than %d s; narrow "
                            "since and until",
                            MG_INFERENCE_TIMEOUT_MS / 1000);
    }

    if (e) {
        *e = why;
    }

    return MG_ERROR;
}


int
mg_store_inference_params(mg_str_t org_id, const mg_inference_source_t *s,
    mg_arena_t *a, mg_pg_params_t *p, mg_str_t *table, mg_error_t *e)
{
    mg_pg_params_init(p, a);
    mg_pg_param_str(p, mg_store_org(org_id));

    *table = mg_pg_ident(a, "model", s->table);

    return table->data ? MG_OK : mg_store_memory(e);
}


mg_str_t
mg_store_inference_bound(int64_t us, char out[MG_UUID_LEN + 1])
{
    mg_uuid_t  bound;

    static const uint8_t  none[10];

    mg_uuid_v7(&bound, us, none);
    mg_uuid_format(&bound, out);

    return mg_str_n(out, MG_UUID_LEN);
}


int
mg_store_inference_source(mg_pg_t *c, mg_str_t org_id, mg_str_t ref,
    mg_arena_t *a, mg_inference_source_t *s, mg_error_t *e)
{
    int              rc;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, ref);

    if (mg_pg_exec(c, "select group_id, group_name, inference_table "
                   "from model.inference_sources where org_id = $1 "
                   "and (group_name = $2 or group_id::text = lower($2)) "
                   "order by deleted_at desc nulls first limit 1", &p, &r,
                   e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_error_set(e, MG_E_NOT_FOUND, "group",
                            "there is no model group \"%.*s\"",
                            (int) (ref.len < 128 ? ref.len : 128), ref.data);
    }

    rc = mg_inference_source_row(r, 0, a, s);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


static int
mg_inference_source_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    mg_inference_source_t *s)
{
    if (mg_column_str(r, row, 0, a, &s->group_id) != MG_OK
        || mg_column_str(r, row, 1, a, &s->group_name) != MG_OK
        || mg_column_str(r, row, 2, a, &s->table) != MG_OK)
    {
        return MG_ERROR;
    }

    return MG_OK;
}


/* -- a page -- */

int
mg_store_inferences(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, const mg_inference_filter_t *f,
    int private_too, mg_arena_t *a, mg_pg_rows_t **rows, mg_error_t *e)
{
    mg_buf_t        sql;
    mg_str_t        table;
    mg_pg_params_t  p;

    if (mg_store_inference_params(org_id, s, a, &p, &table, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&sql, 0);
    mg_inference_select(&sql, MG_INFERENCE_LISTED, private_too);
    mg_buf_printf(&sql, " from %.*s t where t.org_id = $1",
                  MG_STR_ARG(table));

    mg_inference_where(&sql, &p, f);

    mg_pg_param_int(&p, f->limit);
    mg_buf_printf(&sql, " order by t.inference_id desc limit $%u", p.n);

    return mg_store_inference_ask(c, &sql, &p, rows, e);
}


static void
mg_inference_select(mg_buf_t *b, unsigned set, int private_too)
{
    int                           first;
    const mg_inference_column_t  *col;

    mg_buf_z(b, "select ");
    first = 1;

    for (col = mg_inference_columns; col->name; col++) {
        if (!mg_inference_column_in(col, set, private_too)) {
            continue;
        }

        if (col->sql) {
            mg_buf_printf(b, "%s%s", first ? "" : ", ", col->sql);

        } else {
            mg_buf_printf(b, "%st.%s", first ? "" : ", ", col->name);
        }

        first = 0;
    }
}


/*
 * The window twice: as times, which choose the partitions, and as ids, so
 * that the index of a partition is entered where the window begins.
 */

static void
mg_inference_where(mg_buf_t *b, mg_pg_params_t *p,
    const mg_inference_filter_t *f)
{
    char      id[MG_UUID_LEN + 1];
    size_t    i;
    mg_str_t  value;

    mg_pg_param_time(p, f->since);
    mg_buf_printf(b, " and t.created_at >= $%u", p->n);
    mg_pg_param_time(p, f->until);
    mg_buf_printf(b, " and t.created_at < $%u", p->n);

    mg_pg_param_str(p, mg_store_inference_bound(f->since
                                                - MG_INFERENCE_APART_US, id));
    mg_buf_printf(b, " and t.inference_id >= $%u::uuid", p->n);

    value = mg_store_inference_bound(f->until + MG_INFERENCE_APART_US, id);

    /* of the same length and in lower case, both */

    if (f->after.len && mg_str_cmp(f->after, value) < 0) {
        value = f->after;
    }

    mg_pg_param_str(p, value);
    mg_buf_printf(b, " and t.inference_id < $%u::uuid", p->n);

    for (i = 0;
         i < sizeof(mg_inference_clauses) / sizeof(mg_inference_clauses[0]);
         i++)
    {
        memcpy(&value, (const char *) f + mg_inference_clauses[i].offset,
               sizeof(mg_str_t));

        if (value.data == NULL) {
            continue;
        }

        mg_pg_param_str(p, value);
        mg_buf_printf(b, mg_inference_clauses[i].clause, p->n);
    }

    mg_inference_number(b, p, " and t.status >= $%u", f->status_from);
    mg_inference_number(b, p, " and t.status <= $%u", f->status_to);
    mg_inference_number(b, p, " and t.latency_us >= $%u", f->min_latency_us);

    mg_inference_flag(b, p, " and (t.error_class is not null) = $%u",
                      f->error);
    mg_inference_flag(b, p, " and t.stream = $%u", f->stream);
    mg_inference_flag(b, p, " and t.truncated = $%u", f->truncated);
    mg_inference_flag(b, p, " and t.forced = $%u", f->forced);
    mg_inference_flag(b, p, " and t.dry_run = $%u", f->dry_run);
}


static void
mg_inference_number(mg_buf_t *b, mg_pg_params_t *p, const char *clause,
    int64_t n)
{
    if (n > 0) {
        mg_pg_param_int(p, n);
        mg_buf_printf(b, clause, p->n);
    }
}


static void
mg_inference_flag(mg_buf_t *b, mg_pg_params_t *p, const char *clause, int tri)
{
    if (tri >= 0) {
        mg_pg_param_bool(p, tri);
        mg_buf_printf(b, clause, p->n);
    }
}


/* -- one -- */

int
mg_store_inference_find(mg_pg_t *c, mg_str_t org_id, const mg_uuid_t *id,
    mg_str_t group, const int *cancel, mg_arena_t *a,
    mg_inference_source_t *s, mg_error_t *e)
{
    int              i, n, end, rc, found;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, group);

    /* groups that are there first, then those that went last */

    if (mg_pg_exec(c, "select group_id, group_name, inference_table "
                   "from model.inference_sources where org_id = $1 "
                   "and ($2::text is null or group_name = $2 "
                   "or group_id::text = lower($2)) "
                   "union all select null, null, 'inference_unassigned' "
                   "where $2::text is null", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    rc = MG_OK;
    found = -1;
    n = mg_pg_rows_count(r);

    for (i = 0; rc == MG_OK && found < 0 && i < n; i = end) {
        end = i + MG_INFERENCE_BATCH < n ? i + MG_INFERENCE_BATCH : n;

        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED)) {
            rc = mg_error_set(e, MG_E_CANCELLED, NULL,
                              "the client has gone");
            break;
        }

        rc = mg_inference_search(c, org_id, id, r, i, end, a, &found, e);
    }

    if (rc == MG_OK && found < 0) {
        rc = mg_inference_missing(id, e);

    } else if (rc == MG_OK
               && mg_inference_source_row(r, found, a, s) != MG_OK)
    {
        rc = mg_store_memory(e);
    }

    mg_pg_rows_free(r);

    return rc;
}


/* *found: which of the sources, if one of these has it. */

static int
mg_inference_search(mg_pg_t *c, mg_str_t org_id, const mg_uuid_t *id,
    const mg_pg_rows_t *sources, int first, int end, mg_arena_t *a,
    int *found, mg_error_t *e)
{
    int              i;
    char             text[MG_UUID_LEN + 1];
    int64_t          at;
    mg_str_t         table;
    mg_buf_t         sql;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    at = mg_uuid_time(id);
    mg_uuid_format(id, text);

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, mg_str_n(text, MG_UUID_LEN));
    mg_pg_param_time(&p, at - MG_INFERENCE_APART_US);
    mg_pg_param_time(&p, at + MG_INFERENCE_APART_US);

    mg_buf_init(&sql, 0);

    for (i = first; i < end; i++) {
        table = mg_pg_ident(a, "model", mg_pg_rows_str(sources, i, 2));

        if (table.data == NULL) {
            mg_buf_free(&sql);
            return mg_store_memory(e);
        }

        mg_buf_printf(&sql, "%sselect %d from %.*s t where t.org_id = $1 "
                      "and t.inference_id = $2::uuid "
                      "and t.created_at >= $3::timestamptz "
                      "and t.created_at < $4::timestamptz",
                      i == first ? "" : " union all ", i, MG_STR_ARG(table));
    }

    if (mg_store_inference_ask(c, &sql, &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r)) {
        *found = (int) mg_pg_rows_int(r, 0, 0);
    }

    mg_pg_rows_free(r);

    return MG_OK;
}


int
mg_store_inference_get(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, const mg_uuid_t *id, int private_too,
    mg_arena_t *a, mg_pg_rows_t **rows, mg_error_t *e)
{
    if (mg_inference_near(c, org_id, s, id, "inference_id",
                          MG_INFERENCE_APART_US, private_too, a, rows, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(*rows) == 0) {
        mg_pg_rows_free(*rows);
        return mg_inference_missing(id, e);
    }

    return MG_OK;
}


/* A shadow is made with the request that it copies, or soon afterwards. */

int
mg_store_inference_shadows(mg_pg_t *c, mg_str_t org_id,
    const mg_inference_source_t *s, const mg_uuid_t *id, int private_too,
    mg_arena_t *a, mg_pg_rows_t **rows, mg_error_t *e)
{
    return mg_inference_near(c, org_id, s, id, "shadow_of", MG_DAY_US,
                             private_too, a, rows, e);
}


/* Rows with an id in a column, from its time on for a span. */

static int
mg_inference_near(mg_pg_t *c, mg_str_t org_id, const mg_inference_source_t *s,
    const mg_uuid_t *id, const char *column, int64_t span, int private_too,
    mg_arena_t *a, mg_pg_rows_t **rows, mg_error_t *e)
{
    char            text[MG_UUID_LEN + 1];
    mg_buf_t        sql;
    mg_str_t        table;
    mg_pg_params_t  p;

    if (mg_store_inference_params(org_id, s, a, &p, &table, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_uuid_format(id, text);

    mg_pg_param_str(&p, mg_str_n(text, MG_UUID_LEN));
    mg_pg_param_time(&p, mg_uuid_time(id) - MG_INFERENCE_APART_US);
    mg_pg_param_time(&p, mg_uuid_time(id) + span);

    mg_buf_init(&sql, 0);
    mg_inference_select(&sql, MG_INFERENCE_ALL, private_too);
    mg_buf_printf(&sql, " from %.*s t where t.org_id = $1 "
                  "and t.%s = $2::uuid and t.created_at >= $3 "
                  "and t.created_at < $4 order by t.inference_id limit %d",
                  MG_STR_ARG(table), column, MG_INFERENCE_NEAR);

    return mg_store_inference_ask(c, &sql, &p, rows, e);
}


static int
mg_inference_missing(const mg_uuid_t *id, mg_error_t *e)
{
    char  text[MG_UUID_LEN + 1];

    mg_uuid_format(id, text);

    return mg_error_set(e, MG_E_NOT_FOUND, "id",
                        "there is no inference \"%s\"; a record is there a "
                        "few seconds after its answer", text);
}
