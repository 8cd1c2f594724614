/*
 * mg_redact.c: a copy of a body, without the values of some members.
 *
 * One function for each state takes what it can of the piece, copies what is
 * to be copied and says where it stopped:
 *
 *     TEXT -"-> STRING -"-> NAMED -:-> VALUE -> SKIP_... -> TEXT
 *
 * What ends a line ends a string, too: JSON has none in strings, and one that
 * was cut in an event says nothing of the next event.  The data of an event may
 * be several lines: "data:" at the begin of one is as good as white space.
 *
 * Called for each piece; writes only its own struct and the copy.
 */

#include "model/mg_redact.h"

#include "base/mg_skip.h"
#include "base/mg_utf8.h"


typedef const char *(*mg_redact_pt)(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);


enum {
    MG_REDACT_TEXT = 0,
    MG_REDACT_STRING,
    MG_REDACT_ESCAPE,           /* after a backslash in it */
    MG_REDACT_HEX,
    MG_REDACT_NAMED,            /* after it */
    MG_REDACT_VALUE,            /* after the colon of a name that counts */
    MG_REDACT_SKIP,             /* in an object or array */
    MG_REDACT_SKIP_STRING,
    MG_REDACT_SKIP_ESCAPE,
    MG_REDACT_SKIP_ATOM
};


static const char *mg_redact_text(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);
static const char *mg_redact_string(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);
static const char *mg_redact_escape(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);
static const char *mg_redact_hex(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);
static const char *mg_redact_named(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);
static const char *mg_redact_value(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);
static const char *mg_redact_skip(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);
static const char *mg_redact_skip_string(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);
static const char *mg_redact_skip_escape(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);
static const char *mg_redact_skip_atom(mg_redact_t *r, const char *p,
    const char *end, mg_buf_t *out);

static int mg_redact_between(mg_redact_t *r, char c);
static void mg_redact_unit(mg_redact_t *r);
static void mg_redact_copy(mg_redact_t *r, const char *p, size_t len,
    mg_buf_t *out);
static void mg_redact_spell(mg_redact_t *r, const char *p, size_t len);
static int mg_redact_known(const mg_redact_t *r);


static const mg_redact_pt  mg_redact_states[] = {
    [MG_REDACT_TEXT] = mg_redact_text,
    [MG_REDACT_STRING] = mg_redact_string,
    [MG_REDACT_ESCAPE] = mg_redact_escape,
    [MG_REDACT_HEX] = mg_redact_hex,
    [MG_REDACT_NAMED] = mg_redact_named,
    [MG_REDACT_VALUE] = mg_redact_value,
    [MG_REDACT_SKIP] = mg_redact_skip,
    [MG_REDACT_SKIP_STRING] = mg_redact_skip_string,
    [MG_REDACT_SKIP_ESCAPE] = mg_redact_skip_escape,
    [MG_REDACT_SKIP_ATOM] = mg_redact_skip_atom
};


void
mg_redact_init(mg_redact_t *r, mg_str_t names)
{
    memset(r, 0, offsetof(mg_redact_t, name));
    r->names = names;
}


void
mg_redact_feed(mg_redact_t *r, const char *data, size_t len, mg_buf_t *out)
{
    const char  *p, *end;

    if (r->names.len == 0) {
        mg_redact_copy(r, data, len, out);
        return;
    }

    p = data;
    end = data + len;

    while (p != end && !r->full) {
        p = mg_redact_states[r->state](r, p, end, out);
    }
}


static const char *
mg_redact_text(mg_redact_t *r, const char *p, const char *end, mg_buf_t *out)
{
    const char  *quote;

    quote = memchr(p, '"', end - p);

    if (quote == NULL) {
        mg_redact_copy(r, p, end - p, out);
        return end;
    }

    mg_redact_copy(r, p, quote + 1 - p, out);

    r->state = MG_REDACT_STRING;
    r->name_len = 0;
    r->name_bad = 0;
    r->high = 0;
    r->prefix = 0;

    return quote + 1;
}


