/*
 * mg_strip.c: takes out of a stream what only include_usage has put in.
 *
 * Lines are found first.  A line that begins in the piece is judged where it
 * lies; what is kept moves up to the bytes that were kept before it:
 *
 *     | kept | gap | lines that wait for one | the line | ...
 *            ^out  ^from                     ^p
 *
 * A line whose end is missing is copied, and judged in the copy once its end
 * has come.  The lines of an event that stand before its data wait, but
 * for comments: whether they go depends on the data.
 *
 * Called by the body filter in the event loop; writes its own struct and the
 * bytes that it is given.
 */

#include "model/mg_strip.h"

#include "base/mg_error.h"
#include "base/mg_skip.h"


typedef enum {
    MG_STRIP_KEEP = 0,
    MG_STRIP_WAIT,              /* for the data to say */
    MG_STRIP_DROP
} mg_strip_verdict_e;


/* What counts of the first level of a document. */
typedef struct {
    unsigned    usage:1;        /* it is there */
    unsigned    twice:1;
    unsigned    null:1;
    unsigned    object:1;
    unsigned    none:1;         /* "choices" are there, and empty */
    unsigned    error:1;
    char       *from;           /* of "usage": its comma, or its key */
    char       *to;             /* behind it, or behind the next comma */
} mg_strip_found_t;


static char *mg_strip_lf(mg_strip_t *s, char *p, char *end, char **next);
static char *mg_strip_held(mg_strip_t *s, char *p, char *end,
    mg_str_t *before);
static int mg_strip_hold(mg_strip_t *s, char *from, char *p, char *end);
static mg_str_t mg_strip_release(mg_strip_t *s);
static char *mg_strip_eol(char *p, char *end);
static mg_strip_verdict_e mg_strip_line(mg_strip_t *s, char *line,
    size_t *len, int waiting);
static mg_strip_verdict_e mg_strip_data(char *p, char *end,
    mg_strip_found_t *f);
static int mg_strip_read(mg_strip_found_t *f, char *p, char *end);
static char *mg_strip_member(mg_strip_found_t *f, char *comma, char *p,
    char *end);
static void mg_strip_usage(mg_strip_found_t *f, char *comma, char *key,
    mg_str_t value);
static char *mg_strip_space(char *p, char *end);


void
mg_strip_init(mg_strip_t *s)
{
    memset(s, 0, sizeof(mg_strip_t));

    mg_buf_init(&s->held[0], MG_STRIP_HELD_MAX);
    mg_buf_init(&s->held[1], MG_STRIP_HELD_MAX);
}


void
mg_strip_free(mg_strip_t *s)
{
    mg_buf_free(&s->held[0]);
    mg_buf_free(&s->held[1]);
}


size_t
mg_strip_feed(mg_strip_t *s, char *data, size_t len, mg_str_t *before)
{
    char                *p, *out, *from, *end, *eol;
    size_t               n;
    mg_strip_verdict_e   verdict;

    *before = mg_str_null;
    s->held[!s->holding].len = 0;

    if (len == 0) {
        return 0;
    }

    end = data + len;
    out = mg_strip_lf(s, data, end, &p);
    p = mg_strip_held(s, p, end, before);

    for (from = p; p != end; p = eol) {
        eol = mg_strip_eol(p, end);

        if (eol == NULL) {
            break;
        }

        n = eol - p;
        verdict = mg_strip_line(s, p, &n, p != from);

        if (verdict == MG_STRIP_KEEP) {
            n += p - from;
            memmove(out, from, n);
            out += n;
        }

        if (verdict != MG_STRIP_WAIT) {
            from = eol;
        }
    }

    if (from != end && !mg_strip_hold(s, from, p, end)) {
        memmove(out, from, end - from);
        out += end - from;
    }

    s->cr = (p == end && end[-1] == '\r');

    return out - data;
}


mg_str_t
mg_strip_flush(mg_strip_t *s)
{
    size_t     n;
    mg_buf_t  *b;

    s->held[!s->holding].len = 0;
    b = &s->held[s->holding];
    n = b->len - s->line;

    if (n != 0) {
        if (mg_strip_line(s, b->data + s->line, &n, s->line != 0)
            == MG_STRIP_DROP)
        {
            b->len = 0;
            s->line = 0;

        } else {
            b->len = s->line + n;
            s->passing = 1;
        }
    }

    return b->len != 0 ? mg_strip_release(s) : mg_str_null;
}


/* An LF that belongs to a CR before it goes where that one went. */

static char *
mg_strip_lf(mg_strip_t *s, char *p, char *end, char **next)
{
    mg_buf_t  *b;

    *next = p;

    if (!s->cr || p == end || *p != '\n') {
        return p;
    }

    *next = p + 1;
    b = &s->held[s->holding];

    if (b->len != 0) {
        mg_buf_char(b, '\n');
        s->line = b->len;
        return p;
    }

    return s->cr_drop ? p : p + 1;
}


/* Completes what is held, as far as the piece goes; where that is. */

static char *
mg_strip_held(mg_strip_t *s, char *p, char *end, mg_str_t *before)
{
    char                *eol;
    size_t               n;
    mg_buf_t            *b;
    mg_strip_verdict_e   verdict;

    b = &s->held[s->holding];

    while (b->len != 0 && p != end) {
        eol = mg_strip_eol(p, end);
        n = (eol ? eol : end) - p;

        mg_buf_add(b, p, n);

        if (b->failed) {
            b->failed = 0;
            s->passed++;
            s->passing = 1;
            *before = mg_strip_release(s);
            return p;
        }

        p += n;

        if (eol == NULL) {
            break;
        }

        n = b->len - s->line;
        verdict = mg_strip_line(s, b->data + s->line, &n, s->line != 0);
        b->len = s->line + n;

        if (verdict == MG_STRIP_KEEP) {
            *before = mg_strip_release(s);
            break;
        }

        if (verdict == MG_STRIP_DROP) {
            b->len = 0;
        }

        s->line = b->len;
    }

    return p;
}


