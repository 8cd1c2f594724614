/*
 * mg_litellm.h: LiteLLM's price list as a source.
 *
 * The create() of its row in the table of sources, see mg_source.h and
 * mg_document.h.
 *
 * Any thread.
 */

#ifndef MG_LITELLM_H
#define MG_LITELLM_H

#include "provider/mg_source.h"


void *mg_litellm_create(const mg_source_handler_t *h, void *ctx);


#endif /* MG_LITELLM_H */
