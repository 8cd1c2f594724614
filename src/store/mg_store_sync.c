/*
 * mg_store_sync.c: a source's whole list into the catalog.
 *
 *     entries -> COPY -> pg_temp.sync_provider, pg_temp.sync_model
 *             -> one transaction: compare, update, insert, mark what is gone
 *
 * Staging is done outside of a transaction, in temporary tables, so that a
 * source that is read slowly holds no snapshot and no lock of anybody; what
 * others see changes with the commit alone.  A lock of the session keeps a
 * second sync of the same source away.
 *
 * The comparison is a join over normalised columns: rows that say the same
 * are not written, so loading a document twice changes nothing and raises no
 * generation.  Columns that were set by hand are laid over the staged rows
 * before; rows that were made by hand are left alone.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_column.h"

#include <stdio.h>
#include <stdlib.h>


/* Staged rows are sent in pieces of this size. */
#define MG_SYNC_BATCH        (1024 * 1024)
#define MG_SYNC_SOURCE_MAX   63

/* Rows that one statement may write: it must not run into its time-out. */
#define MG_SYNC_STEP         10000

#define MG_SYNC_LOCK         "6006205313"

/* Syncs fill the default organisation's catalog. */
#define MG_SYNC_ORG          "'" MG_ORG_DEFAULT "'::uuid"


typedef struct {
    const char         *stage;       /* temporary table */
    const char         *target;
    const mg_column_t  *columns;
} mg_sync_table_t;


typedef struct {
    mg_buf_t                rows;
    int64_t                 seq;         /* of the last row */
    int64_t                 staged;      /* rows in the stage */
    const mg_sync_table_t  *table;
} mg_sync_stage_t;


struct mg_store_sync_s {
    mg_pg_t          *c;
    mg_arena_t       *arena;
    char              source[MG_SYNC_SOURCE_MAX + 1];
    int64_t           failed;
    mg_sync_stage_t   providers;
    mg_sync_stage_t   models;
};


static int mg_sync_tables(mg_store_sync_t *s, mg_error_t *e);
static int mg_sync_stage_create(mg_store_sync_t *s, mg_sync_stage_t *st,
    const mg_sync_table_t *table, mg_error_t *e);
static int mg_sync_flush(mg_store_sync_t *s, mg_sync_stage_t *st,
    mg_error_t *e);
static int mg_sync_send(mg_store_sync_t *s, mg_sync_stage_t *st,
    mg_str_t rows, mg_error_t *e);
static int mg_sync_copy(mg_store_sync_t *s, mg_sync_stage_t *st,
    mg_str_t rows, mg_error_t *e);
static int mg_sync_unite(mg_store_sync_t *s, mg_sync_stage_t *st,
    mg_error_t *e);
static int mg_sync_apply(mg_store_sync_t *s, int complete, int64_t started_at,
    mg_sync_counts_t *counts, mg_error_t *e);
static int mg_sync_filter(mg_store_sync_t *s, int64_t *hidden, mg_error_t *e);
static int mg_sync_by_hand(mg_store_sync_t *s, const mg_sync_table_t *t,
    mg_error_t *e);
static int mg_sync_update(mg_store_sync_t *s, const mg_sync_stage_t *st,
    int64_t *n, mg_error_t *e);
static int mg_sync_insert(mg_store_sync_t *s, const mg_sync_stage_t *st,
    int64_t *n, mg_error_t *e);
static int mg_sync_vanish(mg_store_sync_t *s, const mg_sync_table_t *t,
    int64_t *n, mg_error_t *e);
static int mg_sync_steps(mg_store_sync_t *s, const mg_sync_stage_t *st,
    mg_buf_t *sql, int64_t *n, mg_error_t *e);
static int mg_sync_run(mg_store_sync_t *s, mg_buf_t *sql, int with_source,
    int64_t *n, mg_error_t *e);
static int mg_sync_history(mg_pg_t *c, const char *source,
    const char *status, const char *error, int64_t started_at,
    int64_t providers_changed, const mg_sync_counts_t *counts,
    mg_error_t *e);
static void mg_sync_free(mg_store_sync_t *s);


static const mg_sync_table_t  mg_sync_providers = {
    "pg_temp.sync_provider", "model.providers", mg_provider_columns
};

static const mg_sync_table_t  mg_sync_models = {
    "pg_temp.sync_model", "model.models_metadata", mg_model_columns
};


