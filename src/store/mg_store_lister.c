/*
 * mg_store_lister.c: providers whose own lists are worth reading.
 *
 * Of the providers that the catalog knows most are nobody's account here.
 * Those that were made by hand or were given a key are asked for their lists
 * by the schedule; it wants no more than their ids and protocols.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_column.h"
#include "store/mg_store_list.h"


/* Who has more has another way to refresh them. */
#define MG_LISTER_MAX   "1000"


static int
mg_lister_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out)
{
    mg_str_t      protocol;
    mg_lister_t  *l = out;

    protocol = mg_pg_rows_str(r, row, 1);

    l->id = mg_arena_dup(a, mg_pg_rows_str(r, row, 0));
    l->protocol = protocol.data ? mg_arena_dup(a, protocol) : mg_str_null;

    return (l->id.data && !protocol.data == !l->protocol.data) ? MG_OK
                                                               : MG_ERROR;
}


int
mg_store_listers(mg_pg_t *c, mg_str_t org_id, mg_arena_t *a,
    mg_lister_t **rows, unsigned *n, mg_error_t *e)
{
    void            *list;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));

    if (mg_pg_exec(c, "select p.id, p.protocol from model.providers p "
                   "where p.org_id = $1 and p.active "
                   "and p.deleted_at is null and p.base_url is not null "
                   "and (p.source = 'manual' or exists "
                   "(select from model.provider_credentials k "
                   "where k.provider_id = p.id and k.org_id = p.org_id)) "
                   "order by p.id limit " MG_LISTER_MAX, &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_store_rows(r, sizeof(mg_lister_t), mg_lister_row, a, &list, n, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    *rows = list;

    return MG_OK;
}
