/*
 * mg_store_event.h: the state of a topic, for readers that missed its events.
 *
 * The text is made by the database, by the function that makes the events
 * themselves, so both are the same to the byte.
 *
 * Pool threads; blocks.
 */

#ifndef MG_STORE_EVENT_H
#define MG_STORE_EVENT_H

#include "base/mg_arena.h"
#include "store/mg_pg.h"


/*
 * The last validation of a provider in the shape of its events, text in a,
 * and the number of its last event.  *text is absent if there was none yet;
 * MG_E_NOT_FOUND if there is no such provider.
 */
int mg_store_event_validation(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_arena_t *a, mg_str_t *text, uint64_t *id, mg_error_t *e);

/* The state of one run.  MG_E_NOT_FOUND if it is gone. */
int mg_store_event_run(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_str_t *text, mg_error_t *e);


#endif /* MG_STORE_EVENT_H */
