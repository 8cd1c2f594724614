/*
 * mg_ready_probe.h: waits for the model servers of the gateway.
 *
 * A thread of worker 0 asks each backend that readiness has to wait for,
 * until it has completed a generation (or what its protocol has in place of
 * one); then it ends.  Which backends these are comes from the published
 * routing file; how far they are goes into their cells (mg_load.h) and into
 * the words of the state (mg_ready.h).  How long they took is kept in the
 * state folder, for the estimate of the next time.
 *
 * Start and stop: the event loop of worker 0.
 */

#ifndef MG_READY_PROBE_H
#define MG_READY_PROBE_H

#include "job/mg_env.h"
#include "model/mg_load.h"


typedef enum {
    MG_READY_NONE = 0,
    MG_READY_MEMBERS,              /* of groups that are active */
    MG_READY_ALL,                  /* of all groups */
    MG_READY_NAMED
} mg_ready_which_e;


/* What model_ready_backends says; lives as long as the thread. */
typedef struct {
    mg_ready_which_e   which;
    const mg_str_t    *names;      /* of providers, for MG_READY_NAMED */
    unsigned           n_names;
    unsigned           interval_ms;        /* between two questions */
    unsigned           timeout_ms;         /* of a generation */
    unsigned           pull:1;     /* an Ollama is told to pull */
    const char        *trusted;    /* certificates; NULL: the system's */
} mg_ready_conf_t;


/* Once a process; all live as long.  MG_ERROR: there is no thread. */
int mg_ready_probe_start(const mg_env_t *env, const mg_ready_conf_t *conf,
    mg_loads_t *loads, mg_error_t *e);

/* Asks it to end and returns at once; stop() joins it. */
void mg_ready_probe_end(void);
void mg_ready_probe_stop(void);


#endif /* MG_READY_PROBE_H */
