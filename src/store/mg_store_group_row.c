/*
 * mg_store_group_row.c: groups with their members, from rows.
 *
 * A member's position is the number of its variant, so the ranges of all
 * members of a group, put together and sorted, are the group's split.
 *
 * Pool threads; mg_group_read_members() blocks.
 */

#include "store/mg_store_group_row.h"

#include <stdlib.h>


static int mg_group_find_name(const mg_str_t *names, int n, mg_str_t name);
static void mg_group_member_row(const mg_pg_rows_t *r, int row,
    mg_arena_t *a, mg_group_t *g, unsigned *damaged);
static int mg_group_buckets_parse(mg_str_t text, unsigned variant,
    mg_group_t *g);
static int mg_group_number(mg_str_t *text, uint32_t *n);
static void mg_group_settle(mg_group_t *g, unsigned damaged);
static int mg_group_range_cmp(const void *one, const void *two);


int
mg_group_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out)
{
    mg_group_t  *g = out;

    int       i, n;
    mg_str_t  salt;

    struct {
        int        col;
        mg_str_t  *s;
    } strings[] = {
        { 0, &g->id },
        { 1, &g->org_id },
        { 2, &g->name },
        { 3, &g->description },
        { 6, &g->traffic_config },
        { 7, &g->promotion_rules },
        { 8, &g->test_metadata },
        { 9, &g->inference_table },
        { 14, &g->canary }
    };

    memset(g, 0, sizeof(mg_group_t));

    for (i = 0; i < (int) (sizeof(strings) / sizeof(strings[0])); i++) {
        if (mg_column_str(r, row, strings[i].col, a, strings[i].s) != MG_OK) {
            return MG_ERROR;
        }
    }

    n = mg_group_find_name(mg_strategy_names, MG_STRATEGY_N,
                           mg_pg_rows_str(r, row, 4));
    g->strategy = (mg_strategy_e) n;

    n = mg_group_find_name(mg_group_status_names, MG_GROUP_N,
                           mg_pg_rows_str(r, row, 5));
    g->status = (mg_group_status_e) n;

    salt = mg_pg_rows_bytes(r, row, 10, a);

    if (salt.len != MG_SPLIT_SALT_LEN) {
        return MG_ERROR;
    }

    memcpy(g->salt, salt.data, MG_SPLIT_SALT_LEN);

    g->version = mg_pg_rows_int(r, row, 11);
    g->created_at = mg_pg_rows_time(r, row, 12);
    g->updated_at = mg_pg_rows_time(r, row, 13);

    return MG_OK;
}


/* The columns have checks with the same names. */

static int
mg_group_find_name(const mg_str_t *names, int n, mg_str_t name)
{
    int  i;

    for (i = 0; i < n; i++) {
        if (mg_str_eq(names[i], name)) {
            return i;
        }
    }

    return 0;
}


int
mg_group_read_members(mg_pg_t *c, mg_arena_t *a, mg_group_t *groups,
    unsigned n, mg_error_t *e)
{
    int              row, count;
    mg_buf_t         ids;
    unsigned         i, damaged;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    if (n == 0) {
        return MG_OK;
    }

    mg_buf_init(&ids, 0);

    for (i = 0; i < n; i++) {
        mg_buf_char(&ids, i == 0 ? '{' : ',');
        mg_buf_str(&ids, groups[i].id);
    }

    mg_buf_char(&ids, '}');

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_buf_view(&ids));

    row = ids.failed ? mg_store_memory(e)
          : mg_pg_exec(c, "select group_id, model_id, role, "
                       "(traffic_percentage * 100)::integer, "
                       "buckets::text, created_at "
                       "from model.model_group_memberships "
                       "where group_id = any ($1::uuid[]) "
                       "order by group_id, position, model_id", &p, &r, e);

    mg_buf_free(&ids);

    if (row != MG_OK) {
        return MG_ERROR;
    }

    count = mg_pg_rows_count(r);

    for (i = 0; i < n; i++) {
        damaged = 0;

        for (row = 0; row < count; row++) {
            if (mg_str_eq(mg_pg_rows_str(r, row, 0), groups[i].id)) {
                mg_group_member_row(r, row, a, &groups[i], &damaged);
            }
        }

        mg_group_settle(&groups[i], damaged);
    }

    mg_pg_rows_free(r);

    return MG_OK;
}


void
mg_group_rows_members(mg_pg_rows_t *r, mg_arena_t *a, mg_group_t *g)
{
    int       row, count;
    unsigned  damaged;

    damaged = 0;
    count = mg_pg_rows_count(r);

    for (row = 0; row < count; row++) {
        mg_group_member_row(r, row, a, g, &damaged);
    }

    mg_group_settle(g, damaged);
    mg_pg_rows_free(r);
}


