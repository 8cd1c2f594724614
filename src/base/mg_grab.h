/*
 * mg_grab.h: takes chosen members out of a JSON document as it flows by.
 *
 * The reader of the tap: it follows strings, brackets and keys with one
 * small state, keeps nothing but the path of the first two levels and the
 * bytes of the members that were asked for, and gives up silently (state
 * "lost") on anything it does not understand: a response is never held up
 * or failed for it.  Works on bytes cut anywhere.  Keys are compared as they
 * are spelt; where a member is wanted whole, paths inside it are not looked
 * for.
 *
 * Event loop; never blocks, never allocates.
 */

#ifndef MG_GRAB_H
#define MG_GRAB_H

#include "base/mg_str.h"


#define MG_GRAB_VALUE_MAX   4096
#define MG_GRAB_KEY_MAX     40


/* A path of one or two keys: {"usage", NULL}, {"message", "usage"}. */
typedef struct {
    const char  *outer;
    const char  *inner;
    uint32_t     id;            /* given back to the callback */
} mg_grab_path_t;


/*
 * One wanted value: raw JSON text of at most MG_GRAB_VALUE_MAX bytes (a
 * longer one is passed over).  json lives until the call returns.
 */
typedef void (*mg_grab_pt)(void *ctx, uint32_t id, mg_str_t json);


typedef struct {
    const mg_grab_path_t  *paths;      /* ends with outer == NULL */
    mg_grab_pt             handler;
    void                  *ctx;

    /* private */
    uint32_t               state;
    uint32_t               depth;
    uint64_t               objects;    /* bit n: level n is an object */
    char                   key[2][MG_GRAB_KEY_MAX];
    uint8_t                key_len[2];
    uint8_t                key_bad;    /* too long, or spelt with escapes */
    int32_t                taking;     /* index into paths, -1: none */
    uint32_t               taking_depth;
    uint32_t               value_len;
    const char            *from;       /* not yet copied, while feeding */
    char                   value[MG_GRAB_VALUE_MAX];
} mg_grab_t;


void mg_grab_init(mg_grab_t *g, const mg_grab_path_t *paths,
    mg_grab_pt handler, void *ctx);

/* A new document begins (the next SSE event); paths and handler stay. */
void mg_grab_reset(mg_grab_t *g);

void mg_grab_feed(mg_grab_t *g, const char *data, size_t len);


#endif /* MG_GRAB_H */
