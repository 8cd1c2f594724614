/*
 * mg_models_list.h: models.dev's list of models without providers.
 *
 * The create() of its row in the table of sources, see mg_source.h and
 * mg_document.h.
 *
 * Any thread.
 */

#ifndef MG_MODELS_LIST_H
#define MG_MODELS_LIST_H

#include "provider/mg_source.h"


void *mg_models_list_create(const mg_source_handler_t *h, void *ctx);


#endif /* MG_MODELS_LIST_H */
