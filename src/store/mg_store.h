/*
 * mg_store.h: every question that the gateway asks PostgreSQL.
 *
 * All SQL of the project is behind these functions (and in sql/).  Each
 * takes a checked-out connection; those that write say whether they open
 * their own transaction.  Results live in the caller's arena.
 *
 * Blocks: pool threads only.  Errors as in mg_pg_exec(), with param set
 * where a member is to blame.
 */

#ifndef MG_STORE_H
#define MG_STORE_H

#include "model/mg_catalog.h"
#include "model/mg_group.h"
#include "model/mg_job.h"
#include "model/mg_record.h"
#include "model/mg_role.h"
#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_routing.h"
#include "store/mg_pg.h"


/* A request that is to have its effect once, however often it is sent. */
typedef struct {
    mg_str_t   key;           /* Idempotency-Key */
    mg_str_t   hash;          /* of all that it asks for */
} mg_once_t;

/* Who acts: for org_id columns and the audit trail. */
typedef struct {
    mg_str_t   org_id;        /* UUID text */
    mg_str_t   token_id;      /* UUID text; {NULL,0}: the gateway itself */
    const mg_once_t  *once;   /* of the jobs that it makes; NULL: it may be
                                 repeated */
    mg_str_t   webhook;       /* of the validations that it asks for */
} mg_actor_t;


typedef struct {
    uint32_t   page;          /* from 1 */
    uint32_t   limit;         /* 1..1000 */
    uint64_t   total;         /* out */
} mg_paging_t;


/* -- generations and snapshots (mg_store_snapshot.c) -- */

typedef struct {
    uint64_t   catalog;
    uint64_t   routing;
    uint64_t   awaited;       /* of the catalog: by others than jobs */
} mg_generations_t;

int mg_store_generations(mg_pg_t *c, mg_generations_t *g, mg_error_t *e);

/*
 * Raises both, in a transaction of its own: every node builds anew.  What
 * they were and what they are.
 */
int mg_store_generations_raise(mg_pg_t *c, mg_generations_t *before,
    mg_generations_t *after, mg_error_t *e);

/*
 * Reads everything into the builder within one REPEATABLE READ transaction
 * of its own and returns the generation that it saw.
 */
int mg_store_catalog_read(mg_pg_t *c, mg_catalog_builder_t **b,
    uint64_t *generation, mg_error_t *e);
int mg_store_routing_read(mg_pg_t *c, mg_routing_builder_t **b,
    uint64_t *generation, unsigned *unresolved, mg_error_t *e);

/*
 * Keeps what mg_routing_builder_versions() has written, as far as it is new
 * (mg_store_price.c).
 */
int mg_store_price_versions(mg_pg_t *c, mg_str_t versions, mg_error_t *e);


/* -- catalog sync (mg_store_sync.c); one transaction, at the commit -- */

typedef struct {
    int64_t    added, changed, removed, unchanged, failed;
    int64_t    held;          /* removals that were not believed */
    int64_t    providers, models, benchmarks;
    int64_t    bytes;
} mg_sync_counts_t;

/* What a sync is about, and what its source may do. */
typedef struct {
    mg_str_t   source;        /* "models.dev", "openai", ... */
    mg_str_t   provider;      /* the list of this one; {NULL, 0}: all */
    mg_rank_e  rank;
    unsigned   creates:1;     /* unknown models are added */
    unsigned   authority:1;   /* models that it lists no longer have gone */
    unsigned   force:1;       /* a list that shrinks is believed */
    unsigned   labs:1;        /* its ids are "lab/model", whoever serves it:
                                 each stands for all of the catalog's models
                                 of that name */
    unsigned   shrink;        /* removals of more than so many percent of a
                                 provider are held; 0: 20 */
    mg_str_t   etag;          /* of the document, for the history */
} mg_sync_scope_t;

typedef struct mg_store_sync_s  mg_store_sync_t;

/*
 * Takes the advisory lock of source and provider (MG_E_CONFLICT if another
 * sync of them runs) and makes the staging tables.  No transaction is open
 * while the source is read; c is in use until the commit or the abort.  The
 * strings of scope live as long.
 */
mg_store_sync_t *mg_store_sync_begin(mg_pg_t *c, const mg_sync_scope_t *scope,
    mg_error_t *e);

/*
 * Staged by COPY; nothing is visible before the commit.  An entry that
 * cannot be stored is counted as failed, here or at the commit.
 */
