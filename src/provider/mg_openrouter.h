/*
 * mg_openrouter.h: OpenRouter's public list as a source.
 *
 * The create() of its row in the table of sources, see mg_source.h and
 * mg_document.h.
 *
 * Any thread.
 */

#ifndef MG_OPENROUTER_H
#define MG_OPENROUTER_H

#include "provider/mg_source.h"


void *mg_openrouter_create(const mg_source_handler_t *h, void *ctx);


#endif /* MG_OPENROUTER_H */
