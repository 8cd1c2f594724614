/*
 * mg_load.h: how a model server comes up.
 *
 *     connecting -> loading -> finalizing -> ready
 *
 * connecting: it does not answer; loading: it says that it loads, or refuses
 * for now; finalizing: it says that it is well, and a first generation is
 * under way; ready: one was completed, which is latched.  A server that
 * restarts while it is waited for goes back.
 *
 * One cell of shared memory a server, kept over a reload; words that depend
 * on nothing.  A thread of worker 0 writes, all read.
 *
 *     | key | name | phase | progress | since | expected | took | listed |
 *
 * Progress is what the server says, or else the share of the time that it
 * took the last time.  Never blocks.  Times are mg_mono_us(), which processes
 * of a machine share, so that a clock that jumps changes no estimate.
 */

#ifndef MG_LOAD_H
#define MG_LOAD_H

#include "model/mg_gate.h"
#include "model/mg_ready.h"


#define MG_LOAD_CELLS    128
#define MG_LOAD_UNTOLD   101        /* progress: the server says none */


typedef struct {
    uint64_t  key;                  /* 0: free */
    uint64_t  name[MG_GATE_NAME_MAX / 8];
    uint64_t  phase;                /* mg_phase_e */
    uint64_t  progress;             /* 0..100, MG_LOAD_UNTOLD */
    uint64_t  since_us;             /* it is waited for */
    uint64_t  expected_us;          /* it took earlier; 0: not known */
    uint64_t  took_us;              /* until it was ready */
    uint64_t  listed;               /* 1: it is one of those that are
                                       waited for, or were at the end */
} mg_load_t;


/* All zero: nobody is waited for. */
typedef struct {
    mg_load_t  cells[MG_LOAD_CELLS];
} mg_loads_t;


/*
 * The cell of a server: name as of mg_gate_name(), identity as of its
 * backend.  Taken if it has none, also from one that is not listed; NULL: all
 * are in use.
 */
mg_load_t *mg_load_find(mg_loads_t *loads, mg_str_t name, uint64_t identity,
    int64_t now_us);

/* Those n are listed, and no others; places may be NULL. */
void mg_load_list(mg_loads_t *loads, mg_load_t * const *listed, unsigned n);

/*
 * What was seen of it; progress: 0..100, or -1 if it says none.  What is
 * ready stays ready.  1: it has become ready with this.
 */
int mg_load_seen(mg_load_t *l, mg_phase_e phase, int progress,
    int64_t now_us);

/* 0..100, and 100 only when it is ready. */
unsigned mg_load_progress(const mg_load_t *l, int64_t now_us);

/* Microseconds until it is ready, -1: nobody knows. */
int64_t mg_load_left(const mg_load_t *l, int64_t now_us);

/*
 * The words of s that tell of n servers; a place that is NULL is one that
 * nobody knows of.  wall_us: the same moment by the wall clock, as the words
 * of s have it.  1: all are ready.
 */
int mg_load_sum(mg_load_t * const *loads, unsigned n, mg_state_t *s,
    int64_t now_us, int64_t wall_us);

/* The name of a cell, with a NUL; 0: it is free, or not listed. */
int mg_load_name(const mg_load_t *l, char out[MG_GATE_NAME_MAX + 1]);


#endif /* MG_LOAD_H */
