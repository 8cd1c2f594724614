/*
 * mg_store_group_row.h: groups with their members, from rows.
 *
 * Buckets are stored as an int4multirange a member and travel as text; here
 * is the one place that turns them into sorted ranges and back.  Where they
 * do not agree with the percentages (somebody has changed those with psql)
 * they are moved in memory, the same way on every node, until the next
 * change through the API writes them.
 *
 * Pool threads; reading blocks.
 */

#ifndef MG_STORE_GROUP_ROW_H
#define MG_STORE_GROUP_ROW_H

#include "store/mg_store_column.h"


/* Columns of model.model_groups g that mg_group_row() reads. */
#define MG_GROUP_SELECT                                                       \
    "select g.id, g.org_id, g.name, g.description, g.strategy, g.status, "    \
    "g.traffic_config, g.promotion_rules, g.test_metadata, "                  \
    "g.inference_table, g.salt, g.version, g.created_at, g.updated_at, "      \
    "case when g.strategy = 'canary' then model.canary_progress(g.id) end "


/* One row without its members; MG_ERROR when the arena is full. */
int mg_group_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out);

/* Reads the members of n groups and puts their ranges in order. */
int mg_group_read_members(mg_pg_t *c, mg_arena_t *a, mg_group_t *groups,
    unsigned n, mg_error_t *e);

/*
 * Members of one group from rows of any statement that selects group_id,
 * model_id, role, share, buckets::text, created_at in that order.  Frees r.
 */
void mg_group_rows_members(mg_pg_rows_t *r, mg_arena_t *a, mg_group_t *g);

/* The buckets of one variant as an int4multirange's text. */
void mg_group_buckets_text(mg_buf_t *b, const mg_group_t *g, unsigned variant);

/*
 * Takes members that are unavailable out of the ranges of groups that ask for
 * it (mg_store_eject.c); the rows stay as they are.
 */
int mg_store_groups_eject(mg_pg_t *c, mg_arena_t *a, mg_group_t *groups,
    unsigned n, mg_error_t *e);


#endif /* MG_STORE_GROUP_ROW_H */
