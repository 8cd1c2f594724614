/*
 * mg_keyset.c: a hash table of keys in an arena.
 *
 * Linear probing; the table grows fourfold when it is half full, and what it
 * leaves behind stays in the arena, a third of the final size.  Keys are
 * compared byte by byte: ids are opaque.
 *
 * Called by the readers of lists and documents; touches only its arena.
 */

#include "provider/mg_keyset.h"

#include "base/mg_crypt.h"
#include "base/mg_hash.h"


#define MG_KEYSET_FIRST  64
#define MG_KEYSET_GROW   4


int
mg_keyset_init(mg_keyset_t *set)
{
    mg_keyset_clear(set);

    return mg_random(set->secret, sizeof(set->secret));
}


void
mg_keyset_clear(mg_keyset_t *set)
{
    set->slots = NULL;
    set->size = 0;
    set->used = 0;
}


static mg_keyset_slot_t *
mg_keyset_slot(const mg_keyset_t *set, mg_str_t key)
{
    size_t  i;

    i = (size_t) mg_siphash(set->secret, key.data, key.len) & (set->size - 1);

    while (set->slots[i].key.data && !mg_str_eq(set->slots[i].key, key)) {
        i = (i + 1) & (set->size - 1);
    }

    return &set->slots[i];
}


static int
mg_keyset_grow(mg_keyset_t *set, mg_arena_t *a)
{
    size_t       i;
    mg_keyset_t  bigger;

    bigger = *set;
    bigger.size = set->size ? set->size * MG_KEYSET_GROW : MG_KEYSET_FIRST;
    bigger.slots = mg_arena_calloc(a, bigger.size * sizeof(mg_keyset_slot_t));

    if (bigger.slots == NULL) {
        return MG_ERROR;
    }

    for (i = 0; i < set->size; i++) {
        if (set->slots[i].key.data) {
            *mg_keyset_slot(&bigger, set->slots[i].key) = set->slots[i];
        }
    }

    *set = bigger;

    return MG_OK;
}


int
mg_keyset_add(mg_keyset_t *set, mg_arena_t *a, mg_str_t *key, void ***value)
{
    mg_keyset_slot_t  *slot;

    if (set->used * 2 >= set->size && mg_keyset_grow(set, a) != MG_OK) {
        return MG_ERROR;
    }

    slot = mg_keyset_slot(set, *key);
    *value = &slot->value;

    if (slot->key.data) {
        return MG_DECLINED;
    }

    *key = mg_arena_dup(a, *key);

    if (key->data == NULL) {
        return MG_ERROR;
    }

    slot->key = *key;
    set->used++;

    return MG_OK;
}
