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
 * Rows are text in one buffer, sent and begun anew when it is full, so that
 * it stays in the processor's cache; nothing is allocated for a row.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_column.h"

#include <stdlib.h>


/* Bytes of rows that are gathered before they are sent. */
#define MG_RECORD_ROWS       (64 * 1024)

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
    "usage_source, cost_nano_usd"

#define MG_RECORD_BATCH      "pg_temp.inference_batch"
#define MG_RECORD_UNKNOWN    "inference_unassigned"


typedef struct {
    mg_pg_t             *c;
    mg_arena_t          *arena;
    mg_buf_t             rows;
    const mg_record_t  **sorted;
    unsigned             n;
} mg_records_t;


static int mg_records_fast(mg_records_t *s, mg_error_t *e);
static int mg_records_slow(mg_records_t *s, uint64_t *stored, mg_error_t *e);
static int mg_records_insert(mg_records_t *s, mg_str_t table,
    uint64_t *stored, mg_error_t *e);
static int mg_records_copy(mg_records_t *s, mg_str_t target, unsigned first,
    unsigned end, mg_error_t *e);
static unsigned mg_records_run(const mg_records_t *s, unsigned first);
static int mg_records_table(mg_records_t *s, mg_str_t name, mg_str_t *table,
    mg_error_t *e);
static int mg_record_cmp(const void *one, const void *two);
static void mg_record_row(mg_buf_t *b, const mg_record_t *r);
static void mg_record_uuid(mg_buf_t *b, int first, const mg_uuid_t *u);
static mg_str_t mg_record_name(const char *const *names, unsigned n,
    unsigned i);


static const char * const  mg_record_key_sources[] = {
    NULL, "header", "body", "token"
};

static const char * const  mg_record_usage_sources[] = {
    NULL, "provider", "partial"
};

/* In the order of MG_RECORD_COLUMNS. */

static const mg_record_string_e  mg_record_strings[] = {
    MG_RS_GROUP, MG_RS_MODEL_REQUESTED, MG_RS_MODEL_ASSIGNED,
    MG_RS_MODEL_SERVED, MG_RS_UPSTREAM_MODEL, MG_RS_PROVIDER, MG_RS_ROLE,
    MG_RS_REQUEST_ID, MG_RS_UPSTREAM_REQUEST_ID, MG_RS_TRACEPARENT,
    MG_RS_METHOD, MG_RS_PATH, MG_RS_CLIENT, MG_RS_UPSTREAM_ADDR,
    MG_RS_ERROR_CLASS
};


