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


/* Who acts: for org_id columns and the audit trail. */
typedef struct {
    mg_str_t   org_id;        /* UUID text */
    mg_str_t   token_id;      /* UUID text; {NULL,0}: the gateway itself */
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

/*
 * The change, under the row's lock: "change" gets the group as it is, with
 * members and ranges, and edits it; MG_ERROR with *e refuses.  Then rows,
 * memberships, ranges and the event are written and version is raised.
 * Serves PATCH, bulk assign and member removal.  what: "updated",
 * "members_assigned", ...; expect_version 0: any, else MG_E_PRECONDITION.
 */
typedef int (*mg_store_group_change_pt)(void *ctx, mg_group_t *g,
    mg_error_t *e);

int mg_store_group_change(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    const char *what, int64_t expect_version,
    mg_store_group_change_pt change, void *ctx, mg_arena_t *a, mg_group_t *g,
    mg_error_t *e);

/* The inference table stays (audit).  expect_version as above. */
int mg_store_group_delete(mg_pg_t *c, const mg_actor_t *who, mg_str_t ref,
    int64_t expect_version, mg_error_t *e);

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
    mg_str_t   token_id, token_name;     /* absent: the gateway itself */
    mg_str_t   before, after;            /* JSON objects; absent */
} mg_group_event_t;

/*
 * The audit trail, newest first; a group that was deleted is found by its
 * id, or by its last name.
 */
int mg_store_group_events(mg_pg_t *c, mg_str_t org_id, mg_str_t ref,
    mg_paging_t *paging, mg_arena_t *a, mg_group_event_t **events,
    unsigned *n, mg_error_t *e);


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


/* -- jobs (mg_store_job.c) -- */

#define MG_JOB_LEASE_S   10

/*
 * key {NULL,0}: no uniqueness.  MG_E_CONFLICT with j->id of the running one
 * if a pending or running job has the key.
 */
int mg_store_job_create(mg_pg_t *c, const mg_actor_t *who, const char *kind,
    mg_str_t key, mg_str_t payload, mg_arena_t *a, mg_job_t *j,
    mg_error_t *e);

/*
 * The next pending job, or one whose lease ran out (FOR UPDATE SKIP LOCKED),
 * now in progress under lease for owner.  MG_DECLINED if there is none.
 */
int mg_store_job_claim(mg_pg_t *c, const char *owner, mg_arena_t *a,
    mg_job_t *j, mg_error_t *e);

/* The job of this id, if it may be claimed; else MG_DECLINED. */
int mg_store_job_claim_one(mg_pg_t *c, const char *owner, mg_str_t id,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e);

/* *waiting: 1 if mg_store_job_claim() would find one now, else 0. */
int mg_store_job_waiting(mg_pg_t *c, int *waiting, mg_error_t *e);

/*
 * Extends the lease, writes progress.  MG_DECLINED when the job is no longer
 * ours; *cancel is set when its cancellation was asked for.
 */
int mg_store_job_heartbeat(mg_pg_t *c, const mg_job_t *j, const char *owner,
    int progress, int *cancel, mg_error_t *e);

/*
 * state: completed, failed, cancelled, or pending (hand-over).  MG_DECLINED
 * when the job is no longer ours.
 */
int mg_store_job_end(mg_pg_t *c, const mg_job_t *j, const char *owner,
    mg_job_state_e state, mg_str_t result, mg_str_t error, mg_error_t *e);

int mg_store_job_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id, mg_arena_t *a,
    mg_job_t *j, mg_error_t *e);
int mg_store_job_list(mg_pg_t *c, mg_str_t org_id, mg_str_t kind,
    mg_paging_t *paging, mg_arena_t *a, mg_job_t **rows, unsigned *n,
    mg_error_t *e);

/* Pending: cancelled at once; running: asked to stop.  NOT_FOUND, CONFLICT
 * when it has ended. */
