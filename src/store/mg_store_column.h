/*
 * mg_store_column.h: which member of a struct is which column.
 *
 * One table for models and one for providers says it all: reading rows,
 * staging a sync, comparing, inserting and updating are generated from
 * them, so a new column is a new line here (and in sql/).  Names and types
 * are literals of this project; nothing that came from outside is ever part
 * of a statement's text.
 *
 * Pool threads; plain functions, nothing blocks.
 */

#ifndef MG_STORE_COLUMN_H
#define MG_STORE_COLUMN_H

#include "store/mg_store.h"


typedef enum {
    MG_COLUMN_STR = 0,      /* mg_str_t <-> text */
    MG_COLUMN_JSON,         /* mg_str_t <-> jsonb */
    MG_COLUMN_TRI,          /* int8_t <-> boolean */
    MG_COLUMN_CAP,          /* the same; duplicates are united by "or" */
    MG_COLUMN_INT,          /* int64_t <-> bigint */
    MG_COLUMN_TYPE          /* mg_model_type_e <-> text */
} mg_column_kind_e;


/* Where a column is found; a set of columns is named by one of these. */
#define MG_COLUMNS_TABLE    1       /* providers, models_metadata */
#define MG_COLUMNS_STAGE    2       /* what a sync stages */
#define MG_COLUMNS_SOURCE   4       /* model_sources */
#define MG_COLUMNS_MERGED   8       /* merged from model_sources */


typedef struct {
    const char        *name;        /* NULL ends a table */
    const char        *member;      /* of the API, "limits.context" */
    mg_column_kind_e   kind;
    size_t             offset;
    unsigned           sets;        /* MG_COLUMNS_* */
} mg_column_t;

/* All columns of a model but id, org_id and what the store itself sets. */
extern const mg_column_t  mg_model_columns[];

/* The same of a provider. */
extern const mg_column_t  mg_provider_columns[];


/* Appends "PREFIXname" for each column of the set, separated by ", ". */
void mg_columns_names(mg_buf_t *b, const mg_column_t *cols,
    const char *prefix, unsigned set);

/*
 * Appends a piece of text for each column of the set, separated by sep; in
 * format a "%" stands for the column's name, a "#" for its type, a "$" for
 * its parameter's number, counted from first.
 */
void mg_columns_each(mg_buf_t *b, const mg_column_t *cols, const char *sep,
    const char *format, unsigned first, unsigned set);

/* SQL type of a column. */
const char *mg_column_type(const mg_column_t *col);

/* A staged row of COPY, each column with a tab before it. */
void mg_columns_copy(mg_buf_t *b, const mg_column_t *cols, const void *row);

/*
 * The members as parameters of a statement.  What a source says (the set
 * MG_COLUMNS_SOURCE) of a model without a type is null.
 */
void mg_columns_param(mg_pg_params_t *p, const mg_column_t *cols,
    const void *row, unsigned set);

/*
 * Fills the struct from a row with the columns of the table, from "col" on;
 * returns the number of the next one.  a NULL: strings point into the rows.
 * MG_ERROR when the arena is full.
 */
int mg_columns_read(const mg_pg_rows_t *r, int row, int col,
    const mg_column_t *cols, mg_arena_t *a, void *out);

/* A string of a row, copied if a is not NULL; MG_ERROR if that fails. */
int mg_column_str(const mg_pg_rows_t *r, int row, int col, mg_arena_t *a,
    mg_str_t *s);


/* -- whole rows -- */

/*
 * "id, columns ..., health_status, source, sources, provenance, times" of
 * model.models_metadata m for a select, and its reader.  a NULL: strings
 * point into the rows, and provenance is as the column has it; otherwise it
 * is as of mg_model_provenance().
 */
void mg_model_select(mg_buf_t *b);
int mg_model_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    mg_model_t *m);

/*
 * Provenance from what the column has ({column: source}, "*" for all others)
 * to what is shown: {API member: source} of every member that is known.  The
 * text lies in the arena; MG_ERROR when that is full.
 */
int mg_model_provenance(mg_model_t *m, mg_arena_t *a);

/* All rows into an array in the arena; frees the rows in every case. */
int mg_model_rows(mg_pg_rows_t *r, mg_arena_t *a, mg_model_t **models,
    unsigned *n, mg_error_t *e);

/*
 * A whole select of model.providers p with its key and its counts up to
 * "where"; with_key 0: null in place of the sealed key.
 */
void mg_provider_select(mg_buf_t *b, int with_key);
int mg_provider_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    mg_provider_t *p);


/* -- what all files of the room need -- */

/* An absent organisation is the default one. */
mg_str_t mg_store_org(mg_str_t org_id);

/* "out of memory" as MG_E_INTERNAL; returns MG_ERROR. */
int mg_store_memory(mg_error_t *e);

/* Bounds of a page for limit and offset. */
void mg_store_page(mg_pg_params_t *p, const mg_paging_t *paging);

/*
 * Runs text that was built in a buffer; the buffer is freed in every case.
 */
int mg_store_exec(mg_pg_t *c, mg_buf_t *sql, const mg_pg_params_t *p,
    mg_pg_rows_t **rows, mg_error_t *e);

/* The same of one that writes; *n, if not NULL: rows affected. */
int mg_store_write(mg_pg_t *c, mg_buf_t *sql, const mg_pg_params_t *p,
    int64_t *n, mg_error_t *e);

/* Waits until no other writer of what snapshots show is at work. */
int mg_store_lock(mg_pg_t *c, mg_error_t *e);

/*
 * Within a transaction: from now on its statements are over many rows; on 0:
 * over few that are named.
 */
int mg_store_bulk(mg_pg_t *c, int on, mg_error_t *e);

/* Models that are looked up by name, rather than in one pass over all. */
#define MG_STORE_FEW   200

/* begin and lock; after MG_ERROR there is no transaction. */
int mg_store_begin(mg_pg_t *c, mg_error_t *e);

/*
 * The same for a job: nobody waits for what it changes in the catalog, which
 * may be served half a second later.
 */
int mg_store_begin_job(mg_pg_t *c, mg_error_t *e);

/* commit if rc is MG_OK, else rollback; returns what came of it. */
int mg_store_end(mg_pg_t *c, int rc, mg_error_t *e);


#endif /* MG_STORE_COLUMN_H */
