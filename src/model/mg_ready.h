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
 * Where the configuration says so, model servers have to be ready as well
 * (mg_load.h): "phase" then is the gateway's own, and who asks how far all
 * has come calls mg_ready_look().
 *
 * A catalog is stale while nobody can say whether it is what the database
 * is: the database is away, or what it has become cannot be built.  It is
 * as old then as the last round that found the two equal.
 */

#ifndef MG_READY_H
#define MG_READY_H

#include "base/mg_jw.h"


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
    uint64_t  servers_wanted;       /* 1: ready waits for model servers */
    uint64_t  servers_done;         /* 1: all of them were; latched */
    uint64_t  servers;              /* that it waits for ... */
    uint64_t  servers_ready;        /* ... and of these are ready */
    uint64_t  servers_phase;        /* mg_phase_e of the last of them */
    uint64_t  servers_progress;     /* 0..100 */
    uint64_t  servers_until_us;     /* expected, wall clock; 0 unknown */
    uint64_t  routing_compared;     /* 1: it was the database's, or nobody
                                       could tell */
    uint64_t  reserved[6];
} mg_state_t;

/* Atomic access for the words above. */
#define mg_word_get(w)      __atomic_load_n(&(w), __ATOMIC_ACQUIRE)
#define mg_word_set(w, v)   __atomic_store_n(&(w), (v), __ATOMIC_RELEASE)
#define mg_word_add(w, v)   __atomic_fetch_add(&(w), (v), __ATOMIC_RELAXED)


/* The gateway and the servers that it waits for, as one. */
typedef struct {
    unsigned     ready:1;
    mg_phase_e   phase;
    unsigned     progress;          /* 0..100 */
    unsigned     seconds;           /* until it is ready; 0 when it is */
    const char  *message;
} mg_ready_t;

/*
 * The gateway's own phase, from a thread that may have looked at it a moment
 * ago: ready is not taken back by one that has not seen it.
 */
void mg_ready_phase(mg_state_t *s, mg_phase_e phase);

/* 1 when requests for models can be answered; two words are read. */
int mg_ready(const mg_state_t *s);

/* The same with how far it has come. */
void mg_ready_look(const mg_state_t *s, int64_t now_us, mg_ready_t *r);

/*
 * The object that tells a client of it, the same wherever it is sent; for
 * what is said beside it (status, Retry-After) *r is what was written.
 */
void mg_ready_write(mg_jw_t *w, const mg_state_t *s, int64_t now_us,
    mg_ready_t *r);

/* Seconds until ready, estimated from the phase; 1 at least. */
unsigned mg_ready_estimate(const mg_state_t *s, int64_t now_us);

/* Seconds since the catalog was last confirmed; -1 while it is not stale. */
int64_t mg_ready_stale(const mg_state_t *s, int64_t now_us);


#endif /* MG_READY_H */
