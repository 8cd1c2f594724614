/*
 * mg_store_group_event.c: the audit trail of the groups, read.
 *
 * An event holds the group with its members as JSON, before and after.  A
 * rollback reads there what the last promotion that none has undone yet has
 * replaced; the rest is for people.  Events are written by mg_store_group.c,
 * within the change that they tell of, and by triggers for what is changed
 * with SQL.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_group_row.h"
#include "store/mg_store_list.h"


static int mg_group_event_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    void *out);


int
mg_store_group_before(mg_pg_t *c, const mg_group_t *g, mg_arena_t *a,
    mg_group_t *before, mg_error_t *e)
{
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    memset(before, 0, sizeof(mg_group_t));

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, g->id);

    if (mg_pg_exec(c, "select null, m->>'model_id', m->>'role', "
                   "((m->>'traffic_percentage')::numeric * 100)::integer, "
                   "m->>'buckets', (m->>'created_at')::timestamptz "
                   "from (select before from (select id, before, "
                   "sum(case event when '" MG_GROUP_PROMOTED "' then 1 "
                   "else -1 end) over (order by id desc) as depth "
                   "from model.model_group_events "
                   "where group_id = $1 and event in "
                   "('" MG_GROUP_PROMOTED "', '" MG_GROUP_ROLLED_BACK "')) v "
                   "where depth > 0 order by id desc limit 1) last, "
                   "jsonb_array_elements(last.before->'members') "
                   "with ordinality members (m, place) "
                   "order by place", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    mg_group_rows_members(r, a, before);

    if (before->n_members == 0) {
        return mg_error_set(e, MG_E_CONFLICT, NULL,
                            "the group has no promotion that could be rolled "
                            "back");
    }

    return MG_OK;
}


int
mg_store_group_events(mg_pg_t *c, mg_str_t org_id, mg_str_t ref,
    mg_paging_t *paging, mg_arena_t *a, mg_group_event_t **events,
    unsigned *n, mg_error_t *e)
{
    void            *rows;
    mg_pg_params_t   p;

#define MG_GROUP_EVENTS                                                       \
    "from model.model_group_events v "                                        \
    "left join model.api_tokens t on t.id = v.token_id "                      \
    "where v.org_id = $1 and v.group_id = (select group_id "                  \
    "from model.model_group_events where org_id = $1 "                        \
    "and (group_id::text = lower($2) or group_name = $2) "                    \
    "order by id desc limit 1) "

    static const mg_store_list_t  list = {
        "select count(*) " MG_GROUP_EVENTS,

        "select v.id, v.version, v.created_at, v.event, v.group_id, "
        "v.group_name, v.token_id, t.name, v.database_role, v.before, "
        "v.after "
        MG_GROUP_EVENTS "order by v.id desc limit $3 offset $4",

        sizeof(mg_group_event_t),
        mg_group_event_row
    };

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));
    mg_pg_param_str(&p, ref);

    if (mg_store_list(c, &list, &p, paging, a, &rows, n, e) != MG_OK) {
        return MG_ERROR;
    }

    if (paging->total == 0) {
        return mg_error_set(e, MG_E_NOT_FOUND, "group",
                            "there is no model group \"%.*s\"",
                            (int) (ref.len < 128 ? ref.len : 128), ref.data);
    }

    *events = rows;

    return MG_OK;
}


static int
mg_group_event_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out)
{
    int                i;
    mg_group_event_t  *v = out;

    mg_str_t  *strings[] = {
        &v->event, &v->group_id, &v->group_name, &v->token_id,
        &v->token_name, &v->database_role, &v->before, &v->after
    };

    v->id = mg_pg_rows_int(r, row, 0);
    v->version = mg_pg_rows_int(r, row, 1);
    v->created_at = mg_pg_rows_time(r, row, 2);

    for (i = 0; i < (int) (sizeof(strings) / sizeof(strings[0])); i++) {
        if (mg_column_str(r, row, 3 + i, a, strings[i]) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}
