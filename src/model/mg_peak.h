/*
 * mg_peak.h: how long an address takes to answer, of late.
 *
 * One cell of shared memory an address, met by all workers of a node:
 *
 *     | key | estimate, us: 32, when, ms: 32 | avoided until, ms | probe |
 *
 * The estimate is a peak EWMA: a slower answer replaces it at once, faster
 * ones bring it down bit by bit, and it halves with each MG_PEAK_HALF_MS
 * that pass without one, so that an address that was slow is tried again.
 * Each word is changed by itself and none depends on another: a worker that
 * is killed leaves nothing to repair.  Requests under way are not counted
 * here, since nobody would take back those of a dead worker; each worker
 * counts its own.
 *
 * A cell that nobody has used for MG_PEAK_OLD_MS may be given to another
 * address; who remembers a cell checks its key.  When no cell is to be had
 * an address is just not measured.
 *
 * Any thread or process; never blocks.  Times are monotonic milliseconds.
 */

#ifndef MG_PEAK_H
#define MG_PEAK_H

#include "base/mg_error.h"


#define MG_PEAK_CELLS      1024       /* power of two */
#define MG_PEAK_HALF_MS    5000
#define MG_PEAK_OLD_MS     600000

/* What a failure counts as at least, and an answer at most, us. */
#define MG_PEAK_FAILED_US  1000000
#define MG_PEAK_MOST_US    60000000


typedef struct {
    uint64_t  key;             /* of the address, 0: free */
    uint64_t  estimate;        /* 0: nothing is known */
    uint64_t  avoid;           /* until, ms; a failure was seen */
    uint64_t  probe;           /* as of mg_peak_probed() */
} mg_peak_t;


/* All zero: nothing is known. */
typedef struct {
    mg_peak_t  cells[MG_PEAK_CELLS];
} mg_peaks_t;


/* Key of an address of a backend: scheme, host and port, and where it is. */
uint64_t mg_peak_key(uint64_t identity, const void *sockaddr, size_t len);

/* The cell of a key, taken if it has none; NULL: there is none to be had. */
mg_peak_t *mg_peak_find(mg_peaks_t *peaks, uint64_t key, uint64_t now_ms);

/* The same, or NULL; nothing is taken. */
mg_peak_t *mg_peak_look(mg_peaks_t *peaks, uint64_t key);

/* The estimate as it is now, us; 0: nothing is known. */
uint32_t mg_peak_now(const mg_peak_t *p, uint64_t now_ms);

/*
 * What it costs to give the address one more request, where so many of this
 * worker's are under way; smaller is better.  One of which nothing is known
 * is tried before all others, with one request.
 */
uint64_t mg_peak_cost(const mg_peak_t *p, unsigned under_way,
    uint64_t now_ms);

/* An answer began after so many us. */
void mg_peak_answered(mg_peak_t *p, uint64_t us, uint64_t now_ms);

/* A request failed after so many us. */
void mg_peak_failed(mg_peak_t *p, uint64_t us, uint64_t now_ms);

/* Nobody is to be sent there for so many ms, unless there is no other. */
void mg_peak_avoid(mg_peak_t *p, unsigned ms, uint64_t now_ms);

/* 1: it is to be avoided, after a failure or by its probes. */
int mg_peak_avoided(const mg_peak_t *p, uint64_t now_ms);


/* -- probes -- */

typedef enum {
    MG_PEAK_UNPROBED = 0,
    MG_PEAK_UP,
    MG_PEAK_DOWN
} mg_peak_state_e;

/*
 * What a probe has found.  So many in a row that say otherwise change the
 * state; 1: this one did.  What no probe confirms for stale_ms has no effect
 * any more.  One prober an address.
 */
int mg_peak_probed(mg_peak_t *p, int well, unsigned rise, unsigned fall,
    unsigned stale_ms, uint64_t now_ms);

mg_peak_state_e mg_peak_state(const mg_peak_t *p, uint64_t now_ms);


#endif /* MG_PEAK_H */
