/*
 * mg_kind.h: what kind of model a name and its modalities speak of.
 *
 * No list of models states a type, so it is inferred: from what the model
 * puts out, and, where it puts out text, from patterns in id and family
 * (an embedding model "puts out text" in the lists, too).  Capabilities
 * that follow from modalities are set here as well.  An inferred value is
 * a guess with the lowest precedence: whatever is set by hand wins.
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
 */
mg_model_type_e mg_kind_infer(const mg_model_t *m, unsigned in,
    unsigned out);

/* Vision, audio and image generation, as far as the masks are known. */
void mg_kind_capabilities(mg_model_t *m, unsigned in, unsigned out);


#endif /* MG_KIND_H */
