/*
 * mg_keep_price.c: what the versions of price lists mean.
 *
 * The node that builds a routing snapshot writes the lists in it down, so a
 * record's price version can be looked up for as long as the record is kept.
 * A build whose lists are those of the last one writes nothing.
 *
 * Pool thread of worker 0.
 */

#include "base/mg_hash.h"
#include "job/mg_keep_local.h"
#include "store/mg_store.h"


void
mg_keep_prices(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    const mg_routing_builder_t *b)
{
    uint64_t    sum;
    mg_buf_t    lists;
    mg_error_t  e;

    mg_buf_init(&lists, 0);

    if (mg_routing_builder_versions(b, &lists) != MG_OK) {
        mg_buf_free(&lists);
        return;
    }

    sum = mg_sum64(lists.data, lists.len);

    if (sum != k->prices) {

        if (mg_store_price_versions(db, mg_buf_view(&lists), &e) == MG_OK) {
            k->prices = sum;

        } else {
            env->log(MG_LOG_ERROR, "cannot keep the price lists that records "
                     "name: %s", e.message);
        }
    }

    mg_buf_free(&lists);
}
