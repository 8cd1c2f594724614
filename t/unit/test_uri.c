/*
 * test_uri.c: base/mg_uri.h.
 *
 * What would break: a base URL leads to another host than the one that was
 * checked, injects a header, or shows a password in a message.
 */

#include "base/mg_uri.h"
#include "tap.h"


static void
test_url(void)
{
    size_t      i;
    mg_url_t    u;
    mg_error_t  e;

    static const struct {
        const char  *text;
        const char  *host;
        const char  *host_port;
        const char  *path;
        int          port, tls, literal;
    } good[] = {
        { "https://api.openai.com/v1", "api.openai.com", "api.openai.com",
          "/v1", 443, 1, 0 },
        { "HTTP://Example.com", "Example.com", "Example.com", "", 80, 0, 0 },
        { "http://127.0.0.1:8080/", "127.0.0.1", "127.0.0.1:8080", "", 8080,
          0, 1 },
        { "https://[2001:db8::1]:65535/a/b//", "2001:db8::1",
          "[2001:db8::1]:65535", "/a/b", 65535, 1, 1 },
        { "http://[::1]", "::1", "[::1]", "", 80, 0, 1 },
        { "https://a_b.example.com./x%20y/~z;p=1,(2)", "a_b.example.com.",
          "a_b.example.com.", "/x%20y/~z;p=1,(2)", 443, 1, 0 },
        { "http://localhost:11434/v1/", "localhost", "localhost:11434", "/v1",
          11434, 0, 0 },
        { "http://1password.example/...", "1password.example",
          "1password.example", "/...", 80, 0, 0 },
        { "http://0xdead.example", "0xdead.example", "0xdead.example", "", 80,
          0, 0 }
    };

    static const char  *bad[] = {
        "", "api.openai.com", "ftp://x/", "https:/x", "https://", "http:///x",
        "https://:443/", "https://u:p@h/", "https://u@h/", "https://h/?q",
        "https://h?q", "https://h/#f", "https://h#f", "https://h:0/",
        "https://h:65536/", "https://h:/", "https://h:8 0/", "https://h:+1/",
        "https://h /", "https://h\r\nX: y/", "https://h/a b", "https://h/\x7f",
        "https://h/\xc3\xa9", "https://h\\@x/", "https://h/\\x",
        "https://h/%", "https://h/%4", "https://h/%4g", "https://h/../x",
        "https://h/a/.", "https://h/./b", "https://h/..", "https://.h/",
        "https://h..x/", "https://./", "https://-.h,x/", "http://127.1/",
        "http://2130706433/", "http://0x7f.1/", "http://0x7f000001/",
        "http://127.0.0.0x1/", "http://256.1.1.1/", "http://1.2.3.4./",
        "http://010.0.0.1/", "http://[::1/", "http://[::1]x/", "http://[]/",
        "http://[1.2.3.4]/", "http://[fe80::1%25eth0]/", "http://::1/",
        "http://h%2eexample/"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!ok(mg_url_parse(mg_str_z(good[i].text), &u, "base_url", &e)
                == MG_OK, "%s is taken", good[i].text))
        {
            continue;
        }

        is_mem(u.host.data, u.host.len, good[i].host, strlen(good[i].host),
               "host");
        is_mem(u.host_port.data, u.host_port.len, good[i].host_port,
               strlen(good[i].host_port), "host and port");
        is_mem(u.path.data, u.path.len, good[i].path, strlen(good[i].path),
               "path");
        is_int(u.port, good[i].port, "port");
        is_int(u.tls, good[i].tls, "TLS");
        is_int(u.literal, good[i].literal, "address");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(mg_url_parse(mg_str_z(bad[i]), &u, "base_url", &e), MG_ERROR,
               "URL %zu is refused", i);
        is_str(e.param, "base_url", "under its name");
    }

    mg_url_parse(mg_str("https://me:hunter2@h/"), &u, "base_url", &e);
    unlike(e.message, "hunter2", "a password is not repeated");
    like(e.message, "base_url", "the member is named");
}


static void
test_length(void)
{
    char        text[MG_URI_MAX + 2];
    mg_url_t    u;
    mg_error_t  e;

    memset(text, 'a', sizeof(text));
    memcpy(text, "http://h/", 9);

    is_int(mg_url_parse(mg_str_n(text, MG_URI_MAX), &u, "x", &e), MG_OK,
           "the longest URL");
    is_int(mg_url_parse(mg_str_n(text, MG_URI_MAX + 1), &u, "x", &e),
           MG_ERROR, "one byte more");
    like(e.message, "2048", "the limit is named");

    memcpy(text + 7 + 63, ".example", 8);
    text[7] = 'a';
    text[8] = 'a';
    is_int(mg_url_parse(mg_str_n(text, 7 + 63 + 8), &u, "x", &e), MG_OK,
           "a label of 63 bytes");

    text[7 + 63] = 'a';
    text[7 + 64] = '.';
    is_int(mg_url_parse(mg_str_n(text, 7 + 63 + 8), &u, "x", &e), MG_ERROR,
           "a label of 64 bytes");
}


