/*
 * mg_store_record.c: inference records into the tables of their groups.
 *
 *     records, sorted by table -> one COPY a table, one transaction
 *
 * That is the way of nearly all batches.  A record that is there already (a
 * batch whose commit was not heard of, a spool file that is replayed) makes
 * the COPY fail as a whole: the batch is then taken through a temporary
 * table whose rows are inserted where there is none.  So is a batch for a
 * table that is gone: its records are kept in inference_unassigned.
 *
 * Rows are in COPY's binary format (mg_pg_row.h) in one buffer, of which a
 * piece is sent when there is one, so that it stays in the processor's cache.
 * For the same reason a record is decoded when its row is made, always to
 * the same place; nothing is allocated for a row.
 *
 * Pool threads; blocks.
 */

#include "store/mg_pg_row.h"
#include "store/mg_store_column.h"

#include <stdlib.h>

#include "base/mg_hash.h"
#include "model/mg_cost.h"
#include "model/mg_policy.h"


#define MG_RECORD_COLUMNS                                                     \
    "inference_id, created_at, org_id, group_id, group_name, "                \
    "model_requested, model_assigned, model_served, upstream_model, "         \
    "provider_id, role, request_id, upstream_request_id, traceparent, "       \
    "method, path, client, upstream_addr, error_class, bucket, key_hash, "    \
    "key_source, token_id, status, upstream_status, stream, truncated, "      \
    "attempts, latency_us, ttft_us, upstream_us, request_bytes, "             \
    "response_bytes, input_tokens, input_uncached_tokens, "                   \
    "cache_read_tokens, cache_write_tokens, output_tokens, "                  \
    "reasoning_tokens, audio_input_tokens, audio_output_tokens, "             \
    "usage_source, cost_nano_usd, kind, shadow_of, forced, dry_run, "         \
    "trace_id, span_id, cache_write_5m_tokens, cache_write_1h_tokens, "       \
    "tool_input_tokens, usage_marks, price_version, cost_unknown, "           \
    "attempt_log, request_body, response_body"

#define MG_RECORD_N_COLUMNS  58

/* A trace and the marks are longer than a column of a fixed length. */
#define MG_RECORD_ROW_MORE   256

/* A row without the strings and bodies that a record brings. */
#define MG_RECORD_ROW_SIZE                                                    \
    (2 + MG_RECORD_N_COLUMNS * MG_PG_ROW_COLUMN + MG_RECORD_ROW_MORE)

#define MG_RECORD_TRACE      32           /* hex digits */
#define MG_RECORD_TRACE_AT   3            /* "00-", then the trace */

#define MG_RECORD_BATCH      "pg_temp.inference_batch"
#define MG_RECORD_UNKNOWN    "inference_unassigned"


typedef struct {
    mg_pg_t             *c;
    mg_arena_t          *arena;
    mg_arena_t          *scratch;      /* of one row */
    mg_buf_t             rows;
    mg_record_t          record;       /* of that row */
    const mg_record_ref_t  **sorted;
    unsigned             n;
    unsigned             one;          /* table for all of them */
} mg_records_t;


static int mg_records_fast(mg_records_t *s, mg_error_t *e);
static int mg_records_slow(mg_records_t *s, uint64_t *stored, mg_error_t *e);
static int mg_records_insert(mg_records_t *s, mg_str_t table,
    uint64_t *stored, mg_error_t *e);
static int mg_records_copy(mg_records_t *s, mg_str_t target, unsigned first,
    unsigned end, mg_error_t *e);
static int mg_records_send(mg_records_t *s, size_t more, mg_error_t *e);
static unsigned mg_records_run(const mg_records_t *s, unsigned first);
static int mg_records_table(mg_records_t *s, mg_str_t name, mg_str_t *table,
    mg_error_t *e);
static int mg_record_cmp(const void *one, const void *two);
static void mg_record_row(mg_records_t *s, const mg_record_t *r, size_t wire);
static char *mg_record_row_rest(char *p, const mg_record_t *r);
static char *mg_record_row_more(char *p, const mg_record_t *r);
static char *mg_record_row_hex(char *p, const uint8_t *bytes);
static char *mg_record_row_body(char *p, mg_str_t body, unsigned kept);
static inline uint8_t mg_record_digit(char c);
static mg_str_t mg_record_trace(const mg_record_t *r);
static mg_str_t mg_record_attempts(mg_records_t *s, const mg_record_t *r);
static mg_str_t mg_record_name(const mg_str_t *names, unsigned n, unsigned i);


