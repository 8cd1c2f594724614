/*
 * mg_snap_catalog_layout.h: the sections of a catalog snapshot.
 *
 * Active models stand first, in the order of their ids, then the inactive
 * ones in the same order: lists are about the former, and only a look-up by
 * id sees the latter.  Index i means the same model in every section.
 *
 *     records     models[i]: where id, item, rest and benchmarks begin
 *     columns     an array of fixed width each, active models only: what a
 *                 filter reads in one pass
 *     orders      for each sort the active models as it puts them
 *     search      texts[i]: the folded text of a model; the words of all
 *                 texts in order, each with the models that hold it; for
 *                 each one, two or three bytes in a row the words with them;
 *                 titles (ids, parts of ids, names) in order
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

    MG_SC_KEYS,              /* uint32_t, MG_SC_KEY_...; the columns */
    MG_SC_MODES,             /* mg_sc_modes_t */
    MG_SC_FAMILY,            /* uint32_t, index of a family, or absent */
    MG_SC_CONTEXT,           /* int64_t, tokens; MG_UNKNOWN */
    MG_SC_INPUT_PRICE,       /* int64_t, femto-USD per token; MG_UNKNOWN */
    MG_SC_OUTPUT_PRICE,
    MG_SC_ORDERS,            /* uint32_t, MG_SC_ORDER_N times n_active */
    MG_SC_FAMILIES,          /* uint32_t by name, and one */
    MG_SC_FAMILY_TEXT,       /* bytes: folded */

    MG_SC_MODELS,            /* mg_sc_model_t, and one that closes */
    MG_SC_PROVIDERS,         /* mg_sc_provider_t by id, and one */
    MG_SC_IDS,               /* bytes: ids of models */
    MG_SC_ITEMS,             /* bytes: {...}, of each model */
    MG_SC_MORE,              /* bytes: the rest of each model */
    MG_SC_PROVIDER_IDS,      /* bytes */
    MG_SC_PROVIDER_ITEMS,    /* bytes: {...}, of each provider */

    MG_SC_TEXTS,             /* uint32_t, an active model each, and one */
    MG_SC_TEXT,              /* bytes: id \n name \n family \n, folded */
    MG_SC_TITLES,            /* uint32_t, model * MG_SC_TITLE_N + which */
    MG_SC_WORDS,             /* mg_sc_word_t by text, and one */
    MG_SC_WORD_TEXT,         /* bytes */
    MG_SC_GRAMS,             /* mg_sc_gram_t by value, and one */
    MG_SC_GRAM_WORDS,        /* uint32_t, indices of words */
    MG_SC_TYPOS,             /* mg_sc_typo_t, the most frequent word first */
    MG_SC_POSTINGS,          /* uint32_t: indices of models, or sets */

    MG_SC_BODIES,            /* bytes: 2 * MG_CATALOG_BODY_N documents; */
    MG_SC_N                  /*        ends are in the meta section */
} mg_sc_section_e;


/* A set of models has a bit each; queries keep some in fixed memory. */
#define MG_SC_ACTIVE_MAX         (1u << 21)

#define mg_sc_set_words(n)       (((n) + 63) / 64)


/* keys: type in the low byte, a bit for each thing known to be so */
#define MG_SC_KEY_TYPE           0x000000ffu
#define mg_sc_key_cap(c)         (0x00000100u << (c))
#define MG_SC_KEY_OPEN           0x00010000u
#define MG_SC_KEY_CLOSED         0x00020000u
#define MG_SC_KEY_AVAILABLE      0x00040000u
#define MG_SC_KEY_UNAVAILABLE    0x00080000u
#define MG_SC_KEY_STATUS         0x00700000u
#define mg_sc_key_status(n)      ((uint32_t) (n) << 20)

/* status: as mg_sc_status_find() says */
#define MG_SC_STATUS_STABLE      0
#define MG_SC_STATUS_OTHER       4
#define MG_SC_STATUS_N           5

/* orders: of every sort behind relevance */
#define MG_SC_ORDER_N            (MG_SORT_N - MG_SORT_NAME)

/* the high bit: differs from the one before it */
#define MG_SC_ORDER_STEP         0x80000000u
#define MG_SC_ORDER_MODEL        0x7fffffffu


