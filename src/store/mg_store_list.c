/*
 * mg_store_list.c: one page of a list, the same way for every table.
 *
 *     count -> paging->total     page -> rows -> array in the arena
 *
 * The two statements are not one transaction: a total may be a row ahead of
 * its page, as it is for every reader who pages.
 *
 * Called by the lists of the room; pool threads only, blocks.
 */

#include "store/mg_store_list.h"


int
mg_store_list(mg_pg_t *c, const mg_store_list_t *l, mg_pg_params_t *p,
    mg_paging_t *paging, mg_arena_t *a, void **rows, unsigned *n,
    mg_error_t *e)
{
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, l->count, p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    paging->total = (uint64_t) mg_pg_rows_int(r, 0, 0);
    mg_pg_rows_free(r);

    mg_store_page(p, paging);

    if (mg_pg_exec(c, l->page, p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_store_rows(r, l->size, l->row, a, rows, n, e);
}


int
mg_store_rows(mg_pg_rows_t *r, size_t size, mg_store_row_pt row,
    mg_arena_t *a, void **rows, unsigned *n, mg_error_t *e)
{
    int    i, count;
    char  *array;

    count = mg_pg_rows_count(r);
    array = mg_arena_alloc(a, ((size_t) count + 1) * size);

    for (i = 0; array && i < count; i++) {
        if (row(r, i, a, array + (size_t) i * size) != MG_OK) {
            break;
        }
    }

    mg_pg_rows_free(r);

    if (array == NULL || i < count) {
        return mg_store_memory(e);
    }

    *rows = array;
    *n = (unsigned) count;

    return MG_OK;
}
