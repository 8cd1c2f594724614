/*
 * mg_job.h: the states of a job, drawn once.
 *
 *     pending -> in_progress -> completed
 *        |           |  ^   \-> failed
 *        |           |  |   \-> cancelled
 *        |           v  |
 *        |        pending (handed over at reload, another attempt)
 *        \-> cancelled
 *
 * SQL enforces the same table (trigger on model.jobs).
 *
 * Plain data; any thread.
 */

#ifndef MG_JOB_H
#define MG_JOB_H

#include "base/mg_str.h"


typedef enum {
    MG_JOB_PENDING = 0,
    MG_JOB_IN_PROGRESS,
    MG_JOB_COMPLETED,
    MG_JOB_FAILED,
    MG_JOB_CANCELLED,
    MG_JOB_N
} mg_job_state_e;

extern const mg_str_t  mg_job_state_names[MG_JOB_N];

/* -1 if it is none of the names. */
int mg_job_state_find(mg_str_t name);

/* 1 if the drawing above has an arrow. */
int mg_job_state_may(mg_job_state_e from, mg_job_state_e to);


/* A row of model.jobs; strings belong to an arena. */
typedef struct {
    mg_str_t        id;              /* UUID text */
    mg_str_t        org_id;
    mg_str_t        kind;            /* sync, validate, retain */
    mg_str_t        key;             /* one running job a key; absent: any */
    mg_str_t        payload;         /* JSON object text */
    mg_str_t        result;          /* JSON object text */
    mg_str_t        error;
    mg_job_state_e  state;
    int64_t         attempt;
    int64_t         max_attempts;
    int64_t         progress;        /* 0..100, MG_UNKNOWN-like -1 */
    int             cancel_requested;
    int64_t         created_at;
    int64_t         started_at;
    int64_t         completed_at;
    int64_t         updated_at;
    int64_t         run_after;       /* not before */
    int64_t         priority;
    int             replayed;        /* made by the same request, earlier */
} mg_job_t;


#endif /* MG_JOB_H */
