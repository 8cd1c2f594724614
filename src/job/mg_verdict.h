/*
 * mg_verdict.h: verdicts of a validation on their way into the database.
 *
 * Verdicts are copied into memory as they come and saved in batches by the
 * thread that probes: every 200 ms or 200 verdicts, whichever is first, so
 * transfers wait a few milliseconds at a time.  Without any the row still
 * tells as often which model is asked and how long the rest takes.  With the
 * database away they stay in memory and saving is tried again, slower each
 * time, for a minute.
 *
 * The catalog hears of members of groups at once, and of all where they are
 * many; of others every two seconds and at the end: at the same moment of all
 * runs, since it is built anew then.
 *
 * Blocks for the length of a save: model_jobs threads only.
 */

#ifndef MG_VERDICT_H
#define MG_VERDICT_H

#include "job/mg_engine.h"
#include "model/mg_rate.h"


typedef struct {
    mg_run_t                *run;
    mg_str_t                 id;          /* of the validation */
    mg_arena_t              *texts;       /* strings of the batch */
    mg_arena_t              *scratch;     /* of one save */
    mg_validation_result_t  *results;     /* the batch, malloc()ed */
    unsigned                 n;
    unsigned                 size;
    mg_str_t                 current;     /* model asked last */
    const char              *phase;       /* what the run does */
    const char              *shown;       /* the phase that the row says */
    mg_rate_t                rate;
    int64_t                  left;        /* models without a verdict */
    int                      hold;        /* do not save yet */
    int64_t                  saved_us;
    int64_t                  told_slot;   /* of time, when the catalog was
                                             told of results last */
    int64_t                  untold_us;   /* results since then it was not
                                             told of; 0: all of the run,
                                             INT64_MAX: none */
    int64_t                  failed_us;   /* since when it is away, 0: up */
    int64_t                  retry_us;
    int64_t                  delay_us;
    int64_t                  available;   /* in this run, saved or not */
    int64_t                  unavailable;
    int64_t                  unverified;
} mg_verdict_t;


/* MG_ERROR when out of memory; mg_verdict_done() is due in any case. */
int mg_verdict_init(mg_verdict_t *v, mg_run_t *run, mg_str_t id,
    mg_error_t *e);
void mg_verdict_done(mg_verdict_t *v);

/* Copies the verdict.  MG_ERROR when out of memory. */
int mg_verdict_add(mg_verdict_t *v, const mg_validation_result_t *r,
    mg_error_t *e);

/* Takes back the verdict on a model, if it is not saved yet. */
void mg_verdict_drop(mg_verdict_t *v, mg_str_t model_id);

/* Verdicts in this run, saved or not. */
int64_t mg_verdict_count(const mg_verdict_t *v);

/*
 * Saves if it is time to, or the phase is another.  MG_ERROR: the database is
 * away for too long.
 */
int mg_verdict_step(mg_verdict_t *v, mg_error_t *e);

/*
 * Saves everything, waiting for the database if need be, until
 * mg_run_stop(); with patient == 0 tries once.
 */
int mg_verdict_flush(mg_verdict_t *v, int patient, mg_error_t *e);


#endif /* MG_VERDICT_H */
