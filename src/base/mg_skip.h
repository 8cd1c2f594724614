/*
 * mg_skip.h: passes over JSON: the inside of strings, 16 bytes at a time, and
 * whole values.
 *
 * Most bytes of a chat are text in strings.  With SSE2 one comparison looks
 * at 16 of them; where there is none, and for the last bytes of a piece, a
 * plain loop does.  Never reads at or behind end.
 *
 * Any thread; touches nothing; never blocks.
 */

#ifndef MG_SKIP_H
#define MG_SKIP_H

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


/* Brackets within brackets that mg_skip_value() follows. */
#define MG_SKIP_DEPTH   64


/*
 * The first byte that is a quote or a backslash, and with strict a control
 * character or not ASCII; end if there is none.
 */

static inline const char *
mg_skip_string(const char *p, const char *end, int strict)
{
#if defined(__SSE2__)

    int          mask;
    __m128i      chunk, quote, slash, limit, found;
    const char  *last;

    quote = _mm_set1_epi8('"');
    slash = _mm_set1_epi8('\\');

    /*
     * signed: what is not ASCII is less than a space, too; less than the
     * limit is negative after the subtraction, which saturates
     */

    limit = _mm_set1_epi8(0x20);

    if (end - p >= 16) {

        for (last = end - 16; p <= last; p += 16) {
            chunk = _mm_loadu_si128((const __m128i *) p);

            found = _mm_or_si128(_mm_cmpeq_epi8(chunk, quote),
                                 _mm_cmpeq_epi8(chunk, slash));

            if (strict) {
                found = _mm_or_si128(found, _mm_subs_epi8(chunk, limit));
            }

            mask = _mm_movemask_epi8(found);

            if (mask) {
                return p + __builtin_ctz((unsigned) mask);
            }
        }
    }

#endif

    while (p != end && *p != '"' && *p != '\\'
           && (!strict || (*p & 0xe0) == 0x20 || (*p & 0xc0) == 0x40))
    {
        p++;
    }

    return p;
}


/*
 * Behind the closing quote of the string at p; NULL: there is none, or p is
 * not at its first quote.
 */
const char *mg_skip_quoted(const char *p, const char *end);

/*
 * Behind the value at p; NULL: it does not end, is none, or is nested deeper
 * than MG_SKIP_DEPTH.  A number or a literal also ends at end.
 */
const char *mg_skip_value(const char *p, const char *end);


#endif /* MG_SKIP_H */
