/*
 * mg_keep.h: what exactly one worker of a node looks after.
 *
 * Worker 0 posts mg_keep_step() to model_db when it is told of a change and
 * once a second besides: compares the database's generations with the
 * published files, rebuilds what is behind (from Redis or PostgreSQL),
 * moves the phase on, asks for the first sync, keeps partitions ahead.
 * mg_keep_start() runs once before: it verifies what lies in the state
 * folder, so that a gateway whose database is away serves at once.
 *
 * Blocks: one pool thread at a time.
 */

#ifndef MG_KEEP_H
#define MG_KEEP_H

#include "job/mg_env.h"
#include "job/mg_refresh.h"
#include "job/mg_schedule.h"


#define MG_KEEP_KINDS   2        /* catalog, routing */

typedef struct {
    int64_t    partitions_us;           /* last done */
    int64_t    retain_us;               /* last look for old records */
    int64_t    names_us;                /* backends resolved last */
    unsigned   names_seen;              /* mg_resolve_changes() of the last
                                           build */
    uint64_t   names_built;             /* the file whose names are looked
                                           after: when it was built */
    int64_t    history_us;              /* last look at the syncs */
    int64_t    told_us;                 /* an error was logged */
    int64_t    confirmed_us;            /* STATE/confirmed written last */
    int64_t    cost_us[MG_KEEP_KINDS];  /* what the last build took */
    int64_t    noticed_us[MG_KEEP_KINDS];  /* the first change since the
                                              last build; 0: none */
    int64_t    next_us[MG_KEEP_KINDS];  /* no build before */
    int64_t    waiting_us[MG_KEEP_KINDS];  /* since when another node's build
                                              is waited for; 0: none */
    uint64_t   prices;                  /* sum of the price lists that were
                                           written down last; 0: none */
    int64_t    failed_us[MG_KEEP_KINDS];
    uint64_t   tried[MG_KEEP_KINDS];    /* generation that failed to build */
    unsigned   named:1;                 /* backends have host names */
    unsigned   synced:1;                /* a sync has completed or ended */
    unsigned   sync_asked:1;
    unsigned   confirmed:1;             /* in this round, see
                                           mg_keep_confirm.c */
    unsigned   jobs_waiting:1;          /* out: claimable jobs were seen */
    unsigned   again_ms;                /* out: a change waits, do the next
                                           round in so many; 0: none */
    unsigned   unresolved;              /* backends whose name did not
                                           resolve */
    char       sync_job[40];            /* id of the first sync */
    mg_refresh_round_t  refresh;
    mg_schedule_round_t  schedule;
    mg_redis_lock_t  lock[MG_KEEP_KINDS];
} mg_keep_t;


/*
 * Verifies the files in the state folder and publishes what is sound.
 * MG_OK even if there is nothing, or if the folder cannot be written to
 * (which is logged); MG_ERROR if another worker is at it: call again.
 */
int mg_keep_start(const mg_env_t *env, mg_keep_t *k, mg_error_t *e);

/*
 * One round; cancel is looked at between its pieces.  MG_OK; MG_ERROR when
 * the database is away (state says so too).
 */
int mg_keep_step(const mg_env_t *env, mg_keep_t *k, const int *cancel,
    mg_error_t *e);


/* -- the listener thread (mg_listen.c) -- */

typedef struct mg_listen_s  mg_listen_t;

/*
 * Starts a thread of its own, all signals blocked, that LISTENs on
 * model_generation, reconnects with a growing pause (0.2 to 5 s), and calls
 * notify(ctx) from that thread after each notification and each (re)connect.
 */
mg_listen_t *mg_listen_start(const mg_env_t *env, void (*notify)(void *ctx),
    void *ctx, mg_error_t *e);

/*
 * Asks the thread to end and returns at once; notify is never called again.
 */
void mg_listen_end(mg_listen_t *l);

/*
 * The same, and joins.  A thread that hangs in a connect is waited for
 * 200 ms and then left to the end of the process, with what it owns.
 */
void mg_listen_stop(mg_listen_t *l);


#endif /* MG_KEEP_H */
