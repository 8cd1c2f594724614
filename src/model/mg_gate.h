/*
 * mg_gate.h: may this source be asked now?
 *
 * One slot of shared memory for each source or provider that the gateway
 * fetches from, met by all workers: a token bucket, a circuit breaker, the
 * time before which the source does not want to be asked (Retry-After), and
 * counters of what came of the requests.
 *
 *     | key | name | bucket | breaker | hold | counters | server |
 *
 * Every one of these is a single word that is changed by compare-and-swap,
 * and none depends on another: a worker that is killed between two of them
 * leaves nothing to repair.  The name is several words, but whoever uses a
 * slot writes the same bytes, and who reads it checks them against the key.
 *
 *     closed --failures in a row--> open --time--> one request may try
 *        ^                           ^                |          |
 *        +---------- success --------|----------------+          |
 *                                    +------- failure -----------+
 *
 * A slot is never given back; those that come when all are taken share the
 * last one.  Times are mg_mono_us(), which processes of a machine share.
 *
 * Any thread; never blocks.
 */

#ifndef MG_GATE_H
#define MG_GATE_H

#include "base/mg_error.h"


#define MG_GATE_SLOTS      128
#define MG_GATE_NAME_MAX   64          /* longer names are cut */


/* What came of a request. */
typedef enum {
    MG_GATE_OK = 0,
    MG_GATE_NOT_MODIFIED,      /* 304 */
    MG_GATE_REJECTED,          /* 4xx: the source lives, but says no */
    MG_GATE_LIMITED,           /* 429 */
    MG_GATE_FAILED,            /* 5xx */
    MG_GATE_UNREACHABLE,       /* no connection, or broken off */
    MG_GATE_TIMED_OUT,
    MG_GATE_BAD_ANSWER,        /* no JSON, too large, a redirect elsewhere */
    MG_GATE_REFUSED,           /* not asked: a private address */
    MG_GATE_OPEN,              /* not asked: the breaker is open */
    MG_GATE_N
} mg_gate_outcome_e;

/* "ok", "not_modified", ...: label values. */
extern const mg_str_t  mg_gate_outcome_names[MG_GATE_N];


typedef struct {
    uint64_t  key;             /* hash of the name, 0: free */
    uint64_t  name[MG_GATE_NAME_MAX / 8];
    uint64_t  bucket;          /* when the tokens in use are back, us */
    uint64_t  breaker;         /* failures in a row, and not before, ms */
    uint64_t  hold;            /* as the source asked: not before, us */
    uint64_t  outcomes[MG_GATE_N];
    uint64_t  opens;           /* of a breaker that is not kept here */
    uint64_t  server;          /* whom breaker and hold are of; 0: nobody's */
    uint64_t  reserved[8];
} __attribute__((aligned(64))) mg_gate_t;


/* All of them; all zero: nobody was asked yet. */
typedef struct {
    mg_gate_t  slots[MG_GATE_SLOTS];
} mg_gates_t;


typedef struct {
    unsigned   per_minute;     /* requests; 0: no limit */
    unsigned   failures;       /* in a row that open the breaker; 0: 5 */
    unsigned   open_ms;        /* how long, at first; 0: 60,000 */
} mg_gate_limits_t;


/*
 * The name of a provider's slot: its id, with a part of the organisation's
 * where that is not the default one.  Writes MG_GATE_NAME_MAX bytes at most
 * and returns how many.
 */
size_t mg_gate_name(mg_str_t id, mg_str_t org_id, char *out);

/* The slot of a name, taken if it is new.  Never NULL. */
mg_gate_t *mg_gate_find(mg_gates_t *gates, mg_str_t name);

/*
 * Says which server, and whose account of it, the name stands for now; not 0.
 * 1: another one than before, so that breaker and hold were let go.
 */
int mg_gate_server(mg_gate_t *g, uint64_t server);

/*
 * Asks for one request.  MG_OK: go, and tell mg_gate_leave() what came of
 * it.  MG_AGAIN: in *wait_us there may be a token, or the source's own pause
 * is over.  MG_DECLINED: the breaker is open for *wait_us, which is counted.
 */
int mg_gate_enter(mg_gate_t *g, const mg_gate_limits_t *l, int64_t now_us,
    int64_t *wait_us);

/*
 * What came of it.  retry_after_s: what the source asked for with a 429 or
 * 503, -1: nothing.
 */
void mg_gate_leave(mg_gate_t *g, const mg_gate_limits_t *l,
    mg_gate_outcome_e outcome, int64_t retry_after_s, int64_t now_us);

/* Counts an answer that was found to be bad after mg_gate_leave(). */
void mg_gate_count(mg_gate_t *g, mg_gate_outcome_e outcome);


/* -- for metrics -- */

typedef struct {
    char       name[MG_GATE_NAME_MAX + 1];
    uint64_t   outcomes[MG_GATE_N];
    unsigned   open:1;         /* the breaker */
} mg_gate_view_t;

/* 1 if slot i (below MG_GATE_SLOTS) is in use: *v is filled; else 0. */
int mg_gate_view(const mg_gates_t *gates, unsigned i, int64_t now_us,
    mg_gate_view_t *v);


#endif /* MG_GATE_H */
