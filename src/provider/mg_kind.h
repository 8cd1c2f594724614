/*
 * mg_kind.h: what kind of model a name and its modalities speak of.
 *
 * Few lists of models state a type, so it is inferred: from what the model
 * puts out, and, where it puts out text, from patterns in id and family
 * (an embedding model "puts out text" in the lists, too).  Capabilities
 * that follow from modalities are set here as well.  What follows from
 * modalities is as good as stated; what a name suggests is a guess with the
 * lowest precedence.
 *
 * Any thread; never blocks; pure.
 */

#ifndef MG_KIND_H
#define MG_KIND_H

#include "model/mg_catalog.h"
#include "provider/mg_field.h"


/*
 * in, out: MG_MODE_* masks, 0 if the source states none.  Reads
 * provider_model_id, family and output_limit of *m; returns the type.
 * *guess: 1 if it comes from names, or because most models chat.
 */
mg_model_type_e mg_kind_infer(const mg_model_t *m, unsigned in, unsigned out,
    int *guess);

/* Vision, audio and image generation, as far as the masks are known. */
void mg_kind_capabilities(mg_model_t *m, unsigned in, unsigned out);


#endif /* MG_KIND_H */
