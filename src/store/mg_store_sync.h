/*
 * mg_store_sync.h: what the files of a sync share.
 *
 *     mg_store_stage.c      entries -> COPY -> temporary tables
 *     mg_store_sync.c       the commit: compare, merge, what is gone
 *     mg_store_lab.c        names of models, results of benchmarks
 *     mg_store_merge.c      what all sources say -> one row
 *     mg_store_history.c    the row that tells of it, retention
 *     mg_store_benchmark.c  results, read and by hand
 *
 * Pool threads; everything that takes a connection blocks.
 */

#ifndef MG_STORE_SYNC_H
#define MG_STORE_SYNC_H

#include <stddef.h>

#include "store/mg_store_column.h"


/* Syncs fill the default organisation's catalog. */
#define MG_SYNC_ORG   "'" MG_ORG_DEFAULT "'::uuid"


/* Rows that one statement may write: it must not run into its time-out. */
#define MG_SYNC_STEP  20000


typedef struct {
    const char         *table;       /* temporary */
    const mg_column_t  *columns;
    mg_buf_t            rows;        /* of COPY, not yet sent */
    int64_t             seq;         /* of the last row */
    int64_t             staged;      /* rows in the table */
} mg_sync_stage_t;


struct mg_store_sync_s {
    mg_pg_t            *c;
    mg_arena_t         *arena;
    mg_sync_scope_t     scope;
    mg_sync_stage_t     providers;
    mg_sync_stage_t     models;
    mg_sync_stage_t     results;     /* of benchmarks */
    int64_t             missing;     /* rows in pg_temp.sync_gone, at most */
    int64_t             failed;
};


/* An empty string says as little as an absent one. */

static inline mg_str_t
mg_sync_optional(mg_str_t s)
{
    return s.len ? s : mg_str_null;
}


/* Removals of more than so many percent are held. */

static inline unsigned
mg_sync_shrink(const mg_sync_scope_t *scope)
{
    return scope->shrink ? scope->shrink : 20;
}


/* Text of a jsonb column is absent or begins with this character. */

static inline int
mg_json_is(mg_str_t s, char first)
{
    return s.data == NULL || (s.len && s.data[0] == first);
}


/* -- mg_store_stage.c -- */

/* name ... score of a mg_benchmark_t. */
extern const mg_column_t  mg_sync_result_columns[];

/* Sends what has been collected. */
int mg_sync_flush(mg_store_sync_t *s, mg_sync_stage_t *st, mg_error_t *e);

/*
 * Makes ids unique: of several entries the first wins, the later ones fill
 * what it leaves unknown, capabilities are united.
 */
int mg_sync_unite(mg_store_sync_t *s, mg_sync_stage_t *st, mg_error_t *e);

/* Rolls back, drops the tables, gives back the lock. */
void mg_sync_free(mg_store_sync_t *s);


/* -- mg_store_sync.c -- */

/* The parameters of a statement: $1, or $1 and $2, in this order. */
#define MG_SYNC_PLAIN           0
#define MG_SYNC_WITH_SOURCE     1
#define MG_SYNC_WITH_PROVIDER   2
#define MG_SYNC_WITH_BOTH       3

/* Runs and frees a text; *n, if not NULL: rows affected. */
int mg_sync_run(mg_store_sync_t *s, mg_buf_t *sql, unsigned with, int64_t *n,
    mg_error_t *e);

/*
 * Runs a text for some thousand staged rows after the other, up to "last":
 * $1 the source, $2 and $3 between which numbers.  Frees it.
 */
int mg_sync_steps(mg_store_sync_t *s, mg_buf_t *sql, int64_t last,
    mg_error_t *e);

/* One of these steps; without the source it is $1 and $2. */
int mg_sync_step(mg_store_sync_t *s, const char *sql, int with_source,
    int64_t seq, int64_t *n, mg_error_t *e);


/* -- mg_store_lab.c; within the transaction of a sync -- */

/*
 * Of a scope with "labs": puts the models of the catalog in the place of the
 * staged names of models.
 */
int mg_sync_labs(mg_store_sync_t *s, mg_error_t *e);

/* Writes the staged results of benchmarks; *changed: rows written. */
int mg_sync_results(mg_store_sync_t *s, int complete, int64_t *changed,
    mg_error_t *e);


/* -- mg_store_merge.c; all within a transaction -- */

/*
 * Appends a select of merged rows: id, org_id, the columns of the table,
 * provenance, sources.  where: of model.model_sources s.
 */
void mg_merge_select(mg_buf_t *b, const char *where);

/* Appends an update of rows t by such rows m, without "from" and "where". */
void mg_merge_assign(mg_buf_t *b);

/*
 * A model that no source has spoken of, though it is there (it was written
 * by somebody else's SQL), is taken for what its source says.  id {NULL, 0}:
 * all of the provider; that {NULL, 0}: of all.
 */
int mg_merge_adopt(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_str_t id, mg_arena_t *a, mg_error_t *e);

/*
 * By hand: all that m states, or what differs from the model as it shows;
 * then unknown is stated, too.  The catalog's row is not yet written.
 */
int mg_merge_state(mg_pg_t *c, mg_str_t org_id, const mg_model_t *m,
    mg_arena_t *a, mg_error_t *e);
int mg_merge_patch(mg_pg_t *c, mg_str_t org_id, const mg_model_t *m,
    mg_arena_t *a, mg_error_t *e);

/*
 * The catalog's row: made (or brought back from deletion) with "source" as
 * its maker, or updated.  *n: rows written, 0 if there is one already, or
 * none.
 */
int mg_merge_insert(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    const char *source, mg_arena_t *a, int64_t *n, mg_error_t *e);
int mg_merge_update(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    int64_t *n, mg_error_t *e);


/* -- mg_store_score.c -- */

/*
 * Within a transaction: computes what "inferred" says of the scores and
 * merges the models of which it is another.  provider, model {NULL, 0}: of
 * all; validated: reliability, too, which else stays.
 */
int mg_score_infer(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_str_t model, int validated, mg_arena_t *a, mg_error_t *e);


/* -- mg_store_history.c -- */

/*
 * Writes a row: source, provider and etag of the scope; status, error,
 * fields, counts and started_at of h.
 */
int mg_sync_history(mg_pg_t *c, const mg_sync_scope_t *scope,
    const mg_sync_history_t *h, int64_t providers_changed, mg_arena_t *a,
    mg_error_t *e);


/* -- mg_store_benchmark.c -- */

/* "select ... from model.model_benchmarks b ", and the reader of its rows. */
void mg_benchmark_select(mg_buf_t *b);
int mg_benchmark_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    mg_benchmark_t *b);


#endif /* MG_STORE_SYNC_H */
