/*
 * mg_call_group.c: model groups over the API.
 *
 * Every change runs under the row's lock: the store reads the group, hands
 * it to a function here that edits it, and writes what came out, so two
 * clients cannot lose each other's change.  Bucket ranges are moved from the
 * stored ones, never computed anew: users move one way only.
 *
 * Pool threads; blocks on the database.
 */

#include "base/mg_decimal.h"
#include "job/mg_call_local.h"


typedef struct {
    mg_call_t                 *call;
    mg_pg_t                   *db;
    mg_store_group_change_pt   change;
    const mg_json_t           *json;
    mg_str_t                   model_id;
    uint32_t                   share;
} mg_call_group_t;


static int mg_call_group_change(mg_call_t *c, const char *what,
    mg_store_group_change_pt change, mg_call_group_t *ctx, mg_error_t *e);
static int mg_call_group_checked(void *data, mg_group_t *g, mg_error_t *e);
static int mg_call_group_edit(void *data, mg_group_t *g, mg_error_t *e);
static int mg_call_group_members(void *data, mg_group_t *g, mg_error_t *e);
static int mg_call_group_without(void *data, mg_group_t *g, mg_error_t *e);
static int mg_call_group_promoted(void *data, mg_group_t *g, mg_error_t *e);
static int mg_call_group_restored(void *data, mg_group_t *g, mg_error_t *e);
static void mg_call_group_event_write(mg_jw_t *w,
    const mg_group_event_t *event);
static void mg_call_group_write(mg_jw_t *w, const mg_group_t *g);
static void mg_call_group_answer(mg_call_t *c, const mg_group_t *g);