static const char *
mg_redact_string(mg_redact_t *r, const char *p, const char *end,
    mg_buf_t *out)
{
    const char  *last, *nl;

    last = mg_skip_string(p, end, 0);
    nl = memchr(p, '\n', last - p);

    if (nl != NULL) {
        r->state = MG_REDACT_TEXT;
        mg_redact_copy(r, p, nl + 1 - p, out);
        return nl + 1;
    }

    mg_redact_spell(r, p, last - p);

    if (last != end) {
        r->state = (*last == '"') ? MG_REDACT_NAMED : MG_REDACT_ESCAPE;
        last++;
    }

    mg_redact_copy(r, p, last - p, out);

    return last;
}


static const char *
mg_redact_escape(mg_redact_t *r, const char *p, const char *end,
    mg_buf_t *out)
{
    const char  *found;

    static const char  letters[] = "bfnrt", meant[] = "\b\f\n\r\t";

    (void) end;

    r->state = MG_REDACT_STRING;

    if (*p == 'u') {
        r->state = MG_REDACT_HEX;
        r->hex = 0;
        r->hex_left = 4;

    } else {
        found = memchr(letters, *p, sizeof(letters) - 1);
        mg_redact_spell(r, found ? meant + (found - letters) : p, 1);
    }

    mg_redact_copy(r, p, 1, out);

    return p + 1;
}


static const char *
mg_redact_hex(mg_redact_t *r, const char *p, const char *end, mg_buf_t *out)
{
    uint32_t     digit;
    const char  *found;

    static const char  digits[] = "0123456789abcdef";

    (void) end;

    found = memchr(digits, *p >= 'A' && *p <= 'F' ? *p | 0x20 : *p, 16);

    if (found == NULL) {
        r->state = MG_REDACT_STRING;
        r->name_bad = 1;
        return p;
    }

    digit = (uint32_t) (found - digits);
    r->hex = r->hex << 4 | digit;
    r->hex_left--;

    if (r->hex_left == 0) {
        r->state = MG_REDACT_STRING;
        mg_redact_unit(r);
    }

    mg_redact_copy(r, p, 1, out);

    return p + 1;
}


static const char *
mg_redact_named(mg_redact_t *r, const char *p, const char *end,
    mg_buf_t *out)
{
    (void) end;

    if (mg_redact_between(r, *p)) {
        mg_redact_copy(r, p, 1, out);
        return p + 1;
    }

    r->state = MG_REDACT_TEXT;

    if (*p != ':') {
        return p;
    }

    if (mg_redact_known(r)) {
        r->state = MG_REDACT_VALUE;
    }

    mg_redact_copy(r, p, 1, out);

    return p + 1;
}


static const char *
mg_redact_value(mg_redact_t *r, const char *p, const char *end,
    mg_buf_t *out)
{
    static const char  instead[] = "\"[redacted]\"";

    (void) end;

    if (mg_redact_between(r, *p)) {
        mg_redact_copy(r, p, 1, out);
        return p + 1;
    }

    mg_redact_copy(r, instead, sizeof(instead) - 1, out);

    r->depth = 0;

    switch (*p) {

    case '"':
        r->state = MG_REDACT_SKIP_STRING;
        return p + 1;

    case '{':
    case '[':
        r->state = MG_REDACT_SKIP;
        return p;
    }

    r->state = MG_REDACT_SKIP_ATOM;

    return p;
}


static const char *
mg_redact_skip(mg_redact_t *r, const char *p, const char *end, mg_buf_t *out)
{
    (void) out;

    for ( /* void */ ; p != end; p++) {

        switch (*p) {

        case '"':
            r->state = MG_REDACT_SKIP_STRING;
            return p + 1;

        case '{':
        case '[':
            r->depth++;
            break;

        case '}':
        case ']':
            r->depth--;

            if (r->depth == 0) {
                r->state = MG_REDACT_TEXT;
                return p + 1;
            }
        }
    }

    return p;
}


