/*
 * mg_entry.h: one model of a list while it is translated.
 *
 * What the table of a list fills in (see mg_field.h), what only the
 * translation needs, and what all lists have in common: the type that is
 * inferred when none is stated, the id that stands for a missing name, two
 * entries of one id, and members that no column holds.
 *
 * Any thread; never blocks; entries live in the arena.
 */

#ifndef MG_ENTRY_H
#define MG_ENTRY_H

#include "provider/mg_field.h"


typedef struct mg_entry_s  mg_entry_t;

struct mg_entry_s {
    mg_model_t           model;
    mg_str_t             id;        /* the list's own, where a key or another
                                       member is the identity */
    int                  type;      /* as stated: mg_model_type_e, or -1 */
    unsigned             in;        /* MG_MODE_* masks, 0: not stated */
    unsigned             out;
    mg_json_t           *rest;      /* for extra */
    mg_entry_t          *next;
};


/* Rows of a table whose "out" is an entry. */

#define MG_ENTRY_AT(member)      offsetof(mg_entry_t, model.member)
#define MG_ENTRY_TYPE_AT         offsetof(mg_entry_t, type)
#define MG_ENTRY_CAP_AT(cap)     (MG_ENTRY_AT(caps) + MG_CAP_##cap)

#define MG_ENTRY(n, t, member)   MG_FIELD(n, t, MG_ENTRY_AT(member))
#define MG_ENTRY_CAP(n, cap)     MG_FIELD(n, TRI, MG_ENTRY_CAP_AT(cap))
#define MG_ENTRY_OBJECT(n, rows) MG_FIELD_SUB(n, OBJECT, 0, rows)
#define MG_ENTRY_FLAGS(n, rows)  MG_FIELD_SUB(n, FLAGS, 0, rows)
#define MG_ENTRY_PRICE(n, t, price_of, unit)                                  \
    MG_FIELD_MEANS(n, t,                                                      \
                   MG_ENTRY_AT(price) + MG_PRICE_##price_of * sizeof(int64_t),\
                   MG_FIELD_PER_##unit)
#define MG_ENTRY_MODES(n, way)                                                \
    { .name = n, .type = MG_FIELD_MODES,                                      \
      .offset = MG_ENTRY_AT(modalities_##way),                                \
      .mask = offsetof(mg_entry_t, way) }

/* A word, or an array of words, that tells the type; rows of such words. */
#define MG_ENTRY_TYPE(n, rows)   MG_FIELD_SUB(n, TYPE, MG_ENTRY_TYPE_AT, rows)
#define MG_ENTRY_WORD(n, t)      { .name = n, .value = MG_TYPE_##t }

/* A member that is true for models of one type. */
#define MG_ENTRY_TYPE_IF(n, t)                                                \
    MG_FIELD_MEANS(n, TYPE, MG_ENTRY_TYPE_AT, MG_TYPE_##t)


/* An object as an entry of its own; NULL when the arena is full. */
mg_entry_t *mg_entry_read(const mg_json_t *object, const mg_field_t *table,
    mg_arena_t *a);

/*
 * Fills what the first of two entries with one id leaves open.  Capabilities
 * are united: one listing that has it is enough.
 */
void mg_entry_merge(mg_entry_t *first, const mg_entry_t *later);

/* Puts a string member in front of the rest; MG_ERROR: the arena is full. */
int mg_entry_keep(mg_entry_t *x, const char *name, mg_str_t value,
    mg_arena_t *a);

/* Takes the member of that name out of the rest. */
void mg_entry_drop(mg_entry_t *x, const char *name);

/*
 * Lists put 0 where a model is not sold by the token (pictures, speech): as
 * a price of such a type it is unknown, not free.
 */
void mg_entry_unpriced(mg_entry_t *x);

/*
 * Name, type and capabilities as far as they follow from others, and extra.
 * Needs model.provider_model_id.  MG_ERROR: the arena is full.
 */
int mg_entry_complete(mg_entry_t *x, mg_str_t source, mg_arena_t *a);


#endif /* MG_ENTRY_H */
