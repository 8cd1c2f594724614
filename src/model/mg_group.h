/*
 * mg_group.h: a model group, its members, and the rules between them.
 *
 * A group is a name that clients send as "model"; its members are models
 * with a role and a share.  Rules: exactly one champion as soon as there
 * are members, shares of champion and challengers add up to 100 (two
 * decimals, so 10,000 buckets), a model stands once in a group, shadow and
 * fallback hold no share of the split.  The strategy may narrow that down:
 *
 *     champion_challenger, canary, weighted    any number of challengers
 *     ab_test                                  exactly one
 *     shadow                                   none
 *
 * Plain data; strings belong to an arena; any thread.
 */

#ifndef MG_GROUP_H
#define MG_GROUP_H

#include "base/mg_json.h"
#include "model/mg_body.h"
#include "model/mg_policy.h"
#include "model/mg_split.h"


#define MG_GROUP_NAME_MAX       128
#define MG_GROUP_MEMBERS_MAX    MG_SPLIT_VARIANTS_MAX


typedef enum {
    MG_MEMBER_CHAMPION = 0,
    MG_MEMBER_CHALLENGER,
    MG_MEMBER_SHADOW,
    MG_MEMBER_FALLBACK,
    MG_MEMBER_N
} mg_member_role_e;

extern const mg_str_t  mg_member_role_names[MG_MEMBER_N];


typedef enum {
    MG_STRATEGY_CHAMPION_CHALLENGER = 0,
    MG_STRATEGY_AB_TEST,
    MG_STRATEGY_CANARY,
    MG_STRATEGY_SHADOW,
    MG_STRATEGY_WEIGHTED,
    MG_STRATEGY_N
} mg_strategy_e;

extern const mg_str_t  mg_strategy_names[MG_STRATEGY_N];


typedef enum {
    MG_GROUP_DRAFT = 0,
    MG_GROUP_ACTIVE,
    MG_GROUP_PAUSED,
    MG_GROUP_ARCHIVED,
    MG_GROUP_N
} mg_group_status_e;

extern const mg_str_t  mg_group_status_names[MG_GROUP_N];


typedef struct {
    mg_str_t            model_id;       /* provider/model */
    mg_member_role_e    role;
    uint32_t            share;          /* hundredths of a percent */
    int64_t             created_at;
} mg_member_t;


typedef struct {
    mg_str_t            id;             /* UUID text */
    mg_str_t            org_id;
    mg_str_t            name;
    mg_str_t            description;
    mg_strategy_e       strategy;
    mg_group_status_e   status;
    mg_str_t            traffic_config;     /* JSON object text or absent */
    mg_str_t            promotion_rules;
    mg_str_t            test_metadata;
    mg_str_t            inference_table;
    mg_str_t            canary;             /* JSON object: how far its
                                               schedule is; never written */
    uint8_t             salt[MG_SPLIT_SALT_LEN];
    int64_t             version;            /* for optimistic locking */
    int64_t             created_at;
    int64_t             updated_at;
    uint32_t            n_members;
    mg_member_t         members[MG_GROUP_MEMBERS_MAX];
    uint32_t            n_ranges;           /* variant = index of members */
    mg_split_range_t    ranges[MG_SPLIT_RANGES_MAX];
} mg_group_t;


/*
 * [A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}, no UUID, and such as an address can
 * hold: no slash is followed by another one, by the end, or by . or .. alone.
 */
int mg_group_name_ok(mg_str_t name);

/*
 * API bodies.  POST needs "name"; PATCH (patch != 0) changes what it names.
 * An unknown member, a wrong type or a bad value is an error that names it.
 */
int mg_group_parse(const mg_json_t *json, int patch, mg_arena_t *a,
    mg_group_t *g, mg_error_t *e);

/*
 * The body of a bulk assign: an array (or {"models": [...]}) of {model_id,
 * role, traffic_percentage}.  Fills members and n_members and checks the
 * rules above.
 */
int mg_group_members_parse(const mg_json_t *json, mg_arena_t *a,
    mg_group_t *g, mg_error_t *e);

/* May a group go from one status to the other?  The same one: yes. */
int mg_group_status_may(mg_group_status_e from, mg_group_status_e to);


/* -- rules of the strategies (mg_group_rule.c) -- */

/*
 * Whether the members are such as the strategy takes: to be asked after each
 * change of either.  kind: MG_E_INVALID if the members were sent,
 * MG_E_CONFLICT if they were there.
 */
int mg_group_check(const mg_group_t *g, mg_error_kind_e kind, mg_error_t *e);

/*
 * Whether the schedule of traffic_config, if there is one, can be carried
 * out with these members: it names one challenger, who can be given each of
 * its shares.  For changes that say something of either; without members all
 * is well.  MG_E_INVALID.
 */
int mg_group_check_canary(const mg_group_t *g, mg_arena_t *a, mg_error_t *e);


/* -- changes of the members (mg_group_change.c) -- */

/* Index of a member; n_members if there is none. */
unsigned mg_group_find(const mg_group_t *g, mg_str_t model_id);
unsigned mg_group_champion(const mg_group_t *g);

/*
 * Puts the members of next into g; g's ranges are moved to their shares and
 * never computed anew, so users move one way only.  next is used up.
 */
int mg_group_move(mg_group_t *g, mg_group_t *next, mg_error_t *e);

/*
 * Without one member: its share goes to the champion, who may not leave
 * while others stay (MG_E_CONFLICT).
 */
int mg_group_remove(mg_group_t *g, mg_str_t model_id, mg_error_t *e);

/*
 * A challenger becomes the champion and the champion a challenger.
 * model_id {NULL, 0}: the only challenger.  share: of the new champion
 * afterwards, taken from the old one or given to him, who keeps the rest of
 * what both had; MG_GROUP_SWAP: they swap shares, or keep them where the
 * challenger has more.
 */
#define MG_GROUP_SWAP   UINT32_MAX

int mg_group_promote(mg_group_t *g, mg_str_t model_id, uint32_t share,
    mg_error_t *e);

/* The body of a promotion: {"model_id", "traffic_percentage"}, both may be
 * left out. */
int mg_group_promotion_parse(const mg_json_t *json, mg_arena_t *a,
    mg_str_t *model_id, uint32_t *share, mg_error_t *e);

/*
 * Gives a challenger a share, taken from the champion or given back to him.
 * MG_E_CONFLICT if it is no challenger, or if both have less.
 */
int mg_group_give(mg_group_t *g, mg_str_t model_id, uint32_t share,
    mg_error_t *e);

/*
 * Back to the roles, shares and ranges that g's members had in before, who
 * must be the same ones (MG_E_CONFLICT).
 */
int mg_group_restore(mg_group_t *g, const mg_group_t *before, mg_error_t *e);


/* "12.5" or 12.5 -> 1250; MG_ERROR if not within 0..100 or too fine. */
int mg_group_share_parse(const mg_json_t *v, uint32_t *share);

/* [uint32_t] the same as a reader for the tables of mg_body.h. */
int mg_group_share_read(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);


#endif /* MG_GROUP_H */
