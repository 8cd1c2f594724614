/*
 * If this breaks, a canary stands still or runs ahead of its schedule, two
 * nodes take one step twice, a schedule that cannot go on is tried for ever,
 * or one that the database refused for a moment is given up.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "job/mg_canary.h"
#include "tap.h"


static mg_env_t         env;
static mg_group_t       group;
static mg_error_kind_e  refuses;      /* what the database says to a change */
static int              away;
static int              late;         /* another node has been here */
static unsigned         due;          /* groups with a step to take */
static unsigned         taken_before;
static unsigned         asked, changed, ended, postponed, logged;
static unsigned         saved_step;
static uint32_t         saved_share;
static int64_t          saved_seconds;
static char             reason[640];


/* -- doubles -- */

int
mg_store_canary_next(mg_pg_t *c, mg_arena_t *a, mg_canary_t *canary,
    mg_error_t *e)
{
    (void) c;
    (void) a;

    asked++;

    if (away) {
        return mg_error_set(e, MG_E_UNAVAILABLE, NULL, "nobody answers");
    }

    if (due == 0) {
        return MG_DECLINED;
    }

    memset(canary, 0, sizeof(mg_canary_t));
    canary->group_id = mg_str("g");
    canary->org_id = mg_str("o");
    canary->in_ms = (due == 1) ? 700 : 0;

    return MG_OK;
}


int
mg_store_canary_claim(mg_pg_t *c, mg_str_t group_id, mg_arena_t *a,
    mg_canary_t *canary, mg_error_t *e)
{
    (void) c;
    (void) group_id;
    (void) a;
    (void) e;

    if (late) {
        return MG_DECLINED;
    }

    canary->model_id = mg_str("x/b");
    canary->step = taken_before;

    return MG_OK;
}


int
mg_store_canary_save(mg_pg_t *c, mg_str_t group_id, unsigned step,
    uint32_t share, int64_t seconds, mg_arena_t *a, mg_error_t *e)
{
    (void) c;
    (void) group_id;
    (void) a;
    (void) e;

    saved_step = step;
    saved_share = share;
    saved_seconds = seconds;

    return MG_OK;
}


int
mg_store_canary_fail(mg_pg_t *c, mg_str_t group_id, mg_str_t why,
    int64_t seconds, mg_arena_t *a, mg_error_t *e)
{
    (void) c;
    (void) group_id;
    (void) a;
    (void) e;

    due--;

    if (seconds) {
        postponed++;

    } else {
        ended++;
    }

    (void) snprintf(reason, sizeof(reason), MG_STR_FMT, MG_STR_ARG(why));

    return MG_OK;
}


int
mg_store_group_change(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const char *what, const mg_expect_t *expect,
    mg_store_group_change_pt change, void *ctx, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e)
{
    (void) c;
    (void) ref;
    (void) a;

    is_str(what, "canary_step", "an event of its own");
    ok(who->token_id.data == NULL && expect == NULL, "by nobody");

    if (refuses != MG_E_NONE) {
        return mg_error_set(e, refuses, NULL, "refused");
    }

    *g = group;

    if (change(ctx, g, e) != MG_OK) {
        if (late) {
            due--;
        }

        return MG_ERROR;
    }

    group = *g;
    changed++;
    due--;

    return MG_OK;
}


static void
log_double(mg_log_level_e level, const char *fmt, ...)
{
    (void) level;
    (void) fmt;

    logged++;
}


/* -- the tests -- */

static void
begin(uint32_t share, const char *config)
{
    mg_error_t  e;
    mg_group_t  next;

    memset(&group, 0, sizeof(mg_group_t));
    memset(&next, 0, sizeof(mg_group_t));

    next.n_members = 2;
    next.members[0].model_id = mg_str("x/a");
    next.members[0].role = MG_MEMBER_CHAMPION;
    next.members[0].share = MG_SPLIT_BUCKETS - share;
    next.members[1].model_id = mg_str("x/b");
    next.members[1].role = MG_MEMBER_CHALLENGER;
    next.members[1].share = share;
    (void) mg_group_move(&group, &next, &e);

    group.id = mg_str("g");
    group.traffic_config = mg_str_z(config);

    refuses = MG_E_NONE;
    away = 0;
    late = 0;
    due = 2;
    taken_before = 0;
    asked = changed = ended = postponed = logged = 0;
    saved_step = 0;
    saved_seconds = -1;
}


static int
go(unsigned *taken, int64_t *in_ms)
{
    mg_error_t  e;

    env.log = log_double;

    return mg_canary_round(&env, NULL, taken, in_ms, &e);
}


