/*
 * mg_path.h: what a provider is asked for in place of a client's path.
 *
 * A provider may have up to 16 rows, each a prefix of request paths and the
 * template that stands behind its base URL instead:
 *
 *     "/v1/"    "/openai/deployments/{model}/{rest}?api-version=2024-10-21"
 *     "/v1/ask" "/v1beta/models/{model}:generateContent"
 *
 * {model} is what the provider calls the model, escaped as one segment of a
 * path; {rest} is what follows the prefix.  The longest prefix decides; it
 * ends where a segment ends.
 *
 * Any thread; never allocates, but for mg_path_lines(); never blocks.
 */

#ifndef MG_PATH_H
#define MG_PATH_H

#include "base/mg_arena.h"
#include "base/mg_error.h"
#include "base/mg_json.h"


#define MG_PATHS_MAX           16
#define MG_PATH_PREFIX_MAX     128
#define MG_PATH_TEMPLATE_MAX   512


/* A row as it may be stored; MG_ERROR says what is wrong.  e may be NULL. */
int mg_path_check(mg_str_t prefix, mg_str_t template, mg_error_t *e);

/* A path that is asked for as it is, on the server: "/health". */
int mg_path_plain(mg_str_t path);

/*
 * A JSON object of rows as lines, "prefix\ttemplate\n", in the arena; rows
 * that may not be stored are left out.  {NULL, 0}: there are none, or no
 * memory.
 */
mg_str_t mg_path_lines(mg_arena_t *a, mg_str_t json);

/*
 * The template for a path among such lines, or {NULL, 0}.  rest: what
 * follows the prefix.
 */
mg_str_t mg_path_find(mg_str_t lines, mg_str_t path, mg_str_t *rest);

/* Room that mg_path_expand() needs at most. */
size_t mg_path_size(mg_str_t template, mg_str_t model, mg_str_t rest);

/* Writes the template with its names replaced; returns the length. */
size_t mg_path_expand(mg_str_t template, mg_str_t model, mg_str_t rest,
    char *out);


#endif /* MG_PATH_H */
