/*
 * mg_snap_search.c: which models hold every word of a search, best first.
 *
 *     word of the search  -> pieces as the texts were cut
 *     piece               -> models, by the words that hold it
 *     all words           -> sets cut with each other
 *
 * A word without a mark in it is thereby answered exactly, however many
 * models hold it.  One of several pieces ("gpt-4o") leaves candidates, whose
 * texts are looked at.  Ranks: an id that is the search; another title (name,
 * part of an id) that is; one that begins with it; every word at the start
 * of a word; every word somewhere; within a rank by id.  When no model of
 * the file holds every word, those count that come near (mg_snap_near.c).
 *
 * What is looked at one by one is bounded; a search that reaches the bound
 * says that there may be more.  The bounds count, they do not measure time,
 * so the same file gives the same answer.
 *
 * Event loop, one thread of a process: the sets are static.  Never
 * allocates.
 */

#include "snapshot/mg_snap_catalog_layout.h"


/* A search looks at so many ... */
#define MG_SEARCH_TEXTS_MAX    16384     /* ... texts of candidates */
#define MG_SEARCH_TITLES_MAX   65536     /* ... titles; more are no rank */

#define MG_SEARCH_SETS         7
#define MG_SEARCH_SET_WORDS    mg_sc_set_words(MG_SC_ACTIVE_MAX)


/* The sets, by what they are for. */
enum {
    MG_SET_ID = 0,
    MG_SET_EXACT,
    MG_SET_PREFIX,
    MG_SET_STARTS,
    MG_SET_ALL,
    MG_SET_WORD,
    MG_SET_PIECE
};


/* What a text says about the words that have several pieces. */
typedef enum {
    MG_HOLDS_NOT = 0,
    MG_HOLDS,
    MG_HOLDS_AT_STARTS
} mg_search_holds_e;


typedef struct {
    const mg_search_t   *search;
    const mg_snap_t     *snap;
    uint32_t             n;              /* words of a set */
    uint32_t             texts;          /* looked at so far */
    unsigned             pieces:1;       /* a word has several */
    unsigned             at_least:1;
} mg_search_run_t;


static void mg_search_all(const mg_snap_t *s, uint64_t *set);
static int mg_search_empty(const uint64_t *set, uint32_t n);
static void mg_search_cut(uint64_t *set, const uint64_t *other, uint32_t n);
static void mg_search_words(mg_search_run_t *r);
static int mg_search_is_one(mg_str_t word);
static int mg_search_word(const mg_snap_t *s, mg_str_t word, uint64_t *set);
static void mg_search_starts(mg_search_run_t *r, mg_str_t word,
    mg_search_range_t *begin);
static void mg_search_titles(mg_search_run_t *r);
static uint32_t mg_search_title_bound(const mg_snap_t *s, mg_str_t title,
    int prefix, int behind);
static void mg_search_title_add(const mg_snap_t *s, uint32_t from,
    uint32_t to, uint64_t *set);
static void mg_search_title_ids(const mg_snap_t *s, uint32_t from,
    uint32_t to, uint64_t *set);
static void mg_search_look(mg_search_run_t *r, const uint64_t *among);
static int mg_search_elsewhere(mg_search_run_t *r, const uint64_t *before);
static mg_search_holds_e mg_search_holds(const mg_search_run_t *r,
    uint32_t model);
static void mg_search_near(mg_search_run_t *r);


static uint64_t  mg_search_sets[MG_SEARCH_SETS][MG_SEARCH_SET_WORDS];


/* -- models -- */

