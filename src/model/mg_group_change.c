/*
 * mg_group_change.c: what happens to the members of a group after they were
 * assigned: one leaves, one is promoted, a promotion is taken back.
 *
 *     promote:   champion A 90, challenger B 10
 *             -> champion B 90, challenger A 10    (or the share that is asked
 *                                                   for: B 100, A 0)
 *
 * Ranges are moved from where they are, so those who had B keep B, and a
 * restored group has the very ranges it had.
 *
 * Pure functions; any thread.
 */

#include <stddef.h>

#include "base/mg_decimal.h"
#include "model/mg_body.h"
#include "model/mg_catalog.h"
#include "model/mg_group.h"


typedef struct {
    mg_str_t   model_id;
    uint32_t   share;
} mg_group_promotion_t;


static int mg_group_same(const mg_group_t *g, const mg_group_t *theirs,
    const char *did, mg_error_t *e);
static unsigned mg_group_challenger(const mg_group_t *g, mg_str_t model_id,
    mg_error_t *e);


static const mg_body_field_t  mg_group_promotion_fields[] = {

    { "model_id", mg_body_string, offsetof(mg_group_promotion_t, model_id),
      0, 3, MG_MODEL_ID_MAX, NULL, 0 },

    { "traffic_percentage", mg_group_share_read,
      offsetof(mg_group_promotion_t, share), 0, 0, 100, NULL, 0 },

    { NULL, NULL, 0, 0, 0, 0, NULL, 0 }
};


unsigned
mg_group_find(const mg_group_t *g, mg_str_t model_id)
{
    unsigned  i;

    for (i = 0; i < g->n_members; i++) {
        if (mg_str_eq(g->members[i].model_id, model_id)) {
            break;
        }
    }

    return i;
}


unsigned
mg_group_champion(const mg_group_t *g)
{
    unsigned  i;

    for (i = 0; i < g->n_members; i++) {
        if (g->members[i].role == MG_MEMBER_CHAMPION) {
            return i;
        }
    }

    return 0;
}