int mg_store_sync_provider(mg_store_sync_t *s, const mg_provider_t *p,
    mg_error_t *e);
int mg_store_sync_model(mg_store_sync_t *s, const mg_model_t *m,
    mg_error_t *e);
int mg_store_sync_benchmark(mg_store_sync_t *s, const mg_benchmark_t *b,
    mg_error_t *e);

/*
 * Compares with what this source said before, keeps what it says now, merges
 * field by field with what the others say, marks what it lists no longer
 * inactive if complete != 0 and the scope has authority (but holds removals
 * beyond the shrink limit), never touches what was set by hand, writes
 * models_refresh_history with counts by field, commits.  Frees s in every
 * case.  counts->bytes and counts->failed (entries that never came here) are
 * the caller's, the latter is added to; the others are set.
 */
int mg_store_sync_commit(mg_store_sync_t *s, int complete, int64_t started_at,
    mg_sync_counts_t *counts, mg_error_t *e);

/*
 * The document's etag, when it is known only after the first bytes; lives as
 * long as s.
 */
void mg_store_sync_etag(mg_store_sync_t *s, mg_str_t etag);

/*
 * Rolls back and writes a history row with the error; error NULL: without
 * one, for a job that was handed over.  Frees s.
 */
void mg_store_sync_abort(mg_store_sync_t *s, int64_t started_at,
    const mg_sync_counts_t *counts, const char *error);

/*
 * A row for a source that was asked and had nothing new (304): status
 * "unchanged".  Confirms what it said before (last_synced_at).
 */
int mg_store_sync_unchanged(mg_pg_t *c, const mg_sync_scope_t *scope,
    int64_t started_at, mg_error_t *e);

typedef struct {
    mg_str_t          id, source, provider, status, error, etag;
    mg_str_t          fields;      /* JSON object: {column: rows changed} */
    mg_sync_counts_t  counts;
    int64_t           started_at, completed_at;
} mg_sync_history_t;

/*
 * Newest first; *rows is an array of *n in the arena.  source, provider:
 * {NULL, 0}: any.
 */
int mg_store_sync_history(mg_pg_t *c, mg_str_t source, mg_str_t provider,
    unsigned limit, mg_arena_t *a, mg_sync_history_t **rows, unsigned *n,
    mg_error_t *e);

/*
 * Retention: history older than history_days goes, and models that have been
 * inactive by their source for gone_days are removed unless a group has them
 * as a member or anything was set by hand; *removed gets their number.
 */
int mg_store_catalog_retain(mg_pg_t *c, unsigned history_days,
    unsigned gone_days, int64_t *removed, mg_error_t *e);


/* -- benchmarks (mg_store_benchmark.c) -- */

/* All of a model, newest first.  An unknown model: *n is 0. */
int mg_store_benchmarks(mg_pg_t *c, mg_str_t org_id, mg_str_t model,
    mg_arena_t *a, mg_benchmark_t **rows, unsigned *n, mg_error_t *e);

/*
 * By hand (source "manual", whatever b says).  Upsert: results of one model
 * are the same if name, metric, variant, harness, dataset and version are.
 * MG_E_NOT_FOUND if there is no such model.
 */
int mg_store_benchmark_put(mg_pg_t *c, const mg_actor_t *who,
    const mg_benchmark_t *b, mg_error_t *e);


/* -- providers, models by hand (mg_store_catalog.c) -- */

/*
 * Own transaction each.  key_sealed as in mg_provider_t; on update a
 * {NULL, 0} key leaves the old one.  create: MG_E_CONFLICT if an own one
 * exists; a provider of models.dev is taken over (source becomes manual).
 */
int mg_store_provider_create(mg_pg_t *c, const mg_actor_t *who,
    const mg_provider_t *p, mg_error_t *e);
int mg_store_provider_update(mg_pg_t *c, const mg_actor_t *who,
    const mg_provider_t *p, mg_error_t *e);
/* MG_E_CONFLICT while members of a group use it. */
int mg_store_provider_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t id,
    mg_error_t *e);
/* MG_E_NOT_FOUND; with the sealed key (the caller decides who sees it). */
int mg_store_provider_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_provider_t *p, mg_error_t *e);

/*
 * Providers that can be asked for their own lists and are worth it: active,
 * with a base URL, made by hand or with a key (mg_store_lister.c).
 */
