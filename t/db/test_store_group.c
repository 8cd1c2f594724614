/*
 * Groups: if this breaks, a split moves users that it must not move, two
 * operators overwrite each other, a change leaves no trace, or half of a
 * bulk assign is stored.
 */

#include "base/mg_hash.h"
#include "db.h"


static mg_group_t  group;


/* what the API's callbacks do, by the numbers */

typedef struct {
    unsigned          n;
    const char       *model[4];
    mg_member_role_e  role[4];
    uint32_t          share[4];
    int               refuse;
} plan_t;


static int
assign(void *ctx, mg_group_t *g, mg_error_t *e)
{
    plan_t            *p = ctx;
    unsigned           i, j;
    uint32_t           n, share[4];
    mg_split_range_t   out[MG_SPLIT_RANGES_MAX];

    if (p->refuse) {
        return mg_error_set(e, MG_E_FORBIDDEN, "x", "not so");
    }

    for (i = 0; i < g->n_ranges; i++) {
        for (j = 0; j < p->n; j++) {
            if (mg_str_eq(g->members[g->ranges[i].variant].model_id,
                          mg_str_z(p->model[j])))
            {
                break;
            }
        }

        g->ranges[i].variant = j < p->n ? (uint16_t) j : UINT16_MAX;
    }

    g->n_members = p->n;

    for (i = 0; i < p->n; i++) {
        g->members[i].model_id = mg_str_z(p->model[i]);
        g->members[i].role = p->role[i];
        g->members[i].share = p->share[i];
        share[i] = p->share[i];
    }

    if (mg_split_move(g->ranges, g->n_ranges, share, p->n, 0, out, &n, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    memcpy(g->ranges, out, n * sizeof(mg_split_range_t));
    g->n_ranges = n;

    return MG_OK;
}


/* version 0: any */

static int
change(plan_t *p, int64_t version)
{
    mg_expect_t  expect = { { 1000000, version }, 2 };

    return mg_store_group_change(db, &db_actor, mg_str("chat"),
                                 "members_assigned", version ? &expect : NULL,
                                 assign, p, db_arena, &group, &db_error);
}


static void
test_create(void)
{
    int64_t      routing;
    mg_group_t   g;
    mg_paging_t  paging = { 1, 10, 0 };
    mg_group_t  *list;
    unsigned     n;

    routing = db_raised("routing");

    memset(&g, 0, sizeof(g));
    g.name = mg_str("chat");
    g.status = MG_GROUP_ACTIVE;
    g.strategy = MG_STRATEGY_CANARY;
    g.traffic_config = mg_str("{\"sticky\":\"user\"}");

    ok(mg_store_group_create(db, &db_actor, db_arena, &g, &db_error)
       == MG_OK, "created: %s", db_error.message);
    ok(g.id.len == 36 && g.version == 1 && g.created_at > 0, "is filled in");
    is_int(g.inference_table.len, strlen("inference_chat_") + 8,
           "has a table %s", db_z(g.inference_table));
    ok(db_raised("routing") > routing, "raises routing");
    is_int(db_int("select count(*) from pg_inherits "
                  "where inhparent = 'model.%s'::regclass",
                  db_z(g.inference_table)), 10,
           "nine days and the default partition");

    group = g;
    memset(&g, 0, sizeof(g));
    g.name = mg_str("chat");
    ok(mg_store_group_create(db, &db_actor, db_arena, &g, &db_error)
       == MG_ERROR, "the same name again");
    is_int(db_error.kind, MG_E_CONFLICT, "is a conflict");
    is_str(db_error.param, "name", "of the name");

    ok(mg_store_group_get(db, mg_str_null, group.id, db_arena, &g, &db_error)
       == MG_OK, "found by id");
    ok(mg_store_group_get(db, mg_str_null, mg_str("chat"), db_arena, &g,
                          &db_error) == MG_OK, "found by name");
    is_mem(g.salt, 16, group.salt, 16, "the same salt");
    is_int(g.strategy, MG_STRATEGY_CANARY, "strategy");
    is_str(db_z(g.traffic_config), "{\"sticky\": \"user\"}", "JSON");
    ok(mg_store_group_get(db, mg_str_null, mg_str("';drop table x"),
                          db_arena, &g, &db_error) == MG_ERROR
       && db_error.kind == MG_E_NOT_FOUND, "an unknown name");
    ok(mg_store_group_get(db, mg_str("00000000-0000-0000-0000-000000000002"),
                          mg_str("chat"), db_arena, &g, &db_error)
       == MG_ERROR, "another tenant does not see it");

    ok(mg_store_group_list(db, mg_str_null, &paging, db_arena, &list, &n,
                           &db_error) == MG_OK && n == 1
       && paging.total == 1, "listed");
}


static uint32_t
owned(unsigned variant)
{
    unsigned  i;
    uint32_t  n;

    for (i = 0, n = 0; i < group.n_ranges; i++) {
        if (group.ranges[i].variant == variant) {
            n += group.ranges[i].last - group.ranges[i].first + 1u;
        }
    }

    return n;
}


static void
test_members(void)
{
    plan_t      p = { 2, { "demo/a", "demo/b" },
                      { MG_MEMBER_CHAMPION, MG_MEMBER_CHALLENGER },
                      { 9000, 1000 }, 0 };
    mg_group_t  before;

    ok(change(&p, 0) == MG_OK, "assigned: %s", db_error.message);
    is_int(group.version, 2, "version");
    is_int(owned(0), 9000, "the champion's buckets");
    is_int(owned(1), 1000, "the challenger's");
    is_str(db_text("select buckets from model.model_group_memberships "
                   "where model_id = 'demo/b'"), "{[0,1000)}",
           "as ranges in the row");

    p.n = 3;
    p.model[2] = "demo/nobody";
    p.role[2] = MG_MEMBER_SHADOW;
    before = group;
    ok(change(&p, 0) == MG_ERROR, "an unknown model");
    is_int(db_error.kind, MG_E_INVALID, "is invalid");
    is_str(db_error.param, "model_id", "names the member");
    like(db_error.message, "\"demo/nobody\"", "and the value");

    p.model[2] = "demo/c/x:1@y~Z";
    ok(change(&p, before.version + 5) == MG_ERROR, "another version");
    is_int(db_error.kind, MG_E_PRECONDITION, "is not what was expected");
    like(db_error.message, "version 2, not 1000000 or another one of",
         "none of them is");
    p.refuse = 1;
    ok(change(&p, 0) == MG_ERROR && db_error.kind == MG_E_FORBIDDEN,
       "a refusal comes through");
    is_str(db_text("select version from model.model_groups"), "2",
           "and nothing has changed");

    p.refuse = 0;
    p.share[0] = 8750;
    p.share[1] = 1250;
    ok(change(&p, before.version) == MG_OK, "with the right version");
    is_int(group.n_members, 3, "three members");
    is_str(db_z(group.members[2].model_id), "demo/c/x:1@y~Z",
           "in their order");
    is_int(owned(1), 1250, "more buckets for the challenger");
    is_str(db_text("select traffic_percentage from "
                   "model.model_group_memberships where model_id = 'demo/b'"),
           "12.50", "and the percentage");
    ok(group.members[0].created_at == before.members[0].created_at
       && before.members[0].created_at > 0, "members keep their age");

    /* the order of members may change without moving anybody */

    p.n = 2;
    p.model[0] = "demo/a";
    before = group;
    ok(change(&p, 0) == MG_OK, "one leaves");
    is_int(db_int("select count(*) from model.model_group_memberships"), 2,
           "its row is gone");
}


/* What the database checks, whoever writes. */

static void
test_rules(void)
{
    plan_t      p = { 2, { "demo/a", "demo/b" },
                      { MG_MEMBER_CHALLENGER, MG_MEMBER_CHALLENGER },
                      { 9000, 1000 }, 0 };
    int64_t     routing;
    mg_group_t  g;

    ok(change(&p, 0) == MG_ERROR, "no champion");
    is_int(db_error.kind, MG_E_INVALID, "is invalid");
    like(db_error.message, "champion", "and says so");

    ok(db_refused("update model.model_group_memberships "
                  "set traffic_percentage = 50 where role = 'challenger'",
                  "23514"), "percentages that do not add up");
    like(db_error.message, "137.5", "name the sum");
    ok(db_refused("update model.model_group_memberships "
                  "set traffic_percentage = 101", "23514"),
       "more than 100 percent");
    ok(db_refused("delete from model.models_metadata where id = 'demo/a'",
                  "23503"), "a member's model stays");

    /* a change by psql: percentages move buckets, as few as needed */

    routing = db_raised("routing");
    ok(db_run("update model.model_group_memberships set traffic_percentage "
              "= case role when 'champion' then 80 else 20 end"),
       "a change by psql");
    is_int(db_raised("routing"), routing + 1, "is one generation");
    ok(mg_store_group_get(db, mg_str_null, mg_str("chat"), db_arena, &group,
                          &db_error) == MG_OK, "read");
    is_int(owned(0), 8000, "the champion owns less");
    is_int(owned(1), 2000, "the challenger more");
    is_int(group.ranges[0].variant, 1, "beginning where it was");
    is_int(mg_split_variant(group.ranges, group.n_ranges, 1249), 1,
           "who was the challenger's stays");

    db_run("update model.model_group_memberships set buckets = '{}'");
    ok(mg_store_group_get(db, mg_str_null, mg_str("chat"), db_arena, &g,
                          &db_error) == MG_OK, "lost buckets");
    is_int(g.n_ranges, 2, "are dealt anew");
}


static void
test_events(void)
{
    mg_group_t  g;

    is_str(db_text("select string_agg(event || version, ' ' order by id) "
                   "from model.model_group_events"),
           "created1 members_assigned2 members_assigned3 members_assigned4 "
           "updated5 updated6", "each change has its event");
    is_int(db_int("select count(*) from model.model_group_events "
                  "where (version > 4) <> (database_role is not null "
                  "and database_role = session_user)"), 0,
           "those by psql say so");
    is_str(db_text("select before #>> '{members,1,traffic_percentage}' "
                   "|| ' ' || (after #>> '{members,1,traffic_percentage}') "
                   "|| ' ' || (after ? 'salt') "
                   "from model.model_group_events where version = 3"),
           "10.00 12.50 false", "before and after, without the salt");

    ok(mg_store_group_delete(db, &db_actor, mg_str("chat"), NULL, &db_error)
       == MG_OK, "deleted");
    ok(mg_store_group_get(db, mg_str_null, mg_str("chat"), db_arena, &g,
                          &db_error) == MG_ERROR, "is gone");
    ok(mg_store_group_delete(db, &db_actor, mg_str("chat"), NULL, &db_error)
       == MG_ERROR && db_error.kind == MG_E_NOT_FOUND, "deleted once");
    is_int(db_int("select count(*) from pg_class where relkind = 'p' "
                  "and relname like 'inference_chat_%%'"), 1,
           "its inferences stay");
    is_str(db_text("select event || ' ' || (before is not null) || ' ' || "
                   "(after is null) from model.model_group_events "
                   "order by id desc limit 1"), "deleted true true",
           "and the event");

    memset(&g, 0, sizeof(g));
    g.name = mg_str("chat");
    ok(mg_store_group_create(db, &db_actor, db_arena, &g, &db_error)
       == MG_OK, "the name is free again");
}


/* The trail of what is done with SQL, and versions that never come again. */

static void
test_sql(void)
{
    int64_t  n, routing;

#define LAST_EVENT                                                            \
    "select event || ' ' || version || ' ' || (database_role is not null) "   \
    "|| ' ' || (before is null) || ' ' || (after is null) "                   \
    "from model.model_group_events order by id desc limit 1"

    n = db_int("select count(*) from model.model_group_events");

    ok(db_run("do $$ begin insert into model.model_groups (name, salt) "
              "values ('hand', decode(repeat('07', 16), 'hex'));"
              "insert into model.model_group_memberships (group_id, model_id, "
              "role, traffic_percentage) select id, 'demo/a', 'champion', 100 "
              "from model.model_groups where name = 'hand'; end $$"),
       "made by psql");
    is_int(db_int("select count(*) from model.model_group_events"), n + 1,
           "one event for all of a transaction");
    is_str(db_text(LAST_EVENT), "created 1 true true false", "made");
    is_str(db_text("select after #>> '{members,0,model_id}' "
                   "from model.model_group_events order by id desc limit 1"),
           "demo/a", "with its member");

    routing = db_raised("routing");
    db_run("set timezone = 'Asia/Tokyo'");
    ok(db_run("do $$ begin update model.model_groups set description = 'x' "
              "where name = 'hand'; update model.model_groups set "
              "description = null where name = 'hand'; end $$"),
       "there and back, far away");
    is_str(db_text("select version from model.model_groups "
                   "where name = 'hand'"), "1", "is no change");
    db_run("reset timezone");
    is_int(db_raised("routing"), routing + 2, "though nodes have to look");

    ok(db_run("do $$ begin update model.model_groups set status = 'active' "
              "where name = 'hand'; "
              "update model.model_group_memberships set model_id = 'demo/b' "
              "where group_id = (select id from model.model_groups "
              "where name = 'hand'); end $$"), "two tables");
    is_str(db_text(LAST_EVENT), "updated 2 true false false", "one event");
    is_int(db_int("select version from model.model_groups "
                  "where name = 'hand'"), 2, "one version");

    ok(db_run("update model.model_groups set inference_table = 'x' "
              "where name = 'hand'"), "what comes by itself");
    is_int(db_int("select version from model.model_groups "
                  "where name = 'hand'"), 2, "is no change");

    ok(db_run("update model.model_groups set name = 'chatter' "
              "where name = 'chat'"), "renamed");
    is_int(db_int("select count(*) from model.model_groups g "
                  "where name = 'chatter' and version = (select max(version) "
                  "from model.model_group_events where group_id = g.id)"), 1,
           "is another version");
    db_run("update model.model_groups set name = 'chat' "
           "where name = 'chatter'");

    ok(db_run("delete from model.model_groups where name = 'hand'"),
       "deleted by psql");
    is_str(db_text(LAST_EVENT), "deleted 2 true false true", "its event");
    ok(db_run("insert into model.model_groups (name, salt) "
              "values ('hand', decode(repeat('07', 16), 'hex'))"), "again");
    is_str(db_text(LAST_EVENT), "created 3 true true false",
           "its ETags never come again");
    is_int(db_int("select version from model.model_groups "
                  "where name = 'hand'"), 3, "so it says");
    db_run("delete from model.model_groups where name = 'hand'");
}


/* Names that are hard on tables. */

static void
test_tables(void)
{
    unsigned    i;
    mg_group_t  g;

    static const struct {
        const char  *name;
        const char  *table;
    } names[] = {
        { "GPT-4o:mini/EU@x", "inference_gpt_4o_mini_eu_x_" },
        { "a--------------------------------------------------"
          "--------------------------------------------------b",
          "inference_a_b_" },
        { "A123456789012345678901234567890123456789012345678901234567890",
          "inference_a123456789012345678901234567890123456789_" },
        { "0...", "inference_0_" }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        memset(&g, 0, sizeof(g));
        g.name = mg_str_z(names[i].name);

        if (mg_store_group_create(db, &db_actor, db_arena, &g, &db_error)
            != MG_OK)
        {
            fail("%s: %s", names[i].name, db_error.message);
            continue;
        }

        is_mem(g.inference_table.data, g.inference_table.len - 8,
               names[i].table, strlen(names[i].table), "table of %.20s",
               names[i].name);
    }
}


/* The routing snapshot sees it all. */

static void
test_routing(void)
{
    plan_t                 p = { 2, { "demo/a", "demo/b" },
                                 { MG_MEMBER_CHAMPION, MG_MEMBER_CHALLENGER },
                                 { 9000, 1000 }, 0 };
    mg_str_t               image;
    uint8_t                digest[32];
    unsigned               unresolved;
    uint64_t               generation;
    mg_token_row_t         t;
    mg_generations_t       g;
    mg_routing_builder_t  *b;

    ok(change(&p, 0) == MG_OK, "members again");
    db_run("update model.model_groups set status = 'active' "
           "where name = 'chat'");

    mg_sha256(mg_str("secret"), digest);
    ok(mg_store_token_create(db, &db_actor, mg_str("t"), MG_ROLE_INFERENCE, 0,
                             digest, db_arena, &t, &db_error) == MG_OK,
       "a token");

    ok(mg_store_generations(db, &g, &db_error) == MG_OK, "generations");
    ok(mg_store_routing_read(db, &b, &generation, &unresolved, &db_error)
       == MG_OK, "routing is read: %s", db_error.message);
    is_uint(generation, g.routing, "at its generation");
    is_int(unresolved, 0, "all names resolve");
    ok(mg_routing_builder_finish(b, &image, &db_error) == MG_OK
       && mg_snap_verify(image, MG_SNAP_ROUTING, &db_error) == MG_OK,
       "and makes a snapshot");
    mg_routing_builder_destroy(b);
}


/* The challenger of "chat" has 10 percent; two nodes, one after the other. */

static void
test_canary(void)
{
    mg_canary_t  c;
    mg_group_t   g;

    is_int(mg_store_canary_next(db, db_arena, &c, &db_error), MG_DECLINED,
           "no schedule runs");

    ok(db_run("update model.model_groups set strategy = 'canary', "
              "traffic_config = '{\"canary\": {\"steps\": ["
              "{\"percentage\": 20, \"minutes\": 5}, "
              "{\"percentage\": 30}]}}' where name = 'chat'"), "a schedule");
    is_int(mg_store_canary_next(db, db_arena, &c, &db_error), MG_OK,
           "begins by itself");
    is_int(c.in_ms, 0, "at once");
    is_int(c.step, 0, "with nothing taken");
    is_str(db_z(c.model_id), "demo/b", "it is the challenger's");

    is_int(mg_store_canary_claim(db, c.group_id, db_arena, &c, &db_error),
           MG_OK, "one node takes the step");
    ok(mg_store_canary_save(db, c.group_id, 1, 1000, 300, db_arena,
                            &db_error) == MG_OK, "for five minutes");
    is_int(mg_store_canary_claim(db, c.group_id, db_arena, &c, &db_error),
           MG_DECLINED, "the other one finds it taken");
    is_int(mg_store_canary_next(db, db_arena, &c, &db_error), MG_OK,
           "the next one");
    ok(c.in_ms > 200000 && c.in_ms <= 300000, "is in %lld ms",
       (long long) c.in_ms);
    is_int(c.step, 1, "one step is taken");

    ok(mg_store_canary_fail(db, c.group_id, mg_str("early"), 0, db_arena,
                            &db_error) == MG_OK, "what is not due");
    is_str(db_text("select state from model.model_group_canaries"),
           "running", "does not fail");

    db_run("update model.model_group_canaries set next_at = now()");
    ok(mg_store_canary_fail(db, c.group_id, mg_str("a lock"), 30, db_arena,
                            &db_error) == MG_OK, "put off");
    is_int(mg_store_canary_next(db, db_arena, &c, &db_error), MG_OK, "still");
    ok(c.in_ms > 10000 && c.in_ms <= 30000, "for half a minute");
    ok(mg_store_group_get(db, mg_str_null, mg_str("chat"), db_arena, &g,
                          &db_error) == MG_OK, "the group");
    like(db_z(g.canary), "\"reason\" : \"a lock\"", "says why");

    db_run("update model.model_group_canaries set next_at = now()");
    ok(mg_store_canary_fail(db, c.group_id, mg_str("gone"), 0, db_arena,
                            &db_error) == MG_OK, "given up");
    is_int(mg_store_canary_next(db, db_arena, &c, &db_error), MG_DECLINED,
           "it does not run");
    is_str(db_text("select state || ' ' || reason "
                   "from model.model_group_canaries"), "ended gone",
           "and says why");
}


int
main(void)
{
    db_start();
    db_provider("demo");
    db_model("demo", "a");
    db_model("demo", "b");
    db_model("demo", "c/x:1@y~Z");
    test_create();
    test_members();
    test_rules();
    test_events();
    test_sql();
    test_tables();
    test_routing();
    test_canary();

    return db_done();
}
