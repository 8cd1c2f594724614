/*
 * mg_trace.c: W3C trace context, the traceparent header.
 *
 * As the recommendation has it: lower case digits, neither the trace nor the
 * span all zero, version ff forbidden, and more behind a dash in versions
 * that are not known yet.
 *
 * Touches nothing but its arguments.
 */

#include "model/mg_trace.h"

#include "base/mg_error.h"
#include "base/mg_hash.h"


static int mg_trace_hex(const char *p, uint8_t *out, size_t n);


int
mg_trace_read(mg_trace_t *t, mg_str_t header)
{
    size_t        i;
    uint8_t       version, any;
    const char   *p;

    p = header.data;

    if (header.len < MG_TRACE_LEN
        || mg_trace_hex(p, &version, 1) != MG_OK
        || p[MG_TRACE_ID_AT - 1] != '-'
        || mg_trace_hex(p + MG_TRACE_ID_AT, t->trace, sizeof(t->trace))
           != MG_OK
        || p[MG_TRACE_SPAN_AT - 1] != '-'
        || mg_trace_hex(p + MG_TRACE_SPAN_AT, t->span, sizeof(t->span))
           != MG_OK
        || p[MG_TRACE_LEN - 3] != '-'
        || mg_trace_hex(p + MG_TRACE_LEN - 2, &t->flags, 1) != MG_OK
        || version == 0xff
        || (header.len > MG_TRACE_LEN
            && (version == 0 || p[MG_TRACE_LEN] != '-')))
    {
        return MG_ERROR;
    }

    for (any = 0, i = 0; i < sizeof(t->trace); i++) {
        any |= t->trace[i];
    }

    if (any == 0) {
        return MG_ERROR;
    }

    for (any = 0, i = 0; i < sizeof(t->span); i++) {
        any |= t->span[i];
    }

    return any ? MG_OK : MG_ERROR;
}


void
mg_trace_write(const mg_trace_t *t, char out[MG_TRACE_LEN + 1])
{
    out[0] = '0';
    out[1] = '0';
    out[MG_TRACE_ID_AT - 1] = '-';

    mg_hex(t->trace, sizeof(t->trace), out + MG_TRACE_ID_AT);
    out[MG_TRACE_SPAN_AT - 1] = '-';

    mg_hex(t->span, sizeof(t->span), out + MG_TRACE_SPAN_AT);
    out[MG_TRACE_LEN - 3] = '-';

    mg_hex(&t->flags, 1, out + MG_TRACE_LEN - 2);
    out[MG_TRACE_LEN] = '\0';
}


/* n bytes of lower case digits. */

static int
mg_trace_hex(const char *p, uint8_t *out, size_t n)
{
    size_t  i;

    for (i = 0; i < 2 * n; i++) {
        if (p[i] >= 'A' && p[i] <= 'F') {
            return MG_ERROR;
        }
    }

    return mg_unhex(mg_str_n(p, 2 * n), out, n);
}
