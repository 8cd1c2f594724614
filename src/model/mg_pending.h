/*
 * mg_pending.h: records of answers whose last bytes are on their way.
 *
 *     | header (64 bytes) | a word a unit | units of 1 KB |
 *
 * Before the last byte of an answer goes out its record is put here, so a
 * worker that is killed before it puts the final one into its ring leaves
 * this one to whoever inherits the slot.  A record takes as many units in a
 * row as it needs; the word of the first says which process has written it
 * and how long it is, and is stored with release after the bytes: 0 is
 * free.  Which units are free the writer knows by itself, in memory of its
 * own, so nothing in here needs a repair.
 *
 * One writer, the event loop of the worker that owns the slot; anybody may
 * move what a dead one has left.  A word is never the same for two
 * processes, so a late mover takes nothing from the next owner.
 *
 * No locks, no allocation, no blocking.
 */

#ifndef MG_PENDING_H
#define MG_PENDING_H

#include "model/mg_ring.h"


#define MG_PENDING_UNITS   256           /* at most; a multiple of 64 */
#define MG_PENDING_UNIT    1024          /* bytes */
#define MG_PENDING_RUN     8             /* units of one record, at most */


typedef struct {
    uint64_t       units;                /* 0: not formatted */
    uint64_t       pad[7];
    uint64_t       words[];              /* pid << 32 | bytes of the record */
} mg_pending_t;


/* The writer's own, not shared. */
typedef struct {
    mg_pending_t  *shared;               /* NULL: not open */
    char          *data;
    uint32_t       pid;
    uint64_t       free[MG_PENDING_UNITS / 64];     /* a bit a unit */
} mg_pending_writer_t;


/* Formats size bytes that were all zero; fewer than 2 KB: without a unit. */
void mg_pending_init(mg_pending_t *p, size_t size);

/* Event loop of the owner; p must hold nothing. */
void mg_pending_open(mg_pending_writer_t *w, mg_pending_t *p, uint32_t pid);

/*
 * Room for a record of len bytes, which nobody sees before it is published.
 * NULL: nothing is free, or it is longer than MG_PENDING_RUN units.
 */
void *mg_pending_take(mg_pending_writer_t *w, size_t len);

/* record and len are those of mg_pending_take(). */
void mg_pending_publish(mg_pending_writer_t *w, void *record, size_t len);
void mg_pending_free(mg_pending_writer_t *w, void *record, size_t len);

/*
 * Copies the records of processes that are dead (NULL: all) into a ring of
 * the caller's, and frees them.  MG_OK, or MG_AGAIN if the ring had no room
 * for all.  One that is moved by two callers at once is copied twice.
 */
int mg_pending_move(mg_pending_t *p, mg_ring_t *ring,
    int (*dead)(uint64_t pid));

/* Bytes of records in it. */
uint64_t mg_pending_used(const mg_pending_t *p);


#endif /* MG_PENDING_H */
