/*
 * mg_call_inference.h: what the calls about inferences share.
 *
 *     mg_call_filter.c        query parameters -> filter, window, format
 *     mg_call_inference.c     the audit trail: pages, exports, one of them
 *     mg_call_feedback.c      rewards and labels
 *     mg_call_performance.c   champion against challengers
 *
 * Pool threads; those that ask the database block.
 */

#ifndef MG_CALL_INFERENCE_H
#define MG_CALL_INFERENCE_H

#include "job/mg_call_local.h"
#include "store/mg_store_inference.h"


/* Windows when nobody names one. */
#define MG_INFERENCE_SINCE_US     (7 * MG_DAY_US)
#define MG_PERFORMANCE_SINCE_US   MG_DAY_US


typedef enum {
    MG_FORMAT_JSON = 0,
    MG_FORMAT_CSV,
    MG_FORMAT_NDJSON,
    MG_FORMAT_N
} mg_format_e;


/* -- mg_call_filter.c; never blocks -- */

/*
 * All parameters of a list of inferences; now: us since 1970.  Strings
 * point into the call or its arena.  MG_ERROR names the parameter.
 */
int mg_call_filter(const mg_call_t *c, int64_t now, mg_inference_filter_t *f,
    mg_format_e *format, mg_error_t *e);

/*
 * since and until, as far as they are given.  Otherwise until is "from", or
 * as far from since as may be, and since is span before until.  They are at
 * most MG_INFERENCE_WINDOW_US apart.
 */
int mg_call_window(const mg_call_t *c, int64_t now, int64_t from,
    int64_t span, int64_t *since, int64_t *until, mg_error_t *e);

/* The time in an id; 0 if it is none that the gateway may have made. */
int64_t mg_call_inference_time(const mg_uuid_t *id);


/* -- mg_call_inference.c -- */

/*
 * Long questions: a few at a time in this process, so that threads are left
 * for everybody else.  MG_ERROR (MG_E_UNAVAILABLE), or MG_OK and the other
 * is to be called at the end.
 */
int mg_call_long_begin(mg_error_t *e);
void mg_call_long_end(void);

/* One such, in a transaction of mg_store_inference_begin(). */
typedef int (*mg_call_read_pt)(mg_pg_t *db, void *ctx, mg_error_t *e);

int mg_call_long(mg_call_t *c, mg_call_read_pt read, void *ctx,
    mg_error_t *e);

/*
 * The id of the path: a UUID of version 7 that a request may have had.  404
 * for any other, without a look at the database.
 */
int mg_call_inference_id(const mg_call_t *c, mg_uuid_t *id, mg_error_t *e);


/* -- mg_call_feedback.c -- */

/* A row as an object. */
void mg_call_write_feedback(mg_jw_t *w, const mg_feedback_t *f);


#endif /* MG_CALL_INFERENCE_H */
