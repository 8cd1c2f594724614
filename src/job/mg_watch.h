/*
 * mg_watch.h: asks backends again and again whether they live.
 *
 * A thread of worker 0 reads the published routing file and sends a GET to
 * each address of each backend that states the path of a health check.  What
 * it finds goes into the cells of the addresses (mg_peak.h), which all
 * workers of the node read; a backend that has no address left opens its
 * breaker, so that requests go elsewhere before one has failed, and closes
 * it when one is back.
 *
 * Start and stop: the event loop of worker 0.
 */

#ifndef MG_WATCH_H
#define MG_WATCH_H

#include "job/mg_env.h"


typedef struct {
    unsigned   on:1;
    unsigned   interval_ms;
    unsigned   timeout_ms;         /* of one request */
    unsigned   rise;               /* successes in a row that bring it back */
    unsigned   fall;               /* failures in a row that take it out */
} mg_watch_conf_t;


/* Once a process; env and conf live as long.  MG_ERROR: there is none. */
int mg_watch_start(const mg_env_t *env, const mg_watch_conf_t *conf,
    mg_error_t *e);

/* Asks it to end and returns at once; stop() joins it. */
void mg_watch_end(void);
void mg_watch_stop(void);


#endif /* MG_WATCH_H */
