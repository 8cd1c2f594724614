/*
 * mg_store_list.h: one page of a list, the same way for every table.
 *
 * A list is two statements with the same leading parameters (how many there
 * are; the rows of a page, whose last two parameters are limit and offset)
 * and a function that reads one row.
 *
 * Called by the lists of the room; pool threads only, blocks.
 */

#ifndef MG_STORE_LIST_H
#define MG_STORE_LIST_H

#include "store/mg_store_column.h"


/* One row into *out, strings into the arena; MG_ERROR when it is full. */
typedef int (*mg_store_row_pt)(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out);


typedef struct {
    const char       *count;     /* select count(*) ... */
    const char       *page;      /* select ... limit $n offset $n+1 */
    size_t            size;      /* bytes of one element */
    mg_store_row_pt   row;
} mg_store_list_t;


/*
 * Runs both statements with the parameters in p (two are added).  Sets
 * paging->total, *rows to an array of *n elements in the arena.  Errors as
 * mg_pg_exec().
 */
int mg_store_list(mg_pg_t *c, const mg_store_list_t *l, mg_pg_params_t *p,
    mg_paging_t *paging, mg_arena_t *a, void **rows, unsigned *n,
    mg_error_t *e);

/* All rows of a result into an array in the arena; frees r. */
int mg_store_rows(mg_pg_rows_t *r, size_t size, mg_store_row_pt row,
    mg_arena_t *a, void **rows, unsigned *n, mg_error_t *e);


#endif /* MG_STORE_LIST_H */