mg_store_sync_t *
mg_store_sync_begin(mg_pg_t *c, const char *source, mg_error_t *e)
{
    int               locked;
    mg_pg_rows_t     *rows;
    mg_pg_params_t    p;
    mg_store_sync_t  *s;

    mg_pg_params_init(&p, NULL);
    mg_pg_param_z(&p, source);

    if (strlen(source) > MG_SYNC_SOURCE_MAX) {
        (void) mg_error_set(e, MG_E_INVALID, "source",
                            "the name of a source has at most %d bytes",
                            MG_SYNC_SOURCE_MAX);
        return NULL;
    }

    if (mg_pg_exec(c, "select pg_try_advisory_lock("
                   "hashtextextended($1, " MG_SYNC_LOCK "))", &p, &rows, e)
        != MG_OK)
    {
        return NULL;
    }

    locked = mg_pg_rows_tri(rows, 0, 0);
    mg_pg_rows_free(rows);

    if (locked != 1) {
        (void) mg_error_set(e, MG_E_CONFLICT, NULL,
                            "another sync of \"%s\" is running; wait for its "
                            "end", source);
        return NULL;
    }

    s = calloc(1, sizeof(mg_store_sync_t));
    if (s == NULL) {
        (void) mg_pg_exec(c, "select pg_advisory_unlock("
                      "hashtextextended($1, " MG_SYNC_LOCK "))", &p, NULL,
                      NULL);
        (void) mg_store_memory(e);
        return NULL;
    }

    s->c = c;
    memcpy(s->source, source, strlen(source) + 1);
    s->arena = mg_arena_create(0);
    mg_buf_init(&s->providers.rows, 0);
    mg_buf_init(&s->models.rows, 0);

    if (s->arena == NULL) {
        (void) mg_store_memory(e);
        mg_sync_free(s);
        return NULL;
    }

    if (mg_sync_tables(s, e) != MG_OK) {
        mg_sync_free(s);
        return NULL;
    }

    return s;
}


