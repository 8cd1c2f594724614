/*
 * mg_ready.h: how far the gateway has come since it started.
 *
 *     connecting -> loading -> finalizing -> ready
 *
 * connecting: neither a database nor a snapshot on disk; loading: building
 * or first sync; finalizing: snapshot published, not yet mapped; ready is
 * latched: once reached, a database that goes away does not undo it.  The
 * struct lies in shared memory; every member is one word, written by
 * worker 0's threads and read by all.
 *
 * A catalog is stale while nobody can say whether it is what the database
 * is: the database is away, or what it has become cannot be built.  It is
 * as old then as the last round that found the two equal.
 */

#ifndef MG_READY_H
#define MG_READY_H

#include "base/mg_str.h"


typedef enum {
    MG_PHASE_CONNECTING = 0,
    MG_PHASE_LOADING,
    MG_PHASE_FINALIZING,
    MG_PHASE_READY,
    MG_PHASE_N
} mg_phase_e;

extern const mg_str_t  mg_phase_names[MG_PHASE_N];


/* What worker 0 tells all workers; one 64-bit word each. */
typedef struct {
    uint64_t  phase;                /* mg_phase_e */
    uint64_t  progress;             /* 0..100 */
    uint64_t  started_us;           /* wall clock of the first start */
    uint64_t  database_up;          /* 1, 0 */
    uint64_t  database_changed_us;  /* when that changed last */
    uint64_t  catalog_generation;   /* published and verified; 0 none */
    uint64_t  catalog_built_us;
    uint64_t  routing_generation;
    uint64_t  routing_built_us;
    uint64_t  catalog_models;
    uint64_t  last_sync_us;
    uint64_t  catalog_serial;       /* raised with every published file */
    uint64_t  routing_serial;
    uint64_t  keeper_pid;
    uint64_t  catalog_stale;        /* 1, 0 */
    uint64_t  catalog_confirmed_us; /* equal to the database last; 0 never */
    uint64_t  catalog_bytes;        /* of the published file */
    uint64_t  routing_bytes;
    uint64_t  reserved[14];
} mg_state_t;

/* Atomic access for the words above. */
#define mg_word_get(w)      __atomic_load_n(&(w), __ATOMIC_ACQUIRE)
#define mg_word_set(w, v)   __atomic_store_n(&(w), (v), __ATOMIC_RELEASE)
#define mg_word_add(w, v)   __atomic_fetch_add(&(w), (v), __ATOMIC_RELAXED)


/* Seconds until ready, estimated from the phase; 1 at least. */
unsigned mg_ready_estimate(const mg_state_t *s, int64_t now_us);

/* Seconds since the catalog was last confirmed; -1 while it is not stale. */
int64_t mg_ready_stale(const mg_state_t *s, int64_t now_us);


#endif /* MG_READY_H */
