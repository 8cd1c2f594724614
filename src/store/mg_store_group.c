/*
 * mg_store_group.c: model groups, their members and their audit trail.
 *
 * Every change is one transaction: lock of the generations, row lock, the
 * caller's edit, rows, event.  What must hold between members is checked by
 * the database at commit, whoever writes; the messages come from there.
 *
 * Pool threads; blocks.
 */

#include "store/mg_store_group_row.h"

#include "base/mg_crypt.h"
#include "base/mg_jw.h"
#include "store/mg_store_list.h"


static int mg_group_load(mg_pg_t *c, mg_str_t org_id, mg_str_t ref, int lock,
    mg_arena_t *a, mg_group_t *g, mg_error_t *e);
static int mg_group_create(mg_pg_t *c, const mg_actor_t *who, mg_arena_t *a,
    mg_group_t *g, mg_error_t *e);
static int mg_group_change(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const char *what, const mg_expect_t *expect,
    mg_store_group_change_pt change, void *ctx, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e);
static int mg_group_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const mg_expect_t *expect, mg_arena_t *a, mg_group_t *g, mg_error_t *e);
static int mg_group_expect(const mg_group_t *g, const mg_expect_t *expect,
    mg_error_t *e);
static int mg_group_provision(mg_pg_t *c, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e);
static int mg_group_update(mg_pg_t *c, mg_arena_t *a, const mg_group_t *g,
    mg_error_t *e);
static int mg_group_members_write(mg_pg_t *c, mg_arena_t *a,
    const mg_group_t *g, mg_error_t *e);
static int mg_group_settle(mg_pg_t *c, mg_error_t *e);
static int mg_group_members_json(const mg_group_t *g, mg_arena_t *a,
    mg_str_t *json);
static int mg_group_members_known(mg_pg_t *c, const mg_pg_params_t *p,
    mg_error_t *e);
static int mg_group_image(mg_pg_t *c, mg_str_t id, mg_arena_t *a,
    mg_str_t *image, mg_error_t *e);
static int mg_group_event(mg_pg_t *c, const mg_actor_t *who,
    const mg_group_t *g, const char *what, mg_str_t before, mg_str_t after,
    mg_arena_t *a, mg_error_t *e);
static int mg_group_taken(mg_pg_t *c, const mg_group_t *g, mg_error_t *e);


int
mg_store_group_get(mg_pg_t *c, mg_str_t org_id, mg_str_t ref, mg_arena_t *a,
    mg_group_t *g, mg_error_t *e)
{
    return mg_group_load(c, mg_store_org(org_id), ref, 0, a, g, e);
}


int
mg_store_group_list(mg_pg_t *c, mg_str_t org_id, mg_paging_t *paging,
    mg_arena_t *a, mg_group_t **groups, unsigned *n, mg_error_t *e)
{
    void            *array;
    mg_pg_params_t   p;

    static const mg_store_list_t  list = {
        "select count(*) from model.model_groups where org_id = $1",

        MG_GROUP_SELECT "from model.model_groups g "
        "where g.org_id = $1 order by g.name limit $2 offset $3",

        sizeof(mg_group_t),
        mg_group_row
    };

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(org_id));

    if (mg_store_list(c, &list, &p, paging, a, &array, n, e) != MG_OK) {
        return MG_ERROR;
    }

    *groups = array;

    return mg_group_read_members(c, a, *groups, *n, e);
}


