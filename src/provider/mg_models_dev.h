/*
 * mg_models_dev.h: the document of models.dev (api.json) as a source.
 *
 * The four operations of its row in the table of sources, see mg_source.h.
 *
 * Any thread; never blocks; memory grows with the largest provider.
 */

#ifndef MG_MODELS_DEV_H
#define MG_MODELS_DEV_H

#include "provider/mg_entry.h"
#include "provider/mg_source.h"


/* The members of a model, as models.dev names them. */
extern const mg_field_t  mg_models_dev_fields[];

/* NULL when out of memory; the handler outlives the document. */
void *mg_models_dev_create(const mg_source_handler_t *h, void *ctx);

/* Pieces cut anywhere.  MG_OK, or MG_ERROR with *e: bad or too large. */
int mg_models_dev_feed(void *document, const char *data, size_t len,
    mg_error_t *e);

/* No more bytes: MG_ERROR if the document is not complete. */
int mg_models_dev_finish(void *document, mg_error_t *e);

/* NULL is fine. */
void mg_models_dev_destroy(void *document);


#endif /* MG_MODELS_DEV_H */
