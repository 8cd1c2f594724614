/*
 * mg_store_job_row.h: a row of model.jobs, for the files that make jobs.
 *
 * The list of columns and the function that reads them belong together: a
 * column that is added to one goes to the same place in the other.
 *
 * Pool threads; plain functions.
 */

#ifndef MG_STORE_JOB_ROW_H
#define MG_STORE_JOB_ROW_H

#include "store/mg_store_column.h"


/* Columns that mg_job_row() reads. */
#define MG_JOB_COLUMNS                                                        \
    "id, org_id, kind, key, payload, result, error, state, attempt, "         \
    "max_attempts, progress, cancel_requested, created_at, started_at, "      \
    "completed_at, updated_at, run_after, priority"

#define MG_JOB_COLUMNS_N  18

/* Ends those that wait, asks those that run to stop; "and" which follows. */
#define MG_JOB_CANCEL                                                         \
    "update model.jobs set cancel_requested = true, "                         \
    "state = case state when 'pending' then 'cancelled' else state end, "     \
    "completed_at = case state when 'pending' then now() end, "               \
    "updated_at = now() where state in ('pending', 'in_progress') "

/* What a person asks for comes before what a schedule does. */
int mg_store_job_priority(const mg_actor_t *who);

/* MG_ERROR when the arena is full. */
int mg_job_row(const mg_pg_rows_t *r, int row, mg_arena_t *a, void *out);

/* The one row that there is, and frees it; MG_DECLINED: there is none. */
int mg_job_one(mg_pg_rows_t *r, mg_arena_t *a, mg_job_t *j, mg_error_t *e);


#endif /* MG_STORE_JOB_ROW_H */
