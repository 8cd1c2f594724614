/*
 * mg_store_snapshot.c: everything that the snapshots show, read at one
 * moment.
 *
 * One REPEATABLE READ transaction sees the generation and the rows that
 * belong to it.  Models are fetched through a cursor, a hundred at a
 * time, and handed to the builder straight from the rows, so memory does not
 * grow with the catalog.  What routing needs is small and is read as a
 * whole; the transaction ends before names are resolved, since that takes
 * as long as a name server likes.
 *
 * The catalog is the default organisation's; routing is everybody's.
 *
 * Pool threads; blocks.
 */

#include "base/mg_priority.h"
#include "store/mg_store_group_row.h"
#include "store/mg_store_sync.h"


#define MG_SNAPSHOT_FETCH   "128"    /* rows a piece: 200 KB or so */

#define MG_SNAPSHOT_ORG     "'" MG_ORG_DEFAULT "'::uuid"


/* A model of a group and what it costs. */
typedef struct {
    mg_str_t           org_id;
    mg_str_t           model_id;
    mg_cost_prices_t   prices;
} mg_priced_t;


typedef struct {
    mg_provider_t  *providers;
    mg_group_t     *groups;
    mg_token_t     *tokens;
    unsigned        n_providers;
    unsigned        n_groups;
    unsigned        n_tokens;
    mg_priced_t    *priced;
    unsigned        n_priced;
    uint64_t        generation;
} mg_routing_rows_t;


/* One row to the builder; the arena is for this row. */
typedef int (*mg_snapshot_row_pt)(const mg_pg_rows_t *r, int row,
    mg_catalog_builder_t *b, mg_arena_t *a, mg_error_t *e);


static int mg_snapshot_providers(mg_pg_t *c, mg_catalog_builder_t *b,
    mg_arena_t *a, mg_error_t *e);
static int mg_snapshot_models(mg_pg_t *c, mg_catalog_builder_t *b,
    mg_arena_t *a, mg_error_t *e);
static int mg_snapshot_model(const mg_pg_rows_t *r, int row,
    mg_catalog_builder_t *b, mg_arena_t *a, mg_error_t *e);
static int mg_snapshot_benchmarks(mg_pg_t *c, mg_catalog_builder_t *b,
    mg_arena_t *a, mg_error_t *e);
static int mg_snapshot_benchmark(const mg_pg_rows_t *r, int row,
    mg_catalog_builder_t *b, mg_arena_t *a, mg_error_t *e);
static int mg_snapshot_each(mg_pg_t *c, const char *fetch,
    mg_snapshot_row_pt handler, mg_catalog_builder_t *b, mg_arena_t *a,
    mg_error_t *e);
static int mg_snapshot_routing(mg_pg_t *c, mg_arena_t *a,
    mg_routing_rows_t *rows, mg_error_t *e);
static int mg_snapshot_backends(mg_pg_t *c, mg_arena_t *a,
    mg_routing_rows_t *rows, mg_error_t *e);
static int mg_snapshot_groups(mg_pg_t *c, mg_arena_t *a,
    mg_routing_rows_t *rows, mg_error_t *e);
static int mg_snapshot_prices(mg_pg_t *c, mg_arena_t *a,
    mg_routing_rows_t *rows, mg_error_t *e);
static int mg_snapshot_tokens(mg_pg_t *c, mg_arena_t *a,
    mg_routing_rows_t *rows, mg_error_t *e);
static int mg_snapshot_build(const mg_routing_rows_t *rows,
    mg_routing_builder_t *b, unsigned *unresolved, mg_error_t *e);


int
mg_store_generations(mg_pg_t *c, mg_generations_t *g, mg_error_t *e)
{
    int            i;
    uint64_t       n;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, "select name, generation, awaited "
                   "from model.catalog_generation", NULL, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    g->catalog = 0;
    g->routing = 0;
    g->awaited = 0;

    for (i = 0; i < mg_pg_rows_count(r); i++) {
        n = (uint64_t) mg_pg_rows_int(r, i, 1);

        if (mg_str_eq(mg_pg_rows_str(r, i, 0), mg_str("catalog"))) {
            g->catalog = n;
            g->awaited = (uint64_t) mg_pg_rows_int(r, i, 2);

        } else {
            g->routing = n;
        }
    }

    mg_pg_rows_free(r);

    return MG_OK;
}


