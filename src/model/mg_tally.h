/*
 * mg_tally.h: counts by group, variant and role, in shared memory.
 *
 *     | cell | cell | ... | last cell: everybody who found no room |
 *
 * A cell belongs to one (group, variant, role).  It is found by a hash of
 * the three and claimed with one compare-and-swap; whoever finds a cell
 * that is claimed but not yet named writes the names himself (they follow
 * from the claim, so everybody writes the same), which makes a claimer that
 * is killed in the middle harmless.  Counters only grow.
 *
 * Event loop of every worker at once; no locks, no allocation.
 */

#ifndef MG_TALLY_H
#define MG_TALLY_H

#include "base/mg_buf.h"
#include "model/mg_usage.h"


#define MG_TALLY_NAME_MAX   128
#define MG_TALLY_DURATIONS  14      /* buckets, the infinite one apart */
#define MG_TALLY_TTFTS      16
#define MG_TALLY_CLASSES    6       /* other, 1xx .. 5xx */


typedef struct {
    uint64_t  claim;                /* hash; 0: free */
    uint64_t  named;                /* 1: the names below are whole */
    uint16_t  group_len;
    uint16_t  variant_len;
    uint16_t  role_len;
    uint16_t  pad;
    char      group[MG_TALLY_NAME_MAX];
    char      variant[MG_TALLY_NAME_MAX];
    char      role[16];

    uint64_t  requests[MG_TALLY_CLASSES];
    uint64_t  errors;
    uint64_t  input;
    uint64_t  output;
    uint64_t  cache_read;
    uint64_t  cache_write;
    uint64_t  reasoning;
    uint64_t  duration_us;
    uint64_t  duration[MG_TALLY_DURATIONS + 1];
    uint64_t  ttft_us;
    uint64_t  ttft[MG_TALLY_TTFTS + 1];
} mg_tally_cell_t;


typedef struct {
    mg_str_t           group;
    mg_str_t           variant;
    mg_str_t           role;
    unsigned           status;         /* sent to the client */
    unsigned           error:1;        /* a mark against the variant */
    int64_t            duration_us;
    int64_t            ttft_us;        /* -1 unknown */
    const mg_usage_t  *usage;
    mg_tally_cell_t   *guess;          /* where it may be; or NULL */
} mg_tally_t;


/*
 * cells: n > 0 of them, all zero before the first call.  Names are cut.
 * Returns the cell that was counted in: a guess for the next of its kind.
 */
mg_tally_cell_t *mg_tally_add(mg_tally_cell_t *cells, uint32_t n,
    const mg_tally_t *t);

/* Prometheus text format 0.0.4. */
void mg_tally_write(mg_buf_t *b, const mg_tally_cell_t *cells, uint32_t n);


#endif /* MG_TALLY_H */
