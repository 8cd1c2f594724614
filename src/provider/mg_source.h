/*
 * mg_source.h: documents that tell of many providers' models, one row each.
 *
 * A source is read in pieces, whole or streamed as it likes, and delivers
 * providers, models and benchmarks to a handler; who fetches it, compares it
 * with the catalog and stores it is none of its business.  One file a source
 * (mg_models_dev.c, mg_litellm.c, ...); mg_source.c holds the table.
 *
 * What a single provider says of itself is the "list" of its protocol, see
 * mg_protocol.h.
 *
 * Any thread; never blocks.
 */

#ifndef MG_SOURCE_H
#define MG_SOURCE_H

#include "model/mg_catalog.h"


typedef struct {
    int    (*provider)(void *ctx, const mg_provider_t *p, mg_error_t *e);
    int    (*model)(void *ctx, const mg_model_t *m, mg_error_t *e);
    int    (*benchmark)(void *ctx, const mg_benchmark_t *b, mg_error_t *e);

    /* An entry that could not be used, with the reason. */
    void   (*skipped)(void *ctx, mg_str_t id, const char *reason);
} mg_source_handler_t;


typedef struct {
    mg_str_t      name;              /* "models.dev", "litellm", ... */
    const char   *url;               /* where it is published; https */
    mg_rank_e     rank;

    /*
     * creates: an entry that the catalog does not have is added, otherwise it
     * only completes what is there.  authority: what it lists no longer has
     * gone.
     */
    unsigned      creates:1;
    unsigned      authority:1;
    unsigned      labs:1;            /* ids are "lab/model", see
                                        mg_sync_scope_t */

    unsigned      per_minute;        /* requests; the default of its bucket */

    /* NULL when out of memory; the handler outlives the document. */
    void       *(*create)(const mg_source_handler_t *h, void *ctx);
    int         (*feed)(void *document, const char *data, size_t len,
                    mg_error_t *e);
    int         (*finish)(void *document, mg_error_t *e);
    void        (*destroy)(void *document);
} mg_source_t;


/* Ends with a row without a name. */
extern const mg_source_t  mg_sources[];

/* NULL if there is none of that name. */
const mg_source_t *mg_source_find(mg_str_t name);


#endif /* MG_SOURCE_H */
