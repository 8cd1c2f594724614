/*
 * mg_scan_state.h: what the two halves of the scanner share; private to
 * mg_scan.c (the document) and mg_scan_string.c (strings).
 *
 * A function of a state takes what it can of the bytes from p to end, sets
 * the next state and returns where it stopped, or NULL after mg_scan_fail().
 *
 * Event loop; never blocks, never allocates.
 */

#ifndef MG_SCAN_STATE_H
#define MG_SCAN_STATE_H

#include "base/mg_scan.h"


enum {
    MG_SCAN_START = 0,      /* before the document */
    MG_SCAN_KEY_OR_END,     /* after { */
    MG_SCAN_KEY,            /* after , in an object */
    MG_SCAN_COLON,
    MG_SCAN_VALUE,
    MG_SCAN_VALUE_OR_END,   /* after [ */
    MG_SCAN_NEXT,           /* after a value */
    MG_SCAN_END,            /* after the document */
    MG_SCAN_STRING,
    MG_SCAN_ESCAPE,         /* after a backslash */
    MG_SCAN_HEX,
    MG_SCAN_UTF8,           /* inside a sequence */
    MG_SCAN_LITERAL,
    MG_SCAN_MINUS,          /* numbers: what has been read is ... */
    MG_SCAN_ZERO,
    MG_SCAN_INT,
    MG_SCAN_POINT,
    MG_SCAN_FRACTION,
    MG_SCAN_E,
    MG_SCAN_E_SIGN,
    MG_SCAN_EXPONENT
};


/* what a string is for */

enum {
    MG_SCAN_SKIP = 0,
    MG_SCAN_NAME,           /* a key that may be known */
    MG_SCAN_MODEL,
    MG_SCAN_STREAM,         /* members only, never a string's use */
    MG_SCAN_METADATA,
    MG_SCAN_OPTIONS,
    MG_SCAN_USAGE,
    MG_SCAN_USER            /* and MG_SCAN_BY_... */
};


/* States of strings; mg_scan_string() also goes on after the quote. */
const char *mg_scan_string(mg_scan_t *s, const char *p, const char *end);
const char *mg_scan_escape(mg_scan_t *s, const char *p, const char *end);
const char *mg_scan_hex(mg_scan_t *s, const char *p, const char *end);
const char *mg_scan_utf8(mg_scan_t *s, const char *p, const char *end);

/*
 * The document is refused at p (NULL: at its end) for a reason; param names
 * the member, NULL for bad syntax.  Returns NULL for the caller to return.
 */
const char *mg_scan_fail(mg_scan_t *s, const char *p, const char *param,
    const char *text);


#endif /* MG_SCAN_STATE_H */
