/*
 * mg_thread.h: a thread of one's own that works beside the event loop.
 *
 * Started after the fork, all signals blocked, and joined before the process
 * ends.  One that hangs in a call which nothing interrupts is waited for for
 * MG_THREAD_JOIN_MS and then left to the end of the process, which is why
 * the module is linked as one that is never unloaded.
 *
 * Any thread but the one that is meant.
 */

#ifndef MG_THREAD_H
#define MG_THREAD_H

#include "base/mg_error.h"


#define MG_THREAD_JOIN_MS   200

typedef struct mg_thread_s  mg_thread_t;


/* run() returns soon after stop; NULL with *e: there is no thread. */
mg_thread_t *mg_thread_start(void (*run)(mg_thread_t *t, void *data),
    void *data, mg_error_t *e);

/* Asks it to end and returns at once. */
void mg_thread_end(mg_thread_t *t);

/*
 * The same, and joins; t is gone then.  0: it has been left, and what it works
 * with must stay.
 */
int mg_thread_stop(mg_thread_t *t);

/* Ends its pause, or the next one. */
void mg_thread_wake(mg_thread_t *t);


/* -- within the thread -- */

/* Set when it is to end: for those who want a flag to look at. */
const int *mg_thread_flag(const mg_thread_t *t);

/* Waits for so long, or for a wake(); 1: it is to end. */
int mg_thread_pause(mg_thread_t *t, unsigned ms);


#endif /* MG_THREAD_H */