static void
test_decode(void)
{
    char    out[64];
    size_t  len;

    is_int(mg_uri_decode(mg_str("a%2Fb%20+%e4%BD%a0"), out, &len), MG_OK,
           "decode");
    is_mem(out, len, "a/b +\xe4\xbd\xa0", 8, "the bytes; a plus stays");
    is_int(mg_uri_decode(mg_str_null, out, &len), MG_OK, "nothing");
    is_int(len, 0, "is empty");
    is_int(mg_uri_decode(mg_str("%00"), out, &len), MG_ERROR, "NUL");
    is_int(mg_uri_decode(mg_str("a%"), out, &len), MG_ERROR, "cut");
    is_int(mg_uri_decode(mg_str("a%4"), out, &len), MG_ERROR, "cut later");
    is_int(mg_uri_decode(mg_str("%4x"), out, &len), MG_ERROR, "no hex");
    is_int(mg_uri_decode(mg_str("%%41"), out, &len), MG_ERROR, "twice");
}


static void
test_encode(void)
{
    char    out[64];
    size_t  len;

    len = mg_uri_encode(mg_str("a/b c\0\xe4?&=%~"), "/", out);
    is_mem(out, len, "a/b%20c%00%E4%3F%26%3D%25~", 26, "encode");
    is_int(mg_uri_encode(mg_str_null, "", out), 0, "nothing");
    len = mg_uri_encode(mg_str("a/b"), "", out);
    is_mem(out, len, "a%2Fb", 5, "a slash that is not kept");
}


static void
test_query(void)
{
    size_t    i;
    mg_str_t  cursor, name, value;

    static const struct {
        const char  *name;
        const char  *value;
    } want[] = {
        { "a", "1" }, { "b", "" }, { "c", NULL }, { "d", "x=y" }, { "", "z" }
    };

    cursor = mg_str("a=1&&b=&c&d=x=y&=z&");

    for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        if (!ok(mg_query_next(&cursor, &name, &value) == 1, "pair %zu", i)) {
            return;
        }

        is_mem(name.data, name.len, want[i].name, strlen(want[i].name),
               "name");

        if (want[i].value == NULL) {
            ok(value.data == NULL, "no value");

        } else {
            is_mem(value.data, value.len, want[i].value,
                   strlen(want[i].value), "value");
        }
    }

    is_int(mg_query_next(&cursor, &name, &value), 0, "the end");
    is_int(mg_query_next(&cursor, &name, &value), 0, "stays the end");
}


static void
test_checks(void)
{
    ok(mg_header_ok(mg_str("Bearer sk-\xc3\xa9")), "a header value");
    ok(!mg_header_ok(mg_str("a\r\nX: y")), "CR LF");
    ok(!mg_header_ok(mg_str("a\nb")), "LF");
    ok(!mg_header_ok(mg_str("a\0b")), "NUL");
    ok(!mg_header_ok(mg_str("a\x7f")), "DEL");

    ok(mg_utf8_ok(mg_str("a\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80")), "UTF-8");
    ok(mg_utf8_ok(mg_str("\xf4\x8f\xbf\xbf\xed\x9f\xbf")), "its last ones");
    ok(!mg_utf8_ok(mg_str("a\0")), "NUL");
    ok(!mg_utf8_ok(mg_str("\xc0\x80")), "overlong NUL");
    ok(!mg_utf8_ok(mg_str("\xe0\x9f\xbf")), "overlong");
    ok(!mg_utf8_ok(mg_str("\xf0\x8f\xbf\xbf")), "overlong, four bytes");
    ok(!mg_utf8_ok(mg_str("\xed\xa0\x80")), "a surrogate");
    ok(!mg_utf8_ok(mg_str("\xf4\x90\x80\x80")), "above U+10FFFF");
    ok(!mg_utf8_ok(mg_str("\xf5\x80\x80\x80")), "far above");
    ok(!mg_utf8_ok(mg_str("\x80")), "a continuation alone");
    ok(!mg_utf8_ok(mg_str("\xe6\xbc")), "cut");
}


int
main(void)
{
    test_url();
    test_length();
    test_decode();
    test_encode();
    test_query();
    test_checks();

    return done_testing();
}