void
mg_search_run(const mg_search_t *search, const mg_snap_t *s,
    const uint64_t *among, mg_search_found_t *found)
{
    int              near;
    unsigned         i, j;
    uint64_t        *all, *better;
    mg_search_run_t  r;

    memset(&r, 0, sizeof(mg_search_run_t));

    r.search = search;
    r.snap = s;
    r.n = mg_sc_set_words(mg_sc_meta(s)->n_active);
    all = mg_search_sets[MG_SET_ALL];

    for (i = 0; i <= MG_SET_PREFIX; i++) {
        memset(mg_search_sets[i], 0, r.n * sizeof(uint64_t));
    }

    mg_search_words(&r);
    mg_search_titles(&r);

    if (r.pieces) {

        /* what others than those asked about hold is kept for a moment */

        memcpy(mg_search_sets[MG_SET_WORD], all, r.n * sizeof(uint64_t));
        mg_search_look(&r, among);
        near = mg_search_empty(all, r.n) && !r.at_least
               && !mg_search_elsewhere(&r, mg_search_sets[MG_SET_WORD]);

    } else {
        near = mg_search_empty(all, r.n);
    }

    if (near && !r.at_least) {
        mg_search_near(&r);
    }

    if (among != NULL) {
        mg_search_cut(all, among, r.n);
    }

    found->approximate = near && !mg_search_empty(all, r.n);
    found->at_least = r.at_least;

    for (i = 0; i < MG_SEARCH_RANKS; i++) {
        found->ranks[i] = mg_search_sets[i];
        mg_search_cut(mg_search_sets[i], all, r.n);
    }

    better = mg_search_sets[MG_SET_WORD];
    memset(better, 0, r.n * sizeof(uint64_t));

    for (i = 1; i < MG_SEARCH_RANKS; i++) {
        for (j = 0; j < r.n; j++) {
            better[j] |= mg_search_sets[i - 1][j];
            mg_search_sets[i][j] &= ~better[j];
        }
    }
}


static void
mg_search_all(const mg_snap_t *s, uint64_t *set)
{
    uint32_t  n;

    n = mg_sc_meta(s)->n_active;

    memset(set, 0xff, mg_sc_set_words(n) * sizeof(uint64_t));

    if (n % 64 != 0) {
        set[n / 64] = (1ULL << n % 64) - 1;
    }
}


static int
mg_search_empty(const uint64_t *set, uint32_t n)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        if (set[i] != 0) {
            return 0;
        }
    }

    return 1;
}


static void
mg_search_cut(uint64_t *set, const uint64_t *other, uint32_t n)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        set[i] &= other[i];
    }
}


/* Everything that may hold all words, and may have them at starts. */

static void
mg_search_words(mg_search_run_t *r)
{
    unsigned            i, done;
    mg_str_t            word;
    uint64_t           *set;
    mg_search_range_t   begin;

    set = mg_search_sets[MG_SET_WORD];

    mg_search_all(r->snap, mg_search_sets[MG_SET_ALL]);
    mg_search_all(r->snap, mg_search_sets[MG_SET_STARTS]);

    for (i = 0; i < r->search->n; i++) {
        word = r->search->words[i];

        mg_search_starts(r, word, &begin);

        if (begin.n == MG_SNAP_ABSENT) {
            r->pieces |= !mg_search_is_one(word);
            done = mg_search_word(r->snap, word, set);

        } else {

            /* those that begin with it are in the set */

            done = mg_search_piece(r->snap, word, &begin, set);
        }

        r->at_least |= !done;
        mg_search_cut(mg_search_sets[MG_SET_ALL], set, r->n);
    }
}


static int
mg_search_is_one(mg_str_t word)
{
    size_t    at;
    mg_str_t  piece;

    at = 0;
    (void) mg_sc_word_next(word, &at, &piece);

    return at == word.len;
}


/*
 * The set becomes the models that may hold the word, and do if it has one
 * piece.  0: there may be others.
 */

static int
mg_search_word(const mg_snap_t *s, mg_str_t word, uint64_t *set)
{
    int        complete;
    size_t     at;
    uint32_t   n;
    uint64_t  *into;
    mg_str_t   piece;

    n = mg_sc_set_words(mg_sc_meta(s)->n_active);

    at = 0;
    into = set;
    complete = 1;

    while (mg_sc_word_next(word, &at, &piece)) {
        memset(into, 0, n * sizeof(uint64_t));
        complete &= mg_search_piece(s, piece, NULL, into);

        if (into != set) {
            mg_search_cut(set, into, n);
        }

        into = mg_search_sets[MG_SET_PIECE];
    }

    return complete;
}


/*
 * Leaves of the starts those that have the word at the start of a word.  A
 * word of several pieces has its first as a whole word there, which the look
 * at the texts makes sure of; a mark is a start in itself.  Of a word of one
 * piece the set is left, and which words made it; otherwise begin->n is
 * MG_SNAP_ABSENT.
 */