static void
mg_group_member_row(const mg_pg_rows_t *r, int row, mg_arena_t *a,
    mg_group_t *g, unsigned *damaged)
{
    unsigned      variant;
    mg_member_t  *m;

    variant = g->n_members;

    if (variant == MG_GROUP_MEMBERS_MAX) {
        *damaged = 1;
        return;
    }

    m = &g->members[variant];

    if (mg_column_str(r, row, 1, a, &m->model_id) != MG_OK) {
        *damaged = 1;
        return;
    }

    g->n_members++;

    m->role = (mg_member_role_e)
              mg_group_find_name(mg_member_role_names, MG_MEMBER_N,
                                 mg_pg_rows_str(r, row, 2));
    m->share = (uint32_t) mg_pg_rows_int(r, row, 3);
    m->created_at = mg_pg_rows_time(r, row, 5);

    if (mg_group_buckets_parse(mg_pg_rows_str(r, row, 4), variant, g)
        != MG_OK)
    {
        *damaged = 1;
    }
}


/* {[0,9000),[9500,10000)} in PostgreSQL's canonical form. */

static int
mg_group_buckets_parse(mg_str_t text, unsigned variant, mg_group_t *g)
{
    uint32_t           first, end;
    mg_split_range_t  *range;

    if (text.len < 2 || text.data[0] != '{') {
        return MG_ERROR;
    }

    text.data++;
    text.len--;

    while (text.len > 0 && text.data[0] == '[') {

        if (mg_group_number(&text, &first) != MG_OK
            || text.len == 0 || text.data[0] != ','
            || mg_group_number(&text, &end) != MG_OK
            || text.len < 2 || text.data[0] != ')'
            || end <= first || end > MG_SPLIT_BUCKETS
            || g->n_ranges == MG_SPLIT_RANGES_MAX)
        {
            return MG_ERROR;
        }

        range = &g->ranges[g->n_ranges++];
        range->first = (uint16_t) first;
        range->last = (uint16_t) (end - 1);
        range->variant = (uint16_t) variant;

        text.data++;
        text.len--;

        if (text.data[0] == ',') {
            text.data++;
            text.len--;
        }
    }

    return (text.len == 1 && text.data[0] == '}') ? MG_OK : MG_ERROR;
}


/* Passes over one character and reads the number behind it. */

static int
mg_group_number(mg_str_t *text, uint32_t *n)
{
    unsigned  digits;

    *n = 0;
    text->data++;
    text->len--;

    for (digits = 0; text->len > 0 && digits < 6; digits++) {

        if (text->data[0] < '0' || text->data[0] > '9') {
            break;
        }

        *n = *n * 10 + (uint32_t) (text->data[0] - '0');
        text->data++;
        text->len--;
    }

    return digits > 0 ? MG_OK : MG_ERROR;
}


/*
 * Sorts the ranges and makes them agree with the shares.  Damaged ones begin
 * anew with the champion; if even that does not work out the group has no
 * ranges, and nobody but its champion gets requests.
 */

static void
mg_group_settle(mg_group_t *g, unsigned damaged)
{
    unsigned          i, base, agree;
    uint32_t          have[MG_GROUP_MEMBERS_MAX];
    uint32_t          share[MG_GROUP_MEMBERS_MAX];
    uint32_t          n, next;
    mg_split_range_t  ranges[MG_SPLIT_RANGES_MAX];

    qsort(g->ranges, g->n_ranges, sizeof(mg_split_range_t),
          mg_group_range_cmp);

    memset(have, 0, sizeof(have));
    next = 0;

    for (i = 0; i < g->n_ranges; i++) {
        if (g->ranges[i].first != next) {
            damaged = 1;
        }

        next = (uint32_t) g->ranges[i].last + 1;
        have[g->ranges[i].variant] += next - g->ranges[i].first;
    }

    if (next != MG_SPLIT_BUCKETS) {
        damaged = 1;
    }

    base = 0;
    agree = 1;

    for (i = 0; i < g->n_members; i++) {
        share[i] = g->members[i].share;

        if (have[i] != share[i]) {
            agree = 0;
        }

        if (g->members[i].role == MG_MEMBER_CHAMPION) {
            base = i;
        }
    }

    if (g->n_members == 0) {
        g->n_ranges = 0;
        return;
    }

    if (agree && !damaged) {
        return;
    }

    if (mg_split_move(g->ranges, damaged ? 0 : g->n_ranges, share,
                      g->n_members, base, ranges, &n, NULL)
        != MG_OK)
    {
        n = 0;
    }

    memcpy(g->ranges, ranges, n * sizeof(mg_split_range_t));
    g->n_ranges = n;
}


static int
mg_group_range_cmp(const void *one, const void *two)
{
    const mg_split_range_t  *a = one, *b = two;

    return (a->first > b->first) - (a->first < b->first);
}


void
mg_group_buckets_text(mg_buf_t *b, const mg_group_t *g, unsigned variant)
{
    unsigned     i;
    const char  *sep;

    sep = "{";

    for (i = 0; i < g->n_ranges; i++) {
        if (g->ranges[i].variant != variant) {
            continue;
        }

        mg_buf_printf(b, "%s[%u,%u)", sep, g->ranges[i].first,
                      g->ranges[i].last + 1u);
        sep = ",";
    }

    mg_buf_z(b, sep[0] == '{' ? "{}" : "}");
}
