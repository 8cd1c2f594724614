/*
 * mg_sse.h: reads a stream of server-sent events cut at any byte.
 *
 * WHATWG HTML, "Server-sent events", section 9.2.6: lines end with LF, CRLF
 * or CR; a BOM may come first; a line that begins with a colon is a
 * comment; an empty line ends the event.  Data is not collected: its bytes
 * are handed on as they come, so an event of any length costs no memory.
 * The end of the stream ends the last event too (Ollama leaves out the
 * last blank line).
 *
 * Event loop or pool thread; never blocks, never allocates.
 */

#ifndef MG_SSE_H
#define MG_SSE_H

#include "base/mg_str.h"


typedef struct {
    /* A piece of a data line; a line break between lines comes as "\n". */
    void     (*data)(void *ctx, const char *data, size_t len);

    /* The event is complete; name is "" unless an event: field was sent. */
    void     (*event)(void *ctx, mg_str_t name);
} mg_sse_handler_t;


typedef struct {
    const mg_sse_handler_t  *handler;
    void                    *ctx;

    /* private */
    uint32_t                 state;
    uint32_t                 field;
    uint32_t                 bom;          /* bytes of one seen so far */
    char                     name[32];     /* field name in progress */
    uint32_t                 name_len;
    char                     event[64];
    uint32_t                 event_len;
    unsigned                 some:1;       /* the event has data */
    unsigned                 cr:1;         /* last byte was CR */
} mg_sse_t;


void mg_sse_init(mg_sse_t *s, const mg_sse_handler_t *handler, void *ctx);
void mg_sse_feed(mg_sse_t *s, const char *data, size_t len);
void mg_sse_finish(mg_sse_t *s);


#endif /* MG_SSE_H */