static const mg_str_t  mg_record_key_sources[] = {
    { NULL, 0 }, mg_str("header"), mg_str("body"), mg_str("token")
};

static const mg_str_t  mg_record_usage_sources[] = {
    { NULL, 0 }, mg_str("provider"), mg_str("partial")
};

static const mg_str_t  mg_record_kinds[] = {
    mg_str("inference"), mg_str("shadow")
};


int
mg_store_records(mg_pg_t *c, const mg_record_ref_t *records, unsigned n,
    uint64_t *stored, mg_error_t *e)
{
    int            rc;
    unsigned       i;
    const char    *state;
    mg_error_t     why;
    mg_records_t   s;

    *stored = 0;

    if (n == 0) {
        return MG_OK;
    }

    s.c = c;
    s.n = n;
    s.sorted = malloc(n * sizeof(mg_record_ref_t *));
    s.arena = mg_arena_create(0);
    s.scratch = mg_arena_create(0);
    mg_buf_init(&s.rows, 0);
    (void) mg_buf_reserve(&s.rows, MG_PG_COPY_PIECE + MG_PG_COPY_PIECE / 4);

    if (s.sorted == NULL || s.arena == NULL || s.scratch == NULL
        || s.rows.failed)
    {
        rc = mg_store_memory(&why);

    } else {

        for (i = 0; i < n; i++) {
            s.sorted[i] = &records[i];
        }

        s.one = (mg_records_run(&s, 0) == n);

        if (!s.one) {
            qsort(s.sorted, n, sizeof(mg_record_ref_t *), mg_record_cmp);
        }

        rc = mg_records_fast(&s, &why);
        state = mg_pg_sqlstate(c);

        if (rc == MG_OK) {
            *stored = n;

        } else if (strcmp(state, "23505") == 0
                   || strcmp(state, "42P01") == 0)
        {
            rc = mg_records_slow(&s, stored, &why);
        }
    }

    mg_buf_free(&s.rows);
    mg_arena_destroy(s.scratch);
    mg_arena_destroy(s.arena);
    free(s.sorted);

    if (rc != MG_OK && e) {
        *e = why;
    }

    return rc;
}


/* One COPY is a transaction of its own: it needs no other around it. */

static int
mg_records_fast(mg_records_t *s, mg_error_t *e)
{
    int       rc;
    mg_str_t  table, target;
    unsigned  i, end;

    rc = s->one ? MG_OK : mg_pg_begin(s->c, e);

    for (i = 0; rc == MG_OK && i < s->n; i = end) {
        end = s->one ? s->n : mg_records_run(s, i);
        table = s->sorted[i]->table;
        target = mg_pg_ident(s->arena, "model",
                             table.len ? table : mg_str(MG_RECORD_UNKNOWN));

        rc = target.data ? mg_records_copy(s, target, i, end, e)
                         : mg_store_memory(e);
    }

    return s->one ? rc : mg_store_end(s->c, rc, e);
}


static int
mg_records_slow(mg_records_t *s, uint64_t *stored, mg_error_t *e)
{
    int       rc;
    mg_str_t  table;
    unsigned  i, end;

    rc = mg_pg_begin(s->c, e);

    if (rc == MG_OK) {
        rc = mg_pg_exec_dynamic(s->c, "create temp table if not exists "
                                "inference_batch "
                                "(like model.inference_columns "
                                "including defaults) on commit delete rows",
                                NULL, NULL, e);
    }

    for (i = 0; rc == MG_OK && i < s->n; i = end) {
        end = mg_records_run(s, i);

        rc = mg_records_table(s, s->sorted[i]->table, &table, e);

        if (rc == MG_OK) {
            rc = mg_records_copy(s, mg_str(MG_RECORD_BATCH), i, end, e);
        }

        if (rc == MG_OK) {
            rc = mg_records_insert(s, table, stored, e);
        }
    }

    rc = mg_store_end(s->c, rc, e);

    if (rc != MG_OK) {
        *stored = 0;
    }

    return rc;
}


/* The table of that name, or the one for records that have none. */

