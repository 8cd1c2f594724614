/*
 * mg_retain_ask.c: the job that takes away what a group keeps no longer is
 * asked for in one way, by the keeper and by people: a group's own id is the
 * key, so it has one at a time.
 *
 * Pool threads; blocks on the database.
 */

#include "job/mg_engine.h"


int
mg_retain_ask(mg_pg_t *db, const mg_actor_t *who, mg_str_t group_id,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e)
{
    mg_str_t  payload;

    payload = mg_arena_printf(a, "{\"group_id\": \"" MG_STR_FMT "\"}",
                              MG_STR_ARG(group_id));

    if (payload.data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return mg_store_job_create(db, who, "retain", group_id, payload, a, j, e);
}
