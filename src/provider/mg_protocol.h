/*
 * mg_protocol.h: what differs between providers, one row a protocol.
 *
 * Pure translation, no input or output: where to ask for the list of
 * models, how to read it, what one-token request shows that a model
 * answers, how an error reads.  One file a protocol; mg_protocol.c holds
 * the table.  A new protocol is a file and a row.
 *
 * Any thread; never blocks.
 */

#ifndef MG_PROTOCOL_H
#define MG_PROTOCOL_H

#include "base/mg_buf.h"
#include "model/mg_catalog.h"


/* How the key travels. */
typedef enum {
    MG_AUTH_BEARER = 0,      /* Authorization: Bearer KEY */
    MG_AUTH_X_API_KEY,       /* x-api-key: KEY */
    MG_AUTH_X_GOOG_API_KEY,  /* x-goog-api-key: KEY */
    MG_AUTH_API_KEY,         /* api-key: KEY */
    MG_AUTH_NONE
} mg_auth_scheme_e;


/* Why a model did not answer; names as the results table has them. */
typedef enum {
    MG_PROBE_OK = 0,
    MG_PROBE_AUTH,
    MG_PROBE_QUOTA,
    MG_PROBE_NOT_FOUND,
    MG_PROBE_TIMEOUT,
    MG_PROBE_CONNECT,
    MG_PROBE_OVERLOADED,
    MG_PROBE_BAD_ANSWER,
    MG_PROBE_UNSUPPORTED,
    MG_PROBE_N
} mg_probe_class_e;

extern const mg_str_t  mg_probe_class_names[MG_PROBE_N];


typedef int (*mg_list_model_pt)(void *ctx, const mg_model_t *m,
    mg_error_t *e);

typedef struct {
    mg_str_t            name;            /* "openai" */
    mg_auth_scheme_e    auth;
    const char         *list_path;       /* behind the base URL */
    const char         *list_body;       /* POSTed for it; NULL: a GET */

    /*
     * Reads one page of the list; calls for each model (id without the
     * provider; the caller completes it), which forgets its words behind
     * the call.  A bad entry is counted in
     * *skipped, a bad document is MG_ERROR.
     */
    int    (*list)(mg_str_t body, mg_arena_t *a, mg_list_model_pt model,
               void *ctx, unsigned *skipped, mg_error_t *e);

    /*
     * The page behind this one.  MG_OK with *path (behind the base URL, with
     * its query), MG_DECLINED: this was the last.  body: of this page; link:
     * its Link header or {NULL, 0}.  NULL: lists of this protocol have one
     * page.
     */
    int    (*next)(mg_str_t body, mg_str_t link, mg_arena_t *a,
               mg_str_t *path, mg_error_t *e);

    /* Sent with every request: "anthropic-version: 2023-06-01"; ends NULL. */
    const char * const  *headers;

    /* The list says what exists: what is missing has gone. */
    unsigned            authority:1;

    /* A stream tells its usage if it is asked to with "stream_options". */
    unsigned            usage_asked:1;

    /*
     * The smallest request that proves that m answers: path behind the base
     * URL and JSON body, to be POSTed; if the body stays empty it is a GET.
     * MG_DECLINED: this kind of model is not probed.
     */
    int    (*probe)(const mg_model_t *m, mg_buf_t *path, mg_buf_t *body);

    /*
     * Judges the answer of a probe; message gets the provider's own words
     * (bounded, cleaned).  status 0 is never passed.
     */
    mg_probe_class_e
           (*judge)(const mg_model_t *m, int status, mg_str_t body,
               mg_arena_t *a, mg_str_t *message);
} mg_protocol_t;


/* NULL if there is none of that name; an absent name means "openai". */
const mg_protocol_t *mg_protocol_find(mg_str_t name);

/* All of them, one after the other; NULL behind the last. */
const mg_protocol_t *mg_protocol_at(unsigned i);


#endif /* MG_PROTOCOL_H */
