/*
 * mg_etag.c: walks a list of entity tags.
 *
 *     entity-tag = [ %s"W/" ] DQUOTE *etagc DQUOTE
 *     etagc      = %x21 / %x23-7E / obs-text
 *
 * A comma may be part of a tag, so the list is read, not split.
 *
 * Any thread; touches nothing.
 */

#include "base/mg_etag.h"


static int mg_etag_blank(mg_str_t list, size_t i);


int
mg_etag_next(mg_str_t *list, mg_etag_t *tag)
{
    size_t    i, begin;
    mg_str_t  s;

    s = *list;

    for (i = 0; i < s.len && (s.data[i] == ',' || mg_etag_blank(s, i)); i++) {
        /* void */
    }

    if (i == s.len) {
        return MG_DECLINED;
    }

    tag->weak = (s.len - i > 2 && s.data[i] == 'W' && s.data[i + 1] == '/');

    if (tag->weak) {
        i += 2;
    }

    if (s.data[i] != '"') {
        return MG_ERROR;
    }

    begin = ++i;

    while (i < s.len && s.data[i] != '"') {
        if ((unsigned char) s.data[i] <= 0x20 || s.data[i] == 0x7f) {
            return MG_ERROR;
        }

        i++;
    }

    if (i == s.len) {
        return MG_ERROR;
    }

    tag->opaque = mg_str_n(s.data + begin, i - begin);

    for (i++; i < s.len && mg_etag_blank(s, i); i++) { /* void */ }

    if (i < s.len && s.data[i] != ',') {
        return MG_ERROR;
    }

    *list = mg_str_n(s.data + i, s.len - i);

    return MG_OK;
}


static int
mg_etag_blank(mg_str_t list, size_t i)
{
    return list.data[i] == ' ' || list.data[i] == '\t';
}
