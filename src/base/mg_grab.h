/*
 * mg_grab.h: takes chosen members out of a JSON document as it flows by.
 *
 * The reader of the tap: it follows strings, brackets and keys with one
 * small state, keeps nothing but the path of the first two levels and the
 * bytes of the members that were asked for, and gives up silently (state
 * "lost") on anything it does not understand: a response is never held up
 * or failed for it.  Works on bytes cut anywhere.  Keys are compared as they
 * are spelt; where a member is wanted whole, paths inside it are not looked
 * for.  On request an array is looked through: an object in it then stands
 * for the document, or for the member, that the array is.
 *
 * Event loop; never blocks, never allocates.
 */

#ifndef MG_GRAB_H
#define MG_GRAB_H

#include "base/mg_str.h"


#define MG_GRAB_VALUE_MAX   4096
#define MG_GRAB_KEY_MAX     40


/*
 * A path of one or two keys, none of them empty: {"usage", null},
 * {"message", "usage"}; at most 32 of them.
 */
typedef struct {
    mg_str_t     outer;
    mg_str_t     inner;
    uint32_t     id;            /* given back to the callback */
} mg_grab_path_t;


/*
 * One wanted value: raw JSON text of at most MG_GRAB_VALUE_MAX bytes (a
 * longer one is passed over).  json lives until the call returns.
 */
typedef void (*mg_grab_pt)(void *ctx, uint32_t id, mg_str_t json);


typedef struct {
    const mg_grab_path_t  *paths;      /* ends with an empty one */
    mg_grab_pt             handler;
    void                  *ctx;
    uint32_t               arrays;     /* set after init: look through them */
    uint32_t               missed;     /* bit n: a value of id n, below 32,
                                          was too long; since init */

    /* private */
    uint32_t               state;
    uint32_t               depth;
    uint32_t               level;      /* 1 in the document, 2 in a member */
    uint64_t               objects;    /* bit n: n levels out is an object */
    uint64_t               names[2];   /* all outer and all inner ones */
    uint32_t               passing;    /* over what this depth began; or 0 */
    uint32_t               through;    /* bit n: path n leads on from here */
    int32_t                match;      /* the next value is of this path */
    int32_t                taking;     /* index into paths, -1: none */
    char                   key[MG_GRAB_KEY_MAX];  /* one cut in pieces */
    uint8_t                key_len;
    uint8_t                key_bad;    /* too long, or spelt with escapes */
    uint32_t               value_len;
    const char            *from;       /* not yet copied, while feeding */
    char                   value[MG_GRAB_VALUE_MAX];
} mg_grab_t;


void mg_grab_init(mg_grab_t *g, const mg_grab_path_t *paths,
    mg_grab_pt handler, void *ctx);

/* A new document begins (the next SSE event); paths and handler stay. */
void mg_grab_reset(mg_grab_t *g);

void mg_grab_feed(mg_grab_t *g, const char *data, size_t len);

/* 1 if the document has been read to its end. */
int mg_grab_ended(const mg_grab_t *g);


#endif /* MG_GRAB_H */
