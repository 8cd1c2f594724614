/*
 * mg_snap_render.h: models and providers as the API shows them.
 *
 * For the builder, which renders each once, and for the calls that answer
 * with what they have just written, so that both show the same.
 *
 * Pool threads; each appends to the caller's buffer.
 */

#ifndef MG_SNAP_RENDER_H
#define MG_SNAP_RENDER_H

#include "base/mg_buf.h"
#include "model/mg_catalog.h"


/* A model as an item of a list: {...}. */
void mg_render_model(mg_buf_t *b, const mg_model_t *m);

/* What a single-model answer has besides: begins with a comma. */
void mg_render_model_more(mg_buf_t *b, const mg_model_t *m);

/* A result of a benchmark: {...}. */
void mg_render_benchmark(mg_buf_t *b, const mg_benchmark_t *r);

/* A provider: {...}; of its key the hint alone. */
void mg_render_provider(mg_buf_t *b, const mg_provider_t *p);

/* What closes a list: ],"pagination":{...}}. */
void mg_render_list_end(mg_buf_t *b, uint32_t page, uint32_t limit,
    uint32_t total);


#endif /* MG_SNAP_RENDER_H */
