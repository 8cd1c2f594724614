/*
 * mg_schedule.h: validations by the clock.
 *
 *     providers that are due -> a job "validate" each, once
 *
 * The struct is what the directive model_validate says; it is made when the
 * configuration is read and not changed.  When a provider was validated last
 * is in the database, whose clock decides.  A request of the schedule is
 * named after the run before it (as by an Idempotency-Key), so that of
 * several nodes that find a provider due at the same time one validates it.
 *
 * Configuration: any thread.  The round: keeper's thread of worker 0.
 */

#ifndef MG_SCHEDULE_H
#define MG_SCHEDULE_H

#include "job/mg_env.h"


typedef struct mg_schedule_s  mg_schedule_t;

struct mg_schedule_s {
    unsigned   on:1;
    unsigned   interval_s;
    unsigned   jitter_s;       /* added, a share of it a provider */
    mg_str_t   providers;      /* ids with commas between them; {NULL, 0}:
                                  made by hand, or with a key */
};


/* Zeroed at the start; belongs to the keeper. */
typedef struct {
    int64_t    looked_us;
} mg_schedule_round_t;

/*
 * Asks for what is due.  MG_OK, also when nothing is configured; MG_ERROR
 * when the database is away.
 */
int mg_schedule_round(const mg_env_t *env, mg_schedule_round_t *r,
    mg_pg_t *db, mg_error_t *e);


#endif /* MG_SCHEDULE_H */