#define THREE  "{\"canary\":{\"steps\":[{\"percentage\":1,\"minutes\":5},"   \
               "{\"percentage\":20,\"minutes\":1},{\"percentage\":50}]}}"


static void
test_steps(void)
{
    unsigned  taken;
    int64_t   in_ms;

    begin(0, THREE);
    is_int(go(&taken, &in_ms), MG_OK, "a step is due");
    is_int(taken, 1, "taken");
    is_int(in_ms, 700, "the next group's is not");
    is_int(group.members[1].share, 100, "its share");
    is_int(group.members[0].share, 9900, "and the champion's");
    is_int(saved_step, 1, "one step");
    is_int(saved_share, 100, "share");
    is_int(saved_seconds, 300, "for five minutes");

    begin(100, THREE);
    taken_before = 2;
    is_int(go(&taken, &in_ms), MG_OK, "the last one");
    is_int(group.members[1].share, 5000, "its share");
    is_int(saved_step, 3, "three steps");
    is_int(saved_seconds, 0, "it stays");

    begin(2000, THREE);
    is_int(go(&taken, &in_ms), MG_OK, "it has 20 percent already");
    is_int(group.members[1].share, 2000, "which it keeps");
    is_int(saved_step, 2, "the first step is passed over");
    is_int(saved_seconds, 60, "the second one's time");

    begin(7000, THREE);
    is_int(go(&taken, &in_ms), MG_OK, "it has more than all steps give");
    is_int(group.members[1].share, 7000, "nothing is taken away");
    is_int(saved_share, 7000, "and that is noted");
    is_int(saved_seconds, 0, "the schedule is complete");

    begin(0, THREE);
    due = 0;
    is_int(go(&taken, &in_ms), MG_OK, "nothing runs");
    is_int(in_ms, -1, "nothing is to come");
    is_int(asked, 1, "one question");

    begin(0, THREE);
    due = 100;
    is_int(go(&taken, &in_ms), MG_OK, "a crowd");
    ok(taken > 1 && taken < 99, "%u are taken, the rest waits", taken);
}


static void
test_failures(void)
{
    unsigned  taken;
    int64_t   in_ms;

    begin(0, THREE);
    away = 1;
    is_int(go(&taken, &in_ms), MG_ERROR, "the database is away");

    begin(0, THREE);
    refuses = MG_E_UNAVAILABLE;
    is_int(go(&taken, &in_ms), MG_ERROR, "it goes in the middle");
    is_int(ended + postponed, 0, "which is no fault of the schedule");

    begin(0, THREE);
    late = 1;
    is_int(go(&taken, &in_ms), MG_OK, "another node was quicker");
    is_int(taken + ended + postponed + logged, 0, "nothing is to do");

    begin(0, THREE);
    refuses = MG_E_NOT_FOUND;
    due = 1;
    is_int(go(&taken, &in_ms), MG_OK, "the group is gone");

    begin(0, THREE);
    refuses = MG_E_INTERNAL;
    is_int(go(&taken, &in_ms), MG_OK, "a refusal for a moment");
    is_int(postponed, 1, "it is tried again");
    is_int(ended, 0, "and not given up");
    is_int(logged, 1, "which is logged");

    begin(0, THREE);
    refuses = MG_E_INVALID;
    is_int(go(&taken, &in_ms), MG_OK, "a refusal for ever");
    is_int(ended, 1, "ends it");
    is_str(reason, "refused", "with the reason");

    begin(0, "{\"canary\":{\"steps\":1}}");
    is_int(go(&taken, &in_ms), MG_OK, "a schedule that cannot be read");
    is_int(ended, 1, "ends");
    like(reason, "must be an array", "with the reason");

    begin(0, THREE);
    group.members[1].model_id = mg_str("x/other");
    is_int(go(&taken, &in_ms), MG_OK, "the challenger is gone");
    is_int(ended, 1, "ends it");
    like(reason, "x/b", "and says who is meant");

    begin(0, THREE);
    taken_before = 3;
    is_int(go(&taken, &in_ms), MG_OK, "steps are gone");
    is_int(ended, 1, "ends it");

    begin(0, THREE);
    group.n_members = 3;
    group.members[2] = group.members[0];
    group.members[2].model_id = mg_str("x/c");
    group.members[2].role = MG_MEMBER_CHALLENGER;
    group.members[0].share = 10;
    is_int(go(&taken, &in_ms), MG_OK, "another member has too much");
    is_int(ended, 1, "ends it");
    like(reason, "0.1 percent together", "with the reason");
}


int
main(void)
{
    test_steps();
    test_failures();

    return done_testing();
}