int
mg_store_records(mg_pg_t *c, const mg_record_t *records, unsigned n,
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
    s.sorted = malloc(n * sizeof(mg_record_t *));
    s.arena = mg_arena_create(0);
    mg_buf_init(&s.rows, 0);
    (void) mg_buf_reserve(&s.rows, MG_RECORD_ROWS + MG_RECORD_SIZE_MAX);

    if (s.sorted == NULL || s.arena == NULL || s.rows.failed) {
        rc = mg_store_memory(&why);

    } else {

        for (i = 0; i < n; i++) {
            s.sorted[i] = &records[i];
        }

        if (mg_records_run(&s, 0) != n) {
            qsort(s.sorted, n, sizeof(mg_record_t *), mg_record_cmp);
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
    mg_arena_destroy(s.arena);
    free(s.sorted);

    if (rc != MG_OK && e) {
        *e = why;
    }

    return rc;
}


static int
mg_records_fast(mg_records_t *s, mg_error_t *e)
{
    int       rc;
    mg_str_t  table, target;
    unsigned  i, end;

    rc = mg_pg_begin(s->c, e);

    for (i = 0; rc == MG_OK && i < s->n; i = end) {
        end = mg_records_run(s, i);
        table = s->sorted[i]->str[MG_RS_TABLE];
        target = mg_pg_ident(s->arena, "model",
                             table.len ? table : mg_str(MG_RECORD_UNKNOWN));

        rc = target.data ? mg_records_copy(s, target, i, end, e)
                         : mg_store_memory(e);
    }

    return mg_store_end(s->c, rc, e);
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

        rc = mg_records_table(s, s->sorted[i]->str[MG_RS_TABLE], &table, e);

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
    unsigned  i;
    mg_str_t  sql;

    sql = mg_arena_printf(s->arena, "copy %.*s (" MG_RECORD_COLUMNS
                          ") from stdin", MG_STR_ARG(target));

    if (sql.data == NULL) {
        return mg_store_memory(e);
    }

    if (mg_pg_copy_begin(s->c, sql.data, e) != MG_OK) {
        return MG_ERROR;
    }

    s->rows.len = 0;

    for (i = first; i < end; i++) {
        mg_record_row(&s->rows, s->sorted[i]);

        if (s->rows.len < MG_RECORD_ROWS && i + 1 < end) {
            continue;
        }

        if (s->rows.failed) {
            (void) mg_pg_copy_end(s->c, "out of memory", e);
            return mg_store_memory(e);
        }

        if (mg_pg_copy_data(s->c, mg_buf_view(&s->rows), e) != MG_OK) {
            return MG_ERROR;
        }

        s->rows.len = 0;
    }

    return mg_pg_copy_end(s->c, NULL, e);
}


static unsigned
mg_records_run(const mg_records_t *s, unsigned first)
{
    unsigned  i;
    mg_str_t  table;

    table = s->sorted[first]->str[MG_RS_TABLE];

    for (i = first + 1; i < s->n; i++) {
        if (!mg_str_eq(s->sorted[i]->str[MG_RS_TABLE], table)) {
            break;
        }
    }

    return i;
}


/* By table, then in the order of their making; one table needs no order. */

static int
mg_record_cmp(const void *one, const void *two)
{
    int                 rc;
    const mg_record_t  *a, *b;

    a = *(const mg_record_t * const *) one;
    b = *(const mg_record_t * const *) two;

    rc = mg_str_cmp(a->str[MG_RS_TABLE], b->str[MG_RS_TABLE]);

    return rc ? rc : memcmp(&a->id, &b->id, sizeof(mg_uuid_t));
}


/* -- a row -- */

static void
mg_record_row(mg_buf_t *b, const mg_record_t *r)
{
    unsigned           i;
    mg_str_t           s;
    const mg_usage_t  *u;

#define MG_RECORD_INT(n)  mg_pg_copy_int(b, 0, (n) < 0 ? MG_UNKNOWN : (n))

    u = &r->usage;

    mg_record_uuid(b, 1, &r->id);
    mg_pg_copy_time(b, 0, r->created_at ? r->created_at
                                        : mg_uuid_time(&r->id));
    mg_record_uuid(b, 0, &r->org_id);
    mg_record_uuid(b, 0, &r->group_id);

    for (i = 0;
         i < sizeof(mg_record_strings) / sizeof(mg_record_strings[0]);
         i++)
    {
        s = r->str[mg_record_strings[i]];
        mg_pg_copy_str(b, 0, s.len ? s : mg_str_null);
    }

    MG_RECORD_INT(r->bucket);

    s = mg_str_n((const char *) r->key_hash, sizeof(r->key_hash));
    mg_pg_copy_bytes(b, 0, r->key_source ? s : mg_str_null);
    mg_pg_copy_str(b, 0, mg_record_name(mg_record_key_sources, 4,
                                        r->key_source));
    mg_record_uuid(b, 0, &r->token_id);

    mg_pg_copy_int(b, 0, r->status);
    mg_pg_copy_int(b, 0, r->upstream_status ? r->upstream_status
                                            : MG_UNKNOWN);
    mg_pg_copy_tri(b, 0, r->stream != 0);
    mg_pg_copy_tri(b, 0, r->truncated != 0);
    MG_RECORD_INT(r->attempts);
    MG_RECORD_INT(r->latency_us);
    MG_RECORD_INT(r->ttft_us);
    MG_RECORD_INT(r->upstream_us);
    MG_RECORD_INT(r->request_bytes);
    MG_RECORD_INT(r->response_bytes);
    MG_RECORD_INT(u->input);
    MG_RECORD_INT(u->input_uncached);
    MG_RECORD_INT(u->cache_read);
    MG_RECORD_INT(u->cache_write);
    MG_RECORD_INT(u->output);
    MG_RECORD_INT(u->reasoning);
    MG_RECORD_INT(u->audio_in);
    MG_RECORD_INT(u->audio_out);
    mg_pg_copy_str(b, 0, mg_record_name(mg_record_usage_sources, 3,
                                        r->usage_source));
    MG_RECORD_INT(r->cost_nano);
    mg_buf_char(b, '\n');

#undef MG_RECORD_INT
}


/* All zero is none. */

static void
mg_record_uuid(mg_buf_t *b, int first, const mg_uuid_t *u)
{
    char  text[MG_UUID_LEN + 1];

    static const mg_uuid_t  none;

    if (memcmp(u, &none, sizeof(mg_uuid_t)) == 0) {
        mg_pg_copy_str(b, first, mg_str_null);
        return;
    }

    mg_uuid_format(u, text);
    mg_pg_copy_str(b, first, mg_str_n(text, MG_UUID_LEN));
}


static mg_str_t
mg_record_name(const char *const *names, unsigned n, unsigned i)
{
    return i < n ? mg_str_z(names[i]) : mg_str_null;
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