int
mg_store_group_create(mg_pg_t *c, const mg_actor_t *who, mg_arena_t *a,
    mg_group_t *g, mg_error_t *e)
{
    if (mg_store_begin(c, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_store_end(c, mg_group_create(c, who, a, g, e), e);
}


int
mg_store_group_change(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const char *what, const mg_expect_t *expect,
    mg_store_group_change_pt change, void *ctx, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e)
{
    if (mg_store_begin(c, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_store_end(c, mg_group_change(c, who, ref, what, expect, change,
                                           ctx, a, g, e), e);
}


int
mg_store_group_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const mg_expect_t *expect, mg_error_t *e)
{
    int          rc;
    mg_arena_t  *a;
    mg_group_t   g;

    a = mg_arena_create(0);
    if (a == NULL) {
        return mg_store_memory(e);
    }

    rc = mg_store_begin(c, e);

    if (rc == MG_OK) {
        rc = mg_store_end(c, mg_group_delete(c, who, ref, expect, a, &g,
                                             e), e);
    }

    mg_arena_destroy(a);

    return rc;
}


/* -- reading -- */

static int
mg_group_load(mg_pg_t *c, mg_str_t org_id, mg_str_t ref, int lock,
    mg_arena_t *a, mg_group_t *g, mg_error_t *e)
{
    int              rc, by_id;
    mg_uuid_t        id;
    const char      *sql;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    by_id = (mg_uuid_parse(ref, &id) == MG_OK);

#define MG_GROUP_BY_ID    MG_GROUP_SELECT "from model.model_groups g "        \
                          "where g.org_id = $1 and g.id = $2::uuid"
#define MG_GROUP_BY_NAME  MG_GROUP_SELECT "from model.model_groups g "        \
                          "where g.org_id = $1 and g.name = $2"

    if (lock) {
        sql = by_id ? MG_GROUP_BY_ID " for update"
                    : MG_GROUP_BY_NAME " for update";

    } else {
        sql = by_id ? MG_GROUP_BY_ID : MG_GROUP_BY_NAME;
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, org_id);
    mg_pg_param_str(&p, ref);

    if (mg_pg_exec(c, sql, &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_rows_count(r) == 0) {
        mg_pg_rows_free(r);
        return mg_error_set(e, MG_E_NOT_FOUND, "group",
                            "there is no model group \"%.*s\"",
                            (int) (ref.len < 128 ? ref.len : 128), ref.data);
    }

    rc = mg_group_row(r, 0, a, g);
    mg_pg_rows_free(r);

    if (rc != MG_OK) {
        return mg_store_memory(e);
    }

    return mg_group_read_members(c, a, g, 1, e);
}


/* The group as JSON, for the audit trail. */

static int
mg_group_image(mg_pg_t *c, mg_str_t id, mg_arena_t *a, mg_str_t *image,
    mg_error_t *e)
{
    int              rc;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, id);

    if (mg_pg_exec(c, "select model.group_image($1)", &p, &r, e) != MG_OK) {
        return MG_ERROR;
    }

    rc = mg_column_str(r, 0, 0, a, image);
    mg_pg_rows_free(r);

    return rc == MG_OK ? MG_OK : mg_store_memory(e);
}


/* -- writing, within the transaction -- */

/* The highest version that a group of the name in $2 had under it: ETags of
 * one address never come again, whichever group it leads to. */

#define MG_GROUP_LAST(org)                                                    \
    "coalesce((select max(v.version) from model.model_group_events v "        \
    "where v.org_id = " org " and v.group_name = $2), 0)"


static int
mg_group_create(mg_pg_t *c, const mg_actor_t *who, mg_arena_t *a,
    mg_group_t *g, mg_error_t *e)
{
    int              rc;
    mg_str_t         image;
    mg_pg_rows_t    *r;
    mg_pg_params_t   p;

    static const uint8_t  none[MG_SPLIT_SALT_LEN];

    if (memcmp(g->salt, none, sizeof(none)) == 0
        && mg_random(g->salt, sizeof(g->salt)) != MG_OK)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the system gives no random bytes");
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_str(&p, g->name);
    mg_pg_param_str(&p, g->description);
    mg_pg_param_str(&p, mg_strategy_names[g->strategy]);
    mg_pg_param_str(&p, mg_group_status_names[g->status]);
    mg_pg_param_str(&p, g->traffic_config);
    mg_pg_param_str(&p, g->promotion_rules);
    mg_pg_param_str(&p, g->test_metadata);
    mg_pg_param_bytes(&p, mg_str_n((const char *) g->salt,
                                   MG_SPLIT_SALT_LEN));

    if (mg_pg_exec(c, "insert into model.model_groups (org_id, name, "
                   "description, strategy, status, traffic_config, "
                   "promotion_rules, test_metadata, salt, version) values "
                   "($1, $2, $3, $4, $5, $6, $7, $8, $9, "
                   MG_GROUP_LAST("$1") " + 1) returning id",
                   &p, &r, e)
        != MG_OK)
    {
        return mg_group_taken(c, g, e);
    }

    rc = mg_column_str(r, 0, 0, a, &g->id);
    mg_pg_rows_free(r);

    if (rc != MG_OK) {
        return mg_store_memory(e);
    }

    if (mg_group_provision(c, a, g, e) != MG_OK
        || mg_group_members_write(c, a, g, e) != MG_OK
        || mg_group_settle(c, e) != MG_OK
        || mg_group_load(c, mg_store_org(who->org_id), g->id, 0, a, g, e)
           != MG_OK
        || mg_group_image(c, g->id, a, &image, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_group_event(c, who, g, "created", mg_str_null, image, a, e);
}


static int
mg_group_provision(mg_pg_t *c, mg_arena_t *a, mg_group_t *g, mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, g->id);

    return mg_pg_exec(c, "select model.provision_inference_table($1)", &p,
                      NULL, e);
}


static int
mg_group_change(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const char *what, const mg_expect_t *expect,
    mg_store_group_change_pt change, void *ctx, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e)
{
    mg_str_t  org, before, after;

    org = mg_store_org(who->org_id);

    if (mg_group_load(c, org, ref, 1, a, g, e) != MG_OK
        || mg_group_expect(g, expect, e) != MG_OK
        || mg_group_image(c, g->id, a, &before, e) != MG_OK
        || change(ctx, g, e) != MG_OK
        || mg_group_update(c, a, g, e) != MG_OK
        || mg_group_members_write(c, a, g, e) != MG_OK
        || mg_group_settle(c, e) != MG_OK
        || mg_group_load(c, org, g->id, 0, a, g, e) != MG_OK
        || mg_group_image(c, g->id, a, &after, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_group_event(c, who, g, what, before, after, a, e);
}


static int
mg_group_expect(const mg_group_t *g, const mg_expect_t *expect, mg_error_t *e)
{
    unsigned  i;

    if (expect == NULL) {
        return MG_OK;
    }

    for (i = 0; i < expect->n; i++) {
        if (g->version == expect->version[i]) {
            return MG_OK;
        }
    }

    if (expect->n == 0) {
        return mg_error_set(e, MG_E_PRECONDITION, "If-Match",
                            "the group has version %lld, and If-Match names "
                            "none that it ever had, or weakly (W/), which "
                            "never matches; read it again",
                            (long long) g->version);
    }

    return mg_error_set(e, MG_E_PRECONDITION, "If-Match",
                        "the group has version %lld, not %lld%s: somebody "
                        "has changed it; read it again",
                        (long long) g->version,
                        (long long) expect->version[0],
                        expect->n > 1 ? " or another one of If-Match" : "");
}


static int
mg_group_update(mg_pg_t *c, mg_arena_t *a, const mg_group_t *g,
    mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, g->id);
    mg_pg_param_str(&p, g->name);
    mg_pg_param_str(&p, g->description);
    mg_pg_param_str(&p, mg_strategy_names[g->strategy]);
    mg_pg_param_str(&p, mg_group_status_names[g->status]);
    mg_pg_param_str(&p, g->traffic_config);
    mg_pg_param_str(&p, g->promotion_rules);
    mg_pg_param_str(&p, g->test_metadata);

    if (mg_pg_exec(c, "update model.model_groups set name = $2, "
                   "description = $3, strategy = $4, status = $5, "
                   "traffic_config = $6, promotion_rules = $7, "
                   "test_metadata = $8, version = greatest(version, "
                   MG_GROUP_LAST("model_groups.org_id") ") + 1, "
                   "updated_at = now() where id = $1", &p, NULL, e)
        != MG_OK)
    {
        return mg_group_taken(c, g, e);
    }

    return MG_OK;
}


/* A unique key was violated: says which name. */

static int
mg_group_taken(mg_pg_t *c, const mg_group_t *g, mg_error_t *e)
{
    if (strcmp(mg_pg_sqlstate(c), "23505") != 0) {
        return MG_ERROR;
    }

    return mg_error_set(e, MG_E_CONFLICT, "name",
                        "there is a model group \"%.*s\" already; choose "
                        "another name", MG_STR_ARG(g->name));
}


static int
mg_group_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const mg_expect_t *expect, mg_arena_t *a, mg_group_t *g, mg_error_t *e)
{
    mg_str_t        before;
    mg_pg_params_t  p;

    if (mg_group_load(c, mg_store_org(who->org_id), ref, 1, a, g, e) != MG_OK
        || mg_group_expect(g, expect, e) != MG_OK
        || mg_group_image(c, g->id, a, &before, e) != MG_OK)
    {
        return MG_ERROR;
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, g->id);

    if (mg_pg_exec(c, "delete from model.model_groups where id = $1", &p,
                   NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_group_event(c, who, g, "deleted", before, mg_str_null, a, e);
}


/* -- members -- */

static int
mg_group_members_write(mg_pg_t *c, mg_arena_t *a, const mg_group_t *g,
    mg_error_t *e)
{
    mg_str_t        json;
    mg_pg_params_t  p;

    if (mg_group_members_json(g, a, &json) != MG_OK) {
        return mg_store_memory(e);
    }

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, g->id);
    mg_pg_param_str(&p, json);

    if (mg_group_members_known(c, &p, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_pg_exec(c, "delete from model.model_group_memberships m "
                   "where m.group_id = $1 and m.model_id not in "
                   "(select r.model_id from "
                   "jsonb_to_recordset($2::jsonb) r (model_id text))",
                   &p, NULL, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_pg_exec(c, "insert into model.model_group_memberships as m "
                      "(group_id, org_id, model_id, position, role, "
                      "traffic_percentage, buckets) "
                      "select g.id, g.org_id, r.model_id, r.position, "
                      "r.role, r.share / 100.0, r.buckets::int4multirange "
                      "from model.model_groups g, "
                      "jsonb_to_recordset($2::jsonb) r (model_id text, "
                      "position smallint, role text, share integer, "
                      "buckets text) where g.id = $1 "
                      "on conflict (group_id, model_id) do update "
                      "set position = excluded.position, "
                      "role = excluded.role, "
                      "traffic_percentage = excluded.traffic_percentage, "
                      "buckets = excluded.buckets "
                      "where (m.position, m.role, m.traffic_percentage, "
                      "m.buckets) is distinct from (excluded.position, "
                      "excluded.role, excluded.traffic_percentage, "
                      "excluded.buckets)", &p, NULL, e);
}


/*
 * Lets a schedule follow the change at once, not at commit, so that what is
 * read afterwards tells of it.
 */

static int
mg_group_settle(mg_pg_t *c, mg_error_t *e)
{
    return mg_pg_exec(c, "set constraints model.canary_settles, "
                      "model.canary_member_settles immediate", NULL, NULL, e);
}


static int
mg_group_members_json(const mg_group_t *g, mg_arena_t *a, mg_str_t *json)
{
    mg_jw_t             w;
    mg_buf_t            b, buckets;
    unsigned            i;
    const mg_member_t  *m;

    mg_buf_init(&b, 0);
    mg_buf_init(&buckets, 0);
    mg_jw_init(&w, &b);
    mg_jw_array(&w, NULL);

    for (i = 0; i < g->n_members; i++) {
        m = &g->members[i];

        buckets.len = 0;
        mg_group_buckets_text(&buckets, g, i);

        mg_jw_object(&w, NULL);
        mg_jw_str(&w, "model_id", m->model_id);
        mg_jw_int(&w, "position", i);
        mg_jw_str(&w, "role", mg_member_role_names[m->role]);
        mg_jw_int(&w, "share", m->share);
        mg_jw_str(&w, "buckets", mg_buf_view(&buckets));
        mg_jw_end_object(&w);
    }

    mg_jw_end_array(&w);

    *json = (b.failed || buckets.failed) ? mg_str_null
                                         : mg_arena_dup(a, mg_buf_view(&b));

    mg_buf_free(&buckets);
    mg_buf_free(&b);

    return json->data ? MG_OK : MG_ERROR;
}


/* A foreign key would say that something is missing, but not what. */

static int
mg_group_members_known(mg_pg_t *c, const mg_pg_params_t *p, mg_error_t *e)
{
    int            rc;
    mg_str_t       id;
    mg_pg_rows_t  *r;

    if (mg_pg_exec(c, "select r.model_id from "
                   "jsonb_to_recordset($2::jsonb) r (model_id text) "
                   "where not exists (select from model.models_metadata m "
                   "join model.model_groups g on g.org_id = m.org_id "
                   "where g.id = $1 and m.id = r.model_id "
                   "and m.deleted_at is null) limit 1", p, &r, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    rc = MG_OK;

    if (mg_pg_rows_count(r) > 0) {
        id = mg_pg_rows_str(r, 0, 0);
        rc = mg_error_set(e, MG_E_INVALID, "model_id",
                          "model_id \"%.*s\" is not in the catalog; add it "
                          "with POST /api/v1/models, or give one that is",
                          MG_STR_ARG(id));
    }

    mg_pg_rows_free(r);

    return rc;
}


static int
mg_group_event(mg_pg_t *c, const mg_actor_t *who, const mg_group_t *g,
    const char *what, mg_str_t before, mg_str_t after, mg_arena_t *a,
    mg_error_t *e)
{
    mg_pg_params_t  p;

    mg_pg_params_init(&p, a);
    mg_pg_param_str(&p, mg_store_org(who->org_id));
    mg_pg_param_str(&p, g->id);
    mg_pg_param_str(&p, g->name);
    mg_pg_param_int(&p, g->version);
    mg_pg_param_z(&p, what);
    mg_pg_param_str(&p, who->token_id);
    mg_pg_param_str(&p, before);
    mg_pg_param_str(&p, after);

    return mg_pg_exec(c, "insert into model.model_group_events (org_id, "
                      "group_id, group_name, version, event, token_id, "
                      "before, after) "
                      "values ($1, $2, $3, $4, $5, $6, $7, $8)", &p, NULL,
                      e);
}
