/*
 * mg_skip.c: passes over JSON values that nobody reads.
 *
 * Strings and brackets are followed, what stands between them is not looked
 * at: who passes over a value does not judge it.
 *
 * Touches nothing but its arguments.
 */

#include "base/mg_skip.h"

#include <stddef.h>


const uint8_t  mg_skip_stops[256] = {
    [0 ... 0x1f] = 2,
    ['"'] = 7,
    ['\\'] = 3,
    ['['] = 4,
    [']'] = 4,
    ['{'] = 4,
    ['}'] = 4,
    [0x80 ... 0xff] = 2
};


const char *
mg_skip_value(const char *p, const char *end)
{
    unsigned     depth;
    const char  *begin;

    for (begin = p, depth = 0; p < end; /* void */ ) {

        switch (*p) {

        case '"':
            p = mg_skip_quoted(p, end);

            if (p == NULL || depth == 0) {
                return p;
            }

            break;

        case '{':
        case '[':
            if (++depth > MG_SKIP_DEPTH) {
                return NULL;
            }

            p++;
            break;

        case '}':
        case ']':
            if (depth == 0) {
                return p > begin ? p : NULL;
            }

            p++;

            if (--depth == 0) {
                return p;
            }

            break;

        case ',':
        case ' ':
        case '\t':
        case '\n':
        case '\r':
            if (depth == 0) {
                return p > begin ? p : NULL;
            }

            p++;
            break;

        default:
            p++;
        }
    }

    return (depth == 0 && p > begin) ? p : NULL;
}
