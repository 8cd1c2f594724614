/*
 * mg_store_eject.c: groups as they are served while members do not answer.
 *
 * What a validation found out stands in the catalog (health_status); a group
 * that asks for it, by traffic_config's validation.eject, is served without
 * the members that are unavailable.  The rows of the group stay as they are.
 *
 * Pool threads; blocks.
 */

#include "model/mg_eject.h"
#include "model/mg_policy.h"
#include "store/mg_store_group_row.h"


static int mg_eject_asks(const mg_group_t *g, mg_arena_t *a);
static void mg_eject_group(mg_group_t *g, const mg_pg_rows_t *r);


int
mg_store_groups_eject(mg_pg_t *c, mg_arena_t *a, mg_group_t *groups,
    unsigned n, mg_error_t *e)
{
    unsigned       i, asks;
    mg_pg_rows_t  *r;

    for (asks = 0, i = 0; i < n && !asks; i++) {
        asks = (unsigned) mg_eject_asks(&groups[i], a);
    }

    if (!asks) {
        return MG_OK;
    }

    if (mg_pg_exec(c, "select m.org_id, m.id from model.models_metadata m "
                   "where m.health_status = 'unavailable' and exists "
                   "(select from model.model_group_memberships g "
                   "where g.model_id = m.id and g.org_id = m.org_id)", NULL,
                   &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    for (i = 0; mg_pg_rows_count(r) > 0 && i < n; i++) {
        if (mg_eject_asks(&groups[i], a)) {
            mg_eject_group(&groups[i], r);
        }
    }

    mg_pg_rows_free(r);

    return MG_OK;
}


static int
mg_eject_asks(const mg_group_t *g, mg_arena_t *a)
{
    mg_policy_t  p;

    return g->n_ranges > 0
           && mg_policy_parse(g->traffic_config, a, &p, NULL) == MG_OK
           && p.eject;
}


static void
mg_eject_group(mg_group_t *g, const mg_pg_rows_t *r)
{
    int       row;
    unsigned  i;
    uint8_t   gone[MG_GROUP_MEMBERS_MAX];

    memset(gone, 0, sizeof(gone));

    for (row = 0; row < mg_pg_rows_count(r); row++) {
        if (!mg_str_eq(mg_pg_rows_str(r, row, 0), g->org_id)) {
            continue;
        }

        i = mg_group_find(g, mg_pg_rows_str(r, row, 1));

        if (i < g->n_members) {
            gone[i] = 1;
        }
    }

    (void) mg_split_eject(g->ranges, &g->n_ranges, gone, g->n_members);
}
