/*
 * mg_sse.c: the reader of server-sent events.
 *
 * A line is a field name, a colon, and a value; only the names "data" and
 * "event" matter.  The bytes of a data value go to the handler in runs as
 * they lie in the piece; all other values are stepped over.  A CR ends a
 * line at once, and the LF that may follow it is swallowed.
 *
 * Called for each piece; writes only into the caller's mg_sse_t.
 */

#include "base/mg_sse.h"


#define MG_SSE_BOM_LEN  3


typedef const char *(*mg_sse_pt)(mg_sse_t *s, const char *p,
    const char *end);


enum {
    MG_SSE_BOM = 0,        /* at the first bytes of the stream */
    MG_SSE_LINE,           /* at the first byte of a line */
    MG_SSE_NAME,
    MG_SSE_SPACE,          /* after the colon */
    MG_SSE_VALUE
};


enum {
    MG_SSE_OTHER = 0,      /* comments, too */
    MG_SSE_DATA,
    MG_SSE_EVENT
};


static const char *mg_sse_on_bom(mg_sse_t *s, const char *p,
    const char *end);
static const char *mg_sse_on_line(mg_sse_t *s, const char *p,
    const char *end);
static const char *mg_sse_on_name(mg_sse_t *s, const char *p,
    const char *end);
static const char *mg_sse_on_space(mg_sse_t *s, const char *p,
    const char *end);
static const char *mg_sse_on_value(mg_sse_t *s, const char *p,
    const char *end);

static void mg_sse_named(mg_sse_t *s);
static void mg_sse_keep(mg_sse_t *s, const char *data, size_t len);
static const char *mg_sse_line_end(mg_sse_t *s, const char *p);
static void mg_sse_event_end(mg_sse_t *s);
static const char *mg_sse_find_end(const char *p, const char *end);


static const mg_sse_pt  mg_sse_states[] = {
    [MG_SSE_BOM] = mg_sse_on_bom,
    [MG_SSE_LINE] = mg_sse_on_line,
    [MG_SSE_NAME] = mg_sse_on_name,
    [MG_SSE_SPACE] = mg_sse_on_space,
    [MG_SSE_VALUE] = mg_sse_on_value
};


static const char  mg_sse_bom[MG_SSE_BOM_LEN] = { '\xef', '\xbb', '\xbf' };


void
mg_sse_init(mg_sse_t *s, const mg_sse_handler_t *handler, void *ctx)
{
    memset(s, 0, sizeof(mg_sse_t));

    s->handler = handler;
    s->ctx = ctx;
}


void
mg_sse_feed(mg_sse_t *s, const char *data, size_t len)
{
    const char  *p, *end;

    if (len == 0) {
        return;
    }

    p = data;
    end = data + len;

    while (p != end) {

        if (s->cr) {
            s->cr = 0;

            if (*p == '\n') {
                p++;
                continue;
            }
        }

        p = mg_sse_states[s->state](s, p, end);
    }
}


void
mg_sse_finish(mg_sse_t *s)
{
    if (s->state == MG_SSE_NAME) {
        mg_sse_named(s);
    }

    mg_sse_event_end(s);

    s->state = MG_SSE_BOM;
    s->bom = 0;
    s->cr = 0;
}


static const char *
mg_sse_on_bom(mg_sse_t *s, const char *p, const char *end)
{
    (void) end;

    if (*p == mg_sse_bom[s->bom]) {
        s->bom++;

        if (s->bom == MG_SSE_BOM_LEN) {
            s->state = MG_SSE_LINE;
        }

        return p + 1;
    }

    s->state = MG_SSE_LINE;

    if (s->bom != 0) {

        /* what looked like one is the begin of a name that nobody knows */

        memcpy(s->name, mg_sse_bom, s->bom);
        s->name_len = s->bom;
        s->state = MG_SSE_NAME;
    }

    return p;
}


static const char *
mg_sse_on_line(mg_sse_t *s, const char *p, const char *end)
{
    (void) end;

    if (*p == '\n' || *p == '\r') {
        mg_sse_event_end(s);
        return mg_sse_line_end(s, p);
    }

    s->name_len = 0;
    s->state = MG_SSE_NAME;

    return p;
}


static const char *
mg_sse_on_name(mg_sse_t *s, const char *p, const char *end)
{
    for ( /* void */ ; p != end; p++) {

        if (*p == ':') {
            mg_sse_named(s);
            s->state = MG_SSE_SPACE;
            return p + 1;
        }

        if (*p == '\n' || *p == '\r') {
            mg_sse_named(s);
            return mg_sse_line_end(s, p);
        }

        /* no known name is as long as the buffer, so a cut one matches none */

        if (s->name_len < sizeof(s->name)) {
            s->name[s->name_len++] = *p;
        }
    }

    return p;
}


static const char *
mg_sse_on_space(mg_sse_t *s, const char *p, const char *end)
{
    (void) end;

    s->state = MG_SSE_VALUE;

    return *p == ' ' ? p + 1 : p;
}


static const char *
mg_sse_on_value(mg_sse_t *s, const char *p, const char *end)
{
    const char  *eol;

    eol = mg_sse_find_end(p, end);

    if (eol != p) {
        mg_sse_keep(s, p, (size_t) (eol - p));
    }

    return eol == end ? end : mg_sse_line_end(s, eol);
}


/* The name of a field is complete. */

static void
mg_sse_named(mg_sse_t *s)
{
    mg_str_t  name;

    name = mg_str_n(s->name, s->name_len);
    s->field = MG_SSE_OTHER;

    if (mg_str_eq(name, mg_str("data"))) {
        s->field = MG_SSE_DATA;

        if (s->some) {
            s->handler->data(s->ctx, "\n", 1);
        }

        s->some = 1;

    } else if (mg_str_eq(name, mg_str("event"))) {
        s->field = MG_SSE_EVENT;
        s->event_len = 0;
    }
}


static void
mg_sse_keep(mg_sse_t *s, const char *data, size_t len)
{
    if (s->field == MG_SSE_DATA) {
        s->handler->data(s->ctx, data, len);
        return;
    }

    if (s->field == MG_SSE_EVENT) {

        /* a longer name is cut: none that is known is that long */

        if (len > sizeof(s->event) - s->event_len) {
            len = sizeof(s->event) - s->event_len;
        }

        memcpy(s->event + s->event_len, data, len);
        s->event_len += (uint32_t) len;
    }
}


static const char *
mg_sse_line_end(mg_sse_t *s, const char *p)
{
    s->state = MG_SSE_LINE;
    s->cr = (*p == '\r');

    return p + 1;
}


/* An event without data is none; its name is forgotten with it. */

static void
mg_sse_event_end(mg_sse_t *s)
{
    mg_str_t  name;

    name = mg_str_n(s->event, s->event_len);

    s->event_len = 0;

    if (s->some) {
        s->some = 0;
        s->handler->event(s->ctx, name);
    }
}


static const char *
mg_sse_find_end(const char *p, const char *end)
{
    const char  *lf, *cr;

    lf = memchr(p, '\n', (size_t) (end - p));
    end = lf ? lf : end;
    cr = memchr(p, '\r', (size_t) (end - p));

    return cr ? cr : end;
}