typedef struct {
    mg_str_t   id;
    mg_str_t   protocol;      /* {NULL, 0}: openai */
} mg_lister_t;

int mg_store_listers(mg_pg_t *c, mg_str_t org_id, mg_arena_t *a,
    mg_lister_t **rows, unsigned *n, mg_error_t *e);

int mg_store_model_create(mg_pg_t *c, const mg_actor_t *who,
    const mg_model_t *m, mg_error_t *e);
int mg_store_model_update(mg_pg_t *c, const mg_actor_t *who,
    const mg_model_t *m, mg_error_t *e);
int mg_store_model_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t id,
    mg_error_t *e);
int mg_store_model_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_model_t *m, mg_error_t *e);

/* Active models of a provider: what a validation tests. */
int mg_store_provider_models(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_arena_t *a, mg_model_t **models, unsigned *n, mg_error_t *e);


/* -- groups (mg_store_group.c); own transaction each -- */

/* ref: UUID or name.  MG_E_NOT_FOUND. */
int mg_store_group_get(mg_pg_t *c, mg_str_t org_id, mg_str_t ref,
    mg_arena_t *a, mg_group_t *g, mg_error_t *e);

/* *groups: array of *n in the arena, by name. */
int mg_store_group_list(mg_pg_t *c, mg_str_t org_id, mg_paging_t *paging,
    mg_arena_t *a, mg_group_t **groups, unsigned *n, mg_error_t *e);

/*
 * Makes the row, its salt, and its inference table in one transaction, and
 * an event row.  Fills g->id, inference_table, version, times.
 * MG_E_CONFLICT if the name is taken.
 */
int mg_store_group_create(mg_pg_t *c, const mg_actor_t *who, mg_arena_t *a,
    mg_group_t *g, mg_error_t *e);

/* The versions that a group may have when it is changed; n 0: none will do. */

#define MG_EXPECT_MAX   16

typedef struct {
    int64_t    version[MG_EXPECT_MAX];
    unsigned   n;
} mg_expect_t;

/*
 * The change, under the row's lock: "change" gets the group as it is, with
 * members and ranges, and edits it; MG_ERROR with *e refuses.  Then rows,
 * memberships, ranges and the event are written and version is raised.
 * Serves PATCH, bulk assign and member removal.  what: "updated",
 * "members_assigned", ...; expect NULL: any version, else MG_E_PRECONDITION
 * if the group has none of these.
 */
typedef int (*mg_store_group_change_pt)(void *ctx, mg_group_t *g,
    mg_error_t *e);

int mg_store_group_change(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const char *what, const mg_expect_t *expect,
    mg_store_group_change_pt change, void *ctx, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e);

/* The inference table stays (audit).  expect as above. */
int mg_store_group_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const mg_expect_t *expect, mg_error_t *e);

/* Events that have a meaning for a later one. */
#define MG_GROUP_PROMOTED      "promoted"
#define MG_GROUP_ROLLED_BACK   "rolled_back"

/*
 * The members as they were before the last promotion, with their ranges.
 * MG_E_CONFLICT if there was none, or if it was rolled back already.  Within
 * a change of g.
 */
int mg_store_group_before(mg_pg_t *c, const mg_group_t *g, mg_arena_t *a,
    mg_group_t *before, mg_error_t *e);

typedef struct {
    int64_t    id, version, created_at;
    mg_str_t   event, group_id, group_name;
    mg_str_t   token_id, token_name;     /* absent: the gateway itself, */
    mg_str_t   database_role;            /* or somebody with SQL */
    mg_str_t   before, after;            /* JSON objects; absent */
} mg_group_event_t;

/*
 * The audit trail, newest first; a group that was deleted is found by its
 * id, or by its last name.
 */
int mg_store_group_events(mg_pg_t *c, mg_str_t org_id, mg_str_t ref,
    mg_paging_t *paging, mg_arena_t *a, mg_group_event_t **events,
    unsigned *n, mg_error_t *e);


/* -- schedules of canaries (mg_store_canary.c) -- */

#define MG_GROUP_CANARY_STEP   "canary_step"

typedef struct {
    mg_str_t   group_id, org_id;
    mg_str_t   model_id;                 /* whose share it is */
    unsigned   step;                     /* steps taken */
    int64_t    in_ms;                    /* until the next one; 0: due */
} mg_canary_t;

