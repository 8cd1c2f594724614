/*
 * mg_probe.h: asks the models of one provider whether they answer.
 *
 * Up to "concurrency" one-token requests at a time through one thread; a
 * refusal that may be passing (429, 5xx, no connection, broken off) is
 * tried once more after the time that the server asks for.  The provider's
 * rate limit spaces the requests out, and the host bounds them for all runs
 * together.  Each model gets exactly one verdict, unless the run is stopped
 * before: those that were in flight get none.  Models of a type that the
 * protocol cannot ask are judged at the end, by what the list says of them.
 *
 * Blocks: model_jobs threads only.
 */

#ifndef MG_PROBE_H
#define MG_PROBE_H

#include "client/mg_http.h"
#include "model/mg_host.h"
#include "provider/mg_protocol.h"
#include "store/mg_store.h"


#define MG_PROBE_HEADERS_MAX   12


/* Where and how; strings live as long as the probing. */
typedef struct {
    const mg_protocol_t  *protocol;
    mg_str_t              base;            /* URL without a final slash */
    mg_str_t              paths;           /* as of mg_path_lines() */
    mg_str_t              headers[MG_PROBE_HEADERS_MAX];
    unsigned              n_headers;
    mg_str_t              secret;          /* taken out of all messages */
    unsigned              concurrency;
    unsigned              connect_timeout_ms;
    unsigned              timeout_ms;
    int64_t               rate_limit;      /* requests a minute; 0: none */
    mg_str_t              host;            /* name:port */
    mg_hosts_t           *hosts;           /* shared; NULL: not bounded */
    unsigned              host_max;        /* of all runs together */
    const char           *trusted;         /* certificates; NULL: the
                                              system's */
    unsigned              allow_private:1;
} mg_probe_target_t;


typedef struct {
    /* A model is being asked. */
    void   (*started)(void *ctx, const mg_validation_model_t *m);

    /*
     * These are about to be asked, one after the other; all have the same
     * "begun".  MG_DECLINED: not now; MG_ERROR stops.
     */
    int    (*begin)(void *ctx, const mg_validation_model_t **models,
               unsigned n, mg_error_t *e);

    /* One that cannot be asked: 1 the list has it, 0 not, -1 no list. */
    int    (*known)(void *ctx, const mg_validation_model_t *m);

    /* A verdict; its strings live until the call returns. */
    int    (*verdict)(void *ctx, const mg_validation_model_t *m,
               const mg_validation_result_t *r, mg_error_t *e);

    /* The provider's list has been answered, or not: see the error. */
    void   (*listed)(void *ctx, const mg_http_response_t *res);

    /* As in mg_http_many_t: often; MG_ERROR stops. */
    int    (*tick)(void *ctx, mg_error_t *e);
} mg_probe_handler_t;


typedef struct mg_probes_s  mg_probes_t;

/* target and handler live as long.  NULL when out of memory. */
mg_probes_t *mg_probes_create(const mg_probe_target_t *t,
    const mg_probe_handler_t *h, void *ctx);
void mg_probes_destroy(mg_probes_t *p);

/*
 * More models to ask, before or while it runs (from a callback); they live
 * as long as the probes.  One whose "active" is 0 when its turn comes is
 * passed over.  MG_ERROR when out of memory.
 */
int mg_probes_add(mg_probes_t *p, const mg_validation_model_t *models,
    unsigned n);

/*
 * Ask for the provider's list as well, or for another page of it, before all
 * that wait.  path: behind the base URL; lives until it was answered.
 */
int mg_probes_add_list(mg_probes_t *p, mg_str_t path);

/*
 * Those that were begun (as the handler was told) and have no verdict, at
 * most max of them, after the probing was stopped; their number.
 */
unsigned mg_probes_open(const mg_probes_t *p,
    const mg_validation_model_t **models, unsigned max);

/*
 * MG_OK: all that were added have their verdicts; may be run again after
 * more were added.  MG_ERROR: stopped, see *e.
 */
int mg_probes_run(mg_probes_t *p, mg_error_t *e);

/*
 * Replaces every occurrence of the secret by asterisks, in the arena; at
 * the end of the text, which may have been cut, also its beginning.
 */
mg_str_t mg_probe_redact(mg_str_t text, mg_str_t secret, mg_arena_t *a);


#endif /* MG_PROBE_H */
