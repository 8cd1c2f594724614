/*
 * mg_field.h: reads the members of a JSON object by a table.
 *
 * Every list of models is an object with members that a column holds and
 * members that none does.  A table says which is which; what the table does
 * not name, or what does not have the type that the column wants, comes
 * back as a list of nodes, so that nothing of the source is lost.  null is
 * unknown and is not kept.
 *
 * Any thread; never blocks; nodes and strings live in the arena.
 */

#ifndef MG_FIELD_H
#define MG_FIELD_H

#include "base/mg_arena.h"
#include "base/mg_json.h"
#include "model/mg_catalog.h"


typedef enum {
    MG_FIELD_STR = 0,        /* mg_str_t; "" states nothing */
    MG_FIELD_NUMBER,         /* mg_str_t: a number, or a string, as text */
    MG_FIELD_DATE,           /* mg_str_t: 2024-07, 2024-07-31, a time of
                                RFC 3339 or unix seconds cut to its day */
    MG_FIELD_STATUS,         /* mg_str_t: alpha, beta or deprecated, from
                                this and other words */
    MG_FIELD_TRI,            /* int8_t: 1, 0, -1 */
    MG_FIELD_COUNT,          /* int64_t, not negative */
    MG_FIELD_PRICE,          /* int64_t, from a number; unit: "value" */
    MG_FIELD_PRICE_TEXT,     /* the same from a string */
    MG_FIELD_MODES,          /* mg_str_t, JSON array; mask at "mask" */
    MG_FIELD_ARRAY,          /* mg_str_t, JSON array as it stands */
    MG_FIELD_FLAGS,          /* int8_t each: words that "sub" names are 1,
                                what the array leaves out is 0 */
    MG_FIELD_TYPE,           /* int: "value" where the member is true, that
                                of the row of "sub" whose word it is or
                                holds; the first that speaks counts */
    MG_FIELD_OBJECT          /* the members that "sub" names */
} mg_field_type_e;


typedef struct mg_field_s  mg_field_t;

struct mg_field_s {
    const char        *name;         /* NULL ends a table */
    mg_field_type_e    type;
    size_t             offset;       /* in the caller's struct */
    size_t             mask;         /* offset of an unsigned */
    const mg_field_t  *sub;
    int                value;        /* TYPE: what it means; PRICE: power of
                                        ten from its unit to 10^-15 USD a
                                        token */
};

/* Units of prices. */
#define MG_FIELD_PER_MILLION  9
#define MG_FIELD_PER_TOKEN    15

#define MG_FIELD(n, t, at)                                                    \
    { .name = n, .type = MG_FIELD_##t, .offset = at }
#define MG_FIELD_SUB(n, t, at, table)                                         \
    { .name = n, .type = MG_FIELD_##t, .offset = at, .sub = table }
#define MG_FIELD_MEANS(n, t, at, v)                                           \
    { .name = n, .type = MG_FIELD_##t, .offset = at, .value = v }
#define MG_FIELD_END          { .name = NULL }


/* Bits of a modality mask; MG_MODE_KNOWN: the list was there. */
#define MG_MODE_TEXT     0x01
#define MG_MODE_IMAGE    0x02
#define MG_MODE_AUDIO    0x04
#define MG_MODE_VIDEO    0x08
#define MG_MODE_PDF      0x10
#define MG_MODE_OTHER    0x20
#define MG_MODE_KNOWN    0x40


/*
 * Fills out by the table.  Members that are absent or null leave out as it
 * is; a member with several rows is tried with each until one takes it.
 * *rest gets what was not taken, as copies of the nodes linked by next, NULL
 * if nothing; STATUS, FLAGS and TYPE lose something on the way, so what they
 * have read is left there, too.  Modalities are sets: they are written in
 * one order.  MG_ERROR when the arena is full.
 */
int mg_field_read(const mg_json_t *object, const mg_field_t *table,
    void *out, mg_arena_t *a, mg_json_t **rest);

/*
 * A list of nodes as the text of one JSON object in the arena, {NULL, 0}
 * for an empty list; MG_ERROR when memory is used up.
 */
int mg_field_text(const mg_json_t *list, mg_arena_t *a, mg_str_t *text);

/* Any node as JSON text in the arena; MG_ERROR when memory is used up. */
int mg_field_node_text(const mg_json_t *node, mg_arena_t *a, mg_str_t *text);


#endif /* MG_FIELD_H */