/* The one that is due next; MG_DECLINED: none runs. */
int mg_store_canary_next(mg_pg_t *c, mg_arena_t *a, mg_canary_t *canary,
    mg_error_t *e);

/*
 * Within a change of its group: reads it under its lock.  MG_DECLINED: it is
 * not due, another node was quicker.
 */
int mg_store_canary_claim(mg_pg_t *c, mg_str_t group_id, mg_arena_t *a,
    mg_canary_t *canary, mg_error_t *e);

/*
 * Within the same change: "step" steps are taken, the challenger has share
 * (hundredths of a percent) for so many seconds; 0: that was the last one.
 */
int mg_store_canary_save(mg_pg_t *c, mg_str_t group_id, unsigned step,
    uint32_t share, int64_t seconds, mg_arena_t *a, mg_error_t *e);

/*
 * The step that is due cannot be taken, and reason says why: it is tried
 * again in so many seconds, or 0: the schedule has ended.  Own transaction.
 */
int mg_store_canary_fail(mg_pg_t *c, mg_str_t group_id, mg_str_t reason,
    int64_t seconds, mg_arena_t *a, mg_error_t *e);


/* -- tokens (mg_store_token.c) -- */

typedef struct {
    mg_str_t   id, name;
    mg_role_e  role;
    int64_t    created_at, expires_at, last_used_at;
} mg_token_row_t;

int mg_store_token_create(mg_pg_t *c, const mg_actor_t *who, mg_str_t name,
    mg_role_e role, int64_t expires_at, const uint8_t sha256[32],
    mg_arena_t *a, mg_token_row_t *t, mg_error_t *e);
int mg_store_token_list(mg_pg_t *c, mg_str_t org_id, mg_paging_t *paging,
    mg_arena_t *a, mg_token_row_t **rows, unsigned *n, mg_error_t *e);
/* MG_E_NOT_FOUND. */
int mg_store_token_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t id,
    mg_error_t *e);


/* -- jobs (mg_store_job.c, those that are made: mg_store_job_ask.c) -- */

#define MG_JOB_LEASE_S       10
#define MG_JOB_ONCE_PARAM    "Idempotency-Key"   /* of errors about it */

/* The highest first; -100 to 100. */
#define MG_JOB_PRIORITY_PERSON    10
#define MG_JOB_PRIORITY_ROUTINE   0

typedef struct {
    const char  *kind;
    mg_str_t     key;           /* {NULL,0}: no uniqueness */
    mg_str_t     payload;       /* JSON object; {NULL,0}: none */
    int          priority;
    int          max_attempts;  /* 0: the column's default */
    int64_t      wait_us;       /* not before so long from now */
} mg_job_ask_t;

/*
 * Makes a job.  MG_E_CONFLICT with j->id of the running one if a pending or
 * running job has the key.  With who->once: MG_OK with j->replayed and the
 * job as it is now if the same request has made it within the last 24 hours;
 * MG_E_CONFLICT, j->id empty and MG_JOB_ONCE_PARAM as the parameter if
 * another one has used the Idempotency-Key for a job of this kind.
 */
int mg_store_job_ask(mg_pg_t *c, const mg_actor_t *who,
    const mg_job_ask_t *ask, mg_arena_t *a, mg_job_t *j, mg_error_t *e);

/* The same, with the priority of a person who has a token, or of routine. */
int mg_store_job_create(mg_pg_t *c, const mg_actor_t *who, const char *kind,
    mg_str_t key, mg_str_t payload, mg_arena_t *a, mg_job_t *j,
    mg_error_t *e);

/*
 * What who->once has made of a kind (and of a key, unless that is {NULL,0}):
 * MG_OK and *j; MG_DECLINED: nothing; MG_ERROR also as above.
 */
int mg_store_job_replay(mg_pg_t *c, const mg_actor_t *who, const char *kind,
    mg_str_t key, mg_arena_t *a, mg_job_t *j, mg_error_t *e);

/*
 * The first of the jobs that may be begun (FOR UPDATE SKIP LOCKED), or whose
 * lease ran out, now in progress under lease for owner.  kinds: names with
 * commas between them, others are left alone; {NULL,0}: any.  MG_DECLINED if
 * there is none.
 */
int mg_store_job_claim(mg_pg_t *c, const char *owner, mg_str_t kinds,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e);

