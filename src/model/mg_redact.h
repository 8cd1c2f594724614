/*
 * mg_redact.h: a copy of a body, without the values of some members.
 *
 *     {"user":"ada","input":["a"]}  ->  {"user":"[redacted]","input":["a"]}
 *
 * A string that a colon follows is a name, wherever it stands; whatever its
 * value is, "[redacted]" takes its place.  So it works for a JSON document,
 * for its events and for lines of it alike.  Names are compared as they read,
 * not as they are spelt: "us\u0065r" is "user".  JSON that is the text of a
 * string is text.
 *
 * The copy ends when it is full, bytes may come cut anywhere, and what is not
 * JSON is copied as it is.
 *
 * Event loop or pool thread; never blocks; allocates only in the copy.
 */

#ifndef MG_REDACT_H
#define MG_REDACT_H

#include "base/mg_buf.h"


#define MG_REDACT_NAME_MAX   64       /* bytes of a name */


typedef struct {
    mg_str_t   names;                 /* each ends with NUL */
    uint32_t   state;
    uint32_t   depth;                 /* in a value that is left out */
    uint32_t   hex;                   /* \u: the value so far */
    uint32_t   hex_left;
    uint32_t   high;                  /* the first half of a pair of them */
    uint32_t   prefix;                /* of "data:" on this line, from 1 */
    uint32_t   name_len;
    unsigned   name_bad:1;            /* too long to be one of them */
    unsigned   full:1;
    char       name[MG_REDACT_NAME_MAX];
} mg_redact_t;


/* names stay the caller's, and must live as long as *r is fed. */
void mg_redact_init(mg_redact_t *r, mg_str_t names);

/* Adds to out, which has a cap, up to that; full says so, not out->failed. */
void mg_redact_feed(mg_redact_t *r, const char *data, size_t len,
    mg_buf_t *out);


#endif /* MG_REDACT_H */
