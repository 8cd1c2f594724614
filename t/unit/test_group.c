/*
 * If this breaks, a group that cannot work gets into the database: shares
 * that do not add up, two champions, a model twice; or a name that breaks a
 * header, a log line or an address; or a client is refused without learning
 * which member was wrong.
 */

#include <stdio.h>
#include <stdlib.h>

#include "model/mg_group.h"
#include "tap.h"


typedef struct {
    const char  *json;
    const char  *param;      /* NULL: it is taken */
    const char  *message;
} case_t;


static const case_t  groups[] = {
    { "{\"name\":\"chat\"}", NULL, NULL },
    { "{\"name\":\"team/chat:v1@eu\",\"description\":null}", NULL, NULL },
    { "{\"name\":\"a\",\"description\":\"two\\nlines\"}", NULL, NULL },
    { "{\"name\":\"a\",\"strategy\":\"canary\",\"status\":\"draft\","
      "\"traffic_config\":{\"shadow\":{\"percentage\":7}},"
      "\"promotion_rules\":{\"any\":[1,2,{\"x\":null}]}}", NULL, NULL },

    { "{}", "name", "name is missing" },
    { "[]", "", "not a JSON object" },
    { "\"chat\"", "", "not a JSON object" },
    { "{\"name\":\"\"}", "name", "name is empty" },
    { "{\"name\":null}", "name", "name is null" },
    { "{\"name\":1}", "name", "name must be a string" },
    { "{\"name\":[\"a\"]}", "name", "name must be a string" },
    { "{\"name\":\"-a\"}", "name", "name \"-a\" is not allowed" },
    { "{\"name\":\"a b\"}", "name", "is not allowed" },
    { "{\"name\":\"a'; drop table model.model_groups; --\"}", "name",
      "is not allowed" },
    { "{\"name\":\"a\\r\\nX-Evil: 1\"}", "name",
      "control character 0x0d at byte 1" },
    { "{\"name\":\"a\\u0000b\"}", "name", "control character 0x00" },
    { "{\"name\":\"a\\u0007\"}", "name", "control character 0x07" },
    { "{\"name\":\"caf\\u00e9\"}", "name", "is not allowed" },
    { "{\"name\":\"00000000-0000-0000-0000-000000000001\"}", "name",
      "do not give a UUID" },
    { "{\"name\":\"a\",\"nmae\":1}", "nmae", "member \"nmae\" is not known" },
    { "{\"name\":\"a\",\"models\":[]}", "models", "known are name" },
    { "{\"name\":\"a\",\"x\\r\\ny\":1}", "x??y", "member \"x??y\"" },
    { "{\"name\":\"a\",\"strategy\":\"roulette\"}", "strategy",
      "\"roulette\" is not known; give one of champion_challenger" },
    { "{\"name\":\"a\",\"strategy\":3}", "strategy", "must be a string" },
    { "{\"name\":\"a\",\"strategy\":null}", "strategy", "is null" },
    { "{\"name\":\"a\",\"status\":\"Active\"}", "status",
      "one of draft, active, paused, archived" },
    { "{\"name\":\"a\",\"description\":5}", "description",
      "must be a string" },
    { "{\"name\":\"a\",\"description\":\"\\u001b[2J\"}", "description",
      "control character 0x1b" },
    { "{\"name\":\"a\",\"traffic_config\":{\"sticky\":1}}",
      "traffic_config.sticky", "known are canary, shadow, records" },
    { "{\"name\":\"a\",\"traffic_config\":{\"canary\":{\"steps\":["
      "{\"percentage\":300}]}}}", "traffic_config.canary.percentage",
      "\"300\" is not between 0 and 100" },
    { "{\"name\":\"a\",\"traffic_config\":[]}", "traffic_config",
      "must be a JSON object" },
    { "{\"name\":\"a\",\"promotion_rules\":{\"a\":\"x\\u0000\"}}",
      "promotion_rules", "U+0000" },
    { "{\"name\":\"a\",\"test_metadata\":{\"k\\u0000\":1}}",
      "test_metadata", "U+0000" },
    { "{\"name\":\"a\",\"test_metadata\":{\"n\":1e999999}}",
      "test_metadata", "too long to be stored" },
    { NULL, NULL, NULL }
};


