/*
 * test_grab.c: base/mg_grab.h.
 *
 * What would break: tokens are counted from a member that is not the usage of
 * the response, or from none because the response was cut in an unlucky
 * place.  Each document is fed whole and at each position of a cut.
 */

#include "base/mg_buf.h"
#include "base/mg_grab.h"
#include "tap.h"

#include <stdlib.h>


static const mg_grab_path_t  paths[] = {
    { mg_str("usage"), mg_str_null, 1 },
    { mg_str("message"), mg_str("usage"), 2 },
    { mg_str("model"), mg_str_null, 3 },
    { mg_str_null, mg_str_null, 0 }
};


static void
taken(void *ctx, uint32_t id, mg_str_t json)
{
    mg_buf_printf(ctx, "%u=" MG_STR_FMT ";", id, MG_STR_ARG(json));
}


typedef struct {
    const char  *text;
    const char  *want;
} document_t;


/* What is taken does not depend on where the document is cut. */

static void
check(const document_t *d, uint32_t arrays)
{
    size_t     cut, bad;
    mg_buf_t   seen;
    mg_str_t   text;
    mg_grab_t  g;

    text = mg_str_z(d->text);

    for (bad = 0, cut = 0; cut <= text.len; cut++) {
        mg_buf_init(&seen, 0);
        mg_grab_init(&g, paths, taken, &seen);
        g.arrays = arrays;

        mg_grab_feed(&g, text.data, cut);
        mg_grab_feed(&g, text.data + cut, text.len - cut);

        bad += !mg_str_eq(mg_buf_view(&seen), mg_str_z(d->want));
        mg_buf_free(&seen);
    }

    is_int(bad, 0, "%s", d->text);
}


