/*
 * mg_flush.h: inference records on their way from the ring to PostgreSQL.
 *
 * One step takes what the ring holds (at most 4,000 records), COPYs it, and
 * frees the ring.  With the database away, or too slow for what comes, the
 * same bytes are appended to a spool file, STATE/spool/<slot>-<pid>.rec, and
 * fsynced; replay renames, reads and removes spool files once the database is
 * back.  Records carry their id, so whatever is written twice is stored once.
 *
 * Blocks: pool threads; mg_flush_spool_all() also in exit_process.
 */

#ifndef MG_FLUSH_H
#define MG_FLUSH_H

#include "job/mg_env.h"


/* Drains a ring into the database or the spool.  MG_OK: ring emptied. */
int mg_flush_ring(const mg_env_t *env, mg_ring_t *ring, unsigned slot,
    mg_error_t *e);

/* The rest of a ring straight into the spool: the worker is leaving. */
int mg_flush_spool_all(const mg_env_t *env, mg_ring_t *ring, unsigned slot,
    mg_error_t *e);

/*
 * Stores at most a few thousand records of one spool file whose writer is
 * gone or done.  MG_OK: something was replayed; MG_DECLINED: nothing there.
 */
int mg_flush_replay(const mg_env_t *env, const int *cancel, mg_error_t *e);


#endif /* MG_FLUSH_H */