/* Keeps back the lines that wait, and the one that begins at p; 0: cannot. */

static int
mg_strip_hold(mg_strip_t *s, char *from, char *p, char *end)
{
    mg_buf_t  *b;

    if (s->passing) {
        return 0;
    }

    b = &s->held[s->holding];

    mg_buf_add(b, from, end - from);

    if (b->failed) {
        b->failed = 0;
        s->passed++;
        s->passing = (p != end);
        return 0;
    }

    s->line = p - from;

    return 1;
}


static mg_str_t
mg_strip_release(mg_strip_t *s)
{
    mg_str_t  bytes;

    bytes = mg_buf_view(&s->held[s->holding]);

    s->holding = !s->holding;
    s->held[s->holding].len = 0;
    s->line = 0;

    return bytes;
}


/* Behind the end of the line: LF, CRLF or CR; NULL: it is not there. */

static char *
mg_strip_eol(char *p, char *end)
{
    char  *lf, *cr;

    lf = memchr(p, '\n', end - p);
    cr = memchr(p, '\r', (lf ? lf : end) - p);

    if (cr != NULL && cr + 1 != lf) {
        return cr + 1;
    }

    return lf ? lf + 1 : NULL;
}


/* A line is whole, with what ends it; len: in and, if it is kept, out. */

static mg_strip_verdict_e
mg_strip_line(mg_strip_t *s, char *line, size_t *len, int waiting)
{
    char                *end;
    mg_strip_found_t     f;
    mg_strip_verdict_e   verdict;

    verdict = MG_STRIP_KEEP;
    end = line + *len;

    while (end != line && (end[-1] == '\n' || end[-1] == '\r')) {
        end--;
    }

    if (s->passing) {
        s->passing = 0;
        s->seen = 1;

    } else if (end == line) {
        verdict = s->dropping ? MG_STRIP_DROP : MG_STRIP_KEEP;
        s->dropping = 0;
        s->seen = 0;

    } else if (s->dropping) {
        verdict = MG_STRIP_DROP;

    } else if (s->seen) {

        /* whatever follows the data of an event that is kept */

    } else if (end - line > 5 && memcmp(line, "data:", 5) == 0) {
        verdict = mg_strip_data(line + 5, end, &f);

        s->seen = 1;

        if (verdict == MG_STRIP_DROP) {
            s->dropping = 1;
            s->seen = 0;
            s->events++;

        } else if (f.null) {
            memmove(f.from, f.to, line + *len - f.to);
            *len -= f.to - f.from;
        }

    } else if (*line != ':' || waiting) {
        verdict = MG_STRIP_WAIT;
    }

    s->cr_drop = (verdict == MG_STRIP_DROP);

    return verdict;
}


/* f->null: what lies between f->from and f->to goes. */

static mg_strip_verdict_e
mg_strip_data(char *p, char *end, mg_strip_found_t *f)
{
    memset(f, 0, sizeof(mg_strip_found_t));

    if (mg_strip_read(f, p, end) != MG_OK || f->twice) {
        f->null = 0;
        return MG_STRIP_KEEP;
    }

    return f->object && f->none && !f->error ? MG_STRIP_DROP : MG_STRIP_KEEP;
}


static int
mg_strip_read(mg_strip_found_t *f, char *p, char *end)
{
    char  *comma;

    p = mg_strip_space(p, end);

    if (p == end || *p != '{') {
        return MG_DECLINED;
    }

    comma = NULL;

    for ( ;; ) {
        p = mg_strip_member(f, comma, mg_strip_space(p + 1, end), end);

        if (p == NULL) {
            return MG_ERROR;
        }

        p = mg_strip_space(p, end);

        if (p == end || *p != ',') {
            break;
        }

        if (comma == NULL && f->usage) {
            f->to = mg_strip_space(p + 1, end);
        }

        comma = p;
    }

    if (p == end || *p != '}' || mg_strip_space(p + 1, end) != end) {
        return MG_ERROR;
    }

    return MG_OK;
}


/* Behind the member that begins at p; NULL: there is none. */

static char *
mg_strip_member(mg_strip_found_t *f, char *comma, char *p, char *end)
{
    char      *last, *value;
    mg_str_t   name, json;

    last = (char *) mg_skip_quoted(p, end);

    if (last == NULL) {
        return NULL;
    }

    name = mg_str_n(p + 1, last - p - 2);
    value = mg_strip_space(last, end);

    if (value == end || *value != ':') {
        return NULL;
    }

    value = mg_strip_space(value + 1, end);
    last = (char *) mg_skip_value(value, end);

    if (last == NULL) {
        return NULL;
    }

    json = mg_str_n(value, last - value);

    if (mg_str_eq(name, mg_str("usage"))) {
        mg_strip_usage(f, comma, p, json);

    } else if (mg_str_eq(name, mg_str("choices"))) {
        f->none = (*value == '['
                   && mg_strip_space(value + 1, end) == last - 1);

    } else if (mg_str_eq(name, mg_str("error"))) {
        f->error = !mg_str_eq(json, mg_str("null"));
    }

    return last;
}


static void
mg_strip_usage(mg_strip_found_t *f, char *comma, char *key, mg_str_t value)
{
    f->twice = f->usage;
    f->usage = 1;
    f->null = mg_str_eq(value, mg_str("null"));
    f->object = (*value.data == '{');
    f->from = comma ? comma : key;
    f->to = (char *) value.data + value.len;
}


static char *
mg_strip_space(char *p, char *end)
{
    while (p != end && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}
