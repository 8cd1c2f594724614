/*
 * test_jw.c: base/mg_jw.h.
 *
 * What would break: an answer is no JSON because a value had a quote, a
 * control or a broken character in it, or half a document is sent as a whole.
 */

#include "base/mg_jw.h"
#include "tap.h"


static void
test_document(void)
{
    mg_jw_t      w;
    mg_buf_t     b;
    mg_error_t   e;
    mg_json_t   *node;
    mg_arena_t  *a;

    static const char  want[] =
        "{\"a\":1,\"b\":[true,false,null,null,null,\"\",-9223372036854775808,"
        "{}],\"c\":{\"x\\\"y\":[],\"z\":\"t\"},\"d\":1.50,\"e\":null,"
        "\"f\":{\"k\":[\"v\",2]}}";

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);

    mg_jw_object(&w, NULL);
    mg_jw_int(&w, "a", 1);
    mg_jw_array(&w, "b");
    mg_jw_bool(&w, NULL, 7);
    mg_jw_tri(&w, NULL, 0);
    mg_jw_tri(&w, NULL, -1);
    mg_jw_null(&w, NULL);
    mg_jw_str(&w, NULL, mg_str_null);
    mg_jw_z(&w, NULL, "");
    mg_jw_int(&w, NULL, INT64_MIN);
    mg_jw_object(&w, NULL);
    mg_jw_end_object(&w);
    mg_jw_end_array(&w);
    mg_jw_object(&w, "c");
    mg_jw_key(&w, mg_str("x\"y"));
    mg_jw_array(&w, NULL);
    mg_jw_end_array(&w);
    mg_jw_key(&w, mg_str("z"));
    mg_jw_z(&w, NULL, "t");
    mg_jw_end_object(&w);
    mg_jw_raw(&w, "d", mg_str("1.50"));
    mg_jw_raw(&w, "e", mg_str_null);

    a = mg_arena_create(0);
    node = mg_json_parse(a, mg_str("{\"k\":[\"v\",2]}"), NULL, &e);
    mg_jw_node(&w, "f", node);
    mg_arena_destroy(a);

    mg_jw_end_object(&w);

    ok(!b.failed, "a balanced document");
    is_mem(b.data, b.len, want, sizeof(want) - 1, "its text");
    mg_buf_free(&b);
}


static void
test_strings(void)
{
    size_t    i;
    mg_buf_t  b;

    static const struct {
        mg_str_t     in;
        const char  *out;
    } cases[] = {
        { { "a\"b\\c/d", 7 }, "\"a\\\"b\\\\c/d\"" },
        { { "\b\t\n\f\r", 5 }, "\"\\b\\t\\n\\f\\r\"" },
        { { "\0\x01\x1f\x7f", 4 }, "\"\\u0000\\u0001\\u001f\\u007f\"" },
        { { "\xc3\xa9\xf0\x9f\x98\x80", 6 },
          "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
        { { "a\xff\xc0\xaf", 4 },
          "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { { "x\xe6\xbc", 3 }, "\"x\xef\xbf\xbd\xef\xbf\xbd\"" },
        { { "", 0 }, "\"\"" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mg_buf_init(&b, 0);
        mg_jw_quote(&b, cases[i].in);
        is_mem(b.data, b.len, cases[i].out, strlen(cases[i].out),
               "string %zu", i);
        mg_buf_free(&b);
    }
}


static void
test_balance(void)
{
    int       i;
    mg_jw_t   w;
    mg_buf_t  b;

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_jw_end_object(&w);
    ok(b.failed, "an end without a begin");
    mg_buf_free(&b);

    mg_jw_init(&w, &b);
    mg_jw_object(&w, NULL);
    mg_jw_key(&w, mg_str("k"));
    mg_jw_end_object(&w);
    ok(b.failed, "a key without a value");
    mg_buf_free(&b);

    mg_jw_init(&w, &b);
    mg_jw_int(&w, NULL, 1);
    mg_jw_int(&w, NULL, 2);
    ok(b.failed, "two values at the top");
    mg_buf_free(&b);

    mg_jw_init(&w, &b);

    for (i = 0; i < 63; i++) {
        mg_jw_array(&w, NULL);
    }

    ok(!b.failed, "63 levels");
    mg_jw_array(&w, NULL);
    ok(b.failed, "64 levels");
    mg_buf_free(&b);

    mg_buf_init(&b, 5);
    mg_jw_init(&w, &b);
    mg_jw_array(&w, NULL);
    mg_jw_z(&w, NULL, "too long for it");
    mg_jw_end_array(&w);
    ok(b.failed, "the buffer's cap");
    mg_buf_free(&b);
}


int
main(void)
{
    test_document();
    test_strings();
    test_balance();

    return done_testing();
}
