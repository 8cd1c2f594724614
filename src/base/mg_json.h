/*
 * mg_json.h: bounded JSON documents, read with yajl's callbacks.
 *
 * Two ways to read: a whole small document into nodes (API bodies, one
 * model of a list), or a stream of any length from which chosen values
 * arrive as nodes while the rest is passed over (catalogs up to 64 MiB).
 * Numbers stay text until somebody converts them, so that prices and large
 * integers are exact.  Caps on depth, members, string length and memory
 * are counted in the callbacks: yajl itself has none.
 *
 * Pool threads only (300 us for 100 KB); the proxy path has mg_scan.h.
 * Nodes live in the caller's arena.
 */

#ifndef MG_JSON_H
#define MG_JSON_H

#include "base/mg_arena.h"
#include "base/mg_error.h"


typedef enum {
    MG_JSON_NULL = 0,
    MG_JSON_BOOL,
    MG_JSON_NUMBER,      /* text in .str, exactly as it stood */
    MG_JSON_STRING,      /* decoded UTF-8 in .str, may hold NUL bytes: a
                          * caller that stores it refuses those */
    MG_JSON_ARRAY,
    MG_JSON_OBJECT
} mg_json_type_e;


typedef struct mg_json_s  mg_json_t;

struct mg_json_s {
    mg_json_type_e   type;
    unsigned         boolean;
    mg_str_t         key;       /* in an object: the member's name */
    mg_str_t         str;
    mg_json_t       *child;     /* first element or member, in order */
    mg_json_t       *next;
    uint32_t         count;     /* elements or members */
};


typedef struct {
    uint32_t         depth;     /* 0: 32; at most 128 */
    uint32_t         members;   /* nodes in all, in a stream of one value;
                                 * 0: 100,000 */
    size_t           string;    /* bytes of one string; 0: 1 MiB */
    size_t           total;     /* bytes of the document; 0: 1 MiB */
} mg_json_limits_t;


/*
 * Parses a whole document.  NULL and *e (MG_E_INVALID or MG_E_TOO_LARGE,
 * with the byte offset in the message) on failure.  A duplicate key in any
 * object is an error that names it.  Half a surrogate pair, written as an
 * escape, becomes '?'.  limits may be NULL.
 */
mg_json_t *mg_json_parse(mg_arena_t *a, mg_str_t text,
    const mg_json_limits_t *limits, mg_error_t *e);

/* Member of an object, or NULL (also if o is NULL or no object). */
const mg_json_t *mg_json_get(const mg_json_t *o, const char *key);

/* The string of a member, {NULL, 0} if absent or of another type. */
mg_str_t mg_json_str(const mg_json_t *o, const char *key);

/*
 * Converters: MG_OK, or MG_ERROR if the node is NULL, of another type or out
 * of range.  A fraction or exponent is accepted where the value is whole
 * (1e3, 5.0).
 */
int mg_json_int64(const mg_json_t *v, int64_t *out);

/* 1 true, 0 false, -1 for anything that is no bool: unknown is not false. */
int mg_json_tri(const mg_json_t *v);


/*
 * Streaming.  Of members with the same key in a captured object the last one
 * counts (catalogs of other people have such); in a descended object each is
 * delivered.
 */

typedef enum {
    MG_JSON_SKIP = 0,    /* check the syntax, deliver nothing */
    MG_JSON_DESCEND,     /* call me for what is inside */
    MG_JSON_CAPTURE      /* build nodes and hand them to value() */
} mg_json_want_e;


typedef struct {
    /*
     * A container begins at depth (0: the document itself) under key
     * ({NULL,0} in arrays).  Scalars below a descended container always
     * arrive through value().
     */
    mg_json_want_e  (*enter)(void *ctx, unsigned depth, mg_str_t key,
                        mg_json_type_e type);

    /* v lives until the call returns.  MG_ERROR (with *e set) stops. */
    int             (*value)(void *ctx, unsigned depth, mg_str_t key,
                        const mg_json_t *v, mg_error_t *e);

    /* A descended container ends.  MG_ERROR stops.  May be NULL. */
    int             (*leave)(void *ctx, unsigned depth, mg_str_t key,
                        mg_error_t *e);
} mg_json_handler_t;


typedef struct mg_json_stream_s  mg_json_stream_t;

/* limits->total defaults to 64 MiB here.  NULL when out of memory. */
mg_json_stream_t *mg_json_stream_create(const mg_json_handler_t *h, void *ctx,
    const mg_json_limits_t *limits);

/* Feeds bytes, cut anywhere.  MG_OK or MG_ERROR with *e. */
int mg_json_stream_feed(mg_json_stream_t *s, const char *data, size_t len,
    mg_error_t *e);

/* No more bytes: an incomplete document is an error ("truncated"). */
int mg_json_stream_finish(mg_json_stream_t *s, mg_error_t *e);

void mg_json_stream_destroy(mg_json_stream_t *s);


#endif /* MG_JSON_H */
