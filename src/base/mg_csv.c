/*
 * mg_csv.c: rows of comma-separated values (RFC 4180).
 *
 *     field: bytes as they are, or "bytes, each quote twice"
 *
 * Quotes are put where they are needed only: around commas, quotes, line
 * breaks, spaces at an end, and what got an apostrophe.
 *
 * Any thread; never blocks.
 */

#include "base/mg_csv.h"


static int mg_csv_formula(mg_str_t s);
static int mg_csv_quoted(mg_str_t s);


void
mg_csv_str(mg_buf_t *b, int first, mg_str_t s)
{
    int     formula;
    size_t  i, from;

    formula = mg_csv_formula(s);

    if (!formula && !mg_csv_quoted(s)) {
        mg_csv_raw(b, first, s);
        return;
    }

    mg_buf_z(b, first ? "\"" : ",\"");

    if (formula) {
        mg_buf_char(b, '\'');
    }

    for (i = 0, from = 0; i < s.len; i++) {
        if (s.data[i] == '"') {
            mg_buf_add(b, s.data + from, i + 1 - from);
            from = i;
        }
    }

    mg_buf_add(b, s.data + from, s.len - from);
    mg_buf_char(b, '"');
}


void
mg_csv_raw(mg_buf_t *b, int first, mg_str_t s)
{
    if (!first) {
        mg_buf_char(b, ',');
    }

    if (s.len) {
        mg_buf_str(b, s);
    }
}


void
mg_csv_end(mg_buf_t *b)
{
    mg_buf_z(b, "\r\n");
}


/*
 * Spreadsheets pass over spaces in front; a full-width sign is a sign to
 * some of them.
 */

static int
mg_csv_formula(mg_str_t s)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < s.len && s.data[i] == ' '; i++) {
        /* void */
    }

    if (i == s.len) {
        return 0;
    }

    c = (unsigned char) s.data[i];

    if (c < 0x20 || strchr("=+-@", c)) {
        return 1;
    }

    /* U+FF0B, U+FF0D, U+FF1D, U+FF20 */

    return s.len - i >= 3 && memcmp(s.data + i, "\xef\xbc", 2) == 0
           && strchr("\x8b\x8d\x9d\xa0", s.data[i + 2]) != NULL;
}


static int
mg_csv_quoted(mg_str_t s)
{
    size_t  i;

    if (s.data == NULL) {
        return 0;
    }

    if (s.len == 0 || s.data[0] == ' ' || s.data[s.len - 1] == ' ') {
        return 1;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == ',' || s.data[i] == '"' || s.data[i] == '\r'
            || s.data[i] == '\n')
        {
            return 1;
        }
    }

    return 0;
}
