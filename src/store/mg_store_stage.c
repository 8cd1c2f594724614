/*
 * mg_store_stage.c: the entries of a source into temporary tables.
 *
 *     entries -> COPY -> pg_temp.sync_provider, sync_model, sync_result
 *
 * Staging is done outside of a transaction, so that a source that is read
 * slowly holds no snapshot and no lock of anybody; what others see changes
 * with the commit alone.  A lock of the session keeps a second sync of the
 * same list away.
 *
 * Rows travel in pieces of a megabyte; what the server refuses is halved
 * until the row that is to blame is found.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_sync.h"

#include <stdio.h>
#include <stdlib.h>


/* Staged rows are sent in pieces of this size. */
#define MG_SYNC_BATCH        (1024 * 1024)
#define MG_SYNC_SOURCE_MAX   63

#define MG_SYNC_LOCK         "6006205313"


static int mg_sync_scope_check(const mg_sync_scope_t *scope, mg_error_t *e);
static int mg_sync_lock(mg_store_sync_t *s, mg_error_t *e);
static void mg_sync_unlock(mg_store_sync_t *s);
static void mg_sync_lock_params(mg_store_sync_t *s, mg_pg_params_t *p);
static int mg_sync_stage_create(mg_store_sync_t *s, mg_sync_stage_t *st,
    const char *table, const mg_column_t *cols, mg_error_t *e);
static int mg_sync_staged(mg_store_sync_t *s, mg_sync_stage_t *st,
    mg_error_t *e);
static int mg_sync_send(mg_store_sync_t *s, mg_sync_stage_t *st,
    mg_str_t rows, mg_error_t *e);
static int mg_sync_copy(mg_store_sync_t *s, mg_sync_stage_t *st,
    mg_str_t rows, mg_error_t *e);


#define MG_RESULT_COLUMN(name, member)                                        \
    { name, NULL, MG_COLUMN_STR, offsetof(mg_benchmark_t, member),            \
      MG_COLUMNS_STAGE }

const mg_column_t  mg_sync_result_columns[] = {
    MG_RESULT_COLUMN("name", name),
    MG_RESULT_COLUMN("metric", metric),
    MG_RESULT_COLUMN("variant", variant),
    MG_RESULT_COLUMN("harness", harness),
    MG_RESULT_COLUMN("dataset", dataset),
    MG_RESULT_COLUMN("version", version),
    MG_RESULT_COLUMN("url", url),
    MG_RESULT_COLUMN("measured_on", date),
    MG_RESULT_COLUMN("score", score),
    { NULL, NULL, MG_COLUMN_STR, 0, 0 }
};


mg_store_sync_t *
mg_store_sync_begin(mg_pg_t *c, const mg_sync_scope_t *scope, mg_error_t *e)
{
    mg_store_sync_t  *s;

    if (mg_sync_scope_check(scope, e) != MG_OK) {
        return NULL;
    }

    s = calloc(1, sizeof(mg_store_sync_t));
    if (s == NULL) {
        (void) mg_store_memory(e);
        return NULL;
    }

    s->arena = mg_arena_create(0);
    if (s->arena == NULL) {
        free(s);
        (void) mg_store_memory(e);
        return NULL;
    }

    s->c = c;
    s->scope = *scope;
    mg_buf_init(&s->providers.rows, 0);
    mg_buf_init(&s->models.rows, 0);
    mg_buf_init(&s->results.rows, 0);

    if (mg_sync_lock(s, e) != MG_OK) {
        mg_arena_destroy(s->arena);
        free(s);
        return NULL;
    }

    if (mg_sync_stage_create(s, &s->providers, "pg_temp.sync_provider",
                             mg_provider_columns, e)
        != MG_OK
        || mg_sync_stage_create(s, &s->models, "pg_temp.sync_model",
                                mg_model_columns, e)
           != MG_OK
        || mg_sync_stage_create(s, &s->results, "pg_temp.sync_result",
                                mg_sync_result_columns, e)
           != MG_OK)
    {
        mg_sync_free(s);
        return NULL;
    }

    return s;
}


static int
mg_sync_scope_check(const mg_sync_scope_t *scope, mg_error_t *e)
{
    mg_str_t  source;

    source = scope->source;

    if (source.len == 0 || source.len > MG_SYNC_SOURCE_MAX) {
        return mg_error_set(e, MG_E_INVALID, "source",
                            "the name of a source has %zu bytes; give 1 to "
                            "%d", source.len, MG_SYNC_SOURCE_MAX);
    }

    /* what was set by hand is no list, and a guess is nobody's word */

    if (mg_str_eq(source, mg_str("manual"))
        || mg_str_eq(source, mg_str("inferred"))
        || mg_str_eq(source, mg_str("*")) || scope->rank <= MG_RANK_MANUAL)
    {
        return mg_error_set(e, MG_E_INVALID, "source",
                            "\"" MG_STR_FMT "\" cannot be the name of a "
                            "source of rank %d", MG_STR_ARG(source),
                            (int) scope->rank);
    }

    if (scope->labs && scope->creates) {
        return mg_error_set(e, MG_E_INVALID, "source",
                            "the source \"" MG_STR_FMT "\" does not say who "
                            "serves a model: it cannot add any",
                            MG_STR_ARG(source));
    }

    return MG_OK;
}


