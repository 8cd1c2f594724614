/*
 * mg_pulse.h: asks many servers at once whether they live.
 *
 * One GET each, to the address that is named and to no other the name may
 * have, on a connection of its own, without key or cookie.  What answers with
 * 2xx or 3xx in time is well; so is a server of https only with a certificate
 * that requests would take, since they are what it is asked for.
 *
 * Blocks: threads of one's own.  mg_http_global_init() comes before.
 */

#ifndef MG_PULSE_H
#define MG_PULSE_H

#include "base/mg_error.h"


#define MG_PULSE_URL_MAX    1024
#define MG_PULSE_ADDR_MAX   64
#define MG_PULSE_WHY_MAX    96


typedef struct {
    char       url[MG_PULSE_URL_MAX];
    char       address[MG_PULSE_ADDR_MAX];   /* "::10.0.0.1:80", as libcurl's
                                                CONNECT_TO has it */
    int        status;                       /* out; 0: no answer */
    char       why[MG_PULSE_WHY_MAX];        /* out; of 0 */
    int        well;                         /* out */
} mg_pulse_t;


/*
 * All of them, some at once.  trusted: file of certificates, NULL: the
 * system's.  cancel: looked at every 100 ms.  MG_OK, or MG_ERROR: cancelled,
 * or no memory; what was not asked has status -1.
 */
int mg_pulse_run(mg_pulse_t *pulses, unsigned n, unsigned timeout_ms,
    const char *trusted, const int *cancel);


#endif /* MG_PULSE_H */