static const char *
mg_redact_skip_string(mg_redact_t *r, const char *p, const char *end,
    mg_buf_t *out)
{
    const char  *last, *nl;

    (void) out;

    last = mg_skip_string(p, end, 0);
    nl = memchr(p, '\n', last - p);

    if (nl != NULL) {
        r->state = r->depth ? MG_REDACT_SKIP : MG_REDACT_TEXT;
        return nl;
    }

    if (last == end) {
        return end;
    }

    if (*last == '\\') {
        r->state = MG_REDACT_SKIP_ESCAPE;

    } else {
        r->state = r->depth ? MG_REDACT_SKIP : MG_REDACT_TEXT;
    }

    return last + 1;
}


static const char *
mg_redact_skip_escape(mg_redact_t *r, const char *p, const char *end,
    mg_buf_t *out)
{
    (void) end;
    (void) out;

    r->state = MG_REDACT_SKIP_STRING;

    return p + 1;
}


static const char *
mg_redact_skip_atom(mg_redact_t *r, const char *p, const char *end,
    mg_buf_t *out)
{
    (void) out;

    while (p != end && *p != ',' && *p != '}' && *p != ']' && *p != '\n'
           && *p != '"')
    {
        p++;
    }

    if (p != end) {
        r->state = MG_REDACT_TEXT;
    }

    return p;
}


/* White space, and "data:" after a line break. */

static int
mg_redact_between(mg_redact_t *r, char c)
{
    static const char  data[] = "data:";

    if (c == '\n' || c == '\r') {
        r->prefix = 1;
        return 1;
    }

    if (r->prefix && c == data[r->prefix - 1]) {
        r->prefix = data[r->prefix] ? r->prefix + 1 : 0;
        return 1;
    }

    r->prefix = 0;

    return c == ' ' || c == '\t';
}


/* Four hex digits: a character, or half of one beyond the first plane. */

static void
mg_redact_unit(mg_redact_t *r)
{
    char      text[4];
    uint32_t  code, high;

    code = r->hex;
    high = r->high;
    r->high = 0;

    if ((code & 0xfc00) == 0xd800) {
        r->name_bad |= (high != 0);
        r->high = code;
        return;
    }

    if ((code & 0xfc00) == 0xdc00) {
        r->name_bad |= (high == 0);
        code = 0x10000 + ((high & 0x3ff) << 10 | (code & 0x3ff));

    } else {
        r->name_bad |= (high != 0);
    }

    mg_redact_spell(r, text, mg_utf8_put(code, text));
}


static void
mg_redact_copy(mg_redact_t *r, const char *p, size_t len, mg_buf_t *out)
{
    size_t  room;

    room = out->cap - out->len;

    if (len > room) {
        len = room;
        r->full = 1;
    }

    mg_buf_add(out, p, len);
    r->full |= out->failed;
}


/* More of a string that may be a name. */

static void
mg_redact_spell(mg_redact_t *r, const char *p, size_t len)
{
    if (r->high && len) {

        /* the other half did not come */

        r->name_bad = 1;
    }

    if (r->name_bad || len > sizeof(r->name) - r->name_len) {
        r->name_bad = 1;
        return;
    }

    memcpy(r->name + r->name_len, p, len);
    r->name_len += (uint32_t) len;
}


static int
mg_redact_known(const mg_redact_t *r)
{
    size_t       n;
    const char  *p, *last;

    if (r->name_bad || r->high) {
        return 0;
    }

    last = r->names.data + r->names.len;

    for (p = r->names.data; p < last; p += n + 1) {
        n = strnlen(p, last - p);

        if (n == r->name_len && memcmp(p, r->name, n) == 0) {
            return 1;
        }
    }

    return 0;
}
