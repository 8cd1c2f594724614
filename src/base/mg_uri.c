/*
 * mg_uri.c: base URLs, percent decoding, query strings, header values.
 *
 * A base URL is read strictly from left to right, scheme, authority, path,
 * and each part is checked against RFC 3986 by one table of characters.
 * What a resolver would take for an address although it is not written as
 * one (127.1, 0x7f.1, 2130706433) is refused, so that a check of private
 * addresses sees the same thing as connect().
 *
 * Any thread; touches nothing.
 */

#include "base/mg_uri.h"
#include "base/mg_utf8.h"

#include <strings.h>
#include <arpa/inet.h>


#define MG_URI_HOST_MAX    253
#define MG_URI_LABEL_MAX   63

#define MG_URI_HOST        0x01    /* letters, digits, - . _ */
#define MG_URI_PATH        0x02    /* pchar and the slash, without % */
#define MG_URI_HEX         0x04

#define mg_uri_is(c, set)  (mg_uri_chars[(unsigned char) (c)] & (set))


static int mg_url_fail(mg_error_t *e, const char *param, mg_str_t text,
    const char *why);
static const char *mg_url_scheme(mg_str_t *rest, mg_url_t *url);
static const char *mg_url_authority(mg_str_t text, mg_url_t *url);
static const char *mg_url_port(mg_str_t text, mg_url_t *url);
static const char *mg_url_host(mg_url_t *url);
static const char *mg_url_address(mg_url_t *url, int family);
static const char *mg_url_path(mg_str_t text, mg_url_t *url);
static int mg_uri_number(mg_str_t label);
static int mg_uri_hex(char c);
static const char *mg_uri_find(mg_str_t s, char c);


static const uint8_t  mg_uri_chars[256] = {
    ['0' ... '9'] = MG_URI_HOST|MG_URI_PATH|MG_URI_HEX,
    ['A' ... 'F'] = MG_URI_HOST|MG_URI_PATH|MG_URI_HEX,
    ['a' ... 'f'] = MG_URI_HOST|MG_URI_PATH|MG_URI_HEX,
    ['G' ... 'Z'] = MG_URI_HOST|MG_URI_PATH,
    ['g' ... 'z'] = MG_URI_HOST|MG_URI_PATH,
    ['-'] = MG_URI_HOST|MG_URI_PATH,
    ['.'] = MG_URI_HOST|MG_URI_PATH,
    ['_'] = MG_URI_HOST|MG_URI_PATH,
    ['~'] = MG_URI_PATH,
    ['!'] = MG_URI_PATH,
    ['$'] = MG_URI_PATH,
    ['&'] = MG_URI_PATH,
    ['\''] = MG_URI_PATH,
    ['('] = MG_URI_PATH,
    [')'] = MG_URI_PATH,
    ['*'] = MG_URI_PATH,
    ['+'] = MG_URI_PATH,
    [','] = MG_URI_PATH,
    [';'] = MG_URI_PATH,
    ['='] = MG_URI_PATH,
    [':'] = MG_URI_PATH,
    ['@'] = MG_URI_PATH,
    ['/'] = MG_URI_PATH
};


int
mg_url_parse(mg_str_t text, mg_url_t *url, const char *param, mg_error_t *e)
{
    mg_str_t     rest, authority;
    const char  *why, *slash;

    memset(url, 0, sizeof(mg_url_t));

    if (text.len > MG_URI_MAX) {
        return mg_error_set(e, MG_E_INVALID, param, "%s of %zu bytes is too "
                            "long; give at most %d", param ? param : "URL",
                            text.len, MG_URI_MAX);
    }

    rest = text;
    why = mg_url_scheme(&rest, url);

    if (why != NULL) {
        return mg_url_fail(e, param, text, why);
    }

    slash = mg_uri_find(rest, '/');
    authority = rest;

    if (slash != NULL) {
        authority.len = (size_t) (slash - rest.data);
    }

    rest.data += authority.len;
    rest.len -= authority.len;

    why = mg_url_authority(authority, url);

    if (why == NULL) {
        why = mg_url_path(rest, url);
    }

    if (why != NULL) {
        return mg_url_fail(e, param, text, why);
    }

    return MG_OK;
}


int
mg_uri_decode(mg_str_t in, char *out, size_t *len)
{
    int     high, low;
    char    c, *p;
    size_t  i;

    *len = 0;

    for (i = 0, p = out; i < in.len; i++) {

        c = in.data[i];

        if (c == '%') {
            if (in.len - i < 3) {
                return MG_ERROR;
            }

            high = mg_uri_hex(in.data[i + 1]);
            low = mg_uri_hex(in.data[i + 2]);

            if (high < 0 || low < 0 || (high | low) == 0) {
                return MG_ERROR;
            }

            c = (char) (high << 4 | low);
            i += 2;
        }

        *p++ = c;
    }

    *len = (size_t) (p - out);

    return MG_OK;
}


