/*
 * mg_aside.h: a piece of work on a thread of its own, below everybody else.
 *
 * For work that takes a core for a tenth of a second and more: the thread
 * gets a lower priority for its short life, so on a busy machine the event
 * loops and the short calls come first.  A pool thread cannot do that for a
 * while: who is not root never gets the higher priority back.
 *
 *     begin -> the thread runs "run" -> end joins it
 *
 * Pool threads; end blocks until the work is done.
 */

#ifndef MG_ASIDE_H
#define MG_ASIDE_H

#include <pthread.h>
#include <stdint.h>


typedef struct {
    void     (*run)(void *data);
    void      *data;
    int64_t    cpu_ns;         /* out, after the end: what it used */
    pthread_t  thread;
    int        begun;
} mg_aside_t;


/*
 * Signals are blocked in the thread.  a and data live until the end.  When
 * no thread can be made the work is done by mg_aside_end().
 */
void mg_aside_begin(mg_aside_t *a, void (*run)(void *data), void *data);

/* Waits.  Called once for each begin, by the same thread. */
void mg_aside_end(mg_aside_t *a);


#endif /* MG_ASIDE_H */