int
mg_store_generations_raise(mg_pg_t *c, mg_generations_t *before,
    mg_generations_t *after, mg_error_t *e)
{
    int  rc;

    rc = mg_store_begin(c, e);

    if (rc == MG_OK) {
        rc = mg_store_generations(c, before, e);
    }

    if (rc == MG_OK) {
        rc = mg_pg_exec(c, "select model.raise_generation('catalog'), "
                        "model.raise_generation('routing')", NULL, NULL, e);
    }

    if (rc == MG_OK) {
        rc = mg_store_generations(c, after, e);
    }

    return mg_store_end(c, rc, e);
}


/* -- catalog -- */

int
mg_store_catalog_read(mg_pg_t *c, mg_catalog_builder_t **b,
    uint64_t *generation, mg_error_t *e)
{
    int                rc;
    mg_arena_t        *a;
    mg_generations_t   g;

    *b = NULL;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    rc = mg_pg_begin_snapshot(c, e);

    if (rc == MG_OK) {
        rc = mg_store_generations(c, &g, e);
    }

    if (rc == MG_OK) {
        *b = mg_catalog_builder_create(g.catalog);
        rc = *b ? MG_OK : mg_store_memory(e);
    }

    if (rc == MG_OK) {
        rc = mg_snapshot_providers(c, *b, a, e);
    }

    if (rc == MG_OK) {
        rc = mg_snapshot_models(c, *b, a, e);
    }

    if (rc == MG_OK) {
        rc = mg_snapshot_benchmarks(c, *b, a, e);
    }

    rc = mg_store_end(c, rc, e);
    mg_arena_destroy(a);

    if (rc != MG_OK) {
        if (*b) {
            mg_catalog_builder_destroy(*b);
            *b = NULL;
        }

        return MG_ERROR;
    }

    *generation = g.catalog;

    return MG_OK;
}


