/*
 * mg_snap_posting.c: from bytes to words of the file, from words to models.
 *
 *     "stral"  -> the rarest of "str", "tra", "ral": words that hold it
 *              -> of those the ones that hold all of it
 *              -> the models of each: a list or a set
 *
 * One, two or three bytes in a row are looked up as they are, and if they
 * stand in much of the catalog, their models are ready as a set.  The words
 * that a piece begins are neighbours.
 *
 * Event loop; never allocates; adds to the caller's set.
 */

/* memmem() */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "snapshot/mg_snap_catalog_layout.h"


static const mg_sc_gram_t *mg_search_rarest(const mg_snap_t *s,
    mg_str_t piece);
static const mg_sc_gram_t *mg_search_gram(const mg_snap_t *s, uint32_t gram);
static int mg_search_in_word(const mg_snap_t *s, uint32_t word,
    mg_str_t piece);
static void mg_search_set_add(const mg_snap_t *s, uint32_t posting,
    uint64_t *set);
static uint32_t mg_search_bound(const mg_snap_t *s, mg_str_t word,
    int behind);


int
mg_search_piece(const mg_snap_t *s, mg_str_t piece,
    const mg_search_range_t *but, uint64_t *set)
{
    uint32_t             i, looked;
    const uint32_t      *words;
    const mg_sc_gram_t  *rarest;

    rarest = mg_search_rarest(s, piece);

    if (rarest == NULL) {
        return 1;
    }

    if (piece.len <= 3 && rarest->set != MG_SNAP_ABSENT) {
        mg_search_set_add(s, rarest->set, set);
        return 1;
    }

    words = mg_snap_section(s, MG_SC_GRAM_WORDS);
    looked = 0;

    for (i = rarest->first; i < rarest[1].first; i++) {
        if (but != NULL && words[i] - but->first < but->n) {
            continue;
        }

        if (piece.len > 3) {
            if (looked++ == MG_SEARCH_LOOKED_MAX) {
                return 0;
            }

            if (!mg_search_in_word(s, words[i], piece)) {
                continue;
            }
        }

        mg_search_posting(s, words[i], set);
    }

    return 1;
}


/* Of the grams of the piece that with the fewest words; NULL: one has none. */

static const mg_sc_gram_t *
mg_search_rarest(const mg_snap_t *s, mg_str_t piece)
{
    size_t               i;
    unsigned             n;
    const mg_sc_gram_t  *g, *rarest;

    rarest = NULL;
    n = piece.len < 3 ? (unsigned) piece.len : 3;

    for (i = 0; i + n <= piece.len; i++) {
        g = mg_search_gram(s, mg_sc_gram(piece.data + i, n));

        if (g == NULL) {
            return NULL;
        }

        if (rarest == NULL || g[1].first - g->first
                              < rarest[1].first - rarest->first)
        {
            rarest = g;
        }
    }

    return rarest;
}


/* The one behind it is there, too. */

static const mg_sc_gram_t *
mg_search_gram(const mg_snap_t *s, uint32_t gram)
{
    uint32_t             low, high, middle;
    const mg_sc_gram_t  *grams;

    grams = mg_snap_section(s, MG_SC_GRAMS);
    low = 0;
    high = mg_snap_section_n(s, MG_SC_GRAMS) - 1;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (grams[middle].gram == gram) {
            return &grams[middle];
        }

        if (grams[middle].gram < gram) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return NULL;
}


static int
mg_search_in_word(const mg_snap_t *s, uint32_t word, mg_str_t piece)
{
    mg_str_t  other;

    other = mg_sc_word(s, word);

    return memmem(other.data, other.len, piece.data, piece.len) != NULL;
}


void
mg_search_posting(const mg_snap_t *s, uint32_t word, uint64_t *set)
{
    uint32_t             i;
    const uint32_t      *list;
    const mg_sc_word_t  *w;

    w = mg_snap_section(s, MG_SC_WORDS);
    w += word;

    if (mg_sc_is_set(w->n, mg_sc_meta(s)->n_active)) {
        mg_search_set_add(s, w->posting, set);
        return;
    }

    list = mg_snap_section(s, MG_SC_POSTINGS);
    list += w->posting;

    for (i = 0; i < w->n; i++) {
        set[list[i] / 64] |= 1ULL << list[i] % 64;
    }
}


static void
mg_search_set_add(const mg_snap_t *s, uint32_t posting, uint64_t *set)
{
    uint32_t         i, n;
    const uint64_t  *other;

    other = (const void *) ((const uint32_t *)
                            mg_snap_section(s, MG_SC_POSTINGS) + posting);
    n = mg_sc_set_words(mg_sc_meta(s)->n_active);

    for (i = 0; i < n; i++) {
        set[i] |= other[i];
    }
}


void
mg_search_begins(const mg_snap_t *s, mg_str_t piece, mg_search_range_t *range)
{
    range->first = mg_search_bound(s, piece, 0);
    range->n = mg_search_bound(s, piece, 1) - range->first;
}


/* The first word not below; behind: that does not begin with it either. */

static uint32_t
mg_search_bound(const mg_snap_t *s, mg_str_t word, int behind)
{
    int       rc;
    uint32_t  low, high, middle;
    mg_str_t  other;

    low = 0;
    high = mg_snap_section_n(s, MG_SC_WORDS) - 1;

    while (low < high) {
        middle = low + (high - low) / 2;
        other = mg_sc_word(s, middle);

        if (behind && other.len > word.len) {
            other.len = word.len;
        }

        rc = mg_str_cmp(other, word);

        if (rc < 0 || (behind && rc == 0)) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}
