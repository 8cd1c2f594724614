/*
 * mg_canary.h: gives challengers their share by a schedule.
 *
 * traffic_config of a group with the strategy canary lists steps; each is
 * one change of the group like an operator's, with an event "canary_step"
 * that nobody's token stands in.  How far a schedule is lies in the
 * database, so any node goes on where another one was; the row's lock and a
 * second look at the time let one of them take a step.
 *
 * Keeper's thread of worker 0; blocks on the database.
 */

#ifndef MG_CANARY_H
#define MG_CANARY_H

#include "job/mg_env.h"
#include "store/mg_store.h"


/*
 * Takes the steps that are due: one short query when none is.  *taken: how
 * many; *in_ms: until the next one, -1 if none is to come.  A schedule that
 * cannot go on is ended with the reason and logged.  MG_ERROR when the
 * database is away.
 */
int mg_canary_round(const mg_env_t *env, mg_pg_t *db, unsigned *taken,
    int64_t *in_ms, mg_error_t *e);


#endif /* MG_CANARY_H */