static int
mg_snapshot_providers(mg_pg_t *c, mg_catalog_builder_t *b, mg_arena_t *a,
    mg_error_t *e)
{
    int             i, rc;
    mg_buf_t        sql;
    mg_pg_rows_t   *r;
    mg_provider_t   p;

    mg_buf_init(&sql, 0);
    mg_provider_select(&sql, 0);
    mg_buf_z(&sql, "where p.active and p.deleted_at is null "
             "and p.org_id = " MG_SNAPSHOT_ORG " order by p.id");

    if (mg_store_exec(c, &sql, NULL, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    rc = MG_OK;

    for (i = 0; rc == MG_OK && i < mg_pg_rows_count(r); i++) {
        mg_arena_reset(a);
        rc = mg_provider_row(r, i, a, &p) == MG_OK
             ? mg_catalog_builder_provider(b, &p, e) : mg_store_memory(e);
    }

    mg_pg_rows_free(r);

    return rc;
}


static int
mg_snapshot_models(mg_pg_t *c, mg_catalog_builder_t *b, mg_arena_t *a,
    mg_error_t *e)
{
    mg_buf_t  sql;

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, "declare models no scroll cursor for select ");
    mg_model_select(&sql);
    mg_buf_z(&sql, " from model.models_metadata m "
             "join model.providers p on p.id = m.provider_id "
             "and p.org_id = m.org_id "
             "where m.deleted_at is null and p.deleted_at is null "
             "and m.org_id = " MG_SNAPSHOT_ORG);

    if (mg_store_exec(c, &sql, NULL, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_snapshot_each(c, "fetch " MG_SNAPSHOT_FETCH " from models",
                            mg_snapshot_model, b, a, e);
}


static int
mg_snapshot_model(const mg_pg_rows_t *r, int row, mg_catalog_builder_t *b,
    mg_arena_t *a, mg_error_t *e)
{
    mg_model_t  m;

    mg_arena_reset(a);
    (void) mg_model_row(r, row, NULL, &m);

    if (mg_model_provenance(&m, a) != MG_OK) {
        return mg_store_memory(e);
    }

    return mg_catalog_builder_model(b, &m, e);
}


static int
mg_snapshot_benchmarks(mg_pg_t *c, mg_catalog_builder_t *b, mg_arena_t *a,
    mg_error_t *e)
{
    mg_buf_t  sql;

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, "declare benchmarks no scroll cursor for ");
    mg_benchmark_select(&sql);
    mg_buf_z(&sql, "where b.org_id = " MG_SNAPSHOT_ORG " order by "
             "b.model_id, b.measured_on desc nulls last, b.name, b.id");

    if (mg_store_exec(c, &sql, NULL, NULL, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_snapshot_each(c, "fetch " MG_SNAPSHOT_FETCH " from benchmarks",
                            mg_snapshot_benchmark, b, a, e);
}


static int
mg_snapshot_benchmark(const mg_pg_rows_t *r, int row,
    mg_catalog_builder_t *b, mg_arena_t *a, mg_error_t *e)
{
    mg_benchmark_t  result;

    (void) a;
    (void) mg_benchmark_row(r, row, NULL, &result);

    return mg_catalog_builder_benchmark(b, &result, e);
}


/*
 * Hands the rows of a cursor over, piece by piece.  The next piece is asked
 * for before the last one is looked at: it is small enough to wait in the
 * socket, so the database reads while the builder builds.
 */

static int
mg_snapshot_each(mg_pg_t *c, const char *fetch, mg_snapshot_row_pt handler,
    mg_catalog_builder_t *b, mg_arena_t *a, mg_error_t *e)
{
    int            i, n, rc, asked;
    mg_pg_rows_t  *r;

    rc = mg_pg_ask(c, fetch, e);
    asked = (rc == MG_OK);

    while (asked) {
        asked = 0;

        if (mg_pg_answer(c, &r, rc == MG_OK ? e : NULL) != MG_OK) {
            return MG_ERROR;
        }

        n = mg_pg_rows_count(r);

        if (rc == MG_OK && n > 0) {
            rc = mg_pg_ask(c, fetch, e);
            asked = (rc == MG_OK);
        }

        for (i = 0; rc == MG_OK && i < n; i++) {
            mg_priority_breathe();
            rc = handler(r, i, b, a, e);
        }

        mg_pg_rows_free(r);
    }

    return rc;
}


/* -- routing -- */

int
mg_store_routing_read(mg_pg_t *c, mg_routing_builder_t **b,
    uint64_t *generation, unsigned *unresolved, mg_error_t *e)
{
    int                 rc;
    mg_arena_t         *a;
    mg_routing_rows_t   rows;

    *b = NULL;
    *unresolved = 0;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    rc = mg_pg_begin_snapshot(c, e);

    if (rc == MG_OK) {
        rc = mg_store_end(c, mg_snapshot_routing(c, a, &rows, e), e);
    }

    if (rc == MG_OK) {
        *b = mg_routing_builder_create(rows.generation);
        rc = *b ? mg_snapshot_build(&rows, *b, unresolved, e)
                : mg_store_memory(e);
    }

    if (rc == MG_OK) {
        *generation = rows.generation;

    } else if (*b) {
        mg_routing_builder_destroy(*b);
        *b = NULL;
    }

    mg_arena_destroy(a);

    return rc;
}


static int
mg_snapshot_routing(mg_pg_t *c, mg_arena_t *a, mg_routing_rows_t *rows,
    mg_error_t *e)
{
    mg_generations_t  g;

    memset(rows, 0, sizeof(mg_routing_rows_t));

    if (mg_store_generations(c, &g, e) != MG_OK
        || mg_snapshot_backends(c, a, rows, e) != MG_OK
        || mg_snapshot_groups(c, a, rows, e) != MG_OK
        || mg_snapshot_prices(c, a, rows, e) != MG_OK
        || mg_snapshot_tokens(c, a, rows, e) != MG_OK)
    {
        return MG_ERROR;
    }

    rows->generation = g.routing;

    return MG_OK;
}


/* Those that members use, with their sealed keys. */

static int
mg_snapshot_backends(mg_pg_t *c, mg_arena_t *a, mg_routing_rows_t *rows,
    mg_error_t *e)
{
    int             i, n;
    mg_buf_t        sql;
    mg_pg_rows_t   *r;

    mg_buf_init(&sql, 0);
    mg_provider_select(&sql, 1);
    mg_buf_z(&sql, "where p.deleted_at is null and (p.id, p.org_id) in "
             "(select m.provider_id, m.org_id from model.models_metadata m "
             "join model.model_group_memberships g on g.model_id = m.id "
             "and g.org_id = m.org_id) order by p.id, p.org_id");

    if (mg_store_exec(c, &sql, NULL, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    n = mg_pg_rows_count(r);
    rows->providers = mg_arena_alloc(a, (size_t) (n + 1)
                                        * sizeof(mg_provider_t));

    for (i = 0; rows->providers && i < n; i++) {
        if (mg_provider_row(r, i, a, &rows->providers[i]) != MG_OK) {
            break;
        }
    }

    mg_pg_rows_free(r);
    rows->n_providers = (unsigned) i;

    return (rows->providers && i == n) ? MG_OK : mg_store_memory(e);
}


static int
mg_snapshot_groups(mg_pg_t *c, mg_arena_t *a, mg_routing_rows_t *rows,
    mg_error_t *e)
{
    int            i, n;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, MG_GROUP_SELECT "from model.model_groups g "
                   "where g.status in ('active', 'paused') "
                   "order by g.name, g.org_id", NULL, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    n = mg_pg_rows_count(r);
    rows->groups = mg_arena_alloc(a, (size_t) (n + 1) * sizeof(mg_group_t));

    for (i = 0; rows->groups && i < n; i++) {
        if (mg_group_row(r, i, a, &rows->groups[i]) != MG_OK) {
            break;
        }
    }

    mg_pg_rows_free(r);
    rows->n_groups = (unsigned) i;

    if (rows->groups == NULL || i != n) {
        return mg_store_memory(e);
    }

    if (mg_group_read_members(c, a, rows->groups, rows->n_groups, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_store_groups_eject(c, a, rows->groups, rows->n_groups, e);
}


/* Tiers that are not understood make a model's cost unknown, no error. */

static int
mg_snapshot_prices(mg_pg_t *c, mg_arena_t *a, mg_routing_rows_t *rows,
    mg_error_t *e)
{
    int            i, n;
    mg_buf_t       sql;
    mg_model_t     m;
    mg_priced_t   *priced;
    mg_pg_rows_t  *r;

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, "select m.org_id, m.id, ");
    mg_columns_names(&sql, mg_model_columns, "m.", MG_COLUMNS_TABLE);
    mg_buf_z(&sql, " from model.models_metadata m "
             "where exists (select from model.model_group_memberships g "
             "where g.model_id = m.id and g.org_id = m.org_id)");

    if (mg_store_exec(c, &sql, NULL, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    n = mg_pg_rows_count(r);
    priced = mg_arena_alloc(a, (size_t) (n + 1) * sizeof(mg_priced_t));

    for (i = 0; priced && i < n; i++) {
        mg_model_init(&m);

        if (mg_column_str(r, i, 0, a, &priced[i].org_id) != MG_OK
            || mg_column_str(r, i, 1, a, &priced[i].model_id) != MG_OK
            || mg_columns_read(r, i, 2, mg_model_columns, a, &m) < 0)
        {
            break;
        }

        (void) mg_cost_prices_model(&priced[i].prices, &m, a, NULL);
    }

    mg_pg_rows_free(r);
    rows->priced = priced;
    rows->n_priced = (unsigned) i;

    return (priced && i == n) ? MG_OK : mg_store_memory(e);
}


static int
mg_snapshot_tokens(mg_pg_t *c, mg_arena_t *a, mg_routing_rows_t *rows,
    mg_error_t *e)
{
    int            i, n;
    mg_str_t       digest;
    mg_token_t    *t;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, "select id, org_id, role, sha256, expires_at "
                   "from model.api_tokens where revoked_at is null "
                   "and (expires_at is null or expires_at > now()) "
                   "order by id", NULL, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    n = mg_pg_rows_count(r);
    rows->tokens = mg_arena_calloc(a, (size_t) (n + 1) * sizeof(mg_token_t));

    for (i = 0; rows->tokens && i < n; i++) {
        t = &rows->tokens[i];
        digest = mg_pg_rows_bytes(r, i, 3, a);

        if (mg_column_str(r, i, 0, a, &t->id) != MG_OK
            || mg_column_str(r, i, 1, a, &t->org_id) != MG_OK
            || digest.len != sizeof(t->sha256))
        {
            break;
        }

        t->role = mg_role_find(mg_pg_rows_str(r, i, 2));
        t->expires_at = mg_pg_rows_time(r, i, 4);
        memcpy(t->sha256, digest.data, sizeof(t->sha256));
    }

    mg_pg_rows_free(r);
    rows->n_tokens = (unsigned) i;

    return (rows->tokens && i == n) ? MG_OK : mg_store_memory(e);
}


static int
mg_snapshot_build(const mg_routing_rows_t *rows, mg_routing_builder_t *b,
    unsigned *unresolved, mg_error_t *e)
{
    unsigned  i;

    for (i = 0; i < rows->n_providers; i++) {
        if (mg_routing_builder_provider(b, &rows->providers[i], unresolved, e)
            != MG_OK)
        {
            return MG_ERROR;
        }
    }

    for (i = 0; i < rows->n_priced; i++) {
        if (mg_routing_builder_prices(b, rows->priced[i].org_id,
                                      rows->priced[i].model_id,
                                      &rows->priced[i].prices, e)
            != MG_OK)
        {
            return MG_ERROR;
        }
    }

    for (i = 0; i < rows->n_groups; i++) {
        if (mg_routing_builder_group(b, &rows->groups[i], e) != MG_OK) {
            return MG_ERROR;
        }
    }

    for (i = 0; i < rows->n_tokens; i++) {
        if (mg_routing_builder_token(b, &rows->tokens[i], e) != MG_OK) {
            return MG_ERROR;
        }
    }

    return MG_OK;
}
