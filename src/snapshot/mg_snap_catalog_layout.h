/*
 * mg_snap_catalog_layout.h: the sections of a catalog snapshot.
 *
 * Active models stand first, in the order of their ids, then the inactive
 * ones in the same order: lists are about the former, and only a look-up by
 * id sees the latter.  Index i means the same model in every section.
 *
 *     model i:    keys[i]        type and capabilities, two bytes: what a
 *                                filter scans
 *                 models[i]      where its id, item and rest begin
 *                 texts[i]       where its folded text begins in the blob
 *                                (active ones only)
 *
 * Offsets only rise: an element ends where the next begins, and one more
 * element than there are models closes the last.
 *
 * Private to the room.
 */

#ifndef MG_SNAP_CATALOG_LAYOUT_H
#define MG_SNAP_CATALOG_LAYOUT_H

#include "snapshot/mg_snap_catalog.h"
#include "snapshot/mg_snap_layout.h"


typedef enum {
    MG_SC_META = 0,          /* one mg_sc_meta_t */
    MG_SC_KEYS,              /* mg_sc_key_t, a model each */
    MG_SC_MODELS,            /* mg_sc_model_t, and one that closes */
    MG_SC_TEXTS,             /* uint32_t, an active model each, and one */
    MG_SC_PROVIDERS,         /* mg_sc_provider_t by id, and one */
    MG_SC_IDS,               /* bytes: ids of models */
    MG_SC_ITEMS,             /* bytes: {...}, of each model */
    MG_SC_MORE,              /* bytes: the rest of each model */
    MG_SC_TEXT,              /* bytes: id \n name \n family \n, folded */
    MG_SC_PROVIDER_IDS,      /* bytes */
    MG_SC_PROVIDER_ITEMS,    /* bytes: {...}, of each provider */
    MG_SC_BODIES,            /* bytes: 2 * MG_CATALOG_BODY_N documents; */
    MG_SC_N                  /*        ends are in the meta section */
} mg_sc_section_e;


/* Type in the low byte, a bit for each capability known to be there. */
typedef uint16_t  mg_sc_key_t;

#define MG_SC_KEY_TYPE           0x00ffu
#define mg_sc_key_cap(c)         (0x0100u << (c))


typedef struct {
    uint32_t   n_models;
    uint32_t   n_active;
    uint32_t   n_providers;
    uint32_t   page_limit;                   /* of the ready first page */
    uint32_t   bodies[2 * MG_CATALOG_BODY_N + 1];
    uint32_t   reserved;
} mg_sc_meta_t;


typedef struct {
    uint32_t   id;               /* offset in MG_SC_IDS */
    uint32_t   item;             /* offset in MG_SC_ITEMS */
    uint32_t   more;             /* offset in MG_SC_MORE */
} mg_sc_model_t;


typedef struct {
    uint32_t   id;               /* offset in MG_SC_PROVIDER_IDS */
    uint32_t   item;             /* offset in MG_SC_PROVIDER_ITEMS */
    uint32_t   first;            /* its active models: [first, first + n) */
    uint32_t   n;
} mg_sc_provider_t;


/* The bytes between two offsets of a section. */

static inline mg_str_t
mg_sc_span(const mg_snap_t *s, unsigned section, uint32_t from, uint32_t to)
{
    return mg_str_n((const char *) mg_snap_section(s, section) + from,
                    to - from);
}


static inline const mg_sc_meta_t *
mg_sc_meta(const mg_snap_t *s)
{
    return mg_snap_section(s, MG_SC_META);
}


static inline mg_str_t
mg_sc_id(const mg_snap_t *s, uint32_t i)
{
    const mg_sc_model_t  *m;

    m = mg_snap_section(s, MG_SC_MODELS);

    return mg_sc_span(s, MG_SC_IDS, m[i].id, m[i + 1].id);
}


static inline mg_str_t
mg_sc_provider_id(const mg_snap_t *s, uint32_t i)
{
    const mg_sc_provider_t  *p;

    p = mg_snap_section(s, MG_SC_PROVIDERS);

    return mg_sc_span(s, MG_SC_PROVIDER_IDS, p[i].id, p[i + 1].id);
}


/* ASCII letters become small ones; what is below a blank becomes one. */

static inline unsigned char
mg_sc_fold(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c | 0x20;
    }

    return c < ' ' ? ' ' : c;
}


/* -- searching (mg_snap_search.c) -- */

#define MG_SEARCH_WORDS_MAX   8
#define MG_SEARCH_BYTES_MAX   256


/* A search made ready: folded words, longest first, none within another. */
typedef struct {
    unsigned   n;
    mg_str_t   words[MG_SEARCH_WORDS_MAX];
    char       bytes[MG_SEARCH_BYTES_MAX];
} mg_search_t;


/*
 * Splits at blanks and control characters.  What is beyond eight words or
 * 256 bytes is not looked at.
 */
void mg_search_init(mg_search_t *search, mg_str_t text);

/* First place of the word in the text at or behind from; text.len: none. */
size_t mg_search_find(mg_str_t text, size_t from, mg_str_t word);

/* 1 if the text holds every word but the first. */
int mg_search_rest(const mg_search_t *search, mg_str_t text);


#endif /* MG_SNAP_CATALOG_LAYOUT_H */
