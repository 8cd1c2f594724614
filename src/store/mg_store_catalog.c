/*
 * mg_store_catalog.c: providers and models that are set by hand.
 *
 * A row that a source lists too is never thrown away: it is hidden
 * (deleted_at), else the next sync would bring it back.  What is set of a
 * model is what the source "manual" says, and counts more than what others
 * say; see mg_store_merge.c.  A change of a provider notes the columns that
 * it has touched in manual_fields; syncs leave those alone.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_job_row.h"
#include "store/mg_store_sync.h"


/* A step of a change, within its transaction; what: its row or id. */
typedef int (*mg_hand_pt)(mg_pg_t *c, const mg_actor_t *who,
    const void *what, mg_arena_t *a, mg_error_t *e);


static int mg_hand_change(mg_pg_t *c, const mg_actor_t *who, mg_hand_pt step,
    const void *what, mg_error_t *e);
static int mg_provider_create(mg_pg_t *c, const mg_actor_t *who,
    const void *what, mg_arena_t *a, mg_error_t *e);
static int mg_provider_key(mg_pg_t *c, const mg_actor_t *who,
    const mg_provider_t *p, mg_arena_t *a, mg_error_t *e);
static int mg_provider_update(mg_pg_t *c, const mg_actor_t *who,
    const void *what, mg_arena_t *a, mg_error_t *e);
static int mg_provider_delete(mg_pg_t *c, const mg_actor_t *who,
    const void *what, mg_arena_t *a, mg_error_t *e);
static int mg_model_create(mg_pg_t *c, const mg_actor_t *who,
    const void *what, mg_arena_t *a, mg_error_t *e);
static int mg_model_update(mg_pg_t *c, const mg_actor_t *who,
    const void *what, mg_arena_t *a, mg_error_t *e);
static int mg_model_delete(mg_pg_t *c, const mg_actor_t *who,
    const void *what, mg_arena_t *a, mg_error_t *e);
static int mg_hand_used(mg_pg_t *c, const mg_pg_params_t *p,
    const char *sql, const char *what, mg_str_t id, mg_error_t *e);
static int mg_hand_missing(const char *what, mg_str_t id, mg_error_t *e);
static int mg_hand_affected(mg_pg_t *c, const char *sql,
    const mg_pg_params_t *p, uint64_t *n, mg_error_t *e);
static void mg_hand_params(mg_pg_params_t *p, mg_arena_t *a,
    const mg_actor_t *who, mg_str_t id);


static int
mg_hand_change(mg_pg_t *c, const mg_actor_t *who, mg_hand_pt step,
    const void *what, mg_error_t *e)
{
    int          rc;
    mg_arena_t  *a;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    rc = mg_store_begin(c, e);

    if (rc == MG_OK) {
        rc = mg_store_end(c, step(c, who, what, a, e), e);
    }

    mg_arena_destroy(a);

    return rc;
}


/* -- providers -- */

int
mg_store_provider_create(mg_pg_t *c, const mg_actor_t *who,
    const mg_provider_t *p, mg_error_t *e)
{
    return mg_hand_change(c, who, mg_provider_create, p, e);
}


int
mg_store_provider_update(mg_pg_t *c, const mg_actor_t *who,
    const mg_provider_t *p, mg_error_t *e)
{
    return mg_hand_change(c, who, mg_provider_update, p, e);
}


int
mg_store_provider_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t id,
    mg_error_t *e)
{
    return mg_hand_change(c, who, mg_provider_delete, &id, e);
}


