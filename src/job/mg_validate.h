/*
 * mg_validate.h: one run of a validation, for the two files that work on it.
 *
 * mg_job_validate.c loads, asks and finishes; mg_validate_list.c reads the
 * provider's own list of models, which arrives while the known models are
 * already being asked.
 *
 * Private to these files; one model_jobs thread.
 */

#ifndef MG_VALIDATE_H
#define MG_VALIDATE_H

#include "job/mg_pages.h"
#include "job/mg_target.h"
#include "job/mg_verdict.h"


typedef struct {
    mg_run_t           *run;
    const mg_env_t     *env;
    mg_str_t            id;
    mg_str_t            provider_id;
    mg_validation_t     row;
    mg_provider_t       provider;
    mg_target_t         target;
    mg_probes_t        *probes;
    mg_verdict_t        verdicts;
    mg_validation_model_t
                       *models;          /* without a result at the start */
    unsigned            n;
    mg_pages_t          pages;           /* of the provider's list */
    mg_buf_t            rows;            /* of that list, for the store */
    mg_validation_model_t
                       *listed;          /* by the provider */
    unsigned            n_listed;
    unsigned            size_listed;
    mg_validation_model_t
                       *extra;           /* asked before they were stored */
    unsigned            n_extra;
    unsigned            n_begun;         /* of extra, before it was stored */
    int64_t             settle_us;       /* when to store it, 0: nothing */
    int64_t             before;          /* results of earlier stretches */
    int64_t             total;
    int64_t             skipped;         /* entries of the list */
    mg_str_t            reason;          /* why there is no list */
    unsigned            fixed:1;         /* its models are given */
    unsigned            killed:1;        /* a worker was lost over it */
    unsigned            has_list:1;
    unsigned            no_memory:1;
} mg_validate_t;


/*
 * A page of the provider's list was answered: the next one is asked for;
 * behind the last one its models wait to be stored, and what is new among
 * them is asked at once.
 */
void mg_validate_listed(void *ctx, const mg_http_response_t *res);

/*
 * Stores the list and settles by the database what the run has to ask:
 * adds what is missing, drops what is not to be asked.  MG_OK also when
 * there is nothing to do.
 */
int mg_validate_settle(mg_validate_t *v, mg_error_t *e);


#endif /* MG_VALIDATE_H */
