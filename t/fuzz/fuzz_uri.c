/*
 * fuzz_uri.c: base URLs, percent decoding, query strings, UTF-8.
 *
 * What would break: the check of a provider's address looks at one host and
 * the connection goes to another, or a decoded path holds what nobody
 * checked.  libcurl, which makes the connections, must read the same host and
 * port out of each URL that is taken.  The first byte of the input says what
 * the rest is.
 */

#include "base/mg_uri.h"
#include "fuzz.h"

#include <strings.h>

#include <curl/curl.h>


static int
fuzz_inside(mg_str_t part, mg_str_t whole)
{
    return part.data >= whole.data
           && part.data + part.len <= whole.data + whole.len;
}


static void
fuzz_curl(mg_str_t text, const mg_url_t *url)
{
    char      *z, *part, port[8];
    CURLU     *u;
    mg_str_t   host;

    z = malloc(text.len + 1);
    fuzz_check(z != NULL);
    memcpy(z, text.data, text.len);
    z[text.len] = '\0';

    u = curl_url();
    fuzz_check(curl_url_set(u, CURLUPART_URL, z, CURLU_PATH_AS_IS)
               == CURLUE_OK);

    fuzz_check(curl_url_get(u, CURLUPART_HOST, &part, 0) == CURLUE_OK);
    host = mg_str_z(part);

    if (host.len > 2 && host.data[0] == '[') {

        /* curl writes an IPv6 address in its shortest form */

        fuzz_check(url->literal);

    } else {
        fuzz_check(host.len == url->host.len);
        fuzz_check(strncasecmp(host.data, url->host.data, host.len) == 0);
    }

    curl_free(part);

    fuzz_check(curl_url_get(u, CURLUPART_PORT, &part, CURLU_DEFAULT_PORT)
               == CURLUE_OK);
    snprintf(port, sizeof(port), "%u", (unsigned) url->port);
    fuzz_check(strcmp(part, port) == 0);
    curl_free(part);

    fuzz_check(curl_url_get(u, CURLUPART_SCHEME, &part, 0) == CURLUE_OK);
    fuzz_check(strcmp(part, url->tls ? "https" : "http") == 0);
    curl_free(part);

    fuzz_check(curl_url_get(u, CURLUPART_USER, &part, 0) != CURLUE_OK);
    fuzz_check(curl_url_get(u, CURLUPART_QUERY, &part, 0) != CURLUE_OK);
    fuzz_check(curl_url_get(u, CURLUPART_FRAGMENT, &part, 0) != CURLUE_OK);

    curl_url_cleanup(u);
    free(z);
}


static void
fuzz_url(mg_str_t text)
{
    mg_url_t    url;
    mg_error_t  e;

    if (mg_url_parse(text, &url, "base_url", &e) != MG_OK) {
        fuzz_check(e.kind == MG_E_INVALID);
        fuzz_check(mg_utf8_ok(mg_str_z(e.message)));
        fuzz_check(mg_header_ok(mg_str_z(e.message)));
        return;
    }

    fuzz_check(url.host.len > 0 && url.port != 0);
    fuzz_check(fuzz_inside(url.host, text));
    fuzz_check(fuzz_inside(url.host, url.host_port));
    fuzz_check(fuzz_inside(url.host_port, text));
    fuzz_check(fuzz_inside(url.path, text));
    fuzz_check(mg_header_ok(url.host_port) && mg_header_ok(url.path));
    fuzz_check(url.path.len == 0 || url.path.data[0] == '/');
    fuzz_check(url.path.len == 0
               || url.path.data[url.path.len - 1] != '/');

    fuzz_curl(text, &url);
}


static void
fuzz_decode(mg_str_t text)
{
    int      rc;
    char    *out, *again, *p;
    size_t   i, len, len2;

    out = malloc(text.len + 1);
    fuzz_check(out != NULL);

    rc = mg_uri_decode(text, out, &len);

    if (rc == MG_OK) {
        fuzz_check(len <= text.len);

        /* every byte encoded decodes to the same again */

        p = malloc(len * 3 + 1);
        again = malloc(len * 3 + 1);
        fuzz_check(p != NULL && again != NULL);

        for (i = 0; i < len; i++) {
            if (out[i] == '\0') {
                break;
            }

            snprintf(p + i * 3, 4, "%%%02X", (unsigned char) out[i]);
        }

        fuzz_check(mg_uri_decode(mg_str_n(p, i * 3), again, &len2) == MG_OK);
        fuzz_check(mg_str_eq(mg_str_n(out, i), mg_str_n(again, len2)));

        free(p);
        free(again);
    }

    free(out);
}


static void
fuzz_query(mg_str_t text)
{
    size_t    total;
    mg_str_t  cursor, name, value;

    cursor = text;
    total = 0;

    while (mg_query_next(&cursor, &name, &value)) {
        fuzz_check(fuzz_inside(name, text));
        fuzz_check(memchr(name.data, '&', name.len) == NULL);
        fuzz_check(memchr(name.data, '=', name.len) == NULL);
        fuzz_check(value.data == NULL || fuzz_inside(value, text));
        total += name.len + value.len + (value.data != NULL);
        fuzz_check(name.len + value.len + (value.data != NULL) > 0);
    }

    fuzz_check(cursor.len == 0);
    fuzz_check(total <= text.len);
}


/* Decodes by the book and refuses what the book refuses. */

static int
fuzz_utf8(mg_str_t s)
{
    size_t                 i, n, k;
    uint32_t               c;
    const unsigned char   *u;
    static const uint32_t  least[] = { 1, 0x80, 0x800, 0x10000 };

    u = (const unsigned char *) s.data;

    for (i = 0; i < s.len; i += n + 1) {

        if (u[i] < 0x80) {
            n = 0;
            c = u[i];

        } else if ((u[i] & 0xe0) == 0xc0) {
            n = 1;
            c = u[i] & 0x1f;

        } else if ((u[i] & 0xf0) == 0xe0) {
            n = 2;
            c = u[i] & 0x0f;

        } else if ((u[i] & 0xf8) == 0xf0) {
            n = 3;
            c = u[i] & 0x07;

        } else {
            return 0;
        }

        if (s.len - i <= n) {
            return 0;
        }

        for (k = 1; k <= n; k++) {
            if ((u[i + k] & 0xc0) != 0x80) {
                return 0;
            }

            c = c << 6 | (u[i + k] & 0x3f);
        }

        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
            return 0;
        }
    }

    return 1;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char      *p;
    mg_str_t   text;

    if (size == 0) {
        return 0;
    }

    p = fuzz_piece(mg_str_n((const char *) data + 1, size - 1));
    text = mg_str_n(p, size - 1);

    switch (data[0]) {

    case 'd':
        fuzz_decode(text);
        break;

    case 'q':
        fuzz_query(text);
        break;

    case '8':
        fuzz_check(mg_utf8_ok(text) == fuzz_utf8(text));
        break;

    default:
        fuzz_url(text);
    }

    free(p);

    return 0;
}
