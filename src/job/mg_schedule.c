/*
 * mg_schedule.c: asks for the validations that are due.
 *
 * A provider is due an interval after its last run was asked for, and a
 * share of the jitter later.  One that cannot be validated (its row is gone
 * meanwhile, it is being validated) is left to the next round; it keeps
 * nobody else from being asked.
 *
 * Called by the keeper on a thread of worker 0; blocks on the database.
 */

#include "job/mg_schedule.h"
#include "job/mg_webhook.h"

#include "base/mg_time.h"
#include "store/mg_store.h"


#define MG_SCHEDULE_SECOND   INT64_C(1000000)

/* How often the history is looked at, at most. */
#define MG_SCHEDULE_LOOK     (15 * MG_SCHEDULE_SECOND)


static int mg_schedule_ask(const mg_env_t *env, mg_pg_t *db,
    const mg_validation_due_t *due, mg_arena_t *a, mg_error_t *e);


int
mg_schedule_round(const mg_env_t *env, mg_schedule_round_t *r, mg_pg_t *db,
    mg_error_t *e)
{
    int                   rc;
    int64_t               now, look;
    unsigned              i, n;
    mg_arena_t           *a;
    const mg_schedule_t  *s;
    mg_validation_due_t  *due;

    s = env->schedule;

    if (s == NULL || !s->on) {
        return MG_OK;
    }

    now = mg_mono_us();
    look = (int64_t) s->interval_s * MG_SCHEDULE_SECOND / 4;

    if (r->looked_us != 0
        && now - r->looked_us < (look < MG_SCHEDULE_LOOK ? look
                                                         : MG_SCHEDULE_LOOK))
    {
        return MG_OK;
    }

    a = mg_arena_create(0);
    if (a == NULL) {
        return MG_OK;
    }

    r->looked_us = now;

    rc = mg_store_validation_due(db, s->providers, s->interval_s,
                                 s->jitter_s, a, &due, &n, e);

    for (i = 0; rc == MG_OK && i < n; i++) {
        rc = mg_schedule_ask(env, db, &due[i], a, e);
    }

    mg_arena_destroy(a);

    return rc;
}


static int
mg_schedule_ask(const mg_env_t *env, mg_pg_t *db,
    const mg_validation_due_t *due, mg_arena_t *a, mg_error_t *e)
{
    mg_once_t        once;
    mg_actor_t       who;
    mg_validation_t  v;

    once.key = mg_arena_printf(a, "schedule:" MG_STR_FMT,
                               MG_STR_ARG(due->last.data ? due->last
                                                         : due->provider_id));
    once.hash = mg_str("schedule");
    who.org_id = due->org_id;
    who.token_id = mg_str_null;
    who.once = &once;
    who.webhook = env->webhook ? env->webhook->url : mg_str_null;

    if (once.key.data == NULL
        || mg_store_validation_create(db, &who, due->provider_id, 0, a, &v, e)
           == MG_OK)
    {
        return MG_OK;
    }

    if (e->kind == MG_E_UNAVAILABLE) {
        return MG_ERROR;
    }

    if (e->kind != MG_E_CONFLICT) {
        env->log(MG_LOG_ERROR, "provider \"" MG_STR_FMT "\" could not be "
                 "validated by the schedule: %s",
                 MG_STR_ARG(due->provider_id), e->message);
    }

    return MG_OK;
}
