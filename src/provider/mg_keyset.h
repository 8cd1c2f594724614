/*
 * mg_keyset.h: the keys of a list, to find those that occur twice.
 *
 * An open hash table, at most half full, in the caller's arena; it is gone
 * when the arena is reset.  The hash has a secret key: hostile ids do not all
 * fall into one slot.  With each key goes one pointer of the caller.
 *
 * One thread at a time; never blocks.
 */

#ifndef MG_KEYSET_H
#define MG_KEYSET_H

#include "base/mg_arena.h"
#include "base/mg_error.h"


typedef struct {
    mg_str_t                key;        /* {NULL, 0}: free */
    void                   *value;
} mg_keyset_slot_t;


typedef struct {
    mg_keyset_slot_t       *slots;
    size_t                  size;
    size_t                  used;
    uint8_t                 secret[16];
} mg_keyset_t;


/* An empty set with a secret of its own; MG_ERROR if there is none. */
int mg_keyset_init(mg_keyset_t *set);

/* Forgets all keys: after a reset of the arena. */
void mg_keyset_clear(mg_keyset_t *set);

/*
 * MG_OK: *key is new and points to a copy in the arena; MG_DECLINED: it was
 * there.  *value is the place of its pointer, valid until the next key is
 * added.  MG_ERROR: the arena is full.
 */
int mg_keyset_add(mg_keyset_t *set, mg_arena_t *a, mg_str_t *key,
    void ***value);


#endif /* MG_KEYSET_H */