static const case_t  members[] = {
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":100}]", NULL, NULL },
    { "{\"models\":[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":90},{\"model_id\":\"a/c\","
      "\"role\":\"challenger\",\"traffic_percentage\":\"10\"}]}",
      NULL, NULL },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":87.5},{\"model_id\":\"a/c/d:e\","
      "\"role\":\"challenger\",\"traffic_percentage\":12.50},"
      "{\"model_id\":\"a/s\",\"role\":\"shadow\"},"
      "{\"model_id\":\"a/f\",\"role\":\"fallback\","
      "\"traffic_percentage\":0}]", NULL, NULL },

    { "[]", "models", "0 models were given" },
    { "{}", "models", "must be an array" },
    { "{\"models\":{}}", "models", "must be an array" },
    { "{\"models\":[],\"x\":1}", "models", "whose one member" },
    { "7", "models", "must be an array" },
    { "[1]", "models", "model 1 of the list is not a JSON object" },
    { "[{\"role\":\"champion\",\"traffic_percentage\":100}]", "model_id",
      "model_id is missing" },
    { "[{\"model_id\":\"a/b\",\"traffic_percentage\":100}]", "role",
      "role is missing" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\"}]",
      "traffic_percentage", "of \"a/b\" is missing; a champion needs one" },
    { "[{\"model_id\":\"abc\",\"role\":\"champion\","
      "\"traffic_percentage\":100}]", "model_id", "form provider/model" },
    { "[{\"model_id\":\"A B/c\",\"role\":\"champion\","
      "\"traffic_percentage\":100}]", "model_id", "a provider of a-z" },
    { "[{\"model_id\":\"a/\",\"role\":\"champion\","
      "\"traffic_percentage\":100}]", "model_id", "too short" },
    { "[{\"model_id\":\"abc/\",\"role\":\"champion\","
      "\"traffic_percentage\":100}]", "model_id", "form provider/model" },
    { "[{\"model_id\":\"a/b\",\"role\":\"king\","
      "\"traffic_percentage\":100}]", "role", "\"king\" is not known" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":140}]", "traffic_percentage",
      "traffic_percentage \"140\" is not between 0 and 100" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":-1}]", "traffic_percentage", "\"-1\"" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":99.999}]", "traffic_percentage",
      "two decimals" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":true}]", "traffic_percentage",
      "must be a number" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":\"ten\"}]", "traffic_percentage", "\"ten\"" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":90},{\"model_id\":\"a/c\","
      "\"role\":\"challenger\",\"traffic_percentage\":9.99}]",
      "traffic_percentage", "adds up to \"99.99\"; make it 100" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":50},{\"model_id\":\"a/c\","
      "\"role\":\"champion\",\"traffic_percentage\":50}]", "role",
      "2 champions were given" },
    { "[{\"model_id\":\"a/b\",\"role\":\"challenger\","
      "\"traffic_percentage\":100}]", "role", "0 champions were given" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":90},{\"model_id\":\"a/b\","
      "\"role\":\"challenger\",\"traffic_percentage\":10}]", "model_id",
      "\"a/b\" is given twice" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":90},{\"model_id\":\"a/s\","
      "\"role\":\"shadow\",\"traffic_percentage\":10}]",
      "traffic_percentage", "takes no share" },
    { "[{\"model_id\":\"a/b\",\"role\":\"champion\","
      "\"traffic_percentage\":100,\"weight\":1}]", "weight",
      "\"weight\" is not known" },
    { NULL, NULL, NULL }
};


/* Returns what the reader returned; NULL json nodes end the case. */

static int
parse(mg_arena_t *a, const char *json, int patch, int as_members,
    mg_group_t *g, mg_error_t *e)
{
    mg_json_t  *v;

    v = mg_json_parse(a, mg_str_z(json), NULL, e);

    if (!ok(v != NULL, "JSON: %.60s", json)) {
        diag("%s", e->message);
        return -100;
    }

    if (as_members) {
        return mg_group_members_parse(v, a, g, e);
    }

    return mg_group_parse(v, patch, a, g, e);
}


static void
test_cases(const case_t *c, int as_members)
{
    int          rc;
    mg_arena_t  *a;
    mg_error_t   e;
    mg_group_t   g;

    for ( /* void */ ; c->json; c++) {
        a = mg_arena_create(0);
        memset(&g, 0, sizeof(g));
        memset(&e, 0, sizeof(e));

        rc = parse(a, c->json, 0, as_members, &g, &e);

        if (c->param == NULL) {
            is_int(rc, MG_OK, "taken");

            if (rc != MG_OK) {
                diag("%s", e.message);
            }

        } else {
            is_int(rc, MG_ERROR, "refused");
            is_int(e.kind, MG_E_INVALID, "as invalid");
            is_str(e.param, c->param, "names the member");
            like(e.message, c->message, "says why");
        }

        mg_arena_destroy(a);
    }
}