typedef struct {
    uint32_t   n_models;
    uint32_t   n_active;
    uint32_t   n_providers;
    uint32_t   page_limit;                   /* of the ready first page */
    uint32_t   known[MG_SC_ORDER_N];         /* the rest is unknown, last */
    uint32_t   bodies[2 * MG_CATALOG_BODY_N + 1];
    uint32_t   reserved;
} mg_sc_meta_t;


/* A bit for each modality, in the order of mg_sc_mode_names. */
typedef struct {
    uint32_t   in;
    uint32_t   out;
} mg_sc_modes_t;


typedef struct {
    uint32_t   id;               /* offset in MG_SC_IDS */
    uint32_t   item;             /* offset in MG_SC_ITEMS */
    uint32_t   more;             /* offset in MG_SC_MORE */
    uint32_t   marks;            /* the same: the array of benchmarks up to
                                    the next model's rest, if any */
} mg_sc_model_t;


/*
 * A word of the texts.  Its models are n indices that rise or, where that is
 * shorter, a set; mg_sc_is_set() says which.
 */
typedef struct {
    uint32_t   text;             /* offset in MG_SC_WORD_TEXT */
    uint32_t   posting;          /* index in MG_SC_POSTINGS */
    uint32_t   n;                /* models */
} mg_sc_word_t;


/* One to three bytes in a row: length << 24, then the bytes. */
typedef struct {
    uint32_t   gram;
    uint32_t   first;            /* index in MG_SC_GRAM_WORDS */
    uint32_t   set;              /* index in MG_SC_POSTINGS of the set of its
                                    models, for gathering them would be long;
                                    MG_SNAP_ABSENT */
} mg_sc_gram_t;


/* A word to which a misspelt one may be near, and which letters it has. */
typedef struct {
    uint32_t   word;
    uint32_t   letters;          /* mg_sc_letters() */
} mg_sc_typo_t;


/* What a search may begin with: which says where it lies in the text. */
typedef enum {
    MG_SC_TITLE_ID = 0,
    MG_SC_TITLE_MODEL,           /* behind the first slash of the id */
    MG_SC_TITLE_NAME,
    MG_SC_TITLE_LAST,            /* behind the last slash, if another */
    MG_SC_TITLE_N
} mg_sc_title_e;


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


/* Of an active model. */

static inline mg_str_t
mg_sc_text(const mg_snap_t *s, uint32_t i)
{
    const uint32_t  *texts;

    texts = mg_snap_section(s, MG_SC_TEXTS);

    return mg_sc_span(s, MG_SC_TEXT, texts[i], texts[i + 1]);
}


static inline mg_str_t
mg_sc_word(const mg_snap_t *s, uint32_t i)
{
    const mg_sc_word_t  *w;

    w = mg_snap_section(s, MG_SC_WORDS);

    return mg_sc_span(s, MG_SC_WORD_TEXT, w[i].text, w[i + 1].text);
}


/*
 * As texts are compared: capital letters (Latin, Greek, Cyrillic) become
 * small ones, what is below a blank becomes one.  As many bytes as before.
 */
void mg_sc_fold(char *to, mg_str_t from);


/* 1 if n models of n_active are kept as a set, not as indices. */

static inline int
mg_sc_is_set(uint32_t n, uint32_t n_active)
{
    return n > 2 * mg_sc_set_words(n_active);
}


/* 1 for what words consist of; anything else but a blank is one of itself. */

static inline int
mg_sc_is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
}


/* -- titles and words (mg_snap_title.c) -- */

/* The word at or behind *at, which moves behind it; 0 at the end. */
int mg_sc_word_next(mg_str_t text, size_t *at, mg_str_t *word);

/* A bit for each letter: words that are near differ in few. */
uint32_t mg_sc_letters(mg_str_t word);


static inline uint32_t
mg_sc_gram(const char *p, unsigned n)
{
    unsigned  i;
    uint32_t  gram;

    gram = n;

    for (i = 0; i < 3; i++) {
        gram = gram << 8 | (i < n ? (unsigned char) p[i] : 0);
    }

    return gram;
}


/* A title within its model's text; len 0: there is none such. */
mg_str_t mg_sc_title(mg_str_t text, mg_sc_title_e which);

/*
 * Compares as a search does: letters count, whatever stands between them is
 * one blank.  prefix: 0 also if a begins with b.
 */