int mg_store_job_cancel(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_job_t *j, mg_error_t *e);


/* -- validation (mg_store_validation.c) -- */

typedef struct {
    mg_str_t         id, provider_id, job_id, current_model_id, error;
    mg_job_state_e   state;
    int64_t          total, validated, available, unavailable;
    int64_t          started_at, completed_at, updated_at, created_at;
} mg_validation_t;

typedef struct {
    mg_str_t   model_id;
    int        available;       /* 1, 0 */
    int64_t    latency_us;      /* -1 unknown */
    int64_t    status_code;     /* 0 none */
    mg_str_t   error_class;     /* auth, quota, not_found, timeout, ... */
    mg_str_t   error;
    int64_t    tested_at;
} mg_validation_result_t;

/*
 * The progress row and its job in one transaction.  MG_E_CONFLICT with v
 * filled with the running one.  only_failed: just what failed last time;
 * MG_E_CONFLICT with v empty if nothing has.  v->total is the number of
 * models known now; in the row it is 0 until the list is made.
 */
int mg_store_validation_create(mg_pg_t *c, const mg_actor_t *who,
    mg_str_t provider, int only_failed, mg_arena_t *a, mg_validation_t *v,
    mg_error_t *e);

/* Latest of a provider, or by id.  MG_E_NOT_FOUND. */
int mg_store_validation_latest(mg_pg_t *c, mg_str_t org_id,
    mg_str_t provider, mg_arena_t *a, mg_validation_t *v, mg_error_t *e);
int mg_store_validation_get(mg_pg_t *c, mg_str_t org_id, mg_str_t id,
    mg_arena_t *a, mg_validation_t *v, mg_error_t *e);
int mg_store_validation_list(mg_pg_t *c, mg_str_t org_id, mg_str_t provider,
    mg_paging_t *paging, mg_arena_t *a, mg_validation_t **rows, unsigned *n,
    mg_error_t *e);
int mg_store_validation_results(mg_pg_t *c, mg_str_t id,
    mg_paging_t *paging, mg_arena_t *a, mg_validation_result_t **rows,
    unsigned *n, mg_error_t *e);

/* What is still to be tested in this run (resumes after a hand-over). */
int mg_store_validation_pending(mg_pg_t *c, mg_str_t id, mg_arena_t *a,
    mg_model_t **models, unsigned *n, mg_error_t *e);

/*
 * Results of a batch, counts and current model, in one transaction: counts
 * are recomputed from the rows, so they always add up.  Sets the catalog's
 * health status.  v is refreshed.
 */
int mg_store_validation_save(mg_pg_t *c, mg_str_t id,
    const mg_validation_result_t *results, unsigned n, mg_str_t current,
    mg_validation_t *v, mg_arena_t *a, mg_error_t *e);

/* state as of its job; total is set when the list of models is known. */
int mg_store_validation_state(mg_pg_t *c, mg_str_t id, mg_job_state_e state,
    int64_t total, mg_str_t error, mg_error_t *e);

/*
 * Models that the provider lists: new ones are added (source: protocol),
 * known ones stay; makes the run's list of models to test: every active
 * model of the provider.
 */
int mg_store_validation_discovered(mg_pg_t *c, mg_str_t id,
    const mg_model_t *models, unsigned n, mg_error_t *e);


/* -- inference records (mg_store_record.c) -- */

/*
 * COPY into the groups' tables, one transaction for all; on a duplicate key
 * once more through a temporary table that leaves out what is there.
 * Records are sorted by table inside; those whose table is gone are kept in
 * inference_unassigned.  *stored: rows written.
 */
int mg_store_records(mg_pg_t *c, const mg_record_t *records, unsigned n,
    uint64_t *stored, mg_error_t *e);

/* Partitions for the coming days of every group; under an advisory lock. */
int mg_store_partitions(mg_pg_t *c, mg_error_t *e);


#endif /* MG_STORE_H */