static void
test_values(void)
{
    mg_arena_t  *a;
    mg_error_t   e;
    mg_group_t   g;

    a = mg_arena_create(0);
    memset(&g, 0, sizeof(g));

    parse(a, "{\"name\":\"chat\",\"traffic_config\":{\"shadow\":{}}}", 0, 0,
          &g, &e);
    is_int(g.strategy, MG_STRATEGY_CHAMPION_CHALLENGER, "default strategy");
    is_int(g.status, MG_GROUP_ACTIVE, "a group is active at once");
    is_mem(g.traffic_config.data, g.traffic_config.len,
           "{\"shadow\":{}}", 13, "an object is kept as text");

    parse(a, "{\"status\":\"paused\"}", 1, 0, &g, &e);
    is_int(g.status, MG_GROUP_PAUSED, "a patch changes what it names");
    is_mem(g.name.data, g.name.len, "chat", 4, "and leaves the rest");

    parse(a, "{\"traffic_config\":null}", 1, 0, &g, &e);
    ok(g.traffic_config.data == NULL, "null takes a value away");

    parse(a, members[2].json, 0, 1, &g, &e);
    is_int(g.n_members, 4, "four members");
    is_int(g.members[0].share, 8750, "87.5 %% are 8,750 buckets");
    is_int(g.members[1].share, 1250, "12.50 %% are 1,250");
    is_int(g.members[1].role, MG_MEMBER_CHALLENGER, "role");
    is_int(g.members[2].share, 0, "a shadow has none");
    is_mem(g.members[1].model_id.data, g.members[1].model_id.len, "a/c/d:e",
           7, "an id may hold more slashes and colons");

    mg_arena_destroy(a);
}


/* Champion a, n challengers, a shadow. */

static void
make(mg_group_t *g, mg_strategy_e strategy, unsigned n, const char *config)
{
    unsigned  i;

    static const char  *models[] = { "x/a", "x/b", "x/c", "x/d" };

    memset(g, 0, sizeof(mg_group_t));
    g->strategy = strategy;
    g->traffic_config = mg_str_z(config);

    for (i = 0; i <= n; i++) {
        g->members[i].model_id = mg_str_z(models[i]);
        g->members[i].role = i ? MG_MEMBER_CHALLENGER : MG_MEMBER_CHAMPION;
        g->members[i].share = i ? 1000 : 10000 - n * 1000;
    }

    g->members[i].model_id = mg_str("x/s");
    g->members[i].role = MG_MEMBER_SHADOW;
    g->n_members = i + 1;
}


static void
test_strategies(void)
{
    unsigned    n, s;
    mg_error_t  e;
    mg_group_t  g;

    /* challengers that a strategy takes, a bit each: 0, 1, 2 */

    static const unsigned  takes[MG_STRATEGY_N] = {
        [MG_STRATEGY_CHAMPION_CHALLENGER] = 7,
        [MG_STRATEGY_AB_TEST] = 2,
        [MG_STRATEGY_CANARY] = 7,
        [MG_STRATEGY_SHADOW] = 1,
        [MG_STRATEGY_WEIGHTED] = 7
    };

    for (s = 0; s < MG_STRATEGY_N; s++) {
        for (n = 0; n < 3; n++) {
            make(&g, (mg_strategy_e) s, n, NULL);
            memset(&e, 0, sizeof(mg_error_t));

            is_int(mg_group_check(&g, MG_E_CONFLICT, &e),
                   (takes[s] & 1u << n) ? MG_OK : MG_ERROR,
                   "%s with %u challengers", mg_strategy_names[s].data, n);

            if (!(takes[s] & 1u << n)) {
                is_int(e.kind, MG_E_CONFLICT, "the kind that was asked for");
                is_str(e.param, "strategy", "names the member");
                like(e.message, mg_strategy_names[s].data, "and the value");
            }
        }

        memset(&g, 0, sizeof(mg_group_t));
        g.strategy = (mg_strategy_e) s;
        is_int(mg_group_check(&g, MG_E_CONFLICT, &e), MG_OK,
               "%s without members", mg_strategy_names[s].data);
    }
}