/* The job of this id, if it may be claimed; else MG_DECLINED. */
int mg_store_job_claim_one(mg_pg_t *c, const char *owner, mg_str_t kinds,
    mg_str_t id, mg_arena_t *a, mg_job_t *j, mg_error_t *e);

/* *waiting: 1 if mg_store_job_claim() would find one now, else 0. */
int mg_store_job_waiting(mg_pg_t *c, mg_str_t kinds, int *waiting,
    mg_error_t *e);

/*
 * Extends the lease, writes progress; moved: something was done for good.
 * MG_DECLINED when the job is no longer ours; *cancel is set when its
 * cancellation was asked for.
 */
int mg_store_job_heartbeat(mg_pg_t *c, const mg_job_t *j, const char *owner,
    int progress, int moved, int *cancel, mg_error_t *e);

/*
 * state: completed, failed, cancelled, or pending (hand-over; one that is to
 * be cancelled is, instead).  MG_DECLINED when the job is no longer ours.
 */
int mg_store_job_end(mg_pg_t *c, const mg_job_t *j, const char *owner,
    mg_job_state_e state, mg_str_t result, mg_str_t error, mg_error_t *e);

/*
 * Pending, for another attempt wait_us from now at the earliest; moved: as in
 * mg_store_job_heartbeat().
 */
int mg_store_job_retry(mg_pg_t *c, const mg_job_t *j, const char *owner,
    int64_t wait_us, int moved, mg_str_t error, mg_error_t *e);

int mg_store_job_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    mg_job_t *j, mg_error_t *e);

/* Each {NULL,0}, -1 or 0: all. */
typedef struct {
    mg_str_t   kind, key;
    int        state;         /* mg_job_state_e */
    int64_t    since;         /* made then or later, us since 1970 */
} mg_job_filter_t;

/* The newest first. */
int mg_store_job_list(mg_pg_t *c, mg_str_t org_id, const mg_job_filter_t *f,
    mg_paging_t *paging, mg_arena_t *a, mg_job_t **rows, unsigned *n,
    mg_error_t *e);

/* Pending: cancelled at once; running: asked to stop.  NOT_FOUND, CONFLICT
 * when it has ended. */
int mg_store_job_cancel(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e);


/* -- what is done again and again (mg_store_schedule.c) -- */

/*
 * Removes jobs and validations that have ended more than so many days ago,
 * a few thousand at a time; the newest validation of a provider stays.
 * *removed: how many jobs went.
 */
int mg_store_job_retire(mg_pg_t *c, unsigned days, int64_t *removed,
    mg_error_t *e);

typedef struct {
    mg_str_t   org_id, provider_id;
    mg_str_t   last;          /* the run before; absent: there was none */
} mg_validation_due_t;

/*
 * Providers whose last validation of all models was asked for longer ago
 * than interval_s and a share of jitter_s that is drawn from its id.
 * providers: ids with commas between them; {NULL,0}: those that were made by
 * hand or have a key.
 */
int mg_store_validation_due(mg_pg_t *c, mg_str_t providers,
    unsigned interval_s, unsigned jitter_s, mg_arena_t *a,
    mg_validation_due_t **rows, unsigned *n, mg_error_t *e);


/* -- validation (mg_store_validation.c) -- */

typedef struct {
    mg_str_t         id, provider_id, job_id, current_model_id, error;
    mg_str_t         phase;           /* waiting, discovering, testing,
                                         finishing, ended */
    mg_job_state_e   state;
    int64_t          total, validated, available, unavailable, unverified;
    int64_t          missing;         /* of the provider's own list */
    int64_t          estimated_s;     /* what is left; MG_UNKNOWN */
    int              listed;          /* the list of models is made */
    int              only_failed;
    int              chosen;          /* only models that were named */
    int64_t          started_at, completed_at, updated_at, created_at;
    int              replayed;        /* made by the same request, earlier */
} mg_validation_t;

typedef struct {
    mg_str_t   model_id;
    int        available;       /* 1, 0 */
    int        unverified;      /* 1: nobody asked it; it is not available */
    int64_t    latency_us;      /* -1 unknown */
    int64_t    status_code;     /* 0 none */
    mg_str_t   error_class;     /* auth, quota, not_found, timeout, ... */
    mg_str_t   error;
    int64_t    tested_at;
} mg_validation_result_t;

