/*
 * mg_strip.h: takes out of a stream what only include_usage has put in.
 *
 * With "stream_options": {"include_usage": true}, which the gateway puts into
 * the request of a client that has not asked for it, a server of the OpenAI
 * protocol sends one event more, and a member more in all others:
 *
 *     data: {"id":"c1","choices":[{...}],"usage":null}
 *     data: {"id":"c1","choices":[],"usage":{"prompt_tokens":9, ...}}
 *
 * The event goes, up to its blank line, and so does the member with one of
 * the commas beside it; every other byte stays.  Usage that stands beside a
 * choice stays, too: servers that have it there send it unasked.  What is not
 * understood is passed on as it is.
 *
 * Bytes are changed where they lie, so what goes on is never more than what
 * came.  Kept back is the beginning of a line whose end is not here yet, with
 * the fields of the same event in front of it: at most MG_STRIP_HELD_MAX
 * bytes, and a longer line passes.
 *
 * Event loop; never blocks; allocates only where a piece ends in a line.
 */

#ifndef MG_STRIP_H
#define MG_STRIP_H

#include "base/mg_buf.h"


#define MG_STRIP_HELD_MAX   65536


typedef struct {
    uint32_t   events;          /* that were taken out */
    uint32_t   passed;          /* lines that were too long to be read */

    /* private */
    mg_buf_t   held[2];         /* one holds, the other was handed out */
    uint32_t   holding;         /* which */
    size_t     line;            /* where the last line in it begins */
    unsigned   dropping:1;      /* up to the blank line of an event */
    unsigned   seen:1;          /* this event's data have passed */
    unsigned   passing:1;       /* up to the end of a line */
    unsigned   cr:1;            /* the last byte was one that ended a line */
    unsigned   cr_drop:1;       /* which was taken out */
} mg_strip_t;


/* Begins a stream; *s needs no other preparation. */
void mg_strip_init(mg_strip_t *s);

void mg_strip_free(mg_strip_t *s);

/*
 * The next bytes, cut anywhere.  Returns how many of data are left, from its
 * beginning.  *before: bytes that go out in front of them, or {NULL, 0}; they
 * are s's, until its next call.
 */
size_t mg_strip_feed(mg_strip_t *s, char *data, size_t len,
    mg_str_t *before);

/*
 * The stream has ended, or must go on as far as it is here: what was held
 * back, as above.  More may be fed after it.
 */
mg_str_t mg_strip_flush(mg_strip_t *s);


#endif /* MG_STRIP_H */
