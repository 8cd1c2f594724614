/*
 * mg_keep_local.h: what mg_keep.c and mg_keep_publish.c share.
 *
 * Pool thread of worker 0.  A kind of snapshot is named by its index here,
 * MG_KEEP_CATALOG or MG_KEEP_ROUTING.
 */

#ifndef MG_KEEP_LOCAL_H
#define MG_KEEP_LOCAL_H

#include "job/mg_keep.h"


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
 * Makes the file be what the database is, whose generation is "wanted" or
 * later.  A build that fails is logged
 * and tried again later; MG_ERROR only if the database is away.
 */
int mg_keep_publish(const mg_env_t *env, mg_keep_t *k, mg_pg_t *db,
    unsigned i, uint64_t wanted, const int *cancel, mg_error_t *e);

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


#endif /* MG_KEEP_LOCAL_H */
