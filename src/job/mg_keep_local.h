/*
 * mg_keep_local.h: what the files mg_keep*.c share.
 *
 * Pool thread of worker 0.  A kind of snapshot is named by its index here,
 * MG_KEEP_CATALOG or MG_KEEP_ROUTING.
 */

#ifndef MG_KEEP_LOCAL_H
#define MG_KEEP_LOCAL_H

#include "job/mg_keep.h"
#include "snapshot/mg_snap.h"
#include "snapshot/mg_snap_routing.h"
#include "store/mg_store.h"


#define MG_KEEP_CATALOG   0
#define MG_KEEP_ROUTING   1

#define MG_KEEP_SECOND    INT64_C(1000000)      /* us */


/*
 * At start: announces a file that is sound, forgets one that is not.
 * Without the lock only if none was announced yet.
 */
void mg_keep_verify(const mg_env_t *env, mg_keep_t *k, unsigned i,
    int locked);

/*
 * Makes the file be what the database is, whose generations are g or later.
 * A build that fails is logged and tried again later; MG_ERROR only if the
 * database is away.
 */
int mg_keep_publish(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    unsigned i, const mg_generations_t *g, const int *cancel, mg_error_t *e);

/* The price lists of a snapshot that was built (mg_keep_price.c). */
void mg_keep_prices(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    const mg_routing_builder_t *b);

/* When it is time: jobs for records that are too old (mg_keep_retain.c). */
int mg_keep_retain(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    mg_error_t *e);

/* When it is time: backends' names once more.  MG_ERROR as above. */
int mg_keep_names(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    const int *cancel, mg_error_t *e);

/*
 * The lock of the state folder; close() gives it back, and so does the end
 * of the process.  -1 with *e: MG_E_CANCELLED if it was asked to stop,
 * MG_E_CONFLICT if another process holds it for seconds.
 */
int mg_keep_lock(const mg_env_t *env, const int *cancel, mg_error_t *e);

/* 1 if it was asked to stop; cancel may be NULL. */
int mg_keep_stop(const int *cancel);

/* A change waits: the next round is wanted in so many ms, or sooner. */
void mg_keep_again(mg_keep_t *k, unsigned ms);


/* -- Redis (mg_keep_share.c); MG_SNAP_* is the kind there -- */

/*
 * MG_OK: there is a copy.  MG_DECLINED: build; the lock is held, or there is
 * none to be had.  MG_AGAIN: another node is at it, the round after this one
 * asks again.
 */
int mg_keep_share_claim(const mg_env_t *env, mg_keep_t *k, unsigned i,
    unsigned kind, uint64_t wanted);

/*
 * MG_OK: the image is sound and of the generation.  MG_DECLINED: it could
 * not be had.  MG_AGAIN: it was bad and has been deleted.
 */
int mg_keep_share_get(const mg_env_t *env, mg_keep_t *k, unsigned i,
    unsigned kind, uint64_t wanted, mg_buf_t *image);

/* In place of the copy of generation "old", 0: none. */
void mg_keep_share_put(const mg_env_t *env, unsigned kind,
    uint64_t generation, uint64_t old, mg_str_t image);

/* However the attempt has ended. */
void mg_keep_share_release(const mg_env_t *env, mg_keep_t *k, unsigned i);


/* -- stale or not (mg_keep_confirm.c) -- */

/* The published catalog is what the database is. */
void mg_keep_confirm(const mg_env_t *env, mg_keep_t *k);

/* Nobody can say that now. */
void mg_keep_stale(const mg_env_t *env, mg_keep_t *k);

/* At start, in a new zone: when it was confirmed last. */
void mg_keep_confirm_read(const mg_env_t *env);


#endif /* MG_KEEP_LOCAL_H */
