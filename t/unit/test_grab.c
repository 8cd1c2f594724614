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
    { "usage", NULL, 1 },
    { "message", "usage", 2 },
    { "model", NULL, 3 },
    { NULL, NULL, 0 }
};


static void
taken(void *ctx, uint32_t id, mg_str_t json)
{
    mg_buf_printf(ctx, "%u=" MG_STR_FMT ";", id, MG_STR_ARG(json));
}


static void
test_documents(void)
{
    size_t     i, cut, bad;
    mg_buf_t   seen;
    mg_str_t   text;
    mg_grab_t  g;

    static const struct {
        const char  *text;
        const char  *want;
    } cases[] = {
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
        { "{\"usage\":{\"a\":", "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = mg_str_z(cases[i].text);

        for (bad = 0, cut = 0; cut <= text.len; cut++) {
            mg_buf_init(&seen, 0);
            mg_grab_init(&g, paths, taken, &seen);
            mg_grab_feed(&g, text.data, cut);
            mg_grab_feed(&g, text.data + cut, text.len - cut);
            bad += !mg_str_eq(mg_buf_view(&seen), mg_str_z(cases[i].want));
            mg_buf_free(&seen);
        }

        is_int(bad, 0, "%s", cases[i].text);
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
    test_limits();

    return done_testing();
}
