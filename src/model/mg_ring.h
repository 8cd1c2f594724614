/*
 * mg_ring.h: a byte ring in shared memory, one writer, one reader.
 *
 *     | header (64 bytes) | data, a power of two |
 *
 * The writer is the event loop of the worker that owns the slot; the reader
 * is one pool thread at a time (of the same worker, or of the worker that
 * inherits the slot of a killed one).  head and tail only grow; their
 * values modulo the size are positions.  The writer stores head with
 * release after the bytes, the reader stores tail with release after the
 * bytes are safe elsewhere: a kill at any point leaves whole records or
 * none, and at worst a record is read twice (its id removes the second).
 *
 * No locks, no allocation, nothing to repair.
 */

#ifndef MG_RING_H
#define MG_RING_H

#include "base/mg_str.h"


typedef struct {
    uint64_t  size;            /* of data; power of two */
    uint64_t  head;            /* bytes ever written */
    uint64_t  tail;            /* bytes ever consumed */
    uint64_t  dropped;         /* records that found no room */
    uint64_t  written;         /* records */
    uint64_t  pad[3];
} mg_ring_t;


/* Bytes of memory for a ring whose data is at most "room" bytes: 0 if none. */
size_t mg_ring_fit(size_t room);

/* Formats memory that was all zero; size from mg_ring_fit(). */
void mg_ring_init(mg_ring_t *r, size_t size);

/*
 * Contiguous room for len bytes (the rest of the buffer is skipped with a
 * filler if need be).  NULL: no room; dropped was counted.
 */
void *mg_ring_reserve(mg_ring_t *r, size_t len);

/* Publishes what was reserved. */
void mg_ring_commit(mg_ring_t *r, size_t len);

/*
 * The writer has time before the next record: fetches the memory of its
 * first len bytes, which went out of the cache since the last lap.
 */
void mg_ring_warm(const mg_ring_t *r, size_t len);

/* Bytes waiting: a hint for the flusher. */
uint64_t mg_ring_used(const mg_ring_t *r);

/*
 * Reader.  cursor starts at mg_ring_begin() and moves on; returns 1 with
 * the next record's bytes (in place), 0 when everything that was published
 * has been seen.
 */
uint64_t mg_ring_begin(const mg_ring_t *r);
int mg_ring_next(const mg_ring_t *r, uint64_t *cursor, mg_str_t *record);

/* Everything before cursor is safe elsewhere. */
void mg_ring_consume(mg_ring_t *r, uint64_t cursor);


#endif /* MG_RING_H */
