/*
 * mg_snap_term.c: the words of a search, and where they stand in a text.
 *
 * The finder compares the first and the last byte of the word with sixteen
 * places of the text at a time; only where both match are the bytes between
 * looked at.  Without SSE2 the C library's memmem() stands in.
 *
 * Event loop; never allocates.
 */

/* memmem() */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "snapshot/mg_snap_catalog_layout.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


static void mg_search_add(mg_search_t *search, mg_str_t word);
static size_t mg_search_tail(mg_str_t text, size_t from, mg_str_t word);


void
mg_search_init(mg_search_t *search, mg_str_t text)
{
    size_t    i, n, start;
    unsigned  words;

    search->n = 0;
    words = 0;
    start = 0;

    n = text.len < MG_SEARCH_BYTES_MAX ? text.len : MG_SEARCH_BYTES_MAX;
    mg_sc_fold(search->bytes, mg_str_n(text.data, n));

    for (i = 0; i <= n && words < MG_SEARCH_WORDS_MAX; i++) {
        if (i < n && search->bytes[i] != ' ') {
            continue;
        }

        if (i > start) {
            mg_search_add(search, mg_str_n(search->bytes + start, i - start));
            words++;
        }

        start = i + 1;
    }

    search->len = i < n ? i : n;
}


/*
 * Keeps the words by falling length.  A word within another asks for
 * nothing more; a longer word that holds shorter ones takes their place.
 */

static void
mg_search_add(mg_search_t *search, mg_str_t word)
{
    unsigned  i, kept;
    mg_str_t  other;

    for (i = 0; i < search->n; i++) {
        if (mg_search_find(search->words[i], 0, word)
            != search->words[i].len)
        {
            return;
        }
    }

    for (kept = 0, i = 0; i < search->n; i++) {
        other = search->words[i];

        if (mg_search_find(word, 0, other) == word.len) {
            search->words[kept++] = other;
        }
    }

    for (i = kept; i > 0 && search->words[i - 1].len < word.len; i--) {
        search->words[i] = search->words[i - 1];
    }

    search->words[i] = word;
    search->n = kept + 1;
}


size_t
mg_search_find(mg_str_t text, size_t from, mg_str_t word)
{
#if defined(__SSE2__)

    int          hits, bit;
    size_t       last;
    const char  *p;
    __m128i      first_byte, last_byte, a, b;

    if (word.len == 0 || word.len > text.len) {
        return text.len;
    }

    last = word.len - 1;
    first_byte = _mm_set1_epi8(word.data[0]);
    last_byte = _mm_set1_epi8(word.data[last]);

    for ( /* void */ ; from + last + 16 <= text.len; from += 16) {
        p = text.data + from;

        a = _mm_loadu_si128((const __m128i *) p);
        b = _mm_loadu_si128((const __m128i *) (p + last));

        hits = _mm_movemask_epi8(_mm_and_si128(
                                     _mm_cmpeq_epi8(a, first_byte),
                                     _mm_cmpeq_epi8(b, last_byte)));

        for ( /* void */ ; hits != 0; hits &= hits - 1) {
            bit = __builtin_ctz((unsigned) hits);

            if (memcmp(p + bit, word.data, word.len) == 0) {
                return from + (size_t) bit;
            }
        }
    }

#endif

    return mg_search_tail(text, from, word);
}


static size_t
mg_search_tail(mg_str_t text, size_t from, mg_str_t word)
{
    const char  *found;

    if (word.len == 0 || from >= text.len || word.len > text.len - from) {
        return text.len;
    }

    found = memmem(text.data + from, text.len - from, word.data, word.len);

    return found ? (size_t) (found - text.data) : text.len;
}