static void
mg_search_starts(mg_search_run_t *r, mg_str_t word,
    mg_search_range_t *begin)
{
    size_t              at;
    uint32_t            i;
    uint64_t           *set;
    mg_str_t            piece;
    mg_search_range_t   range;

    at = 0;
    begin->n = MG_SNAP_ABSENT;

    if (!mg_sc_word_next(word, &at, &piece)
        || !mg_sc_is_letter((unsigned char) piece.data[0]))
    {
        return;
    }

    mg_search_begins(r->snap, piece, &range);

    /* of those that begin with it, it is the first itself, if at all */

    if (at != word.len && range.n != 0) {
        range.n = mg_str_eq(mg_sc_word(r->snap, range.first), piece);
    }

    if (range.n > MG_SEARCH_LOOKED_MAX) {
        return;
    }

    set = mg_search_sets[MG_SET_WORD];
    memset(set, 0, r->n * sizeof(uint64_t));

    for (i = 0; i < range.n; i++) {
        mg_search_posting(r->snap, range.first + i, set);
    }

    mg_search_cut(mg_search_sets[MG_SET_STARTS], set, r->n);

    if (at == word.len) {
        *begin = range;
    }
}


/* -- titles -- */

static void
mg_search_titles(mg_search_run_t *r)
{
    uint32_t  first, equal, end;
    mg_str_t  title;

    title = mg_str_n(r->search->bytes, r->search->len);

    if (mg_sc_title_cmp(title, mg_str(""), 0) == 0) {
        return;
    }

    first = mg_search_title_bound(r->snap, title, 0, 0);
    equal = mg_search_title_bound(r->snap, title, 0, 1);
    end = mg_search_title_bound(r->snap, title, 1, 1);

    if (equal - first <= MG_SEARCH_TITLES_MAX) {
        mg_search_title_add(r->snap, first, equal,
                            mg_search_sets[MG_SET_EXACT]);
        mg_search_title_ids(r->snap, first, equal,
                            mg_search_sets[MG_SET_ID]);
    }

    if (end - first <= MG_SEARCH_TITLES_MAX) {
        mg_search_title_add(r->snap, equal, end,
                            mg_search_sets[MG_SET_PREFIX]);
    }
}


/* Place of the first title not below, or of the first behind. */

