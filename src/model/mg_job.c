/*
 * mg_job.c: names of job states and the arrows between them.
 *
 * The drawing in mg_job.h as a table: a row is where a job is, its bits are
 * where it may go.  Completed, failed and cancelled are ends.
 *
 * Pure; any thread.
 */

#include "model/mg_job.h"


#define MG_JOB_BIT(state)  (1u << MG_JOB_##state)


const mg_str_t  mg_job_state_names[MG_JOB_N] = {
    mg_str("pending"),
    mg_str("in_progress"),
    mg_str("completed"),
    mg_str("failed"),
    mg_str("cancelled")
};


static const unsigned  mg_job_arrows[MG_JOB_N] = {
    MG_JOB_BIT(IN_PROGRESS)|MG_JOB_BIT(CANCELLED),
    MG_JOB_BIT(PENDING)|MG_JOB_BIT(COMPLETED)|MG_JOB_BIT(FAILED)
        |MG_JOB_BIT(CANCELLED),
    0,
    0,
    0
};


int
mg_job_state_find(mg_str_t name)
{
    int  i;

    for (i = 0; i < MG_JOB_N; i++) {
        if (mg_str_eq(mg_job_state_names[i], name)) {
            return i;
        }
    }

    return -1;
}


int
mg_job_state_may(mg_job_state_e from, mg_job_state_e to)
{
    if ((unsigned) from >= MG_JOB_N || (unsigned) to >= MG_JOB_N) {
        return 0;
    }

    return (mg_job_arrows[from] >> to) & 1;
}
