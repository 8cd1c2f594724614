/*
 * mg_canary.c: gives challengers their share by a schedule.
 *
 *     next one due? -> change of its group: claim, read the policy, move
 *                      the share, note the step -> again
 *
 * Claiming happens under the lock of the group, which an operator's change
 * takes as well: a step is taken either before it or never, for the change
 * has ended or paused the schedule by then.
 *
 * Keeper's thread of worker 0; blocks on the database.
 */

#include "job/mg_canary.h"


/* Steps of a round, so that a crowd of them leaves time for the rest. */
#define MG_CANARY_ROUND   16

/* Seconds until a step is tried again that the database refused. */
#define MG_CANARY_LATER   30


typedef struct {
    mg_pg_t      *db;
    mg_arena_t   *arena;
    mg_canary_t  *canary;
    unsigned      late;            /* another node has taken the step */
} mg_canary_change_t;


static int mg_canary_step(const mg_env_t *env, mg_pg_t *db, mg_arena_t *a,
    mg_canary_t *canary, unsigned *taken, mg_error_t *e);
static int mg_canary_change(void *data, mg_group_t *g, mg_error_t *e);


int
mg_canary_round(const mg_env_t *env, mg_pg_t *db, unsigned *taken,
    int64_t *in_ms, mg_error_t *e)
{
    int           rc;
    unsigned      n;
    mg_arena_t   *a;
    mg_canary_t   canary;

    *taken = 0;
    *in_ms = -1;

    a = mg_arena_create(0);
    if (a == NULL) {
        return MG_OK;
    }

    for (n = 0; n < MG_CANARY_ROUND; n++) {
        rc = mg_store_canary_next(db, a, &canary, e);

        if (rc == MG_OK) {
            *in_ms = canary.in_ms;
        }

        if (rc != MG_OK || canary.in_ms > 0) {
            break;
        }

        rc = mg_canary_step(env, db, a, &canary, taken, e);

        if (rc != MG_OK) {
            break;
        }

        *in_ms = -1;
        mg_arena_reset(a);
    }

    mg_arena_destroy(a);

    return rc == MG_ERROR ? MG_ERROR : MG_OK;
}


/* MG_OK: it is not due any more, whatever the reason. */

static int
mg_canary_step(const mg_env_t *env, mg_pg_t *db, mg_arena_t *a,
    mg_canary_t *canary, unsigned *taken, mg_error_t *e)
{
    int                 again;
    mg_error_t          why;
    mg_actor_t          who;
    mg_group_t          g;
    mg_canary_change_t  ctx;

    ctx.db = db;
    ctx.arena = a;
    ctx.canary = canary;
    ctx.late = 0;

    who.org_id = canary->org_id;
    who.token_id = mg_str_null;
    who.once = NULL;
    who.webhook = mg_str_null;

    if (mg_store_group_change(db, &who, canary->group_id,
                              MG_GROUP_CANARY_STEP, NULL, mg_canary_change,
                              &ctx, a, &g, &why)
        == MG_OK)
    {
        (*taken)++;
        return MG_OK;
    }

    if (ctx.late || why.kind == MG_E_NOT_FOUND) {
        return MG_OK;
    }

    if (why.kind == MG_E_UNAVAILABLE) {
        *e = why;
        return MG_ERROR;
    }

    again = (why.kind == MG_E_INTERNAL || why.kind == MG_E_TIMEOUT);

    env->log(MG_LOG_ERROR, "the canary of group %.*s %s: %s",
             MG_STR_ARG(canary->group_id),
             again ? "has to wait for its next step" : "has ended",
             why.message);

    return mg_store_canary_fail(db, canary->group_id, mg_str_z(why.message),
                                again ? MG_CANARY_LATER : 0, a, e);
}


/* Under the lock of the group. */

static int
mg_canary_change(void *data, mg_group_t *g, mg_error_t *e)
{
    int                  rc;
    uint32_t             has, share;
    unsigned             i, step;
    mg_policy_t          p;
    mg_canary_change_t  *ctx;

    ctx = data;

    rc = mg_store_canary_claim(ctx->db, g->id, ctx->arena, ctx->canary, e);

    if (rc == MG_DECLINED) {
        ctx->late = 1;
        return mg_error_set(e, MG_E_CONFLICT, NULL,
                            "another node has taken the step");
    }

    if (rc != MG_OK
        || mg_policy_parse(g->traffic_config, ctx->arena, &p, e) != MG_OK)
    {
        return MG_ERROR;
    }

    i = mg_group_find(g, ctx->canary->model_id);

    if (i == g->n_members || ctx->canary->step >= p.n_steps) {
        return mg_error_set(e, MG_E_CONFLICT, NULL,
                            "\"%.*s\" or its next step is gone",
                            MG_STR_ARG(ctx->canary->model_id));
    }

    has = g->members[i].share;
    step = mg_policy_next(&p, ctx->canary->step, has);
    share = p.steps[step].share;

    if (ctx->canary->step == 0 && share < has) {
        share = has;
    }

    if (mg_group_give(g, ctx->canary->model_id, share, e) != MG_OK) {
        return MG_ERROR;
    }

    return mg_store_canary_save(ctx->db, g->id, step + 1, share,
                                p.steps[step].seconds, ctx->arena, e);
}
