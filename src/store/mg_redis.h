/*
 * mg_redis.h: the copy of a snapshot that nodes share.
 *
 *     model:snap:<kind>:<version>:<generation>    the file, byte for byte
 *     model:lock:<kind>:<version>:<generation>    token of who makes it
 *
 * Generations follow the clock in microseconds, so databases that share a
 * Redis do not meet.  The catalog as a whole is kept 15 minutes; routing,
 * which is what there is of single providers (addresses, sealed keys, the
 * groups that use them), 30 minutes.
 *
 * Redis is a cache and nothing but: each call may fail, is bounded as a
 * whole (300 ms, and for a file 2 s and a second for each 32 MB) however
 * slowly the bytes trickle, and has a database path behind it.  Who fails is
 * left alone for 5 s, and one that hangs twice as long each time, up to 40 s;
 * an error that Redis itself reports (no memory, a wrong type) is no such
 * failure.
 *
 * Blocks: pool threads only; any of them, one at a time.
 */

#ifndef MG_REDIS_H
#define MG_REDIS_H

#include "base/mg_buf.h"
#include "base/mg_error.h"


typedef struct mg_redis_s  mg_redis_t;


/* address: "unix:/path" or "host:port".  Connects nothing yet. */
mg_redis_t *mg_redis_create(const char *address);
void mg_redis_destroy(mg_redis_t *r);

/*
 * MG_OK with the bytes in out; MG_DECLINED: not there; MG_ERROR: Redis.
 * size: how many are expected, for the time-out; 0: few.
 */
int mg_redis_snap_get(mg_redis_t *r, unsigned kind, uint64_t generation,
    size_t size, mg_buf_t *out, mg_error_t *e);

/*
 * Keeps the image and forgets the one of generation "old" (0: none), which
 * nobody will ask for again: a storm of changes must not fill Redis.
 * MG_ERROR: it was not taken.
 */
int mg_redis_snap_put(mg_redis_t *r, unsigned kind, uint64_t generation,
    uint64_t old, mg_str_t image, mg_error_t *e);

/* Forgets a copy; *n: 1 if there was one. */
int mg_redis_snap_drop(mg_redis_t *r, unsigned kind, uint64_t generation,
    unsigned *n, mg_error_t *e);


/* -- one builder at a time -- */

typedef struct {
    unsigned   held:1;
    unsigned   kind;
    uint64_t   generation;
    size_t     size;             /* of the copy, if it is there */
    char       token[33];        /* random: who may give the lock back */
} mg_redis_lock_t;

/*
 * Whether a short command may take 2 s instead of 300 ms: a node that serves
 * nothing yet loses nothing by waiting, and many that begin at once keep
 * Redis busy with their copies.
 */
void mg_redis_patient(mg_redis_t *r, int patient);

/*
 * MG_OK: the copy is there.  MG_DECLINED: it is not, and the caller is the
 * one who makes it; the lock is his for expire_ms at most.  MG_AGAIN:
 * somebody else is making it, ask again soon.  MG_ERROR: Redis.
 */
int mg_redis_snap_claim(mg_redis_t *r, unsigned kind, uint64_t generation,
    unsigned expire_ms, mg_redis_lock_t *lock, mg_error_t *e);

/* Gives it back if it is still ours; nothing if it is not held. */
void mg_redis_snap_release(mg_redis_t *r, mg_redis_lock_t *lock);


#endif /* MG_REDIS_H */
