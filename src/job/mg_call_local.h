/*
 * mg_call_local.h: what the files mg_call_*.c share.
 *
 * The handlers that the table of routes names, and the few lines that every
 * handler would otherwise repeat: reading the body, borrowing a connection,
 * writing times, paging and addresses.
 *
 * Pool threads; handlers may block on the database.
 */

#ifndef MG_CALL_LOCAL_H
#define MG_CALL_LOCAL_H

#include "base/mg_jw.h"
#include "job/mg_call.h"


#define MG_CALL_OUT_MAX    (32 * 1024 * 1024)


/* -- helpers (mg_call.c) -- */

/* The body as nodes in the call's arena; NULL and *e (400). */
const mg_json_t *mg_call_json(mg_call_t *c, mg_error_t *e);

/* A change that names nothing is a mistake: 400. */
int mg_call_change(const mg_json_t *json, mg_error_t *e);

/* A connection, given back with mg_pg_release(); NULL and *e (503). */
mg_pg_t *mg_call_db(mg_call_t *c, mg_error_t *e);

/* The writer of c->out. */
void mg_call_writer(mg_call_t *c, mg_jw_t *w);

/* {"jobs": [ ... begins a list; ... ], "pagination": {...}} ends it. */
void mg_call_list_begin(mg_call_t *c, mg_jw_t *w, const char *name);
void mg_call_list_end(mg_jw_t *w, const mg_paging_t *p);

/* us since 1970 as RFC 3339; 0 is null. */
void mg_call_write_time(mg_jw_t *w, const char *key, int64_t us);

/* MG_UNKNOWN is null. */
void mg_call_write_int(mg_jw_t *w, const char *key, int64_t n);

/* before + percent-encoded id + after, in the arena. */
mg_str_t mg_call_address(mg_call_t *c, const char *before, mg_str_t id,
    const char *after);

/* 201 or 202 and the Location header. */
void mg_call_created(mg_call_t *c, int status, mg_str_t location);

/* A UUID of the path, checked before it goes to the database: else 404. */
int mg_call_uuid(const mg_call_t *c, const char *name, const char *what,
    mg_str_t *id, mg_error_t *e);

/* The members of a 409 that names what is in the way: error object in w. */
void mg_call_write_error(mg_jw_t *w, const mg_error_t *e);


/* -- handlers -- */

int mg_call_group_create(mg_call_t *c, mg_error_t *e);
int mg_call_group_list(mg_call_t *c, mg_error_t *e);
int mg_call_group_get(mg_call_t *c, mg_error_t *e);
int mg_call_group_patch(mg_call_t *c, mg_error_t *e);
int mg_call_group_delete(mg_call_t *c, mg_error_t *e);
int mg_call_group_assign(mg_call_t *c, mg_error_t *e);
int mg_call_group_remove(mg_call_t *c, mg_error_t *e);
int mg_call_group_promote(mg_call_t *c, mg_error_t *e);
int mg_call_group_rollback(mg_call_t *c, mg_error_t *e);
int mg_call_group_events(mg_call_t *c, mg_error_t *e);

int mg_call_retain_start(mg_call_t *c, mg_error_t *e);

int mg_call_provider_create(mg_call_t *c, mg_error_t *e);
int mg_call_provider_patch(mg_call_t *c, mg_error_t *e);
int mg_call_provider_delete(mg_call_t *c, mg_error_t *e);

int mg_call_model_create(mg_call_t *c, mg_error_t *e);
int mg_call_model_patch(mg_call_t *c, mg_error_t *e);
int mg_call_model_delete(mg_call_t *c, mg_error_t *e);

int mg_call_cache_flush(mg_call_t *c, mg_error_t *e);

int mg_call_token_create(mg_call_t *c, mg_error_t *e);
int mg_call_token_list(mg_call_t *c, mg_error_t *e);
int mg_call_token_delete(mg_call_t *c, mg_error_t *e);

int mg_call_validation_start(mg_call_t *c, mg_error_t *e);
int mg_call_validation_model(mg_call_t *c, mg_error_t *e);
int mg_call_validation_all(mg_call_t *c, mg_error_t *e);
int mg_call_validation_history(mg_call_t *c, mg_error_t *e);
int mg_call_validation_status(mg_call_t *c, mg_error_t *e);
int mg_call_validation_list(mg_call_t *c, mg_error_t *e);
int mg_call_validation_get(mg_call_t *c, mg_error_t *e);
int mg_call_validation_cancel(mg_call_t *c, mg_error_t *e);

int mg_call_job_list(mg_call_t *c, mg_error_t *e);
int mg_call_job_get(mg_call_t *c, mg_error_t *e);
int mg_call_job_cancel(mg_call_t *c, mg_error_t *e);

int mg_call_refresh_start(mg_call_t *c, mg_error_t *e);
int mg_call_refresh_status(mg_call_t *c, mg_error_t *e);

int mg_call_inference_list(mg_call_t *c, mg_error_t *e);
int mg_call_inference_get(mg_call_t *c, mg_error_t *e);
int mg_call_feedback_put(mg_call_t *c, mg_error_t *e);
int mg_call_performance(mg_call_t *c, mg_error_t *e);

/* The members of a validation's state: mg_call_validation.c. */
void mg_call_write_validation(mg_jw_t *w, const mg_validation_t *v);

/* {provider} of the path, checked: else 404. */
int mg_call_provider(mg_call_t *c, mg_str_t *provider, mg_error_t *e);

/* A job as JSON: mg_call_job.c; for all that answer with one. */
void mg_call_write_job(mg_jw_t *w, const char *key, const mg_job_t *j);


#endif /* MG_CALL_LOCAL_H */
