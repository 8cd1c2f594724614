/*
 * mg_breaker.h: whether a backend is asked at all.
 *
 *     closed --failures in a row, or their share--> open --pause--> half-open
 *        ^                                            ^                |
 *        |                                            +--- failure ----+
 *        +------------------ success of the one that tries ------------+
 *
 * A breaker is one word of shared memory,
 *
 *     | state: 2 | failures in a row: 8 | times opened: 6 | until, ms: 48 |
 *
 * that one function moves by compare-and-swap, so nothing half-done is ever
 * seen.  Half-open, one request at a time tries; should its worker die, the
 * next one tries when "until" has passed.  The pause doubles each time that
 * the try fails.  0: closed, nothing known.
 *
 * Any thread or process; never blocks.
 */

#ifndef MG_BREAKER_H
#define MG_BREAKER_H

#include "base/mg_error.h"


typedef enum {
    MG_BREAKER_CLOSED = 0,
    MG_BREAKER_OPEN,
    MG_BREAKER_HALF_OPEN,
    MG_BREAKER_N
} mg_breaker_state_e;

/* "closed", "open", "half_open" */
extern const mg_str_t  mg_breaker_state_names[MG_BREAKER_N];


typedef enum {
    MG_BREAKER_ASK = 0,        /* may I? */
    MG_BREAKER_WELL,           /* it answered */
    MG_BREAKER_ILL,            /* it failed */
    MG_BREAKER_SICK,           /* it failed, and too many did of late */
    MG_BREAKER_TRIED_WELL,     /* the same, of the request that tries */
    MG_BREAKER_TRIED_ILL,
    MG_BREAKER_TRIED_NOTHING   /* the client left before there was a word */
} mg_breaker_event_e;


typedef struct {
    unsigned   failures;       /* in a row that open it, at most 255 */
    unsigned   pause_ms;       /* how long, at first */
} mg_breaker_limits_t;


/*
 * Moves it; now_ms: monotonic.  Of ASK: MG_OK go, MG_AGAIN go, and say with
 * a TRIED event what came of it, MG_DECLINED do not.  Of the others: MG_AGAIN
 * if this has opened it, else MG_OK.
 */
int mg_breaker_move(uint64_t *word, mg_breaker_event_e event,
    const mg_breaker_limits_t *l, uint64_t now_ms);

mg_breaker_state_e mg_breaker_state(uint64_t word);


#endif /* MG_BREAKER_H */
