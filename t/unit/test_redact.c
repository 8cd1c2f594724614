/*
 * What would break: what a group does not want to keep is kept, because of
 * how it is spelt or where the network cut it; or what it wants is not.
 *
 * Each case is a body and its copy.  The body is cut at every byte, and comes
 * byte by byte.
 */

#include <stdlib.h>

#include "model/mg_redact.h"
#include "tap.h"


#define NAMES   "user\0email\0\xe6\xbc\xa2\0\xf0\x9f\x98\x81\0"
#define X       "\"[redacted]\""


static const char  *cases[][2] = {
    { "", "" },
    { "{\"user\":\"ada\",\"input\":[\"a\"]}",
      "{\"user\":" X ",\"input\":[\"a\"]}" },
    { "{ \"user\" :\n \"a\\\"d\\\\\" , \"b\" : 1 }",
      "{ \"user\" :\n " X " , \"b\" : 1 }" },
    { "{\"user\":null,\"email\":1.5e3,\"b\":true}",
      "{\"user\":" X ",\"email\":" X ",\"b\":true}" },
    { "{\"user\":true}", "{\"user\":" X "}" },
    { "[{\"user\":7},{\"email\":-1}]",
      "[{\"user\":" X "},{\"email\":" X "}]" },
    { "{\"user\":{\"a\":[1,\"}\",{\"b\":\"\\\"]\"}]},\"c\":2}",
      "{\"user\":" X ",\"c\":2}" },
    { "{\"user\":[],\"email\":{},\"c\":[{}]}",
      "{\"user\":" X ",\"email\":" X ",\"c\":[{}]}" },
    { "{\"a\":{\"b\":[{\"user\":\"x\"}]}}",
      "{\"a\":{\"b\":[{\"user\":" X "}]}}" },

    /* as it reads, not as it is spelt */

    { "{\"us\\u0065r\":1,\"\\u6F22\":2,\"\xe6\xbc\xa2\":3,\"user\\u0000\":4}",
      "{\"us\\u0065r\":" X ",\"\\u6F22\":" X ",\"\xe6\xbc\xa2\":" X
      ",\"user\\u0000\":4}" },
    { "{\"\\ud83d\\ude00\":1,\"us\\/er\":2,\"\\user\":3,\"us\\u00g\":4}",
      "{\"\\ud83d\\ude00\":1,\"us\\/er\":2,\"\\user\":3,\"us\\u00g\":4}" },

    { "{\"\\ud83d\\ude01\":1,\"\\uD83D\\uDE01\":2,\"\xf0\x9f\x98\x81\":3}",
      "{\"\\ud83d\\ude01\":" X ",\"\\uD83D\\uDE01\":" X
      ",\"\xf0\x9f\x98\x81\":" X "}" },
    { "{\"\\ud83du\":1,\"\\ude01\":2,\"\\ud83d\\ud83d\\ude01\":3,"
      "\"\\ud83d\":4,\"user\\ud83d\":5,\"\\ud83d\\u0075ser\":6}",
      "{\"\\ud83du\":1,\"\\ude01\":2,\"\\ud83d\\ud83d\\ude01\":3,"
      "\"\\ud83d\":4,\"user\\ud83d\":5,\"\\ud83d\\u0075ser\":6}" },

    /* others of nearly this name, and the name as a text */

    { "{\"users\":1,\"use\":2,\"User\":3,\"\":4,\"a\":\"user\",\"b\":[\"user\","
      "\"email\"],\"c\":\"\\\"user\\\":1\"}",
      "{\"users\":1,\"use\":2,\"User\":3,\"\":4,\"a\":\"user\",\"b\":[\"user\","
      "\"email\"],\"c\":\"\\\"user\\\":1\"}" },
    { "{\"a-name-that-is-longer-than-all-that-can-be-named-here-by-anybody-"
      "user\":1}",
      "{\"a-name-that-is-longer-than-all-that-can-be-named-here-by-anybody-"
      "user\":1}" },

    /* events, and one that was cut */

    { "event: x\ndata: {\"user\":\"a\"}\n\ndata: {\"email\":\"b\",\"c\":1}\r\n"
      "\r\ndata: [DONE]\n\n",
      "event: x\ndata: {\"user\":" X "}\n\ndata: {\"email\":" X ",\"c\":1}\r\n"
      "\r\ndata: [DONE]\n\n" },
    { "data: {\"user\":\"a\ndata: {\"c\":\"d\ndata: {\"email\":1}\n",
      "data: {\"user\":" X "\ndata: {\"c\":\"d\ndata: {\"email\":" X "}\n" },
    { "data: {\"user\":[\"a\ndata: {\"email\":1}\n", "data: {\"user\":" X },
    { "data: {\"user\":\ndata: \"a\",\"email\"\r\ndata::\r\ndata:{\ndata: "
      "\"b\":\ndata: 1}\ndata:,\"c\"\ndata: : 2}\n\n",
      "data: {\"user\":\ndata: " X ",\"email\"\r\ndata::\r\ndata:" X
      "\ndata:,\"c\"\ndata: : 2}\n\n" },
    { "no \"user\" : at all", "no \"user\" : " X },
    { "{\"user\":", "{\"user\":" },
    { "{\"user\"", "{\"user\"" }
};


static void
redact(mg_str_t names, mg_str_t text, size_t cut, size_t step, mg_buf_t *out)
{
    char         *piece;
    size_t        at, n;
    mg_redact_t   r;

    out->len = 0;
    mg_redact_init(&r, names);

    for (at = 0; at < text.len; at += n) {
        n = (at == 0 && cut != 0) ? cut : step;
        n = n < text.len - at ? n : text.len - at;

        piece = malloc(n);
        memcpy(piece, text.data + at, n);
        mg_redact_feed(&r, piece, n, out);
        free(piece);
    }
}


int
main(void)
{
    size_t    i, k, bad;
    mg_str_t  text, want, names;
    mg_buf_t  out;

    names = mg_str_n(NAMES, sizeof(NAMES) - 1);

    mg_buf_init(&out, 4096);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = mg_str_z(cases[i][0]);
        want = mg_str_z(cases[i][1]);
        bad = 0;

        for (k = 0; k <= text.len; k++) {
            redact(names, text, k, text.len, &out);
            bad += !mg_str_eq(mg_buf_view(&out), want);
        }

        redact(names, text, 0, 1, &out);
        bad += !mg_str_eq(mg_buf_view(&out), want);

        if (!is_int(bad, 0, "%.60s", cases[i][0])) {
            is_mem(out.data, out.len, want.data, want.len, "byte by byte");
        }
    }

    mg_buf_free(&out);
    mg_buf_init(&out, 20);

    text = mg_str("{\"user\":\"ada\",\"input\":[\"a\"]}");
    redact(names, text, 0, 3, &out);
    is_mem(out.data, out.len, "{\"user\":\"[redacted]\"", 20, "up to its cap");
    ok(!out.failed, "which is no failure");

    redact(mg_str_null, text, 0, 3, &out);
    is_mem(out.data, out.len, text.data, 20, "no names, no changes");

    mg_buf_free(&out);

    return done_testing();
}