int
mg_group_move(mg_group_t *g, mg_group_t *next, mg_error_t *e)
{
    unsigned          i, at;
    uint32_t          shares[MG_GROUP_MEMBERS_MAX], n_ranges;
    uint16_t          index[MG_GROUP_MEMBERS_MAX];
    mg_split_range_t  ranges[MG_SPLIT_RANGES_MAX];

    for (i = 0; i < g->n_members; i++) {
        at = mg_group_find(next, g->members[i].model_id);

        if (at == next->n_members) {
            index[i] = UINT16_MAX;
            continue;
        }

        index[i] = (uint16_t) at;
        next->members[at].created_at = g->members[i].created_at;
    }

    for (i = 0; i < g->n_ranges; i++) {
        if (g->ranges[i].variant < g->n_members) {
            g->ranges[i].variant = index[g->ranges[i].variant];

        } else {
            g->ranges[i].variant = UINT16_MAX;
        }
    }

    for (i = 0; i < next->n_members; i++) {
        shares[i] = next->members[i].share;
    }

    if (mg_split_move(g->ranges, g->n_ranges, shares, next->n_members,
                      mg_group_champion(next), ranges, &n_ranges, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    memcpy(g->ranges, ranges, n_ranges * sizeof(mg_split_range_t));
    g->n_ranges = n_ranges;

    memcpy(g->members, next->members,
           next->n_members * sizeof(mg_member_t));
    g->n_members = next->n_members;

    return MG_OK;
}


int
mg_group_remove(mg_group_t *g, mg_str_t model_id, mg_error_t *e)
{
    unsigned      i, gone, champion;
    mg_group_t    next;
    mg_member_t  *m;

    gone = mg_group_find(g, model_id);

    if (gone == g->n_members) {
        return mg_error_set(e, MG_E_NOT_FOUND, "id",
                            "there is no model \"%.*s\" in this group",
                            MG_BODY_CUT(model_id));
    }

    if (g->n_members == 1) {
        g->n_members = 0;
        g->n_ranges = 0;
        return MG_OK;
    }

    m = &g->members[gone];

    if (m->role == MG_MEMBER_CHAMPION) {
        return mg_error_set(e, MG_E_CONFLICT, "id",
                            "\"%.*s\" is the champion; assign another one "
                            "before it leaves the group",
                            MG_BODY_CUT(model_id));
    }

    champion = mg_group_champion(g);
    memset(&next, 0, sizeof(mg_group_t));

    for (i = 0; i < g->n_members; i++) {
        if (i == gone) {
            continue;
        }

        next.members[next.n_members] = g->members[i];

        if (i == champion) {
            next.members[next.n_members].share += m->share;
        }

        next.n_members++;
    }

    return mg_group_move(g, &next, e);
}


/* -- promotion -- */

int
mg_group_promotion_parse(const mg_json_t *json, mg_arena_t *a,
    mg_str_t *model_id, uint32_t *share, mg_error_t *e)
{
    mg_group_promotion_t  p;

    p.model_id = mg_str_null;
    p.share = MG_GROUP_SWAP;

    if (json
        && mg_body_parse(json, mg_group_promotion_fields, 0, a, &p, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    *model_id = p.model_id;
    *share = p.share;

    return MG_OK;
}


int
mg_group_promote(mg_group_t *g, mg_str_t model_id, uint32_t share,
    mg_error_t *e)
{
    char          text[48];
    uint32_t      both;
    unsigned      old, new;
    mg_group_t    next;
    mg_member_t  *champion, *challenger;

    old = mg_group_champion(g);
    new = mg_group_challenger(g, model_id, e);

    if (new == g->n_members) {
        return MG_ERROR;
    }

    next = *g;
    champion = &next.members[old];
    challenger = &next.members[new];
    both = champion->share + challenger->share;

    if (share == MG_GROUP_SWAP) {

        /* a canary may have more than its champion, and keeps that */

        share = champion->share > challenger->share ? champion->share
                                                    : challenger->share;
    }

    if (share > both) {
        mg_decimal_format(both, 2, text);
        return mg_error_set(e, MG_E_INVALID, "traffic_percentage",
                            "champion and challenger have %s percent "
                            "together; other members have the rest, so give "
                            "at most that", text);
    }

    champion->role = MG_MEMBER_CHALLENGER;
    champion->share = both - share;
    challenger->role = MG_MEMBER_CHAMPION;
    challenger->share = share;

    return mg_group_move(g, &next, e);
}


int
mg_group_give(mg_group_t *g, mg_str_t model_id, uint32_t share,
    mg_error_t *e)
{
    char          text[48];
    uint32_t      both;
    unsigned      i;
    mg_group_t    next;
    mg_member_t  *champion, *challenger;

    i = mg_group_find(g, model_id);

    if (i == g->n_members || g->members[i].role != MG_MEMBER_CHALLENGER) {
        return mg_error_set(e, MG_E_CONFLICT, "model_id",
                            "\"%.*s\" is no challenger of this group",
                            MG_BODY_CUT(model_id));
    }

    next = *g;
    challenger = &next.members[i];
    champion = &next.members[mg_group_champion(g)];
    both = champion->share + challenger->share;

    if (share > both) {
        mg_decimal_format(both, 2, text);
        return mg_error_set(e, MG_E_CONFLICT, "traffic_percentage",
                            "champion and \"%.*s\" have %s percent "
                            "together, and other members the rest",
                            MG_BODY_CUT(model_id), text);
    }

    challenger->share = share;
    champion->share = both - share;

    return mg_group_move(g, &next, e);
}


/* Index of the challenger that is meant; n_members and *e if none is. */

static unsigned
mg_group_challenger(const mg_group_t *g, mg_str_t model_id, mg_error_t *e)
{
    unsigned  i, n, found;

    if (model_id.data) {
        found = mg_group_find(g, model_id);

        if (found < g->n_members
            && g->members[found].role == MG_MEMBER_CHALLENGER)
        {
            return found;
        }

        (void) mg_error_set(e, MG_E_CONFLICT, "model_id",
                            "\"%.*s\" is no challenger of this group; only "
                            "one that is can be promoted",
                            MG_BODY_CUT(model_id));
        return g->n_members;
    }

    n = 0;
    found = g->n_members;

    for (i = 0; i < g->n_members; i++) {
        if (g->members[i].role == MG_MEMBER_CHALLENGER) {
            found = i;
            n++;
        }
    }

    if (n != 1) {
        (void) mg_error_set(e, n ? MG_E_INVALID : MG_E_CONFLICT, "model_id",
                            "the group has %u challengers; %s", n,
                            n ? "name one in \"model_id\""
                              : "assign one before it can be promoted");
        return g->n_members;
    }

    return found;
}


int
mg_group_restore(mg_group_t *g, const mg_group_t *before, mg_error_t *e)
{
    unsigned            i;
    mg_group_t          next;
    const mg_member_t  *was;

    if (mg_group_same(g, before, "left", e) != MG_OK
        || mg_group_same(before, g, "joined", e) != MG_OK)
    {
        return MG_ERROR;
    }

    next = *g;

    for (i = 0; i < before->n_members; i++) {
        was = &before->members[i];
        next.members[i] = g->members[mg_group_find(g, was->model_id)];
        next.members[i].role = was->role;
        next.members[i].share = was->share;
    }

    memcpy(next.ranges, before->ranges,
           before->n_ranges * sizeof(mg_split_range_t));
    next.n_ranges = before->n_ranges;

    *g = next;

    return MG_OK;
}


/* All members of theirs are in g; else *e says that one has left or joined. */

static int
mg_group_same(const mg_group_t *g, const mg_group_t *theirs, const char *did,
    mg_error_t *e)
{
    unsigned  i;

    for (i = 0; i < theirs->n_members; i++) {
        if (mg_group_find(g, theirs->members[i].model_id) == g->n_members) {
            return mg_error_set(e, MG_E_CONFLICT, NULL,
                                "\"%.*s\" has %s the group since the "
                                "promotion; assign the members as they shall "
                                "be",
                                MG_BODY_CUT(theirs->members[i].model_id),
                                did);
        }
    }

    return MG_OK;
}
