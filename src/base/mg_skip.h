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

#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


/* Brackets within brackets that mg_skip_value() follows. */
#define MG_SKIP_DEPTH   64


/* Bit 0: a quote or a backslash; bit 1: that, or what strict adds. */
extern const uint8_t  mg_skip_stops[256];


#if defined(__SSE2__)

/*
 * Of the 16 bytes at p, a bit for each that is a quote or a backslash, and
 * with strict a control character or not ASCII.
 */

static inline unsigned
mg_skip_mask(const char *p, int strict)
{
    __m128i  chunk, found;

    chunk = _mm_loadu_si128((const __m128i *) p);

    found = _mm_or_si128(_mm_cmpeq_epi8(chunk, _mm_set1_epi8('"')),
                         _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\\')));

    /*
     * signed: what is not ASCII is less than a space, too; less than the
     * limit is negative after the subtraction, which saturates
     */

    if (strict) {
        found = _mm_or_si128(found, _mm_subs_epi8(chunk, _mm_set1_epi8(0x20)));
    }

    return (unsigned) _mm_movemask_epi8(found);
}

#endif


/*
 * The first byte that is a quote or a backslash, and with strict a control
 * character or not ASCII; end if there is none.
 */

static inline const char *
mg_skip_string(const char *p, const char *end, int strict)
{
#if defined(__SSE2__)

    unsigned  mask;

    for ( /* void */ ; end - p >= 16; p += 16) {
        mask = mg_skip_mask(p, strict);

        if (mask) {
            return p + __builtin_ctz(mask);
        }
    }

#endif

    while (p != end
           && !(mg_skip_stops[(unsigned char) *p] & (strict ? 2 : 1)))
    {
        p++;
    }

    return p;
}


/*
 * From the inside of a string to its closing quote, over escapes of two
 * bytes; the backslash, if it is the last byte; end, if there is neither.
 */

static inline const char *
mg_skip_text(const char *p, const char *end)
{
    for ( ;; ) {
        p = mg_skip_string(p, end, 0);

        if (end - p < 2 || *p == '"') {
            return p;
        }

        p += 2;
    }
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