static int
mg_sync_tables(mg_store_sync_t *s, mg_error_t *e)
{
    if (mg_sync_stage_create(s, &s->providers, &mg_sync_providers, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_sync_stage_create(s, &s->models, &mg_sync_models, e);
}


static int
mg_sync_stage_create(mg_store_sync_t *s, mg_sync_stage_t *st,
    const mg_sync_table_t *table, mg_error_t *e)
{
    mg_buf_t  b;

    st->table = table;

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "drop table if exists %s", table->stage);

    if (mg_store_exec(s->c, &b, NULL, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "create temp table %s (seq bigint, id text, ",
                  table->stage);
    mg_columns_each(&b, table->columns, ", ", "% #", 0, 1);
    mg_buf_char(&b, ')');

    return mg_store_exec(s->c, &b, NULL, NULL, e);
}


/* -- staging -- */

int
mg_store_sync_provider(mg_store_sync_t *s, const mg_provider_t *p,
    mg_error_t *e)
{
    mg_buf_t       *b;
    mg_provider_t   row;

    if (!mg_provider_id_ok(p->id)) {
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
    s->providers.staged++;
    mg_pg_copy_str(b, 0, row.id);
    mg_columns_copy(b, mg_provider_columns, &row, 1);
    mg_buf_char(b, '\n');

    return b->len < MG_SYNC_BATCH && !b->failed
           ? MG_OK : mg_sync_flush(s, &s->providers, e);
}


int
mg_store_sync_model(mg_store_sync_t *s, const mg_model_t *m, mg_error_t *e)
{
    mg_buf_t    *b;
    mg_model_t   row;

    if (mg_model_check(m, NULL) != MG_OK) {
        s->failed++;
        return MG_OK;
    }

    row = *m;
    row.active = 1;

    b = &s->models.rows;

    mg_pg_copy_int(b, 1, ++s->models.seq);
    s->models.staged++;
    mg_pg_copy_str(b, 0, row.id);
    mg_columns_copy(b, mg_model_columns, &row, 1);
    mg_buf_char(b, '\n');

    return b->len < MG_SYNC_BATCH && !b->failed
           ? MG_OK : mg_sync_flush(s, &s->models, e);
}


static int
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
                    st->table->stage);

    if (mg_pg_copy_begin(s->c, sql, e) != MG_OK
        || mg_pg_copy_data(s->c, rows, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_pg_copy_end(s->c, NULL, e);
}


/* -- the end -- */

int
mg_store_sync_commit(mg_store_sync_t *s, int complete, int64_t started_at,
    mg_sync_counts_t *counts, mg_error_t *e)
{
    int  rc;

    if (mg_sync_flush(s, &s->providers, e) != MG_OK
        || mg_sync_flush(s, &s->models, e) != MG_OK
        || mg_sync_unite(s, &s->providers, e) != MG_OK
        || mg_sync_unite(s, &s->models, e) != MG_OK
        || mg_pg_begin(s->c, e) != MG_OK)
    {
        mg_sync_free(s);
        return MG_ERROR;
    }

    rc = mg_sync_apply(s, complete, started_at, counts, e);

    if (rc == MG_OK) {
        rc = mg_pg_commit(s->c, e);
    }

    if (rc != MG_OK) {
        mg_pg_rollback(s->c);
    }

    mg_sync_free(s);

    return rc;
}


void
mg_store_sync_abort(mg_store_sync_t *s, int64_t started_at,
    const mg_sync_counts_t *counts, const char *error)
{
    mg_pg_rollback(s->c);

    (void) mg_sync_history(s->c, s->source, "failed", error, started_at, 0,
                           counts, NULL);
    mg_sync_free(s);
}


/*
 * Makes ids unique: of several entries the first wins, the later ones fill
 * what it leaves unknown, capabilities are united.
 */

static int
mg_sync_unite(mg_store_sync_t *s, mg_sync_stage_t *st, mg_error_t *e)
{
    int64_t             twice;
    mg_buf_t            b;
    const char         *stage;
    mg_pg_rows_t       *rows;
    const mg_column_t  *col;

    stage = st->table->stage;

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

    for (col = st->table->columns; col->name; col++) {
        if (!col->sync) {
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
    mg_columns_each(&b, st->table->columns, ", ", "% = d.%", 0, 1);
    mg_buf_z(&b, " from d where t.id = d.id and t.seq = d.first");

    if (mg_store_exec(s->c, &b, NULL, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "analyze %s (id)", stage);

    return mg_store_exec(s->c, &b, NULL, NULL, e);
}


/* Within the transaction. */

static int
mg_sync_apply(mg_store_sync_t *s, int complete, int64_t started_at,
    mg_sync_counts_t *counts, mg_error_t *e)
{
    int64_t   hidden, changed, added, gone;
    mg_buf_t  b;

    gone = 0;
    counts->removed = 0;

    /*
     * A table that has just been filled has no statistics, and a nested loop
     * over all models is the one plan that must not be taken.
     */

    if (mg_store_lock(s->c, e) != MG_OK
        || mg_pg_exec_dynamic(s->c, "set local enable_nestloop = off", NULL,
                              NULL, e)
           != MG_OK
        || mg_sync_by_hand(s, &mg_sync_providers, e) != MG_OK
        || mg_sync_update(s, &s->providers, &changed, e) != MG_OK
        || mg_sync_insert(s, &s->providers, &added, e) != MG_OK
        || (complete
            && mg_sync_vanish(s, &mg_sync_providers, &gone, e) != MG_OK))
    {
        return MG_ERROR;
    }

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "update model.providers p set last_synced_at = now() "
             "from pg_temp.sync_provider s "
             "where p.id = s.id and p.org_id = " MG_SYNC_ORG);

    if (mg_sync_run(s, &b, 0, NULL, e) != MG_OK
        || mg_sync_filter(s, &hidden, e) != MG_OK
        || mg_sync_by_hand(s, &mg_sync_models, e) != MG_OK
        || mg_sync_update(s, &s->models, &counts->changed, e) != MG_OK
        || mg_sync_insert(s, &s->models, &counts->added, e) != MG_OK
        || (complete
            && mg_sync_vanish(s, &mg_sync_models, &counts->removed, e)
               != MG_OK))
    {
        return MG_ERROR;
    }

    counts->providers = s->providers.staged;
    counts->models = s->models.staged;
    counts->failed += s->failed;
    counts->unchanged = s->models.staged - counts->added - counts->changed;

    return mg_sync_history(s->c, s->source, "completed", NULL, started_at,
                           added + changed + gone, counts, e);
}


/*
 * Takes out of the stage what must not come back: models of providers that
 * are hidden, or that nobody has described.
 */

static int
mg_sync_filter(mg_store_sync_t *s, int64_t *hidden, mg_error_t *e)
{
    int64_t   orphans;
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "delete from pg_temp.sync_model s where not exists "
             "(select from model.providers p where p.id = s.provider_id "
             "and p.org_id = " MG_SYNC_ORG ")");

    if (mg_sync_run(s, &b, 0, &orphans, e) != MG_OK) {
        return MG_ERROR;
    }

    s->failed += orphans;
    s->models.staged -= orphans;

    mg_buf_init(&b, 0);
    mg_buf_z(&b, "delete from pg_temp.sync_model s using model.providers p "
             "where p.id = s.provider_id and p.deleted_at is not null "
             "and p.org_id = " MG_SYNC_ORG);

    return mg_sync_run(s, &b, 0, hidden, e);
}


/* What was set by hand is laid over the staged rows. */

static int
mg_sync_by_hand(mg_store_sync_t *s, const mg_sync_table_t *t, mg_error_t *e)
{
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "update %s s set ", t->stage);
    mg_columns_each(&b, t->columns, ", ",
                    "% = case when '%' = any (t.manual_fields) "
                    "then t.% else s.% end", 0, 1);
    mg_buf_printf(&b, " from %s t where t.id = s.id and t.org_id = "
                  MG_SYNC_ORG " and t.manual_fields <> '{}'", t->target);

    return mg_sync_run(s, &b, 0, NULL, e);
}


static int
mg_sync_update(mg_store_sync_t *s, const mg_sync_stage_t *st, int64_t *n,
    mg_error_t *e)
{
    int                     models;
    mg_buf_t                b;
    const mg_sync_table_t  *t;

    t = st->table;
    models = (t == &mg_sync_models);

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "update %s t set ", t->target);
    mg_columns_each(&b, t->columns, ", ", "% = s.%", 0, 1);
    mg_buf_printf(&b, ", source = $1, updated_at = now()%s from %s s "
                  "where t.id = s.id and t.org_id = " MG_SYNC_ORG
                  " and t.source <> 'manual' and t.deleted_at is null "
                  "and (t.source <> $1 or (",
                  models ? ", refreshed_at = now()" : "", t->stage);
    mg_columns_names(&b, t->columns, "t.", 1);
    mg_buf_z(&b, ") is distinct from (");
    mg_columns_names(&b, t->columns, "s.", 1);
    mg_buf_z(&b, ")) and s.seq > $2 and s.seq <= $3");

    return mg_sync_steps(s, st, &b, n, e);
}


static int
mg_sync_insert(mg_store_sync_t *s, const mg_sync_stage_t *st, int64_t *n,
    mg_error_t *e)
{
    int                     models;
    mg_buf_t                b;
    const mg_sync_table_t  *t;

    t = st->table;
    models = (t == &mg_sync_models);

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "insert into %s (id, org_id, source, %s", t->target,
                  models ? "refreshed_at, " : "");
    mg_columns_names(&b, t->columns, "", 1);
    mg_buf_printf(&b, ") select s.id, " MG_SYNC_ORG ", $1, %s",
                  models ? "now(), " : "");
    mg_columns_names(&b, t->columns, "s.", 1);
    mg_buf_printf(&b, " from %s s where not exists (select from %s t "
                  "where t.id = s.id and t.org_id = " MG_SYNC_ORG ") "
                  "and s.seq > $2 and s.seq <= $3 order by s.id", t->stage,
                  t->target);

    return mg_sync_steps(s, st, &b, n, e);
}


static int
mg_sync_vanish(mg_store_sync_t *s, const mg_sync_table_t *t, int64_t *n,
    mg_error_t *e)
{
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_buf_printf(&b, "update %s t set active = false, updated_at = now() "
                  "where t.source = $1 and t.active "
                  "and t.org_id = " MG_SYNC_ORG " and t.deleted_at is null "
                  "and not 'active' = any (t.manual_fields) and not exists "
                  "(select from %s s where s.id = t.id)", t->target,
                  t->stage);

    return mg_sync_run(s, &b, 1, n, e);
}


/* The statement for some thousand staged rows after the other. */

static int
mg_sync_steps(mg_store_sync_t *s, const mg_sync_stage_t *st, mg_buf_t *sql,
    int64_t *n, mg_error_t *e)
{
    int              rc;
    int64_t          seq;
    mg_pg_rows_t    *rows;
    mg_pg_params_t   p;

    *n = 0;
    rc = MG_OK;
    mg_buf_char(sql, '\0');

    if (sql->failed) {
        rc = mg_store_memory(e);
    }

    for (seq = 0; rc == MG_OK && seq < st->seq; seq += MG_SYNC_STEP) {
        mg_pg_params_init(&p, s->arena);
        mg_pg_param_z(&p, s->source);
        mg_pg_param_int(&p, seq);
        mg_pg_param_int(&p, seq + MG_SYNC_STEP);

        rc = mg_pg_exec_dynamic(s->c, sql->data, &p, &rows, e);

        if (rc == MG_OK) {
            *n += (int64_t) mg_pg_rows_affected(rows);
            mg_pg_rows_free(rows);
        }
    }

    mg_buf_free(sql);

    return rc;
}


static int
mg_sync_run(mg_store_sync_t *s, mg_buf_t *sql, int with_source, int64_t *n,
    mg_error_t *e)
{
    mg_pg_rows_t    *rows;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, s->arena);

    if (with_source) {
        mg_pg_param_z(&p, s->source);
    }

    if (mg_store_exec(s->c, sql, &p, &rows, e) != MG_OK) {
        return MG_ERROR;
    }

    if (n) {
        *n = (int64_t) mg_pg_rows_affected(rows);
    }

    mg_pg_rows_free(rows);

    return MG_OK;
}


