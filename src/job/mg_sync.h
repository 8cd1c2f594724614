/*
 * mg_sync.h: jobs of kind "sync": what one is asked to do, and how the files
 * that do it share the work.
 *
 *     mg_job_sync.c     the job: which documents, the commit, the result
 *     mg_sync_ask.c     its payload and key
 *     mg_sync_read.c    a source's document, from a file or a URL
 *     mg_sync_list.c    the list of one provider, page by page
 *
 * Asking: any pool thread.  The rest: one model_jobs thread a job; blocks.
 */

#ifndef MG_SYNC_H
#define MG_SYNC_H

#include "base/mg_jw.h"
#include "client/mg_fetch.h"
#include "job/mg_engine.h"
#include "job/mg_refresh.h"
#include "job/mg_target.h"


/* Rows of the history in which the last one that completed is looked for. */
#define MG_SYNC_HISTORY        50

#define MG_SYNC_DOCUMENT_MAX   (64 * 1024 * 1024)
#define MG_SYNC_ETAG_MAX       255


/* -- the payload (mg_sync_ask.c) -- */

typedef struct {
    mg_str_t              source;      /* one source; absent: all ... */
    mg_str_t              provider;    /* ... or the list of this provider */
    mg_str_t              after;       /* row of the history, "" for none */
    unsigned              force:1;     /* read again, believe removals */
    unsigned              scheduled:1; /* only if "after" is the last row */
} mg_sync_ask_t;

/* Makes the job; as mg_store_job_create(). */
int mg_sync_ask(mg_pg_t *db, const mg_actor_t *who, const mg_sync_ask_t *ask,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e);

/* Reads a payload; strings in the arena. */
int mg_sync_ask_parse(mg_arena_t *a, mg_str_t payload, mg_sync_ask_t *ask,
    mg_error_t *e);

/* The id of the newest row that did not fail; "" if there is none. */
mg_str_t mg_sync_last(const mg_sync_history_t *rows, unsigned n);


/* -- one document or list into the catalog -- */

typedef struct {
    mg_run_t             *run;
    const mg_sync_ask_t  *ask;
    mg_http_t            *http;
    mg_refresh_source_t   from;        /* source NULL: a provider's list */
    mg_provider_t         provider;
    mg_target_t          *target;
    mg_sync_scope_t       scope;
    mg_pg_t              *db;
    mg_store_sync_t      *store;
    void                 *document;
    mg_sync_counts_t      counts;
    int64_t               started_at;  /* wall clock, us */
    int64_t               size;        /* of the file, 0 unknown */
    mg_buf_t              reasons;     /* JSON array, of strings */
    mg_jw_t               writer;
    const char           *status;      /* for the result */
    int                   part;        /* of all that the job does, ... */
    int                   parts;
    unsigned              ours:1;      /* the failure is not the source's */
    unsigned              unread:1;    /* too much was unreadable: what is
                                          missing stays */
    unsigned              unchanged:1; /* 304 */
    char                  known[MG_SYNC_ETAG_MAX + 1];  /* what is there */
    char                  etag[MG_SYNC_ETAG_MAX + 1];   /* what came */
} mg_sync_t;


/*
 * Opens the staging tables with the first bytes: a source that does not
 * answer holds neither a lock nor a connection.
 */
int mg_sync_store(mg_sync_t *s, mg_error_t *e);

/* A model or benchmark that could not be used, counted and told. */
void mg_sync_skipped(void *ctx, mg_str_t id, const char *reason);

/* percent of this document are read. */
void mg_sync_progress(mg_sync_t *s, int percent);

/* For mg_fetch_t. */
int mg_sync_tick(void *ctx, mg_error_t *e);

/* The gate of a name with the limits of the configuration. */
void mg_sync_fetch_init(mg_sync_t *s, mg_fetch_t *f, mg_str_t name,
    int64_t per_minute);

/* Keeps what came as the document's etag. */
void mg_sync_etag(mg_sync_t *s, mg_str_t etag);

/* MG_OK: staged, or s->unchanged.  MG_ERROR: see *e and s->ours. */
int mg_sync_read(mg_sync_t *s, mg_error_t *e);
int mg_sync_list(mg_sync_t *s, mg_error_t *e);


#endif /* MG_SYNC_H */