/* A model that is to be tested: no more than a run needs of it. */
typedef struct {
    mg_str_t   id;
    mg_str_t   provider_model_id;
    uint8_t    type;            /* mg_model_type_e */
    uint8_t    begun;           /* so often by a worker that was lost */
    uint8_t    active;          /* 0: passed over when its turn comes */
    uint8_t    listed;          /* the provider's own list has it */
} mg_validation_model_t;

/* What changes beside the results. */
typedef struct {
    mg_str_t      current;      /* model; empty: none */
    const char   *phase;        /* NULL: as it was */
    int64_t       estimated_s;  /* MG_UNKNOWN: not known */
} mg_validation_news_t;

/* The provider's own list. */
typedef struct {
    mg_str_t   rows;            /* of mg_store_validation_row() */
    unsigned   n_rows;
    mg_str_t   authority;       /* source whose models are gone if they are
                                   not in rows; {NULL, 0}: none is */
    const mg_validation_model_t
              *begun;           /* these are being asked already, ... */
    unsigned   n_begun;
    unsigned   all_begun:1;     /* ... or what is new may have been asked by
                                   a worker that was lost */
} mg_validation_list_t;

/*
 * The progress row and its job in one transaction.  MG_E_CONFLICT with v
 * filled with the running one.  only_failed: just what failed last time;
 * MG_E_CONFLICT with v empty if nothing has.  v->total is the number of
 * models known now, until the list is made.  who->once as in
 * mg_store_job_ask(), with v->replayed.
 */
int mg_store_validation_create(mg_pg_t *c, const mg_actor_t *who,
    mg_str_t provider, int only_failed, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);

/*
 * The same for the models that are named: ids is a JSON array of texts, with
 * or without the provider before the slash.  MG_E_NOT_FOUND names the first
 * that the provider has not.
 */
int mg_store_validation_choose(mg_pg_t *c, const mg_actor_t *who,
    mg_str_t provider, mg_str_t ids, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);

/* Latest of a provider, or by id.  MG_E_NOT_FOUND. */
int mg_store_validation_latest(mg_pg_t *c, mg_str_t org_id,
    mg_str_t provider, mg_arena_t *a, mg_validation_t *v, mg_error_t *e);
int mg_store_validation_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e);
/* provider {NULL, 0}: of all; status {NULL, 0}: in any. */
int mg_store_validation_list(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_str_t status, mg_paging_t *paging, mg_arena_t *a,
    mg_validation_t **rows, unsigned *n, mg_error_t *e);
/* result: available, unavailable, unverified, or {NULL, 0}: all. */
int mg_store_validation_results(mg_pg_t *c, mg_str_t id, mg_str_t result,
    mg_paging_t *paging, mg_arena_t *a, mg_validation_result_t **rows,
    unsigned *n, mg_error_t *e);

/*
 * What is still to be tested in this run (resumes after a hand-over), what
 * was begun by lost workers last.
 */
int mg_store_validation_pending(mg_pg_t *c, mg_str_t id, mg_arena_t *a,
    mg_validation_model_t **models, unsigned *n, mg_error_t *e);

/* These, all of which have the same "begun", are begun once more. */
int mg_store_validation_begin(mg_pg_t *c, mg_str_t id,
    const mg_validation_model_t **models, unsigned n, mg_error_t *e);

/* Takes that back, of those that have no result: another worker goes on. */
int mg_store_validation_leave(mg_pg_t *c, mg_str_t id,
    const mg_validation_model_t **models, unsigned n, mg_error_t *e);

/*
 * Results of a batch, counts and news, in one transaction: counts are
 * recomputed from the rows, so they always add up.  Sets the health status of
 * the models, or unless "tell" that of members of groups.  v is refreshed.
 */
int mg_store_validation_save(mg_pg_t *c, mg_str_t id,
    const mg_validation_result_t *results, unsigned n, int tell,
    const mg_validation_news_t *news, mg_validation_t *v, mg_arena_t *a,
    mg_error_t *e);

/*
 * Health status of the models whose results are not older than "since" (us;
 * 0: all), in a transaction of its own.
 */
int mg_store_validation_health(mg_pg_t *c, mg_str_t id, int64_t since,
    mg_arena_t *a, mg_error_t *e);

/*
 * state as of its job; total is set when the list of models is known.
 * PENDING: what was begun and has no result does not count as begun.
 */