static void
test_canary(void)
{
    unsigned     i;
    mg_arena_t  *a;
    mg_error_t   e;
    mg_group_t   g;

    static const struct {
        mg_strategy_e   strategy;
        unsigned        challengers;
        const char     *config;
        const char     *param;         /* NULL: it is taken */
        const char     *message;
    } cases[] = {
        { MG_STRATEGY_CANARY, 1, NULL, NULL, NULL },
        { MG_STRATEGY_CANARY, 1, "{\"canary\":{\"steps\":["
          "{\"percentage\":100}]}}", NULL, NULL },
        { MG_STRATEGY_CANARY, 2, "{\"canary\":{\"model_id\":\"x/c\","
          "\"steps\":[{\"percentage\":90}]}}", NULL, NULL },
        { MG_STRATEGY_CANARY, 2, "{\"canary\":{\"model_id\":\"x/c\","
          "\"steps\":[{\"percentage\":90.01}]}}",
          "traffic_config.canary.steps", "90.01 percent, but" },
        { MG_STRATEGY_CANARY, 2, "{\"canary\":{\"steps\":["
          "{\"percentage\":50}]}}", "traffic_config.canary.model_id",
          "2 challengers; name one" },
        { MG_STRATEGY_CANARY, 0, "{\"canary\":{\"steps\":["
          "{\"percentage\":50}]}}", "traffic_config.canary.model_id",
          "0 challengers; assign one" },
        { MG_STRATEGY_CANARY, 1, "{\"canary\":{\"model_id\":\"x/a\","
          "\"steps\":[{\"percentage\":50}]}}",
          "traffic_config.canary.model_id", "\"x/a\" of the canary" },
        { MG_STRATEGY_WEIGHTED, 2, "{\"canary\":{\"steps\":["
          "{\"percentage\":100}]}}", NULL, NULL }
    };

    a = mg_arena_create(0);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make(&g, cases[i].strategy, cases[i].challengers, cases[i].config);
        memset(&e, 0, sizeof(mg_error_t));

        is_int(mg_group_check_canary(&g, a, &e),
               cases[i].param ? MG_ERROR : MG_OK, "schedule %u", i);

        if (cases[i].param) {
            is_str(e.param, cases[i].param, "names the member");
            like(e.message, cases[i].message, "and the reason");
        }
    }

    mg_arena_destroy(a);
}


static void
test_sizes(void)
{
    char        *json;
    size_t       len;
    mg_arena_t  *a;
    mg_error_t   e;
    mg_group_t   g;

    a = mg_arena_create(0);
    json = malloc(200000);
    memset(&g, 0, sizeof(g));

    len = sprintf(json, "{\"name\":\"");
    memset(json + len, 'n', 10240);
    strcpy(json + len + 10240, "\"}");
    is_int(parse(a, json, 0, 0, &g, &e), MG_ERROR, "10 KB are no name");
    like(e.message, "10240 bytes long; at most 128", "says how long it is");

    memset(json + len, 'n', 128);
    strcpy(json + len + 128, "\"}");
    is_int(parse(a, json, 0, 0, &g, &e), MG_OK, "128 bytes are one");

    len = sprintf(json, "{\"name\":\"a\",\"test_metadata\":{\"x\":\"");
    memset(json + len, 'x', 70000);
    strcpy(json + len + 70000, "\"}}");
    is_int(parse(a, json, 0, 0, &g, &e), MG_ERROR, "70 KB of metadata");
    like(e.message, "larger than 65536 bytes", "says the bound");

    len = sprintf(json, "[");

    while (len < 1700) {
        len += sprintf(json + len, "{\"model_id\":\"a/%zu\",\"role\":"
                       "\"challenger\",\"traffic_percentage\":1},", len);
    }

    strcpy(json + len - 1, "]");
    is_int(parse(a, json, 0, 1, &g, &e), MG_ERROR, "more members than fit");
    like(e.message, "a group takes 1 to 16", "says how many do");

    free(json);
    mg_arena_destroy(a);
}


static void
test_names(void)
{
    ok(!mg_group_name_ok(mg_str_null), "no name is no name");
    ok(!mg_group_name_ok(mg_str("a\0b")), "NUL is not hidden by the end");
    ok(!mg_group_name_ok(mg_str("\xff")), "invalid UTF-8");
    ok(mg_group_name_ok(mg_str("7b")), "a digit may come first");
    ok(mg_group_name_ok(mg_str("meta/llama-3:free@x_y.z")), "all that may");
    ok(mg_group_name_ok(mg_str("a/.b/..c/...")), "dots begin a segment");
    ok(!mg_group_name_ok(mg_str("a//b")), "no address keeps two slashes");
    ok(!mg_group_name_ok(mg_str("a/")), "or one at its end");
    ok(!mg_group_name_ok(mg_str("a/./b")), "or a dot");
    ok(!mg_group_name_ok(mg_str("a/..")), "or two");
}


int
main(void)
{
    test_cases(groups, 0);
    test_cases(members, 1);
    test_values();
    test_strategies();
    test_canary();
    test_sizes();
    test_names();

    return done_testing();
}
