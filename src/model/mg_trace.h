/*
 * mg_trace.h: W3C trace context, the traceparent header.
 *
 *     00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *     version, trace, span of who sends it, flags
 *
 * The gateway is a span of its own between client and provider: what it sends
 * has the client's trace and flags, and a span that is new.
 *
 * Plain functions; any thread; never blocks.
 */

#ifndef MG_TRACE_H
#define MG_TRACE_H

#include "base/mg_str.h"


#define MG_TRACE_LEN       55        /* of a header of version 00 */
#define MG_TRACE_ID_LEN    32        /* hex digits of the trace ... */
#define MG_TRACE_ID_AT     3         /* ... and where they stand */
#define MG_TRACE_SPAN_AT   36
#define MG_TRACE_BYTES     16


typedef struct {
    uint8_t   trace[MG_TRACE_BYTES];
    uint8_t   span[8];
    uint8_t   flags;
} mg_trace_t;


/*
 * MG_OK; MG_ERROR if it is no valid header: the trace begins here then.  Of a
 * later version what version 00 knows is read.
 */
int mg_trace_read(mg_trace_t *t, mg_str_t header);

/* The header, MG_TRACE_LEN bytes and a NUL. */
void mg_trace_write(const mg_trace_t *t, char out[MG_TRACE_LEN + 1]);


#endif /* MG_TRACE_H */