int mg_store_validation_state(mg_pg_t *c, mg_str_t id, mg_job_state_e state,
    int64_t total, mg_str_t error, mg_error_t *e);

/* Appends a model to the rows of a list; it is checked. */
void mg_store_validation_row(mg_buf_t *b, const mg_model_t *m);

/*
 * Models that the provider lists: new ones are added (source: protocol),
 * known ones stay, missing ones are marked; makes the run's list of models
 * to test: every active model of the provider, and those that have just
 * gone.  list NULL: with what is known.
 */
int mg_store_validation_discovered(mg_pg_t *c, mg_str_t id,
    const mg_validation_list_t *list, mg_error_t *e);

/*
 * The scores of a provider's next few hundred models by their ids, reliability
 * among them, in a transaction.  *after: behind which id, {NULL, 0} to begin
 * with; then the last one that was looked at, in the arena.  MG_DECLINED:
 * there is none behind it.
 */
int mg_store_score_next(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_str_t *after, mg_arena_t *a, mg_error_t *e);


/* -- inference records (mg_store_record.c) -- */

/*
 * COPY into the groups' tables, one transaction for all; on a duplicate key
 * once more through a temporary table that leaves out what is there.
 * Records are sorted by table inside; those whose table is gone are kept in
 * inference_unassigned.  *stored: rows written.  One that cannot be read
 * fails all of them, as one does that the database refuses.
 */
int mg_store_records(mg_pg_t *c, const mg_record_ref_t *records, unsigned n,
    uint64_t *stored, mg_error_t *e);

/* Partitions for the coming days of every group; under an advisory lock. */
int mg_store_partitions(mg_pg_t *c, mg_error_t *e);


/* -- retention of records (mg_store_retain.c) -- */

typedef struct {
    mg_str_t   group_id, org_id;
} mg_retain_due_t;

/* Whose days they are; of a group that was deleted what it was at last. */
typedef struct {
    mg_str_t   group_id;
    mg_str_t   table;
    mg_str_t   traffic_config;
} mg_retain_owner_t;

/* What became of a day that went into a file. */
typedef struct {
    mg_str_t   name;          /* within the archive folder */
    int64_t    rows, bytes;
    mg_str_t   sha256;        /* hex */
    mg_str_t   node;          /* host that has it */
} mg_retain_file_t;

/* Groups with a day to take away, or to put back. */
int mg_store_retain_due(mg_pg_t *c, mg_arena_t *a, mg_retain_due_t **rows,
    unsigned *n, mg_error_t *e);

/* MG_E_NOT_FOUND: there is no such group, and no table that it has left. */
int mg_store_retain_owner(mg_pg_t *c, mg_str_t org_id, mg_str_t group_id,
    mg_arena_t *a, mg_retain_owner_t *owner, mg_error_t *e);

/*
 * By what the group's policy says now: puts days back that it keeps after
 * all (*attached), takes those out that it keeps no longer, until 30 are.
 * The table of a group that was deleted goes when it has no days left.
 * *names: tables of all that are out, oldest first.  MG_E_TIMEOUT if a lock
 * could not be had within two seconds.
 */
int mg_store_retain_detach(mg_pg_t *c, mg_str_t group_id, mg_arena_t *a,
    mg_str_t **names, unsigned *n, int64_t *attached, mg_error_t *e);

/* Number of the next archive of a table's day ("20260614"), from 1. */
int mg_store_retain_part(mg_pg_t *c, mg_str_t table, mg_str_t day,
    mg_arena_t *a, int64_t *part, mg_error_t *e);

/*
 * The next rows of a day as CSV, at most limit; the first ones ({NULL, 0} in
 * *after, which is then moved on) with a line of names.  MG_DECLINED: there
 * are no more.
 */
int mg_store_retain_copy(mg_pg_t *c, mg_str_t name, mg_str_t *after,
    unsigned limit, mg_pg_sink_pt sink, void *ctx, mg_arena_t *a,
    uint64_t *rows, mg_error_t *e);

/* How many a day has. */
int mg_store_retain_count(mg_pg_t *c, mg_str_t name, mg_arena_t *a,
    int64_t *rows, mg_error_t *e);

/* file NULL: without an archive. */
int mg_store_retain_drop(mg_pg_t *c, mg_str_t group_id, mg_str_t name,
    const mg_retain_file_t *file, mg_arena_t *a, mg_error_t *e);


#endif /* MG_STORE_H */
