/*
 * mg_compare.h: models side by side, one row a field, one column a model.
 *
 * The columns are models as the catalog shows them: JSON objects that the
 * snapshot's builder has written, so nothing is parsed into nodes; a walk
 * over each text finds where its members stand.  Members of an inner object
 * are rows of their own (pricing.input); arrays, and objects within those,
 * are values.  A field that one model does not have is null there.
 *
 *     {"models":["a/b","c/d"],
 *      "fields":[{"field":"name","values":["B","D"],"differs":true}, ...]}
 *
 * Any thread; allocates a bounded table for the time of the call; never
 * blocks.  Time is linear in the texts.
 */

#ifndef MG_COMPARE_H
#define MG_COMPARE_H

#include "base/mg_buf.h"
#include "base/mg_error.h"


#define MG_COMPARE_MIN        2
#define MG_COMPARE_MAX        10
#define MG_COMPARE_FIELDS     128      /* rows at most */


/* One column; the bytes live as long as the call. */
typedef struct {
    mg_str_t   id;
    mg_str_t   item;        /* a JSON object */
    mg_str_t   more;        /* further members, each after a comma; or empty */
} mg_compare_model_t;


/*
 * Appends the table of n models (1 to MG_COMPARE_MAX) to out.  skip: names
 * of members of the outermost object that make no row, NULL ends it.
 * MG_ERROR: out of memory, or a text is no object.
 */
int mg_compare_write(mg_buf_t *out, const mg_compare_model_t *models,
    unsigned n, const char * const *skip, mg_error_t *e);


#endif /* MG_COMPARE_H */