static uint32_t
mg_search_title_bound(const mg_snap_t *s, mg_str_t title, int prefix,
    int behind)
{
    int              rc;
    uint32_t         low, high, middle;
    const uint32_t  *titles;

    titles = mg_snap_section(s, MG_SC_TITLES);
    low = 0;
    high = mg_snap_section_n(s, MG_SC_TITLES);

    while (low < high) {
        middle = low + (high - low) / 2;
        rc = mg_sc_title_cmp(mg_sc_title(mg_sc_text(s, titles[middle]
                                                       / MG_SC_TITLE_N),
                                         titles[middle] % MG_SC_TITLE_N),
                             title, prefix);

        if (rc < 0 || (behind && rc == 0)) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


static void
mg_search_title_add(const mg_snap_t *s, uint32_t from, uint32_t to,
    uint64_t *set)
{
    uint32_t         i, model;
    const uint32_t  *titles;

    titles = mg_snap_section(s, MG_SC_TITLES);

    for (i = from; i < to; i++) {
        model = titles[i] / MG_SC_TITLE_N;
        set[model / 64] |= 1ULL << model % 64;
    }
}


/* Of titles that are alike the one that is the whole id is meant first. */

static void
mg_search_title_ids(const mg_snap_t *s, uint32_t from, uint32_t to,
    uint64_t *set)
{
    uint32_t         i;
    const uint32_t  *titles;

    titles = mg_snap_section(s, MG_SC_TITLES);

    for (i = from; i < to; i++) {
        if (titles[i] % MG_SC_TITLE_N == MG_SC_TITLE_ID) {
            mg_search_title_add(s, i, i + 1, set);
        }
    }
}


/* -- texts of candidates -- */

/*
 * Leaves of all those whose text holds every word, of the starts those that
 * have them there.  The best ranks first, so that the bound, if it is
 * reached, costs the others.
 */

static void
mg_search_look(mg_search_run_t *r, const uint64_t *among)
{
    unsigned  pass;
    uint32_t  i, model;
    uint64_t  left, bit, *all, *starts, *kept;

    all = mg_search_sets[MG_SET_ALL];
    starts = mg_search_sets[MG_SET_STARTS];
    kept = mg_search_sets[MG_SET_PIECE];

    if (among != NULL) {
        mg_search_cut(all, among, r->n);
    }

    memset(kept, 0, r->n * sizeof(uint64_t));

    for (pass = 0; pass < 3; pass++) {
        for (i = 0; i < r->n; i++) {
            left = all[i];

            if (pass == 0) {
                left &= mg_search_sets[MG_SET_EXACT][i]
                        | mg_search_sets[MG_SET_PREFIX][i];

            } else if (pass == 1) {
                left &= starts[i];
            }

            all[i] &= ~left;

            for ( /* void */ ; left != 0; left &= left - 1) {
                if (r->texts == MG_SEARCH_TEXTS_MAX) {
                    r->at_least = 1;
                    break;
                }

                r->texts++;
                bit = left & (~left + 1);
                model = i * 64 + (uint32_t) __builtin_ctzll(left);

                switch (mg_search_holds(r, model)) {

                case MG_HOLDS_AT_STARTS:
                    kept[i] |= bit;
                    break;

                case MG_HOLDS:
                    kept[i] |= bit;
                    starts[i] &= ~bit;
                    break;

                default:
                    break;
                }
            }
        }
    }

    memcpy(all, kept, r->n * sizeof(uint64_t));
}


/* 1 if a model that was not asked about holds every word, or may. */

static int
mg_search_elsewhere(mg_search_run_t *r, const uint64_t *before)
{
    uint32_t  i;
    uint64_t  left;

    for (i = 0; i < r->n; i++) {
        for (left = before[i]; left != 0; left &= left - 1) {
            if (r->texts++ >= MG_SEARCH_TEXTS_MAX
                || mg_search_holds(r, i * 64
                                      + (uint32_t) __builtin_ctzll(left)))
            {
                return 1;
            }
        }
    }

    return 0;
}


static mg_search_holds_e
mg_search_holds(const mg_search_run_t *r, uint32_t model)
{
    size_t             at;
    unsigned           i, starts;
    mg_str_t           text, word;
    mg_search_holds_e  holds;

    text = mg_sc_text(r->snap, model);
    holds = MG_HOLDS_AT_STARTS;

    for (i = 0; i < r->search->n; i++) {
        word = r->search->words[i];

        if (mg_search_is_one(word)) {
            continue;
        }

        at = mg_search_find(text, 0, word);

        if (at == text.len) {
            return MG_HOLDS_NOT;
        }

        for (starts = 0; !starts && at != text.len; /* void */ ) {
            starts = at == 0
                     || !mg_sc_is_letter((unsigned char) text.data[at - 1])
                     || !mg_sc_is_letter((unsigned char) word.data[0]);
            at = mg_search_find(text, at + 1, word);
        }

        if (!starts) {
            holds = MG_HOLDS;
        }
    }

    return holds;
}


/* -- what comes near -- */

static void
mg_search_near(mg_search_run_t *r)
{
    size_t     at;
    unsigned   i, pieces;
    uint64_t  *set[2];
    mg_str_t   piece;

    set[0] = mg_search_sets[MG_SET_WORD];
    set[1] = mg_search_sets[MG_SET_PIECE];
    pieces = 0;

    mg_search_all(r->snap, mg_search_sets[MG_SET_ALL]);
    mg_search_all(r->snap, mg_search_sets[MG_SET_STARTS]);

    for (i = 0; i < r->search->n; i++) {
        at = 0;

        while (mg_sc_word_next(r->search->words[i], &at, &piece)) {
            if (!mg_sc_is_letter((unsigned char) piece.data[0])
                || pieces++ == MG_SEARCH_NEAR_MAX)
            {
                continue;
            }

            memset(set[0], 0, r->n * sizeof(uint64_t));
            memset(set[1], 0, r->n * sizeof(uint64_t));

            mg_near_word(r->snap, piece, set);

            mg_search_cut(mg_search_sets[MG_SET_STARTS], set[0], r->n);
            mg_search_cut(mg_search_sets[MG_SET_ALL], set[1], r->n);
        }
    }

    if (pieces == 0) {
        memset(mg_search_sets[MG_SET_ALL], 0, r->n * sizeof(uint64_t));
    }
}