static void
mg_sync_free(mg_store_sync_t *s)
{
    mg_pg_params_t  p;

    mg_pg_rollback(s->c);

    (void) mg_pg_exec_dynamic(s->c, "drop table if exists "
                              "pg_temp.sync_provider, pg_temp.sync_model",
                              NULL, NULL, NULL);

    mg_pg_params_init(&p, NULL);
    mg_pg_param_z(&p, s->source);

    (void) mg_pg_exec(s->c, "select pg_advisory_unlock("
                      "hashtextextended($1, " MG_SYNC_LOCK "))", &p, NULL,
                      NULL);

    mg_buf_free(&s->providers.rows);
    mg_buf_free(&s->models.rows);
    mg_arena_destroy(s->arena);
    free(s);
}


/* -- history -- */

static int
mg_sync_history(mg_pg_t *c, const char *source, const char *status,
    const char *error, int64_t started_at, int64_t providers_changed,
    const mg_sync_counts_t *counts, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, NULL);
    mg_pg_param_z(&p, source);
    mg_pg_param_z(&p, status);
    mg_pg_param_z(&p, error);
    mg_pg_param_time(&p, started_at ? started_at : mg_now_us());
    mg_pg_param_int(&p, counts->added);
    mg_pg_param_int(&p, counts->changed);
    mg_pg_param_int(&p, counts->removed);
    mg_pg_param_int(&p, counts->unchanged);
    mg_pg_param_int(&p, counts->failed);
    mg_pg_param_int(&p, counts->providers);
    mg_pg_param_int(&p, providers_changed);
    mg_pg_param_int(&p, counts->models);
    mg_pg_param_int(&p, counts->bytes);

    return mg_pg_exec(c, "insert into model.models_refresh_history "
                      "(source, status, error, started_at, added, changed, "
                      "removed, unchanged, failed, providers, "
                      "providers_changed, models, bytes) values "
                      "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
                      "$13)", &p, NULL, e);
}