size_t
mg_uri_encode(mg_str_t in, const char *keep, char *out)
{
    char           *p;
    size_t          i;
    unsigned char   c;

    static const char  hex[] = "0123456789ABCDEF";
    static const char  plain[] = "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-._~";

    for (i = 0, p = out; i < in.len; i++) {
        c = (unsigned char) in.data[i];

        if (c != '\0' && (strchr(plain, c) || strchr(keep, c))) {
            *p++ = (char) c;
            continue;
        }

        *p++ = '%';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 15];
    }

    return (size_t) (p - out);
}


int
mg_query_next(mg_str_t *cursor, mg_str_t *name, mg_str_t *value)
{
    mg_str_t     pair;
    const char  *p;

    for ( ;; ) {

        if (cursor->len == 0) {
            return 0;
        }

        pair = *cursor;
        p = mg_uri_find(pair, '&');

        if (p == NULL) {
            *cursor = mg_str_n(pair.data + pair.len, 0);

        } else {
            pair.len = (size_t) (p - pair.data);
            cursor->data += pair.len + 1;
            cursor->len -= pair.len + 1;
        }

        if (pair.len != 0) {
            break;
        }
    }

    p = mg_uri_find(pair, '=');

    if (p == NULL) {
        *name = pair;
        *value = mg_str_null;
        return 1;
    }

    *name = mg_str_n(pair.data, (size_t) (p - pair.data));
    *value = mg_str_n(p + 1, pair.len - name->len - 1);

    return 1;
}


int
mg_header_ok(mg_str_t value)
{
    size_t         i;
    uint64_t       x, del;
    unsigned char  c;

    /* eight at a time, as long as none of them could be a bad one */

    for (i = 0; value.len - i >= 8; i += 8) {
        memcpy(&x, value.data + i, 8);
        del = x ^ 0x7f7f7f7f7f7f7f7fULL;

        if ((((x - 0x2020202020202020ULL) & ~x)
             | ((del - 0x0101010101010101ULL) & ~del))
            & 0x8080808080808080ULL)
        {
            break;
        }
    }

    for ( /* void */ ; i < value.len; i++) {
        c = (unsigned char) value.data[i];

        if (c < 0x20 || c == 0x7f) {
            return 0;
        }
    }

    return 1;
}


int
mg_utf8_ok(mg_str_t s)
{
    size_t  i, n;

    for (i = 0; i < s.len; i += n) {
        n = mg_utf8_next(s.data + i, s.len - i);

        if (n == 0 || s.data[i] == '\0') {
            return 0;
        }
    }

    return 1;
}


static int
mg_url_fail(mg_error_t *e, const char *param, mg_str_t text, const char *why)
{
    const char  *p, *at;

    /* what stands in front of an @ may be a password: it is not repeated */

    at = NULL;

    for (p = text.data; p < text.data + text.len; p++) {
        if (*p == '@') {
            at = p;
        }
    }

    if (at != NULL) {
        return mg_error_set(e, MG_E_INVALID, param, "%s %s; give a URL such "
                            "as https://api.example.com/v1",
                            param ? param : "URL", why);
    }

    return mg_error_set(e, MG_E_INVALID, param, "%s \"" MG_STR_FMT "\" %s; "
                        "give a URL such as https://api.example.com/v1",
                        param ? param : "URL",
                        text.len > 200 ? 200 : (int) text.len, text.data, why);
}


static const char *
mg_url_scheme(mg_str_t *rest, mg_url_t *url)
{
    size_t  n;

    if (rest->len >= 8 && strncasecmp(rest->data, "https://", 8) == 0) {
        n = 8;
        url->tls = 1;

    } else if (rest->len >= 7 && strncasecmp(rest->data, "http://", 7) == 0) {
        n = 7;

    } else {
        return "does not begin with http:// or https://";
    }

    rest->data += n;
    rest->len -= n;

    return NULL;
}


static const char *
mg_url_authority(mg_str_t text, mg_url_t *url)
{
    const char  *colon;

    if (mg_uri_find(text, '@') != NULL) {
        return "has user information, which is not sent in a URL";
    }

    url->host_port = text;

    if (text.len != 0 && text.data[0] == '[') {
        colon = mg_uri_find(text, ']');

        if (colon == NULL) {
            return "has an IPv6 address without its closing bracket";
        }

        url->host = mg_str_n(text.data + 1,
                             (size_t) (colon - text.data) - 1);
        text.len -= (size_t) (colon + 1 - text.data);
        text.data = colon + 1;

        if (mg_url_address(url, AF_INET6) != NULL) {
            return "has brackets around what is no IPv6 address";
        }

        return mg_url_port(text, url);
    }

    colon = mg_uri_find(text, ':');
    url->host = text;

    if (colon != NULL) {
        url->host.len = (size_t) (colon - text.data);
    }

    text.data += url->host.len;
    text.len -= url->host.len;

    if (mg_url_host(url) != NULL) {
        return "has no valid host name or address";
    }

    return mg_url_port(text, url);
}


