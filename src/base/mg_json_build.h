/*
 * mg_json_build.h: between the reader of JSON and its nodes; private to
 * mg_json.c, mg_json_build.c and mg_json_stream.c.
 *
 * The stream owns yajl and the limits, the builder makes nodes in an arena
 * out of events, and the whole-document reader is a stream that captures its
 * root into the caller's arena.
 *
 * One thread at a time; never blocks.
 */

#ifndef MG_JSON_BUILD_H
#define MG_JSON_BUILD_H

#include "base/mg_json.h"


#define MG_JSON_DEPTH_MAX  128


typedef struct {
    mg_json_t        *node;
    mg_json_t        *last;        /* child */
} mg_json_open_t;


typedef struct {
    mg_arena_t       *arena;
    uint32_t          limit;       /* of nodes */
    uint32_t          nodes;       /* since mg_json_build_start() */
    uint32_t          depth;       /* of open containers */
    unsigned          unique:1;    /* a duplicate key is an error */
    mg_json_t        *root;
    mg_str_t          key;         /* of the next member, in the arena */
    mg_json_open_t    open[MG_JSON_DEPTH_MAX];
} mg_json_build_t;


/* A new value begins; key is its name, not copied. */
void mg_json_build_start(mg_json_build_t *b, mg_str_t key);

/* The name of the next member; copied. */
int mg_json_build_key(mg_json_build_t *b, mg_str_t key, mg_error_t *e);

/*
 * A scalar (str is copied) or the begin of a container.  Returns the node,
 * or NULL with *e.
 */
mg_json_t *mg_json_build_add(mg_json_build_t *b, mg_json_type_e type,
    mg_str_t str, mg_error_t *e);

/* The end of the innermost container. */
int mg_json_build_end(mg_json_build_t *b, mg_error_t *e);

/* Fills limits that are 0; total is the default of the caller's kind. */
void mg_json_limits_fill(mg_json_limits_t *to, const mg_json_limits_t *from,
    size_t total);

/* As mg_json_stream_create(), but values are built in the arena and stay. */
mg_json_stream_t *mg_json_stream_open(const mg_json_handler_t *h, void *ctx,
    const mg_json_limits_t *limits, mg_arena_t *arena);


#endif /* MG_JSON_BUILD_H */
