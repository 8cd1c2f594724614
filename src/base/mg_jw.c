/*
 * mg_jw.c: the JSON writer.
 *
 * Each value begins with mg_jw_begin(), which writes the comma that the
 * level's bit asks for and the key; text is copied in runs, and one table
 * says which bytes interrupt a run.  A wrong balance is found where it
 * happens and sticks to the buffer, so that half a document is never sent.
 *
 * Touches nothing but the caller's buffer.
 */

#include "base/mg_jw.h"
#include "base/mg_utf8.h"


#define MG_JW_LEVELS  63


static int mg_jw_begin(mg_jw_t *w, const char *key);
static void mg_jw_open(mg_jw_t *w, const char *key, char c);
static void mg_jw_close(mg_jw_t *w, char c);
static void mg_jw_escape(mg_buf_t *b, unsigned char c);


void
mg_jw_init(mg_jw_t *w, mg_buf_t *buf)
{
    memset(w, 0, sizeof(mg_jw_t));
    w->buf = buf;
}


void
mg_jw_object(mg_jw_t *w, const char *key)
{
    mg_jw_open(w, key, '{');
}


void
mg_jw_array(mg_jw_t *w, const char *key)
{
    mg_jw_open(w, key, '[');
}


void
mg_jw_end_object(mg_jw_t *w)
{
    mg_jw_close(w, '}');
}


void
mg_jw_end_array(mg_jw_t *w)
{
    mg_jw_close(w, ']');
}


void
mg_jw_str(mg_jw_t *w, const char *key, mg_str_t s)
{
    if (!mg_jw_begin(w, key)) {
        return;
    }

    if (s.data == NULL) {
        mg_buf_add(w->buf, "null", 4);
        return;
    }

    mg_jw_quote(w->buf, s);
}


void
mg_jw_z(mg_jw_t *w, const char *key, const char *z)
{
    mg_jw_str(w, key, mg_str_z(z));
}


void
mg_jw_int(mg_jw_t *w, const char *key, int64_t n)
{
    if (mg_jw_begin(w, key)) {
        mg_buf_printf(w->buf, "%lld", (long long) n);
    }
}


void
mg_jw_bool(mg_jw_t *w, const char *key, int b)
{
    mg_jw_tri(w, key, b != 0);
}


void
mg_jw_null(mg_jw_t *w, const char *key)
{
    mg_jw_tri(w, key, -1);
}


void
mg_jw_tri(mg_jw_t *w, const char *key, int tri)
{
    if (mg_jw_begin(w, key)) {
        mg_buf_z(w->buf, tri < 0 ? "null" : tri ? "true" : "false");
    }
}


void
mg_jw_raw(mg_jw_t *w, const char *key, mg_str_t json)
{
    if (!mg_jw_begin(w, key)) {
        return;
    }

    if (json.data == NULL) {
        json = mg_str("null");
    }

    mg_buf_str(w->buf, json);
}


void
mg_jw_key(mg_jw_t *w, mg_str_t key)
{
    if (!mg_jw_begin(w, NULL)) {
        return;
    }

    mg_jw_quote(w->buf, key);
    mg_buf_char(w->buf, ':');
    w->named = 1;
}


void
mg_jw_node(mg_jw_t *w, const char *key, const mg_json_t *v)
{
    const mg_json_t  *c;

    if (v == NULL) {
        mg_jw_null(w, key);
        return;
    }

    switch (v->type) {

    case MG_JSON_NULL:
        mg_jw_null(w, key);
        return;

    case MG_JSON_BOOL:
        mg_jw_bool(w, key, v->boolean != 0);
        return;

    case MG_JSON_NUMBER:
        mg_jw_raw(w, key, v->str);
        return;

    case MG_JSON_STRING:
        mg_jw_str(w, key, v->str);
        return;

    case MG_JSON_ARRAY:
    case MG_JSON_OBJECT:
        break;
    }

    mg_jw_open(w, key, v->type == MG_JSON_OBJECT ? '{' : '[');

    /* the writer's own limit of levels ends the recursion */

    for (c = v->child; c != NULL && !w->buf->failed; c = c->next) {

        if (v->type == MG_JSON_OBJECT) {
            mg_jw_key(w, c->key);
        }

        mg_jw_node(w, NULL, c);
    }

    mg_jw_close(w, v->type == MG_JSON_OBJECT ? '}' : ']');
}


void
mg_jw_quote(mg_buf_t *b, mg_str_t s)
{
    size_t         i, start, n;
    unsigned char  c;

    mg_buf_char(b, '"');

    for (i = 0, start = 0; i < s.len; i += n) {

        c = (unsigned char) s.data[i];
        n = 1;

        if (c < 0x80) {
            if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
                continue;
            }

        } else {
            n = mg_utf8_next(s.data + i, s.len - i);

            if (n != 0) {
                continue;
            }

            n = 1;
        }

        mg_buf_add(b, s.data + start, i - start);
        mg_jw_escape(b, c);
        start = i + n;
    }

    if (i > start) {
        mg_buf_add(b, s.data + start, i - start);
    }

    mg_buf_char(b, '"');
}


/* 1 if a value may be written now. */

static int
mg_jw_begin(mg_jw_t *w, const char *key)
{
    uint64_t  bit;

    if (w->buf->failed) {
        return 0;
    }

    if (w->named) {

        /* the key stands there already: a second one is a mistake */

        w->named = 0;

        if (key != NULL) {
            w->buf->failed = 1;
            return 0;
        }

        return 1;
    }

    bit = (uint64_t) 1 << w->level;

    if (w->some & bit) {

        if (w->level == 0) {

            /* a document has one value */

            w->buf->failed = 1;
            return 0;
        }

        mg_buf_char(w->buf, ',');
    }

    w->some |= bit;

    if (key != NULL) {
        mg_jw_quote(w->buf, mg_str_z(key));
        mg_buf_char(w->buf, ':');
    }

    return !w->buf->failed;
}


static void
mg_jw_open(mg_jw_t *w, const char *key, char c)
{
    if (!mg_jw_begin(w, key)) {
        return;
    }

    if (w->level == MG_JW_LEVELS) {
        w->buf->failed = 1;
        return;
    }

    mg_buf_char(w->buf, c);

    w->level++;
    w->some &= ~((uint64_t) 1 << w->level);
}


static void
mg_jw_close(mg_jw_t *w, char c)
{
    if (w->level == 0 || w->named) {
        w->buf->failed = 1;
        return;
    }

    mg_buf_char(w->buf, c);
    w->level--;
}


/* What may not stand in a string as it is; DEL only for the eye's sake. */

static void
mg_jw_escape(mg_buf_t *b, unsigned char c)
{
    static const char  names[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
        ['"'] = '"', ['\\'] = '\\'
    };

    if (c < sizeof(names) && names[c]) {
        mg_buf_char(b, '\\');
        mg_buf_char(b, names[c]);
        return;
    }

    if (c >= 0x80) {
        mg_buf_add(b, "\xef\xbf\xbd", 3);
        return;
    }

    mg_buf_printf(b, "\\u%04x", c);
}
