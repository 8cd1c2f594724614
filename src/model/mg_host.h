/*
 * mg_host.h: how many requests jobs have under way at one host.
 *
 * Several providers may be one host, and several runs may test them at the
 * same time, in any worker: what one run may do is bounded by its provider,
 * what all of them may do to a host by a table in shared memory.
 *
 *     host | key | run: until, held | run: until, held | ... | pid | pid ...
 *
 * A run has one word that nobody else writes: how many requests it holds,
 * and until when it is believed to live.  It renews that time as it goes on.
 * A worker that is killed leaves a word that runs out; whoever finds no room
 * frees words of processes that are gone at once.  Runs share a host evenly.
 * Times are seconds of mg_mono_us(), which processes of a machine share.
 *
 * Any thread; never blocks; one mg_host_run_t belongs to one thread.
 */

#ifndef MG_HOST_H
#define MG_HOST_H

#include "base/mg_str.h"


#define MG_HOST_SLOTS    64
#define MG_HOST_RUNS     31


typedef struct {
    uint64_t  key;                  /* sum of the name, 0: free */
    uint64_t  runs[MG_HOST_RUNS];   /* seconds << 32 | tag << 16 | held */
    uint64_t  pids[MG_HOST_RUNS];   /* whose they are */
} mg_host_t;


/* All of them; all zero: nobody asks anything. */
typedef struct {
    mg_host_t  slots[MG_HOST_SLOTS];
} mg_hosts_t;


typedef struct {
    mg_host_t  *host;               /* NULL: not bounded */
    unsigned    max;                /* of all runs at the host */
    unsigned    index;              /* of our word, MG_HOST_RUNS: none yet */
    unsigned    held;
    uint16_t    tag;                /* tells runs that took a word apart */
    int64_t     freed_s;            /* last look for words of the dead */
} mg_host_run_t;


/*
 * A run that asks this host ("name:port", any case).  hosts may be NULL: then
 * nothing is bounded.  max: requests of all runs together, at least 1.
 */
void mg_host_begin(mg_host_run_t *r, mg_hosts_t *hosts, mg_str_t name,
    unsigned max);

/* 1: go, and call mg_host_leave() afterwards; 0: not now. */
int mg_host_enter(mg_host_run_t *r, int64_t now_us);
void mg_host_leave(mg_host_run_t *r, int64_t now_us);

/* At least every few seconds: the run lives. */
void mg_host_renew(mg_host_run_t *r, int64_t now_us);

/* Gives everything back. */
void mg_host_end(mg_host_run_t *r);


#endif /* MG_HOST_H */
