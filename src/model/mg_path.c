/*
 * mg_path.c: path templates of providers.
 *
 * Rows come as JSON from the API or the database, are checked there, and lie
 * in the routing snapshot as lines that are read at each request that needs
 * one: a provider has a few, so they are looked at one after the other.
 *
 * Called by the calls that write providers, the builder of snapshots, the
 * data plane and the validation; touches nothing.
 */

#include "model/mg_path.h"

#include <stdio.h>

#include "base/mg_uri.h"


/* What may stand in a path beside what never needs an escape. */
#define MG_PATH_KEEP   "/!$&'()*+,;=:@"


typedef enum {
    MG_PATH_TEXT = 0,
    MG_PATH_MODEL,
    MG_PATH_REST
} mg_path_piece_e;


static int mg_path_visible(mg_str_t s);
static int mg_path_starts(mg_str_t s, mg_str_t with);
static mg_path_piece_e mg_path_piece(mg_str_t *template, mg_str_t *piece);
static int mg_path_covers(mg_str_t prefix, mg_str_t path);


static const mg_str_t  mg_path_model = mg_str("{model}");
static const mg_str_t  mg_path_rest = mg_str("{rest}");


int
mg_path_check(mg_str_t prefix, mg_str_t template, mg_error_t *e)
{
    mg_str_t  left, piece;

    if (prefix.len > MG_PATH_PREFIX_MAX || !mg_path_plain(prefix)) {
        return mg_error_set(e, MG_E_INVALID, "paths",
                            "prefix \"%.*s\" is no path of at most %d bytes; "
                            "it begins with a slash, such as \"/v1/\"",
                            (int) (prefix.len < 64 ? prefix.len : 64),
                            prefix.data ? prefix.data : "",
                            MG_PATH_PREFIX_MAX);
    }

    if (template.len == 0 || template.len > MG_PATH_TEMPLATE_MAX
        || template.data[0] != '/' || !mg_path_visible(template)
        || memchr(template.data, '#', template.len) != NULL)
    {
        return mg_error_set(e, MG_E_INVALID, "paths",
                            "the template of \"%.*s\" is no path of at most "
                            "%d bytes; it begins with a slash and may hold "
                            "{model}, {rest} and a query",
                            MG_STR_ARG(prefix), MG_PATH_TEMPLATE_MAX);
    }

    left = template;

    while (left.len) {
        if (mg_path_piece(&left, &piece) == MG_PATH_TEXT
            && (memchr(piece.data, '{', piece.len) != NULL
                || memchr(piece.data, '}', piece.len) != NULL))
        {
            return mg_error_set(e, MG_E_INVALID, "paths",
                                "the template of \"%.*s\" has a brace that "
                                "belongs neither to {model} nor to {rest}",
                                MG_STR_ARG(prefix));
        }
    }

    return MG_OK;
}


int
mg_path_plain(mg_str_t path)
{
    return path.len > 0 && path.data[0] == '/' && mg_path_visible(path)
           && memchr(path.data, '#', path.len) == NULL
           && memchr(path.data, '?', path.len) == NULL;
}


static int
mg_path_visible(mg_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] <= ' ' || s.data[i] > '~') {
            return 0;
        }
    }

    return 1;
}


static int
mg_path_starts(mg_str_t s, mg_str_t with)
{
    return s.len >= with.len && memcmp(s.data, with.data, with.len) == 0;
}


/* The next piece of what is left: a name in braces, or the text before it. */

static mg_path_piece_e
mg_path_piece(mg_str_t *template, mg_str_t *piece)
{
    size_t           len;
    const char      *p, *last;
    mg_path_piece_e  what;

    p = template->data;
    last = p + template->len;
    what = MG_PATH_TEXT;

    if (mg_path_starts(*template, mg_path_model)) {
        what = MG_PATH_MODEL;
        len = mg_path_model.len;

    } else if (mg_path_starts(*template, mg_path_rest)) {
        what = MG_PATH_REST;
        len = mg_path_rest.len;

    } else {
        p = memchr(p + 1, '{', template->len - 1);
        len = (size_t) ((p ? p : last) - template->data);
    }

    *piece = mg_str_n(template->data, len);
    *template = mg_str_n(template->data + len, template->len - len);

    return what;
}


mg_str_t
mg_path_lines(mg_arena_t *a, mg_str_t json)
{
    char             *p, *lines;
    size_t            len;
    unsigned          n;
    mg_error_t        e;
    const mg_json_t  *doc, *m;

    doc = json.len ? mg_json_parse(a, json, NULL, &e) : NULL;

    if (doc == NULL || doc->type != MG_JSON_OBJECT) {
        return mg_str_null;
    }

    for (len = 0, m = doc->child; m; m = m->next) {
        len += m->key.len + m->str.len + sizeof("\t\n") - 1;
    }

    lines = mg_arena_alloc(a, len + 1);
    p = lines;

    for (n = 0, m = doc->child; lines && m && n < MG_PATHS_MAX; m = m->next) {

        if (m->type != MG_JSON_STRING
            || mg_path_check(m->key, m->str, &e) != MG_OK)
        {
            continue;
        }

        p += sprintf(p, "%.*s\t%.*s\n", MG_STR_ARG(m->key),
                     MG_STR_ARG(m->str));
        n++;
    }

    return n ? mg_str_n(lines, (size_t) (p - lines)) : mg_str_null;
}


mg_str_t
mg_path_find(mg_str_t lines, mg_str_t path, mg_str_t *rest)
{
    size_t       best;
    mg_str_t     prefix, found;
    const char  *p, *tab, *end, *last;

    p = lines.data;
    last = p + lines.len;
    found = mg_str_null;
    best = 0;

    for ( /* void */ ; p < last; p = end + 1) {
        end = memchr(p, '\n', (size_t) (last - p));
        end = end ? end : last;
        tab = memchr(p, '\t', (size_t) (end - p));

        if (tab == NULL) {
            continue;
        }

        prefix = mg_str_n(p, (size_t) (tab - p));

        if (prefix.len > best && mg_path_covers(prefix, path)) {
            best = prefix.len;
            found = mg_str_n(tab + 1, (size_t) (end - tab - 1));
        }
    }

    *rest = mg_str_n(path.data + best, path.len - best);

    return found;
}


static int
mg_path_covers(mg_str_t prefix, mg_str_t path)
{
    return mg_path_starts(path, prefix)
           && (path.len == prefix.len
               || prefix.data[prefix.len - 1] == '/'
               || path.data[prefix.len] == '/');
}


size_t
mg_path_size(mg_str_t template, mg_str_t model, mg_str_t rest)
{
    size_t    size;
    mg_str_t  piece;

    for (size = 0; template.len; /* void */ ) {

        switch (mg_path_piece(&template, &piece)) {

        case MG_PATH_MODEL:
            size += 3 * model.len;
            break;

        case MG_PATH_REST:
            size += 3 * rest.len;
            break;

        case MG_PATH_TEXT:
            size += piece.len;
            break;
        }
    }

    return size;
}


size_t
mg_path_expand(mg_str_t template, mg_str_t model, mg_str_t rest, char *out)
{
    char      *p;
    mg_str_t   piece;

    for (p = out; template.len; /* void */ ) {

        switch (mg_path_piece(&template, &piece)) {

        case MG_PATH_MODEL:
            p += mg_uri_encode(model, "", p);
            break;

        case MG_PATH_REST:
            p += mg_uri_encode(rest, MG_PATH_KEEP, p);
            break;

        case MG_PATH_TEXT:
            memcpy(p, piece.data, piece.len);
            p += piece.len;
            break;
        }
    }

    return (size_t) (p - out);
}
