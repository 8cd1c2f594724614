/*
 * mg_snap_query.c: what can be asked of a catalog, by name.
 *
 * The tables that the HTTP side reads parameters with, and the query that
 * asks for nothing.  A sort's name is also the name of its parameter value,
 * with a minus before it when it falls.
 *
 * Plain data; any thread; never allocates.
 */

#include "snapshot/mg_snap_catalog.h"


#define MG_QUERY_LIMIT   50         /* the API's default */


const mg_str_t  mg_catalog_sort_names[MG_SORT_N] = {
    mg_str("id"),
    mg_str("relevance"),
    mg_str("name"),
    mg_str("release_date"),
    mg_str("last_updated"),
    mg_str("input_price"),
    mg_str("output_price"),
    mg_str("context"),
    mg_str("benchmark_score"),
    mg_str("popularity_score")
};


int
mg_catalog_sort_find(mg_str_t name)
{
    int  i;

    for (i = 0; i < MG_SORT_N; i++) {
        if (mg_str_eq(mg_catalog_sort_names[i], name)) {
            return i;
        }
    }

    return -1;
}


void
mg_catalog_query_init(mg_catalog_query_t *q)
{
    memset(q, 0, sizeof(mg_catalog_query_t));

    q->capability = -1;
    q->type = -1;
    q->open_weights = -1;
    q->available = -1;

    q->min_context = MG_UNKNOWN;
    q->max_input_price = MG_UNKNOWN;
    q->max_output_price = MG_UNKNOWN;

    q->sort = MG_SORT_ID;
    q->page = 1;
    q->limit = MG_QUERY_LIMIT;
}
