/*
 * mg_utf8.h: one step of a UTF-8 walk, as RFC 3629 has it.
 *
 * No overlong forms, no surrogates, nothing above U+10FFFF: what passes here
 * is what PostgreSQL, browsers and strict JSON readers take for text too.
 *
 * Any thread; touches nothing; never blocks.
 */

#ifndef MG_UTF8_H
#define MG_UTF8_H

#include "base/mg_str.h"


/*
 * The length (1 to 4) of the sequence that begins at p, of which n bytes are
 * there; 0 if it is invalid or cut off.
 */

static inline size_t
mg_utf8_next(const char *p, size_t n)
{
    size_t                i, len;
    unsigned              low, high;
    const unsigned char  *u;

    u = (const unsigned char *) p;

    if (n == 0) {
        return 0;
    }

    if (u[0] < 0x80) {
        return 1;
    }

    if (u[0] < 0xc2 || u[0] > 0xf4) {
        return 0;
    }

    len = (u[0] < 0xe0) ? 2 : (u[0] < 0xf0) ? 3 : 4;

    if (n < len) {
        return 0;
    }

    /* the second byte rules out overlong forms, surrogates and the beyond */

    low = (u[0] == 0xe0) ? 0xa0 : (u[0] == 0xf0) ? 0x90 : 0x80;
    high = (u[0] == 0xed) ? 0x9f : (u[0] == 0xf4) ? 0x8f : 0xbf;

    if (u[1] < low || u[1] > high) {
        return 0;
    }

    for (i = 2; i < len; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return len;
}


/* Writes a code point below 0x110000, 1 to 4 bytes; returns their number. */

static inline size_t
mg_utf8_put(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char) c;
        return 1;
    }

    if (c < 0x800) {
        out[0] = (char) (0xc0 | (c >> 6));
        out[1] = (char) (0x80 | (c & 0x3f));
        return 2;
    }

    if (c < 0x10000) {
        out[0] = (char) (0xe0 | (c >> 12));
        out[1] = (char) (0x80 | ((c >> 6) & 0x3f));
        out[2] = (char) (0x80 | (c & 0x3f));
        return 3;
    }

    out[0] = (char) (0xf0 | (c >> 18));
    out[1] = (char) (0x80 | ((c >> 12) & 0x3f));
    out[2] = (char) (0x80 | ((c >> 6) & 0x3f));
    out[3] = (char) (0x80 | (c & 0x3f));

    return 4;
}


#endif /* MG_UTF8_H */