static void
test_documents(void)
{
    size_t  i;

    static const document_t  cases[] = {
        { "{\"usage\":{\"a\":1,\"b\":[{}]},\"model\":\"m\"}",
          "1={\"a\":1,\"b\":[{}]};3=\"m\";" },
        { "{\"usage\":12,\"model\":null}", "1=12;3=null;" },
        { "{\"model\" : -1.5e3 , \"usage\":[ ] }", "3=-1.5e3;1=[ ];" },
        { "{\"message\":{\"id\":\"usage\",\"usage\":{\"x\":2}},\"y\":1}",
          "2={\"x\":2};" },
        { "{\"message\":[{\"usage\":1}],\"x\":{\"usage\":2}}", "" },
        { "{\"x\":{\"message\":{\"usage\":1}}}", "" },
        { "{\"model\":\"a\\\"},{\\\\\",\"choices\":[\"usage\",{\"usage\":0}]}",
          "3=\"a\\\"},{\\\\\";" },
        { "{\"us\\u0061ge\":1,\"usage\":2}", "1=2;" },
        { "{\"usage-of-a-key-that-is-longer-than-forty-bytes\":1,\"usage\":3}",
          "1=3;" },
        { "[{\"usage\":1}]", "" },
        { "[DONE]", "" },
        { "\"usage\"", "" },
        { "", "" },
        { "{\"usage\":1} {\"usage\":2}", "1=1;" },
        { "{\"usage\":1]", "1=1;" },
        { "{\"usage\":{\"a\":1]}", "" },
        { "{\"usage\":nope!}", "" },
        { "{\"usage\"}", "" },
        { "}", "" },
        { "{\"usage\":{\"a\":", "" },
        { "{\"x\":[{\"usage\":1},\"]}\"],\"message\" : {\"a\":{\"usage\":2},"
          "\"usage\":{\"b\":[\"}\"]}},\"usage\" :3}",
          "2={\"b\":[\"}\"]};1=3;" },
        { "{\"message\":{\"x\":1},\"y\":{\"usage\":2}}", "" },
        { "{\"message\":1,\"usage\":\"u\"}", "1=\"u\";" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(&cases[i], 0);
    }
}


/* Arrays that are looked through: their objects stand where they stand. */

static void
test_arrays(void)
{
    size_t  i;

    static const document_t  cases[] = {
        { "[{\"usage\":1},{\"usage\":2,\"x\":[]} , {\"model\":3}]",
          "1=1;1=2;3=3;" },
        { "{\"message\":[{\"usage\":1},7,\"usage\",[{\"usage\":2}],"
          "{\"x\":{\"usage\":3},\"usage\":[{\"usage\":4}]}],\"model\":5}",
          "2=1;2=[{\"usage\":4}];3=5;" },
        { "{\"message\":[],\"usage\":1}", "1=1;" },
        { "{\"message\":[ ],\"x\":[{\"usage\":2}],\"usage\":[1]}",
          "1=[1];" },
        { "{\"message\":{\"x\":[{\"usage\":1}],\"usage\":2}}", "2=2;" },
        { "[[{\"usage\":1}],{\"message\":[{\"usage\":2}]}]", "2=2;" },
        { "[{\"message\":1},{\"usage\":2}]", "1=2;" },
        { "[{\"usage\":1},]", "1=1;" },
        { "[{\"usage\":1}}", "1=1;" },
        { "[{\"usage\":1]", "1=1;" },
        { "[1,2,{\"usage\":1}] 2", "1=1;" },
        { "[DONE]", "" },
        { "[", "" },
        { "[]", "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(&cases[i], 1);
    }
}


/*
 * What is passed over is looked at in blocks: brackets, quotes and backslashes
 * stand at each place of one, and in front of the end of the document.
 */

static void
test_blocks(void)
{
    size_t    i;
    unsigned  pad, tail;
    mg_buf_t  text;

    static const char  *const inner[] = {
        "\"]}\", [{\"usage\":0}]",
        "\"\\\\\", {\"usage\":\"]\\\"}\"}",
        "\"a\":[], \"\":{}, \"{[\"",
        "\\ ; K | [{}]"
    };

    for (i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
        for (pad = 0; pad < 20; pad++) {
            for (tail = 0; tail < 20; tail += 19) {
                mg_buf_init(&text, 0);
                mg_buf_printf(&text, "{\"x\":[%*s%s],\"usage\":1,"
                              "\"y\":\"%*s\"}", (int) pad, "", inner[i],
                              (int) tail, "");
                mg_buf_char(&text, '\0');
                check(&(document_t) { text.data, "1=1;" }, 0);
                mg_buf_free(&text);
            }
        }
    }
}


/* Brackets of both kinds, as deep as they are followed, and one deeper. */

static void
test_depth(void)
{
    unsigned  depth, i, open;
    mg_buf_t  text;

    for (depth = 63; depth <= 64; depth++) {
        mg_buf_init(&text, 0);
        mg_buf_printf(&text, "{\"x\":");

        for (i = 0; i < 2 * depth; i++) {
            open = i < depth ? i : 2 * depth - 1 - i;
            mg_buf_char(&text, (i < depth ? "[{" : "]}")[open % 3 == 1]);
        }

        mg_buf_printf(&text, ",\"usage\":1}");
        mg_buf_char(&text, '\0');
        check(&(document_t) { text.data, depth == 63 ? "1=1;" : "" }, 0);
        mg_buf_free(&text);
    }
}


static void
test_limits(void)
{
    int        i;
    char      *text;
    size_t     len, n;
    mg_buf_t   seen;
    mg_grab_t  g;

    mg_buf_init(&seen, 0);
    mg_grab_init(&g, paths, taken, &seen);

    for (n = MG_GRAB_VALUE_MAX - 2; n <= MG_GRAB_VALUE_MAX - 1; n++) {
        text = malloc(n + 100);
        len = (size_t) sprintf(text, "{\"model\":\"");
        memset(text + len, 'x', n);
        len += n;
        len += (size_t) sprintf(text + len, "\",\"usage\":1}");

        seen.len = 0;
        mg_grab_reset(&g);
        mg_grab_feed(&g, text, 1000);
        mg_grab_feed(&g, text + 1000, len - 1000);
        free(text);

        is_uint(g.missed, n == MG_GRAB_VALUE_MAX - 2 ? 0 : 1 << 3,
                "what was too long is remembered");

        if (n == MG_GRAB_VALUE_MAX - 2) {
            is_int(seen.len, 2 + MG_GRAB_VALUE_MAX + 1 + 4,
                   "the longest value is taken");

        } else {
            is_mem(seen.data, seen.len, "1=1;", 4,
                   "a longer one is passed over, the next one taken");
        }
    }

    seen.len = 0;
    mg_grab_reset(&g);
    mg_grab_feed(&g, "{\"x\":", 5);

    for (i = 0; i < 1000; i++) {
        mg_grab_feed(&g, "[", 1);
    }

    mg_grab_feed(&g, "1],\"usage\":1}", 13);
    is_int(seen.len, 0, "too deep is lost, silently");

    mg_grab_reset(&g);
    mg_grab_feed(&g, "{\"usage\":4}", 11);
    is_mem(seen.data, seen.len, "1=4;", 4, "and found again after a reset");

    mg_buf_free(&seen);
}


int
main(void)
{
    test_documents();
    test_arrays();
    test_blocks();
    test_depth();
    test_limits();

    return done_testing();
}
