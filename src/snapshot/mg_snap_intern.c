/*
 * mg_snap_intern.c: a set of strings, each with a number.
 *
 * Open addressing with SipHash under a random key: the strings come from
 * catalogs of other people, who could otherwise choose them to fall into one
 * slot.  The key never shows: numbers go by arrival, and what is written to
 * a file goes by the order of the strings.
 *
 * For the builder, pool threads; owns its arrays, not the bytes.
 */

#include "base/mg_block.h"
#include "base/mg_crypt.h"
#include "base/mg_hash.h"
#include "base/mg_sort.h"
#include "snapshot/mg_snap_catalog_build.h"


#define MG_INTERN_FIRST   1024       /* strings; twice as many slots */


static uint32_t mg_intern_slot(const mg_intern_t *t, mg_str_t s);
static int mg_intern_grow(mg_intern_t *t);
static int mg_intern_cmp(const void *one, const void *two);


/* A string and where it was, while they are put in order. */
typedef struct {
    mg_str_t   s;
    uint32_t   number;
} mg_intern_place_t;


int
mg_intern_init(mg_intern_t *t)
{
    memset(t, 0, sizeof(mg_intern_t));

    return mg_random(t->key, sizeof(t->key));
}


void
mg_intern_free(mg_intern_t *t)
{
    mg_block_free(t->strings);
    mg_block_free(t->slots);
    memset(t, 0, sizeof(mg_intern_t));
}


uint32_t
mg_intern_add(mg_intern_t *t, mg_str_t s)
{
    uint32_t  slot;

    if (t->n == t->size && mg_intern_grow(t) != MG_OK) {
        return UINT32_MAX;
    }

    slot = mg_intern_slot(t, s);

    if (t->slots[slot] == UINT32_MAX) {
        t->strings[t->n] = s;
        t->slots[slot] = t->n++;
    }

    return t->slots[slot];
}


static uint32_t
mg_intern_slot(const mg_intern_t *t, mg_str_t s)
{
    uint32_t  slot;

    slot = (uint32_t) mg_siphash(t->key, s.data, s.len) & (t->n_slots - 1);

    while (t->slots[slot] != UINT32_MAX
           && !mg_str_eq(t->strings[t->slots[slot]], s))
    {
        slot = (slot + 1) & (t->n_slots - 1);
    }

    return slot;
}


static int
mg_intern_grow(mg_intern_t *t)
{
    uint32_t   i, size, *slots;
    mg_str_t  *strings;

    size = t->size ? t->size * 2 : MG_INTERN_FIRST;

    strings = mg_block_resize(t->strings, size * sizeof(mg_str_t));
    if (strings == NULL) {
        return MG_ERROR;
    }

    t->strings = strings;

    slots = mg_block_alloc(2 * (size_t) size * sizeof(uint32_t));
    if (slots == NULL) {
        return MG_ERROR;
    }

    mg_block_free(t->slots);
    t->slots = slots;
    t->size = size;
    t->n_slots = 2 * size;

    memset(slots, 0xff, t->n_slots * sizeof(uint32_t));

    for (i = 0; i < t->n; i++) {
        slots[mg_intern_slot(t, t->strings[i])] = i;
    }

    return MG_OK;
}


int
mg_intern_sort(mg_intern_t *t, uint32_t **places)
{
    uint32_t            i;
    mg_intern_place_t  *list;

    *places = mg_block_alloc((t->n + 1) * sizeof(uint32_t));
    list = mg_block_alloc((t->n + 1) * sizeof(mg_intern_place_t));

    if (*places == NULL || list == NULL) {
        mg_block_free(list);
        return MG_ERROR;
    }

    for (i = 0; i < t->n; i++) {
        list[i].s = t->strings[i];
        list[i].number = i;
    }

    mg_sort(list, t->n, sizeof(mg_intern_place_t), mg_intern_cmp);

    for (i = 0; i < t->n; i++) {
        t->strings[i] = list[i].s;
        (*places)[list[i].number] = i;
    }

    mg_block_free(list);

    return MG_OK;
}


static int
mg_intern_cmp(const void *one, const void *two)
{
    const mg_intern_place_t  *a = one, *b = two;

    return mg_str_cmp(a->s, b->s);
}