int
mg_store_sync_history(mg_pg_t *c, unsigned limit, mg_arena_t *a,
    mg_sync_history_t **rows, unsigned *n, mg_error_t *e)
{
    int                 i, count;
    mg_pg_rows_t       *r;
    mg_pg_params_t      p;
    mg_sync_history_t  *h;

    mg_pg_params_init(&p, a);
    mg_pg_param_int(&p, limit);

    if (mg_pg_exec(c, "select id, source, status, error, added, changed, "
                   "removed, unchanged, failed, providers, models, bytes, "
                   "started_at, completed_at "
                   "from model.models_refresh_history "
                   "order by started_at desc, id limit $1", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    count = mg_pg_rows_count(r);
    h = mg_arena_calloc(a, (size_t) (count + 1) * sizeof(mg_sync_history_t));
    *rows = h;
    *n = 0;

    for (i = 0; h && i < count; i++) {
        if (mg_column_str(r, i, 0, a, &h[i].id) != MG_OK
            || mg_column_str(r, i, 1, a, &h[i].source) != MG_OK
            || mg_column_str(r, i, 2, a, &h[i].status) != MG_OK
            || mg_column_str(r, i, 3, a, &h[i].error) != MG_OK)
        {
            break;
        }

        h[i].counts.added = mg_pg_rows_int(r, i, 4);
        h[i].counts.changed = mg_pg_rows_int(r, i, 5);
        h[i].counts.removed = mg_pg_rows_int(r, i, 6);
        h[i].counts.unchanged = mg_pg_rows_int(r, i, 7);
        h[i].counts.failed = mg_pg_rows_int(r, i, 8);
        h[i].counts.providers = mg_pg_rows_int(r, i, 9);
        h[i].counts.models = mg_pg_rows_int(r, i, 10);
        h[i].counts.bytes = mg_pg_rows_int(r, i, 11);
        h[i].started_at = mg_pg_rows_time(r, i, 12);
        h[i].completed_at = mg_pg_rows_time(r, i, 13);
        *n = (unsigned) i + 1;
    }

    mg_pg_rows_free(r);

    return (h && *n == (unsigned) count) ? MG_OK : mg_store_memory(e);
}
