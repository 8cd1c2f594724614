/*
 * What happens to a group's members after they were assigned.
 *
 * If this breaks, a promotion moves users who need not move, loses a share,
 * leaves two champions, or cannot be taken back to where everybody was.
 * Every bucket of a small group is looked at before and after.
 */

#include <stdio.h>
#include <stdlib.h>

#include "model/mg_group.h"
#include "tap.h"


static void
add(mg_group_t *g, const char *model, mg_member_role_e role, uint32_t share)
{
    mg_member_t  *m;

    m = &g->members[g->n_members++];
    memset(m, 0, sizeof(mg_member_t));
    m->model_id = mg_str_z(model);
    m->role = role;
    m->share = share;
}


/* champion a 80, challengers b 15 and c 5, fallback d */

static void
make(mg_group_t *g)
{
    mg_group_t  next;
    mg_error_t  e;

    memset(g, 0, sizeof(mg_group_t));
    memset(&next, 0, sizeof(mg_group_t));

    add(&next, "x/a", MG_MEMBER_CHAMPION, 8000);
    add(&next, "x/b", MG_MEMBER_CHALLENGER, 1500);
    add(&next, "x/c", MG_MEMBER_CHALLENGER, 500);
    add(&next, "x/d", MG_MEMBER_FALLBACK, 0);

    ok(mg_group_move(g, &next, &e) == MG_OK, "members");
}


/* Whose is bucket b, as a letter. */

static char
owner(const mg_group_t *g, uint32_t b)
{
    return g->members[mg_split_variant(g->ranges, g->n_ranges, b)]
           .model_id.data[2];
}


static uint32_t
owned(const mg_group_t *g, char who)
{
    uint32_t  b, n;

    for (b = 0, n = 0; b < MG_SPLIT_BUCKETS; b++) {
        n += (owner(g, b) == who);
    }

    return n;
}


/* Buckets whose owner differs. */

static uint32_t
moved(const mg_group_t *one, const mg_group_t *two)
{
    uint32_t  b, n;

    for (b = 0, n = 0; b < MG_SPLIT_BUCKETS; b++) {
        n += (owner(one, b) != owner(two, b));
    }

    return n;
}


static unsigned
champions(const mg_group_t *g)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < g->n_members; i++) {
        n += (g->members[i].role == MG_MEMBER_CHAMPION);
    }

    return n;
}


static void
test_swap(void)
{
    mg_error_t  e;
    mg_group_t  g, before;

    make(&g);
    before = g;

    ok(mg_group_promote(&g, mg_str("x/b"), MG_GROUP_SWAP, &e) == MG_OK,
       "promoted");
    is_int(champions(&g), 1, "one champion");
    is_int(mg_group_champion(&g), 1, "is the one that was named");
    is_int(g.members[0].role, MG_MEMBER_CHALLENGER, "the old one challenges");
    is_int(owned(&g, 'a'), 1500, "with the share of the new one");
    is_int(owned(&g, 'b'), 8000, "who has the old one's");
    is_int(owned(&g, 'c'), 500, "nobody else is touched");
    is_int(moved(&before, &g), 6500, "only those move who must");

    ok(mg_group_restore(&g, &before, &e) == MG_OK, "rolled back");
    is_int(mg_group_champion(&g), 0, "the old champion");
    is_int(moved(&before, &g), 0, "everybody is where he was");
}


/* A canary that has more than the champion loses nobody. */

static void
test_more(void)
{
    mg_error_t  e;
    mg_group_t  g, before;

    make(&g);
    ok(mg_group_give(&g, mg_str("x/b"), 9500, &e) == MG_OK, "all but c's");
    before = g;

    ok(mg_group_promote(&g, mg_str("x/b"), MG_GROUP_SWAP, &e) == MG_OK,
       "promoted");
    is_int(owned(&g, 'b'), 9500, "it keeps what it has");
    is_int(owned(&g, 'a'), 0, "and the old one the rest");
    is_int(moved(&before, &g), 0, "nobody moves");
}


static void
test_share(void)
{
    mg_error_t  e;
    mg_group_t  g, before;

    make(&g);
    before = g;

    ok(mg_group_promote(&g, mg_str("x/c"), 8500, &e) == MG_OK,
       "all that both have");
    is_int(owned(&g, 'a'), 0, "the old champion gets nobody");
    is_int(owned(&g, 'c'), 8500, "the new one all of his");
    is_int(owned(&g, 'b'), 1500, "the rest stays");
    is_int(moved(&before, &g), 8000, "and nobody moves twice");

    make(&g);
    ok(mg_group_promote(&g, mg_str("x/c"), 8501, &e) == MG_ERROR,
       "more than both have");
    is_int(e.kind, MG_E_INVALID, "is invalid");
    like(e.message, "85 percent together", "says how much there is");
}


