/*
 * mg_redis.h: the copy of a snapshot that nodes share.
 *
 * Redis is a cache and nothing but: each call may fail, is bounded by a
 * time-out of its own (200 ms connect, 2 s for a file) and has a database
 * path behind it; after a failure the pool leaves Redis alone for 5 s.
 * Keys: model:snap:<kind>:<version>:<generation>, kept 15 minutes.
 *
 * Blocks: pool threads only.
 */

#ifndef MG_REDIS_H
#define MG_REDIS_H

#include "base/mg_buf.h"
#include "base/mg_error.h"


typedef struct mg_redis_s  mg_redis_t;


/* address: "unix:/path" or "host:port".  Connects nothing yet. */
mg_redis_t *mg_redis_create(const char *address);
void mg_redis_destroy(mg_redis_t *r);

/* MG_OK with the bytes in out; MG_DECLINED: not there; MG_ERROR: Redis. */
int mg_redis_snap_get(mg_redis_t *r, unsigned kind, uint64_t generation,
    mg_buf_t *out, mg_error_t *e);

int mg_redis_snap_put(mg_redis_t *r, unsigned kind, uint64_t generation,
    mg_str_t image, mg_error_t *e);


#endif /* MG_REDIS_H */
