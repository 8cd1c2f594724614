/*
 * mg_store_price.c: the price lists that records name by their version.
 *
 * A row is written once and never changes; what is there already is left
 * alone, so all nodes may write all of theirs.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_column.h"


int
mg_store_price_versions(mg_pg_t *c, mg_str_t versions, mg_error_t *e)
{
    int              rc;
    mg_arena_t      *a;
    mg_pg_params_t   p;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, versions);

    rc = mg_pg_exec(c, "insert into model.price_versions "
                    "(version, org_id, prices) "
                    "select distinct on (r.version, r.org_id) r.version, "
                    "r.org_id, r.prices from jsonb_to_recordset($1::jsonb) "
                    "r (version text, org_id uuid, prices jsonb) "
                    "order by r.version, r.org_id "
                    "on conflict do nothing", &p, NULL, e);

    mg_arena_destroy(a);

    return rc;
}