int
mg_store_provider_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_provider_t *p, mg_error_t *e)
{
    int              rc;
    mg_buf_t         sql;
    mg_actor_t       who;
    mg_pg_rows_t    *r;
    mg_pg_params_t   params;

    who.org_id = org_id;
    mg_hand_params(&params, a, &who, id);

    mg_buf_init(&sql, 0);
    mg_provider_select(&sql, 1);
    mg_buf_z(&sql, "where p.id = $1 and p.org_id = $2 "
             "and p.deleted_at is null");

    if (mg_store_exec(c, &sql, &params, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_hand_missing("provider", id, e);
    }

    rc = mg_provider_row(r, 0, a, p);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


/* What the new row leaves open stays as a source has stated it. */

static int
mg_provider_create(mg_pg_t *c, const mg_actor_t *who, const void *what,
    mg_arena_t *a, mg_error_t *e)
{
    int64_t               n;
    mg_buf_t              sql;
    mg_pg_params_t        params;
    const mg_provider_t  *p = what;

    mg_hand_params(&params, a, who, p->id);

    if (mg_pg_exec(c, "update model.models_metadata m set deleted_at = null "
                   "from model.providers p where p.id = $1 "
                   "and p.org_id = $2 and p.deleted_at is not null "
                   "and m.provider_id = p.id and m.org_id = p.org_id",
                   &params, NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    mg_columns_param(&params, mg_provider_columns, p, MG_COLUMNS_TABLE);

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, "insert into model.providers as t (id, org_id, source, ");
    mg_columns_names(&sql, mg_provider_columns, "", MG_COLUMNS_TABLE);
    mg_buf_z(&sql, ") values ($1, $2, 'manual', ");
    mg_columns_each(&sql, mg_provider_columns, ", ", "$", 3,
                    MG_COLUMNS_TABLE);
    mg_buf_z(&sql, ") on conflict (id, org_id) do update set ");
    mg_columns_each(&sql, mg_provider_columns, ", ",
                    "% = coalesce(excluded.%, t.%)", 0, MG_COLUMNS_TABLE);
    mg_buf_z(&sql, ", source = 'manual', manual_fields = '{}', "
             "deleted_at = null, updated_at = now() "
             "where t.source <> 'manual' or t.deleted_at is not null");

    if (mg_store_write(c, &sql, &params, &n, e) != MG_OK) {
        return MG_ERROR;
    }

    if (n == 0) {
        return mg_error_set(e, MG_E_CONFLICT, "id",
                            "there is a provider \"%.*s\" already; change it "
                            "with PATCH, or choose another id",
                            MG_STR_ARG(p->id));
    }

    return mg_provider_key(c, who, p, a, e);
}


static int
mg_provider_key(mg_pg_t *c, const mg_actor_t *who, const mg_provider_t *p,
    mg_arena_t *a, mg_error_t *e)
{
    mg_pg_params_t  params;

    if (p->key_sealed.data == NULL) {
        return MG_OK;
    }

    mg_hand_params(&params, a, who, p->id);

    if (p->key_sealed.len == 0) {
        return mg_pg_exec(c, "delete from model.provider_credentials "
                          "where provider_id = $1 and org_id = $2",
                          &params, NULL, e);
    }

    mg_pg_param_bytes(&params, p->key_sealed);
    mg_pg_param_str(&params, p->key_hint);

    return mg_pg_exec(c, "insert into model.provider_credentials "
                      "(provider_id, org_id, key_sealed, key_hint) "
                      "values ($1, $2, $3, $4) "
                      "on conflict (provider_id, org_id, name) do update "
                      "set key_sealed = excluded.key_sealed, "
                      "key_hint = excluded.key_hint, updated_at = now()",
                      &params, NULL, e);
}


static int
mg_provider_update(mg_pg_t *c, const mg_actor_t *who, const void *what,
    mg_arena_t *a, mg_error_t *e)
{
    int64_t               n;
    mg_buf_t              sql;
    mg_pg_params_t        params;
    const mg_provider_t  *p = what;

    mg_hand_params(&params, a, who, p->id);
    mg_columns_param(&params, mg_provider_columns, p, MG_COLUMNS_TABLE);

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, "with v as (select $1::text as id, $2::uuid as org_id, ");
    mg_columns_each(&sql, mg_provider_columns, ", ", "$::# as %", 3,
                    MG_COLUMNS_TABLE);
    mg_buf_z(&sql, ") update model.providers t set ");
    mg_columns_each(&sql, mg_provider_columns, ", ", "% = v.%", 0,
                    MG_COLUMNS_TABLE);
    mg_buf_z(&sql, ", updated_at = now(), manual_fields = (select "
             "coalesce(array_agg(distinct f order by f), '{}') "
             "from unnest(t.manual_fields || array_remove(array[");
    mg_columns_each(&sql, mg_provider_columns, ", ",
                    "case when t.% is distinct from v.% then '%' end", 0,
                    MG_COLUMNS_TABLE);
    mg_buf_z(&sql, "], null)) f) from v where t.id = v.id "
             "and t.org_id = v.org_id and t.deleted_at is null");

    if (mg_store_write(c, &sql, &params, &n, e) != MG_OK) {
        return MG_ERROR;
    }

    if (n == 0) {
        return mg_hand_missing("provider", p->id, e);
    }

    return mg_provider_key(c, who, p, a, e);
}


/* Nobody is to be asked any more with a key that is gone. */

static int
mg_provider_delete(mg_pg_t *c, const mg_actor_t *who, const void *what,
    mg_arena_t *a, mg_error_t *e)
{
    int              listed;
    mg_str_t         id;
    unsigned         i;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    static const char  stop[] =
        MG_JOB_CANCEL "and org_id = $2 and (kind, key) in "
        "(('validate', $1), ('sync', 'sync:provider:' || $1))";

    static const char * const  gone[] = {
        "delete from model.models_metadata "
        "where provider_id = $1 and org_id = $2",

        "delete from model.model_sources "
        "where provider_id = $1 and org_id = $2",

        "delete from model.providers where id = $1 and org_id = $2",

        stop,
        NULL
    };

    static const char * const  hidden[] = {
        "delete from model.model_sources "
        "where provider_id = $1 and org_id = $2 and source = 'manual'",

        "delete from model.models_metadata m "
        "where m.provider_id = $1 and m.org_id = $2 and m.source = 'manual' "
        "and not exists (select from model.model_sources s "
        "where s.id = m.id and s.org_id = m.org_id)",

        "update model.models_metadata set deleted_at = now() "
        "where provider_id = $1 and org_id = $2 and deleted_at is null",

        "delete from model.provider_credentials "
        "where provider_id = $1 and org_id = $2",

        "update model.providers set deleted_at = now(), updated_at = now() "
        "where id = $1 and org_id = $2",

        stop,
        NULL
    };

    id = *(const mg_str_t *) what;
    mg_hand_params(&p, a, who, id);

    if (mg_hand_used(c, &p, "select g.name "
                        "from model.model_group_memberships m "
                        "join model.models_metadata d on d.id = m.model_id "
                        "and d.org_id = m.org_id "
                        "join model.model_groups g on g.id = m.group_id "
                        "where d.provider_id = $1 and d.org_id = $2 "
                        "order by g.name limit 1", "provider", id, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    if (mg_pg_exec(c, "select source <> 'manual' or last_synced_at is not "
                   "null from model.providers where id = $1 "
                   "and org_id = $2 and deleted_at is null", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    listed = mg_pg_rows_count(r) == 1 ? mg_pg_rows_tri(r, 0, 0) : -1;
    mg_pg_rows_free(r);

    if (listed == -1) {
        return mg_hand_missing("provider", id, e);
    }

    for (i = 0; (listed ? hidden : gone)[i]; i++) {
        if (mg_pg_exec(c, (listed ? hidden : gone)[i], &p, NULL, e)
            != MG_OK)
        {
            return MG_ERROR;
        }
    }

    return MG_OK;
}


/* -- models -- */

int
mg_store_model_create(mg_pg_t *c, const mg_actor_t *who, const mg_model_t *m,
    mg_error_t *e)
{
    return mg_hand_change(c, who, mg_model_create, m, e);
}


int
mg_store_model_update(mg_pg_t *c, const mg_actor_t *who, const mg_model_t *m,
    mg_error_t *e)
{
    return mg_hand_change(c, who, mg_model_update, m, e);
}


int
mg_store_model_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t id,
    mg_error_t *e)
{
    return mg_hand_change(c, who, mg_model_delete, &id, e);
}


int
mg_store_model_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    mg_model_t *m, mg_error_t *e)
{
    int              rc;
    mg_buf_t         sql;
    mg_actor_t       who;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    who.org_id = org_id;
    mg_hand_params(&p, a, &who, id);

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, "select ");
    mg_model_select(&sql);
    mg_buf_z(&sql, " from model.models_metadata m where m.id = $1 "
             "and m.org_id = $2 and m.deleted_at is null");

    if (mg_store_exec(c, &sql, &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_hand_missing("model", id, e);
    }

    rc = mg_model_row(r, 0, a, m);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


int
mg_store_provider_models(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_arena_t *a, mg_model_t **models, unsigned *n, mg_error_t *e)
{
    mg_buf_t         sql;
    mg_actor_t       who;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    who.org_id = org_id;
    mg_hand_params(&p, a, &who, provider);

    mg_buf_init(&sql, 0);
    mg_buf_z(&sql, "select ");
    mg_model_select(&sql);
    mg_buf_z(&sql, " from model.models_metadata m where m.provider_id = $1 "
             "and m.org_id = $2 and m.active and m.deleted_at is null "
             "order by m.id");

    if (mg_store_exec(c, &sql, &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_model_rows(r, a, models, n, e);
}


static int
mg_model_create(mg_pg_t *c, const mg_actor_t *who, const void *what,
    mg_arena_t *a, mg_error_t *e)
{
    int64_t            n;
    mg_pg_rows_t      *r;
    mg_pg_params_t     p;
    const mg_model_t  *m = what;

    mg_hand_params(&p, a, who, m->provider_id);

    if (mg_pg_exec(c, "select from model.providers where id = $1 "
                   "and org_id = $2 and deleted_at is null", &p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    n = mg_pg_rows_count(r);
    mg_pg_rows_free(r);

    if (n == 0) {
        return mg_error_set(e, MG_E_INVALID, "id",
                            "id \"%.*s\" names the provider \"%.*s\", which "
                            "does not exist; add it with POST "
                            "/api/v1/providers", MG_STR_ARG(m->id),
                            MG_STR_ARG(m->provider_id));
    }

    if (mg_merge_state(c, who->org_id, m, a, e) != MG_OK
        || mg_merge_insert(c, who->org_id, m->id, "manual", a, &n, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    if (n == 0) {
        return mg_error_set(e, MG_E_CONFLICT, "id",
                            "there is a model \"%.*s\" already; change it "
                            "with PATCH", MG_STR_ARG(m->id));
    }

    return MG_OK;
}


static int
mg_model_update(mg_pg_t *c, const mg_actor_t *who, const void *what,
    mg_arena_t *a, mg_error_t *e)
{
    int64_t            n;
    const mg_model_t  *m = what;

    if (mg_merge_adopt(c, who->org_id, mg_str_null, m->id, a, e) != MG_OK
        || mg_merge_patch(c, who->org_id, m, a, e) != MG_OK
        || mg_merge_update(c, who->org_id, m->id, a, &n, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return n > 0 ? MG_OK : mg_hand_missing("model", m->id, e);
}


static int
mg_model_delete(mg_pg_t *c, const mg_actor_t *who, const void *what,
    mg_arena_t *a, mg_error_t *e)
{
    uint64_t        n;
    mg_str_t        id;
    mg_pg_params_t  p;

    id = *(const mg_str_t *) what;
    mg_hand_params(&p, a, who, id);

    if (mg_hand_used(c, &p, "select g.name "
                        "from model.model_group_memberships m "
                        "join model.model_groups g on g.id = m.group_id "
                        "where m.model_id = $1 and m.org_id = $2 "
                        "order by g.name limit 1", "model", id, e)
        != MG_OK
        || mg_hand_affected(c, "delete from model.model_sources "
                               "where id = $1 and org_id = $2 "
                               "and source = 'manual'", &p, &n, e)
           != MG_OK
        || mg_hand_affected(c, "delete from model.models_metadata m "
                               "where m.id = $1 and m.org_id = $2 "
                               "and m.source = 'manual' and not exists "
                               "(select from model.model_sources s "
                               "where s.id = m.id and s.org_id = m.org_id)",
                            &p, &n, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    if (n > 0) {
        return MG_OK;
    }

    if (mg_hand_affected(c, "update model.models_metadata "
                            "set deleted_at = now(), updated_at = now() "
                            "where id = $1 and org_id = $2 "
                            "and deleted_at is null", &p, &n, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return n > 0 ? MG_OK : mg_hand_missing("model", id, e);
}


/* -- both -- */

/* MG_E_CONFLICT if sql finds the name of a group. */

static int
mg_hand_used(mg_pg_t *c, const mg_pg_params_t *p, const char *sql,
    const char *what, mg_str_t id, mg_error_t *e)
{
    int            rc;
    mg_str_t       name;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, sql, p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    rc = MG_OK;

    if (mg_pg_rows_count(r) > 0) {
        name = mg_pg_rows_str(r, 0, 0);
        rc = mg_error_set(e, MG_E_CONFLICT, "id",
                          "the %s \"%.*s\" is used by the model group "
                          "\"%.*s\"; take it out of the group first", what,
                          MG_STR_ARG(id), MG_STR_ARG(name));
    }

    mg_pg_rows_free(r);

    return rc;
}


static int
mg_hand_missing(const char *what, mg_str_t id, mg_error_t *e)
{
    return mg_error_set(e, MG_E_NOT_FOUND, what, "there is no %s \"%.*s\"",
                        what, (int) (id.len < 256 ? id.len : 256), id.data);
}


static int
mg_hand_affected(mg_pg_t *c, const char *sql, const mg_pg_params_t *p,
    uint64_t *n, mg_error_t *e)
{
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, sql, p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    *n = mg_pg_rows_affected(r);
    mg_pg_rows_free(r);

    return MG_OK;
}


/* $1 and $2 of every statement here. */

static void
mg_hand_params(mg_pg_params_t *p, mg_arena_t *a, const mg_actor_t *who,
    mg_str_t id)
{
    mg_pg_params_init(p, a);
    mg_pg_param_str(p, id);
    mg_pg_param_str(p, mg_store_org(who->org_id));
}
