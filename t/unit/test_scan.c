/*
 * test_scan.c: base/mg_scan.h.
 *
 * What would break: a request is routed by another "model" than the one its
 * upstream reads, the rewrite cuts the body in the wrong place, or a valid
 * body is refused.  Each document is fed whole and at each position of a cut.
 */

#include "base/mg_scan.h"
#include "tap.h"

#include <stdlib.h>


static int
scan(mg_scan_t *s, mg_str_t text, size_t cut, mg_error_t *e)
{
    mg_scan_init(s);

    if (mg_scan_feed(s, text.data, cut, e) != MG_OK
        || mg_scan_feed(s, text.data + cut, text.len - cut, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_scan_finish(s, e);
}


static void
test_good(void)
{
    size_t      i, cut, bad;
    mg_str_t    text, raw;
    mg_scan_t   s;
    mg_error_t  e;

    static const struct {
        const char  *text;
        const char  *model;
        const char  *raw;
        const char  *user;
        int          stream;
    } cases[] = {
        { "{\"model\":\"gpt-4o\"}", "gpt-4o", "gpt-4o", "", 0 },
        { " \t\r\n{ \"model\" : \"a\" , \"stream\" : true } \n", "a", "a", "",
          1 },
        { "{\"model\":\"openai\\/gpt-\\u0034o\"}", "openai/gpt-4o",
          "openai\\/gpt-\\u0034o", "", 0 },
        { "{\"messages\":[{\"role\":\"user\",\"model\":\"x\"}],"
          "\"x\":{\"model\":\"y\"},\"model\":\"z\"}", "z", "z", "", 0 },
        { "{\"user\":\"u\\ud83d\\ude00\\n\",\"model\":\"\xe6\xbc\xa2\"}",
          "\xe6\xbc\xa2", "\xe6\xbc\xa2", "u\xf0\x9f\x98\x80\n", 0 },
        { "{\"model\":\"m\",\"user\":\"a\",\"user\":7,\"stream\":true,"
          "\"stream\":false}", "m", "m", "", 0 },
        { "{\"model\":\"m\",\"str\\u0065am\":true,\"user\":\"\\ud800\"}", "m",
          "m", "", 1 },
        { "{\"a\":[0,-0,1.5,-12e+3,1E-5,10],\"b\":[[],{},[{}]],\"c\":null,"
          "\"d\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\ud800\",\"model\":\"m\"}", "m",
          "m", "", 0 },
        { "{\"models\":\"x\",\"mode\":\"y\",\"Model\":1,\"model\\u0000\":2,"
          "\"model\":\"m\"}", "m", "m", "", 0 },
        { "{\"a-key-that-is-longer-than-sixteen\":\"model\",\"model\":\"m\","
          "\"\":\"model\"}", "m", "m", "", 0 },

        /* the sticky key: which member is it, whatever their order */

        { "{\"session_id\":\"s\",\"prompt_cache_key\":\"p\",\"metadata\":"
          "{\"user_id\":\"i\"},\"user\":\"u\",\"model\":\"m\"}", "m", "m",
          "u", 0 },
        { "{\"session_id\":\"s\",\"prompt_cache_key\":\"p\",\"metadata\":"
          "{\"a\":1,\"user_id\":\"i\\n\",\"b\":[]},\"model\":\"m\"}", "m",
          "m", "i\n", 0 },
        { "{\"session_id\":\"s\",\"prompt_cache_key\":\"p\",\"user\":\"\","
          "\"model\":\"m\"}", "m", "m", "p", 0 },
        { "{\"session_id\":\"s\",\"prompt_cache_key\":null,\"model\":\"m\"}",
          "m", "m", "s", 0 },
        { "{\"metadata\":{\"user_id\":\"a\"},\"metadata\":{},\"model\":\"m\"}",
          "m", "m", "", 0 },

        /* what stands elsewhere is somebody else's */

        { "{\"metadata\":{\"model\":\"x\",\"user\":\"u\",\"session_id\":\"s\","
          "\"stream\":true,\"a\":{\"user_id\":\"i\"}},\"model\":\"m\"}", "m",
          "m", "", 0 },
        { "{\"metadata\":[{\"user_id\":\"i\"}],\"b\":{\"user_id\":\"i\"},"
          "\"user_id\":\"i\",\"model\":\"m\"}", "m", "m", "", 0 },
        { "{\"metadata\":\"user_id\",\"a\":{\"user_id\":\"i\",\"model\":1},"
          "\"model\":\"m\"}", "m", "m", "", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = mg_str_z(cases[i].text);

        for (bad = 0, cut = 0; cut <= text.len; cut++) {

            if (scan(&s, text, cut, &e) != MG_OK) {
                diag("%s", e.message);
                bad++;
                continue;
            }

            raw = mg_str_n(text.data + s.value_start,
                           s.value_end - s.value_start);

            bad += !mg_str_eq(mg_str_n(s.model, s.model_len),
                              mg_str_z(cases[i].model))
                   || !mg_str_eq(raw, mg_str_z(cases[i].raw))
                   || !mg_str_eq(mg_str_n(s.user, s.user_len),
                                 mg_str_z(cases[i].user))
                   || s.stream != (unsigned) cases[i].stream
                   || !s.has_model;
        }

        is_int(bad, 0, "%s", cases[i].text);
    }
}


static void
test_bad(void)
{
    size_t      i, cut, bad;
    mg_str_t    text;
    mg_scan_t   s;
    mg_error_t  e;

    static const struct {
        mg_str_t     text;
        const char  *param;
        const char  *message;
    } cases[] = {
        { { "", 0 }, "", "complete" },
        { { "{\"model\":\"a\"", 12 }, "", "byte 12" },
        { { "[{\"model\":\"a\"}]", 15 }, "", "one JSON object" },
        { { "\xef\xbb\xbf{}", 5 }, "", "byte 0" },
        { { "{\"model\":\"a\"}x", 14 }, "", "nothing may follow" },
        { { "{\"model\":\"a\"}\"", 14 }, "", "nothing may follow" },
        { { "{\"model\":\"a\",}", 14 }, "", "key" },
        { { "{\"x\":[1,],\"model\":\"a\"}", 22 }, "", "value" },
        { { "{\"x\":[1},\"model\":\"a\"}", 21 }, "", "another kind" },
        { { "{\"x\":01}", 8 }, "", "comma" },
        { { "{\"x\":1.}", 8 }, "", "digit" },
        { { "{\"x\":-}", 7 }, "", "digit" },
        { { "{\"x\":1e+}", 9 }, "", "digit" },
        { { "{\"x\":NaN}", 9 }, "", "value" },
        { { "{\"x\":trux}", 10 }, "", "without quotes" },
        { { "{\"x\" 1}", 7 }, "", "colon" },
        { { "{x:1}", 5 }, "", "double quotes" },
        { { "{\"x\":\"a\nb\"}", 11 }, "", "control" },
        { { "{\"x\":\"\\x\"}", 10 }, "", "backslash" },
        { { "{\"x\":\"\\u00g0\"}", 14 }, "", "hex digits" },
        { { "{\"x\":\"\xc0\xaf\"}", 10 }, "", "UTF-8" },
        { { "{\"x\":\"\xed\xa0\x80\"}", 11 }, "", "UTF-8" },
        { { "{\"x\":\"\xe6\xbc\"}", 10 }, "", "UTF-8" },
        { { "{\"x\":\v1}", 8 }, "", "value" },
        { { "{\"model\":\"a\",\"model\":\"a\"}", 25 }, "model", "twice" },
        { { "{\"mo\\u0064el\":\"a\"}", 18 }, "model", "escapes" },
        { { "{\"model\":\"a\",\"\\u006dodel\":\"b\"}", 30 }, "model",
          "escapes" },
        { { "{\"model\":null}", 14 }, "model", "a string" },
        { { "{\"model\":[\"a\"]}", 15 }, "model", "a string" },
        { { "{\"model\":\"\"}", 12 }, "model", "empty" },
        { { "{\"model\":\"a\\u0000b\"}", 20 }, "model", "NUL" },
        { { "{\"model\":\"a\\ud800\"}", 19 }, "model", "surrogate" },
        { { "{\"model\":\"\\ud800\\u0041\"}", 24 }, "model", "surrogate" },
        { { "{\"model\":\"\\udc00\"}", 18 }, "model", "surrogate" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = cases[i].text;

        for (bad = 0, cut = 0; cut <= text.len; cut++) {
            bad += scan(&s, text, cut, &e) != MG_ERROR
                   || e.kind != MG_E_INVALID
                   || strcmp(e.param, cases[i].param) != 0
                   || strstr(e.message, cases[i].message) == NULL;
        }

        is_int(bad, 0, "refused, \"%s\": %s", cases[i].message, e.message);
    }
}


static void
test_limits(void)
{
    int         rc, depth;
    char        text[1000], *p;
    mg_scan_t   s;
    mg_error_t  e;

    memset(text, 'm', sizeof(text));
    memcpy(text, "{\"model\":\"", 10);
    memcpy(text + 10 + 256, "\"}", 2);
    is_int(scan(&s, mg_str_n(text, 268), 100, &e), MG_OK, "256 bytes");
    is_int(s.model_len, 256, "of a model");

    text[10 + 256] = 'm';
    memcpy(text + 10 + 257, "\"}", 2);
    is_int(scan(&s, mg_str_n(text, 269), 100, &e), MG_ERROR, "257 bytes");
    is_str(e.param, "model", "name the member");

    memset(text, 'u', sizeof(text));
    memcpy(text, "{\"model\":\"m\",\"user\":\"", 21);
    memcpy(text + 21 + 512, "\"}", 2);
    is_int(scan(&s, mg_str_n(text, 535), 100, &e), MG_OK, "512 bytes");
    is_int(s.user_len, 512, "of a user");

    text[21 + 512] = 'u';
    memcpy(text + 21 + 513, "\"}", 2);
    is_int(scan(&s, mg_str_n(text, 536), 100, &e), MG_OK, "a user too long");
    is_int(s.user_len, 0, "is none");

    for (depth = 127; depth <= 128; depth++) {
        p = text + sprintf(text, "{\"model\":\"m\",\"x\":");
        memset(p, '[', (size_t) depth);
        memset(p + depth, ']', (size_t) depth);
        p[depth * 2] = '}';
        rc = scan(&s, mg_str_n(text, (size_t) (p + depth * 2 + 1 - text)), 9,
                  &e);
        is_int(rc, depth == 127 ? MG_OK : MG_ERROR, "%d levels", depth + 1);
    }

    is_int(scan(&s, mg_str("{\"x\":{\"model\":\"a\"}}"), 0, &e), MG_DECLINED,
           "no model at the top");
    ok(!s.has_model, "is none");

    scan(&s, mg_str("{\"x\":!"), 3, &e);
    is_int(mg_scan_feed(&s, "1}", 2, &e), MG_ERROR, "an error sticks");
    is_int(mg_scan_finish(&s, &e), MG_ERROR, "to the end");
    like(e.message, "byte 5", "with its place");
    is_int(mg_scan_finish(&s, NULL), MG_ERROR, "nobody need look");
}


/* text of each length, so that each part of the 16 byte loop ends it */

static void
test_runs(void)
{
    char        *text;
    size_t       i, n, len, bad;
    mg_scan_t    s;
    mg_error_t   e;

    static const char  *units[] = {
        "a", "\xc3\xa9", "\xe6\xbc\xa2", "\xf0\x9f\x98\x80", "\\n", "ab\\u00e9"
    };

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        for (bad = 0, n = 0; n < 170; n++) {
            len = strlen(units[i]) * n + 20;
            text = malloc(len);
            memcpy(text, "{\"x\":\"", 6);

            for (len = 6; len < 6 + strlen(units[i]) * n;
                 len += strlen(units[i]))
            {
                memcpy(text + len, units[i], strlen(units[i]));
            }

            memcpy(text + len, "\",\"model\":\"m\"}", 14);
            bad += (scan(&s, mg_str_n(text, len + 14), len / 2, &e) != MG_OK);

            text[len - 1] = '\x1f';
            bad += (n && scan(&s, mg_str_n(text, len + 14), len / 2, &e)
                         != MG_ERROR);
            free(text);
        }

        is_int(bad, 0, "runs of unit %zu", i);
    }
}


/* Where "include_usage" may be put: "at" is the byte behind the brace. */

static void
test_options(void)
{
    size_t      i, cut, bad;
    mg_str_t    text;
    mg_scan_t   s;
    mg_error_t  e;

    static const struct {
        const char  *text;
        uint64_t     at;
        unsigned     null;
        unsigned     some;
        unsigned     asked;
    } cases[] = {
        { "{\"model\":\"m\"}", 0, 0, 0, 0 },
        { "{\"model\":\"m\",\"stream_options\":{}}", 31, 0, 0, 0 },
        { "{\"stream_options\" : { } ,\"model\":\"m\"}", 21, 0, 0, 0 },
        { "{\"stream_options\":null,\"model\":\"m\"}", 18, 1, 0, 0 },
        { "{\"stream_options\":{\"a\":{\"include_usage\":1}},\"model\":"
          "\"m\"}", 19, 0, 1, 0 },
        { "{\"stream_options\":{\"a-name-longer-than-sixteen\":1},\"model\":"
          "\"m\"}", 19, 0, 1, 0 },
        { "{\"stream_options\":{},\"include_usage\":true,\"metadata\":"
          "{\"include_usage\":true},\"model\":\"m\"}", 19, 0, 0, 0 },
        { "{\"metadata\":{\"stream_options\":{}},\"model\":\"m\"}", 0, 0, 0,
          0 },
        { "{\"stream_options\":{\"user_id\":\"i\"},\"model\":\"m\"}", 19, 0,
          1, 0 },

        { "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\"}",
          19, 0, 1, 1 },
        { "{\"stream_options\":{\"a\":[],\"include\\u005fusage\":null},"
          "\"model\":\"m\"}", 19, 0, 1, 1 },
        { "{\"stream_options\":{},\"stream_options\":{},\"model\":\"m\"}",
          39, 0, 0, 1 },
        { "{\"stream_options\":[],\"model\":\"m\"}", 18, 0, 0, 1 },
        { "{\"stream_options\":\"null\",\"model\":\"m\"}", 18, 0, 0, 1 },
        { "{\"stream_options\":false,\"model\":\"m\"}", 18, 0, 0, 1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = mg_str_z(cases[i].text);

        for (bad = 0, cut = 0; cut <= text.len; cut++) {
            bad += scan(&s, text, cut, &e) != MG_OK
                   || s.options_at != cases[i].at
                   || s.options_null != cases[i].null
                   || s.options_some != cases[i].some
                   || s.usage_asked != cases[i].asked
                   || s.user_len != 0;
        }

        if (!is_int(bad, 0, "%s", cases[i].text)) {
            diag("at %llu, null %u, some %u, asked %u",
                 (unsigned long long) s.options_at, s.options_null,
                 s.options_some, s.usage_asked);
        }
    }
}


int
main(void)
{
    test_good();
    test_options();
    test_bad();
    test_limits();
    test_runs();

    return done_testing();
}
