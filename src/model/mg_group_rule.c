/*
 * mg_group_rule.c: what a strategy asks of the members of a group.
 *
 * A row says how many challengers a strategy takes.  A schedule asks for
 * more: one challenger who is meant, and shares that he and the champion
 * have together.  The database checks the first table, too, at commit.
 *
 * Pure functions; any thread.
 */

#include "base/mg_decimal.h"
#include "model/mg_body.h"
#include "model/mg_group.h"


typedef struct {
    unsigned      min;              /* challengers */
    unsigned      max;
    const char   *why;
} mg_group_rule_t;


static unsigned mg_group_canary_target(const mg_group_t *g, mg_str_t model_id,
    mg_error_t *e);


static const mg_group_rule_t  mg_group_rules[MG_STRATEGY_N] = {

    [MG_STRATEGY_CHAMPION_CHALLENGER] = { 0, MG_GROUP_MEMBERS_MAX, "" },

    [MG_STRATEGY_AB_TEST] = { 1, 1,
        "compares a champion with exactly one challenger" },

    [MG_STRATEGY_CANARY] = { 0, MG_GROUP_MEMBERS_MAX, "" },

    [MG_STRATEGY_SHADOW] = { 0, 0,
        "has a champion who answers everybody, and no challenger" },

    [MG_STRATEGY_WEIGHTED] = { 0, MG_GROUP_MEMBERS_MAX, "" }
};


int
mg_group_check(const mg_group_t *g, mg_error_kind_e kind, mg_error_t *e)
{
    unsigned                i, n;
    const mg_group_rule_t  *rule;

    if (g->n_members == 0) {
        return MG_OK;
    }

    for (i = 0, n = 0; i < g->n_members; i++) {
        n += (g->members[i].role == MG_MEMBER_CHALLENGER);
    }

    rule = &mg_group_rules[g->strategy];

    if (n >= rule->min && n <= rule->max) {
        return MG_OK;
    }

    return mg_error_set(e, kind, "strategy",
                        "the strategy %.*s %s; there would be %u of those, "
                        "so assign other members or choose another strategy",
                        MG_STR_ARG(mg_strategy_names[g->strategy]),
                        rule->why, n);
}


int
mg_group_check_canary(const mg_group_t *g, mg_arena_t *a, mg_error_t *e)
{
    char         most[48], both[48];
    uint32_t     have, want;
    unsigned     target;
    mg_policy_t  p;

    if (g->strategy != MG_STRATEGY_CANARY || g->n_members == 0
        || mg_policy_parse(g->traffic_config, a, &p, e) != MG_OK
        || p.n_steps == 0)
    {
        return MG_OK;
    }

    target = mg_group_canary_target(g, p.canary_model, e);

    if (target == g->n_members) {
        return MG_ERROR;
    }

    want = p.steps[p.n_steps - 1].share;
    have = g->members[target].share + g->members[mg_group_champion(g)].share;

    if (want <= have) {
        return MG_OK;
    }

    mg_decimal_format(want, 2, most);
    mg_decimal_format(have, 2, both);

    return mg_error_set(e, MG_E_INVALID, "traffic_config.canary.steps",
                        "the canary shall get %s percent, but champion and "
                        "challenger have \"%s\" together; other members have "
                        "the rest", most, both);
}


/* Index of the challenger that the schedule is about, or n_members. */

static unsigned
mg_group_canary_target(const mg_group_t *g, mg_str_t model_id, mg_error_t *e)
{
    unsigned  i, n, found;

    n = 0;
    found = g->n_members;

    for (i = 0; i < g->n_members; i++) {
        if (g->members[i].role == MG_MEMBER_CHALLENGER
            && (model_id.data == NULL
                || mg_str_eq(g->members[i].model_id, model_id)))
        {
            found = i;
            n++;
        }
    }

    if (n == 1) {
        return found;
    }

    if (model_id.data != NULL) {
        (void) mg_error_set(e, MG_E_INVALID, "traffic_config.canary.model_id",
                            "model_id \"%.*s\" of the canary is no "
                            "challenger of the group", MG_BODY_CUT(model_id));

    } else {
        (void) mg_error_set(e, MG_E_INVALID, "traffic_config.canary.model_id",
                            "the canary names no model and the group has %u "
                            "challengers; %s", n,
                            n ? "name one in \"model_id\""
                              : "assign one");
    }

    return g->n_members;
}