static int
mg_records_table(mg_records_t *s, mg_str_t name, mg_str_t *table,
    mg_error_t *e)
{
    int              known;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, s->arena);
    mg_pg_param_str(&p, name.data ? name : mg_str(""));

    if (mg_pg_exec(s->c, "select exists (select from pg_class c "
                   "join pg_namespace n on n.oid = c.relnamespace "
                   "where n.nspname = 'model' and c.relname = $1 "
                   "and c.relkind in ('p', 'r'))", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    known = mg_pg_rows_tri(r, 0, 0);
    mg_pg_rows_free(r);

    *table = mg_pg_ident(s->arena, "model",
                         known == 1 ? name : mg_str(MG_RECORD_UNKNOWN));

    return table->data ? MG_OK : mg_store_memory(e);
}


static int
mg_records_insert(mg_records_t *s, mg_str_t table, uint64_t *stored,
    mg_error_t *e)
{
    mg_buf_t       sql;
    mg_pg_rows_t  *r;

    mg_buf_init(&sql, 0);
    mg_buf_printf(&sql, "with batch as (delete from " MG_RECORD_BATCH
                  " returning " MG_RECORD_COLUMNS ") insert into %.*s ("
                  MG_RECORD_COLUMNS ") select * from batch "
                  "on conflict do nothing", MG_STR_ARG(table));

    if (mg_store_exec(s->c, &sql, NULL, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    *stored += mg_pg_rows_affected(r);
    mg_pg_rows_free(r);

    return MG_OK;
}


static int
mg_records_copy(mg_records_t *s, mg_str_t target, unsigned first,
    unsigned end, mg_error_t *e)
{
    size_t    more;
    unsigned  i;
    mg_str_t  wire;

    s->rows.len = 0;
    mg_buf_z(&s->rows, "copy ");
    mg_buf_str(&s->rows, target);
    mg_buf_z(&s->rows, " (" MG_RECORD_COLUMNS ") from stdin (format binary)");
    mg_buf_char(&s->rows, '\0');

    if (s->rows.failed) {
        return mg_store_memory(e);
    }

    if (mg_pg_copy_begin(s->c, s->rows.data, e) != MG_OK) {
        return MG_ERROR;
    }

    s->rows.len = 0;
    mg_buf_add(&s->rows, MG_PG_ROW_SIGNATURE,
               sizeof(MG_PG_ROW_SIGNATURE) - 1);

    for (i = first; i < end; i++) {

        wire = s->sorted[i]->wire;

        if (mg_record_get(wire.data, wire.len, &s->record) != MG_OK) {
            (void) mg_pg_copy_end(s->c, "damaged", e);
            return mg_error_set(e, MG_E_INVALID, NULL,
                                "the record is damaged");
        }

        mg_record_row(s, &s->record, wire.len);

        more = s->rows.len % MG_PG_COPY_PIECE;

        if (more < s->rows.len && mg_records_send(s, more, e) != MG_OK) {
            return MG_ERROR;
        }
    }

    mg_buf_add(&s->rows, MG_PG_ROW_TRAILER, sizeof(MG_PG_ROW_TRAILER) - 1);

    if (mg_records_send(s, 0, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_pg_copy_end(s->c, NULL, e);
}


/* All rows that were gathered, but for the last bytes of them. */

static int
mg_records_send(mg_records_t *s, size_t more, mg_error_t *e)
{
    mg_str_t  part;

    if (s->rows.failed) {
        (void) mg_pg_copy_end(s->c, "out of memory", e);
        return mg_store_memory(e);
    }

    part = mg_str_n(s->rows.data, s->rows.len - more);

    if (mg_pg_copy_data(s->c, part, e) != MG_OK) {
        return MG_ERROR;
    }

    s->rows.len = more;
    memmove(s->rows.data, part.data + part.len, more);

    return MG_OK;
}


static unsigned
mg_records_run(const mg_records_t *s, unsigned first)
{
    unsigned  i;
    mg_str_t  table;

    table = s->sorted[first]->table;

    for (i = first + 1; i < s->n; i++) {
        if (!mg_str_eq(s->sorted[i]->table, table)) {
            break;
        }
    }

    return i;
}


/* By table, then in the order of their making; one table needs no order. */

static int
mg_record_cmp(const void *one, const void *two)
{
    int                     rc;
    const mg_record_ref_t  *a, *b;

    a = *(const mg_record_ref_t * const *) one;
    b = *(const mg_record_ref_t * const *) two;

    rc = mg_str_cmp(a->table, b->table);

    return rc ? rc : (a > b) - (a < b);
}


/* -- a row -- */

/* What is counted is never below 0: that is unknown. */
#define mg_record_int4(p, n)                                                  \
    mg_pg_row_int4(p, (n) < 0 ? MG_UNKNOWN : (n))
#define mg_record_int8(p, n)                                                  \
    mg_pg_row_int8(p, (n) < 0 ? MG_UNKNOWN : (n))


/* wire: bytes of the record, which are more than its strings and bodies. */

static void
mg_record_row(mg_records_t *s, const mg_record_t *r, size_t wire)
{
    char      *p;
    mg_buf_t  *b;
    unsigned   i;

    b = &s->rows;
    p = mg_buf_reserve(b, MG_RECORD_ROW_SIZE + wire);

    if (p == NULL) {
        return;
    }

    p = mg_pg_row_begin(p, MG_RECORD_N_COLUMNS);

    p = mg_pg_row_uuid(p, &r->id);
    p = mg_pg_row_time(p, r->created_at ? r->created_at
                                        : mg_uuid_time(&r->id));
    p = mg_pg_row_uuid(p, &r->org_id);
    p = mg_pg_row_uuid(p, &r->group_id);

    for (i = MG_RS_GROUP; i <= MG_RS_ERROR_CLASS; i++) {
        p = r->str[i].len ? mg_pg_row_str(p, r->str[i]) : mg_pg_row_null(p);
    }

    p = mg_record_row_rest(p, r);
    p = mg_record_row_more(p, r);
    p = mg_pg_row_json(p, mg_record_attempts(s, r));
    p = mg_record_row_body(p, r->request_body,
                           r->bodies & MG_POLICY_REQUEST_BODY);
    p = mg_record_row_body(p, r->response_body,
                           r->bodies & MG_POLICY_RESPONSE_BODY);

    b->len = (size_t) (p - b->data);
}


/* What is of a fixed length, from "bucket" to the cost. */

static char *
mg_record_row_rest(char *p, const mg_record_t *r)
{
    mg_str_t           hash;
    const mg_usage_t  *u;

    u = &r->usage;
    hash = mg_str_n((const char *) r->key_hash, sizeof(r->key_hash));

    p = mg_record_int4(p, r->bucket);
    p = mg_pg_row_str(p, r->key_source ? hash : mg_str_null);
    p = mg_pg_row_str(p, mg_record_name(mg_record_key_sources, 4,
                                        r->key_source));
    p = mg_pg_row_uuid(p, &r->token_id);

    p = mg_pg_row_int4(p, r->status);
    p = mg_pg_row_int4(p, r->upstream_status ? r->upstream_status
                                             : MG_UNKNOWN);
    p = mg_pg_row_bool(p, r->stream);
    p = mg_pg_row_bool(p, r->truncated);
    p = mg_record_int4(p, r->attempts);
    p = mg_record_int8(p, r->latency_us);
    p = mg_record_int8(p, r->ttft_us);
    p = mg_record_int8(p, r->upstream_us);
    p = mg_record_int8(p, r->request_bytes);
    p = mg_record_int8(p, r->response_bytes);
    p = mg_record_int8(p, u->input);
    p = mg_record_int8(p, u->input_uncached);
    p = mg_record_int8(p, u->cache_read);
    p = mg_record_int8(p, u->cache_write);
    p = mg_record_int8(p, u->output);
    p = mg_record_int8(p, u->reasoning);
    p = mg_record_int8(p, u->audio_in);
    p = mg_record_int8(p, u->audio_out);
    p = mg_pg_row_str(p, mg_record_name(mg_record_usage_sources, 3,
                                        r->usage_source));

    return mg_record_int8(p, r->cost_nano);
}


/* From "kind" to "cost_unknown". */

static char *
mg_record_row_more(char *p, const mg_record_t *r)
{
    int                known;
    mg_str_t           reason;
    uint64_t           version;
    const mg_usage_t  *u;

    u = &r->usage;
    version = htobe64(r->price_version);
    known = r->cost_nano >= 0 || r->cost_reason == MG_COST_KNOWN
            || r->cost_reason >= MG_COST_REASONS;
    reason = known ? mg_str_null : mg_cost_reason_names[r->cost_reason];

    p = mg_pg_row_str(p, mg_record_name(mg_record_kinds, 2, r->kind));
    p = mg_pg_row_uuid(p, &r->shadow_of);
    p = mg_pg_row_bool(p, r->flags & MG_RECORD_FORCED);
    p = mg_pg_row_bool(p, r->flags & MG_RECORD_DRY_RUN);
    p = mg_pg_row_str(p, mg_record_trace(r));
    p = mg_record_row_hex(p, r->span_id);
    p = mg_record_int8(p, u->cache_write_5m);
    p = mg_record_int8(p, u->cache_write_1h);
    p = mg_record_int8(p, u->tool_input);
    p = mg_pg_row_texts(p, mg_usage_mark_names, MG_USAGE_MARKS, u->marks);
    p = mg_record_row_hex(p, (uint8_t *) &version);

    return mg_pg_row_str(p, reason);
}


/* Eight bytes as 16 digits; all zero: NULL. */

static char *
mg_record_row_hex(char *p, const uint8_t *bytes)
{
    uint32_t  len;
    uint64_t  n;

    memcpy(&n, bytes, sizeof(uint64_t));

    if (n == 0) {
        return mg_pg_row_null(p);
    }

    len = htonl(2 * sizeof(uint64_t));
    memcpy(p, &len, 4);

    /* with a NUL, which the next column takes the place of */

    mg_hex(bytes, sizeof(uint64_t), p + 4);

    return p + 4 + 2 * sizeof(uint64_t);
}


static char *
mg_record_row_body(char *p, mg_str_t body, unsigned kept)
{
    uint32_t  n;

    if (!kept) {
        return mg_pg_row_null(p);
    }

    n = htonl((uint32_t) body.len);
    memcpy(p, &n, 4);
    mg_record_text(p + 4, body);

    return p + 4 + body.len;
}


/* Hexadecimal; without a branch, so that many are looked at at once. */

static inline uint8_t
mg_record_digit(char c)
{
    return ((uint8_t) (c - '0') < 10) | ((uint8_t) ((c | 0x20) - 'a') < 6);
}


/* Of "00-<trace>-<span>-01"; absent, if it is not such. */

static mg_str_t
mg_record_trace(const mg_record_t *r)
{
    mg_str_t  s;
    uint8_t   good;
    unsigned  i;

    s = r->str[MG_RS_TRACEPARENT];

    if (s.len <= MG_RECORD_TRACE_AT + MG_RECORD_TRACE
        || s.data[MG_RECORD_TRACE_AT - 1] != '-'
        || s.data[MG_RECORD_TRACE_AT + MG_RECORD_TRACE] != '-')
    {
        return mg_str_null;
    }

    s = mg_str_n(s.data + MG_RECORD_TRACE_AT, MG_RECORD_TRACE);

    for (i = 0, good = 1; i < MG_RECORD_TRACE; i++) {
        good &= mg_record_digit(s.data[i]);
    }

    return good ? s : mg_str_null;
}


/* What jsonb would refuse must not refuse the batch; absent instead. */

static mg_str_t
mg_record_attempts(mg_records_t *s, const mg_record_t *r)
{
    size_t            i;
    mg_str_t          text;
    mg_error_t        why;
    const mg_json_t  *json;

    text = r->str[MG_RS_ATTEMPTS];

    if (text.len == 0) {
        return mg_str_null;
    }

    /* a NUL, or half of a surrogate pair */

    for (i = 0; i + 5 < text.len; i++) {

        if (text.data[i] != '\\') {
            continue;
        }

        i++;

        if (text.data[i] == 'u'
            && (text.data[i + 1] == 'd' || text.data[i + 1] == 'D'
                || memcmp(text.data + i + 1, "0000", 4) == 0))
        {
            return mg_str_null;
        }
    }

    mg_arena_reset(s->scratch);
    json = mg_json_parse(s->scratch, text, NULL, &why);

    return json && json->type == MG_JSON_ARRAY ? text : mg_str_null;
}


static mg_str_t
mg_record_name(const mg_str_t *names, unsigned n, unsigned i)
{
    return i < n ? names[i] : mg_str_null;
}


/* -- partitions -- */

int
mg_store_partitions(mg_pg_t *c, mg_error_t *e)
{
    int              i, rc;
    mg_arena_t      *a;
    mg_error_t       why;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    if (mg_pg_exec(c, "select id from model.model_groups "
                   "where inference_table is not null order by id", NULL,
                   &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    a = mg_arena_create(0);
    rc = a ? MG_OK : mg_store_memory(e);

    /* one transaction a group; one that fails keeps no other waiting */

    for (i = 0; a && i < mg_pg_rows_count(r); i++) {
        mg_arena_reset(a);
        mg_pg_params_init(&p, a);
        mg_pg_param_str(&p, mg_pg_rows_str(r, i, 0));

        if (mg_pg_exec(c, "select model.ensure_inference_partitions"
                       "($1::uuid)", &p, NULL, &why)
            != MG_OK)
        {
            rc = MG_ERROR;

            if (e) {
                *e = why;
            }

            if (why.kind == MG_E_UNAVAILABLE) {
                break;
            }
        }
    }

    mg_arena_destroy(a);
    mg_pg_rows_free(r);

    return rc;
}
