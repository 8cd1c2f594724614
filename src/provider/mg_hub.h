/*
 * mg_hub.h: the models of the Hugging Face Hub as a source.
 *
 * The create() of its row in the table of sources, see mg_source.h and
 * mg_document.h.
 *
 * Any thread.
 */

#ifndef MG_HUB_H
#define MG_HUB_H

#include "provider/mg_source.h"


void *mg_hub_create(const mg_source_handler_t *h, void *ctx);


#endif /* MG_HUB_H */