static int
mg_sync_lock(mg_store_sync_t *s, mg_error_t *e)
{
    int              locked;
    mg_pg_rows_t    *rows;
    mg_pg_params_t   p;

    mg_sync_lock_params(s, &p);

    if (mg_pg_exec(s->c, "select pg_try_advisory_lock(hashtextextended("
                   "concat_ws(' ', $1::text, $2::text), " MG_SYNC_LOCK "))",
                   &p, &rows, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    locked = mg_pg_rows_tri(rows, 0, 0);
    mg_pg_rows_free(rows);

    if (locked != 1) {
        return mg_error_set(e, MG_E_CONFLICT, NULL,
                            "another sync of \"" MG_STR_FMT "\" is running; "
                            "wait for its end", MG_STR_ARG(s->scope.source));
    }

    return MG_OK;
}


static void
mg_sync_unlock(mg_store_sync_t *s)
{
    mg_pg_params_t  p;

    mg_sync_lock_params(s, &p);

    (void) mg_pg_exec(s->c, "select pg_advisory_unlock(hashtextextended("
                      "concat_ws(' ', $1::text, $2::text), " MG_SYNC_LOCK
                      "))", &p, NULL, NULL);
}


static void
mg_sync_lock_params(mg_store_sync_t *s, mg_pg_params_t *p)
{
    mg_pg_params_init(p, s->arena);
    mg_pg_param_str(p, s->scope.source);
    mg_pg_param_str(p, mg_sync_optional(s->scope.provider));
}


static int
mg_sync_stage_create(mg_store_sync_t *s, mg_sync_stage_t *st,
    const char *table, const mg_column_t *cols, mg_error_t *e)
{
    mg_buf_t  b;

    st->table = table;
    st->columns = cols;

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "drop table if exists %s", table);

    if (mg_store_exec(s->c, &b, NULL, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "create temp table %s (seq bigint, id text, ",
                  table + sizeof("pg_temp.") - 1);
    mg_columns_each(&b, cols, ", ", "% #", 0, MG_COLUMNS_STAGE);
    mg_buf_char(&b, ')');

    return mg_store_exec(s->c, &b, NULL, NULL, e);
}


void
mg_sync_free(mg_store_sync_t *s)
{
    mg_pg_rollback(s->c);

    (void) mg_pg_exec_dynamic(s->c, "drop table if exists "
                              "pg_temp.sync_provider, pg_temp.sync_model, "
                              "pg_temp.sync_result", NULL, NULL, NULL);
    mg_sync_unlock(s);

    mg_buf_free(&s->providers.rows);
    mg_buf_free(&s->models.rows);
    mg_buf_free(&s->results.rows);
    mg_arena_destroy(s->arena);
    free(s);
}


/* -- entries -- */

/* A list that only completes has nothing to say about who there is. */

int
mg_store_sync_provider(mg_store_sync_t *s, const mg_provider_t *p,
    mg_error_t *e)
{
    mg_buf_t       *b;
    mg_provider_t   row;

    if (!s->scope.creates || s->scope.provider.len) {
        return MG_OK;
    }

    if (!mg_provider_id_ok(p->id)
        || !mg_json_is(p->env, '[') || !mg_json_is(p->extra, '{'))
    {
        s->failed++;
        return MG_OK;
    }

    row = *p;
    row.active = 1;

    if (row.name.len == 0) {
        row.name = row.id;
    }

    b = &s->providers.rows;

    mg_pg_copy_int(b, 1, ++s->providers.seq);
    mg_pg_copy_str(b, 0, row.id);
    mg_columns_copy(b, mg_provider_columns, &row);

    return mg_sync_staged(s, &s->providers, e);
}


int
mg_store_sync_model(mg_store_sync_t *s, const mg_model_t *m, mg_error_t *e)
{
    mg_buf_t    *b;
    mg_model_t   row;

    if (mg_model_check(m, NULL) != MG_OK
        || (s->scope.provider.len
            && !mg_str_eq(m->provider_id, s->scope.provider)))
    {
        s->failed++;
        return MG_OK;
    }

    row = *m;
    row.active = s->scope.authority ? 1 : -1;
    row.source_model_id = mg_sync_optional(row.source_model_id);

    b = &s->models.rows;

    mg_pg_copy_int(b, 1, ++s->models.seq);
    mg_pg_copy_str(b, 0, row.id);
    mg_columns_copy(b, mg_model_columns, &row);

    return mg_sync_staged(s, &s->models, e);
}


int
mg_store_sync_benchmark(mg_store_sync_t *s, const mg_benchmark_t *r,
    mg_error_t *e)
{
    unsigned         i;
    mg_buf_t        *b;
    mg_str_t        *part;
    mg_benchmark_t   row;

    if (r->model_id.len == 0 || mg_benchmark_check(r, NULL) != MG_OK) {
        s->failed++;
        return MG_OK;
    }

    row = *r;

    for (i = 0; mg_sync_result_columns[i].name; i++) {
        part = (mg_str_t *) ((char *) &row
                             + mg_sync_result_columns[i].offset);
        *part = mg_sync_optional(*part);
    }

    b = &s->results.rows;

    mg_pg_copy_int(b, 1, ++s->results.seq);
    mg_pg_copy_str(b, 0, row.model_id);
    mg_columns_copy(b, mg_sync_result_columns, &row);

    return mg_sync_staged(s, &s->results, e);
}


static int
mg_sync_staged(mg_store_sync_t *s, mg_sync_stage_t *st, mg_error_t *e)
{
    st->staged++;
    mg_buf_char(&st->rows, '\n');

    return st->rows.len < MG_SYNC_BATCH && !st->rows.failed
           ? MG_OK : mg_sync_flush(s, st, e);
}


/* -- rows -- */

int
mg_sync_flush(mg_store_sync_t *s, mg_sync_stage_t *st, mg_error_t *e)
{
    int  rc;

    if (st->rows.failed) {
        return mg_store_memory(e);
    }

    if (st->rows.len == 0) {
        return MG_OK;
    }

    rc = mg_sync_send(s, st, mg_buf_view(&st->rows), e);
    st->rows.len = 0;

    return rc;
}


/*
 * A row may be JSON to us and not to PostgreSQL (a NUL in a string, a number
 * of a million digits).  The server refuses the whole piece then: its halves
 * are sent one by one, down to the row that is to blame, which is left out
 * and counted.
 */

static int
mg_sync_send(mg_store_sync_t *s, mg_sync_stage_t *st, mg_str_t rows,
    mg_error_t *e)
{
    size_t       half;
    mg_error_t   why;
    const char  *end;

    if (mg_sync_copy(s, st, rows, &why) == MG_OK) {
        return MG_OK;
    }

    if (why.kind != MG_E_INVALID
        && strncmp(mg_pg_sqlstate(s->c), "54", 2) != 0)
    {
        if (e) {
            *e = why;
        }

        return MG_ERROR;
    }

    /* the end of the row that stands in the middle */

    half = rows.len / 2;
    end = memchr(rows.data + half, '\n', rows.len - half);

    if (end == rows.data + rows.len - 1) {

        while (half > 0 && rows.data[half - 1] != '\n') {
            half--;
        }

    } else {
        half = (size_t) (end + 1 - rows.data);
    }

    if (half == 0) {
        s->failed++;
        st->staged--;
        return MG_OK;
    }

    if (mg_sync_send(s, st, mg_str_n(rows.data, half), e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_sync_send(s, st, mg_str_n(rows.data + half, rows.len - half),
                        e);
}


static int
mg_sync_copy(mg_store_sync_t *s, mg_sync_stage_t *st, mg_str_t rows,
    mg_error_t *e)
{
    char  sql[64];

    (void) snprintf(sql, sizeof(sql), "copy %s from stdin",
                    st->table);

    if (mg_pg_copy_begin(s->c, sql, e) != MG_OK
        || mg_pg_copy_data(s->c, rows, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_pg_copy_end(s->c, NULL, e);
}


/*
 * Makes ids unique: of several entries the first wins, the later ones fill
 * what it leaves unknown, capabilities are united.
 */

int
mg_sync_unite(mg_store_sync_t *s, mg_sync_stage_t *st, mg_error_t *e)
{
    int64_t             twice;
    mg_buf_t            b;
    const char         *stage;
    mg_pg_rows_t       *rows;
    const mg_column_t  *col;

    stage = st->table;

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "select count(*) - count(distinct id) from %s", stage);

    if (mg_store_exec(s->c, &b, NULL, &rows, e) != MG_OK) {
        return MG_ERROR;
    }

    twice = mg_pg_rows_int(rows, 0, 0);
    mg_pg_rows_free(rows);

    mg_buf_init(&b, 0);

    if (twice == 0) {
        mg_buf_printf(&b, "analyze %s (id)", stage);
        return mg_store_exec(s->c, &b, NULL, NULL, e);
    }

    st->staged -= twice;

    mg_buf_printf(&b, "with d as (select min(seq) as first, id");

    for (col = st->columns; col->name; col++) {
        if (!(col->sets & MG_COLUMNS_STAGE)) {
            continue;
        }

        mg_buf_printf(&b, col->kind == MG_COLUMN_CAP
                          ? ", bool_or(%s) as %s"
                          : ", (array_agg(%s order by seq) filter "
                            "(where %s is not null))[1] as %s",
                      col->name, col->name, col->name);
    }

    mg_buf_printf(&b, " from %s group by id having count(*) > 1), "
                  "gone as (delete from %s t using d where t.id = d.id "
                  "and t.seq <> d.first) update %s t set ", stage, stage,
                  stage);
    mg_columns_each(&b, st->columns, ", ", "% = d.%", 0, MG_COLUMNS_STAGE);
    mg_buf_z(&b, " from d where t.id = d.id and t.seq = d.first");

    if (mg_store_exec(s->c, &b, NULL, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "analyze %s (id)", stage);

    return mg_store_exec(s->c, &b, NULL, NULL, e);
}
