/*
 * mg_snap_title.c: words and titles of a model's folded text.
 *
 *     ab/org/big-1:x \n big one (x) \n big \n
 *     ^ id                                       title "ab org big 1 x"
 *        ^ model                                       "org big 1 x"
 *            ^ last                                    "big 1 x"
 *                       ^ name                         "big one x"
 *
 * Words are runs of letters and digits, and each other mark by itself, so
 * that a mark can be searched for, too.  Titles compare as runs of letters
 * with one blank between them: whoever types "big 1" means "big-1".
 *
 * Builder, check and queries; any thread; never allocates.
 */

#include "snapshot/mg_snap_catalog_layout.h"


static unsigned mg_sc_fold_two(const unsigned char *p, unsigned char *to);
static unsigned mg_sc_title_step(mg_str_t s, size_t *at);


void
mg_sc_fold(char *to, mg_str_t from)
{
    size_t                i;
    unsigned char        *out;
    const unsigned char  *p;

    p = (const unsigned char *) from.data;
    out = (unsigned char *) to;

    for (i = 0; i < from.len; i++) {
        out[i] = p[i];

        if (p[i] >= 'A' && p[i] <= 'Z') {
            out[i] = p[i] | 0x20;

        } else if (p[i] < ' ') {
            out[i] = ' ';

        } else if (p[i] >= 0xc3 && p[i] <= 0xd0 && i + 1 < from.len
                   && mg_sc_fold_two(p + i, out + i))
        {
            i++;
        }
    }
}


/* A capital letter of two bytes; 0: it is none. */

static unsigned
mg_sc_fold_two(const unsigned char *p, unsigned char *to)
{
    unsigned  c, i;

    /* U+00C0 to U+00DE, Greek, Cyrillic: from, to, how far to small ones */

    static const struct {
        unsigned  first, last, distance;
    } ranges[] = {
        { 0x00c0, 0x00d6, 0x20 },
        { 0x00d8, 0x00de, 0x20 },
        { 0x0391, 0x03a9, 0x20 },
        { 0x0400, 0x040f, 0x50 },
        { 0x0410, 0x042f, 0x20 }
    };

    c = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);

    for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (c >= ranges[i].first && c <= ranges[i].last
            && (p[1] & 0xc0) == 0x80)
        {
            c += ranges[i].distance;
            to[0] = (unsigned char) (0xc0 | c >> 6);
            to[1] = (unsigned char) (0x80 | (c & 0x3f));

            return 1;
        }
    }

    return 0;
}


int
mg_sc_word_next(mg_str_t text, size_t *at, mg_str_t *word)
{
    size_t  i, start;

    i = *at;

    while (i < text.len && (text.data[i] == ' ' || text.data[i] == '\n')) {
        i++;
    }

    if (i == text.len) {
        *at = i;
        return 0;
    }

    start = i++;

    if (mg_sc_is_letter((unsigned char) text.data[start])) {
        while (i < text.len
               && mg_sc_is_letter((unsigned char) text.data[i]))
        {
            i++;
        }
    }

    *word = mg_str_n(text.data + start, i - start);
    *at = i;

    return 1;
}


uint32_t
mg_sc_letters(mg_str_t word)
{
    size_t    i;
    uint32_t  letters;

    letters = 0;

    for (i = 0; i < word.len; i++) {
        letters |= 1u << ((unsigned char) word.data[i] & 31);
    }

    return letters;
}


mg_str_t
mg_sc_title(mg_str_t text, mg_sc_title_e which)
{
    char         mark;
    size_t       i;
    mg_str_t     id, title;
    const char  *end;

    end = memchr(text.data, '\n', text.len);
    id = mg_str_n(text.data, end ? (size_t) (end - text.data) : text.len);

    if (which == MG_SC_TITLE_ID) {
        return id;
    }

    if (which == MG_SC_TITLE_NAME) {
        title.len = text.len - id.len;
        title.len -= (title.len != 0);
        title.data = text.data + text.len - title.len;
        end = memchr(title.data, '\n', title.len);
        title.len = end ? (size_t) (end - title.data) : title.len;

        return title;
    }

    title = mg_str_n(id.data + id.len, 0);

    for (i = 0; i < id.len; i++) {
        mark = id.data[i];

        if (mark != '/') {
            continue;
        }

        if (title.len == 0 && which == MG_SC_TITLE_MODEL) {
            return mg_str_n(id.data + i + 1, id.len - i - 1);
        }

        title = mg_str_n(id.data + i + 1, id.len - i - 1);
    }

    /* the same as behind the first slash: not once more */

    if (title.len != 0
        && memchr(id.data, '/', id.len) == (const void *) (title.data - 1))
    {
        title.len = 0;
    }

    return title;
}


int
mg_sc_title_cmp(mg_str_t a, mg_str_t b, int prefix)
{
    size_t    i, j;
    unsigned  x, y;

    i = 0;
    j = 0;

    do {
        x = mg_sc_title_step(a, &i);
        y = mg_sc_title_step(b, &j);

        if (y == 0 && prefix) {
            return 0;
        }

        if (x != y) {
            return x < y ? -1 : 1;
        }

    } while (x != 0);

    return 0;
}


/* The next character: 0 at the end, 1 for what stands between letters. */

static unsigned
mg_sc_title_step(mg_str_t s, size_t *at)
{
    size_t         i;
    unsigned char  c;

    i = *at;

    while (i < s.len && !mg_sc_is_letter((unsigned char) s.data[i])) {
        i++;
    }

    if (i == s.len) {
        *at = i;
        return 0;
    }

    if (i != *at && *at != 0) {
        *at = i;
        return 1;
    }

    c = (unsigned char) s.data[i];
    *at = i + 1;

    return c;
}