int
mg_call_group_create(mg_call_t *c, mg_error_t *e)
{
    int               rc;
    mg_pg_t          *db;
    mg_group_t        g;
    const mg_json_t  *json;

    json = mg_call_json(c, e);

    if (json == NULL) {
        return MG_ERROR;
    }

    memset(&g, 0, sizeof(mg_group_t));
    g.org_id = c->who.org_id;

    if (mg_group_parse(json, 0, c->arena, &g, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_group_create(db, &c->who, c->arena, &g, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_created(c, 201, mg_call_address(c, "/api/v1/model-groups/",
                                            g.name, ""));
    mg_call_group_answer(c, &g);

    return MG_OK;
}


int
mg_call_group_list(mg_call_t *c, mg_error_t *e)
{
    int           rc;
    mg_jw_t       w;
    mg_pg_t      *db;
    unsigned      i, n;
    mg_group_t   *groups;
    mg_paging_t   paging;

    if (mg_call_paging(c, &paging, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_group_list(db, c->who.org_id, &paging, c->arena, &groups,
                             &n, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_list_begin(c, &w, "groups");

    for (i = 0; i < n; i++) {
        mg_call_group_write(&w, &groups[i]);
    }

    mg_call_list_end(&w, &paging);

    return MG_OK;
}


int
mg_call_group_get(mg_call_t *c, mg_error_t *e)
{
    int          rc;
    mg_pg_t     *db;
    mg_group_t   g;

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_group_get(db, c->who.org_id, mg_call_path(c, "group"),
                            c->arena, &g, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        mg_call_group_answer(c, &g);
    }

    return rc;
}


int
mg_call_group_patch(mg_call_t *c, mg_error_t *e)
{
    mg_call_group_t  ctx;

    memset(&ctx, 0, sizeof(ctx));
    ctx.json = mg_call_json(c, e);

    if (ctx.json == NULL || mg_call_change(ctx.json, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_call_group_change(c, "updated", mg_call_group_edit, &ctx, e);
}


int
mg_call_group_delete(mg_call_t *c, mg_error_t *e)
{
    int       rc;
    mg_pg_t  *db;

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_group_delete(db, &c->who, mg_call_path(c, "group"),
                               c->expect, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        c->status = 204;
    }

    return rc;
}


int
mg_call_group_assign(mg_call_t *c, mg_error_t *e)
{
    mg_call_group_t  ctx;

    memset(&ctx, 0, sizeof(ctx));
    ctx.json = mg_call_json(c, e);

    if (ctx.json == NULL) {
        return MG_ERROR;
    }

    return mg_call_group_change(c, "members_assigned", mg_call_group_members,
                                &ctx, e);
}


int
mg_call_group_remove(mg_call_t *c, mg_error_t *e)
{
    mg_call_group_t  ctx;

    memset(&ctx, 0, sizeof(ctx));
    ctx.model_id = mg_call_path(c, "id");

    if (mg_call_group_change(c, "member_removed", mg_call_group_without, &ctx,
                             e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    c->out.len = 0;
    c->version = 0;
    c->status = 204;

    return MG_OK;
}


int
mg_call_group_promote(mg_call_t *c, mg_error_t *e)
{
    mg_call_group_t  ctx;

    memset(&ctx, 0, sizeof(ctx));

    if (c->body.len) {
        ctx.json = mg_call_json(c, e);

        if (ctx.json == NULL) {
            return MG_ERROR;
        }
    }

    if (mg_group_promotion_parse(ctx.json, c->arena, &ctx.model_id,
                                 &ctx.share, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_call_group_change(c, MG_GROUP_PROMOTED, mg_call_group_promoted,
                                &ctx, e);
}


int
mg_call_group_rollback(mg_call_t *c, mg_error_t *e)
{
    mg_call_group_t  ctx;

    memset(&ctx, 0, sizeof(ctx));

    return mg_call_group_change(c, MG_GROUP_ROLLED_BACK,
                                mg_call_group_restored, &ctx, e);
}


/* Who changed what: the audit trail of a group, newest first. */

int
mg_call_group_events(mg_call_t *c, mg_error_t *e)
{
    int                rc;
    mg_jw_t            w;
    mg_pg_t           *db;
    unsigned           i, n;
    mg_paging_t        paging;
    mg_group_event_t  *events;

    if (mg_call_paging(c, &paging, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_store_group_events(db, c->who.org_id, mg_call_path(c, "group"),
                               &paging, c->arena, &events, &n, e);
    mg_pg_release(db);

    if (rc != MG_OK) {
        return MG_ERROR;
    }

    mg_call_list_begin(c, &w, "events");

    for (i = 0; i < n; i++) {
        mg_call_group_event_write(&w, &events[i]);
    }

    mg_call_list_end(&w, &paging);

    return MG_OK;
}


static int
mg_call_group_change(mg_call_t *c, const char *what,
    mg_store_group_change_pt change, mg_call_group_t *ctx, mg_error_t *e)
{
    int          rc;
    mg_pg_t     *db;
    mg_group_t   g;

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    ctx->call = c;
    ctx->db = db;
    ctx->change = change;

    rc = mg_store_group_change(db, &c->who, mg_call_path(c, "group"), what,
                               c->expect, mg_call_group_checked, ctx,
                               c->arena, &g, e);
    mg_pg_release(db);

    if (rc == MG_OK) {
        mg_call_group_answer(c, &g);
    }

    return rc;
}


/* -- changes, under the row's lock -- */

static int
mg_call_group_checked(void *data, mg_group_t *g, mg_error_t *e)
{
    mg_call_group_t  *ctx;

    ctx = data;

    if (ctx->change(ctx, g, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_group_check(g, ctx->change == mg_call_group_members
                             ? MG_E_INVALID : MG_E_CONFLICT, e);
}


static int
mg_call_group_edit(void *data, mg_group_t *g, mg_error_t *e)
{
    mg_call_group_t  *ctx;

    ctx = data;

    if (mg_group_parse(ctx->json, 1, ctx->call->arena, g, e) != MG_OK) {
        return MG_ERROR;
    }

    if (mg_json_get(ctx->json, "traffic_config") == NULL
        && mg_json_get(ctx->json, "strategy") == NULL)
    {
        return MG_OK;
    }

    return mg_group_check_canary(g, ctx->call->arena, e);
}


static int
mg_call_group_members(void *data, mg_group_t *g, mg_error_t *e)
{
    mg_group_t        next;
    mg_call_group_t  *ctx;

    ctx = data;
    memset(&next, 0, sizeof(mg_group_t));

    if (mg_group_members_parse(ctx->json, ctx->call->arena, &next, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_group_move(g, &next, e);
}


static int
mg_call_group_without(void *data, mg_group_t *g, mg_error_t *e)
{
    mg_call_group_t  *ctx;

    ctx = data;

    return mg_group_remove(g, ctx->model_id, e);
}


static int
mg_call_group_promoted(void *data, mg_group_t *g, mg_error_t *e)
{
    mg_call_group_t  *ctx;

    ctx = data;

    return mg_group_promote(g, ctx->model_id, ctx->share, e);
}


static int
mg_call_group_restored(void *data, mg_group_t *g, mg_error_t *e)
{
    mg_group_t        before;
    mg_call_group_t  *ctx;

    ctx = data;

    if (mg_store_group_before(ctx->db, g, ctx->call->arena, &before, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_group_restore(g, &before, e);
}


/* -- JSON -- */

static void
mg_call_group_answer(mg_call_t *c, const mg_group_t *g)
{
    mg_jw_t  w;

    mg_call_writer(c, &w);
    mg_call_group_write(&w, g);
    c->version = g->version;
}


static void
mg_call_group_write(mg_jw_t *w, const mg_group_t *g)
{
    char                share[48];
    size_t              len;
    unsigned            i;
    const mg_member_t  *m;

    mg_jw_object(w, NULL);
    mg_jw_str(w, "id", g->id);
    mg_jw_str(w, "name", g->name);
    mg_jw_str(w, "description", g->description);
    mg_jw_str(w, "strategy", mg_strategy_names[g->strategy]);
    mg_jw_str(w, "status", mg_group_status_names[g->status]);
    mg_jw_raw(w, "traffic_config", g->traffic_config);
    mg_jw_raw(w, "promotion_rules", g->promotion_rules);
    mg_jw_raw(w, "test_metadata", g->test_metadata);
    mg_jw_raw(w, "canary", g->canary);
    mg_jw_str(w, "inference_table", g->inference_table);
    mg_jw_int(w, "version", g->version);
    mg_call_write_time(w, "created_at", g->created_at);
    mg_call_write_time(w, "updated_at", g->updated_at);

    mg_jw_array(w, "models");

    for (i = 0; i < g->n_members; i++) {
        m = &g->members[i];
        len = mg_decimal_format(m->share, 2, share);

        mg_jw_object(w, NULL);
        mg_jw_str(w, "model_id", m->model_id);
        mg_jw_str(w, "role", mg_member_role_names[m->role]);
        mg_jw_raw(w, "traffic_percentage", mg_str_n(share, len));
        mg_call_write_time(w, "created_at", m->created_at);
        mg_jw_end_object(w);
    }

    mg_jw_end_array(w);
    mg_jw_end_object(w);
}


static void
mg_call_group_event_write(mg_jw_t *w, const mg_group_event_t *event)
{
    mg_jw_object(w, NULL);
    mg_jw_int(w, "id", event->id);
    mg_jw_str(w, "event", event->event);
    mg_jw_int(w, "version", event->version);
    mg_jw_str(w, "group_id", event->group_id);
    mg_jw_str(w, "group_name", event->group_name);
    mg_jw_str(w, "token_id", event->token_id);
    mg_jw_str(w, "token_name", event->token_name);
    mg_jw_str(w, "database_role", event->database_role);
    mg_call_write_time(w, "created_at", event->created_at);
    mg_jw_raw(w, "before", event->before);
    mg_jw_raw(w, "after", event->after);
    mg_jw_end_object(w);
}