static const char *
mg_url_port(mg_str_t text, mg_url_t *url)
{
    size_t    i;
    unsigned  port;

    if (text.len == 0) {
        url->port = url->tls ? 443 : 80;
        return NULL;
    }

    if (text.data[0] != ':' || text.len < 2 || text.len > 6) {
        return "has a port that is not between 1 and 65535";
    }

    for (i = 1, port = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return "has a port that is not between 1 and 65535";
        }

        port = port * 10 + (unsigned) (text.data[i] - '0');
    }

    if (port == 0 || port > 65535) {
        return "has a port that is not between 1 and 65535";
    }

    url->port = (uint16_t) port;

    return NULL;
}


static const char *
mg_url_host(mg_url_t *url)
{
    size_t    i, start;
    mg_str_t  label;

    if (url->host.len == 0 || url->host.len > MG_URI_HOST_MAX) {
        return "length";
    }

    label = mg_str_null;

    for (i = 0, start = 0; i <= url->host.len; i++) {

        if (i < url->host.len && url->host.data[i] != '.') {
            if (!mg_uri_is(url->host.data[i], MG_URI_HOST)) {
                return "character";
            }

            continue;
        }

        if (i == start) {

            /* only the root may be empty, as in "example.com." */

            if (i == 0 || i < url->host.len) {
                return "label";
            }

            break;
        }

        label = mg_str_n(url->host.data + start, i - start);

        if (label.len > MG_URI_LABEL_MAX) {
            return "label";
        }

        start = i + 1;
    }

    return mg_uri_number(label) ? mg_url_address(url, AF_INET) : NULL;
}


static const char *
mg_url_address(mg_url_t *url, int family)
{
    char     text[INET6_ADDRSTRLEN];
    uint8_t  addr[16];

    if (url->host.len == 0 || url->host.len >= sizeof(text)) {
        return "address";
    }

    memcpy(text, url->host.data, url->host.len);
    text[url->host.len] = '\0';

    if (memchr(text, '\0', url->host.len) != NULL
        || inet_pton(family, text, addr) != 1)
    {
        return "address";
    }

    url->literal = 1;

    return NULL;
}


static const char *
mg_url_path(mg_str_t text, mg_url_t *url)
{
    char    c;
    size_t  i, start;

    for (i = 0, start = 0; i <= text.len; i++) {

        c = (i < text.len) ? text.data[i] : '/';

        if (c == '?' || c == '#') {
            return "has a query or a fragment, which a base URL cannot have";
        }

        if (c == '%') {
            if (text.len - i < 3 || !mg_uri_is(text.data[i + 1], MG_URI_HEX)
                || !mg_uri_is(text.data[i + 2], MG_URI_HEX))
            {
                return "has a % that two hex digits do not follow";
            }

            i += 2;
            continue;
        }

        if (!mg_uri_is(c, MG_URI_PATH)) {
            return "has a character in its path that must be written as %XX";
        }

        if (c != '/') {
            continue;
        }

        if ((i - start == 1 && text.data[start] == '.')
            || (i - start == 2 && memcmp(text.data + start, "..", 2) == 0))
        {
            return "has a \".\" or \"..\" segment in its path";
        }

        start = i + 1;
    }

    while (text.len != 0 && text.data[text.len - 1] == '/') {
        text.len--;
    }

    url->path = text;

    return NULL;
}


/* 1 if inet_aton() would take a name that ends with the label for a number */

static int
mg_uri_number(mg_str_t label)
{
    size_t  i;

    if (label.len > 1 && label.data[0] == '0' && (label.data[1] | 0x20) == 'x')
    {
        for (i = 2; i < label.len; i++) {
            if (mg_uri_hex(label.data[i]) < 0) {
                return 0;
            }
        }

        return 1;
    }

    for (i = 0; i < label.len; i++) {
        if (label.data[i] < '0' || label.data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


static int
mg_uri_hex(char c)
{
    if (!mg_uri_is(c, MG_URI_HEX)) {
        return -1;
    }

    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}


static const char *
mg_uri_find(mg_str_t s, char c)
{
    return s.len ? memchr(s.data, c, s.len) : NULL;
}