int mg_sc_title_cmp(mg_str_t a, mg_str_t b, int prefix);

/* -- checking (mg_snap_index_check.c) -- */

/* All but the records, which were checked before. */
int mg_sc_index_check(const mg_snap_t *s, mg_error_t *e);


/* -- columns (mg_snap_column.c) -- */

extern const mg_str_t  mg_sc_mode_names[];     /* ends with {NULL, 0} */

/* Bit of a modality; 0 for one that is not known. */
uint32_t mg_sc_mode_find(mg_str_t name);

/* MG_SC_STATUS_...; "stable" and absent are the same. */
unsigned mg_sc_status_find(mg_str_t name);


/* -- filters (mg_snap_filter.c) -- */

typedef struct {
    uint32_t       mask;             /* of keys ... */
    uint32_t       want;
    uint32_t       family;           /* MG_SNAP_ABSENT: any */
    uint32_t       mode;             /* of either side; 0: any ... */
    mg_sc_modes_t  modes;
    int64_t        min_context;      /* MG_UNKNOWN: any ... */
    int64_t        max_input;
    int64_t        max_output;
    unsigned       columns:1;        /* more than the keys count */
} mg_filter_t;

/* MG_DECLINED: no model can match. */
int mg_filter_init(mg_filter_t *f, const mg_snap_t *s,
    const mg_catalog_query_t *q);

/* Sets of the set those bits in [first, first + n) that match. */
void mg_filter_run(const mg_filter_t *f, const mg_snap_t *s, uint32_t first,
    uint32_t n, uint64_t *set);


/* -- the words of a search (mg_snap_term.c) -- */

#define MG_SEARCH_WORDS_MAX   8
#define MG_SEARCH_BYTES_MAX   256


/* A search made ready: folded words, longest first, none within another. */
typedef struct {
    unsigned   n;
    mg_str_t   words[MG_SEARCH_WORDS_MAX];
    size_t     len;                          /* of bytes in use */
    char       bytes[MG_SEARCH_BYTES_MAX];
} mg_search_t;


/*
 * Splits at blanks and control characters.  What is beyond eight words or
 * 256 bytes is not looked at.
 */
void mg_search_init(mg_search_t *search, mg_str_t text);

/* First place of the word in the text at or behind from; text.len: none. */
size_t mg_search_find(mg_str_t text, size_t from, mg_str_t word);


/* -- words of the file (mg_snap_posting.c) -- */

/* So many are looked at for a piece. */
#define MG_SEARCH_LOOKED_MAX  131072


/* Words that stand next to each other. */
typedef struct {
    uint32_t   first;
    uint32_t   n;
} mg_search_range_t;


/*
 * Models that hold the piece, which has no mark in it, in words outside of
 * the range (NULL: in any); added to the set.  0: there may be others.
 */
int mg_search_piece(const mg_snap_t *s, mg_str_t piece,
    const mg_search_range_t *but, uint64_t *set);

/* The words that begin with the piece; if it is one itself, it is first. */
void mg_search_begins(const mg_snap_t *s, mg_str_t piece,
    mg_search_range_t *range);

/* The models of one word of the file; added to the set. */
void mg_search_posting(const mg_snap_t *s, uint32_t word, uint64_t *set);


/* -- searching (mg_snap_search.c, mg_snap_near.c) -- */

#define MG_SEARCH_RANKS       5
#define MG_SEARCH_NEAR_MAX    12         /* pieces that may be misspelt */


/* What was found: sets without common members, the best rank first. */
typedef struct {
    uint64_t  *ranks[MG_SEARCH_RANKS];
    unsigned   approximate:1;
    unsigned   at_least:1;
} mg_search_found_t;


/*
 * Models of the set among (NULL: all) that hold every word.  The sets of
 * found live until the next call: one thread of a process.
 */
void mg_search_run(const mg_search_t *search, const mg_snap_t *s,
    const uint64_t *among, mg_search_found_t *found);

/*
 * Models that hold the piece or what it may have been meant for: set[0] by
 * one edit, set[1] by two; added to both.
 */
void mg_near_word(const mg_snap_t *s, mg_str_t word, uint64_t *set[2]);


#endif /* MG_SNAP_CATALOG_LAYOUT_H */