static void
test_refused(void)
{
    mg_error_t  e;
    mg_group_t  g, before;

    make(&g);
    before = g;

    ok(mg_group_promote(&g, mg_str_null, MG_GROUP_SWAP, &e) == MG_ERROR,
       "of two challengers one must be named");
    is_str(e.param, "model_id", "by model_id");
    is_int(e.kind, MG_E_INVALID, "that is the client's to mend");

    ok(mg_group_promote(&g, mg_str("x/d"), MG_GROUP_SWAP, &e) == MG_ERROR,
       "a fallback");
    is_int(e.kind, MG_E_CONFLICT, "is no challenger");
    ok(mg_group_promote(&g, mg_str("x/a"), MG_GROUP_SWAP, &e) == MG_ERROR,
       "nor is the champion");
    ok(mg_group_promote(&g, mg_str("x/z"), MG_GROUP_SWAP, &e) == MG_ERROR,
       "nor a stranger");
    is_int(moved(&before, &g), 0, "nothing has changed");

    ok(mg_group_remove(&g, mg_str("x/a"), &e) == MG_ERROR,
       "the champion may not leave");
    ok(mg_group_remove(&g, mg_str("x/b"), &e) == MG_OK, "a challenger may");
    is_int(owned(&g, 'a'), 9500, "the champion gets his share");

    ok(mg_group_restore(&g, &before, &e) == MG_ERROR,
       "other members cannot be restored");
    is_int(e.kind, MG_E_CONFLICT, "which contradicts what is there");
    like(e.message, "\"x/b\" has left", "and names who is not there");

    before = g;
    make(&g);

    ok(mg_group_restore(&g, &before, &e) == MG_ERROR, "nor without one");
    like(e.message, "\"x/b\" has joined", "and names who is new");
}


/* What a schedule does, up and down again. */

static void
test_give(void)
{
    char        was;
    uint32_t    b, share, wrong;
    mg_error_t  e;
    mg_group_t  g, before;

    make(&g);

    for (share = 1500; share <= 9500; share += 500) {
        before = g;
        ok(mg_group_give(&g, mg_str("x/b"), share, &e) == MG_OK, "%u",
           share);

        for (b = 0, wrong = 0; b < MG_SPLIT_BUCKETS; b++) {
            was = owner(&before, b);
            wrong += (was != owner(&g, b)
                      && (was != 'a' || owner(&g, b) != 'b'));
        }

        is_int(wrong, 0, "who moves goes from the champion to it");
        is_int(owned(&g, 'b'), share, "it has its share");
        is_int(owned(&g, 'c'), 500, "nobody else is touched");
    }

    is_int(mg_group_champion(&g), 0, "the champion is who he was");
    is_int(owned(&g, 'a'), 0, "with nobody left");

    before = g;
    ok(mg_group_give(&g, mg_str("x/b"), 9501, &e) == MG_ERROR,
       "more than both have");
    is_int(e.kind, MG_E_CONFLICT, "is a conflict");
    like(e.message, "95 percent together", "says what there is");
    ok(mg_group_give(&g, mg_str("x/a"), 1, &e) == MG_ERROR, "the champion");
    ok(mg_group_give(&g, mg_str("x/d"), 1, &e) == MG_ERROR, "a fallback");
    ok(mg_group_give(&g, mg_str("x/y"), 1, &e) == MG_ERROR, "a stranger");
    is_int(moved(&before, &g), 0, "nothing has changed");

    ok(mg_group_give(&g, mg_str("x/b"), 0, &e) == MG_OK, "all of it back");
    is_int(owned(&g, 'a'), 9500, "the champion has it");
}


static void
test_status(void)
{
    static const struct {
        mg_group_status_e   status;
        const char         *patch;
        const char         *message;
    } refused[] = {
        { MG_GROUP_DRAFT, "{\"status\":\"paused\"}",
          "is draft cannot become \"paused\"; it can become active or "
          "archived" },
        { MG_GROUP_ACTIVE, "{\"status\":\"draft\"}", "paused or archived" },
        { MG_GROUP_PAUSED, "{\"status\":\"draft\"}", "active or archived" },
        { MG_GROUP_ARCHIVED, "{\"status\":\"active\"}", "become draft" }
    };

    size_t       i;
    mg_arena_t  *a;
    mg_error_t   e;
    mg_group_t   g;
    mg_json_t   *v;

    a = mg_arena_create(0);

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        make(&g);
        g.status = refused[i].status;
        v = mg_json_parse(a, mg_str_z(refused[i].patch), NULL, &e);
        ok(mg_group_parse(v, 1, a, &g, &e) == MG_ERROR, "%s is refused",
           refused[i].patch);
        is_int(e.kind, MG_E_CONFLICT, "which contradicts what is there");
        like(e.message, refused[i].message, "and says what it can become");
    }

    mg_arena_destroy(a);

    ok(mg_group_status_may(MG_GROUP_DRAFT, MG_GROUP_ACTIVE), "draft begins");
    ok(!mg_group_status_may(MG_GROUP_DRAFT, MG_GROUP_PAUSED),
       "what never ran cannot pause");
    ok(mg_group_status_may(MG_GROUP_PAUSED, MG_GROUP_ACTIVE), "goes on");
    ok(!mg_group_status_may(MG_GROUP_ARCHIVED, MG_GROUP_ACTIVE),
       "what is archived does not answer at once");
    ok(mg_group_status_may(MG_GROUP_ARCHIVED, MG_GROUP_DRAFT),
       "but may become a draft");
    ok(mg_group_status_may(MG_GROUP_ARCHIVED, MG_GROUP_ARCHIVED),
       "the same status is no change");
}


int
main(void)
{
    test_swap();
    test_more();
    test_share();
    test_refused();
    test_give();
    test_status();

    return done_testing();
}
