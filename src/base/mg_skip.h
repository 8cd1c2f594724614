/*
 * mg_skip.h: passes over JSON: the inside of strings, 16 bytes at a time, and
 * whole values.
 *
 * Most bytes of a chat are text in strings.  With SSE2 one comparison looks
 * at 16 of them; where there is none, and for the last bytes of a piece, a
 * plain loop does.  Who follows brackets himself, since a value may be cut in
 * pieces, gets those of a block at once.  Never reads at or behind end.
 *
 * Any thread; touches nothing; never blocks.
 */

#ifndef MG_SKIP_H
#define MG_SKIP_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


/* Brackets within brackets that mg_skip_value() follows. */
#define MG_SKIP_DEPTH   64


/* A few bytes of an array or object that is passed over. */
typedef struct {
    unsigned  len;
    unsigned  brackets;   /* bit n: byte n is one, and in no string */
    unsigned  inside;     /* not 0: a string goes on behind them */
} mg_skip_block_t;


/*
 * Bit 0: a quote or a backslash; bit 1: that, or what strict adds; bit 2: a
 * quote or a bracket.
 */
extern const uint8_t  mg_skip_stops[256];


/* Over white space; for nearly every byte the first comparison is enough. */

static inline const char *
mg_skip_space(const char *p, const char *end)
{
    while (p != end && (unsigned char) *p <= ' '
           && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
    {
        p++;
    }

    return p;
}


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


/* The same of the 64 bytes at p. */

static inline uint64_t
mg_skip_mask64(const char *p, int strict)
{
    return (uint64_t) mg_skip_mask(p, strict)
           | (uint64_t) mg_skip_mask(p + 16, strict) << 16
           | (uint64_t) mg_skip_mask(p + 32, strict) << 32
           | (uint64_t) mg_skip_mask(p + 48, strict) << 48;
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
            return p + (unsigned) __builtin_ctz(mask);
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

        if (p == end || *p == '"' || p + 1 == end) {
            return p;
        }

        p += 2;
    }
}


/*
 * Behind the closing quote of the string at p; NULL: there is none, or p is
 * not at its first quote.
 */

static inline const char *
mg_skip_quoted(const char *p, const char *end)
{
    if (p == end || *p != '"') {
        return NULL;
    }

    p = mg_skip_text(p + 1, end);

    return p != end && *p == '"' ? p + 1 : NULL;
}


/*
 * Looks at the next bytes, 16 at most, from outside of a string; p is not end.
 * Where there are backslashes among them, and at the end of a piece, it looks
 * no further than to the first quote or bracket.
 */

static inline void
mg_skip_block(const char *p, const char *end, mg_skip_block_t *b)
{
    unsigned  n, strings;

#if defined(__SSE2__)

    __m128i   chunk, escapes, opening, closing;

    if (end - p >= 16) {
        chunk = _mm_loadu_si128((const __m128i *) p);
        escapes = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\\'));

        if (_mm_movemask_epi8(escapes) == 0) {

            /* a bit for each byte from a quote to in front of the next */

            strings = (unsigned) _mm_movemask_epi8(
                          _mm_cmpeq_epi8(chunk, _mm_set1_epi8('"')));
            strings ^= strings << 1;
            strings ^= strings << 2;
            strings ^= strings << 4;
            strings ^= strings << 8;

            /* brackets are one bit from braces, and no other byte is */

            chunk = _mm_or_si128(chunk, _mm_set1_epi8('[' ^ '{'));
            opening = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('{'));
            closing = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('}'));

            b->len = 16;
            b->brackets = (unsigned) _mm_movemask_epi8(
                              _mm_or_si128(opening, closing)) & ~strings;
            b->inside = strings & 0x8000;

            return;
        }
    }

#endif

    for (n = 0; n < 16 && p + n != end; n++) {

        if (mg_skip_stops[(unsigned char) p[n]] & 4) {
            b->len = n + 1;
            b->brackets = p[n] == '"' ? 0 : 1u << n;
            b->inside = (p[n] == '"');

            return;
        }
    }

    b->len = n;
    b->brackets = 0;
    b->inside = 0;
}


/*
 * Behind the value at p; NULL: it does not end, is none, or is nested deeper
 * than MG_SKIP_DEPTH.  A number or a literal also ends at end.
 */
const char *mg_skip_value(const char *p, const char *end);


#endif /* MG_SKIP_H */
