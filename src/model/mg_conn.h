/*
 * mg_conn.h: how many connections clients keep open on a node.
 *
 * Each worker counts in a cell of its own in shared memory; the sum over all
 * cells is the node's.
 *
 *     cell: pid | all | client 0 | client 1 | ...     client = hash of address
 *
 * A worker that is killed leaves a cell whose pid is nobody's.  It is not
 * looked for until a limit is met, and does not count from then on; whoever
 * comes in its place begins with zeros.  Several clients may share a counter.
 *
 * Event loops of all workers; never blocks.
 */

#ifndef MG_CONN_H
#define MG_CONN_H

#include <stddef.h>
#include <stdint.h>


#define MG_CONN_CLIENTS   4096      /* a power of two */


/* All zero: nobody's.  Members are accessed as atomic words. */
typedef struct {
    uint64_t   pid;
    uint64_t   all;
    uint16_t   clients[MG_CONN_CLIENTS];
} mg_conn_cell_t;


typedef struct {
    mg_conn_cell_t  *cells;
    mg_conn_cell_t  *own;           /* one of them */
    size_t           n;
} mg_conn_t;


typedef enum {
    MG_CONN_OK = 0,
    MG_CONN_FULL,                   /* the node */
    MG_CONN_CLIENT                  /* the client has as many as it may */
} mg_conn_e;


/* Once a process: own is that of pid from now on. */
void mg_conn_begin(const mg_conn_t *c, uint64_t pid);

/*
 * One more of client, a number below MG_CONN_CLIENTS; with MG_CONN_OK it is
 * counted, and mg_conn_leave() is called afterwards.  max_client: at most
 * 65535.  Two workers that ask at the same moment for the last place may both
 * be refused.
 */
mg_conn_e mg_conn_enter(const mg_conn_t *c, size_t client, uint64_t max,
    uint64_t max_client);

void mg_conn_leave(const mg_conn_t *c, size_t client);


#endif /* MG_CONN_H */
